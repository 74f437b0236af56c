"""A rule is a function, not only a value: higher orders, special points, infinities, kinks.

Against mpmath's derivatives of the formulas in `tests/oracles/`, which are differentiated once more
here, and against limits that are written out.
"""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.oracles import all_oracles, mp
from tests.oracles.elementwise import ORACLES
from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.ops import elementwise, powers, sinc_and_i0

pytestmark = pytest.mark.filterwarnings("ignore:.*depends on none of its inputs")
INF, NAN = np.inf, np.nan
SPECIAL = (
    *(
        -0.0,
        0.0,
        0.5,
        -0.5,
        0.75,
        1.0,
        -1.0,
        1.5,
        2.0,
        -2.0,
        2.5,
        3.0,
        -3.0,
        7.0,
        -7.0,
        20.0,
        -20.0,
    ),
    *(40.0, -40.0, 1e-30, -1e-30, 1e-8, 1e8, -1e8, 1e30),
)
UNARY = [oracle for oracle in all_oracles() if len(oracle.first) == 1]
BINARY = [oracle for oracle in all_oracles() if len(oracle.first) == 2]


def value(formula, *xs):
    """A formula's value, NaN where it has none: at a pole, or outside the function's domain."""
    try:
        y = formula(*[mp.mpf(x) for x in xs])
    except (ZeroDivisionError, ValueError, OverflowError):
        return NAN
    return float(y) if isinstance(y, int) or (mp.isfinite(y) and not isinstance(y, mp.mpc)) else NAN


def slope(formula, xs, i):
    """The derivative of a formula by its i-th argument, by mpmath's differences of 100 digits."""
    step = mp.mpf(2) ** -130 * max(1, *[abs(mp.mpf(x)) for x in xs])
    at = [mp.mpf(x) for x in xs]
    sides = [formula(*at[:i], at[i] + s, *at[i + 1 :]) for s in (step, -step)]
    return (sides[0] - sides[1]) / (2 * step)


def differentiated(f, by):
    """The derivative of f by those arguments in turn."""
    for i in by:
        f = td.grad(f, i)
    return f


def inside(oracle, *xs):
    """Whether the function and its first derivatives have values at a point."""
    return not any(math.isnan(value(f, *xs)) for f in (oracle.value, *oracle.first))


@pytest.mark.parametrize("oracle", UNARY, ids=lambda oracle: oracle.name)
def test_the_third_derivative_at_special_points(oracle):
    (second,) = oracle.second
    points = [x for x in SPECIAL if inside(oracle, x) and not math.isnan(value(second, x))]
    assert len(points) >= 3
    for x in points:
        try:
            wanted = value(lambda x: slope(second, (x,), 0), x)
        except (ZeroDivisionError, ValueError):
            continue
        with np.errstate(all="ignore"):
            got = differentiated(oracle.function, (0, 0, 0))(np.float64(x))
        if math.isfinite(wanted):
            assert_allclose(got, wanted, rtol=1e-8, atol=1e-300 + 1e-13 * scale(oracle, x))


def scale(oracle, x):
    """The size of the second derivative near a point, of which rounding leaves something."""
    return abs(value(oracle.second[0], x)) + abs(value(oracle.first[0], x))


PAIRS = [
    *itertools.product((0.5, 1.0, 1.5, 2.0, 23.0), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -1.0, -0.5)),
    *[(a, b) for a in (-1.0, -1.5, 2.5, 0.0) for b in (-1.0, 0.0, 1.5, 2.5, 40.0)],
    *((1e6, 1.0), (1.0, 1e6), (1e-8, 1.0), (30.0, -30.0), (700.0, -20.0)),
]


@pytest.mark.parametrize("oracle", BINARY, ids=lambda oracle: oracle.name)
def test_mixed_derivatives_are_symmetric_and_right(oracle):
    by_pair = dict(zip([(0, 0), (0, 1), (1, 1)], oracle.second, strict=True))
    tested = 0
    for a, b in PAIRS:
        if not inside(oracle, a, b):
            continue
        for order in (2, 3):
            for by in itertools.product((0, 1), repeat=order):
                pair = tuple(sorted(by[:2]))
                wanted = value(by_pair[pair], a, b)
                if order == 3:
                    wanted = value(lambda a, b: slope(by_pair[pair], (a, b), by[2]), a, b)  # noqa: B023
                if math.isfinite(wanted):
                    with np.errstate(all="ignore"):
                        got = differentiated(oracle.function, by)(a, b)
                    size = 1 + abs(wanted)
                    assert_allclose(got, wanted, rtol=1e-11, atol=1e-13 * size, err_msg=(a, b, by))
                    tested += 1
    assert tested > 50


# --- powers


@pytest.mark.parametrize("power", [np.power, np.float_power, lambda a, b: a**b])
def test_powers_where_the_base_or_the_exponent_is_0(power):
    with np.errstate(all="ignore"):
        by = {
            order: [float(differentiated(power, order)(0.0, b)) for b in (2.0, 1.0, 0.0, -1.0)]
            for order in [(0,), (1,), (0, 1), (1, 0), (1, 1)]
        }
    assert by[0,] == [0, 1, 0, -INF]
    assert by[1,] == [0, 0, 0, -INF]
    assert by[0, 1] == by[1, 0] == [0, -INF, INF, INF]
    assert by[1, 1] == [0, 0, INF, INF]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, -1, -2])
@pytest.mark.parametrize("kind", [int, float, np.float64, np.array])
def test_whole_powers_are_exact_at_every_order(n, kind):
    for x in (0.0, -0.0, -1.5, 2.0, -2.0, 1e-200):
        check_whole_power(n, kind, x)


def check_whole_power(n, kind, x):
    f, factor = (lambda x: x ** kind(n)), 1
    for order in range(1, 5):
        f, factor = td.grad(f), factor * (n - order + 1)
        with np.errstate(all="ignore"):
            power = np.float64(x) ** (n - order) if factor else 0.0
            wanted = factor * power if factor else 0.0
            assert_allclose(f(x), wanted, rtol=1e-14)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_powers_at_0_in_both_modes(mode):
    x = np.array([0.0, 2.0, -1.0])
    for n, wanted in ((0, 0 * x), (0.0, 0 * x), (1.0, 1 + 0 * x), (2.0, 2 * x), (3, 3 * x * x)):
        assert_array_equal(np.diag(td.jacobian(lambda x: x**n, mode=mode)(x)), wanted)  # noqa: B023
    twice = td.hessian(lambda x: np.sum(x**0.0 + x**1.0 + x**2.0))(x)
    assert_array_equal(twice, 2 * np.eye(3))


# --- kinks that meet


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.abs(x) ** 2,
        lambda x: np.square(np.fabs(x)),
        lambda x: np.abs(x) * np.abs(x),
        lambda x: np.copysign(x, 1.0) ** 2,
        lambda x: np.hypot(x, 0.0) ** 2,
        lambda x: np.hypot(x, x) * np.hypot(x, x) / 2,
        lambda x: np.abs(x) * np.hypot(x, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_square_of_a_length_at_its_kink_is_no_finite_wrong_number(f, dtype):
    x = np.array([0.0, 1.5], dtype)
    assert_array_equal(td.grad(lambda x: f(x).sum())(x), 2 * x)
    hessian = td.hessian(lambda x: f(x).sum())(x)
    assert hessian.dtype == dtype
    assert np.isnan(hessian[0, 0]) or hessian[0, 0] == 2
    assert_allclose(hessian[1, 1], 2, rtol=1e-6)
    assert_allclose(td.grad(td.grad(f))(dtype(1.5)), 2, rtol=1e-6)


def test_kinks_alone_are_flat():
    for f in (np.abs, np.fabs, lambda x: 3 * np.abs(x), lambda x: np.copysign(x, 2.0)):
        assert td.grad(f)(0.0) == 0
        assert td.grad(td.grad(f))(0.0) == 0
        assert_array_equal(td.hessian(lambda x: np.sum(f(x)))(np.zeros(2)), np.zeros((2, 2)))  # noqa: B023
        assert td.jvp(lambda x: td.jvp(f, x, 1.0)[1], 0.0, 1.0)[1] == 0  # noqa: B023
    assert_array_equal(td.grad(np.hypot, (0, 1))(0.0, 0.0), [0, 0])
    assert not np.isfinite(td.grad(td.grad(np.hypot))(0.0, 0.0))


# --- infinities


@pytest.mark.parametrize(
    ("f", "xs", "wanted"),
    [
        (np.logaddexp, (-INF, -INF), (0.5, 0.5)),
        (np.logaddexp, (INF, INF), (0.5, 0.5)),
        (np.logaddexp, (INF, 0.0), (1, 0)),
        (np.logaddexp, (-INF, 0.0), (0, 1)),
        (np.logaddexp2, (-INF, 3.0), (0, 1)),
        (np.logaddexp2, (INF, -INF), (1, 0)),
        (np.logaddexp, (1e308, -1e308), (1, 0)),
        (np.hypot, (INF, 1.0), (1, 0)),
        (np.hypot, (1.0, -INF), (0, -1)),
        (np.arctan2, (INF, 1.0), (0, 0)),
        (np.arctan2, (1.0, INF), (0, 0)),
        (np.arctan2, (-1.0, -INF), (0, 0)),
        (np.power, (INF, 2.0), (INF, INF)),
        (np.power, (INF, -2.0), (0, 0)),
        (np.divide, (1.0, INF), (0, 0)),
        (np.fmod, (3.0, INF), (1, 0)),
        (np.remainder, (3.0, INF), (1, 0)),
    ],
)
def test_two_arguments_at_infinity(f, xs, wanted):
    with np.errstate(all="ignore"):
        assert td.grad(f, (0, 1))(*xs) == wanted


@pytest.mark.parametrize(
    ("f", "x", "wanted"),
    [
        *((f, x, 0) for f in (np.tanh, np.arctan) for x in (INF, -INF, 1e300, -1e300)),
        *((f, -INF, 0) for f in (np.exp, np.exp2, np.expm1)),
        *((f, INF, INF) for f in (np.exp, np.exp2, np.expm1, np.sinh, np.cosh)),
        *((f, INF, 0) for f in (np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt)),
        *((f, INF, 0) for f in (np.arcsinh, np.arccosh, np.reciprocal)),
        (np.i0, INF, INF),
        (np.i0, -INF, -INF),
        (lambda x: np.sqrt(np.maximum(x, 0)), -1.0, 0),
        (lambda x: np.sqrt(np.fmax(x, 0)), -1.0, 0),
        (lambda x: np.log(np.clip(x, 0, 1)), -1.0, 0),
        (lambda x: np.sqrt(np.minimum(np.maximum(x, 0), 1)), 2.0, 0),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_one_argument_at_infinity(f, x, wanted, order):
    with np.errstate(all="ignore"):
        got = differentiated(f, (0,) * order)(x)
    if order == 1:
        assert got == wanted
    elif wanted == 0:
        assert got == 0


# --- the state of floating-point errors


@pytest.mark.parametrize("oracle", all_oracles(), ids=lambda oracle: oracle.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_raise_no_more_than_numpys_own(oracle, dtype):
    for xs in zip(*oracle.draw(dtype), strict=True):
        try:
            with np.errstate(all="raise"):
                y = oracle.function(*xs)
        except FloatingPointError:
            continue
        with np.errstate(all="raise"):
            got, _ = td.vjp(oracle.function, *xs)
        assert_array_equal(got, y)


def test_every_elementwise_row_of_these_chapters_has_an_oracle():
    tested = {row for oracle in ORACLES for row in oracle.rows or (oracle.name,)}
    kinks = {"absolute", "fabs", "copysign", "maximum", "minimum", "fmax", "fmin", "clip"}
    for chapter in (elementwise, powers, sinc_and_i0):
        for op in vars(chapter).values():
            row = getattr(op, "primitive", None)
            if row is not None and row.rules and row.kind == Kind.ELEMENTWISE:
                linear = {
                    "negative",
                    "positive",
                    "conjugate",
                    "where",
                    "heaviside",
                    "ldexp",
                    "modf",
                }
                rest = {"astype", "remainder", "fmod", "along_sign", "nextafter"}
                rest |= {"quarter_turn", "direction"}
                assert row.name in tested | kinks | linear | rest
