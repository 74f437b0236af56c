"""Tracing: a function is run once, on stand-ins for its arguments that write down every op.

A `Trace` is a tape that keeps everything: also comparisons, and what gradients compute inside. It
is older, so further out, than the tapes of the transforms that run within it: their rules are
ordinary ops, and so end up here like what the user wrote. Nothing else of the engine takes part.

Each stand-in (`Traced`) carries the actual value, from which ops compute shapes and dtypes, but
does not give it away: what Python does with a value (branching on it, printing it) would happen
once, while tracing, and never again.
"""

from __future__ import annotations

import copy
import functools
import linecache
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from ..engine.errors import NotDifferentiableError, TracedValueError
from ..engine.primitive import Kind, Primitive, innermost
from ..engine.tape import NO_OPTIONS, Tape
from ..engine.tensor import NUMPY, Tensor
from .program import CHECKS, ITEM, Line, Operand, Program, Value, Var, is_generator, mapped


def _squared(x: float) -> float:
    return x**2


_PYTHON: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "remainder": operator.mod,
    "floor_divide": operator.floordiv,
    "square": _squared,
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": abs,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": operator.eq,
    "not_equal": operator.ne,
}
ARITHMETIC = {name: Primitive(f, (), name, Kind.OPAQUE) for name, f in _PYTHON.items()}
"""Ops that keep Python numbers Python numbers, which leave float32 arrays float32."""

NUMBERS = (float, int, bool)

SHAPE_FROM_VALUES = {
    *("nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract", "trim_zeros"),
    *("union1d", "intersect1d", "setdiff1d", "setxor1d", "unique_values", "unique_counts"),
    *("unique_all", "unique_inverse", "bincount", "histogram_bin_edges"),
}
"""Functions whose result has a shape that depends on values."""

SHAPE_FROM_COUNTS = {"repeat", "delete", "resize", "insert", "tile"}
"""Functions whose result has a shape that depends on the values of arguments after the first."""

IN_PLACE = {"fill_diagonal", "put", "putmask", "place", "put_along_axis", "copyto"}
"""Functions that write into their argument."""

UNSET = dict.fromkeys(np.geterr(), "call")
"""The floating-point error state while tracing: whatever differs was set inside the function."""


class Captured(Exception):  # noqa: N818 (a signal, which nobody sees)
    """The function uses a Tensor of a transform that was under way when it was called."""


class Trace(Tape):
    """The tape of a function that is being turned into a program."""

    __slots__ = ("known", "program")

    def __init__(self) -> None:
        super().__init__()
        self.program = Program()
        self.known: dict[int, tuple[Any, Var]] = {}  # by id; the array too, so that its id stays

    def enter(self, leaf: Any, path: str) -> Traced:
        """A stand-in for an array, a number or a generator."""
        index = next(self.indices)
        form = "array"
        if isinstance(leaf, float) and not isinstance(leaf, np.generic):
            form = "number"
        elif is_generator(leaf):
            form, leaf = "generator", copy.deepcopy(leaf)  # the program draws, not the trace
        elif isinstance(leaf, np.generic):
            form = "scalar"
        else:
            leaf = np.ascontiguousarray(leaf).reshape(leaf.shape)  # the program relies on no order
        traced = _stand_in(self, index, leaf, TracedGenerator if form == "generator" else Traced)
        dtype = np.dtype(object) if form == "generator" else traced.dtype
        self.program.inputs[index] = path, Value(traced.shape, dtype, form)
        return traced

    def applied(
        self,
        op: Primitive,
        kernel: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any] = NO_OPTIONS,
    ) -> Any:
        """Write down an op (or, if it is a composition of ops, those) and compute its value."""
        if self.closed:
            next(self.indices)  # raises
        if op.composed:
            return op.kernel(*args, **options)
        numpys = op.name if op.kernel is getattr(np, op.name, None) else ""
        if numpys in SHAPE_FROM_VALUES or (
            numpys in SHAPE_FROM_COUNTS and any(isinstance(x, Traced) for x in args[1:])
        ):
            _refuse(f"the shape of what {op.name} returns depends on the values in")
        if op.kind is Kind.STATIC:
            return op.kernel(*mapped(_concrete, args), **mapped(_concrete, options))
        _check_options(op, options)
        line_args, line_options = mapped(self.operand, args), mapped(self.option, options)
        numbers = [x for x in args if not (isinstance(x, Traced) and x.is_number)]
        if numpys in ARITHMETIC and all(type(x) in NUMBERS for x in numbers):
            op = ARITHMETIC[op.name]
            kernel = op.kernel
        values = mapped(_drawing, mapped(_concrete, (args, options)))
        try:
            y = kernel(*values[0], **values[1])
        except Exception as error:
            if not getattr(error, "__notes__", None):
                error.add_note(f"in the op {op.name}, while tracing, at {user_line()}")
            raise
        effect = any(map(is_generator, _leaves(values)))
        return self._written(op, line_args, line_options, y, effect or op.name in CHECKS)

    def _written(self, op: Primitive, args: Any, options: Any, y: Any, effect: bool) -> Any:
        index = next(self.indices)
        errors = {name: mode for name, mode in np.geterr().items() if mode != UNSET[name]}
        kept = errors or None
        if isinstance(y, tuple | list):
            value = Value((), np.dtype(object), "tuple")
            self.program.lines[index] = Line(op, args, options, value, kept, effect)
            parts = [
                self._written(ITEM, (Var(index), k), {}, part, False) for k, part in enumerate(y)
            ]
            return type(y)(parts) if type(y) in (list, tuple) else tuple(parts)
        if type(y) not in NUMBERS and not hasattr(y, "dtype"):
            return y  # something that is known now
        self.program.lines[index] = Line(op, args, options, Value.of(y), kept, effect)
        return _stand_in(self, index, y)

    def operand(self, x: Any) -> Operand:
        """A leaf of an op's arguments as the program names it; arrays become constants."""
        if isinstance(x, Tensor):
            if x.tape is not self:
                raise Captured
            return Var(x.index)
        if isinstance(x, np.ndarray | np.generic):
            known = self.known.get(id(x))
            if known is None or self.program.constants[known[1].index].tobytes() != x.tobytes():
                var = Var(next(self.indices))  # new, or written into since
                self.known[id(x)] = known = x, var
                self.program.constants[var.index] = x.copy()
            return known[1]
        return x

    def option(self, x: Any) -> Operand:
        """The same for options, where a NumPy number is just a number."""
        if isinstance(x, np.generic):
            return x.item() if isinstance(x, np.integer | np.bool_) else x
        return self.operand(x)


class Traced(Tensor):
    """A stand-in for an array under a trace. It has a shape and a dtype, but shows no value."""

    __slots__ = ("concrete",)
    concrete: Any

    @property
    def value(self) -> NoReturn:
        self._refuse("tensor.value")

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.concrete)

    @property
    def dtype(self) -> np.dtype[Any]:
        return getattr(self.concrete, "dtype", None) or np.dtype(type(self.concrete))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def is_number(self) -> bool:
        """Whether this is a Python number, which takes the dtype of the arrays that it meets."""
        return type(self.concrete) in NUMBERS

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.concrete, np.generic)

    def strong(self) -> Traced:
        """Itself, or for a Python number the NumPy scalar that it is worth."""
        if not self.is_number:
            return self
        strong: Traced = self.tape.applied(_STRONG, np.float64, (self,), NO_OPTIONS)
        return strong

    def __repr__(self) -> str:
        return f"Traced(%{self.index}: {self.dtype}{self.shape})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def _refuse(self, what: str) -> NoReturn:
        _refuse(f"{what} needs the value of", self)

    def __bool__(self) -> bool:  # noqa: PLE0304
        self._refuse("branching on it (if, while, and, or, not, bool)")

    def __float__(self) -> float:
        self._refuse("float()")

    def __int__(self) -> int:
        self._refuse("int()")

    def __index__(self) -> int:  # noqa: PLE0305
        self._refuse("using it as a Python index or count")

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits) if digits is not None else self._refuse("round()")

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, list | tuple | str):
            self._refuse("repeating a sequence")
        return np.multiply(other, self)

    def __complex__(self) -> complex:
        self._refuse("complex()")

    def __contains__(self, item: Any) -> bool:
        self._refuse("`in`")

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else self._refuse("formatting it")

    def __array__(self, *args: Any, **options: Any) -> NoReturn:
        self._refuse("making a plain array of it (np.asarray, np.array, `a[i] = t`)")

    def item(self) -> float:
        self._refuse(".item()")

    def tolist(self) -> Any:
        self._refuse(".tolist()")

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self)))  # type: ignore[index]

    def __getattr__(self, name: str) -> Any:
        """The methods of arrays that no op has: NumPy's functions of that name."""
        function = getattr(np, name, None)
        if name.startswith("_") or not hasattr(np.ndarray, name) or not callable(function):
            raise AttributeError(f"a traced array has no {name}")
        return functools.partial(function, self)

    # A NumPy function without a derivative rule is recorded as it is.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        known = NUMPY.get(ufunc if method == "__call__" else (ufunc, method))
        if method == "at":
            _refuse_writing(f"{ufunc.__name__}.at")
        if options.get("out") is not None:
            return super().__array_ufunc__(ufunc, method, *inputs, **options)  # raises
        if known is not None and not options:
            return known(*inputs)
        kind = Kind.ELEMENTWISE if method == "__call__" and not ufunc.signature else Kind.OPAQUE
        called = ufunc if method == "__call__" else getattr(ufunc, method)
        return self._called(called, known, ufunc.__name__, kind, inputs, options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        if function.__name__ in IN_PLACE:
            _refuse_writing(function.__name__)
        known = NUMPY.get(function)
        return self._called(function, known, function.__name__, Kind.OPAQUE, args, options)

    def _called(
        self,
        function: Callable[..., Any],
        known: Callable[..., Any] | None,
        name: str,
        kind: Kind,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        if known is not None:
            try:
                return known(*args, **options)
            except TracedValueError:
                raise
            except (NotDifferentiableError, TypeError):
                if innermost([*_leaves((args, options))]) is not self.tape:
                    raise  # a derivative is asked for
        opaque = Primitive(function, (), name, kind if not options else Kind.OPAQUE)
        return self.tape.applied(opaque, function, args, options)


def _inverted(x: Traced) -> Any:
    return np.invert(x)


for _name, _ufunc in {
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}.items():  # which no derivative passes, so that a Tensor lacks them
    setattr(Traced, f"__{_name}__", lambda a, b, f=_ufunc: f(a, b))
    setattr(Traced, f"__r{_name}__", lambda b, a, f=_ufunc: f(a, b))
setattr(Traced, "__invert__", _inverted)  # noqa: B010


class TracedGenerator(Traced):
    """A stand-in for a random generator: what it draws is drawn anew whenever the program runs."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not hasattr(np.random.Generator, name):
            raise AttributeError(name)
        if name in ("shuffle", "spawn", "bit_generator"):
            self._refuse(f"Generator.{name}")
        op = Primitive(getattr(np.random.Generator, name), (), f"random.{name}", Kind.OPAQUE)
        return lambda *args, **options: self.tape.applied(op, op.kernel, (self, *args), options)


_STRONG = Primitive(np.float64, (), "float64", Kind.OPAQUE)


def _stand_in(tape: Trace, index: int, y: Any, kind: type[Traced] = Traced) -> Traced:
    traced = object.__new__(kind)
    traced.tape, traced.index, traced.concrete = tape, index, y
    return traced


def _concrete(x: Any) -> Any:
    return x.concrete if isinstance(x, Traced) else x


def _drawing(x: Any) -> Any:
    """A generator of which the trace may draw: a copy."""
    return copy.deepcopy(x) if is_generator(x) else x


def _leaves(operand: Any) -> list[Any]:
    leaves: list[Any] = []
    mapped(leaves.append, operand)
    return leaves


def _refuse(what: str, traced: Traced | None = None) -> NoReturn:
    described = f"a traced {traced.dtype}{traced.shape}" if traced is not None else "its arguments"
    raise TracedValueError(
        f"{user_line()}: {what} {described}, which jit does not know while it traces the function. "
        "Choose between arrays with np.where(condition, a, b), make the argument static "
        "(td.jit(f, static_argnames=...)), or leave this part out of the jitted function"
    )


def _refuse_writing(what: str) -> NoReturn:
    raise TracedValueError(
        f"{user_line()}: {what} writes into its argument, and a traced array never changes: "
        "make a new array, with np.where(mask, new, old)"
    )


def _check_options(op: Primitive, options: dict[str, Any]) -> None:
    """Raise TracedValueError for an option whose value the program's shapes would depend on."""
    for name, option in options.items():
        for x in _leaves(option):
            if not isinstance(x, Traced) or isinstance(x, TracedGenerator):
                continue
            if name == "index" and x.dtype == bool:
                _refuse("the shape of x[mask] depends on the values of", x)
            if name in op.options and name != "index":
                _refuse(f"{op.name}({name}=...) needs the value of", x)


def user_line() -> str:
    """Where in the user's code we are: 'file:line: `code`'."""
    package = __name__.partition(".")[0]
    frame = sys._getframe(1)
    while frame.f_back is not None and _inside(frame.f_globals.get("__name__", ""), package):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(path, number).strip()
    return f"{path}:{number}" + (f": `{code}`" if code else "")


def _inside(module: str, package: str) -> bool:
    """Whether a frame is this package's (not its applications') or NumPy's."""
    root = module.partition(".")[0]
    return (root == package and not module.startswith(f"{package}.digits")) or root == "numpy"
