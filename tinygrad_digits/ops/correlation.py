"""Correlation of images with kernels, and what its derivatives are made of: three ops in one form.

    sum of  g[o, y, x, n]  w[o, c, i, j]  image[c, y + i, x + j, n]

is linear in cotangent, kernels and images; the factor of each is an op of the other two, so the
derivatives of the three are the three again:

    correlate2d : image, w -> g      overlap : g, image -> w      spread : g, w -> image

Images lie last, so what a kernel's pixel meets is rows of numbers that are neighbours in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind, Op
from ..staging.batching import BatchedCall, register_batching
from .windows import (
    NO_MARGINS,
    Margins,
    Pair,
    count_positions,
    extend,
    fold,
    fold_windows,
    join_examples,
    list_shifts,
    part_examples,
    windows,
)

product = partial(define, kind=Kind.OPAQUE, unchecked=True)

MOST_NUMBERS = 1 << 18
"""Of columns at a time: they stay in the cache, and in memory that is there already."""


FEWER = 4
"""How many times as many channels a cotangent must have as the image, so that the columns of what
goes to the image are added up in less time than those of the cotangent are laid and multiplied: in
0.3 of it for grey images of 28x28 and 32 kernels, 0.7 for 3 channels and 16, 0.8 for 8 and 32."""


def _lay_columns(
    padded: Array, window: Pair, strides: Pair, dilation: Pair, size: Pair
) -> Iterator[tuple[slice, Array]]:
    """Which positions, and their windows as columns, (c kh kw, positions), some rows at a time."""
    c, *_, n = padded.shape
    depth, across = c * prod(window), size[1] * n
    rows = max(1, min(size[0], MOST_NUMBERS // max(depth * across, 1)))
    buffer = np.empty(depth * rows * across, padded.dtype)
    for top in range(0, size[0], rows):
        count = min(rows, size[0] - top)
        columns = buffer[: depth * count * across].reshape(c, *window, count, size[1], n)
        below = padded[:, top * strides[0] :]
        for i, j, pixels in list_shifts(window, strides, dilation, (count, size[1])):
            columns[:, i, j] = below[pixels]
        yield slice(top * across, (top + count) * across), columns.reshape(depth, count * across)


def _correlate(x: Array, w: Array, strides: Pair, dilation: Pair, margins: Margins) -> Array:
    padded, o, window = extend(x, margins, 0.0), w.shape[0], w.shape[2:]
    size = count_positions(padded.shape[1:3], window, strides, dilation)
    y = np.empty((o, prod(size) * x.shape[3]), np.result_type(x, w))
    for positions, columns in _lay_columns(padded, window, strides, dilation, size):
        np.matmul(w.reshape(o, -1), columns, out=y[:, positions])
    return y.reshape(o, *size, x.shape[3])


def _overlap(
    g: Array, x: Array, window: Pair, strides: Pair, dilation: Pair, margins: Margins
) -> Array:
    padded, (o, *size, _) = extend(x, margins, 0.0), g.shape
    flat = extend(g, NO_MARGINS, 0.0).reshape(o, -1).T
    total = np.zeros((x.shape[0] * prod(window), o), np.result_type(g, x))
    for positions, columns in _lay_columns(padded, window, strides, dilation, size):
        total += columns @ flat[positions]  # OpenBLAS takes twice as long for the transpose of it
    return np.ascontiguousarray(total.T).reshape(o, x.shape[0], *window)


def _spread(
    g: Array,
    w: Array,
    shape: tuple[int, ...],
    strides: Pair,
    dilation: Pair,
    margins: Margins,
) -> Array:
    turned = turn_margins(w.shape[2:], strides, dilation, margins)
    if turned is not None and FEWER * w.shape[1] > w.shape[0]:
        back = np.swapaxes(w[:, :, ::-1, ::-1], 0, 1)
        return _correlate(g, back, strides, dilation, turned)
    columns = w.reshape(w.shape[0], -1).T @ g.reshape(g.shape[0], -1)
    columns = columns.reshape(*w.shape[1:], *g.shape[1:])
    return fold_windows(columns, shape, w.shape[2:], strides, dilation, margins)


def turn_margins(window: Pair, strides: Pair, dilation: Pair, margins: Margins) -> Margins | None:
    """With which margins spreading is a correlation with the kernels turned, if it is one."""
    down, across = (
        ((k - 1) * d - before, (k - 1) * d - after)
        for k, d, (before, after) in zip(window, dilation, margins, strict=True)
    )
    return (down, across) if strides == (1, 1) and min(*down, *across) >= 0 else None


def _correlate_of_image(
    g: Array, _y: Array, x_like: Array, w: Array, strides: Pair, dilation: Pair, margins: Margins
) -> Any:
    return spread(g, w, shape=x_like.shape, strides=strides, dilation=dilation, margins=margins)


def _correlate_of_kernels(
    g: Array, _y: Array, x: Array, w_like: Array, strides: Pair, dilation: Pair, margins: Margins
) -> Any:
    window = w_like.shape[2:]
    return overlap(g, x, window=window, strides=strides, dilation=dilation, margins=margins)


correlate2d: Op = product(
    _correlate, _correlate_of_image, _correlate_of_kernels, name="correlate2d"
)
overlap: Op = product(
    _overlap,
    lambda g, _y, _g_like, x, window, strides, dilation, margins: correlate2d(
        x, g, strides=strides, dilation=dilation, margins=margins
    ),
    lambda g, _y, cotangent, x_like, window, strides, dilation, margins: spread(
        cotangent, g, shape=x_like.shape, strides=strides, dilation=dilation, margins=margins
    ),
    name="overlap",
)
spread: Op = product(
    _spread,
    lambda g, _y, _g_like, w, shape, strides, dilation, margins: correlate2d(
        g, w, strides=strides, dilation=dilation, margins=margins
    ),
    lambda g, _y, cotangent, w_like, shape, strides, dilation, margins: overlap(
        cotangent,
        g,
        window=w_like.shape[2:],
        strides=strides,
        dilation=dilation,
        margins=margins,
    ),
    name="spread",
)


# --- many examples: as so many more images, or else by the columns of all


def _columns(call: BatchedCall, x: Any, on: bool, window: Pair) -> Any:
    """The windows of each example's images: (l, c kh kw, positions), or without l."""
    options = {key: call.options[key] for key in ("strides", "dilation", "margins")}
    columns = windows(join_examples(x) if on else x, window=window, fill=0.0, **options)
    columns = part_examples(columns, call.length) if on else columns
    depth = prod(columns.shape[-6:-3])
    return columns.reshape(*columns.shape[:-6], depth, prod(columns.shape[-3:]))


def _batch_correlate(call: BatchedCall) -> Any:
    (x, w), (on_x, on_w) = call.xs, call.on
    if not on_w:
        return part_examples(call.op.apply(join_examples(x), w, **call.options), call.length)
    length, o, _, *window = w.shape
    columns = _columns(call, x, on_x, tuple(window))
    y = w.reshape(length, o, columns.shape[-2]) @ columns
    options = call.options
    image = [a + sum(m) for a, m in zip(x.shape[-3:-1], options["margins"], strict=True)]
    size = count_positions(image, window, options["strides"], options["dilation"])
    return y.reshape(length, o, *size, x.shape[-1])


def _batch_overlap(call: BatchedCall) -> Any:
    (g, x), (_, on_x) = call.xs, call.on
    columns = _columns(call, x, on_x, call.options["window"])
    flat = g.reshape(*g.shape[:-3], columns.shape[-1])
    y = flat @ np.swapaxes(columns, -1, -2)
    return y.reshape(call.length, g.shape[-4], x.shape[-4], *call.options["window"])


def _batch_spread(call: BatchedCall) -> Any:
    (g, w), (_, on_w) = call.xs, call.on
    (*rest, n), length = call.options["shape"], call.length
    options = {**call.options, "shape": (*rest, length * n)}
    if not on_w:
        y = call.op.apply(join_examples(g), w, **options)
    else:
        flat = g.reshape(*g.shape[:-3], prod(g.shape[-3:]))
        kernels = w.reshape(length, w.shape[1], prod(w.shape[2:]))
        columns = np.swapaxes(kernels, -1, -2) @ flat
        columns = columns.reshape(length, *w.shape[2:], *g.shape[-3:])
        y = fold(join_examples(columns), window=w.shape[3:], **options)
    return part_examples(y, length)


register_batching(_batch_correlate, correlate2d)
register_batching(_batch_overlap, overlap)
register_batching(_batch_spread, spread)
