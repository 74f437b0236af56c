"""The special functions, activations, softmax and its kin, and the norm."""

import math

import numpy as np

import tinygrad_digits as td
from tests.oracles import Oracle, mp, pairs, spread, zero

ROOT_PI, ROOT_2PI = mp.sqrt(mp.pi), mp.sqrt(2 * mp.pi)


def within(x):
    """x, no further from 0 than where exp(-x**2) is 0 in all dtypes."""
    return max(-2000, min(x, 2000))


# --- logistic functions


def expit(x):
    return 1 / (1 + mp.exp(-within(x)))


def logistic(x):
    return expit(x) * expit(-x)


def logistic_1(x):
    return -logistic(x) * mp.tanh(within(x) / 2)


def softplus(x):
    return mp.log1p(mp.exp(-abs(within(x)))) + max(x, 0)


def relu(x):
    return max(x, mp.mpf(0))


def silu(x):
    return x * expit(x) if abs(x) < 2000 else relu(x)


def silu_1(x):
    return expit(x) * (1 + within(x) * expit(-x))


def silu_2(x):
    return logistic(x) * (2 - within(x) * mp.tanh(within(x) / 2))


def mish_gate(x):
    return mp.tanh(softplus(x))


def mish_gate_1(x):
    e = mp.exp(within(x))
    return 4 * e * (1 + e) / (e * e + 2 * e + 2) ** 2


def mish_gate_2(x):
    """By the quotient rule of the one before."""
    e = mp.exp(within(x))
    d = e * e + 2 * e + 2
    return 4 * e * ((1 + 2 * e) * d - 4 * e * (1 + e) ** 2) / d**3


def elu(x):
    return x if x > 0 else mp.expm1(within(x))


def elu_2(x):
    if not x:
        raise ValueError("the second derivative jumps from 1 to 0")
    return mp.exp(within(x)) if x < 0 else mp.mpf(0)


# --- the normal distribution


def gaussian(x):
    return mp.exp(-(within(x) ** 2))


def density(x):
    return mp.exp(-(within(x) ** 2) / 2) / ROOT_2PI


def ndtr(x):
    return mp.erfc(-within(x) / mp.sqrt(2)) / 2


def log_ndtr(x):
    if x > -1000:
        return mp.log(ndtr(x)) if x < 0 else mp.log1p(-ndtr(-x))
    return -x * x / 2 - mp.log(-x * ROOT_2PI) + mp.log(_tail(x))


def _tail(x, start=0):
    """DLMF 7.12.1: the factor by which ndtr differs from density / -x, far to the left."""
    total, term = mp.mpf(0), mp.mpf(1)
    for k in range(30):
        total += term if k >= start else 0
        term *= -(2 * k + 1) / (x * x)
    return total


def mills(x):
    return density(x) / ndtr(x) if x > -1000 else -x / _tail(x)


def curvature(x):
    """mills(x) (x + mills(x)), which is 1 less 1/x**2 far to the left."""
    if x > -1000:
        return mills(x) * (x + mills(x))
    return -_tail(x, 1) * x * x / _tail(x) ** 2


def erfinv_slope(x):
    return ROOT_PI / 2 * mp.exp(mp.erfinv(x) ** 2)


# --- gamma and Bessel functions


def psi(n):
    return lambda x: mp.psi(n, x)


def rise(n, a, b):
    """psi(a + b) - psi(a); by the slope where b would not change a number of 120 digits."""
    if b < a * mp.mpf(10) ** -50:
        return b * mp.psi(n + 1, a)
    return mp.psi(n, a + b) - mp.psi(n, a)


def besseli(n):
    return lambda x: mp.besseli(n, x)


def besseli_1(n):
    return lambda x: (mp.besseli(n - 1, x) + mp.besseli(n + 1, x)) / 2


# --- sums of two


def share(a, b):
    """What a has in log(exp(a) + exp(b))."""
    return expit(a - b)


def spreading(a, b):
    return logistic(a - b)


def logsumexp(a, b):
    """td.special.logsumexp of two numbers."""
    return td.special.logsumexp(np.stack(np.broadcast_arrays(a, b)), axis=0)


def softmax(a, b):
    """Of two numbers, what the first gets."""
    return td.nn.softmax(np.stack(np.broadcast_arrays(a, b)), axis=0)[0]


def log_softmax(a, b):
    return td.nn.log_softmax(np.stack(np.broadcast_arrays(a, b)), axis=0)[0]


def norm(a, b):
    """numpy.linalg.norm of two numbers."""
    return np.linalg.norm(np.stack(np.broadcast_arrays(a, b)), axis=0)


def length(a, b):
    return mp.sqrt(a * a + b * b)


@np.errstate(over="ignore")
def overflow(a, b):
    return np.isinf(a + b)


@np.errstate(over="ignore")
def almost_alike(a, b):
    """Where softmax'' passes 0, and is right to an ulp of what it is elsewhere."""
    return (a != b) & (np.abs(a - b) < 0.01)


WIDE = spread(sizes=24)
AT_0 = ((0.0, 0.0), (0.0, 3.0), (-2.0, 0.0))
SUMS = pairs(
    unless=almost_alike,
    more=[(1e7, 1e7), (1000.0, 1000.5), (40.0, 0.0), (0.0, 40.0), (0.5, -0.25), (-300.0, 3.0)],
)


def sizes_of_squares(dtype):
    """Numbers whose squares neither over- nor underflow, as those of numpy.linalg.norm do."""
    a, b = pairs(more=[(3.0, 4.0), (1.0, 1e-5), (1e-6, -2.0)])(dtype)
    info = np.finfo(dtype)
    low, high = float(info.smallest_normal) ** 0.45, float(info.max) ** 0.45
    fit = [(np.abs(x) > low) & (np.abs(x) < high) for x in (a, b)]
    return a[fit[0] & fit[1]], b[fit[0] & fit[1]]


def rows(*names):
    return names


TAILS = (
    "none: far apart the difference of the arguments, to be exponentiated, is rounded as they are"
)
LOGISTIC = [
    Oracle(td.nn.sigmoid, expit, [logistic], [logistic_1], WIDE, rows=rows("sigmoid", "logistic")),
    Oracle(td.nn.softplus, softplus, [expit], [logistic], WIDE),
    Oracle(
        td.special.logit,
        lambda p: mp.log(p) - mp.log1p(-p),
        [lambda p: 1 / (p * (1 - p))],
        [lambda p: (2 * p - 1) / (p * (1 - p)) ** 2],
        spread(0, 1, near=(0.5, 1), sizes=24, zero=False),
        conditioned={2: "0.5"},
    ),
    Oracle(
        td.special.entr,
        lambda x: -x * mp.log(x),
        [lambda x: -1 - mp.log(x)],
        [lambda x: -1 / x],
        spread(0, near=(math.exp(-1),), zero=False),
        conditioned={1: "1/e"},
    ),
    Oracle(
        td.special.xlogy,
        lambda x, y: x * mp.log(y),
        [lambda _x, y: mp.log(y), lambda x, y: x / y],
        [zero, lambda _x, y: 1 / y, lambda x, y: -x / y**2],
        pairs(b_low=0, more=[(0.0, 2.0), (2.0, 1.0)]),
        rows=rows("xlogy", "quotient"),
    ),
    Oracle(
        td.nn.silu,
        silu,
        [silu_1],
        [silu_2],
        WIDE,
        conditioned={1: "-1.278", 2: "±2.4"},
        rows=rows("gate"),
    ),
    Oracle(
        td.nn.mish,
        lambda x: x * mish_gate(x),
        [lambda x: mish_gate(x) + within(x) * mish_gate_1(x)],
        [lambda x: 2 * mish_gate_1(x) + within(x) * mish_gate_2(x)],
        WIDE,
        conditioned={1: "-1.193", 2: "-2.3 and 1.5"},
        floor={1: (32, "at -1.193 two terms of opposite sign meet, of which tanh makes one")},
    ),
    Oracle(
        td.nn.elu,
        elu,
        [lambda x: mp.mpf(1) if x > 0 else mp.exp(within(x))],
        [elu_2],
        spread(zero=False, sizes=24),
    ),
]
NORMAL = [
    Oracle(
        td.special.erf,
        mp.erf,
        [lambda x: 2 / ROOT_PI * gaussian(x)],
        [lambda x: -4 / ROOT_PI * x * gaussian(x)],
        WIDE,
        rows=rows("erf", "gaussian"),
    ),
    Oracle(
        td.special.erfc,
        lambda x: mp.erfc(within(x)),
        [lambda x: -2 / ROOT_PI * gaussian(x)],
        [lambda x: 4 / ROOT_PI * x * gaussian(x)],
        WIDE,
    ),
    Oracle(
        td.special.erfinv,
        mp.erfinv,
        [erfinv_slope],
        [lambda x: 2 * mp.erfinv(x) * erfinv_slope(x) ** 2],
        spread(-0.9999999, 0.9999999, near=(0.5, 0.9, 0.99), sizes=12),
        rows=rows("erfinv", "erfinv_slope"),
    ),
    Oracle(td.special.ndtr, ndtr, [density], [lambda x: -x * density(x)], WIDE),
    Oracle(
        td.special.log_ndtr,
        log_ndtr,
        [mills],
        [lambda x: -curvature(x)],
        WIDE,
        rows=rows("log_ndtr", "mills", "excess", "curvature"),
    ),
    Oracle(
        td.nn.gelu,
        lambda x: within(x) * ndtr(x) if x < 2000 else x,
        [lambda x: ndtr(x) + within(x) * density(x)],
        [lambda x: density(x) * (2 - within(x) ** 2)],
        WIDE,
        conditioned={1: "-0.752", 2: "±√2"},
    ),
]
GAMMA = [
    Oracle(
        td.special.gammaln,
        lambda x: mp.log(abs(mp.gamma(x))) if abs(x) < 1e6 else mp.loggamma(x),
        [psi(0)],
        [psi(1)],
        spread(0, near=(1.4616321449683623, 1, 2), zero=False, sizes=24),
        conditioned={1: "1.4616"},
        rows=rows("gammaln", "digamma", "polygamma"),
    ),
    Oracle(
        td.special.betaln,
        lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b),
        [lambda a, b: -rise(0, a, b), lambda a, b: -rise(0, b, a)],
        [
            lambda a, b: -rise(1, a, b),
            lambda a, b: -mp.psi(1, a + b),
            lambda a, b: -rise(1, b, a),
        ],
        pairs(
            *(0, 0, [(1e10, 2.0), (1e4, 2.0), (5.0, 1e-6), (1e-6, 1e-6)]),
            unless=overflow,
        ),
        rows=rows("betaln", "beta", "polygamma_rise"),
    ),
    Oracle(
        td.special.i1,
        besseli(1),
        [besseli_1(1)],
        [lambda x: (3 * mp.besseli(1, x) + mp.besseli(3, x)) / 4],
        spread(-80, 80, sizes=12),
        rows=rows("i0", "i1", "iv"),
    ),
]
SUMS_OF_TWO = [
    Oracle(
        logsumexp,
        lambda a, b: max(a, b) + mp.log1p(mp.exp(-within(abs(a - b)))),
        [share, lambda a, b: share(b, a)],
        [spreading, lambda a, b: -spreading(a, b), spreading],
        SUMS,
        conditioned={1: TAILS, 2: TAILS},
    ),
    Oracle(
        softmax,
        share,
        [spreading, lambda a, b: -spreading(a, b)],
        [
            lambda a, b: logistic_1(a - b),
            lambda a, b: -logistic_1(a - b),
            lambda a, b: logistic_1(a - b),
        ],
        SUMS,
        conditioned={1: TAILS, 2: TAILS},
    ),
    Oracle(
        log_softmax,
        lambda a, b: -softplus(b - a),
        [lambda a, b: share(b, a), lambda a, b: -share(b, a)],
        [lambda a, b: -spreading(a, b), spreading, lambda a, b: -spreading(a, b)],
        SUMS,
        conditioned={1: TAILS, 2: TAILS},
    ),
    Oracle(
        norm,
        length,
        [lambda a, b: a / length(a, b), lambda a, b: b / length(a, b)],
        [
            lambda a, b: b * b / length(a, b) ** 3,
            lambda a, b: -a * b / length(a, b) ** 3,
            lambda a, b: a * a / length(a, b) ** 3,
        ],
        sizes_of_squares,
    ),
]
ORACLES: list[Oracle] = [*LOGISTIC, *NORMAL, *GAMMA, *SUMS_OF_TWO]
EXACT = {
    "relu": "0 or 1",
    "square_root": "numpy.sqrt, whose oracle is that of sqrt, with a slope of 0 at 0",
    "half_reciprocal": "the slope of square_root",
}

CROSS_ENTROPY = "td.nn.cross_entropy, on which networks train, has the quicker one"
TAILS_ARE = "tails are what it is for"
LARGE = "(64, 128)"
COSTS = [
    (
        f"`td.nn.log_softmax` {LARGE}",
        "1 - p: all at logits 40, 0",
        "292 for 180",
        "-",
        CROSS_ENTROPY,
    ),
    (
        f"`td.special.logsumexp` {LARGE}",
        "exp(x - y): all at 1e7",
        "465 for 274",
        "-",
        "shares add up to 1",
    ),
    (f"`td.nn.gelu` {LARGE}", "700 ulp at -26", "554 for 432", "-", TAILS_ARE),
    (
        f"`td.special.erf`, `td.special.ndtr` {LARGE}",
        "700 ulp at 26",
        "418 for 338",
        "-",
        TAILS_ARE,
    ),
    (f"`td.special.log_ndtr` {LARGE}", "all of f'' at -1e5", "1956 for 1438", "-", TAILS_ARE),
    (
        f"`td.special.betaln` {LARGE}",
        "all at 1e15",
        "10235 for 1733",
        "-",
        "wrong is no alternative",
    ),
    (f"`np.linalg.norm` {LARGE}", "all at 1e-200", "247 for 209", "-", "a direction has no size"),
]
"""Of a processor that others used, too. Of td.nn.sigmoid the value costs less, the slope more, and
both together 158 for 216; td.nn.softmax takes 210 for 192.
"""
