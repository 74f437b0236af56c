"""Elements chosen by position, by condition, or by where they lie; and functions chosen by them."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array
from ..engine.tensor import Tensor
from ..support.errors import ShapeError
from ..support.foreign import as_array
from . import indexing
from .indexing import freeze_index, scatter
from .joining import with_axis
from .registering import handles
from .views import Way, share

# --- by position


@handles(np.take)
def take(a: Array, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Array:
    """numpy.take: a[..., indices, ...] at the axis."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    a, axis, n = with_axis(a, axis)
    indices = as_array(indices, _whole(indices))
    if indices.dtype.kind not in "iub":
        raise TypeError(f"np.take: indices are integers, not {indices.dtype}")
    indices = indices.astype(int) if indices.dtype.kind == "b" else indices
    index = (*[slice(None)] * axis, _within(indices, n, mode))
    return indexing.take(a, index=freeze_index(index))  # a copy, also where the index is one number


def _whole(indices: Any) -> Any:
    """The dtype to make an array of: that of an empty list would be float64."""
    return None if np.size(indices) else np.intp


def _within(indices: Array, n: int, mode: str) -> Array:
    """Indices from 0 to n - 1, by NumPy's ways to make them so."""
    if mode == "wrap":
        return np.remainder(indices, n)
    if mode == "clip":
        return np.maximum(np.minimum(indices, n - 1), 0)
    if mode != "raise":
        raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    return indices if isinstance(indices, np.ndarray | Tensor) else np.asarray(indices)


@handles(np.take_along_axis)
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    """numpy.take_along_axis: for each line along the axis, elements of its own."""
    if indices.dtype.kind not in "iu":
        raise IndexError("np.take_along_axis: indices must be an integer array")
    if axis is None:
        arr, axis = np.reshape(arr, -1), 0
    if indices.ndim != arr.ndim:
        raise ValueError("np.take_along_axis: indices and arr must have as many dimensions")
    index = list(np.ogrid[tuple([slice(n) for n in arr.shape])])
    index[axis] = indices
    return arr[tuple(index)]


@handles(np.choose)
def choose(a: Array, choices: Any, *, mode: str = "raise") -> Array:
    """numpy.choose: of each element, the one in choices[a]; a is an array of integers."""
    a = as_array(a)
    if a.dtype.kind not in "iub":
        raise TypeError(f"np.choose: what chooses are integers, not {a.dtype}")
    shape = np.broadcast_shapes(a.shape, *[np.shape(x) for x in choices])
    dtype = np.result_type(*[_bare(x) for x in choices])
    stacked = np.stack([np.broadcast_to(x, shape) for x in choices], dtype=dtype)
    which = _within(a.astype(int), len(choices), mode)
    return stacked[(which, *np.ogrid[tuple([slice(n) for n in shape])])]


# --- by condition


@handles(np.compress)
def compress(condition: Any, a: Array, axis: int | None = None) -> Array:
    """numpy.compress: the slices along the axis for which the condition holds."""
    return np.take(a, np.flatnonzero(condition), axis)


@handles(np.extract)
def extract(condition: Any, arr: Array) -> Array:
    """numpy.extract: the elements for which the condition holds."""
    return np.compress(np.ravel(condition), np.ravel(arr))


@handles(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Array], default: Array = 0) -> Array:
    """numpy.select: of each element, the choice whose condition is the first to hold."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError("np.select: as many conditions as choices are needed, and at least one")
    if any(_dtype(c).kind != "b" for c in condlist):
        raise TypeError("np.select: conditions are arrays of bools")
    dtype = np.result_type(*[_bare(x) for x in (*choicelist, default)])
    chosen = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = np.where(condition, choice, chosen)
    return chosen.astype(dtype)


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def _bare(x: Any) -> Any:
    """Something that promotes as x does: its dtype, or a Python number."""
    return x if type(x) in (int, float, complex, bool) else _dtype(x)


@handles(np.piecewise)
def numpys_piecewise(
    x: Array, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any
) -> Array:
    """numpy.piecewise: functions of some elements each, or numbers; the last condition wins."""
    several = np.ndim(condlist) > 0 and (np.ndim(condlist[0]) > 0 or x.ndim == 0)
    conditions = list(condlist) if several else [condlist]
    _check_counts(conditions, funclist)
    functions = [
        (lambda v, f=f: f(v, *args, **kw) if v.size else v) if callable(f) else f for f in funclist
    ]
    return _apply_apart(_masks(conditions, x.shape), functions, [x]).astype(x.dtype)


def piecewise(conditions: Sequence[Any], functions: Sequence[Any], *arrays: Array) -> Array:
    """functions[k](*arrays) where conditions[k] holds, each computed for its own elements alone.

    So neither the value nor the gradient ever meets what a function is at other places (np.where
    passes a NaN there on to the gradient). Elementwise: everything is broadcast together, and
    the functions get vectors. They may be numbers as well. One more function than conditions is
    for the elements where none holds, which are 0 otherwise; where several hold, the last does.

    >>> import tinygrad_digits as td
    >>> root = lambda x: td.piecewise([x > 0], [np.sqrt, lambda x: x], x)
    >>> root(np.array([4.0, -1.0]))
    array([ 2., -1.])
    >>> td.grad(lambda x: root(x).sum())(np.array([4.0, -1.0]))
    array([0.25, 1.  ])
    """
    _check_counts(conditions, functions)
    xs = [as_array(x) for x in arrays]
    shape = np.broadcast_shapes(*[np.shape(x) for x in (*conditions, *xs)])
    xs = [np.broadcast_to(x, shape) for x in xs]
    masks = _masks(conditions, shape)
    apart = _everywhere if any(isinstance(mask, Tensor) for mask in masks) else _apply_apart
    return apart(masks, list(functions), xs)


def _check_counts(conditions: Sequence[Any], functions: Sequence[Any]) -> None:
    if not len(conditions) <= len(functions) <= len(conditions) + 1:
        raise ValueError(
            f"piecewise: {len(conditions)} conditions need as many functions, or one more, "
            f"got {len(functions)}"
        )


def _masks(conditions: Sequence[Any], shape: tuple[int, ...]) -> list[Array]:
    """The conditions as bools of one shape."""
    arrays = [as_array(c) for c in conditions]
    if any(c.dtype != bool for c in arrays):
        raise TypeError("piecewise: conditions are arrays of bools, such as x > 0")
    if any(np.broadcast_shapes(c.shape, shape) != shape for c in arrays):
        raise ShapeError(f"piecewise: conditions of shapes {[c.shape for c in arrays]} for {shape}")
    return [np.broadcast_to(c, shape) for c in arrays]


def _which(masks: list[Array], count: int) -> Array:
    """Of each element, the number of its function; `count` where there is none."""
    otherwise = len(masks)
    which = np.full(masks[0].shape, otherwise) if masks else np.zeros((), int)
    for k, mask in enumerate(masks):
        which = np.where(mask, k, which)
    return np.minimum(which, count)


def _apply_apart(masks: list[Array], functions: list[Any], xs: list[Array]) -> Array:
    """Each function of its elements; then all results in one vector, and that in its order."""
    which = np.reshape(_which(masks, len(functions)), -1)
    if len(functions) == len(masks):
        functions = [*functions, 0]
    flat = [np.reshape(x, -1) for x in xs]
    taken = [np.flatnonzero(which == k) for k in range(len(functions))]
    parts = [
        _values(f, [x[places] for x in flat], places.shape)
        for f, places in zip(functions, taken, strict=True)
    ]
    order = np.argsort(np.concatenate(taken))
    return np.reshape(np.concatenate(parts)[order], masks[0].shape)


def _everywhere(masks: list[Array], functions: list[Any], xs: list[Array]) -> Array:
    """Each function of all elements, those of others replaced by one of its own.

    For masks that are not known yet, under td.jit. Where a mask is empty the function is still
    computed, but neither its value nor its derivative is used.
    """
    otherwise = functions[len(masks)] if len(functions) > len(masks) else 0
    rest = np.logical_not(functools.reduce(np.logical_or, masks))
    total: Array = 0
    for mask, f in zip((rest, *masks), (otherwise, *functions), strict=False):
        own = np.argmax(mask)
        safe = [np.where(mask, x, held(np.reshape(x, -1))[own]) for x in xs]
        with np.errstate(all="ignore"):
            total = np.where(mask, _values(f, safe, mask.shape), total)
    return total


held = define(lambda x: x, name="held")


def _values(f: Any, xs: list[Array], shape: tuple[int, ...]) -> Array:
    """What f is at some elements; a number, of its own accord, at all of them."""
    y = f(*xs) if callable(f) else f
    y = y if hasattr(y, "dtype") else np.asarray(y, xs[0].dtype if xs else None)
    if np.shape(y) not in ((), shape):
        raise ShapeError(f"piecewise: of {shape} elements a function returned {np.shape(y)}")
    return np.broadcast_to(y, shape)


# --- each once


_unique = define(np.unique, name="unique")
_unique_all = define(np.unique_all, name="unique_all")


@handles(np.unique)
def unique(
    ar: Array,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,  # noqa: ARG001 (what is asked for in any order may as well be sorted)
) -> Any:
    """numpy.unique: of elements (or slices along the axis) that are equal, the first.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.unique(x)[0])(np.array([3.0, 1.0, 2.0]))
    array([0., 1., 0.])
    """
    given = {"axis": axis, "equal_nan": equal_nan}
    _, *found = _unique(ar, True, True, True, **given)
    x, along = (np.reshape(ar, -1), 0) if axis is None else (ar, axis)
    values = np.take(x, found[0], along)
    wanted = zip(found, (return_index, return_inverse, return_counts), strict=True)
    others = [part for part, is_wanted in wanted if is_wanted]
    return (values, *others) if others else values


@handles(np.unique_all)
def unique_all(x: Array) -> Any:
    """numpy.unique_all: the values, where they are first, which each element is, their counts."""
    found = _unique_all(x)
    return found._replace(values=np.reshape(x, -1)[found.indices])


@handles(np.unique_counts)
def unique_counts(x: Array) -> Any:
    """numpy.unique_counts."""
    kind = type(np.unique_counts(np.zeros(0)))
    values, _, _, counts = unique_all(x)
    return kind(values, counts)


@handles(np.unique_inverse)
def unique_inverse(x: Array) -> Any:
    """numpy.unique_inverse."""
    kind = type(np.unique_inverse(np.zeros(0)))
    values, _, inverse, _ = unique_all(x)
    return kind(values, inverse)


@handles(np.unique_values)
def unique_values(x: Array) -> Array:
    """numpy.unique_values, in order."""
    return unique_all(x).values


# --- by where they lie


@handles(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """numpy.diagonal: (..., n, m) -> (..., min(n, m)): every (m + 1)st element of a matrix."""
    d = _diagonal(a, offset, axis1, axis2)
    share(a, d, DIAGONAL, (offset, axis1, axis2))
    return d


def _diagonal(a: Array, offset: int, axis1: int, axis2: int) -> Array:
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    n, m = a.shape[-2:]
    count = max(min(n, m - offset) if offset >= 0 else min(n + offset, m), 0)
    start = offset if offset >= 0 else -offset * m
    flat = np.reshape(a, (*a.shape[:-2], n * m))
    return flat[..., start : start + count * (m + 1) : m + 1] if count else flat[..., :0]


DIAGONAL = Way(lambda a, what: np.diagonal(a, *what), put_back=None)


@handles(np.diag)
def diag(v: Array, k: int = 0) -> Array:
    """numpy.diag: the diagonal of a matrix, or a matrix with that diagonal."""
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ValueError("np.diag: a vector or a matrix is needed")
    n = v.shape[0] + abs(k)
    rows = np.arange(v.shape[0]) + max(-k, 0)
    return scatter(v, index=(rows, rows + k), shape=(n, n))


@handles(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    """numpy.diagflat: a matrix with these elements on its diagonal."""
    return np.diag(np.ravel(v), k)


@handles(np.tril)
def tril(m: Array, k: int = 0) -> Array:
    """numpy.tril: with zeros above the k-th diagonal."""
    return np.where(_lower(m, k), m, 0)


def _lower(m: Array, k: int) -> Array:
    return np.tri(m.shape[-2 if m.ndim > 1 else -1], m.shape[-1], k, dtype=bool)


@handles(np.triu)
def triu(m: Array, k: int = 0) -> Array:
    """numpy.triu: with zeros below the k-th diagonal."""
    return np.where(_lower(m, k - 1), 0, m)


@handles(np.vander)
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """numpy.vander: the powers of x as columns, (n,) -> (n, N)."""
    if x.ndim != 1:
        raise ValueError("np.vander: x must be a vector")
    count = x.shape[0] if N is None else N
    x = x.astype(np.promote_types(x.dtype, int))
    powers: list[Array] = [np.ones_like(x), x]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    columns = np.stack(powers, axis=1)[:, :count]
    return columns if increasing else np.flip(columns, 1)
