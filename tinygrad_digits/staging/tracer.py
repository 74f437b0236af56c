"""Tracers: Tensors that have a shape and a dtype but no single value to show.

Under `jit` a tracer is an array of calls to come; under `vmap`, of every example at once. What
Python does with a value (branching on it, printing it) would be decided for one of them and hold
for all, so it is refused, in the words of the tape. NumPy functions that have no derivative rule
are let through as they are: to stand for an array is not to differentiate it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import Kind, Primitive
from ..engine.tape import interpreters_of
from ..engine.tensor import Tensor
from ..support import tree
from ..support.callers import answer_scipy_sparse
from ..support.errors import NotDifferentiableError, TracedValueError
from ..support.foreign import admit_all, admit_options
from ..support.numpy_arguments import drop_arrays
from ..support.substitutes import NUMPY
from ..support.user_lines import user_line

IN_PLACE = {"fill_diagonal", "put", "putmask", "place", "put_along_axis", "copyto"}
"""Functions that write into their argument."""


CHOOSE = "Choose between arrays with np.where(condition, a, b)"
BRANCH = (
    "For an `if` write td.cond(condition, f, g, *operands), for a `while` td.while_loop(condition, "
    "step, start), for the choice between arrays np.where(condition, a, b)"
)
COUNT = (
    "Take elements of a plain array with td.at(array)[index].get(), or make the array an argument "
    "of the function, for np.take(array, index, axis=0) to work; count steps with "
    "td.fori_loop(0, n, step, start)"
)
"""What to write in the place of what needs a value, first of all."""


class Tracer(Tensor):
    """A Tensor that refuses to show a value."""

    __slots__ = ()
    kind: ClassVar[str]
    """What messages call such an array."""
    fallible: ClassVar[tuple[type[Exception], ...]] = (NotDifferentiableError, TypeError)
    """What an op raises that stands in for a function of NumPy's, where NumPy's may do better."""

    def refuse(self, what: str, instead: str = CHOOSE) -> NoReturn:
        """Raise TracedValueError: `what` needs the value of this; say what to write instead."""
        raise NotImplementedError

    def prefers_numpy(
        self,
        function: Any,  # noqa: ARG002
        op: Any,  # noqa: ARG002
        args: tuple[Any, ...],  # noqa: ARG002
        options: dict[str, Any],  # noqa: ARG002
    ) -> bool:
        """Whether NumPy's own function is called rather than the op that stands in for it."""
        return False

    def rebind(self, other: Tensor) -> None:
        if type(other) is not type(self):
            raise NotDifferentiableError(
                "t[i] = v: v is differentiated, and t comes from outside of that, so it cannot "
                "become what depends on v; write t = td.at(t)[i].set(v)"
            )
        for slot in ("tape", "index", *type(self).__slots__):
            if hasattr(other, slot):
                setattr(self, slot, getattr(other, slot))

    @property
    def value(self) -> NoReturn:
        self.refuse("tensor.value")

    @property
    def is_array(self) -> bool:
        number = getattr(self, "is_scalar", True) or getattr(self, "is_number", False)
        return bool(self.shape) or not number or hasattr(self, "source")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __bool__(self) -> bool:  # noqa: PLE0304
        self.refuse("branching on it (if, while, and, or, not, bool)", BRANCH)

    def __float__(self) -> float:
        self.refuse("float()")

    def __int__(self) -> int:
        self.refuse("int()")

    def __index__(self) -> int:  # noqa: PLE0305
        self.refuse("using it as a Python index or count", COUNT)

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits) if digits is not None else self.refuse("round()")

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, list | tuple | str):
            self.refuse("repeating a sequence")
        return super().__rmul__(other)

    def __complex__(self) -> complex:
        self.refuse("complex()")

    def __contains__(self, item: Any) -> bool:
        self.refuse("`in`")

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else self.refuse("formatting it")

    def __array__(self, *args: Any, **options: Any) -> Any:
        if (answer := answer_scipy_sparse(sys._getframe(1))) is not None:
            return answer
        return self.refuse(
            "making a plain array of it (np.asarray, np.array, np.r_, np.c_, `a[i] = t`, in place "
            "of which write np.stack, np.concatenate, a = td.at(a)[i].set(t))",
            COUNT if self.dtype.kind in "iu" else CHOOSE,
        )

    def item(self, *_place: int) -> float:
        self.refuse(".item()")

    def tolist(self) -> Any:
        self.refuse(".tolist()")

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        """The methods of arrays that no op has: NumPy's functions of that name."""
        function = getattr(np, name, None)
        if name.startswith("_") or not hasattr(np.ndarray, name) or not callable(function):
            raise AttributeError(f"a {self.kind} array has no {name}")
        return functools.partial(function, self)

    # A NumPy function without a derivative rule is applied as it is.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at":
            self.refuse_writing(f"{ufunc.__name__}.at")
        if options.get("out") is not None:
            return super().__array_ufunc__(ufunc, method, *inputs, **options)  # raises
        options = drop_arrays(method, options)
        plain = not options and method == "__call__"
        known = NUMPY.get(ufunc if plain else (ufunc, method))
        kind = Kind.ELEMENTWISE if method == "__call__" and not ufunc.signature else Kind.OPAQUE
        called = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.call_function(called, known, ufunc.__name__, kind, inputs, options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        if function.__name__ in IN_PLACE:
            self.refuse_writing(function.__name__)
        if options.get("out") is not None:
            self.refuse_writing(f"{function.__name__}(out=...)")
        known = NUMPY.get(function)
        return self.call_function(function, known, function.__name__, Kind.OPAQUE, args, options)

    def call_function(
        self,
        function: Callable[..., Any],
        known: Callable[..., Any] | None,
        name: str,
        kind: Kind,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """The op that stands in for a function, or the function itself, on what this stands for."""
        args, options = admit_all(args, name), admit_options(options, name)
        derived = find_top_tape(tree.flatten((args, options))[0]) is not self.tape
        numpys = known is None or (
            not derived and self.prefers_numpy(function, known, args, options)
        )
        if known is not None and not numpys:
            try:
                return known(*args, **options)
            except TracedValueError:
                raise
            except self.fallible:
                if derived:
                    raise  # NumPy cannot help: a derivative is asked for
        opaque = Primitive(function, (), name, kind if not options else Kind.OPAQUE)
        tracers = [x for x in tree.flatten((args, options))[0] if isinstance(x, Tracer)]
        tape = find_top_tape(tracers) or self.tape
        y = tape.process_primitive(opaque, function, args, options)
        if known is not None and numpys and _share_memory(y, args):
            return known(*args, **options)  # which knows what it is a view of
        return y

    def refuse_writing(self, what: str) -> NoReturn:
        raise TracedValueError(
            f"{user_line()}: {what} writes into its argument, and a {self.kind} "
            "array never changes: make a new one, td.at(x)[index].set(v) or np.where(mask, v, x)"
        )


def _share_memory(y: Any, args: tuple[Any, ...]) -> bool:
    """Whether a result is a view of an argument, or has one among its parts."""
    views, sources = (
        [x.memory for x in tree.flatten(part)[0] if isinstance(x, Tracer) and x.is_array]
        for part in (y, args)
    )
    return any(np.may_share_memory(view, source) for view in views for source in sources)


def _invert(x: Tracer) -> Any:
    return np.invert(x)


BITWISE = {
    "and": ("&", np.bitwise_and),
    "or": ("|", np.bitwise_or),
    "xor": ("^", np.bitwise_xor),
    "lshift": ("<<", np.left_shift),
    "rshift": (">>", np.right_shift),
}
"""Operators that no derivative passes, so that a Tensor lacks them."""

for _name, (_, _ufunc) in BITWISE.items():
    setattr(Tracer, f"__{_name}__", lambda a, b, f=_ufunc: f(a, b))
    setattr(Tracer, f"__r{_name}__", lambda b, a, f=_ufunc: f(a, b))
setattr(Tracer, "__invert__", _invert)  # noqa: B010


def bare(x: Any) -> Any:
    """The plain array under all interpreters: that of all examples under vmap, None under jit."""
    for interpreter in interpreters_of(x):
        x = interpreter.unbox(x)
    return x
