"""How good a classifier is, by scikit-learn's measures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import CLASSES, Array, Dataset, validate
from ..extras import extra
from . import mlp
from .mlp import Params

AVERAGES = ("macro avg", "weighted avg")
"""Of the classes' measures: all classes alike, or each by its number of images."""


class Evaluation(NamedTuple):
    """What `evaluate` finds on a dataset."""

    loss: float
    accuracy: float
    confusion: Array
    """(10, 10) counts: a row for each true digit, a column for each predicted one."""
    report: dict[str, dict[str, float]]
    """precision, recall, f1-score and support of each class ("0" ... "9"), and two averages."""
    predicted: Array
    """(n,) integers."""
    probabilities: Array
    """(n, 10)."""


def evaluate(params: Params, dataset: Dataset) -> Evaluation:
    """Measure a model on a dataset it has not seen.

    Raises ShapeError or ValueError as `validate` does; MissingExtraError without scikit-learn.

    >>> ones = Dataset(np.eye(64)[:10], np.arange(10))
    >>> found = evaluate({"w0": np.eye(64)[:, :10], "b0": np.zeros(10)}, ones)
    >>> found.accuracy, found.report["3"]["recall"]
    (1.0, 1.0)
    """
    with extra():
        from sklearn import metrics
    images, labels = validate(*dataset, pixels=mlp.layer_sizes(params)[0])
    probabilities = mlp.probabilities(params, images)
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(CLASSES)
    report: dict[str, Any] = metrics.classification_report(
        labels, predicted, labels=classes, output_dict=True, zero_division=0.0
    )
    return Evaluation(
        loss=float(mlp.loss(params, images, labels)),
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        confusion=metrics.confusion_matrix(labels, predicted, labels=classes),
        report={name: report[name] for name in (*map(str, classes), *AVERAGES)},
        predicted=predicted,
        probabilities=probabilities,
    )
