"""What a loop that has been unrolled leaves behind."""

from __future__ import annotations

import itertools

import numpy as np

from ...staging.lowering import lowering_of
from ..numpy_statements import find_statement
from ..primitives import ADD, COPY, PACK, RESHAPE
from ..program import Aval, Equation, Program, Var, producer, vars_in


def stack_rows(program: Program) -> Program:
    """The sum of arrays that are zero but for a row each, and have a row each: the rows, stacked.

    A loop over the rows of x reads them one by one, and the derivative of each reading is as large
    as x: what all of them add up to takes as many times as long as there are steps.
    """
    users = program.uses()
    for index, eqn in program.equations.items():
        (user, *others) = users.get(index, [-1])
        inner = not others and _is_sum(program.equations.get(user))
        if _is_sum(eqn) and not inner and (rows := _find_rows(index, users, program)):
            program = _stack(index, rows, program)
    return program


def _is_sum(eqn: Equation | None) -> bool:
    return eqn is not None and eqn.op.function is np.add and eqn.aval.dtype.kind == "f"


def _find_rows(index: int, users: dict[int, list[int]], program: Program) -> list[Var]:
    """The rows in their order, where a sum is one of all rows and of nothing else."""
    aval = program.aval(index)
    rows: dict[int, Var] = {}
    todo = [Var(index)]
    while todo:
        part = todo.pop()
        eqn = producer(part, program)
        alone = part.index == index or len(users[part.index]) == 1
        if eqn is None or not alone or eqn.aval != aval or not aval.shape:
            return []
        if _is_sum(eqn) and all(isinstance(x, Var) for x in eqn.args):
            todo += [Var(i) for i in eqn.vars]
            continue
        find_row = lowering_of(eqn.op).row
        row = find_row(eqn.options) if find_row is not None else None
        if row is None or row % aval.shape[0] in rows:
            return []
        rows[row % aval.shape[0]] = Var(eqn.vars[0])
    whole = all(program.aval(x.index) == Aval(aval.shape[1:], aval.dtype) for x in rows.values())
    return [rows[k] for k in sorted(rows)] if whole and len(rows) == aval.shape[0] > 1 else []


def _stack(index: int, rows: list[Var], program: Program) -> Program:
    """The rows end to end, and 0 added, which each has got from the others: -0.0 becomes 0.0."""
    eqn, new = program.equations[index], program.fresh()
    copies = _copy_fixed(rows, program, eqn)
    new += len(copies)
    packed = [Var(copies.get(k, (row.index,))[0]) for k, row in enumerate(rows)]
    flat = Aval((int(np.prod(eqn.aval.shape)),), eqn.aval.dtype)
    made = {
        **dict(copies.values()),
        new: Equation(PACK, tuple(packed), {}, flat, eqn.errors),
        new + 1: Equation(RESHAPE, (Var(new),), {"shape": eqn.aval.shape}, eqn.aval, eqn.errors),
        index: Equation(ADD, (Var(new + 1), 0.0), {}, eqn.aval, eqn.errors),
    }
    return program.with_instead(index, made)


def _copy_fixed(
    rows: list[Var], program: Program, like: Equation
) -> dict[int, tuple[int, Equation]]:
    """For each row that is in a place of its own, or in several, a copy that can be anywhere."""
    fresh = itertools.count(program.fresh())
    taken = {i for eqn in program.equations.values() if eqn.op is PACK for i in eqn.vars}
    taken |= {*vars_in(program.outputs)}
    copies = {}
    for k, row in enumerate(rows):
        made_by = producer(row, program)
        if made_by is None or row.index in taken or find_statement(made_by, program) is None:
            copy = Equation(COPY, (row,), {}, program.aval(row.index), like.errors)
            copies[k] = next(fresh), copy
        taken.add(row.index)
    return copies
