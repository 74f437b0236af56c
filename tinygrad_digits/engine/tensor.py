"""Tensor: a value and its place on a tape, which NumPy's own functions and operators accept.

NumPy offers two protocols to foreign arrays: `__array_ufunc__` for its universal functions
(https://numpy.org/neps/nep-0013-ufunc-overrides.html) and `__array_function__` for the rest
(https://numpy.org/neps/nep-0018-array-function-protocol.html). Both look the function up in one
table, `NUMPY`, that the op chapters fill. The operators and methods are ops too: `ops.methods`
binds them, so that `a + b` is one Python call away from the op.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from types import FrameType
from typing import Any

import numpy as np

from ..support.callers import INSTEAD, find_instead, name_caller
from ..support.errors import LostGradientError, NotDifferentiableError
from ..support.foreign import Gate, gate_of, refuse_leaf, take
from .primitive import NO_OPTIONS, Array, Primitive
from .tape import Tape

NUMPY: dict[Any, Callable[..., Any]] = {}
"""What stands in for each NumPy function when an argument is a Tensor.

A method of a ufunc has an entry `(ufunc, "reduce")`, its call with keywords `(ufunc, "__call__")`.
"""

SCIPY: dict[str, Callable[..., Any]] = {}
"""What stands in for the ufuncs of scipy.special: by name, for SciPy may be imported later."""

REFUSED: dict[Any, str] = {}
"""Why a NumPy function has nothing to stand in for it, where there is a reason to tell."""


class Tensor:
    """A value on a tape. Ops on it are recorded; no array under it is ever written.

    `Tensor(value, tape)` makes an input of a tape by hand (see `Tape`); the transforms do it for
    you. Raises NotDifferentiableError where the value is not real floating point.
    """

    __slots__ = ("__weakref__", "index", "source", "tape", "value", "views")
    index: int
    tape: Tape
    value: Array
    source: Any
    """Of a view (see `views`): what it is a view of, and how. Not set on other Tensors."""
    views: Any
    """References to the views that were taken of it. Not set where none was."""
    __hash__ = None  # type: ignore[assignment]  # == is elementwise, as for ndarrays
    __pandas_priority__ = 5000  # above DataFrame's 4000: `series * t` leaves it to the Tensor

    def __init__(self, value: Array, tape: Tape) -> None:
        value = _differentiable(value)
        self.value = value.copy() if isinstance(value, np.ndarray) else value  # stays as it is now
        self.tape = tape
        self.index = record(tape, self.value).index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return len(self.value.shape)

    @property
    def size(self) -> int:
        return prod(self.value.shape)

    def __repr__(self) -> str:
        live = self.index in self.tape.records
        return f"Tensor({self.value!r}, op={self.tape[self.index].name if live else 'done'})"

    # What ends in a plain Python object follows NumPy's rules, whatever they are for the value.

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        number = float(self.value)  # which raises as NumPy's does for more than one element
        self._refuse_to_be_lost()
        return number

    def __int__(self) -> int:
        number = int(self.value)
        self._refuse_to_be_lost()
        return number

    def __complex__(self) -> complex:
        number = complex(self.value)
        self._refuse_to_be_lost()
        return number

    def _refuse_to_be_lost(self) -> None:
        """Raise LostGradientError while this is being differentiated."""
        if type(self.tape) is Tape and not self.tape.closed:
            raise LostGradientError(no_array(sys._getframe(2), NO_NUMBER))

    @property
    def is_array(self) -> bool:
        """Whether NumPy has an array here, which can be written into, and no scalar."""
        return is_array(self.value) or hasattr(self, "source")

    @property
    def memory(self) -> Array:
        """A plain array that lies in memory as NumPy's would."""
        return self.value.memory if isinstance(self.value, Tensor) else self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def rebind(self, other: Tensor) -> None:
        """Be what the other is, from now on: `t[i] = v` rebinds t to a new array."""
        self.tape, self.index, self.value = other.tape, other.index, other.value

    def __copy__(self) -> Tensor:
        twin = _new(type(self))
        twin.rebind(self)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self.__copy__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotDifferentiableError(
            "a Tensor cannot be pickled: its tape would stay behind, and its gradient be lost; "
            "pickle tensor.value"
        )

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    def item(self, *place: int) -> float:
        return self.value.item(*place)  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        return self.value.tolist()

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self)))  # type: ignore[index]

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if not options and method == "__call__" and (op := NUMPY.get(ufunc)) is not None:
            return op(*inputs)
        if options.get("out") is not None:
            raise NotDifferentiableError(
                f"{ufunc.__name__}: cannot write a Tensor into an existing array (out=, or +=); "
                "make a new one instead: h = h + x, not h += x"
            )
        options = admit_options(given_once(method, options), ufunc.__name__)
        op = NUMPY.get((ufunc, method))
        if op is None and method == "__call__" and _is_scipys(ufunc):
            op = SCIPY.get(ufunc.__name__)
        if op is None:
            raise no_rule(ufunc, method)
        return op(*admit_all(inputs, ufunc.__name__), **options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        op = NUMPY.get(function)
        if op is None:
            raise no_rule(function)
        args = admit_all(args, function.__name__)
        if options:
            options = admit_options(options, function.__name__)
        if not args:  # np.sum(a=x)
            args, options = _by_position(function, options)
        elif len(args) > 2:  # np.sum(x, 0, None, None, True)
            args, options = by_name(function, op, args, options)
        return op(*args, **options)

    def __array__(self, *args: Any, **options: Any) -> Any:
        if (caller := sparse_caller(sys._getframe(1))) is not None:
            return left_to_tensor(caller)
        raise NotDifferentiableError(no_array(sys._getframe(1)))


NO_NUMBER = (
    "a Tensor that is being differentiated cannot become a plain number (by float, int, a function "
    "of math, or `a[i] = t`): its gradient would be lost. To fill an array write "
    "a = td.at(a)[i].set(t), or np.stack([...]); for a function of math use NumPy's, np.sin(t). If "
    "the gradient shall end here, say so: t.item(), t.value or td.stop_gradient(t)"
)

NO_ARRAY = (
    "a Tensor cannot become a plain array: its gradient would be lost. To build an array "
    "out of Tensors use np.stack or np.concatenate rather than np.array, np.r_ or np.c_, "
    "and rather than `a[i] = t` write a = td.at(a)[i].set(t); "
    "for the bare numbers take tensor.value"
)


def sparse_caller(frame: FrameType) -> str | None:
    """The function of scipy.sparse that a frame is in, if it is."""
    inside = frame.f_globals.get("__name__", "").startswith("scipy.sparse.")
    return frame.f_code.co_name if inside else None


def left_to_tensor(caller: str) -> Any:
    """What tells an operator of scipy.sparse that the other operand is to answer: no array at all.

    Raises NotDifferentiableError for the functions that would go on with it.
    """
    if caller in ("_matmul_dispatch", "_mul_dispatch", "_divide"):
        return np.array(None, object)
    raise NotDifferentiableError(
        "scipy.sparse takes a Tensor in products with a matrix A alone, A @ t and t @ A; elsewhere "
        "write A.toarray()"
    )


def no_array(frame: FrameType | None, otherwise: str = NO_ARRAY) -> str:
    """Why a Tensor becomes no plain array, in the words of the function that wants one.

    `otherwise` is for the user's own code, and for NumPy's functions, of which there is more to say
    only where another takes their place.
    """
    name, function = name_caller(frame)
    if not name:
        return otherwise
    short = name.replace("numpy.", "np.", 1)
    if function in NUMPY:  # which has not seen the Tensors in a list
        return f"{short}([...]) with Tensors in a list is {short}(np.stack([...])): {otherwise}"
    instead = INSTEAD.get(name) or _namesake(name) or find_instead(name)
    if instead is None and name.startswith("numpy."):
        return f"{short}: {otherwise}" if function else otherwise
    return (
        f"{short} makes a plain array of a Tensor, whose gradient would be lost; write "
        f"{instead or _own_rule(name)}; for the bare numbers take tensor.value"
    )


def _own_rule(name: str) -> str:
    """What to write instead of a function that nobody knows."""
    module, _, last = name.rpartition(".")
    rule = f", or give it a derivative: {last} = td.define({name}, rule)"
    return "NumPy's functions" + (rule if module else "")


def _namesake(name: str) -> str | None:
    """Our function of the same name as SciPy's, or NumPy's."""
    module, _, last = name.rpartition(".")
    package = sys.modules[__name__.partition(".")[0]]
    for where, path in ((package, "td"), (np, "np"), (np.linalg, "np.linalg")):
        found = getattr(where, last, None)
        known = callable(found) and (where is package or found in NUMPY)
        if known and module in ("scipy.linalg", "scipy.special", "scipy.signal", "scipy.integrate"):
            return f"{path}.{last}"
    return None


_new = object.__new__  # and setting three slots take half the time of calling the class


def record(
    tape: Tape,
    y: Array,
    op: Primitive | None = None,
    parents: tuple[int | None, ...] = (),
    inputs: tuple[Any, ...] = (),
    value: Array = None,
    options: dict[str, Any] = NO_OPTIONS,
) -> Tensor:
    """Write a Record and return the Tensor of its output y; without an op, of an input."""
    tensor = _new(Tensor)
    tensor.value = y
    tensor.tape = tape
    tensor.index = index = next(tape.indices)
    tape.records[index] = (op, parents, inputs, value, options, y.shape, y.dtype)
    return tensor


def box(leaves: list[Any], tape: Tape, boxed: list[Any]) -> None:
    """Append the leaves as inputs of a tape; those that are neither arrays nor numbers as are."""
    for leaf in leaves:
        if type(leaf) is np.ndarray and leaf.dtype.kind == "f":
            boxed.append(record(tape, leaf))
        else:
            boxed.append(Tensor(leaf, tape) if is_numeric(leaf) else leaf)


def is_array(x: Any) -> bool:
    """Whether `x += v` writes into x, as it does for arrays but not for NumPy's scalars."""
    return x.is_array if isinstance(x, Tensor) else hasattr(type(x), "__iadd__")


def is_numeric(leaf: Any) -> bool:
    """Whether a leaf is an array or a number, and not text, a flag, a type or something else.

    Raises NotDifferentiableError for what looks like numbers and cannot be differentiated.
    """
    refuse_leaf(leaf)
    dtype = getattr(leaf, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype.kind not in "SUTVMm"
    return isinstance(leaf, numbers.Number) and not isinstance(leaf, bool)


def _differentiable(value: Any) -> Array:
    """A value that can be differentiated; Python numbers become float64."""
    if isinstance(value, numbers.Real) and not isinstance(value, np.generic | bool):
        value = np.float64(value)
    if hasattr(value, "strong"):  # a Python number under a trace
        value = value.strong()
    refuse_leaf(value)
    dtype = getattr(value, "dtype", np.dtype(complex if isinstance(value, complex) else object))
    if dtype.kind != "f":
        raise NotDifferentiableError(
            f"cannot differentiate with respect to {dtype} values; "
            + (
                "only real numbers have derivatives here"
                if dtype.kind == "c"
                else "make them real floating point first, with .astype(float)"
            )
        )
    return value


# --- operands of other libraries

_PLAIN = frozenset({Tensor, np.ndarray, float, int, bool, str, type(None), np.float64, np.float32})
"""Types that meet a Tensor as they are."""


def admit(x: Any, who: str, among: Iterable[Any] = ()) -> Any:
    """An operand of `who` as it may meet a Tensor: by position, where it has labels.

    A Tensor among the operands that itself holds labels keeps those of the others.
    """
    gate = gate_of(x)
    if gate is None or (gate.keeps_labels and any(_holds(y, gate) for y in among)):
        return x
    try:
        return take(x, gate)
    except NotDifferentiableError as error:
        raise NotDifferentiableError(f"{who}: {error}") from None


def admit_all(args: Any, who: str) -> Any:
    """`admit` for a row of arguments, also for the operands in a list or tuple of them."""
    if _PLAIN.issuperset(map(type, args)):
        return args
    return type(args)(
        [admit_all(x, who) if type(x) in (list, tuple) else admit(x, who, args) for x in args]
    )


def admit_options(options: dict[str, Any], who: str) -> dict[str, Any]:
    if _PLAIN.issuperset(map(type, options.values())):
        return options
    return dict(zip(options, admit_all([*options.values()], who), strict=True))


def within(output: Any) -> Any:
    """The Tensor that a labelled array holds, as xarray's do; anything else as it is."""
    gate = gate_of(output)
    if gate is None or not gate.keeps_labels:
        return output
    return output.data if isinstance(output.data, Tensor) else output


def _holds(x: Any, gate: Gate) -> bool:
    """Whether x is a Tensor, of an array of this gate under all of its tapes."""
    tensor = type(x) is Tensor
    while type(x) is Tensor:
        x = x.value
    return tensor and gate_of(x) is gate


def given_once(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a ufunc's method, without the arrays: by keyword NumPy gives those twice."""
    if method == "__call__":
        return options
    return {name: x for name, x in options.items() if name not in ("array", "indices")}


def _by_position(
    function: Callable[..., Any], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays that were given by NumPy's names for them, in their places."""
    args: list[Any] = []
    rest = dict(options)
    for name in inspect.signature(function).parameters:
        if name not in rest or (args and not _has_shape(rest[name])):
            break
        args.append(rest.pop(name))
    return tuple(args), rest


def _has_shape(x: Any) -> bool:
    return hasattr(x, "shape") and not isinstance(x, type | np.dtype)


def by_name(
    function: Callable[..., Any],
    op: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments that the op does not take by position, by NumPy's names for them."""
    most, names = _positional(op), _names(function)
    if len(args) <= most or len(args) > len(names):
        return args, options
    rest = dict(zip(names[most:], args[most:], strict=False))
    given = {name: x for name, x in rest.items() if x is not np._NoValue}
    if twice := given.keys() & options.keys():
        raise TypeError(f"{function.__name__} got multiple values for {', '.join(sorted(twice))}")
    return args[:most], {**given, **options}


@functools.cache
def _positional(op: Callable[..., Any]) -> int:
    """How many arguments an op takes by position: a row its arrays, and what it says."""
    if (primitive := getattr(op, "primitive", None)) is not None:
        return (
            sys.maxsize if primitive.arity is None else primitive.arity + len(primitive.positional)
        )
    kinds = [p.kind for p in inspect.signature(op).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return sys.maxsize
    return sum(
        kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for kind in kinds
    )


@functools.cache
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """NumPy's names for what a function takes by position, where it tells them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple([p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD])


def _is_scipys(ufunc: np.ufunc) -> bool:
    return getattr(sys.modules.get("scipy.special"), ufunc.__name__, None) is ufunc


def no_rule(function: Any, method: str = "__call__") -> NotDifferentiableError:
    name = function.__name__
    if isinstance(function, np.ufunc):
        module = "np." if getattr(np, name, None) is function else ""
    else:
        module = f"{function.__module__}.".replace("numpy.", "np.", 1)
    method = "" if method == "__call__" else f".{method}"
    if function in REFUSED:
        return NotDifferentiableError(f"{module}{name}{method}: {REFUSED[function]}")
    return NotDifferentiableError(
        f"{module}{name}{method} has no derivative rule. Write it with functions that have one, or "
        f"give it a rule: {name} = td.define({module}{name}{method}, lambda g, y, x: ...)"
    )
