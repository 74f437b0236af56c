"""The passes that make a traced program shorter. Each keeps the values, to the last bit.

    dead_code             : equations whose value nobody reads are left out
    prune                 : the same for what a scan carries and stacks
    inside                : the steps of loops and the branches, by the same passes
    hoist                 : what is the same in all steps is computed before the loop
    common_subexpressions : what another equation has computed is not computed again
    simplify              : ops that do nothing, or that a cheaper one can do
    fold                  : what depends on constants alone is computed now
    stack_rows            : the sum of an unrolled loop's gradients, a row in each, is these rows
    scalar_constants      : an array of equal numbers that is broadcast is as good as one number

PASSES has them in the order in which they run. A backend adds its own (`for_numpy`, `for_loops`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..control import map_steps
from ..program import Program
from .loops import hoist, prune
from .shortening import common_subexpressions, dead_code, fold, scalar_constants
from .simplification import simplify
from .unrolling import stack_rows

Pass: TypeAlias = Callable[[Program], Program]


def inside(program: Program) -> Program:
    """All passes for the programs that equations hold."""
    return map_steps(program, lambda step: step.with_program(shorten(step.program)))


def shorten(program: Program) -> Program:
    """The program after all passes."""
    for each in PASSES:
        program = each(program)
    return program


PASSES: tuple[Pass, ...] = (
    dead_code,
    prune,
    inside,
    hoist,
    common_subexpressions,
    simplify,
    fold,
    stack_rows,
    scalar_constants,
    common_subexpressions,
    dead_code,
)
