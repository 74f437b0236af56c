"""What a Tensor can do by itself: its operators and methods are the ops.

They are bound here rather than written in the class so that `a + b` calls the op directly.
"""

from typing import Any, NoReturn

import numpy as np

from ..engine.primitive import Array, Function, Kind
from ..engine.tensor import NUMPY, REFUSED, Tensor
from ..staging.tracer import BITWISE, StandIn
from . import (
    assignment,
    cumulative,
    elementwise,
    indexing,
    nondifferentiable,
    powers,
    products,
    reductions,
    shaping,
)


def _swapped(op: Function) -> Function:
    """The operator's reflection: `2 - x` calls x.__rsub__(2)."""

    def reflected(b: Array, a: Array) -> Array:
        return op(a, b)

    return reflected


def _named(function: Any) -> Function:
    """A method that is what NumPy's function of that name is on a Tensor."""

    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    return method


def _spread(op: Function) -> Function:
    """A method whose last argument may be given as one tuple or as several numbers."""

    def method(self: Tensor, *numbers: Any, **options: Any) -> Array:
        if not numbers:
            return op(self, **options)
        return op(self, numbers[0] if len(numbers) == 1 else numbers, **options)

    return method


def _rewriting(function: Any) -> Function:
    """A method that puts what a function makes of an array in its place: t.sort()."""

    def method(self: Tensor, *args: Any, **options: Any) -> None:
        assignment.assign(self, ..., function(self, *args, **options))

    return method


def _on_stand_ins(name: str, op: Function) -> Function:
    """A method that may be left to the array that is stood in for: sums of integers."""

    def called(x: Array, *args: Any, **options: Any) -> Any:
        return getattr(x, name)(*args, **options)

    called.__name__ = name

    def method(self: StandIn, *args: Any, **options: Any) -> Any:
        return self.called(called, op, name, Kind.OPAQUE, (self, *args), options)

    return method


def _lacking(name: str) -> property:
    """An attribute of ndarrays that a Tensor has not got, and what to write instead."""

    def refuse(_: Tensor) -> NoReturn:
        function = getattr(np, name, None)
        instead = f"that is about a plain array, tensor.value.{name}"
        if function in REFUSED:
            instead = REFUSED[function]
        elif function in NUMPY:
            instead = f"write np.{name}(...), which makes a new one"
        raise AttributeError(f"a Tensor has no {name}: {instead}")

    return property(refuse)


def _astype(
    x: Tensor,
    dtype: Any,
    order: str = "K",  # noqa: ARG001 (a Tensor promises no order in memory)
    casting: Any = "unsafe",
    subok: bool = True,  # noqa: ARG001 (it has no subclasses)
    copy: bool = True,
) -> Array:
    """ndarray.astype."""
    if not np.can_cast(x.dtype, dtype, casting):
        raise TypeError(f"astype: {x.dtype} is not cast to {np.dtype(dtype)} by {casting!r}")
    return elementwise.astype(x, dtype, copy=copy)


def _conj(x: Tensor) -> Array:
    """ndarray.conj, which gives a real array itself; np.conj copies it."""
    return elementwise.conjugate(x) if x.dtype.kind == "c" else x


BINARY: dict[str, Function] = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "mod": elementwise.remainder,
    "floordiv": nondifferentiable.OPS["floor_divide"],
    "divmod": elementwise.divmod,
    "pow": powers.power,
    "matmul": products.matmul,
}
SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "mod": "%", "floordiv": "//"}
SIGNS |= {"pow": "**", "matmul": "@"}
REWRITING = {
    "sort": _rewriting(np.sort),
    "partition": _rewriting(np.partition),
    "fill": _rewriting(lambda _, value: value),
}
DISPATCHED = {*REWRITING, "nonzero", "compress", "repeat", "astype", "reshape", "transpose"}
"""Methods of stand-ins that are as they are: exact, or NumPy's functions anyway."""

METHODS: dict[str, Function | property] = {
    **{f"__{name}__": op for name, op in BINARY.items()},
    **{f"__r{name}__": _swapped(op) for name, op in BINARY.items()},
    **{f"__i{name}__": assignment.rewriting(BINARY[name], sign) for name, sign in SIGNS.items()},
    "__neg__": elementwise.negative,
    "__pos__": elementwise.positive,
    "__abs__": elementwise.absolute,
    "__lt__": nondifferentiable.OPS["less"],
    "__le__": nondifferentiable.OPS["less_equal"],
    "__gt__": nondifferentiable.OPS["greater"],
    "__ge__": nondifferentiable.OPS["greater_equal"],
    "__eq__": nondifferentiable.OPS["equal"],
    "__ne__": nondifferentiable.OPS["not_equal"],
    "__getitem__": indexing.getitem,
    "sum": reductions.sum,
    "prod": reductions.prod,
    "mean": reductions.mean,
    "max": reductions.max,
    "min": reductions.min,
    "var": reductions.var,
    "std": reductions.std,
    "cumsum": cumulative.cumsum,
    "cumprod": cumulative.cumprod,
    "__setitem__": assignment.assign,
    **REWRITING,
    "__round__": _named(np.round),
    "reshape": _spread(shaping.reshape),
    "transpose": _spread(shaping.transpose),
    "ravel": shaping.ravel,
    "flatten": shaping.flatten,
    **{
        name: _named(getattr(np, name))
        for name in ("take", "repeat", "diagonal", "trace", "clip", "dot")
    },
    "compress": lambda x, condition, *args, **options: np.compress(condition, x, *args, **options),
    "swapaxes": shaping.swapaxes,
    "squeeze": shaping.squeeze,
    "copy": shaping.copy,
    "astype": _astype,
    "conj": _conj,
    "conjugate": _conj,
    "T": property(shaping.transpose),
    "mT": property(shaping.matrix_transpose),
    "flat": property(shaping.flat),
    "real": property(lambda x: x),
    "imag": property(
        lambda x: np.zeros_like(x) if x.is_array else np.zeros_like(x)[()],
        doc="Zeros: a Tensor is real.",
    ),
    "itemsize": property(lambda x: x.dtype.itemsize),
    "nbytes": property(lambda x: x.size * x.dtype.itemsize),
    **{
        name: _named(getattr(np, name))
        for name in (
            *("argmax", "argmin", "argsort", "argpartition", "searchsorted"),
            *("nonzero", "round", "all", "any"),
        )
    },
}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
for _name in dir(np.ndarray):
    if not _name.startswith("_") and not hasattr(Tensor, _name):
        setattr(Tensor, _name, _lacking(_name))  # (a __getattr__ would slow down all attributes)
for _name, _method in METHODS.items():
    if not (_name.startswith("_") or _name in DISPATCHED or isinstance(_method, property)):
        setattr(StandIn, _name, _on_stand_ins(_name, _method))
for _name, (_sign, _ufunc) in BITWISE.items():
    setattr(StandIn, f"__i{_name}__", assignment.rewriting(_ufunc, _sign))
