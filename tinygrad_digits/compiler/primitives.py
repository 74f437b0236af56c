"""The primitives that the compiler itself writes into programs.

What a pass puts in the place of an equation is NumPy's own function. Nothing is known here of the
ops: the tables of the compiler go by the function of NumPy that a primitive computes.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..engine.primitive import Kind, Primitive


def _pack(*arrays: Any) -> Any:
    return np.concatenate([x.ravel() for x in arrays])


def _piece(x: Any, start: int, shape: tuple[int, ...]) -> Any:
    return x[start : start + prod(shape)].reshape(shape)


def _item(results: Any, k: int) -> Any:
    return results[k]


def _as_scalars(*xs: Any) -> list[Any]:
    return [x[()] if isinstance(x, np.ndarray) else x for x in xs]


def _power(x: Any, n: Any) -> Any:
    x, n = _as_scalars(x, n)
    return x**n


def _product(x: Any, y: Any) -> Any:
    x, y = _as_scalars(x, y)
    return x * y


def _square(x: Any) -> Any:
    return np.square(*_as_scalars(x))


PACK = Primitive(_pack, (), "pack", Kind.GATHER)
"""Arrays end to end, which a plan lets be computed there, so that nothing has to be copied."""
PIECE = Primitive(_piece, (), "piece", Kind.VIEW)
"""A slice of a packed array, in the shape that it had."""
ITEM = Primitive(_item, (), "item", Kind.OPAQUE)
"""One of the results of an op that has several."""

SCALAR_POWER = Primitive(_power, (), "power", Kind.OPAQUE)
"""The ** of NumPy's scalars: a routine of its own, which rounds differently from np.power's."""
SCALAR_POWER.function = np.power  # to native code, which has one routine for both
SCALAR_PRODUCT = Primitive(_product, (), "multiply", Kind.OPAQUE)
"""The * of NumPy's complex scalars, which rounds each product; np.multiply fuses two of them."""
SCALAR_PRODUCT.function = np.multiply
SCALAR_SQUARE = Primitive(_square, (), "square", Kind.OPAQUE)
"""np.square of NumPy's complex scalars, which rounds as their * does, and of arrays does not."""
SCALAR_SQUARE.function = np.square

ADD = Primitive(np.add, (), "add", Kind.ELEMENTWISE)
MULTIPLY = Primitive(np.multiply, (), "multiply", Kind.ELEMENTWISE)
MAXIMUM = Primitive(np.maximum, (), "maximum", Kind.ELEMENTWISE)
MINIMUM = Primitive(np.minimum, (), "minimum", Kind.ELEMENTWISE)
MATMUL = Primitive(np.matmul, (), "matmul", Kind.PRODUCT)
SUM = Primitive(np.sum, (), "sum", Kind.REDUCTION, reduction_ufunc=np.add)
TRANSPOSE = Primitive(np.transpose, (), "transpose", Kind.VIEW)
RESHAPE = Primitive(np.reshape, (), "reshape", Kind.VIEW)
COPY = Primitive(np.copy, (), "copy", Kind.OPAQUE)
FULL = Primitive(np.full, (), "full", Kind.GATHER)
