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
ERFCX = Polynomial(  # (exp(x**2) erfc(x) (x + 3) - b) / t, 0.75 < x < 28, 11; in 2**-60, 2**-30
    (
        *(0.540220498180486, 0.24620701781211285, 0.09082904695042986),
        *(0.025459921711938668, 0.004550880194687186, 9.396930830619116e-05),
        *(-0.0002065775342050603, -4.3564060028568737e-05, 6.210083068178845e-06),
        *(3.671934412417073e-06, -1.208806794917452e-07, -2.909927483585159e-07),
        *(-5.789216338630165e-10, 2.5038047227181573e-08, -2.191811533988393e-10),
        *(-2.3317230388858743e-09, 1.3305954720410695e-10, 2.119608805548932e-10),
        *(-2.5818103905515177e-11, -1.3568461015629634e-11, 2.3086863880259526e-12),
    ),
    (
        *(0.5271115489410387, 0.20686208009540724, 0.0636563853168706),
        *(0.014259140897736087, 0.001835442879730416, -6.202801004738043e-05),
        *(-7.239040938204105e-05, -5.967133650076619e-06, 2.0034561247930457e-06),
    ),
)
MIDDLE = (
    (0.1494598388671875, 8.5625, 0.9887670959833323),
    (0.1690521240234375, 10.25, 1.0867725328754145),
)
"""c, h and b for t = (1 / (x + 3) - c) h, which goes from -1 to 1, for the two types."""


def _decay(x: Term) -> tuple[Term, Term]:
    """erfc(x) for x from 0.75, as a number of middling size and an exponent."""
    x = clip(x, 0.75, 30.0)
    square, missing = multiply_exactly(x, x)
    r, tail, k = split_exp(-square, -missing)
    total, lost = add_exactly(x, x.constant(3.0))
    u = 1.0 / total
    rest = u.fma(-total, 1.0) - u * lost
    centre, stretch, start = MIDDLE[str(x.scalar) == "float"]
    t = (u - centre + u * rest) * stretch
    slope = ERFCX(t)
    smooth = t.fma(slope, start)
    smooth_rest = t.fma(slope, start - smooth)
    product = r.fma(smooth, smooth)
    error = r.fma(smooth, smooth - product) + tail.multiply_add(smooth, smooth_rest)
    return product.multiply_add(u, product.multiply_add(rest, error) * u), k


def erf(x: Term) -> Term:
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    far = (1.0 - scale(*_decay(abs(x)))).copysign(x)
    return (abs(x) > 1.0).select(far, x.multiply_add(ERF(x * x), x))


def erfc(x: Term) -> Term:
    """1 - erf(x), with all digits where that is small."""
    beyond = scale(*_decay(abs(x)))
    far = (x > 0.0).select(beyond, 2.0 - beyond)
    return (abs(x) > 0.75).select(far, (1.0 - x) - x * ERF(x * x))
