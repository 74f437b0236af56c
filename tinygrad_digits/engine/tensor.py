"""Tensor: a value and its place on a tape.

What it does as an array (operators, methods, the protocols of Python and NumPy) is written out in
`ArrayMethods`, and comes down to ops. Here is what belongs to autodiff: its place on a tape, how it
moves to another, and where its gradient must not end.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..support.array_methods import ArrayMethods
from ..support.callers import NO_NUMBER, explain_no_array
from ..support.errors import LostGradientError
from ..support.foreign import PLAIN, as_parameter, is_numeric
from .primitive import NO_OPTIONS, Array, Primitive
from .tape import Interpreter, Tape


class Tensor(ArrayMethods):
    """A value on a tape. Ops on it are recorded; no array under it is ever written.

    `Tensor(value, tape)` makes an input of a tape by hand (see `Tape`); the transforms do it for
    you. Raises NotDifferentiableError where the value is not floating point, real or complex.
    """

    __slots__ = ("__weakref__", "index", "source", "tape", "value", "views")
    index: int
    tape: Interpreter
    value: Array
    source: Any
    """Of a view (see `views`): what it is a view of, and how. Not set on other Tensors."""
    views: Any
    """References to the views that were taken of it. Not set where none was."""

    def __init__(self, value: Array, tape: Tape) -> None:
        value = as_parameter(value)
        self.value = value.copy() if isinstance(value, np.ndarray) else value  # stays as it is now
        self.tape = tape
        self.index = record(tape, self.value).index
        if self.value.dtype.kind == "c":
            tape.is_complex = True

    def __repr__(self) -> str:
        live = self.index in self.tape.records
        return f"Tensor({self.value!r}, op={self.tape[self.index].name if live else 'done'})"

    def rebind(self, other: Tensor) -> None:
        """Be what the other is, from now on: `t[i] = v` rebinds t to a new array."""
        self.tape, self.index, self.value = other.tape, other.index, other.value

    def _refuse_to_be_lost(self) -> None:
        """Raise LostGradientError while this is being differentiated."""
        if isinstance(self.tape, Tape) and not self.tape.closed:
            raise LostGradientError(explain_no_array(sys._getframe(2), NO_NUMBER))


PLAIN.add(Tensor)
_new = object.__new__  # and setting three slots take half the time of calling the class


def record(
    tape: Interpreter,
    y: Array,
    op: Primitive | None = None,
    parents: tuple[int | None, ...] = (),
    inputs: tuple[Any, ...] = (),
    value: Array = None,
    options: dict[str, Any] = NO_OPTIONS,
) -> Tensor:
    """Write a Record and return the Tensor of its output y; without an op, of an input."""
    tensor = _new(Tensor)
    tensor.value = y
    tensor.tape = tape
    tensor.index = index = next(tape.indices)
    tape.records[index] = (op, parents, inputs, value, options, y.shape, y.dtype)
    return tensor


def box_leaves(leaves: list[Any], tape: Tape, boxed: list[Any]) -> None:
    """Append the leaves as inputs of a tape; those that are neither arrays nor numbers as are."""
    for leaf in leaves:
        if type(leaf) is np.ndarray and leaf.dtype.kind in "fc":
            boxed.append(record(tape, leaf))
            tape.is_complex = tape.is_complex or leaf.dtype.kind == "c"
        else:
            boxed.append(Tensor(leaf, tape) if is_numeric(leaf) else leaf)
