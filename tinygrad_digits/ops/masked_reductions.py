"""NumPy's other keywords of reductions: where=, initial=, dtype=, mean= ...; and its nan-functions.

A plain call goes to the row in `reductions`. Others go to a row of (x, mask), or are composed.
"""

from functools import partial
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind, Op
from ..engine.tensor import Tensor
from ..staging.batching import BatchedCall, register_batching, shift_axes, widen
from ..support.errors import NotDifferentiableError
from ..support.foreign import as_array
from ..support.user_lines import warn
from . import reductions
from .complex_parts import is_complex, refuse_order
from .reductions import Axis, _count, _restore, prod_rule
from .registering import fallback_for, handles

# --- of what a mask selects, and of a number `initial` besides: rows of (x, where)


def _define_masked(function: Function, rule: Function, name: str) -> Op:
    def kernel(
        x: Array,
        where: Array,
        axis: Axis = None,
        *,
        initial: float | None = None,
        keepdims: bool = False,
    ) -> Array:
        given = {} if initial is None else {"initial": initial}
        return function(x, axis=axis, where=where, keepdims=keepdims, **given)

    def pull(
        g: Array,
        y: Array,
        x: Array,
        where: Array,
        axis: Axis = None,
        *,
        initial: float | None = None,
        keepdims: bool = False,
    ) -> Array:
        g, y = _restore(g, x, axis, keepdims), _restore(y, x, axis, keepdims)
        return rule(g, y, x, where, axis, initial)

    return define(kernel, pull, None, name=name, kind=Kind.REDUCTION, unchecked=True)


def _sum_rule(
    g: Array, _y: Array, x: Array, where: Array, _axis: Axis, _initial: float | None
) -> Array:
    return np.where(where, np.broadcast_to(g, x.shape), 0.0)


def _prod_rule(
    g: Array, _y: Array, x: Array, where: Array, axis: Axis, initial: float | None
) -> Array:
    factors = np.where(where, x, 1.0)
    g = g if initial is None else g * initial
    return np.where(where, prod_rule(g, None, factors, axis, keepdims=True), 0.0)


def _extreme_rule(
    g: Array, y: Array, x: Array, where: Array, axis: Axis, initial: float | None, *, nan: bool
) -> Array:
    """Shared evenly among what equals the extreme: elements, `initial`, and NaN if that counts."""
    refuse_order("max and min", x)
    chosen = ((x == y) | (x != x) if nan else x == y) & where
    ties = np.sum(chosen, axis=axis, keepdims=True) + (y == initial)
    return g * (chosen / np.maximum(ties, 1)).astype(g.dtype)


_with_nan = partial(_extreme_rule, nan=True)
_without_nan = partial(_extreme_rule, nan=False)

masked_sum = _define_masked(np.sum, _sum_rule, "masked_sum")
masked_prod = _define_masked(np.prod, _prod_rule, "masked_prod")
masked_max = _define_masked(np.max, _with_nan, "masked_max")
masked_min = _define_masked(np.min, _with_nan, "masked_min")
nanmax = _define_masked(np.nanmax, _without_nan, "nanmax")
nanmin = _define_masked(np.nanmin, _without_nan, "nanmin")


# --- what the keywords say


def selection(x: Array, where: Any) -> Array:
    """The mask where= in the shape of x, if it is one."""
    if where is True:
        return True
    mask = as_array(where)
    if mask.dtype != bool:
        raise TypeError(f"where= takes booleans, not {mask.dtype}")
    return np.broadcast_to(mask, x.shape)


def floating(dtype: Any) -> Any:
    """What dtype= says, which has to be something that can be differentiated."""
    if np.dtype(dtype).kind not in "fc":
        raise NotDifferentiableError(
            f"dtype={np.dtype(dtype)} would end the gradient: it takes floating-point types; "
            "for others write x.astype(dtype)"
        )
    return dtype


def in_dtype(x: Array, dtype: Any) -> Array:
    """x in the dtype that dtype= says, if it does."""
    return x if dtype is None else x.astype(floating(dtype))


# --- extremes, sums and products


def _extreme(among: Function) -> Function:
    def extreme(
        x: Array,
        axis: Axis = None,
        *,
        keepdims: bool = False,
        initial: float | None = None,
        where: Any = True,
    ) -> Array:
        return among(x, selection(x, where), axis, keepdims=keepdims, initial=initial)

    return extreme


def _total(op: Function, among: Function) -> Function:
    def total(
        x: Array,
        axis: Axis = None,
        *,
        dtype: Any = None,
        keepdims: bool = False,
        initial: float | None = None,
        where: Any = True,
    ) -> Array:
        x = in_dtype(x, dtype)
        if where is True and initial is None:
            return op(x, axis, keepdims=keepdims)
        return among(x, selection(x, where), axis, keepdims=keepdims, initial=initial)

    return total


fallback_for(reductions.max, np.max, np.amax)(_extreme(masked_max))
fallback_for(reductions.min, np.min, np.amin)(_extreme(masked_min))
fallback_for(reductions.sum, np.sum)(_total(reductions.sum, masked_sum))
fallback_for(reductions.prod, np.prod)(_total(reductions.prod, masked_prod))
handles(np.nanmax)(_extreme(nanmax))
handles(np.nanmin)(_extreme(nanmin))


@handles(np.nansum)
def _nansum(x: Array, axis: Axis = None, **options: Any) -> Array:
    return np.sum(np.where(x == x, x, 0.0), axis=axis, **options)


@handles(np.nanprod)
def _nanprod(x: Array, axis: Axis = None, **options: Any) -> Array:
    return np.prod(np.where(x == x, x, 1.0), axis=axis, **options)


# --- means


def _number(x: Array, axis: Axis, where: Any, keepdims: bool) -> Array:
    """How many elements go into each of the result."""
    if where is True:
        return _count(x, axis)
    return np.sum(selection(x, where), axis=axis, keepdims=keepdims)


def _per(total: Array, number: Array) -> Array:
    """total / number, in the dtype of the total."""
    return total / (number.astype(total.dtype) if hasattr(number, "dtype") else number)


@fallback_for(reductions.mean, np.mean)
def _mean(
    x: Array, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Array:
    narrow = dtype is None and x.dtype == np.float16  # which NumPy adds up in float32
    wide = in_dtype(x, np.float32 if narrow else dtype)
    total = np.sum(wide, axis=axis, keepdims=keepdims, where=selection(x, where))
    y = _per(total, _number(x, axis, where, keepdims))
    return y.astype(np.float16) if narrow else y


def _mask_of_known(x: Array, where: Any) -> Array:
    """The mask of what is selected and not NaN."""
    return np.logical_and(x == x, selection(x, where))


@handles(np.nanmean)
def _nanmean(
    x: Array, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Array:
    total = np.nansum(x, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return _per(total, _number(x, axis, _mask_of_known(x, where), keepdims))


# --- spread around the mean


def _freedom(ddof: float, correction: float | None) -> float:
    """What to take off the number of elements, under either of its names."""
    if correction is None:
        return ddof
    if ddof:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


def _varies(x: Array, known: Array, axis: Axis) -> Array:
    """Whether what is known differs: if not, the deviations are no more than rounding."""
    if not x.size:
        return known  # and there are no deviations
    if is_complex(x):
        return _varies(np.real(x), known, axis) | _varies(np.imag(x), known, axis)
    largest = np.max(np.where(known, x, -np.inf), axis=axis, keepdims=True)
    return largest != np.min(np.where(known, x, np.inf), axis=axis, keepdims=True)


half_reciprocal = define(
    lambda y: np.where(y == 0, 0.0, 0.5 / (y + (y == 0)))[()].astype(y.dtype),
    lambda g, _z, y: -0.5 * g / (y * y),
    name="half_reciprocal",
    kind=Kind.ELEMENTWISE,
    unchecked=True,
)
square_root = define(
    np.sqrt,
    lambda g, y, _x: g * half_reciprocal(y),
    name="square_root",
    kind=Kind.ELEMENTWISE,
    unchecked=True,
)
"""Of a spread, where the slope is 0 at 0, and has no derivative there: it is infinite or NaN."""


def _deviate(
    root: bool,
    nan: bool,
    x: Array,
    axis: Axis,
    *,
    ddof: float,
    keepdims: bool,
    where: Any,
    mean: Array | None,
) -> Array:
    """The mean square deviation of what is selected (and, with `nan`, not NaN), or its root."""
    where = selection(x, where)
    known = _mask_of_known(x, where) if nan else where
    if mean is not None:
        deviation = x - mean
    else:
        if nan:
            total = np.nansum(x, axis=axis, keepdims=True, where=where)
            centre = _per(total, np.maximum(_number(x, axis, known, keepdims=True), 1))
        else:
            centre = np.mean(x, axis=axis, keepdims=True, where=where)
        deviation = (x - centre) * _varies(x, known, axis)
    deviation = np.where(known, deviation, 0.0)
    freedom = _number(x, axis, known, keepdims) - ddof
    if not isinstance(freedom, Tensor) and np.any(freedom <= 0):
        message = "Degrees of freedom <= 0 for slice" + "." * nan  # as NumPy
        warn(message, RuntimeWarning)
    if is_complex(deviation):
        deviation = np.absolute(deviation)
    squares = np.sum(np.square(deviation), axis=axis, keepdims=keepdims, where=where)
    if nan:
        some = freedom > 0
        y = np.where(some, _per(squares, np.where(some, freedom, 1)), np.nan)
    else:
        y = _per(squares, np.maximum(freedom, 0))
    y = square_root(y) if root else y
    return y if y.shape else y[()]


def _spreading(op: Function | None, *, root: bool, nan: bool) -> Function:
    def spread(
        x: Array,
        axis: Axis = None,
        *,
        dtype: Any = None,
        ddof: float = 0,
        keepdims: bool = False,
        where: Any = True,
        mean: Array | None = None,
        correction: float | None = None,
    ) -> Array:
        if is_complex(x) and dtype is not None and np.dtype(dtype).kind != "c":
            raise NotDifferentiableError(f"dtype={np.dtype(dtype)} is not that of complex numbers")
        x, ddof = in_dtype(x, dtype), _freedom(ddof, correction)
        if op is not None and where is True and mean is None:
            return op(x, axis, ddof=ddof, keepdims=keepdims)
        return _deviate(root, nan, x, axis, ddof=ddof, keepdims=keepdims, where=where, mean=mean)

    spread.__name__ = "nanstd" if root else "nanvar"
    return spread


fallback_for(reductions.var, np.var)(_spreading(reductions.var, root=False, nan=False))
fallback_for(reductions.std, np.std)(_spreading(reductions.std, root=True, nan=False))
handles(np.nanvar)(_spreading(None, root=False, nan=True))
handles(np.nanstd)(_spreading(None, root=True, nan=True))


def _batch_masked(call: BatchedCall) -> Any:
    """A reduction of what a mask selects, which has the shape of the array, or none."""
    ndim = max(call.ndims())
    if ndim == 0 or call.ndims()[0] < ndim:
        return NotImplemented
    x, where = (widen(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True))
    x = x if call.on[0] else np.broadcast_to(x, (call.length, *np.shape(x)))
    axis = shift_axes(call.options.get("axis"), ndim)
    return call.op.apply(x, where, **{**call.options, "axis": axis})


register_batching(_batch_masked, masked_sum, masked_prod, masked_max, masked_min, nanmax, nanmin)
