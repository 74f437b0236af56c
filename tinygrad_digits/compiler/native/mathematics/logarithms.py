"""log and its kin: x = 2**k (1 + f), and a series in s = f / (2 + f).

log(1 + f) = f - f**2 / 2 + s (f**2 / 2 + R(s**2)), whose leading terms are exact or nearly so
(K. C. Ng's way, in Sun's fdlibm).
"""

from __future__ import annotations

from math import inf, nan, sqrt
from math import log as log_of

from ..terms import Term
from .exponentials import exp, exp2
from .formats import (
    Polynomial,
    add_exactly,
    add_smaller,
    choose,
    format_of,
    keep_tiny,
    multiply_exactly,
    to_bits,
    to_number,
)

LOG = Polynomial(  # (2 artanh(s) - 2 s) / s**3 in s**2 < 0.02944, within 2**-59 and 2**-37 of 2 s
    (
        *(0.6666666666666734, 0.399999999994154, 0.28571428742250343, 0.22222198584365427),
        *(0.18183563905159733, 0.1531405729911445, 0.1479592019357501),
    ),
    (0.6666666564557415, 0.40000335208460697, 0.2853730466853895, 0.23582264660879693),
)


def decompose(x: Term) -> tuple[Term, Term]:
    """k and f, between sqrt(1/2) - 1 and sqrt(2) - 1, with x = 2**k (1 + f); x is positive."""
    form = format_of(x)
    subnormal = x < 2.0 ** (1 - form.bias)
    k, f = split(to_bits(subnormal.select(x * 2.0**form.mantissa, x)), x)
    return to_number(k, x) + subnormal.select(x.constant(-form.mantissa), 0.0), f


def split(bits: Term, x: Term) -> tuple[Term, Term]:
    """k as an integer, and f, of a normal number given by its bits."""
    k = (bits - to_bits(x.constant(sqrt(0.5)))) >> format_of(x).mantissa
    return k, (bits - (k << format_of(x).mantissa)).bitcast(x.scalar) - 1.0


def sum_series(f: Term) -> tuple[Term, Term]:
    """f**2 / 2 and the rest, with log(1 + f) = f - f**2 / 2 + rest."""
    half_square = f * f * 0.5
    s = f / (f + 2.0)
    z = s * s
    return half_square, s * z.multiply_add(LOG(z), half_square)


def log(x: Term) -> Term:
    """The natural logarithm."""
    k, f = decompose(x)
    return _limit(x, _assemble(k, f, k * format_of(x).ln2[1]))


def _assemble(k: Term, f: Term, small: Term) -> Term:
    """k log(2) + log(1 + f), from the largest term to the smallest from outside to inside."""
    half_square, rest = sum_series(f)
    return k * format_of(k).ln2[0] - ((half_square - (rest + small)) - f)


def _limit(x: Term, result: Term) -> Term:
    """-inf at 0, NaN below, inf at inf."""
    result = (x < inf).select(result, x)
    return (x > 0.0).select(result, (x == 0.0).select(x.constant(-inf), x * nan))


def log1p(x: Term) -> Term:
    """log(1 + x): that of the sum as it is rounded, and what is lost to first order."""
    u, lost = add_exactly(x.constant(1.0), x)
    k, f = decompose(u)
    result = _assemble(k, f, k.multiply_add(format_of(x).ln2[1], lost / u))
    return keep_tiny(x, _limit(u, result))


def log2(x: Term) -> Term:
    """The logarithm to base 2."""
    k, f = decompose(x)
    return _limit(x, _change_base(k, k * 0.0, f, format_of(x).log2_e))


def log10(x: Term) -> Term:
    """The logarithm to base 10."""
    k, f = decompose(x)
    high, low = format_of(x).log10_2
    return _limit(x, _change_base(k * high, k * low, f, format_of(x).log10_e))


def _change_base(high: Term, low: Term, f: Term, factor: tuple[float, float]) -> Term:
    """high + low + factor log(1 + f), with log(1 + f) and the product as two numbers each."""
    half_square, rest = sum_series(f)
    main, lost = add_smaller(f, -half_square)
    lost = lost + rest
    product, missing = multiply_exactly(main, f.constant(factor[0]))
    missing = missing + lost.multiply_add(factor[0], main * factor[1])
    total, error = add_exactly(high, product)
    return total + (error + missing + low)


def arcsinh(x: Term) -> Term:
    """log(|x| + sqrt(x**2 + 1)) with x's sign."""
    a = abs(x)
    square = a * a
    near = a + square / (1.0 + (square + 1.0).call("sqrt"))
    return _log1p_far(a, near).copysign(x)


def arccosh(x: Term) -> Term:
    """log(x + sqrt(x**2 - 1))."""
    t = x - 1.0
    near = t + t.fma(t, 2.0 * t).call("sqrt")
    return (x < 1.0).select(x * nan, _log1p_far(x, near))


def _log1p_far(x: Term, near: Term) -> Term:
    """log1p(near), but log(2 x) where x**2 may overflow."""
    far = x > choose(x, 2.0**60, 2.0**30)
    return log1p(far.select(x, near)) + far.select(x.constant(log_of(2.0)), 0.0)


def arctanh(x: Term) -> Term:
    """log((1 + x) / (1 - x)) / 2."""
    a = abs(x)
    double = a + a
    half = log1p(double + double * a / (1.0 - a)) * 0.5
    return (a > 1.0).select(nan, half).copysign(x)  # far outside, the sum cancels to 0


def softplus(x: Term) -> Term:
    """log(1 + e**x)."""
    return x.maximum(0.0) + log1p(exp(-abs(x)))


def logaddexp(x: Term, y: Term) -> Term:
    """log(e**x + e**y), within 2 units of the larger of x, y and the result."""
    apart = (x == y).select(x.constant(0.0), -abs(x - y))  # infinities too
    return x.maximum(y) + log1p(exp(apart))


def logaddexp2(x: Term, y: Term) -> Term:
    """log2(2**x + 2**y), likewise."""
    apart = (x == y).select(x.constant(0.0), -abs(x - y))
    return x.maximum(y) + log1p(exp2(apart)) * format_of(x).log2_e[0]
