"""What native code takes on trust, and that it looks first: objects in memory, and NumPy's BLAS."""

import ctypes
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

pytest.importorskip("llvmlite")

from tinygrad_digits.compiler.native import host, products

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def afresh():
    """What has been found out is found out again."""
    caches = (host.has_known_layout, products.find_routines)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


def f(x, y, scale):
    return np.tanh(x[:, ::2] @ y) * scale + np.sum(x.T, axis=0, keepdims=True).T


ARGS = np.arange(12.0).reshape(3, 4) / 12, np.ones((2, 3)) / 3, 0.5


def test_objects_lie_as_cpython_and_numpy_say():
    assert host.has_known_layout() == (sys.implementation.name == "cpython")


@pytest.mark.parametrize("name", ["ITEMS", "DATA", "FLAGS"])
def test_where_objects_lie_otherwise_arrays_are_asked(name, monkeypatch):
    monkeypatch.setattr(host, name, getattr(host, name) + host.WORD)
    assert not host.has_known_layout()
    strided = np.repeat(ARGS[0], 2, axis=1)[:, ::2]
    for x in (ARGS[0], strided):
        assert_allclose(td.jit(f, backend="native")(x, *ARGS[1:]), f(*ARGS), rtol=1e-12)


def test_arrays_in_any_order_give_the_same():
    native = td.jit(f, backend="native")
    x, y, scale = ARGS
    wanted = native(x, y, scale)
    crooked = np.frombuffer(bytes(1) + x.tobytes(), np.uint8)[1:].view(float).reshape(x.shape)
    assert not crooked.flags.aligned
    for odd in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], crooked):
        assert_array_equal(native(odd, y, scale), wanted)


def test_what_numpy_makes_may_lie_in_any_order():
    """In the same program: it is looked at before native code reads it."""
    turn = td.define(np.asfortranarray, lambda g, _y, _x: g, name="turn")

    def weighted(x):
        return np.sum(turn(x * 2) * np.arange(12.0).reshape(3, 4))

    native = td.jit(weighted, backend="native")
    assert "turn: called as it is" in native.program(ARGS[0]).source
    assert_allclose(native(ARGS[0]), weighted(ARGS[0]), rtol=1e-12)


def test_products_are_numpys_own(rng):
    if not products.find_routines():
        pytest.skip("this NumPy does not bring the OpenBLAS of its wheels")
    a, b = rng.standard_normal((30, 20)), rng.standard_normal((20, 40))
    program = td.jit(lambda a, b: (a @ b, b.T @ a.T), backend="native")
    for got, wanted in zip(program(a, b), (a @ b, b.T @ a.T), strict=True):
        assert_array_equal(got, wanted)


def test_without_blas_products_are_left_to_numpy(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # which has no routines
    assert products.find_routines() == {}
    native = td.jit(f, backend="native")
    assert_allclose(native(*ARGS), f(*ARGS), rtol=1e-12)
    assert "matmul: called as it is" in native.program(*ARGS).source


def test_an_address_that_does_not_multiply_is_no_blas(monkeypatch):
    def nothing(*_):
        return None

    signature = ctypes.CFUNCTYPE(None)
    wrong = signature(nothing)
    address = ctypes.cast(wrong, ctypes.c_void_p).value
    monkeypatch.setattr(
        products, "_read_addresses", lambda library: {products._symbol("gemm", "d"): address}
    )
    assert products.find_routines() == {}
