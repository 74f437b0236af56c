"""A function of machine code under construction: loops, elements of arrays, errors.

with code.loop(32) as i, code.loop(64) as j:
out[64 * i + j] = x[64 * i + j] + y[j]
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir

from ...staging.lowering import SourceArray
from ...support.errors import ShapeError
from .complex_terms import ComplexTerm
from .expressions import TYPES, constant, convert, find_part
from .layouts import Strides, plain_strides
from .processor import count_registers
from .rows import RowSums
from .terms import BOOL, INT8, INT64, Term, declare

POINTER = ir.PointerType()
ERRORS = (
    IndexError("an index is out of bounds"),
    ShapeError("a label is out of range"),
    ValueError("a value is out of range"),
    MemoryError("no memory for a table of sums"),
)
"""What the codes 1, 2 ... that a function can return stand for; 0 is success."""


ALLOCATE, FREE = "PyMem_RawMalloc", "PyMem_RawFree"
"""Of Python's C API, and not bound to its lock."""

LARGEST_ON_THE_STACK = 1 << 15
"""Bytes."""


class FunctionWriter:
    """A function of pointers (and numbers) that returns a code, and the builder that writes it."""

    def __init__(self, module: ir.Module, name: str, pointers: int, numbers: int = 0) -> None:
        signature = ir.FunctionType(INT64, [*[POINTER] * pointers, *[INT64] * numbers])
        self.function = ir.Function(module, signature, name)
        for argument in self.function.args[:pointers]:
            argument.add_attribute("noalias")
        self.function.attributes.add("nounwind")
        self.function.attributes.add("noinline")  # LLVM's time grows faster than functions do
        self.function.may_fail = False
        self.builder = ir.IRBuilder(self.function.append_basic_block())
        self.start = self.builder.block
        self.taken: list[Any] = []

    def close(self, code: int = 0) -> None:
        """Return success, or the code of an error."""
        for pointer in self.taken:
            free = declare(self.builder.module, FREE, ir.FunctionType(ir.VoidType(), [POINTER]))
            self.builder.call(free, [pointer])
        self.builder.ret(INT64(code))

    def index(self, number: int) -> Term:
        """A whole number, to count with."""
        return Term(self.builder, INT64(number))

    @contextmanager
    def loop(self, stop: int | Term, start: int | Term = 0, step: int = 1) -> Iterator[Term]:
        """A loop that is run at least once: the code that is written inside is its body."""
        before, builder = self.builder.block, self.builder
        body, after = (self.function.append_basic_block() for _ in range(2))
        builder.branch(body)
        builder.position_at_end(body)
        counter = builder.phi(INT64)
        first = start.value if isinstance(start, Term) else INT64(start)
        counter.add_incoming(first, before)
        yield Term(builder, counter)
        following = builder.add(counter, INT64(step), flags=["nsw", "nuw"])
        counter.add_incoming(following, builder.block)
        last = stop.value if isinstance(stop, Term) else INT64(stop)
        builder.cbranch(builder.icmp_signed("<", following, last), body, after)
        builder.position_at_end(after)

    @contextmanager
    def loops(self, shape: tuple[int, ...]) -> Iterator[tuple[Term, ...]]:
        """One loop inside the other, over the axes of an array."""
        with ExitStack() as stack:
            yield tuple([stack.enter_context(self.loop(n)) for n in shape])

    def count_registers(self, dtype: np.dtype[Any]) -> tuple[int, int]:
        """How many registers for vectors there are, and for how many numbers."""
        count, size = count_registers()
        return count, size // dtype.itemsize

    def register(self, dtype: np.dtype[Any], lanes: int) -> Register:
        """A vector that keeps its value from one step of a loop to the next."""
        return Register(self.builder, self._reserve(ir.VectorType(TYPES[dtype], lanes)))

    @contextmanager
    def blocks(self, size: int, block: int) -> Iterator[Term]:
        """Where blocks begin that cover so many numbers, the last one pushed back to the end."""
        with self.loop(-(-size // block)) as k:
            start = k * block
            yield (start > size - block).select(size - block, start) if size % block else start

    def sum_rows(self, *what: Any) -> None:
        """Sums of rows in blocks of registers: see `rows.RowSums`."""
        RowSums(*what).write(self)

    def as_index(self, x: Term) -> Term:
        """A whole number in the type to count with."""
        return Term(self.builder, x.convert(INT64).value)

    def fail_if(self, condition: Term, error: type[Exception] = IndexError) -> None:
        """Return the code of an error where the condition holds: then the kernel runs."""
        self.function.may_fail = True
        kinds: list[type[Exception]] = [type(known) for known in ERRORS]
        with self.builder.if_then(condition.value, likely=False):
            self.close(1 + kinds.index(error))

    def memory(self, dtype: np.dtype[Any], size: int) -> Place:
        """Memory for a table: the stack's, or if it is large taken until the function returns."""
        if size * dtype.itemsize <= LARGEST_ON_THE_STACK:
            return self.variable(dtype, size)
        allocate = declare(self.builder.module, ALLOCATE, ir.FunctionType(POINTER, [INT64]))
        pointer = self.builder.call(allocate, [INT64(size * dtype.itemsize)])
        nothing = self.builder.icmp_unsigned("==", pointer, ir.Constant(POINTER, None))
        self.fail_if(Term(self.builder, nothing), MemoryError)
        self.taken.append(pointer)
        return Place(self, pointer, (size,), dtype)

    def variable(self, dtype: np.dtype[Any], size: int = 1) -> Place:
        """Memory of the function's own, for a few numbers."""
        pointer = self._reserve(_in_memory(dtype), INT64(size))
        pointer.align, pointer.type = 64, POINTER  # of memory for rows as well as for numbers
        return Place(self, pointer, (size,), dtype)

    def pointers(self, count: int | None = None) -> Any:
        """The same for pointers."""
        return self._reserve(POINTER, None if count is None else INT64(count))

    def _reserve(self, kind: ir.Type, size: ir.Constant | None = None) -> Any:
        """Memory that is taken once, at the function's start, wherever it is asked for."""
        with self.builder.goto_block(self.start):
            self.builder.position_at_start(self.start)
            return self.builder.alloca(kind, size)

    def place_number(self, number: Any, dtype: np.dtype[Any]) -> Place:
        """A number as an array without axes."""
        cell = self.variable(dtype)
        cell[0] = number
        return Place(self, cell.pointer, (), dtype)


def _in_memory(dtype: np.dtype[Any]) -> ir.Type:
    return INT8 if dtype.kind == "b" else TYPES[dtype]


class Register:
    """A vector that can be set: memory in name, a register once LLVM has looked at it."""

    __slots__ = ("builder", "pointer")

    def __init__(self, builder: ir.IRBuilder, pointer: Any) -> None:
        self.builder = builder
        self.pointer = pointer

    @property
    def value(self) -> Term:
        """The vector."""
        return Term(self.builder, self.builder.load(self.pointer))

    @value.setter
    def value(self, vector: Term) -> None:
        self.builder.store(vector.value, self.pointer)

    def clear(self) -> None:
        """Set it to zeros."""
        self.builder.store(ir.Constant(self.pointer.type.pointee, None), self.pointer)


class Place(SourceArray):
    """An array in memory, whose elements are read and written as terms.

    A single index counts the elements of an array in plain order; several go by its axes. It has
    no code and no pointer where it only describes an array.
    """

    __slots__ = ("code", "pointer", "strides")

    def __init__(
        self,
        code: Any,
        pointer: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        strides: Strides | None = None,
    ) -> None:
        self.strides = plain_strides(shape) if strides is None else strides
        super().__init__("", shape, dtype, self.strides == plain_strides(shape))
        self.code, self.pointer = code, pointer

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def _point(self, at: int | Term | tuple[int | Term, ...]) -> Any:
        """Where an element is."""
        steps = self.strides if isinstance(at, tuple) else (1,)
        return self.point(at if isinstance(at, tuple) else (at,), steps)

    def point(self, indices: Sequence[int | Term], steps: Sequence[int]) -> Any:
        """Where the element is that so many steps lead to."""
        pairs = [*zip(indices, steps, strict=True)]
        offset = sum(i * step for i, step in pairs if isinstance(i, int))
        parts = [i if step == 1 else i * step for i, step in pairs if step and isinstance(i, Term)]
        parts += [self.code.index(offset)] if offset else []
        if not parts:
            return self.pointer
        place, kind = functools.reduce(operator.add, parts), _in_memory(self.dtype)
        return self.code.builder.gep(self.pointer, [place.value], source_etype=kind)

    def __getitem__(self, at: Any) -> Any:
        return self.load(self._point(at))

    def __setitem__(self, at: Any, value: Any) -> None:
        self.store(self._point(at), value)

    def _find_parts(self, pointer: Any) -> Place:
        """The two parts of a complex number as an array."""
        return Place(self.code, pointer, (2,), find_part(self.dtype))

    def load(self, pointer: Any, lanes: int = 0) -> Any:
        """The element at an address, or as many as a vector has lanes."""
        if self.dtype.kind == "c":
            parts = self._find_parts(pointer)
            return ComplexTerm(parts[0], parts[1])
        kind = _in_memory(self.dtype)
        kind = ir.VectorType(kind, lanes) if lanes else kind
        loaded = self.code.builder.load(pointer, align=self.dtype.itemsize, typ=kind)
        x = Term(self.code.builder, loaded, self.dtype.kind == "u")
        return x.convert(BOOL) if self.dtype.kind == "b" else x

    def store(self, pointer: Any, value: Any) -> None:
        """Write the element, or the elements, at an address."""
        known = isinstance(value, (Term, ComplexTerm))
        x = value if known else constant(self.code.builder, value, self.dtype)
        x = convert(x, self.dtype)
        if self.dtype.kind == "c":
            parts = self._find_parts(pointer)
            parts[0], parts[1] = x.real, x.imag
            return
        x = x.convert(INT8) if self.dtype.kind == "b" else x
        self.code.builder.store(x.value, pointer, align=self.dtype.itemsize)

    def load_lanes(self, at: int | Term, lanes: int) -> Any:
        """So many neighbours, of an array in plain order, as a vector."""
        return self.load(self._point(at), lanes)

    def fill(self, value: float) -> None:
        """The same number everywhere; of an array in plain order."""
        with self.code.loop(self.size) as k:
            self[k] = value
