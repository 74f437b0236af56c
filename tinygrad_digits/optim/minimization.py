"""Minimisation of functions of trees, by SciPy's methods, with exact derivatives.

    minimize : (params -> scalar), params -> Minimum, whose x is a tree like params

SciPy knows vectors. The floating-point leaves of params are raveled into one, and f takes it apart
again, so every method works on every tree. What derivatives a method asks for it is given:
gradients, products of the Hessian with a vector, or the Hessian itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..compiler.api import jit as jitted
from ..engine.primitive import Array
from ..engine.tensor import Tensor
from ..engine.transforms import value_and_grad
from ..staging.tracer import Tracer
from ..support import tree
from ..support.errors import NotDifferentiableError, ShapeError, TracedValueError, extra
from ..support.foreign import is_numeric
from ..support.tree import Tree
from .minimum import Minimum

GRADIENT = ("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP")
PRODUCTS = ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr")
HESSIAN = ("dogleg", "trust-exact")
VALUES = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")
METHODS = {name.lower(): name for name in GRADIENT + PRODUCTS + HESSIAN + VALUES}
BOUNDED = ("L-BFGS-B", "TNC", "SLSQP", "trust-constr", *VALUES)
CONSTRAINED = ("SLSQP", "trust-constr", "COBYLA", "COBYQA")

Constraint = Mapping[str, Any]


def minimize(
    f: Callable[..., Any],
    params: Tree,
    method: str | None = None,
    *,
    args: tuple[Any, ...] = (),
    tol: float | None = None,
    bounds: tuple[Tree, Tree] | None = None,
    constraints: Constraint | Sequence[Constraint] = (),
    callback: Callable[[Tree], Any] | None = None,
    options: Mapping[str, Any] | None = None,
    jit: bool = False,
) -> Minimum:
    """`minimize : (params -> scalar), params -> Minimum`, by scipy.optimize.minimize.

    Args:
        f: called as f(params, *args); returns a real scalar.
        params: where to start: any tree. Its floating-point arrays and Python numbers move and
            keep their dtypes; leaves that are not numbers stay as they are.
        args: what f takes besides params.
        method: one of SciPy's; by default L-BFGS-B with bounds, SLSQP with constraints, else BFGS.
            Newton-CG, trust-ncg, trust-krylov and trust-constr get products of the Hessian with a
            vector, dogleg and trust-exact the Hessian; Nelder-Mead, Powell, COBYLA and COBYQA get
            values only, so f need not be differentiable.
        tol: when to stop, in the method's own measure.
        bounds: (lower, upper), each a number, None, or a tree like params of numbers, None and
            arrays that broadcast to the leaves.
        constraints: {"type": "eq", "fun": c} for c(params) == 0, "ineq" for c(params) >= 0, or
            several of them; "args" are what c takes besides. Their derivatives are computed.
        callback: called with the params of each step; it may raise StopIteration to end.
        options: of the method, as SciPy documents them.
        jit: whether to compile f and its derivatives first.

    A method that gives up is no error: see `success` and `message`. Raises ValueError where the
    method is unknown or cannot do what is asked for, or the arrays of params are empty,
    NotDifferentiableError for arrays of integers, and MissingExtraError without SciPy.

    >>> import numpy as np, tinygrad_digits as td
    >>> def rosenbrock(p):
    ...     return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2
    >>> found = minimize(rosenbrock, {"x": -1.0, "y": 2.0}, "trust-exact")
    >>> found.success, tree.map(lambda x: float(round(x, 4)), found.x)
    (True, {'x': 1.0, 'y': 1.0})
    """
    with extra("scipy"):
        from scipy import optimize
    from ..transforms.custom import stop_gradient

    method = _method(method, bounds is not None, bool(constraints))
    tree.refuse_leaves(params, "minimize: params")
    start = stop_gradient(tree.map(_float, params))
    _check(start)
    vector, unravel = tree.ravel(start)
    if isinstance(vector, Tensor):
        raise TracedValueError(
            "minimize takes as many steps as the values ask for, so it cannot be part of a program "
            "or a batch: call it outside of jit, vmap and debug, and give it what they have made"
        )
    if not vector.size:
        raise ValueError("minimize: params holds no number that could move: its arrays are empty")
    problem = _Problem(lambda v, *rest: f(unravel(v), *rest), args, jit)
    found = optimize.minimize(
        problem.value if method in VALUES else problem.evaluate,
        vector.astype(float),
        method=method,
        jac=method not in VALUES,
        hessp=problem.product if method in PRODUCTS else None,
        hess=problem.hessian if method in HESSIAN else None,
        bounds=None if bounds is None else optimize.Bounds(*_bounds(start, bounds)),
        constraints=[_constraint(c, unravel, method) for c in _several(constraints)],
        tol=tol,
        callback=None if callback is None else lambda v, *_: callback(unravel(v)),
        options=None if options is None else dict(options),
    )
    return _read_result(found, problem, unravel, method in VALUES)


def _read_result(
    found: Any, problem: _Problem, unravel: Callable[[Array], Tree], values_only: bool
) -> Minimum:
    """What SciPy has found, in terms of the tree."""
    fun, grad = problem.at_the_end(found.x, values_only)
    return Minimum(
        x=unravel(found.x),
        fun=fun,
        grad=None if grad is None else unravel(grad),
        success=bool(found.success),
        message=str(found.message),
        steps=int(getattr(found, "nit", 0)),
        evaluations=problem.evaluations,
        hessians=problem.hessians,
    )


class _Problem:
    """A function of a vector and its derivatives, in the types that SciPy takes, counted."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], jit: bool) -> None:
        from ..transforms.derivatives import hessian, hvp

        compiled = jitted if jit else lambda f: f
        self.args = args
        self.evaluations = self.hessians = 0
        self.f = compiled(f)
        self.value_and_grad = compiled(value_and_grad(f))
        self.hvp = compiled(lambda v, p, *args: hvp(lambda v: f(v, *args), v, p))
        self.whole_hessian = compiled(hessian(f))

    def value(self, v: Array) -> float:
        self.evaluations += 1
        return _plain(self.f(v, *self.args))

    def evaluate(self, v: Array) -> tuple[float, Array]:
        self.evaluations += 1
        value, grad = self.value_and_grad(v, *self.args)
        return _plain(value), grad

    def product(self, v: Array, p: Array) -> Array:
        self.hessians += 1
        return self.hvp(v, p, *self.args)

    def hessian(self, v: Array) -> Array:
        self.hessians += 1
        return self.whole_hessian(v, *self.args)

    def at_the_end(self, v: Array, value_alone: bool) -> tuple[float, Array | None]:
        return (self.value(v), None) if value_alone else self.evaluate(v)


def _plain(value: Any) -> float:
    """A value of f for SciPy, whose steps cannot be differentiated."""
    if isinstance(value, Tensor) and not isinstance(value, Tracer):  # which says so itself
        raise NotDifferentiableError(
            "minimize: f depends on a Tensor of a transform under way, but a minimisation has no "
            "derivative; td.fixed_point has one, with a step of gradient descent for its f"
        )
    return float(np.reshape(value, ()))


def _method(method: str | None, bounded: bool, constrained: bool) -> str:
    """SciPy's name of a method that can do what is asked for."""
    if method is None:
        return "SLSQP" if constrained else "L-BFGS-B" if bounded else "BFGS"
    name = METHODS.get(method.lower())
    if name is None:
        raise ValueError(f"minimize: no method {method!r}; there are {', '.join(METHODS.values())}")
    for asked, able, what in (
        (bounded, BOUNDED, "bounds"),
        (constrained, CONSTRAINED, "constraints"),
    ):
        if asked and name not in able:
            raise ValueError(f"minimize: {name} takes no {what}; {', '.join(able)} do")
    return name


def _float(x: Any) -> Any:
    return float(x) if type(x) is int else x


def _check(params: Tree) -> None:
    """Raise NotDifferentiableError unless there are numbers, and all are floating point."""
    floats = 0
    for path, leaf in tree.items(params, "params"):
        floats += tree.is_inexact(leaf)
        if is_numeric(leaf) and not tree.is_inexact(leaf):
            kind = getattr(leaf, "dtype", type(leaf).__name__)
            raise NotDifferentiableError(
                f"minimize: {path} is {kind}; make it real floating point, with .astype(float)"
            )
    if not floats:
        raise NotDifferentiableError("minimize: params has no floating-point leaf that could move")


def _bounds(params: Tree, bounds: tuple[Tree, Tree]) -> list[Array]:
    """The lower and the upper bound as vectors."""
    if not (isinstance(bounds, tuple) and len(bounds) == 2):
        raise TypeError("minimize: bounds is a pair (lower, upper) of numbers or of trees")
    vectors = []
    for bound, none in zip(bounds, (-np.inf, np.inf), strict=True):
        whole = tree.map(lambda _, b=bound: b, params) if _is_number(bound) else bound

        def spread(p: Any, b: Any, none: float = none) -> Any:
            if not tree.is_inexact(p):
                return p
            if getattr(p, "dtype", np.dtype(type(p))).kind == "c":
                return _bind_parts(np.shape(p), none if b is None else b)
            return np.array(np.broadcast_to(none if b is None else b, np.shape(p)), float)

        try:
            vectors.append(tree.ravel(tree.map(spread, params, whole))[0])
        except ValueError as error:
            raise ShapeError(f"minimize: bounds do not fit params: {error}") from None
    return vectors


def _bind_parts(shape: tuple[int, ...], bound: Any) -> Array:
    """The same bound for real and imaginary parts; a complex one has one for each."""
    parts = np.empty(shape, complex)
    parts.real, parts.imag = np.real(bound), np.imag(bound) if np.iscomplexobj(bound) else bound
    return parts


def _is_number(bound: Any) -> bool:
    return bound is None or (is_numeric(bound) and np.ndim(bound) == 0)


def _several(constraints: Constraint | Sequence[Constraint]) -> Sequence[Constraint]:
    return [constraints] if isinstance(constraints, Mapping) else constraints


def _constraint(constraint: Constraint, unravel: Callable[[Array], Tree], method: str) -> Any:
    """A constraint on params as one on the vector, with its derivatives."""
    if not {"type", "fun"} <= constraint.keys() <= {"type", "fun", "args"}:
        raise ValueError(
            f"minimize: a constraint has type, fun and perhaps args, got {', '.join(constraint)}"
        )
    if (kind := constraint["type"]) not in ("eq", "ineq"):
        raise ValueError(f"minimize: a constraint is of type 'eq' or 'ineq', got {kind!r}")

    from ..transforms.derivatives import hessian, jacobian

    def fun(v: Array) -> Array:
        return np.reshape(constraint["fun"](unravel(v), *constraint.get("args", ())), (-1,))

    def curvature(v: Array, weights: Array) -> Array:
        return hessian(lambda v: weights @ fun(v))(v)

    if method != "trust-constr":
        return {"type": kind, "fun": fun, "jac": jacobian(fun)}
    from scipy.optimize import NonlinearConstraint

    high = 0.0 if kind == "eq" else np.inf
    return NonlinearConstraint(fun, 0.0, high, jac=jacobian(fun), hess=curvature)
