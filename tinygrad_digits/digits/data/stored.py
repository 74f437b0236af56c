"""Images where they are stored: a part of an array on disk, which is read a batch at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .dataset import Array, Dataset, Unread


class StoredImages(Unread):
    """Rows of a stored array, which become floats in 0 ... 1 when they are asked for.

    `images[rows]` reads these rows alone: (n, features) float32. So a minibatch costs a minibatch's
    memory, whatever the size of the file.

    >>> images = StoredImages(np.array([[0, 255], [51, 0], [255, 255]], np.uint8), 255)
    >>> images[[1]], images.shape
    (array([[0.2, 0. ]], dtype=float32), (3, 2))
    >>> images.take(np.array([2, 1]))[:1]
    array([[1., 1.]], dtype=float32)
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, stored: Array, full: float, rows: Array | None = None) -> None:
        self.stored, self.full = stored, full
        self.rows = np.arange(len(stored)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), int(np.prod(self.stored.shape[1:]))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        rows = self.rows[index]
        read = np.asarray(self.stored[rows], np.float32) / np.float32(self.full)
        return read.reshape(*rows.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, chosen: Array) -> StoredImages:
        """Some of these rows, unread."""
        return StoredImages(self.stored, self.full, self.rows[chosen])


class Source(NamedTuple):
    """Images of somebody's own, with what has to be known about them."""

    images: StoredImages
    labels: Array
    """(n,) integers: positions in `classes`."""
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """Of one image: (height, width), or (features,) where it is no picture."""
    tested: Array
    """(n,) bools: the rows that the source sets apart for tests; none where it does not say."""

    def dataset(self, rows: Array) -> Dataset:
        """Some of the rows, unread."""
        return Dataset(self.images.take(rows), self.labels[rows])  # type: ignore[arg-type]


def make_source(
    stored: Array, names: Any, shape: tuple[int, ...], tested: Array | None = None
) -> Source:
    """A source from an array (n, ...) of pixels and n names of classes, which are put in order.

    The full scale is what pixels of this kind go up to: 1, 16 or 255, 65535, else the largest.

    >>> source = make_source(np.array([[0.0], [1.0], [0.5]]), ["dog", "cat", "dog"], (1,))
    >>> source.classes, source.labels
    (('cat', 'dog'), array([1, 0, 1]))
    """
    names = np.asarray(names)
    if len(names) != len(stored):
        raise ValueError(f"{len(stored)} images need as many labels, got {len(names)}")
    if not len(names):
        raise ValueError("there are no images")
    found, labels = np.unique(names, return_inverse=True)
    if len(found) < 2:
        raise ValueError(f"all images are of one class, {found[0]}: a classifier needs two")
    if len(found) > max(2, len(names) // 2):
        raise ValueError(f"{len(found)} classes in {len(names)} images: is that the label?")
    order = sorted(range(len(found)), key=lambda i: _as_number(str(found[i])))
    rank = np.argsort(order)
    none = np.zeros(len(names), bool)
    return Source(
        StoredImages(stored, full_scale(stored)),
        rank[labels.reshape(-1)],
        tuple(str(found[i]) for i in order),
        shape,
        none if tested is None else tested,
    )


def full_scale(stored: Array) -> float:
    """The value that counts as 1. Raises ValueError for what is negative, NaN or infinite.

    >>> full_scale(np.array([[3, 16]])), full_scale(np.array([[0.25, 1.0]]))
    (16.0, 1.0)
    """
    low = high = 0.0
    for start in range(0, len(stored), 4096):  # so that no more of a file is in memory
        part = np.asarray(stored[start : start + 4096])
        if part.dtype.kind not in "fiub":
            raise ValueError(f"pixels must be numbers, got {part.dtype}")
        if not np.isfinite(part).all():
            row = start + int((~np.isfinite(part)).reshape(len(part), -1).any(1).argmax())
            raise ValueError(f"image {row} has pixels that are NaN or infinite: drop or mend it")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < 0:
        raise ValueError(f"pixels go from {low:g} to {high:g}: shift them so that none is negative")
    if stored.dtype == np.uint8 and high > 16:
        return 255.0
    scales = (1.0,) if stored.dtype.kind == "f" and high <= 1 else (16.0, 255.0, 65535.0)
    return next((full for full in scales if high <= full), high)


def _as_number(name: str) -> tuple[float, str]:
    """Names that are numbers in their order, then the others in theirs."""
    try:
        return float(name), ""
    except ValueError:
        return float("inf"), name
