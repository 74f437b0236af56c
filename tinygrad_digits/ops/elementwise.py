"""Arithmetic and the elementary functions: each element by itself, after broadcasting.

A rule here returns a cotangent in the shape of the output; the engine sums it over the axes that
broadcasting added. Where a derivative has a corner, the value is the one of the package's table of
conventions: central at a kink, 0 where the convex minimum-norm subgradient is 0.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..engine.errors import NotDifferentiableError
from ..engine.primitive import Kind, define, handles, implement, no_rule_with
from ..engine.tape import Array

row = partial(implement, kind=Kind.ELEMENTWISE)

LOG_2 = math.log(2)


# --- arithmetic

add = row(
    np.add,
    lambda g, _y, _a, _b: g,
    lambda g, _y, _a, _b: g,
)
subtract = row(
    np.subtract,
    lambda g, _y, _a, _b: g,
    lambda g, _y, _a, _b: -g,
)
multiply = row(
    np.multiply,
    lambda g, _y, _a, b: g * b,
    lambda g, _y, a, _b: g * a,
)
divide = row(
    np.divide,
    lambda g, _y, _a, b: g / b,
    lambda g, y, _a, b: -g * y / b,
)
negative = row(np.negative, lambda g, _y, _x: -g)
positive = row(np.positive, lambda g, _y, _x: g)
absolute = row(np.absolute, lambda g, _y, x: g * np.sign(x))
fabs = row(np.fabs, lambda g, _y, x: g * np.sign(x))
conjugate = row(np.conjugate, lambda g, _y, _x: g)
square = row(np.square, lambda g, _y, x: 2 * g * x)
sqrt = row(np.sqrt, lambda g, y, _x: g * (0.5 / y))
cbrt = row(np.cbrt, lambda g, y, _x: g * (1 / 3 / (y * y)))
reciprocal = row(np.reciprocal, lambda g, y, _x: -g * y * y)


# --- exponentials and logarithms

exp = row(np.exp, lambda g, y, _x: g * y)
exp2 = row(np.exp2, lambda g, y, _x: g * (y * LOG_2))
expm1 = row(np.expm1, lambda g, y, _x: g * (y + 1))
log = row(np.log, lambda g, _y, x: g / x)
log2 = row(np.log2, lambda g, _y, x: g / x * (1 / LOG_2))
log10 = row(np.log10, lambda g, _y, x: g / x * (1 / math.log(10)))
log1p = row(np.log1p, lambda g, _y, x: g / (1 + x))


def _share(base: Callable[[Array], Array], a: Array, b: Array, y: Array, halves: float) -> Array:
    """base**(a - y), what a has in y = log(base**a + base**b), of which each has half at a = b.

    At an infinity, where a - y is NaN, `halves` is the logarithm of a half.
    """
    at_infinity = np.isinf(y) & (a == y)
    return base(np.where(at_infinity, (a == b).astype(y.dtype) * halves, a - y))


def _natural_share(a: Array, b: Array, y: Array) -> Array:
    return _share(np.exp, a, b, y, -LOG_2)


def _binary_share(a: Array, b: Array, y: Array) -> Array:
    return _share(np.exp2, a, b, y, -1.0)


logaddexp = row(
    np.logaddexp,
    lambda g, y, a, b: g * _natural_share(a, b, y),
    lambda g, y, a, b: g * _natural_share(b, a, y),
)
logaddexp2 = row(
    np.logaddexp2,
    lambda g, y, a, b: g * _binary_share(a, b, y),
    lambda g, y, a, b: g * _binary_share(b, a, y),
)


# --- circular and hyperbolic functions

sin = row(np.sin, lambda g, _y, x: g * np.cos(x))
cos = row(np.cos, lambda g, _y, x: -g * np.sin(x))
tan = row(np.tan, lambda g, y, _x: g * (1 + y * y))
arcsin = row(np.arcsin, lambda g, _y, x: g / np.sqrt((1 - x) * (1 + x)))
arccos = row(np.arccos, lambda g, _y, x: -g / np.sqrt((1 - x) * (1 + x)))
arctan = row(np.arctan, lambda g, _y, x: g / (1 + x * x))
sinh = row(np.sinh, lambda g, _y, x: g * np.cosh(x))
cosh = row(np.cosh, lambda g, _y, x: g * np.sinh(x))
tanh = row(np.tanh, lambda g, y, _x: g * (1 - y * y))
arcsinh = row(np.arcsinh, lambda g, _y, x: g / np.hypot(x, 1.0))
arccosh = row(np.arccosh, lambda g, _y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
arctanh = row(np.arctanh, lambda g, _y, x: g / ((1 - x) * (1 + x)))
deg2rad = row(np.deg2rad, lambda g, _y, _x: np.deg2rad(g))
radians = row(np.radians, lambda g, _y, _x: np.radians(g))
rad2deg = row(np.rad2deg, lambda g, _y, _x: np.rad2deg(g))
degrees = row(np.degrees, lambda g, _y, _x: np.degrees(g))


def _over_length(g: Array, a: Array, length: Array) -> Array:
    """g a / length; 0 at the origin, where the length is 0."""
    return g * (a / (length + (length == 0)))


def _arctan2_rule(g: Array, a: Array, b: Array) -> Array:
    """g b / (a**2 + b**2), in steps that do not overflow."""
    length = np.hypot(a, b)
    return g * (b / length / length)


hypot = row(
    np.hypot,
    lambda g, y, a, _b: _over_length(g, a, y),
    lambda g, y, _a, b: _over_length(g, b, y),
)
arctan2 = row(
    np.arctan2,
    lambda g, _y, a, b: _arctan2_rule(g, a, b),
    lambda g, _y, a, b: -_arctan2_rule(g, b, a),
)


# --- powers


def _power_base(g: Array, _y: Array, a: Array, b: Array) -> Array:
    """d a**b / da = b a**(b-1); where b = 0 any finite power will do, since 0 multiplies it."""
    return g * (b * a ** (b + (b == 0) - 1))


def _power_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    """d a**b / db = a**b log a; at a = 0 that is 0 for b >= 0 (log 1) and -inf for b < 0."""
    at_zero = ((a == 0) & (b >= 0)).astype(g.dtype)
    return g * (y * np.log(a + at_zero))


_power = define(np.power, _power_base, _power_exponent, kind=Kind.ELEMENTWISE, trusted=True)


@handles(np.power)
def power(a: Array, b: Array, /) -> Array:
    """numpy.power, with the square as an op of its own, as NumPy's own ** does it.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: x**3)(2.0)
    np.float64(12.0)
    """
    return square(a) if type(b) is int and b == 2 else _power(a, b)


float_power = row(np.float_power, _power_base, _power_exponent)


# --- quotients and remainders


def _by_divisor(g: Array, y: Array, a: Array, b: Array) -> Array:
    """a = q b + y with a whole q, constant almost everywhere: dy/db = -q."""
    return -g * np.rint((a - y) / b)


remainder = row(np.remainder, lambda g, _y, _a, _b: g, _by_divisor)
fmod = row(np.fmod, lambda g, _y, _a, _b: g, _by_divisor)


@handles(np.divmod)
def divmod(a: Array, b: Array, /) -> tuple[Array, Array]:
    """numpy.divmod: the whole quotients, which are constant, and the remainders.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.divmod(7.5, x)[1])(2.0)
    np.float64(-3.0)
    """
    return a // b, a % b


# --- sign, mantissa and exponent

copysign = row(
    np.copysign,
    lambda g, y, a, _b: g * np.sign(a) * np.sign(y),
    None,
)
nextafter = row(np.nextafter, lambda g, _y, _a, _b: g, None)  # a step from a, wherever b is
heaviside = row(
    np.heaviside,
    None,
    lambda g, _y, x, _h: g * (x == 0),
)


def _ldexp(x: Array, n: Array) -> Array:
    """Not the ufunc itself, since programs give those all operands in one dtype."""
    return np.ldexp(x, n)


ldexp = row(
    np.ldexp,
    lambda g, _y, _x, n: np.ldexp(g, n),
    None,
    kernel=_ldexp,
)
fraction = define(
    lambda x: np.modf(x)[0],
    lambda g, _y, _x: g,
    name="modf",
    kind=Kind.ELEMENTWISE,
    trusted=True,
)
_exponent = define(lambda x: np.frexp(x)[1], name="frexp")


@handles(np.modf)
def modf(x: Array, /) -> tuple[Array, Array]:
    """numpy.modf: what is behind the point, and the whole numbers, which are constant."""
    return fraction(x), np.trunc(x)


@handles(np.frexp)
def frexp(x: Array, /) -> tuple[Array, Array]:
    """numpy.frexp: mantissas of size 0.5 to 1, and the powers of 2, which are constant.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.frexp(x)[0])(6.0)
    np.float64(0.125)
    """
    exponent = _exponent(x)
    return ldexp(x, -exponent), exponent


# --- real numbers as complex ones


@handles(np.real, np.real_if_close)
def real(x: Array, tol: float = 100) -> Array:  # noqa: ARG001 (no imaginary part is ever close)
    """numpy.real and numpy.real_if_close: a Tensor is real."""
    return positive(x)


# --- choices between values


def _is_first(g: Array, y: Array, a: Array, b: Array) -> Array:
    """Of maximum and minimum: 1 where y is a, or a is NaN; a half where a and b tie."""
    half = (a == b).astype(g.dtype) * 0.5
    return g * (((a == y) | (a != a)) - half)


def _is_second(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _is_first(g, y, b, a)


def _is_first_number(g: Array, y: Array, a: Array, b: Array) -> Array:
    """Of fmax and fmin: 1 where y is a; a half where a and b tie, or both are NaN."""
    tie = (a == b) | ((a != a) & (b != b))
    return g * (((a == y) | tie) - tie.astype(g.dtype) * 0.5)


def _is_second_number(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _is_first_number(g, y, b, a)


maximum = row(np.maximum, _is_first, _is_second)
minimum = row(np.minimum, _is_first, _is_second)
fmax = row(np.fmax, _is_first_number, _is_second_number)
fmin = row(np.fmin, _is_first_number, _is_second_number)
where = define(
    np.where,
    None,
    lambda g, _y, c, _a, _b: np.where(c, g, 0),
    lambda g, _y, c, _a, _b: np.where(c, 0, g),
    kind=Kind.ELEMENTWISE,
    trusted=True,
)
_clip = define(
    np.clip,
    lambda g, _y, x, low, high: g * ((x >= low) & (x <= high)),
    lambda g, _y, x, low, high: g * ((x < low) & (low <= high)),
    lambda g, _y, x, low, high: g * (np.maximum(x, low) > high),
    kind=Kind.ELEMENTWISE,
)


@handles(np.where)
def _where(condition: Array, *branches: Array) -> Any:
    """np.where with two branches chooses between them; with none it is np.nonzero."""
    return where(condition, *branches) if branches else np.nonzero(condition)


@handles(np.clip)
def clip(x: Array, a_min: Array = None, a_max: Array = None, **limits: Array) -> Array:
    """numpy.clip; the derivative is 1 on the closed interval.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.grad(lambda x: np.clip(x, 0, 1).sum())(np.array([-1.0, 0.0, 0.5, 2.0]))
    array([0., 1., 1., 0.])
    """
    low, high = limits.pop("min", None), limits.pop("max", None)
    for option, value in limits.items():
        if value is not None:
            raise no_rule_with("clip", option, ["max", "min"])
    if (low is not None and a_min is not None) or (high is not None and a_max is not None):
        raise TypeError("clip: a limit was given twice, as min or max and as a_min or a_max")
    low, high = a_min if low is None else low, a_max if high is None else high
    return _clip(x, -np.inf if low is None else low, np.inf if high is None else high)


@handles(np.nan_to_num)
def nan_to_num(
    x: Array,
    copy: bool = True,
    nan: Array = 0.0,
    posinf: Array | None = None,
    neginf: Array | None = None,
) -> Array:
    """numpy.nan_to_num; what is replaced gets no gradient.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.nan_to_num(x).sum())(np.array([1.0, np.nan, np.inf]))
    array([1., 0., 0.])
    """
    if not copy:
        raise NotDifferentiableError("nan_to_num: a Tensor is not changed in place (copy=False)")
    limits = np.finfo(x.dtype)
    y = where(np.isnan(x), nan, x)
    y = where(np.equal(x, np.inf), float(limits.max) if posinf is None else posinf, y)
    y = where(np.equal(x, -np.inf), float(limits.min) if neginf is None else neginf, y)
    return y if y.shape else y[()]


# --- dtype


def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


cast = define(
    _astype, lambda g, _y, _x, dtype: g, name="astype", kind=Kind.ELEMENTWISE, trusted=True
)
_leave = define(_astype, name="astype")


def astype(x: Array, dtype: Any, *, copy: bool = True) -> Array:  # noqa: ARG001 (never shared)
    """x in another dtype. The gradient comes back in x's; integers and bools leave the tape."""
    kind = np.dtype(dtype).kind
    if kind not in "fiub":
        raise NotDifferentiableError(f"astype: a Tensor is real, it cannot become {dtype}")
    return cast(x, dtype=dtype) if kind == "f" else _leave(x, dtype)


if hasattr(np, "astype"):  # NumPy 2.1
    handles(np.astype)(astype)
