"""How each op is applied to many examples at once: the rules that `vmap` goes by.

    Rule : Call -> the result with the batch axis first, or NotImplemented if it takes a loop

A rule gets what an op was called with, where some arguments have a batch axis in front of the axes
that one example has, and calls the op so that it leaves that axis alone. The kind of an op tells
it for most (`KINDS`); the others have a rule of their own (`RULES`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..engine.primitive import Array, Kind, Primitive
from ..engine.tensor import Tensor
from ..ops import CHAPTERS, nondifferentiable, products
from ..staging.tracer import StandIn
from ..support.errors import ShapeError


class Call(NamedTuple):
    """The application of an op, as batching rules see it.

    They return the result with the batch axis first, or NotImplemented if it takes a loop.
    """

    op: Primitive
    length: int
    xs: list[Any]
    """What the arguments hold."""
    on: list[bool]
    """Which of them have the batch axis first."""
    options: dict[str, Any]
    has: Callable[[Any], bool]
    """Whether something in an option is different for each example."""

    def ndims(self) -> list[int]:
        """The number of axes of one example of each argument."""
        return [np.ndim(x) - on for x, on in zip(self.xs, self.on, strict=True)]

    def named(self) -> dict[str, Any]:
        """All that follows the first argument, by name."""
        if len(self.xs) == 1:
            return self.options
        names = [*_parameters(self.op.kernel)][1:]
        return {**dict(zip(names, self.xs[1:], strict=False)), **self.options}


Rule: TypeAlias = Callable[[Call], Any]


def moved(x: Array, source: int, to: int) -> Array:
    """x with one axis moved; by a transpose, which every kind of array knows."""
    ndim = len(x.shape)
    source, to = source % ndim, to % ndim
    if source == to:
        return x
    order = [axis for axis in range(ndim) if axis != source]
    return np.transpose(x, (*order[:to], source, *order[to:]))


@functools.cache
def _parameters(kernel: Any) -> dict[str, Any]:
    """The parameters of a function and their defaults."""
    try:
        parameters = inspect.signature(kernel).parameters
    except (TypeError, ValueError):  # some builtins have none
        return {}
    return {name: p.default for name, p in parameters.items()}


def unknown(_call: Call) -> Any:
    return NotImplemented


def _simple(options: Iterable[Any]) -> bool:
    """Whether options are the same for all examples, and no arrays that go along with theirs."""
    return all(
        _simple(x) if isinstance(x, tuple) else not (isinstance(x, Tensor) or np.ndim(x))
        for x in options
    )


def _elementwise(call: Call) -> Any:
    if not _simple(call.options.values()):
        return NotImplemented
    ndim = max(call.ndims())
    aligned = [_widened(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True)]
    return call.op.apply(*aligned, **call.options)


def _reduction(call: Call) -> Any:
    """Over the same axes, one further on."""
    return _along(call, flat=False)


def _along_flat(call: Call) -> Any:
    """The same where axis=None does not mean all axes, but the one of the flattened array."""
    return _along(call, flat=True)


def _along(call: Call, *, flat: bool) -> Any:
    parameters, options = _parameters(call.op.kernel), call.named()
    others = [option for name, option in options.items() if name != "axis"]
    several = call.op.rules and len(call.xs) > 1
    if not call.on[0] or several or "axis" not in parameters or not _simple(others):
        return NotImplemented
    x, ndim = call.xs[0], call.ndims()[0]
    axis = options.get("axis", parameters["axis"])
    if ndim == 0 and flat:
        return NotImplemented
    if ndim == 0 and axis in (None, 0, -1, ()):
        options = {name: option for name, option in options.items() if name != "keepdims"}
        return call.op.apply(x.reshape(len(x), 1), **{**options, "axis": 1}).reshape(len(x))
    if axis is None and flat:
        if options.get("keepdims"):
            return NotImplemented
        x, axis, ndim = _flat(x), 0, 1
    return call.op.apply(x, **{**options, "axis": _further_each(axis, ndim)})


def _among(call: Call) -> Any:
    """A reduction of what a mask selects, which has the shape of the array, or none."""
    ndim = max(call.ndims())
    if ndim == 0 or call.ndims()[0] < ndim:
        return NotImplemented
    x, where = (_widened(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True))
    x = x if call.on[0] else np.broadcast_to(x, (call.length, *np.shape(x)))
    axis = _further_each(call.options.get("axis"), ndim)
    return call.op.apply(x, where, **{**call.options, "axis": axis})


def _quantile(call: Call) -> Any:
    """The axes of q come first in the result."""
    options, x, ndim = call.named(), call.xs[0], call.ndims()[0]
    q, axis = options["q"], options.get("axis")
    others = [option for name, option in options.items() if name not in ("q", "axis")]
    if not call.on[0] or call.has(q) or isinstance(q, Tensor) or not ndim or not _simple(others):
        return NotImplemented
    y = call.op.apply(x, **{**options, "axis": _further_each(axis, ndim)})
    return moved(y, np.ndim(q), 0)


def _norm(call: Call) -> Any:
    (x,), options, ndim = call.xs, dict(call.options), call.ndims()[0]
    if options.get("axis") is None:
        if options.get("keepdims"):
            return NotImplemented
        x, ndim = (_flat(x), 1) if options.get("ord") is None else (x, ndim)
    return call.op.apply(x, **{**options, "axis": _further_each(options.get("axis"), ndim)})


def _flat(x: Array) -> Array:
    return x.reshape(len(x), prod(x.shape[1:]))


def _last_axes(call: Call) -> Any:
    """What works on the last axes of whatever there is."""
    simple = len(call.xs) == 1 and _simple(call.options.values())
    return call.op.apply(*call.xs, **call.options) if simple else NotImplemented


# matrix products


def _matmul(call: Call) -> Any:
    (a, b), (left, right), (m, n) = call.xs, call.on, call.ndims()
    if min(m, n) == 0:
        raise ShapeError("matmul: a product of matrices takes no 0-d arrays; write a * b")
    if not right and n <= 2:
        if m == 1:
            return a @ b
        shape = (*a.shape[:-1], *b.shape[1:])  # one product over the rows of all examples
        return (a.reshape(prod(a.shape[:-1]), a.shape[-1]) @ b).reshape(shape)
    if not left and m <= 2 and n == 1:
        return b @ a.T
    a = a[..., None, :] if m == 1 else a
    b = b[..., None] if n == 1 else b
    ndim = max(m, n, 2)
    a, b = (_widened(x, on, ndim) for x, on in ((a, left), (b, right)))
    y = a @ b
    y = y[..., 0, :] if m == 1 else y
    return y[..., 0] if n == 1 else y


def _vectors(left: int, right: int) -> Rule:
    """The rule for a product whose arguments have so many axes that are no batch of their own."""

    def rule(call: Call) -> Any:
        if call.options:
            return NotImplemented
        outer = max(n - core for n, core in zip(call.ndims(), (left, right), strict=True))
        each = zip(call.xs, call.on, (left, right), strict=True)
        return call.op.apply(*[_widened(x, on, outer + core) for x, on, core in each])

    return rule


def _solve(call: Call) -> Any:
    (a, b), (left, right), (m, n) = call.xs, call.on, call.ndims()
    if n == 1 and m == 2 and not left:
        return call.op.apply(a, b.T).T  # all examples at once
    b = b[..., None] if n == 1 else b
    ndim = max(m, n, 2)
    y = call.op.apply(_widened(a, left, ndim), _widened(b, right, ndim))
    return y[..., 0] if n == 1 else y


def _sparse_product(call: Call) -> Any:
    """A sparse matrix times (k,) or (k, m): one product with the columns of all examples."""
    (data, x), options = call.xs, call.options
    if x.ndim == 2:
        return call.op.apply(data, x.T, **options).T
    columns = moved(x, 0, 1).reshape(x.shape[1], call.length * x.shape[2])
    y = call.op.apply(data, columns, **options)
    return moved(y.reshape(y.shape[0], call.length, x.shape[2]), 1, 0)


def _matrices(call: Call) -> Any:
    """The rule for any number of matrices, whose batches broadcast."""
    ndim = max(call.ndims())
    aligned = [_widened(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True)]
    return call.op.apply(*aligned, **call.options)


def _widened(x: Array, on: bool, ndim: int) -> Array:
    """Axes of length 1 between the batch axis and the others, so that examples broadcast."""
    missing = ndim + 1 - np.ndim(x)
    return x.reshape(len(x), *(1,) * missing, *x.shape[1:]) if on and missing else x


def _einsum(call: Call) -> Any:
    inputs, output = call.options["subscripts"].split("->")
    fresh = next((c for c in products.LETTERS if c not in inputs), None)
    if fresh is None:
        return NotImplemented
    terms = [fresh * on + term for term, on in zip(inputs.split(","), call.on, strict=True)]
    subscripts = f"{','.join(terms)}->{fresh}{output}"
    return call.op.apply(*call.xs, **{**call.options, "subscripts": subscripts})


# views


def _reshape(call: Call) -> Any:
    (x,), options = call.xs, call.options
    shape = _tupled(options["shape"])
    count = prod(x.shape[1:])
    known = prod(n for n in shape if n != -1)
    shape = tuple([count // max(known, 1) if n == -1 else n for n in shape])
    if prod(shape) != count:
        raise ShapeError(f"cannot reshape an example of shape {x.shape[1:]} into {shape}")
    if options.get("order", "C") == "C":
        return x.reshape(len(x), *shape)
    y = np.reshape(moved(x, 0, -1), (*shape, len(x)), order="F")  # the last varies slowest
    return moved(y, -1, 0)


def _tupled(several: Any) -> tuple[Any, ...]:
    return tuple(several) if isinstance(several, tuple | list) else (several,)


def _transpose(call: Call) -> Any:
    ndim = call.ndims()[0]
    axes = call.options.get("axes")
    axes = range(ndim)[::-1] if axes is None else axes
    return np.transpose(call.xs[0], (0, *[axis % ndim + 1 for axis in axes]))


def _two_axes(call: Call) -> Any:
    """With axis1 and axis2 one further on."""
    ndim, defaults = call.ndims()[0], {"axis1": 0, "axis2": 1}
    further = {name: _further(call.options.get(name, i), ndim) for name, i in defaults.items()}
    return call.op.apply(call.xs[0], **{**call.options, **further})


def _expand_dims(call: Call) -> Any:
    axis = call.options["axis"]
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = call.ndims()[0] + len(axes)
    return call.op.apply(call.xs[0], axis=tuple([_further(i, ndim) for i in axes]))


def _squeeze(call: Call) -> Any:
    (x,), axis = call.xs, call.options.get("axis")
    if axis is None:
        return x.reshape(len(x), *[n for n in x.shape[1:] if n != 1])
    axes = axis if isinstance(axis, tuple) else (axis,)
    return call.op.apply(x, axis=tuple([_further(i, x.ndim - 1) for i in axes]))


def _broadcast_to(call: Call) -> Any:
    (x,), shape = call.xs, _tupled(call.options["shape"])
    x = _widened(x, True, len(shape))
    return call.op.apply(x, shape=(len(x), *shape))


def _further(axis: int, ndim: int) -> int:
    """An axis of an example as one of the stacked array."""
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def _further_each(axis: int | Iterable[int] | None, ndim: int) -> int | tuple[int, ...]:
    """The same for what says axis=: an int, several, or None for all."""
    if isinstance(axis, int | np.integer):
        return _further(int(axis), ndim)
    return tuple([_further(i, ndim) for i in (range(ndim) if axis is None else axis)])


def _tile(call: Call) -> Any:
    reps = _tupled(call.options["reps"])
    x = _widened(call.xs[0], True, len(reps))
    return call.op.apply(x, reps=(1,) * (x.ndim - len(reps)) + reps)


# some of the elements, several arrays in one


def _concatenate(call: Call) -> Any:
    axis = _further(call.options.get("axis", 0), call.ndims()[0])
    return call.op.apply(*_all_batched(call), axis=axis)


def _all_batched(call: Call) -> list[Any]:
    """The arguments, each with a batch axis."""
    return [
        x if on else np.broadcast_to(x, (call.length, *np.shape(x)))
        for x, on in zip(call.xs, call.on, strict=True)
    ]


def _take(call: Call) -> Any:
    (x,), (on,) = call.xs, call.on
    index, layout = _stacked_index(call, call.ndims()[0], on)
    return layout.ordered(call.op.apply(x, index=index))


def _scatter(call: Call) -> Any:
    (g,), shape = _all_batched(call), call.options["shape"]
    index, layout = _stacked_index(call, len(shape), True)
    return call.op.apply(layout.disordered(g), index=index, shape=(call.length, *shape))


def _put(call: Call) -> Any:
    x, v = _all_batched(call)
    ndim = call.ndims()[0]
    index, layout = _stacked_index(call, ndim, True)
    like = [
        np.zeros(part.shape, int) if call.has(part) else part
        for part in _parts(call.options["index"])
    ]
    if any(isinstance(part, Tensor) for part in like):
        return NotImplemented
    place = np.broadcast_to(False, x.shape[1:])[tuple(like)]
    if place.ndim < v.ndim - 1:
        return NotImplemented
    return call.op.apply(x, layout.disordered(_widened(v, True, place.ndim)), index=index)


class Layout(NamedTuple):
    """Where in stacked[index] the axes are: the batch, and those that integer arrays make.

    NumPy puts the latter where the arrays stand, if they stand together, and first if they do not
    (https://numpy.org/doc/stable/user/basics.indexing.html#combining-advanced-and-basic-indexing);
    the batch axis has a part of the index of its own, which changes that.
    """

    batch: int = 0
    """The place of the batch axis."""
    width: int = 0
    """How many axes behind it are to go further back,"""
    behind: int = 0
    """behind so many others."""

    def ordered(self, y: Array) -> Array:
        return _shifted(moved(y, self.batch, 0), self.width, self.behind)

    def disordered(self, y: Array) -> Array:
        return moved(_shifted(y, self.behind, self.width), 0, self.batch)


def _shifted(y: Array, width: int, behind: int) -> Array:
    """y with `width` axes after the first moved behind the next `behind`."""
    if not width or not behind:
        return y
    first, second = range(1, 1 + width), range(1 + width, 1 + width + behind)
    return np.transpose(y, (0, *second, *first, *range(1 + width + behind, len(y.shape))))


def _stacked_index(call: Call, ndim: int, on: bool) -> tuple[Any, Layout]:
    """An example's index of an array with `ndim` axes, as an index of the stacked array."""
    parts = _parts(call.options["index"])
    if not any(map(call.has, parts)):
        ndims = [1 if part.dtype == np.bool_ else part.ndim for part in parts if _is_array(part)]
        apart = bool(ndims) and not _together(parts)
        return (slice(None), *parts), Layout(batch=max(ndims) if apart else 0)
    for part in parts:
        if isinstance(part, StandIn) and part.dtype == np.bool_:
            part.refuse("the shape of x[mask]")
    parts = tuple(
        [each for part in parts for each in (part.nonzero() if _is_mask(part) else (part,))]
    )
    block = max(part.ndim for part in parts if _is_array(part))
    full = [_widened(part.stacked, True, block) if call.has(part) else part for part in parts]
    before = _axes_before(parts, ndim) if _together(parts) else 0
    if not on:
        return tuple(full), Layout(batch=before)
    rows = np.arange(call.length).reshape(call.length, *(1,) * block)
    return (rows, *full), Layout(width=block, behind=before)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _is_array(part: Any) -> bool:
    return isinstance(part, np.ndarray | Tensor)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == np.bool_


def _is_slicing(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice)


def _together(parts: tuple[Any, ...]) -> bool:
    """Whether the integers and arrays of an index stand side by side."""
    chosen = [k for k, part in enumerate(parts) if not _is_slicing(part)]
    return chosen[-1] - chosen[0] < len(chosen)


def _axes_before(parts: tuple[Any, ...], ndim: int) -> int:
    """How many axes of the result come before those of the arrays."""
    first = next(k for k, part in enumerate(parts) if not _is_slicing(part))
    named = [part for part in parts if part is not None and part is not Ellipsis]
    hidden = ndim - len(named)
    return sum(hidden if part is Ellipsis else 1 for part in parts[:first])


# classification and noise


def _whole(call: Call) -> Any:
    """What treats each element by itself, whatever the shape."""
    return call.op.apply(*call.xs, **call.options)


def _windows(call: Call) -> Any:
    """Of images, (n, c, h, w) -> (c, *window, n, *positions): those of all examples together."""
    (x,) = call.xs
    y = call.op.apply(x.reshape(call.length * x.shape[1], *x.shape[2:]), **call.options)
    return moved(y.reshape(*y.shape[:3], *x.shape[:2], *y.shape[4:]), 3, 0)


def _fold(call: Call) -> Any:
    g, (n, *rest) = moved(call.xs[0], 0, 3), call.options["shape"]
    together = g.reshape(*g.shape[:3], call.length * n, *g.shape[5:])
    y = call.op.apply(together, **{**call.options, "shape": (call.length * n, *rest)})
    return y.reshape(call.length, n, *rest)


def _in_one(first: int) -> Rule:
    """The rule for what treats each element of argument `first` by itself, with the same others."""

    def rule(call: Call) -> Any:
        alone = call.on[first] and sum(call.on) == 1 and _simple(call.options.values())
        return _whole(call) if alone else NotImplemented

    return rule


def _check_labels(call: Call) -> Any:
    count = _whole(call)
    return np.broadcast_to(count // max(call.length, 1), (call.length,))


def _hits(call: Call) -> Any:
    at, value = call.xs
    shape = call.options["shape"]
    starts = np.arange(call.length)[:, None] * prod(shape)
    flat = (at + starts).reshape(-1)
    return call.op.apply(flat, value, **{**call.options, "shape": (call.length, *shape)})


def _nll(call: Call) -> Any:
    (x, at), (of_logits, of_labels) = call.xs, call.on
    rows = np.arange(call.length)[:, None]
    flat = x.reshape(call.length, prod(x.shape[1:])) if of_logits else x.reshape(-1)
    chosen = flat[(rows, at) if of_labels else (slice(None), at)] if of_logits else flat[at]
    return chosen.sum(axis=1) / -at.shape[-1]


# --- the tables

KINDS: dict[Kind, Rule] = {Kind.ELEMENTWISE: _elementwise, Kind.REDUCTION: _reduction}

_SHARED: dict[Rule, str] = {
    _whole: "astype draw copy",
    _elementwise: "round around fix isclose isreal iscomplex isneginf isposinf angle frexp",
    _in_one(0): "interp digitize isin",
    _in_one(1): "searchsorted",
    _two_axes: "swapaxes trace",
    _reduction: "all any count_nonzero logaddexp.reduce repeat",
    _along_flat: "cumsum cumprod maximum.accumulate minimum.accumulate logaddexp.accumulate argmax "
    "argmin nanargmax nanargmin argsort argpartition partition_places unwrap",
    _among: "sum_among prod_among max_among min_among nanmax nanmin",
    _quantile: "quantile percentile nanquantile nanpercentile",
    _last_axes: "softmax log_softmax log_probabilities inv inverse_or_nan det slogdet qr cholesky "
    "read eigh eigvalsh svd svdvals pinv expm",
}

BY_NAME: dict[str, Rule] = {
    "matmul": _matmul,
    "einsum": _einsum,
    "reshape": _reshape,
    "transpose": _transpose,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "broadcast_to": _broadcast_to,
    "concatenate": _concatenate,
    "getitem": _take,
    "scatter": _scatter,
    "put": _put,
    "tile": _tile,
    "windows": _windows,
    "fold": _fold,
    "solve": _solve,
    "sparse_product": _sparse_product,
    **dict.fromkeys(("cofactors", "funm", "check_eigh", "check_svd", "check_qr"), _matrices),
    "vecdot": _vectors(1, 1),
    "matvec": _vectors(2, 1),
    "vecmat": _vectors(1, 2),
    "norm": _norm,
    "check_labels": _check_labels,
    "hits": _hits,
    "nll": _nll,
    **{name: rule for rule, names in _SHARED.items() for name in names.split()},
}

ROWS: list[Primitive] = [
    op.primitive
    for chapter in (*(vars(chapter) for chapter in CHAPTERS), nondifferentiable.OPS)
    for op in chapter.values()
    if isinstance(getattr(op, "primitive", None), Primitive)
]
"""Every row of the chapters, those without derivatives too."""

RULES: dict[Primitive, Rule] = {row: BY_NAME[row.name] for row in ROWS if row.name in BY_NAME}
