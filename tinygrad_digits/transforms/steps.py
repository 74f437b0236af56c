"""Tracing a step of a loop, or a branch, by itself: a function becomes a program that is closed.

    close : ([leaf] -> [leaf]), examples -> Step, what the function uses besides

A `StepInterpreter` is inside of all others, so it sees every op of the function. Where a Tensor of
another interpreter is met (a parameter that the function closes over), that becomes an input of
the program, and the caller gets it back to hand it in: so no gradient is lost. Calls that bring a
derivative along are kept, since the step may yet be differentiated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..compiler.control import Step
from ..compiler.program import Program, Var
from ..compiler.trace import JitInterpreter, JitTracer
from ..engine.primitive import Kind, Primitive
from ..engine.run import run_on
from ..engine.tape import interpreters_of
from ..engine.tensor import Tensor
from ..support import tree
from ..support.tree import Tree
from .calls import refuse_captured


class StepInterpreter(JitInterpreter):
    """Turns a function into a closed program."""

    __slots__ = ("_seen", "captured", "examples", "keeps_calls")

    def __init__(self, keeps_calls: bool = True) -> None:
        super().__init__()
        self.captured: dict[int, Any] = {}  # by the input that stands for it
        self.examples: dict[int, Any] = {}  # of each value
        self.keeps_calls = keeps_calls
        self._seen: dict[int, int] = {}  # by id the input of what was captured

    def box(self, leaf: Any, path: str) -> JitTracer:
        tracer = super().box(leaf, path)
        self.examples[tracer.index] = tracer.concrete
        return tracer

    def operand(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or x.tape is self:
            return super().operand(x)
        x.tape.check_open()
        if id(x) not in self._seen:
            tracer = self.box(find_example(x), "a captured value")
            self._seen[id(x)], self.captured[tracer.index] = tracer.index, x
        return Var(self._seen[id(x)])

    def look_at(self, x: Any) -> Any:
        return find_example(x)

    def add_equation(self, op: Primitive, args: Any, options: Any, y: Any, effect: bool) -> Any:
        traced = super().add_equation(op, args, options, y, effect)
        if isinstance(traced, JitTracer):
            self.examples[traced.index] = traced.concrete
        return traced

    def process_call(self, call: Any) -> Tree:
        if call.staged or not self.keeps_calls:
            return super().process_call(call)
        leaves, structure = tree.flatten(call.args)
        bare_call = call._replace(args=())

        def call_again(*leaves: Any) -> list[Any]:
            y = bare_call._replace(args=tree.unflatten(structure, leaves)).apply()
            return tree.flatten(y)[0]

        op = Primitive(call_again, (), call.primitive.name, Kind.OPAQUE, composite=True)
        y = bare_call._replace(args=tree.map(find_example, call.args)).run()
        refuse_captured(call.primitive, y, 0)
        results, y_structure = tree.flatten(y)
        operands = tuple(map(self.operand, leaves))
        return tree.unflatten(y_structure, self.add_equation(op, operands, {}, results, False))


def close(
    f: Callable[[list[Any]], list[Any]],
    examples: list[Any],
    around: Iterable[JitInterpreter] = (),
    *,
    keeps_calls: bool = True,
) -> tuple[Step, list[Any]]:
    """A function of a list of arrays as a Step, and what it uses besides: inputs that come first.

    Args:
        f: from leaves to leaves.
        examples: what it is traced with; plain arrays and scalars.
        around: the traces under way, whose generators the function must not draw from.
        keeps_calls: whether calls with a derivative of their own stay calls.
    """
    interpreter = StepInterpreter(keeps_calls)

    def box_leaves(leaves: list[Any], _: Any, boxed: list[Any]) -> None:
        boxed += [interpreter.box(leaf, f"input {k}") for k, leaf in enumerate(leaves)]

    def run(leaves: list[Any]) -> list[Any]:
        return [*map(interpreter.operand, f(leaves))]

    with np.errstate(all="call", call=lambda *_: None), _watch_draws(around):
        outputs, _, _ = run_on(interpreter, run, (examples,), box=box_leaves)
    traced, known = interpreter.program, interpreter.examples
    captured = interpreter.captured
    order = [*captured, *[i for i in traced.inputs if i not in captured]]
    program = replace(traced, inputs={i: traced.inputs[i] for i in order}, outputs=outputs)
    returned = [find_value(x, program, known) for x in outputs]
    return Step(program, [known[i] for i in order], returned), [*captured.values()]


def close_all(
    functions: Sequence[Callable[[list[Any]], list[Any]]],
    examples: list[Any],
    around: Iterable[JitInterpreter] = (),
) -> tuple[tuple[Step, ...], list[Any]]:
    """Several functions of the same leaves as Steps of the same inputs, and what they use."""
    pairs = [close(f, examples, around) for f in functions]
    captured = [*{id(x): x for _, used in pairs for x in used}.values()]
    places = {id(x): k for k, x in enumerate(captured)}

    def with_all(step: Step, used: list[Any]) -> Step:
        mine = [places[id(x)] for x in used]

        def run(leaves: list[Any]) -> list[Any]:
            return step(*[leaves[k] for k in mine], *leaves[len(captured) :])

        return close(run, [*map(find_example, captured), *examples])[0]

    return tuple([with_all(*pair) for pair in pairs]), captured


@contextlib.contextmanager
def _watch_draws(traces: Iterable[JitInterpreter]) -> Iterator[None]:
    """Refuse to draw from generators of these traces: that would be once, not in every step."""
    for trace in traces:
        trace.inside += 1
    try:
        yield
    finally:
        for trace in traces:
            trace.inside -= 1


def scalar(x: Any) -> Any:
    """An array without axes as the scalar that it holds."""
    return x[()] if isinstance(x, np.ndarray) else x


def find_value(x: Any, program: Program, known: dict[int, Any]) -> Any:
    """The example of an operand."""
    if not isinstance(x, Var):
        return x
    return program.constants[x.index] if x.index in program.constants else known[x.index]


def find_example(x: Any) -> Any:
    """Of whatever ops take, a plain array or number such as it stands for one of."""
    while isinstance(x, Tensor):
        if hasattr(x, "stacked"):
            many = find_example(x.stacked)
            x = many[0] if len(many) else np.zeros(x.shape, x.dtype)[()]
        else:
            x = x.concrete if isinstance(x, JitTracer) else x.value
    return x


def find_traces(leaves: Iterable[Any]) -> list[JitInterpreter]:
    """The traces that are under way, among what leaves are on."""
    found = {
        interpreter.serial: interpreter
        for leaf in leaves
        for interpreter in interpreters_of(leaf)
        if isinstance(interpreter, JitInterpreter)
    }
    return [*found.values()]
