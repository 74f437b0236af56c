"""How values are written in native code: NumPy's ufuncs as expressions, dtypes, numbers, arrays."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, prod
from typing import Any

import numpy as np

from ..staging.lowering import SourceArray, SourceCall
from .program import Equation, Operand, Program, Var, map_operand

SYMBOLS: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.square: "{0} * {0}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.maximum: "{0} if {0} >= {1} or {0} != {0} else {1}",
    np.minimum: "{0} if {0} <= {1} or {0} != {0} else {1}",
    np.logical_and: "{0} and {1}",
    np.logical_or: "{0} or {1}",
    np.logical_not: "not {0}",
    np.isnan: "{0} != {0}",
    np.power: "{0} ** {1}",
    np.bitwise_and: "{0} & {1}",
    np.bitwise_or: "{0} | {1}",
    np.bitwise_xor: "{0} ^ {1}",
    np.reciprocal: "1 / {0}",
    np.conjugate: "{0}",
    np.float_power: "{0} ** {1}",
    np.fmax: "{0} if {0} >= {1} or {1} != {1} else {1}",
    np.fmin: "{0} if {0} <= {1} or {1} != {1} else {1}",
    np.heaviside: "{1} if {0} == 0 else {0} if {0} != {0} else 1.0 if {0} > 0 else 0.0",
    np.logical_xor: "({0} != 0) != ({1} != 0)",
}
"""Ufuncs as expressions of their (cast) operands."""

FUNCTIONS = (
    *(np.absolute, np.sqrt, np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p),
    *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.arctan2, np.hypot),
    *(np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.logaddexp, np.logaddexp2),
    *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isfinite, np.isinf, np.deg2rad),
    *(np.rad2deg, np.copysign, np.cbrt, np.degrees, np.radians, np.fabs, np.fmod, np.remainder),
    *(np.ldexp, np.signbit, np.nextafter),
)
"""Ufuncs that numba knows by name."""

SYMBOLS |= {f: f"np.{f.__name__}({', '.join(f'{{{k}}}' for k in range(f.nin))})" for f in FUNCTIONS}

NATIVE_DTYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "f4",
    np.dtype(np.float64): "f8",
    np.dtype(bool): "np.bool_",
    **{
        np.dtype(name): f"np.{name}"
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}
"""The dtypes of native code and their names in it."""


def number(x: float, dtype: np.dtype[Any]) -> str:
    """A number of this dtype, as native code writes it."""
    text = repr(x) if isfinite(x) else {"inf": "np.inf", "-inf": "-np.inf"}.get(repr(x), "np.nan")
    return f"{NATIVE_DTYPES[dtype]}({text})"


class Layouts:
    """How the values of a program lie in memory."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.views: dict[int, str] = {}
        """C (in plain order), F (a transposed matrix) or A (anything) for views."""

    def of(self, x: Operand) -> str:
        """The layout of an operand: C for whatever is no view."""
        return self.views.get(x.index, "C") if isinstance(x, Var) else "A"


class Names:
    """The names that a native function has for the values of a program."""

    def __init__(
        self, program: Program, arrays: dict[int, str], layouts: Layouts, planned: set[int]
    ) -> None:
        self.program = program
        self.arrays = arrays
        self.layouts = layouts
        self.planned = planned

    def array(self, x: Operand) -> str:
        """The array that an operand is."""
        return self.arrays[x.index]

    def flat(self, x: Operand) -> str:
        """An array in plain order as one with a single axis."""
        return _flatten(self.arrays[x.index], self.program.aval(x.index).shape)

    def element(self, i: int, position: str) -> str:
        """An element of a value; what has no axes is a number, or an array of one."""
        aval = self.program.aval(i)
        if aval.shape:
            return f"{self.arrays[i]}[{position}]"
        if i in self.program.constants:
            return self.arrays[i]  # a number
        if i in self.planned:
            return f"{self.arrays[i]}[0]"
        return f"{self.arrays[i]}[()]" if aval.form == "array" else self.arrays[i]


def _flatten(name: str, shape: tuple[int, ...]) -> str:
    return name if len(shape) <= 1 else f"{name}.reshape({prod(shape)})"


def source_call(
    eqn: Equation, index: int, layouts: Layouts, names: Callable[[int], str]
) -> SourceCall:
    """An equation as what is registered on its primitive gets to see it."""

    def describe(x: Operand) -> Any:
        if not isinstance(x, Var):
            return x
        aval, name = layouts.program.aval(x.index), names(x.index)
        plain = layouts.of(x) == "C" and aval.form == "array"
        flat, cast = _flatten(name, aval.shape), NATIVE_DTYPES.get(aval.dtype, "")
        return SourceArray(name, flat, aval.shape, aval.dtype, plain, cast)

    args, options = map_operand(describe, (eqn.args, eqn.options))
    return SourceCall(args, options, describe(Var(index)))
