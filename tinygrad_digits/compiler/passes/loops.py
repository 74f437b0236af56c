"""Passes for scans: what need not be in the loop, or nowhere.

prune : what a loop carries or stacks and nobody reads is left out
hoist : what a step computes of values that all steps read is computed once, before the loop
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..control import SCAN, Loop, Step
from ..program import END, Equation, Operand, Program, Var, substitute, vars_in
from .shortening import dead_code


def prune(program: Program) -> Program:
    """Leave out the results of scans that nobody reads, and what only they need."""
    for index in reversed([i for i, eqn in program.equations.items() if eqn.op is SCAN]):
        program = dead_code(program)
        users = program.uses().get(index, [])
        if index in program.equations and END not in users:
            program = _prune_scan(program, index, users)
    return dead_code(program)


def _prune_scan(program: Program, index: int, users: list[int]) -> Program:
    """One scan, of which these equations each read one result."""
    eqn = program.equations[index]
    loop: Loop = eqn.options["loop"]
    read = {program.equations[i].args[1] for i in users}
    results = _find_live_results(loop, read)
    operands = _find_live_operands(loop, results)
    before = len(loop.step.returned)
    if len(operands) == len(eqn.args) and len(results) == before:
        return program
    step = loop.step.select(operands, results)
    shorter = loop.replace(
        step=step.with_program(dead_code(step.program)),
        consts=sum(k < loop.consts for k in operands),
        carries=sum(k < loop.carries for k in results),
        residuals=sum(k >= before - loop.residuals for k in results),
    )
    equations = dict(program.equations)
    equations[index] = replace(
        eqn, args=tuple([eqn.args[k] for k in operands]), options={"loop": shorter}
    )
    for i in users:
        scan, k = equations[i].args
        equations[i] = replace(equations[i], args=(scan, results.index(k)))
    return replace(program, equations=equations)


def _find_live_results(loop: Loop, read: set[int]) -> list[int]:
    """The numbers of the results that are read, or that a live one of the next step depends on."""
    carries = loop.split([*loop.step.program.inputs])[1]
    live, todo = set(read), [*read]
    effects = [eqn.vars for eqn in loop.step.program.equations.values() if eqn.effect]
    needed = _find_needed(loop.step.program, itertools.chain(*effects))
    while True:
        more = {k for k, i in enumerate(carries) if i in needed} - live
        live |= more
        todo += more
        if not todo:
            return sorted(live)
        outputs = vars_in([loop.step.program.outputs[k] for k in todo])
        needed |= _find_needed(loop.step.program, outputs)
        todo = []


def _find_live_operands(loop: Loop, results: list[int]) -> list[int]:
    """The numbers of the operands that these results need; a carry goes with its result."""
    program = loop.step.program
    effects = [eqn.vars for eqn in program.equations.values() if eqn.effect]
    outputs = [*vars_in([program.outputs[k] for k in results]), *itertools.chain(*effects)]
    needed = _find_needed(program, outputs)
    return [
        k
        for k, i in enumerate(program.inputs)
        if (k - loop.consts in results if 0 <= k - loop.consts < loop.carries else i in needed)
    ]


def _find_needed(program: Program, wanted: Iterable[int]) -> set[int]:
    """These values, and all that they are computed from."""
    needed = {*wanted}
    for i in reversed(program.equations):
        if i in needed:
            needed.update(program.equations[i].vars)
    return needed


def hoist(program: Program) -> Program:
    """Compute before a scan what is the same in each of its steps."""
    fresh = itertools.count(program.fresh())
    constants = dict(program.constants)
    equations: dict[int, Equation] = {}
    for index, eqn in program.equations.items():
        if eqn.op is SCAN:
            made, eqn = _hoist_from(eqn, fresh, constants)
            equations |= made
        equations[index] = eqn
    return replace(program, constants=constants, equations=equations)


def _hoist_from(
    eqn: Equation, fresh: Any, constants: dict[int, Any]
) -> tuple[dict[int, Equation], Equation]:
    """The equations that a scan's step need not have, under fresh numbers, and the scan without."""
    loop: Loop = eqn.options["loop"]
    step = loop.step.program
    steady = find_steady(step, [*step.inputs][: loop.consts])
    moved = {i: step.equations[i] for i in step.equations if i in steady}
    if not moved:
        return {}, eqn
    outside: dict[int, Operand] = dict(zip(step.inputs, eqn.args[: loop.consts], strict=False))
    for i in {var for each in moved.values() for var in each.vars} & step.constants.keys():
        outside[i] = Var(next(fresh))
        constants[outside[i].index] = step.constants[i]
    made = {}
    for i, each in moved.items():
        args, options = substitute((each.args, each.options), outside)
        outside[i] = Var(next(fresh))
        made[outside[i].index] = replace(each, args=args, options=options)
    left = {i: each for i, each in step.equations.items() if i not in moved}
    read = {var for each in left.values() for var in each.vars} | {*vars_in(step.outputs)}
    known = [i for i in moved if i in read]
    consts = [*step.inputs][: loop.consts]
    inputs = {i: step.inputs[i] for i in consts}
    inputs |= {i: ("hoisted", moved[i].aval) for i in known} | step.inputs
    given = [*loop.step.given[: loop.consts], *[None] * len(known), *loop.step.given[loop.consts :]]
    shorter = Step(
        dead_code(replace(step, inputs=inputs, equations=left)), given, loop.step.returned
    )
    args = (*eqn.args[: loop.consts], *[outside[i] for i in known], *eqn.args[loop.consts :])
    held = loop.replace(step=shorter, consts=loop.consts + len(known))
    return made, replace(eqn, args=args, options={"loop": held})


def find_steady(program: Program, consts: Iterable[int]) -> set[int]:
    """The values of a step that are the same each time: made of what all steps read."""
    steady = {*consts, *program.constants}
    for i, eqn in program.equations.items():
        if not eqn.effect and steady.issuperset(eqn.vars):
            steady.add(i)
    return steady
