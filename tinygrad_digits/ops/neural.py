"""What networks add to NumPy: activations, their numerically stable kin, and the loss."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..engine.errors import ShapeError
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


# --- noise


def _draw(x: Array, rng: np.random.Generator) -> Array:
    """Uniform in [0, 1), one for each element of x, in x's dtype where generators have it."""
    return rng.random(np.shape(x), np.float32 if x.dtype == np.float32 else np.float64)


draw = define(_draw, name="draw")


def dropout(x: Array, rate: float, rng: np.random.Generator) -> Array:
    """x with a share `rate` of its elements, drawn from rng, set to 0 and the others scaled up.

    Dividing by 1 - rate keeps the expectation (Srivastava et al., Dropout, 2014). For training;
    leave it out, or give rate 0, to predict. Raises ValueError where rate is not in [0, 1).

    >>> dropout(np.ones(6), 0.5, np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be in [0, 1), got {rate}")
    x = x if hasattr(x, "dtype") else np.asarray(x, float)
    return x * (draw(x, rng=rng) >= rate) / (1 - rate) if rate else x


# --- softmax and its kin: over `axis`, shifted by the maximum so that exp stays below 1


def _logsumexp_rule(
    g: Array, y: Array, x: Array, axis: Axis = None, *, keepdims: bool = False
) -> Array:
    return _restore(g, x, axis, keepdims) * np.exp(x - _restore(y, x, axis, keepdims))


@row(_logsumexp_rule, kind=Kind.REDUCTION)
def logsumexp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis` (all by default).

    >>> logsumexp(np.array([1000.0, 1000.0])) == 1000 + np.log(2)
    np.True_
    """
    peak = np.max(x, axis=axis, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0)  # inf - inf would be NaN
    with np.errstate(divide="ignore"):  # the log of an empty sum is -inf
        y = np.log(np.sum(np.exp(x - peak), axis=axis, keepdims=True)) + peak
    return y if keepdims else np.squeeze(y, axis)[()]


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


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)): logits -> probabilities that sum to 1 along `axis`.

    >>> softmax(np.array([1000.0, 1000.0, -1000.0]))
    array([0.5, 0.5, 0. ])
    """
    return _along(_softmax_last, x, axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """log(softmax(x)), exact also where the probability is too small for a float.

    >>> log_softmax(np.array([1000.0, -1000.0, 0.0]))
    array([    0., -2000., -1000.])
    """
    return _along(_log_softmax_last, x, axis)


def _along(op: Op, x: Array, axis: int) -> Array:
    """Apply along another axis an op that works along the last."""
    x = x if hasattr(x, "dtype") else np.asarray(x, float)
    return op(x) if axis == -1 else np.swapaxes(op(np.swapaxes(x, axis, -1)), axis, -1)


# --- classification


def one_hot(labels: Array, classes: int = 10, dtype: Any = np.float64) -> Array:
    """Rows of the identity chosen by labels: (...) ints -> (..., classes) floats.

    Raises ShapeError where a label is not one of 0 ... classes - 1.

    >>> one_hot(np.array([1]), classes=3)
    array([[0., 1., 0.]])
    """
    if classes < 1:
        raise ShapeError(f"one_hot: needs at least one class, got {classes}")
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    at = _flat(labels, classes)
    return hits(at, 1, shape=(*labels.shape, classes), dtype=np.dtype(dtype))


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean over the batch of -log softmax(logits)[label]: (..., k) floats, (...) ints -> scalar.

    Raises ShapeError where labels are not integers of the batch's shape in 0 ... k - 1.

    >>> cross_entropy(np.array([[1000.0, 0.0], [0.0, 0.0]]), np.array([0, 1])) == np.log(2) / 2
    np.True_
    """
    logits = logits if hasattr(logits, "dtype") else np.asarray(logits, float)
    shape = logits.shape
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if labels.shape != shape[:-1] or not labels.size:
        raise ShapeError(
            f"cross_entropy: logits (..., k) need a label for each of one or more rows, "
            f"got logits {shape} and labels {labels.shape}"
        )
    return _nll(_log_softmax_last(logits), _flat(labels, shape[-1]))


def _flat(labels: Array, classes: int) -> Array:
    """Where each row's label lies in the flattened (..., classes): (...) -> (n,)."""
    if labels.dtype.kind not in "iu" and labels.size:
        raise ShapeError(
            f"labels must be integers in 0 ... {classes - 1}, got {labels.dtype}; "
            "one-hot rows become such labels with .argmax(axis=-1)"
        )
    check = _checked if type(labels) is np.ndarray else check_labels
    check(labels, classes=classes)
    if labels.ndim != 1 or labels.dtype != np.intp:
        labels = labels.reshape(-1).astype(np.intp)
    return labels + np.arange(0, labels.size * classes, classes)


def _checked(labels: Array, classes: int) -> Array:
    """The number of labels, if all are in 0 ... classes - 1."""
    indices = labels if labels.dtype == np.intp else labels.astype(np.intp)
    # as unsigned numbers negative ones are large, so that one look at the largest is enough
    fits = not labels.size or np.maximum.reduce(indices.view(np.uintp), axis=None) < classes
    if not fits:
        low, high = labels.min(), labels.max()
        raise ShapeError(f"labels must be integers in 0 ... {classes - 1}, got {low} ... {high}")
    return np.intp(labels.size)


def _hits_kernel(at: Array, value: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros but for `value` at the flat indices `at`, of which each row has one."""
    rows = np.zeros(shape, dtype)
    rows.reshape(-1)[at] = value
    return rows


check_labels = define(_checked, name="check_labels")
hits = define(_hits_kernel, name="hits", kind=Kind.GATHER)


def _nll_kernel(log_probabilities: Array, at: Array) -> Array:
    return log_probabilities.reshape(-1)[at].sum() / -at.size


def _nll_rule(g: Array, _y: Array, x_like: Array, at: Array) -> Array:
    """-1/n at each label, 0 elsewhere."""
    make = _hits_kernel if type(at) is np.ndarray else hits
    return g * make(at, -1 / at.size, shape=x_like.shape, dtype=x_like.dtype)


_nll = row(_nll_rule, None, name="nll", kind=Kind.GATHER)(_nll_kernel)
