"""NumPy's functions that Tensors are refused by, each with the reason and what to write instead.

Those that write into arrays are in `assignment`, those of linear algebra in `decompositions`.
"""

from typing import Any

import numpy as np

from ..engine.primitive import Kind, define
from ..engine.tensor import NUMPY, REFUSED

COMPLEX = "complex numbers have no place on a tape"
FOURIER = f"{COMPLEX}; write a real transform as a product, cosines @ t"
INTEGERS = "it is about integers, and derivatives about floats; give it plain arrays"
DATES = "dates have no derivative; give it plain arrays"
SETS = "it chooses elements by their values; find them in tensor.value, and take t[index]"
ZEROS = "leading zeros are dropped, so that its shape depends on values"
FILES = "a file takes bare numbers: give it tensor.value"

REASONS = {
    FOURIER: """
        fft.fft fft.fft2 fft.fftn fft.ifft fft.ifft2 fft.ifftn fft.rfft fft.rfft2 fft.rfftn
        fft.irfft fft.irfft2 fft.irfftn fft.hfft fft.ihfft
        """,
    COMPLEX: "sort_complex",
    f"roots may be complex: {COMPLEX}": "roots",
    INTEGERS: """
        bitwise_and bitwise_count bitwise_or bitwise_xor invert left_shift right_shift gcd lcm
        packbits unpackbits ravel_multi_index unravel_index ix_
        """,
    DATES: "busday_count busday_offset is_busday datetime_as_string isnat",
    SETS: """
        intersect1d setdiff1d setxor1d union1d
        """,
    FILES: "save savetxt savez savez_compressed",
    f"{ZEROS}; write np.convolve(a, b)": "polymul",
    f"{ZEROS}; divide what np.polyval gives": "polydiv",
    "count in one dimension: np.bincount(np.ravel_multi_index(bins, shape), weights)": """
        histogram2d histogramdd
        """,
}
"""Which functions each reason is of."""

for _reason, _names in REASONS.items():
    for _name in _names.split():
        _found: Any = np
        for _part in _name.split("."):
            _found = getattr(_found, _part, None)
        if _found is not None:  # this NumPy has it
            REFUSED[_found] = _reason

# --- about shapes alone

SHAPES = ("tril_indices_from", "triu_indices_from", "diag_indices_from", "einsum_path")

for _name in SHAPES:
    _found = getattr(np, _name)
    NUMPY[_found] = define(_found, name=_name, kind=Kind.STATIC)
