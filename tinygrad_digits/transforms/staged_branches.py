"""A choice, and a loop that runs while something holds, as ops.

The derivative of a choice chooses among the pullbacks, which compute their branch once more. That
of a `while` needs to know how many steps there can be: it is the scan of so many steps, each of
which is a choice between a step and nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np

from ..compiler.control import SWITCH, WHILE, Branches, Held, Loop, Step, While
from ..compiler.numpy_backend import SUBPROGRAMS
from ..engine.primitive import Kind, Primitive
from ..engine.tape import Tape
from ..ops.derived_rules import compute_vjp
from ..support.errors import NotDifferentiableError
from ..support.user_lines import user_line
from .batching import BatchInterpreter
from .calls import record_results
from .derivatives import jvp
from .staged import StagedCall, batch_step, choose_examples, is_floating, stack_alike, zeros_like
from .staged_scan import ScanCall
from .steps import close


class SwitchCall(StagedCall):
    """A choice: operands are the number of the branch, and what all branches read."""

    __slots__ = ()
    primitive: ClassVar[Primitive] = SWITCH
    option: ClassVar[str] = "branches"

    def record(self, tape: Tape) -> list[Any]:
        branches: Branches = self.held
        if any(step.draws for step in branches.steps):
            raise NotDifferentiableError(
                "a branch that draws from a generator is computed again for its derivative, and "
                "would draw other numbers: draw before the branch, and give it the numbers"
            )
        parents, inside, tracked = self.take_off(tape)
        results = SwitchCall(branches, inside).apply()

        def pull(kept: list[Any], cts: dict[int, Any]) -> list[Any]:
            return _pull_chosen(branches, kept, cts, [k - 1 for k in tracked])

        return record_results(tape, self.recorded, parents, results, inside, pull, tracked)

    def batch(self, around: BatchInterpreter) -> list[Any]:
        stacked, on = self.take_stacked(around)
        wanted = [on[0]] * len(self.held.example())
        while True:  # until the branches agree on what differs between examples
            pairs = [batch_step(step, on[1:], around, wanted) for step in self.held.steps]
            has = [any(each) for each in zip(*[has for _, has in pairs], strict=True)]
            if has == wanted:
                break
            wanted = has
        steps = tuple(step for step, _ in pairs)
        if not on[0]:
            results = SwitchCall(Branches(steps), stacked).apply()
        else:
            results = _choose_each(steps, stacked)
        return around.box_some(results, has)


def _pull_chosen(
    branches: Branches, kept: list[Any], cts: dict[int, Any], tracked: list[int]
) -> list[Any]:
    """The cotangents of the tracked operands, by the pullback of the chosen branch."""
    order = sorted(cts)

    def pull_back(step: Step) -> Step:
        count = len(step.given)

        def pull(leaves: list[Any]) -> list[Any]:
            operands, g = tuple(leaves[:count]), [zeros_like(y) for y in step.returned]
            for k, ct in zip(order, leaves[count:], strict=True):
                g[k] = ct
            return compute_vjp(step, operands, g, tracked)

        examples = [*step.given, *[zeros_like(step.returned[k]) for k in order]]
        return close(pull, examples)[0]

    pulls = Branches(tuple(map(pull_back, branches.steps)))
    return SwitchCall(pulls, [*kept, *[cts[k] for k in order]]).apply()


def _choose_each(steps: tuple[Step, ...], stacked: list[Any]) -> list[Any]:
    """All branches, and for each example the results of its own."""
    index, leaves = stacked[0], stacked[1:]
    results = steps[0](*leaves)
    for k, step in enumerate(steps[1:], 1):
        results = [
            choose_examples(index == k, new, old)
            for new, old in zip(step(*leaves), results, strict=True)
        ]
    return results


class WhileCall(StagedCall):
    """A loop of operands: values that all steps read, and first carries."""

    __slots__ = ()
    primitive: ClassVar[Primitive] = WHILE
    option: ClassVar[str] = "loop"

    def record(self, tape: Tape) -> list[Any]:
        """As the scan of the largest number of steps; if that is not known, for jvp alone."""
        loop: While = self.held
        if loop.max_steps is not None:
            return ScanCall(_make_bounded(loop), self.leaves).apply()
        parents, inside, tracked = self.take_off(tape)
        results, line = WhileCall(loop, inside).apply(), user_line()

        def pull(kept: list[Any], cts: dict[int, Any]) -> list[Any]:
            pulled = Pulled(loop, tracked, [*cts], line)
            return PulledWhile(pulled, [*kept, *cts.values()]).apply()

        return record_results(tape, self.recorded, parents, results, inside, pull, tracked)

    def batch(self, around: BatchInterpreter) -> list[Any]:
        """Until all examples are done: a step keeps the carries of those that are."""
        loop: While = self.held
        stacked, on = self.take_stacked(around)
        consts, carry = on[: loop.consts], on[loop.consts :]
        while True:
            cond, ends = batch_step(loop.cond, consts + carry, around, [False])
            wanted = [
                b or (ends[0] and hasattr(x, "dtype"))
                for b, x in zip(carry, loop.body.returned, strict=True)
            ]
            body, has = batch_step(loop.body, consts + wanted, around, wanted)
            if has == carry:
                break
            carry = has
        leaves = stacked[: loop.consts] + [
            x if b or not to else stack_alike(x, around.length)
            for x, b, to in zip(stacked[loop.consts :], on[loop.consts :], carry, strict=True)
        ]
        if ends[0]:
            cond, body = _make_any(cond), _make_masked(cond, body)
        results = WhileCall(While(cond, body, loop.consts, loop.max_steps), leaves).apply()
        return around.box_some(results, carry)


def _make_bounded(loop: While) -> Loop:
    """A while as a scan of as many steps as it can have: each is a step, or none."""
    examples = loop.body.given

    def keep(leaves: list[Any]) -> list[Any]:
        return leaves[loop.consts :]

    branches = Branches((close(keep, examples)[0], loop.body))

    def step(leaves: list[Any]) -> list[Any]:
        goes_on = loop.cond(*leaves)[0]
        return SwitchCall(branches, [np.where(goes_on, 1, 0), *leaves]).apply()

    return Loop(close(step, examples)[0], loop.consts, len(loop.body.returned), loop.max_steps or 0)


# --- a while of which nobody knows how many steps it takes


class Pulled(Held):
    """What pulls a while back, if that could be done: it is there to be transposed, for `jvp`."""

    __slots__ = ("line", "loop", "results", "tracked")
    steps = ()

    def __init__(self, loop: While, tracked: list[int], results: list[int], line: str) -> None:
        self.loop, self.tracked, self.results, self.line = loop, tracked, results, line

    def map(self, f: Callable[[Step], Step]) -> Pulled:  # noqa: ARG002
        return self

    def example(self) -> list[Any]:
        return [zeros_like(self.loop.body.given[k]) for k in self.tracked]

    def refuse(self) -> NoReturn:
        """Raise what a gradient raises that would need it."""
        raise NotDifferentiableError(
            f"{self.line}: while_loop: under jit a gradient needs to know how many steps there can "
            "be, to keep what they need; write while_loop(..., max_steps=n), or scan"
        )


def _refuse_pulled(*_leaves: Any, pulled: Pulled) -> NoReturn:
    pulled.refuse()


PULLED_WHILE = Primitive(_refuse_pulled, (), "pulled_while_loop", Kind.OPAQUE)
SUBPROGRAMS[PULLED_WHILE] = lambda eqn: eqn.options["pulled"].refuse()


class PulledWhile(StagedCall):
    """The pullback of a while, whose operands are the loop's, and cotangents of results.

    Only `jvp` can use it, which transposes it: the transposed of a pullback pushes tangents
    forward, step by step with the values. As an equation it is left out, where nobody reads it.
    """

    __slots__ = ()
    primitive: ClassVar[Primitive] = PULLED_WHILE
    option: ClassVar[str] = "pulled"

    def record(self, tape: Tape) -> list[Any]:
        pulled: Pulled = self.held
        parents, inside, tracked = self.take_off(tape)
        count = len(pulled.loop.body.given)
        if tracked[0] < count:
            pulled.refuse()
        results = PulledWhile(pulled, inside).apply()

        def push(kept: list[Any], tangents: dict[int, Any]) -> list[Any]:
            directions = {pulled.tracked[k]: v for k, v in tangents.items()}
            pushed = _push(pulled.loop, kept, directions)
            return [pushed[pulled.results[k - count]] for k in tracked]

        kept = inside[:count]
        return record_results(tape, self.recorded, parents, results, kept, push, tracked)

    def batch(self, around: BatchInterpreter) -> list[Any]:  # noqa: ARG002
        pulled: Pulled = self.held
        pulled.refuse()


def _push(loop: While, operands: list[Any], tangents: dict[int, Any]) -> dict[int, Any]:
    """The tangents of the results: a while that carries values and tangents."""
    given, n = loop.body.given, loop.consts
    floats = [k for k, x in enumerate(given) if is_floating(x)]
    consts, carried = [k for k in floats if k < n], [k for k in floats if k >= n]
    count = len(given)

    def order(values: list[Any], directions: dict[int, Any]) -> list[Any]:
        first = [*values[:n], *[directions[k] for k in consts]]
        return [*first, *values[n:], *[directions[k] for k in carried]]

    def part(leaves: list[Any]) -> tuple[list[Any], dict[int, Any]]:
        m = n + len(consts)
        values = [*leaves[:n], *leaves[m : m + count - n]]
        directions = [*leaves[n:m], *leaves[m + count - n :]]
        return values, dict(zip([*consts, *carried], directions, strict=True))

    def body(leaves: list[Any]) -> list[Any]:
        values, directions = part(leaves)

        def run(chosen: list[Any]) -> list[Any]:
            inside = dict(zip(floats, chosen, strict=True))
            return loop.body(*[inside.get(k, x) for k, x in enumerate(values)])

        chosen = [values[k] for k in floats]
        y, dy = jvp(run, (chosen,), ([directions[k] for k in floats],))
        return [*y, *[dy[k - n] for k in carried]]

    zeros = {k: zeros_like(given[k]) for k in floats}
    examples = order(given, zeros)
    goes_on, _ = close(lambda leaves: loop.cond(*part(leaves)[0]), examples)
    both = While(goes_on, close(body, examples)[0], n + len(consts), None)
    results = WhileCall(both, order(operands, zeros | tangents)).apply()
    return dict(zip([k - n for k in carried], results[count - n :], strict=True))


# --- batches of a while


def _make_any(cond: Step) -> Step:
    return close(lambda leaves: [np.any(cond(*leaves)[0])], cond.given)[0]


def _make_masked(cond: Step, body: Step) -> Step:
    """A step of the examples that are not done."""
    consts = len(body.given) - len(body.returned)

    def step(leaves: list[Any]) -> list[Any]:
        goes_on = cond(*leaves)[0]
        return [
            choose_examples(goes_on, new, old)
            for new, old in zip(body(*leaves), leaves[consts:], strict=True)
        ]

    return close(step, body.given)[0]
