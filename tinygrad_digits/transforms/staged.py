"""Loops and branches as ops: each interpreter makes of one what it makes of any op.

On a trace a `StagedCall` is an equation. On a tape it is a record, whose rule calls another loop;
under vmap it is the same loop with another step. Since a rule's loop is a StagedCall too, all of
that nests: gradients of gradients, in programs, of batches, are the same few lines again.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from ..compiler.control import Held, Step, steps_of
from ..engine.apply import find_top_tape
from ..engine.primitive import Kind, Primitive, VariadicRule
from ..engine.run import run_on
from ..engine.tape import Tape
from .batching import BatchInterpreter
from .calls import pull_argument
from .steps import close


class StagedCall:
    """A call of an op that holds steps.

    Args:
        held: the option of the equation: the steps, and how they run.
        leaves: the operands.
    """

    __slots__ = ("held", "leaves")
    staged: ClassVar[bool] = True
    primitive: ClassVar[Primitive]
    option: ClassVar[str]
    """What the equation calls it."""
    recorded: ClassVar[Primitive]
    """What tapes call it, with the rule that asks the record for its pullback."""

    def __init__(self, held: Any, leaves: list[Any]) -> None:
        self.held = held
        self.leaves = leaves

    def __init_subclass__(cls) -> None:
        op, rule = cls.primitive, VariadicRule(pull_argument)
        cls.recorded = Primitive(op.kernel, rule, op.name, Kind.OPAQUE)
        cls.recorded.holomorphic = None
        op.apply = lambda *leaves, **options: cls(options[cls.option], [*leaves]).apply()

    @property
    def options(self) -> dict[str, Held]:
        return {self.option: self.held}

    def apply(self) -> list[Any]:
        """The results: what the top interpreter among the operands makes of the call."""
        tape = find_top_tape(self.leaves)
        results: list[Any] = self.run() if tape is None else tape.process_call(self)
        return results

    def run(self) -> list[Any]:
        """Step by step."""
        results: list[Any] = self.primitive.kernel(*self.leaves, **self.options)
        return results

    def inline(self) -> Self:
        """The same without calls of functions in its steps: their ops instead."""
        if not any(map(_has_calls, self.held.steps)):
            return self
        return type(self)(self.held.map(_inline), self.leaves)

    def record(self, tape: Tape) -> list[Any]:
        """The results on a tape."""
        raise NotImplementedError

    def take_off(self, tape: Tape) -> tuple[list[int | None], list[Any], list[int]]:
        """The operands' indices on a tape, what they hold, and the numbers of those on it."""
        tape.check_open()
        parents = [x.index if tape.is_on(x) else None for x in self.leaves]
        inside = [x if i is None else x.value for x, i in zip(self.leaves, parents, strict=True)]
        return parents, inside, [k for k, i in enumerate(parents) if i is not None]

    def batch(self, around: BatchInterpreter) -> list[Any]:
        """The results for all examples at once."""
        raise NotImplementedError

    def take_stacked(self, around: BatchInterpreter) -> tuple[list[Any], list[bool]]:
        """What the operands hold, and which of them have a batch axis."""
        on = [around.is_on(x) for x in self.leaves]
        return [x.stacked if b else x for x, b in zip(self.leaves, on, strict=True)], on


def _has_calls(step: Step) -> bool:
    return any(
        eqn.op.composite or any(map(_has_calls, steps_of(eqn)))
        for eqn in step.program.equations.values()
    )


def _inline(step: Step) -> Step:
    return close(lambda leaves: step(*leaves), step.given, keeps_calls=False)[0]


def batch_step(
    step: Step, on: list[bool], around: BatchInterpreter, wanted: list[bool]
) -> tuple[Step, list[bool]]:
    """A step for all examples at once, with a batch axis in front of what is `on`.

    Of the results those that are wanted, or differ between examples, have one too: which is told.
    """
    length, has = around.length, [*wanted]
    examples = [
        np.broadcast_to(x, (length, *np.shape(x))).copy() if batched else x
        for x, batched in zip(step.given, on, strict=True)
    ]

    def run(leaves: list[Any]) -> list[Any]:
        batch = BatchInterpreter(length)

        def box_leaves(leaves: list[Any], _: Any, boxed: list[Any]) -> None:
            boxed += batch.box_some(leaves, on)

        ys, _, _ = run_on(batch, lambda leaves: step(*leaves), (leaves,), box=box_leaves)
        for k, y in enumerate(ys):
            has[k] = has[k] or batch.is_on(y)
        return [_take_stacked(batch, y, b) for y, b in zip(ys, has, strict=True)]

    return close(run, examples)[0], has


def _take_stacked(batch: BatchInterpreter, y: Any, batched: bool) -> Any:
    if batch.is_on(y):
        return y.stacked
    return stack_alike(y, batch.length) if batched else y


def choose_examples(chosen: Any, new: Any, old: Any) -> Any:
    """new for the examples that are chosen, old for the others."""
    return np.where(chosen.reshape((-1, *(1,) * (np.ndim(old) - 1))), new, old)


def stack_alike(x: Any, length: int) -> Any:
    """The same for each example."""
    return np.broadcast_to(x, (length, *np.shape(x)))


def is_floating(x: Any) -> bool:
    """Whether a value has cotangents."""
    return getattr(getattr(x, "dtype", None), "kind", "") in ("f", "c")


def zeros_like(x: Any) -> Any:
    """Zeros of the same form, an array or a scalar."""
    return np.zeros(np.shape(x), x.dtype)[()]
