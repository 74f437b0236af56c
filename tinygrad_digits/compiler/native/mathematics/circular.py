"""sin, cos and tan: x = k pi / 2 + r, and polynomials in r.

pi / 2 is taken off in three parts, the first without an error, as a product and a sum are rounded
once (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). That serves up
to `FAR`; beyond, x is multiplied by those bits of 2 / pi that tell the quadrant and the fraction
(M. Payne and R. Hanek, Radian reduction for trigonometric functions, 1983). Few numbers are so
large that this is a branch off (see lanes). Numbers are float64 inside; for
float32 the polynomials are shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi
from typing import TypeAlias

from llvmlite import ir

from ..terms import DOUBLE, INT64, Term
from .formats import (
    Polynomial,
    add_exactly,
    add_smaller,
    keep_tiny,
    multiply_exactly,
    round_to_integer,
)
from .lanes import Guarded

FAR = 2.0**42
HALF_PI = tuple(
    map(
        float.fromhex,
        ("0x1.921fb54442d18p+0", "0x1.1a62633145c07p-54", "-0x1.f1976b7ed8fbcp-110"),
    )
)
"""Three numbers whose sum is pi / 2 within 2**-163."""

SIN = Polynomial(  # (sin(r) - r) / r**3 in r**2 for r**2 < 0.62, within 2**-58 and 2**-37 of r
    (
        *(-0.16666666666666632, 0.008333333333322162, -0.00019841269829593073),
        *(2.7557313613392463e-06, -2.5050745245786262e-08, 1.5896019361605826e-10),
    ),
    (-0.16666666641125316, 0.008333329326006602, -0.00019839315188511578, 2.718121606501227e-06),
)
COS = Polynomial(  # (cos(r) - 1 + r**2 / 2) / r**4 in r**2 for the same, within 2**-64 and 2**-43
    (
        *(0.041666666666666595, -0.0013888888888873763, 2.4801587289245005e-05),
        *(-2.7557314280814226e-07, 2.087571317541154e-09, -1.1359106833586321e-11),
    ),
    (0.041666666621929443, -0.00138888836746842, 2.479949895262181e-05, -2.7208478000983364e-07),
)

TABLE_BITS = 1216  # of which 1026 + 190 are needed for the largest number
TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab",
    16,
)
"""The first TABLE_BITS bits of 2 / pi."""

Reduced: TypeAlias = tuple[Term, Term, Term]
"""k, r and the rest of r."""


def reduce(x: Term, short: bool) -> Reduced:
    """k and r, as two numbers (or one), with x = k pi / 2 + r; |x| < FAR."""
    n, k = round_to_integer(x * (2.0 / pi))
    first = n.fma(-HALF_PI[0], x)
    if short:
        return k, n.fma(-HALF_PI[1], first), n.constant(0.0)
    product, missing = multiply_exactly(n, n.constant(HALF_PI[1]))
    second, lost = add_exactly(first, -product)
    return k, *add_smaller(second, n.fma(-HALF_PI[2], lost - missing))


def reduce_far(x: Term) -> Reduced:
    """The same for |x| > 2**31, from 192 bits of x 2 / pi: 2 before the point, 190 after."""
    wide = ir.IntType(192)
    bits = x.bitcast(INT64)
    exponent = ((bits >> 52) & 0x7FF) - 1075
    table = Term(x.builder, ir.Constant(ir.IntType(TABLE_BITS), TWO_OVER_PI), unsigned=True)
    shift = (TABLE_BITS - 190 - exponent).maximum(0).convert(ir.IntType(TABLE_BITS), unsigned=True)
    window = (table >> shift).convert(wide)
    significand = (bits & (2**52 - 1)) | 2**52
    turns = significand.convert(wide) * window
    k = (turns + 2**189) >> 190  # modulo 4
    fraction = turns - (k << 190)
    high, low = _to_numbers(fraction, x)
    r, lost = multiply_exactly(high, x.constant(HALF_PI[0]))
    lost = lost + (high * HALF_PI[1] + low * HALF_PI[0])
    sign = x.constant(1.0).copysign(x)
    r, lost = add_smaller(r * sign, lost * sign)
    k = k.convert(INT64)
    return (x < 0.0).select(-k, k), r, lost


def _to_numbers(fraction: Term, x: Term) -> tuple[Term, Term]:
    """A signed integer as so many 190th halves, in two numbers, 52 bits at a time."""
    first = (fraction >> 138).convert(INT64).convert(x.type) * 2.0**-52
    second = ((fraction >> 86).convert(INT64) & (2**52 - 1)).convert(x.type) * 2.0**-104
    third = ((fraction >> 34).convert(INT64) & (2**52 - 1)).convert(x.type) * 2.0**-156
    high, low = add_smaller(first, second)
    return add_smaller(high, low + third)


def sum_series(x: Term, reduced: Reduced) -> tuple[Term, Term]:
    """sin and cos of r, with the digits that x's type needs."""
    _, r, rest = reduced
    z = r * r
    half = z * 0.5
    if str(x.scalar) == "float":
        sine = r.multiply_add(z * SIN.evaluate(z, SIN.single), r)
        return sine, (z * z).multiply_add(COS.evaluate(z, COS.single), 1.0 - half)
    sine = r + (r * z).multiply_add(SIN(z), rest * (1.0 - half))
    near_one, lost = add_smaller(z.constant(1.0), -half)
    return sine, near_one + (z * z).multiply_add(COS(z), lost - r * rest)


def _choose_sine(k: Term, sine: Term, cosine: Term) -> Term:
    """sin(k pi / 2 + r)."""
    value = ((k & 1) == 0).select(sine, cosine)
    return ((k & 2) == 0).select(value, -value)


def _choose_cosine(k: Term, sine: Term, cosine: Term) -> Term:
    """cos(k pi / 2 + r)."""
    return _choose_sine(k + 1, sine, cosine)


def _choose_tangent(k: Term, sine: Term, cosine: Term) -> Term:
    """tan(k pi / 2 + r)."""
    even = (k & 1) == 0
    return even.select(sine, -cosine) / even.select(cosine, sine)


def _is_far(x: Term) -> Term:
    return (abs(x) >= FAR) & (abs(x) < inf)


def _guard(choose: Callable[[Term, Term, Term], Term], odd: bool) -> Guarded:
    """A function of the quadrant and of sine and cosine in it; an odd one keeps tiny numbers."""

    def finish(x: Term, reduced: Reduced) -> Term:
        return choose(reduced[0], *sum_series(x, reduced)).convert(x.scalar)

    def compute(x: Term) -> Term:
        result = finish(x, reduce(x.convert(DOUBLE), short=str(x.scalar) == "float"))
        return keep_tiny(x, result) if odd else result

    return Guarded(compute, _is_far, lambda x: finish(x, reduce_far(x.convert(DOUBLE))))


CIRCULAR = {
    "sin": _guard(_choose_sine, odd=True),
    "cos": _guard(_choose_cosine, odd=False),
    "tan": _guard(_choose_tangent, odd=True),
}
