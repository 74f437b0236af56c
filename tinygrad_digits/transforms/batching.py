"""vmap: a function of one example, run once on all of them.

    vmap : (x -> y) -> (xs with a batch axis) -> (ys with a batch axis)

A `BatchInterpreter` records nothing. Its tracers (`BatchTracer`) have the shape of one example, and
hold all of them in one array with the batch axis first. An op on tracers is applied to what they
hold, told by its batching rule to leave the first axis alone: most rules follow from the kind
of the op. What they hold may be on other tapes, so that gradients and programs of a vmap need
nothing more. An op without a batching rule is applied to each example in a loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, NoReturn, ParamSpec, Protocol, TypeAlias, cast

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import Array, Kind, Primitive
from ..engine.run import run_on
from ..engine.tape import Interpreter
from ..staging.batching import BatchedCall, move_axis, rule_of
from ..staging.tracer import CHOOSE, Tracer
from ..support import tree
from ..support.argnums import leaf_paths
from ..support.errors import ShapeError, TracedValueError
from ..support.foreign import admit, within
from ..support.options import suggest_options
from ..support.pickling import wrap_transform
from ..support.tree import Tree
from ..support.user_lines import user_line
from .calls import CustomCall, is_differentiated, refuse_captured

Axes: TypeAlias = Any
"""A batch axis (an int, or None for what all examples share), or a tree of them."""


P = ParamSpec("P")


class Vectorized(Protocol[P]):
    """A function of batches, and the names of the ops that it applies to each example in turn."""

    loops: Callable[P, tuple[str, ...]]

    def __call__(self, *args: P.args, **options: P.kwargs) -> Any: ...


@suggest_options
def vmap(f: Callable[P, Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Vectorized[P]:
    """`vmap : (x -> y) -> (xs with a batch axis) -> (ys with a batch axis)`, without a loop.

    Args:
        f: a function of one example, from trees to trees of arrays.
        in_axes: where the arrays of the arguments have the batch axis; None for what is the same
            for all examples. One for all, or a tuple with one for each argument, which may be a
            tree with one for each of the argument's subtrees. Arrays that are given by keyword
            have it first; what else is given by keyword is the same for all.
        out_axes: where to put it in the results; None (for what is the same for all) checks that.

    Inside f, np.shape and the like tell of one example, and `if` on a batched value raises
    TracedValueError. What is drawn for a batched array (`dropout`) is drawn for each example, as a
    loop would; an array that a generator fills on its own is the same for all. Raises ShapeError
    where batch axes differ in length. `vmap(f).loops(*args)` names the ops that have no batching
    rule and so were applied to each example in turn.

    >>> import numpy as np, tinygrad_digits as td
    >>> x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.5])
    >>> td.vmap(td.grad(lambda w, x: np.tanh(w @ x)), in_axes=(None, 0))(w, x).shape
    (2, 2)
    >>> td.vmap(np.median).loops(x)
    ()
    """

    def run(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, BatchInterpreter]:
        batch, plan = _plan_batch(f, in_axes, args, options)

        def box_leaves(_: list[Any], batch: BatchInterpreter, boxed: list[Any]) -> None:
            boxed += [x if axis is None else batch.box(move_axis(x, axis, 0)) for x, axis in plan]

        output, _, _ = run_on(
            batch,
            lambda args, options: f(*args, **options),
            (args, options),
            argnums=(0, 1),
            box=box_leaves,
        )
        leaves, structure = tree.flatten(output)
        axes = _spread_axes(out_axes, output, "out_axes")
        results = [batch.take_result(within(y), axis) for y, axis in zip(leaves, axes, strict=True)]
        return tree.unflatten(structure, results), batch

    def map_examples(*args: Any, **options: Any) -> Any:
        return run(args, options)[0]

    def loops(*args: Any, **options: Any) -> tuple[str, ...]:
        return tuple(sorted(run(args, options)[1].looped))

    whole = cast("Vectorized[P]", wrap_transform(f, map_examples, vmap, in_axes, out_axes))
    whole.loops = loops
    return whole


# --- the interpreter and its tracers


class BatchInterpreter(Interpreter):
    """Applies the ops of a function to `length` examples at once."""

    __slots__ = ("length", "looped", "taken")

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.looped: set[str] = set()  # the names of the ops that had no batching rule
        self.taken: set[int] = set()  # by id, arrays that are the caller's, or in a result

    def box(self, stacked: Array) -> BatchTracer:
        """The tracer for one example of an array whose first axis is the batch."""
        tracer = object.__new__(BatchTracer)
        tracer.tape, tracer.index, tracer.stacked = self, -1, stacked
        return tracer

    def box_some(self, xs: Sequence[Any], on: Sequence[bool]) -> list[Any]:
        """The same for those that have the batch axis; the others as they are."""
        return [self.box(x) if batched else x for x, batched in zip(xs, on, strict=True)]

    def unbox(self, tensor: BatchTracer) -> Array:
        return tensor.stacked

    def process_primitive(
        self,
        op: Primitive,
        compute: Any,  # noqa: ARG002 (the op itself is applied, to what may be on other tapes)
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        self.check_open()
        if op.kind is Kind.STATIC:
            return op.apply(*tree.map(self._example, args), **tree.map(self._example, options))
        on = [self.is_on(x) for x in args]
        xs = [x.stacked if batched else x for x, batched in zip(args, on, strict=True)]
        if op.rules:
            xs = [np.asarray(x) if isinstance(x, list | tuple) else x for x in xs]
        y = rule_of(op)(BatchedCall(op, self.length, xs, on, options, self.is_on))
        if y is not NotImplemented:
            return tuple(map(self.box, y)) if isinstance(y, tuple) else self.box(y)
        if op.composite and not any(map(is_differentiated, xs)):
            return op.kernel(*args, **options)  # outside there is nobody who needs its own rules
        self.looped.add(op.name)
        return self._loop(op, args, options)

    def process_call(self, call: Any) -> Tree:
        """The call for all examples at once: what vmap makes of its function, forward and pull."""
        if call.staged:
            return call.batch(self)
        leaves, structure = tree.flatten(call.args)
        axes = [0 if self.is_on(x) else None for x in leaves]
        stacked = [x if axis is None else x.stacked for x, axis in zip(leaves, axes, strict=True)]
        if find_top_tape(stacked) is None:
            return call.run()
        in_axes = tree.unflatten(structure, axes)
        avals = call.avals

        def pull_all(_: Tree, residuals: Tree, g: Tree, tracked: list[int]) -> list[Array]:
            cts = vmap(lambda residuals, g: call.pull(avals, residuals, g, tracked))(residuals, g)
            return [
                np.sum(ct, 0) if axes[k] is None else ct for k, ct in zip(tracked, cts, strict=True)
            ]

        y = CustomCall(
            call.primitive,
            tree.unflatten(structure, stacked),
            vmap(call.f, in_axes),
            vmap(call.forward, in_axes),
            pull_all,
        ).apply()
        refuse_captured(call.primitive, y, self.serial - 1)
        return tree.map(lambda x: self.box(x) if hasattr(x, "dtype") else x, y)

    def _example(self, x: Any) -> Any:
        """Something of the shape and dtype of one example."""
        return np.empty(x.shape, x.dtype) if self.is_on(x) else x

    def _loop(self, op: Primitive, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The op applied to each example (to an example of ones, if there are none)."""

        def nth(k: int, x: Any) -> Any:
            if not self.is_on(x):
                return x
            return x.stacked[k] if self.length else np.ones(x.shape, x.dtype)

        results = []
        for k in range(max(self.length, 1)):
            each_args, each_options = tree.map(functools.partial(nth, k), (args, options))
            results.append(op.apply(*each_args, **each_options))
        parts = [tree.flatten(y)[0] for y in results]
        structure = tree.flatten(results[0])[1]
        return tree.unflatten(
            structure, [self._stack(op, column) for column in zip(*parts, strict=True)]
        )

    def _stack(self, op: Primitive, ys: tuple[Any, ...]) -> Any:
        if not hasattr(ys[0], "dtype") and not isinstance(ys[0], int | float | complex):
            return ys[0]
        shapes = {np.shape(y) for y in ys}
        if len(shapes) > 1:
            raise ShapeError(
                f"{op.name}: under vmap every example needs a result of the same shape, got "
                f"{', '.join(map(str, sorted(shapes)))}; choose by np.where rather than by a mask"
            )
        stacked = np.stack([y if hasattr(y, "dtype") else np.asarray(y) for y in ys])
        return self.box(stacked if self.length else stacked[:0])

    def take_result(self, y: Any, axis: int | None) -> Any:
        """A result as the caller's own, with the batch axis in its place."""
        number = isinstance(y, int | float | complex) and not isinstance(y, np.generic)
        if not self.is_on(y):
            if not number and not hasattr(y, "dtype"):
                return y
            if axis is None:
                return y.copy() if isinstance(y, np.ndarray) else y
            y = y if hasattr(y, "dtype") else np.asarray(y)
            y = self.box(np.broadcast_to(y, (self.length, *y.shape)))
        elif axis is None:
            raise ShapeError(
                f"out_axes: None, but the {y.dtype}{y.shape} there differs between examples"
            )
        ndim = 1 + y.ndim
        if not -ndim <= axis < ndim:
            raise ShapeError(f"out_axes: {axis}, but the result has {ndim} axes with the batch's")
        whole = move_axis(y.stacked, 0, axis)
        if isinstance(whole, np.ndarray) and (whole.base is not None or id(whole) in self.taken):
            whole = whole.copy()
        self.taken.add(id(whole))
        return whole


class BatchTracer(Tracer):
    """A tracer for one example of many. It has an example's shape, but shows no value."""

    __slots__ = ("stacked",)
    kind = "batched"
    stacked: Array
    tape: Any

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.stacked.shape
        return shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.stacked.dtype
        return dtype

    @property
    def memory(self) -> Array:
        each: Array = getattr(self.stacked, "memory", self.stacked)
        return each[0] if len(each) else np.empty(self.shape)

    def __repr__(self) -> str:
        return f"Batched({self.tape.length} x {self.dtype}{self.shape})"

    def refuse(self, what: str, instead: str = CHOOSE) -> NoReturn:
        take = ", take elements of a plain one with td.at(array)[index].get()"
        elsewhere = take if instead is CHOOSE else ""
        raise TracedValueError(
            f"{user_line()}: {what} needs the value of a batched {self.dtype}{self.shape}, which "
            f"under vmap stands for {self.tape.length} examples at once. {instead}{elsewhere}, or "
            "leave this part out of the mapped function"
        )


# --- onto the tape


def _plan_batch(
    f: Any, in_axes: Axes, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[BatchInterpreter, list[tuple[Any, int | None]]]:
    """The interpreter for the arguments' batch; their leaves, with the axis of what is mapped."""
    if isinstance(in_axes, tuple | list) and len(in_axes) != len(args):
        raise TypeError(
            f"in_axes={in_axes} is for {len(in_axes)} arguments; vmap was called with {len(args)}"
        )
    axes = _spread_axes(in_axes, args, "in_axes")
    leaves, _ = tree.flatten((args, options))
    paths = [*leaf_paths(args, tuple(range(len(args))), f)]
    paths += [path for name, option in options.items() for path, _ in tree.items(option, name)]
    axes += [0 if np.ndim(x) else None for x in leaves[len(axes) :]]
    leaves = [
        x if axis is None or isinstance(x, Number) else admit(x, path)
        for path, x, axis in zip(paths, leaves, axes, strict=True)
    ]
    where = [*zip(paths, leaves, axes, strict=True)]
    lengths = {path: _length(path, x, axis) for path, x, axis in where if _is_mapped(x, axis)}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{path}: {n}" for path, n in lengths.items()) or "none at all"
        raise ShapeError(f"vmap needs batch axes of one length, got {told}")
    batch = BatchInterpreter(next(iter(lengths.values())))
    batch.taken.update(map(id, leaves))
    return batch, [(x, axis if path in lengths else None) for path, x, axis in where]


def _spread_axes(axes: Axes, whole: Tree, name: str) -> list[Any]:
    """For each leaf of a tree its batch axis, told by a tree of axes that may end earlier."""
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes] * len(tree.flatten(whole)[0])
    inner, outer = _open_children(axes), _open_children(whole)
    if inner is None or outer is None or inner.keys() != outer.keys():
        raise ShapeError(
            f"{name}: an axis is an int or None, or a tree of them like the arrays; got {axes!r} "
            f"for {type(whole).__name__}"
        )
    return [axis for key, child in outer.items() for axis in _spread_axes(inner[key], child, name)]


def _open_children(whole: Tree) -> dict[Any, Tree] | None:
    _, structure = tree.flatten(whole)
    return None if structure is None else structure[0].open(whole)


def _is_mapped(leaf: Any, axis: int | None) -> bool:
    numeric = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
    return axis is not None and numeric and not isinstance(leaf, bool)


def _length(path: str, x: Any, axis: int | None) -> int:
    shape = np.shape(x)
    if axis is None or not -len(shape) <= axis < len(shape):
        raise ShapeError(
            f"{path}: has no axis {axis} to map over, its shape is {shape}; what all examples "
            "share has None in in_axes"
        )
    return int(shape[axis])
