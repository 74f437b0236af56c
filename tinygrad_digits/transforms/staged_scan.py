"""A scan as an op, and its derivative: a scan that runs the other way.

The step and its pullback are traced together, then parted. The forward scan also stacks what the
pullback reads of the inside of each step; the backward scan takes that along, carries the cotangent
of the carry, and adds up those of the values that all steps read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ..compiler.control import SCAN, Loop, Step
from ..compiler.numpy_statements import is_view
from ..compiler.passes.loops import find_steady
from ..compiler.passes.shortening import QUIET, dead_code
from ..compiler.program import Equation, Operand, Program, Var
from ..engine.primitive import Primitive
from ..engine.run import ForwardPass, seed
from ..engine.tape import Tape
from ..staging.batching import move_axis
from .batching import BatchInterpreter
from .calls import record_results
from .staged import StagedCall, batch_step, is_floating, stack_alike, zeros_like
from .steps import close, find_value


class ScanCall(StagedCall):
    """A scan of operands: values that all steps read, first carries, arrays to go along."""

    __slots__ = ()
    primitive: ClassVar[Primitive] = SCAN
    option: ClassVar[str] = "loop"

    def record(self, tape: Tape) -> list[Any]:
        parents, inside, tracked = self.take_off(tape)
        derivative = ScanDerivative(self.held, tracked)
        results = ScanCall(derivative.forward, inside).apply()
        count = len(self.held.step.returned)
        kept = derivative.select_kept(inside, results[count:])
        return record_results(
            tape, self.recorded, parents, results[:count], kept, derivative.pull, tracked
        )

    def batch(self, around: BatchInterpreter) -> list[Any]:
        loop: Loop = self.held
        stacked, every = self.take_stacked(around)
        consts, carry, xs = loop.split(every)
        wanted = carry + [False] * (len(loop.step.returned) - loop.carries)
        while True:  # until no carry becomes different for each example that was not
            step, has = batch_step(
                loop.step, [*consts, *wanted[: loop.carries], *xs], around, wanted
            )
            if has[: loop.carries] == wanted[: loop.carries]:
                break
            wanted = has[: loop.carries] + wanted[loop.carries :]
        values, first, along = loop.split(stacked)
        first = [
            stack_alike(x, around.length) if to and not on else x
            for x, on, to in zip(first, carry, has, strict=False)
        ]
        along = [move_axis(x, 0, 1) if on else x for x, on in zip(along, xs, strict=True)]
        ys = ScanCall(loop.replace(step=step), [*values, *first, *along]).apply()
        ys[loop.carries :] = [
            move_axis(y, 1, 0) if on else y
            for y, on in zip(ys[loop.carries :], has[loop.carries :], strict=True)
        ]
        return around.box_some(ys, has)


def scan_arrays(loop: Loop, leaves: list[Any], every: int = 0) -> list[Any]:
    """The results of a scan; of whose derivative, in segments of so many steps, less is kept."""
    if not every or loop.step.draws:
        return ScanCall(loop, leaves).apply()
    consts, carry, xs = loop.split(leaves)
    every = min(every, loop.length)
    rest, m = loop.length % every, loop.carries
    cut = rest if loop.reverse else loop.length - rest
    parts = [[x[cut:] for x in xs], [x[:cut] for x in xs]]
    last, first = parts[::-1] if loop.reverse else parts
    results = _scan_segments(loop, consts, carry, first, every)
    if not rest:
        return results
    tail = ScanCall(loop.replace(length=rest), [*consts, *results[:m], *last]).apply()
    pairs = [*zip(results[m:], tail[m:], strict=True)]
    ys = [np.concatenate(pair[::-1] if loop.reverse else pair) for pair in pairs]
    return [*tail[:m], *ys]


def _scan_segments(
    loop: Loop, consts: list[Any], carry: list[Any], xs: list[Any], every: int
) -> list[Any]:
    """A scan whose steps are scans, and are computed once more for the derivative."""
    inner, count = loop.replace(length=every), loop.length // every
    values, first, x = loop.split(loop.step.given)
    examples = [*values, *first, *[np.stack([each] * every) for each in x]]
    segment, _ = close(lambda leaves: ScanCall(inner, leaves).apply(), examples)
    outer = loop.replace(step=segment, length=count, recompute=True)
    along = [x.reshape((count, every, *x.shape[1:])) for x in xs]
    results = ScanCall(outer, [*consts, *carry, *along]).apply()
    ys = [y.reshape((count * every, *y.shape[2:])) for y in results[loop.carries :]]
    return [*results[: loop.carries], *ys]


class ScanDerivative:
    """What a scan is to a tape: `forward`, which also stacks residuals, and `pull`.

    Args:
        loop: the scan.
        tracked: which operands are differentiated.
    """

    def __init__(self, loop: Loop, tracked: list[int]) -> None:
        self.loop, self.tracked = loop, tracked
        end = loop.consts + loop.carries
        carries = [k for k in range(loop.consts, end) if is_floating(loop.step.given[k])]
        outside = [k for k in tracked if not loop.consts <= k < end]
        self.wrt = sorted({*carries, *outside})
        self.both = StepPullback(loop, self.wrt)
        self.residuals, _ = self.both.find_needs()
        self.forward = self._make_forward()

    def _make_forward(self) -> Loop:
        both, step = self.both, self.loop.step
        outputs = [*both.program.outputs[: len(step.returned)], *map(Var, self.residuals)]
        inputs = {i: both.program.inputs[i] for i in both.inputs}
        equations = {i: eqn for i, eqn in both.program.equations.items() if i < both.boundary}
        program = dead_code(
            replace(both.program, inputs=inputs, equations=equations, outputs=outputs)
        )
        returned = [find_value(x, program, both.known) for x in outputs]
        residuals = self.loop.residuals + len(self.residuals)
        return self.loop.replace(step=Step(program, step.given, returned), residuals=residuals)

    def select_kept(self, operands: list[Any], residuals: list[Any]) -> list[Any]:
        """What the pullback reads: values that all steps read, arrays, and residuals."""
        consts, _, xs = self.loop.split(operands)
        return [*consts, *xs, *residuals]

    def pull(self, kept: list[Any], cts: dict[int, Any]) -> list[Any]:
        """The cotangents of the tracked operands."""
        loop, m = self.loop, self.loop.carries
        ys = [k for k in cts if k >= m]
        both = self.both if ys == self.both.ys else StepPullback(loop, self.wrt, ys)
        n_xs = len(loop.step.given) - loop.consts - m
        consts, xs, residuals = (
            kept[: loop.consts],
            kept[loop.consts : loop.consts + n_xs],
            kept[loop.consts + n_xs :],
        )
        first = [cts[k] if k in cts else zeros_like(loop.step.returned[k]) for k in both.carries]
        sums = [np.zeros(np.shape(x), x.dtype) for x in [loop.step.given[k] for k in both.sums]]
        along = [cts[k] for k in both.ys]
        backward = both.make_backward(self.residuals)
        read = backward.step.program.inputs
        residuals = [x for i, x in zip(self.residuals, residuals, strict=True) if i in read]
        results = ScanCall(backward, [*consts, *first, *sums, *along, *residuals, *xs]).apply()
        order = [*[loop.consts + k for k in both.carries], *both.sums, *both.along]
        found = dict(zip(order, results, strict=True))
        return [found[k] for k in self.tracked]


class StepPullback:
    """A step and its pullback, traced together: a program that computes the step first.

    Its inputs are those of the step, the cotangents of its results, and the sums so far of the
    cotangents of values that all steps read: the sweep goes on where that of the next step ended.

    Args:
        loop: whose step.
        wrt: which inputs of the step to differentiate.
        ys: which results besides the carries have cotangents; all by default.
    """

    def __init__(self, loop: Loop, wrt: list[int], ys: list[int] | None = None) -> None:
        self.loop, self.wrt = loop, wrt
        end = loop.consts + loop.carries
        self.sums = [k for k in wrt if k < loop.consts]
        self.carries = [k - loop.consts for k in wrt if loop.consts <= k < end]
        self.along = [k for k in wrt if k >= end]
        self.ys: list[int] = []
        self.boundary = 0
        self.known: dict[int, Any] = {}
        self._wanted = ys
        step, _ = close(self._trace, loop.step.given)
        self.program = step.program
        given = [*self.program.inputs]
        self.inputs = given[: len(loop.step.given)]
        self.seeds = given[len(loop.step.given) :]  # of carries, sums, ys

    def _trace(self, leaves: list[Any]) -> list[Any]:
        step, m = self.loop.step, self.loop.carries
        trace = leaves[self.wrt[0]].tape
        self.known = trace.examples

        def run(chosen: list[Any]) -> list[Any]:
            inside = dict(zip(self.wrt, chosen, strict=True))
            return step(*[inside.get(k, x) for k, x in enumerate(leaves)])

        ran = ForwardPass(run, ([leaves[k] for k in self.wrt],))
        outputs = [y.value if ran.tape.is_on(y) else y for y in ran.outputs]
        self.boundary = next(trace.indices)
        dependent = [k for k, y in enumerate(ran.outputs) if ran.tape.is_on(y)]
        wanted = range(m, len(outputs)) if self._wanted is None else self._wanted
        self.ys = [k for k in dependent if k in wanted]

        def box(x: Any, name: str) -> Any:
            return trace.box(zeros_like(x), name)

        cts = {k: box(step.returned[k], f"cotangent of carry {k}") for k in self.carries}
        sums = {k: box(step.given[k], f"sum of cotangents of {k}") for k in self.sums}
        cts |= {k: box(step.returned[k], f"cotangent of y {k - m}") for k in self.ys}
        cts = {k: ct for k, ct in cts.items() if k in dependent}
        seeds = seed([ran.outputs[k] for k in cts], cts.values())
        for k, tensor in zip(self.wrt, ran.tensors, strict=True):
            if k in sums:
                before = seeds.get(tensor.index)
                seeds[tensor.index] = sums[k] if before is None else before + sums[k]
        swept = ran.tape.sweep(seeds, free=True, pull=ran.pull)
        found = {k: swept.get(x.index) for k, x in zip(self.wrt, ran.tensors, strict=True)}
        order = [*[self.loop.consts + k for k in self.carries], *self.sums, *self.along]
        zeros = {k: zeros_like(step.given[k]) for k in order if found[k] is None}
        return outputs + [zeros.get(k, found[k]) for k in order]

    @property
    def cotangents(self) -> list[Operand]:
        """The outputs of the pullback."""
        return self.program.outputs[len(self.loop.step.returned) :]

    def find_needs(
        self, residuals: Iterable[int] | None = None
    ) -> tuple[list[int], dict[int, Equation]]:
        """What the pullback reads of the step's inside, and the equations that it consists of.

        Where the residuals are known, all else is computed of them.
        """
        program = self.program
        consts, _, xs = self.loop.split(self.inputs)
        there = {*consts, *xs, *self.seeds, *program.constants}
        steady = find_steady(program, consts)
        given = None if residuals is None else {*residuals}

        def is_taken(i: int, eqn: Equation) -> bool:
            if given is not None:
                return i not in given
            return (
                i > self.boundary or self.loop.recompute or _is_view_or_number(eqn) or i in steady
            )

        wanted = [x.index for x in self.cotangents if isinstance(x, Var)]
        wanted += [i for i, eqn in program.equations.items() if eqn.effect and i > self.boundary]
        needed, taken = _trace_back(program, wanted, there, is_taken)
        if given is None:
            _take_cheap(program, needed, taken, there)
        return sorted(needed), {i: taken[i] for i in program.equations if i in taken}

    def make_backward(self, residuals: list[int]) -> Loop:
        """The scan that pulls back: the other way, with those residuals to go along that it reads.

        One that only the cotangent of an unread result needs would be stacked by a scan around.
        """
        loop, program = self.loop, self.program
        consts, _, xs = loop.split(self.inputs)
        _, equations = self.find_needs(residuals)
        n = len(self.carries) + len(self.sums)
        named = {i: ("residual", program.aval(i)) for i in residuals}
        equations = {
            i: replace(eqn, errors=None if eqn.errors == QUIET else eqn.errors)
            for i, eqn in equations.items()
        }  # the sweep is quiet as a whole
        pulled = dead_code(
            replace(
                program, inputs=named | program.inputs, equations=equations, outputs=self.cotangents
            )
        )
        read = pulled.last_uses()
        order = [*consts, *self.seeds, *[i for i in residuals if i in read], *xs]
        pulled = replace(pulled, inputs={i: pulled.inputs[i] for i in order})
        given = [find_value(Var(i), program, self.known) for i in order]
        returned = [find_value(x, program, self.known) for x in self.cotangents]
        return Loop(
            Step(pulled, given, returned),
            loop.consts,
            n,
            loop.length,
            not loop.reverse,
            loop.recompute,
        )


def _trace_back(
    program: Program, todo: list[int], there: set[int], is_taken: Callable[[int, Equation], bool]
) -> tuple[set[int], dict[int, Equation]]:
    """What values are computed of: those that have to be known, and the equations to take."""
    needed: set[int] = set()
    taken: dict[int, Equation] = {}
    while todo:
        i = todo.pop()
        if i in there or i in taken or i in needed:
            continue
        eqn = program.equations.get(i)
        if eqn is not None and is_taken(i, eqn):
            taken[i] = eqn
            todo += eqn.vars
        else:
            needed.add(i)
    return needed, taken


def _is_view_or_number(eqn: Equation) -> bool:
    """Whether a value is rather computed again than kept: a view, or a number that is not drawn."""
    return is_view(eqn) or (eqn.aval.form == "number" and not eqn.effect)


ARITHMETIC = {
    *(np.add, np.subtract, np.multiply, np.negative, np.square, np.maximum, np.minimum, np.where),
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
}
"""Of which a result costs no more than to write it to memory, and to read it."""


def _take_cheap(
    program: Program, needed: set[int], taken: dict[int, Equation], there: set[int]
) -> None:
    """Let the pullback compute by arithmetic what it can, of what else it needs anyway."""
    for i in sorted(needed, reverse=True):
        eqn = program.equations.get(i)
        if eqn is None or eqn.op.function not in ARITHMETIC or eqn.aval.form != "array":
            continue
        if {*eqn.vars} <= there | needed | taken.keys():
            needed.remove(i)
            taken[i] = eqn
