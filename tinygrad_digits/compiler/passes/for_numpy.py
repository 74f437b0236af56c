"""Passes for the NumPy backend, where the number of calls counts, and of what kind they are."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from math import prod

import numpy as np

from ...engine.primitive import Kind
from ..primitives import COPY, PACK, PIECE, RESHAPE, TRANSPOSE
from ..program import Aval, Equation, Program, Var, producer
from ..signature import identity


def prepare_for_numpy(program: Program) -> Program:
    """The program after all of them."""
    for each in FOR_NUMPY:
        program = each(program)
    return program


def column_maxima(program: Program) -> Program:
    """The maxima of many short rows, in softmax, as those of a few long columns: in half the time.

    Where 0.0 and -0.0 tie the other may be found; after exp, or less a logarithm, it is the same.
    """
    users = program.uses()
    for index, eqn in program.equations.items():
        if _is_peak(eqn, program) and _in_softmax(index, users, program):
            program = _take_columns(index, program)
    return program


def _is_peak(eqn: Equation, program: Program) -> bool:
    """Whether an equation is the maximum along the rows of a matrix."""
    if eqn.op.reduction_ufunc is not np.maximum or eqn.options != {"axis": -1, "keepdims": True}:
        return False
    aval = program.aval(eqn.vars[0])
    rows, columns = aval.shape if len(aval.shape) == 2 else (0, 0)
    return rows >= 16 and columns <= 64 and not aval.order and aval.dtype.kind == "f"


def _in_softmax(index: int, users: dict[int, list[int]], program: Program) -> bool:
    """Whether a value is only taken from others, and that only goes into exp, or less a log."""

    def equations(i: int) -> list[Equation | None]:
        return [program.equations.get(user) for user in users.get(i, [])]

    for shifted in users.get(index, []):
        eqn = program.equations.get(shifted)
        if eqn is None or eqn.op.function is not np.subtract or eqn.args[1] != Var(index):
            return False
        for user in equations(shifted):
            ends = user is not None and user.op.function in (np.exp, np.subtract)
            if not ends or user is None or user.args[0] != Var(shifted):
                return False
            less = producer(user.args[-1], program)
            if user.op.function is np.subtract and (less is None or less.op.function is not np.log):
                return False
    return True


def _take_columns(index: int, program: Program) -> Program:
    eqn, new = program.equations[index], program.fresh()
    rows, width = program.aval(eqn.vars[0]).shape
    turned, copied, peaks = Var(new), Var(new + 1), Var(new + 2)
    dtype, errors = eqn.aval.dtype, eqn.errors
    made = {
        new: Equation(TRANSPOSE, eqn.args, {}, Aval((width, rows), dtype), errors),
        new + 1: Equation(COPY, (turned,), {"order": "C"}, Aval((width, rows), dtype), errors),
        new + 2: replace(eqn, args=(copied,), options={"axis": 0}, aval=Aval((rows,), dtype)),
        index: Equation(RESHAPE, (peaks,), {"shape": (rows, 1)}, eqn.aval, errors),
    }
    return program.with_instead(index, made)


def pack_small_calls(program: Program) -> Program:
    """Do the same with several arrays at once, where they may as well lie end to end.

    An optimiser's `rate * gradient` for each parameter becomes one product; for small arrays the
    calls are what costs.
    """
    for group in _find_groups(program):
        program = _pack_group(program, group)
    return program


def _find_groups(program: Program) -> list[list[int]]:
    """Groups of equations that are alike but for their one array, which is theirs alone."""
    order = {index: at for at, index in enumerate(program.equations)}
    users = program.uses()
    groups: dict[Hashable, list[int]] = {}
    for index, eqn in program.equations.items():
        ufunc = isinstance(eqn.op.kernel, np.ufunc) and eqn.op.kind is Kind.ELEMENTWISE
        if not ufunc or len(eqn.vars) != 1 or eqn.options or eqn.aval.dtype.kind != "f":
            continue
        operand = eqn.vars[0]
        maker = program.equations.get(operand)
        large = eqn.aval.nbytes > SMALL or eqn.aval.order
        if maker is None or not _is_packable(maker) or large:
            continue
        if maker.aval == eqn.aval and users[operand] == [index]:
            words = tuple(None if isinstance(x, Var) else x for x in eqn.args)
            key = (eqn.op.kernel, identity(words), eqn.aval.dtype, str(eqn.errors))
            group = groups.setdefault(key, [])
            if not group or order[operand] < order[group[0]]:
                group.append(index)
    return [group for group in groups.values() if len(group) > 1]


SMALL = 1 << 18
"""Bytes up to which a call is worth saving."""


def _is_packable(eqn: Equation) -> bool:
    """Whether an equation can write anywhere: products and reductions."""
    product = eqn.op.function is np.matmul or eqn.op.reduction_ufunc is not None
    return product and eqn.aval.form == "array" and bool(eqn.aval.shape)


def _pack_group(program: Program, group: list[int]) -> Program:
    first = program.equations[group[0]]
    packed, done, *pieces = range(program.fresh(), program.fresh() + 2 + len(group))
    avals = [program.equations[i].aval for i in group]
    whole = Aval((sum(prod(aval.shape) for aval in avals),), first.aval.dtype)
    operands = tuple(Var(program.equations[i].vars[0]) for i in group)
    args = tuple(Var(packed) if isinstance(x, Var) else x for x in first.args)
    made = {
        packed: Equation(PACK, operands, {}, whole),
        done: replace(first, args=args, aval=whole),
    }
    start = 0
    for piece, aval in zip(pieces, avals, strict=True):
        made[piece] = Equation(PIECE, (Var(done), start, aval.shape), {}, aval)
        start += prod(aval.shape)
    equations: dict[int, Equation] = {}
    for index, eqn in program.equations.items():
        if index == group[0]:
            equations |= made
        if index not in group:
            equations[index] = eqn
    return program.with_equations(equations, dict(zip(group, map(Var, pieces), strict=True)))


FOR_NUMPY = (column_maxima, pack_small_calls)
"""In the order in which they run."""
