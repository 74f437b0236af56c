"""Tracing a step of a loop, or a branch, by itself: a function becomes a program that is closed.

    close : ([leaf] -> [leaf]), examples -> Step, what the function uses besides

A `StepInterpreter` is inside of all others, so it sees every op of the function. Where a Tensor of
another interpreter is met (a parameter that the function closes over), that becomes an input of
the program, and the caller gets it back to hand it in: so no gradient is lost. Calls that bring a
derivative along are kept, since the step may yet be differentiated.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import CellType, FunctionType
from typing import Any

import numpy as np

from ..compiler.control import Step
from ..compiler.program import Program, Var, map_operand, vars_in
from ..compiler.trace import JitInterpreter, JitTracer
from ..engine.primitive import Kind, Primitive
from ..engine.run import run_on
from ..engine.tape import OPEN, interpreters_of
from ..engine.tensor import Tensor
from ..support import tree
from ..support.errors import TracedValueError
from ..support.tree import Tree
from ..support.user_lines import user_line
from .calls import refuse_captured

SMALL = 1 << 12
"""Bytes up to which an array that a step uses is copied into its program."""


class StepInterpreter(JitInterpreter):
    """Turns a function into a closed program."""

    __slots__ = ("_seen", "captured", "examples", "keeps_calls", "lifts")

    def __init__(self, keeps_calls: bool, lifts: bool) -> None:
        super().__init__()
        self.lifts = lifts  # large arrays, into inputs
        self.captured: dict[int, Any] = {}  # by the input that stands for it
        self.examples: dict[int, Any] = {}  # of each value
        self.keeps_calls = keeps_calls
        self._seen: dict[int, JitTracer] = {}  # by id of what was captured

    def box(self, leaf: Any, path: str) -> JitTracer:
        tracer = super().box(leaf, path)
        self.examples[tracer.index] = tracer.concrete
        return tracer

    def operand(self, x: Any) -> Any:
        if self.lifts and isinstance(x, np.ndarray) and x.nbytes > SMALL and x.flags.c_contiguous:
            return Var(self.lift(x).index)
        if not isinstance(x, Tensor) or x.tape is self:
            return super().operand(x)
        x.tape.check_open()
        return Var(self.lift(x).index)

    def lift(self, x: Any) -> Any:
        """The input that stands for a Tensor of another interpreter, or for a large array."""
        if isinstance(x, Tensor) and (x.tape is self or x.tape.closed):
            return x
        if id(x) not in self._seen:
            self._seen[id(x)] = tracer = self.box(find_example(x), "a captured value")
            self.captured[tracer.index] = x
        return self._seen[id(x)]

    def look_at(self, x: Any) -> Any:
        return find_example(x)

    def compute(
        self, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        try:
            return function(*args, **options)
        except Exception as error:  # a branch may be there to avoid these very values
            try:
                args, options = map_operand(_make_harmless, (args, options))
                return function(*args, **options)
            except Exception:
                raise error from None

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
    f: Callable[..., list[Any]],
    examples: list[Any],
    around: Iterable[JitInterpreter] = (),
    *,
    user: Callable[..., Any] | None = None,
    keeps_calls: bool = True,
) -> tuple[Step, list[Any]]:
    """A function of a list of arrays as a Step, and what it uses besides: inputs that come first.

    Args:
        f: from leaves (and the user's function) to leaves.
        examples: what it is traced with; plain arrays and scalars.
        around: the traces under way, whose generators the function must not draw from.
        user: a function that f is given, with inputs of the program in the place of the Tensors
            that it closes over.
        keeps_calls: whether calls with a derivative of their own stay calls.
    """
    interpreter = StepInterpreter(keeps_calls, lifts=user is not None)

    def box_leaves(leaves: list[Any], _: Any, boxed: list[Any]) -> None:
        boxed += [interpreter.box(leaf, f"input {k}") for k, leaf in enumerate(leaves)]

    def run(leaves: list[Any]) -> list[Any]:
        given = () if user is None else (lift_captured(user, interpreter.lift),)
        return [*map(interpreter.operand, f(leaves, *given))]

    with np.errstate(all="call", call=lambda *_: None), _watch_draws(around):
        outputs, _, _ = run_on(interpreter, run, (examples,), box=box_leaves)
    traced, known = interpreter.program, interpreter.examples
    used = {*vars_in(outputs), *(var for eqn in traced.equations.values() for var in eqn.vars)}
    captured = {i: x for i, x in interpreter.captured.items() if i in used}
    order = [*captured, *[i for i in traced.inputs if i not in interpreter.captured]]
    program = replace(traced, inputs={i: traced.inputs[i] for i in order}, outputs=outputs)
    returned = [find_value(x, program, known) for x in outputs]
    return Step(program, [known[i] for i in order], returned), [*captured.values()]


def close_all(
    functions: Sequence[tuple[Callable[..., list[Any]], Callable[..., Any]]],
    examples: list[Any],
    around: list[JitInterpreter],
) -> tuple[tuple[Step, ...], list[Any]]:
    """Several functions of the same leaves as Steps of the same inputs, and what they use.

    Raises TracedValueError where one computes outside: that would be done whether it runs or not.
    """
    before = [len(trace.program.equations) for trace in around]
    pairs = [close(f, examples, around, user=user) for f, user in functions]
    for trace, count in zip(around, before, strict=True):
        for eqn in [*trace.program.equations.values()][count:]:
            raise TracedValueError(
                f"{user_line()}: {eqn.op.name} in a branch or a while_loop uses only what that was "
                "not given, so it would be computed whether it runs or not; give what it needs "
                "as an operand"
            )
    captured = [*{id(x): x for _, used in pairs for x in used}.values()]
    places = {id(x): k for k, x in enumerate(captured)}

    def with_all(step: Step, used: list[Any]) -> Step:
        mine = [places[id(x)] for x in used]

        def run(leaves: list[Any]) -> list[Any]:
            return step(*[leaves[k] for k in mine], *leaves[len(captured) :])

        return close(run, [*map(find_example, captured), *examples])[0]

    return tuple([with_all(*pair) for pair in pairs]), captured


def lift_captured(held: Any, lift: Callable[[Any], Any]) -> Any:
    """A function (or what it holds) with lift(x) for each Tensor x that it closes over.

    Functions and trees without any are left as they are, so that what they write to is the same.
    """
    seen: dict[int, Any] = {}

    def visit(held: Any) -> Any:
        if isinstance(held, Tensor):
            return lift(held)
        if isinstance(held, functools.partial):
            parts = visit((held.func, held.args, held.keywords))
            return functools.partial(parts[0], *parts[1], **parts[2])
        if isinstance(held, FunctionType):
            if id(held) not in seen:
                seen[id(held)] = held  # for those that call themselves
                seen[id(held)] = _with_captured(held, visit)
            return seen[id(held)]
        leaves, structure = tree.flatten(held)
        if structure is None:
            return held
        lifted = [*map(visit, leaves)]
        same = all(map(operator.is_, leaves, lifted))
        return held if same else tree.unflatten(structure, lifted)

    return visit(held)


def _with_captured(f: FunctionType, visit: Callable[[Any], Any]) -> FunctionType:
    """The function with what `visit` makes of its closure and its defaults."""
    cells = [*(f.__closure__ or ())]
    for k, cell in enumerate(cells):
        try:
            content = cell.cell_contents
        except ValueError:  # it is not bound yet
            continue
        lifted = visit(content)
        if lifted is not content:
            cells[k] = CellType(lifted)
    defaults, named = visit(f.__defaults__), visit(f.__kwdefaults__)
    same = all(map(operator.is_, cells, f.__closure__ or ()))
    if same and defaults is f.__defaults__ and named is f.__kwdefaults__:
        return f
    made = FunctionType(f.__code__, f.__globals__, f.__name__, defaults, tuple(cells))
    made.__kwdefaults__ = named
    made.__module__ = f.__module__
    return made


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


def _make_harmless(x: Any) -> Any:
    """An array of the same form that most ops can do something with: unit matrices, or zeros."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fciu":
        return x.dtype.type(0) if isinstance(x, np.integer) else x
    if x.dtype.kind in "iu" or x.ndim < 2:
        return np.zeros_like(x) if x.dtype.kind in "iu" else np.ones_like(x)
    return np.broadcast_to(np.eye(*x.shape[-2:], dtype=x.dtype), x.shape).copy()


class TraceFound(Exception):  # noqa: N818 (a signal, which nobody sees)
    """The first step has met a trace that was not among what its loop was given."""

    def __init__(self, traces: list[JitInterpreter]) -> None:
        super().__init__()
        self.traces = traces


def look_for_traces(leaves: Iterable[Any]) -> None:
    """Raise TraceFound where one of these is on a trace."""
    if traces := find_traces(leaves):
        raise TraceFound(traces)


def find_captured(f: Any) -> list[Any]:
    """The Tensors that a function closes over."""
    found: list[Any] = []

    def note(x: Any) -> Any:
        found.append(x)
        return x

    if OPEN:  # or there are none
        lift_captured(f, note)
    return found


@contextlib.contextmanager
def group_records(leaves: Iterable[Any], name: str) -> Iterator[None]:
    """Tell the interpreters that keep groups of records (`looking.recording`) of a loop."""
    keep = {i.serial: i for x in leaves for i in interpreters_of(x) if hasattr(i, "groups")}
    starts = {serial: len(interpreter.records) for serial, interpreter in keep.items()}
    yield
    for serial, interpreter in keep.items():
        if len(interpreter.records) > starts[serial]:
            interpreter.groups.append((name, starts[serial], len(interpreter.records)))


def find_traces(leaves: Iterable[Any]) -> list[JitInterpreter]:
    """The traces that are under way, among what leaves are on."""
    found = {
        interpreter.serial: interpreter
        for leaf in leaves
        for interpreter in interpreters_of(leaf)
        if isinstance(interpreter, JitInterpreter)
    }
    return [*found.values()]
