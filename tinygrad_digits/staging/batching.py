"""Batching rules: how an op is applied to many examples at once. `vmap` goes by them.

    rule : BatchedCall -> the result with the batch axis first, or NotImplemented if it takes a loop

A rule gets what an op was called with, where some arguments have a batch axis in front of the axes
that one example has, and calls the op so that it leaves that axis alone. The kind of an op gives
it for most (`KINDS`). For others a rule is registered on their primitive, beside the op: one of its
own, or one of those here, which many ops share.
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


class BatchedCall(NamedTuple):
    """The application of an op, as batching rules see it: to `length` examples at once."""

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


Rule: TypeAlias = Callable[[BatchedCall], Any]


def register_batching(rule: Rule, *ops: Any) -> None:
    """Let vmap apply these ops to many examples by a rule, instead of one example after the other.

    >>> import tinygrad_digits as td
    >>> double = td.define(lambda x: 2 * x, lambda g, _y, _x: 2 * g)
    >>> td.vmap(double).loops(np.ones((2, 3)))
    ('<lambda>',)
    >>> register_batching(batch_whole, double)
    >>> td.vmap(double).loops(np.ones((2, 3)))
    ()
    """
    for op in ops:
        op.primitive.batching = rule


def rule_of(op: Primitive) -> Rule:
    """The rule that is registered on a primitive, or that of its kind."""
    return op.batching or KINDS.get(op.kind, take_loop)


def take_loop(_call: BatchedCall) -> Any:
    """The rule of ops of which nothing is known."""
    return NotImplemented


# --- rules that many ops share


def batch_elementwise(call: BatchedCall) -> Any:
    if not are_plain(call.options.values()):
        return NotImplemented
    ndim = max(call.ndims())
    aligned = [widen(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True)]
    return call.op.apply(*aligned, **call.options)


def batch_whole(call: BatchedCall) -> Any:
    """What treats each element by itself, whatever the shape."""
    return call.op.apply(*call.xs, **call.options)


def batch_in_one(first: int) -> Rule:
    """The rule for what treats each element of argument `first` by itself, with the same others."""

    def rule(call: BatchedCall) -> Any:
        alone = call.on[first] and sum(call.on) == 1 and are_plain(call.options.values())
        return batch_whole(call) if alone else NotImplemented

    return rule


def batch_reduction(call: BatchedCall) -> Any:
    """Over the same axes, one further on."""
    return _batch_along(call, flat=False)


def batch_along_flat(call: BatchedCall) -> Any:
    """The same where axis=None does not mean all axes, but the one of the flattened array."""
    return _batch_along(call, flat=True)


def _batch_along(call: BatchedCall, *, flat: bool) -> Any:
    parameters, options = _parameters(call.op.kernel), call.named()
    others = [option for name, option in options.items() if name != "axis"]
    several = call.op.rules and len(call.xs) > 1
    if not call.on[0] or several or "axis" not in parameters or not are_plain(others):
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
        x, axis, ndim = flatten_example(x), 0, 1
    return call.op.apply(x, **{**options, "axis": shift_axes(axis, ndim)})


def batch_last_axes(call: BatchedCall) -> Any:
    """What works on the last axes of whatever there is."""
    simple = len(call.xs) == 1 and are_plain(call.options.values())
    return call.op.apply(*call.xs, **call.options) if simple else NotImplemented


def batch_matrices(call: BatchedCall) -> Any:
    """The rule for any number of matrices, whose batches broadcast."""
    ndim = max(call.ndims())
    aligned = [widen(x, on, ndim) for x, on in zip(call.xs, call.on, strict=True)]
    return call.op.apply(*aligned, **call.options)


def batch_two_axes(call: BatchedCall) -> Any:
    """With axis1 and axis2 one further on."""
    ndim, defaults = call.ndims()[0], {"axis1": 0, "axis2": 1}
    further = {name: shift_axis(call.options.get(name, i), ndim) for name, i in defaults.items()}
    return call.op.apply(call.xs[0], **{**call.options, **further})


KINDS: dict[Kind, Rule] = {Kind.ELEMENTWISE: batch_elementwise, Kind.REDUCTION: batch_reduction}


# --- what rules are made of


def are_plain(options: Iterable[Any]) -> bool:
    """Whether options are the same for all examples, and no arrays that go along with theirs."""
    return all(
        are_plain(x) if isinstance(x, tuple) else not (isinstance(x, Tensor) or np.ndim(x))
        for x in options
    )


def move_axis(x: Array, source: int, to: int) -> Array:
    """x with one axis moved; by a transpose, which every kind of array knows."""
    ndim = len(x.shape)
    source, to = source % ndim, to % ndim
    if source == to:
        return x
    order = [axis for axis in range(ndim) if axis != source]
    return np.transpose(x, (*order[:to], source, *order[to:]))


def widen(x: Array, on: bool, ndim: int) -> Array:
    """Axes of length 1 between the batch axis and the others, so that examples broadcast."""
    missing = ndim + 1 - np.ndim(x)
    return x.reshape(len(x), *(1,) * missing, *x.shape[1:]) if on and missing else x


def broadcast_examples(call: BatchedCall) -> list[Any]:
    """The arguments, each with a batch axis."""
    return [
        x if on else np.broadcast_to(x, (call.length, *np.shape(x)))
        for x, on in zip(call.xs, call.on, strict=True)
    ]


def shift_axis(axis: int, ndim: int) -> int:
    """An axis of an example as one of the stacked array."""
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def shift_axes(axis: int | Iterable[int] | None, ndim: int) -> int | tuple[int, ...]:
    """The same for what says axis=: an int, several, or None for all."""
    if isinstance(axis, int | np.integer):
        return shift_axis(int(axis), ndim)
    return tuple([shift_axis(i, ndim) for i in (range(ndim) if axis is None else axis)])


def as_tuple(several: Any) -> tuple[Any, ...]:
    return tuple(several) if isinstance(several, tuple | list) else (several,)


def flatten_example(x: Array) -> Array:
    return x.reshape(len(x), prod(x.shape[1:]))


@functools.cache
def _parameters(kernel: Any) -> dict[str, Any]:
    """The parameters of a function and their defaults."""
    try:
        parameters = inspect.signature(kernel).parameters
    except (TypeError, ValueError):  # some builtins have none
        return {}
    return {name: p.default for name, p in parameters.items()}
