"""Several arrays in one, one array in several, and one array with more or fewer elements.

Where NumPy moves elements about without looking at them, its own function is asked: applied to the
numbers 0, 1, 2, ... in the array's shape, it tells which element goes where.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..engine.define import define
from ..engine.primitive import Array, Kind, VariadicRule
from ..engine.tensor import Tensor
from ..staging.batching import (
    BatchedCall,
    as_tuple,
    batch_reduction,
    broadcast_examples,
    register_batching,
    shift_axis,
    widen,
)
from ..staging.lowering import SourceArray, SourceCall, register_lowering
from ..support.errors import NotDifferentiableError
from ..support.foreign import as_array
from .indexing import freeze_index, put
from .registering import handles
from .shaping import Shape


def _concatenate(*arrays: Array, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


def _piece(k: int, g: Array, _y: Array, *xs_like: Array, axis: int = 0) -> Array:
    """The part of g that came from array k."""
    axis %= g.ndim
    start = sum(x.shape[axis] for x in xs_like[:k])
    return along(axis, slice(start, start + xs_like[k].shape[axis]), g)


def along(axis: int, part: Any, x: Array) -> Array:
    """x[:, ..., part] with the index at the given axis (which is not negative)."""
    return x[(slice(None),) * axis + (part,)]


join = define(
    _concatenate, VariadicRule(_piece), name="concatenate", kind=Kind.GATHER, unchecked=True
)


def _batch_concatenate(call: BatchedCall) -> Any:
    axis = shift_axis(call.options.get("axis", 0), call.ndims()[0])
    return call.op.apply(*broadcast_examples(call), axis=axis)


register_batching(_batch_concatenate, join)


def _write_concatenation(call: SourceCall) -> Callable[[Any], None] | None:
    """Each operand by loops of its own."""
    arrays, out = call.args, call.out
    if not all(isinstance(x, SourceArray) and x.dtype == out.dtype for x in arrays):
        return None
    axis = call.options.get("axis", 0) % len(out.shape)

    def write(code: Any) -> None:
        start = 0
        for x in arrays:
            with code.loops(x.shape) as at:
                out[(*at[:axis], at[axis] + start, *at[axis + 1 :])] = x[at]
            start += x.shape[axis]

    return write


register_lowering(join, native=_write_concatenation)


@handles(np.concatenate)
def concatenate(arrays: Sequence[Array], /, axis: int | None = 0, *, dtype: Any = None) -> Array:
    """numpy.concatenate: arrays that agree but for the length along `axis`, end to end."""
    if axis is None:
        joined = join(*[np.reshape(x, -1) for x in arrays])
    else:
        joined = join(*arrays, axis=axis)
    return joined if dtype is None else joined.astype(dtype)


@handles(np.stack)
def stack(arrays: Sequence[Array], axis: int = 0, *, dtype: Any = None) -> Array:
    """numpy.stack: n arrays of one shape -> the same with a new axis of length n."""
    return concatenate([np.expand_dims(x, axis) for x in arrays], axis, dtype=dtype)


@handles(np.vstack)
def vstack(tup: Sequence[Array], *, dtype: Any = None) -> Array:
    """numpy.vstack: vectors as rows."""
    return concatenate([np.atleast_2d(x) for x in tup], 0, dtype=dtype)


@handles(np.hstack)
def hstack(tup: Sequence[Array], *, dtype: Any = None) -> Array:
    """numpy.hstack: end to end along the second axis, vectors along their only one."""
    arrays = [np.atleast_1d(x) for x in tup]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1, dtype=dtype)


@handles(np.dstack)
def dstack(tup: Sequence[Array]) -> Array:
    """numpy.dstack: end to end along the third axis."""
    return concatenate([np.atleast_3d(x) for x in tup], 2)


@handles(np.column_stack)
def column_stack(tup: Sequence[Array]) -> Array:
    """numpy.column_stack: vectors as columns."""
    return concatenate([x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in tup], 1)


@handles(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    """numpy.append."""
    return concatenate([arr, values], axis)


@handles(np.block)
def block(arrays: Any) -> Array:
    """numpy.block: nested lists, the innermost joined along the last axis."""

    def depth(x: Any) -> int:
        return 1 + max(map(depth, x), default=0) if isinstance(x, list) else 0

    def leaves(x: Any) -> list[Any]:
        return [leaf for part in x for leaf in leaves(part)] if isinstance(x, list) else [x]

    ndim = max(depth(arrays), *[np.ndim(x) for x in leaves(arrays)])

    def block_level(x: Any, level: int) -> Array:
        if isinstance(x, list):
            return concatenate([block_level(part, level - 1) for part in x], -level)
        if level:
            raise ValueError("np.block: the lists are not nested equally deep")
        return np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x))

    return block_level(arrays, depth(arrays)) if isinstance(arrays, list) else +arrays


# --- one in several


def _length(x: Array, axis: int) -> tuple[int, int]:
    """An axis, counted from the front, and its length."""
    axis = normalize_axis_index(axis, x.ndim)
    return axis, x.shape[axis]


@handles(np.array_split)
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """numpy.array_split: a list of slices."""
    return _split(np.array_split, ary, indices_or_sections, axis)


@handles(np.split)
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """numpy.split: a list of slices."""
    return _split(np.split, ary, indices_or_sections, axis)


def _split(function: Callable[..., Any], x: Array, where: Any, axis: int) -> list[Array]:
    axis, n = _length(x, axis)
    pieces = function(np.arange(n), where)
    ends = [(int(piece[0]), int(piece[-1]) + 1) if piece.size else (0, 0) for piece in pieces]
    return [along(axis, slice(start, stop), x) for start, stop in ends]


@handles(np.hsplit)
def hsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    """numpy.hsplit."""
    np.hsplit(np.empty(ary.shape, bool), indices_or_sections)  # which checks the shape
    return np.split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@handles(np.vsplit)
def vsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    """numpy.vsplit."""
    np.vsplit(np.empty(ary.shape, bool), indices_or_sections)
    return np.split(ary, indices_or_sections, 0)


@handles(np.dsplit)
def dsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    """numpy.dsplit."""
    np.dsplit(np.empty(ary.shape, bool), indices_or_sections)
    return np.split(ary, indices_or_sections, 2)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """numpy.unstack: the arrays along an axis."""
    if x.ndim == 0:
        raise ValueError("np.unstack: a 0-d array has no axis to take apart")
    axis, n = _length(x, axis)
    return tuple([along(axis, i, x) for i in range(n)])


if hasattr(np, "unstack"):  # NumPy 2.1
    handles(np.unstack)(unstack)


# --- more or fewer of the same elements


def places(x: Array) -> Array:
    """The numbers 0, 1, 2, ... in the shape of x: what becomes of them becomes of x."""
    return np.arange(x.size).reshape(x.shape)


def with_axis(x: Array, axis: int) -> tuple[Array, int, int]:
    """An array, an axis of it and its length: of a 0-d array that of one element, as in NumPy."""
    x = x if np.ndim(x) else np.reshape(x, 1)
    return x, *_length(x, axis)


def gather(x: Array, taken: Array) -> Array:
    """The elements of x at these places: an array of their shape."""
    return np.reshape(x, -1)[taken]


def _repeat(x: Array, repeats: int, axis: int) -> Array:
    return np.repeat(x, repeats, axis)


def _repeat_rule(g: Array, _y: Array, x_like: Array, repeats: int, axis: int) -> Array:
    shape = x_like.shape
    copies = np.reshape(g, (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return np.sum(copies, axis=axis + 1)


def _tile(x: Array, reps: tuple[int, ...]) -> Array:
    return np.tile(x, reps)


def _tile_rule(g: Array, _y: Array, x_like: Array, reps: tuple[int, ...]) -> Array:
    """Copies lie (reps, shape, reps, shape, ...) in g."""
    if 0 in x_like.shape:
        return np.zeros(x_like.shape, g.dtype)
    n = max(len(reps), x_like.ndim)
    reps = (1,) * (n - len(reps)) + reps
    shape = (1,) * (n - x_like.ndim) + x_like.shape
    pairs = [k for pair in zip(reps, shape, strict=True) for k in pair]
    return np.sum(np.reshape(g, pairs), axis=tuple(range(0, 2 * n, 2))).reshape(x_like.shape)


_repeated = define(_repeat, _repeat_rule, name="repeat", kind=Kind.GATHER, unchecked=True)
_tiled = define(_tile, _tile_rule, name="tile", kind=Kind.GATHER, unchecked=True)


def _batch_tile(call: BatchedCall) -> Any:
    reps = as_tuple(call.options["reps"])
    x = widen(call.xs[0], True, len(reps))
    return call.op.apply(x, reps=(1,) * (x.ndim - len(reps)) + reps)


register_batching(_batch_tile, _tiled)
register_batching(batch_reduction, _repeated)


@handles(np.repeat)
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    """numpy.repeat: each element so many times; one number for all of them, or one for each."""
    counts = np.asarray(repeats)
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    a, axis, n = with_axis(a, axis)
    if counts.size == 1:
        np.repeat(0, counts)  # which refuses what is negative or no integer
        return _repeated(a, repeats=int(counts.item()), axis=axis)
    return along(axis, np.repeat(np.arange(n), counts), a)


@handles(np.tile)
def tile(A: Array, reps: Shape) -> Array:
    """numpy.tile: the whole array, so many times along each axis."""
    counts = np.asarray(reps, dtype=int)
    return _tiled(A, reps=tuple(counts.reshape(-1).tolist()))


@handles(np.roll)
def roll(a: Array, shift: Any, axis: Shape | None = None) -> Array:
    """numpy.roll: what is pushed out at one end comes in at the other."""
    if axis is None:
        return np.reshape(np.roll(np.reshape(a, -1), shift, 0), a.shape).copy()
    axes = normalize_axis_tuple(axis, np.ndim(a), allow_duplicate=True)
    shifts = np.broadcast_arrays(np.asarray(shift), np.asarray(axes, int))
    rolled = a
    for by, i in zip(*[pair.reshape(-1).tolist() for pair in shifts], strict=True):
        i, n = _length(a, i)
        if n and by % n:
            ends = along(i, slice(n - by % n, None), rolled), along(i, slice(n - by % n), rolled)
            rolled = concatenate(ends, i)
    return rolled if rolled is not a else a.copy()


@handles(np.resize)
def resize(a: Array, new_shape: Shape) -> Array:
    """numpy.resize: the elements over and over, as many as there is room for."""
    taken = np.resize(places(a), new_shape)
    if not a.size:
        return np.zeros(taken.shape, a.dtype)
    return gather(a, taken) if taken.shape else np.broadcast_to(np.ravel(a)[0], ())


@handles(np.delete)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    """numpy.delete: without the elements (or rows ...) at obj."""
    if axis is None:
        arr, axis = np.reshape(arr, -1), 0
    axis, n = _length(arr, axis)
    return along(axis, np.delete(np.arange(n), _read_index(obj)), arr)


@handles(np.insert)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    """numpy.insert: with values, cast to arr's dtype, put in before obj."""
    arr, values = _arrays(arr, values)
    both, labels = _number_elements(arr, values)
    return both[np.insert(places(arr), _read_index(obj), labels, axis)]


def _read_index(obj: Any) -> Any:
    """What delete and insert take as index; np.asarray refuses what a trace does not know."""
    return obj if isinstance(obj, slice) else freeze_index(np.asarray(obj))


def _arrays(*xs: Any) -> list[Array]:
    return [as_array(x) for x in xs]


def _number_elements(x: Array, values: Array) -> tuple[Array, Array]:
    """x and values end to end as one vector, and the places of the values in it."""
    if x.dtype.kind != "f":
        raise NotDifferentiableError(f"an array of {x.dtype} cannot hold a Tensor: .astype(float)")
    both = join(np.reshape(x, -1), np.reshape(values, -1).astype(x.dtype))
    return both, x.size + places(values)


@handles(np.trim_zeros)
def trim_zeros(filt: Array, trim: str = "fb", axis: Shape | None = None) -> Array:
    """numpy.trim_zeros: without zeros in front ("f") and at the back ("b")."""
    lowered = trim.lower()
    if set(lowered) - set("fb"):
        raise ValueError(f"trim_zeros: trim is made of 'f' and 'b', got {trim!r}")
    axes = normalize_axis_tuple(range(filt.ndim) if axis is None else axis, filt.ndim)
    for i, others in enumerate(np.nonzero(np.atleast_1d(filt))):
        if i in axes:
            first = int(others.min(initial=filt.shape[i])) if "f" in lowered else None
            last = int(others.max(initial=-1)) + 1 if "b" in lowered else None
            filt = along(i, slice(first, last), filt)
    return filt


# --- padding

STATISTICS = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}


@handles(np.pad)
def pad(array: Array, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """numpy.pad in every mode but "empty" and functions; constant_values may be a Tensor."""
    if mode == "empty" or callable(mode):
        raise NotDifferentiableError(
            f"np.pad: no derivative with mode={mode!r}; pad with np.concatenate what you want"
        )
    if mode == "constant" and kwargs.keys() <= {"constant_values"}:
        array, values = _arrays(array, kwargs.get("constant_values", 0.0))
        return _frame(array, values, pad_width)
    taken = np.pad(places(array), pad_width, mode, **kwargs)  # which checks the arguments
    if not array.size:
        return gather(array, taken)
    widths = _widths(array, pad_width)
    if mode in STATISTICS:
        lengths = _pairs(kwargs.get("stat_length"), array.ndim)
        return _by_axis(array, widths, _with_statistic, lengths, STATISTICS[mode])
    if mode == "linear_ramp":
        ends = _pairs(kwargs.get("end_values", 0), array.ndim)
        return _by_axis(array, widths, _with_ramps, ends)
    if kwargs.get("reflect_type", "even") == "odd":
        edge = int(mode == "symmetric")
        return _by_axis(array, widths, _with_odd_reflections, [()] * array.ndim, edge)
    return gather(array, taken)


def _frame(x: Array, values: Array, pad_width: Any) -> Array:
    """With the values around it."""
    if isinstance(values, Tensor):
        both, labels = _number_elements(x, values)
        return both[np.pad(places(x), pad_width, constant_values=labels)]
    frame = np.pad(np.zeros(x.shape, x.dtype), pad_width, constant_values=values)
    widths = zip(_widths(x, pad_width), x.shape, strict=True)
    return put(frame, x, index=tuple([slice(before, before + n) for (before, _), n in widths]))


def _widths(x: Array, pad_width: Any) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):  # {axis: width}
        given = {i % x.ndim: width for i, width in pad_width.items()}
        pad_width = [_pairs(given.get(i, 0), 1)[0] for i in range(x.ndim)]
    return _pairs(pad_width, x.ndim)


def _pairs(values: Any, n: int) -> list[Any]:
    """NumPy's ways to say (before, after) for each axis, spelled out."""
    return [tuple(pair) for pair in np.broadcast_to(np.asarray(values), (n, 2)).tolist()]


def _by_axis(
    x: Array,
    widths: list[tuple[int, int]],
    padded: Callable[..., Array],
    settings: list[Any],
    *others: Any,
) -> Array:
    full = x
    for axis, (width, setting) in enumerate(zip(widths, settings, strict=True)):
        if any(width) and x.size:
            full = padded(full, axis, *width, *setting, *others)
    return full if full is not x else x.copy()


def _with_statistic(
    x: Array,
    axis: int,
    before: int,
    after: int,
    first: int | None,
    last: int | None,
    statistic: Callable[..., Array],
) -> Array:
    """With the statistic of the first and of the last few elements."""
    n = x.shape[axis]
    heads = slice(first), slice(None if last is None else max(n - last, 0), None)
    values = [statistic(along(axis, part, x), axis=axis, keepdims=True) for part in heads]
    shapes = [(*x.shape[:axis], width, *x.shape[axis + 1 :]) for width in (before, after)]
    left, right = (np.broadcast_to(v, shape) for v, shape in zip(values, shapes, strict=True))
    return concatenate([left, x, right], axis)


def _with_ramps(x: Array, axis: int, before: int, after: int, start: float, end: float) -> Array:
    """With straight lines from the given values to the edges."""

    def ramp(edge: Array, value: float, width: int) -> Array:
        steps = np.arange(width, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
        return steps * ((edge - value) / max(width, 1)) + value

    left = ramp(along(axis, slice(1), x), start, before)
    right = ramp(along(axis, slice(-1, None), x), end, after)
    return concatenate([left, x, np.flip(right, axis)], axis)


def _with_odd_reflections(x: Array, axis: int, before: int, after: int, edge: int) -> Array:
    """With mirror images through the edges' values; `edge` says whether those are repeated."""
    period = x.shape[axis] - 1 + edge
    if x.shape[axis] == 1:  # NumPy repeats a single element
        return along(axis, np.zeros(before + 1 + after, int), x)
    while before or after:
        room = x.shape[axis] - 1 + edge
        whole = room // period * period
        left, right = min(whole, before), min(whole, after)
        images = slice(1 - edge, 1 - edge + left), slice(room - right, room)
        edges = slice(1), slice(-1, None)
        first, last = (
            2 * along(axis, e, x) - np.flip(along(axis, image, x), axis)
            for e, image in zip(edges, images, strict=True)
        )
        x = concatenate([first, x, last], axis)
        before, after = before - left, after - right
    return x
