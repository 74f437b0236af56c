"""Products with a small right matrix by loops of our own, where OpenBLAS loses time on packing.

Measured on one core with AVX-512, float32 and float64: 0.8 to 0.87 of its time for (1437, 64) by
(64, 64) and (64, 128) by (128, 256). Smaller ones gain less than a tenth: not worth the 15 ms in
which LLVM compiles a loop.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .code import FunctionWriter, Place
from .terms import Term


def pays(a: Place, b: Place) -> bool:
    """Whether a product of matrices takes less time without BLAS."""
    (m, k), n = a.shape, b.shape[1]
    small = n >= 16 and k * n <= 1 << 15 and 1 << 17 < m * n * k <= 1 << 23
    # beyond, BLAS takes several threads; the transpose of b is copied first
    return small and (b.strides[1] == 1 or m >= 256)


def write(code: FunctionWriter, a: Place, b: Place, out: Place) -> None:
    """out = a @ b, as sums of b's rows."""
    (m, k), n = a.shape, b.shape[1]
    b, step = _lay_rows(code, b)

    def find_row(i: Term, _: Term) -> tuple[Place, Term]:
        return b, i * step

    def find_sum(row: Term) -> tuple[Place, Term]:
        return out, row * n

    code.sum_rows(out.dtype, m, n, (k,), 1, lambda row, i, _: a[(row, i)], find_row, find_sum)


def _lay_rows(code: FunctionWriter, b: Place) -> tuple[Place, int]:
    """A matrix whose rows are in a row in memory, and the step from one to the next."""
    step, right = b.strides
    if right == 1:
        return b, step
    copy: Any = code.memory(b.dtype, prod(b.shape))
    with code.loops(b.shape) as (i, j):
        copy[i * b.shape[1] + j] = b[(i, j)]
    return copy, b.shape[1]
