"""Simplification: ops that do nothing, or that a cheaper one can do. A rule for each function."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from math import frexp
from typing import Any, TypeAlias

import numpy as np

from ...engine.primitive import Kind
from ...staging.lowering import lowering_of
from ..primitives import FULL, MULTIPLY
from ..program import END, Equation, Operand, Program, Var, producer, substitute


def simplify(program: Program) -> Program:
    """Leave out what does nothing; divide by multiplying where that is exact."""
    renamed: dict[int, Operand] = {}
    equations: dict[int, Equation] = {}
    current = replace(program, equations=equations)  # what is settled so far
    users = program.uses()
    for index, eqn in program.equations.items():
        eqn = eqn.rename(renamed)
        rule = RULES.get(eqn.op.function)
        result = rule(eqn, current) if rule and not eqn.effect else None
        if result is None and eqn.op.function is np.broadcast_to:
            result = _needless_broadcast(index, eqn, program, users, renamed)
        if isinstance(result, Var):
            renamed[index] = result
        else:
            equations[index] = result or eqn
    return program.with_equations(equations, renamed)


# --- the rules: (equation, program) -> the Var of the same value, another equation, or None

Rule: TypeAlias = Callable[[Equation, Program], Var | Equation | None]


def _same_value(eqn: Equation, x: Operand, program: Program) -> Var | None:
    """x, if its value is known to be like the equation's."""
    return x if isinstance(x, Var) and program.aval(x.index) == eqn.aval else None


def _read_literal(x: Operand, program: Program) -> float | None:
    """The number that an operand is known to be."""
    if (constant := program.constant_of(x)) is not None:
        return float(constant) if constant.shape == () and constant.dtype.kind in "fiub" else None
    return x if type(x) in (int, float) else None


def _times_one(eqn: Equation, program: Program) -> Var | None:
    if eqn.aval.dtype.kind == "c":  # 1 is 1 + 0j there, which changes signs of zeros, and inf
        return None
    for x, other in (eqn.args, eqn.args[::-1]):
        if _read_literal(other, program) == 1 and (same := _same_value(eqn, x, program)):
            return same
    return None


def _exact_division(eqn: Equation, program: Program) -> Var | Equation | None:
    """x / 2^k is x * 2^-k."""
    x, other = eqn.args
    divisor = _read_literal(other, program)
    if divisor == 1 and eqn.aval.dtype.kind != "c":
        return _same_value(eqn, x, program)
    if not divisor or abs(frexp(divisor)[0]) != 0.5 or not 1e-4 < abs(divisor) < 1e4:
        return None
    if isinstance(other, Var) or eqn.aval.form == "number" or eqn.aval.dtype.kind != "f":
        return None
    if not isinstance(x, Var) or program.aval(x.index).dtype != eqn.aval.dtype:
        return None
    return replace(eqn, op=MULTIPLY, args=(x, 1 / divisor))


def _double_negation(eqn: Equation, program: Program) -> Var | None:
    """negative(negative(x)) is x."""
    inner = producer(eqn.args[0], program)
    return inner.args[0] if inner is not None and inner.op.function is np.negative else None


def _no_op(eqn: Equation, program: Program) -> Var | None:
    """A cast to the dtype that it has, a reshape to the shape that it has."""
    return _same_value(eqn, eqn.args[0], program)


def _reshape(eqn: Equation, program: Program) -> Var | Equation | None:
    """Of two reshapes in a row only the second counts."""
    if eqn.options.get("order", "C") != "C":
        return None
    if same := _same_value(eqn, eqn.args[0], program):
        return same
    inner = producer(eqn.args[0], program)
    if (
        inner is not None
        and inner.op.function is np.reshape
        and inner.options.get("order", "C") == "C"
    ):
        shorter = replace(eqn, args=(inner.args[0], *eqn.args[1:]))
        return _same_value(shorter, inner.args[0], program) or shorter
    return None


def _transpose(eqn: Equation, program: Program) -> Var | None:
    """Two transposes in a row that undo each other."""
    inner = producer(eqn.args[0], program)
    if inner is None or inner.op.function is not np.transpose:
        return None
    if eqn.options.get("axes") is None and inner.options.get("axes") is None:
        return _same_value(eqn, inner.args[0], program)
    return None


def _whole_index(eqn: Equation, program: Program) -> Var | None:
    """x[()] of an array is the array."""
    whole = eqn.options.get("index") == () and eqn.aval.shape
    return _same_value(eqn, eqn.args[0], program) if whole else None


def _needless_broadcast(
    index: int,
    eqn: Equation,
    program: Program,
    users: dict[int, list[int]],
    renamed: dict[int, Operand],
) -> Var | None:
    """Elementwise ops broadcast by themselves, where another operand has the full shape.

    It must have it still: of two broadcasts that meet in an op only one is needless.
    """
    x = eqn.args[0]
    if not isinstance(x, Var) or program.aval(x.index).form == "number":
        return None

    def broadcasts(user: int) -> bool:
        if user == END or program.equations[user].op.kind is not Kind.ELEMENTWISE:
            return False
        others = [Var(i) for i in program.equations[user].vars if i != index]
        now = substitute(tuple(others), renamed)
        return any(program.aval(y.index).shape == eqn.aval.shape for y in now)

    return x if all(map(broadcasts, users.get(index, []))) else None


def _known_sum(eqn: Equation, program: Program) -> Equation | None:
    """Where it is known what each row sums up to, nothing has to be added up."""
    rows = producer(eqn.args[0], program)
    operand = lowering_of(rows.op).row_sum if rows is not None else None
    if rows is None or operand is None:
        return None
    if eqn.options.get("axis") not in (-1, (-1,)) or eqn.aval.dtype != rows.aval.dtype:
        return None
    return Equation(FULL, (eqn.aval.shape, rows.args[operand], eqn.aval.dtype), {}, eqn.aval)


RULES: dict[Any, Rule] = {
    np.multiply: _times_one,
    np.divide: _exact_division,
    np.negative: _double_negation,
    np.positive: _no_op,
    np.ndarray.astype: _no_op,
    np.reshape: _reshape,
    np.squeeze: _no_op,
    np.expand_dims: _no_op,
    np.broadcast_to: _no_op,
    np.transpose: _transpose,
    operator.getitem: _whole_index,
    np.sum: _known_sum,
}
"""By the function of NumPy (or operator of Python) that a primitive computes."""
