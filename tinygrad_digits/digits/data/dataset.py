"""The data: scikit-learn's 8x8 digits, checked, split by seed, and dealt out in minibatches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...support.errors import ShapeError
from ..extras import extra

Array: TypeAlias = "np.ndarray[Any, Any]"

CLASSES = 10
PIXELS = 64
SHAPE = (8, 8)
DIGITS = tuple("0123456789")


class Unread:
    """Images that are not in memory: rows are read, checked before, when they are asked for."""


class Dataset(NamedTuple):
    """Images, one a row, (n, 64) floats in 0 ... 1; and what they show, (n,) integers."""

    images: Array
    labels: Array


class Split(NamedTuple):
    """Three datasets that share no image."""

    train: Dataset
    validation: Dataset
    test: Dataset


def load_digits(dtype: Any = np.float64) -> Dataset:
    """All 1797 digits of scikit-learn: (1797, 64) floats of `dtype`, (1797,) int64.

    The files hold pixels 0-16 (how many of 4x4 dots had ink); here they are 0-1, and exact in
    every float dtype. Raises MissingExtraError without scikit-learn.

    >>> digits = load_digits()
    >>> digits.images.shape, digits.images.min(), digits.images.max(), digits.labels[:4]
    ((1797, 64), np.float64(0.0), np.float64(1.0), array([0, 1, 2, 3]))
    """
    with extra():
        from sklearn import datasets
    pixels, labels = datasets.load_digits(return_X_y=True)
    return Dataset((pixels / 16).astype(dtype), labels.astype(np.int64))


def split(
    dataset: Dataset,
    seed: int,
    *,
    validation: float = 0.1,
    test: float = 0.2,
    stratify: bool = True,
) -> Split:
    """Shuffle and split by seed, with scikit-learn's `train_test_split`.

    Args:
        dataset: what to split; its arrays are copied.
        seed: the same seed gives the same split.
        validation: the share of what the test set leaves over; always stratified.
        test: the share of all images.
        stratify: give the test set every class in its share. False is for comparison with figures
            published on the plain `train_test_split(images, labels, test_size=test,
            random_state=seed)`, which it reproduces.

    Raises ShapeError or ValueError as `validate` does, ValueError where a share is too small to
    hold each class, MissingExtraError without scikit-learn.

    >>> [len(part.labels) for part in split(load_digits(), seed=42)]
    [1293, 144, 360]
    """
    with extra():
        from sklearn.model_selection import train_test_split
    rest, rest_labels = validate(*dataset)
    rest, tested, rest_labels, tested_labels = train_test_split(
        rest,
        rest_labels,
        test_size=test,
        random_state=seed,
        stratify=rest_labels if stratify else None,
    )
    trained, validated, trained_labels, validated_labels = train_test_split(
        rest, rest_labels, test_size=validation, random_state=seed, stratify=rest_labels
    )
    return Split(
        Dataset(trained, trained_labels),
        Dataset(validated, validated_labels),
        Dataset(tested, tested_labels),
    )


def minibatches(dataset: Dataset, size: int, rng: np.random.Generator) -> Iterator[Dataset]:
    """Every image once, in an order that `rng` draws, `size` at a time; the last may be smaller.

    >>> digits = Dataset(np.eye(5), np.arange(5))
    >>> [len(batch.labels) for batch in minibatches(digits, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    if size < 1:
        raise ValueError(f"a minibatch holds 1 image or more, got size={size}")
    order = rng.permutation(len(dataset.labels))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield Dataset(dataset.images[chosen], dataset.labels[chosen])


def validate(images: Any, labels: Any, *, pixels: int = PIXELS, classes: int = CLASSES) -> Dataset:
    """As plain arrays; refuse what is not (n, pixels) floats in 0 ... 1, (n,) ints below `classes`.

    Raises ShapeError (a ValueError) or ValueError; the message names the culprit and the remedy.

    >>> validate(np.zeros((2, 8, 8)), np.zeros(2, int))
    Traceback (most recent call last):
    ...
    tinygrad_digits.support.errors.ShapeError: images must be (n, 64), got (2, 8, 8): \
flatten them with images.reshape(n, 64)
    """
    images = images if isinstance(images, Unread) else np.asarray(images)
    labels = np.asarray(labels)
    validate_images(images, pixels)
    if labels.ndim != 1:
        raise ShapeError(
            f"labels must be (n,), got {labels.shape}"
            + (": turn one-hot rows into labels with .argmax(axis=1)" if labels.ndim == 2 else "")
        )
    if len(labels) != len(images):
        raise ShapeError(f"{len(images)} images need as many labels, got {len(labels)}")
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, got {labels.dtype}: use labels.astype(int) "
            "if they are whole numbers"
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"labels[{row}] is {labels[row]}: labels go from 0 to {classes - 1}")
    return Dataset(images, labels)


def validate_images(images: Array, pixels: int = PIXELS) -> None:
    """Refuse what is not (n, pixels) floats in 0 ... 1, as `validate` does."""
    if images.ndim != 2 or images.shape[1] != pixels:
        fits = images.ndim > 1 and len(images) and images[0].size == pixels
        remedy = f": flatten them with images.reshape(n, {pixels})" if fits else ""
        raise ShapeError(f"images must be (n, {pixels}), got {images.shape}{remedy}")
    if not len(images):
        raise ShapeError("there are no images: (n, pixels) needs n >= 1")
    if isinstance(images, Unread):
        return
    if images.dtype.kind != "f":
        raise ValueError(
            f"images must be floating point, got {images.dtype}: for pixels 0-16 use images / 16.0"
        )
    finite = np.isfinite(images)
    if not finite.all():
        row = int((~finite).any(axis=1).argmax())
        raise ValueError(f"images[{row}] has pixels that are NaN or infinite: drop or mend it")
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        full = 16 if high <= 16 else 255
        remedy = f": for pixels 0-{full} divide by {full}" if low >= 0 and high <= full else ""
        raise ValueError(f"pixels must be in 0 ... 1, got {low:g} ... {high:g}{remedy}")


ALIKE = 0.75
"""Of how much any two pixels of an image differ (in the mean square), neighbours differ by less:
the digits' by 0.47, ten at a time by 0.60 at most, with shuffled pixels by 0.92 or more."""


def are_images(rows: Array) -> bool:
    """Whether rows of features are 8x8 images: whole numbers 0-16 or floats 0-1, neighbours alike.

    >>> digits = load_digits().images
    >>> are_images(digits), are_images(16 * digits), are_images(digits[:, ::7])
    (True, True, False)
    >>> are_images(np.random.default_rng(0).permuted(digits, axis=1))
    False
    """
    if rows.shape[1] != PIXELS or not len(rows):
        return False
    low, high = rows.min(), rows.max()
    if low < 0 or high > 16 or (high > 1 and (rows % 1).any()):
        return False
    images = rows.reshape(-1, 8, 8)
    near = sum(np.mean(np.square(np.diff(images, axis=axis))) for axis in (1, 2)) / 2
    return bool(near < ALIKE * 2 * np.mean(np.var(rows, axis=1)))  # E (a - b)^2 = 2 var
