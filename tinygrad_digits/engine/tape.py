"""The tape: what was computed, in order, and the reversed loop over it.

    Tape  : {index: Record}, in the order of execution
    sweep : {index: cotangent} of outputs -> {index: cotangent} of inputs

Reverse mode in three sentences. Running a function writes down its ops one after another, so the
list read backwards meets every op after all of its uses. Each op turns the cotangent of its output
(the derivative of the final scalar with respect to it) into cotangents of its inputs, by the chain
rule; where a value was used twice, its two cotangents add up. What has arrived at the inputs when
the list is exhausted is the gradient.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..support.errors import not_an_input, on_another_tape, refuse_escaped
from ..support.text import format_records
from .cotangent import as_cotangent, conform, unbroadcast
from .primitive import Array, Function, Primitive, Rule

tick = itertools.count(1).__next__
"""The time, as a number that nobody has been given before: atomic, so no two threads get one."""

OPEN: dict[int, None] = {}
"""The serial numbers of the interpreters that are not closed, written to atomically. While it is
empty, `jit` need not look for Tensors that a function uses without being given them."""

_NONE_LEFT: Iterator[int] = iter(refuse_escaped, None)  # `next` of it raises, each time


class Record(NamedTuple):
    """One line of the program; it refers to no Tensor of its own tape, so there are no cycles.

    Ops write plain tuples, which take a quarter of the time; `tape[index]` gives them these names.
    """

    op: Primitive | None  # None for an input of the tape
    parents: tuple[int | None, ...]  # the indices of what made the array arguments, or None
    inputs: tuple[Any, ...]  # the array arguments; None, to free it, for what no rule reads
    value: Array  # the output, or None where no rule reads it
    options: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        return "input" if self.op is None else self.op.name

    def pull(self, rule: Rule, g: Array) -> Array:
        """The cotangent that one of the op's rules makes of the output's."""
        return rule(g, self.value, *self.inputs, **self.options)


Pull: TypeAlias = Callable[[int, Record, Rule, Array], Array]
"""Runs a rule of a sweep: (index, record, rule, g) -> record.pull(rule, g)."""


class Interpreter:
    """What the ops on a Tensor mean: each Tensor is on one interpreter, and calls it `tape`.

    An op asks the top interpreter among its arguments (the newest: the innermost transform) what to
    do. That does its work on what its Tensors hold, which may be Tensors of the interpreters around
    it; so transforms nest, and no switch says which of them are on. There are seven kinds:

        Tape                  records what derivatives need          (grad, vjp, jvp, ...)
        RecordingInterpreter  keeps every op and operand             (record, profile)
        DebuggingInterpreter  looks at every operand and result      (debug)
        BatchInterpreter      applies ops to all examples at once    (vmap)
        JitInterpreter        writes a program, from shapes alone    (jit)
        StepInterpreter       writes that of a step or a branch      (scan, cond, ... in jit)
        LinearInterpreter     follows a cotangent through a rule     (grad, holomorphic=True)

    Ops are recorded on a `Tape` by `apply` itself, since that is where time goes. All others
    implement `process_primitive`. One that is closed has seen its function return.
    """

    __slots__ = ("indices", "is_complex", "records", "serial")

    def __init__(self) -> None:
        self.serial = tick()  # of two interpreters, the one with the larger number is inside
        self.indices: Iterator[int] = itertools.count()  # atomic too: threads may share one
        self.records: dict[int, tuple[Any, ...]] = {}
        self.is_complex = False  # whether an input is
        OPEN[self.serial] = None

    def __del__(self, forget: Any = OPEN.pop) -> None:
        forget(self.serial, None)

    def process_primitive(
        self, op: Primitive, compute: Function, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """What an op does here; `compute` makes its value of plain arrays."""
        raise NotImplementedError

    def process_call(self, call: Any) -> Any:
        """What a call with a derivative of its own does: here its function, op by op."""
        return call.run()

    def process_sweep(self, tape: Tape, pull: Pull | None) -> Pull | None:  # noqa: ARG002
        """What runs the rules of a sweep over a tape inside: `pull` (None: as they are) or more."""
        return pull

    def unbox(self, tensor: Any) -> Any:
        """What a Tensor on this holds; None where nothing is known but its shape and dtype."""
        return tensor.value

    def is_on(self, x: Any) -> bool:
        """Whether x is a Tensor on this interpreter."""
        return getattr(x, "tape", None) is self

    def close(self) -> None:
        """Take part in no more ops: one on a Tensor of this interpreter raises from now on."""
        self.indices = _NONE_LEFT
        OPEN.pop(self.serial, None)

    @property
    def closed(self) -> bool:
        return self.indices is _NONE_LEFT

    def check_open(self) -> None:
        """Raise EscapedTensorError if this is closed."""
        if self.closed:
            refuse_escaped()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return Record(*self.records[index])

    def __iter__(self) -> Iterator[Record]:
        return (Record(*record) for record in self.records.values())


class Tape(Interpreter):
    """The differentiating interpreter: what has been recorded, in the order in which it ran.

    Transforms such as `grad` make one for each call. By hand (leave the arrays that the program
    uses as they are until you have swept: only inputs are copied):

    >>> import numpy as np, tinygrad_digits as td
    >>> tape = td.Tape()
    >>> x = td.Tensor(np.array([1.0, 2.0]), tape)
    >>> y = np.sum(x * np.tanh(x))
    >>> tape.gradients(y, x)
    (array([1.1815685 , 1.10532923]),)
    >>> print(tape)
    %0  input             (2,)  float64
    %1  tanh      %0      (2,)  float64
    %2  multiply  %0, %1  (2,)  float64
    %3  sum       %2      ()    float64
    """

    __slots__ = ()

    def process_call(self, call: Any) -> Any:
        return call.record(self)

    @np.errstate(all="ignore")  # the forward pass has given NumPy's floating-point warnings
    def sweep(
        self, cotangents: dict[int, Array], *, free: bool, pull: Pull | None = None
    ) -> dict[int, Array]:
        """Carry the outputs' cotangents back to the inputs.

        With `free`, each record is let go as it is passed. Who watches runs the rules, by `pull`.
        """
        records = self.records if free else self.records.copy()
        while records:
            index, (op, parents, inputs, y, options, y_shape, y_dtype) = records.popitem()
            if op is None or (g := cotangents.pop(index, None)) is None:
                continue
            two = len(inputs) == 2 and not options  # most: a call with a star takes 0.1 us more
            for parent, rule in zip(parents, op.rules):  # noqa: B905 (variadic ones are endless)
                if parent is None or rule is None:
                    continue
                try:
                    if pull is not None:
                        record = Record(op, parents, inputs, y, options, y_shape, y_dtype)
                        ct = pull(index, record, rule, g)
                    elif two:
                        ct = rule(g, y, inputs[0], inputs[1])
                    else:
                        ct = rule(g, y, *inputs, **options)
                except Exception as error:
                    error.add_note(f"in the derivative of {op.name} -> {y_dtype}{y_shape}")
                    raise
                _, _, _, _, _, shape, dtype = records[parent]
                if ct.shape != shape or ct.dtype is not dtype:
                    if op.broadcasts and ct.shape != shape:
                        ct = unbroadcast(ct, shape)
                    if ct.shape != shape or ct.dtype is not dtype:
                        ct = conform(ct, shape, dtype, op, y_dtype)
                cotangents[parent] = cotangents[parent] + ct if parent in cotangents else ct
        return cotangents

    def find_pull(self, outputs: Iterable[Array]) -> Pull | None:
        """What runs the rules of a sweep from these outputs, as their interpreters want it."""
        values = [y.value for y in outputs if self.is_on(y)]
        around = {tape.serial: tape for value in values for tape in interpreters_of(value)}
        pull = None
        for _, tape in sorted(around.items()):
            pull = tape.process_sweep(self, pull)
        return pull

    def gradients(self, y: Any, *inputs: Any, g: Array | None = None) -> tuple[Array, ...]:
        """The cotangents of inputs of this tape, given `g` (ones by default) for y: all Tensors.

        Zeros where y does not depend on an input. Of complex numbers they are those of `vjp`, not
        conjugated as `grad` has them. The tape is kept: sweep it as often as you like.
        """
        for x in (y, *inputs):
            if x.tape is not self:
                raise on_another_tape(x)
        for x in inputs:
            if self[x.index].op is not None:
                raise not_an_input(x.index, self[x.index].name)
        seed = np.ones(y.shape, y.dtype) if g is None else as_cotangent(g, y)
        cotangents = self.sweep({y.index: seed}, free=False, pull=self.find_pull([y]))
        found = [cotangents.get(x.index, np.zeros(x.shape, x.dtype)) for x in inputs]
        return tuple([ct.copy() if isinstance(ct, np.ndarray) else ct for ct in found])

    def __str__(self) -> str:
        return format_records(zip(self.records, self, strict=True))


def interpreters_of(x: Any) -> Iterator[Interpreter]:
    """The interpreters that a value is on, the innermost first."""
    while isinstance(tape := getattr(x, "tape", None), Interpreter):
        yield tape
        x = tape.unbox(x)
