"""Cholesky factors and triangular equations in native code, where a call costs more than the work.

Both take multiples of one row from the rows below it, number by number of neighbours. What is
singular, not positive definite or not finite is left to LAPACK, which has the errors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .linalg import cholesky
from .scipy_linalg import solve_triangular_op

LARGEST = 64
"""Rows of a matrix up to which LAPACK is not called. For 8 rows that takes 3 to 8 times as long,
for 64 as long; beyond it wins, by blocks."""


def _is_small(*arrays: Any) -> bool:
    """Whether these are matrices of one dtype, of which the first is small and square."""
    if not all(isinstance(x, SourceArray) and len(x.shape) == 2 for x in arrays):
        return False
    n, m = arrays[0].shape
    return n == m and 1 < n <= LARGEST and len({x.dtype for x in arrays}) == 1


def _write_cholesky(call: SourceCall) -> Callable[[Any], None] | None:
    (a,), out = call.args, call.out
    if call.options.get("upper") or not _is_small(a, out) or a.dtype.char not in "fd":
        return None
    n = a.shape[0]

    def write(code: Any) -> None:
        with code.loops(a.shape) as (i, j):  # only the lower triangle counts
            out[i, j] = a[i.maximum(j), i.minimum(j)]
        with code.loop(n - 1) as k:
            root = _write_root(code, out, k)
            with code.loop(n, start=k + 1) as j:
                out[k, j] = out[j, k] = out[k, j] / root
            with code.loop(n, start=k + 1) as i:
                factor = out[i, k]
                with code.loop(n, start=k + 1) as j:
                    out[i, j] = out[i, j] - factor * out[k, j]
        _write_root(code, out, code.index(n - 1))
        with code.loop(n - 1) as i, code.loop(n, start=i + 1) as j:
            out[i, j] = 0.0

    return write


def _write_root(code: Any, out: Any, k: Any) -> Any:
    """Let an element of the diagonal be its root."""
    square = out[k, k]
    code.fail_if(~(square > 0), ValueError)
    root = out[k, k] = square.call("sqrt")
    return root


def _write_solution(call: SourceCall) -> Callable[[Any], None] | None:
    (a, b), out, options = call.args, call.out, call.options
    if not _is_small(a, b, out) or b.shape != out.shape or 0 in b.shape or a.dtype.char not in "fd":
        return None
    n, columns = b.shape
    trans, unit = options["trans"], options["unit_diagonal"]
    from_top = options["lower"] != bool(trans)

    def place(k: Any) -> Any:
        """The k-th row to be solved for."""
        return k if from_top else (n - 1) - k

    def read(i: Any, j: Any) -> Any:
        return a[j, i] if trans else a[i, j]

    def divide(code: Any, i: Any) -> None:
        if not unit:
            code.fail_if(read(i, i) == 0, ValueError)
            with code.loop(columns) as c:
                out[i, c] = out[i, c] / read(i, i)

    def write(code: Any) -> None:
        for x in (a, b) if options["check_finite"] else ():
            with code.loops(x.shape) as at:
                code.fail_if(~(abs(x[at]) < inf), ValueError)
        with code.loops(b.shape) as at:
            out[at] = b[at]
        with code.loop(n - 1) as k:
            i = place(k)
            divide(code, i)
            with code.loop(n, start=k + 1) as later:
                factor = read(place(later), i)
                with code.loop(columns) as c:
                    out[place(later), c] = out[place(later), c] - factor * out[i, c]
        divide(code, place(code.index(n - 1)))

    return write


register_lowering(cholesky, native=_write_cholesky)
register_lowering(solve_triangular_op, native=_write_solution)
