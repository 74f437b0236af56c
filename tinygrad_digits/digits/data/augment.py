"""Augmentation: each picture as if written a little elsewhere, turned, larger, on rougher paper."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ...support.errors import ShapeError

Array: TypeAlias = "np.ndarray[Any, Any]"

SIDE = 8
"""Pixels of an image from edge to edge."""

SHIFT, DEGREES, SCALE, NOISE = 0.5, 10.0, 0.1, 0.1
"""How far a picture moves at most (pixels), turns (degrees) and grows or shrinks (a share); and the
standard deviation of the noise."""


def augment(
    images: Array,
    rng: np.random.Generator,
    *,
    shift: float = SHIFT,
    degrees: float = DEGREES,
    scale: float = SCALE,
    noise: float = NOISE,
) -> Array:
    """Move, turn, resize and roughen every image, each in its own way: (n, 64) -> (n, 64).

    The amounts are uniform in -shift ... shift pixels along each axis, -degrees ... degrees about
    the centre, and 1 - scale ... 1 + scale for either axis. Values between pixels are bilinear, and
    paper (0) surrounds the image: so far, what was in 0 ... 1 stays there. Then each pixel gets
    normal noise, which is not clipped, since that would darken the paper on average. The dtype is
    kept. Raises ShapeError where images are not (n, 64).

    >>> dot = np.zeros((1, 64))
    >>> dot[0, 27] = 1
    >>> moved = augment(dot, np.random.default_rng(0), noise=0)
    >>> moved.shape, bool(0 < moved.sum() < 1.5), bool(moved.max() < 1)
    ((1, 64), True, True)
    """
    if images.ndim != 2 or images.shape[1] != SIDE * SIDE:
        raise ShapeError(
            f"augment needs images (n, {SIDE * SIDE}), got {images.shape}: "
            f"use images.reshape(n, {SIDE * SIDE})"
        )
    angle, fine = np.deg2rad(degrees), np.result_type(images.dtype, np.float32)
    rows, columns = (at.astype(fine) for at in _sources(len(images), rng, shift, angle, scale))
    moved = _bilinear(images, rows, columns)
    rough = noise * rng.standard_normal(images.shape, np.float32)
    return (moved + rough).astype(images.dtype, copy=False)


def _sources(
    n: int, rng: np.random.Generator, shift: float, angle: float, scale: float
) -> tuple[Array, Array]:
    """Where in the old image each new pixel is read: rows and columns, each (n, 64)."""
    turn = rng.uniform(-angle, angle, (n, 1))
    zoom = rng.uniform(1 - scale, 1 + scale, (2, n, 1))
    move = rng.uniform(-shift, shift, (2, n, 1))
    centre = (SIDE - 1) / 2
    y, x = np.indices((SIDE, SIDE)).reshape(2, 1, -1) - centre  # (1, 64) each
    y, x = (y - move[0]) / zoom[0], (x - move[1]) / zoom[1]  # (n, 64) each
    return (
        np.cos(turn) * y - np.sin(turn) * x + centre,
        np.sin(turn) * y + np.cos(turn) * x + centre,
    )


def _bilinear(images: Array, rows: Array, columns: Array) -> Array:
    """Images read between their pixels: (n, 64) at (n, 64) rows and columns -> (n, 64)."""
    edge = SIDE + 3  # a rim of paper, on which whatever is farther out is read, and its neighbour
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 2), (1, 2)))
    rows, columns = (np.clip(at + 1, 0, SIDE + 1) for at in (rows, columns))
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = rows - top.astype(rows.dtype), columns - left.astype(rows.dtype)
    corner = np.arange(len(images))[:, None] * edge * edge + top * edge + left
    upper, lower = (
        padded.take(corner + below) * (1 - right) + padded.take(corner + below + 1) * right
        for below in (0, edge)
    )
    between: Array = upper * (1 - down) + lower * down
    return between
