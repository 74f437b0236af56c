"""Programs called by many threads, and programs that draw."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    assert_same,
)

X = np.array([1.0, -2.0, 3.0])

# --- threads


def together(count, work):
    """The results of work(0) ... work(count - 1), all started at the same time."""
    barrier = threading.Barrier(count)

    def run(k):
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(run, range(count))]


def test_eight_threads_get_right_answers(backend, rng):
    def f(w, x):
        h = np.tanh(x @ w)
        return np.sum(h, axis=0), h * 2, td.grad(lambda w: np.mean((x @ w) ** 2))(w)

    w, xs = rng.standard_normal((20, 20)), rng.standard_normal((8, 30, 20))
    jitted = td.jit(f, backend=backend)
    wanted = [f(w, x) for x in xs]
    jitted(w, xs[0])

    def work(k):
        return [jitted(w, xs[k]) for _ in range(50)]

    for results, right in zip(together(8, work), wanted, strict=True):
        for result in results:
            assert_same(result, right, backend)
    assert jitted.cache_info().traces == 1


def test_eight_threads_at_the_first_call_trace_once(backend):
    traces = []

    @td.jit(backend=backend)
    def f(x):
        traces.append(1)
        return np.cos(x) * x

    results = together(8, lambda k: f(k * X))
    assert len(traces) == f.cache_info().traces == 1
    for k, result in enumerate(results):
        assert_same(result, np.cos(k * X) * (k * X), backend)


def test_threads_with_signatures_of_their_own():
    f = td.jit(lambda x, n: x * n, cache_size=3)

    def work(k):
        return [f(np.ones(k + 1), n) for n in (1, 2) for _ in range(20)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", td.errors.RetraceWarning)
        for k, results in enumerate(together(8, work)):
            for i, result in enumerate(results):
                assert_same(result, np.full(k + 1, 1.0 + i // 20))
    assert f.cache_info().programs == 3


def test_calls_within_calls_have_workspaces_of_their_own():
    live = False

    def kernel(x):
        nonlocal live
        if not live:
            return x
        live = False
        return jitted(x)  # the function that is running

    own = td.define(kernel, name="own")

    def f(x):
        return np.exp(x) * np.sin(x) + own(np.cos(x))

    jitted = td.jit(f)
    jitted(X)
    live = True
    assert_array_equal(jitted(X), np.exp(X) * np.sin(X) + f(np.cos(X)))


# --- randomness


def noisy(x, rng):
    a = rng.standard_normal(3) * x
    rng.random()  # drawn, though nobody looks
    b = rng.integers(0, 10, 4)
    return (
        a,
        b,
        td.nn.dropout(x, 0.5, rng),
        rng.permutation(5),
        rng.choice(3, 2),
        rng.normal(x),
    )


def test_a_generator_that_is_an_argument_draws_anew_at_each_call():
    eager, fast = np.random.default_rng(1), np.random.default_rng(1)
    jitted = td.jit(noisy)
    for _ in range(4):
        assert_same(jitted(X, fast), noisy(X, eager))
    assert eager.bit_generator.state == fast.bit_generator.state
    assert jitted.cache_info().traces == 1


@pytest.mark.parametrize("captured", [False, True], ids=["argument", "captured"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dropout_draws_anew_from_eagers_stream(captured, dtype, backend):
    x = np.ones((4, 5), dtype)
    eager, fast = np.random.default_rng(2), np.random.default_rng(2)

    def f(x, rng):
        return td.value_and_grad(lambda x: np.sum(td.nn.dropout(x, 0.3, rng) ** 2))(x)

    if captured:
        jitted = td.jit(lambda x: f(x, fast), backend=backend)
        results = [jitted(x) for _ in range(3)]
    else:
        jitted = td.jit(f, backend=backend)
        results = [jitted(x, fast) for _ in range(3)]
    wanted = [f(x, eager) for _ in range(3)]
    assert_same(results, wanted, backend)
    assert not np.array_equal(results[0][1], results[1][1])
    assert eager.bit_generator.state == fast.bit_generator.state


def test_drawing_directly_from_a_captured_generator_gives_a_constant():
    rng = np.random.default_rng(3)
    f = td.jit(lambda x: x * rng.random())
    assert f(1.0) == f(1.0) == np.random.default_rng(3).random()


def test_the_global_generator_gives_a_constant():
    f = td.jit(lambda x: x * np.random.default_rng().random())
    assert f(1.0) == f(1.0)


def test_generators_do_not_shuffle_in_a_program():
    with pytest.raises(td.errors.TracedValueError, match=r"Generator\.shuffle"):
        td.jit(lambda x, rng: rng.shuffle(x))(X, np.random.default_rng(0))
    with pytest.raises(td.errors.TracedValueError, match=r"Generator\.spawn"):
        td.jit(lambda x, rng: rng.spawn(2))(X, np.random.default_rng(0))


def test_a_generator_is_returned_as_itself():
    rng = np.random.default_rng(0)
    f = td.jit(lambda x, rng: (x * rng.random(), rng))
    for _ in range(2):
        assert f(1.0, rng)[1] is rng


def test_tracing_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    td.jit(noisy).program(X, rng)
    assert rng.bit_generator.state == before
