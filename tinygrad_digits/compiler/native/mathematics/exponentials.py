"""exp and its kin: x = k log(2) + r, and a polynomial in r; see Muller, Elementary Functions, 2016.

Coefficients here and in the files beside are minimax, found by Remez's algorithm with 50 digits.
"""

from __future__ import annotations

from ..terms import Term
from .formats import (
    Polynomial,
    add_exactly,
    add_smaller,
    choose,
    clip,
    format_of,
    keep_tiny,
    raise_two,
    round_to_integer,
    scale,
)

EXP = Polynomial(  # (exp(r) - 1 - r) / r**2 for |r| < 0.3467, within 2**-61 and 2**-32 of r
    (
        *(0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321591),
        *(0.001388888888886683, 0.00019841269886231247, 2.4801587360589547e-05),
        *(2.755724410086017e-06, 2.755724272157831e-07, 2.5109075629780965e-08),
        2.0924457087577375e-09,
    ),
    (
        *(0.5000000046494099, 0.1666666681853774, 0.04166635421132367, 0.008333272778325018),
        *(0.0013941046596513734, 0.00019914296998678062),
    ),
)
EXP2 = Polynomial(  # (2**f - 1) / f for |f| < 0.5, within 2**-64 and 2**-34 of 1 / f
    (
        *(0.6931471805599453, 0.24022650695910072, 0.0555041086648217, 0.009618129107628496),
        *(0.001333355814639048, 0.00015403530393341144, 1.5252733856192808e-05),
        *(1.3215486833036038e-06, 1.0178051229140692e-07, 7.054888254475183e-09),
        *(4.456670485119406e-10, 2.574180775880413e-11),
    ),
    (
        *(0.6931471805412367, 0.24022651074972265, 0.05550410864213918, 0.009618036999497936),
        *(0.0013333429309209928, 0.00015467090269851756, 1.5315301979972585e-05),
    ),
)
SINH = Polynomial(  # (sinh(x) - x) / x**3 in x**2 for |x| < 1, within 2**-63 and 2**-34 of x
    (
        *(0.16666666666666669, 0.008333333333333139, 0.000198412698414375),
        *(2.755731915538715e-06, 2.5052123391710034e-08, 1.6057240792429402e-10),
        7.759300718134269e-13,
    ),
    (0.1666666648881718, 0.008333350594894647, 0.00019836066428489837, 2.8174400789101147e-06),
)
TANH = Polynomial(  # (tanh(x) - x) / x**3 in x**2 < 0.3026, within 2**-60 and 2**-35 of x
    (
        *(-0.333333333333333, 0.13333333333326813, -0.053968253963866876, 0.02186948838875199),
        *(-0.00886323264680539, 0.0035920924699553085, -0.0014555455678271338),
        *(0.0005884552834673373, -0.0002334081039903799, 8.335325480901579e-05),
        -1.9516707431995597e-05,
    ),
    (
        *(-0.33333332742038807, 0.13333294627382, -0.05395978918399205, 0.021783730918414124),
        *(-0.008416635998129668, 0.002398773271417457),
    ),
)


def reduce(x: Term) -> tuple[Term, Term, Term]:
    """k, r and what rounding r has lost, with x = k log(2) + r."""
    form = format_of(x)
    n, k = round_to_integer(x * form.log2_e[0])
    high = n.multiply_add(-form.ln2[0], x)  # exact
    low = n * form.ln2[1]
    r = high - low
    return k, r, (high - r) - low


def split_exp(x: Term, rest: Term | None = None) -> tuple[Term, Term, Term]:
    """r, t and k with exp(x + rest) = 2**k (1 + r + t); the rest is tiny, and t smaller than r."""
    k, r, lost = reduce(clip(x, choose(x, -1400.0, -160.0), choose(x, 711.0, 90.0)))
    tail = (r * r).multiply_add(EXP(r), lost)
    if rest is not None:
        tail = rest.multiply_add(r + tail + 1.0, tail)
    return r, tail, k


def exp(x: Term, rest: Term | None = None, doublings: int = 0) -> Term:
    """e**(x + rest), so many times doubled."""
    r, tail, k = split_exp(x, rest)
    return scale(r + tail + 1.0, k + doublings if doublings else k)


def exp2(x: Term) -> Term:
    """2**x."""
    x = clip(x, choose(x, -1080.0, -160.0), choose(x, 1030.0, 130.0))
    n, k = round_to_integer(x)
    f = x - n
    return scale(f.multiply_add(EXP2(f), 1.0), k)


def expm1(x: Term) -> Term:
    """e**x - 1."""
    high, low, k = split_expm1(x)
    return keep_tiny(x, scale(high + low, k))


def split_expm1(x: Term) -> tuple[Term, Term, Term]:
    """e**x - 1 as 2**k (high + low): exp(r) - 1 and 1 - 2**-k, added without an error."""
    k, r, lost = reduce(clip(x, -50.0, choose(x, 711.0, 90.0)))
    few = format_of(x).mantissa + 10  # 2**-k matters no more
    high, low = add_exactly(1.0 - raise_two(-(k > few).select(few, k), x), r)
    return *add_smaller(high, low + (r * r).multiply_add(EXP(r), lost)), k


def sinh(x: Term) -> Term:
    """(e**x - e**-x) / 2."""
    half = exp(abs(x), doublings=-1)  # which may be finite where e**|x| is not
    square = x * x
    near = x.multiply_add(square * SINH(square), x)
    return (abs(x) < 1.0).select(near, (half - 0.25 / half).copysign(x))


def cosh(x: Term) -> Term:
    """(e**x + e**-x) / 2."""
    half = exp(abs(x), doublings=-1)  # which may be finite where e**|x| is not
    return half + 0.25 / half


def tanh(x: Term) -> Term:
    """1 - 2 / (exp(2 |x|) + 1) with x's sign, and a polynomial near 0."""
    square = x * x
    near = x.multiply_add(square * TANH(square), x)
    far = 1.0 - 2.0 / (exp(abs(x) * 2.0) + 1.0)
    return (abs(x) < 0.55).select(near, far).copysign(x)


def sigmoid(x: Term) -> Term:
    """1 / (1 + e**-x), from exp(-|x|) so that small values keep their digits."""
    r, tail, k = split_exp(-abs(x))
    high, low = add_smaller(r.constant(1.0), r)
    high, low = add_smaller(high, low + tail)
    power, negative = raise_two((k < -100).select(-100, k), x), x < 0.0
    total, lost = add_smaller(x.constant(1.0), high * power)
    above, rest = negative.select(high, 1.0), negative.select(low, 0.0)
    inverse = 1.0 / total
    quotient = above * inverse
    rest = quotient.fma(-total, above) + (rest - quotient * low.multiply_add(power, lost))
    return scale(rest.multiply_add(inverse, quotient), negative.select(k, 0))
