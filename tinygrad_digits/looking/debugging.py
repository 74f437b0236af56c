"""Where a NaN comes from: `debug : (args -> y) -> args -> y`, with every op looked at.

`debug` puts the arguments on a tape of its own, outside of all others, so that the ops of the
forward pass, of the reverse sweep and of the update all pass through it. There is no switch: a
function that is not wrapped is not slowed down.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from ..engine.primitive import Array, Function, Primitive
from ..engine.tape import Tape
from ..engine.tensor import Tensor
from ..engine.transforms import ArgNums, value_and_grad
from ..ops import elementwise, shaping
from ..staging.tracer import user_line
from ..support import tree
from ..support.errors import (
    ChangedArrayError,
    NonFiniteError,
    NotDifferentiableError,
    TracedValueError,
)
from ..support.pickling import made
from ..transforms.batching import Batched
from .recording import Recorder, Seen, bare, is_real

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


class Line(NamedTuple):
    """An op that was seen: what it read (by index) and which line of the user's called it."""

    op: Primitive | None
    parents: tuple[int | None, ...]
    options: dict[str, Any]
    where: str


class Use(NamedTuple):
    """An array that an op has used, as it was then."""

    array: Array
    copy: Array
    op: str
    where: str
    gradient: int
    """What it is needed for, by the number of that tape; 0 for what may be swept at any time."""


class Guarded(dict[int, Any]):
    """The records of a gradient's tape, with a check before the sweep that begins at the last."""

    def __init__(self, records: dict[int, Any], check: Callable[[], None]) -> None:
        super().__init__(records)
        self.check: Callable[[], None] | None = check

    def popitem(self) -> tuple[int, Any]:
        if self.check is not None:
            check, self.check = self.check, None
            check()
        return super().popitem()


class Watch(Recorder):
    """A tape on which each op has to make finite numbers out of finite ones."""

    __slots__ = ("lines", "uses")

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[int, Line] = {}
        self.uses: dict[int, Use] = {}

    def applied(
        self, op: Primitive, kernel: Function, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        where = user_line()
        gradient = self._gradient()
        if any(_is_differentiated(x) for x in args if self.has(x)):
            gradient = 0
        for x in args:
            if isinstance(x, np.ndarray) and op.rules and gradient is not None:
                self._unchanged(x, op.name, where, gradient)
        y = super().applied(op, kernel, args, options)
        if self.has(y):
            parents = tuple([x.index if self.has(x) else None for x in args])
            self.lines[y.index] = Line(op, parents, options, where)
            del self.records[y.index]  # it holds all operands
            if not _finite(y) and all(map(_finite, (*args, *options.values()))):
                raise NonFiniteError(self._explained(op, args, y, where))
        return y

    def _gradient(self) -> int | None:
        """What an op is needed for, by the number of its tape, if it is needed.

        That is the outermost gradient that is being taken in what is watched; 0 where the op is
        recorded by a tape that may be swept at any time, as those of vjp.
        """
        oldest: Tape | None = None
        swept = False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code in _TAPED:
                tape: Any = frame.f_locals.get("tape")
                inside = type(tape) is Tape and tape.serial > self.serial
                if inside and (oldest is None or tape.serial <= oldest.serial):
                    oldest, swept = tape, frame.f_code is _GRADIENT
            frame = frame.f_back
        if oldest is None or not swept:
            return None if oldest is None else 0
        if type(oldest.records) is dict:
            check = functools.partial(self.check_unchanged, oldest.serial, "when it began")
            oldest.records = Guarded(oldest.records, check)
        return oldest.serial

    def _unchanged(self, x: Array, op: str, where: str, gradient: int) -> None:
        """Remember an array that does not come from the arguments; it must stay as it is.

        What a gradient needed may change when that is done.
        """
        use = self.uses.get(id(x))
        if use is None or use.array is not x or use.gradient not in (0, gradient):
            self.uses[id(x)] = Use(x, x.copy(), op, where, gradient)
        elif not np.array_equal(use.copy, x, equal_nan=x.dtype.kind == "f"):
            raise ChangedArrayError(
                f"{where}: {op} reads a {x.dtype}{x.shape} array that was written into since "
                f"{use.op} used it at {use.where}; its derivative needs it as it was. Make a new "
                "array instead, or pass a copy"
            )

    def check_unchanged(self, gradient: int, when: str) -> None:
        """Raise ChangedArrayError for an array that a sweep needs, and that has changed."""
        for use in [*self.uses.values()]:
            if use.gradient in (0, gradient):
                self._unchanged(use.array, "the reverse sweep", when, gradient)

    def _explained(self, op: Primitive, args: tuple[Any, ...], y: Tensor, where: str) -> str:
        sweeping = _sweeping()
        what = op.name
        if sweeping is not None:
            outer, inputs, value = sweeping
            what, where = f"the derivative of {outer.name}", self._line_of(outer, inputs, value)
            advice = ADVICE.get(outer.name, "")
        else:
            advice = ADVICE.get(op.name, "")
        bad = bare(y)
        kinds = [k for k, test in (("NaN", np.isnan), ("an infinity", np.isinf)) if test(bad).any()]
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(bad))[0])
        operands = [_described(x, place, np.shape(bad)) for x in args]
        return (
            f"{what} made {' and '.join(kinds)} out of finite numbers, at {where}"
            + (f" (in the {op.name} of its rule)" if sweeping else "")
            + f"\n  result:  {_described(y, place, np.shape(bad))}"
            + "".join(f"\n  operand: {text}" for text in operands)
            + (f"\n  stable:  {advice}" if advice else "")
        )

    def _line_of(self, op: Primitive, inputs: tuple[Any, ...], value: Any) -> str:
        """Where the op whose derivative is being taken was called, from what its record kept."""
        kept = [x.index if self.has(x) else None for x in inputs]
        made = value.index if self.has(value) else None
        for index, line in self.lines.items():
            reads = [a for a, b in zip(line.parents, kept, strict=False) if b is not None]
            if (
                line.op is op
                and made in (None, index)
                and reads == [k for k in kept if k is not None]
            ):
                return line.where
        return user_line()


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
        tape = Watch()
        args, kwargs, names = tape.entered(f, args, kwargs, argnums)
        if not names:
            raise NotDifferentiableError("debug: there is no floating-point argument to watch")
        try:
            with np.errstate(all="ignore"):
                y = f(*args, **kwargs)
            tape.check_unchanged(0, "when the function returned")
        finally:
            tape.close()
        return tree.map(lambda leaf: _off(leaf, tape), y)

    return cast("F", made(debugged, f, debug, f))


def _off(leaf: Any, tape: Watch) -> Any:
    """A result without its tape, and nobody else's memory."""
    value = leaf.value if tape.has(leaf) else leaf
    return value.copy() if isinstance(value, np.ndarray) else value


def _is_differentiated(x: Any) -> bool:
    """Whether a derivative is taken of this from outside."""
    while isinstance(x, Seen | Batched):
        x = x.stacked if isinstance(x, Batched) else x.value
    return isinstance(x, Tensor) and type(x.tape) is Tape


def _finite(x: Any) -> bool:
    try:
        x = bare(x)
    except TracedValueError:
        raise TracedValueError(
            "debug looks at values, which a program that is being traced has not got; watch it "
            "from outside, with td.debug(td.jit(f))"
        ) from None
    return not is_real(x) or bool(np.isfinite(x).all())


def _sweeping() -> tuple[Primitive, tuple[Any, ...], Any] | None:
    """The op whose rule is running, what its record kept of its inputs, and of its value."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _SWEEP:
            found = frame.f_locals
            return found["op"], found["inputs"], found["y"]
        frame = frame.f_back
    return None


_SWEEP = Tape.sweep.__wrapped__.__code__  # type: ignore[attr-defined]
_GRADIENT = value_and_grad(len).func.__code__  # type: ignore[attr-defined]
_OPS: tuple[Any, ...] = (elementwise.sin, elementwise.add, shaping.reshape)
_TAPED = {_GRADIENT, *(op.__code__ for op in _OPS)}
"""What has a tape at hand: a gradient, and an op of one array, of two, of any."""


def _described(x: Any, place: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """An operand: dtype, shape, range, and its element at the place of the first bad one."""
    x = bare(x)
    if not hasattr(x, "dtype") or not np.shape(x):
        return f"{x!r}"[:LIMIT]
    text = f"{x.dtype}{x.shape}"
    finite = x[np.isfinite(x)] if x.dtype.kind in "fiu" else x[:0]
    if finite.size:
        text += f" in [{finite.min():.6g}, {finite.max():.6g}]"
    if _stretches(np.shape(x), shape):
        text += f", {np.broadcast_to(x, shape)[place]:.6g} at {list(place)}"
    return text


def _stretches(shape: tuple[int, ...], full: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, full) == full
    except ValueError:
        return False
