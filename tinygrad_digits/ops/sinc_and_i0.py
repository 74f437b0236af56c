"""sinc and the Bessel function i0: derivatives under an integral sign.

Both are integrals of a smooth function of x u over u. So are their derivatives, of which each is an
op whose own derivative is the next: nothing cancels at 0, at any order.
"""

from functools import partial

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind
from .complex_parts import is_complex
from .registering import implement

elementwise = partial(implement, kind=Kind.ELEMENTWISE)


def _turned_sine(x: Array, quarters: int) -> Array:
    """sin(pi x + quarters pi/2), by what x is more than a whole number, which is exact."""
    if is_complex(x):
        return np.sin(np.pi * x + quarters * (np.pi / 2))
    whole = np.rint(x)
    rest, turn = x - whole, np.remainder(2 * np.remainder(whole, 2) + quarters, 4)
    rest = np.where(turn % 2 == 0, rest, 0.5 - np.abs(rest))
    return np.sin(np.pi * rest) * np.where(turn < 2, 1, -1)


def _sinc_derivative(x: Array, order: int) -> Array:
    """With t = pi x: sin(t) / t is the integral of cos(t u) over u from 0 to 1.

    So its derivatives by t are integrals of u**n cos(t u + n pi/2): by Gauss and Legendre's
    quadrature where t is moderate. Further out those by x follow from one another:
    x s(x) = sin(pi x) / pi, differentiated n times, is x s_n + n s_(n-1).
    """
    wide = x.astype(np.result_type(x.dtype, np.float64))
    far = np.abs(wide) > (1 + order) / np.pi
    near = np.where(far, 0, np.pi * wide)
    nodes, weights = np.polynomial.legendre.leggauss(10 + order)
    cosine = (np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t), np.sin)[order % 4]
    integral = 0 * near
    for u, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        integral = integral + weight * u**order * cosine(near * u)
    divisor = np.where(far, wide, np.inf)
    s = _turned_sine(wide, 0) / np.pi / divisor
    for n in range(1, order + 1):
        s = (np.pi ** (n - 1) * _turned_sine(wide, n) - n * s) / divisor
    return np.where(far, s, np.pi**order * integral).astype(x.dtype)


def _i0_derivative(x: Array, order: int) -> Array:
    """i0(x) is the mean of exp(x cos u) over a circle, its derivatives those of cos(u)**n exp(...).

    Of a periodic function the mean over equidistant points converges faster than any power of
    their number: 256 give full accuracy up to where exp overflows. One quarter of the circle is
    computed, since the others have the same cosines and their negatives. exp(|x|) is taken out of
    the sum: it overflows before i0 does, and |x| (1 - cos u) is exact where the terms are large.
    """
    size = np.minimum(np.abs(x.astype(np.result_type(x.dtype, np.float64))), 1000)
    total = 0 * size
    for angle in (np.arange(64) + 0.5) * (np.pi / 128):
        cosine, less = np.cos(angle), 2 * np.sin(angle / 2) ** 2
        opposite = -2 * cosine * size
        sides = -np.expm1(opposite) if order % 2 else 1 + np.exp(opposite)
        total = total + cosine**order * sides * np.exp(-less * size)
    half = np.exp(size / 2)
    y = total / 128 * half * half
    return (np.copysign(y, x) if order % 2 else y).astype(x.dtype)


def _by_order(kernel: Function, name: str) -> Function:
    """The op of (x, order) whose derivative is itself of the next order."""
    op: Function = define(
        kernel,
        lambda g, _y, x, order: g * op(x, order=order + 1),
        name=name,
        kind=Kind.ELEMENTWISE,
        unchecked=True,
    )
    return op


sinc_derivative = _by_order(_sinc_derivative, "sinc_derivative")
i0_derivative = _by_order(_i0_derivative, "i0_derivative")
sinc = elementwise(np.sinc, lambda g, _y, x: g * sinc_derivative(x, order=1))
i0 = elementwise(np.i0, lambda g, _y, x: g * i0_derivative(x, order=1))
