"""Lowering: what the compiler is told of an op besides its kind. It is declared beside the op.

    register_lowering(
        hits,                                             # zeros, but for a value at some places
        statement="{out}.fill(0); {out}.reshape(-1)[{0}] = {1}",          # for the NumPy backend
        native=_write_hits,                                               # for the native one
    )

What is not told is done by calling the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..engine.primitive import Op, Primitive


class SourceArray:
    """An array as the code that is being written sees it."""

    __slots__ = ("dtype", "name", "plain", "shape")

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], plain: bool
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.plain = plain  # whether it is an array that lies in memory row by row

    def __getitem__(self, at: Any) -> Any:
        """The element at a place: for those that write native code."""
        raise NotImplementedError

    def __setitem__(self, at: Any, value: Any) -> None:
        """Write an element."""
        raise NotImplementedError


class SourceCall:
    """An op where code for it is to be written: arrays are SourceArrays, numbers are themselves."""

    __slots__ = ("alone", "args", "options", "out")

    def __init__(
        self, args: tuple[Any, ...], options: dict[str, Any], out: Any, alone: bool = False
    ) -> None:
        self.args = args
        self.options = options
        self.out = out
        self.alone = alone  # whether there is no kernel that could do it better


Writer: TypeAlias = Callable[[SourceCall], Callable[[Any], None] | None]
"""Call -> what writes native code for it with a `compiler.native.code.FunctionWriter`, or None.

What it writes with, it may do within loops (`with code.loop(n) as k:`): elements of arrays are
terms with Python's operators, read as `x[k]` and written as `out[k] = x[k] + 1`; with one index an
array in plain order is counted through. `code.fail_if(condition)` ends it: then the kernel runs.
"""


class Lowering:
    """How an op is written in programs, each part in a way of its own, or not at all.

    Args:
        statement: NumPy statements, between semicolons, that write the result into `{out}`, from
            the operands `{0}`, `{1}` ...; for a kernel that makes a new array.
        element: of an elementwise op, the native formula of one element, of terms in the dtype of
            the result; or the name of one that native code knows ("erf"). It joins others' loops.
        complex_element: the same where the operands or the result are complex: of complex terms,
            which have a real and an imag; for an equation with options that are all false.
        native: what writes a native block, or returns None where there is none.
        guard: of an op with an effect, a condition (in terms of maximum_reduce and uintp) under
            which its kernel has to be called at all, or None where it always has to be.
        row_sum: the number of the operand to which each row of the last axis sums up.
        row: of the options, the row of zeros in whose place its one operand is, or None.
        stand_in: what is called in the kernel's place while a program is traced, for something of
            the result's shape and dtype: for a kernel that raises on values that are no results.

    All have to give what the kernel gives.
    """

    __slots__ = (
        *("complex_element", "element", "guard", "native"),
        *("row", "row_sum", "stand_in", "statement"),
    )

    def __init__(
        self,
        *,
        statement: str = "",
        element: Callable[..., Any] | str | None = None,
        complex_element: Callable[..., Any] | str | None = None,
        native: Writer | None = None,
        guard: Callable[[SourceCall], str | None] | None = None,
        row_sum: int | None = None,
        row: Callable[[dict[str, Any]], int | None] | None = None,
        stand_in: Callable[..., Any] | None = None,
    ) -> None:
        self.statement = statement
        self.element = element
        self.complex_element = complex_element
        self.native = native
        self.guard = guard
        self.row_sum = row_sum
        self.row = row
        self.stand_in = stand_in


NOTHING_KNOWN = Lowering()


def lowering_of(op: Primitive) -> Lowering:
    """What is registered on a primitive."""
    lowering: Lowering = op.lowering or NOTHING_KNOWN
    return lowering


def register_lowering(op: Op, *, function: Any = None, effect: bool = False, **how: Any) -> None:
    """Tell the compiler about an op.

    Args:
        op: what `define` has made.
        function: the function of NumPy or operator of Python that its kernel computes, if that is
            another way to do the same: the op is then compiled like this function.
        effect: whether it is there for what it raises or warns of, so that it is never left out.
        how: the arguments of a `Lowering`.

    >>> import tinygrad_digits as td
    >>> softsign = td.define(
    ...     lambda x: x / (1 + np.abs(x)),
    ...     lambda g, _y, x: g / np.square(1 + np.abs(x)),
    ...     name="softsign", kind="elementwise",
    ... )
    >>> register_lowering(softsign, element=lambda x: x / (1 + abs(x)))
    """
    primitive = op.primitive
    primitive.effect = effect
    if function is not None:
        primitive.function = function
    primitive.lowering = Lowering(**how)
