"""What a function does, op by op: `record : (args -> y) -> args -> Recording`.

A `RecordingInterpreter` is told of every op on its Tensors, those of inner tapes included: a
gradient taken inside the function is recorded with its forward and its backward pass. It keeps all
operands and values, which a tape lets go, to be looked at, drawn and timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import Array, Function, Primitive
from ..engine.run import run_on
from ..engine.tape import Interpreter, Record, Tape
from ..engine.tensor import Tensor
from ..staging.arithmetic import ARITHMETIC, NUMBERS
from ..staging.tracer import bare
from ..support import tree
from ..support.argnums import ArgNums, leaf_paths
from ..support.errors import NotDifferentiableError
from ..support.text import describe_record, format_table
from ..support.tree import Tree
from . import drawing


class RecordingInterpreter(Interpreter):
    """Is told of every op, and keeps all that the op read and made."""

    __slots__ = ("groups", "names")

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}  # by index, what the inputs are called
        self.groups: list[tuple[str, int, int]] = []  # loops: their names, first and last records

    def run(
        self,
        f: Callable[..., Tree],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        argnums: ArgNums | None,
    ) -> Tree:
        """f(*args, **kwargs) with the floats and the floating-point arrays on this.

        Those of all arguments, or of the ones at `argnums`.
        """

        def box_leaves(leaves: list[Any], _: Interpreter, boxed: list[Any]) -> None:
            if argnums is None:
                paths = leaf_paths(args, tuple(range(len(args))), f)
                paths += [path for key, x in kwargs.items() for path, _ in tree.items(x, key)]
            else:
                paths = leaf_paths(args, argnums, f)
            for path, leaf in zip(paths, leaves, strict=True):
                boxed.append(self.box(leaf))
                if self.is_on(boxed[-1]):
                    self.names[boxed[-1].index] = path

        if argnums is not None:
            return run_on(self, f, args, kwargs, argnums=argnums, box=box_leaves)[0]

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
            return f(*args, **kwargs)

        return run_on(self, call, (args, kwargs), argnums=(0, 1), box=box_leaves)[0]

    def process_primitive(
        self, op: Primitive, compute: Function, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        self.check_open()
        for name, option in options.items():
            if isinstance(option, Tensor):
                raise NotDifferentiableError(f"{op.name}: {name}= cannot be a Tensor")
        parents = tuple([x.index if self.is_on(x) else None for x in args])
        inputs = tuple([x.value if self.is_on(x) else x for x in args])
        y = _compute(op, compute, inputs, options)
        return (
            self.record(op, parents, inputs, options, y) if op.rules and tree.is_inexact(y) else y
        )

    def process_call(self, call: Any) -> Tree:
        """A call whose derivative, if an outer tape takes it, is its own; its ops are seen here."""
        if call.staged:
            return call.run()
        outside = self.unbox_all(call.args)
        if find_top_tape(tree.flatten(outside)[0]) is None:
            return call.run()

        def hide_from(g: Callable[..., Tree]) -> Callable[..., Tree]:
            return lambda *args: self.unbox_all(g(*tree.map(self.box, args)))

        outer = call._replace(args=outside, f=hide_from(call.f), forward=hide_from(call.forward))
        return tree.map(self.box, outer.apply())

    def box(self, x: Any) -> Any:
        """A leaf on this interpreter, if it is a floating-point number or an array of them."""
        return self.record(None, (), (), {}, x) if tree.is_inexact(x) else x

    def unbox_all(self, whole: Tree) -> Tree:
        """A tree without this interpreter."""
        return tree.map(lambda x: x.value if self.is_on(x) else x, whole)

    def record(
        self,
        op: Primitive | None,
        parents: tuple[int | None, ...],
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        y: Array,
    ) -> RecordedTensor:
        """Write a record with everything in it, and return the Tensor of its value."""
        index = next(self.indices)
        recorded = object.__new__(RecordedTensor)
        recorded.value, recorded.tape, recorded.index = y, self, index
        self.records[index] = (op, parents, inputs, y, options, recorded.shape, recorded.dtype)
        return recorded


class RecordedTensor(Tensor):
    """Unlike other Tensors it may be a Python number, and stays one."""

    __slots__ = ()
    tape: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def dtype(self) -> np.dtype[Any]:
        return getattr(self.value, "dtype", None) or np.dtype(type(self.value))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(bare(self), np.ndarray)

    def strong(self) -> Any:
        """Itself, or for a Python number the NumPy scalar that it is worth."""
        worth = {float: np.float64, complex: np.complex128}.get(type(self.value))
        return self if worth is None else self.tape.box(worth(self.value))


def _compute(
    op: Primitive, compute: Function, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """The op on what is inside: Tensors of an outer tape, arrays, or Python numbers alone."""
    if find_top_tape(inputs, options) is not None:
        return op.apply(*inputs, **options)
    if op.function in ARITHMETIC and all(type(x) in NUMBERS for x in inputs):
        compute = ARITHMETIC[op.function].kernel  # which leaves Python numbers Python numbers
    return compute(*inputs, **options)


class Group(NamedTuple):
    """The records of a loop: those from start on, before stop."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, repr=False)
class Recording:
    """The ops of one call of a function, in order: print it, draw it, or show it in a notebook.

    A loop (`scan`, `while_loop` ...) shows as one op; `open()` shows what is in it.
    """

    tape: Tape
    names: dict[int, str]
    """What the inputs are called, by index."""
    outputs: dict[int, str]
    """What the results are called, by index."""
    groups: tuple[Group, ...] = ()
    """The loops, each shown as one op until it is opened."""

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        return zip(self.tape.records, self.tape, strict=True)

    def __len__(self) -> int:
        return len(self.tape)

    def __str__(self) -> str:
        rows, closed = [], self._find_closed()
        for index, record in self:
            group, named = closed.get(index), self.outputs.get(index)
            if group is not None and index == group.start:
                rows.append(self._describe_group(group))
            elif group is None and (record.op is not None or index in self.names):
                arrow = f"-> {named}" if named else ""
                name = self._name(index, record)
                rows.append((f"%{index}", name, *describe_record(record)[1:], arrow))
        return format_table(rows) or "an empty tape"

    __repr__ = __str__

    def _name(self, index: int, record: Record) -> str:
        return self.names.get(index, record.name) if record.op is None else record.name

    def open(self) -> Recording:
        """The same with what is in the loops; loops inside of these are opened in turn."""
        outer = {*self._find_closed().values()}
        return replace(self, groups=tuple(group for group in self.groups if group not in outer))

    def _find_closed(self) -> dict[int, Group]:
        """By index the outermost loop that a record is in."""
        closed: dict[int, Group] = {}
        for group in sorted(self.groups, key=lambda group: group.stop - group.start):
            closed |= dict.fromkeys(range(group.start, group.stop), group)
        return closed

    def _parents_of(self, group: Group) -> list[int]:
        """What a loop reads from outside."""
        inside = range(group.start, group.stop)
        every = [parent for i in inside for parent in self.tape[i].parents]
        return [*dict.fromkeys(i for i in every if i is not None and i not in inside)]

    def _results_of(self, group: Group) -> str:
        inside = range(group.start, group.stop)
        return ", ".join(self.outputs[i] for i in inside if i in self.outputs)

    def _describe_group(self, group: Group) -> tuple[str, ...]:
        results = self._results_of(group)
        read = ", ".join(f"%{i}" for i in self._parents_of(group))
        span = f"%{group.start}-%{group.stop - 1}"
        return span, group.name, read, "", "", f"-> {results}" if results else ""

    def nodes(self) -> dict[int, drawing.Box]:
        """The records as what is drawn of them; a loop is one box until it is opened."""
        boxes, closed = {}, self._find_closed()

        def place(parents: Iterable[int | None]) -> list[int]:
            there = [i for i in parents if i is not None]
            return [*dict.fromkeys(closed[i].start if i in closed else i for i in there)]

        for index, record in self:
            group = closed.get(index)
            if group is None:
                boxes[index] = self._draw(index, record, place(record.parents))
            elif index == group.start:
                ops = f"{group.stop - group.start} ops"
                results = self._results_of(group) or None
                boxes[index] = drawing.Box(
                    group.name,
                    ops,
                    "open() shows them",
                    "opaque",
                    results,
                    place(self._parents_of(group)),
                )
        return boxes

    def _draw(self, index: int, record: Record, parents: list[int]) -> drawing.Box:
        return drawing.Box(
            self._name(index, record),
            f"{record.dtype}{list(record.shape) or ''}",
            f"%{index} {record.name} {describe_record(record)[1]}".rstrip(),
            "input" if record.op is None else str(record.op.kind),
            self.outputs.get(index),
            parents,
        )

    def svg(self, *, limit: int = 400) -> str:
        """The tape as a picture: inputs on top, each op below what it reads."""
        return drawing.draw_svg(self.nodes(), limit=limit)

    def dot(self) -> str:
        """The tape in the language of Graphviz (https://graphviz.org/doc/info/lang.html)."""
        return drawing.write_dot(self.nodes())

    def _repr_svg_(self) -> str:
        return self.svg()


def record(
    f: Callable[..., Any], *args: Any, argnums: ArgNums | None = None, **kwargs: Any
) -> Recording:
    """`record : (args -> y) -> args -> Recording`: the tape of one call of a function.

    Every floating-point array (and float) in the arguments, or in those at the positions
    `argnums`, is an input of the tape. What f returns is not differentiated, so it may be any tree.
    Gradients taken inside f are recorded too. Of custom_vjp, checkpoint and fixed_point the tape
    shows what runs inside them, and not the rule that a gradient would use.

    >>> print(record(lambda x, w: np.tanh(x @ w), np.ones((2, 3)), np.ones(3)))
    %0  x               (2, 3)  float64
    %1  w               (3,)    float64
    %2  matmul  %0, %1  (2,)    float64
    %3  tanh    %2      (2,)    float64  -> y
    """
    interpreter = RecordingInterpreter()
    y = interpreter.run(f, args, kwargs, argnums)
    outputs: dict[int, str] = {}
    for path, leaf in tree.items(y, "y"):
        if interpreter.is_on(leaf):
            outputs[leaf.index] = ", ".join(filter(None, [outputs.get(leaf.index), path]))
    tape = Tape()
    tape.records = interpreter.records  # with all operands: it can be swept as often as one likes
    tape.close()
    groups = tuple(Group(*group) for group in interpreter.groups)
    return Recording(tape, interpreter.names, outputs, groups)
