"""How good a classifier is, by scikit-learn's measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...ops.losses import cross_entropy
from ...ops.softmax import softmax
from ..data.dataset import DIGITS, Array, Dataset, validate
from ..extras import extra
from . import kinds
from .mlp import Params

AVERAGES = ("macro avg", "weighted avg")
"""Of the classes' measures: all classes alike, or each by its number of images."""


class Evaluation(NamedTuple):
    """What `evaluate` finds on a dataset."""

    loss: float
    accuracy: float
    confusion: Array
    """(classes, classes) counts: a row for each true class, a column for each predicted one."""
    report: dict[str, dict[str, float]]
    """precision, recall, f1-score and support of each class by name, and two averages."""
    predicted: Array
    """(n,) integers."""
    probabilities: Array
    """(n, classes)."""


def evaluate(params: Params, dataset: Dataset, classes: Sequence[str] = DIGITS) -> Evaluation:
    """Measure a model on a dataset it has not seen, whose classes have these names.

    Raises ShapeError or ValueError as `validate` does; MissingExtraError without scikit-learn.

    >>> ones = Dataset(np.eye(64)[:10], np.arange(10))
    >>> found = evaluate({"w0": np.eye(64)[:, :10], "b0": np.zeros(10)}, ones)
    >>> found.accuracy, found.report["3"]["recall"]
    (1.0, 1.0)
    """
    with extra():
        from sklearn import metrics
    pixels, *_ = kinds.layer_sizes(params)
    images, labels = validate(*dataset, pixels=pixels, classes=len(classes))
    logits = kinds.logits_in_parts(params, images)
    probabilities = softmax(logits)
    predicted = probabilities.argmax(axis=1)
    places = np.arange(len(classes))
    report: dict[str, Any] = metrics.classification_report(
        labels, predicted, labels=places, output_dict=True, zero_division=0.0
    )
    return Evaluation(
        loss=float(cross_entropy(logits, labels)),
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        confusion=metrics.confusion_matrix(labels, predicted, labels=places),
        report={
            **{name: report[str(place)] for place, name in enumerate(classes)},
            **{name: report[name] for name in AVERAGES},
        },
        predicted=predicted,
        probabilities=probabilities,
    )
