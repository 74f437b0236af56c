"""Corners of the special functions: ends of domains, far tails, dtypes, and doing without SciPy."""

import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.support.substitutes import SCIPY

INF = np.inf
UNARY = ["expit", "logit", "entr", "erf", "erfc", "erfinv", "ndtr", "log_ndtr", "gammaln"]
UNARY += ["digamma", "i0", "i1"]
NUMPYS = {"expit", "logit", "entr", "xlogy"}


def slope(f, x):
    with np.errstate(all="ignore"):
        return td.grad(f)(x)


def twice(f, x):
    with np.errstate(all="ignore"):
        return td.grad(td.grad(f))(x)


@pytest.mark.parametrize("name", UNARY)
def test_values_are_scipys_everywhere(name):
    x = np.array([-INF, -30.0, -2.5, -1.0, -1e-9, 0.0, 1e-20, 0.3, 0.5, 0.75, 1.0, 4.5, 40.0, INF])
    x = np.append(x, np.nan)
    with np.errstate(all="ignore"):
        value, expected = getattr(td.special, name)(x), getattr(scipy.special, name)(x)
    assert_allclose(value, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", [*UNARY, "xlogy", "beta", "betaln"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_dtypes_are_scipys(name, dtype):
    x = np.full(2, 0.5, dtype)
    args = (x, x) if name in ("xlogy", "beta", "betaln") else (x,)
    value = getattr(td.special, name)(*args)
    assert value.dtype == (dtype if name in NUMPYS else getattr(scipy.special, name)(*args).dtype)
    assert td.grad(lambda x: np.sum(getattr(td.special, name)(x, *args[1:])))(x).dtype == dtype


@pytest.mark.parametrize("name", SCIPY)
def test_scipys_own_function_takes_a_tensor(name):
    function = getattr(scipy.special, name)
    ours = SCIPY[name]
    args = [0.3] * function.nin
    assert td.grad(lambda x: function(x, *args[1:]))(0.3) == td.grad(lambda x: ours(x, *args[1:]))(
        0.3
    )
    assert td.jit(td.grad(lambda x: function(x, *args[1:])))(0.3) == pytest.approx(
        td.grad(lambda x: ours(x, *args[1:]))(0.3)
    )


def test_another_function_of_scipy_has_no_rule():
    with pytest.raises(td.errors.NotDifferentiableError, match="expi"):
        td.grad(scipy.special.expi)(1.0)
    named = np.frompyfunc(lambda x: x, 1, 1)
    with pytest.raises(td.errors.NotDifferentiableError):
        td.grad(named)(1.0)


def test_lists_and_numbers_are_taken():
    for name in UNARY:
        function = getattr(td.special, name)
        assert_array_equal(function([0.25, 0.5]), function(np.array([0.25, 0.5])))
        assert function(0.25) == function(np.float64(0.25))
    assert_array_equal(td.special.xlogy([0.0, 1.0], [0.0, 1.0]), [0, 0])
    assert_array_equal(td.special.logsumexp([0.0, 0.0], b=[2, 3]), np.log(5))


# --- entropies


def test_x_log_y_at_zero():
    for x, y, by_x, by_y in [
        (0, 0, -INF, 0),
        (0, 2, np.log(2), 0),
        (0, INF, INF, 0),
        (2, 0, -INF, INF),
    ]:
        with np.errstate(all="ignore"):
            value, grads = td.value_and_grad(td.special.xlogy, (0, 1))(float(x), float(y))
        assert value == scipy.special.xlogy(x, y)
        assert grads == (by_x, by_y)
    assert np.isnan(td.special.xlogy(0.0, np.nan))
    assert slope(lambda x: slope(lambda y: td.special.xlogy(x, y), 2.0), 0.0) == 0.5


def test_entropy_at_its_ends():
    assert slope(td.special.entr, 0.0) == INF
    assert slope(td.special.entr, 1.0) == -1
    p = np.array([0.0, 1.0])
    assert np.sum(td.special.entr(p)) == 0


def test_logit_at_its_ends():
    assert_array_equal([slope(td.special.logit, p) for p in (0.0, 1.0)], [INF, INF])
    near = 0.5 + 2.0**-40
    assert td.special.logit(near) == pytest.approx(2.0**-38, rel=1e-15)


# --- far tails


def test_log_ndtr_far_to_the_left():
    for x in (-40.0, -1e4, -1e8):
        tail = -x - 1 / x + 2 / x**3  # DLMF 7.12.1
        assert slope(td.special.log_ndtr, x) == pytest.approx(tail, rel=1e-7 if x == -40 else 1e-14)
    assert twice(td.special.log_ndtr, -20.0) == pytest.approx(-1 + 1 / 400, rel=1e-3)


@pytest.mark.parametrize("x", [-1e8, -1e5, -300.0, -30.0, -7.0, -1.6, -1.4, 0.5, 8.0])
def test_log_ndtr_to_the_fifth_order(x):
    """Against the recurrence of mills, m' = -m (x + m), in 120 digits."""
    with mpmath.workdps(120):
        at = mpmath.mpf(x)
        m = [mpmath.npdf(at) / (mpmath.erfc(-at / mpmath.sqrt(2)) / 2)]
        for n in range(5):
            sums = [*(d + (k == 0) * at + (k == 1) for k, d in enumerate(m))]
            m.append(-sum(mpmath.binomial(n, k) * m[n - k] * sums[k] for k in range(n + 1)))
    f = td.special.log_ndtr
    for order, wanted in enumerate(m[:5], 1):
        f = td.grad(f)
        assert f(x) == pytest.approx(float(wanted), rel=1e-14 if order < 4 else 2e-13), order


def test_log_ndtr_far_to_the_right():
    assert slope(td.special.log_ndtr, 60.0) == 0
    assert twice(td.special.log_ndtr, 60.0) == 0


def test_erf_and_erfinv_at_their_ends():
    assert slope(td.special.erf, INF) == 0
    assert slope(td.special.erfinv, 1.0) == INF
    assert slope(td.special.erfc, 30.0) == pytest.approx(-2 / np.sqrt(np.pi) * np.exp(-900.0))


# --- gamma and Bessel functions


def test_every_order_of_gammaln():
    f = td.special.gammaln
    for n in range(4):
        f = td.grad(f)
        assert f(2.5) == pytest.approx(scipy.special.polygamma(n, 2.5), rel=1e-13)
        assert f(-0.4) == pytest.approx(scipy.special.polygamma(n, -0.4), rel=1e-12)


def test_bessel_functions_at_zero():
    assert [
        slope(td.special.i0, 0.0),
        slope(td.special.i1, 0.0),
        twice(td.special.i0, 0.0),
        twice(td.special.i1, 0.0),
    ] == [*(0.0, 0.5, 0.5, 0.0)]


# --- softmax and its kin


def test_a_weight_of_zero_leaves_out_what_is_infinite():
    x, b = np.array([INF, 0.0, 1000.0]), np.array([0.0, 2.0, 0.0])
    assert td.special.logsumexp(x, b=b) == np.log(2)
    assert_array_equal(slope(lambda x: td.special.logsumexp(x, b=b), x), [0, 1, 0])
    by_weight = td.grad(lambda b: td.special.logsumexp(np.array([1.0, 2.0]), b=b))(
        np.array([0.0, 1.0])
    )
    assert_allclose(by_weight, [np.exp(-1), 1])


def test_a_negative_sum_has_a_sign():
    x, b = np.array([0.0, 1.0]), np.array([1.0, -1.0])
    assert np.isnan(td.special.logsumexp(x, b=b))
    for got, expected in zip(
        td.special.logsumexp(x, b=b, return_sign=True),
        scipy.special.logsumexp(x, b=b, return_sign=True),
        strict=True,
    ):
        assert_allclose(got, expected)
    assert td.special.logsumexp(np.full(2, -INF), b=2.0) == -INF


def test_softmax_over_all_axes_is_of_large_numbers_too():
    x = np.array([[1000.0, -1000.0], [0.0, 1000.0]])
    assert_array_equal(td.nn.softmax(x, axis=None), [[0.5, 0], [0, 0.5]])
    assert td.nn.softmax(np.zeros((0, 2, 3)), axis=(1, 2)).shape == (0, 2, 3)


# --- without SciPy, and in programs


def test_some_do_without_scipy():
    program = """
import sys
sys.modules["scipy"] = sys.modules["scipy.special"] = None
import numpy as np, tinygrad_digits as td
from tinygrad_digits.special import entr, expit, logit, xlogy
print([float(td.grad(f)(0.5)) for f in (expit, logit, entr)], xlogy(0.0, 0.0))
try:
    td.special.erf(0.5)
except td.errors.MissingExtraError as error:
    print(error)
"""
    run = [sys.executable, "-c", program]
    out = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.startswith("[0.2350")
    assert "scipy" in out
    assert 'pip install "tinygrad-digits[scipy]"' in out


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_in_a_program(backend):
    def f(x):
        h = np.tanh(td.special.erf(x) * 2) + td.special.gammaln(x) * td.special.xlogy(x, x)
        return np.sum(h * td.special.log_ndtr(-x) + td.special.i1(x) / td.special.beta(x, 2.0))

    x = np.linspace(0.5, 3, 12).reshape(3, 4)
    program = td.jit(td.grad(f), backend=backend)
    for _ in range(2):
        assert_allclose(program(x), td.grad(f)(x), rtol=1e-12)


# --- complex arguments, against mpmath

PLACES = [0.3 + 0.7j, -1.7 + 0.4j, 2.5 - 3j, -6.25 - 0.125j, 0.5j]


def log_sum(z):
    return mpmath.log(mpmath.exp(z) + mpmath.exp(2) + mpmath.exp(1j))


def normal_distribution(z):
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


COMPLEX = {
    "expit": (td.special.expit, lambda z: 1 / (1 + mpmath.exp(-z))),
    "erf": (td.special.erf, mpmath.erf),
    "erfc": (td.special.erfc, mpmath.erfc),
    "ndtr": (td.special.ndtr, normal_distribution),
    "log_ndtr": (td.special.log_ndtr, lambda z: mpmath.log(normal_distribution(z))),
    "digamma": (td.special.digamma, mpmath.digamma),
    "polygamma 1": (lambda z: td.special.polygamma(1, z), lambda z: mpmath.polygamma(1, z)),
    "polygamma 3": (lambda z: td.special.polygamma(3, z), lambda z: mpmath.polygamma(3, z)),
    "i0": (td.special.i0, lambda z: mpmath.besseli(0, z)),
    "i1": (td.special.i1, lambda z: mpmath.besseli(1, z)),
    "xlogy": (lambda z: td.special.xlogy(z, z), lambda z: z * mpmath.log(z)),
    "logsumexp": (lambda z: td.special.logsumexp(np.stack([z, 2 + 0j, 1j])), log_sum),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_derivatives_of_three_orders(name):
    f, exact = COMPLEX[name]
    for z in map(np.complex128, PLACES):
        for n in range(3):
            with mpmath.workdps(40):
                wanted = complex(mpmath.diff(exact, mpmath.mpc(z), n))
            assert f(z) == pytest.approx(wanted, rel=1e-10), (z, n)
            f = td.grad(f, holomorphic=True)
        f = COMPLEX[name][0]


def test_complex_single_precision():
    z = np.array(PLACES, np.complex64)
    for f, _ in COMPLEX.values():
        if f is not COMPLEX["logsumexp"][0]:
            assert f(z).dtype == np.complex64
            assert td.grad(lambda z, f=f: np.sum(np.abs(f(z))))(z).dtype == np.complex64


@pytest.mark.parametrize("name", ["logit", "entr", "erfinv", "gammaln", "beta", "betaln"])
def test_what_has_no_value_for_complex_numbers_says_so(name):
    f, z = getattr(td.special, name), np.array([0.3 + 0.7j])
    args = (z, 2.0) if name.startswith("beta") else (z,)
    for call in (lambda: f(*args), lambda: td.vjp(f, *args), lambda: td.jit(f)(*args)):
        with pytest.raises(td.errors.NotDifferentiableError, match=f"{name} .*complex128: "):
            call()
