"""SciPy's minimisers over trees, with derivatives from the engine."""

import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.optim import minimization as module

OPTIONS = {"trust-constr": {"gtol": 1e-8}}
TOLERANCE = {"COBYLA": 3e-2, "TNC": 1e-3, "SLSQP": 1e-2, "Nelder-Mead": 1e-3}


def rosenbrock(x, steep=100.0):
    return np.sum(steep * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_of_tree(params, a=1.0):
    return (a - params["x"]) ** 2 + 100 * np.sum((params["more"]["y"] - params["x"] ** 2) ** 2)


def quadratic(params):
    fit = params["w"] @ np.float32([1, 2]) + params["b"] - np.float32([1, 2, 3])
    return np.sum(fit**2) + np.float32(0.1) * np.sum(params["w"] ** 2)


def start(**more):
    return {"w": np.zeros((3, 2), np.float32), "b": np.float32([0.5, 0, 0]), **more}


def solution():
    """Of the quadratic: with w = s (1, 2) for each row the fit is 5 s + b, and b is free."""
    return {"w": np.zeros((3, 2)), "b": np.array([1.0, 2.0, 3.0])}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("method", module.METHODS.values())
def test_every_method_finds_the_valley(method, jit):
    first = np.array([1.2, 1.2])  # where the Hessian is positive definite, as dogleg needs it
    args = (2.0 if method == "COBYLA" else 100.0,)  # it takes thousands of steps down the valley
    options = OPTIONS.get(method)
    found = td.minimize(rosenbrock, first, method, args=args, options=options, jit=jit)
    assert found.success, found.message
    assert_allclose(found.x, [1, 1], atol=TOLERANCE.get(method, 1e-4))
    assert found.fun == rosenbrock(found.x, *args)
    assert found.evaluations > 1
    assert (found.steps > 0) == (method != "COBYLA")
    assert (found.hessians > 0) == (method in module.PRODUCTS + module.HESSIAN)
    if method in module.VALUES:
        assert found.grad is None
    else:
        assert_array_equal(found.grad, td.grad(rosenbrock)(found.x))
    assert_array_equal(first, [1.2, 1.2])


@pytest.mark.parametrize("method", [*module.GRADIENT, *module.PRODUCTS, *module.HESSIAN])
def test_trees_keep_their_dtypes(method):
    params = start(name="line", k=2)
    before = td.tree.map(np.copy, params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float32 gives out before some methods' default tolerance
        found = td.minimize(
            lambda p: quadratic(p) + (p["k"] - 1) ** 2,
            params,
            method,
            tol=1e-7 if method == "TNC" else 1e-3,
            options={"maxfun": 2000} if method == "TNC" else None,
        )
    assert_allclose(found.x["b"], solution()["b"], atol=6e-2)
    assert_allclose(found.x["w"], solution()["w"], atol=6e-2)
    assert found.x["k"] == pytest.approx(1, abs=1e-2)
    for leaves in (found.x, found.grad):
        assert (leaves["w"].dtype, leaves["w"].shape) == (np.float32, (3, 2))
        assert leaves["b"].dtype == np.float32
        assert leaves["name"] == "line"
    td.tree.map(assert_array_equal, params, before)
    assert not np.shares_memory(found.x["w"], params["w"])


def test_f_is_called_with_the_tree_and_its_further_arguments():
    seen = []

    def f(params, a):
        seen.append((params["more"]["y"].dtype, params["x"].dtype, a))
        return rosenbrock_of_tree(params, a)

    params = {"x": 0.5, "more": {"y": np.float32([0.3, 0.2])}}
    found = td.minimize(f, params, args=(2.0,), options={"gtol": 1e-3})
    assert set(seen) == {(np.dtype(np.float32), np.dtype(float), 2.0)}
    assert found.x["x"] == pytest.approx(2, abs=1e-2)
    jitted = td.minimize(f, params, args=(2.0,), options={"gtol": 1e-3}, jit=True)
    td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-2), jitted.x, found.x)


@pytest.mark.parametrize("method", ["trust-ncg", "Newton-CG", "trust-exact", "trust-constr"])
def test_methods_of_second_order_get_the_hessian(method):
    matrix = np.diag([1.0, 10.0, 100.0])
    b = np.ones(3)
    found = td.minimize(lambda x: x @ matrix @ x / 2 - b @ x, np.zeros(3), method)
    assert_allclose(found.x, 1 / np.diag(matrix), atol=1e-6)
    assert found.steps < 20


@pytest.mark.parametrize("method", [None, *module.BOUNDED])
@pytest.mark.parametrize(
    "bounds",
    [
        ({"x": 0.0, "y": np.array([-np.inf, 0.5])}, 2.0),
        ({"x": None, "y": 0.5}, {"x": 2.0, "y": [2.0, None]}),
        (None, {"x": 0.25, "y": 2.0}),
    ],
    ids=["mixed", "trees", "upper"],
)
def test_bounds_are_kept(method, bounds):
    if isinstance(bounds[1], dict):  # a list in the place of an array is not a leaf
        bounds = (bounds[0], {**bounds[1], "y": np.array([2.0, np.inf])})
    target = {"x": 1.0, "y": np.array([-1.0, 0.0])}

    def distance(p):
        return (p["x"] - target["x"]) ** 2 + np.sum((p["y"] - target["y"]) ** 2)

    found = td.minimize(distance, {"x": 0.1, "y": np.array([1.0, 1.0])}, method, bounds=bounds)
    low, high = (np.inf if b is None else b for b in bounds)
    low = {"x": -np.inf, "y": -np.inf} if bounds[0] is None else low
    high = high if isinstance(high, dict) else {"x": high, "y": high}
    for name, wanted in target.items():
        least = -np.inf if low[name] is None else low[name]
        assert_allclose(found.x[name], np.clip(wanted, least, high[name]), atol=2e-3)


@pytest.mark.parametrize("method", [None, *module.CONSTRAINED])
def test_constraints_are_kept(method):
    unit = {"type": "ineq", "fun": lambda p, r: r**2 - p["x"] ** 2 - p["y"] ** 2, "args": (1.0,)}
    line = {"type": "eq", "fun": lambda p: np.stack([p["x"] - p["y"]])}
    constraints = [unit, line]
    found = td.minimize(
        lambda p: -p["x"] - p["y"], {"x": 0.1, "y": 0.2}, method, constraints=constraints
    )
    assert_allclose([found.x["x"], found.x["y"]], 0.5**0.5, atol=1e-3)
    alone = td.minimize(lambda p: -p["x"] - p["y"], {"x": 0.1, "y": 0.2}, method, constraints=unit)
    assert_allclose([alone.x["x"], alone.x["y"]], 0.5**0.5, atol=2e-3)


def test_the_derivatives_of_constraints_are_exact(monkeypatch):
    from scipy import optimize

    given = {}
    monkeypatch.setattr(optimize, "minimize", lambda *args, **options: given.update(options))
    with pytest.raises(AttributeError):  # the one that stands in finds nothing
        td.minimize(rosenbrock, np.ones(2), constraints={"type": "eq", "fun": lambda x: x**2})
    assert_array_equal(given["constraints"][0]["jac"](np.array([1.0, 3.0])), np.diag([2.0, 6.0]))
    assert given["method"] == "SLSQP"


def test_a_callback_gets_the_tree_and_may_end_it():
    seen = []

    def callback(params):
        seen.append(params)
        if len(seen) == 3:
            raise StopIteration

    params = {"x": -1.0, "more": {"y": np.array([2.0])}}
    for method in ("BFGS", "L-BFGS-B", "trust-constr", "trust-ncg", "Nelder-Mead", "SLSQP"):
        seen.clear()
        td.minimize(rosenbrock_of_tree, params, method, callback=callback)
        assert len(seen) == 3, method
        assert seen[0].keys() == params.keys()
        assert seen[0]["x"] != seen[2]["x"]
        assert not np.shares_memory(seen[0]["more"]["y"], seen[1]["more"]["y"])


def test_giving_up_is_no_error():
    found = td.minimize(rosenbrock, np.array([-1.0, 2.0]), options={"maxiter": 2})
    assert (found.success, found.steps) == (False, 2)
    assert "iterations" in found.message
    assert repr(found).startswith(f"Minimum({found.fun:.6g} at array([")
    assert "no success: Maximum number of iterations" in repr(found)
    with pytest.raises(AttributeError):
        found.fun = 0.0
    hessians = td.minimize(rosenbrock, np.array([-1.0, 2.0]), "trust-exact").hessians
    assert f"{hessians} of the Hessian" in repr(
        td.minimize(rosenbrock, np.array([-1.0, 2.0]), "trust-exact")
    )


def test_a_minimisation_has_no_derivative():
    def found(a, **options):
        return td.minimize(lambda x: (x - a) ** 2, 0.0, **options).x

    for method in ("BFGS", "Nelder-Mead"):
        with pytest.raises(
            td.errors.NotDifferentiableError, match=r"no derivative; td\.fixed_point"
        ):
            td.grad(lambda a, method=method: found(a, method=method))(1.0)
        with pytest.raises(td.errors.TracedValueError):
            td.jit(lambda a, method=method: found(a, method=method))(1.0)
    start = td.grad(lambda a: a + td.minimize(lambda x: (x - 1) ** 2, a).x)(3.0)
    assert start == 1.0  # where it starts from does not matter

    def solved(a):
        return td.fixed_point(lambda a, x: x - 0.3 * td.grad(lambda x: (x - a) ** 2)(x), a, 0.0)

    assert td.grad(solved)(1.0) == pytest.approx(1.0)


def test_errors_inside_f_come_through():
    def broken(x):
        raise KeyError("mine", x.shape)

    for method in ("BFGS", "Nelder-Mead", "trust-exact"):
        with pytest.raises(KeyError, match="mine"):
            td.minimize(broken, np.ones(2), method)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no method 'Newton'; there are CG"):
        td.minimize(rosenbrock, np.ones(2), "Newton")
    with pytest.raises(ValueError, match="BFGS takes no bounds; L-BFGS-B"):
        td.minimize(rosenbrock, np.ones(2), "bfgs", bounds=(0.0, 1.0))
    with pytest.raises(ValueError, match="TNC takes no constraints; SLSQP"):
        td.minimize(rosenbrock, np.ones(2), "TNC", constraints={"type": "eq", "fun": np.sum})
    with pytest.raises(ValueError, match="got type, fun, jac"):
        td.minimize(rosenbrock, np.ones(2), constraints={"type": "eq", "fun": np.sum, "jac": 1})
    with pytest.raises(TypeError, match="pair"):
        td.minimize(rosenbrock, np.ones(2), bounds=[(0, 1), (0, 1)])
    with pytest.raises(td.errors.ShapeError, match="bounds do not fit"):
        td.minimize(rosenbrock, np.ones(2), bounds=(np.zeros(3), None))
    with pytest.raises(td.errors.ShapeError, match="bounds do not fit"):
        td.minimize(rosenbrock, {"x": np.ones(2)}, bounds=({"y": 0.0}, None))
    with pytest.raises(td.errors.NotDifferentiableError, match=r"params\['x'\]\[0\] is int64"):
        td.minimize(rosenbrock, {"x": [np.arange(3)]})
    with pytest.raises(td.errors.NotDifferentiableError, match="no floating-point leaf"):
        td.minimize(rosenbrock, {"x": "a"})


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(td.errors.MissingExtraError, match=r"tinygrad-digits\[scipy\]"):
        td.minimize(rosenbrock, np.ones(2))


@pytest.mark.parametrize("params", [np.zeros(0), {"w": np.zeros((2, 0)), "name": "net"}])
def test_nothing_to_move(params):
    with pytest.raises(ValueError, match="its arrays are empty"):
        td.minimize(lambda p: 1.0, params)
