"""NumPy's own matrix product, for native code.

NumPy's wheels bring an OpenBLAS, whose routines native code can call by
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
def find_routines() -> dict[str, Any]:
    """Names for native code and what they are; empty without NumPy's OpenBLAS.

    gemm_x(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    gemv_x(order, transpose_a, rows, columns, alpha, a, lda, x, 1, beta, y, 1)
    """
    found = _find_addresses()
    if found is None:
        return {}
    from llvmlite import binding
    from numba import types

    functions: dict[str, Any] = {}
    matrix: tuple[Any, ...] = (types.voidptr, types.int64)  # 64-bit lengths, as the suffix 64_ says
    for name, address in found.items():
        real = types.float32 if name.endswith("_f") else types.float64
        symbol = f"tinygrad_digits_{name}"
        binding.add_symbol(symbol, address)
        flags = 3 if name.startswith("gemm") else 2
        arguments: list[Any] = [*[types.intc] * flags, *[types.int64] * flags, real]
        arguments += [*matrix, *matrix, real, *matrix]
        functions[name] = types.ExternalFunction(symbol, types.void(*arguments))
    return functions


def _find_addresses() -> dict[str, int] | None:
    """Where the routines for float32 (f) and float64 (d) are in memory."""
    package = pathlib.Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for path in sorted(folder.glob("*scipy_openblas64_*")):
            try:
                library = ctypes.CDLL(str(path))
                return {
                    f"{name}_{code}": _read_address(library, f"scipy_cblas_{letter}{name}64_")
                    for name in ("gemm", "gemv")
                    for code, letter in (("f", "s"), ("d", "d"))
                }
            except (OSError, AttributeError):
                continue
    return None


def _read_address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address
