"""jit gives what eager gives: on every op row, on drawn programs, on the examples."""

import dataclasses
import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.domains import DOMAINS
from tests.jit_programs import (
    TOLERANCE,
    assert_own_memory,
    assert_same,
    check_calls,
    programs,
    skip_without,
)
from tests.test_ops import CASES, floats, moving, put, weighted
from tinygrad_digits.compiler import native_expressions, numpy_backend, passes
from tinygrad_digits.compiler.passes.for_numpy import column_maxima
from tinygrad_digits.compiler.plan import Place, PlanError, check
from tinygrad_digits.compiler.program import Aval, Equation, Program, Var
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.ops import OPS, elementwise, nondifferentiable, softmax

BACKENDS = ["numpy", "numba"]
DTYPES = [np.float64, np.float32]


@pytest.fixture(params=BACKENDS)
def backend(request):
    skip_without(request.param)
    return request.param


# --- every op row


def in_dtype(args, dtype):
    return tuple(x.astype(dtype) if i in floats(args) else x for i, x in enumerate(args))


def with_gradients(op, options, places):
    """(args) -> the op's value, and the gradients of a scalar made of it."""

    def f(*args):
        gradients = td.grad(weighted(op, options), places)(*args) if places else ()
        return op(*args, **options), gradients

    return f


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "draw"), CASES)
def test_a_row_gives_eagers_bits(name, draw, dtype, rng):
    calls = []
    for _ in range(2):
        args, options = draw(rng)
        calls.append(in_dtype(args, dtype))
    jitted = check_calls(with_gradients(OPS[name], options, floats(args)), calls)
    statics = {repr(x) for call in calls for x in call if isinstance(x, int)}
    assert jitted.cache_info().traces == max(1, len(statics))


def for_numba(name):
    """(draw, dtype) of some cases of a row: to compile takes its time."""
    cases = [case for i, case in enumerate(DOMAINS[name]) if i in (0, 1, 4)]
    return zip(cases, itertools.cycle(DTYPES), strict=False)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_row_on_numba_is_close(name, rng):
    skip_without("numba")
    calls = []
    for draw, dtype in for_numba(name):
        args, options = draw(rng)
        calls.append((in_dtype(args, dtype), options))
    functions = [with_gradients(OPS[name], options, floats(args)) for args, options in calls]

    def all_of_them(cases):
        return [f(*args) for f, args in zip(functions, cases, strict=True)]

    check_calls(all_of_them, [([args for args, _ in calls],)], "numba")


@pytest.mark.parametrize("name", DOMAINS)
def test_second_derivatives_of_a_row(name, rng):
    def squared(*xs):
        gradients = td.grad(lambda *xs: weighted(OPS[name], options)(*put(args, xs)), places)(*xs)
        return sum(np.sum(g * g) for g in gradients) + sum(np.sum(x) for x in xs)

    for draw in DOMAINS[name][:3]:
        args, options = draw(rng)
        places = tuple(range(len(floats(args))))
        check_calls(td.grad(squared, places), [tuple(moving(args))])


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
    skip_without("numba")
    known = [f for f in native_expressions.SYMBOLS if not f.__name__.startswith("bitwise")]
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
    got = td.jit(all_of_them, backend="numba")(x, y, places)
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


@settings(max_examples=150, deadline=None)
@given(programs())
def test_any_program(drawn):
    with np.errstate(all="ignore"):
        check_calls(drawn.run, [drawn.arguments(1), drawn.arguments(2)])


@settings(max_examples=150, deadline=None)
@given(programs())
def test_any_program_with_its_gradient(drawn):
    with np.errstate(all="ignore"):
        check_calls(drawn.run_with_gradient, [drawn.arguments(1), drawn.arguments(2)])


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
@given(programs(max_steps=6))
def test_any_program_on_numba(drawn):
    skip_without("numba")
    calls = [drawn.arguments(1), drawn.arguments(2)]
    with np.errstate(all="ignore"):
        both = {"values": drawn.run, "gradients": drawn.run_with_gradient}

        def f(*args):
            return {name: each(*args) for name, each in both.items()}

        check_calls(f, calls, "numba", drawn.scale(*calls))


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


# --- traces, and the cache of programs


def test_a_trace_for_each_signature():
    seen = []

    @td.jit
    def f(x, n=1):
        seen.append(x.shape)
        return x * n

    for shape in [(2,), (2,), (3,), (2,)]:
        assert_array_equal(f(np.ones(shape)), np.ones(shape))
    f(np.ones(2, np.float32))
    f(np.ones(2), 2)
    f(np.ones(2), 2)
    assert seen == [(2,), (3,), (2,), (2,)]
    assert f.cache_info() == (4, 4, 64)
    assert f.cache_info()._fields == ("traces", "programs", "maxsize")
    assert len(f.programs) == 4


def test_the_cache_is_bounded_and_drops_what_was_not_used():
    @td.jit(cache_size=2)
    def f(x):
        return x + 1

    for n in (1, 2, 1, 3):  # 2 is the least recently used
        assert_array_equal(f(np.zeros(n)), np.ones(n))
    assert f.cache_info() == (3, 2, 2)
    f(np.zeros(1))
    f(np.zeros(3))
    assert f.cache_info().traces == 3
    f(np.zeros(2))
    assert f.cache_info() == (4, 2, 2)


def test_the_cache_can_be_cleared():
    f = td.jit(np.negative)
    f(np.ones(2))
    f.cache_clear()
    assert f.cache_info() == (1, 0, 64)
    assert f.programs == []
    assert_array_equal(f(np.ones(2)), [-1, -1])
    assert f.cache_info() == (2, 1, 64)


def test_a_cache_has_room_for_a_program():
    with pytest.raises(ValueError, match="cache_size"):
        td.jit(np.negative, cache_size=0)


def test_asking_for_the_program_compiles_it_without_running():
    calls = []
    f = td.jit(lambda x: calls.append(1) or x * 2)
    program = f.program(np.ones(3))
    assert f.programs == [program]
    f(np.ones(3))
    assert calls == [1]


def test_keyword_arguments_in_any_order_share_a_program():
    f = td.jit(lambda x, **rest: x - rest["a"] + 2 * rest["b"])
    assert f(1.0, a=2.0, b=3.0) == f(1.0, b=3.0, a=2.0) == 5.0
    assert f.cache_info().traces == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1.0}, {"b": 1.0}),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}),
        ([1.0, 2.0], (1.0, 2.0)),
        ([1.0], [[1.0]]),
        (1.0, np.float64(1.0)),
        (np.float64(1.0), np.array(1.0)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(2), np.zeros(2, int)),
        (np.zeros(2), np.zeros(2, ">f8")),
        (1, 2),
        (1, True),
        (1, 1.0),
        ("a", "b"),
        (None, 1.0),
        (np.tanh, np.sin),
    ],
    ids=repr,
)
def test_what_makes_a_new_signature(first, second):
    f = td.jit(lambda x, other: x * 2.0)
    for other, traces in ((first, 1), (second, 2), (first, 2), (second, 2)):
        assert f(3.0, other) == 6.0
        assert f.cache_info().traces == traces


def test_what_leaves_the_signature_as_it_is(rng):
    f = td.jit(lambda x, y, r, g: x * y * r + g.random())
    for y in (1.0, -0.0, np.nan, np.inf):
        f(rng.standard_normal(3), y, np.float32(y), np.random.default_rng(0))
    f(rng.standard_normal(6)[::2], 1.0, np.float32(1), rng)
    assert f.cache_info().traces == 1


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match=r"numpy, numba.*'torch'"):
        td.jit(np.sin, backend="torch")
    with pytest.raises(TypeError, match="takes a function, got int"):
        td.jit(3)
    with pytest.raises(TypeError, match="f has no argument 'z'"):
        td.jit(WITH_X, static_argnames="z")
    with pytest.raises(TypeError, match="f has no argument 'z'"):
        td.jit(WITH_X, donate=("x", "z"))


def f(x):
    return x


WITH_X = f


# --- the plan and its verifier


def planned(f, *args):
    program = td.jit(f).program(*args)
    return program.final, program.code.plan


def numbered(program, *names):
    """The numbers of the equations of these ops, in the order of the names."""
    return [next(i for i, line in program.equations.items() if line.op.name == n) for n in names]


def moved(plan, **changes):
    return dataclasses.replace(plan, **changes)


def test_a_plan_that_fits_passes():
    def f(x):
        a, b = np.exp(x), np.sin(x)
        return np.sum(a * b)

    program, plan = planned(f, np.ones((3, 4)))
    check(program, plan)
    assert plan.size < sum(stop - start for start, stop in plan.places.values())


def test_two_values_that_live_at_once_must_not_share_a_place():
    program, plan = planned(lambda x: np.sum(np.exp(x) * np.sin(x)), np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    with pytest.raises(PlanError, match=f"reads %{a}, whose memory has been overwritten"):
        check(program, moved(plan, places=plan.places | {b: plan.places[a]}))
    start, stop = plan.places[a]
    with pytest.raises(PlanError, match="overwritten"):  # by a part
        check(program, moved(plan, places=plan.places | {b: Place(start + 64, stop + 64)}))


def test_an_operand_that_is_still_needed_must_not_be_written_over():
    def f(x):
        a = np.exp(x)
        return np.sum(np.sin(a) - a)

    program, plan = planned(f, np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match=f"subtract reads %{a}"):
        check(program, moved(plan, places=places, in_place={b: a}))


def test_nor_may_what_a_view_shows():
    def f(x):
        a = np.exp(x)
        return np.sum(np.sin(a) @ a.T)

    program, plan = planned(f, np.ones((3, 3)))
    a, b = numbered(program, "exp", "sin")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match="overwritten"):
        check(program, moved(plan, places=places, in_place={b: a}))


def test_a_product_is_not_computed_in_place():
    program, plan = planned(lambda x: np.sum(np.exp(x) @ x), np.ones((3, 3)))
    a, b = numbered(program, "exp", "matmul")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match="matmul cannot be computed in place"):
        check(program, moved(plan, places=places, in_place={b: a}))
    with pytest.raises(PlanError, match="overwrites what it is reading"):
        check(program, moved(plan, places=places))


@pytest.mark.parametrize(("start", "stop"), [(0, -8), (8, 8)], ids=["too small", "not aligned"])
def test_a_place_must_fit(start, stop):
    program, plan = planned(lambda x: np.sum(np.exp(x)), np.ones((3, 4)))
    (a,) = numbered(program, "exp")
    place = Place(plan.places[a].start + start, plan.places[a].stop + stop)
    with pytest.raises(PlanError, match=f"%{a} exp does not fit"):
        check(program, moved(plan, places=plan.places | {a: place}))


def test_what_is_written_in_place_stands_where_its_operand_stood():
    program, plan = planned(lambda x: np.sum(np.sin(np.exp(x))), np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    assert plan.in_place == {b: a}
    place = Place(plan.places[a].stop + 32, plan.places[a].stop + 32 + 96)
    with pytest.raises(PlanError, match="is not where its operand"):
        check(program, moved(plan, places=plan.places | {b: place}))


def test_a_donated_input_that_is_read_later_must_not_be_written_over(rng):
    jitted = td.jit(lambda p, g: (p - g, np.sum(p)), donate="p")
    program = jitted.program(*rng.standard_normal((2, 3)))
    final, plan = program.final, program.code.plan
    (difference,) = numbered(final, "subtract")
    p = next(iter(final.inputs))
    assert not plan.in_place
    with pytest.raises(PlanError, match=f"sum reads %{p}, whose memory has been overwritten"):
        check(final, moved(plan, in_place={difference: p}))


# --- what it prints


def test_a_small_program_reads_like_this():
    def f(x, w):
        return np.sum(np.tanh(x @ w) ** 2)

    program = td.jit(f).program(np.ones((2, 3)), np.ones(3))
    assert (
        f"\n{program.final}"
        == """
%0      input x        float64(2, 3)
%1      input w        float64(3,)
%2      matmul %0, %1  float64(2,)
%3      tanh %2        float64(2,)
%4      square %3      float64(2,)
%5      sum %4         float64()
return  %5"""
    )
    assert (
        f"\n{program.source}"
        == """
def run(inputs, workspace):  # f
    a0, a1, = inputs
    v2, v3, v4, = workspace
    matmul(a0, a1, out=v2)
    tanh(v2, out=v3)
    square(v3, out=v4)
    v5 = add_reduce(v4, None, None, None, False)
    return [v5[()]]
"""
    )
    assert str(program.code.plan) == "3 values of 48 bytes share 16; 2 are written in place"
    assert re.match(r"f: traced \d+ ms, lowered \d+ ms\n\ntrace  +4 equations\n", str(program))


def test_a_training_step_reads_like_this():
    def step(params, x, y):
        def loss(p):
            return np.mean((x @ p["w"] - y) ** 2)

        return td.tree.map(lambda p, g: p - 0.5 * g, params, td.grad(loss)(params))

    program = td.jit(step).program({"w": np.ones(3)}, np.ones((4, 3)), np.ones(4))
    assert (
        f"\n{program.final}"
        == """
%0      input params['w']                float64(3,)
%1      input x                          float64(4, 3)
%2      input y                          float64(4,)
%3      matmul %1, %0                    float64(4,)
%4      subtract %3, %2                  float64(4,)
%11     multiply 0.5, %4                 float64(4,)
%12     swapaxes %1, axis1=-1, axis2=-2  float64(3, 4)
%13     getitem %11, index=(..., None)   float64(4, 1)
%14     matmul %12, %13                  float64(3, 1)
%15     getitem %14, index=(..., 0)      float64(3,)
%16     multiply 0.5, %15                float64(3,)
%17     subtract %0, %16                 float64(3,)
return  %17"""
    )
    assert "dead_code              9 equations   without %5, %6, %7, %8, %9\n" in str(program)
    assert (
        f"\n{program.source}"
        == """
def run(inputs, workspace):  # step
    a0, a1, a2, = inputs
    v3, v4, v11, v14, v16, v13, v15, = workspace
    matmul(a1, a0, out=v3)
    subtract(v3, a2, out=v4)
    with errstate(**errors11):
        multiply(k0, v4, out=v11)
        v12 = a1.swapaxes(-1, -2)
        matmul(v12, v13, out=v14)
    multiply(k1, v15, out=v16)
    v17 = subtract(a0, v16)
    return [v17]
"""
    )


# --- the passes


def evaluated(program, *inputs):
    """The leaves that a program gives, as it stands."""
    code = numpy_backend.compile_program(program, "test")
    return code.run([*inputs], code.workspace())


def traced(f, *args):
    """f as it was written down, before any pass."""
    return td.jit(f).program(*args).stages[0].program


def shortened(each, f, *args):
    """The program of f before and after a pass, of the same values."""
    with np.errstate(all="ignore"):
        before = traced(f, *args)
        text = str(before)
        after = each(before)
        assert str(before) == text  # a pass makes a new program
        for got, wanted in zip(evaluated(after, *args), evaluated(before, *args), strict=True):
            assert_same(got, wanted)
    return before, after


def ops(program):
    return [line.op.name for line in program.equations.values()]


V = np.array([[1.5, -2.25, 0.0], [-0.0, np.inf, 5e-324], [np.nan, 1e-310, -1e308]])


def test_dead_code():
    def f(x):
        np.exp(x)
        y = np.sin(x) * V[0]
        return x * V[1], y[0] * 0 + x[0]

    before, after = shortened(passes.dead_code, lambda x: (np.sin(x * V[0]), x * V[1])[1], V)
    assert ops(before) == ["multiply", "sin", "multiply"]
    assert ops(after) == ["multiply"]
    assert len(before.constants) == 2
    assert len(after.constants) == 1
    before, after = shortened(passes.dead_code, f, np.ones((3, 3)))
    assert "exp" in ops(before)
    assert "exp" not in ops(after)


def test_dead_draws_are_kept():
    def f(x, rng):
        rng.random(3)
        rng.normal()
        np.exp(x)
        return x + rng.random(3)

    final = td.jit(f).program(np.ones(3), np.random.default_rng(0)).final
    assert ops(final) == ["random.random", "random.normal", "random.random", "add"]


def test_dead_checks_are_kept():
    def f(x, labels):
        td.nn.cross_entropy(x, labels)
        return x * 2

    jitted = td.jit(f)
    jitted(np.ones((2, 3)), np.array([0, 1]))
    assert ops(jitted.programs[0].final) == ["check_labels", "multiply"]
    with pytest.raises(td.errors.ShapeError, match=r"0 \.\.\. 2, got 0 \.\.\. 3"):
        jitted(np.ones((2, 3)), np.array([0, 3]))


def test_share():
    def f(x):
        return np.exp(x) * np.exp(x) + np.sum(x, axis=0) - np.sum(x, axis=0) + x[1] - x[1]

    before, after = shortened(passes.common_subexpressions, f, np.abs(X[:, :2]))
    assert len(before.equations) == len(after.equations) + 3
    for name in ("exp", "sum", "getitem"):
        assert ops(before).count(name) == 2
        assert ops(after).count(name) == 1


def test_common_subexpressions_finds_equal_constants():
    before, after = shortened(
        passes.common_subexpressions,
        lambda x: x * np.array([1.0, 2.0, 3.0]) + x * np.array([1.0, 2.0, 3.0]),
        V,
    )
    assert ops(before) == ["multiply", "multiply", "add"]
    assert ops(after) == ["multiply", "add"]


def test_common_subexpressions_finds_what_becomes_equal_on_the_way():
    before, after = shortened(
        passes.common_subexpressions, lambda x: np.sin(np.exp(x)) - np.sin(np.exp(x)), V / 1e9
    )
    assert ops(before) == ["exp", "sin", "exp", "sin", "subtract"]
    assert ops(after) == ["exp", "sin", "subtract"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        (np.array(0.0), np.array(-0.0)),
        (np.zeros(3), -np.zeros(3)),
        (np.float64(0.0), np.float64(-0.0)),
        (np.array([1]), np.array([True])),
        (np.array([1]), np.array([1.0])),
        (np.array([1.0]), np.array(1.0)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("x", [np.array([1.0, -1.0, 0.0]), np.array([1, 0, 2])], ids=["f", "i"])
def test_numbers_that_are_only_equal_are_not_shared(one, other, x):
    check_calls(lambda x: (x * one, x * other, x + one, x + other, np.add(one, x)), [(x,)])
    _, after = shortened(
        passes.common_subexpressions, lambda x: (np.power(x, one), np.power(x, other)), np.ones(3)
    )
    assert ops(after).count("power") == 2


def test_draws_are_not_shared(rng):
    final = td.jit(lambda x, rng: x * rng.random(3) * rng.random(3)).program(np.ones(3), rng).final
    assert ops(final).count("random.random") == 2


SIMPLER = {
    "times one": (lambda x: x * 1 * 1.0, ["multiply", "multiply"], []),
    "one times": (lambda x: 1.0 * x, ["multiply"], []),
    "halved": (lambda x: x / 2, ["divide"], ["multiply"]),
    "divided by -1/8": (lambda x: x / -0.125, ["divide"], ["multiply"]),
    "divided by one": (lambda x: x / 1, ["divide"], []),
    "divided by three": (lambda x: x / 3, ["divide"], ["divide"]),
    "divided by infinity": (lambda x: x / np.inf, ["divide"], ["divide"]),
    "divided by a huge power": (lambda x: x / 2.0**1000, ["divide"], ["divide"]),
    "under a number": (lambda x: 2 / x, ["divide"], ["divide"]),
    "negated twice": (lambda x: np.negative(-x), ["negative", "negative"], ["negative"]),
    "positive": (lambda x: +x, ["positive"], []),
    "cast to its dtype": (lambda x: x.astype(np.float64), ["astype"], []),
    "cast there and back": (
        lambda x: x.astype(np.float32).astype(np.float64),
        ["astype", "astype"],
        ["astype", "astype"],
    ),
    "reshaped twice": (
        lambda x: x.reshape(-1).reshape(9, 1),
        ["reshape", "reshape"],
        ["reshape", "reshape"],
    ),
    "reshaped and back": (lambda x: x.reshape(-1).reshape(3, 3), ["reshape"] * 2, ["reshape"]),
    "reshaped as it was": (lambda x: x.reshape(3, 3), ["reshape"], []),
    "reshaped in columns": (
        lambda x: x.reshape(3, 3, order="F"),
        ["reshape"],
        ["reshape"],
    ),
    "transposed twice": (lambda x: x.T.T, ["transpose", "transpose"], ["transpose"]),
    "transposed": (lambda x: x.T, ["transpose"], ["transpose"]),
    "all of it": (lambda x: x[()], ["getitem"], []),
    "broadcast for nothing": (
        lambda x: x + np.broadcast_to(x[0], (3, 3)),
        ["getitem", "broadcast_to", "add"],
        ["getitem", "add"],
    ),
    "broadcast for a sum": (
        lambda x: np.sum(np.broadcast_to(x[0], (3, 3)), axis=0),
        ["getitem", "broadcast_to", "sum"],
        ["getitem", "broadcast_to", "sum"],
    ),
    "plus zero": (lambda x: x + 0, ["add"], ["add"]),  # -0.0 + 0 is 0.0
    "times zero": (lambda x: x * 0, ["multiply"], ["multiply"]),  # NaN stays NaN
}


@pytest.mark.parametrize("what", SIMPLER)
def test_simplify(what):
    f, long, short = SIMPLER[what]
    before, after = shortened(passes.simplify, f, V)
    assert ops(before) == long
    assert ops(after) == short


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("divisor", [1, 2, 4.0, 0.5, -2, 1024, 2**-13])
@pytest.mark.filterwarnings("ignore:(overflow|underflow):RuntimeWarning")
def test_division_by_a_power_of_two_keeps_every_bit(divisor, dtype):
    numbers = np.array([0, -0.0, 1, 3, 7, 1e-7, 6e-8, 5e-324, 1.2e-45, 6e4, -12345])
    check_calls(lambda x: (x / divisor, x[3] / divisor), [(numbers.astype(dtype),)])


def folded_example():
    """x * (c + 1): a line that depends on a constant alone."""
    x, c, one, y = Var(0), Var(1), Var(2), Var(3)
    full = Aval((3,), np.dtype(float))
    equations = {
        2: Equation(OPS["add"].primitive, (c, 1.0), {}, full),
        3: Equation(OPS["multiply"].primitive, (x, one), {}, full),
    }
    constant = np.array([1.0, 2.0, 3.0])
    return Program({0: ("x", full)}, {1: constant}, equations, [y, one])


def test_fold():
    before = folded_example()
    after = passes.fold(before)
    assert ops(after) == ["multiply"]
    assert_array_equal(after.constants[2], [2.0, 3.0, 4.0])
    assert 2 not in before.constants
    for got, wanted in zip(evaluated(after, V[0]), evaluated(before, V[0]), strict=True):
        assert_same(got, wanted)


def test_fold_leaves_what_would_grow():
    before = folded_example()
    equations = {
        2: Equation(
            OPS["broadcast_to"].primitive,
            (Var(1),),
            {"shape": (1000, 3)},
            Aval((1000, 3), np.dtype(float)),
        )
    }
    large = dataclasses.replace(before, equations=equations, outputs=[Var(2)])
    assert ops(passes.fold(large)) == ["broadcast_to"]


def test_a_result_that_is_a_folded_constant_is_the_callers_own():
    program = passes.fold(folded_example())
    code = numpy_backend.compile_program(program, "test")
    results = [code.run([V[0]], code.workspace()) for _ in range(2)]
    assert_own_memory(results, [*program.constants.values()])


def test_all_passes_together_keep_every_bit():
    def f(x):
        np.exp(x)
        y = (x / 4 * 1).T.T + np.broadcast_to(x[0], (3, 3))
        return y - np.negative(-(x / 4)), y.reshape(-1).reshape(3, 3)

    with np.errstate(all="ignore"):
        before = traced(f, V)
        program = before
        for each in passes.PASSES:
            program = each(program)
            for got, wanted in zip(evaluated(program, V), f(V), strict=True):
                assert_same(got, wanted)
    assert len(program.equations) < len(before.equations)
    assert passes.dead_code in passes.PASSES
    names = {each.__name__ for each in passes.PASSES}
    assert names == {"dead_code", "common_subexpressions", "simplify", "fold", "scalar_constants"}


def test_scalar_constants_takes_an_array_of_equal_numbers_for_one():
    ramp, same = np.arange(1.0, 4.0), np.full((3, 1), 0.25)
    before, after = shortened(
        passes.scalar_constants, lambda x: (x * same, x - ramp, x[0] * same), V
    )
    assert before.constants.keys() == after.constants.keys()
    first, second, third = [line for line in after.equations.values() if len(line.args) == 2][:3]
    assert [str(line).split()[-1] for line in (first, second)] == ["0.25", "%3"]
    assert third.op.name != "multiply" or not isinstance(third.args[1], float)  # it gives the shape


def step_of_two(params, x):
    grads = td.grad(lambda p: np.sum((x @ p["w"] + p["b"]) ** 2))(params)
    return td.tree.map(lambda p, g: p - 0.5 * g, params, grads)


def test_pack_small_calls_does_the_same_with_several_arrays_at_once():
    params, x = {"w": np.ones((3, 4)), "b": np.full(4, 2.0)}, np.ones((5, 3))
    jitted = td.jit(step_of_two)
    program = jitted.program(params, x)
    before, after = program.stages[-2].program, program.final
    assert program.stages[-1].name == "pack_small_calls"
    assert ops(before).count("multiply") - ops(after).count("multiply") == 1
    assert (ops(after).count("pack"), ops(after).count("piece")) == (1, 2)
    for _ in range(2):
        assert_same(jitted(params, x), step_of_two(params, x))


def test_a_pack_has_its_operands_in_it():
    params, x = {"w": np.ones((3, 4)), "b": np.full(4, 2.0)}, np.ones((5, 3))
    lowered = td.jit(step_of_two).program(params, x)
    program, plan = lowered.final, lowered.code.plan
    check(program, plan)
    (pack,) = numbered(program, "pack")
    operand = program.equations[pack].vars[1]
    place = plan.places[operand]
    elsewhere = Place(place.start + 64, place.stop + 64)
    with pytest.raises(PlanError, match=rf"no room for %{operand}"):
        check(program, moved(plan, places=plan.places | {operand: elsewhere}))


def test_an_op_of_ones_own_is_called_as_it_is(backend):
    softsign = td.define(
        lambda x: x / (1 + abs(x)),
        lambda g, y, x: g / (1 + np.abs(x)) ** 2,
        name="softsign",
        kind=Kind.ELEMENTWISE,
    )
    f = td.value_and_grad(lambda x: np.sum(softsign(x)))
    assert "softsign" in str(td.jit(f).program(np.ones(3)).final)
    check_calls(f, [(np.array([1.0, -2.0, 0.5]),), (np.zeros(3),)], backend)


def test_a_composed_op_is_seen_through():
    assert ops(td.jit(td.nn.relu).program(np.ones(3)).final) == ["maximum"]
    assert elementwise.maximum.primitive in {
        line.op for line in td.jit(td.nn.relu).program(np.ones(3)).final.equations.values()
    }


def test_batch_leaves_arrays_in_another_order_alone():
    def f(x, y):
        return 0.1 * np.sum(x.T, axis=0), 0.1 * np.sum(y.T, axis=0)

    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    for got, wanted in zip(td.jit(f)(x, x + 1), f(x, x + 1), strict=True):
        assert_same(got, wanted)


def test_complex_constants_stay_complex(backend):
    f = lambda x: x * np.complex128(1 + 2j)  # noqa: E731
    assert_same(td.jit(f, backend=backend)(np.ones(2) + 0j), f(np.ones(2) + 0j))


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (td.grad(lambda a: np.sum(np.sum(a, axis=0) ** 2)), (np.ones((3, 4)),)),
        (lambda x: np.broadcast_to(np.exp(x)[None], (3, 4)), (np.ones(4),)),
        (lambda a, b: a @ b, (np.ones(5), np.ones((5, 1)))),
        (td.grad(lambda a, b: (a @ b).sum()), (np.ones(5), np.ones((5, 1)))),
        (lambda x: np.exp(x - np.log(np.sum(np.exp(x)))), (np.full(2, -700.0),)),
        (lambda a: a.transpose(0, 1) @ a.swapaxes(1, 1), (np.arange(9.0).reshape(3, 3),)),
        (lambda a: (2 * a).transpose(0, 1).reshape(-1) + 1, (np.ones((3, 4)),)),
        (
            lambda a: np.exp(a).transpose(2, 0, 1).reshape(4, 6) + 1,
            (np.arange(24.0).reshape(2, 3, 4),),
        ),
        (lambda a: 2 * np.swapaxes((a + 1)[:, ::-1], 0, -1), (np.arange(24.0).reshape(2, 3, 4),)),
        (lambda a: np.concatenate([2 * a, (a + 1).T], axis=-1), (np.arange(9.0).reshape(3, 3),)),
        (lambda a: np.prod(a + 1, axis=0) * np.prod(a), (np.arange(1.0, 10).reshape(3, 3),)),
        (lambda a: np.clip(a, np.array([[0.5]]), 1.0), (np.array([1.5, np.nan]),)),
        (lambda a: np.clip(a, [[0.5]], 1.0), (np.array([1.5, np.nan]),)),
    ],
    ids=[
        *("sums", "broadcast view", "vector by column", "its gradient", "no shift", "no turn"),
        *("flat after no turn", "flat after a turn", "turn of a slice", "joined", "products"),
        *("clip to more axes", "clip by a list"),
    ],
)
def test_what_native_code_once_did_not_do(f, args):
    skip_without("numba")
    assert_same(td.jit(f, backend="numba")(*args), f(*args), "numba", 1.0)


def test_numpys_own_loops_give_numpys_bits():
    skip_without("numba")
    x = np.random.default_rng(0).standard_normal((50, 60))
    for ufunc in (np.exp, np.sin, np.tanh):
        assert_same(td.jit(lambda x, f=ufunc: f(x * 2), backend="numba")(x), ufunc(x * 2))


@pytest.mark.parametrize("name", ["multiply", "negative", "reshape", "unique", "item", "sum"])
def test_an_op_may_bear_the_name_of_another(name, backend):
    op = td.define(
        lambda x, y: x + 2 * y, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: 2 * g, name=name
    )
    f = lambda x: op(op(x, 1.0), 1.0) * op(x, x)  # noqa: E731
    for each in (f, td.grad(lambda x: np.sum(f(x)))):
        assert_same(td.jit(each, backend=backend)(np.ones(3)), each(np.ones(3)), backend, 1.0)


def test_column_maxima_finds_the_peaks_of_softmax_by_columns():
    x = np.random.default_rng(0).standard_normal((20, 5))
    x[3] = [0.0, -0.0, -0.0, 0.0, -1.0]
    before, after = shortened(column_maxima, softmax.log_probabilities, x)
    assert ops(before)[:2] == ["max", "subtract"]
    assert ops(after)[:5] == ["transpose", "copy", "max", "reshape", "subtract"]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x - x.max(-1, keepdims=True),
        lambda x: np.exp(x) * x.max(-1, keepdims=True),
        lambda x: (td.nn.softmax(x), x.max(-1, keepdims=True)),
        lambda x: np.exp(x.max(-1, keepdims=True) - x),
    ],
)
def test_column_maxima_leaves_other_maxima_alone(f):
    x = np.random.default_rng(0).standard_normal((20, 5))
    before = passes.common_subexpressions(traced(f, x))
    assert column_maxima(before).equations == before.equations
