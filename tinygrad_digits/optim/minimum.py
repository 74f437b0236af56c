"""What a minimisation comes to."""

from __future__ import annotations

import dataclasses

from ..support.tree import Tree


@dataclasses.dataclass(frozen=True, repr=False)
class Minimum:
    """Where a minimisation has ended, and how.

    x: a tree like the params that it started from.
    fun: f there; grad: its gradient, a tree like x (None for methods that take none).
    success, message: whether the method is content, and its own words.
    steps: of the method; 0 where it does not count them.
    evaluations: of f, alone or with its gradient.
    hessians: how many Hessians were computed, or products of one with a vector.
    """

    x: Tree
    fun: float
    grad: Tree
    success: bool
    message: str
    steps: int
    evaluations: int
    hessians: int

    def __repr__(self) -> str:
        counts = f"{self.steps} steps, {self.evaluations} evaluations"
        if self.hessians:
            counts += f", {self.hessians} of the Hessian"
        state = "success" if self.success else "no success"
        return f"Minimum({self.fun:.6g} at {self.x!r}; {state}: {self.message} ({counts}))"
