"""What slides over images, as two ops: `windows` lays the pixels of every window side by side, and
`fold`, its transpose, adds them up where they came from. Images lie last, (c, h, w, n): what is
copied are then rows of many numbers, in a fifth of the time for images of 8 x 8.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind, Op
from ..staging.batching import BatchedCall, move_axis, register_batching

Pair: TypeAlias = tuple[int, int]
Margins: TypeAlias = tuple[Pair, Pair]
"""How much is added ((above, below), (left, right)) of an image."""

NO_MARGINS: Margins = ((0, 0), (0, 0))
IMAGES_LAST, IMAGES_FIRST = (1, 2, 3, 0), (3, 0, 1, 2)
"""From (n, c, h, w) to (c, h, w, n), and back; so a layer finds the last one's output in order."""

gather = partial(define, kind=Kind.GATHER, unchecked=True)


def _windows(
    x: Array, window: Pair, strides: Pair, dilation: Pair, margins: Margins, fill: float
) -> Array:
    padded = extend(x, margins, fill)
    size = count_positions(padded.shape[1:3], window, strides, dilation)
    columns = np.empty((x.shape[0], *window, *size, x.shape[3]), x.dtype)
    for i, j, pixels in list_shifts(window, strides, dilation, size):
        columns[:, i, j] = padded[pixels]
    return columns


def fold_windows(
    g: Array,
    shape: tuple[int, ...],
    window: Pair,
    strides: Pair,
    dilation: Pair,
    margins: Margins,
) -> Array:
    """The transpose of `windows`: each pixel of images of `shape` gets the sum of its copies."""
    padded = extend(np.zeros(shape, g.dtype), margins, 0.0)
    size = count_positions(padded.shape[1:3], window, strides, dilation)
    for i, j, pixels in list_shifts(window, strides, dilation, size):
        padded[pixels] += g[:, i, j]
    (_, h, w, _), ((above, _), (left, _)) = shape, margins
    return padded[:, above : above + h, left : left + w].copy()


def extend(x: Array, margins: Margins, fill: float) -> Array:
    """Images with margins, in a row in memory."""
    if x.flags.c_contiguous and margins == NO_MARGINS:
        return x
    (c, h, w, n), ((above, below), (left, right)) = x.shape, margins
    padded = np.full((c, above + h + below, left + w + right, n), fill, x.dtype)
    inside = padded[:, above : above + h, left : left + w]
    if x.flags.c_contiguous or n * x.itemsize < 64:
        inside[:] = x
    else:  # where images come first, in groups: a row of pixels of each that fits into the cache
        for start in range(0, n, 8):
            inside[..., start : start + 8] = x[..., start : start + 8]
    return padded


def count_positions(image: Sequence[int], window: Pair, strides: Pair, dilation: Pair) -> Pair:
    """How many windows fit one below the other, and side by side."""
    down, across = (
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(image, window, strides, dilation, strict=True)
    )
    return down, across


@functools.lru_cache(maxsize=256)
def list_shifts(
    window: Pair, strides: Pair, dilation: Pair, size: Pair
) -> list[tuple[int, int, tuple[slice, ...]]]:
    """For each place (i, j) in a window, where the pixels are that the windows have there."""

    def reach(start: int, stride: int, count: int) -> slice:
        return slice(start, start + stride * (count - 1) + 1, stride)

    return [
        (
            *(i, j),
            (
                slice(None),
                reach(i * dilation[0], strides[0], size[0]),
                reach(j * dilation[1], strides[1], size[1]),
            ),
        )
        for i, j in itertools.product(*map(range, window))
    ]


# --- (c, h, w, n) -> (c, kh, kw, oh, ow, n), the pixel at (i, j) of the window at (y, x)

windows: Op = gather(
    _windows,
    lambda g, _y, x_like, window, strides, dilation, margins, fill: fold(
        g, shape=x_like.shape, window=window, strides=strides, dilation=dilation, margins=margins
    ),
    name="windows",
)
fold: Op = gather(
    fold_windows,
    lambda g, _y, _x, shape, window, strides, dilation, margins: windows(
        g, window=window, strides=strides, dilation=dilation, margins=margins, fill=0.0
    ),
    name="fold",
)


def join_examples(x: Any) -> Any:
    """The images of all examples in a row: (l, ..., n) -> (..., l n)."""
    x = move_axis(x, 0, x.ndim - 2)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def part_examples(x: Any, length: int) -> Any:
    """The images of each example by themselves: (..., l n) -> (l, ..., n)."""
    x = x.reshape(*x.shape[:-1], length, x.shape[-1] // length)
    return move_axis(x, x.ndim - 2, 0)


def _batch_windows(call: BatchedCall) -> Any:
    (x,) = call.xs
    return part_examples(call.op.apply(join_examples(x), **call.options), call.length)


def _batch_fold(call: BatchedCall) -> Any:
    (g,), (*rest, n) = call.xs, call.options["shape"]
    options = {**call.options, "shape": (*rest, call.length * n)}
    return part_examples(call.op.apply(join_examples(g), **options), call.length)


register_batching(_batch_windows, windows)
register_batching(_batch_fold, fold)
