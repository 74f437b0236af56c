"""Arithmetic and the elementary functions: each element by itself, after broadcasting.

A rule here returns a cotangent in the shape of the output; the engine sums it over the axes that
broadcasting added. Where a derivative has a corner, the value is the one of the package's table of
conventions: central at a kink, 0 where the convex minimum-norm subgradient is 0.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind
from ..staging.batching import batch_elementwise, batch_whole, register_batching
from ..staging.lowering import register_lowering
from ..support.errors import NotDifferentiableError, no_rule_with
from ..support.user_lines import warn
from .complex_parts import (
    break_holomorphy,
    conj,
    direction,
    is_complex,
    quarter_turn,
    refuse_order,
)
from .registering import handles, implement

elementwise = partial(implement, kind=Kind.ELEMENTWISE)

own = partial(define, kind=Kind.ELEMENTWISE, unchecked=True, composite=True)

LOG_2 = math.log(2)


# --- arithmetic


def _meet(g: Array, _y: Array, a: Array, x: Array) -> Array:
    """The derivative of a sign(x) by x: 0, but NaN where a is 0 in the kink.

    There a may itself be made of |x|, as in |x|**2, whose second derivative is 2: the product of
    two conventional zeros is no answer.
    """
    return g * np.where(np.equal(x, 0) & np.equal(a, 0), np.nan, 0).astype(g.dtype)


along_sign: Function = own(
    lambda a, x: a * np.sign(x),
    lambda g, _y, _a, x: along_sign(g, x),
    _meet,
    name="along_sign",
)
"""a sign(x): the slope of |x|, where it meets the cotangent a."""

add = elementwise(
    np.add,
    lambda g, _y, _a, _b: g,
    lambda g, _y, _a, _b: g,
)
subtract = elementwise(
    np.subtract,
    lambda g, _y, _a, _b: g,
    lambda g, _y, _a, _b: -g,
)
multiply = elementwise(
    np.multiply,
    lambda g, _y, _a, b: g * b,
    lambda g, _y, a, _b: g * a,
)
divide = elementwise(
    np.divide,
    lambda g, _y, _a, b: g / b,
    lambda g, y, _a, b: -g * y / b,
)
negative = elementwise(np.negative, lambda g, _y, _x: -g)
positive = elementwise(np.positive, lambda g, _y, _x: g)
absolute = elementwise(
    np.absolute,
    lambda g, _y, x: g * conj(direction(x)) if is_complex(x) else along_sign(g, x),
)
fabs = elementwise(np.fabs, lambda g, _y, x: along_sign(g, x))
conjugate = elementwise(np.conjugate, lambda g, _y, _x: conj(g))
break_holomorphy(absolute, conjugate)
square = elementwise(np.square, lambda g, _y, x: 2 * g * x)
sqrt = elementwise(np.sqrt, lambda g, y, _x: g * (0.5 / y))
cbrt = elementwise(np.cbrt, lambda g, y, _x: g * (1 / 3) / y / y)
reciprocal = elementwise(np.reciprocal, lambda g, y, _x: -g * y * y)


# --- exponentials and logarithms

exp = elementwise(np.exp, lambda g, y, _x: g * y)
exp2 = elementwise(np.exp2, lambda g, y, _x: g * (y * LOG_2))
expm1 = elementwise(np.expm1, lambda g, _y, x: g * np.exp(x))
log = elementwise(np.log, lambda g, _y, x: g / x)
log2 = elementwise(np.log2, lambda g, _y, x: g * (1 / LOG_2) / x)
log10 = elementwise(np.log10, lambda g, _y, x: g * (1 / math.log(10)) / x)
log1p = elementwise(np.log1p, lambda g, _y, x: g / (1 + x))


def _shares(base: Function, scale: float, name: str) -> Function:
    """The op base**a / (base**a + base**b), what a has in log(base**a + base**b).

    It is a half at a = b, also at infinity. The difference of a and b is rounded; what is lost (by
    Knuth's exact difference) comes back as a factor: at 700 that is hundreds of units in the last
    place. `scale` is the logarithm of the base.
    """

    def kernel(a: Array, b: Array) -> Array:
        d = np.where(np.equal(a, b), 0, a - b)
        part = d - a
        lost = (a - (d - part)) - (b + part)
        lost = np.where(np.isfinite(lost), np.copysign(scale, d) * lost, 0)
        e = base(-np.abs(d))
        e = e - e * lost
        return np.where(np.greater_equal(d, 0), 1, e) / (1 + e)

    op: Function = own(
        kernel,
        lambda g, y, a, b: g * scale * y * op(b, a),
        lambda g, y, a, b: -g * scale * y * op(b, a),
        name=name,
    )
    return op


natural_share = _shares(np.exp, 1.0, "natural_share")
binary_share = _shares(np.exp2, LOG_2, "binary_share")
logaddexp = elementwise(
    np.logaddexp,
    lambda g, _y, a, b: g * natural_share(a, b),
    lambda g, _y, a, b: g * natural_share(b, a),
)
logaddexp2 = elementwise(
    np.logaddexp2,
    lambda g, _y, a, b: g * binary_share(a, b),
    lambda g, _y, a, b: g * binary_share(b, a),
)


# --- circular and hyperbolic functions


square_less = own(lambda x: (1 - x) * (1 + x), lambda g, _y, x: -2 * g * x, name="square_less")
"""1 - x**2 near 1 as well as near 0, where the derivative of the product would cancel."""


def _finite(x: Array) -> Array:
    """x, and 0 for an infinity, which a factor of 0 outweighs."""
    return np.where(np.isinf(x), 0, x)


def _bell(x: Array) -> Array:
    """1 / (1 + x**2), scaled by a power of 2 so that it underflows before x**2 overflows."""
    if is_complex(x):  # near i and -i, where the sum would cancel
        return 1 / ((1 + 1j * x) * (1 - 1j * x))
    eps = float(np.finfo(np.result_type(x, 0.0)).eps)
    return eps / (eps + eps * x * x)


bell: Function = own(_bell, lambda g, y, x: g * (-2 * (_finite(x) * y) * y), name="bell")


SIMD: Any = np.show_config(mode="dicts")
COSH_IS_VECTORISED = not {"AVX512_SKX", "X86_V4"}.isdisjoint(SIMD["SIMD Extensions"]["found"])
"""Elsewhere NumPy computes cosh element by element, at six times the price of exp."""


def _over_square_cosh(a: Array, x: Array) -> Array:
    if is_complex(x):  # 0 where cosh overflows, of which complex division makes NaN
        far = np.abs(np.real(x)) > math.log(float(np.finfo(x.dtype).max)) - 1
        cosh = np.cosh(np.where(far, 0, x))
        return np.where(far, 0, a / cosh / cosh)
    if COSH_IS_VECTORISED:
        cosh = np.cosh(x)
        return a / cosh / cosh
    e = np.exp(x)
    return a * np.square(2 / (e + 1 / e))


over_square_cosh: Function = own(
    _over_square_cosh,
    lambda g, _y, _a, x: over_square_cosh(g, x),
    lambda g, y, _a, x: g * (-2 * np.tanh(x) * y),
    name="over_square_cosh",
)
"""a / cosh(x)**2, the slope of tanh. 1 - tanh(x)**2 is cheaper, and has lost all its digits at 20,
half of them at 9."""


def _root_of_square_less(x: Array) -> Array:
    """√(1 - x**2), of complex numbers on the side of the branch cuts that the zeros' signs say.

    Those are lost in 1 - x and 1 + x, but not in x - 1 and x - (-1).
    """
    if is_complex(x):
        return np.sqrt(-(x - 1)) * np.sqrt(x - (-1))
    return np.sqrt(square_less(x))


def _root_of_square_more(x: Array) -> Array:
    """√(1 + x**2)"""
    return _root_of_square_less(quarter_turn(x)) if is_complex(x) else np.hypot(x, 1.0)


def _root_above(x: Array) -> Array:
    """√(x + 1)"""
    return np.sqrt(x - (-1) if is_complex(x) else x + 1)


sin = elementwise(np.sin, lambda g, _y, x: g * np.cos(x))
cos = elementwise(np.cos, lambda g, _y, x: -g * np.sin(x))
tan = elementwise(
    np.tan,
    lambda g, y, x: over_square_cosh(g, 1j * x) if is_complex(y) else g * (1 + y * y),
)
arcsin = elementwise(np.arcsin, lambda g, _y, x: g / _root_of_square_less(x))
arccos = elementwise(np.arccos, lambda g, _y, x: -g / _root_of_square_less(x))
arctan = elementwise(np.arctan, lambda g, _y, x: g * bell(x))
sinh = elementwise(np.sinh, lambda g, _y, x: g * np.cosh(x))
cosh = elementwise(np.cosh, lambda g, _y, x: g * np.sinh(x))
tanh = elementwise(np.tanh, lambda g, _y, x: over_square_cosh(g, x))
arcsinh = elementwise(np.arcsinh, lambda g, _y, x: g / _root_of_square_more(x))
arccosh = elementwise(np.arccosh, lambda g, _y, x: g / np.sqrt(x - 1) / _root_above(x))
arctanh = elementwise(np.arctanh, lambda g, _y, x: g / square_less(x))
deg2rad = elementwise(np.deg2rad, lambda g, _y, _x: np.deg2rad(g))
radians = elementwise(np.radians, lambda g, _y, _x: np.radians(g))
rad2deg = elementwise(np.rad2deg, lambda g, _y, _x: np.rad2deg(g))
degrees = elementwise(np.degrees, lambda g, _y, _x: np.degrees(g))


# --- sides and angles


def _cosine(length: Array, a: Array, b: Array) -> Array:
    """a / length, given length = hypot(a, b); 0 at the origin, and of two infinities NaN."""
    ratio = a / (length + (length == 0))
    infinite = np.isinf(a) & np.isfinite(b)
    return np.where(infinite, np.sign(a).astype(ratio.dtype), ratio)


def _cosines(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Length, cosine and sine of the point (a, b)."""
    length = np.hypot(a, b)
    return length, cosine(length, a, b), cosine(length, b, a)


def _cosine_along(g: Array, _y: Array, _length: Array, a: Array, b: Array) -> Array:
    """b**2 / length**3, where 1 - y**2 would cancel; NaN at the origin, where nothing is right."""
    length, _, sine = _cosines(a, b)
    return g * (sine / length * sine)


def _cosine_across(g: Array, y: Array, _length: Array, a: Array, b: Array) -> Array:
    length, _, sine = _cosines(a, b)
    return g * -(sine / length * y)


cosine: Function = own(_cosine, None, _cosine_along, _cosine_across, name="cosine")
"""As a function of a and b, from which its first argument follows."""


def _inverse(a: Array, b: Array) -> Array:
    """a / (a**2 + b**2), in steps that do not overflow; 0 at infinity."""
    length = np.hypot(a, b)
    return np.where(np.isinf(length), 0, a / length / length)


def _inverse_along(g: Array, _y: Array, a: Array, b: Array) -> Array:
    """(b**2 - a**2) / (a**2 + b**2)**2."""
    length, x, y = _cosines(a, b)
    return g * ((y - x) * (y + x) / length / length)


def _inverse_across(g: Array, _y: Array, a: Array, b: Array) -> Array:
    length, x, y = _cosines(a, b)
    return g * (-2 * x * y / length / length)


inversion: Function = own(_inverse, _inverse_along, _inverse_across, name="inversion")


hypot = elementwise(
    np.hypot,
    lambda g, y, a, b: g * cosine(y, a, b),
    lambda g, y, a, b: g * cosine(y, b, a),
)
arctan2 = elementwise(
    np.arctan2,
    lambda g, _y, a, b: g * inversion(b, a),
    lambda g, _y, a, b: -g * inversion(a, b),
)


# --- quotients and remainders


def _by_divisor(g: Array, y: Array, a: Array, b: Array) -> Array:
    """a = q b + y with a whole q, constant almost everywhere: dy/db = -q."""
    return -g * np.rint((a - y) / b)


remainder = elementwise(np.remainder, lambda g, _y, _a, _b: g, _by_divisor)
fmod = elementwise(np.fmod, lambda g, _y, _a, _b: g, _by_divisor)


@handles(np.divmod)
def divmod(a: Array, b: Array, /) -> tuple[Array, Array]:
    """numpy.divmod: the whole quotients, which are constant, and the remainders.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.divmod(7.5, x)[1])(2.0)
    np.float64(-3.0)
    """
    return a // b, a % b


# --- sign, mantissa and exponent

copysign = elementwise(
    np.copysign,
    lambda g, y, a, _b: along_sign(g, a) * np.copysign(1, y),
    None,
)
nextafter = elementwise(np.nextafter, lambda g, _y, _a, _b: g, None)  # a step from a, wherever b is
heaviside = elementwise(
    np.heaviside,
    None,
    lambda g, _y, x, _h: np.where(np.equal(x, 0), g, 0),
)


def _ldexp(x: Array, n: Array) -> Array:
    """Not the ufunc itself, since programs give those all operands in one dtype."""
    return np.ldexp(x, n)


ldexp = elementwise(
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
    unchecked=True,
)
_exponent = define(lambda x: np.frexp(x)[1], name="frexp")
register_batching(batch_elementwise, _exponent)


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


# --- choices between values


def _of_first(g: Array, y: Array, a: Array, b: Array) -> Array:
    """Of maximum and minimum: g where y is a, or a is NaN; a half of it where a and b tie.

    By selection: 0 times an infinite g, as sqrt(maximum(x, 0)) has at -1, would be NaN.
    """
    if is_complex(g):
        refuse_order("maximum and minimum", g)
    return np.where((a == y) | (a != a), g, 0) / (1 + (a == b).astype(g.dtype))


def _of_second(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _of_first(g, y, b, a)


def _of_first_number(g: Array, y: Array, a: Array, b: Array) -> Array:
    """Of fmax and fmin: g where y is a; a half of it where a and b tie, or both are NaN."""
    if is_complex(g):
        refuse_order("fmax and fmin", g)
    tie = (a == b) | ((a != a) & (b != b))
    return np.where((a == y) | tie, g, 0) / (1 + tie.astype(g.dtype))


def _of_second_number(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _of_first_number(g, y, b, a)


maximum = elementwise(np.maximum, _of_first, _of_second)
minimum = elementwise(np.minimum, _of_first, _of_second)
fmax = elementwise(np.fmax, _of_first_number, _of_second_number)
fmin = elementwise(np.fmin, _of_first_number, _of_second_number)
where = define(
    np.where,
    None,
    lambda g, _y, c, _a, _b: np.where(c, g, 0),
    lambda g, _y, c, _a, _b: np.where(c, 0, g),
    kind=Kind.ELEMENTWISE,
    unchecked=True,
)
_clip = define(
    np.clip,
    lambda g, _y, x, low, high: np.where((x >= low) & (x <= high), g, 0),
    lambda g, _y, x, low, high: np.where((x < low) & (low <= high), g, 0),
    lambda g, _y, x, low, high: np.where(np.maximum(x, low) > high, g, 0),
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
    refuse_order("clip", x, low, high)
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
    if is_complex(x):
        parts = (nan_to_num(part, True, nan, posinf, neginf) for part in (np.real(x), np.imag(x)))
        return next(parts) + 1j * next(parts)
    limits = np.finfo(x.dtype)
    y = where(np.isnan(x), nan, x)
    y = where(np.equal(x, np.inf), float(limits.max) if posinf is None else posinf, y)
    y = where(np.equal(x, -np.inf), float(limits.min) if neginf is None else neginf, y)
    return y if y.shape else y[()]


# --- dtype


def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


cast = define(
    _astype, lambda g, _y, _x, dtype: g, name="astype", kind=Kind.ELEMENTWISE, unchecked=True
)
_leave = define(_astype, name="astype")
register_batching(batch_whole, cast, _leave)
for _op in (cast, _leave):
    register_lowering(_op, function=np.ndarray.astype)


def astype(x: Array, dtype: Any, *, copy: bool = True) -> Array:
    """x in another dtype. The gradient comes back in x's; integers and bools leave the tape.

    Without a copy, of an array that has that dtype, x itself.
    """
    kind = np.dtype(dtype).kind
    if not copy and x.dtype == dtype:
        return x
    if kind not in "fiubc":
        raise NotDifferentiableError(f"astype: a Tensor is of numbers, it cannot become {dtype}")
    if kind == "f" and is_complex(x):
        warn(NO_IMAGINARY_PART, np.exceptions.ComplexWarning)  # as NumPy
        x = np.real(x)
    return cast(x, dtype=dtype) if kind in "fc" else _leave(x, dtype)


NO_IMAGINARY_PART = "Casting complex values to real discards the imaginary part"


if hasattr(np, "astype"):  # NumPy 2.1
    handles(np.astype)(astype)
