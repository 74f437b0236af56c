"""Cholesky factors and triangular equations in machine code, beside LAPACK's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.jit_programs import skip_without

pytestmark = pytest.mark.sampled


def native(f):
    skip_without("native")
    return td.jit(f, backend="native")


def positive(n, rng):
    a = rng.standard_normal((n, 2 * n))
    return a @ a.T / n


@pytest.mark.parametrize("n", [2, 3, 17, 64])
def test_a_factor_is_numpys(n, rng):
    a = positive(n, rng) + np.triu(rng.standard_normal((n, n)), 1)  # which is not read
    f = native(np.linalg.cholesky)
    assert_allclose(f(a), np.linalg.cholesky(a), rtol=1e-11, atol=1e-13)
    assert "called as it is" not in str(f.program(a))
    assert_allclose(f(a.astype("f4")), np.linalg.cholesky(a.astype("f4")), rtol=1e-4, atol=1e-5)


def test_what_has_no_factor_raises_numpys_error(rng):
    f = native(np.linalg.cholesky)
    for a in (-np.eye(3), np.diag([1.0, 0, 1]), np.full((3, 3), 2.0)):
        with pytest.raises(np.linalg.LinAlgError):
            f(a)
    assert_allclose(f(a := positive(3, rng)), np.linalg.cholesky(a), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 31])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("unit_diagonal", [False, True])
def test_triangular_equations_are_solved_as_by_scipy(n, lower, trans, unit_diagonal, rng):
    a = rng.standard_normal((n, n)) / n + np.eye(n)

    def solve(a, b):
        return td.linalg.solve_triangular(a, b, trans, lower, unit_diagonal)

    for b in (rng.standard_normal(n), rng.standard_normal((n, 5))):
        f = native(solve)
        assert_allclose(f(a, b), solve(a, b), rtol=1e-11, atol=1e-12)
        assert "called as it is" not in str(f.program(a, b))
        assert_allclose(f(a.T, b), solve(a.T, b), rtol=1e-11, atol=1e-12)


def test_equations_without_a_solution_raise_scipys_errors():
    f = native(lambda a, b: td.linalg.solve_triangular(a, b, lower=True))
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        f(np.diag([1.0, 0, 1]), np.ones(3))
    with pytest.raises(ValueError, match="infs or NaNs"):
        f(np.eye(3), np.array([1.0, np.nan, 1]))
