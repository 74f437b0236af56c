"""Products with sparse matrices of scipy.sparse, which are constants."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

DENSE = np.array([[0.0, 1.5, 0.0, -2.0], [3.0, 0.0, 0.0, 0.0], [0.0, 0.5, 1.0, 0.0]])
FORMATS = [
    getattr(scipy.sparse, f"{form}_{kind}")
    for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    for kind in ("array", "matrix")
]
PRODUCTS = {
    "A @ vector": (lambda a, t: a @ t, lambda a, t: a @ t, (4,)),
    "A @ matrix": (lambda a, t: a @ t, lambda a, t: a @ t, (4, 2)),
    "A @ column": (lambda a, t: a @ t, lambda a, t: a @ t, (4, 1)),
    "vector @ A": (lambda a, t: t @ a, lambda a, t: t @ a, (3,)),
    "matrix @ A": (lambda a, t: t @ a, lambda a, t: t @ a, (2, 3)),
    "A.T @ vector": (lambda a, t: a.T @ t, lambda a, t: a.T @ t, (3,)),
    "matrix @ A.T": (lambda a, t: t @ a.T, lambda a, t: t @ a.T, (2, 4)),
    "A @ empty": (lambda a, t: a @ t, lambda a, t: a @ t, (4, 0)),
}
each_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
each_product = pytest.mark.parametrize(
    ("product", "dense", "shape"), PRODUCTS.values(), ids=PRODUCTS
)


ORDERS = (td.grad, td.hessian, lambda f: td.jacobian(td.hessian(f)))


@each_product
def test_products_have_every_order(product, dense, shape, rng):
    t = rng.standard_normal(shape)
    weights = np.cos(np.arange(dense(DENSE, t).size)).reshape(dense(DENSE, t).shape)

    def energy(times, a):
        return lambda t: np.sum(weights * np.tanh(times(a, t)) ** 3)

    expected = [derivative(energy(dense, DENSE))(t) for derivative in ORDERS]
    for form in FORMATS:
        a = form(DENSE)
        y, _ = td.vjp(lambda t: product(a, t), t)  # noqa: B023
        assert type(y) is np.ndarray
        assert_array_equal(y, product(form(DENSE) if form.format != "dia" else a.tocsr(), t))
        for derivative, wanted in zip(ORDERS, expected, strict=True):
            found = derivative(energy(product, a))(t)
            assert_allclose(found, wanted, rtol=1e-12, atol=1e-13, err_msg=form.__name__)


@each_format
@each_product
def test_vmap_and_programs_take_them(form, product, dense, shape, rng):
    a, ts = form(DENSE), rng.standard_normal((5, *shape))
    gradient = td.grad(lambda t: np.sum(np.sin(product(a, t))))
    mapped = td.vmap(gradient)
    assert_allclose(mapped(ts), np.stack([gradient(t) for t in ts]), rtol=1e-13)
    assert mapped.loops(ts) == ()
    program = td.jit(gradient)
    for t in ts:
        assert_array_equal(program(t), gradient(t))
    assert_allclose(td.jit(mapped)(ts), mapped(ts), rtol=1e-13)
    expected = td.grad(lambda t: np.sum(np.sin(dense(DENSE, t))))
    assert_allclose(mapped(ts)[0], expected(ts[0]), rtol=1e-12, atol=1e-14)


def test_a_step_on_sparse_data_in_native_code(rng):
    pytest.importorskip("llvmlite")
    a, t = scipy.sparse.csr_array(DENSE), rng.standard_normal((4, 2))
    gradient = td.grad(lambda t: np.sum(np.tanh(a @ t) ** 2))
    assert_allclose(td.jit(gradient, backend="native")(t), gradient(t), rtol=1e-12)


def test_vectors_that_are_sparse(rng):
    sparse = scipy.sparse.coo_array(DENSE[0])
    for t in (rng.standard_normal(4), rng.standard_normal((4, 2))):
        assert_allclose(td.vjp(lambda t: sparse @ t, t)[0], DENSE[0] @ t)
        assert_allclose(td.vjp(lambda t: t.T @ sparse, t)[0], t.T @ DENSE[0])
        g = td.grad(lambda t: np.sum(sparse @ t))(t)
        assert_array_equal(g, np.broadcast_to(DENSE[0].reshape(-1, *(1,) * (t.ndim - 1)), t.shape))


def test_dot_is_the_product(rng):
    t = rng.standard_normal(4)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        a = form(DENSE)
        assert_allclose(td.grad(lambda t: np.sum(a.dot(t)))(t), DENSE.sum(0))  # noqa: B023


def test_dtypes_are_those_of_the_plain_product():
    for kind in (np.float32, np.float64, np.int64, np.bool_):
        a = scipy.sparse.csr_array(DENSE.astype(kind))
        for dtype in (np.float32, np.float64):
            t = np.ones(4, dtype)
            y, pullback = td.vjp(lambda t: a @ t, t)  # noqa: B023
            assert y.dtype == (a @ t).dtype
            assert pullback(np.ones(3, y.dtype)).dtype == dtype


def test_the_matrix_may_change_after_the_forward_pass_and_after_tracing():
    a, t = scipy.sparse.csr_array(DENSE), np.arange(4.0)
    _, pullback = td.vjp(lambda t: np.sin(a @ t), t)
    program = td.jit(lambda t: a @ t)
    before = pullback(np.ones(3))
    assert_array_equal(program(t), DENSE @ t)
    a.data *= 2
    assert_array_equal(pullback(np.ones(3)), before)
    assert_array_equal(program(t), DENSE @ t)  # a constant of the program, as arrays are


REFUSED = {
    "A * t": lambda a, t: a * t,
    "t * A": lambda a, t: t * a,
    "A + t": lambda a, t: a + t,
    "t - A": lambda a, t: t - a,
    "A - t": lambda a, t: a - t,
    "A / t": lambda a, t: a / t,
    "t / A": lambda a, t: t / a,
    "t ** A": lambda a, t: t**a,
    "A.multiply": lambda a, t: a.multiply(t),
    "A.maximum": lambda a, t: a.maximum(t),
    "add": np.add,
    "einsum": lambda a, t: np.einsum("ij,ij", a, t),
    "where": lambda a, t: np.where(True, t, a),
    "spsolve": lambda a, t: scipy.sparse.linalg.spsolve(a[:3, :3], t[:, 0]),
}


@pytest.mark.parametrize("f", REFUSED.values(), ids=REFUSED)
def test_elsewhere_they_are_refused_with_the_remedy(f):
    for form in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        with pytest.raises(td.errors.NotDifferentiableError, match=r"\.toarray\(\)"):
            td.grad(lambda t: np.sum(f(form(DENSE), t)))(np.ones((3, 4)))  # noqa: B023
        with pytest.raises(td.errors.NotDifferentiableError, match=r"\.toarray\(\)"):
            td.jit(lambda t: f(form(DENSE), t))(np.ones((3, 4)))  # noqa: B023


def test_products_that_do_not_fit_are_scipys_errors():
    a = scipy.sparse.csr_array(DENSE)
    for shape in ((3,), (3, 2), (2, 4, 2)):
        with pytest.raises(ValueError, match="dimension"):
            td.grad(lambda t: np.sum(a @ t))(np.ones(shape))


def test_a_complex_matrix():
    """As an operator of quantum mechanics is, times real and complex vectors, from both sides."""
    a = scipy.sparse.csr_array(DENSE * (1 - 0.5j) + 0.2j * (DENSE != 0))
    x = np.linspace(-1, 1, 4)
    for t in (x, x + 1j * x[::-1]):
        td.check_grads(lambda t: a @ t, t)
        assert_allclose(
            td.grad(lambda t: np.sum(np.abs(a @ t)))(t),
            td.grad(lambda t: np.sum(np.abs(a.toarray() @ t)))(t),
        )
        td.check_grads(lambda t: t[:3] @ a, t)
