"""Polygamma functions and their differences, to the last digits, from NumPy and SciPy.

Where two of them are subtracted, as in the derivative of log beta, the difference is computed as
one: of large and of neighbouring arguments the subtraction would leave nothing.
"""

import functools
from math import factorial, pi
from typing import Any

import numpy as np

from ..engine.primitive import Array
from ..support.errors import extra


@functools.cache
def scipy_special() -> Any:
    with extra("scipy"):
        import scipy.special
    return scipy.special


def polygamma(x: Array, n: int) -> Array:
    """The nth derivative of digamma for n > 0: a zeta function of two arguments (DLMF 25.11.12).

    Left of 0, where the series of that function is as long as x is large, by reflection, 5.15.6.
    """
    if np.iscomplexobj(x):
        return _polygamma_of_complex(np.asarray(x), n)
    flipped = np.where(np.less_equal(x, 0), np.subtract(1, x), x)
    with np.errstate(all="ignore"):
        y = scipy_special().zeta(n + 1.0, flipped) * ((-1.0) ** (n + 1) * factorial(n))
        if not np.any(np.less_equal(x, 0)):
            return y
        cot = 1 / np.tan(pi * (x - np.rint(x)))
        mirrored = (-1) ** n * y - pi ** (n + 1) * np.polyval(_derive_cot(n), cot)
    return np.where(np.less_equal(x, 0), mirrored, y)[()].astype(y.dtype)


def _polygamma_of_complex(z: Array, n: int) -> Array:
    """By the recurrence and the asymptotic series, DLMF 5.15.5 and 5.15.8; SciPy has none."""
    left = z.real < 0.5
    a = np.where(left, 1 - z, z).astype(np.complex128)
    with np.errstate(all="ignore"):
        y = factorial(n) * np.sum(np.add.outer(a, np.arange(float(_STEPS))) ** -(n + 1.0), axis=-1)
        a = a + _STEPS
        y += factorial(n - 1) * a**-n + factorial(n) / 2 * a ** -(n + 1)
        for k, share in _shares(n):
            y += share * a ** -(2 * k + n)
        y = y * (-1) ** (n + 1)
        if left.any():
            cot = 1 / np.tan(pi * (z - np.rint(z.real)))
            mirrored = (-1) ** n * y - pi ** (n + 1) * np.polyval(_derive_cot(n), cot)
            y = np.where(left, mirrored, y)
    return y[()].astype(z.dtype)


def _derive_cot(n: int) -> Any:
    """The nth derivative of cot, as a polynomial of cot: its first is -1 - cot**2."""
    p = np.array([1.0, 0.0])
    for _ in range(n):
        p = np.polymul([-1.0, 0.0, -1.0], np.polyder(p))
    return p


def polygamma_rise(a: Array, b: Array, n: int) -> Array:
    """polygamma(n, a + b) - polygamma(n, a), with all digits where both are positive.

    By a whole b also among the poles left of 0, which then cancel: their mirror image rises alike.
    """
    dtype = np.result_type(np.add(a, b), np.float32)  # as SciPy's functions
    with np.errstate(all="ignore"):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        end = a + b
        mirrored = (a <= 0) & (end <= 0) & (b == np.rint(b))
        start, end = np.where(mirrored, 1 - a, a), np.where(mirrored, 1 - end, end)
        low = np.minimum(start, end)
        right = low > 0
        up = _rise_on_the_right(np.where(right, low, 1.0), np.abs(b), n)
        y = np.where(mirrored, (-1.0) ** n, 1.0) * np.where(start <= end, up, -up)
        if not right.all():
            y = np.where(right, y, _polygamma(end, n) - _polygamma(start, n))
    return y[()].astype(dtype)


def _polygamma(x: Array, n: int) -> Array:
    return polygamma(x, n) if n else scipy_special().digamma(x)


_STEPS = 12
"""How far to the right, by the recurrence, eight terms of the asymptotic series are enough."""

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""B_2, B_4 ... B_16 (DLMF 24.2)."""


def _rise_on_the_right(a: Array, b: Array, n: int) -> Array:
    """For a > 0 and b >= 0, by DLMF 5.15.5 and 5.15.8, each difference of powers by expm1."""
    every = np.add.outer(a, np.arange(float(_STEPS)))
    total = factorial(n) * np.sum(_fall(every, b[..., None], n + 1), axis=-1)
    a = a + _STEPS
    total += -np.log1p(b / a) if n == 0 else factorial(n - 1) * _fall(a, b, n)
    total += factorial(n) / 2 * _fall(a, b, n + 1)
    for k, share in _shares(n):
        total += share * _fall(a, b, 2 * k + n)
    return (-1) ** (n + 1) * total


def _shares(n: int) -> list[tuple[int, float]]:
    """k and the coefficient of the power -(2k + n) in the asymptotic series."""
    return [
        (k, bernoulli * factorial(2 * k + n - 1) / factorial(2 * k))
        for k, bernoulli in enumerate(_BERNOULLI, 1)
    ]


def _fall(z: Array, b: Array, s: int) -> Array:
    """(z + b)**-s - z**-s, by halves of a power that may itself overflow."""
    half = z ** (-s / 2)
    return np.expm1(-s * np.log1p(b / z)) * half * half
