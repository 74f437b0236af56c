"""Ordinary differential equations, solved and differentiated.

    odeint : (y, t -> dy/dt), y0, ts -> y at each of ts

There are two derivatives of a solution. That of the steps taken: their lengths are found without a
tape and then held fixed, so that the solution is a composition of Runge-Kutta steps, which is
recorded and swept like any other. And that of the equation: the cotangent λ of y obeys one of its
own, dλ/dt = -(∂f/∂y)ᵀ λ, backwards in time, which is solved in the same way, and keeps no steps
(Pontryagin et al., 1962; Chen et al., Neural ordinary differential equations, 2018).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Array
from ..engine.tensor import Tensor
from ..engine.transforms import vjp
from ..support import tree
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import admit
from ..support.pickling import name_of
from ..support.tree import Tree
from .batching import vmap
from .calls import CustomCall, make_primitive, partition
from .loops import scan
from .ode_equation import DifferentialEquation, VectorField, take_off_tapes
from .ode_solution import solve_by_steps
from .runge_kutta import METHODS
from .step_sizes import check_times


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
            solve_ivp: a function whose first parameter is called t is refused), returns dy/dt: a
            tree like y.
        y0: the state at ts[0]: a tree of floating-point arrays, real or complex.
        ts: the times, (m,), in increasing or in decreasing order.
        args: trees that f gets, too. What is differentiated has to be among them, or in y0 or ts.
        rtol: a step may be wrong by atol + rtol |y|, in the root mean square over the elements of
            y. It is taken to be at least 100 times the precision of y: 1.2e-5 for float32.
        atol: see rtol.
        method: "dopri5" or "tsit5", of order 5, whose interpolants give y between the steps; or
            "rk4", of order 4, with equal steps from each of ts to the next.
        adjoint: "discrete" differentiates the steps taken, keeping about the square root of their
            number: exact for what was computed, and the faster one. "continuous" solves the adjoint
            equation backwards, from each of ts to the one before, in memory that does not grow with
            the steps: right to the tolerance. It has no `holomorphic=True`.
        max_steps: after which to give up; by default 1,000 in a program, whose derivative has a
            place for the time of each, and 100,000 otherwise.
        substeps: how many steps "rk4" takes from each of ts to the next.

    Returns a tree like y0, of arrays with the times for their first axis, (m, ...): y0 comes first.
    It can be differentiated with respect to y0, ts and args, to any order. Steps are computed in
    the dtype of y0, and f gets t in it; the times themselves are kept as float64.

    Raises ConvergenceError, also in a jitted function, where no step is short enough or max_steps
    are too few, and says at what t; ValueError where ts are not in order; ShapeError where dy/dt is
    unlike y0; and NotDifferentiableError where f uses a Tensor that it was not given. A
    StiffnessWarning says from what t on steps are short for the sake of stability alone.

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
    _check_numbers(rtol=rtol, atol=atol, max_steps=max_steps, substeps=substeps)
    _refuse_other_order(f)
    equation = DifferentialEquation(f, METHODS[method], rtol, atol, max_steps, substeps)
    field = VectorField(equation, _read_state(y0))
    return vmap(field.unravel)(ADJOINTS[adjoint](field, field.y0, _read_times(ts), args))


def _check_numbers(rtol: float, atol: float, max_steps: int | None, substeps: int) -> None:
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not 0 <= tolerance < np.inf:
            raise ValueError(f"odeint: {name} is a tolerance, at least 0, got {tolerance!r}")
    for name, count in (("max_steps", max_steps), ("substeps", substeps)):
        if count is not None and count < 1:
            raise ValueError(f"odeint: {name} is a number of steps, at least 1, got {count!r}")


def _refuse_other_order(f: Callable[..., Tree]) -> None:
    """Raise TypeError for f(t, y), which would be solved as another equation without a word."""
    try:
        first, second, *_ = [*inspect.signature(f).parameters, "", ""]
    except (TypeError, ValueError):  # some builtins have none
        return
    if first in ("t", "time") and second not in ("t", "time", ""):
        raise TypeError(
            f"odeint calls f(y, t, *args), and {name_of(f)} takes {first} first, as for solve_ivp: "
            f"write lambda y, t, *args: {name_of(f)}(t, y, *args)"
        )


def _read_state(y0: Tree) -> Tree:
    for path, leaf in tree.items(y0, "y0"):
        numeric = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
        if numeric and not tree.is_inexact(leaf) and type(leaf) is not int:
            kind = getattr(leaf, "dtype", type(leaf).__name__)
            raise NotDifferentiableError(
                f"odeint: {path} is {kind}, and a state is made of floating-point numbers: write "
                f"{path}.astype(float)"
            )
    state = tree.map(_read_leaf, y0)
    if not any(map(tree.is_inexact, tree.flatten(state)[0])):
        raise NotDifferentiableError("odeint: there is no floating-point array in y0")
    if not sum(map(np.size, filter(tree.is_inexact, tree.flatten(state)[0]))):
        raise ShapeError("odeint: all arrays of y0 are empty: there is nothing to solve for")
    return state


def _read_leaf(x: Any) -> Any:
    if type(x) in (int, float, complex):
        return np.complex128(x) if type(x) is complex else np.float64(x)
    return admit(x, "y0")


def _read_times(ts: Any) -> Array:
    """The times, in order, as float64."""
    ts = np.stack(ts) if isinstance(ts, list | tuple) else ts
    ts = ts if isinstance(ts, Tensor) else np.asarray(ts)
    if ts.dtype.kind == "c":
        raise NotDifferentiableError(
            "odeint: ts are complex, and times are real: along a path t(s) in the complex plane "
            "solve dy/ds = f(y, t(s)) dt/ds"
        )
    ts = ts.astype(float)
    if ts.ndim != 1 or not ts.shape[0]:
        raise ShapeError(f"odeint: ts are times along one axis, (m,) with m > 0, got {ts.shape}")
    check_times(take_off_tapes(ts))
    return ts


# --- the adjoint equation


def solve_with_adjoint(field: VectorField, y0: Array, ts: Array, args: tuple[Tree, ...]) -> Array:
    """The solution at ts, (m, n), whose derivative is an equation's, too."""

    def run(y0: Array, ts: Array, args: tuple[Tree, ...]) -> Array:
        return solve_by_steps(field, y0, ts, args, differentiable=False)

    def forward(y0: Array, ts: Array, args: tuple[Tree, ...]) -> tuple[Array, Tree]:
        ys = solve_with_adjoint(field, y0, ts, args)
        return ys, (ys, ts, args)

    def pull(_: Tree, residuals: Tree, g: Array, tracked: list[int]) -> list[Array]:
        ys, ts, args = residuals
        cotangents = tree.flatten(integrate_back(field, ys, ts, args, g))[0]
        return [cotangents[k] for k in tracked]

    primitive = make_primitive(field.equation.f)
    primitive.holomorphic = False  # the lengths of the steps back are found by sizes of cotangents
    return CustomCall(primitive, (y0, ts, args), run, forward, pull).apply()


ADJOINTS: dict[str, Callable[[VectorField, Array, Array, tuple[Tree, ...]], Array]] = {
    "discrete": solve_by_steps,
    "continuous": solve_with_adjoint,
}


def integrate_back(
    field: VectorField, ys: Array, ts: Array, args: tuple[Tree, ...], g: Array
) -> tuple[Array, Array, Tree]:
    """The cotangents of y0, ts and args, given those of ys, from each of ts to the one before.

    Between two of them the state is (y, λ, the cotangent of args so far); y begins anew at each.
    """
    floats, rebuild = partition(args, tree.is_inexact)
    floats = [*map(tree.strong, floats)]
    slope = field.make_slope(args)

    def move_back(state: Tree, t: Array, floats: list[Array]) -> Tree:
        y, cotangent, _ = state
        k, pullback = vjp(lambda y, floats: field.make_slope(rebuild(floats))(t, y), y, floats)
        return k, *tree.map(np.negative, pullback(cotangent))

    equation = field.equation._replace(f=move_back)

    def step(carry: Tree, x: Tree) -> tuple[Tree, Array]:
        (cotangent, of_args), (y, g, t, before) = carry, x
        adjoint = VectorField(equation, (y, cotangent + g, of_args))
        path = solve_with_adjoint(adjoint, adjoint.y0, np.stack([t, before]), (floats,))
        _, cotangent, of_args = adjoint.unravel(path[-1])
        return (cotangent, of_args), np.sum(g * slope(t, y))

    none = np.zeros_like(g[0]), [np.zeros_like(x)[()] for x in floats]  # scalars stay scalars
    xs = ys[1:], g[1:], ts[1:], ts[:-1]
    (cotangent, of_args), of_ts = scan(step, none, xs, reverse=True)
    of_start = -np.sum(cotangent * slope(ts[0], ys[0]))
    return cotangent + g[0], np.concatenate([of_start[None], of_ts]), rebuild(of_args)
