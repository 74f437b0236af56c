"""Kernels in writing: what a function of machine code does, with its arrays named by position.

    kernel2 over (32, 64): p0 float32(32, 64); p1 float32(64,); p2 float32(32, 64)
        t0 = add p0, p1
        p2 = maximum t0, 0

Two blocks of the same notation are one function, and a program of the same notation is found in
the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...staging.lowering import lowering_of
from ..program import Equation, Operand, Program, Var, map_operand
from .fusion import Block
from .layouts import Strides

NUMBERS = (int, float, complex, bool, np.generic)
PLAIN = (*NUMBERS, str, type(None), type(Ellipsis), np.dtype, type, Var)
PACKAGE = __name__.partition(".")[0]


def is_plain_option(operand: Operand) -> bool:
    """Whether an operand is written as what it is, down to its leaves."""
    leaves: list[Any] = []
    map_operand(leaves.append, operand)
    return all(isinstance(leaf, PLAIN) for leaf in leaves)


class Notation:
    """A block in writing.

    Args:
        block: the equations.
        program: that they are part of.
        places: for each value that is in memory its parameter and its strides.
        in_parts: whether its loops are cut.
        loop: if it is a loop of steps.
    """

    def __init__(
        self,
        block: Block,
        program: Program,
        places: dict[int, tuple[int, Strides]],
        in_parts: bool = False,
        loop: Any = None,
    ) -> None:
        self.program, self.places = program, places
        self.names = {i: f"p{k}" for k, i in enumerate(places)}
        self.loop = loop
        self.is_ours = all(_is_ours(program.equations[i]) for i in block.equations)
        lines = [self._write_equation(i, program.equations[i]) for i in block.equations]
        if loop is not None:
            self.is_ours = self.is_ours and loop.is_ours
            lines += loop.text.splitlines()
        over = f"over {block.shape}{' in parts' * in_parts}: " if block.shape is not None else ""
        arrays = [self._write_place(i) for i in places]
        self.text = "\n    ".join([over + "; ".join(arrays), *lines])

    def _write_place(self, i: int) -> str:
        parameter, strides = self.places[i]
        aval = self.program.aval(i)
        where = f"{aval.dtype}{aval.shape}{'' if aval.form != 'number' else ' number'}"
        return f"{self.names[i]} = {where} by {strides} of #{parameter}"

    def _write_equation(self, index: int, eqn: Equation) -> str:
        op, name = eqn.op, self._name(index)
        result = f"{eqn.aval.dtype}{eqn.aval.shape}"
        words = [self._write(x) for x in eqn.args]
        if self.loop is None:  # which has its options in its text
            words += [f"{option}={self._write(x)}" for option, x in eqn.options.items()]
        mark = "" if _is_ours(eqn) else f"@{id(op)}"
        return f"{name} = {op.name}{mark} {', '.join(words)} -> {result}"

    def _name(self, index: int) -> str:
        return self.names.setdefault(index, f"t{len(self.names)}")

    def _write(self, operand: Operand) -> str:
        return repr(map_operand(lambda leaf: _Text(self._write_leaf(leaf)), operand))

    def _write_leaf(self, leaf: Any) -> str:
        if not isinstance(leaf, Var):
            return f"{leaf.dtype}({leaf.item()!r})" if isinstance(leaf, np.generic) else repr(leaf)
        constant = self.program.constants.get(leaf.index)
        if constant is not None and leaf.index not in self.places:
            return f"{constant.dtype}({constant.item()!r})"
        return self._name(leaf.index)


class _Text:
    """What is written as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _is_ours(eqn: Equation) -> bool:
    """Whether what an op does is written in the package, and not registered from outside."""
    lowering = lowering_of(eqn.op)
    written = [
        f for f in (lowering.native, lowering.element, lowering.complex_element) if callable(f)
    ]
    return all(f.__module__.partition(".")[0] == PACKAGE for f in written)
