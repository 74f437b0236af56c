"""Arithmetic and the elementary functions: each element by itself, after broadcasting.

A rule here returns a cotangent in the shape of the output; the engine sums it over the axes that
broadcasting added. Where a derivative has a corner, the value is the one of the package's table of
conventions: central at a kink, 0 where the convex minimum-norm subgradient is 0.
"""

from functools import partial
from typing import Any

import numpy as np

from ..engine.errors import NotDifferentiableError
from ..engine.primitive import Kind, define, handles, implement, no_rule_with
from ..engine.tape import Array

row = partial(implement, kind=Kind.ELEMENTWISE)


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
square = row(np.square, lambda g, _y, x: 2 * g * x)
sqrt = row(np.sqrt, lambda g, y, _x: g * (0.5 / y))


# --- exponentials, logarithms, circular and hyperbolic functions

exp = row(np.exp, lambda g, y, _x: g * y)
expm1 = row(np.expm1, lambda g, y, _x: g * (y + 1))
log = row(np.log, lambda g, _y, x: g / x)
log1p = row(np.log1p, lambda g, _y, x: g / (1 + x))
sin = row(np.sin, lambda g, _y, x: g * np.cos(x))
cos = row(np.cos, lambda g, _y, x: -g * np.sin(x))
tanh = row(np.tanh, lambda g, y, _x: g * (1 - y * y))


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


# --- choices between values


def _is_first(g: Array, y: Array, a: Array, b: Array) -> Array:
    """Of maximum and minimum: 1 where y is a, or a is NaN; a half where a and b tie."""
    half = (a == b).astype(g.dtype) * 0.5
    return g * (((a == y) | (a != a)) - half)


def _is_second(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _is_first(g, y, b, a)


maximum = row(np.maximum, _is_first, _is_second)
minimum = row(np.minimum, _is_first, _is_second)
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
    for option in limits:
        raise no_rule_with("clip", option, ["max", "min"])
    if (low is not None and a_min is not None) or (high is not None and a_max is not None):
        raise TypeError("clip: a limit was given twice, as min or max and as a_min or a_max")
    low, high = a_min if low is None else low, a_max if high is None else high
    return _clip(x, -np.inf if low is None else low, np.inf if high is None else high)


# --- dtype


def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


cast = define(
    _astype, lambda g, _y, _x, dtype: g, name="astype", kind=Kind.ELEMENTWISE, trusted=True
)
_leave = define(_astype, name="astype")


def astype(x: Array, dtype: Any) -> Array:
    """x in another dtype. The gradient comes back in x's; integers and bools leave the tape."""
    kind = np.dtype(dtype).kind
    if kind not in "fiub":
        raise NotDifferentiableError(f"astype: a Tensor is real, it cannot become {dtype}")
    return cast(x, dtype=dtype) if kind == "f" else _leave(x, dtype)


if hasattr(np, "astype"):  # NumPy 2.1
    handles(np.astype)(astype)
