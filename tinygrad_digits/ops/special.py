"""The special functions of scipy.special, by its names.

expit, logit, xlogy and entr need NumPy alone; the others import SciPy when they are first called,
and raise MissingExtraError without it. Derivatives are those of the Digital Library of Mathematical
Functions (https://dlmf.nist.gov), whose sections are named with them. SciPy's own functions take
Tensors too: scipy.special.erf(t) is td.erf(t).
"""

import functools
from math import factorial, pi, sqrt
from typing import Any

import numpy as np

from ..engine.errors import extra
from ..engine.primitive import Kind, Op, primitive
from ..engine.tape import Array
from ..engine.tensor import SCIPY
from .neural import sigmoid

row = functools.partial(primitive, kind=Kind.ELEMENTWISE, trusted=True)


@functools.cache
def scipy_special() -> Any:
    with extra("scipy"):
        import scipy.special
    return scipy.special


# --- logistic functions and entropies


def expit(x: Array) -> Array:
    """1 / (1 + exp(-x)): another name of td.sigmoid, in x's dtype.

    >>> expit(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return sigmoid(x)


@row(lambda g, _y, p: g / (p * (1 - p)), composed=True)
def logit(p: Array) -> Array:
    """log(p / (1 - p)), the inverse of expit: -inf at 0, inf at 1, NaN outside.

    >>> logit(np.array([0.0, 0.5, 1.0]))
    array([-inf,   0.,  inf])
    """
    half = np.subtract(p, 0.5)
    twice = 2 * np.clip(half, -0.25, 0.25)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.log(np.divide(p, np.subtract(1, p)))
        near = np.log1p(twice) - np.log1p(-twice)  # log(1 + ...) itself would lose digits
    return np.where(np.abs(half) < 0.25, near, far)


def _xlogy_y(g: Array, _z: Array, x: Array, y: Array) -> Array:
    """x / y, and 0 where both are 0."""
    return g * (x / (y + ((x == 0) & (y == 0))))


@row(lambda g, _z, _x, y: g * np.log(y), _xlogy_y, composed=True)
def xlogy(x: Array, y: Array) -> Array:
    """x log(y), and 0 where x is 0 (unless y is NaN).

    >>> xlogy(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    array([0., 0.])
    """
    return np.multiply(x, np.log(np.where(np.equal(x, 0) & np.equal(y, y), 1, y)))


@row(lambda g, _y, x: g * (-1 - np.log(x)), composed=True)
def entr(x: Array) -> Array:
    """-x log(x): what an outcome of probability x adds to an entropy; 0 at 0, -inf below.

    >>> entr(np.array([-1.0, 0.0, np.e]))
    array([       -inf,  0.        , -2.71828183])
    """
    return np.where(np.less(x, 0), -np.inf, 0 - xlogy(x, np.where(np.less_equal(x, 0), 1, x)))


# --- the error function and the normal distribution (DLMF 7.2)


@row(lambda g, _y, x: g * (np.exp(-x * x) * (2 / sqrt(pi))))
def erf(x: Array) -> Array:
    """The error function, 2/√π times the integral of exp(-t²) from 0 to x.

    >>> erf(np.array([0.0, np.inf]))
    array([0., 1.])
    """
    return scipy_special().erf(x)


@row(lambda g, _y, x: g * (np.exp(-x * x) * (-2 / sqrt(pi))))
def erfc(x: Array) -> Array:
    """1 - erf(x), exact also where that is tiny.

    >>> erfc(np.array([0.0, np.inf]))
    array([1., 0.])
    """
    return scipy_special().erfc(x)


@row(lambda g, y, _x: g * (np.exp(y * y) * (sqrt(pi) / 2)))
def erfinv(x: Array) -> Array:
    """The inverse of erf, on -1 ... 1.

    >>> erfinv(np.array([0.0, 1.0]))
    array([ 0., inf])
    """
    return scipy_special().erfinv(x)


@row(lambda g, _y, x: g * (np.exp(-0.5 * x * x) * (1 / sqrt(2 * pi))))
def ndtr(x: Array) -> Array:
    """The standard normal distribution function: the probability of less than x.

    >>> ndtr(np.array([-np.inf, 0.0]))
    array([0. , 0.5])
    """
    return scipy_special().ndtr(x)


@row(lambda g, y, x: g * (-y * (x + y)))
def mills(x: Array) -> Array:
    """The normal density over the distribution function, by erfcx, which is exp(x²) erfc(x)."""
    return sqrt(2 / pi) / scipy_special().erfcx(-x * sqrt(0.5))


@row(lambda g, _y, x: g * mills(x))
def log_ndtr(x: Array) -> Array:
    """log(ndtr(x)), exact also far to the left, as is its derivative.

    >>> log_ndtr(np.array([0.0])) == -np.log(2)
    array([ True])
    """
    return scipy_special().log_ndtr(x)


# --- the gamma function and its kin (DLMF 5.2, 5.12, 5.15)


def _hurwitz(x: Array, n: int) -> Array:
    """DLMF 25.11.12: by the zeta function of two arguments."""
    return scipy_special().zeta(n + 1.0, x) * ((-1.0) ** (n + 1) * factorial(n))


higher: Op = row(lambda g, _y, x, n: g * higher(x, n=n + 1), name="polygamma")(_hurwitz)


@row(lambda g, _y, x: g * higher(x, n=1))
def digamma(x: Array) -> Array:
    """The derivative of gammaln.

    >>> digamma(2.0) - digamma(1.0)
    np.float64(1.0)
    """
    return scipy_special().digamma(x)


@row(lambda g, _y, x: g * digamma(x))
def gammaln(x: Array) -> Array:
    """The logarithm of |Γ(x)|: of (n - 1)! at a natural number n.

    >>> gammaln(np.array([1.0, 2.0]))
    array([0., 0.])
    """
    return scipy_special().gammaln(x)


def polygamma(n: int, x: Array) -> Array:
    """The nth derivative of digamma, for a whole number n.

    >>> round(polygamma(1, 1.0) - np.pi**2 / 6, 15)
    np.float64(0.0)
    """
    return higher(x, n=n) if n else digamma(x)


@row(
    lambda g, y, a, b: g * (y * (digamma(a) - digamma(a + b))),
    lambda g, y, a, b: g * (y * (digamma(b) - digamma(a + b))),
)
def beta(a: Array, b: Array) -> Array:
    """Γ(a) Γ(b) / Γ(a + b).

    >>> beta(1.0, 2.0)
    np.float64(0.5)
    """
    return scipy_special().beta(a, b)


@row(
    lambda g, _y, a, b: g * (digamma(a) - digamma(a + b)),
    lambda g, _y, a, b: g * (digamma(b) - digamma(a + b)),
)
def betaln(a: Array, b: Array) -> Array:
    """The logarithm of |beta(a, b)|.

    >>> betaln(1.0, 1.0)
    np.float64(0.0)
    """
    return scipy_special().betaln(a, b)


# --- modified Bessel functions of the first kind: I_n' = (I_{n-1} + I_{n+1}) / 2 (DLMF 10.29)


def _iv(x: Array, n: int) -> Array:
    return scipy_special().iv(float(n), x)


iv: Op = row(lambda g, _y, x, n: g * (0.5 * (iv(x, n=n - 1) + iv(x, n=n + 1))), name="iv")(_iv)


def _i0_rule(g: Array, _y: Array, x: Array) -> Array:
    return g * i1(x)


@row(_i0_rule)
def i0(x: Array) -> Array:
    """The modified Bessel function of order 0.

    >>> i0(0.0)
    np.float64(1.0)
    """
    return scipy_special().i0(x)


@row(lambda g, _y, x: g * (0.5 * (i0(x) + iv(x, n=2))))
def i1(x: Array) -> Array:
    """The modified Bessel function of order 1.

    >>> i1(0.0)
    np.float64(0.0)
    """
    return scipy_special().i1(x)


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
