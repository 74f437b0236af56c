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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..support.errors import EscapedTensorError, NotDifferentiableError
from .cotangent import as_cotangent, conform, unbroadcast
from .primitive import Array, Primitive

if TYPE_CHECKING:
    from .tensor import Tensor

# glibc returns freed memory to the system as soon as that is more than twice the largest block that
# it ever mapped by itself (mallopt(3), M_MMAP_THRESHOLD), and fetching it again takes 2 us a page:
# up to half of a step. One large block, never touched, makes it keep 32 MB.
np.empty(1 << 24, np.uint8)

_serials = itertools.count(1)  # `next` of it is atomic: no two threads ever get the same number


OPEN: dict[int, None] = {}
"""The serial numbers of the tapes that record still. Nothing depends on them but whether `jit` has
to look for Tensors that a function uses without being given them: while this is empty, there are
none. Both ways of writing to it are atomic."""


class _NoneLeft:
    """The indices that a closed tape has to give."""

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        raise EscapedTensorError(
            "a Tensor has outlived the call of grad, vjp, ... that made it, and was used in an op; "
            "return what you need from the differentiated function (has_aux=True), or take the "
            "bare numbers with .value"
        )


_NONE_LEFT = _NoneLeft()


class Record(NamedTuple):
    """One line of the program: an op, where its inputs came from, and what its rules will read.

    The ops write plain tuples of this layout, which take a quarter of the time; `tape[index]`
    gives one its names. A record refers to no Tensor of its own tape, so there are no cycles.
    """

    op: Primitive | None
    """None for an input of the tape."""
    parents: tuple[int | None, ...]
    """The index of the record that made each array argument; None for a constant."""
    inputs: tuple[Any, ...]
    """The array arguments, or None where no rule reads them (so that they can be freed)."""
    value: Array
    """The output, or None where no rule reads it."""
    options: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        return "input" if self.op is None else self.op.name


class Tape:
    """A program under way: what has been recorded, in the order in which it ran.

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

    __slots__ = ("indices", "records", "serial")

    def __init__(self) -> None:
        self.serial = next(_serials)  # of two tapes, the one with the larger number is inside
        self.indices: Iterator[int] = itertools.count()  # atomic too: threads may share a tape
        self.records: dict[int, tuple[Any, ...]] = {}
        OPEN[self.serial] = None

    def __del__(self, forget: Any = OPEN.pop) -> None:
        forget(self.serial, None)

    def applied(
        self, op: Primitive, kernel: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """What an op does on a tape of another kind (a subclass), instead of recording here."""
        raise NotImplementedError

    def called(
        self,
        row: Primitive,  # noqa: ARG002 (these are for a tape that others differentiate through)
        args: tuple[Any, ...],
        f: Any,
        forward: Any,  # noqa: ARG002
        pull: Any,  # noqa: ARG002
    ) -> Any:
        """What a call with a derivative of its own does there: f, op by op."""
        return f(*args)

    def close(self) -> None:
        """Record no more: from now on an op on one of this tape's Tensors raises."""
        self.indices = _NONE_LEFT
        OPEN.pop(self.serial, None)

    @property
    def closed(self) -> bool:
        return self.indices is _NONE_LEFT

    @np.errstate(all="ignore")  # the forward pass has given NumPy's floating-point warnings
    def sweep(self, cotangents: dict[int, Array], *, free: bool) -> dict[int, Array]:
        """Carry the outputs' cotangents back to the inputs.

        With `free`, each record is let go as it is passed, and what it kept with it.
        """
        records = self.records if free else self.records.copy()
        while records:
            index, (op, parents, inputs, y, options, y_shape, y_dtype) = records.popitem()
            if op is None or (g := cotangents.pop(index, None)) is None:
                continue
            for parent, rule in zip(parents, op.rules):  # noqa: B905 (an Each is endless)
                if parent is None or rule is None:
                    continue
                try:
                    ct = rule(g, y, *inputs, **options) if options else rule(g, y, *inputs)
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

    def gradients(self, y: Tensor, *inputs: Tensor, g: Array | None = None) -> tuple[Array, ...]:
        """The cotangents of this tape's inputs, given `g` (ones by default) for the Tensor `y`.

        Zeros where y does not depend on an input. The tape is kept: sweep it as often as you like.
        """
        for tensor in (y, *inputs):
            if tensor.tape is not self:
                raise NotDifferentiableError(
                    f"a Tensor {tensor.dtype}{tensor.shape} is on another tape"
                )
        for tensor in inputs:
            if self[tensor.index].op is not None:
                raise NotDifferentiableError(
                    f"%{tensor.index} ({self[tensor.index].name}) is not an input of this tape: "
                    "start one there, Tensor(value, tape)"
                )
        seed = np.ones(y.shape, y.dtype) if g is None else as_cotangent(g, y)
        cotangents = self.sweep({y.index: seed}, free=False)
        found = [cotangents.get(x.index, np.zeros(x.shape, x.dtype)) for x in inputs]
        return tuple([ct.copy() if isinstance(ct, np.ndarray) else ct for ct in found])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return Record(*self.records[index])

    def __iter__(self) -> Iterator[Record]:
        return (Record(*record) for record in self.records.values())

    def __str__(self) -> str:
        rows = [
            (f"%{index}", record.name, operands(record), str(record.shape), str(record.dtype))
            for index, record in zip(self.records, self, strict=True)
        ]
        return aligned(rows) or "an empty tape"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def operands(record: Record) -> str:
    """Where a record's inputs come from, and its options."""
    parts = [
        f"%{parent}" if parent is not None else _described(value)
        for parent, value in zip(record.parents, record.inputs, strict=True)
    ]
    return ", ".join(parts + [f"{key}={value!r}" for key, value in record.options.items()])


def _described(constant: Any) -> str:
    if constant is None:
        return "constant"
    if isinstance(constant, int | float):
        return repr(constant)
    return f"{constant.dtype}{list(constant.shape)}"
