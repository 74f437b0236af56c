"""What tells one program of a function from another: the signature of a call.

Of what may change from call to call it has shapes, dtypes and types; of everything else the value.
Values are compared as they are written: 1, 1.0 and True differ, so do 0.0 and -0.0, and NaN is
equal to itself. An instance is compared by what it is and by its state, as far as f reads it.
"""

from __future__ import annotations

import functools
import numbers
import sys
from collections.abc import Hashable
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from ..support.tree import container_of
from .instances import Attributes, Instance, Same, fingerprint_array, has_state


def is_input(leaf: Any) -> bool:
    """Whether a leaf may change between calls without a new trace."""
    arrays = np.ndarray | np.number | np.bool_
    return type(leaf) in (float, complex) or isinstance(leaf, arrays) or is_generator(leaf)


def is_generator(leaf: Any) -> bool:
    """Whether something is a random generator, of a module that NumPy imports when it is used."""
    random = sys.modules.get("numpy.random")
    kind = getattr(random, "Generator", None)  # another thread may be importing it now
    return kind is not None and isinstance(leaf, kind)


class Sealed:
    """An argument that is one leaf, compared as a whole."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any, attributes: Attributes) -> None:
        self.value = value
        self.key = identity(value, attributes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.key == other.key

    def __hash__(self) -> int:
        hash(self.value)  # raises for what has no value to compare, as a list
        return hash(self.key)


def key_of(leaf: Any, attributes: Attributes) -> Hashable:
    """What the signature says of a leaf."""
    if type(leaf) is np.ndarray:
        return leaf.shape, leaf.dtype
    if is_input(leaf) or isinstance(leaf, np.ndarray):  # other arrays the trace will refuse
        return type(leaf), "input"
    hash(leaf)  # identity takes the place in memory of what has no value to compare
    return leaf if isinstance(leaf, Sealed) else identity(leaf, attributes)


def identity(operand: Any, attributes: Attributes | None = None) -> Hashable:
    """A value as something that can be compared and hashed; 1, 1.0 and True differ.

    With `attributes`, instances and arrays in it are taken as they are now.
    """

    def inside(x: Any) -> Hashable:
        return identity(x, attributes)

    if isinstance(operand, dict):
        named = sorted(operand.items(), key=lambda item: str(item[0]))
        return tuple((inside(name), inside(x)) for name, x in named)
    if isinstance(operand, tuple | list):
        return type(operand), tuple(map(inside, operand))
    if isinstance(operand, slice):
        return slice, inside((operand.start, operand.stop, operand.step))
    if isinstance(operand, float):
        return type(operand), operand.hex()  # tells -0.0 from 0.0, and NaN is "nan"
    if isinstance(operand, numbers.Number | np.generic) and not isinstance(operand, int):
        return type(operand), repr(operand)  # so does this, of complex and of NumPy's numbers
    if isinstance(operand, frozenset):
        return frozenset, frozenset(map(inside, operand))
    if hasattr(type(operand), "__dataclass_fields__"):
        fields = container_of(type(operand)).open(operand)  # type: ignore[union-attr]
        return type(operand), tuple(map(inside, fields.values()))
    if isinstance(operand, MethodType):
        return MethodType, inside(operand.__func__), inside(operand.__self__)
    if isinstance(operand, functools.partial):
        return type(operand), *map(inside, (operand.func, operand.args, operand.keywords))
    if attributes is not None and isinstance(operand, FunctionType):
        attributes.notice(operand)
    if attributes is not None and type(operand) is np.ndarray:  # in an instance, or a partial
        return fingerprint_array(operand)
    if attributes is not None and has_state(operand):
        return Instance(operand, attributes)
    return type(operand), operand if isinstance(operand, Hashable) else Same(operand)
