"""Running sums and products along an axis (`axis=None`: of the flattened array)."""

from typing import Any

import numpy as np

from ..engine.primitive import Array, Function, Kind
from ..staging.batching import batch_along_flat, register_batching
from .derived_rules import compute_vjp
from .masked_reductions import in_dtype
from .registering import fallback_for, handles, implement


def _cumsum_rule(g: Array, _y: Array, x_like: Array, axis: int | None = None) -> Array:
    """An element is in all the sums from its own on: a running sum from the other end."""
    along = 0 if axis is None else axis
    return np.flip(np.cumsum(np.flip(g, along), axis=along), along).reshape(x_like.shape)


cumsum = implement(np.cumsum, _cumsum_rule, kind=Kind.OPAQUE)


@fallback_for(cumsum, np.cumsum)
def _cumsum_of(x: Array, axis: int | None = None, *, dtype: Any = None) -> Array:
    return cumsum(in_dtype(x, dtype), axis)


def scan(op: Function, x: Array, axis: int) -> Array:
    """An associative op of each element and all before it, in log2(n) steps.

    After the step of width w each element holds the 2w elements up to itself (Hillis and Steele,
    Data parallel algorithms, 1986).
    """
    before = (slice(None),) * (axis % x.ndim)
    width = 1
    while width < x.shape[axis]:
        first, early = x[(*before, slice(width))], x[(*before, slice(-width))]
        x = np.concatenate([first, op(early, x[(*before, slice(width, None))])], axis=axis)
        width *= 2
    return x


def _cumprod_rule(g: Array, _y: Array, x: Array, axis: int | None = None) -> Array:
    """That of products of two: none divides, so all orders are right at zeros too."""
    if axis is None or not x.shape:
        return compute_vjp(lambda x: scan(np.multiply, x.reshape(-1), 0), (x,), g)[0]
    return compute_vjp(lambda x: scan(np.multiply, x, axis), (x,), g)[0]


cumprod = implement(np.cumprod, _cumprod_rule, kind=Kind.OPAQUE)


@fallback_for(cumprod, np.cumprod)
def _cumprod_of(x: Array, axis: int | None = None, *, dtype: Any = None) -> Array:
    return cumprod(in_dtype(x, dtype), axis)


def _from_start(
    running: Function,
    identity: float,
    x: Array,
    axis: int | None,
    dtype: Any,
    include_initial: bool,
) -> Array:
    """The Array API's running functions: axis=None is for vectors; the start may be asked for."""
    if axis is None and x.ndim > 1:
        raise ValueError(
            "For arrays which have more than one dimension ``axis`` argument is required."
        )
    axis = axis or 0
    y = running(x if x.ndim else x.reshape(1), axis=axis, dtype=dtype)
    if not include_initial:
        return y
    start = np.full([1 if i == axis % y.ndim else n for i, n in enumerate(y.shape)], identity)
    return np.concatenate([start.astype(y.dtype), y], axis=axis)


def _cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    return _from_start(np.cumsum, 0.0, x, axis, dtype, include_initial)


def _cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    return _from_start(np.cumprod, 1.0, x, axis, dtype, include_initial)


if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    handles(np.cumulative_sum)(_cumulative_sum)
    handles(np.cumulative_prod)(_cumulative_prod)


# --- NaN as the number that changes nothing


@handles(np.nancumsum)
def _nancumsum(x: Array, axis: int | None = None, *, dtype: Any = None) -> Array:
    return np.cumsum(np.where(x == x, x, 0.0), axis=axis, dtype=dtype)


@handles(np.nancumprod)
def _nancumprod(x: Array, axis: int | None = None, *, dtype: Any = None) -> Array:
    return np.cumprod(np.where(x == x, x, 1.0), axis=axis, dtype=dtype)


register_batching(batch_along_flat, cumsum, cumprod)
