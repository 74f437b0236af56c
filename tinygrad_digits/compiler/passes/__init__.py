"""The passes that make a traced program shorter. Each keeps the values, to the last bit.

    dead_code             : equations whose value nobody reads are left out
    common_subexpressions : what another equation has computed is not computed again
    simplify              : ops that do nothing, or that a cheaper one can do
    fold                  : what depends on constants alone is computed now
    scalar_constants      : an array of equal numbers that is broadcast is as good as one number

PASSES has them in the order in which they run. A backend adds its own (`for_numpy`, `for_loops`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..program import Program
from .shortening import common_subexpressions, dead_code, fold, scalar_constants
from .simplification import simplify

Pass: TypeAlias = Callable[[Program], Program]

PASSES: tuple[Pass, ...] = (
    dead_code,
    common_subexpressions,
    simplify,
    fold,
    scalar_constants,
    common_subexpressions,
    dead_code,
)
