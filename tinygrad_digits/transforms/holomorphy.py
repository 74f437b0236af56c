"""Whether a complex derivative is one: a sweep whose rules are linear in complex numbers.

    watch_sweep : f, pull -> a pull that refuses what is not holomorphic

A holomorphic op pulls a cotangent g back to g f'(z), and so i g to i g f'(z). Of NumPy's own ops it
is known which do. What nobody can know by its name (a loop, a `checkpoint`, a derivative of the
user's) has its rule run with g on a `LinearInterpreter`, which follows what becomes of it: through
ops that are holomorphic themselves it stays linear; abs, conj, real and the like break that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.control import Branches, Held, Loop, Step, While
from ..engine.primitive import Array, Function, Kind, Primitive, Rule
from ..engine.tape import Interpreter, Pull, Record
from ..engine.tensor import Tensor
from ..support import tree
from ..support.errors import NotDifferentiableError
from ..support.pickling import name_of
from ..support.tree import Tree
from .calls import Bundle
from .staged_branches import Pulled
from .steps import find_example

LINEAR = ""
"""What is known of a value that depends on g: nothing broke it. Otherwise the op that did; None for
a value that does not depend on g."""


class LinearInterpreter(Interpreter):
    """Follows a cotangent through a rule, and tells which op is not linear in complex numbers."""

    __slots__ = ()

    def box(self, value: Any, broken: str | None = LINEAR) -> Any:
        if broken is None:
            return value
        tensor = object.__new__(LinearTensor)
        tensor.value, tensor.tape, tensor.index, tensor.broken = value, self, -1, broken
        return tensor

    def read(self, x: Any) -> str | None:
        """What is known of a value."""
        return x.broken if self.is_on(x) else None

    def unbox_all(self, whole: Tree) -> Tree:
        """A tree without this interpreter."""
        return tree.map(lambda x: x.value if self.is_on(x) else x, whole)

    def process_primitive(
        self,
        op: Primitive,
        compute: Function,  # noqa: ARG002 (the op itself is applied, to what may be on other tapes)
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        self.check_open()
        broken = join([self.read(x) for x in tree.flatten((args, options))[0]])
        inside, named = self.unbox_all(args), self.unbox_all(options)
        y = op.apply(*inside, **named)
        if op.kind is Kind.STATIC:
            return y
        return tree.map(lambda part: self.box(part, _pass_through(op, broken, part)), y)

    def process_call(self, call: Any) -> Any:
        """A call as outer interpreters see it; what is inside is followed."""
        if call.staged:
            return self._process_loop(call)
        given = tree.map(self.read, call.args)
        ends: list[str | None] = []

        def watch(run: Function, has_residuals: bool) -> Function:
            def run_watched(*args: Any) -> Any:
                result = run(*tree.map(self.box, args, given))
                y = result[0] if has_residuals else result
                ends[:] = map(self.read, tree.flatten(y)[0])
                return self.unbox_all(result)

            return run_watched

        f, forward = watch(call.f, False), watch(call.forward, True)
        y = call._replace(args=self.unbox_all(call.args), f=f, forward=forward).apply()
        leaves, structure = tree.flatten(y)
        return tree.unflatten(structure, [*map(self.box, leaves, ends)])

    def _process_loop(self, call: Any) -> list[Any]:
        leaves = [x.value if self.is_on(x) else x for x in call.leaves]
        ends = follow(call.inline().held, [self.read(x) for x in call.leaves])
        return [*map(self.box, type(call)(call.held, leaves).apply(), ends)]


class LinearTensor(Tensor):
    """A value that depends on the cotangent that a LinearInterpreter follows."""

    __slots__ = ("broken",)
    broken: str

    def rebind(self, other: Any) -> None:
        super().rebind(other)
        self.broken = other.broken


def join(states: Sequence[str | None]) -> str | None:
    """What is known of a value that is made of several."""
    return max((state for state in states if state is not None), key=bool, default=None)


def _pass_through(op: Primitive, broken: str | None, y: Any) -> str | None:
    """What is known of an op's result."""
    if not tree.is_inexact(y):
        return None
    breaks = y.dtype.kind != "c" or op.holomorphic is not True
    return op.name if broken == LINEAR and breaks else broken


# --- through loops and branches


def follow(held: Held, given: list[str | None]) -> list[str | None]:
    """What is known of the results of a loop or a choice, by its operands."""
    if isinstance(held, Branches):
        ends = [follow_step(step, given[1:]) for step in held.steps]
        return [*map(join, zip(*ends, strict=True))]
    if isinstance(held, Loop):
        return _repeat(held.step, held.consts, held.carries, given)
    if isinstance(held, While):
        return _repeat(held.body, held.consts, len(held.body.returned), given)
    assert isinstance(held, Pulled)
    loop = held.loop  # linear backwards where it is forwards: holomorphic in what is tracked
    count = len(loop.body.given)
    forwards = [LINEAR if k in held.tracked else None for k in range(count)]
    broken = join([*given[count:], *follow(loop, forwards)])
    return [broken] * len(held.tracked)


def _repeat(step: Step, consts: int, carries: int, given: list[str | None]) -> list[str | None]:
    """Through the step of a loop, until what is known of the carries stays the same."""
    end = consts + carries
    while True:
        ends = follow_step(step, given)
        carry = [join(pair) for pair in zip(given[consts:end], ends[:carries], strict=True)]
        if carry == given[consts:end]:
            return ends
        given = [*given[:consts], *carry, *given[end:]]


def follow_step(step: Step, given: list[str | None]) -> list[str | None]:
    """What is known of the results of a step, which is run on its examples."""
    interpreter = LinearInterpreter()
    with np.errstate(all="ignore"):
        ys = step(*map(interpreter.box, map(find_example, step.given), given))
    return [*map(interpreter.read, ys)]


# --- the sweep


def watch_sweep(f: Any, pull: Pull | None) -> Pull:
    """What runs the rules of a sweep, and raises NotDifferentiableError where f is not holomorphic.

    Args:
        f: the function, for messages.
        pull: what runs them otherwise; None for the rules as they are.
    """
    last: list[Any] = [None, None, None]  # a call's cotangent, boxed once for all of its arguments

    def pull_watched(index: int, record: Record, rule: Rule, g: Array) -> Array:
        op = record.op
        assert op is not None
        if op.holomorphic is False or record.dtype.kind == "f":
            raise _refuse(f, f"{op.name} has no complex derivative, or hides what it does")
        if op.holomorphic is None:
            if last[0] is not g:
                last[:] = g, *_box_cotangent(g)
            interpreter, g = last[1:]
        ct = record.pull(rule, g) if pull is None else pull(index, record, rule, g)
        if op.holomorphic is True or not interpreter.is_on(ct):
            return ct
        if ct.broken:
            raise _refuse(f, f"the derivative of {op.name} applies {ct.broken} to a cotangent")
        return ct.value

    return pull_watched


def _box_cotangent(g: Any) -> tuple[LinearInterpreter, Any]:
    interpreter = LinearInterpreter()
    if isinstance(g, Bundle):
        return interpreter, Bundle({k: interpreter.box(part) for k, part in g.parts.items()})
    return interpreter, interpreter.box(g)


def _refuse(f: Any, why: str) -> NotDifferentiableError:
    return NotDifferentiableError(
        f"{name_of(f)} is not holomorphic: {why}. Without holomorphic=True, grad takes the "
        "gradient of a real loss"
    )
