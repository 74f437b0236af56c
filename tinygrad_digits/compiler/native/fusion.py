"""Fusion: which equations of a program run together in one loop.

A loop runs over the elements of one shape. Elementwise equations of that shape join it, and so do
reductions of values of that shape; what only the loop itself reads never reaches memory. Other
equations are blocks by themselves. They may move up to a loop that comes after all that they read.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
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


def fuse(program: Program, role: Callable[[int, Equation], Role]) -> list[Block]:
    """The program's equations in blocks, each equation after all that it reads."""
    roles = {index: role(index, eqn) for index, eqn in program.equations.items()}
    users = program.uses()
    blocks: list[Block] = []
    home: dict[int, int] = {}  # the block in which each equation's value is made
    numbers = [
        i
        for i, eqn in program.equations.items()
        if {program.aval(k).form for k in (i, *eqn.vars)} == {"number"}
    ]
    for index in dict.fromkeys([*numbers, *program.equations]):  # numbers depend on numbers alone
        eqn = program.equations[index]
        mine = roles[index]
        if mine is Role.VIEW:
            home[index] = home.get(eqn.vars[0], -1)
            continue
        if mine is Role.PART:
            home[index] = home[eqn.vars[0]]
            blocks[home[index]].equations.append(index)
            continue
        shape = _loop(eqn, mine, program)
        earliest = max((home[i] for i in eqn.vars if i in home), default=-1)
        at = len(blocks)
        if shape is not None:
            fits = [
                b
                for b in range(max(earliest, 0), len(blocks))
                if blocks[b].shape == shape and _ready(eqn, b, home, roles)
            ]
            if fits[:1] == [earliest] and not all(
                _stored_anyway(i, users, roles) for i in eqn.vars if home.get(i) == earliest
            ):
                at = earliest
            elif fits and fits[-1] in {*range(earliest + 1, at), at - 1}:
                at = fits[-1]
        if at == len(blocks):
            blocks.append(Block(mine is not Role.NUMPY, shape))
        blocks[at].equations.append(index)
        home[index] = at
    return blocks


def _loop(eqn: Equation, role: Role, program: Program) -> tuple[int, ...] | None:
    """The shape of the loop that an equation needs."""
    if role is Role.POINTWISE:
        return eqn.aval.shape
    return program.aval(eqn.vars[-1]).shape if role is Role.REDUCING else None


def _ready(eqn: Equation, block: int, home: dict[int, int], roles: dict[int, Role]) -> bool:
    """Whether the loop, at the element where it is, has what this equation reads there."""
    return all(home.get(i, -1) != block or roles[i] is Role.POINTWISE for i in eqn.vars)


def _stored_anyway(index: int, users: dict[int, list[int]], roles: dict[int, Role]) -> bool:
    """Whether a value is read by more than loops."""
    looping = (Role.POINTWISE, Role.REDUCING)
    return any(user == END or roles[user] not in looping for user in users.get(index, ()))


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
    equations = {}
    views = [i for i in program.equations if i not in steps]
    for view in views:  # which come after what they are views of
        steps[view] = steps.get(program.equations[view].vars[0], 0)
    order = {i: rank for rank, i in enumerate([i for block in blocks for i in block.equations])}
    for view in views:
        order[view] = order.get(program.equations[view].vars[0], -1)
    ranked = sorted(program.equations, key=lambda i: (order[i], i in views, i))
    for i in ranked:
        equations[i] = program.equations[i]
    return replace(program, equations=equations), steps
