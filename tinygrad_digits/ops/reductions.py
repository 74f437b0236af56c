"""Sums, products, means, spreads and extremes over axes (`axis`: None, an int or a tuple).

The rows take `axis` and `keepdims`, which is what programs are compiled for; `selected` has NumPy's
other keywords.
"""

from functools import partial
from math import prod as _prod
from typing import TypeAlias

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind
from ..engine.tensor import Tensor
from .complex_parts import break_holomorphy, conj, is_complex, refuse_order
from .derived_rules import compute_vjp
from .elementwise import astype
from .registering import implement
from .shaping import broadcast_to

Axis: TypeAlias = int | tuple[int, ...] | None

reduction = partial(implement, kind=Kind.REDUCTION)


def _restore(reduced: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Put back, with length 1, the axes that a reduction of x took away."""
    if axis is None or keepdims or not x.shape:
        return reduced  # a scalar broadcasts by itself
    axes = {i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,))}
    return reduced.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


def _count(x: Array, axis: Axis) -> int:
    """How many elements of x go into one of the result."""
    if axis is None or not x.shape:
        return _prod(x.shape)
    return _prod(x.shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


# --- sums and means


_add_up: Function = np.add.reduce  # what np.sum ends in, at half the cost of a call


def _sum(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    if type(x) is np.ndarray:
        return _add_up(x, axis=axis, keepdims=keepdims)
    return np.sum(x, axis=axis, keepdims=keepdims)


def _mean(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    if type(x) is np.ndarray and x.size and x.dtype != np.float16:
        return _add_up(x, axis=axis, keepdims=keepdims) / _count(x, axis)
    if not isinstance(x, Tensor):
        return np.mean(x, axis=axis, keepdims=keepdims)
    if not x.shape and axis is not None:
        np.mean(np.zeros(()), axis=axis)  # which refuses an axis, unlike np.sum
    exact = {"e": np.float32}.get(x.dtype.char, x.dtype if x.dtype.kind in "fc" else np.float64)
    total = sum(astype(x, exact), axis, keepdims=keepdims)  # in what np.mean accumulates
    return astype(total / _count(x, axis), np.float16 if x.dtype.char == "e" else exact)


def _sum_rule(
    g: Array, _y: Array, x_like: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    return broadcast_to(_restore(g, x_like, axis, keepdims), x_like.shape)


def _mean_rule(
    g: Array, _y: Array, x_like: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    wide = np.result_type(g.dtype, np.float64)  # a count may be too large for float16
    each = g.astype(wide) / _count(x_like, axis)
    return broadcast_to(_restore(each.astype(g.dtype), x_like, axis, keepdims), x_like.shape)


sum = reduction(np.sum, _sum_rule, kernel=_sum, reduction_ufunc=np.add)
mean = reduction(np.mean, _mean_rule, kernel=_mean, composite=True)


# --- lengths: their slope is 0 at 0, and has itself no derivative there (SEMANTICS of a kink)


def _unit(x: Array, axis: Axis = None) -> Array:
    """x / its length along axes, and 0 where that is 0; squares neither over- nor underflow."""
    peak = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    scaled = x / (peak + (peak == 0))
    squares = np.square(np.abs(scaled) if is_complex(x) else scaled)
    length = np.sqrt(np.sum(squares, axis=axis, keepdims=True))
    return scaled / (length + (length == 0))


def _unit_rule(g: Array, y: Array, x: Array, axis: Axis = None) -> Array:
    """What of g is across y, by the length: infinite or NaN at 0, where a length has a kink.

    The part along y is taken off twice, and the second time what the first rounded away.
    """
    along = conj(y)
    g = g - along * np.real(np.sum(g * y, axis=axis, keepdims=True))
    g = g - along * np.real(np.sum(g * y, axis=axis, keepdims=True))
    return g / np.real(np.sum(along * x, axis=axis, keepdims=True))


unit = define(_unit, _unit_rule, name="unit", kind=Kind.REDUCTION, unchecked=True, composite=True)


# --- spread around the mean


def _per_degree(numerator: float, x: Array, axis: Axis, ddof: float) -> float:
    """numerator / (n - ddof), and infinity where no degree of freedom is left, as in NumPy."""
    freedom = _count(x, axis) - ddof
    return numerator / freedom if freedom > 0 else np.inf


def _var_rule(
    g: Array, _y: Array, x: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False
) -> Array:
    if not x.size:
        return np.zeros_like(x)
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    return _restore(g, x, axis, keepdims) * conj(deviation) * _per_degree(2.0, x, axis, ddof)


def _std_rule(
    g: Array, _y: Array, x: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False
) -> Array:
    """That of a length, of x - mean, by √(n - ddof); 0 for constant data, whose mean is rounded."""
    if not x.size:
        return np.zeros_like(x)
    varies = vary(x, axis)
    deviation = (x - np.mean(x, axis=axis, keepdims=True)) * varies
    freedom = _count(x, axis) - ddof
    scale = 1 / freedom**0.5 if freedom > 0 else np.nan
    return _restore(g, x, axis, keepdims) * (conj(unit(deviation, axis=axis)) * scale)


def vary(x: Array, axis: Axis) -> Array:
    """Whether not all elements along an axis are the same."""
    if is_complex(x):
        return vary(np.real(x), axis) | vary(np.imag(x), axis)
    return np.max(x, axis=axis, keepdims=True) != np.min(x, axis=axis, keepdims=True)


var = reduction(np.var, _var_rule)
std = reduction(np.std, _std_rule)
break_holomorphy(unit, var, std)


# --- extremes


def _extreme_rule(
    g: Array, y: Array, x: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    """Shared evenly among the elements that equal the extreme (or are NaN, as it is then)."""
    if is_complex(g):
        refuse_order("max and min", x)
    chosen = (x == _restore(y, x, axis, keepdims)) | (x != x)
    share = chosen / np.sum(chosen, axis=axis, keepdims=True)  # float64: it may be one of many
    return _restore(g, x, axis, keepdims) * share.astype(g.dtype)


max = reduction(np.max, _extreme_rule, reduction_ufunc=np.maximum)
min = reduction(np.min, _extreme_rule, reduction_ufunc=np.minimum)


# --- products


def merge_axes(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """x with the reduced axes as one, the last; and the order of its axes that made them so."""
    every = reduced = tuple(range(x.ndim))
    if axis is not None and x.shape:
        reduced = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    kept = tuple([i for i in every if i not in reduced])
    order = (*kept, *reduced)
    rows = x if order == every else np.transpose(x, order)
    return rows.reshape([*rows.shape[: len(kept)], _prod(rows.shape[len(kept) :])]), order


def fold(op: Function, x: Array) -> Array:
    """An associative op over the last axis, (..., n) -> (...), in log2(n) steps of halves."""
    while (n := x.shape[-1]) > 1:
        half = n // 2
        pairs = op(x[..., :half], x[..., half : 2 * half])
        x = np.concatenate([pairs, x[..., 2 * half :]], axis=-1) if n % 2 else pairs
    return x[..., 0]


def prod_rule(g: Array, _y: Array, x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """That of a tree of products of two: none divides, so all orders are right at zeros too."""
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    g = _restore(g, x, axis, keepdims)

    def tree(x: Array) -> Array:
        return fold(np.multiply, merge_axes(x, axis)[0]).reshape(g.shape)

    return compute_vjp(tree, (x,), g)[0]


prod = reduction(np.prod, prod_rule, reduction_ufunc=np.multiply)
