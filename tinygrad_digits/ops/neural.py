"""The rows that networks add to NumPy: relu, sigmoid, softplus, softmax and its logarithm."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..engine.foreign import as_array
from ..engine.primitive import Kind, Op, define, primitive
from ..engine.tape import Array, ones
from ..engine.tensor import Tensor
from .reductions import Axis, _restore

# --- activations


row = partial(primitive, trusted=True, composed=True)


@row(lambda g, y, _x: g * (y > 0).astype(g.dtype), kind=Kind.ELEMENTWISE)
def relu(x: Array) -> Array:
    """max(x, 0). The derivative is 1 where that is not 0, and 0 elsewhere, so also at 0.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


@row(lambda g, y, _x: g * (y * (1 - y)), kind=Kind.ELEMENTWISE)
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), from exp(-|x|) so that it never overflows.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


@row(lambda g, _y, x: g * sigmoid(x), kind=Kind.ELEMENTWISE)
def softplus(x: Array) -> Array:
    """log(1 + exp(x)), the smooth relu.

    >>> softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    return np.logaddexp(x, 0)


# --- softmax and its kin: over `axis`, shifted by the maximum so that exp stays below 1


def _logsumexp_rule(
    g: Array, y: Array, x: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    return _restore(g, x, axis, keepdims) * np.exp(x - _restore(y, x, axis, keepdims))


def _logsumexp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    peak = np.max(x, axis=axis, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0)  # inf - inf would be NaN
    with np.errstate(divide="ignore"):  # the log of an empty sum is -inf
        y = np.log(np.sum(np.exp(x - peak), axis=axis, keepdims=True)) + peak
    return y if keepdims else np.squeeze(y, axis)[()]


_logsumexp_of = row(_logsumexp_rule, name="logsumexp", kind=Kind.REDUCTION)(_logsumexp)


def logsumexp(
    x: Array,
    axis: Axis = None,
    b: Array = None,
    *,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """log(sum(b exp(x))) over `axis` (all by default), and b is 1 by default.

    Where the sum is negative that is NaN, or, with return_sign, log(|sum|) and the sum's sign.

    >>> logsumexp(np.array([1000.0, 1000.0])) == 1000 + np.log(2)
    np.True_
    """
    if b is None and not return_sign:
        return _logsumexp_of(x, axis, keepdims=keepdims)
    x = as_array(x, float)
    b = 1.0 if b is None else np.asarray(b) if isinstance(b, list) else b
    peak = peak_of(x, b, axis=axis)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        counts = np.not_equal(b, 0) | np.isfinite(np.exp(x - peak))  # 0 times inf would be NaN
        total = np.sum(b * np.exp(np.where(counts, x, peak) - peak), axis=axis, keepdims=True)
        y = np.log(np.abs(total) if return_sign else total) + peak
    y, sign = (part if keepdims else np.squeeze(part, axis)[()] for part in (y, np.sign(total)))
    return (y, sign) if return_sign else y


def _peak(x: Array, b: Array, axis: Axis) -> Array:
    """The largest exponent that counts, 0 where it is infinite: it cancels out, so is constant."""
    peak = np.max(np.where(np.equal(b, 0), -np.inf, x), axis=axis, keepdims=True)
    return np.where(np.isfinite(peak), peak, 0)


peak_of = define(_peak, name="peak")


def _softmax_rule(g: Array, y: Array, _x: Array) -> Array:
    return y * (g - _sum_last(g * y))


def _softmax(x: Array) -> Array:
    e = np.exp(x - _max_last(x))
    return e / _sum_last(e)


def _log_softmax_rule(g: Array, y: Array, _x: Array) -> Array:
    return g - np.exp(y) * _sum_last(g)


def _log_softmax(x: Array) -> Array:
    shifted = x - _max_last(x)
    return shifted - np.log(_sum_last(np.exp(shifted)))


_LARGE = 4096  # elements, from where the quick ways below save more than it costs to choose them


def _is_numpys(x: Array) -> bool:
    """Whether x is an array of NumPy's, or stands for one, and not another library's."""
    return isinstance(x, np.ndarray | Tensor)


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


_softmax_last = row(_softmax_rule, name="softmax", kind=Kind.REDUCTION)(_softmax)
_log_softmax_last = row(_log_softmax_rule, name="log_softmax", kind=Kind.REDUCTION)(_log_softmax)


def softmax(x: Array, axis: Axis = -1) -> Array:
    """exp(x) / sum(exp(x)): logits -> probabilities that sum to 1 along `axis`.

    The last axis by default (scipy.special.softmax takes all); None is all of them.

    >>> softmax(np.array([1000.0, 1000.0, -1000.0]))
    array([0.5, 0.5, 0. ])
    """
    return _along(_softmax_last, x, axis)


def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """log(softmax(x)), exact also where the probability is too small for a float.

    >>> log_softmax(np.array([1000.0, -1000.0, 0.0]))
    array([    0., -2000., -1000.])
    """
    return _along(_log_softmax_last, x, axis)


def _along(op: Op, x: Array, axis: Axis) -> Array:
    """Apply along other axes an op that works along the last."""
    x = as_array(x, float)
    if isinstance(axis, int):
        return op(x) if axis == -1 else np.swapaxes(op(np.swapaxes(x, axis, -1)), axis, -1)
    axes = tuple(range(x.ndim)) if axis is None else axis
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    together = x.ndim - len(axes)
    rows = moved.reshape((*moved.shape[:together], prod(moved.shape[together:])))
    return np.moveaxis(op(rows).reshape(moved.shape), last, axes)
