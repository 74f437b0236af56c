"""Averages, order statistics and covariances."""

from functools import partial
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind, Op
from ..engine.tensor import Tensor
from ..staging.batching import BatchedCall, are_plain, move_axis, register_batching, shift_axes
from ..staging.lowering import register_lowering
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import as_array
from .complex_parts import conj, is_complex, refuse_order
from .masked_reductions import floating
from .reductions import Axis, merge_axes
from .registering import handles

reduction = partial(define, kind=Kind.REDUCTION, unchecked=True)


# --- medians and quantiles
#
# All of NumPy's order statistics, by whatever method, interpolate between two neighbours in sorted
# order. Where between which two is what the same statistic says of the ranks 0, 1, ... in place of
# the elements: 2.25 means a quarter of the way from the third to the fourth. An element whose rank
# is less than 1 away has the rest of that distance as its share of the gradient. The ranks are
# constant, and so are the shares.


def _ranks(x: Array, axis: Axis) -> Array:
    """Each element's place, from 0, among those that it is reduced with; ties as they stand."""
    rows, order = merge_axes(x, axis)
    ranks = np.argsort(np.argsort(rows, axis=-1, kind="stable"), axis=-1)
    moved, every = ranks.reshape([x.shape[i] for i in order]), tuple(range(x.ndim))
    return moved if order == every else np.transpose(moved, sorted(every, key=order.__getitem__))


def _share_cotangent(statistic: Function, g: Array, x: Array, axis: Axis) -> Array:
    """The cotangent of x, given what the statistic is of an array whose axes it keeps."""
    missing = x != x
    some = missing & np.logical_not(np.all(missing, axis=axis, keepdims=True))
    ranks = np.where(some, np.nan, _ranks(x, axis).astype(float))
    place = statistic(ranks)  # (q..., *x.shape with 1 for the reduced axes)
    near = np.where(missing, 0.0, np.maximum(1.0 - np.abs(place - ranks), 0.0))
    each = g.reshape(place.shape) * near.astype(g.dtype)
    return np.sum(each, axis=tuple(range(each.ndim - x.ndim)))


def _define_median(function: Function) -> Op:
    def rule(
        g: Array,
        _y: Array,
        x: Array,
        axis: Axis = None,
        *,
        keepdims: bool = False,  # noqa: ARG001 (g says as much)
    ) -> Array:
        return _share_cotangent(partial(function, axis=axis, keepdims=True), g, x, axis)

    return reduction(function, rule, name=function.__name__)


def _define_quantile(function: Function) -> Op:
    def rule(
        g: Array,
        _y: Array,
        x: Array,
        q: Array,
        axis: Axis = None,
        *,
        method: str = "linear",
        keepdims: bool = False,  # noqa: ARG001 (g says as much)
        weights: Array | None = None,
    ) -> Array:
        options = {"q": q, "axis": axis, "method": method, "weights": weights}
        return _share_cotangent(partial(function, keepdims=True, **options), g, x, axis)

    return reduction(function, rule, name=function.__name__)


median = _define_median(np.median)
nanmedian = _define_median(np.nanmedian)
quantile = _define_quantile(np.quantile)
percentile = _define_quantile(np.percentile)
nanquantile = _define_quantile(np.nanquantile)
nanpercentile = _define_quantile(np.nanpercentile)


def _batch_quantile(call: BatchedCall) -> Any:
    """The axes of q come first in the result."""
    options, x, ndim = call.named(), call.xs[0], call.ndims()[0]
    q, axis = options["q"], options.get("axis")
    others = [option for name, option in options.items() if name not in ("q", "axis")]
    if not call.on[0] or call.has(q) or isinstance(q, Tensor) or not ndim or not are_plain(others):
        return NotImplemented
    y = call.op.apply(x, **{**options, "axis": shift_axes(axis, ndim)})
    return move_axis(y, np.ndim(q), 0)


register_batching(_batch_quantile, quantile, percentile, nanquantile, nanpercentile)


def _as_median(op: Function) -> Function:
    def named(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
        return op(x, axis, keepdims=keepdims)

    named.__name__ = op.__name__
    return named


def _as_quantile(op: Function) -> Function:
    def named(
        x: Array,
        q: Any,
        axis: Axis = None,
        *,
        method: str = "linear",
        keepdims: bool = False,
        weights: Any = None,
    ) -> Array:
        for name, option in (("q", q), ("weights", weights)):
            if type(option) is Tensor:
                raise NotDifferentiableError(
                    f"{op.__name__}: no derivative with respect to {name}, which says what "
                    f"elements are taken; give it as plain numbers ({name}.value)"
                )
        if op.__name__.startswith("nan") and np.ndim(q) > 1 and _are_several(axis):
            raise NotDifferentiableError(
                f"{op.__name__}: with axis={axis} NumPy mixes the axes of a q of several with "
                "those of the array; give it q.ravel(), and reshape the result"
            )
        given = {} if weights is None else {"weights": _freeze_option(weights)}
        return op(x, _freeze_option(q), axis, method=method, keepdims=keepdims, **given)

    named.__name__ = op.__name__
    return named


def _are_several(axis: Axis) -> bool:
    return isinstance(axis, tuple) and len(axis) != 1


def _freeze_option(option: Any) -> Any:
    """The numbers as they are now: their owner may change them before the gradient is computed."""
    return option if isinstance(option, Tensor | int | float) else np.array(option)


handles(np.median)(_as_median(median))
handles(np.nanmedian)(_as_median(nanmedian))
handles(np.quantile)(_as_quantile(quantile))
handles(np.percentile)(_as_quantile(percentile))
handles(np.nanquantile)(_as_quantile(nanquantile))
handles(np.nanpercentile)(_as_quantile(nanpercentile))


@handles(np.ptp)
def ptp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """numpy.ptp: the largest less the smallest."""
    return np.max(x, axis=axis, keepdims=keepdims) - np.min(x, axis=axis, keepdims=keepdims)


# --- averages


def _check_total(total: Array) -> Array:
    """What the weights add up to, if that is nowhere 0."""
    if np.any(total == 0):
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    return total


check_weights = define(_check_total, name="check_weights")
register_lowering(check_weights, effect=True)


def _along(weights: Array, x: Array, axis: Axis) -> Array:
    """Weights of x, or of what lies along its axes, in a shape that broadcasts to that of x."""
    if weights.shape == x.shape:
        return weights
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    if weights.shape != tuple([x.shape[i] for i in axes]):
        raise ShapeError(
            f"average: over axes {axes} of {x.shape} the weights need the shape "
            f"{tuple([x.shape[i] for i in axes])}, got {weights.shape}"
        )
    ordered = np.transpose(weights, sorted(range(len(axes)), key=axes.__getitem__))
    return ordered.reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])


@handles(np.average)
def average(
    x: Array,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """numpy.average; the weights can be differentiated too.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda w: np.average(np.array([1.0, 2.0]), weights=w))(np.ones(2))
    array([-0.25,  0.25])
    """
    x = as_array(x)
    if weights is None:
        y = np.mean(x, axis=axis, keepdims=keepdims)
        total = y.dtype.type(x.size / y.size)
    else:
        weights = _along(as_array(weights), x, axis)
        whole = [np.float64] if x.dtype.kind in "iub" else []
        weights = weights.astype(np.result_type(x.dtype, weights.dtype, *whole))
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        check_weights(total)
        y = np.sum(x * weights, axis=axis, keepdims=keepdims) / total
    if not returned:
        return y
    return y, total if total.shape == y.shape else np.broadcast_to(total, y.shape)


# --- covariances


def _as_observations(x: Any, rowvar: bool, dtype: Any) -> Array:
    """The data as (variables, observations)."""
    x = as_array(x)
    if x.ndim > 2:
        raise ShapeError(f"cov: the data have at most 2 dimensions, got {x.shape}")
    x = x.astype(dtype)
    if x.ndim < 2:
        return x.reshape(1, -1)
    return x if rowvar else np.transpose(x)


def _read_weights(name: str, weights: Any, n: int) -> Array:
    """One weight for each observation, none of them negative."""
    weights = as_array(weights)
    if weights.shape != (n,):
        raise ShapeError(f"cov: {n} observations need {name} of shape ({n},), got {weights.shape}")
    refuse_order(f"cov: {name}", weights)
    if isinstance(weights, Tensor):
        return weights
    if name == "fweights" and np.any(weights != np.around(weights)):
        raise TypeError("fweights must be integer")
    if np.any(weights < 0):
        raise ValueError(f"{name} cannot be negative")
    return weights.astype(float)


@handles(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Array:
    """numpy.cov; the weights of observations, aweights, can be differentiated too."""
    if dtype is None:
        dtype = np.result_type(np.float64, *[as_array(x).dtype for x in (m, y) if x is not None])
    data = [_as_observations(m, rowvar, floating(dtype))]
    if y is not None:  # of which NumPy takes a single row as it is
        data.append(_as_observations(y, rowvar or as_array(y).shape[:1] == (1,), floating(dtype)))
    x = np.concatenate(data, axis=0) if len(data) > 1 else data[0]
    if ddof is None:
        ddof = 0 if bias else 1
    elif ddof != int(ddof):
        raise ValueError("ddof must be integer")
    each, freedom = _weighing(fweights, aweights, ddof, x.shape[1])
    x = x - np.average(x, axis=1, weights=each, keepdims=True)
    scaled = x if each is None else x * each.astype(x.dtype)
    c = (x @ conj(np.transpose(scaled))) * (1.0 / np.maximum(freedom, 0.0)).astype(x.dtype)
    return np.squeeze(c)


def _weighing(fweights: Any, aweights: Any, ddof: int, n: int) -> tuple[Array | None, Array]:
    """The weight of each of n observations, and the degrees of freedom that they leave."""
    if isinstance(fweights, Tensor):
        raise NotDifferentiableError(
            "cov: fweights= are counts, which have no derivative; aweights= have"
        )
    if fweights is None and aweights is None:
        return None, np.float64(n - ddof)
    each: Array = 1.0
    if fweights is not None:
        each = _read_weights("fweights", fweights, n)
    if aweights is None:
        return each, np.sum(each) - ddof
    aweights = _read_weights("aweights", aweights, n)
    each = each * aweights
    total = np.sum(each)
    return each, total - ddof * np.sum(each * aweights) / total if ddof else total


@handles(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    """numpy.corrcoef."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if not c.shape:
        return c / c
    every = np.arange(len(c))
    deviation = np.sqrt(np.real(c[every, every]))
    c = c / deviation[:, None] / deviation
    if is_complex(c):
        return np.clip(np.real(c), -1, 1) + 1j * np.clip(np.imag(c), -1, 1)
    return np.clip(c, -1, 1)
