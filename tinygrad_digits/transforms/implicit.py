"""Functions that are given by an equation, and differentiated by it.

    fixed_point : ((params, x) -> x), params, x0 -> x with x = f(params, x)

By the implicit function theorem the derivative of a solution needs the solution, and not the way
to it: with w = ȳ + (∂f/∂x)ᵀ w the cotangent of params is (∂f/∂params)ᵀ w. The equation for w asks
for a fixed point too, so it is solved, and for higher orders differentiated, as the first one is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Array, Primitive
from ..engine.transforms import vjp
from ..ops.derived_rules import compute_vjp
from ..staging.tracer import bare
from ..support import tree
from ..support.errors import ConvergenceError, NotDifferentiableError, ShapeError, TracedValueError
from ..support.pickling import name_of
from ..support.results import copy_leaf
from ..support.tree import Tree
from .calls import CustomCall, is_differentiated, make_primitive
from .checkpoint import explain_writing, seal
from .custom import stop_gradient

Step = Callable[[Tree], Tree]


def fixed_point(
    f: Callable[[Tree, Tree], Tree],
    params: Tree,
    x0: Tree,
    *,
    tolerance: float | None = None,
    max_steps: int = 1000,
) -> Tree:
    """`fixed_point : ((params, x) -> x), params, x0 -> x`, such that x = f(params, x).

    Args:
        f: a contraction of x: iterating it converges.
        params: any tree; the solution is differentiated with respect to it, without regard to the
            steps that led there, in the memory of one step.
        x0: where to start: a tree of floating-point arrays, like x. It has no derivative.
        tolerance: the largest change of an element in the last step, relative to 1 + max|x|; by
            default 100 times the precision of x. The equation for the derivative is solved to the
            same, relative to the cotangent.
        max_steps: after which to give up.

    Raises ConvergenceError where the steps do not come to rest, ShapeError where f returns
    something unlike x0, and NotDifferentiableError where f uses a Tensor other than params and x.
    How many steps it takes depends on values, so `jit` cannot trace it. Under `vmap` all examples
    take as many as the slowest needs.

    >>> import numpy as np, tinygrad_digits as td
    >>> def root(a):  # Heron: x = (x + a / x) / 2
    ...     return fixed_point(lambda a, x: (x + a / x) / 2, a, 1.0)
    >>> root(4.0), td.grad(root)(4.0), td.grad(td.grad(root))(4.0)
    (np.float64(2.0), np.float64(0.25), np.float64(-0.03125))
    """
    x0 = stop_gradient(tree.map(_number, x0))
    if not all(map(tree.is_inexact, leaves := tree.flatten(x0)[0])) or not leaves:
        raise NotDifferentiableError("fixed_point: x0 must be a tree of floating-point arrays")
    if tolerance is None:
        tolerance = 100 * max(float(np.finfo(leaf.dtype).eps) for leaf in leaves)

    def make_step(params: Tree) -> Step:
        return lambda x: f(params, x)

    return _Solver(make_primitive(f), name_of(f), tolerance, max_steps).solve(make_step, params, x0)


class _Solver:
    """How to find the x with step(x) = x, where step = make_step(known), and differentiate it."""

    def __init__(self, primitive: Primitive, name: str, tolerance: float, max_steps: int) -> None:
        self.primitive, self.name = primitive, name
        self.tolerance, self.max_steps = tolerance, max_steps

    def solve(
        self, make_step: Callable[[Tree], Step], known: Tree, x0: Tree, unit: float = 1.0
    ) -> Tree:
        """x as a function of what is known."""

        def run(known: Tree, x0: Tree) -> Tree:
            return self.iterate(make_step(known), x0, unit)

        def forward(known: Tree, x0: Tree) -> tuple[Tree, Tree]:
            known = tree.map(seal, known)
            x = self.solve(make_step, known, x0, unit)
            return x, (known, x)

        def pull(_: Tree, residuals: Tree, g: Tree, tracked: list[int]) -> list[Array]:
            known, x = residuals
            w = self.solve(_adjoint(make_step), (known, x, g), stop_gradient(g), unit=0.0)
            return compute_vjp(lambda known: make_step(known)(x), (known,), w, tracked)

        return CustomCall(self.primitive, (known, x0), run, forward, pull).apply()

    def iterate(self, step: Step, x: Tree, unit: float) -> Tree:
        for count in itertools.count(1):
            before = tree.map(seal, x)
            with explain_writing(self.name):
                x = step(before)
            change, size = self.compare(before, x)
            if change <= self.tolerance * (unit + size) < np.inf:
                return tree.map(copy_leaf, x)
            if not np.isfinite(change) or count >= self.max_steps:
                break
        raise ConvergenceError(
            f"fixed_point: {self.name} has not come to rest after {count} steps; the last changed "
            f"x by {change:.2g}, which is not below the tolerance {self.tolerance:.2g}. Start "
            "closer, damp it as in (x + f(params, x)) / 2, or allow more steps",
            residual=change,
            steps=count,
        )

    def compare(self, before: Tree, after: Tree) -> tuple[float, float]:
        """The largest change of an element, and the largest element."""
        change = size = 0.0
        others = tree.flatten(tree.map(lambda _, b: b, before, after))[0]
        for (path, a), b in zip(tree.items(before, "x"), others, strict=True):
            if np.shape(b) != a.shape or getattr(b, "dtype", None) != a.dtype:
                raise ShapeError(
                    f"fixed_point: {self.name} returned {getattr(b, 'dtype', type(b).__name__)}"
                    f"{np.shape(b)} for {path}, which is {a.dtype}{a.shape} in x0"
                )
            a, b = self.read(a), self.read(b)
            with np.errstate(invalid="ignore"):  # inf - inf, which is told of below
                change = _larger(change, b - a)
            size = _larger(size, b)
        return change, size

    def read(self, x: Array) -> Array:
        """The numbers of x; under `vmap` those of all examples, which take the same steps."""
        if is_differentiated(x):
            raise NotDifferentiableError(
                f"fixed_point: {self.name} uses a Tensor that it was not given (from a closure "
                "or a global), whose gradient would be lost; make it a part of params"
            )
        numbers = bare(x)
        if numbers is None:
            raise TracedValueError(
                "fixed_point takes as many steps as the values ask for, so it cannot be part "
                "of a program: call it outside of the jitted function, or write a loop of a "
                "fixed length"
            )
        return numbers


def _larger(least: float, x: Array) -> float:
    """The largest absolute value of x, or least if that is larger; NaN where x has one."""
    return float(np.maximum(least, np.max(np.abs(x)))) if x.size else least


def _number(x: Any) -> Any:
    if type(x) is complex:
        return np.complex128(x)
    return np.float64(x) if type(x) in (int, float) else x


def _adjoint(make_step: Callable[[Tree], Step]) -> Callable[[Tree], Step]:
    """w -> ȳ + (∂f/∂x)ᵀ w, of what is known: (params, x, ȳ)."""

    def stepping_back(known: Tree) -> Step:
        params, x, g = known
        _, pullback = vjp(make_step(params), x)
        return lambda w: tree.map(np.add, g, pullback(w))

    return stepping_back
