"""Functions of symmetric matrices, also where eigenvalues are equal or nearly so."""

import importlib
import itertools

import mpmath
import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.ops.matrix_functions import divided_differences

W = np.cos(np.arange(16.0)).reshape(4, 4)
Q = np.linalg.qr(np.sin(np.arange(16.0) ** 2).reshape(4, 4)).Q
SPECTRA = {
    "apart": [0.5, 1.0, 2.0, 3.0],
    "two equal": [1.0, 1.0, 2.0, 3.0],
    "two pairs": [1.0, 1.0, 3.0, 3.0],
    "all equal": [2.0, 2.0, 2.0, 2.0],
    "a billionth apart": [1.0, 1.0 + 1e-9, 1.0 + 2e-9, 3.0],
    "a thousandth apart": [1.0, 1.001, 1.002, 1.003],
}
FUNCTIONS = {
    "exp": (np.exp, mpmath.exp),
    "log": (np.log, mpmath.log),
    "sqrt": (np.sqrt, mpmath.sqrt),
    "inverse": (lambda x: 1 / x, lambda x: 1 / x),
    "cube": (lambda x: x**3, lambda x: x**3),
    "sin": (np.sin, mpmath.sin),
}


def symmetric(spectrum, turn=Q):
    a = (turn * np.array(spectrum)) @ turn.T
    return (a + a.T) / 2


def of_both_triangles(f):
    return lambda a: td.linalg.funm(f, (a + a.swapaxes(-1, -2)) / 2)


def weighted(f):
    return lambda a: np.sum(W * f(a))


# --- divided differences, to the last digits


def exact_difference(f, nodes):
    """Of nodes that are moved apart by 1e-30, in 150 digits."""
    with mpmath.workdps(150):
        x = [mpmath.mpf(float(node)) + k * mpmath.mpf(10) ** -30 for k, node in enumerate(nodes)]
        column = [f(node) for node in x]
        for k in range(1, len(x)):
            column = [
                (column[i + 1] - column[i]) / (x[i + k] - x[i]) for i in range(len(column) - 1)
            ]
        return float(column[0])


@pytest.mark.parametrize("gaps", [[0, 0, 1e-12, 1], [0, 1e-9, 1e-6, 1e-3], [0, 0.03, 0.1, 5]])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("base", [1e-3, 1.0, 7.0])
def test_divided_differences_keep_their_digits(name, base, gaps):
    f, exact = FUNCTIONS[name]
    w = np.sort(base * (1 + np.array(gaps)))
    for order in (1, 2, 3):
        got = divided_differences(f, w, order)
        scale = np.abs(got).max()
        for places in itertools.combinations_with_replacement(range(4), order + 1):
            expected = exact_difference(exact, w[list(places)])
            floor = scale * 1e-15 if name == "sin" else 0  # whose differences change their sign
            assert_allclose(got[places], expected, rtol=1e-12, atol=floor)


def test_divided_differences_are_symmetric_and_go_along_batches():
    w = np.array([[1.0, 1.0, 4.0], [0.1, 2.0, 2.5]])
    both = divided_differences(np.sqrt, w, 2)
    for one, each in zip(w, both, strict=True):
        assert_array_equal(each, divided_differences(np.sqrt, one, 2))
        assert_array_equal(each, each.transpose(2, 0, 1))


# --- the function and its derivatives


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_to_the_third_order(name, spectrum):
    td.check_grads(of_both_triangles(FUNCTIONS[name][0]), symmetric(spectrum), order=3, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [Q, np.eye(4)], ids=["turned", "diagonal"])
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_it_agrees_with_other_ways_to_compute_the_same(spectrum, turn):
    a = symmetric(spectrum, turn)
    sym = lambda a: (a + a.T) / 2  # noqa: E731
    others = {
        np.exp: lambda a: td.linalg.expm(sym(a)),
        np.reciprocal: lambda a: np.linalg.inv(sym(a)),
        np.square: lambda a: sym(a) @ sym(a),
        (lambda x: x**3 - 2 * x): lambda a: sym(a) @ sym(a) @ sym(a) - 2 * sym(a),
    }
    for f, other in others.items():
        for derivative in (lambda f: f, td.grad, td.hessian):
            got = derivative(weighted(of_both_triangles(f)))(a)
            expected = derivative(weighted(other))(a)
            assert_allclose(got, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
    assert_allclose(td.linalg.funm(np.log, a), scipy.linalg.logm(a), rtol=1e-12, atol=1e-13)
    assert_allclose(td.linalg.funm(np.sqrt, a), scipy.linalg.sqrtm(a), rtol=1e-12, atol=1e-13)


def test_the_logarithm_at_the_identity_has_the_slope_of_the_identity():
    g = td.grad(weighted(of_both_triangles(np.log)))(np.eye(4))
    assert_allclose(g, (W + W.T) / 2, rtol=1e-15)
    curved = td.grad(lambda a: np.sum(W * td.grad(weighted(of_both_triangles(np.log)))(a)))
    s = (W + W.T) / 2  # log(1 + e) = e - e @ e / 2 + ...
    assert_allclose(curved(np.eye(4)), -(s @ s), rtol=1e-13)


def test_the_lower_triangle_is_read_and_gets_the_gradient():
    a = symmetric(SPECTRA["two equal"])
    other = np.tril(a) + np.triu(np.full((4, 4), 7.0), 1)
    assert_array_equal(td.linalg.funm(np.exp, other), td.linalg.funm(np.exp, a))
    g = td.grad(weighted(lambda a: td.linalg.funm(np.exp, a)))(other)
    assert_array_equal(g, np.tril(g))
    both = td.grad(weighted(of_both_triangles(np.exp)))(a)
    assert_allclose((g + g.T) / 2, both, rtol=1e-13)


def test_batches_vmap_and_programs():
    batch = np.stack([symmetric(each) for each in SPECTRA.values()])
    f = of_both_triangles(np.sqrt)
    hessian = td.hessian(weighted(f))
    each = np.stack([hessian(a) for a in batch])
    td.check_grads(f, batch[:2], order=2)
    mapped = td.vmap(hessian)
    assert_allclose(mapped(batch), each, rtol=1e-12, atol=1e-13)
    assert mapped.loops(batch) == ()
    program = td.jit(hessian)  # f is run within it, on plain arrays
    assert_array_equal(program(batch[0]), each[0])
    assert_array_equal(program(batch[1]), each[1])


def test_float32_stays_float32():
    a = symmetric(SPECTRA["two equal"])
    f = weighted(of_both_triangles(np.log))
    for derivative in (lambda f: f, td.grad, td.hessian):
        narrow = derivative(f)(a.astype(np.float32))
        assert_allclose(narrow, derivative(f)(a), rtol=1e-4, atol=1e-5)
    assert td.linalg.funm(np.log, a.astype(np.float32)).dtype == np.float32
    assert td.grad(lambda a: td.linalg.funm(np.log, a)[0, 0])(a.astype("f4")).dtype == np.float32


@pytest.mark.filterwarnings("error")
def test_constant_and_linear_functions_have_no_curvature():
    a = symmetric(SPECTRA["two equal"])
    for f in (lambda x: 3.0, lambda x: 2 * x):
        assert_allclose(td.hessian(weighted(of_both_triangles(f)))(a), 0, atol=1e-13)
    assert_allclose(td.linalg.funm(lambda x: 3.0, a), 3 * np.eye(4), atol=1e-14)
    assert_array_equal(td.linalg.funm(np.exp, [[0, 0], [0, 0]]), np.eye(2))
    assert td.linalg.funm(np.exp, np.zeros((0, 0))).shape == (0, 0)


def test_what_it_refuses():
    for a in (np.ones((2, 3)), np.ones(3)):
        with pytest.raises(np.linalg.LinAlgError, match="funm takes symmetric"):
            td.linalg.funm(np.exp, a)
    for f in (np.sum, np.diff):
        with pytest.raises(td.errors.ShapeError, match="each eigenvalue by itself"):
            td.linalg.funm(f, np.eye(3))
    power = lambda a, t: np.sum(td.linalg.funm(lambda x: x**t, a))  # noqa: E731
    with pytest.raises(td.errors.NotDifferentiableError, match="let the matrix bring it along"):
        td.grad(power, 1)(np.eye(3), 2.0)
    with pytest.raises(td.errors.NotDifferentiableError, match="let the matrix bring it along"):
        td.jit(power)(np.eye(3), 2.0)


def test_the_namespace_of_linear_algebra():
    assert importlib.import_module("tinygrad_digits.linalg") is td.linalg
    assert [td.linalg.expm, td.linalg.cho_solve, td.linalg.solve_triangular] == [
        *(td.linalg.expm, td.linalg.cho_solve, td.linalg.solve_triangular)
    ]
