"""A program for batches of any length, found from those of three lengths.

Traced with batches of 5, 7 and 11 rows, a function gives three programs that differ in some whole
numbers: shapes, and what is computed from them. Each is `a * n + b` for the length n, which two of
the programs tell and the third confirms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..compiler.control import Held, Loop, Step
from ..compiler.program import Aval, Equation, Operand, Program, Var
from ..compiler.signature import identity
from ..support.errors import ExportError

LENGTHS = (5, 7, 11)
"""Of the batches that are traced: primes, since other axes seldom have their products."""


class Length:
    """A number that depends on the length of the batch: slope * n + offset.

    >>> (Length(1, 0), 64), Length(3, -1)
    ((n, 64), 3 * n - 1)
    """

    __slots__ = ("offset", "slope")

    def __init__(self, slope: int, offset: int) -> None:
        self.slope, self.offset = slope, offset

    def __repr__(self) -> str:
        times = {1: "n", -1: "-n"}.get(self.slope, f"{self.slope} * n")
        sign = "-" if self.offset < 0 else "+"
        return times + (f" {sign} {abs(self.offset)}" if self.offset else "")


class _Differ(Exception):  # noqa: N818 (it becomes an ExportError that knows the line)
    """Values of the three programs are not of one form."""


def unify(programs: Sequence[Program], name_line: Callable[[int], str]) -> Program:
    """One program for any length, from those for LENGTHS.

    Raises ExportError, naming the line, where they differ in more than whole numbers that grow with
    the length.
    """
    first = programs[0]
    if any(one.equations.keys() != first.equations.keys() for one in programs):
        raise ExportError("the function runs other ops for batches of another length")
    inputs = {
        i: (path, _unify_avals([one.inputs[i][1] for one in programs]))
        for i, (path, _) in first.inputs.items()
    }
    equations = {}
    try:
        for i in first.equations:
            equations[i] = _unify_equations([one.equations[i] for one in programs])
        for i in first.constants:
            _check_constants([one.constants.get(i) for one in programs], i, first.uses(), name_line)
        outputs = _unify([one.outputs for one in programs])
    except _Differ as error:
        where = name_line(i)
        raise ExportError(
            f"{where}: {error} depends on the length of the batch in a way that a program for any "
            "length cannot have: leave out batch_argnames, and export for one length"
        ) from None
    return replace(first, inputs=inputs, equations=equations, outputs=outputs)


def _check_constants(
    arrays: list[Any], i: int, users: dict[int, list[int]], name_line: Callable[[int], str]
) -> None:
    if any(x is None or identity_of_array(x) != identity_of_array(arrays[0]) for x in arrays):
        where = name_line(users.get(i, [i])[0])
        raise ExportError(
            f"{where}: an array that is computed while the function is traced depends on the "
            "length of the batch: leave out batch_argnames, and export for one length"
        )


def identity_of_array(x: Any) -> tuple[Any, ...]:
    """What tells arrays apart: type, shape, dtype and bytes."""
    return type(x), np.shape(x), x.dtype, x.tobytes()


def _unify_avals(avals: list[Aval]) -> Aval:
    return replace(avals[0], shape=_unify([aval.shape for aval in avals]))


def _unify_equations(equations: list[Equation]) -> Equation:
    first = equations[0]
    if any(eqn.op.kernel != first.op.kernel for eqn in equations):
        raise _Differ(f"which op runs ({first.op.name})")
    return replace(
        first,
        args=_unify([eqn.args for eqn in equations]),
        options=_unify([eqn.options for eqn in equations]),
        aval=_unify_avals([eqn.aval for eqn in equations]),
    )


def _unify(operands: Sequence[Operand]) -> Operand:
    """Operands that stand at one place in the three programs, as one."""
    first = operands[0]
    if any(type(x) is not type(first) for x in operands):
        raise _Differ(f"the value {first!r}")
    if isinstance(first, tuple | list):
        if len({*map(len, operands)}) > 1:
            raise _Differ("how many there are")
        return type(first)([_unify(each) for each in zip(*operands, strict=True)])
    if isinstance(first, dict):
        return {name: _unify([x[name] for x in operands]) for name in first}
    if isinstance(first, slice):
        return slice(*[_unify(each) for each in zip(*map(_bounds, operands), strict=True)])
    if type(first) is int:
        return _fit_line(operands)
    if isinstance(first, Held):
        return _unify_held(operands)
    if isinstance(first, Var):
        same = all(x == first for x in operands)
    else:
        same = len({identity(x) for x in operands}) == 1
    if not same:
        raise _Differ(f"the value {first!r}")
    return first


def _unify_held(options: Sequence[Any]) -> Held:
    """Loops and branches of the programs, as ones whose steps are for any length."""
    first: Held = options[0]
    if any(len(x.steps) != len(first.steps) for x in options):
        raise _Differ("how many branches there are")
    steps = iter([_unify_steps(each) for each in zip(*[x.steps for x in options], strict=True)])
    held = first.map(lambda _: next(steps))
    if isinstance(held, Loop):
        return held.replace(length=_unify([x.length for x in options]))
    return held


def _unify_steps(steps: Sequence[Step]) -> Step:
    return steps[0].with_program(unify([step.program for step in steps], lambda _: "in a step"))


def _bounds(x: slice) -> tuple[Any, Any, Any]:
    return x.start, x.stop, x.step


def _fit_line(values: Sequence[int]) -> int | Length:
    """The number that has these values for LENGTHS."""
    if len({*values}) == 1:
        return values[0]
    slope, rest = divmod(values[1] - values[0], LENGTHS[1] - LENGTHS[0])
    offset = values[0] - slope * LENGTHS[0]
    if rest or values[2] != slope * LENGTHS[2] + offset:
        raise _Differ(f"the number {values[0]}")
    return Length(slope, offset)
