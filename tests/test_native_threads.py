"""Loops on several threads: the same bits as on one, and the same errors."""

import multiprocessing
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import assert_same

pytest.importorskip("llvmlite")

from tinygrad_digits.compiler.native import axes, threads

pytestmark = pytest.mark.slow


def loss(x, w):
    return np.mean(np.tanh(np.exp(-x * x) * np.sin(x) + 0.5 * x) * w)


step = td.value_and_grad(loss, (0, 1))


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(axes, "LARGE", 1 << 12)
    monkeypatch.setattr("tinygrad_digits.compiler.native_backend.LARGE", 1 << 12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(20_011,), (101, 303), (17, 5, 40), (16, 1000)])
def test_many_threads_find_the_bits_of_one(shape, dtype, rng):
    x, w = (rng.standard_normal(s).astype(dtype) for s in (shape, shape[-1:]))
    wanted = td.jit(step, backend="native", threads=1)(x, w)
    assert_same(wanted, step(x, w), "native")
    for count in (2, 3, 16, 40):
        assert_same(td.jit(step, backend="native", threads=count)(x, w), wanted)


def test_the_parts_run_on_threads_of_their_own(rng, monkeypatch):
    ran = []
    share = threads.share

    def spy(function, count):
        def called(things, first, last):
            ran.append((threading.get_ident(), first, last))
            return function(things, first, last)

        return share(called, count)

    monkeypatch.setattr("tinygrad_digits.compiler.native.library.share", spy)
    x, w = rng.standard_normal((200, 100)), rng.standard_normal(100)
    td.jit(step, backend="native", threads=3)(x, w)
    parts = sorted((first, last) for _, first, last in ran if first < last)
    assert parts == [(0, 5), (5, 10), (10, 16)]
    assert len({ident for ident, *_ in ran}) > 1
    assert ran[-1][1:] == (16, 16)  # the sums, when all are done


def test_by_default_there_are_as_many_as_cores(monkeypatch, rng):
    x = rng.standard_normal(10_000)
    monkeypatch.setattr("tinygrad_digits.compiler.native_backend.count_cores", lambda: 1)
    f = lambda x: np.sum(np.sin(x)) * 2  # noqa: E731
    alone = td.jit(f, backend="native").program(x).source
    monkeypatch.setattr("tinygrad_digits.compiler.native_backend.count_cores", lambda: 2)
    assert threads.count_cores() >= 1
    both = td.jit(f, backend="native").program(x).source
    assert "in parts" in alone
    assert "in parts" in both
    assert "for threads to share" not in alone
    assert "for threads to share" in both


@pytest.mark.parametrize("maker", [np.max, np.min, np.prod])
def test_other_reductions_over_all_parts(maker, rng):
    x = rng.uniform(0.9, 1.1, (3000, 7)).astype(np.float32)
    f = lambda x: (maker(x * 1.0, axis=0), maker(x + 0.0), np.sum(x > 1, axis=0))  # noqa: E731
    many = td.jit(f, backend="native", threads=4)(x)
    assert_same(many, td.jit(f, backend="native", threads=1)(x))
    for got, wanted in zip(many, f(x), strict=True):
        assert_allclose(got, wanted, rtol=1e-5)


def test_arrays_in_any_order_are_shared_too(rng):
    x, w = rng.standard_normal((100, 200)), rng.standard_normal(200)
    f = td.jit(step, backend="native", threads=2)
    assert_same(f(np.asfortranarray(x), w), f(x, w))


def test_threads_at_least_one():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        td.jit(np.sin, backend="native", threads=0)
    with pytest.raises(TypeError, match="integer"):
        td.jit(np.sin, backend="native", threads=1.5)


def _in_a_child(queue, f, x):
    queue.put(f(x))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(rng):
    x = rng.standard_normal(50_000)
    f = td.jit(lambda x: np.sin(x) + x, backend="native", threads=2)
    wanted = f(x)  # which has started one
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue, f, x))
    child.start()
    got = queue.get(timeout=60)
    child.join()
    assert_array_equal(got, wanted)
