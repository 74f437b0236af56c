"""jit gives what eager gives: on ops without rules, on drawn programs, on models and examples.

`test_cases.py` has every function with its gradient, `test_native.py` the same for native code.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.jit_programs import (
    BACKENDS,
    TOLERANCE,
    assert_same,
    check_calls,
    programs,
    skip_without,
)
from tinygrad_digits.compiler.native import expressions
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.ops import nondifferentiable

DTYPES = [np.float64, np.float32]

# --- ops without rules


X = np.array([[0.5, -1.25, 0.0], [2.0, np.nan, -np.inf]])

Y = np.array([[0.5, 1.0, -0.0], [-2.0, 0.25, np.inf]])

WITHOUT_RULES = {
    **{f: (X, Y)[: f.nin] for f in nondifferentiable.ELEMENTWISE},
    **dict.fromkeys((np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin), (X, Y)),
    **dict.fromkeys((np.isneginf, np.isposinf, np.isreal, np.iscomplex, np.angle, np.fix), (X,)),
    **dict.fromkeys((np.count_nonzero, np.all, np.any, np.argmax, np.argmin, np.argsort), (X,)),
    **dict.fromkeys((np.nanargmax, np.nanargmin, np.zeros_like, np.ones_like, np.empty_like), (X,)),
    **dict.fromkeys((np.imag, np.shape, np.ndim, np.size, np.iterable), (X,)),
    **dict.fromkeys((np.isrealobj, np.iscomplexobj, np.argwhere, np.nonzero, np.flatnonzero), (X,)),
    **dict.fromkeys((np.array_repr, np.array_str, np.array2string, np.min_scalar_type), (X,)),
    **dict.fromkeys((np.shares_memory, np.may_share_memory), (X, Y)),
    **{f: (X, np.ones(2, np.float32)) for f in (np.result_type, np.common_type)},
    **dict.fromkeys((np.round, np.around, np.argpartition), (Y, 1)),
    np.can_cast: (X, np.float32),
    np.floor_divide: (np.array([[0.5, -1.25, 0.0], [2.0, 7.5, -3.0]]), 1.5),
    np.linalg.matrix_rank: (np.array([[1.0, 2.0], [2.0, 4.0]]),),
    np.searchsorted: (np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 3.0])),
    np.digitize: (Y, np.array([0.0, 1.0, 2.0])),
}

NOT_TRACED = {
    *("nonzero", "flatnonzero", "argwhere", "min_scalar_type"),
    *("shares_memory", "may_share_memory", "array_repr", "array_str", "array2string"),
}


def test_every_op_without_rules_is_tried():
    assert {f.__name__ for f in WITHOUT_RULES} == nondifferentiable.OPS.keys()


@pytest.mark.parametrize("op", WITHOUT_RULES, ids=lambda op: op.__name__)
def test_an_op_without_rules(op, backend):
    name, args = op.__name__, WITHOUT_RULES[op]
    if name in NOT_TRACED:
        with pytest.raises(td.errors.TracedValueError, match=name):
            td.jit(op, backend=backend)(*args)
    elif name == "empty_like":
        assert_same(td.jit(lambda x: op(x).shape, backend=backend)(*args), args[0].shape)
    elif name == "common_type":
        assert td.jit(lambda *xs: np.dtype(op(*xs)), backend=backend)(*args) == op(*args)
    else:
        ordered = name in ("searchsorted", "digitize", "matrix_rank")
        calls = [args] if ordered else [args, (args[0][::-1].copy(), *args[1:])]
        check_calls(op, calls, backend)


@pytest.mark.parametrize("dtype", DTYPES)
def test_native_ufuncs_do_as_numpy_at_the_corners(dtype):
    skip_without("native")
    known = [
        f
        for f in expressions.FORMULAS
        if f is not np.invert and not f.__name__.startswith("bitwise")
    ]
    kind = np.finfo(dtype)
    sizes = [np.nan, np.inf, 0.0, 0.5, 1, 2.5, 3, 7.25, 1e5, kind.max, kind.tiny]
    sizes = np.array([*sizes, kind.smallest_subnormal], dtype)
    numbers = np.concatenate([sizes, -sizes])
    x, y = np.repeat(numbers, len(numbers)), np.tile(numbers, len(numbers))
    places = np.arange(x.size) % 9 - 4

    def all_of_them(x, y, places):
        return [f(*(x, places if f is np.ldexp else y)[: f.nin]) for f in known]

    with np.errstate(all="ignore"):
        wanted = all_of_them(x, y, places)
    got = td.jit(all_of_them, backend="native")(x, y, places)
    for f, a, b in zip(known, got, wanted, strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=TOLERANCE[x.dtype], atol=0, err_msg=f.__name__)


@pytest.mark.parametrize("f", [*nondifferentiable.ELEMENTWISE, np.where], ids=lambda f: f.__name__)
def test_comparisons_of_numbers_and_scalars(f):
    one = f.nin == 1 if isinstance(f, np.ufunc) else False
    args = {"where": (np.array(True), np.float64(2.0), 3.0)}.get(f.__name__)
    for x in (np.float32(1.5), np.array(1.5), np.array([1.5, -1.0])):
        given = args or ((x,) if one else (x, 1.5))
        check_calls(f, [given])


# --- drawn programs


@given(programs())
def test_any_program(drawn):
    with np.errstate(all="ignore"):
        check_calls(drawn.run, [drawn.arguments(1), drawn.arguments(2)])


@given(programs())
def test_any_program_with_its_gradient(drawn):
    with np.errstate(all="ignore"):
        check_calls(drawn.run_with_gradient, [drawn.arguments(1), drawn.arguments(2)])


@settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.generate])
@given(programs(max_steps=6))
def test_any_program_on_native_code(drawn):
    skip_without("native")
    calls = [drawn.arguments(1), drawn.arguments(2)]
    with np.errstate(all="ignore"):
        both = {"values": drawn.run, "gradients": drawn.run_with_gradient}

        def f(*args):
            return {name: each(*args) for name, each in both.items()}

        check_calls(f, calls, "native", drawn.scale(*calls))


# --- models


def trained(step, params, state, batches):
    """(params, state) after each batch."""
    for x, labels in batches:
        results = step(params, state, x, labels)
        params, state = results[-2:]
        yield results


@pytest.mark.parametrize(
    ("optimizer", "dtype"),
    [(td.optim.gradient_descent(0.5), np.float64), (td.optim.momentum(0.1), np.float32)],
    ids=["gradient descent", "momentum"],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_twenty_steps_of_the_digits_model(optimizer, dtype, backend, rng):
    def step(params, state, x, labels):
        loss, grads = td.value_and_grad(model.loss)(params, x, labels)
        return loss, grads, *optimizer.update(params, grads, state)

    params = model.init_params((64, 32, 16, 10), rng, dtype)
    batches = [(rng.random((32, 64)).astype(dtype), rng.integers(0, 10, 32)) for _ in range(20)]
    eager = [*trained(step, params, optimizer.init(params), batches)]
    jitted = td.jit(step, backend=backend)
    if backend == "numpy":
        fast = [*trained(jitted, params, optimizer.init(params), batches)]
        for got, wanted in zip(fast, eager, strict=True):
            assert_same(got, wanted)
    else:  # each step from where eager was, since errors grow with the steps
        starts = [(params, optimizer.init(params)), *[results[-2:] for results in eager]]
        for start, batch, wanted in zip(starts, batches, eager, strict=False):
            assert_same(jitted(*start, *batch), wanted, backend)
    assert jitted.cache_info().traces == 1
    assert params["w0"].dtype == dtype == eager[-1][-2]["w0"].dtype


def example(name):
    path = Path(__file__).parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_digits_example(backend, rng):
    pytest.importorskip("sklearn")
    digits = example("digits")
    params = digits.init_params(rng, (64, 16, 10))
    x, y = rng.random((8, 64)), rng.integers(0, 10, 8)

    def everything(params, x, y):
        value, grads = td.value_and_grad(digits.loss)(params, x, y)
        return value, grads, digits.logits(params, x), digits.accuracy(params, x, y)

    check_calls(everything, [(params, x, y), (params, x[::-1].copy(), y)], backend)


def test_the_gradients_example(backend, rng):
    gradients = example("gradients_three_ways")
    x, w, y = rng.standard_normal((50, 4)), rng.standard_normal(4), rng.standard_normal(50)
    for f in (gradients.loss, gradients.by_tape, gradients.by_hand):
        check_calls(f, [(w, x, y), (2 * w, x, y)], backend)
    with pytest.raises(
        td.errors.TracedValueError, match=r"np\.array"
    ):  # it makes an array of losses
        td.jit(gradients.by_differences, backend=backend)(w, x, y)


def test_the_tanh_example(backend):
    pytest.importorskip("matplotlib")
    f, x = np.tanh, np.linspace(-4, 4, 41)
    for _ in range(4):
        f = example("tanh_derivatives").elementwise(f)
    check_calls(f, [(x,), (x / 2,)], backend, scale=16.0)


def test_the_jit_example(backend, rng):
    pytest.importorskip("sklearn")
    step = example("jit_step").step
    params = {
        "w1": rng.standard_normal((64, 32)) / 8,
        "b1": np.zeros(32),
        "w2": rng.standard_normal((32, 10)) / 6,
        "b2": np.zeros(10),
    }
    check_calls(step, [(params, rng.random((32, 64)), rng.integers(0, 10, 32))], backend)


def moons(rng, n):
    """Two half circles that interlock: (n, 2) points, (n,) labels 0 and 1."""
    angle, labels = rng.uniform(0, np.pi, n), np.arange(n) % 2
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.where(labels[:, None] == 0, circle, [1.0, 0.5] - circle)
    return points + 0.1 * rng.standard_normal((n, 2)), labels


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_moons(backend, rng):
    def loss(layers, x, labels):
        for w, b in layers[:-1]:
            x = np.tanh(x @ w + b)
        w, b = layers[-1]
        z = (x @ w + b)[:, 0]
        return np.mean(td.nn.softplus(z) - z * labels)

    def step(layers, x, labels, rate):
        value, grads = td.value_and_grad(loss)(layers, x, labels)
        return value, td.tree.map(lambda p, g: p - rate * g, layers, grads)

    x, labels = moons(rng, 60)
    layers = [
        (rng.standard_normal((2, 8)), np.zeros(8)),
        (rng.standard_normal((8, 8)) / 3, np.zeros(8)),
        (rng.standard_normal((8, 1)) / 3, np.zeros(1)),
    ]
    jitted = td.jit(step, backend=backend)
    losses = []
    for _ in range(200):
        value, after = jitted(layers, x, labels, 0.5)
        assert_same((value, after), step(layers, x, labels, 0.5), backend, scale=10.0)
        layers = after
        losses.append(value)
    assert losses[-1] < 0.3 * losses[0]


def test_descent_on_rosenbrock(backend):
    def rosenbrock(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def step(x, velocity):
        value, slope = td.value_and_grad(rosenbrock)(x)
        velocity = 0.9 * velocity - 2e-4 * slope
        return value, x + velocity, velocity

    x = np.array([-0.5, 0.5, 0.5])
    jitted, velocity = td.jit(step, backend=backend), np.zeros(3)
    for _ in range(2000):
        results = jitted(x, velocity)
        assert_same(results, step(x, velocity), backend, scale=1000.0)
        value, x, velocity = results
    assert value < 0.1
    assert jitted.cache_info().traces == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_reductions(dtype, backend, rng):
    def f(x):
        each = [g(x, axis=axis) for g in (np.sum, np.mean, np.max) for axis in (None, 0, 1)]
        return each, np.var(x), np.sum(x.T * x.T, axis=0), x.reshape(-1) @ x.reshape(-1)

    x = (rng.random((1500, 130)) + 1).astype(dtype)
    check_calls(f, [(x,), (x[::-1].copy(),)], backend)


def f(x):
    return x
