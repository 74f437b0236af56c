"""NumPy's own inner loops, for native code.

What NumPy runs for np.exp and its kin is vectorised for the processor at hand, several times as
fast as one call of the C library an element. A ufunc object knows the addresses of its loops
(PyUFuncObject in NumPy's C API, https://numpy.org/doc/stable/reference/c-api/types-and-structures.html),
and native code can call them by name:

    loop(char **arrays, intp *count, intp *strides, void *data)

This reads memory at an address and trusts that what is there is what NumPy documents. So it is only
done in CPython, whose id() is an address; only within the size that the type gives for its objects;
and only where name and counts, read in this way, are those that the object itself tells. Otherwise
there are no loops, and native code does without.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np

UFUNCS = (
    *(np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan),
    *(np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh),
    *(np.arctanh, np.logaddexp, np.arctan2, np.hypot, np.power),
)
"""Ufuncs whose cost per element is high."""


class _UFunc(ctypes.Structure):
    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_byte)),
    )


@functools.cache
def find_routines() -> dict[str, Any]:
    """Names for native code, as loop_exp_d, and what they are."""
    from llvmlite import binding
    from numba import types

    functions: dict[str, Any] = {}
    signature = types.void(types.voidptr, types.voidptr, types.voidptr, types.int64)
    for ufunc in UFUNCS:
        for code in "fd":
            address = _find_address(ufunc, np.dtype(code))
            if address is not None:
                symbol = f"tinygrad_digits_loop_{ufunc.__name__}_{code}"
                binding.add_symbol(symbol, address)
                functions[loop_name(ufunc, code)] = types.ExternalFunction(symbol, signature)
    return functions


def loop_name(ufunc: Any, code: str) -> str:
    """What native code calls the loop of a ufunc over float32 (f) or float64 (d)."""
    return f"loop_{ufunc.__name__}_{code}"


def _find_address(ufunc: np.ufunc, dtype: np.dtype[Any]) -> int | None:
    """Where the loop over arrays of one dtype is, if it needs no data of its own."""
    if sys.implementation.name != "cpython" or type(ufunc).__basicsize__ < ctypes.sizeof(_UFunc):
        return None
    inside = _UFunc.from_address(id(ufunc))
    counts = (inside.nin, inside.nout, inside.nargs, inside.ntypes)
    if counts != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes):
        return None
    if inside.name != ufunc.__name__.encode():
        return None
    for k in range(ufunc.ntypes):
        numbers = {inside.types[k * ufunc.nargs + j] for j in range(ufunc.nargs)}
        if numbers == {dtype.num} and not inside.data[k]:
            address: int | None = inside.functions[k]
            return address
    return None
