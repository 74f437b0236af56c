"""New arrays: copies, ranges between two ends, counts, and what a function makes of slices."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..engine.define import define
from ..engine.primitive import Array, Kind
from ..engine.tensor import Tensor
from ..staging.batching import batch_whole, register_batching
from ..support.foreign import as_array
from .complex_parts import refuse_order
from .indexing import getitem, scatter
from .registering import handles
from .selection import held

# --- copies

copied = define(
    np.copy, lambda g, _y, _x, order="K": g, name="copy", kind=Kind.OPAQUE, unchecked=True
)
register_batching(batch_whole, copied)


@handles(np.copy)
def copy(a: Array, order: Any = "K") -> Array:
    """numpy.copy; `order` is how the copy lies in memory."""
    return copied(a, order=order)


# --- ranges


@handles(np.linspace)
def linspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """numpy.linspace; with an integer dtype the result is constant almost everywhere."""
    if num < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    start, stop = (np.asarray(x) if isinstance(x, list) else x for x in (start, stop))
    kind = np.result_type(start, stop, 0.0)  # Python numbers take the other's
    start, stop = as_array(start).astype(kind), as_array(stop).astype(kind)
    delta, parts = stop - start, num - 1 if endpoint else num
    numbers = np.arange(num, dtype=kind).reshape((num,) + (1,) * delta.ndim)
    step = delta / parts if parts > 0 else np.nan
    y = numbers * (step if parts > 0 else delta) + start
    if endpoint and num > 1:
        last = np.broadcast_to(stop, delta.shape)[None]
        y = np.concatenate([y[:-1], last])
    y = np.moveaxis(y, 0, axis) if axis else y
    if dtype is not None:
        y = (np.floor(y) if np.dtype(dtype).kind in "iu" else y).astype(dtype)
    return (y, step) if retstep else y


@handles(np.logspace)
def logspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    base: Array = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """numpy.logspace: base to the powers of numpy.linspace."""
    if np.ndim(base):
        ndim = max(map(np.ndim, (start, stop, base)))
        start, stop, base = (
            x.reshape((1,) * (ndim - x.ndim) + x.shape) for x in map(as_array, (start, stop, base))
        )
        base = np.expand_dims(base, axis)
    y = np.power(base, np.linspace(start, stop, num, endpoint=endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


def _signs(x: Array) -> Array:
    if not np.all(x):
        raise ValueError("geomspace: a geometric sequence cannot include zero")
    return np.sign(x)


signs = define(_signs, name="signs")


@handles(np.geomspace)
def geomspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """numpy.geomspace: start, and each next one multiplied by the same, up to stop."""
    start, stop = as_array(start), as_array(stop)
    kind = np.result_type(start, stop, np.float64 if dtype is None else dtype, 0.0)
    sign = signs(start)
    signs(stop)
    start, stop = start.astype(kind) / sign, stop.astype(kind) / sign
    y = np.logspace(np.log10(start), np.log10(stop), num, endpoint=endpoint)
    shape = y.shape[1:]
    if num:
        ends = [np.broadcast_to(start, shape)[None]]
        ends += [np.broadcast_to(stop, shape)[None]] if num > 1 and endpoint else []
        y = np.concatenate([ends[0], y[1 : num + 1 - len(ends)], *ends[1:]])
    y = y * sign
    y = np.moveaxis(y, 0, axis) if axis else y
    return y if dtype is None else y.astype(dtype)


# --- counts: what is counted is constant almost everywhere, its weights are not


@handles(np.bincount)
def bincount(x: Array, /, weights: Array = None, minlength: int = 0) -> Array:
    """numpy.bincount: the sum of the weights of each number; x is integers."""
    if isinstance(x, Tensor) and x.dtype.kind == "f":
        raise TypeError("bincount: the numbers that are counted are integers, not a Tensor")
    if weights is None or isinstance(x, Tensor):
        return counted(x, minlength=minlength)  # under a trace, which refuses
    counts = np.bincount(x, minlength=minlength)
    x = np.asarray(x, np.intp)
    if weights.shape != x.shape:
        raise ValueError(f"bincount: {x.shape[0]} numbers with weights of shape {weights.shape}")
    if weights.dtype.kind == "c":
        raise TypeError("bincount: weights are real: count with those of .real, and of .imag")
    return scatter(weights.astype(np.float64), index=x, shape=counts.shape)


counted = define(np.bincount, name="bincount")


def _edges(a: Array, bins: Any, range: Any) -> Array:
    return np.histogram_bin_edges(a, bins, range)


def _counts(a: Array, weights: Array, bins: Any, range: Any) -> Array:
    return np.histogram(a, bins, range, weights=weights)[0]


def _bin(a: Array, bins: Any, range: Any) -> Array:
    """The number of each element's bin, of which the last is closed; one more where it has none."""
    edges = np.histogram_bin_edges(a, bins, range)
    last = len(edges) - 1
    at = np.searchsorted(edges, a, side="right") - 1
    return np.where(a == edges[-1], last - 1, np.where((at < 0) | (at >= last), last, at))


def _histogram_rule(g: Array, _y: Array, a: Array, _weights: Array, bins: Any, range: Any) -> Array:
    """Of each weight: the cotangent of the bin that its element is in."""
    padded = np.concatenate([g, np.zeros(1, g.dtype)])
    return getitem(padded, bin_of(a, bins=bins, range=range))


def _end_rule(k: int, g: Array, _y: Array, *ends: Array) -> Array:
    """Of the first or last edge: those between move in proportion to how near they are."""
    nearness = np.linspace(1 - k, k, g.shape[0], dtype=g.dtype)
    return np.sum(g * nearness).astype(ends[k].dtype)


edges_of = define(_edges, name="edges")
named_edges_of = define(np.histogram_bin_edges, name="histogram_bin_edges")
between = define(
    lambda _first, _last, edges: edges,
    lambda g, y, first_like, last_like, _edges: _end_rule(0, g, y, first_like, last_like),
    lambda g, y, first_like, last_like, _edges: _end_rule(1, g, y, first_like, last_like),
    None,
    name="between",
    unchecked=True,
)
counts_of = define(_counts, name="counts")
bin_of = define(_bin, name="bin_of")
weigh = define(_counts, None, _histogram_rule, name="histogram", kind=Kind.OPAQUE, unchecked=True)


def _without_gradient(bins: Any, range: Any) -> dict[str, Any]:
    return {"bins": held(bins), "range": range and tuple(map(held, range))}


@handles(np.histogram_bin_edges)
def histogram_bin_edges(
    a: Array,
    bins: Any = 10,
    range: Any = None,
    weights: Array = None,  # noqa: ARG001 (which NumPy does not use either)
) -> Array:
    """numpy.histogram_bin_edges: evenly between the smallest and the largest, which they follow.

    >>> import tinygrad_digits as td
    >>> td.jacobian(lambda x: np.histogram_bin_edges(x, 2))(np.array([1.0, 3.0]))
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ]])
    """
    refuse_order("histogram", a, bins)
    given = _without_gradient(bins, range)
    edges = (named_edges_of if isinstance(bins, str) else edges_of)(a, **given)
    if np.ndim(bins):
        return bins if isinstance(bins, Tensor) else edges
    ends = range or ((np.min(a), np.max(a)) if np.size(a) else ())
    if not any(isinstance(end, Tensor) and end.dtype.kind == "f" for end in ends):
        return edges
    return between(*ends, edges)


@handles(np.histogram)
def histogram(
    a: Array,
    bins: Any = 10,
    range: Any = None,
    density: bool | None = None,
    weights: Array = None,
) -> tuple[Array, Array]:
    """numpy.histogram: (counts, edges), differentiable in the weights and where the edges are."""
    edges = histogram_bin_edges(a, bins, range)
    given = _without_gradient(bins, range)
    count = weigh if isinstance(weights, Tensor) else counts_of
    counts = count(a, weights, **given)
    if density:
        return counts / np.diff(edges).astype(np.float64) / np.sum(counts), edges
    return counts, edges


# --- what a function makes of slices


@handles(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Array, *args: Any, **kwargs: Any
) -> Array:
    """numpy.apply_along_axis: each vector along an axis gives way to what the function returns.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.apply_along_axis(np.sum, 0, x)[1])(np.ones((2, 3)))
    array([[0., 1., 0.],
           [0., 1., 0.]])
    """
    axis = normalize_axis_index(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    if not all(rows.shape[:-1]):
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    found = [as_array(func1d(rows[i], *args, **kwargs)) for i in np.ndindex(rows.shape[:-1])]
    y = np.stack(found).reshape(rows.shape[:-1] + found[0].shape)
    outer, inner = rows.ndim - 1, found[0].ndim
    order = [*range(axis), *range(outer, outer + inner), *range(axis, outer)]
    return np.transpose(y, order)


@handles(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Array, axes: int | Sequence[int]) -> Array:
    """numpy.apply_over_axes: func(x, axis) for one axis after another, each of which is kept."""
    y = a
    for axis in np.atleast_1d(axes):
        axis = normalize_axis_index(int(axis), a.ndim)
        reduced = func(y, axis)
        y = reduced if reduced.ndim == y.ndim else np.expand_dims(reduced, axis)
        if y.ndim != a.ndim:
            raise ValueError(f"apply_over_axes: the function made {reduced.ndim} axes of {a.ndim}")
    return y
