"""Rows of features as something to look at."""

from __future__ import annotations

import math

import numpy as np

from .dataset import Array


def fold(image: Array, shape: tuple[int, ...] | None = None) -> Array:
    """A row as a picture of its shape; what is none fills a square, and zeros its rest.

    >>> fold(np.arange(1, 6)).shape, fold(np.arange(6), (2, 3)).shape, fold(np.ones(64)).shape
    ((3, 3), (2, 3), (8, 8))
    """
    if image.ndim == 2:
        return image
    if shape is not None and len(shape) == 2 and math.prod(shape) == image.size:
        return image.reshape(shape)
    side = math.ceil(math.sqrt(image.size))
    return np.pad(image, (0, side * side - image.size)).reshape(side, side)
