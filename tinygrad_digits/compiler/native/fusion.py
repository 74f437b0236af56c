"""Fusion: which equations of a program run together in one loop.

A loop runs over the elements of one shape. Elementwise equations of that shape join it, and so do
reductions of values of that shape; what only the loop itself reads never reaches memory. Other
equations are blocks by themselves. They may move up to a loop that comes after all that they read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

from ..program import END, Equation, Program


class Role(enum.Enum):
    """How an equation takes part."""

    POINTWISE = enum.auto()  # in a loop over its own elements
    REDUCING = enum.auto()  # in a loop over its operand's elements
    STANDALONE = enum.auto()  # native, but a block of its own
    VIEW = enum.auto()  # another look at what is there
    PART = enum.auto()  # one of the results of the equation before, and in its block
    NUMPY = enum.auto()  # a call of NumPy, outside native code


@dataclass(slots=True)
class Block:
    """Equations that run together: over the elements of `shape`, or one equation by itself."""

    native: bool
    shape: tuple[int, ...] | None = None
    equations: list[int] = field(default_factory=list)


def fuse(program: Program, roles: dict[int, Role]) -> list[Block]:
    """The program's equations in blocks, each equation after all that it reads."""
    fusion = _Fusion(program, roles)
    avals = {
        i: {program.aval(k).form for k in (i, *eqn.vars)} for i, eqn in program.equations.items()
    }
    numbers = [i for i, forms in avals.items() if forms == {"number"}]
    for index in dict.fromkeys([*numbers, *program.equations]):  # numbers depend on numbers alone
        fusion.add(index, program.equations[index])
    return fusion.blocks


class _Fusion:
    """Blocks under construction."""

    def __init__(self, program: Program, roles: dict[int, Role]) -> None:
        self.program, self.roles, self.users = program, roles, program.uses()
        self.blocks: list[Block] = []
        self.home: dict[int, int] = {}
        """The block in which each equation's value is made."""

    def add(self, index: int, eqn: Equation) -> None:
        """One more equation, in a block that there is or a new one."""
        role = self.roles[index]
        at = self.home.get(eqn.vars[0], -1) if role in (Role.VIEW, Role.PART) else len(self.blocks)
        shape = self._find_loop(eqn, role)
        if shape is not None:
            at = self._find_block(eqn, shape)
        self.home[index] = at
        if role is Role.VIEW:
            return
        if at == len(self.blocks):
            self.blocks.append(Block(role is not Role.NUMPY, shape))
        self.blocks[at].equations.append(index)

    def _find_loop(self, eqn: Equation, role: Role) -> tuple[int, ...] | None:
        """The shape of the loop that an equation needs."""
        if role is Role.POINTWISE:
            return eqn.aval.shape
        return self.program.aval(eqn.vars[-1]).shape if role is Role.REDUCING else None

    def _find_block(self, eqn: Equation, shape: tuple[int, ...]) -> int:
        """The loop for an equation: where what it reads need not be stored then, or the last."""
        new, home = len(self.blocks), self.home
        earliest = max((home[i] for i in eqn.vars if i in home), default=-1)
        fits = [
            block
            for block in range(max(earliest, 0), new)
            if self.blocks[block].shape == shape and self._is_ready(eqn, block)
        ]
        made_there = [i for i in eqn.vars if home.get(i) == earliest]
        if fits[:1] == [earliest] and not all(map(self._is_stored_anyway, made_there)):
            return earliest
        return fits[-1] if fits and (fits[-1] > earliest or fits[-1] == new - 1) else new

    def _is_ready(self, eqn: Equation, block: int) -> bool:
        """Whether the loop, at the element where it is, has what this equation reads there."""
        inside = [i for i in eqn.vars if self.home.get(i, -1) == block]
        return all(self.roles[i] is Role.POINTWISE for i in inside)

    def _is_stored_anyway(self, index: int) -> bool:
        """Whether a value is read by more than loops."""
        users, looping = self.users.get(index, ()), (Role.POINTWISE, Role.REDUCING)
        return any(user == END or self.roles[user] not in looping for user in users)


def find_stored(program: Program, blocks: list[Block]) -> set[int]:
    """The values of loops that have to be written to memory: read by others, or results."""
    home = {index: k for k, block in enumerate(blocks) for index in block.equations}
    kept = set()
    for index, users in program.uses().items():
        if index not in home or program.aval(index).form == "tuple":
            continue
        loop = blocks[home[index]].shape is not None
        if not loop or any(user == END or home.get(user) != home[index] for user in users):
            kept.add(index)
    return kept


def reorder(program: Program, blocks: list[Block]) -> tuple[Program, dict[int, int]]:
    """The program block by block, views right after what they are of; when each equation runs."""
    steps = {i: step for step, block in enumerate(blocks) for i in block.equations}
    order = {i: rank for rank, i in enumerate(steps)}
    views = {i: eqn.vars[0] for i, eqn in program.equations.items() if i not in steps}
    for view, source in views.items():  # which come after what they are views of
        steps[view], order[view] = steps.get(source, 0), order.get(source, -1)
    ranked = sorted(program.equations, key=lambda i: (order[i], i in views, i))
    return replace(program, equations={i: program.equations[i] for i in ranked}), steps
