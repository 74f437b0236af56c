"""NumPy's ufuncs as formulas of terms, in the dtypes of NumPy."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from ...support.loading import load
from .complex_terms import ComplexTerm, make_complex
from .terms import BOOL, DOUBLE, FLOAT, MATHEMATICS, Term

TYPES: dict[np.dtype[Any], ir.Type] = {
    np.dtype(bool): BOOL,
    np.dtype(np.float32): FLOAT,
    np.dtype(np.float64): DOUBLE,
    np.dtype(np.complex64): ir.ArrayType(FLOAT, 2),
    np.dtype(np.complex128): ir.ArrayType(DOUBLE, 2),
    **{
        np.dtype(f"{sign}{bits}"): ir.IntType(bits)
        for sign in ("int", "uint")
        for bits in (8, 16, 32, 64)
    },
}
"""The dtypes of native code. A bool is one bit, and a byte in memory; a complex number two."""


def convert(x: Any, dtype: np.dtype[Any]) -> Any:
    """A term in another dtype."""
    if dtype.kind == "c":
        return make_complex(x, TYPES[dtype].element)
    return x.convert(TYPES[dtype], unsigned=dtype.kind == "u")


def find_part(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real and the imaginary part."""
    return np.dtype(f"f{dtype.itemsize // 2}")


def constant(builder: ir.IRBuilder, number: Any, dtype: np.dtype[Any]) -> Any:
    """A number of this dtype."""
    if dtype.kind == "c":
        parts = (number.real, number.imag)
        return ComplexTerm(*[constant(builder, part, find_part(dtype)) for part in parts])
    value = float(dtype.type(number)) if dtype.kind == "f" else int(number)  # rounded as by NumPy
    return Term(builder, ir.Constant(TYPES[dtype], value), dtype.kind == "u")


def _call(name: str) -> Callable[..., Any]:
    """The function of that name in our mathematics."""
    return lambda x, *others: x.compute(name, *others)


def _intrinsic(name: str) -> Callable[..., Term]:
    """LLVM's own, which of integers is the number itself."""
    return lambda x, *others: x.call(name, *others) if x.is_float else x


def _compare(relation: Callable[[Any, Any], Any]) -> Callable[..., Term]:
    """A comparison of numbers, also of an uint64 with an int64."""

    def formula(a: Term, b: Term) -> Term:
        mixed = a.unsigned != b.unsigned
        compared: Term = relation(*(x.convert(x.scalar, x.unsigned or mixed) for x in (a, b)))
        if not mixed:
            return compared
        negative, known = (b < 0, relation(1, 0)) if a.unsigned else (a < 0, relation(0, 1))
        return negative | compared if known else ~negative & compared

    return formula


def _sign(x: Term) -> Term:
    if x.unsigned:
        return (x != 0).select(x.constant(1), 0)
    sign = (x > 0).select(x.constant(1), (x < 0).select(x.constant(-1), 0))
    return x.is_nan().select(x, sign) if x.is_float else sign


def _remainder(a: Term, b: Term) -> Term:
    """What is left of a, with the sign of b (np.remainder); of nothing by nothing, of ints, 0."""
    if not a.is_float:
        left = _fmod(a, b)
        if a.unsigned:
            return left
        return (((left < 0) ^ (b < 0)) & (left != 0)).select(left + b, left)
    left = a % b
    turned = ((left < 0) ^ (b < 0)).select(left + b, left)
    return (left == 0).select(left.constant(0).copysign(b), turned)


def _fmod(a: Term, b: Term) -> Term:
    """What is left of a, with the sign of a (np.fmod)."""
    if a.is_float:
        return a % b
    nothing = b == 0 if a.unsigned else (b == 0) | (b == -1)  # both trap: the least number by -1
    return nothing.select(b.constant(0), a % nothing.select(b.constant(1), b))


def _is_finite(x: Term) -> Term:
    return abs(x) < math.inf if x.is_float else x == x


def _is_infinite(x: Term) -> Term:
    return abs(x) == math.inf if x.is_float else x != x


def _has_sign(x: Term) -> Term:
    return x.bitcast(ir.IntType(x.bits)) < 0 if x.is_float else x < 0


def _heaviside(x: Term, at_zero: Term) -> Term:
    side = (x > 0).select(x.constant(1), 0)
    return x.is_nan().select(x, (x == 0).select(at_zero, side))


def _next_after(x: Term, y: Term) -> Term:
    """The neighbour of x on the way to y: its bits count up away from 0."""
    bits = x.bitcast(ir.IntType(x.bits))
    away = ((x < y) ^ (x < 0)).select(bits + 1, bits - 1).bitcast(x.scalar)
    smallest = bits.constant(1).bitcast(x.scalar).copysign(y)
    moved = (x == y).select(y, (x == 0).select(smallest, away))
    return (x.is_nan() | y.is_nan()).select(x + y, moved)


def _scale(x: Term, k: Term) -> Term:
    """x 2**k (np.ldexp): in steps, as 2**k itself may be no number."""
    limit = 1000 if x.bits == 64 else 120
    near = k.maximum(-limit).minimum(limit)
    far = (k - near).maximum(-2 * limit).minimum(2 * limit)
    steps = (each.convert(ir.IntType(x.bits)) for each in (near, far))
    scale: Callable[[Term, Term], Term] = load(f"{MATHEMATICS}.formats", "scale")
    return functools.reduce(scale, steps, x)


FORMULAS: dict[Any, Callable[..., Any]] = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: a * b,
    np.divide: lambda a, b: a / b,
    np.negative: lambda x: -x,
    np.positive: lambda x: x,
    np.square: lambda x: x * x,
    np.absolute: abs,
    np.fabs: abs,
    np.sign: _sign,
    np.greater: _compare(operator.gt),
    np.greater_equal: _compare(operator.ge),
    np.less: _compare(operator.lt),
    np.less_equal: _compare(operator.le),
    np.equal: _compare(operator.eq),
    np.not_equal: _compare(operator.ne),
    np.maximum: lambda a, b: a.maximum(b),
    np.minimum: lambda a, b: a.minimum(b),
    np.fmax: lambda a, b: a.fmax(b),
    np.fmin: lambda a, b: a.fmin(b),
    np.logical_and: lambda a, b: a.convert(BOOL) & b.convert(BOOL),
    np.logical_or: lambda a, b: a.convert(BOOL) | b.convert(BOOL),
    np.logical_xor: lambda a, b: a.convert(BOOL) ^ b.convert(BOOL),
    np.logical_not: lambda x: ~x.convert(BOOL),
    np.bitwise_and: lambda a, b: a & b,
    np.bitwise_or: lambda a, b: a | b,
    np.bitwise_xor: lambda a, b: a ^ b,
    np.invert: lambda x: ~x,
    np.isnan: lambda x: x.is_nan(),
    np.isfinite: _is_finite,
    np.isinf: _is_infinite,
    np.signbit: _has_sign,
    np.conjugate: lambda x: x,
    np.heaviside: _heaviside,
    np.remainder: _remainder,
    np.fmod: _fmod,
    np.copysign: lambda a, b: a.copysign(b),
    np.floor: _intrinsic("floor"),
    np.ceil: _intrinsic("ceil"),
    np.trunc: _intrinsic("trunc"),
    np.rint: _intrinsic("rint"),
    np.sqrt: _intrinsic("sqrt"),
    np.deg2rad: lambda x: x * (math.pi / 180),
    np.radians: lambda x: x * (math.pi / 180),
    np.rad2deg: lambda x: x * (180 / math.pi),
    np.degrees: lambda x: x * (180 / math.pi),
    np.float_power: _call("power"),
    np.nextafter: _next_after,
    np.ldexp: _scale,
}
"""Ufuncs as formulas of their operands, which have been converted to one of their loops' dtypes."""

ELEMENTARY = (
    *(np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan),
    *(np.arcsin, np.arccos, np.arctan, np.arctan2, np.sinh, np.cosh, np.tanh, np.arcsinh),
    *(np.arccosh, np.arctanh, np.hypot, np.logaddexp, np.logaddexp2, np.power, np.cbrt),
)
"""Ufuncs of which `mathematics` has a function of the same name."""

FORMULAS |= {f: _call(f.__name__) for f in ELEMENTARY}
FORMULAS[np.reciprocal] = lambda x: 1 / x

OF_COMPLEX: dict[Any, Callable[..., Any]] = {
    **{f: FORMULAS[f] for f in (np.add, np.subtract, np.multiply, np.square, np.absolute)},
    **{f: FORMULAS[f] for f in (np.divide, np.negative, np.positive, np.float_power)},
    **{f: FORMULAS[f] for f in (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)},
    **{f: _call(f.__name__) for f in (np.exp, np.expm1, np.sinh, np.cosh, np.tanh)},
    **{f: _call(f.__name__) for f in (np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan)},
    **{f: _call(f.__name__) for f in (np.sqrt, np.power)},
    np.sign: _call("direction"),
    np.conjugate: lambda z: z.conjugate(),
    np.reciprocal: lambda z: z.reciprocal(),
    np.equal: lambda a, b: a == b,
    np.not_equal: lambda a, b: a != b,
    np.isnan: lambda z: z.real.is_nan() | z.imag.is_nan(),
    np.isfinite: lambda z: _is_finite(z.real) & _is_finite(z.imag),
    np.isinf: lambda z: _is_infinite(z.real) | _is_infinite(z.imag),
}
"""The same of complex operands."""

NAMED: dict[str, Callable[..., Any]] = {
    "angle": _call("angle"),
    "direction": _call("direction"),
    "erf": _call("erf"),
    "erfc": _call("erfc"),
    "ndtr": lambda x: _call("erfc")(x * -math.sqrt(0.5)) * 0.5,
}
"""Formulas that ops ask for by name."""

OF_FLOATS = {np.power, np.reciprocal}
"""Those whose formulas are not what NumPy computes of integers."""


def find_formula(ufunc: Any, dtypes: tuple[np.dtype[Any], ...] | None) -> Callable[..., Any] | None:
    """The formula of a ufunc in these dtypes, of the operands and the result, if it has one."""
    if dtypes is None or not all(dtype in TYPES for dtype in dtypes):
        return None
    kinds = {dtype.kind for dtype in dtypes}
    if "c" in kinds:
        return OF_COMPLEX.get(ufunc)
    return None if ufunc in OF_FLOATS and kinds != {"f"} else FORMULAS.get(ufunc)
