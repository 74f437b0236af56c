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

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from ..support.errors import EscapedTensorError, NotDifferentiableError, RuleError, ShapeError
from ..support.foreign import as_array

if TYPE_CHECKING:
    from .primitive import Primitive
    from .tensor import Tensor

Array: TypeAlias = Any
"""An ndarray, a NumPy scalar, a Tensor, or any array that speaks NumPy's two protocols."""

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


NO_OPTIONS: dict[str, Any] = {}
"""The options of most records: shared, never written."""


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


def as_cotangent(g: Any, y: Array) -> Array:
    """g as a cotangent of y: of its shape, in its dtype."""
    g = as_array(g)
    shape, dtype = getattr(y, "shape", ()), getattr(y, "dtype", np.dtype(float))
    if g.shape != shape:
        raise ShapeError(f"the cotangent has shape {g.shape}, the output {shape}")
    if g.dtype.kind not in "fiub":
        raise NotDifferentiableError(f"a cotangent is an array of real numbers, not of {g.dtype}")
    return g if g.dtype == dtype else g.astype(dtype)


def conform(
    ct: Array, shape: tuple[int, ...], dtype: np.dtype[Any], op: Primitive, y_dtype: np.dtype[Any]
) -> Array:
    """A cotangent in the dtype of its primal.

    One in the dtype of the op's output is cast: a float32 parameter that met float64 data has a
    float32 gradient. Anything else is a mistake in the op's rule, and a RuleError.
    """
    if ct.dtype != dtype and ct.dtype == y_dtype:
        ct = ct.astype(dtype)
    if ct.shape != shape or ct.dtype != dtype:
        raise RuleError(
            f"{op.name}: a derivative rule returned {ct.dtype}{ct.shape}, but the input that it "
            f"belongs to is {dtype}{shape} (and the output {y_dtype})"
        )
    return ct


def unbroadcast(ct: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes that broadcasting added to, or stretched from, `shape`.

    The transpose of broadcasting: what was copied n times has the sum of n cotangents.
    """
    added = ct.ndim - len(shape)
    if added < 0:
        return ct  # nothing was broadcast: the rule is wrong, as `conform` will say
    plain = type(ct) is np.ndarray or hasattr(ct, "tape")
    if added == 1 and plain and ct.ndim == 2 and ct.dtype.char in "fd":
        ct = ones(ct.shape[0], ct.dtype) @ ct
    elif added:
        ct = np.sum(ct, tuple(range(added)))
    if ct.shape == shape:
        return ct
    stretched = tuple([i for i, n in enumerate(shape) if n == 1 and ct.shape[i] != 1])
    return np.sum(ct, stretched).reshape(shape) if stretched else ct


@functools.lru_cache(maxsize=16)
def ones(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A vector to sum with: `ones @ x` is a BLAS call, up to six times as fast as np.sum(x, 0)."""
    full = np.ones(shape, dtype)
    full.flags.writeable = False  # it is shared
    return full


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
