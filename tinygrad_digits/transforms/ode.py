"""Ordinary differential equations, solved and differentiated.

    odeint : (y, t -> dy/dt), y0, ts -> y at each of ts

There are two derivatives of a solution. Of the steps taken: their lengths are found without a tape
and then held fixed, so that the solution is a composition of Runge-Kutta steps, which is recorded
and swept like any other. Or that of the equation itself: the cotangent λ of y obeys an equation of
its own, dλ/dt = -(∂f/∂y)ᵀ λ, backwards in time, which is solved by `odeint` again, and so needs no
more memory than a step (Pontryagin, 1962; Chen et al., Neural ordinary differential equations, 2018).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..engine.primitive import Array
from ..engine.tape import Tape, interpreters_of
from ..engine.transforms import vjp
from ..staging.tracer import Tracer, bare
from ..support import tree
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.pickling import name_of
from ..support.tree import Tree
from .batching import BatchInterpreter, BatchTracer, vmap
from .branches import cond
from .calls import CustomCall, make_primitive, partition_leaves
from .checkpoint import checkpoint
from .loops import scan, while_loop
from .runge_kutta import METHODS, Method, Slope, interpolate, take_step
from .step_sizes import Controller, Progress, check_arrival

TRACED_STEPS, EAGER_STEPS = 1_000, 100_000
"""What max_steps is by default: a program has a place for each of them."""


def odeint(
    f: Callable[..., Tree],
    y0: Tree,
    ts: Array,
    *args: Tree,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    method: str = "dopri5",
    adjoint: str = "discrete",
    max_steps: int | None = None,
    substeps: int = 1,
) -> Tree:
    """`odeint : (y, t -> dy/dt), y0, ts -> y at each of ts`, by steps of controlled error.

    Args:
        f: called as f(y, t, *args), in this order (that of scipy.integrate.odeint, and not of
            solve_ivp), returns dy/dt: a tree like y.
        y0: the state at ts[0]: a tree of floating-point arrays.
        ts: the times, (m,), in increasing or in decreasing order.
        args: trees that f gets, too. Whatever is differentiated has to be among them, or in y0 or ts.
        rtol, atol: what a step may be wrong by is atol + rtol |y|, as a root mean square over the
            elements. rtol is at least 100 times the precision of y: 1e-5 for float32.
        method: "dopri5" or "tsit5", of order 5, whose interpolants give y between the steps; or
            "rk4", of order 4, with equal steps from each of ts to the next.
        adjoint: "discrete" differentiates the steps taken, keeping about the square root of their
            number: exact for what was computed, and the faster one. "continuous" solves the adjoint
            equation backwards, from each of ts to the one before, in memory that does not grow with
            the steps: right to the tolerance.
        max_steps: after which to give up; by default 1,000 in a program, whose derivative has a
            place for each of them, and 100,000 otherwise.
        substeps: how many steps "rk4" takes from each of ts to the next.

    Returns a tree like y0 whose arrays have the times for a first axis: (m, ...), the first y0 itself.
    It can be differentiated with respect to y0, ts and args, to any order. Steps have the dtype of
    y0, and f gets t in it; the times themselves are kept as float64.

    Raises ConvergenceError, also in a jitted function, where no step is short enough or max_steps
    are too few, and says at what t; ShapeError where dy/dt is unlike y0; and NotDifferentiableError
    where f uses a Tensor that it was not given. StiffnessWarning says from what t on steps are short
    for the sake of stability alone.

    >>> import numpy as np, tinygrad_digits as td
    >>> def decay(y, t, rate):
    ...     return -rate * y
    >>> np.round(td.odeint(decay, 1.0, np.array([0.0, 1.0, 2.0]), 0.5), 6)
    array([1.      , 0.606531, 0.367879])
    >>> def last(rate):
    ...     return td.odeint(decay, 1.0, np.array([0.0, 2.0]), rate)[-1]
    >>> np.round(td.grad(last)(0.5), 6)  # -2 exp(-1)
    np.float64(-0.735759)
    """
    if method not in METHODS:
        raise ValueError(f"odeint: method is one of {', '.join(METHODS)}, got {method!r}")
    if adjoint not in ADJOINTS:
        raise ValueError(f"odeint: adjoint is one of {', '.join(ADJOINTS)}, got {adjoint!r}")
    equation = Equation(f, METHODS[method], rtol, atol, max_steps, substeps)
    return ADJOINTS[adjoint](equation, _read_state(y0), _read_times(ts), args)


class Equation(NamedTuple):
    """dy/dt = f(y, t), and how it is to be solved."""

    f: Callable[..., Tree]
    method: Method
    rtol: float
    atol: float
    max_steps: int | None
    substeps: int

    def control(self, slope: Slope, ts: Array, dtype: np.dtype[Any]) -> Controller:
        rtol = max(self.rtol, 100 * float(np.finfo(dtype).eps))
        return Controller(self.method, slope, ts[-1], rtol, self.atol)

    def count_steps(self, traced: bool) -> int:
        """After how many steps to give up."""
        return self.max_steps or (TRACED_STEPS if traced else EAGER_STEPS)


def _read_state(y0: Tree) -> Tree:
    for path, leaf in tree.items(y0, "y0"):
        numeric = hasattr(leaf, "dtype") or isinstance(leaf, int | float)
        if numeric and not tree.is_float(leaf) and type(leaf) is not int:
            kind = getattr(leaf, "dtype", type(leaf).__name__)
            raise NotDifferentiableError(
                f"odeint: {path} is {kind}, and a state moves on real numbers: {path}.astype(float)"
            )
    return tree.map(lambda x: np.float64(x) if type(x) in (int, float) else x, y0)


def _read_times(ts: Any) -> Array:
    """The times as float64, in order as far as their values are known."""
    if isinstance(ts, list | tuple):
        ts = np.stack(ts)
    ts = ts.astype(float)
    if ts.ndim != 1 or not ts.shape[0]:
        raise ShapeError(f"odeint: ts are times along one axis, (m,) with m > 0, got {ts.shape}")
    if (known := bare(ts)) is not None:
        gaps = np.diff(known, axis=-1)
        if not np.all((gaps >= 0).all(-1) | (gaps <= 0).all(-1)):
            raise ValueError("odeint: ts must increase, or decrease, from one to the next")
    return ts


# --- the right-hand side, of vectors


class Vectors:
    """States as vectors: the way from trees like y0 to those, and back."""

    def __init__(self, equation: Equation, y0: Tree) -> None:
        self.equation = equation
        self.y0, self.unravel = tree.ravel(y0)
        self.dtype: np.dtype[Any] = self.y0.dtype
        self.like = tree.map(np.shape, y0)

    def make_slope(self, args: tuple[Tree, ...]) -> Slope:
        f = self.equation.f

        def slope(t: Array, y: Array) -> Array:
            t = t if t.dtype == self.dtype else t.astype(self.dtype)
            return self.ravel(f(self.unravel(y), t, *args))

        return slope

    def make_plain_slope(self, args: tuple[Tree, ...]) -> Slope:
        """The same where no tape is; one that comes in by another way than args is refused."""
        slope, name = self.make_slope(args), name_of(self.equation.f)

        def checked_slope(t: Array, y: Array) -> Array:
            k = slope(t, y)
            if is_differentiated(k):
                raise NotDifferentiableError(
                    f"odeint: {name} uses a Tensor that it was not given (from a closure or a "
                    "global), whose gradient would be lost; pass it in args"
                )
            return k

        return checked_slope

    def ravel(self, derivative: Tree) -> Array:
        """What f has returned, if it is like y0, as a vector of its dtype."""
        name = name_of(self.equation.f)
        try:
            derivative = tree.map(lambda _, k: k, self.like, derivative)
        except ShapeError as error:
            raise ShapeError(
                f"odeint: {name} must return dy/dt like y0: {error}; of parts make an array with "
                "np.stack"
            ) from None
        parts = []
        for (path, shape), k in zip(
            tree.items(self.like, "y0"), tree.flatten(derivative)[0], strict=True
        ):
            ...
        return parts
