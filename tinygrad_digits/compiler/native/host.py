"""The processor at hand, and how CPython and NumPy lay out the objects that native code is given.

A segment of a program gets one tuple; where its arrays have their elements, native code reads from
the objects themselves, because asking each array for it would take longer than a small step.

    tuple: its items, one pointer after the other        (PyTupleObject)
    array: the data, and flags                           (PyArrayObject, stable in NumPy's C API:
           https://numpy.org/doc/stable/reference/c-api/types-and-structures.html)
    float, complex and NumPy's scalars: the number       (PyFloatObject, PyComplexObject,
                                                          Py*ScalarObject)

Whether they lie as documented is tried out on examples. If not, as in PyPy, arrays are asked.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from typing import Any

import numpy as np

WORD = ctypes.sizeof(ctypes.c_void_p)
ITEMS = tuple.__basicsize__
"""Bytes from the start of a tuple to its items."""
DATA = object.__basicsize__
"""From the start of an array to the pointer to its elements, or of a number to the number."""
FLAGS = DATA + 6 * WORD
"""To an array's flags: after data, nd, dimensions, strides, base and descr."""
PLAIN = 0x0001 | 0x0100
"""NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED."""


@functools.cache
def has_known_layout() -> bool:
    """Whether objects lie in memory as this module says."""
    if sys.implementation.name != "cpython":
        return False
    rows = np.arange(12.0).reshape(3, 4)
    arrays = [rows, rows[:, ::2], rows.T, rows[1:], np.frombuffer(bytes(9), "u1")[1:].view("i8")]
    things = (*arrays, 0.5, 0.5 - 2j, np.float32(0.25), np.complex64(2j), np.int8(-3))
    return all(map(_is_as_known, things, _read_items(things)))


def describe_layout() -> str:
    """How segments read objects."""
    return repr((WORD, ITEMS, DATA, FLAGS) if has_known_layout() else None)


def _read_items(things: tuple[Any, ...]) -> list[int]:
    size = len(things) * WORD
    if sys.getsizeof(things) < ITEMS + size:
        return [0] * len(things)
    return [*struct.unpack(f"{len(things)}P", ctypes.string_at(id(things) + ITEMS, size))]


def _is_as_known(thing: Any, address: int) -> bool:
    """Whether an object is at an address, and has in it what it says itself."""
    if address != id(thing) or sys.getsizeof(thing) < DATA + WORD // 2:
        return False
    if isinstance(thing, np.ndarray):
        if type(thing).__basicsize__ < FLAGS + ctypes.sizeof(ctypes.c_int):
            return False
        (data,) = struct.unpack("P", ctypes.string_at(address + DATA, WORD))
        (flags,) = struct.unpack(
            "i", ctypes.string_at(address + FLAGS, ctypes.sizeof(ctypes.c_int))
        )
        return bool(data == thing.ctypes.data and flags & 0xFFFF == thing.flags.num & 0xFFFF)
    number = np.asarray(thing)
    return ctypes.string_at(address + DATA, number.nbytes) == number.tobytes()


def is_plain(x: Any) -> bool:
    """Whether native code can read an array as it is."""
    return bool(x.flags.c_contiguous and x.flags.aligned)


def make_plain(x: Any) -> Any:
    """An array that native code can read, or a number as it is."""
    return np.array(x, order="C") if isinstance(x, np.ndarray) and not is_plain(x) else x


def find_addresses(things: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """Where the elements of plain arrays, and numbers, are; and what has to stay alive."""
    arrays = [x if isinstance(x, np.ndarray) else np.asarray(x) for x in things]
    places = [x.__array_interface__["data"][0] for x in arrays]
    return (ctypes.c_void_p * len(arrays))(*places), arrays
