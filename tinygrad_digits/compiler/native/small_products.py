"""Products with a small right matrix by loops of our own, where OpenBLAS loses time on packing.

Measured on one core with AVX-512, float32 and float64: 0.8 to 0.87 of its time for (1437, 64) by
(64, 64) and (64, 128) by (128, 256), 0.68 for (32, 10) by the transpose of (32, 10); but 1.1 of it
for (32, 64) by (64, 64), and more where there are ten columns.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .code import FunctionWriter, Place
from .terms import Term


def pays(a: Place, b: Place) -> bool:
    """Whether a product of matrices takes less time without BLAS."""
    (m, k), n = a.shape, b.shape[1]
    if n < 16 or k * n > 1 << 15 or m * n * k > 1 << 23:  # beyond, BLAS has several threads
        return False
    if b.strides[1] == 1:
        return m * n * k > 1 << 17
    return k * n <= 1 << 12 or m >= 256  # it is transposed first


def write(code: FunctionWriter, a: Place, b: Place, out: Place) -> None:
    """out = a @ b, as sums of b's rows."""
    (m, k), n = a.shape, b.shape[1]
    b, step = _lay_rows(code, b)
    inside = next(count for count in (4, 2, 1) if k % count == 0)

    def count(i: Term, j: Term) -> Term:
        return i * inside + j

    code.sum_rows(
        *(out.dtype, m, n, (k // inside,), inside),
        lambda row, i, j: a[(row, count(i, j))],
        lambda i, j: (b, count(i, j) * step),
        lambda row: (out, row * n),
    )


def _lay_rows(code: FunctionWriter, b: Place) -> tuple[Place, int]:
    """A matrix whose rows are in a row in memory, and the step from one to the next."""
    step, right = b.strides
    if right == 1:
        return b, step
    copy: Any = code.memory(b.dtype, prod(b.shape))
    with code.loops(b.shape) as (i, j):
        copy[i * b.shape[1] + j] = b[(i, j)]
    return copy, b.shape[1]
