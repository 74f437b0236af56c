"""Probabilities that mean what they say: of those called 90 % sure, 90 % are right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...ops.softmax import softmax
from ..data.dataset import Array

COLDEST, HOTTEST = 0.5, 20.0
"""Between which a temperature is sought: where all are right, colder is always likelier."""
BINS = 15
"""Of confidence, as in the paper."""


class Bin(NamedTuple):
    """Images that a model is about equally sure of."""

    confidence: float
    """The mean of the winners' probabilities."""
    accuracy: float
    images: int


def fit_temperature(logits: Array, labels: Array) -> float:
    """What to divide logits by for the likeliest labels: (n, classes), (n,) -> a positive number.

    Of images that were not trained on. (C. Guo et al., On Calibration of Modern Neural Networks,
    2017.) The log-likelihood is concave in 1/T, so bisection finds where its slope is 0; where all
    are right, that is at COLDEST, and where none is, at HOTTEST. Raises ValueError without images.

    >>> logits = np.log([[0.9, 0.1]] * 10)
    >>> labels = np.array([0] * 6 + [1] * 4)  # 60 % of what is called 90 % sure
    >>> temperature = fit_temperature(logits, labels)
    >>> round(float(softmax(logits[0] / temperature)[0]), 3)
    0.6
    """
    if not len(logits):
        raise ValueError("fit_temperature needs some images that were not trained on")
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(40):
        middle = (low + high) / 2
        expected = (softmax(middle * logits) * logits).sum(axis=1)
        slope = (logits[np.arange(len(labels)), labels] - expected).mean()
        if slope > 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def temper(probabilities: Array, temperature: float) -> Array:
    """The probabilities of logits divided by a temperature: (n, classes) -> (n, classes).

    >>> temper(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    least = np.finfo(probabilities.dtype).tiny  # what is 0 has no logarithm
    tempered: Array = softmax(np.log(np.maximum(probabilities, least)) / temperature)
    return tempered


def bin_by_confidence(probabilities: Array, labels: Array, bins: int = BINS) -> list[Bin]:
    """How often a model is right where it is so sure: (n, classes), (n,) -> the bins that have any.

    They are of equal width, of the winners' probabilities.

    >>> bin_by_confidence(np.array([[0.8, 0.2]] * 4), np.array([0, 0, 0, 1]))
    [Bin(confidence=0.8, accuracy=0.75, images=4)]
    """
    confidence = probabilities.max(axis=1).astype(float)
    right = probabilities.argmax(axis=1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(float(confidence[own].mean()), float(right[own].mean()), int(own.sum()))
        for own in (which == i for i in np.unique(which))
    ]


def measure_calibration_error(probabilities: Array, labels: Array, bins: int = BINS) -> float:
    """How far confidence and accuracy are apart on average: (n, classes), (n,) -> 0 ... 1.

    The expected calibration error of the paper: over bins of equal width of the winners'
    probabilities, the mean of |accuracy - confidence|, weighted by how many images a bin holds.

    >>> sure = np.array([[0.8, 0.2]] * 5)
    >>> round(measure_calibration_error(sure, np.array([0, 0, 0, 0, 1])), 3)
    0.0
    >>> round(measure_calibration_error(sure, np.array([0, 0, 1, 1, 1])), 3)
    0.4
    """
    found = bin_by_confidence(probabilities, labels, bins)
    return sum(one.images * abs(one.accuracy - one.confidence) for one in found) / len(labels)
