"""Arithmetic, the elementary functions and NumPy's other elementwise ones."""

import numpy as np

from tests.oracles import Oracle, mp, one, pairs, spread, zero

LOG_2 = mp.log(2)
LOG_10 = mp.log(10)
DEGREE = mp.pi / 180


def sech2(x):
    return 1 / mp.cosh(x) ** 2


def share(a, b):
    """exp(a) / (exp(a) + exp(b))."""
    return 1 / (1 + mp.exp(b - a))


def share2(a, b):
    return share(a * LOG_2, b * LOG_2)


def logaddexp(a, b):
    return max(a, b) + mp.log1p(mp.exp(-abs(a - b)))


def length(a, b):
    return mp.sqrt(a * a + b * b)


def square_length(a, b):
    return a * a + b * b


def _sinc_series(x, order):
    """The derivatives of sin(t)/t as series, t = pi x, for |t| < 1 or so."""
    t, total = mp.pi * x, mp.mpf(0)
    for k in range(order // 2, 60):
        n = 2 * k - order
        if n >= 0:
            falling = mp.factorial(2 * k) / mp.factorial(n)
            total += (-1) ** k * falling * t**n / mp.factorial(2 * k + 1)
    return total


def sinc(x, order=0):
    t = mp.pi * x
    if abs(t) < 2:
        return mp.pi**order * _sinc_series(x, order)
    s = mp.sinpi(x) / t
    if order:
        s1 = (mp.cospi(x) - s) / t
        s = s1 if order == 1 else (-mp.sinpi(x) - 2 * s1) / t
    return mp.pi**order * s


def besseli(n, x):
    """NumPy's i0 is right up to where exp overflows; mpmath is asked no further."""
    return mp.besseli(n, x) if abs(x) < 1000 else mp.exp(abs(x)) * mp.sign(x) ** n


POSITIVE = spread(low=0)
POWERS = pairs(
    a_low=0,
    unless=lambda a, b: (np.abs(b) < 1e-10) & (a < 1e-10),
    more=[
        *((a, b) for a in (0.5, 0.999, 1.0, 1.001, 2.0, 23.0) for b in (-2, -0.5, 0, 0.5, 1, 7)),
        *((a, b) for a in (1e-30, 1e30) for b in (-1.2, -0.1, 0.1, 1.2)),
    ],
)
DIVISION = pairs(more=[(0, 1), (0, 1e-30), (0, 1e30)])
TIES = [(x + d, x) for x in (-700, -80, -1, 0, 1, 80, 700, 1e7, 1e15) for d in (-40, -1, 0, 1, 40)]

ORACLES = [
    Oracle(np.square, lambda x: x * x, [lambda x: 2 * x], [lambda x: mp.mpf(2)], spread()),
    Oracle(
        np.sqrt,
        mp.sqrt,
        [lambda x: 1 / (2 * mp.sqrt(x))],
        [lambda x: -1 / (4 * x * mp.sqrt(x))],
        POSITIVE,
    ),
    Oracle(
        np.cbrt,
        lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        [lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2)],
        [lambda x: -2 / (9 * x * mp.cbrt(abs(x)) ** 2)],
        spread(zero=False),
    ),
    Oracle(
        np.reciprocal,
        lambda x: 1 / x,
        [lambda x: -1 / x**2],
        [lambda x: 2 / x**3],
        spread(zero=False),
    ),
    Oracle(np.exp, mp.exp, [mp.exp], [mp.exp], spread()),
    Oracle(
        np.exp2,
        lambda x: mp.power(2, x),
        [lambda x: mp.power(2, x) * LOG_2],
        [lambda x: mp.power(2, x) * LOG_2**2],
        spread(),
    ),
    Oracle(np.expm1, mp.expm1, [mp.exp], [mp.exp], spread()),
    Oracle(np.log, mp.log, [lambda x: 1 / x], [lambda x: -1 / x**2], POSITIVE),
    Oracle(
        np.log2,
        lambda x: mp.log(x) / LOG_2,
        [lambda x: 1 / (x * LOG_2)],
        [lambda x: -1 / (x**2 * LOG_2)],
        POSITIVE,
    ),
    Oracle(
        np.log10,
        lambda x: mp.log(x) / LOG_10,
        [lambda x: 1 / (x * LOG_10)],
        [lambda x: -1 / (x**2 * LOG_10)],
        POSITIVE,
    ),
    Oracle(
        np.log1p,
        mp.log1p,
        [lambda x: 1 / (1 + x)],
        [lambda x: -1 / (1 + x) ** 2],
        spread(low=-1, near=(-1,)),
    ),
    Oracle(np.sin, mp.sin, [mp.cos], [lambda x: -mp.sin(x)], spread(near=(np.pi, np.pi / 2))),
    Oracle(
        np.cos, mp.cos, [lambda x: -mp.sin(x)], [lambda x: -mp.cos(x)], spread(near=(np.pi / 2,))
    ),
    Oracle(
        np.tan,
        mp.tan,
        [lambda x: mp.sec(x) ** 2],
        [lambda x: 2 * mp.tan(x) * mp.sec(x) ** 2],
        spread(near=(np.pi, np.pi / 2)),
    ),
    Oracle(
        np.arcsin,
        mp.asin,
        [lambda x: 1 / mp.sqrt((1 - x) * (1 + x))],
        [lambda x: x / mp.sqrt((1 - x) * (1 + x)) ** 3],
        spread(-1, 1, near=(1,)),
        rows=("arcsin", "square_less"),
    ),
    Oracle(
        np.arccos,
        mp.acos,
        [lambda x: -1 / mp.sqrt((1 - x) * (1 + x))],
        [lambda x: -x / mp.sqrt((1 - x) * (1 + x)) ** 3],
        spread(-1, 1, near=(1,)),
    ),
    Oracle(
        np.arctan,
        mp.atan,
        [lambda x: 1 / (1 + x * x)],
        [lambda x: -2 * x / (1 + x * x) ** 2],
        spread(),
        rows=("arctan", "bell"),
    ),
    Oracle(np.sinh, mp.sinh, [mp.cosh], [mp.sinh], spread()),
    Oracle(np.cosh, mp.cosh, [mp.sinh], [mp.cosh], spread()),
    Oracle(
        np.tanh,
        mp.tanh,
        [sech2],
        [lambda x: -2 * mp.tanh(x) * sech2(x)],
        spread(),
        rows=("tanh", "over_square_cosh"),
    ),
    Oracle(
        np.arcsinh,
        lambda x: mp.sign(x) * mp.asinh(abs(x)),
        [lambda x: 1 / mp.sqrt(1 + x * x)],
        [lambda x: -x / mp.sqrt(1 + x * x) ** 3],
        spread(),
    ),
    Oracle(
        np.arccosh,
        mp.acosh,
        [lambda x: 1 / mp.sqrt((x - 1) * (x + 1))],
        [lambda x: -x / mp.sqrt((x - 1) * (x + 1)) ** 3],
        spread(low=1, near=(1,)),
    ),
    Oracle(
        np.arctanh,
        lambda x: (mp.log1p(x) - mp.log1p(-x)) / 2,
        [lambda x: 1 / ((1 - x) * (1 + x))],
        [lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2],
        spread(-1, 1, near=(1,)),
    ),
    *(
        Oracle(
            f, lambda x, scale=scale: x * scale, [lambda x, scale=scale: scale], [zero], spread()
        )
        for f, scale in (
            (np.deg2rad, DEGREE),
            (np.radians, DEGREE),
            (np.rad2deg, 1 / DEGREE),
            (np.degrees, 1 / DEGREE),
        )
    ),
    Oracle(
        np.sinc,
        sinc,
        [lambda x: sinc(x, 1)],
        [lambda x: sinc(x, 2)],
        spread(near=(0.5, 1.0, 1.4303)),
        conditioned={1: "its zeros", 2: "its zeros"},
        rows=("sinc", "sinc_derivative"),
    ),
    Oracle(
        np.i0,
        lambda x: besseli(0, x),
        [lambda x: besseli(1, x)],
        [lambda x: (besseli(0, x) + besseli(2, x)) / 2],
        spread(),
        rows=("i0", "i0_derivative"),
    ),
    # --- of two arguments
    Oracle(np.add, lambda a, b: a + b, [one, one], [zero, zero, zero], pairs()),
    Oracle(np.subtract, lambda a, b: a - b, [one, lambda a, b: -1], [zero, zero, zero], pairs()),
    Oracle(
        np.multiply,
        lambda a, b: a * b,
        [lambda a, b: b, lambda a, b: a],
        [zero, one, zero],
        pairs(),
    ),
    Oracle(
        np.divide,
        lambda a, b: a / b,
        [lambda a, b: 1 / b, lambda a, b: -a / b**2],
        [zero, lambda a, b: -1 / b**2, lambda a, b: 2 * a / b**3],
        DIVISION,
    ),
    Oracle(
        np.logaddexp,
        logaddexp,
        [share, lambda a, b: share(b, a)],
        [
            lambda a, b: share(a, b) * share(b, a),
            lambda a, b: -share(a, b) * share(b, a),
            lambda a, b: share(a, b) * share(b, a),
        ],
        pairs(more=TIES),
        rows=("logaddexp", "natural_share"),
    ),
    Oracle(
        np.logaddexp2,
        lambda a, b: logaddexp(a * LOG_2, b * LOG_2) / LOG_2,
        [share2, lambda a, b: share2(b, a)],
        [
            lambda a, b: LOG_2 * share2(a, b) * share2(b, a),
            lambda a, b: -LOG_2 * share2(a, b) * share2(b, a),
            lambda a, b: LOG_2 * share2(a, b) * share2(b, a),
        ],
        pairs(more=TIES),
        rows=("logaddexp2", "binary_share"),
    ),
    Oracle(
        np.hypot,
        length,
        [lambda a, b: a / length(a, b), lambda a, b: b / length(a, b)],
        [
            lambda a, b: b * b / length(a, b) ** 3,
            lambda a, b: -a * b / length(a, b) ** 3,
            lambda a, b: a * a / length(a, b) ** 3,
        ],
        pairs(more=[(0, 1), (1, 0), (0, 1e-30), (1e30, 0)]),
        rows=("hypot", "cosine"),
    ),
    Oracle(
        np.arctan2,
        mp.atan2,
        [lambda a, b: b / square_length(a, b), lambda a, b: -a / square_length(a, b)],
        [
            lambda a, b: -2 * a * b / square_length(a, b) ** 2,
            lambda a, b: (a - b) * (a + b) / square_length(a, b) ** 2,
            lambda a, b: 2 * a * b / square_length(a, b) ** 2,
        ],
        pairs(more=[(0, 1), (1, 0), (1.001, 1), (1e-30, 1e-30)]),
        conditioned={2: "a = b and a = -b"},
        rows=("arctan2", "inversion"),
    ),
    *(
        Oracle(
            f,
            mp.power,
            [lambda a, b: b * mp.power(a, b - 1), lambda a, b: mp.power(a, b) * mp.log(a)],
            [
                lambda a, b: b * (b - 1) * mp.power(a, b - 2),
                lambda a, b: mp.power(a, b - 1) * (1 + b * mp.log(a)),
                lambda a, b: mp.power(a, b) * mp.log(a) ** 2,
            ],
            POWERS,
            conditioned={2: "b log a = -1"},
            rows=(f.__name__, "power_slope", "times_log"),
        )
        for f in (np.power, np.float_power)
    ),
]

EXACT = {
    **dict.fromkeys(("positive", "negative", "conjugate"), "linear: the factor is 1 or -1"),
    **dict.fromkeys(
        ("real", "imag", "join_parts", "quarter_turn"), "linear: the factor is 1, or i"
    ),
    "eigenvectors": "the identity",
    **dict.fromkeys(
        ("sign", "direction", "angle"), "of real numbers steps; of complex ones tested as such"
    ),
    **dict.fromkeys(("absolute", "fabs", "copysign", "along_sign"), "the factor is a sign"),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), "the factor is 0, 1 or a half"),
    **dict.fromkeys(("where", "clip", "heaviside"), "the factor is 0 or 1"),
    **dict.fromkeys(("remainder", "fmod"), "the factor is a whole number"),
    "ldexp": "the factor is a power of 2",
    "modf": "the factor is 1",
    "unwrap": "the factor is 1",
    "nextafter": "the factor is 1",
    "astype": "the factor is 1",
}
"""Rows whose derivatives round nothing: they are right to the last digit or wrong."""

NO_CHOICE = "a wrong derivative is no alternative"
TANH = (
    "a training step of 64-64-32-10 takes 205 µs with either; as a program it takes 75 for 71 µs, "
    "and where NumPy has no vectorised cosh, and exp stands in, 230 for 209 µs"
)
COSTS = [
    ("`np.tanh`", "1 - y²: all digits at 20, half at 9", "3.6 for 3.1", "8.3 for 6.3", TANH),
    ("`np.expm1`", "y + 1: all at -40", "3.0 for 2.6", "5.7 for 4.7", "tails are what it is for"),
    ("`np.arctan`", "the second derivative at 1e13", "5.5 for 3.2", "8.3 for 5.8", NO_CHOICE),
    ("`np.hypot`", "the second derivative at 1e8", "17.9 for 11.8", "24.9 for 17.9", NO_CHOICE),
    ("`np.arctan2`", "the second derivative at 1e-38", "14.9 for 11.7", "25.0 for 20.9", NO_CHOICE),
    ("`np.logaddexp`", "exp(a - y): all at 1e7", "48.8 for 34.6", "55.3 for 37.7", NO_CHOICE),
    ("`x**1.5`", "mixed derivatives at b = 0", "7.3 for 5.6", "12.0 for 10.4", NO_CHOICE),
    ("`x**0.3`", "two digits at 1e300", "18.5 for 7.7", "26.5 for 13.7", "ints cost nothing more"),
    ("`a**b` by a", "mixed derivatives at b = 0", "23.2 for 8.1", "33.9 for 15.3", NO_CHOICE),
    ("`a**b` by b", "mixed derivatives at a = 0", "10.7 for 7.6", "15.3 for 12.6", NO_CHOICE),
    (
        "`np.maximum(x, 0)`",
        "NaN where its 0 meets an infinite cotangent",
        "9.2 for 7.4",
        "10.3 for 9.1",
        "`td.nn.relu` is there, too",
    ),
]
