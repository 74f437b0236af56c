"""Functions of complex numbers, from those of their parts.

Their errors are a few units of the last place of the result's length, whose smaller part may have
fewer right digits. Zeros, infinities and NaNs are those of C's functions of the name (ISO/IEC 9899,
annex G), as NumPy's; the branch cuts too, whose sides the signs of zeros tell.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp as exp_of
from math import inf, nan
from math import log as log_of
from typing import Any

from llvmlite import ir

from ..complex_terms import ComplexTerm, select
from ..terms import Term
from . import formats, logarithms
from .powers import find_length

LONGEST_POWER = 100
"""Below it a whole exponent is a product, in NumPy as well."""


def _is_wild(x: Term) -> Term:
    """Whether it is infinite or NaN: where sines have no value."""
    return ~(abs(x) < inf)


def _find_wave(y: Term) -> ComplexTerm:
    """e**(iy)."""
    return ComplexTerm(y.compute("cos"), y.compute("sin"))


def _find_top(x: Term) -> float:
    """A number whose exponential is no infinity yet."""
    return formats.choose(x, 709.0, 88.0)


# --- exponentials


def exp(z: ComplexTerm) -> ComplexTerm:
    """e**x e**(iy), whose parts may be finite where e**x is not."""
    x, y, top = z.real, z.imag, _find_top(z.real)
    far, wild, wave = x > top, _is_wild(y), _find_wave(y)
    size = far.select(x - top, x).compute("exp")
    w = wave.scale(size).scale(far.select(x.constant(exp_of(top)), 1.0))
    real = (wild & (abs(x) == inf)).select(size, w.real)
    imag = (wild & (x == -inf)).select(size.copysign(y), w.imag)
    return ComplexTerm(real, (y == 0.0).select(y, imag))


def expm1(z: ComplexTerm) -> ComplexTerm:
    """e**z - 1, by (e**x - 1) cos(y) - 2 sin(y / 2)**2."""
    wave, half = _find_wave(z.imag), (z.imag * 0.5).compute("sin")
    real = z.real.compute("expm1") * wave.real - half * half * 2.0
    return ComplexTerm(real, z.real.compute("exp") * wave.imag)


def _find_hyperbolas(x: Term) -> tuple[Term, Term]:
    """sinh(x) and cosh(x), from one exponential."""
    sinh = x.compute("sinh")
    far = abs(x) > formats.choose(x, 22.0, 10.0)  # where the two round to the same
    near = far.select(0.0, sinh)
    return sinh, far.select(abs(sinh), near.multiply_add(near, 1.0).call("sqrt"))


def _find_far_hyperbolas(x: Term) -> tuple[Term, Term, Term]:
    """The two over a factor, which keeps them finite."""
    top = _find_top(x)
    far = abs(x) > top
    sinh, cosh = _find_hyperbolas(far.select(abs(x) - top, abs(x)))
    half = (sinh + cosh) * 0.5
    factor = far.select(x.constant(exp_of(top)), 1.0)
    return far.select(half, sinh).copysign(x), far.select(half, cosh), factor


def sinh(z: ComplexTerm) -> ComplexTerm:
    """Of z = x + iy: sinh x cos y + i cosh x sin y."""
    x, y, wave = z.real, z.imag, _find_wave(z.imag)
    across, along, factor = _find_far_hyperbolas(x)
    limit = (x == 0.0).select(x, inf)
    end = _is_wild(y) & ((x == 0.0) | (abs(x) == inf))
    real = end.select(limit, across * wave.real * factor)
    return ComplexTerm(real, (y == 0.0).select(y, along * wave.imag * factor))


def cosh(z: ComplexTerm) -> ComplexTerm:
    """Of z = x + iy: cosh x cos y + i sinh x sin y."""
    x, y, wave = z.real, z.imag, _find_wave(z.imag)
    across, along, factor = _find_far_hyperbolas(x)
    real = (_is_wild(y) & (abs(x) == inf)).select(abs(x), along * wave.real * factor)
    imag = (_is_wild(y) & (x == 0.0)).select(0.0, across * wave.imag * factor)
    zero = x.is_nan().select(y, y.copysign(x) * x.constant(1.0).copysign(y))
    return ComplexTerm(real, (y == 0.0).select(zero, imag))


def tanh(z: ComplexTerm) -> ComplexTerm:
    """Of z = x + iy: (sinh x cosh x + i sin y cos y) / (sinh**2 x + cos**2 y)."""
    x, y, wave = z.real, z.imag, _find_wave(z.imag)
    across, along = _find_hyperbolas(x)
    below = across.multiply_add(across, wave.real * wave.real)
    one, wild = x.constant(1.0).copysign(x), _is_wild(y)
    far = (abs(x) > formats.choose(x, 22.0, 10.0)) & (~wild | (abs(x) == inf))
    real = (x == 0.0).select(x, far.select(one, across * along / below))
    imag = (wild & far).select(y.constant(0.0).copysign(y), wave.imag * wave.real / below)
    return ComplexTerm(real, (y == 0.0).select(y, imag))


def _turn(z: ComplexTerm) -> ComplexTerm:
    return ComplexTerm(-z.imag, z.real)


def _turn_back(z: ComplexTerm) -> ComplexTerm:
    return ComplexTerm(z.imag, -z.real)


def sin(z: ComplexTerm) -> ComplexTerm:
    """i sinh(-iz)."""
    return _turn(sinh(_turn_back(z)))


def cos(z: ComplexTerm) -> ComplexTerm:
    """cosh(iz)."""
    return cosh(_turn(z))


def tan(z: ComplexTerm) -> ComplexTerm:
    """-i tanh(iz)."""
    return _turn_back(tanh(_turn(z)))


# --- logarithms and powers


def angle(z: ComplexTerm) -> Term:
    """The angle from the real axis."""
    return z.imag.compute("arctan2", z.real)


def log(z: ComplexTerm) -> ComplexTerm:
    """With z = 2**k (1 + f + ig): k ln 2 + log1p(f (f + 2) + gg) / 2, and the angle."""
    x, y = abs(z.real), abs(z.imag)
    larger = x > y
    large, small = larger.select(x, y), larger.select(y, x)
    k, f = logarithms.decompose(large)
    g = formats.scale(small, -formats.round_to_integer(k)[1])
    near = f.multiply_add(f + 2.0, g * g).compute("log1p") * 0.5
    high, low = formats.format_of(x).ln2
    size = k * high + k.multiply_add(low, near)
    size = (large == 0.0).select(x.constant(-inf), size)
    size = (x.is_nan() | y.is_nan()).select(x + y, size)
    return ComplexTerm(((x == inf) | (y == inf)).select(x.constant(inf), size), angle(z))


def log1p(z: ComplexTerm) -> ComplexTerm:
    """The logarithm of 1 + z, whose real part is the log1p of x (x + 2) + yy, halved."""
    w = log(ComplexTerm(z.real + 1.0, z.imag))
    size = z.real.multiply_add(z.real + 2.0, z.imag * z.imag).compute("log1p") * 0.5
    return ComplexTerm((abs(z) < 0.5).select(size, w.real), w.imag)


def sqrt(z: ComplexTerm) -> ComplexTerm:
    """By t + i y / 2t, where 2tt = |z| + |x|; for negative x the parts change places."""
    (x, y, length), k = find_length(z.real, z.imag)
    t = ((length + x) * 0.5).call("sqrt")
    other = (t == 0.0).select(0.0, y / (t + t))
    left, back = z.real < 0.0, formats.raise_two(-(k >> 1), x)
    real, imag = left.select(other, t) * back, left.select(t, other) * back
    real = (y == inf).select(y, real)
    return ComplexTerm(real, (y == inf).select(y, imag).copysign(z.imag))


def power(a: ComplexTerm, b: ComplexTerm) -> ComplexTerm:
    """a**b: a product if b is a whole number that is known, and otherwise e**(b log(a))."""
    real, imag = b.real.value, b.imag.value
    if isinstance(real, ir.Constant) and isinstance(imag, ir.Constant) and imag.constant == 0:
        n = real.constant
        if abs(n) < LONGEST_POWER and n == int(n):
            return _raise(a, int(n))
    one, zero = a.real.constant(1.0), a.real.constant(0.0)
    at_zero = (b.real > 0.0).select(zero, nan)
    result = select(a == 0, ComplexTerm(at_zero, at_zero), exp(b * log(a)))
    return select(b == 0, ComplexTerm(one, zero), result)


def _raise(a: ComplexTerm, n: int) -> ComplexTerm:
    """a**n by squaring, the factors in NumPy's order."""
    one = ComplexTerm(a.real.constant(1.0), a.real.constant(0.0))
    if n == 0:
        return one
    result, square, left = one, a, abs(n)
    while left:
        if left & 1:
            result = square if result is one else result * square
        left >>= 1
        square = square * square if left else square
    at_zero = a.real.constant(0.0 if n > 0 else nan)
    return select(a == 0, ComplexTerm(at_zero, at_zero), one / result if n < 0 else result)


# --- directions


def direction(z: ComplexTerm) -> ComplexTerm:
    """z / |z|, 0 at 0; of a number with one infinite part the direction of that."""
    size = abs(z)
    zero, one, parts = z.real.constant(0.0), z.real.constant(1.0), (z.real, z.imag)
    w = ComplexTerm(*[(size == 0.0).select(zero, part / size) for part in parts])
    flat, steep = (abs(part) == inf for part in parts)
    w = select(flat & ~steep, ComplexTerm(one.copysign(z.real), zero), w)
    return select(steep & ~flat, ComplexTerm(zero, one.copysign(z.imag)), w)


FORMULAS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (exp, expm1, sinh, cosh, tanh, sin, cos, tan)},
    **{f.__name__: f for f in (log, log1p, sqrt, power, angle, direction)},
    "log2": lambda z: log(z).scale(1 / log_of(2)),
    "log10": lambda z: log(z).scale(1 / log_of(10)),
}
"""The formulas by the names of NumPy's ufuncs; angle and direction by our own."""
