"""The special functions of scipy.special, by its names.

expit, logit, xlogy and entr need NumPy alone; the others import SciPy when they are first called,
and raise MissingExtraError without it. Derivatives are those of the Digital Library of Mathematical
Functions (https://dlmf.nist.gov), whose sections are named with them. SciPy's own functions take
Tensors too: scipy.special.erf(t) is td.special.erf(t).
"""

import functools
from math import factorial, pi, sqrt

import numpy as np

from ..engine.define import primitive
from ..engine.primitive import Array, Function, Kind
from ..staging.lowering import register_lowering
from ..support.substitutes import SCIPY
from . import gamma
from .complex_parts import is_complex, refuse_complex
from .gamma import scipy_special
from .softmax import sigmoid

elementwise = functools.partial(primitive, kind=Kind.ELEMENTWISE, unchecked=True)


_OF_REAL = "SciPy has no value for others; give it .real or abs"
"""What to do about complex arguments."""


# --- logistic functions and entropies


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)): another name of td.nn.sigmoid, in x's dtype.

    >>> expit(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return sigmoid(x)


@elementwise(lambda g, _y, p: g * (1 / p + 1 / (1 - p)), composite=True)
def logit(p: Array) -> Array:
    """log(p / (1 - p)), the inverse of expit: -inf at 0, inf at 1, NaN outside.

    >>> logit(np.array([0.0, 0.5, 1.0]))
    array([-inf,   0.,  inf])
    """
    refuse_complex("logit", "write np.log(p / (1 - p))", p)
    half = np.subtract(p, 0.5)
    twice = 2 * np.clip(half, -0.25, 0.25)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        far = np.log(np.divide(p, np.subtract(1, p)))
        near = np.log1p(twice) - np.log1p(-twice)  # log(1 + ...) itself would lose digits
    return np.where(np.abs(half) < 0.25, near, far)


def _quotient_rule(g: Array, z: Array, _x: Array, y: Array) -> Array:
    return g * -quotient(z, y)


@elementwise(lambda g, _z, _x, y: g / y, _quotient_rule, composite=True)
def quotient(x: Array, y: Array) -> Array:
    """x / y, and 0 where both are 0, as are its derivatives by y."""
    nothing = np.equal(x, 0) & np.equal(y, 0)
    return np.divide(x, np.where(nothing, 1, y))


@elementwise(
    lambda g, _z, _x, y: g * np.log(y),
    lambda g, _z, x, y: g * quotient(x, y),
    composite=True,
)
def xlogy(x: Array, y: Array) -> Array:
    """x log(y), and 0 where x is 0 (unless y is NaN).

    >>> xlogy(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    array([0., 0.])
    """
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        return np.multiply(x, np.log(np.where(np.equal(x, 0) & np.equal(y, y), 1, y)))


@elementwise(lambda g, _y, x: g * (-1 - np.log(x)), composite=True)
def entr(x: Array) -> Array:
    """-x log(x): what an outcome of probability x adds to an entropy; 0 at 0, -inf below.

    >>> entr(np.array([-1.0, 0.0, np.e]))
    array([       -inf,  0.        , -2.71828183])
    """
    refuse_complex("entr", "write -x * np.log(x)", x)
    return np.where(np.less(x, 0), -np.inf, 0 - xlogy(x, np.where(np.less_equal(x, 0), 1, x)))


# --- the error function and the normal distribution (DLMF 7.2)


def _gaussian_rule(g: Array, y: Array, x: Array, scale: float) -> Array:
    return g * ((x if is_complex(x) else np.clip(x, -128, 128)) * y * (-2 * scale))


@elementwise(_gaussian_rule, composite=True)
def gaussian(x: Array, scale: float) -> Array:
    """exp(-scale x**2), without the error that x**2 takes from its rounding to the exponential.

    Of x a number of sixteenths is split off, whose square is exact, as in W. J. Cody, "Rational
    Chebyshev approximations for the error function", 1969. From 128 on it is 0 in all dtypes.
    """
    if is_complex(x):
        return np.exp(x * x * -scale)
    near = np.clip(x, -128, 128)
    near = near.astype(np.result_type(near.dtype, np.float32))
    whole = np.rint(near * 16) * (1 / 16)
    rest = (near - whole) * (near + whole)
    y = np.exp(-scale * np.square(whole)) * np.exp(-scale * rest)
    return y.astype(np.result_type(x, np.float16))


@elementwise(lambda g, _y, x: g * (gaussian(x, scale=1.0) * (2 / sqrt(pi))))
def erf(x: Array) -> Array:
    """The error function, 2/√π times the integral of exp(-t²) from 0 to x.

    >>> erf(np.array([0.0, np.inf]))
    array([0., 1.])
    """
    return scipy_special().erf(x)


@elementwise(lambda g, _y, x: g * (gaussian(x, scale=1.0) * (-2 / sqrt(pi))))
def erfc(x: Array) -> Array:
    """1 - erf(x), exact also where that is tiny.

    >>> erfc(np.array([0.0, np.inf]))
    array([1., 0.])
    """
    return scipy_special().erfc(x)


def _erfinv_slope_rule(g: Array, y: Array, x: Array) -> Array:
    return g * (2 * erfinv(x) * y * y)


@elementwise(_erfinv_slope_rule)
def erfinv_slope(x: Array) -> Array:
    """√π/2 exp(y²) at y = erfinv(x), by way of erfcx(y), which is exp(y²) (1 - x)."""
    size = np.abs(x)
    y = scipy_special().erfcx(scipy_special().erfinv(size)) / np.subtract(1, size)
    return np.where(size == 1, np.inf, sqrt(pi) / 2 * y)[()].astype(y.dtype)


@elementwise(lambda g, _y, x: g * erfinv_slope(x))
def erfinv(x: Array) -> Array:
    """The inverse of erf, on -1 ... 1.

    >>> erfinv(np.array([0.0, 1.0]))
    array([ 0., inf])
    """
    refuse_complex("erfinv", _OF_REAL, x)
    return scipy_special().erfinv(x)


@elementwise(lambda g, _y, x: g * (gaussian(x, scale=0.5) * (1 / sqrt(2 * pi))))
def ndtr(x: Array) -> Array:
    """The standard normal distribution function: the probability of less than x.

    >>> ndtr(np.array([-np.inf, 0.0]))
    array([0. , 0.5])
    """
    return scipy_special().ndtr(x)


def _excess_rule(g: Array, y: Array, x: Array, n: int) -> Array:
    return g * (y * (excess(x, n=n + 1) - y))


@elementwise(_excess_rule)
def excess(x: Array, n: int) -> Array:
    """The moment n of u > 0 under the weight exp(ux - u²/2), by the moment n - 1.

    The first is that of a normal variable above -x, its mean distance from there: x + mills(x).
    Each is n / (the next - x), which far to the left converges from the end (DLMF 7.9), and
    cancels nothing; elsewhere each follows from the one before.
    """
    left = np.minimum(x, _FAR)
    far = (np.sqrt(left * left + 4 * (n + _TERMS)) + left) / 2
    for k in reversed(range(n, n + _TERMS)):
        far = k / (far - left)
    right = np.maximum(x, _FAR)
    near = right + mills(right)
    for k in range(1, n):
        near = k / near + right
    return np.where(np.less(x, _FAR), far, near)[()]


_FAR, _TERMS = -1.5, 96
"""Left of where the continued fraction, and of how many terms: it is at full precision there."""


@elementwise(lambda g, _y, x: g * -_curvature(x))
def mills(x: Array) -> Array:
    """The normal density over the distribution function; left of 0 by erfcx, exp(x²) erfc(x)."""
    special = scipy_special()
    is_left = np.less(np.real(x), 0)
    left = sqrt(2 / pi) / special.erfcx(np.where(is_left, x, 0) * -sqrt(0.5))
    right = gaussian(x, scale=0.5) * (1 / sqrt(2 * pi)) / special.ndtr(x)
    return np.where(is_left, left, right)[()].astype(left.dtype)


def _curvature_rule(g: Array, _y: Array, x: Array) -> Array:
    """Minus the third cumulant under the weight of excess, whose second is 1 - curvature.

    It is made of the excesses far to the left, where 2 excess(1) - excess(2) would cancel: it is
    less than either by the factor 1 / x².
    """
    e, f, h = (excess(np.minimum(x, _FAR), n=n) for n in (1, 2, 3))
    far = e * (f * h - 3 * e * f + 2 * e * e)
    first, second = excess(x, n=1), excess(x, n=2)
    near = mills(x) * first * (2 * first - second)
    return g * -np.where(np.less(x, _FAR), far, near)


@elementwise(_curvature_rule)
def curvature(x: Array) -> Array:
    """mills(x) (x + mills(x)), which is 1 far to the left and 0 far to the right."""
    return mills(x) * excess(x, n=1)


def _curvature(x: Array) -> Array:
    if is_complex(x):
        return mills(x) * (x + mills(x))
    return curvature(np.clip(x, -(float(np.finfo(x.dtype).max) ** 0.5), 128))


@elementwise(lambda g, _y, x: g * mills(x))
def log_ndtr(x: Array) -> Array:
    """log(ndtr(x)), exact also far to the left, as are its derivatives.

    >>> log_ndtr(np.array([0.0])) == -np.log(2)
    array([ True])
    """
    return scipy_special().log_ndtr(x)


# --- the gamma function and its kin (DLMF 5.2, 5.12, 5.15)


higher: Function = elementwise(lambda g, _y, x, n: g * higher(x, n=n + 1), name="polygamma")(
    gamma.polygamma
)


@elementwise(lambda g, _y, x: g * higher(x, n=1))
def digamma(x: Array) -> Array:
    """The derivative of gammaln.

    >>> digamma(2.0) - digamma(1.0)
    np.float64(1.0)
    """
    return scipy_special().digamma(x)


@elementwise(lambda g, _y, x: g * digamma(x))
def gammaln(x: Array) -> Array:
    """The logarithm of |Γ(x)|: of (n - 1)! at a natural number n.

    >>> gammaln(np.array([1.0, 2.0]))
    array([0., 0.])
    """
    refuse_complex("gammaln", "its derivative, digamma, takes complex ones, too", x)
    return scipy_special().gammaln(x)


def polygamma(n: int, x: Array) -> Array:
    """The nth derivative of digamma, for a whole number n.

    >>> round(polygamma(1, 1.0) - np.pi**2 / 6, 15)
    np.float64(0.0)
    """
    return higher(x, n=n) if n else digamma(x)


rise: Function = elementwise(
    lambda g, _y, a, b, n: g * rise(a, b, n=n + 1),
    lambda g, _y, a, b, n: g * higher(a + b, n=n + 1),
    name="polygamma_rise",
)(gamma.polygamma_rise)


@elementwise(
    lambda g, y, a, b: g * (-y * rise(a, b, n=0)),
    lambda g, y, a, b: g * (-y * rise(b, a, n=0)),
)
def beta(a: Array, b: Array) -> Array:
    """Γ(a) Γ(b) / Γ(a + b).

    >>> beta(1.0, 2.0)
    np.float64(0.5)
    """
    refuse_complex("beta", _OF_REAL, a, b)
    return scipy_special().beta(a, b)


@elementwise(
    lambda g, _y, a, b: g * -rise(a, b, n=0),
    lambda g, _y, a, b: g * -rise(b, a, n=0),
)
def betaln(a: Array, b: Array) -> Array:
    """The logarithm of |beta(a, b)|.

    >>> betaln(1.0, 1.0)
    np.float64(0.0)
    """
    refuse_complex("betaln", _OF_REAL, a, b)
    return scipy_special().betaln(a, b)


# --- modified Bessel functions of the first kind: I_n' = (I_{n-1} + I_{n+1}) / 2 (DLMF 10.29)


def _iv(x: Array, n: int) -> Array:
    """By its series where one term is enough, since SciPy's is NaN at 1e-308, as at infinity."""
    y = scipy_special().iv(float(n), x)
    n = abs(n)
    with np.errstate(all="ignore"):
        first = np.power(np.multiply(x, 0.5), n) / factorial(n)
        limit = np.where(np.isinf(x), np.power(np.sign(x), n) * np.inf, y)
        return np.where(np.abs(x) < 1e-9, first, limit)[()].astype(y.dtype)


iv: Function = elementwise(
    lambda g, _y, x, n: g * (0.5 * (iv(x, n=n - 1) + iv(x, n=n + 1))), name="iv"
)(_iv)


def _i0_rule(g: Array, _y: Array, x: Array) -> Array:
    return g * i1(x)


@elementwise(_i0_rule)
def i0(x: Array) -> Array:
    """The modified Bessel function of order 0.

    >>> i0(0.0)
    np.float64(1.0)
    """
    return scipy_special().iv(0.0, x) if is_complex(x) else scipy_special().i0(x)


@elementwise(lambda g, _y, x: g * (0.5 * (i0(x) + iv(x, n=2))))
def i1(x: Array) -> Array:
    """The modified Bessel function of order 1.

    >>> i1(0.0)
    np.float64(0.0)
    """
    return scipy_special().iv(1.0, x) if is_complex(x) else scipy_special().i1(x)


SCIPY.update(
    {
        "expit": expit,
        "logit": logit,
        "xlogy": xlogy,
        "entr": entr,
        "erf": erf,
        "erfc": erfc,
        "erfinv": erfinv,
        "ndtr": ndtr,
        "log_ndtr": log_ndtr,
        "gammaln": gammaln,
        "psi": digamma,  # SciPy's other name of it
        "beta": beta,
        "betaln": betaln,
        "i0": i0,
        "i1": i1,
    }
)


for _op in (erf, erfc, ndtr):
    register_lowering(_op, element=_op.__name__)
