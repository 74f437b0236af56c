"""sinc and the Bessel function i0: derivatives under an integral sign.

Both are integrals of a smooth function of x u over u. So are their derivatives, of which each is an
op whose own derivative is the next: nothing cancels at 0, at any order.
"""

from functools import partial

import numpy as np

from ..engine.primitive import Kind, Op, define, implement
from ..engine.tape import Array

row = partial(implement, kind=Kind.ELEMENTWISE)


def _sinc_derivative(x: Array, order: int) -> Array:
    """With t = pi x: sin(t) / t is the integral of cos(t u) over u from 0 to 1.

    So its derivatives are integrals of u**n cos(t u + n pi/2): by Gauss and Legendre's quadrature
    where t is moderate. Further out they follow from one another: t s(t) = sin(t), differentiated
    n times, is t s_n + n s_(n-1) = sin(t + n pi/2).
    """
    turned = (np.sin, np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t))  # by n pi/2
    t = np.pi * x.astype(np.result_type(x.dtype, np.float64))
    far = np.abs(t) > 8 + order
    nodes, weights = np.polynomial.legendre.leggauss(24 + order)
    near, cosine = np.where(far, 0, t), turned[(order + 1) % 4]
    integral = 0 * t
    for u, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        integral = integral + weight * u**order * cosine(near * u)
    divisor = np.where(far, t, np.inf)
    s = np.sin(t) / divisor
    for n in range(1, order + 1):
        s = (turned[n % 4](t) - n * s) / divisor
    return (np.pi**order * np.where(far, s, integral)).astype(x.dtype)


def _i0_derivative(x: Array, order: int) -> Array:
    """i0(x) is the mean of exp(x cos u) over a circle, its derivatives those of cos(u)**n exp(...).

    Of a periodic function the mean over equidistant points converges faster than any power of
    their number: 256 give full accuracy up to where exp overflows. One quarter of the circle is
    computed, since the others have the same cosines and their negatives.
    """
    wide = x.astype(np.result_type(x.dtype, np.float64))
    hyperbolic = np.sinh if order % 2 else np.cosh
    total = 0 * wide
    for cosine in np.cos((np.arange(64) + 0.5) * (np.pi / 128)):
        total = total + cosine**order * hyperbolic(wide * cosine)
    return (total / 64).astype(x.dtype)


def _by_order(kernel: Op, name: str) -> Op:
    """The op of (x, order) whose derivative is itself of the next order."""
    op: Op = define(
        kernel,
        lambda g, _y, x, order: g * op(x, order=order + 1),
        name=name,
        kind=Kind.ELEMENTWISE,
        trusted=True,
    )
    return op


sinc_derivative = _by_order(_sinc_derivative, "sinc_derivative")
i0_derivative = _by_order(_i0_derivative, "i0_derivative")
sinc = row(np.sinc, lambda g, _y, x: g * sinc_derivative(x, order=1))
i0 = row(np.i0, lambda g, _y, x: g * i0_derivative(x, order=1))
