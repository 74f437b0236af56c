"""The right-hand side of a differential equation, as solvers want it: of vectors.

VectorField : f of trees -> slopes, (t, vector) -> vector
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..engine.primitive import Array
from ..engine.tape import Tape, interpreters_of
from ..support import tree
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.pickling import name_of
from ..support.tree import Tree
from .batching import BatchInterpreter
from .calls import is_differentiated
from .checkpoint import seal
from .custom import stop_gradient
from .runge_kutta import Method, Slope
from .step_sizes import Controller
from .steps import StepInterpreter


class DifferentialEquation(NamedTuple):
    """dy/dt = f(y, t, *args), and how it is to be solved."""

    f: Callable[..., Tree]
    method: Method
    rtol: float
    atol: float
    max_steps: int | None
    substeps: int

    def control_steps(self, slope: Slope, end: Array, dtype: np.dtype[Any]) -> Controller:
        """What decides on the steps; a tolerance below the precision of y would never be met."""
        rtol = max(self.rtol, 100 * float(np.finfo(dtype).eps))
        return Controller(self.method, slope, end, rtol, self.atol)


class VectorField:
    """An equation of trees like y0 as one of vectors, and the way between them.

    The vectors are complex where all of y0 is, and else real.
    """

    def __init__(self, equation: DifferentialEquation, y0: Tree) -> None:
        self.equation = equation
        self.y0, self.unravel = _ravel(y0)
        self.dtype: np.dtype[Any] = self.y0.dtype
        self.time_dtype = np.finfo(self.dtype).dtype
        self.like = tree.map(lambda _: None, y0)
        self.forms = [
            (path, np.shape(x), getattr(getattr(x, "dtype", None), "kind", ""))
            for path, x in tree.items(y0, "y0")
        ]

    def make_slope(self, args: tuple[Tree, ...]) -> Slope:
        f = self.equation.f

        def slope(t: Array, y: Array) -> Array:
            t = t if t.dtype == self.time_dtype else t.astype(self.time_dtype)
            return self.ravel(f(self.unravel(seal(y)), t, *args))

        return slope

    def make_plain_slope(self, args: tuple[Tree, ...]) -> Slope:
        """The same for args on no tape: a Tensor on one has then come in by another way."""
        slope = self.make_slope(args)

        def slope_on_no_tape(t: Array, y: Array) -> Array:
            k = slope(t, y)
            if is_differentiated(k):
                raise NotDifferentiableError(
                    f"odeint: {name_of(self.equation.f)} uses a Tensor that it was not given (from "
                    "a closure, or a global), whose gradient would be lost; pass it in args"
                )
            return k

        return slope_on_no_tape

    def ravel(self, derivative: Tree) -> Array:
        """What f has returned, if it is like y0, as a vector of the same dtype."""
        name = name_of(self.equation.f)
        try:
            leaves = tree.flatten(tree.map(lambda _, k: k, self.like, derivative))[0]
        except ShapeError as error:
            raise ShapeError(
                f"odeint: {name} must return dy/dt as a tree like y0: {error}; a list of parts "
                "becomes an array with np.stack"
            ) from None
        parts = []
        for (path, shape, kind), k in zip(self.forms, leaves, strict=True):
            if not kind:
                continue
            if np.shape(k) != shape:
                raise ShapeError(f"odeint: {name} returned {np.shape(k)} for {path}, of {shape}")
            if kind == "f" and np.iscomplexobj(k):
                raise NotDifferentiableError(
                    f"odeint: {name} returned complex numbers for {path}, which is real: start at "
                    f"{path}.astype(complex)"
                )
            pairs = kind == "c" and self.dtype.kind == "f"
            part = tree.ravel(k + 0j)[0] if pairs else np.reshape(k, (-1,))
            parts.append(part if part.dtype == self.dtype else part.astype(self.dtype))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _ravel(y0: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """tree.ravel; of one array alone without the slices, which cost a program 6 % of its time.

    The vector is complex where it can be: a pair of real ones would be no holomorphic function.
    """
    leaves, _ = tree.flatten(y0)
    shape = np.shape(leaves[0])
    if len(leaves) > 1 or not shape:
        return tree.ravel(y0, real=False)
    _, structure = tree.flatten(tree.map(lambda _: None, y0))  # which does not keep the array

    def unravel(y: Array) -> Tree:
        return tree.unflatten(structure, [y if len(shape) == 1 else y.reshape(shape)])

    return leaves[0].reshape((-1,)), unravel


# --- tapes and tracers


def may_be_differentiated(x: Any) -> bool:
    """Whether x is on a tape, or in the step of a loop, which is differentiated as a whole."""
    return any(isinstance(each, Tape | StepInterpreter) for each in interpreters_of(x))


def take_off_tapes(x: Any) -> Any:
    """The value of x for whom derivatives do not matter: on no tape, but still on tracers."""
    interpreter = getattr(x, "tape", None)
    if isinstance(interpreter, Tape):
        return take_off_tapes(interpreter.unbox(x))
    if isinstance(interpreter, BatchInterpreter):
        return interpreter.box(take_off_tapes(interpreter.unbox(x)))
    return stop_gradient(x) if isinstance(interpreter, StepInterpreter) else x
