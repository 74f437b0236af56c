"""Complex numbers in machine code: NumPy's corners, mpmath's digits, eager's programs."""

import functools
import importlib
import operator

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import skip_without
from tinygrad_digits.compiler.native.expressions import OF_COMPLEX
from tinygrad_digits.ops.complex_parts import direction, quarter_turn

skip_without("native")
pytestmark = pytest.mark.sampled
DTYPES = [np.complex64, np.complex128]
RNG = np.random.default_rng(0)
Z = RNG.standard_normal((4, 6)) + 1j * RNG.standard_normal((4, 6))
W = RNG.standard_normal((4, 6)) + 1j * RNG.standard_normal((4, 6))
X = RNG.standard_normal((4, 6))
GRID = np.array(
    [0.0, -0.0, 1, -1, 2.5, -0.5, 1e-300, 1e300, 710, -710, np.inf, -np.inf, np.nan]
    # the exponential of 710 overflows, but not with every cosine
)
NUMBERS = (GRID[:, None] + 0j * np.ones(GRID.size)).ravel()
NUMBERS.imag = np.tile(GRID, GRID.size)


def run(f, *args):
    """The native results, after making sure that nothing is called as NumPy's."""
    jitted = td.jit(f, backend="native")
    with np.errstate(all="ignore"):
        results = jitted(*args)
    assert "called as it is" not in str(jitted.program(*args))
    return results


def assert_close(got, wanted, rtol):
    """Numbers within so much of their length, dtype and class alike."""
    for g, w in zip(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0], strict=True):
        assert (g.dtype, g.shape, type(g)) == (w.dtype, w.shape, type(w))
        largest = np.max(np.abs(w)[np.isfinite(w)], initial=0)
        assert_allclose(g, w, rtol=rtol, atol=rtol * largest)


# --- corners


def assert_same_corners(got, wanted):
    """NaN, infinities and signs of zeros alike, in each part; numbers within 1e-15 of the size."""
    if wanted.dtype == bool:
        assert_array_equal(got, wanted, strict=True)
        return
    with np.errstate(all="ignore"):
        length = np.minimum(np.nan_to_num(np.abs(wanted)), 1e308)
    pairs = [(got.real, wanted.real), (got.imag, wanted.imag)]
    for g, w in pairs if got.dtype.kind == "c" else [(got, wanted)]:
        assert g.dtype == w.dtype
        assert_array_equal(np.isnan(g), np.isnan(w))
        known = ~np.isnan(w)
        assert_array_equal(np.signbit(g)[known], np.signbit(w)[known])
        assert_array_equal(g[np.isinf(w)], w[np.isinf(w)])
        finite = np.isfinite(w)
        assert np.all(np.abs(g[finite] - w[finite]) <= 1e-15 * length[finite])


def multiply(a, b):
    """NumPy's formula; its own loops round two of its products together where processors can."""
    y = np.empty(a.shape, a.dtype)
    y.real = a.real * b.real - a.imag * b.imag
    y.imag = a.real * b.imag + a.imag * b.real
    return y


UNARY = [f for f in OF_COMPLEX if f.nin == 1 and f not in (np.square, np.log1p)]


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_corners_are_numpys(f):
    with np.errstate(all="ignore"):
        assert_same_corners(run(f, NUMBERS), f(NUMBERS))


@pytest.mark.parametrize("f", [direction, quarter_turn, np.angle, np.real, np.imag])
def test_corners_of_our_own_ops(f):
    with np.errstate(all="ignore"):
        wanted = (np.sign if f is direction else f)(NUMBERS)
    assert_same_corners(run(f, NUMBERS), wanted)


@pytest.mark.parametrize("f", [np.multiply, np.divide, np.add, np.subtract, np.equal, np.not_equal])
def test_corners_of_pairs_are_numpys(f):
    a, b = np.repeat(NUMBERS, NUMBERS.size), np.tile(NUMBERS, NUMBERS.size)
    with np.errstate(all="ignore"):
        assert_same_corners(run(f, a, b), (multiply if f is np.multiply else f)(a, b))


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 7])
def test_corners_of_whole_powers_are_numpys(n):
    plain = NUMBERS[np.isfinite(NUMBERS) & (np.abs(NUMBERS) < 1e9) & (np.abs(NUMBERS) != 1e-300)]
    with np.errstate(all="ignore"):
        assert_same_corners(run(lambda z: np.power(z, n) * 1, plain), np.power(plain, n) * 1)


def test_powers_of_any_exponent_are_numpys():
    """Of 0 it is 0, or NaN where the exponent's real part is not positive; and z**0 is 1."""
    bases = np.array([0, -0.0, 1, -1, 2 + 1j, -0.5j, 3 - 4j])
    exponents = np.array([0, 1, 2.5, -0.5, 1j, 2 - 0.3j, -2])
    a, b = np.repeat(bases, exponents.size), np.tile(exponents, bases.size)
    with np.errstate(all="ignore"):
        for f in (np.power, np.float_power, operator.pow):
            assert_allclose(run(f, a, b), f(a, b), rtol=4e-15, atol=1e-15)
            real = b[: exponents.size].real.copy()
            assert_allclose(run(lambda z, f=f: f(z, 2.5), a), f(a, 2.5), rtol=4e-15, atol=1e-15)
            assert_allclose(run(f, a[:, None], real), f(a[:, None], real), rtol=4e-15, atol=1e-15)


def test_an_exponent_that_is_no_number_is_compiled():
    with np.errstate(all="ignore"):
        assert np.isnan(run(lambda z: z**np.nan, Z)).all()


def test_what_meets_a_complex_number_is_one():
    """A real number has an imaginary part of 0, and inf * 0 is NaN; z - z is 0."""
    with np.errstate(all="ignore"):
        for f in (
            lambda z: 2.0 * z,
            lambda z: z * np.float64(-1),
            lambda z: 1 / z,
            lambda z: z - z,
        ):
            assert_same_corners(run(f, NUMBERS), f(NUMBERS))


# --- digits

EXACT = {
    **{name: getattr(mpmath, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan")},
    **{name: getattr(mpmath, name) for name in ("sinh", "cosh", "tanh")},
    "expm1": lambda z: mpmath.exp(z) - 1,
    "log1p": lambda z: mpmath.log(1 + z),
    "log2": lambda z: mpmath.log(z) / mpmath.log(2),
    "log10": lambda z: mpmath.log(z) / mpmath.log(10),
    "absolute": abs,
    "square": lambda z: z * z,
    "reciprocal": lambda z: 1 / z,
}
MOST_ULP = 4


def draw_points(dtype, size=60):
    """Small and large parts, numbers near the unit circle, and near poles of tan and tanh."""
    rng = np.random.default_rng(1)
    few, many = (10.0 ** rng.uniform(-8, 1.8, size) * rng.choice([-1, 1], size) for _ in range(2))
    tiny = 10.0 ** rng.uniform(-7, -1, size)
    poles = np.pi / 2 * rng.integers(-20, 20, size) + tiny
    circle = np.exp(1j * rng.uniform(0, 7, size)) * (1 + tiny)
    points = [few + 1j * many, few + 1j * few, circle, poles + 1j * few / 70, tiny + 1j * poles]
    return np.concatenate(points).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_functions_are_within_4_ulp(name, dtype):
    points, eps = draw_points(dtype), float(np.finfo(dtype).eps)
    got = run(getattr(np, name), points)
    with mpmath.workprec(300):
        for z, y in zip(points, got, strict=True):
            exact = EXACT[name](mpmath.mpc(float(z.real), float(z.imag)))
            ulp = mpmath.mpf(2) ** mpmath.floor(mpmath.log(abs(exact), 2)) * eps
            error = abs(mpmath.mpc(float(y.real), float(y.imag)) - exact) / ulp
            assert error <= MOST_ULP, f"{name} of {z} is {y}: {mpmath.nstr(error)} ulp"


def test_numbers_at_both_ends_of_the_range():
    """No square of theirs is a number, or a subnormal one has few digits."""
    z = np.array([3e-320 + 4e-320j, 5e-324j, 3e307 - 4e307j, 1e308 + 1e-308j, -1e-308 + 1e308j])

    def f(z):
        return [np.absolute(z), np.log(z), np.sqrt(z), 1 / z[2:], z[2:] / (z[2:] / 4)]

    for got, wanted in zip(run(f, z), f(z), strict=True):
        assert_allclose(got, wanted, rtol=1e-15)


# --- programs

LEAVES = st.sampled_from(["z", "w", "x", 2.0, -1, 0.5 - 1j, 1j])
UNARY_OPS = {
    "exp": lambda a: np.exp(a / (1 + np.abs(a))),
    "log": lambda a: np.log(3 + a * np.conj(a)),
    "sqrt": lambda a: np.sqrt(a + 9),
    "sin": lambda a: np.sin(a / (2 + np.abs(a))),
    "tanh": lambda a: np.tanh(a / (2 + np.abs(a))),
    "abs": np.abs,
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "angle": lambda a: np.angle(a + 9),
    "cube": lambda a: (a / (1 + np.abs(a))) ** 3,
    "where": lambda a: np.where(np.real(a) > 0, a, 1j),
    "sum": lambda a: np.sum(a, axis=-1, keepdims=True) / 6,
    "product": lambda a: np.prod(np.exp(1j * np.abs(a)), axis=0),
    "rows": lambda a: np.broadcast_to(a, (4, 6))[::-1, ::2].repeat(2, axis=1),
    "single": lambda a: a.astype(np.complex64).astype(complex) if hasattr(a, "astype") else a,
}
BINARY_OPS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / (2 + np.abs(b)) - 1j / (b + 9),
    "@": lambda a, b: np.broadcast_to(a, (4, 6)) @ np.broadcast_to(b, (4, 6)).T @ Z / 12,
    "**": lambda a, b: (9 + a / (1 + np.abs(a))) ** (b / (1 + np.abs(b))),
}
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY_OPS)), inner),
        st.tuples(st.sampled_from(sorted(BINARY_OPS)), inner, inner),
    ),
    max_leaves=8,
)


def evaluate(tree, leaves):
    if not isinstance(tree, tuple):
        return leaves.get(tree, tree) if isinstance(tree, str) else tree
    op, *inside = tree
    operands = [evaluate(each, leaves) for each in inside]
    return (UNARY_OPS if len(operands) == 1 else BINARY_OPS)[op](*operands)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(TREES)
def test_a_random_program_is_eager_s(tree):
    def loss(z, w, x):
        y = evaluate(("+", tree, "z"), {"z": z, "w": w, "x": x})
        return np.sum(np.abs(y) ** 2) + np.sum(np.real(y * (1 - 2j)))

    both = td.value_and_grad(loss, (0, 1, 2))
    with np.errstate(all="ignore"):
        wanted = both(Z, W, X)
        got = td.jit(both, backend="native")(Z, W, X)
    size = max(np.abs(w).max() for w in td.tree.flatten(wanted)[0])
    for g, w in zip(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0], strict=True):
        assert g.dtype == w.dtype
        assert_allclose(g, w, rtol=1e-12, atol=1e-12 * size)


PROGRAMS = {
    "sums": lambda z: (np.sum(z), z.sum(0), np.sum(z * z, axis=1, keepdims=True)),
    "products": lambda z: (np.prod(z), z.prod(1)),
    "views": lambda z: (z[::2, ::-1] * 2, z.T + 1j, z.reshape(3, 8)[1] * z[0, 0]),
    "conjugates": lambda z: (z.conj(), z.T.conj() * 2, np.conj(z[:, ::2])),
    "parts": lambda z: (z.real, z.imag * z.real, z.real.sum(0), np.imag(z).max()),
    "choices": lambda z: (np.where(z.real > 0, z, 0), np.where(z.imag > 0, z.real, z), z == z[0]),
    "casts": lambda z: (z.astype(np.complex64), z.real.astype(complex), z.astype(bool)),
    "places": lambda z: (z[[0, 2, 2]], td.at(z)[1].set(1j), td.at(z)[[0, 2]].add(z[:2])),
    "matrices": lambda z: (z @ z.T, z.T @ z[:, :1], z[0] @ z.T, z[0] @ z[1], z.conj().T @ z),
    "stacks": lambda z: z.reshape(2, 2, 6) @ z.reshape(2, 6, 2),
    "a number": lambda z: np.exp(z[0, 0]) * z[1, 1] / 2,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_nothing_left_to_numpy(name, dtype):
    z, f = Z.astype(dtype), PROGRAMS[name]
    got, again = run(f, z), run(f, np.asfortranarray(z))
    for each in (got, again):
        assert_close(each, f(z), 1e-5 if dtype is np.complex64 else 1e-14)


def test_mixed_dtypes_are_numpys():
    z, x = Z.astype(np.complex64), X.astype(np.float32)
    wanted = z * x, z * X, x + 1j, 2.0 * z, X * (1 + 2j), np.abs(z), z / np.complex128(3)
    got = run(
        lambda z, x, y, c: (z * x, z * y, x + 1j, 2.0 * z, y * c, np.abs(z), z / np.complex128(3)),
        *(z, x, X, 1 + 2j),
    )
    assert [y.dtype.char for y in got] == ["F", "D", "F", "F", "D", "f", "D"]
    assert_close(got, wanted, 1e-6)


def test_gradients_keep_their_dtypes():
    def loss(z, x):
        return np.sum(np.abs(np.exp(1j * z * x) + z / (x + 9)) ** 2)

    both = td.grad(loss, (0, 1))
    args = Z.astype(np.complex64), X
    assert [g.dtype.char for g in run(both, *args)] == ["F", "d"]
    assert_close(run(both, *args), both(*args), 1e-5)
    assert_close(run(both, Z, X), both(Z, X), 1e-13)


@pytest.mark.slow
def test_sums_of_large_arrays_are_added_up_in_parts():
    rng = np.random.default_rng(2)
    z = rng.standard_normal((600, 1000)) + 1j * rng.standard_normal((600, 1000))
    f = lambda z: (np.sum(z * z), np.sum(z, axis=0), np.sum(np.exp(z), axis=1))  # noqa: E731
    for x, rtol in ((z, 1e-12), (z.astype(np.complex64), 1e-5)):
        got = run(f, x)
        assert_close(got, f(x), rtol)
        one = td.jit(f, backend="native", threads=1)(x)
        for g, w in zip(got, one, strict=True):
            assert_array_equal(g, w)  # in whatever number of threads


def test_a_lost_imaginary_part_is_numpys_to_warn_of():
    f = td.jit(lambda z: z.astype(int), backend="native")
    with pytest.warns(np.exceptions.ComplexWarning):
        assert_array_equal(f(Z), Z.real.astype(int))
    assert "NumPy warns" in str(f.program(Z))


def test_an_element_for_real_numbers_is_not_one_for_complex_ones():
    """What is registered for x > 0 does not read a complex number's bits."""
    from tinygrad_digits.staging.lowering import register_lowering

    op = td.define(lambda x: x + np.abs(x), lambda g, _y, x: g, name="rectify", kind="elementwise")
    register_lowering(op, element=lambda x: (x > 0).select(x + x, 0))
    jitted = td.jit(op, backend="native")
    assert_allclose(jitted(X), X + np.abs(X))
    assert_allclose(jitted(Z), Z + np.abs(Z))
    assert "rectify: called as it is" in str(jitted.program(Z))


def test_transforms_are_calls_between_loops():
    def loss(x, phase):
        return np.sum(np.abs(np.fft.fft(x * np.exp(1j * phase))) ** 4)

    both = td.value_and_grad(loss, (0, 1))
    jitted = td.jit(both, backend="native")
    assert_close(jitted(Z, X), both(Z, X), 1e-13)
    left = [
        line.split(" = ")[1] for line in str(jitted.program(Z, X)).splitlines() if "as it" in line
    ]
    assert {line.partition(":")[0] for line in left} <= {"fft", "ifft"}


# --- loops


def test_a_scan_carries_complex_numbers():
    def evolve(state, angles):
        def step(psi, angle):
            psi = psi * np.exp(1j * angle) + 0.1j * (Z[:, :4] @ psi.conj())
            psi = psi / np.sqrt(np.sum(np.abs(psi) ** 2))
            return psi, np.abs(psi) ** 2

        return td.scan(step, state, angles)

    args = Z[0, :4], np.linspace(0, 1, 9)
    assert_close(run(evolve, *args), evolve(*args), 1e-13)
    both = td.grad(lambda psi, a: np.sum(evolve(psi, a)[1][:, 0]), (0, 1))
    assert_close(run(both, *args), both(*args), 1e-12)


def test_a_while_loop_of_complex_numbers():
    def escape(c):
        goes_on = lambda s: (np.abs(s[0]) < 2) & (s[1] < 50)  # noqa: E731
        return td.while_loop(goes_on, lambda s: (s[0] * s[0] + c, s[1] + 1), (0 * c, 0))

    for c in (0.4 + 0.5j, -1.0 + 0j):
        got, wanted = run(escape, np.complex128(c)), escape(np.complex128(c))
        assert got[1] == wanted[1]
        assert_allclose(got[0], wanted[0], rtol=1e-9)


def test_a_schroedinger_equation():
    h = Z[:, :4] + Z[:, :4].conj().T

    def evolve(psi, h):
        return td.odeint(lambda y, _t, h: -1j * (h @ y), psi, np.linspace(0, 1, 4), h)

    psi = np.array([1, 0, 0, 0], complex)
    jitted = td.jit(evolve, backend="native")
    energies, states = np.linalg.eigh(h)
    exact = states @ (np.exp(-1j * energies) * (states.conj().T @ psi))
    assert_allclose(jitted(psi, h)[-1], exact, rtol=1e-5, atol=1e-6)
    assert_close(jitted(psi, h), evolve(psi, h), 1e-12)
    left = [line for line in str(jitted.program(psi, h)).splitlines() if "called as it is" in line]
    assert all("check_arrival" in line for line in left)


# --- examples

EXAMPLES = {
    "shaped_pulse": lambda e: (e.cost, (e.gaussian_pulse(),)),
    "phase_retrieval": lambda e: (
        functools.partial(e.misfit, weights=1.0, sizes=e.measure(e.draw_object())),
        (np.full((e.SIZE, e.SIZE), 0.3) + 0.01 * np.arange(e.SIZE),),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_natively(name, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend("examples")
    f, args = EXAMPLES[name](importlib.import_module(name))
    both = td.value_and_grad(f)
    assert_close(td.jit(both, backend="native")(*args), both(*args), 1e-11)


@pytest.mark.parametrize("z", [Z, Z[0, 0], Z.astype(np.complex64), Z[0, 0].astype(np.complex64)])
def test_halves_in_exponents(z):
    """A derivative of z**1.5 has one, which is a root."""

    def loss(z):
        return np.sum(np.abs((z * z + 4) ** 1.5) ** 2) + np.sum(np.real(z**0.5))

    rtol = 1e-5 if z.dtype == np.complex64 else 1e-13
    assert_close(run(td.grad(loss), z), td.grad(loss)(z), rtol)
