"""The elementary functions of native code against mpmath, over the whole range of their types."""

import functools
import re

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from tests.native_functions import compile_loop
from tinygrad_digits.compiler.native.mathematics import BINARY, FUNCTIONS

pytestmark = pytest.mark.sampled
DTYPES = [np.float32, np.float64]
MOST_ULP = 2.0


def clipped(f, size=5000):
    """A function that has reached its limit, inf, 0 or 1, where |x| is this large."""
    return lambda x: f(max(min(x, size), -size))


def raise_to(x, y):
    exponent = y * mpmath.log(x) if x else 0
    return mpmath.exp(max(min(exponent, mpf(5000)), mpf(-5000)))


def add_powers(base):
    """log(base**x + base**y) to that base."""

    def add(x, y):
        apart = clipped(lambda d: mpf(base) ** d)(-abs(x - y))
        return max(x, y) + mpmath.log1p(apart) / mpmath.log(base)

    return add


EXACT = {
    "exp": clipped(mpmath.exp),
    "exp2": clipped(lambda x: mpf(2) ** x),
    "expm1": clipped(mpmath.expm1),
    "sinh": clipped(mpmath.sinh),
    "cosh": clipped(mpmath.cosh),
    "tanh": clipped(mpmath.tanh),
    "sigmoid": clipped(lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(max(x, -5000))) if x < 5000 else x,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "log1p": mpmath.log1p,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "logaddexp": add_powers(mpmath.e),
    "logaddexp2": add_powers(2),
    "power": raise_to,
    "cbrt": lambda x: mpmath.cbrt(abs(x)) * mpmath.sign(x),
    "hypot": mpmath.hypot,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "arctan2": mpmath.atan2,
    "erf": clipped(mpmath.erf, 40),
    "erfc": clipped(mpmath.erfc, 40),
}
PERIODIC = ("sin", "cos", "tan")
DOMAIN = {
    **dict.fromkeys(("log", "log2", "log10"), (0.0, np.inf)),
    "log1p": (-1.0, np.inf),
    "arccosh": (1.0, np.inf),
    **dict.fromkeys(("arctanh", "arcsin", "arccos"), (-1.0, 1.0)),
}
"""Where a function is defined, without the ends if it is infinite there."""
NEAREST_TO_HALF_PI = [6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72]
"""The float64 and the float32 number next to a multiple of pi / 2 (Kahan; Muller's table 11.1)."""


def draw_points(name, dtype, rng, count=60):
    """Numbers of all sizes, of middling size, and next to where something happens."""
    info = np.finfo(dtype)
    sizes = rng.uniform(np.log2(float(info.smallest_subnormal)), info.maxexp - 0.01, count)
    middling = 2.0 ** rng.uniform(-12, 12, count)
    signs = rng.choice([-1.0, 1.0], 2 * count)
    drawn = np.concatenate([signs * np.concatenate([2.0**sizes, middling]), rng.normal(size=count)])
    with np.errstate(over="ignore"):
        points = np.concatenate([drawn, neighbours(landmarks(info), dtype)]).astype(dtype)
    points = points[np.isfinite(points)]
    low, high = DOMAIN.get(name, (-np.inf, np.inf))
    inside = rng.uniform(max(low, -1.0), min(high, 2.0), count).astype(dtype)
    points = np.concatenate([points, inside])
    return points[(points > low) & (points < high)]


def landmarks(info):
    """Where functions are zero, overflow, vanish, or change their formula."""
    largest, smallest = np.log(float(info.max)), np.log(float(info.smallest_subnormal))
    overflow = [largest, largest + np.log(2), smallest, np.log(float(info.tiny)), smallest - 0.7]
    powers = [info.maxexp, info.minexp, info.minexp - info.nmant, float(info.tiny)]
    turns = np.arange(1, 40) * np.pi / 2
    steps = [0.25, 0.35, 0.5, 0.75, 1, 2, 8, 2.0**42, 2.0**60, 2.0**30, 10, 44, *np.sqrt([0.5, 2])]
    errors = [5.9, 10.1, 26.5, 27.2, 9.2]
    rounding = [2.0**-k for k in (24, 25, 53, 54)]
    here = [*overflow, *powers, *turns, *steps, *errors, *rounding, *NEAREST_TO_HALF_PI]
    return np.concatenate([here, np.negative(here)])


def neighbours(points, dtype):
    """Numbers at these points and on both sides."""
    points = np.asarray(points, dtype)
    below, above = np.nextafter(points, dtype(-np.inf)), np.nextafter(points, dtype(np.inf))
    return np.concatenate([below, points, above])


def draw_arguments(name, dtype, rng):
    """What to call a function with."""
    x = draw_points(name, dtype, rng)
    if name not in BINARY:
        return (x,)
    if name == "power":
        x = np.abs(x)
        x = x[x > 0]
        with np.errstate(all="ignore"):
            full = rng.uniform(-1.05, 1.05, x.size) * np.log(float(np.finfo(dtype).max))
            chosen = (full / np.log(x)).astype(dtype)
        whole = rng.integers(-9, 9, x.size).astype(dtype)
        y = np.where(rng.random(x.size) < 0.7, chosen, whole)
        fits = np.isfinite(y)
        return x[fits], y[fits]
    with np.errstate(over="ignore"):
        near = (x * rng.uniform(0.3, 3, x.size)).astype(dtype)
    y = np.where(rng.random(x.size) < 0.5, rng.permutation(x), near)
    return x, np.where(np.isfinite(y), y, dtype(1))


def measure_ulp(name, got, args):
    """How far a value is from the exact one, in units of the last place."""
    dtype = got.dtype.type
    exact = EXACT[name](*(mpf(float(x)) for x in args))
    with np.errstate(over="ignore"):
        rounded = dtype(float(exact))
    if got == rounded:
        return 0.5
    assert np.isfinite(got), f"{name}{args} is {got}, not {rounded}"
    nearest = np.nextafter(rounded, dtype(0)) if np.isinf(rounded) else rounded
    unit = np.spacing(np.abs(nearest))
    if name.startswith("logadd"):
        unit = max(unit, *(np.spacing(np.abs(x)) for x in args))
    return float(abs(mpf(float(got)) - exact) / mpf(float(unit)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_within_2_ulp(name, dtype):
    _, call = compile_loop(name, np.dtype(dtype))
    args = draw_arguments(name, dtype, np.random.default_rng(len(name)))
    results = call(*args)
    assert results.size > 100
    with mpmath.workprec(1300 if name in PERIODIC else 200):
        far = [measure_ulp(name, y, xs) for y, *xs in zip(results, *args, strict=True)]
    worst = int(np.argmax(far))
    where = [x[worst] for x in args]
    assert far[worst] <= MOST_ULP, f"{name} of {where} is {results[worst]}: {far[worst]:.2f} ulp"


@functools.cache
def special_values(dtype):
    info = np.finfo(dtype)
    small = [0.0, info.smallest_subnormal, info.tiny, 0.5, 1.0, 1.5, 2.0, 3.0]
    sizes = [*small, 1 / info.eps**2, info.max, np.inf]
    return np.array([*sizes, *np.negative(sizes), np.nan], dtype)


COUNTERPARTS = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_are_numpys(name, dtype):
    """Zeros with their signs, infinities, NaN, the ends of the range; outside the domain."""
    x = special_values(dtype)
    args = tuple(each.ravel() for each in np.meshgrid(x, x)) if name in BINARY else (x,)
    _, call = compile_loop(name, np.dtype(dtype))
    wanted = find_counterpart(name)(*args)
    got = call(*args)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_array_equal(got[np.isinf(wanted)], wanted[np.isinf(wanted)])
    zero = wanted == 0
    np.testing.assert_array_equal(got[zero], wanted[zero])
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(wanted[zero]))
    usual = np.isfinite(wanted) & ~zero
    np.testing.assert_allclose(got[usual], wanted[usual], rtol=8 * np.finfo(dtype).eps)


def find_counterpart(name):
    """NumPy's or SciPy's function, quiet."""
    special = pytest.importorskip("scipy.special")
    f = COUNTERPARTS.get(name) or getattr(np, name, None) or getattr(special, name)
    return np.errstate(all="ignore")(f)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_are_vectorised(name, dtype):
    """No call is left in them, or one of a function of several numbers at a time."""
    text, _ = compile_loop(name, np.dtype(dtype))
    loop = text[text.index("@loop(") :].partition("\n}")[0]
    assert re.search(r"= load <\d+ x (float|double)>", loop)
    called = set(re.findall(r"call [^@]*@([\w.]+)", loop))
    ours = {each for each in called if not each.startswith("llvm.")}
    if name not in PERIODIC:
        assert not ours
    else:
        assert any(re.fullmatch(rf"{name}_f\d+_\d+", each) for each in ours)


def test_a_bent_function_is_noticed():
    """3 units off in one value: the measure of the tests above is tested."""
    x = np.float64(0.7)
    bent = np.exp(x) + 3 * np.spacing(np.exp(x))
    assert measure_ulp("exp", bent, (x,)) > MOST_ULP
