"""Traces, signatures, and the cache of programs."""

import gc
import linecache

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td


def test_a_trace_for_each_signature():
    seen = []

    @td.jit
    def f(x, n=1):
        seen.append(x.shape)
        return x * n

    for shape in [(2,), (2,), (3,), (2,)]:
        assert_array_equal(f(np.ones(shape)), np.ones(shape))
    f(np.ones(2, np.float32))
    f(np.ones(2), 2)
    f(np.ones(2), 2)
    assert seen == [(2,), (3,), (2,), (2,)]
    assert f.cache_info() == (4, 4, 64)
    assert f.cache_info()._fields == ("traces", "programs", "maxsize")
    assert len(f.programs) == 4


def test_the_cache_is_bounded_and_drops_what_was_not_used():
    @td.jit(cache_size=2)
    def f(x):
        return x + 1

    for n in (1, 2, 1, 3):  # 2 is the least recently used
        assert_array_equal(f(np.zeros(n)), np.ones(n))
    assert f.cache_info() == (3, 2, 2)
    f(np.zeros(1))
    f(np.zeros(3))
    assert f.cache_info().traces == 3
    f(np.zeros(2))
    assert f.cache_info() == (4, 2, 2)


def test_the_cache_can_be_cleared():
    f = td.jit(np.negative)
    f(np.ones(2))
    f.cache_clear()
    assert f.cache_info() == (1, 0, 64)
    assert f.programs == []
    assert_array_equal(f(np.ones(2)), [-1, -1])
    assert f.cache_info() == (2, 1, 64)


def test_a_cache_has_room_for_a_program():
    with pytest.raises(ValueError, match="cache_size"):
        td.jit(np.negative, cache_size=0)


def test_asking_for_the_program_compiles_it_without_running():
    calls = []
    f = td.jit(lambda x: calls.append(1) or x * 2)
    program = f.program(np.ones(3))
    assert f.programs == [program]
    f(np.ones(3))
    assert calls == [1]


def test_keyword_arguments_in_any_order_share_a_program():
    f = td.jit(lambda x, **rest: x - rest["a"] + 2 * rest["b"])
    assert f(1.0, a=2.0, b=3.0) == f(1.0, b=3.0, a=2.0) == 5.0
    assert f.cache_info().traces == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1.0}, {"b": 1.0}),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}),
        ([1.0, 2.0], (1.0, 2.0)),
        ([1.0], [[1.0]]),
        (1.0, np.float64(1.0)),
        (np.float64(1.0), np.array(1.0)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(2), np.zeros(2, int)),
        (np.zeros(2), np.zeros(2, ">f8")),
        (1, 2),
        (1, True),
        (1, 1.0),
        ("a", "b"),
        (None, 1.0),
        (np.tanh, np.sin),
    ],
    ids=repr,
)
def test_what_makes_a_new_signature(first, second):
    f = td.jit(lambda x, other: x * 2.0)
    for other, traces in ((first, 1), (second, 2), (first, 2), (second, 2)):
        assert f(3.0, other) == 6.0
        assert f.cache_info().traces == traces


def test_what_leaves_the_signature_as_it_is(rng):
    f = td.jit(lambda x, y, r, g: x * y * r + g.random())
    for y in (1.0, -0.0, np.nan, np.inf):
        f(rng.standard_normal(3), y, np.float32(y), np.random.default_rng(0))
    f(rng.standard_normal(6)[::2], 1.0, np.float32(1), rng)
    assert f.cache_info().traces == 1


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match=r"numpy, native.*'torch'"):
        td.jit(np.sin, backend="torch")
    with pytest.raises(TypeError, match="takes a function, got int"):
        td.jit(3)
    with pytest.raises(TypeError, match="f has no argument 'z'"):
        td.jit(WITH_X, static_argnames="z")
    with pytest.raises(TypeError, match="f has no argument 'z'"):
        td.jit(WITH_X, donate=("x", "z"))


def f(x):
    return x


WITH_X = f


def test_a_program_may_go_while_linecache_looks_at_its_source():
    """The collector may run in a traceback or a debugger that goes through linecache's entries."""
    before = {*linecache.cache}
    jitted = td.jit(lambda x: x * 2.375)
    jitted(np.ones(3))
    (name,) = {*linecache.cache} - before
    del jitted
    gc.collect()
    assert name in linecache.cache
    td.jit(lambda x: x * 3.625)(np.ones(3))
    assert name not in linecache.cache
