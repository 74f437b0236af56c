"""Where a NaN comes from: `debug : (args -> y) -> args -> y`, with every op looked at.

`debug` puts the arguments on an interpreter of its own, outside of all others in the function, so
that the ops of the forward pass, of the reverse sweep and of the update all pass through it. There
is no switch: a function that is not wrapped is not slowed down.
"""

from __future__ import annotations

import functools
from _thread import get_ident  # threading itself takes 0.6 ms to import
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from ..engine.primitive import Array, Function, Primitive, Rule
from ..engine.tape import Pull, Record, Tape, interpreters_of, tick
from ..engine.tensor import Tensor
from ..staging.tracer import bare
from ..support import tree
from ..support.argnums import ArgNums
from ..support.errors import (
    ChangedArrayError,
    NonFiniteError,
    NotDifferentiableError,
    TracedValueError,
)
from ..support.pickling import make_restorable
from ..support.results import copy_leaf
from ..support.user_lines import user_line
from .recording import RecordingInterpreter

F = TypeVar("F", bound=Callable[..., Any])

ADVICE = {
    "log": "log(softmax(x)) is td.nn.log_softmax(x); log(1 + x) is np.log1p(x); log(sum(exp(x))) "
    "is td.special.logsumexp(x); where x may be 0, np.log(np.maximum(x, tiny))",
    "exp": "subtract the maximum first, as td.nn.softmax and td.special.logsumexp do; 1 / (1 + "
    "exp(-x)) is td.nn.sigmoid(x); log(1 + exp(x)) is td.nn.softplus(x); exp(x) - 1 is np.expm1(x)",
    "divide": "td.piecewise evaluates x / y on the elements where y != 0 alone; np.where does not "
    "help, since both of its branches are evaluated",
    "sqrt": "its derivative is infinite at 0: np.sqrt(x + tiny), np.linalg.norm(x), np.hypot(a, b) "
    "or np.std(x), whose derivatives are finite there",
    "power": "a negative power is infinite at 0; a fractional one is NaN below 0, and its "
    "derivative infinite at 0",
    "square": "a sum of squares overflows early: np.linalg.norm(x), or scale x first",
    "arccos": "rounding may lead out of [-1, 1]: np.clip(x, -1, 1), or np.arctan2",
    "arcsin": "rounding may lead out of [-1, 1]: np.clip(x, -1, 1), or np.arctan2",
    "arctanh": "infinite at -1 and 1: np.clip(x, -limit, limit)",
    "log1p": "minus infinity at -1: np.log1p(np.maximum(x, tiny - 1))",
    "sinh": "it overflows like exp; np.tanh does not",
    "cosh": "it overflows like exp; log(cosh(x)) is np.logaddexp(x, -x) - np.log(2)",
    "det": "it overflows early: np.linalg.slogdet(x) gives its sign and its logarithm",
    "prod": "it overflows early: np.exp(np.sum(np.log(x)))",
    "multiply": "0 times infinity, or numbers too large: work with logarithms, or rescale",
    "matmul": "numbers too large: rescale them, or clip the gradients' norm",
}
"""The stable way to write what an op is often used for."""

LIMIT = 60  # characters of a described operand


class SeenOp(NamedTuple):
    """An op that was seen: what it read (by index) and which line of the user's called it."""

    op: Primitive | None
    parents: tuple[int | None, ...]
    where: str


class ArrayUse(NamedTuple):
    """The last use of an array by an op: what was in it, and when that was."""

    array: Array
    copy: Array
    op: str
    where: str
    time: int
    before: ArrayUse | None
    """The last use of it with something else in it, if it was written into in between."""


class DebuggingInterpreter(RecordingInterpreter):
    """Looks at each op, which has to make finite numbers out of finite ones.

    It remembers what was in the plain arrays that ops have used. Which of them may not change is
    not its to guess: a tape keeps the arrays that its rules will read, and tells when it is swept.
    """

    __slots__ = ("around", "rules", "seen", "uses")

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, SeenOp] = {}
        self.uses: dict[int, ArrayUse] = {}  # by id; the array too, so that its id stays
        self.around: dict[int, Tape] = {}  # the tapes outside, which record what happens here
        self.rules: dict[int, Record] = {}  # by thread, the record whose rule is running

    def process_primitive(
        self, op: Primitive, compute: Function, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        where = user_line()
        for x in args:
            if isinstance(x, np.ndarray) and op.rules:
                self._note_use(x, op.name, where)
            elif self.is_on(x):
                outside = [tape for tape in interpreters_of(x.value) if isinstance(tape, Tape)]
                self.around.update((tape.serial, tape) for tape in outside)
        y = super().process_primitive(op, compute, args, options)
        if self.is_on(y):
            parents = tuple([x.index if self.is_on(x) else None for x in args])
            self.seen[y.index] = SeenOp(op, parents, where)
            del self.records[y.index]  # it holds all operands
            if not _is_finite(y) and all(map(_is_finite, (*args, *options.values()))):
                raise NonFiniteError(self._explain(op, args, y, where))
        return y

    def process_sweep(self, tape: Tape, pull: Pull | None) -> Pull:
        self.check_constants(tape, "when it began")
        return functools.partial(self._run_rule, pull)

    def _run_rule(
        self, pull: Pull | None, index: int, record: Record, rule: Rule, g: Array
    ) -> Array:
        """A rule of a sweep, which the ops that run until it is done belong to."""
        thread = get_ident()
        around = self.rules.get(thread)
        self.rules[thread] = record
        try:
            return record.pull(rule, g) if pull is None else pull(index, record, rule, g)
        finally:
            if around is None:
                del self.rules[thread]
            else:
                self.rules[thread] = around

    def _note_use(self, x: Array, op: str, where: str) -> None:
        """Remember what is in an array that does not come from the arguments."""
        last = self.uses.get(id(x))
        if last is None or last.array is not x:
            self.uses[id(x)] = ArrayUse(x, x.copy(), op, where, tick(), None)
        elif _is_same(last.copy, x):
            self.uses[id(x)] = last._replace(time=tick())
        else:
            before = last._replace(before=None)
            self.uses[id(x)] = ArrayUse(x, x.copy(), op, where, tick(), before)

    def check_constants(self, tape: Tape, when: str) -> None:
        """Raise ChangedArrayError if an array that a tape keeps has changed since it keeps it."""
        for record in tape:
            for x in record.inputs:
                if not isinstance(x, np.ndarray) or (use := self.uses.get(id(x))) is None:
                    continue
                if use.before is not None and use.before.time > tape.serial:
                    raise _explain_change(use.before, use.op, use.where)
                if use.time > tape.serial and not _is_same(use.copy, x):
                    raise _explain_change(use, "the reverse sweep", when)

    def check_outside(self) -> None:
        """The same for the tapes outside, which are swept when nothing is looked at any more."""
        for tape in self.around.values():
            self.check_constants(tape, "when the function returned")

    def _explain(self, op: Primitive, args: tuple[Any, ...], y: Tensor, where: str) -> str:
        record = self.rules.get(get_ident())
        what, advice, inside = op.name, ADVICE.get(op.name, ""), ""
        if record is not None:
            what, where = f"the derivative of {record.name}", self._find_line(record)
            advice, inside = ADVICE.get(record.name, ""), f" (in the {op.name} of its rule)"
        bad = bare(y)
        kinds = [k for k, test in (("NaN", np.isnan), ("an infinity", np.isinf)) if test(bad).any()]
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(bad))[0])
        operands = [_describe(x, place, np.shape(bad)) for x in args]
        return (
            f"{what} made {' and '.join(kinds)} out of finite numbers, at {where}{inside}"
            f"\n  result:  {_describe(y, place, np.shape(bad))}"
            + "".join(f"\n  operand: {text}" for text in operands)
            + (f"\n  stable:  {advice}" if advice else "")
        )

    def _find_line(self, record: Record) -> str:
        """Where the op whose derivative is being taken was called, from what its record kept."""
        kept = [x.index if self.is_on(x) else None for x in record.inputs]
        made = record.value.index if self.is_on(record.value) else None
        for index, seen in self.seen.items():
            reads = [a for a, b in zip(seen.parents, kept, strict=False) if b is not None]
            if (
                seen.op is record.op
                and made in (None, index)
                and reads == [k for k in kept if k is not None]
            ):
                return seen.where
        return user_line()


def _explain_change(use: ArrayUse, op: str, where: str) -> ChangedArrayError:
    return ChangedArrayError(
        f"{where}: {op} reads a {use.array.dtype}{use.array.shape} array that was written into "
        f"since {use.op} used it at {use.where}; its derivative needs it as it was. Make a new "
        "array instead, or pass a copy"
    )


def _is_same(before: Array, x: Array) -> bool:
    return np.array_equal(before, x, equal_nan=x.dtype.kind in "fc")


def debug(f: F, argnums: ArgNums | None = None) -> F:
    """`debug : (args -> y) -> args -> y`: f itself, but the first bad op raises an error.

    Bad is what makes a NaN or an infinity out of finite operands: NonFiniteError then names the op
    (or the op whose derivative it was), the line of yours that called it, the operands' ranges and,
    where it is known, the stable way to write it. Raises ChangedArrayError where an array that a
    gradient needs is written into before that is done. Wrap what takes the gradient, so that the
    reverse sweep is watched too: `debug(grad(loss))`.

    What does not depend on floating-point arguments (on those at the positions `argnums`, if that
    is given) is not looked at, nor is what is called with bare numbers, as `td.minimize` and SciPy
    do: wrap the function that is given to them, `minimize(debug(f), x)`.

    >>> debug(lambda x: np.log(x))(np.array([1.0, 0.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    tinygrad_digits.support.errors.NonFiniteError: log made an infinity out of finite numbers...
    """

    def debugged(*args: Any, **kwargs: Any) -> Any:
        interpreter = DebuggingInterpreter()
        y = interpreter.run(_look_at(f, interpreter), args, kwargs, argnums)
        return tree.map(copy_leaf, interpreter.unbox_all(y))

    return cast("F", make_restorable(debugged, f, debug, f))


def _look_at(f: Callable[..., Any], interpreter: DebuggingInterpreter) -> Callable[..., Any]:
    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not interpreter.names:
            raise NotDifferentiableError("debug: there is no floating-point argument to watch")
        with np.errstate(all="ignore"):
            y = f(*args, **kwargs)
        interpreter.check_outside()
        return y

    return run


def _is_finite(x: Any) -> bool:
    value = bare(x)
    if value is None and x is not None:
        raise TracedValueError(
            "debug looks at values, which a program that is being traced has not got; watch it "
            "from outside, with td.debug(td.jit(f))"
        )
    return not tree.is_inexact(value) or bool(np.isfinite(value).all())


def _describe(x: Any, place: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """An operand: dtype, shape, range, and its element at the place of the first bad one."""
    x = bare(x)
    if not hasattr(x, "dtype") or not np.shape(x):
        return f"{x!r}"[:LIMIT]
    text = f"{x.dtype}{x.shape}"
    finite = x[np.isfinite(x)] if x.dtype.kind in "fiu" else x[:0]
    if finite.size:
        text += f" in [{finite.min():.6g}, {finite.max():.6g}]"
    if _broadcasts_to(np.shape(x), shape):
        text += f", {np.broadcast_to(x, shape)[place]:.6g} at {list(place)}"
    return text


def _broadcasts_to(shape: tuple[int, ...], full: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, full) == full
    except ValueError:
        return False
