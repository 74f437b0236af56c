"""Tracing: a function is run once, on tracers for its arguments that write down every op.

A `JitInterpreter` keeps everything: also comparisons, and what gradients compute inside. It is
older, so further out, than the tapes of the transforms that run within it: their rules are ordinary
ops, and so end up here like what the user wrote. Nothing else of the engine takes part.

Each tracer (`JitTracer`) carries the actual value, from which ops compute shapes and dtypes, but
does not give it away: what Python does with a value (branching on it, printing it) would happen
once, while tracing, and never again.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import NO_OPTIONS, Kind, Primitive
from ..engine.tape import Interpreter
from ..engine.tensor import Tensor
from ..staging.arithmetic import ARITHMETIC, NUMBERS
from ..staging.lowering import lowering_of
from ..staging.tracer import CHOOSE, Tracer
from ..support.errors import TracedValueError
from ..support.user_lines import UserLine, locate_user, user_line
from .primitives import ITEM, SCALAR_POWER, SCALAR_PRODUCT, SCALAR_SQUARE
from .program import Aval, Equation, Operand, Program, Var, map_operand
from .signature import is_generator

SHAPE_FROM_VALUES: dict[Any, tuple[int, str]] = {
    **dict.fromkeys((np.nonzero, np.flatnonzero, np.argwhere), (0, "a")),
    **dict.fromkeys((np.unique, np.trim_zeros), (0, "ar")),
    **dict.fromkeys((np.unique_values, np.unique_counts, np.unique_all), (0, "x")),
    **dict.fromkeys((np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d), (0, "ar1")),
    **dict.fromkeys((np.compress, np.extract), (0, "condition")),
    **dict.fromkeys((np.delete, np.insert), (1, "obj")),
    np.unique_inverse: (0, "x"),
    np.bincount: (0, "x"),
    np.histogram_bin_edges: (0, "a"),
    np.repeat: (1, "repeats"),
    np.tile: (1, "reps"),
    np.resize: (1, "new_shape"),
}
"""The argument of a function, by position or name, whose values its result's shape depends on."""

UNFUSED = {
    np.add.reduceat,
    np.multiply.reduceat,
    np.cross,
    np.cov,
    np.corrcoef,
    np.nanvar,
    np.nanstd,
    np.linalg.cond,
    np.linalg.multi_dot,
    np.linalg.eig,
    np.linalg.eigvals,
    np.roots,
}
"""Functions of which NumPy rounds, or makes scalars, otherwise than the ops that stand in."""

TO_ARRAYS = {np.stack, np.hstack, np.reshape, np.ravel, np.expand_dims, np.atleast_1d}
"""Functions that make an array of numbers, as the slopes of an equation are often written."""

MOVING = {np.concatenate, np.stack, np.hstack, np.vstack, np.roll, np.flip}
"""Functions that compute nothing."""


NO_ARRAY_FROM_VALUES = {
    *(np.array_repr, np.array_str, np.array2string, np.min_scalar_type),
    *(np.shares_memory, np.may_share_memory),
}
"""Functions that return a text or another Python object, made of the values or of their memory."""

UNSET = dict.fromkeys(np.geterr(), "call")
"""The floating-point error state while tracing: whatever differs was set inside the function."""


class Captured(Exception):  # noqa: N818 (a signal, which nobody sees)
    """The function uses a Tensor of a transform that was under way when it was called."""


class JitInterpreter(Interpreter):
    """Turns a function into a program."""

    __slots__ = ("inside", "known", "lines", "program")
    keeps_calls = False
    """Whether what has a derivative of its own stays whole, since that may yet be asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0  # traces of steps of loops that are under way
        self.program = Program()
        self.lines: dict[int, UserLine] | None = None
        """Where in the user's code each equation comes from, if somebody wants to know."""
        self.known: dict[int, tuple[Any, Var]] = {}  # by id; the array too, so that its id stays

    def box(self, leaf: Any, path: str) -> JitTracer:
        """A tracer for an array, a number or a generator."""
        index = next(self.indices)
        form = "array"
        if isinstance(leaf, float | complex) and not isinstance(leaf, np.generic):
            form = "number"
        elif is_generator(leaf):
            form, leaf = "generator", copy.deepcopy(leaf)  # the program draws, not the trace
        elif isinstance(leaf, np.generic):
            form = "scalar"
        else:
            leaf = np.ascontiguousarray(leaf).reshape(leaf.shape)  # the program relies on no order
        traced = _trace_value(
            self, index, leaf, GeneratorTracer if form == "generator" else JitTracer
        )
        dtype = np.dtype(object) if form == "generator" else traced.dtype
        self.program.inputs[index] = path, Aval(traced.shape, dtype, form)
        return traced

    def process_primitive(
        self,
        op: Primitive,
        compute: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any] = NO_OPTIONS,
    ) -> Any:
        """Write down an op (or, if it is a composition of ops, those) and compute its value."""
        self.check_open()
        if op.composite and not self.keeps_calls:
            return op.kernel(*args, **options)
        _refuse_reading(op, args, options)
        if op.kind is Kind.STATIC:
            return op.kernel(*map_operand(self.look_at, args), **map_operand(self.look_at, options))
        _check_options(op, options)
        operands, named = map_operand(self.operand, args), map_operand(self.option, options)
        if _is_of_numbers(op, args):
            op = ARITHMETIC[op.function]
            compute = op.kernel
        elif op.function is np.square and not options and _are_complex_scalars(*args):
            op = SCALAR_SQUARE
        values = map_operand(_drawing, map_operand(self.look_at, (args, options)))
        try:
            y = self.compute(lowering_of(op).stand_in or compute, *values)
        except Exception as error:
            if not getattr(error, "__notes__", None):
                error.add_note(f"in the op {op.name}, while tracing, at {user_line()}")
            raise
        effect = any(map(is_generator, _leaves(values)))
        if effect and self.inside:
            _refuse_draw(op)
        return self.add_equation(op, operands, named, y, effect or op.effect)

    def compute(
        self, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """The actual value of an op."""
        return function(*args, **options)

    def add_equation(self, op: Primitive, args: Any, options: Any, y: Any, effect: bool) -> Any:
        index = next(self.indices)
        if self.lines is not None:
            self.lines[index] = locate_user()
        set_inside = {name: mode for name, mode in np.geterr().items() if mode != UNSET[name]}
        errors = set_inside or None
        if isinstance(y, tuple | list):
            value = Aval((), np.dtype(object), "tuple")
            self.program.equations[index] = Equation(op, args, options, value, errors, effect)
            parts = [
                self.add_equation(ITEM, (Var(index), k), {}, part, False)
                for k, part in enumerate(y)
            ]
            if hasattr(y, "_fields"):  # a named tuple, as np.linalg.svd gives
                return type(y)(*parts)
            return type(y)(parts) if type(y) in (list, tuple) else tuple(parts)
        if type(y) not in NUMBERS and not hasattr(y, "dtype"):
            return y  # something that is known now
        self.program.equations[index] = Equation(op, args, options, Aval.of(y), errors, effect)
        return _trace_value(self, index, y)

    def process_call(self, call: Any) -> Any:
        """Loops and branches are equations; of other calls the ops are written down."""
        if not call.staged:
            return call.run()
        self.check_open()
        if not self.keeps_calls:
            call = call.inline()
        args = tuple(map(self.operand, call.leaves))
        option: Any = next(iter(call.options.values()))
        y = option.example()
        return self.add_equation(call.primitive, args, call.options, y, option.has_effect)

    def unbox(self, tensor: Any) -> None:
        """Nothing: what a tracer holds is one of many values."""

    def look_at(self, x: Any) -> Any:
        """The actual value of what an op is given."""
        return _concrete(x)

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
                self.program.constants[var.index] = x.copy(order="K")  # as BLAS sees it
            return known[1]
        return x

    def option(self, x: Any) -> Operand:
        """The same for options, where a NumPy number is just a number."""
        if isinstance(x, np.generic):
            return x.item() if isinstance(x, np.integer | np.bool_) else x
        return self.operand(x)


class JitTracer(Tracer):
    """A tracer for an array under a trace. It has a shape and a dtype, but shows no value."""

    __slots__ = ("concrete",)
    kind = "traced"
    concrete: Any
    fallible = (Exception,)  # so that a refusal is in NumPy's words

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.concrete)

    @property
    def dtype(self) -> np.dtype[Any]:
        return getattr(self.concrete, "dtype", None) or np.dtype(type(self.concrete))

    @property
    def is_number(self) -> bool:
        """Whether this is a Python number, which takes the dtype of the arrays that it meets."""
        return type(self.concrete) in NUMBERS

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.concrete, np.generic)

    @property
    def memory(self) -> Any:
        return np.asarray(self.concrete)

    def __pow__(self, n: Any) -> Any:
        scalars = _are_scalars(self, n)
        return _operate(SCALAR_POWER, self, n) if scalars else super().__pow__(n)

    def __rpow__(self, x: Any) -> Any:
        scalars = _are_scalars(x, self)
        return _operate(SCALAR_POWER, x, self) if scalars else super().__rpow__(x)

    def __mul__(self, y: Any) -> Any:
        scalars = _are_complex_scalars(self, y)
        return _operate(SCALAR_PRODUCT, self, y) if scalars else super().__mul__(y)

    def __rmul__(self, x: Any) -> Any:
        scalars = _are_complex_scalars(x, self)
        return _operate(SCALAR_PRODUCT, x, self) if scalars else super().__rmul__(x)

    def __imul__(self, y: Any) -> Any:
        return self * y if _are_complex_scalars(self, y) else super().__imul__(y)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        called = method == "__call__" and not options
        if ufunc is np.multiply and called and isinstance(inputs[0], np.complexfloating):
            return self.__rmul__(inputs[0])  # a scalar's *, far more often than the ufunc by name
        return super().__array_ufunc__(ufunc, method, *inputs, **options)

    def prefers_numpy(
        self, function: Any, op: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> bool:
        """Whether a call is NumPy's to make, with its dtypes, scalars and refusals.

        A composition of ops is written for what can be differentiated, and is worth its lines
        where loops can be fused: arrays of float32 or float64, numbers that become one, as an
        equation's slopes do, or complex arrays that are moved, as NumPy's loops round products of
        these in different ways. (Of functions among the arguments it knows more than NumPy: they
        may use other tracers.)
        """
        row = getattr(op, "primitive", None)
        if row is not None and row.kind is Kind.STATIC:
            return False
        leaves = _leaves((args, options))
        arrays = [x for x in leaves if isinstance(x, JitTracer)]
        if function in UNFUSED or all(x.is_number for x in arrays):
            return not any(map(_is_function, leaves))
        is_row = row is not None and not row.composite and options.keys() <= row.options
        fused, kinds = function in TO_ARRAYS, "fdgFDG" if function in MOVING else "fdg"
        floats = any((x.shape or fused) and x.dtype.char in kinds for x in arrays)
        return not (is_row or floats or any(map(_is_function, leaves)))

    def strong(self) -> JitTracer:
        """Itself, or for a Python number the NumPy scalar that it is worth."""
        if not self.is_number:
            return self
        op = _STRONG[self.dtype.kind == "c"]
        strong: JitTracer = self.tape.process_primitive(op, op.kernel, (self,), NO_OPTIONS)
        return strong

    def as_array(self) -> JitTracer:
        """Itself, or for a Python number the array that np.asarray makes of it."""
        if not self.is_number:
            return self
        array: JitTracer = self.tape.process_primitive(_ARRAY, np.asarray, (self,), NO_OPTIONS)
        return array

    def __repr__(self) -> str:
        return f"Traced(%{self.index}: {self.dtype}{self.shape})"

    def refuse(self, what: str, instead: str = CHOOSE) -> NoReturn:
        _refuse(f"{what} needs the value of", self, instead)


class GeneratorTracer(JitTracer):
    """A tracer for a random generator: what it draws is drawn anew whenever the program runs."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not hasattr(np.random.Generator, name):
            raise AttributeError(name)
        if name in ("shuffle", "spawn", "bit_generator"):
            self.refuse(f"Generator.{name}")
        op = Primitive(getattr(np.random.Generator, name), (), f"random.{name}", Kind.OPAQUE)
        op.apply = lambda generator, *args, **options: getattr(generator, name)(*args, **options)
        return lambda *args, **options: self.tape.process_primitive(
            op, op.kernel, (self, *args), options
        )


def _are_scalars(*operands: Any) -> bool:
    """Whether operands are NumPy scalars, one at least, and Python numbers."""
    values = [*map(_concrete, operands)]
    scalars = [isinstance(x, np.generic) for x in values]
    return any(scalars) and all(map(operator.or_, scalars, [type(x) in NUMBERS for x in values]))


def _are_complex_scalars(*operands: Any) -> bool:
    """Whether all operands are complex numbers, and one at least is NumPy's."""
    values = [*map(_concrete, operands)]
    alike = all(isinstance(x, complex | np.complexfloating) for x in values)
    return alike and any(isinstance(x, np.generic) for x in values)


def _operate(op: Primitive, x: Any, y: Any) -> Any:
    """What an operator of NumPy's scalars makes of them."""
    tape = find_top_tape((x, y))
    assert tape is not None
    return tape.process_primitive(op, op.kernel, (x, y), NO_OPTIONS)


_STRONG = [Primitive(kind, (), kind.__name__, Kind.OPAQUE) for kind in (np.float64, np.complex128)]
_ARRAY = Primitive(np.asarray, (), "asarray", Kind.OPAQUE)
for _op in _STRONG:
    _op.apply = lambda x, to=_op.kernel: x.strong() if isinstance(x, JitTracer) else to(x)
_ARRAY.apply = lambda x: x.as_array() if isinstance(x, JitTracer) else np.asarray(x)
"""Also where a step's program is evaluated on tracers."""


def _trace_value(
    tape: JitInterpreter, index: int, y: Any, kind: type[JitTracer] = JitTracer
) -> JitTracer:
    traced = object.__new__(kind)
    traced.tape, traced.index, traced.concrete = tape, index, y
    return traced


def _is_of_numbers(op: Primitive, args: tuple[Any, ...]) -> bool:
    """Whether this is Python's arithmetic: an operator (no ufunc by its name), of numbers alone."""
    return op.function in ARITHMETIC and op.apply is not op.kernel and all(map(_is_number, args))


def _is_number(x: Any) -> bool:
    return x.is_number if isinstance(x, JitTracer) else type(x) in NUMBERS


def _refuse_reading(op: Primitive, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise TracedValueError for an op that reads values which nobody has yet."""
    function = op.function
    if function is np.where and len(args) == 1:
        function = np.nonzero  # under another name
    if function in SHAPE_FROM_VALUES and _is_given(*SHAPE_FROM_VALUES[function], args, options):
        _refuse(f"the shape of what {op.name} returns depends on the values in")
    if function in NO_ARRAY_FROM_VALUES:
        _refuse(f"{op.name} needs the values in")


def _is_given(place: int, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether an argument is, or holds, a tracer."""
    argument = args[place] if len(args) > place else options.get(name)
    return any(isinstance(x, JitTracer) for x in _leaves(argument))


def _is_function(x: Any) -> bool:
    return callable(x) and not isinstance(x, type)


def _concrete(x: Any) -> Any:
    return x.concrete if isinstance(x, JitTracer) else x


def _drawing(x: Any) -> Any:
    """A generator of which the trace may draw: a copy."""
    return copy.deepcopy(x) if is_generator(x) else x


def _leaves(operand: Any) -> list[Any]:
    leaves: list[Any] = []
    map_operand(leaves.append, operand)
    return leaves


def _refuse(what: str, traced: JitTracer | None = None, instead: str = CHOOSE) -> NoReturn:
    described = f"a traced {traced.dtype}{traced.shape}" if traced is not None else "its arguments"
    raise TracedValueError(
        f"{user_line()}: {what} {described}, which jit does not know while it traces the function. "
        f"{instead}, make the argument static (td.jit(f, static_argnames=...)), or leave this part "
        "out of the jitted function"
    )


def _refuse_draw(op: Primitive) -> NoReturn:
    raise TracedValueError(
        f"{user_line()}: {op.name} draws from a generator that the step of a loop was not given, "
        "which would be done once and not in every step; make it a part of the carry"
    )


def _check_options(op: Primitive, options: dict[str, Any]) -> None:
    """Raise TracedValueError for an option whose value the program's shapes would depend on."""
    for name, option in options.items():
        for x in _leaves(option):
            if not isinstance(x, JitTracer) or isinstance(x, GeneratorTracer):
                continue
            if name == "index" and x.dtype == bool:
                _refuse("the shape of x[mask] depends on the values of", x)
            if name in op.options and name != "index":
                _refuse(f"{op.name}({name}=...) needs the value of", x)
