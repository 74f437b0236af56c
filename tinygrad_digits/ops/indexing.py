"""Taking elements by x[index], and the transpose of it."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..engine.cotangent import unbroadcast
from ..engine.define import define
from ..engine.primitive import Array, Kind, Op
from ..engine.tensor import Tensor
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import admit, as_array
from .views import Way, share


def _getitem(x: Array, index: Any) -> Array:
    y = x[index]
    if type(x) is not np.ndarray and any(n != n for n in y.shape):
        raise ShapeError(
            f"x[mask]: how many elements of a {type(x).__name__} a mask chooses is known when it "
            "is computed, and not before; write np.where(mask, x, 0)"
        )
    return y


def _scatter(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with g added at `index`: the transpose of x[index].

    >>> _scatter(np.ones(3), [0, 0, 1], (4,))
    array([2., 1., 0., 0.])
    """
    if not isinstance(g, np.ndarray | np.generic):
        return _spread(g, index, shape)
    full = np.zeros(shape, g.dtype)
    if may_repeat(index):
        _add_at(full, index, g)
    else:
        full[index] = g
    return full


def _add_at(full: Array, index: Any, g: Array) -> None:
    """np.add.at, of many elements by one vector of places: that is up to five times as fast."""
    parts = index if isinstance(index, tuple) else (index,)
    if np.size(g) < 1000:
        return np.add.at(full, index, g)
    if all(np.asarray(part).dtype.kind in "iu" for part in parts):
        rows = np.ravel_multi_index(parts, full.shape[: len(parts)], mode="wrap")
        places = np.add.outer(rows * (width := prod(full.shape[len(parts) :])), np.arange(width))
    elif full.size <= 16 * np.size(g):
        places = np.arange(full.size).reshape(full.shape)[index]
    else:
        return np.add.at(full, index, g)
    return np.add.at(full.reshape(-1), places.reshape(-1), np.reshape(g, -1))


def _spread(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """The same for an array of another library, in functions of its own: not for all indices."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [part for part in parts if not is_basic(part)]
    if arrays and (
        len(arrays) > 1
        or type(arrays[0]) is not np.ndarray
        or arrays[0].ndim != 1
        or any(map(_is_int, parts))
    ):
        raise NotDifferentiableError(
            f"x[index]: the derivative for a {type(g).__name__} takes slices and integers, or "
            f"slices and one plain array of one dimension: {index!r}"
        )
    known = len([part for part in parts if part is not None and part is not Ellipsis])
    at = [part is Ellipsis for part in (*parts, Ellipsis)].index(True)
    parts = (*parts[:at], *[slice(None)] * (len(shape) - known), *parts[at + 1 :])
    kept = [0 if part is None else slice(None) for part in parts if not _is_int(part)]
    g = g[tuple(kept)]  # without the new axes
    for axis, (part, n) in enumerate(zip([p for p in parts if p is not None], shape, strict=True)):
        g = _fill_with_zeros(g, axis, part, n)
    return g


def _fill_with_zeros(g: Array, axis: int, part: Any, n: int) -> Array:
    """g with zeros along an axis, for what part of n elements does not take."""
    before = (slice(None),) * axis
    if g.shape[axis : axis + 1] == (0,) and not _is_int(part):
        return np.zeros_like(g, shape=(*g.shape[:axis], n, *g.shape[axis + 1 :]))
    if isinstance(part, np.ndarray):
        return _put_back(g, axis, np.flatnonzero(part) if is_mask(part) else part % n, n)
    if _is_int(part):
        g, part = g[(*before, None)], slice(part % n, part % n + 1)
    start, stop, step = part.indices(n)
    if step < 0:
        taken = range(start, stop, step)
        g, start, step = g[(*before, slice(None, None, -1))], taken[-1] if taken else 0, -step
    count = g.shape[axis]
    if step > 1:  # (count,) -> (count, step) -> (count * step,), zeros in between
        g = np.pad(g[(*before, slice(None), None)], _only(axis + 1, 0, step - 1, g.ndim + 1))
        g = g.reshape(*g.shape[:axis], count * step, *g.shape[axis + 2 :])
        g = g[(*before, slice((count - 1) * step + 1))]
    return np.pad(g, _only(axis, start, n - start - g.shape[axis], g.ndim))


def _put_back(g: Array, axis: int, places: Array, n: int) -> Array:
    """g with its elements along an axis at their places among n, those at one place added up."""
    before: tuple[Any, ...] = (slice(None),) * axis
    padded = np.pad(g, _only(axis, 0, 1, g.ndim))  # a last one of zeros, for all other places
    rounds = count_repeats(places)
    total: Array = 0.0
    for nth in range(rounds.max() + 1):
        now = np.flatnonzero(rounds == nth)
        taken = np.full(n, len(places))
        taken[places[now]] = now
        total = total + padded[(*before, taken)]
    return total


def count_repeats(places: Array) -> Array:
    """For each place, how often it was named before.

    >>> count_repeats(np.array([7, 3, 7, 7]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    nth = np.empty_like(places)
    nth[order] = np.arange(places.size) - np.searchsorted(ordered, ordered)
    return nth


def _only(axis: int, before: int, after: int, ndim: int) -> list[tuple[int, int]]:
    return [(before, after) if i == axis else (0, 0) for i in range(ndim)]


def _is_int(part: Any) -> bool:
    return isinstance(part, int | np.integer)


def may_repeat(index: Any) -> bool:
    """Whether an index can name an element twice: only one with arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return not all(is_basic(part) or is_mask(part) or np.ndim(part) == 0 for part in parts)


def is_mask(part: Any) -> bool:
    """Whether a part of an index is of bools, which say of each element whether it is meant."""
    return bool(as_array(part).dtype.kind == "b")


def freeze_index(index: Any) -> Any:
    """The index as it is now, sequences as arrays of their own: their owner may change them."""
    if isinstance(index, tuple):
        return tuple([part if is_basic(part) else _freeze_array(part) for part in index])
    return index if is_basic(index) else _freeze_array(index)


def is_basic(part: Any) -> bool:
    """Whether a part of an index selects by itself: an int, a slice, None or an ellipsis."""
    basic = part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
    return basic and not isinstance(part, bool)


def _freeze_array(part: Any) -> Array:
    if isinstance(part, Tensor) and type(part) is not Tensor:
        return part  # of a trace, which cannot change
    if not isinstance(part, np.ndarray) and hasattr(part, "__array_function__"):
        return part  # of another library, which need not be computed
    array = np.array(admit(part, "x[index]"))
    return array if array.size or array.dtype == bool else array.astype(int)  # [] selects nothing


# How vmap and the compiler treat these stands in `batched_indexing` and `native_indexing`.

take = define(
    _getitem,
    lambda g, _y, x_like, index: scatter(g, index=index, shape=x_like.shape),
    name="getitem",
    kind=Kind.GATHER,
    unchecked=True,
)
scatter: Op = define(
    _scatter,
    lambda g, _y, _x, index, shape: take(g, index=index),
    name="scatter",
    kind=Kind.GATHER,
    unchecked=True,
)


def _put(x: Array, v: Array, index: Any) -> Array:
    if hasattr(v, "__array_function__") and type(v) is not np.ndarray and type(x) is np.ndarray:
        return _put_foreign(x, v, index)
    if type(x) is np.ndarray:
        full = _copy_as_it_lies(x)
    else:
        full = x.copy() if hasattr(x, "__setitem__") else np.array(x)
    full[index] = v
    return full if hasattr(x, "__setitem__") else full[()]


def _copy_as_it_lies(x: Array) -> Array:
    """A copy that lies in memory as x does, gaps and all, on which its reshapes depend."""
    if x.flags.forc or not x.size or 0 in x.strides:
        return x.copy(order="K")
    start, end = byte_bounds(x)
    memory = np.empty(end - start, np.uint8)
    first = x.__array_interface__["data"][0] - start
    full: Array = np.ndarray(x.shape, x.dtype, memory, first, x.strides)
    full[...] = x
    return full


def _put_foreign(x: Array, v: Array, index: Any) -> Array:
    """The same with an array of another library, which is not computed for it."""
    chosen = np.zeros(x.shape, bool)
    chosen[index] = True
    spread = scatter(np.broadcast_to(v, x[index].shape), index=index, shape=x.shape)
    full: Array = np.where(chosen, spread, x)
    return full.astype(x.dtype)


def _put_values(g: Array, _y: Array, _x: Array, v_like: Array, index: Any) -> Array:
    """The cotangent at the places, but 0 for an element that a later one has replaced."""
    taken = take(g, index=index)
    if may_repeat(index):
        order = np.arange(taken.size).reshape(taken.shape)
        last = take(put(np.zeros(g.shape, int), order, index=index), index=index)
        taken = np.where(last == order, taken, 0)
    shape = v_like.shape
    summed = unbroadcast(taken, shape[max(len(shape) - taken.ndim, 0) :])
    return np.reshape(summed, shape)


put: Op = define(
    _put,
    lambda g, _y, _x, _v, index: put(g, 0.0, index=index),
    _put_values,
    name="put",
    kind=Kind.GATHER,
    unchecked=True,
)


def getitem(x: Array, index: Any) -> Array:
    """x[index] for every kind of index; where an element is taken twice its gradients add up.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: x[[0, 0, 1]].sum())(np.zeros(3))
    array([2., 1., 0.])
    """
    parts = index if isinstance(index, tuple) else (index,)
    if basic := SELECTING.issuperset(map(type, parts)):
        y = take(x, index=index)
    else:
        y = take(x, index=freeze_index(index))
    if basic or all(map(_looks, parts)):
        share(x, y, TAKING, index, array=any(part is Ellipsis for part in parts))
    return y


SELECTING = frozenset({int, slice, type(None), type(Ellipsis)})
"""Types of the parts of most indices, which need not be looked at one by one."""

TAKING = Way(
    lambda x, index: take(x, index=index),
    lambda x, view, index: put(x, view, index=index),
)


def _looks(part: Any) -> bool:
    """Whether a part of an index makes a view of what it selects; so do a trace's whole numbers."""
    if isinstance(part, Tensor):
        return part.dtype.kind in "iu" and not part.is_array
    return is_basic(part)


def same_index(a: Any, b: Any) -> bool:
    """Whether two indices are equal part by part, as far as that is plain to see."""
    if not isinstance(a, tuple) or not isinstance(b, tuple):
        a, b = (a,), (b,)
    return len(a) == len(b) and all(
        p is q or (type(p) is type(q) and is_basic(p) and p == q) for p, q in zip(a, b, strict=True)
    )
