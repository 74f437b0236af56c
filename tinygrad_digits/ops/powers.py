"""Powers, whose derivatives of every order by base and exponent are one op: `power_slope`.

Written as b * a**(b-1) and so on, the limits at a = 0 and b = 0 would come out right as numbers,
but not as functions: one derivative further they would be wrong, or depend on the order.
"""

from functools import partial
from math import comb
from typing import Any

import numpy as np

from ..engine.define import define, primitive
from ..engine.primitive import Array, Function, Kind
from .complex_parts import is_complex
from .elementwise import reciprocal, sqrt, square
from .registering import handles, implement

elementwise = partial(primitive, kind=Kind.ELEMENTWISE, unchecked=True, composite=True)


def _lower(a: Array, b: Array, n: int) -> Array:
    """a**(b - n), to the last digit also where b - n is rounded.

    What is lost then (by Knuth's exact difference) comes back as a factor; at a = 1e300 it is worth
    a hundred units in the last place.
    """
    less = b - n
    part = less - b
    lost = (b - (less - part)) - (n + part)
    if type(lost) is float and lost == 0:
        return a**less  # as for x**0.5, which costs half as much so
    power = a**less
    base = np.where(np.greater(a, 0) & np.isfinite(a), a, 1).astype(np.result_type(power))
    return power * np.maximum(1 + lost * np.log(base), 0.5)  # above 0 where b itself is huge


def _falling(b: Array, n: int, order: int) -> Array:
    """The derivative of that order of b (b-1) ... (b-n+1)."""
    if order:
        coefficients = np.polynomial.Polynomial.fromroots(range(n)).deriv(order).coef
        total = 0 * b
        for c in reversed(coefficients):
            total = total * b + float(c)
        return total
    product = 1 + 0 * b
    for k in range(n):
        product = product * (b - k)
    return product


def _polynomial(a: Array, b: Array, n: int, k: int) -> Array:
    """What multiplies a**(b-n): the sum of C(k,j) (d/db)^j [b ... (b-n+1)] log(a)**(k-j).

    At a = 0 a large negative number stands for the logarithm, so that the leading term decides.
    """
    total = _falling(b, n, 0)
    if k:
        dtype = np.result_type(a, b)
        logarithm = np.log(np.where(np.equal(a, 0), 1, a).astype(dtype))
        logarithm = np.where(np.equal(a, 0), -(np.finfo(dtype).max ** (1 / (k + 1))), logarithm)
        for j in range(1, k + 1):
            total = total * logarithm + (comb(k, j) * _falling(b, n, j) if j <= n else 0)
    return total


def _power_slope(a: Array, b: Array, by_base: int, by_exponent: int) -> Array:
    """The derivative of a**b, so often by the base and by the exponent; at a = 0 its limit.

    Only d/db at (0, 0) is 0 by convention. Where b is one of the whole numbers that make the factor
    0, so is the product, whatever a power of 0 would be.
    """
    if by_exponent:
        return _with_logarithms(a, b, by_base, by_exponent)
    zero = b == 0
    for k in range(1, by_base):
        zero = zero | (b == k)
    finite = b  # an exponent for 0 to multiply a power of
    for _ in range(by_base):
        finite = finite + zero
    y = _lower(a, finite, by_base)
    for k in range(by_base):
        y = y * (b - k)
    return np.float64(y) if type(y) is float else y


def _with_logarithms(a: Array, b: Array, by_base: int, by_exponent: int) -> Array:
    factor = _polynomial(a, b, by_base, by_exponent)
    size = _lower(a, b, by_base)
    y = np.where(np.equal(factor, 0) | np.equal(size, 0), 0, size * factor)
    unbounded = np.equal(a, 0) & np.equal(b, by_base) & (np.abs(factor) > 1e8)
    return np.where(unbounded, np.sign(factor) * np.inf, y)[()]  # of scalars a scalar


power_slope: Function = elementwise(
    lambda g, _y, a, b, by_base, by_exponent: (
        g * power_slope(a, b, by_base=by_base + 1, by_exponent=by_exponent)
    ),
    lambda g, _y, a, b, by_base, by_exponent: (
        g * power_slope(a, b, by_base=by_base, by_exponent=by_exponent + 1)
    ),
    name="power_slope",
)(_power_slope)


@elementwise(
    None,  # y is a**b, of which the other two arguments tell
    lambda g, _z, _y, a, b: g * power_slope(a, b, by_base=1, by_exponent=1),
    lambda g, _z, _y, a, b: g * power_slope(a, b, by_base=0, by_exponent=2),
)
def times_log(y: Array, a: Array, b: Array) -> Array:
    """a**b log(a), given y = a**b; where that is 0, and at (0, 0), it is 0, as if of log 1."""
    flat = np.equal(y, 0) | (np.equal(a, 0) & np.equal(b, 0))
    return y * np.log(np.where(flat, 1, a).astype(np.result_type(y)))


def _by_base(g: Array, _y: Array, a: Array, b: Array) -> Array:
    if is_complex(g):
        return g * _complex_slope(a, b)
    if type(b) is int:  # which a program knows, and which makes the next derivative as cheap
        return g * (b * a ** (b - 1 if b else 0))
    return g * power_slope(a, b, by_base=1, by_exponent=0)


def _by_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    return g * (_complex_log(y, a) if is_complex(g) else times_log(y, a, b))


def _complex_slope(a: Array, b: Array) -> Array:
    """b a**(b-1), and 0 where b is; on the branch cut of a the side is that of a**b."""
    return b * a ** (b - 1 + (b == 0))


def _complex_log(y: Array, a: Array) -> Array:
    """y log(a), for y = a**b, and 0 where y is."""
    zero = np.equal(y, 0)
    return np.where(zero, 0, y) * np.log(np.where(zero, 1, a).astype(y.dtype))


_power = define(np.power, _by_base, _by_exponent, kind=Kind.ELEMENTWISE, unchecked=True)


@handles(np.power)
def power(a: Array, b: Array, /) -> Any:
    """numpy.power, with the square as an op of its own.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: x**3)(2.0)
    np.float64(12.0)
    """
    return square(a) if type(b) is int and b == 2 else _power(a, b)


def raise_to(a: Array, b: Array) -> Any:
    """a ** b, as NumPy's operator: of arrays it takes the root, and the complex reciprocal.

    np.power gives other last digits for three complex roots in four, and NaN where one part is
    infinite; and other roots of a float16's -inf and -0.0.
    """
    if type(b) is int:
        if b == 2:
            return square(a)
        if b == -1 and is_complex(a) and a.is_array:
            return reciprocal(a)
    elif type(b) is float and b == 0.5 and a.is_array and a.dtype.kind in "fc":
        return sqrt(a)
    return _power(a, b)


def _wide(g: Array, *inputs: Array) -> list[Array]:
    """float_power computes in float64 or complex128, whatever its arguments are."""
    return [x.astype(g.dtype) if hasattr(x, "dtype") else g.dtype.type(x).item() for x in inputs]


def _by_base_of_any(g: Array, _y: Array, a: Array, b: Array) -> Array:
    return g * (
        _complex_slope(a, b) if is_complex(g) else power_slope(a, b, by_base=1, by_exponent=0)
    )


float_power = implement(
    np.float_power,
    lambda g, y, a, b: _by_base_of_any(g, y, *_wide(g, a, b)),
    lambda g, y, a, b: _by_exponent(g, y, *_wide(g, a, b)),
    kind=Kind.ELEMENTWISE,
)
