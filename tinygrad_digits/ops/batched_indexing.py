"""x[index], and what goes with it, for many examples at once: their batching rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.primitive import Array
from ..engine.tensor import Tensor
from ..staging.batching import BatchedCall, broadcast_examples, move_axis, register_batching, widen
from ..staging.tracer import Tracer
from .indexing import put, scatter, take


def _batch_take(call: BatchedCall) -> Any:
    (x,), (on,) = call.xs, call.on
    index, layout = _stack_index(call, call.ndims()[0], on)
    return layout.sort_axes(call.op.apply(x, index=index))


def _batch_scatter(call: BatchedCall) -> Any:
    (g,), shape = broadcast_examples(call), call.options["shape"]
    index, layout = _stack_index(call, len(shape), True)
    return call.op.apply(layout.restore_axes(g), index=index, shape=(call.length, *shape))


def _batch_put(call: BatchedCall) -> Any:
    x, v = broadcast_examples(call)
    ndim = call.ndims()[0]
    index, layout = _stack_index(call, ndim, True)
    like = [
        np.zeros(part.shape, int) if call.has(part) else part
        for part in _parts(call.options["index"])
    ]
    if any(isinstance(part, Tensor) for part in like):
        return NotImplemented
    place = np.broadcast_to(False, x.shape[1:])[tuple(like)]
    if place.ndim < v.ndim - 1:
        return NotImplemented
    return call.op.apply(x, layout.restore_axes(widen(v, True, place.ndim)), index=index)


class Layout:
    """Where in stacked[index] the axes are: the batch, and those that integer arrays make.

    NumPy puts the latter where the arrays stand, if they stand together, and first if they do not
    (https://numpy.org/doc/stable/user/basics.indexing.html#combining-advanced-and-basic-indexing);
    the batch axis has a part of the index of its own, which changes that.
    """

    __slots__ = ("batch", "behind", "width")

    def __init__(self, batch: int = 0, width: int = 0, behind: int = 0) -> None:
        self.batch = batch  # the place of the batch axis
        self.width = width  # how many axes after it are to go further back,
        self.behind = behind  # behind so many others

    def sort_axes(self, y: Array) -> Array:
        return _swap_blocks(move_axis(y, self.batch, 0), self.width, self.behind)

    def restore_axes(self, y: Array) -> Array:
        return move_axis(_swap_blocks(y, self.behind, self.width), 0, self.batch)


def _swap_blocks(y: Array, width: int, behind: int) -> Array:
    """y with `width` axes after the first moved behind the next `behind`."""
    if not width or not behind:
        return y
    first, second = range(1, 1 + width), range(1 + width, 1 + width + behind)
    return np.transpose(y, (0, *second, *first, *range(1 + width + behind, len(y.shape))))


def _stack_index(call: BatchedCall, ndim: int, on: bool) -> tuple[Any, Layout]:
    """An example's index of an array with `ndim` axes, as an index of the stacked array."""
    parts = _parts(call.options["index"])
    if not any(map(call.has, parts)):
        ndims = [1 if part.dtype == np.bool_ else part.ndim for part in parts if _is_array(part)]
        apart = bool(ndims) and not _together(parts)
        return (slice(None), *parts), Layout(batch=max(ndims) if apart else 0)
    for part in parts:
        if isinstance(part, Tracer) and part.dtype == np.bool_:
            part.refuse("the shape of x[mask]")
    parts = tuple(
        [each for part in parts for each in (part.nonzero() if _is_mask(part) else (part,))]
    )
    block = max(part.ndim for part in parts if _is_array(part))
    full = [widen(part.stacked, True, block) if call.has(part) else part for part in parts]
    before = _axes_before(parts, ndim) if _together(parts) else 0
    if not on:
        return tuple(full), Layout(batch=before)
    rows = np.arange(call.length).reshape(call.length, *(1,) * block)
    return (rows, *full), Layout(width=block, behind=before)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _is_array(part: Any) -> bool:
    return isinstance(part, np.ndarray | Tensor)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == np.bool_


def _is_slicing(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice)


def _together(parts: tuple[Any, ...]) -> bool:
    """Whether the integers and arrays of an index stand side by side."""
    chosen = [k for k, part in enumerate(parts) if not _is_slicing(part)]
    return chosen[-1] - chosen[0] < len(chosen)


def _axes_before(parts: tuple[Any, ...], ndim: int) -> int:
    """How many axes of the result come before those of the arrays."""
    first = next(k for k, part in enumerate(parts) if not _is_slicing(part))
    named = [part for part in parts if part is not None and part is not Ellipsis]
    hidden = ndim - len(named)
    return sum(hidden if part is Ellipsis else 1 for part in parts[:first])


register_batching(_batch_take, take)
register_batching(_batch_scatter, scatter)
register_batching(_batch_put, put)
