"""The axes of a loop, and the steps that it takes along them in each array.

A step is 0 where an array is broadcast, and in a result where it is reduced. Axes along which all
arrays go on evenly become one.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..program import Aval, Equation, Program
from .fusion import Block, Role
from .layouts import Strides, plain_strides

PARTS = 16
"""Into so many parts the outermost loop over large arrays is cut, on however many threads."""
LARGE = 1 << 21
"""Elements, of all arrays of a loop, from which it is worth waking another thread: 25 us for that,
and 80 us to add two arrays of half a million."""


class Axes(NamedTuple):
    """The lengths of the loops, and for each value the steps along them."""

    shape: tuple[int, ...]
    steps: dict[int, Strides]
    in_parts: bool = False
    """Whether it is cut into parts, which may run at once."""
    across: tuple[int, ...] = ()
    """The results that gather from all parts."""

    def depth(self, i: int) -> int:
        """How many loops are around a value before it is known where it is."""
        return max([axis + 1 for axis, step in enumerate(self.steps[i]) if step], default=0)

    def is_final(self, i: int) -> bool:
        """Whether a result is done once the innermost loops around it are."""
        return i not in self.across and 0 not in self.steps[i][: self.depth(i)]


def find_axes(
    block: Block, program: Program, roles: dict[int, Role], strides: dict[int, Strides]
) -> Axes:
    """The loops of a block whose arrays have these strides."""
    assert block.shape is not None
    reducing = [i for i in block.equations if roles[i] is Role.REDUCING]
    steps = {
        i: _find_result_steps(program.equations[i], block.shape)
        if i in reducing
        else _find_steps(program.aval(i).shape, own, block.shape)
        for i, own in strides.items()
    }
    axes = _merge(block.shape, steps)
    large = prod(axes.shape) * (len(steps) + len(block.equations)) >= LARGE
    if not large or axes.shape[0] < PARTS:
        return axes
    across = tuple([i for i in reducing if not axes.steps[i][0]])
    cut = axes._replace(in_parts=True, across=across)
    found = PARTS * sum(count_words(program.aval(i)) for i in across)
    alone = all(i in across or cut.is_final(i) for i in reducing)
    return cut if alone and 4 * found <= prod(axes.shape) else axes


def count_words(aval: Aval) -> int:
    """How many numbers of eight bytes a value has room in, whatever its dtype."""
    return prod(aval.shape) * (2 if aval.dtype.kind == "c" else 1)


def _find_steps(own: tuple[int, ...], strides: Strides, shape: tuple[int, ...]) -> Strides:
    """How far one goes in an array along each axis of a loop."""
    steps = [0 if n == 1 else step for n, step in zip(own, strides, strict=True)]
    return (*[0] * (len(shape) - len(own)), *steps)


def _find_result_steps(eqn: Equation, shape: tuple[int, ...]) -> Strides:
    """The same in the result of a reduction."""
    rank, axis = len(shape), eqn.options.get("axis")
    every = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {i % rank for i in every}
    full = tuple([1 if i in reduced else n for i, n in enumerate(shape)])
    return _find_steps(full, plain_strides(full), shape)


def _merge(shape: tuple[int, ...], steps: dict[int, Strides]) -> Axes:
    """The axes in the order of their steps, and in one where everything goes on evenly."""
    axes = [axis for axis, n in enumerate(shape) if n > 1]
    axes.sort(key=lambda axis: -sum(abs(each[axis]) for each in steps.values()))
    merged: list[tuple[int, list[int]]] = []
    for axis in axes:
        n, own = shape[axis], [each[axis] for each in steps.values()]
        if merged and all(a == b * n for a, b in zip(merged[-1][1], own, strict=True)):
            merged[-1] = merged[-1][0] * n, own
        else:
            merged.append((n, own))
    lengths = tuple([n for n, _ in merged])
    each = {i: tuple([own[k] for _, own in merged]) for k, i in enumerate(steps)}
    return Axes(lengths, each)
