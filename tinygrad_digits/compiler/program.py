"""A program: straight-line code in which every value is computed once and keeps its number.

    input    : %0 params['w']  float32(64, 10)
    constant : %3              float32(10,)
    equation : %5 matmul %1, %0 -> float32(32, 10)
    output   : %5

Equations stand in the order in which they ran. A pass takes a program and returns another. An
equation of a loop or a branch holds programs in its option (`control`), printed below it:

    equation : %5 scan %0, %3, %4, loop=100 steps -> tuple
                  | the step: consts, then carries, then elements -> carries, then what is stacked
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..engine.primitive import Primitive

Operand: TypeAlias = Any
"""A Var, a Python number, or a tuple, list, slice or dict with Vars somewhere inside."""


@dataclass(frozen=True, slots=True)
class Var:
    """The value with this number."""

    index: int

    def __repr__(self) -> str:
        return f"%{self.index}"


@dataclass(frozen=True, slots=True)
class Aval:
    """What is known of a value before the program runs."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    form: str = "array"
    """Or "scalar" (a NumPy scalar), "number" (of Python), "generator" or "tuple"."""
    order: tuple[int, ...] = ()
    """The axes from the slowest to the fastest in memory, where that is not their order."""

    @staticmethod
    def of(y: Any) -> Aval:
        """What a program can rely on, having seen y."""
        form = (
            "array" if isinstance(y, np.ndarray) else "scalar" if hasattr(y, "dtype") else "number"
        )
        order: tuple[int, ...] = ()
        if form == "array" and not y.flags.c_contiguous:
            order = tuple(sorted(range(y.ndim), key=lambda axis: -abs(y.strides[axis])))
        dtype = y.dtype if form != "number" else np.dtype(type(y))
        return Aval(np.shape(y), dtype, form, () if order == (*range(len(order)),) else order)

    def lay_out(self, memory: Any) -> Any:
        """Contiguous memory as an array of this shape, in this order."""
        flat = memory.view(self.dtype)
        if not self.order:
            return flat.reshape(self.shape)
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return flat.reshape([self.shape[axis] for axis in self.order]).transpose(inverse)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}" if self.form in ("array", "scalar") else self.form


@dataclass(frozen=True, slots=True)
class Equation:
    """One op: what it computes from what."""

    op: Primitive
    args: tuple[Operand, ...]
    options: dict[str, Operand]
    aval: Aval
    errors: dict[str, Any] | None = None
    """The floating-point error state (np.seterr) to run under; None for the caller's."""
    effect: bool = False
    """Whether it does more than compute: it draws from a generator, or checks something."""

    @property
    def vars(self) -> list[int]:
        """The numbers of the values that it reads, each as often as it does."""
        return [*vars_in(self.args), *vars_in(self.options)]

    def rename(self, renamed: dict[int, Operand]) -> Equation:
        """The equation with other operands in the place of some Vars; itself if it has none."""
        if renamed.keys().isdisjoint(self.vars):
            return self
        args, options = substitute(self.args, renamed), substitute(self.options, renamed)
        return replace(self, args=args, options=options)

    def __str__(self) -> str:
        words = [format_operand(x) for x in self.args]
        words += [f"{name}={format_operand(x)}" for name, x in self.options.items()]
        return f"{self.op.name} {', '.join(words)}"


@dataclass(slots=True)
class Program:
    """Inputs (with their paths in the arguments), constants, equations and the outputs' leaves."""

    inputs: dict[int, tuple[str, Aval]] = field(default_factory=dict)
    constants: dict[int, Any] = field(default_factory=dict)
    equations: dict[int, Equation] = field(default_factory=dict)
    outputs: list[Operand] = field(default_factory=list)
    """Vars, and leaves that do not depend on the inputs."""

    def aval(self, index: int) -> Aval:
        """What is known of the value with this number."""
        if index in self.equations:
            return self.equations[index].aval
        if index in self.inputs:
            return self.inputs[index][1]
        constant = self.constants[index]
        return Aval.of(constant)

    def aval_of(self, x: Operand) -> Aval:
        """The same of an operand, which may be a number."""
        return self.aval(x.index) if isinstance(x, Var) else Aval.of(x)

    def constant_of(self, x: Operand) -> Any:
        """The array that an operand always is; None for any other operand."""
        return self.constants.get(x.index) if isinstance(x, Var) else None

    def last_uses(self) -> dict[int, int]:
        """For each value the number of the equation that reads it last; END for an output."""
        last = {var: index for index, eqn in self.equations.items() for var in eqn.vars}
        return last | dict.fromkeys(vars_in(self.outputs), END)

    def uses(self) -> dict[int, list[int]]:
        """For each value the equations that read it, END for an output."""
        users: dict[int, list[int]] = {}
        for index, eqn in self.equations.items():
            for var in eqn.vars:
                users.setdefault(var, []).append(index)
        for var in vars_in(self.outputs):
            users.setdefault(var, []).append(END)
        return users

    def fresh(self) -> int:
        """A number that no value has yet."""
        return max([-1, *self.inputs, *self.constants, *self.equations]) + 1

    def with_equations(
        self, equations: dict[int, Equation], renamed: dict[int, Operand]
    ) -> Program:
        """These equations instead, and other operands in the place of some values."""
        if renamed:
            equations = {index: eqn.rename(renamed) for index, eqn in equations.items()}
        outputs = substitute(self.outputs, renamed)
        return replace(self, equations=equations, outputs=outputs)

    def with_instead(self, index: int, made: dict[int, Equation]) -> Program:
        """These equations in the place of one."""
        equations: dict[int, Equation] = {}
        for i, eqn in self.equations.items():
            equations |= made if i == index else {i: eqn}
        return replace(self, equations=equations)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            (f"%{i}", f"input {path}", str(aval)) for i, (path, aval) in self.inputs.items()
        ]
        rows += [(f"%{i}", "constant", str(self.aval(i))) for i in self.constants]
        rows += [(f"%{i}", str(eqn), str(eqn.aval)) for i, eqn in self.equations.items()]
        rows += [("return", ", ".join(format_operand(x) for x in self.outputs), "")]
        lines = align(rows).splitlines()
        first = len(self.inputs) + len(self.constants)
        for at, eqn in reversed([*enumerate(self.equations.values(), first + 1)]):
            lines[at:at] = [f"      | {line}" for line in _list_inside(eqn)]
        return "\n".join(lines)


END = 1 << 62
"""Where outputs are read: after every equation."""


def is_draw(eqn: Equation) -> bool:
    """Whether an equation draws from a random generator."""
    return eqn.effect and not eqn.op.effect


def producer(x: Operand, program: Program) -> Equation | None:
    """The equation that computes an operand."""
    return program.equations.get(x.index) if isinstance(x, Var) else None


def vars_in(operand: Operand) -> Iterator[int]:
    """The numbers of the Vars in an operand."""
    if isinstance(operand, Var):
        yield operand.index
    elif isinstance(operand, NESTS):
        for x in _inside(operand):
            if isinstance(x, Var):  # a quarter of a compilation went into generators of one number
                yield x.index
            elif isinstance(x, NESTS):
                yield from vars_in(x)


NESTS = (tuple, list, dict, slice)
"""Operands with operands inside."""


def _inside(nest: Operand) -> Iterable[Operand]:
    if isinstance(nest, dict):
        return nest.values()
    return (nest.start, nest.stop, nest.step) if isinstance(nest, slice) else nest


def map_operand(f: Callable[[Any], Any], operand: Operand) -> Any:
    """The operand with f of each of its leaves."""
    if not isinstance(operand, NESTS):
        return f(operand)
    children = [map_operand(f, x) if isinstance(x, NESTS) else f(x) for x in _inside(operand)]
    if isinstance(operand, dict):
        return dict(zip(operand, children, strict=True))
    if isinstance(operand, slice):
        return slice(*children)
    return children if type(operand) is list else tuple(children)


def substitute(operand: Operand, renamed: dict[int, Operand]) -> Operand:
    """The operand with other operands in the place of some Vars."""
    return map_operand(lambda x: renamed.get(x.index, x) if isinstance(x, Var) else x, operand)


def format_operand(operand: Operand) -> str:
    """An operand as one would write it."""
    if isinstance(operand, slice):
        bounds = ["" if x is None else format_operand(x) for x in (operand.start, operand.stop)]
        step = "" if operand.step is None else f":{format_operand(operand.step)}"
        return f"{bounds[0]}:{bounds[1]}{step}"
    if isinstance(operand, tuple):
        return f"({', '.join(map(format_operand, operand))}{',' * (len(operand) == 1)})"
    if isinstance(operand, list):
        return f"[{', '.join(map(format_operand, operand))}]"
    if operand is Ellipsis:
        return "..."
    if isinstance(operand, np.dtype | type):
        return str(np.dtype(operand)) if isinstance(operand, np.dtype) else operand.__name__
    if isinstance(operand, np.ndarray):
        return f"{operand.dtype}{operand.shape}"
    return repr(operand) if isinstance(operand, Var | int | float | str) else _shorten(operand)


def _list_inside(eqn: Equation) -> Iterator[str]:
    """The programs that an equation holds, line by line (`control`)."""
    for option in eqn.options.values():
        for step in getattr(option, "steps", ()):
            yield from str(step.program).splitlines()


def _shorten(operand: Any) -> str:
    text = repr(operand)
    return text if len(text) <= 40 else type(operand).__name__


def align(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
