"""NumPy's own matrix product, for native code.

NumPy's wheels bring an OpenBLAS, whose `cblas_sgemm` and `cblas_dgemm` native code can call by
name once the address is known: then its products are NumPy's to the last bit, and follow the same
limits on threads. Where there is none, numba's np.dot goes to SciPy's BLAS instead.
"""

from __future__ import annotations

import ctypes
import functools
import pathlib
from typing import Any

import numpy as np

ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112
"""Of the CBLAS interface (https://www.netlib.org/blas/blast-forum/cblas.tgz, cblas.h)."""


@functools.cache
def gemm() -> dict[str, Any]:
    """Names for native code and what they are: gemm_f and gemm_d; empty without NumPy's OpenBLAS.

    gemm_x(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    """
    found = _addresses()
    if found is None:
        return {}
    from llvmlite import binding
    from numba import types

    functions: dict[str, Any] = {}
    for code, real in (("f", types.float32), ("d", types.float64)):
        name = f"tinygrad_digits_gemm_{code}"
        binding.add_symbol(name, found[code])
        many = (types.int64,) * 3  # 64-bit lengths, as the suffix 64_ says
        matrix = (types.voidptr, types.int64)
        signature = types.void(
            *(types.intc,) * 3, *many, real, *matrix, *matrix, real, *matrix
        )  # fmt: skip
        functions[f"gemm_{code}"] = types.ExternalFunction(name, signature)
    return functions


def _addresses() -> dict[str, int] | None:
    """Where cblas_sgemm ("f") and cblas_dgemm ("d") are in memory."""
    package = pathlib.Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for path in sorted(folder.glob("*scipy_openblas64_*")):
            try:
                library = ctypes.CDLL(str(path))
                return {
                    code: _address(getattr(library, f"scipy_cblas_{letter}gemm64_"))
                    for code, letter in (("f", "s"), ("d", "d"))
                }
            except (OSError, AttributeError):
                continue
    return None


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
