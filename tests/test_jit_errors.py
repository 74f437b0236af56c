"""Errors in programs are eager's, and leave the program usable."""

import functools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import ZERO, assert_same, check_calls, copied, warned

X = np.array([1.0, -2.0, 3.0])


def test_an_exception_midway_leaves_it_usable(backend, rng):
    def f(x, labels):
        h = np.tanh(x * 2)
        return td.value_and_grad(td.nn.cross_entropy)(h, labels), h

    x, good, bad = rng.random((4, 3)), np.array([0, 1, 2, 0]), np.array([0, 1, 3, 0])
    jitted = td.jit(f, backend=backend)
    first = jitted(x, good)
    kept = copied(first)
    with pytest.raises(
        td.errors.ShapeError,
        match=r"labels must be integers in 0 \.\.\. 2, got 0 \.\.\. 3",
    ):
        jitted(x, bad)
    assert_same(jitted(x, good), f(x, good), backend)
    assert_same(first, kept)
    assert jitted.cache_info().traces == 1


def test_an_exception_while_tracing_leaves_it_usable():
    f = td.jit(lambda x, y: x @ y)
    with pytest.raises(ValueError, match="matmul") as caught:
        f(np.ones((2, 3)), np.ones((2, 3)))
    assert any("while tracing" in note and __file__ in note for note in caught.value.__notes__)
    assert_array_equal(f(np.ones((2, 3)), np.ones(3)), [3, 3])
    assert f.cache_info() == (1, 1, 64)


def test_an_index_out_of_range_at_a_later_call(backend):
    f = td.jit(lambda x, i: x[i] * 2, backend=backend)
    assert_array_equal(f(X, np.array([0, 1])), [2, -4])
    with pytest.raises(IndexError):
        f(X, np.array([0, 3]))
    assert_array_equal(f(X, np.array([-1, 1])), [6, -4])


def test_the_traceback_of_a_later_call_shows_the_program():
    f = td.jit(lambda x, i: np.exp(x)[i])
    f(X, np.array([0, 1]))
    with pytest.raises(IndexError) as caught:
        f(X, np.array([0, 3]))
    last = caught.traceback[-1]
    assert str(last.path).startswith("<jit ")
    assert "a1" in str(last.statement)


def test_recursion_is_refused():
    @td.jit
    def by_constant(x):
        return by_constant(np.ones(2)) + x

    @td.jit
    def endless(x):
        return endless(x - 1)

    @td.jit
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    for f, args in ((by_constant, (X,)), (endless, (X,)), (power, (2.0, 3))):
        with pytest.raises(RecursionError, match=f"{f.__name__} calls itself while jit traces"):
            f(*args)


def test_a_plain_function_may_call_itself():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert td.jit(power)(2.0, 5) == 32


def test_generators_are_refused():
    def generator(x):
        yield x

    async def coroutine(x):
        return x

    for f in (generator, coroutine, functools.partial(generator, 1.0)):
        with pytest.raises(TypeError, match="is a generator or a coroutine"):
            td.jit(f)
    with pytest.raises(TypeError, match="returned a generator"):
        td.jit(lambda x: (i for i in [x]))(X)
    with pytest.raises(TypeError, match="returned a function"):
        td.jit(lambda x: lambda: x)(X)
    with pytest.raises(TypeError, match="returned a function"):
        td.jit(lambda x: {"pull": td.vjp(np.sin, x)[1]})(X)


@pytest.mark.parametrize(
    "leaf",
    [
        np.ma.array([1.0, 2.0], mask=[True, False]),
        np.array([1, None]),
        np.array(["a"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, [("a", float)]),
        np.rec.array([(1.0,)], dtype=[("a", float)]),
    ],
    ids=["masked", "object", "text", "date", "fields", "record"],
)
def test_arrays_of_other_kinds_are_refused(leaf):
    with pytest.raises(TypeError, match=rf"batch\['x'\].*{type(leaf).__name__}"):
        td.jit(lambda batch: batch["x"])({"x": leaf})


def test_arrays_with_labels_are_taken_without_them():
    labelled = pd.Series([1.0, 2.0, 3.0], index=[2, 0, 1])
    f = td.jit(lambda x, s: x * s + labelled)
    assert_array_equal(f(X, labelled), X * labelled.to_numpy() + labelled.to_numpy())
    f(X, labelled + 1)
    assert f.cache_info().traces == 1


def test_the_forward_pass_warns_as_eager_does():
    def f(x):
        return np.log(x), 1 / x, np.exp(700 * x), np.sqrt(x - 1)

    jitted = td.jit(f)
    jitted(np.array([1.0, 1.01]))  # traced without any
    x = np.array([0.0, 2.0])
    assert len(warned(f, x)[1]) == 4
    assert warned(jitted, x)[1] == warned(f, x)[1]


def test_the_backward_sweep_is_quiet():
    f = td.value_and_grad(lambda x: np.sum(np.sqrt(x)))
    assert warned(f, ZERO)[1] == warned(td.jit(f), ZERO)[1] == []
    check_calls(f, [(ZERO,)])


def test_what_nobody_needs_is_not_computed_and_does_not_warn():
    f = td.grad(lambda x: np.sum(np.log(x)))  # its gradient is 1 / x
    jitted = td.jit(f)
    jitted(ZERO + 1)
    assert [text for _, text in warned(f, ZERO)[1]] == ["divide by zero encountered in log"]
    assert warned(jitted, ZERO)[1] == []
    with np.errstate(all="raise"):
        assert_array_equal(jitted(ZERO), [np.inf, 1])


@pytest.mark.parametrize("traced_under", ["ignore", "warn", "raise"])
def test_error_states_are_the_callers(traced_under):
    def f(x):
        with np.errstate(divide="ignore"):
            quiet = np.log(x)
        return quiet, np.exp(x), td.value_and_grad(lambda x: np.sum(np.sqrt(x)))(x)

    jitted = td.jit(f)
    with np.errstate(all=traced_under):
        assert_same(jitted(ZERO), f(ZERO))
    with np.errstate(all="raise"):
        assert_same(jitted(ZERO), f(ZERO))
        for call in (f, jitted):
            with pytest.raises(FloatingPointError, match="overflow encountered in exp"):
                call(1000 * ZERO)
    with np.errstate(all="ignore"):
        assert_same(jitted(-ZERO), f(-ZERO))
    assert jitted.cache_info().traces == 1


def test_a_loud_line_is_not_merged_with_a_quiet_one():
    def f(x):
        with np.errstate(divide="ignore"):
            quiet = np.log(x)
        return quiet + np.log(x)

    jitted = td.jit(f)
    jitted(ZERO + 1)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        jitted(ZERO)
    assert warned(jitted, ZERO)[1] == warned(f, ZERO)[1] != []
