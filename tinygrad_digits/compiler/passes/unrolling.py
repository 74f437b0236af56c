"""What a loop that has been unrolled leaves behind."""

from __future__ import annotations

import numpy as np

from ...staging.lowering import lowering_of
from ..numpy_statements import find_statement, is_view
from ..primitives import ADD, PACK, RESHAPE
from ..program import END, Aval, Equation, Program, Var, producer


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
    whole = all(
        program.aval(x.index) == Aval(aval.shape[1:], aval.dtype) and _can_move(x, users, program)
        for x in rows.values()
    )
    return [rows[k] for k in sorted(rows)] if whole and len(rows) == aval.shape[0] > 1 else []


def _can_move(row: Var, users: dict[int, list[int]], program: Program) -> bool:
    """Whether a row can be computed in its place: nobody else has one for it, or knows it there."""
    eqn, readers = producer(row, program), users[row.index]
    if eqn is None or is_view(eqn) or find_statement(eqn, program) is None or END in readers:
        return False
    return sum(lowering_of(program.equations[i].op).row is not None for i in readers) == 1


def _stack(index: int, rows: list[Var], program: Program) -> Program:
    """The rows end to end, and 0 added, which each has got from the others: -0.0 becomes 0.0."""
    eqn, new = program.equations[index], program.fresh()
    flat = Aval((int(np.prod(eqn.aval.shape)),), eqn.aval.dtype)
    made = {
        new: Equation(PACK, tuple(rows), {}, flat, eqn.errors),
        new + 1: Equation(RESHAPE, (Var(new),), {"shape": eqn.aval.shape}, eqn.aval, eqn.errors),
        index: Equation(ADD, (Var(new + 1), 0.0), {}, eqn.aval, eqn.errors),
    }
    equations: dict[int, Equation] = {}
    for i, other in program.equations.items():
        equations |= made if i == index else {i: other}
    return Program(program.inputs, program.constants, equations, program.outputs)
