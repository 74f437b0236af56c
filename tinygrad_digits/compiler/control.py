"""Equations that hold programs: a loop, a choice, a loop that runs while something holds.

    %9  scan %0, %3, %4, loop=100 steps     values that every step reads, first carries, arrays
                                            to go along -> last carries, and what was stacked
    %9  switch %0, %3, branches=2           which, operands -> what the branch returns
    %9  while_loop %0, %3, loop=while            values that every step reads, first carries -> last

The option says how: a `Loop`, `Branches` or a `While`, each made of Steps. A `Step` is a function
that was traced once: a program whose inputs are in order, and which uses nothing else. It can be
run on anything that ops take (`evaluate`), so it is differentiated and batched like any function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engine.primitive import Kind, Primitive
from .program import Equation, Program, Var, is_draw, map_operand


class Step:
    """A traced function of arrays, as a program, with examples of what goes in and comes out."""

    __slots__ = ("given", "program", "returned")

    def __init__(self, program: Program, given: list[Any], returned: list[Any]) -> None:
        self.program = program
        self.given = given
        self.returned = returned

    def __call__(self, *leaves: Any) -> list[Any]:
        return evaluate(self.program, leaves)

    def with_program(self, program: Program) -> Step:
        return Step(program, self.given, self.returned)

    def select(self, operands: Sequence[int], results: Sequence[int]) -> Step:
        """The results of these numbers, of the operands of these numbers, which are all they need.

        What is computed besides stays.
        """
        inputs = [*self.program.inputs.items()]
        program = replace(
            self.program,
            inputs=dict([inputs[k] for k in operands]),
            outputs=[self.program.outputs[k] for k in results],
        )
        given, returned = [self.given[k] for k in operands], [self.returned[k] for k in results]
        return Step(program, given, returned)

    @property
    def draws(self) -> bool:
        """Whether it draws from a random generator."""
        return draws(self.program)

    @property
    def has_effect(self) -> bool:
        """Whether it draws from a generator or checks something."""
        return any(eqn.effect for eqn in self.program.equations.values())


def draws(program: Program) -> bool:
    """Whether an equation draws from a random generator, in its steps if it holds some."""
    for eqn in program.equations.values():
        steps = steps_of(eqn)
        if any(step.draws for step in steps) or (is_draw(eqn) and not steps):
            return True
    return False


def steps_of(eqn: Equation) -> list[Step]:
    """The steps that an equation holds."""
    return [step for x in eqn.options.values() if isinstance(x, Held) for step in x.steps]


class Held:
    """What the equations of this file have for an option: steps, and how they are run."""

    __slots__ = ()
    steps: tuple[Step, ...]

    def map(self, f: Callable[[Step], Step]) -> Held:
        """The same with other steps."""
        raise NotImplementedError

    @property
    def has_effect(self) -> bool:
        return any(step.has_effect for step in self.steps)


class Loop(Held):
    """The option of a `scan` equation.

    The step reads `consts` values that stay the same, then `carries` that it makes anew, then one
    element of each array to go along; it returns the new carries, then what is to be stacked. The
    equation has operands and results in the same order. What is stacked in step i is at place i;
    with `reverse` the steps run from the last to the first.
    """

    __slots__ = ("carries", "consts", "length", "recompute", "residuals", "reverse", "step")

    def __init__(
        self,
        step: Step,
        consts: int,
        carries: int,
        length: int,
        reverse: bool = False,
        recompute: bool = False,
        residuals: int = 0,
    ) -> None:
        self.step = step
        self.consts, self.carries = consts, carries
        self.length, self.reverse = length, reverse
        self.recompute = recompute  # whether its derivative computes the step once more
        self.residuals = residuals  # how many of the last results are for its derivative alone

    @property
    def steps(self) -> tuple[Step, ...]:  # type: ignore[override]
        return (self.step,)

    def map(self, f: Callable[[Step], Step]) -> Loop:
        return self.replace(step=f(self.step))

    def replace(self, **fields: Any) -> Loop:
        """The same with other fields."""
        return Loop(**{name: fields.get(name, getattr(self, name)) for name in self.__slots__})

    def order(self) -> Sequence[int]:
        """The numbers of the steps as they run."""
        steps = range(self.length)
        return steps[::-1] if self.reverse else steps

    def split(self, leaves: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Operands, or inputs of the step, by kind: values that stay, carries, arrays."""
        consts, end = self.consts, self.consts + self.carries
        return [*leaves[:consts]], [*leaves[consts:end]], [*leaves[end:]]

    def example(self) -> list[Any]:
        """Results of the right shapes and dtypes, of which nothing has to be computed."""
        returned = self.step.returned
        first = len(returned) - self.residuals
        ys = [(y, (self.length, *np.shape(y))) for y in returned[self.carries : first]]
        residuals = [
            np.zeros((self.length, *np.shape(y)), np.asarray(y).dtype) for y in returned[first:]
        ]  # zeros that nobody reads take no memory
        return [*returned[: self.carries], *[np.broadcast_to(*y).copy() for y in ys], *residuals]

    def __repr__(self) -> str:
        return f"{self.length} steps{' backwards' * self.reverse}"


class Branches(Held):
    """The option of a `switch` equation: each branch reads all operands; all return the same."""

    __slots__ = ("steps",)

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps

    def map(self, f: Callable[[Step], Step]) -> Branches:
        return Branches(tuple(map(f, self.steps)))

    def example(self) -> list[Any]:
        return self.steps[0].returned

    def __repr__(self) -> str:
        return f"{len(self.steps)} branches"


class While(Held):
    """The option of a `while` equation: both read `consts` values, then the carries.

    `cond` returns one truth value, `body` the new carries.
    """

    __slots__ = ("body", "cond", "consts", "max_steps")

    def __init__(self, cond: Step, body: Step, consts: int, max_steps: int | None) -> None:
        self.cond, self.body, self.consts, self.max_steps = cond, body, consts, max_steps

    @property
    def steps(self) -> tuple[Step, ...]:  # type: ignore[override]
        return self.cond, self.body

    def map(self, f: Callable[[Step], Step]) -> While:
        return While(f(self.cond), f(self.body), self.consts, self.max_steps)

    def example(self) -> list[Any]:
        return self.body.returned

    def __repr__(self) -> str:
        return "while" if self.max_steps is None else f"at most {self.max_steps} steps"


def evaluate(program: Program, leaves: Sequence[Any]) -> list[Any]:
    """The outputs of a program for these inputs: its ops, applied one by one."""
    known: dict[int, Any] = {**program.constants, **dict(zip(program.inputs, leaves, strict=True))}

    def look_up(x: Any) -> Any:
        return known[x.index] if isinstance(x, Var) else x

    for index, eqn in program.equations.items():
        args, options = map_operand(look_up, (eqn.args, eqn.options))
        errors = np.errstate(**eqn.errors) if eqn.errors else contextlib.nullcontext()
        with errors:
            known[index] = eqn.op.apply(*args, **options)
    return [look_up(x) for x in program.outputs]


# --- what they compute, step by step


def run_loop(*leaves: Any, loop: Loop) -> list[Any]:
    """A scan on arrays, or on anything that ops take."""
    consts, carry, xs = loop.split(leaves)
    rows = []
    for i in loop.order():
        returned = loop.step(*consts, *carry, *[x[i] for x in xs])
        carry = returned[: loop.carries]
        rows.append(returned[loop.carries :])
    if loop.reverse:
        rows.reverse()
    return [*carry, *map(np.stack, zip(*rows, strict=True))]


def run_branch(index: Any, *leaves: Any, branches: Branches) -> list[Any]:
    results: list[Any] = branches.steps[index](*leaves)
    return results


def run_while(*leaves: Any, loop: While) -> list[Any]:
    consts, carry = leaves[: loop.consts], [*leaves[loop.consts :]]
    steps = 0
    while (loop.max_steps is None or steps < loop.max_steps) and loop.cond(*consts, *carry)[0]:
        carry, steps = loop.body(*consts, *carry), steps + 1
    return carry


SCAN = Primitive(run_loop, (), "scan", Kind.OPAQUE)
SWITCH = Primitive(run_branch, (), "switch", Kind.OPAQUE)
WHILE = Primitive(run_while, (), "while_loop", Kind.OPAQUE)


def map_steps(program: Program, f: Callable[[Step], Step]) -> Program:
    """The program with other steps in the equations that have some."""
    equations = {}
    for index, eqn in program.equations.items():
        options = {k: x.map(f) if isinstance(x, Held) else x for k, x in eqn.options.items()}
        changed = any(x is not eqn.options[k] for k, x in options.items())
        equations[index] = replace(eqn, options=options) if changed else eqn
    return replace(program, equations=equations)
