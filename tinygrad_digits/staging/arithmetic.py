"""Python's arithmetic, for ops on Python numbers alone: these leave float32 arrays float32."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Kind, Primitive

NUMBERS = (float, int, bool, complex)


def _square(x: complex) -> complex:
    return x**2


_PYTHON: dict[Any, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.power: operator.pow,
    np.remainder: operator.mod,
    np.floor_divide: operator.floordiv,
    np.square: _square,
    np.negative: operator.neg,
    np.positive: operator.pos,
    np.absolute: abs,
    np.real: operator.attrgetter("real"),
    np.imag: operator.attrgetter("imag"),
    np.conjugate: operator.methodcaller("conjugate"),
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
}
ARITHMETIC: dict[Any, Primitive] = {
    ufunc: Primitive(function, (), ufunc.__name__, Kind.OPAQUE)
    for ufunc, function in _PYTHON.items()
}
"""What Python computes in the place of a ufunc."""
