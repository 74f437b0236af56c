"""What stands in for operators and methods of arrays that are no NumPy functions.

`ArrayMethods` has the methods themselves; here is what they look up beside NumPy's functions: those
that ndarrays alone have, those that change their array, and shorter ways to what is often called.
"""

import operator
from typing import Any

import numpy as np

from ..engine.primitive import Array, Function, Kind
from ..engine.tensor import Tensor
from ..staging.tracer import BITWISE, Tracer
from ..support.array_methods import ArrayMethods
from ..support.substitutes import NUMPY
from . import assignment, elementwise, indexing, nondifferentiable, powers, products, shaping


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


# it applies it: programs of complex arrays need not call NumPy's
_conj.primitive = elementwise.conjugate.primitive  # type: ignore[attr-defined]


def _imag(x: Tensor) -> Array:
    """ndarray.imag: of a real array zeros."""
    if x.dtype.kind == "c":
        return np.imag(x)
    return np.zeros_like(x) if x.is_array else np.zeros_like(x)[()]


NUMPY |= {
    operator.pow: powers.raise_to,
    operator.getitem: indexing.getitem,
    operator.setitem: assignment.assign,
    operator.iadd: assignment.make_in_place(elementwise.add, "+"),
    operator.isub: assignment.make_in_place(elementwise.subtract, "-"),
    operator.imul: assignment.make_in_place(elementwise.multiply, "*"),
    operator.itruediv: assignment.make_in_place(elementwise.divide, "/"),
    operator.ifloordiv: assignment.make_in_place(nondifferentiable.OPS["floor_divide"], "//"),
    operator.imod: assignment.make_in_place(elementwise.remainder, "%"),
    operator.ipow: assignment.make_in_place(powers.raise_to, "**"),
    operator.imatmul: assignment.make_in_place(products.matmul, "@"),
    np.ndarray.astype: _astype,
    np.ndarray.conj: _conj,
    np.ndarray.copy: shaping.copy,
    np.ndarray.flat: shaping.flat,
    np.ndarray.flatten: shaping.flatten,
    np.ndarray.imag: _imag,
    (np.imag, "__set__"): assignment.write_imag,
    np.ndarray.ravel: shaping.ravel,
    (np.real, "__set__"): assignment.write_real,
    np.ndarray.reshape: shaping.reshape,
}

# --- methods of tracers that may be left to the array that is traced: sums of integers

OPS = (
    *("sum", "prod", "mean", "var", "std", "max", "min", "cumsum", "cumprod"),
    *("swapaxes", "squeeze"),
)
"""Methods that are ops, which may be compiled."""

COMPOSITIONS = (
    *("trace", "all", "any", "ravel", "flatten", "take", "diagonal", "copy", "conj", "conjugate"),
    *("clip", "round", "dot", "argmax", "argmin", "argsort", "argpartition", "searchsorted"),
)


def _pass_on(name: str) -> Function:
    """The method of that name of tracers."""
    known = NUMPY[getattr(np, name)] if name in OPS else vars(ArrayMethods)[name]
    known = _conj if name.startswith("conj") else known

    def call(x: Array, *args: Any, **options: Any) -> Any:
        return getattr(x, name)(*args, **options)

    def method(self: Tracer, *args: Any, **options: Any) -> Any:
        return self.call_function(call, known, name, Kind.OPAQUE, (self, *args), options)

    call.__name__ = name
    return method


for _name in (*OPS, *COMPOSITIONS):
    setattr(Tracer, _name, _pass_on(_name))
for _name, (_sign, _ufunc) in BITWISE.items():
    setattr(Tracer, f"__i{_name}__", assignment.make_in_place(_ufunc, _sign))
