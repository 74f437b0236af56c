"""The error function: a series near 0, and exp(-x**2) times a smooth function beyond."""

from __future__ import annotations

from ..terms import Term
from .exponentials import split_exp
from .formats import Polynomial, add_exactly, clip, multiply_exactly, scale

ERF = Polynomial(  # erf(x) / x - 1 in x**2 < 1, within 2**-62 and 2**-34
    (
        *(0.1283791670955126, -0.3761263890318375, 0.11283791670954858, -0.02686617064507296),
        *(0.00522397762478137, -0.0008548326978765149, 0.00012055331037551108),
        *(-1.4925593518728226e-05, 1.6460972954153765e-06, -1.635002619207727e-07),
        *(1.4657883530919653e-08, -1.136567067182716e-09, 5.945255584223488e-11),
    ),
    (
        *(0.12837916705811, -0.37612638435247936, 0.11283781980767998, -0.026865400315652405),
        *(0.005220945939521413, -0.0008482833103632552, 0.00011256960228019762),
        -9.641507314887568e-06,
    ),
)
ERFCX = Polynomial(  # exp(x**2) erfc(x) (x + 3) in a t for 0.35 < x < 28, 11; 2**-59, 2**-31
    (
        *(1.067236634220986, 0.6983902403923552, 0.3720143594619697, 0.15634542227433101),
        *(0.04823183719207733, 0.008739181006087728, -0.00027260688600754787),
        *(-0.0006222214664455424, -9.397721097531812e-05, 3.551915315774935e-05),
        *(1.1634866749424492e-05, -2.428411763651538e-06, -1.2092882156054133e-06),
        *(2.394245428420419e-07, 1.238578347839818e-07, -3.2507563836012895e-08),
        *(-1.2073818502533942e-08, 4.9222798168232556e-09, 9.782216598286858e-10),
        *(-6.616055319975142e-10, -4.863075321027011e-11, 5.4614683018642074e-11),
        4.419480005994379e-13,
    ),
    (
        *(1.1785565191544713, 0.6982002986482659, 0.32555582065944055, 0.11576009382049235),
        *(0.028836725066697183, 0.0037003621313607474, -0.0003692277107751412),
        *(-0.0002285825929500271, -1.0505266348554315e-05, 1.0019964935996239e-05),
        1.1863769625490724e-06,
    ),
)
MIDDLE = (0.1653827636013481, 7.511754068716094), (0.1849680170575693, 8.807511737089202)
"""c and h of t = (1 / (x + 3) - c) h, which goes from -1 to 1, for the two types."""


def _decay(x: Term) -> tuple[Term, Term]:
    """erfc(x) for x from 0.35, as a number of middling size and an exponent."""
    x = clip(x, 0.35, 30.0)
    square, missing = multiply_exactly(x, x)
    decay, k = split_exp(-square, -missing)
    total, lost = add_exactly(x, x.constant(3.0))
    u = 1.0 / total
    rest = u.fma(-total, 1.0) - u * lost
    centre, stretch = MIDDLE[str(x.scalar) == "float"]
    product, error = multiply_exactly(decay, ERFCX((u - centre) * stretch))
    return product.multiply_add(u, product.multiply_add(rest, error) * u), k


def _rise(x: Term) -> Term:
    """erf(x) for |x| < 1."""
    return x.multiply_add(ERF(x * x), x)


def erf(x: Term) -> Term:
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    far = (1.0 - scale(*_decay(abs(x)))).copysign(x)
    return (abs(x) > 1.0).select(far, _rise(x))


def erfc(x: Term) -> Term:
    """1 - erf(x), with all digits where that is small."""
    beyond = scale(*_decay(abs(x)))
    far = (x > 0.0).select(beyond, 2.0 - beyond)
    return (abs(x) > 0.35).select(far, 1.0 - _rise(x))
