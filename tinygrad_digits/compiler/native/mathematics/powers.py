"""Powers and roots."""

from __future__ import annotations

from math import inf, nan

from ..terms import DOUBLE, Term
from . import exponentials, logarithms
from .exponentials import EXP2
from .formats import (
    Polynomial,
    add_exactly,
    add_smaller,
    clip,
    format_of,
    multiply_exactly,
    raise_two,
    round_to_integer,
    to_bits,
    to_number,
)
from .logarithms import LOG

POWER = Polynomial(  # (artanh(s) / s - 1 - z / 3) / z**2 in z = s**2 < 0.02944, within 2**-66
    (
        *(0.20000000000001125, 0.14285714285050463, 0.11111111259868023, 0.09090892189683587),
        *(0.07693378460580774, 0.06628412216854504, 0.06598143876583393),
    ),
    (),
)
CBRT = Polynomial(  # the cube root from 1 to 8 within 0.2 %
    (
        *(0.6272956274468884, 0.4491920779308507, -0.08377428648747122),
        *(0.009583680978550963, -0.00043209291763086075),
    ),
    (0.6272956, 0.44919208, -0.083774286, 0.009583681, -0.00043209292),
)


def power(x: Term, y: Term) -> Term:
    """x**y, with the limits of IEEE 754's pow."""
    size = abs(x)
    result = _raise(size.convert(DOUBLE), y.convert(DOUBLE), x).convert(x.scalar)
    vanishes = (size < 1.0) == (y > 0.0)
    limit = (size == 1.0).select(x.constant(1.0), vanishes.select(x.constant(0.0), inf))
    at_limit = (size == 0.0) | (size == inf) | (abs(y) == inf)
    result = at_limit.select(limit, result)
    whole, half = y.call("rint") == y, y * 0.5
    odd = whole & (half.call("rint") != half)
    result = odd.select(result.copysign(x), result)
    undefined = ((x < 0.0) & (x > -inf) & ~whole) | x.is_nan() | y.is_nan()
    result = undefined.select(x.constant(nan), result)
    return ((y == 0.0) | (x == 1.0)).select(x.constant(1.0), result)


def _raise(x: Term, y: Term, like: Term) -> Term:
    """x**y for finite positive numbers, in float64, with the digits that a type needs."""
    if str(like.scalar) == "float":
        return _raise_roughly(x, y)
    log, rest = log_exactly(x)
    product, missing = multiply_exactly(y, log)
    missing = missing + y * rest
    fits = abs(product) < 1000.0  # otherwise it may be inf, and what is missing NaN
    return exponentials.exp(product, fits.select(missing, 0.0))


def _raise_roughly(x: Term, y: Term) -> Term:
    """2**(y log2(x)) within 2**-30, x a float32's value."""
    bits = to_bits(x)
    k, f = logarithms.split(bits, x)
    s = f / (f + 2.0)
    z = s * s
    series = s.multiply_add(z * LOG.evaluate(z, LOG.single), s * 2.0)
    exponent = clip(y * series.multiply_add(format_of(x).log2_e[0], to_number(k, x)), -200.0, 200.0)
    n, k = round_to_integer(exponent)
    f = exponent - n
    return f.multiply_add(EXP2.evaluate(f, EXP2.single), 1.0) * raise_two(k, x)


def log_exactly(x: Term) -> tuple[Term, Term]:
    """log(x) as two numbers, within 2**-66: 2 s (1 + z (1/3 + z q(z))) with z = s**2."""
    form = format_of(x)
    k, f = logarithms.decompose(x)
    s, s_rest = _divide(f, *add_exactly(f, f.constant(2.0)))
    z, z_rest = multiply_exactly(s, s)
    z_rest = z_rest + s * s_rest * 2.0
    third, third_rest = add_smaller(s.constant(1 / 3), z * POWER(z))
    third_rest = third_rest + 2.0**-54 / 3
    b, b_rest = multiply_exactly(z, third)
    b_rest = b_rest + z.multiply_add(third_rest, z_rest * third)
    p, p_rest = multiply_exactly(s, b)
    p_rest = p_rest + s.multiply_add(b_rest, s_rest * b)
    series, rest = add_smaller(s, p)
    rest = rest + (s_rest + p_rest)
    total, lost = add_exactly(k * form.ln2[0], series * 2.0)
    return add_smaller(total, lost + k.multiply_add(form.ln2[1], rest * 2.0))


def _divide(a: Term, b: Term, b_rest: Term) -> tuple[Term, Term]:
    """a / (b + b_rest) as two numbers."""
    inverse = 1.0 / b
    quotient = a * inverse
    return quotient, (quotient.fma(-b, a) - quotient * b_rest) * inverse


def cbrt(x: Term) -> Term:
    """The cube root: a polynomial, a step of Halley's method, and an exact one of Newton's."""
    size = abs(x)
    m, k = _split_by_eights(size)
    y = CBRT(m)
    cube = y * y * y
    y = y * (cube + m * 2.0) / (cube * 2.0 + m)
    square, square_rest = multiply_exactly(y, y)
    cube, cube_rest = multiply_exactly(square, y)
    error = (m - cube) - square_rest.multiply_add(y, cube_rest)
    root = (y + error / (square * 3.0)) * raise_two(k, x)
    return ((size > 0.0) & (size < inf)).select(root.copysign(x), x)


def _split_by_eights(x: Term) -> tuple[Term, Term]:
    """m from 1 to 8, and k, with x = m 8**k."""
    form = format_of(x)
    subnormal = x < 2.0 ** (1 - form.bias)
    up = form.mantissa // 3 + 1
    bits = to_bits(subnormal.select(x * 8.0**up, x))
    exponent = (bits >> form.mantissa) - form.bias + 1200  # positive, and 1200 = 3 * 400
    third = (exponent * 43691) >> 17  # a quotient by 3, exact up to 2**15
    digits = bits & (2**form.mantissa - 1)
    m = (digits | ((exponent - third * 3 + form.bias) << form.mantissa)).bitcast(x.scalar)
    return m, third - 400 - subnormal.select(third.constant(up), 0)


def hypot(x: Term, y: Term) -> Term:
    """sqrt(x**2 + y**2)."""
    (_, _, length), k = find_length(x, y)
    return length * raise_two(-k, x)


def find_length(x: Term, y: Term) -> tuple[tuple[Term, Term, Term], Term]:
    """|x|, |y| and sqrt(x**2 + y**2) times 2**k, and k: even, so that no square is lost."""
    x, y = abs(x), abs(y)
    larger = x > y
    large, small = larger.select(x, y), larger.select(y, x)
    bias = format_of(x).bias
    up = to_bits(x).constant(5 * bias // 16 * 2)
    k = (large < 2.0 ** (4 - bias // 2)).select(up, 0)
    k = (large > 2.0 ** (bias // 2 - 4)).select(-up, k)
    large, small = large * raise_two(k, x), small * raise_two(k, x)
    length = large.fma(large, small * small).call("sqrt")
    length = ((x == inf) | (y == inf)).select(x.constant(inf), length)
    return (larger.select(large, small), larger.select(small, large), length), k
