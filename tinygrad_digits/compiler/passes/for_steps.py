"""The pass for steps of native code: all that a step reads or returns is in memory of its own.

Arrays among its constants become inputs, which all of its runs share. A result that is an input, a
constant, a view, or that is returned twice, is copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..control import Branches, Held, Loop, Step, While
from ..numpy_statements import may_alias
from ..primitives import COPY, ITEM
from ..program import Aval, Equation, Operand, Program, Var, producer
from .shortening import dead_code


def prepare_steps(program: Program, prepare: Callable[[Program], Program]) -> Program:
    """The program with steps as native code wants them, each of which `prepare` has seen."""
    constants, equations = dict(program.constants), {}
    fresh = itertools.count(program.fresh())
    for index, eqn in program.equations.items():
        equations[index] = eqn
        for option, held in eqn.options.items():
            if isinstance(held, Held):
                held, arrays = _lift_constants(held.map(lambda step: _prepare(step, prepare)))
                lifted = {next(fresh): x for x in arrays}
                constants |= lifted
                args = _insert(eqn.args, [*map(Var, lifted)], held)
                equations[index] = replace(eqn, args=args, options={option: held})
    return replace(program, constants=constants, equations=equations)


def _prepare(step: Step, prepare: Callable[[Program], Program]) -> Step:
    return step.with_program(_own_results(dead_code(prepare(step.program))))


def _own_results(program: Program) -> Program:
    """Let each output be the value of an equation, and of another one each."""
    constants, equations = dict(program.constants), dict(program.equations)
    fresh = itertools.count(program.fresh())
    outputs: list[Operand] = []
    for y in program.outputs:
        aside = isinstance(y, Var) and program.aval(y.index).form in ("generator", "number")
        if aside or (y not in outputs and _is_fresh(y, program)):  # which is not in memory
            outputs.append(y)
            continue
        if not isinstance(y, Var):
            y, number = Var(next(fresh)), y
            constants[y.index] = np.asarray(number)
        aval = Aval.of(constants[y.index]) if y.index in constants else program.aval(y.index)
        copied = next(fresh)
        equations[copied] = Equation(COPY, (y,), {}, replace(aval, order=()))
        outputs.append(Var(copied))
    return replace(program, constants=constants, equations=equations, outputs=outputs)


def _is_fresh(y: Operand, program: Program) -> bool:
    eqn = producer(y, program)
    return eqn is not None and (eqn.op is ITEM or not may_alias(eqn, program))


def _lift_constants(held: Held) -> tuple[Held, list[Any]]:
    """The same with the arrays among the steps' constants as first inputs of all its steps."""
    lifted = [
        (step, i, x) for step in held.steps for i, x in step.program.constants.items() if x.ndim
    ]
    arrays = [x for *_, x in lifted]

    def lift(step: Step) -> Step:
        fresh = itertools.count(step.program.fresh())
        numbers = [i if owner is step else next(fresh) for owner, i, _ in lifted]
        inputs = {i: ("constant", Aval.of(x)) for i, x in zip(numbers, arrays, strict=True)}
        constants = {i: x for i, x in step.program.constants.items() if not x.ndim}
        program = replace(step.program, inputs=inputs | step.program.inputs, constants=constants)
        return Step(program, [*arrays, *step.given], step.returned)

    held = held.map(lift)
    if isinstance(held, Loop):
        return held.replace(consts=held.consts + len(arrays)), arrays
    if isinstance(held, While):
        return While(held.cond, held.body, held.consts + len(arrays), held.max_steps), arrays
    return held, arrays


def _insert(args: tuple[Operand, ...], more: list[Operand], held: Held) -> tuple[Operand, ...]:
    """Operands with more at the front, where only the number of a branch stays."""
    first = isinstance(held, Branches)
    return (*args[:first], *more, *args[first:])
