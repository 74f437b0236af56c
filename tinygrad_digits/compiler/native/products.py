"""Products of matrices and vectors: by NumPy's own BLAS, or a loop for two vectors.

NumPy's wheels bring an OpenBLAS, whose routines native code can call by name once the address is
known: then its products are NumPy's to the last bit, and follow the same limits on threads. An
address counts once it has multiplied two matrices as NumPy does. Where there is none, a product is
left to NumPy.
"""

from __future__ import annotations

import ctypes
import functools
import pathlib
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir

from ..program import Equation, Operand
from . import small_products
from .code import FunctionWriter, Place
from .expressions import TYPES, convert
from .layouts import Layouts
from .terms import INT64, Term, declare

ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112
"""Of the CBLAS interface (https://www.netlib.org/blas/blast-forum/cblas.tgz, cblas.h)."""

INT = ir.IntType(32)


@functools.cache
def find_routines() -> dict[str, int]:
    """Symbols for native code, and the addresses that they stand for; empty without OpenBLAS.

    gemm_x(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    gemv_x(order, transpose_a, rows, columns, alpha, a, lda, x, 1, beta, y, 1)
    """
    package = pathlib.Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for path in sorted(folder.glob("*scipy_openblas64_*")):
            try:
                routines = _read_addresses(ctypes.CDLL(str(path)))
            except (OSError, AttributeError):
                continue
            if _multiplies(routines[_symbol("gemm", "d")]):
                return routines
    return {}


def _symbol(name: str, code: str) -> str:
    return f"tinygrad_digits_{name}_{code}"


def _read_addresses(library: ctypes.CDLL) -> dict[str, int]:
    """For each dtype; their lengths have 64 bits, as the suffix 64_ says."""
    return {
        _symbol(name, code): ctypes.cast(
            getattr(library, f"scipy_cblas_{letter}{name}64_"), ctypes.c_void_p
        ).value
        or 0
        for name in ("gemm", "gemv")
        for code, letter in zip("fdFD", "sdcz", strict=True)
    }


def _multiplies(address: int) -> bool:
    """Whether what is there multiplies matrices of float64 as it should."""
    flag, length, real, array = ctypes.c_int, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
    kinds: list[Any] = [*[flag] * 3, *[length] * 3, real, *[array, length] * 2, real, array, length]
    a, b, c = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4), np.zeros((2, 4))
    places = [(x.ctypes.data, x.shape[1]) for x in (a, b, c)]
    gemm = ctypes.CFUNCTYPE(None, *kinds)(address)
    gemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, 2, 4, 3, 1.0, *places[0], *places[1], 0.0, *places[2])
    return bool((c == a @ b).all())


# --- which products


def fits(eqn: Equation, layouts: Layouts) -> bool:
    """Whether a product is one of BLAS's, or a loop."""
    avals = [layouts.program.aval(i) for i in eqn.vars]
    dtypes = {aval.dtype for aval in (*avals, eqn.aval)}
    alike = len(avals) == 2 and len(dtypes) == 1 and dtypes.pop().char in "fdFD"
    ranks = [len(aval.shape) for aval in avals]
    if not alike or (max(ranks) > 2 and min(ranks) < 2):
        return False
    if not eqn.aval.shape:
        return True
    there = eqn.aval.dtype.kind == "f" if layouts.own_products else bool(find_routines())
    return there and all(_leading(x, layouts) for x in eqn.args)


def _leading(x: Operand, layouts: Layouts) -> tuple[int, int] | None:
    """How BLAS is told of a matrix: whether it is transposed, and the step between its lines."""
    shape, strides = layouts.program.aval(x.index).shape, layouts.of(x.index).strides
    return _describe(shape[-2:], strides[-2:])


def _describe(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int] | None:
    if len(shape) < 2:
        return (AS_IT_IS, 1) if strides == (1,) else None
    (rows, columns), (down, right) = shape, strides
    if (right == 1 or columns == 1) and down >= columns:
        return AS_IT_IS, down
    if (down == 1 or rows == 1) and right >= rows:
        return TRANSPOSED, right
    return None


# --- how they are written


def write(code: FunctionWriter, a: Place, b: Place, out: Place) -> None:
    """out = a @ b."""
    if not out.shape:
        return _write_dot(code, a, b, out)
    if len(out.shape) > 2:
        with code.loops(out.shape[:-2]) as at:
            write(code, *[_take_matrix(x, at) for x in (a, b, out)])
        return None
    if len(a.shape) == 2 and (1 in b.shape[1:] or len(b.shape) == 1):
        return _write_gemv(code, a, b, out)
    if len(a.shape) == 1 or a.shape[0] == 1:
        return _write_gemv(code, _turn(b), a, out)
    if out.dtype.kind == "f" and small_products.pays(a, b):
        return small_products.write(code, a, b, out)
    return _write_gemm(code, a, b, out)


def _take_matrix(x: Place, at: tuple[Term, ...]) -> Place:
    """One matrix of a stack, which is broadcast where it has none."""
    lead = x.shape[:-2]
    steps = [0 if n == 1 else step for n, step in zip(lead, x.strides, strict=False)]
    pointer = x.point(at[len(at) - len(lead) :], steps)
    return Place(x.code, pointer, x.shape[-2:], x.dtype, x.strides[-2:])


def _turn(x: Place) -> Place:
    return Place(x.code, x.pointer, x.shape[::-1], x.dtype, x.strides[::-1])


def _write_dot(code: FunctionWriter, a: Place, b: Place, out: Place) -> None:
    total = code.variable(np.dtype(complex if out.dtype.kind == "c" else float))
    total[0] = 0.0
    with code.loop(prod(a.shape)) as k:
        product = convert(a[(k,)], total.dtype) * convert(b[(k,)], total.dtype)
        total[0] = total[0].add_freely(product)
    out[0] = total[0]


def _write_gemm(code: FunctionWriter, a: Place, b: Place, out: Place) -> None:
    (m, k), n = a.shape, b.shape[1]
    turns, places = zip(*[_tell(x) for x in (a, b)], strict=True)
    values = [INT(ROW_MAJOR), *turns, *map(INT64, (m, n, k))]
    _call(code, "gemm", values, *places, (out.point((), ()), INT64(n)), out.dtype)


def _write_gemv(code: FunctionWriter, a: Place, x: Place, out: Place) -> None:
    """out = a @ x for a vector x."""
    turn, place = _tell(a)
    rows, columns = a.shape if turn.constant == AS_IT_IS else a.shape[::-1]
    values = [INT(ROW_MAJOR), turn, INT64(rows), INT64(columns)]
    pairs = zip(x.shape, x.strides, strict=True)
    step = next((stride for n, stride in pairs if n > 1), 1)
    vectors = [(x.point((), ()), INT64(step)), (out.point((), ()), INT64(1))]
    _call(code, "gemv", values, place, *vectors, out.dtype)


def _tell(x: Place) -> tuple[Any, tuple[Any, Any]]:
    """The flag, the address and the step of a matrix."""
    told = _describe(x.shape, x.strides)
    assert told is not None
    return INT(told[0]), (x.point((), ()), INT64(told[1]))


def _call(code: FunctionWriter, name: str, values: list[Any], *rest: Any) -> None:
    *places, dtype = rest
    one, zero = (_write_factor(code, number, dtype) for number in (1, 0))
    first, second, out = places
    values = [*values, one, *first, *second, zero, *out]
    signature = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    routine = declare(code.builder.module, _symbol(name, dtype.char), signature)
    code.builder.call(routine, values)


def _write_factor(code: FunctionWriter, number: float, dtype: np.dtype[Any]) -> Any:
    """A number for BLAS, which gets a complex one by its address."""
    if dtype.kind == "c":
        return code.place_number(number, dtype).pointer
    return ir.Constant(TYPES[dtype], float(number))
