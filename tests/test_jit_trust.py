"""What native code takes on trust: the loop that is found in a ufunc is NumPy's own."""

import ctypes

import numpy as np
import pytest

from tests.jit_programs import assert_same
from tinygrad_digits.compiler import ufunc_loops

LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


FOUND = [
    (ufunc, address, code)
    for ufunc in ufunc_loops.UFUNCS
    for code in "fd"
    if (address := ufunc_loops._find_address(ufunc, np.dtype(code))) is not None
]


@pytest.mark.parametrize(
    ("ufunc", "address", "code"),
    FOUND,
    ids=[f"{ufunc.__name__}-{code}" for ufunc, _, code in FOUND],
)
def test_a_loop_that_is_found_is_numpys(ufunc, address, code, rng):
    xs = [rng.uniform(0.1, 0.9, 100).astype(code) + (ufunc is np.arccosh) for _ in range(ufunc.nin)]
    y = np.empty(100, code)
    starts = np.array([x.ctypes.data for x in (*xs, y)], np.intp)
    steps = np.full(ufunc.nargs, y.itemsize, np.intp)
    count = np.array([100], np.intp)
    LOOP(address)(starts.ctypes.data, count.ctypes.data, steps.ctypes.data, None)
    assert_same(y, ufunc(*xs))


def test_loops_are_found():
    assert {np.exp, np.log, np.tanh, np.sin} <= {ufunc for ufunc, _, _ in FOUND}


def test_a_loop_is_left_alone_where_the_object_is_not_what_it_should_be(monkeypatch):
    python = np.frompyfunc(lambda x: x, 1, 1)  # its loop needs data of its own
    assert ufunc_loops._find_address(python, np.dtype(object)) is None
    assert ufunc_loops._find_address(np.exp, np.dtype(np.int64)) is None

    class Shifted(ctypes.Structure):
        _fields_ = (("more", ctypes.c_int), *ufunc_loops._UFunc._fields_)

    monkeypatch.setattr(ufunc_loops, "_UFunc", Shifted)
    assert ufunc_loops._find_address(np.exp, np.dtype(float)) is None
