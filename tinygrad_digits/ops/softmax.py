"""The rows that networks add to NumPy: relu, sigmoid, softplus, softmax and its logarithm."""

from __future__ import annotations

from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

from ..engine.cotangent import ones
from ..engine.define import define, primitive
from ..engine.primitive import Array, Function, Kind
from ..engine.tensor import Tensor
from ..staging.batching import batch_last_axes, register_batching
from ..support.foreign import as_array
from .complex_parts import is_complex, refuse_order
from .masked_reductions import selection
from .reductions import Axis, _restore

# --- activations


composite = partial(primitive, unchecked=True, composite=True)

# Where exp underflows to 0 that is what is meant, and no reason to raise under np.errstate.


@composite(lambda g, y, _x: g * (y > 0).astype(g.dtype), kind=Kind.ELEMENTWISE)
def relu(x: Array) -> Array:
    """max(x, 0). The derivative is 1 where that is not 0, and 0 elsewhere, so also at 0.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    if type(x) is np.ndarray and x.dtype.kind == "f" and x.size <= _MANY and x.flags.c_contiguous:
        return np.maximum(x, _zeros(x.shape, x.dtype))
    refuse_order("relu", x)
    return np.maximum(x, 0)


_MANY = 1 << 17  # elements up to which zeros are kept, since NumPy is two to four times as slow
# with one number in their place


@lru_cache(maxsize=8)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    zeros = np.zeros(shape, dtype)
    zeros.flags.writeable = False  # they are shared
    return zeros


@composite(lambda g, y, x: g * (-y * np.tanh(0.5 * x)), kind=Kind.ELEMENTWISE)
def logistic(x: Array) -> Array:
    """exp(-x) / (1 + exp(-x))**2, the derivative of sigmoid, from exp(-|x|), as it is even.

    y (1 - y) would take no call of exp, but have no digits left for y close to 1.
    """
    if is_complex(x):
        return 0.25 / np.square(np.cosh(0.5 * x))
    with np.errstate(under="ignore"):
        e = np.exp(np.minimum(x, np.negative(x)))
        return e / np.square(1 + e)


@composite(lambda g, _y, x: g * logistic(x), kind=Kind.ELEMENTWISE)
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), from exp(-|x|) so that it never overflows.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    if is_complex(x):
        return 1 / (1 + np.exp(-x))
    with np.errstate(under="ignore"):
        e = np.exp(np.minimum(x, np.negative(x)))
        return np.maximum(e, np.greater_equal(x, 0)) / (1 + e)  # np.where takes 3 times as long


@composite(lambda g, _y, x: g * sigmoid(x), kind=Kind.ELEMENTWISE)
def softplus(x: Array) -> Array:
    """log(1 + exp(x)), the smooth relu.

    >>> softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    with np.errstate(under="ignore"):
        return np.logaddexp(x, 0)


# --- softmax and its kin: over `axis`, shifted by the maximum so that exp stays below 1


def _shares_rule(g: Array, y: Array, _x: Array, axis: Axis = None) -> Array:
    """That of softmax. It is subtracted twice: see there."""
    g = g - np.sum(g * y, axis=axis, keepdims=True)
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


def _shares(x: Array, axis: Axis = None) -> Array:
    """softmax over any axes, but 0 where all is -inf, and even shares among what is inf."""
    peak = np.max(x, axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", under="ignore"):  # inf - inf
        e = np.exp(np.where(np.equal(x, peak), 0, np.subtract(x, peak)))
        return e / np.sum(e, axis=axis, keepdims=True) * np.not_equal(peak, -np.inf)


shares = composite(_shares_rule, name="shares", kind=Kind.REDUCTION)(_shares)


def _logsumexp_rule(
    g: Array, _y: Array, x: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    """By softmax of x, not exp(x - y): y is rounded, by 0.5 where it is 1e7 and a float32."""
    return _restore(g, x, axis, keepdims) * shares(x, axis=axis)


def _logsumexp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The maximum, plus the logarithm of a sum in which it is a 1 that log1p adds unrounded."""
    peak = np.max(x, axis=axis, keepdims=True)
    top = np.equal(x, peak)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):  # inf - inf
        e = np.exp(np.where(top, -np.inf, np.subtract(x, peak)))
        count = np.sum(top, axis=axis, keepdims=True).astype(e.dtype)
        others = np.sum(e, axis=axis, keepdims=True)
        y = np.log1p(others / count) + np.log(count) + peak
    return y if keepdims else np.squeeze(y, axis)[()]


_logsumexp_of = composite(_logsumexp_rule, name="logsumexp", kind=Kind.REDUCTION)(_logsumexp)


def _mask_out(x: Array, where: Any) -> Array:
    """x as an array, and -inf, of which exp is 0, where the mask is false."""
    x = as_array(x, float)
    return x if where is True else np.where(selection(x, where), x, -np.inf)


def logsumexp(
    x: Array,
    axis: Axis = None,
    b: Array = None,
    *,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = True,
) -> Any:
    """log(sum(b exp(x))) over `axis` (all by default), and b is 1 by default.

    Where the sum is negative that is NaN, or, with return_sign, log(|sum|) and the sum's sign.
    Elements where the mask `where` is false are left out. Of no elements, or where all are -inf,
    the value is -inf and the gradient 0.

    >>> logsumexp(np.array([1000.0, 1000.0])) == 1000 + np.log(2)
    np.True_
    >>> logsumexp(np.array([0.0, 7.0]), where=np.array([True, False]))
    np.float64(0.0)
    """
    x = _mask_out(x, where)
    if b is None and not return_sign:
        return _logsumexp_of(x, axis, keepdims=keepdims)
    if return_sign:
        refuse_order("logsumexp with return_sign", x, b)
    b = 1.0 if b is None else np.asarray(b) if isinstance(b, list) else b
    most = peak_of(x, b, axis=axis)
    peak = np.where(np.isfinite(most), most, 0)  # inf - inf would be NaN
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        counts = np.not_equal(b, 0) | np.isfinite(np.exp(x - peak))  # 0 times inf would be NaN
        total = np.sum(b * np.exp(np.where(counts, x, peak) - peak), axis=axis, keepdims=True)
        nothing = np.equal(most, -np.inf)
        size = np.where(nothing, 1, np.abs(total) if return_sign else total)
        y = np.where(nothing, -np.inf, np.log(size) + peak)
    y, sign = (part if keepdims else np.squeeze(part, axis)[()] for part in (y, np.sign(total)))
    return (y, sign) if return_sign else y


def _peak(x: Array, b: Array, axis: Axis) -> Array:
    """The largest exponent that counts: it cancels out, so is constant."""
    return np.max(np.where(np.equal(b, 0), -np.inf, x), axis=axis, keepdims=True)


peak_of = define(_peak, name="peak")


def _softmax_rule(g: Array, y: Array, _x: Array) -> Array:
    """y (g - sum(g y)), in which the same is subtracted of what that has left of g.

    The second sum is 0 but for rounding. Where y is close to 1 nothing else is left: g - g y alone
    would be 0 at the logits 40, 0, and it is exp(-40).
    """
    g = g - _sum_last(g * y)
    return y * (g - _sum_last(g * y))


def _softmax(x: Array) -> Array:
    shifted = x - _max_last(x)
    with np.errstate(under="ignore"):
        e = np.exp(shifted)
        return e / _sum_last(e)


def _log_softmax_rule(g: Array, y: Array, _x: Array) -> Array:
    """g - exp(y) sum(g), by 1 - exp(y) for an element's own part."""
    return -g * np.expm1(y) - np.exp(y) * (_sum_last(g) - g)


def _log_softmax(x: Array) -> Array:
    """By log1p of the sum of all but the maximum: of that, 1, the others would get lost."""
    shifted = x - _max_last(x)
    top = np.equal(shifted, 0)
    with np.errstate(divide="ignore", under="ignore"):  # of no maximum among NaN
        rest = _sum_last(np.exp(shifted) * np.logical_not(top))
        count = _sum_last(top.astype(shifted.dtype))
        return shifted - (np.log1p(rest / count) + np.log(count))


def _log_probabilities_rule(g: Array, y: Array, _x: Array) -> Array:
    return g - np.exp(y) * _sum_last(g)


@np.errstate(under="ignore")  # as a decorator it takes 0.4 us, half of what `with` takes
def _log_probabilities(x: Array) -> Array:
    """log_softmax for cross_entropy: 1 - p is right to an ulp of 1, in half the time."""
    shifted = x - _max_last(x)
    return shifted - np.log(_sum_last(np.exp(shifted)))


_LARGE = 4096  # elements, from where the quick ways below save more than it costs to choose them


def _is_numpys(x: Array) -> bool:
    """Whether x is an array of NumPy's, or stands for one, and not another library's."""
    return isinstance(x, (np.ndarray, Tensor))  # a union would be made anew at each call


def _sum_last(x: Array) -> Array:
    """The sum along the last axis, kept; for many short rows BLAS is five times as fast."""
    if not _is_numpys(x):
        return x.sum(axis=-1, keepdims=True)
    if x.size < _LARGE or x.dtype.char not in "fd":
        return np.add.reduce(x, axis=-1, keepdims=True)
    return x @ ones((x.shape[-1], 1), x.dtype)


def _max_last(x: Array) -> Array:
    """The maximum along the last axis, kept; many short rows go six times as fast as columns."""
    if not _is_numpys(x):
        return x.max(axis=-1, keepdims=True)
    if x.size < _LARGE or x.shape[-1] > 64:
        return np.maximum.reduce(x, axis=-1, keepdims=True)
    columns = np.copy(x.reshape(-1, x.shape[-1]).T, order="C")
    return np.maximum.reduce(columns, axis=0).reshape(*x.shape[:-1], 1)


_softmax_last = composite(_softmax_rule, name="softmax", kind=Kind.REDUCTION)(_softmax)
_log_softmax_last = composite(_log_softmax_rule, name="log_softmax", kind=Kind.REDUCTION)(
    _log_softmax
)
log_probabilities = composite(
    _log_probabilities_rule, name="log_probabilities", kind=Kind.REDUCTION
)(_log_probabilities)
register_batching(batch_last_axes, _softmax_last, _log_softmax_last, log_probabilities)


def softmax(x: Array, axis: Axis = -1, *, where: Any = True) -> Array:
    """exp(x) / sum(exp(x)): logits -> probabilities that sum to 1 along `axis`.

    The last axis by default (scipy.special.softmax takes all); None is all of them. Elements where
    the mask `where` is false are left out, and get 0, also where all are.

    >>> softmax(np.array([1000.0, 1000.0, -1000.0]))
    array([0.5, 0.5, 0. ])
    """
    if where is True:
        return _along(_softmax_last, x, axis)
    return shares(_mask_out(x, where), axis=axis)


def log_softmax(x: Array, axis: Axis = -1, *, where: Any = True) -> Array:
    """log(softmax(x)), exact also where the probability is too small for a float.

    Elements where the mask `where` is false are left out, and get -inf.

    >>> log_softmax(np.array([1000.0, -1000.0, 0.0]))
    array([    0., -2000., -1000.])
    """
    if where is True:
        return _along(_log_softmax_last, x, axis)
    x = _mask_out(x, where)
    with np.errstate(invalid="ignore"):  # where all are left out
        return np.where(selection(x, where), _along(_log_softmax_last, x, axis), -np.inf)


def _along(op: Function, x: Array, axis: Axis) -> Array:
    """Apply along other axes an op that works along the last."""
    x = as_array(x, float)
    if isinstance(axis, int):
        if not x.ndim and axis in (0, -1):  # NumPy says that a number has such axes
            return op(x[None])[0]  # of a batch of numbers, the last axis would be the batch's
        if axis == -1:
            return op(x)
        return np.swapaxes(op(np.swapaxes(x, axis, -1)), axis, -1)
    axes = tuple(range(x.ndim)) if axis is None else axis
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    together = x.ndim - len(axes)
    rows = moved.reshape((*moved.shape[:together], prod(moved.shape[together:])))
    return np.moveaxis(op(rows).reshape(moved.shape), last, axes)
