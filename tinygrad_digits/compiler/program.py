"""A program: straight-line code in which every value is computed once and keeps its number.

    input    : %0 params['w']  float32(64, 10)
    constant : %3              float32(10,)
    line     : %5 matmul %1, %0 -> float32(32, 10)
    output   : %5

Lines stand in the order in which they ran. A pass takes a program and returns another.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..engine.primitive import Kind, Primitive

Operand: TypeAlias = Any
"""A Var, a Python number, or a tuple, list, slice or dict with Vars somewhere inside."""


@dataclass(frozen=True, slots=True)
class Var:
    """The value with this number."""

    index: int

    def __repr__(self) -> str:
        return f"%{self.index}"


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a value before the program runs."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    form: str = "array"
    """Or "scalar" (a NumPy scalar), "number" (a Python float), "generator" or "tuple"."""
    order: tuple[int, ...] = ()
    """The axes from the slowest to the fastest in memory, where that is not their order."""

    @staticmethod
    def of(y: Any) -> Value:
        """What a program can rely on, having seen y."""
        form = (
            "array" if isinstance(y, np.ndarray) else "scalar" if hasattr(y, "dtype") else "number"
        )
        order: tuple[int, ...] = ()
        if form == "array" and not y.flags.c_contiguous:
            order = tuple(sorted(range(y.ndim), key=lambda axis: -abs(y.strides[axis])))
        dtype = y.dtype if form != "number" else np.dtype(type(y))
        return Value(np.shape(y), dtype, form, () if order == (*range(len(order)),) else order)

    def laid_out(self, memory: Any) -> Any:
        """Contiguous memory as an array of this shape, in this order."""
        flat = memory.view(self.dtype)
        if not self.order:
            return flat.reshape(self.shape)
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return flat.reshape([self.shape[axis] for axis in self.order]).transpose(inverse)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}" if self.form in ("array", "scalar") else self.form


@dataclass(frozen=True, slots=True)
class Line:
    """One op: what it computes from what."""

    op: Primitive
    args: tuple[Operand, ...]
    options: dict[str, Operand]
    value: Value
    errors: dict[str, Any] | None = None
    """The floating-point error state (np.seterr) to run under; None for the caller's."""
    effect: bool = False
    """Whether it does more than compute: it draws from a generator, or checks something."""

    @property
    def vars(self) -> list[int]:
        """The numbers of the values that it reads, each as often as it does."""
        return [*found(self.args), *found(self.options)]

    def __str__(self) -> str:
        words = [written(x) for x in self.args]
        words += [f"{name}={written(x)}" for name, x in self.options.items()]
        return f"{self.op.name} {', '.join(words)}"


@dataclass(slots=True)
class Program:
    """Inputs (with their paths in the arguments), constants, lines and the outputs' leaves."""

    inputs: dict[int, tuple[str, Value]] = field(default_factory=dict)
    constants: dict[int, Any] = field(default_factory=dict)
    lines: dict[int, Line] = field(default_factory=dict)
    outputs: list[Operand] = field(default_factory=list)
    """Vars, and leaves that do not depend on the inputs."""

    def value(self, index: int) -> Value:
        """What is known of the value with this number."""
        if index in self.lines:
            return self.lines[index].value
        if index in self.inputs:
            return self.inputs[index][1]
        constant = self.constants[index]
        return Value.of(constant)

    def last_uses(self) -> dict[int, int]:
        """For each value the number of the last line that reads it; outputs are read at the end."""
        last = {var: index for index, line in self.lines.items() for var in line.vars}
        return last | dict.fromkeys(found(self.outputs), END)

    def uses(self) -> dict[int, list[int]]:
        """For each value the lines that read it, END for an output."""
        users: dict[int, list[int]] = {}
        for index, line in self.lines.items():
            for var in line.vars:
                users.setdefault(var, []).append(index)
        for var in found(self.outputs):
            users.setdefault(var, []).append(END)
        return users

    def fresh(self) -> int:
        """A number that no value has yet."""
        return max([-1, *self.inputs, *self.constants, *self.lines]) + 1

    def with_lines(self, lines: dict[int, Line], renamed: dict[int, Operand]) -> Program:
        """These lines instead, and other operands in the place of some values."""
        if renamed:
            lines = {
                index: replace(
                    line,
                    args=substituted(line.args, renamed),
                    options=substituted(line.options, renamed),
                )
                for index, line in lines.items()
            }
        outputs = substituted(self.outputs, renamed)
        return replace(self, lines=lines, outputs=outputs)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            (f"%{i}", f"input {path}", str(value)) for i, (path, value) in self.inputs.items()
        ]
        rows += [(f"%{i}", "constant", str(self.value(i))) for i in self.constants]
        rows += [(f"%{i}", str(line), str(line.value)) for i, line in self.lines.items()]
        rows += [("return", ", ".join(written(x) for x in self.outputs), "")]
        return aligned(rows)


def _pack(*arrays: Any) -> Any:
    return np.concatenate([x.ravel() for x in arrays])


def _piece(x: Any, start: int, shape: tuple[int, ...]) -> Any:
    return x[start : start + prod(shape)].reshape(shape)


PACK = Primitive(_pack, (), "pack", Kind.GATHER)
"""Arrays end to end, which a plan lets be computed there, so that nothing has to be copied."""
PIECE = Primitive(_piece, (), "piece", Kind.VIEW)
"""One of them again."""

ITEM = Primitive(operator.getitem, (), "item", Kind.OPAQUE)
"""One of the results of an op that has several."""

CHECKS = {"check_labels", "check_weights", "check_eigh", "check_svd", "check_qr"}
"""Ops that are there for what they raise, or warn of."""

END = 1 << 62
"""Where outputs are read: after every line."""


def found(operand: Operand) -> Iterator[int]:
    """The numbers of the Vars in an operand."""
    if isinstance(operand, Var):
        yield operand.index
    elif isinstance(operand, tuple | list):
        for x in operand:
            yield from found(x)
    elif isinstance(operand, dict):
        for x in operand.values():
            yield from found(x)
    elif isinstance(operand, slice):
        yield from found((operand.start, operand.stop, operand.step))


def mapped(f: Callable[[Any], Any], operand: Operand) -> Any:
    """The operand with f of each of its leaves."""
    if isinstance(operand, tuple | list):
        children = [mapped(f, x) for x in operand]
        return children if type(operand) is list else tuple(children)
    if isinstance(operand, dict):
        return {name: mapped(f, x) for name, x in operand.items()}
    if isinstance(operand, slice):
        return slice(mapped(f, operand.start), mapped(f, operand.stop), mapped(f, operand.step))
    return f(operand)


def substituted(operand: Operand, renamed: dict[int, Operand]) -> Operand:
    """The operand with other operands in the place of some Vars."""
    return mapped(lambda x: renamed.get(x.index, x) if isinstance(x, Var) else x, operand)


def written(operand: Operand) -> str:
    """An operand as one would write it."""
    if isinstance(operand, slice):
        bounds = ["" if x is None else written(x) for x in (operand.start, operand.stop)]
        step = "" if operand.step is None else f":{written(operand.step)}"
        return f"{bounds[0]}:{bounds[1]}{step}"
    if isinstance(operand, tuple):
        return f"({', '.join(map(written, operand))}{',' * (len(operand) == 1)})"
    if isinstance(operand, list):
        return f"[{', '.join(map(written, operand))}]"
    if operand is Ellipsis:
        return "..."
    if isinstance(operand, np.dtype | type):
        return str(np.dtype(operand)) if isinstance(operand, np.dtype) else operand.__name__
    if isinstance(operand, np.ndarray):
        return f"{operand.dtype}{operand.shape}"
    return repr(operand) if isinstance(operand, Var | int | float | str) else _short(operand)


def _short(operand: Any) -> str:
    text = repr(operand)
    return text if len(text) <= 40 else type(operand).__name__


def is_draw(line: Line) -> bool:
    """Whether a line draws from a random generator."""
    return line.effect and line.op.name not in CHECKS


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
