"""Complex numbers: every case with complex arrays, conventions, branch cuts, matrices."""

import functools
import warnings

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import cases_by_function
from tests.checks import quiet
from tests.complexes import (
    GAUGES,
    ORDERED,
    REAL_PARTS,
    UNORDERED,
    complex_functions,
    draw,
    loss,
    results,
    verdict,
    with_gradients,
)
from tests.jit_programs import assert_same

FUNCTIONS = [*complex_functions()]
Z = np.array([[0.3 + 1.2j, -0.7 - 0.1j, 2.1j], [0.4, -1.1 + 0.9j, 0.6 - 0.8j]])
S = np.array([[2 + 1j, 0.5 - 0.3j, 0.1j], [0.2 + 0.7j, 1.5 - 1j, 0.4], [-0.3, 0.2j, 1 + 0.2j]])


# --- every function of arrays


@pytest.mark.parametrize("function", [n for n in FUNCTIONS if n not in GAUGES | UNORDERED])
def test_a_function_is_right_or_refused(function):
    verdicts = [verdict(name, case) for name, case in cases_by_function()[function].items()]
    if function in ORDERED.split():
        assert "right" not in verdicts
    elif function not in REAL_PARTS:
        assert "refused" not in verdicts


@pytest.mark.parametrize("function", [n for n in FUNCTIONS if n not in UNORDERED])
def test_a_complex_derivative_is_one_or_refused(function):
    """It is the difference along a number and along i times it; gauges and conjugates are not."""
    for name, case in cases_by_function()[function].items():
        drawn, zs = draw(name, case)

        def f(*zs):
            rng = np.random.default_rng(1)
            return sum(np.sum(y * rng.standard_normal(y.shape)) for y in results(drawn, *zs))  # noqa: B023

        with quiet():
            try:
                slopes = td.grad(f, (*range(len(zs)),), holomorphic=True)(*zs)
            except (TypeError, ValueError):
                continue
            for turn in (1, 1j):
                ds = [turn * (0.6 - 0.8j) * np.cos(np.arange(z.size)).reshape(z.shape) for z in zs]
                up, down = (
                    f(*[z + h * d for z, d in zip(zs, ds, strict=True)]) for h in (1e-5, -1e-5)
                )
                along = sum(np.sum(g * d) for g, d in zip(slopes, ds, strict=True))
                if np.isfinite(along):
                    assert_allclose((up - down) / 2e-5, along, rtol=1e-5, atol=1e-6, err_msg=name)


def in_programs(name, case):
    drawn, zs = draw(name, case)
    try:
        return drawn, zs, with_gradients(drawn, *zs)
    except (TypeError, ValueError):
        return drawn, zs, None


BY_VALUE = {"np.real_if_close", "np.trim_zeros"}
"""Functions whose shape or dtype depends on values, so that examples need not be alike."""


@pytest.mark.parametrize("function", [n for n in FUNCTIONS if n not in BY_VALUE | UNORDERED])
def test_a_program_and_a_batch_are_eager(function):
    name, case = next(iter(cases_by_function()[function].items()))
    with quiet():
        drawn, zs, eager = in_programs(name, case)
        if eager is None:
            return
        both, wanted = functools.partial(with_gradients, drawn), td.tree.flatten(eager)[0]
        if not case.untraced:
            got = td.tree.flatten(td.jit(both)(*zs))[0]
            assert_same([*map(np.asarray, got)], [*map(np.asarray, wanted)])
        batched = td.vmap(both)(*[np.stack([z, 2 * z]) for z in zs])
    for y, other in zip(td.tree.flatten(batched)[0], wanted, strict=True):
        assert y.dtype == other.dtype
        assert_allclose(y[0], other, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("function", ["np.exp", "np.matmul", "np.absolute", "np.linalg.inv"])
def test_single_precision_stays(function):
    name, case = next(iter(cases_by_function()[function].items()))
    drawn, zs = draw(name, case)
    narrow = [z.astype(np.complex64) for z in zs]
    grads = td.grad(functools.partial(loss, drawn), (*range(len(zs)),))(*narrow)
    wide = td.grad(functools.partial(loss, drawn), (*range(len(zs)),))(*zs)
    for y, g, other in zip(results(drawn, *narrow) * len(zs), grads, wide, strict=False):
        assert y.dtype in (np.complex64, np.float32)
        assert g.dtype == np.complex64
        assert_allclose(g, other, rtol=2e-4, atol=2e-4)


# --- conventions


def test_a_gradient_descends():
    """grad of a real loss is dL/dx + i dL/dy."""
    assert_allclose(td.grad(lambda z: np.abs(z) ** 2)(1 + 2j), 2 + 4j)
    assert_allclose(td.grad(lambda z: z.real)(1 + 2j), 1)
    assert_allclose(td.grad(lambda z: z.imag)(1 + 2j), 1j)
    target, z = np.array([1 + 1j, -2j]), np.zeros(2, complex)
    for _ in range(60):
        z = z - 0.2 * td.grad(lambda z: np.sum(np.abs(z - target) ** 2))(z)
    assert_allclose(z, target, atol=1e-6)


def test_vjp_is_the_pairing_without_a_conjugate():
    _, pullback = td.vjp(np.sin, Z)
    g = Z.conj() + 1
    assert_allclose(pullback(g), g * np.cos(Z))


def test_a_complex_derivative():
    f = lambda z: np.exp(z) * z**3 / (1 + z)  # noqa: E731
    z = 0.3 - 1.2j
    exact = np.exp(z) * (z**3 / (1 + z) + 3 * z**2 / (1 + z) - z**3 / (1 + z) ** 2)
    assert_allclose(td.grad(f, holomorphic=True)(z), exact)
    value, slope = td.value_and_grad(f, holomorphic=True)(z)
    assert_allclose([value, slope], [f(z), exact])
    second = td.grad(td.grad(np.sin, holomorphic=True), holomorphic=True)
    assert_allclose(second(z), -np.sin(z))
    slope_of = td.grad(f, holomorphic=True)
    assert_same(td.jit(slope_of)(np.complex128(z)), slope_of(z))


@pytest.mark.parametrize(
    ("f", "culprit"),
    [
        (lambda z: z * np.conj(z), "conjugate"),
        (lambda z: z * np.abs(z), "absolute"),
        (lambda z: z + z.real, "real"),
        (lambda z: z * z.imag, "imag"),
        (lambda z: z * np.angle(z), "angle"),
        (np.sign, "sign"),
        (lambda z: np.vdot(z, z) * z, "conjugate"),
        (lambda z: np.std(z[None] * np.arange(3)) * z, "std"),
        (lambda z: np.linalg.pinv(z[None, None])[0, 0], "pinv"),
    ],
)
def test_what_has_no_complex_derivative_is_refused(f, culprit):
    with pytest.raises(TypeError, match=f"not holomorphic: {culprit}"):
        td.grad(f, holomorphic=True)(0.3 + 1j)


def test_a_complex_output_names_the_ways_out():
    with pytest.raises(TypeError, match=r"\.real.*abs.*holomorphic=True"):
        td.grad(np.sin)(1j)
    with pytest.raises(TypeError, match=r"holomorphic=True"):
        td.value_and_grad(lambda x: x * 1j)(1.0)
    with pytest.raises(TypeError, match="real"):
        td.grad(lambda z: z.real, holomorphic=True)(1j)
    with pytest.raises(TypeError, match="real parameters"):
        td.grad(lambda z: z * 1j, holomorphic=True)(1.0)


def test_real_parameters_through_complex_code_have_real_gradients():
    x = np.array([0.3, 1.0, -2.0])
    f = lambda x: np.sum(np.abs(np.exp(1j * x) - 2) ** 2)  # noqa: E731
    g = td.grad(f)(x)
    assert g.dtype == np.float64
    assert_allclose(g, 4 * np.sin(x))
    assert td.grad(f)(x.astype(np.float32)).dtype == np.float32
    assert_allclose(td.hessian(f)(x), np.diag(4 * np.cos(x)), atol=1e-14)
    assert_allclose(td.jit(td.hessian(f))(x), td.hessian(f)(x), rtol=0)


def test_mixed_dtypes():
    x, z = np.ones(2, np.float32), np.full(2, 1 + 1j, np.complex64)
    f = lambda x, z: np.sum(np.abs(x * z) ** 2)  # noqa: E731
    value, (gx, gz) = td.value_and_grad(f, (0, 1))(x, z)
    assert (value.dtype, gx.dtype, gz.dtype) == (np.float32, np.float32, np.complex64)
    assert_allclose(gx, [4, 4])
    assert_allclose(gz, 2 * z)
    wide = td.grad(lambda x, z: f(x, z.astype(complex)), (0, 1))(x, z)
    assert [g.dtype for g in wide] == [np.float32, np.complex64]


def test_trees_mix_real_and_complex_parameters():
    params = {"w": Z, "b": 0.5, "name": "mixed", "n": [1 + 0j]}
    grads = td.grad(lambda p: np.sum(np.abs(p["w"] * p["b"] + p["n"][0]) ** 2))(params)
    assert grads["w"].dtype == complex
    assert grads["b"].dtype == float
    assert grads["name"] == "mixed"
    rest = Z * 0.5 + 1
    assert_allclose(grads["w"], rest)
    assert_allclose(grads["b"], 2 * np.sum((rest.conj() * Z).real))
    assert_allclose(grads["n"][0], 2 * np.sum(rest))


def test_a_real_cast_takes_the_real_part_with_numpys_warning():
    with pytest.warns(np.exceptions.ComplexWarning):
        g = td.grad(lambda z: np.sum(z.astype(float) ** 2))(Z)
    assert_allclose(g, 2 * Z.real)


def test_parts_are_views():
    def f(z):
        z = z * 1
        z.real[0] = 7.0
        z.imag[...] = z.imag * 2
        return z

    assert_array_equal(td.vjp(f, Z)[0], np.where([[True], [False]], 7, Z.real) + 2j * Z.imag)


def mirror(z, x):
    z.real, z.imag = z.imag * x, z.real
    return z


def add_to_the_real_part(z, x):
    z.real += x
    z.imag[:, 1] -= x[0, 1]
    return np.abs(z)


def assign_through_a_view(z, x):
    part = z[1:].T.real
    z.real = x
    z.T.imag = 2
    return z * part.sum()


def be_real(z, x):
    y = np.abs(z)
    y.real = x
    return y * z


def multiply_in_place(z, x):
    z *= x + 1j
    z[0] /= z[1]
    z **= 2
    return z, z.real, z[0].imag


WRITERS = [mirror, add_to_the_real_part, assign_through_a_view, be_real, multiply_in_place]


@pytest.mark.parametrize("f", WRITERS)
def test_parts_are_written_as_numpy_writes_them(f):
    x = np.linspace(-1, 2, 6).reshape(2, 3)
    of_a_copy = lambda z, x: f(z.copy(), x)  # noqa: E731
    td.check_grads(of_a_copy, Z, x)
    value, _ = td.vjp(of_a_copy, Z, x)
    for y, other in zip(*(td.tree.flatten(t)[0] for t in (value, f(Z.copy(), x))), strict=True):
        assert_array_equal(y, other)
    assert_same(*(td.tree.flatten(t)[0] for t in (td.jit(of_a_copy)(Z, x), value)))
    batched = td.vmap(of_a_copy)(np.stack([Z, 2 * Z]), np.stack([x, 2 * x]))
    for y, other in zip(td.tree.flatten(batched)[0], td.tree.flatten(value)[0], strict=True):
        assert_allclose(y[0], other)


def test_parts_are_written_without_touching_the_other():
    """Neither an infinity nor the sign of a zero, which a sum with 1j * y would lose."""
    z = np.array([complex(1, np.inf), complex(-np.inf, -0.0), complex(-0.0, 2)])

    def write(z):
        z = z.copy()
        z.real[0], z.imag[1:] = 3.0, [5.0, -0.0]
        return z

    assert td.vjp(write, z)[0].tobytes() == write(z).tobytes()


def test_parts_that_cannot_be_written():
    def write_real(z):
        z.real = 1.0
        return z

    def write_imag(z):
        z.imag = 1.0
        return z

    with pytest.raises(AttributeError, match="scalar"):
        td.vjp(write_real, 1j)
    with pytest.raises(TypeError, match="astype"):
        td.vjp(write_imag, Z.real)
    with pytest.raises(TypeError, match="complex"):
        td.vjp(lambda x, z: write_real(x) + setattr(x, "real", z), Z.real, Z)


def test_an_infinite_slope_of_a_part_stays_in_it():
    with np.errstate(divide="ignore"):
        assert td.grad(lambda z: np.sqrt(z.imag))(np.complex128(2)) == complex(0, np.inf)


def test_numbers_of_python_do_not_widen_a_choice():
    z = np.array([1j, 2], np.complex64)
    assert td.vjp(lambda z: np.select([[True, False]], [z], 2j), z)[0].dtype == np.complex64


def test_weights_that_are_counted_are_real_as_numpys():
    with pytest.raises(TypeError, match=r"\.imag"):
        td.vjp(lambda z: np.bincount([0, 1, 1], weights=z), Z[0])


def test_a_constant_has_a_complex_derivative():
    with pytest.warns(td.errors.DisconnectedWarning):
        assert td.grad(lambda _: 2j, holomorphic=True)(1j) == 0
    with pytest.raises(TypeError, match="real scalar"):
        td.grad(lambda _: 2j)(1j)


def test_a_cotangent_of_a_real_output_is_real():
    _, pullback = td.vjp(np.abs, Z)
    with pytest.raises(TypeError, match=r"cotangent of float64.*complex128"):
        pullback(Z)


# --- Wirtinger's identities: with z = x + iy, 2 d/dz = d/dx - i d/dy and 2 d/dz* = d/dx + i d/dy

HOLOMORPHIC = [np.exp, np.sin, np.tanh, np.arctan, lambda z: z**3, lambda z: 1 / (z + 3), np.sqrt]
POINTS = st.complex_numbers(max_magnitude=2, allow_nan=False, allow_infinity=False).filter(
    lambda z: abs(z) > 0.1 and abs(z.real) > 0.01
)


def parts(f, z):
    """df/dx and df/dy, each complex."""
    tangent = functools.partial(td.jvp, f, np.complex128(z))
    return tangent(np.complex128(1))[1], tangent(np.complex128(1j))[1]


@pytest.mark.parametrize("f", HOLOMORPHIC)
@given(z=POINTS)
def test_of_a_holomorphic_function_the_conjugate_derivative_is_0(f, z):
    by_x, by_y = parts(f, z)
    assert_allclose(by_x + 1j * by_y, 0, atol=1e-9 * (1 + abs(by_x)))
    assert_allclose(td.grad(f, holomorphic=True)(z), by_x, rtol=1e-9)


@pytest.mark.parametrize("f", [np.abs, np.angle, lambda z: np.abs(np.exp(z) - z) ** 2, np.real])
@given(z=POINTS)
def test_the_gradient_of_a_real_function_is_twice_the_conjugate_derivative(f, z):
    by_x, by_y = parts(f, z)
    assert_allclose(td.grad(f)(z), by_x + 1j * by_y, rtol=1e-9, atol=1e-12)


# --- branch cuts and poles, against mpmath

SIDES = [1e-9, -1e-9, 0.0, -0.0]
CUTS = {
    np.sqrt: (lambda z: 0.5 / mpmath.sqrt(z), [-2.0, -0.5], "real"),
    np.log: (lambda z: 1 / z, [-2.0, -0.5], "real"),
    np.arcsin: (lambda z: 1 / mpmath.cos(mpmath.asin(z)), [-3.0, 2.0, 0.999999, 1.000001], "real"),
    np.arccos: (lambda z: -1 / mpmath.sin(mpmath.acos(z)), [-3.0, 2.0, 0.999999], "real"),
    np.arccosh: (lambda z: 1 / mpmath.sinh(mpmath.acosh(z)), [-3.0, 0.5, -0.5, 2.0], "real"),
    np.arcsinh: (lambda z: 1 / mpmath.cosh(mpmath.asinh(z)), [-3.0, 2.0, 0.999999], "imag"),
    np.arctan: (lambda z: 1 / (1 + z * z), [-3.0, 2.0, 0.999999], "imag"),
    np.arctanh: (lambda z: 1 / (1 - z * z), [-3.0, 2.0, 0.999999], "real"),
}


@pytest.mark.parametrize("f", CUTS)
@pytest.mark.parametrize("side", SIDES)
def test_both_sides_of_a_branch_cut(f, side):
    """mpmath has no signed zeros: on the cut itself the limit from the zero's side."""
    exact, places, axis = CUTS[f]
    off = side or np.copysign(1e-25, side)
    for place in places:
        z = complex(place, side) if axis == "real" else complex(side, place)
        with mpmath.workdps(60):
            near = mpmath.mpc(place, off) if axis == "real" else mpmath.mpc(off, place)
            wanted = complex(exact(near))
        assert_allclose(td.grad(f, holomorphic=True)(z), wanted, rtol=1e-12)


POLES = {
    np.tan: (lambda z: mpmath.sec(z) ** 2, np.pi / 2),
    np.tanh: (lambda z: mpmath.sech(z) ** 2, np.pi / 2 * 1j),
    np.reciprocal: (lambda z: -1 / z**2, 0),
    np.arctan: (lambda z: 1 / (1 + z * z), 1j),
}


@pytest.mark.parametrize("f", POLES)
def test_around_a_pole(f):
    exact, pole = POLES[f]
    for away in (1e-6, -1e-6, 1e-6j, -1e-6j, 1e-3 + 1e-3j):
        z = complex(pole + away)
        with mpmath.workdps(60):
            wanted = complex(exact(mpmath.mpc(z)))
        assert_allclose(td.grad(f, holomorphic=True)(z), wanted, rtol=1e-12)


@pytest.mark.parametrize("f", [np.tan, np.tanh])
def test_far_from_the_poles(f):
    for z in (20 + 1j, 1 + 20j, -300.5 + 0.3j, 0.3 - 300.5j, 800 + 1j, 1 - 800j, 40j, 40.0 + 0j):
        with mpmath.workdps(900):
            slope = mpmath.sec(z) ** 2 if f is np.tan else mpmath.sech(z) ** 2
        got = td.grad(f, holomorphic=True)(complex(z))
        assert_allclose(got, complex(slope), rtol=1e-12, atol=1e-307)


def test_kinks_of_lengths():
    assert_array_equal(td.grad(np.abs)(0j), 0)
    assert_array_equal(td.grad(np.linalg.norm)(np.zeros(3, complex)), np.zeros(3))
    assert_array_equal(td.grad(np.std)(np.full(3, 1 + 1j)), np.zeros(3))
    assert_array_equal(td.grad(lambda z: np.sign(z).real)(1 + 0j), 0)


def test_powers_at_zero():
    f = lambda z, n: np.real(z**n)  # noqa: E731
    assert_array_equal(td.grad(f)(0j, 2), 0)
    assert_array_equal(td.grad(f)(0j, np.complex128(1)), 1)
    assert_array_equal(td.grad(f)(0j, np.complex128(0)), 0)
    assert_array_equal(td.grad(f, 1)(0j, np.complex128(2)), 0)


def test_infinities_and_nan_are_numpys():
    z = np.array([np.inf + 1j, complex(np.nan, 1), complex(1, np.inf)])
    with quiet():
        assert_array_equal(td.vjp(lambda z: z * z, z)[0], z * z)
        g = td.grad(lambda z: np.sum(np.abs(z) ** 2))(z)
    assert np.isnan(g[1])


# --- matrices


def invariant(vectors):
    """What no phase of a vector changes."""
    return np.abs(vectors) ** 2, vectors[..., :, :2] @ np.conj(vectors[..., :, :2].swapaxes(-1, -2))


MATRIX = {
    "eigh": lambda a: (np.linalg.eigh(a)[0], *invariant(np.linalg.eigh(a)[1])),
    "eigh U": lambda a: (np.linalg.eigh(a, "U")[0], *invariant(np.linalg.eigh(a, UPLO="U")[1])),
    "svd": lambda a: (
        np.linalg.svd(a, full_matrices=False)[1],
        *invariant(np.linalg.svd(a, full_matrices=False)[0]),
    ),
    "svd of both": lambda a: (lambda u, _s, vh: u @ vh)(*np.linalg.svd(a, full_matrices=False)),
    "svd tall": lambda a: np.abs(np.linalg.svd(a[:, :2], full_matrices=False)[0]),
    "svd wide": lambda a: np.abs(np.linalg.svd(a[:2], full_matrices=False)[2]),
    "svd hermitian": lambda a: np.linalg.svd(a, hermitian=True, full_matrices=False)[1],
}


@pytest.mark.parametrize("name", MATRIX)
def test_factors_whose_phases_are_arbitrary(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        td.check_grads(MATRIX[name], S, order=2)
        td.check_grads(lambda a: MATRIX[name](a)[0], np.stack([S, S.T]), order=1)
    y, _ = td.vjp(MATRIX[name], S)
    for got, wanted in zip(td.tree.flatten(y)[0], td.tree.flatten(MATRIX[name](S))[0], strict=True):
        assert_allclose(got, wanted, atol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.linalg.eigh(a)[1][1, 1].imag,
        lambda a: np.linalg.svd(a)[0][1, 1].imag,
        lambda a: np.linalg.svd(a)[2][1, 1].imag,
    ],
)
def test_what_depends_on_an_arbitrary_phase_warns(f):
    with pytest.warns(td.errors.DegenerateWarning, match="phases"):
        td.grad(f)(S)


def test_the_triangle_that_is_not_read_gets_nothing():
    a = S @ S.conj().T
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        g = td.grad(lambda a: np.sum(np.abs(f(a)) ** 2))(a)  # noqa: B023
        assert_array_equal(np.triu(g, 1), 0)
        assert_array_equal(np.diagonal(g).imag, 0)


def test_equations_of_triangles():
    """Against SciPy, with the conjugate transpose for trans="C"."""
    b, lower = S[:, :2], np.linalg.cholesky(S @ S.conj().T)
    for trans in (0, 1, 2):
        f = functools.partial(td.linalg.solve_triangular, trans=trans, lower=True)
        assert_allclose(f(lower, b), scipy.linalg.solve_triangular(lower, b, trans, lower=True))
        td.check_grads(f, np.tril(lower), b)
    solve = lambda c, b: td.linalg.cho_solve((c, True), b)  # noqa: E731
    assert_allclose(solve(lower, b), scipy.linalg.cho_solve((lower, True), b))
    td.check_grads(solve, lower, b)
    upper = lower.conj().T
    assert_allclose(td.linalg.cho_solve((upper, False), b), solve(lower, b))
    td.check_grads(td.linalg.expm, S / 2, order=1)
    with pytest.raises(TypeError, match="eigh"):
        td.linalg.funm(np.exp, S)


def test_determinants_of_complex_matrices():
    g = td.grad(np.linalg.det, holomorphic=True)(S)
    assert_allclose(g, np.linalg.det(S) * np.linalg.inv(S).T)
    singular = S.copy()
    singular[2] = singular[0]
    minors = [
        [np.linalg.det(np.delete(np.delete(singular, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    minors *= np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]])
    assert_allclose(td.grad(np.linalg.det, holomorphic=True)(singular), minors, atol=1e-14)
    sign = lambda a: np.linalg.slogdet(a)[0]  # noqa: E731
    td.check_grads(sign, S)
    assert_allclose(td.grad(lambda a: np.linalg.slogdet(a)[1])(S), np.linalg.inv(S).conj().T)
