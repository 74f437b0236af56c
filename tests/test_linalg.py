"""Linear algebra at its corners: singular, repeated, rank-deficient, empty, refused."""

import contextlib
import itertools
import math
import sys

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

A = np.array([[2.0, 0.3, -0.1], [0.5, 3.0, 0.2], [-0.4, 0.7, 4.0]])
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
ONES = np.ones((2, 2))


def total(f, pick=lambda y: y):
    """f with its result summed up, each element with a weight of its own."""

    def summed(*xs):
        y = pick(f(*xs))
        return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))

    return summed


# --- determinants of singular matrices


def test_the_determinant_of_a_singular_matrix_has_its_cofactors_for_derivative():
    assert_allclose(td.grad(np.linalg.det)(SINGULAR), [[4, -2], [-2, 1]], atol=1e-14)
    assert_allclose(td.grad(np.linalg.det)(np.zeros((2, 2))), 0, atol=0)
    assert_allclose(td.grad(np.linalg.det)(np.diag([0.0, 2.0, -3.0])), np.diag([-6.0, 0, 0]))
    assert_allclose(td.grad(np.linalg.det)(np.diag([0.0, 0.0, -3.0])), 0, atol=0)
    td.check_grads(np.linalg.det, np.diag([0.0, 2.0, -3.0]) @ A, order=1)
    td.check_grads(np.linalg.det, np.stack([SINGULAR, ONES]), order=1)


def test_the_determinant_of_a_regular_matrix_has_every_order():
    td.check_grads(np.linalg.det, A, order=3, rtol=1e-5)
    td.check_grads(np.linalg.det, np.eye(3), order=2)  # all singular values are equal


def minors(a, order):
    """The derivatives of det(a) by its elements, exact: (n, n) ints -> (n,) * 2 * order ints.

    By Leibniz' formula: of each product the elements that are not differentiated stay.
    """
    n = len(a)
    result = np.zeros((n, n) * order, int)
    for columns in itertools.permutations(range(n)):
        sign = round(np.linalg.det(np.eye(n)[list(columns)]))
        for rows in itertools.permutations(range(n), order):
            rest = math.prod(int(a[i, columns[i]]) for i in set(range(n)) - set(rows))
            result[tuple(k for i in rows for k in (i, columns[i]))] += sign * rest
    return result


def of_rank(n, rank, seed=0):
    """An integer matrix of that rank or less."""
    rng = np.random.default_rng(seed)
    return rng.integers(-3, 4, (n, rank)) @ rng.integers(-3, 4, (rank, n))


RANKS = [(n, rank) for n in range(1, 6) for rank in range(n + 1)]


@pytest.mark.parametrize(("n", "rank"), RANKS)
def test_derivatives_of_the_determinant_are_minors_at_any_rank(n, rank):
    a = of_rank(n, rank)
    for order, derivative in ((1, td.grad), (2, td.hessian)):
        expected = minors(a, order)
        for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-4)):
            got = derivative(np.linalg.det)(a.astype(dtype))
            assert got.dtype == dtype
            assert_allclose(got, expected, atol=rtol * max(1, np.abs(expected).max()))
    if n <= 4:
        third = td.jacobian(td.hessian(np.linalg.det))(a.astype(float))
        expected = minors(a, 3)
        assert_allclose(third, expected, atol=1e-12 * max(1, np.abs(expected).max()))


def test_a_singular_matrix_in_a_batch_of_determinants():
    batch = np.stack([of_rank(3, rank, seed) for rank, seed in ((3, 1), (1, 2), (0, 0), (2, 3))])
    each = np.stack([minors(a, 2) for a in batch])
    x = batch.astype(float)
    hessian = td.hessian(lambda a: np.sum(np.linalg.det(a)))(x)
    for i, j in itertools.product(range(4), repeat=2):
        expected = each[i] if i == j else 0 * each[i]
        assert_allclose(hessian[i, :, :, j], expected, atol=1e-12)
    for mapped in (td.vmap(td.hessian(np.linalg.det)), td.jit(td.vmap(td.hessian(np.linalg.det)))):
        assert_allclose(mapped(x), each, atol=1e-12)
    program, f = td.jit(td.hessian(np.linalg.det)), td.hessian(np.linalg.det)
    for a in x:
        assert_array_equal(program(a), f(a))
    td.check_grads(np.linalg.det, x.reshape(2, 2, 3, 3), order=3)


def test_cofactors_neither_overflow_nor_vanish_on_the_way():
    sizes = np.array([1e200, 1e200, 1e-200, 1e-200])
    assert_allclose(np.diag(td.grad(np.linalg.det)(np.diag(sizes))), 1 / sizes, rtol=1e-14)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0, 0), (0, 2, 2), (0, 1, 1)])
def test_determinants_of_nothing_have_every_order(shape):
    f, x = lambda a: np.sum(np.linalg.det(a) ** 2), np.zeros(shape)
    assert td.grad(f)(x).shape == shape
    assert td.hessian(f)(x).shape == shape * 2
    assert td.jacobian(td.hessian(f))(x).shape == shape * 3


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_determinant_of_nan_spoils_that_matrix_alone():
    batch = np.stack([np.eye(2), [[np.nan, 1], [1, 1]], SINGULAR])
    for f in (td.grad(lambda a: np.sum(np.linalg.det(a))), td.vmap(td.hessian(np.linalg.det))):
        y = f(batch)
        assert np.isnan(y[1]).all()
        assert_allclose(y[::2], f(batch[::2]))


def test_slogdet_of_a_singular_matrix_spoils_that_matrix_alone():
    batch = np.stack([2 * np.eye(2), np.zeros((2, 2))])
    y, g = td.value_and_grad(lambda a: np.linalg.slogdet(a).logabsdet[0])(batch)
    assert_allclose((y, g[0, 0, 0], g[0, 0, 1]), (np.log(4), 0.5, 0))
    (sign, log), pullback = td.vjp(np.linalg.slogdet, batch)
    assert_array_equal(sign, [1, 0])
    assert_array_equal(log[1], -np.inf)
    g = pullback(type(np.linalg.slogdet(A))(np.zeros(2), np.ones(2)))
    assert_allclose(g[0], np.eye(2) / 2)
    assert np.isnan(g[1]).all()
    assert np.isnan(td.grad(lambda a: np.linalg.slogdet(a)[1])(np.zeros((2, 2)))).all()


# --- repeated eigenvalues and singular values


def test_functions_of_repeated_eigenvalues_have_derivatives():
    def energy(a):
        return np.sum(np.square(np.linalg.eigh(a).eigenvalues))

    def same(a):
        return np.sum(np.square(np.linalg.eigvalsh(a)))

    for a in (np.eye(3), np.diag([1.0, 2, 2])):
        assert_allclose(td.grad(energy)(a), 2 * a, atol=1e-12)
        assert_allclose(td.grad(same)(a), 2 * a, atol=1e-12)
        td.check_grads(energy, a, order=1)


@pytest.mark.parametrize("turn", [np.eye(3), np.linalg.qr(A).Q], ids=["exact", "rounded"])
def test_repeated_values_leave_everything_finite(turn):
    a = turn @ np.diag([2.0, 2.0, 5.0]) @ turn.T
    degenerate = pytest.warns(td.errors.DegenerateWarning, match=r"td\.linalg\.funm\(f, a")
    for f, values in ((np.linalg.eigh, 0), (np.linalg.svd, 1)):
        for part in (0, 1):
            told = contextlib.nullcontext() if part == values else degenerate
            with told:
                g = td.grad(total(f, lambda y, part=part: y[part]))(a)
            assert np.abs(g).max() < 10
    eigenvector = td.grad(total(np.linalg.eigh, lambda y: y.eigenvectors[:, 2] ** 2))(a)
    assert np.abs(eigenvector).max() < 10  # that of the eigenvalue that stands alone is right:
    td.check_grads(lambda x: np.linalg.eigh(x).eigenvectors[:, 2] ** 2, a, order=1)


W = np.cos(np.arange(9.0)).reshape(3, 3)
TURNED = np.linalg.qr(A).Q


def symmetric(*spectrum, turn=TURNED):
    a = (turn * np.array(spectrum)) @ turn.T
    return (a + a.T) / 2


def spectral(f):
    """The function of a symmetric matrix as one writes it by hand."""

    def composed(a):
        w, v = np.linalg.eigh((a + a.T) / 2)
        return np.sum(W * ((v * f(w)) @ v.T))

    return composed


def spectral_element(a):
    w, v = np.linalg.eigh((a + a.T) / 2)
    return ((v * np.log(w)) @ v.T)[0, 1]  # at the identity all cotangents are 0


def recomposed(a):
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.sum(W[: a.shape[0], : a.shape[1]] * ((u * s) @ vh))


def part(f, k):
    return total(f, lambda y: y[k] ** 2)


def thin(a):
    return np.linalg.svd(a, full_matrices=False)


ONE = np.outer([1.0, 2.0, 2.0], [0.6, 0.8])
WRONG = {
    "values and vectors": (td.grad(spectral(np.exp)), symmetric(1, 1, 2)),
    "on the diagonal": (td.grad(spectral(lambda w: w)), np.diag([1.0, 1.0, 2.0])),
    "a logarithm of 1": (td.grad(spectral(np.log)), np.eye(3)),
    "nothing but zeros": (td.grad(spectral_element), np.eye(3)),
    "vectors alone": (td.grad(part(np.linalg.eigh, 1)), symmetric(1, 1, 2)),
    "vectors at the identity": (td.grad(total(np.linalg.eigh, lambda y: W * y[1] ** 2)), np.eye(3)),
    "a square at its minimum": (
        td.grad(lambda a: np.linalg.eigh(a).eigenvectors[1, 0] ** 2),
        np.diag([1.0, 1.0, 2.0]),
    ),
    "equal to some ulps": (td.grad(spectral(np.exp)), symmetric(1, 1 + 3e-16, 2)),
    "the curvature of values": (td.hessian(part(np.linalg.eigh, 0)), symmetric(1, 1, 2)),
    "the same alone": (td.hessian(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2)), np.eye(3)),
    "at a minimum": (td.hessian(lambda a: np.sum((np.linalg.eigvalsh(a) - 1) ** 2)), np.eye(3)),
    "singular values": (td.grad(recomposed), np.eye(3)),
    "singular values of 0": (td.grad(recomposed), np.ones((3, 3))),
    "tall and of rank 1": (td.grad(recomposed), ONE),
    "wide and of rank 1": (td.grad(recomposed), ONE.T),
    "nothing at all": (td.grad(recomposed), np.zeros((3, 2))),
    "left vectors": (td.grad(part(thin, 0)), ONE),
    "the curvature of a norm": (td.hessian(lambda a: np.linalg.norm(a, "nuc")), np.eye(3)),
    "columns that depend": (td.grad(part(np.linalg.qr, 0)), np.ones((3, 3)) + np.eye(3)[0]),
    "the triangle of those": (td.grad(part(np.linalg.qr, 1)), np.ones((3, 2)) + np.eye(3, 1)),
}
RIGHT = {
    "values apart": (spectral(np.exp), symmetric(1, 1.5, 2)),
    "values alone": (lambda a: np.sum(np.linalg.eigh(a)[0] ** 2), symmetric(1, 1, 2)),
    "values of their own": (lambda a: np.sum(np.linalg.eigvalsh(a) ** 2), symmetric(1, 1, 2)),
    "a vector apart": (
        total(np.linalg.eigh, lambda y: y[0][2] * y[1][:, 2] ** 2),
        symmetric(1, 1, 2),
    ),
    "the space of equals": (
        total(np.linalg.eigh, lambda y: y[1][:, :2] @ y[1][:, :2].T),
        symmetric(1, 1, 2),
    ),
    "singular values alone": (lambda a: np.sum(np.linalg.svdvals(a) ** 2), np.eye(3)),
    "the polar factor": (total(np.linalg.svd, lambda y: y[0] @ y[2]), 2 * TURNED),
    "a single 0": (recomposed, np.diag([3.0, 2.0, 0.0]) @ TURNED),
    "the first component": (
        total(thin, lambda y: y[0][:, 0] * y[1][0] * y[2][0, 0]),
        ONE,
    ),
}


@pytest.mark.parametrize(("derivative", "a"), WRONG.values(), ids=WRONG)
def test_what_depends_on_vectors_of_equal_values_warns(derivative, a):
    with pytest.warns(td.errors.DegenerateWarning, match=r"td\.linalg\.funm\(f, a") as seen:
        derivative(a)
    assert seen[0].filename == __file__
    for other, x in ((td.jit(derivative), a), (td.vmap(derivative), a[None])):
        with pytest.warns(td.errors.DegenerateWarning):
            other(x)


def test_a_program_warns_when_it_runs():
    f = td.jit(td.grad(spectral(np.exp)))
    f(symmetric(1, 1.5, 2))
    for _ in range(2):
        with pytest.warns(td.errors.DegenerateWarning):
            f(symmetric(1, 1, 2))
    f(symmetric(1, 1.5, 2))


@pytest.mark.parametrize(("f", "a"), RIGHT.values(), ids=RIGHT)
def test_what_does_not_is_quiet_and_right(f, a):
    td.check_grads(f, a, order=1)


def test_the_polar_factor_is_right_at_equal_singular_values():
    def polar(a):
        u, _, vh = np.linalg.svd(a)
        return u @ vh

    td.check_grads(polar, np.eye(3), order=1)
    td.check_grads(polar, 2 * np.linalg.qr(A).Q, order=1)


def test_singular_values_of_zero():
    zero = np.zeros((3, 2))
    for f in (
        np.linalg.svdvals,
        lambda a: np.linalg.norm(a, "nuc"),
        lambda a: np.linalg.norm(a, 2),
    ):
        assert_array_equal(td.grad(lambda a, f=f: np.sum(f(a)))(zero), zero)
    one = np.outer([1.0, 2.0, 2.0], [0.6, 0.8])  # of rank one
    nuclear = td.grad(lambda a: np.linalg.norm(a, "nuc"))(one)
    assert_allclose(nuclear, one / 3, atol=1e-12)
    for part in (0, 1, 2):  # the columns of v have to be orthogonal, so that those are known
        told = pytest.warns(td.errors.DegenerateWarning) if part == 0 else contextlib.nullcontext()
        f = total(lambda a: np.linalg.svd(a, full_matrices=False), lambda y, k=part: y[k])
        with told:
            assert np.abs(td.grad(f)(one)).max() < 10
    td.check_grads(lambda a: np.linalg.svd(a, full_matrices=False).Vh ** 2, one, order=1)


# --- one triangle


@pytest.mark.parametrize(
    ("f", "upper"),
    [
        (np.linalg.cholesky, False),
        (lambda a: np.linalg.cholesky(a, upper=True), True),
        (np.linalg.eigvalsh, False),
        (lambda a: np.linalg.eigvalsh(a, "u"), True),
        (lambda a: np.linalg.eigh(a).eigenvectors ** 2, False),
        (lambda a: np.linalg.eigh(a, UPLO="U").eigenvectors ** 2, True),
        (lambda a: np.linalg.pinv(a, hermitian=True), False),
        (lambda a: np.linalg.svd(a, hermitian=True).S, False),
    ],
)
def test_only_the_triangle_that_is_read_has_a_gradient(f, upper):
    a = A + A.T
    g = td.grad(total(f))(a)
    unread = np.tril(g, -1) if upper else np.triu(g, 1)
    assert not unread.any()
    assert (g != 0)[np.triu_indices(3) if upper else np.tril_indices(3)].all()
    both = td.grad(total(lambda a: f((a + a.T) / 2)))(a)
    assert_allclose(both, (g + g.T) / 2, rtol=1e-12)
    other = np.triu(a) + np.tril(np.full((3, 3), 7.0), -1)
    assert_allclose(f(other if upper else other.T), f(a), rtol=1e-13)
    assert_allclose(td.grad(total(f))(other if upper else other.T), g, rtol=1e-9, atol=1e-12)


def test_solve_triangular_reads_one_triangle():
    b = np.array([1.0, 2.0, 3.0])
    for lower in (False, True):
        g = td.grad(lambda a, lower=lower: td.linalg.solve_triangular(a, b, lower=lower).sum())(A)
        assert_array_equal(g, np.tril(g) if lower else np.triu(g))
    unit = td.grad(lambda a: td.linalg.solve_triangular(a, b, unit_diagonal=True).sum())(A)
    assert_array_equal(unit, np.triu(unit, 1))


# --- rank-deficient: the derivative along matrices of the same rank


def test_pinv_and_lstsq_of_constant_rank():
    u, v, b = np.array([1.0, 2.0, -1.0]), np.array([0.5, 2.0]), np.array([1.0, 0.2, 3.0])
    td.check_grads(lambda u, v: np.linalg.pinv(np.outer(u, v), rcond=1e-8), u, v)
    td.check_grads(lambda u, v: np.linalg.lstsq(np.outer(u, v), b, rcond=1e-8)[0], u, v)
    y, _ = td.vjp(lambda u, v: np.linalg.lstsq(np.outer(u, v), b, rcond=1e-8), u, v)
    assert y[1].shape == (0,)
    assert (y[2], y[2].dtype) == (1, np.linalg.lstsq(np.outer(u, v), b, rcond=1e-8)[2].dtype)


def test_residuals_under_jit_are_nan_where_the_rank_is_less():
    a, b = np.array([[1.0, 2.0], [0.5, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0, 2.0])

    @td.jit
    def fit(a):
        x, residuals, rank, _ = np.linalg.lstsq(a, b)
        return x, residuals, rank

    x, residuals, rank = fit(a)
    expected = np.linalg.lstsq(a, b)
    assert_array_equal(x, expected[0])
    assert_array_equal(residuals, expected[1])
    assert rank == 2
    x, residuals, rank = fit(np.ones((3, 2)))
    assert_array_equal(x, np.linalg.lstsq(np.ones((3, 2)), b)[0])
    assert np.isnan(residuals).all()
    assert rank == 1


def test_cond_of_a_singular_matrix_is_infinite_and_of_nan_is_nan():
    for p in (None, 1, "fro", -2):
        batch = np.stack([np.zeros((2, 2)), np.full((2, 2), np.nan), np.eye(2)])
        with np.errstate(all="ignore"):
            y, _ = td.vjp(lambda a, p=p: np.linalg.cond(a, p), batch[[0, 2]])
            assert_array_equal(y, np.linalg.cond(batch[[0, 2]], p))
        if p in (1, "fro"):  # SVD refuses NaN
            y, _ = td.vjp(lambda a, p=p: np.linalg.cond(a, p), batch)
            assert_array_equal(y, np.linalg.cond(batch, p))


# --- norms at zero


@pytest.mark.parametrize("ord", [None, 2, 1, 3, 1.5, np.inf])
def test_the_slope_of_a_norm_at_zero_is_zero(ord):
    f = np.linalg.norm
    assert_array_equal(td.grad(lambda x: f(x, ord))(np.zeros(3)), np.zeros(3))
    rows = np.array([[0.0, 0.0], [0.0, 2.0]])
    g = td.grad(lambda x: np.sum(f(x, ord, axis=1)))(rows)
    assert_array_equal(g, [[0, 0], [0, 1]])
    assert_array_equal(td.grad(np.linalg.vector_norm)(rows * 0), rows * 0)


def test_norms_of_nothing_are_zero():
    for p in (2, "nuc", 1, np.inf):
        y, g = td.value_and_grad(lambda a, p=p: np.linalg.norm(a, p))(np.zeros((0, 3)))
        assert (y, g.shape) == (0, (0, 3))


def test_a_high_power_of_a_small_vector_stays_finite():
    g = td.grad(lambda x: np.linalg.norm(x, 300))(np.array([0.0, 1e-3, -1e-4]))
    assert np.isfinite(g).all()
    assert_array_equal(td.grad(np.linalg.norm)(np.zeros((2, 2))), np.zeros((2, 2)))
    assert_array_equal(td.grad(lambda a: np.linalg.norm(a, "fro"))(np.zeros((2, 2))), 0 * ONES)


# --- results and errors as NumPy's


@pytest.mark.parametrize(
    "f", [np.linalg.slogdet, np.linalg.qr, np.linalg.eigh, np.linalg.svd], ids=lambda f: f.__name__
)
def test_several_results_come_as_numpys_named_tuple(f):
    kinds = []
    td.grad(lambda a: (kinds.append(type(f(a))), np.sum(f(a)[1]))[1])(A)
    assert kinds == [type(f(A))]


def test_what_has_no_derivative_still_runs_under_jit():
    wide = np.arange(6.0).reshape(2, 3) ** 2
    assert_array_equal(td.jit(lambda a: np.linalg.svd(a).Vh)(wide), np.linalg.svd(wide).Vh)
    tall = td.jit(lambda a: np.linalg.qr(a, mode="complete").Q)(wide.T)
    assert_array_equal(tall, np.linalg.qr(wide.T, mode="complete").Q)
    assert_array_equal(td.jit(np.linalg.eigvals)(A), np.linalg.eigvals(A))


@pytest.mark.parametrize(
    ("f", "a", "message"),
    [
        (np.linalg.inv, ONES, "Singular"),
        (np.linalg.det, np.ones((2, 3)), "square"),
        (lambda a: np.linalg.solve(a, np.ones(2)), ONES, "Singular"),
        (np.linalg.cholesky, -ONES, "positive definite"),
        (np.linalg.cond, np.zeros((0, 0)), "empty"),
        (lambda a: np.linalg.cond(a, 1), np.ones((2, 3)), "square"),
        (np.linalg.slogdet, np.ones((2, 3)), "square"),
        (lambda a: np.linalg.matrix_power(a, 0), np.ones((2, 3)), "square"),
        (lambda a: np.linalg.matrix_power(a, 2), np.ones(3), "square|two-dimensional"),
        (lambda a: np.linalg.lstsq(a, np.ones(2)), np.ones((3, 2)), "dimensions"),
        (np.linalg.svd, np.ones(3), "at least two-dimensional|no matrices"),
        (np.linalg.qr, np.ones(3), "at least two-dimensional|no matrices"),
        (lambda a: np.linalg.multi_dot([a, a[0], a]), ONES, "two-dimensional|takes matrices"),
        (lambda a: np.linalg.multi_dot([a, a, a[None]]), ONES, "two-dimensional|takes matrices"),
        (lambda a: np.linalg.tensorsolve(a, np.ones(2)), np.ones((2, 3)), "square|requirement"),
        (lambda a: td.linalg.solve_triangular(a, np.ones(2)), np.zeros((2, 2)), "singular"),
    ],
)
def test_errors_of_linear_algebra_come_through(f, a, message):
    with pytest.raises(np.linalg.LinAlgError, match=message):
        f(a)
    with pytest.raises(np.linalg.LinAlgError, match=message):
        td.vjp(f, a)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.linalg.norm(a, "nonsense"),
        lambda a: np.linalg.norm(a, 7),
        lambda a: np.linalg.norm(a[0], "fro"),
        lambda a: np.linalg.norm(a, 2, axis=(0, 0)),
        lambda a: np.linalg.norm(a, 1, axis=(0, 5)),
        lambda a: np.linalg.norm(a, axis=5),
        lambda a: np.linalg.vector_norm(a, axis=(0, 5)),
        lambda a: np.linalg.tensorsolve(a, a[0], axes=(-1,)),
        lambda a: np.linalg.norm(a[None], 2),
        lambda a: np.linalg.eigh(a, "X"),
        lambda a: np.linalg.tensorinv(a, 0),
        lambda a: np.linalg.outer(a, a),
        lambda a: np.linalg.cross(a[:, :2], a[:, :2]),
        lambda a: np.cross(a[:, :1], a[:, :1]),
        lambda a: np.linalg.multi_dot([a]),
        lambda a: np.linalg.matrix_transpose(a[0]),
        lambda a: np.tensordot(a, a[:2], axes=1),
        lambda a: np.tensordot(a, a, axes=([5], [0])),
        lambda a: np.tensordot(a, a, axes=([0, 0], [0, 0])),
        lambda a: np.kron(a, a) @ a,
        lambda a: td.linalg.solve_triangular(a, np.ones(3), trans="X"),
    ],
)
def test_what_numpy_refuses_is_refused(f):
    with pytest.raises((ValueError, IndexError)):
        f(A)
    with pytest.raises((ValueError, IndexError)):
        td.vjp(f, A)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda a: np.linalg.svd(a[:2]), "svd.*full_matrices=False"),
        (lambda a: np.linalg.qr(a[:, :2], mode="complete"), "qr.*mode='complete'"),
        (lambda a: np.linalg.qr(a, mode="raw"), "qr.*mode='raw'"),
        (lambda a: np.matmul(a, a, axes=[(0, 1), (0, 1), (0, 1)]), "matmul.*axes"),
        (lambda a: np.vecdot(a, a, axes=[0, 0, ()]), "vecdot.*axes"),
        (lambda a: np.trace(a, out=np.zeros(())), "trace.*out"),
        (lambda a: np.dot(a, a, out=np.zeros((3, 3))), "dot.*out"),
        (lambda a: np.outer(a, a, out=np.zeros((9, 9))), "outer.*out"),
        (lambda a: np.linalg.multi_dot([a, a], out=np.zeros((3, 3))), "multi_dot.*out"),
        (lambda a: np.einsum("ii", a, order="F"), "einsum.*order"),
        (lambda a: np.einsum("ii", a, casting="unsafe"), "einsum.*casting"),
    ],
)
def test_refused(f, message):
    with pytest.raises(td.errors.NotDifferentiableError, match=message):
        td.vjp(f, A)


def test_einsum_path_and_ranks_look_at_no_derivative():
    seen = []

    def f(a):
        seen.append(np.einsum_path("ij,jk,kl", a, a, a, optimize="optimal")[0])
        return np.sum(a)

    td.grad(f)(A)
    td.jit(f)(A)
    assert seen == [np.einsum_path("ij,jk,kl", A, A, A, optimize="optimal")[0]] * 2


def test_the_power_zero_depends_on_nothing():
    with pytest.warns(td.errors.DisconnectedWarning):
        g = td.grad(lambda a: np.sum(np.linalg.matrix_power(a, 0)))(A)
    assert_array_equal(g, np.zeros((3, 3)))


@pytest.mark.parametrize(
    "f",
    [
        np.linalg.inv,
        lambda a: np.linalg.cholesky(a @ a.T),
        np.linalg.eigvalsh,
        np.linalg.svdvals,
        np.linalg.pinv,
        lambda a: np.linalg.qr(a).R,
        td.linalg.expm,
    ],
)
def test_third_derivatives(f):
    td.check_grads(f, A, order=3, rtol=1e-5)


# --- SciPy


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
@pytest.mark.parametrize("lower", [False, True])
def test_triangular_equations_are_scipys(trans, lower):
    for unit in (False, True):
        got = td.linalg.solve_triangular(A, A[0], trans, lower, unit)
        assert_array_equal(got, scipy.linalg.solve_triangular(A, A[0], trans, lower, unit))


def test_the_exponential_against_its_series_and_of_commuting_matrices():
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert_allclose(td.linalg.expm(0.3 * rotation)[0], [np.cos(0.3), -np.sin(0.3)])
    slope = td.grad(lambda t: td.linalg.expm(t * rotation)[1, 0])(0.3)
    assert_allclose(slope, np.cos(0.3))
    curvature = td.grad(td.grad(lambda t: td.linalg.expm(t * rotation)[1, 0]))(0.3)
    assert_allclose(curvature, -np.sin(0.3))


def test_cho_solve_through_the_factor():
    def f(a):
        return td.linalg.cho_solve((np.linalg.cholesky(a @ a.T), True), np.arange(3.0))

    assert_allclose(f(A), np.linalg.solve(A @ A.T, np.arange(3.0)))
    td.check_grads(f, A)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    for f in (td.linalg.expm, lambda a: td.linalg.solve_triangular(a, np.ones(3))):
        with pytest.raises(
            td.errors.MissingExtraError, match=r"needs scipy.*tinygrad-digits\[scipy\]"
        ):
            f(A)
