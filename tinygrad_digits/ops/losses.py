"""Losses: how far predictions are from targets, element by element, then reduced to one number.

`reduction` is "mean" (of all losses), "sum" or "none". Shapes have to be equal: nothing broadcasts,
since (n, 1) against (n,) would quietly compare each prediction with every target.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import isfinite, prod
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind
from ..engine.tensor import Tensor
from ..staging.batching import BatchedCall, batch_whole, register_batching
from ..staging.lowering import SourceArray, SourceCall, register_lowering
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import as_array
from .complex_parts import is_complex
from .softmax import composite, log_probabilities, relu, softplus

REDUCTIONS = ("mean", "sum", "none")


def mse(predictions: Array, targets: Array, *, reduction: str = "mean") -> Array:
    """The squared error (p - t)^2: (...), (...) -> scalar, or (...) unreduced.

    Raises ShapeError where the shapes differ or there is nothing to take the mean of, and
    ValueError for a reduction that is none of the three; so do the other losses.

    >>> mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    predictions, targets = _alike("mse", predictions, targets)
    return reduce_losses("mse", np.square(predictions - targets), reduction)


def huber(
    predictions: Array, targets: Array, *, delta: float = 1.0, reduction: str = "mean"
) -> Array:
    """Half the squared error, and linear beyond an error of delta (Huber, 1964).

    >>> huber(np.array([0.0, 0.0]), np.array([1.0, 3.0]), reduction="none")
    array([0.5, 2.5])
    """
    predictions, targets = _alike("huber", predictions, targets)
    error = predictions - targets
    near = np.clip(error, -delta, delta)
    return reduce_losses("huber", near * (error - 0.5 * near), reduction)


def binary_cross_entropy_with_logits(
    logits: Array, targets: Array, *, reduction: str = "mean"
) -> Array:
    """-t log p - (1 - t) log(1 - p) for p = sigmoid(logits) and targets t in 0 ... 1.

    >>> binary_cross_entropy_with_logits(np.array([1000.0, 0.0]), np.array([1.0, 0.0])).round(4)
    np.float64(0.3466)
    """
    name = "binary_cross_entropy_with_logits"
    logits, targets = _alike(name, logits, targets)
    # log p is -softplus(-x) and log(1 - p) is -softplus(x): all digits, also of small losses,
    # which the shorter softplus(x) - t x would take as the difference of large numbers
    with np.errstate(under="ignore"):
        losses = targets * softplus(-logits) + (1 - targets) * softplus(logits)
    return reduce_losses(name, losses, reduction)


def hinge(scores: Array, targets: Array, *, margin: float = 1.0, reduction: str = "mean") -> Array:
    """max(0, margin - t s) for targets t of -1 or 1: how far a score is on the wrong side.

    >>> hinge(np.array([2.0, 0.5, -1.0]), np.array([1.0, 1.0, 1.0]), reduction="none")
    array([0. , 0.5, 2. ])
    """
    scores, targets = _alike("hinge", scores, targets)
    return reduce_losses("hinge", relu(margin - targets * scores), reduction)


def kl_divergence(
    log_predictions: Array, targets: Array, *, axis: int = -1, reduction: str = "mean"
) -> Array:
    """The sum over `axis` of t (log t - log p): (..., k) log-probabilities and probabilities.

    How many nats the predictions p waste on what is distributed as the targets t (Kullback and
    Leibler, 1951). The mean is that of the distributions. Where t is 0 there is no loss, whatever
    p is, and no gradient.

    >>> p, t = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    >>> kl_divergence(np.log(p), t, reduction="none") / np.log(2)
    array([1., 0.])
    """
    log_predictions, targets = _alike("kl_divergence", log_predictions, targets)
    possible = targets > 0
    log_targets = np.log(np.where(possible, targets, 1))
    nats = targets * (log_targets - np.where(possible, log_predictions, 0))
    return reduce_losses("kl_divergence", np.sum(nats, axis=axis), reduction)


def _alike(name: str, predictions: Array, targets: Array) -> tuple[Array, Array]:
    """Both as arrays, of one shape."""
    predictions, targets = (as_array(x, float) for x in (predictions, targets))
    if is_complex(predictions) or is_complex(targets):
        raise NotDifferentiableError(
            f"{name}: losses are of real numbers; the mean squared error of complex ones is "
            "np.mean(np.abs(p - t) ** 2)"
        )
    if predictions.shape != targets.shape:
        raise ShapeError(
            f"{name}: predictions and targets must have one shape, got {predictions.shape} and "
            f"{targets.shape}; reshape one, or say np.broadcast_to(targets, predictions.shape)"
        )
    return predictions, targets


def reduce_losses(name: str, losses: Array, reduction: str) -> Array:
    """The losses as `reduction` asks for."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if reduction == "none":
        return losses
    if reduction == "sum":
        return np.sum(losses)
    if not losses.size:
        raise ShapeError(f"{name}: there is no mean of no losses, got shape {losses.shape}")
    return np.mean(losses)


# --- classification


def one_hot(labels: Array, classes: int = 10, dtype: Any = np.float64) -> Array:
    """Rows of the identity chosen by labels: (...) ints -> (..., classes) floats.

    Raises ShapeError where a label is not one of 0 ... classes - 1.

    >>> one_hot(np.array([1]), classes=3)
    array([[0., 1., 0.]])
    """
    if classes < 1:
        raise ShapeError(f"one_hot: needs at least one class, got {classes}")
    labels = as_array(labels)
    at = _flat(labels, classes)
    return hits(at, 1, shape=(*labels.shape, classes), dtype=np.dtype(dtype))


def cross_entropy(
    logits: Array, labels: Array, *, smoothing: float = 0.0, reduction: str = "mean"
) -> Array:
    """Mean over the batch of -log softmax(logits)[label]: (..., k) floats, (...) ints -> scalar.

    With `smoothing`, that share of each label is spread evenly over all k classes (Szegedy et al.,
    Rethinking the Inception architecture, 2015). Raises ShapeError where labels are not integers of
    the batch's shape in 0 ... k - 1, ValueError for a smoothing that is not in [0, 1).

    >>> cross_entropy(np.array([[1000.0, 0.0], [0.0, 0.0]]), np.array([0, 1])) == np.log(2) / 2
    np.True_
    """
    logits = as_array(logits, float)
    shape = logits.shape
    labels = as_array(labels)
    if labels.shape != shape[:-1] or not labels.size:
        raise ShapeError(
            f"cross_entropy: logits (..., k) need a label for each of one or more rows, "
            f"got logits {shape} and labels {labels.shape}"
        )
    log_p = log_probabilities(logits)
    numpys = type(labels) is np.ndarray or isinstance(labels, Tensor)
    if numpys and not smoothing and reduction == "mean":
        return _nll(log_p, _flat(labels, shape[-1]))
    if not 0 <= smoothing < 1:
        raise ValueError(f"cross_entropy: smoothing must be in [0, 1), got {smoothing}")
    losses = -_at_labels(log_p, labels)
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing * np.mean(log_p, axis=-1)
    return reduce_losses("cross_entropy", losses, reduction)


def _at_labels(log_p: Array, labels: Array) -> Array:
    """Of each row the element that its label names: (..., k) floats, (...) ints -> (...) floats."""
    if isinstance(labels, np.ndarray | Tensor):
        return np.reshape(log_p, -1)[_flat(labels, log_p.shape[-1])].reshape(labels.shape)
    classes = np.arange(log_p.shape[-1])  # another library's, whose values may not be known yet
    one = np.where((labels >= 0) & (labels < len(classes)), 1, np.nan)  # NaN where it is no label
    return np.sum(log_p * ((labels[..., None] == classes) * one[..., None]).astype(log_p.dtype), -1)


def _flat(labels: Array, classes: int) -> Array:
    """Where each row's label lies in the flattened (..., classes): (...) -> (n,)."""
    if labels.dtype.kind not in "iu" and labels.size:
        raise ShapeError(
            f"labels must be integers in 0 ... {classes - 1}, got {labels.dtype}; "
            "one-hot rows become such labels with .argmax(axis=-1)"
        )
    check = _count_labels if type(labels) is np.ndarray else check_labels
    check(labels, classes=classes)
    if labels.ndim != 1 or labels.dtype != np.intp:
        labels = labels.reshape(-1).astype(np.intp)
    return labels + _row_starts(labels.size, classes)


@lru_cache(maxsize=8)
def _row_starts(rows: int, classes: int) -> Array:
    starts = np.arange(0, rows * classes, classes)
    starts.flags.writeable = False  # they are shared
    return starts


def _count_labels(labels: Array, classes: int) -> Array:
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


check_labels = define(_count_labels, name="check_labels")
hits = define(_hits_kernel, name="hits", kind=Kind.GATHER)


def _batch_check_labels(call: BatchedCall) -> Any:
    count = batch_whole(call)
    return np.broadcast_to(count // max(call.length, 1), (call.length,))


def _batch_hits(call: BatchedCall) -> Any:
    at, value = call.xs
    shape = call.options["shape"]
    starts = np.arange(call.length)[:, None] * prod(shape)
    flat = (at + starts).reshape(-1)
    return call.op.apply(flat, value, **{**call.options, "shape": (call.length, *shape)})


def _guard_labels(call: SourceCall) -> str | None:
    """Of labels in plain sight one look at the largest will do: that is half of the call."""
    (labels,) = call.args
    if labels.dtype != np.intp or not prod(labels.shape):
        return None
    return f"maximum_reduce({labels.name}.view(uintp), None) >= {call.options['classes']}"


def _write_check(call: SourceCall) -> Callable[[Any], None] | None:
    (labels,) = call.args
    if not (isinstance(labels, SourceArray) and labels.plain and labels.shape):
        return None

    def write(code: Any) -> None:
        with code.loop(prod(labels.shape)) as k:
            j = code.as_index(labels[k])
            code.fail_if((j < 0) | (j >= call.options["classes"]), ShapeError)
        call.out[0] = prod(labels.shape)

    return write


def _write_hits(call: SourceCall) -> Callable[[Any], None] | None:
    at, value = call.args
    if not (isinstance(at, SourceArray) and at.plain and at.shape):
        return None
    if type(value) not in (int, float) or not isfinite(value):
        return None

    def write(code: Any) -> None:
        call.out.fill(0)
        with code.loop(prod(at.shape)) as k:
            j = code.as_index(at[k])
            code.fail_if((j < 0) | (j >= prod(call.out.shape)))
            call.out[j] = value

    return write


register_lowering(check_labels, effect=True, guard=_guard_labels, native=_write_check)
register_lowering(
    hits,
    statement="{out}.fill(0); {out}.reshape(-1)[{0}] = {1}",
    native=_write_hits,
    row_sum=1,
)
register_batching(_batch_check_labels, check_labels)
register_batching(_batch_hits, hits)


def _nll_kernel(log_probabilities: Array, at: Array) -> Array:
    return log_probabilities.reshape(-1)[at].sum() / -at.size


def _nll_rule(g: Array, _y: Array, x_like: Array, at: Array) -> Array:
    """-1/n at each label, 0 elsewhere."""
    make = _hits_kernel if type(at) is np.ndarray else hits
    return g * make(at, -1 / at.size, shape=x_like.shape, dtype=x_like.dtype)


_nll = composite(_nll_rule, None, name="nll", kind=Kind.GATHER)(_nll_kernel)


def _batch_nll(call: BatchedCall) -> Any:
    (x, at), (of_logits, of_labels) = call.xs, call.on
    rows = np.arange(call.length)[:, None]
    flat = x.reshape(call.length, prod(x.shape[1:])) if of_logits else x.reshape(-1)
    chosen = flat[(rows, at) if of_labels else (slice(None), at)] if of_logits else flat[at]
    return chosen.sum(axis=1) / -at.shape[-1]


register_batching(_batch_nll, _nll)
