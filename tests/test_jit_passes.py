"""The passes: each keeps every bit."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    assert_own_memory,
    assert_same,
    check_calls,
    skip_without,
)
from tinygrad_digits.compiler import numpy_backend, passes
from tinygrad_digits.compiler.passes.for_numpy import column_maxima
from tinygrad_digits.compiler.plan import PlanError, Region, check
from tinygrad_digits.compiler.program import Aval, Equation, Program, Var
from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.ops import OPS, elementwise, softmax

X = np.array([[0.5, -1.25, 0.0], [2.0, np.nan, -np.inf]])


def f(x):
    return x


def numbered(program, *names):
    """The numbers of the equations of these ops, in the order of the names."""
    return [next(i for i, line in program.equations.items() if line.op.name == n) for n in names]


def moved(plan, **changes):
    return dataclasses.replace(plan, **changes)


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
    "two broadcasts, one for nothing": (
        lambda x: np.broadcast_to(x[0], (3, 3)) + np.broadcast_to(x[1], (3, 3)),
        ["getitem", "broadcast_to", "getitem", "broadcast_to", "add"],
        ["getitem", "getitem", "broadcast_to", "add"],
    ),
    "two broadcasts of numbers": (
        lambda x: np.broadcast_to(x.sum(), (3,)) * np.broadcast_to(x[0, 0], (3,)),
        ["sum", "broadcast_to", "getitem", "broadcast_to", "multiply"],
        ["sum", "getitem", "broadcast_to", "multiply"],
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
    assert names == {
        *("dead_code", "common_subexpressions", "simplify", "fold", "scalar_constants"),
        *("prune", "inside", "hoist", "stack_rows"),
    }


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
    elsewhere = Region(place.start + 64, place.stop + 64)
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
    skip_without("native")
    assert_same(td.jit(f, backend="native")(*args), f(*args), "native", 1.0)


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


def unrolled(rows, order=slice(None)):
    h = np.zeros(rows.shape[1:])
    for row in [*rows][order]:
        h = np.tanh(h + row)
    return np.sum(h * h)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2), (64, 8, 8)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stack_rows_adds_up_nothing(shape, dtype, backend, rng):
    rows = rng.standard_normal(shape).astype(dtype)
    jitted = td.jit(td.grad(unrolled), backend=backend)
    assert_same(jitted(rows), td.grad(unrolled)(rows), backend)
    assert "scatter" not in str(jitted.program(rows)).partition("stack_rows")[2]


TWO_ROWS = {
    "the same row twice": lambda x: np.sum(np.sin(x[0] + x[1])),
    "views": lambda x: np.sum(np.sin(x[0][:, None] * np.ones(4)) * np.cos(x[1][:, None])),
    "results of functions that write nowhere else": lambda x: (
        np.sum(np.cumsum(x[0]) ** 2) + np.sum(np.sort(x[1]) ** 3)
    ),
    "constants": lambda x: np.sum(x[0]) + np.sum(x[1] * np.arange(3)),
}


@pytest.mark.parametrize("name", TWO_ROWS)
def test_rows_that_cannot_be_computed_in_their_place_are_added(name, backend, rng):
    f, x = TWO_ROWS[name], rng.standard_normal((2, 3))
    assert_same(td.jit(td.grad(f), backend=backend)(x), td.grad(f)(x), backend)


def test_rows_that_are_results_too_are_added(backend, rng):
    def f(x):
        a, b = np.sin(x[0]), np.cos(x[1])
        return a, b, td.vjp(lambda x: (x[0] * 1.0, x[1] * 1.0), x)[1]((a, b))

    x = rng.standard_normal((2, 3))
    assert_same(td.jit(f, backend=backend)(x), f(x), backend)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: unrolled(x, slice(1, None)),  # not all rows
        lambda x: unrolled(x) + np.sum(np.tanh(x[1])),  # one of them twice
        lambda x: np.sum(np.tanh(x[-1]) * x[0] * x[1]),  # counted from the end
        lambda x: np.sum(np.stack([-0.0 * row for row in x])),
        lambda x: unrolled(x) + np.sum(x * x),  # and something else
        lambda x: unrolled(x[:, 0]),  # of numbers
    ],
)
def test_stack_rows_keeps_every_bit(f, backend, rng):
    x = rng.standard_normal((3, 4))
    assert_same(td.jit(td.grad(f), backend=backend)(x), td.grad(f)(x), backend)


@pytest.mark.parametrize(
    "make_rows",
    [
        lambda v, w: [np.tanh(v), np.tanh(v)],  # one for two places
        lambda v, w: [v, np.tanh(w)],  # an argument
        lambda v, w: [np.tanh(v)[::-1], np.tanh(w)],  # a view
        lambda v, w: [np.tanh(v), np.zeros(3)],  # a constant
    ],
)
def test_stack_rows_takes_rows_that_are_elsewhere(make_rows, backend, rng):
    def weigh(x, v, w):
        (a, b), (y, z) = make_rows(v, w), 2.0 * x
        return np.sum(x[0] * a + x[1] * b) + np.sum(y * b + z * a)

    def f(x, v, w):
        return td.grad(weigh)(x, v, w), make_rows(v, w)

    x, (v, w) = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    assert_same(td.jit(f, backend=backend)(x, v, w), f(x, v, w), backend)


def test_stack_rows_takes_rows_that_a_step_was_given(backend, rng):
    def double_step(carry, xs):
        after = carry * 0.9 + xs[0]
        return after * 0.9 + xs[1], np.stack([carry, after])

    def loss(carry, xs):
        last, stacked = td.scan(double_step, carry, xs)
        return np.sum(last) + np.sum(stacked * stacked)

    carry, xs = np.zeros(8), rng.standard_normal((5, 2, 8))
    got = td.jit(td.grad(loss, (0, 1)), backend=backend)(carry, xs)
    td.tree.map(np.testing.assert_allclose, got, td.grad(loss, (0, 1))(carry, xs))


def test_stack_rows_gives_zeros_their_sign():
    f = lambda x: sum(np.sum(row * -0.0) for row in x)  # noqa: E731
    x = np.ones((3, 2))
    got = td.jit(td.grad(f))(x)
    assert_array_equal(np.signbit(got), np.signbit(td.grad(f)(x)))


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_gradient_that_is_a_sum_of_broadcasts_has_its_shape(backend):
    skip_without(backend)
    x = np.arange(6.0).reshape(2, 3)
    f = td.jit(td.grad(lambda x: x.sum() ** 2 + np.sin(x.mean())), backend=backend)
    assert_same(f(x), np.full((2, 3), 30 + np.cos(2.5) / 6), "native")
