"""Equations that are a native block by themselves: when they can be, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..staging.lowering import lowering_of
from . import blas, ufunc_loops
from .native_expressions import Layouts, Names, source_call
from .program import Equation, Var


def _can_dot(eqn: Equation, layouts: Layouts) -> bool:
    avals = [layouts.program.aval(i) for i in eqn.vars]
    dtypes = {aval.dtype for aval in (*avals, eqn.aval)}
    ranks = [len(aval.shape) for aval in avals]
    return (
        len(avals) == 2
        and len(dtypes) == 1
        and dtypes.pop().char in "fd"
        and max(ranks) <= 2
        and all(layouts.of(x) in "CF" for x in eqn.args)
    )


def _write_dot(eqn: Equation, names: Names, index: int) -> list[str]:
    """A product of matrices or vectors: by NumPy's BLAS, or else by np.dot, which is SciPy's."""
    a, b = eqn.args
    out, shape = names.arrays[index], eqn.aval.shape
    if not shape:
        return [f"{out}[0] = np.dot({names.array(a)}, {names.array(b)})"]
    if not blas.find_routines():
        return [f"np.dot({names.array(a)}, {names.array(b)}, {out})"]
    left, right = (names.program.aval(x.index).shape for x in (a, b))
    code = eqn.aval.dtype.char
    if len(left) == 2 and (1 in right[1:] or len(right) == 1):
        return [_write_gemv(code, a, b, left, names, out)]
    if left[0] == 1 or len(left) == 1:
        return [_write_gemv(code, b, a, right[::-1], names, out, turned=True)]
    return [_write_gemm(code, a, b, (left[0], *right[::-1]), names, out)]


def _write_gemm(code: str, a: Var, b: Var, lengths: tuple[int, ...], names: Names, out: str) -> str:
    """out = a @ b, for matrices in plain order or the transposes of such."""
    m, n, k = lengths
    words = [str(blas.ROW_MAJOR)]
    words += [str(_transposition(x, names)) for x in (a, b)] + [f"{m}, {n}, {k}, {_ONE[code]}"]
    for x, rows, columns in ((a, m, k), (b, k, n)):
        step = rows if names.layouts.of(x) == "F" else columns
        words.append(f"{names.array(x)}.ctypes, {step}")
    return f"gemm_{code}({', '.join(words)}, {_ZERO[code]}, {out}.ctypes, {n})"


def _write_gemv(
    code: str,
    a: Var,
    x: Var,
    shape: tuple[int, ...],
    names: Names,
    out: str,
    turned: bool = False,
) -> str:
    """out = a @ x for a vector x; or (turned) a.T @ x, where `shape` is a.T's."""
    (m, k), transposed = shape, (names.layouts.of(a) == "F") != turned
    rows, columns = (k, m) if transposed else (m, k)
    turn = blas.TRANSPOSED if transposed else blas.AS_IT_IS
    return (
        f"gemv_{code}({blas.ROW_MAJOR}, {turn}, {rows}, {columns}, {_ONE[code]}, "
        f"{names.array(a)}.ctypes, {columns}, {names.array(x)}.ctypes, 1, {_ZERO[code]}, "
        f"{out}.ctypes, 1)"
    )


def _transposition(x: Var, names: Names) -> int:
    return blas.TRANSPOSED if names.layouts.of(x) == "F" else blas.AS_IT_IS


_ONE, _ZERO = {"f": "f4(1)", "d": "f8(1)"}, {"f": "f4(0)", "d": "f8(0)"}

LARGE = 1024
"""The smallest number of elements for which NumPy's loop is called: it goes through memory."""


def _has_numpys_loop(eqn: Equation, layouts: Layouts) -> bool:
    """Whether an equation is one call of NumPy's own loop, over arrays in plain order."""
    kernel, aval = eqn.op.function, eqn.aval
    if not isinstance(kernel, np.ufunc) or aval.nbytes < LARGE * aval.dtype.itemsize:
        return False
    if (
        ufunc_loops.loop_name(kernel, aval.dtype.char) not in ufunc_loops.find_routines()
        or eqn.options
    ):
        return False
    return all(
        isinstance(x, Var) and layouts.program.aval(x.index) == aval and layouts.of(x) == "C"
        for x in eqn.args
    )


def _write_numpys_loop(eqn: Equation, names: Names, index: int) -> list[str]:
    ufunc: Any = eqn.op.function
    arrays = [names.flat(x) for x in (*eqn.args, Var(index))]
    starts = ", ".join(f"{array}.ctypes.data" for array in arrays)
    steps = ", ".join([str(eqn.aval.dtype.itemsize)] * len(arrays))
    loop = ufunc_loops.loop_name(ufunc, eqn.aval.dtype.char)
    return [
        f"starts, steps = np.array([{starts}]), np.array([{steps}])",
        f"count = np.array([{prod(eqn.aval.shape)}])",
        f"{loop}(starts.ctypes, count.ctypes, steps.ctypes, 0)",
    ]


class Form(NamedTuple):
    """How a kernel is written as a block of its own, and when it can be."""

    fits: Callable[[Equation, Layouts], bool]
    write: Callable[[Equation, Names, int], list[str]]


STANDALONE: dict[Any, Form] = {
    **dict.fromkeys(ufunc_loops.UFUNCS, Form(_has_numpys_loop, _write_numpys_loop)),
    np.matmul: Form(_can_dot, _write_dot),
}
"""Those that are NumPy's own functions. Ops say it of themselves (`register_lowering`)."""


def has_block(eqn: Equation, index: int, layouts: Layouts) -> bool:
    """Whether an equation can be a native block."""
    form, native = STANDALONE.get(eqn.op.function), lowering_of(eqn.op).native
    if form is not None:
        return form.fits(eqn, layouts)
    return native is not None and bool(native(source_call(eqn, index, layouts, "v{}".format)))


def write_block(eqn: Equation, index: int, names: Names) -> list[str]:
    """The statements of an equation that can be a native block."""
    form, native = STANDALONE.get(eqn.op.function), lowering_of(eqn.op).native
    if form is not None:
        return form.write(eqn, names, index)
    assert native is not None
    statements = native(source_call(eqn, index, names.layouts, names.arrays.__getitem__))
    assert statements is not None
    return statements
