"""The universal functions, with their keywords and methods, and what is elementwise like them."""

import numpy as np
from scipy import special

from tests.cases import Draw, case, distinct, method, nonzero, normal, positive, uniform
from tinygrad_digits.ops import elementwise, powers, sinc_and_i0

MASK = np.array([True, False, True])
ZERO = Draw(lambda rng: np.zeros(2))


def selected(ufunc):
    """A call with where=, of which NumPy leaves the rest as it happens to be."""

    def called(*args, where, **options):
        y = ufunc(*args, where=where, **options)
        return [part[..., where] for part in y] if type(y) is tuple else y[..., where]

    return called


def with_keywords(ufunc, *draws, dtype=np.float64):
    """A case of the ufunc in which what is not selected would be NaN, or a warning."""
    named = {} if dtype is None else {"dtype": dtype}
    called = case(selected(ufunc), *draws, where=MASK, order="K", **named)
    return called.but(label=f"np.{ufunc.__name__}")


def unary(ufunc, draw):
    return [
        case(ufunc, draw(2, 3)),
        case(ufunc, draw()),
        case(ufunc, draw(2, 1, 3)),
        case(ufunc, draw(0, 2)),
        with_keywords(ufunc, draw(2, 3)),
    ]


def binary(ufunc, left, right=None, numbers=(2.0, 1.0, 3.0)):
    right, numbers = right or left, np.array(numbers)
    return [
        case(ufunc, left(2, 3), right(3)),
        case(ufunc, left(2, 1), right()),
        case(ufunc, left(3, 1), right(4)),
        case(ufunc, left(), right(2, 3)),
        case(ufunc, left(2, 1, 3), right(4, 1)),
        case(ufunc, left(), right()),
        case(ufunc, left(0, 3), right(3)),
        case(ufunc, left(3), numbers),
        case(ufunc, numbers, right(3)),
        case(ufunc, left(3), 2.0),
        with_keywords(ufunc, left(2, 3), right(3)),
        case(getattr(ufunc, "outer"), left(2), right(1, 2)),  # noqa: B009
    ]


def between(low, high):
    return lambda *shape: uniform(low, high, *shape)


def halves(*shape):
    """Numbers half-way between whole ones, or not far: no quotient by a whole one is whole."""
    return Draw(lambda rng: rng.integers(-4, 4, shape) + rng.uniform(0.3, 0.7, shape))


def apart(*shape):
    """Numbers that are far from those of `halves`, and from 0."""
    return Draw(
        lambda rng: rng.choice([-2.0, -1.0, 1.0, 2.0], shape) + rng.uniform(-0.1, 0.1, shape)
    )


def thirds(*shape):
    """Numbers of which some are far below -1.2, some within 0.3 of 0 and some far above 1.2."""
    return Draw(lambda rng: rng.choice([-2.0, 0.0, 2.0], shape) + rng.uniform(-0.3, 0.3, shape))


def divisors(*shape):
    """Numbers close to 1 and -1, by which no quotient of `halves` is nearly whole."""
    return Draw(lambda rng: rng.choice([-1.0, 1.0], shape) * rng.uniform(0.98, 1.02, shape))


ANYWHERE = (
    *(np.negative, np.positive, np.conjugate, np.square, np.exp, np.exp2, np.expm1),
    *(np.sin, np.cos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh),
    *(np.deg2rad, np.radians, np.rad2deg, np.degrees),
)
ABOVE_ZERO = (np.sqrt, np.log, np.log2, np.log10, np.log1p)
OFF_ZERO = (np.absolute, np.fabs, np.cbrt, np.reciprocal)

UNARY = [
    *[each for ufunc in ANYWHERE for each in unary(ufunc, normal)],
    *[each for ufunc in ABOVE_ZERO for each in unary(ufunc, positive)],
    *[each for ufunc in OFF_ZERO for each in unary(ufunc, nonzero)],
    *unary(np.tan, between(-1.0, 1.0)),
    *unary(np.arcsin, between(-0.8, 0.8)),
    *unary(np.arccos, between(-0.8, 0.8)),
    *unary(np.arctanh, between(-0.8, 0.8)),
    *unary(np.arccosh, between(1.5, 3.0)),
]
BINARY = [
    *[each for f in (np.add, np.subtract, np.multiply, np.hypot) for each in binary(f, normal)],
    *[each for f in (np.logaddexp, np.logaddexp2) for each in binary(f, normal)],
    *[
        each
        for f in (np.maximum, np.minimum, np.fmax, np.fmin)
        for each in binary(f, halves, apart)
    ],
    *[each for f in (np.power, np.float_power) for each in binary(f, positive, normal)],
    *binary(np.divide, normal, nonzero),
    *binary(np.arctan2, nonzero),
    *[
        each
        for f in (np.remainder, np.fmod)
        for each in binary(f, halves, divisors, (2.5, 1.4, 3.5))
    ],
    *binary(np.copysign, nonzero),
    case(np.nextafter, normal(2, 3), normal(3)),
    case(np.nextafter, normal(2, 3), 2.0),
    case(np.heaviside, np.array([0.0, 1.0, -1.0]), normal(3)),
    *binary(np.heaviside, nonzero, normal),
    *[case(np.power, normal(3, 4), n) for n in (0, 1, 2, 3, 4.0)],
    *[case(np.power, nonzero(3, 4), n) for n in (-1, -2.0)],
    case(np.power, nonzero(3), 2),
    case(np.power, 2, normal(3)),
    case(np.power, nonzero(3), np.array([3, -2, 0])),
    case(np.float_power, nonzero(3), np.array([3, -2, 0])),
    case(np.float_power, 2, normal(3)),
]
IN_PARTS = [
    case(np.divmod, halves(2, 3), divisors(3)),
    case(np.divmod, halves(3), 7),
    with_keywords(np.divmod, halves(2, 3), divisors(3)),
    *unary(np.modf, halves)[:3],
    with_keywords(np.modf, halves(2, 3)),
    case(np.frexp, between(1.1, 1.9)(2, 3)),
    case(np.frexp, between(-3.9, -2.1)()),
    with_keywords(np.frexp, between(1.1, 1.9)(2, 3), dtype=None),
    case(np.ldexp, normal(2, 3), np.array([3, -1, 0])),
    case(np.ldexp, normal(), 4),
    case(np.ldexp, normal(3, 1), np.array([3, -1])),
    with_keywords(np.ldexp, normal(2, 3), np.array([3, -1, 0]), dtype=None),
    case(np.ldexp.outer, normal(2), np.array([3, -1])),
]


def sinc_differentiated(x, order):
    """The first two derivatives of sin(t) / t, t = pi x, as they are written out."""
    t = np.pi * x
    s, c = np.sin(t), np.cos(t)
    return np.pi**order * [c / t - s / t**2, -s / t - 2 * c / t**2 + 2 * s / t**3][order - 1]


def i0_differentiated(x, order):
    """I0' = I1, and I1' = (I0 + I2) / 2."""
    return special.i1(x) if order == 1 else (special.i0(x) + special.iv(2, x)) / 2


def power_differentiated(a, b, by_base, by_exponent):
    """The derivatives of a**b, as they are written out."""
    log = np.log(a)
    return {
        (0, 1): a**b * log,
        (0, 2): a**b * log**2,
        (1, 0): b * a ** (b - 1),
        (1, 1): a ** (b - 1) * (1 + b * log),
        (2, 0): b * (b - 1) * a ** (b - 2),
        (2, 1): a ** (b - 2) * (2 * b - 1 + b * (b - 1) * log),
    }[by_base, by_exponent]


def raised(a, b):
    """times_log as a function of what its first argument follows from."""
    return powers.times_log(a**b, a, b)


def slanted(a, b):
    """cosine as a function of what its first argument follows from."""
    return elementwise.cosine(np.hypot(a, b), a, b)


def share(a, b, log_base=1.0):
    return 1 / (1 + np.exp(log_base * (b - a)))


POWER_SLOPE = [
    case(powers.power_slope, positive(2, 3), right, by_base=n, by_exponent=k).but(
        reference=power_differentiated
    )
    for right in (normal(3), normal(), 1.5, np.array([0.5, 2.5, -1.5]))
    for n, k in ((0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1))
]
INSIDE_RULES = [
    *POWER_SLOPE,
    case(raised, positive(2, 3), normal(3)).but(reference=lambda a, b: a**b * np.log(a)),
    case(elementwise.along_sign, normal(3), nonzero(2, 3)).but(
        reference=lambda a, x: np.copysign(1, x) * a
    ),
    case(elementwise.square_less, normal(2, 3)).but(reference=lambda x: 1 - x * x),
    case(elementwise.bell, normal(2, 3)).but(reference=lambda x: 1 / (1 + x * x)),
    case(elementwise.over_square_cosh, normal(2, 3), normal(3)).but(
        reference=lambda a, x: a * (1 - np.tanh(x) ** 2)
    ),
    case(elementwise.natural_share, normal(2, 3), normal(3)).but(reference=share),
    case(elementwise.binary_share, normal(2, 3), normal(3)).but(
        reference=lambda a, b: share(a, b, np.log(2))
    ),
    case(slanted, nonzero(2, 3), nonzero(3)).but(reference=lambda a, b: a / np.sqrt(a * a + b * b)),
    case(elementwise.inversion, nonzero(2, 3), nonzero(3)).but(
        reference=lambda a, b: a / (a * a + b * b)
    ),
]
SINC_DERIVATIVE = [
    case(sinc_and_i0.sinc_derivative, draw, order=order).but(reference=sinc_differentiated)
    for draw in (uniform(0.3, 3.0, 4), uniform(3.0, 20.0, 4))
    for order in (1, 2)
]
I0_DERIVATIVE = [
    case(sinc_and_i0.i0_derivative, draw, order=order).but(reference=i0_differentiated)
    for draw in (nonzero(4), uniform(3.0, 10.0, 4))
    for order in (1, 2)
]
LOWEST, HIGHEST = between(-1.2, -0.8), between(0.8, 1.2)
OTHERS = [
    *[case(np.sinc, normal(*shape)) for shape in ((2, 3), (), (0,))],
    case(np.sinc, uniform(4.0, 9.0, 3)),
    case(np.sinc, ZERO),
    *[case(np.i0, nonzero(*shape)) for shape in ((2, 3), (), (0,))],
    case(np.i0, uniform(9.0, 10.5, 3)),
    case(np.i0, ZERO),
    *SINC_DERIVATIVE,
    *I0_DERIVATIVE,
    *INSIDE_RULES,
    *[case(f, normal(*shape)) for f in (np.real, np.real_if_close) for shape in ((2, 3), ())],
    case(np.real_if_close, normal(3), tol=10),
    *[case(f, normal(*shape)) for f in (np.imag, np.angle) for shape in ((2, 3), ())],
    case(np.multiply, normal(3), True, dtype=np.float64),
    case(np.angle, normal(3), deg=True),
    case(np.nan_to_num, normal(2, 3)),
    case(np.nan_to_num, normal(5), True, 2.0, 3.0, -3.0),
    case(np.nan_to_num, normal(5), copy=True, nan=1.0, posinf=2.0, neginf=-2.0),
    case(np.clip, normal(2, 3), -5.0, 5.0),
    case(np.clip, halves(2, 3), apart(3), 5.0),
    case(np.clip, halves(2, 3), a_min=-1.0, a_max=1.0),
    case(np.clip, halves(2, 3), min=-1.0, max=apart(3)),
    case(np.clip, halves(2, 3), None, 1.0),
    case(np.clip, thirds(3, 4), LOWEST(), HIGHEST()),
    case(np.clip, thirds(3, 4), LOWEST(4), HIGHEST(3, 1)),
    case(np.clip, thirds(), LOWEST(3), HIGHEST()),
    case(np.clip, uniform(-1, 1, 4), uniform(2.9, 3.1, 4), uniform(-3.1, -2.9, 4)),
]

METHODS = [
    *[
        each
        for ufunc in (np.add, np.multiply, np.maximum, np.minimum, np.logaddexp)
        for each in (
            case(ufunc.reduce, distinct(3, 4)),
            case(ufunc.reduce, distinct(2, 3, 2), axis=(0, -1), keepdims=True),
            case(ufunc.reduce, distinct(2, 3), axis=None, dtype=np.float64),
            case(ufunc.reduce, distinct(4), 0, None, None, True),
            case(ufunc.reduce, distinct(2, 3), -1, initial=0.5, where=MASK),
            case(ufunc.accumulate, distinct(3, 4)),
            case(ufunc.accumulate, distinct(2, 6), axis=-1, dtype=np.float64),
            case(ufunc.accumulate, distinct(2, 1, 2), 1),
            case(ufunc.reduceat, distinct(5), [0, 3, 1, 4]),
            case(ufunc.reduceat, distinct(2, 4), np.array([1, 3]), axis=-1, dtype=np.float64),
            case(ufunc.outer, distinct(2), normal(1, 2), dtype=np.float64),
        )
    ],
    case(np.logaddexp.reduce, distinct(2, 3), axis=1, where=MASK),
    case(np.logaddexp.reduce, distinct(), axis=None),
    case(np.greater.outer, normal(2), normal(3)),
    case(np.multiply.outer, [1.0, 2.0], normal(2)),
    case(np.multiply.outer, normal(2), [1, 2]),
]
OPERATORS = [
    case(method("__mod__"), halves(3), divisors(3)),
    case(method("__rmod__"), divisors(3), 7.5),
    case(method("__divmod__"), halves(3), divisors(3)),
    case(method("__rdivmod__"), divisors(3), 7.5),
    case(method("__floordiv__"), halves(3), divisors(3)),
    case(method("__rfloordiv__"), divisors(3), 7.5),
    case(method("conj"), normal(3)),
    case(method("conjugate"), normal(3)),
    case(method("clip"), halves(3), -1.0, 1.0),
]
CASES = [*UNARY, *BINARY, *IN_PARTS, *OTHERS, *METHODS, *OPERATORS]
