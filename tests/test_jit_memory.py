"""Results own their memory, arguments stay as they are; donated ones may be written over."""

import copy
import importlib.util
import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    arrays,
    assert_own_memory,
    assert_same,
    check_calls,
    copied,
)

X = np.array([1.0, -2.0, 3.0])

# --- memory


def everything(x):
    y = x + 1
    return {
        "input": x,
        "view": x[1:],
        "reversed": x[::-1],
        "transposed": x.T,
        "reshaped": x.reshape(-1),
        "new": y,
        "view of new": y[0],
        "new again": y,
        "copy": x.copy(),
        "diagonal": np.einsum("ii->i", x),
        "swapped": np.einsum("ij->ji", x),
        "broadcast": np.broadcast_to(x[0], (2, 3)),
        "of NumPy": np.moveaxis(y, 0, 1),
        "real": np.real(y),
        "atleast": np.atleast_3d(y),
        "split": list(np.split(y, 3)),
        "squeezed": np.squeeze(y[None]),
        "diag": np.diagonal(y),
        "sum": np.sum(y, axis=()),
    }


def test_gradients_of_rows_read_one_by_one_are_let_go():
    rows = np.ones((40, 64, 64))

    def f(rows):
        h = np.zeros((64, 64))
        for row in rows:
            h = np.tanh(h + row)
        return np.sum(h)

    jitted = td.jit(td.grad(f))
    assert_same(jitted(rows), td.grad(f)(rows))
    tracemalloc.start()
    jitted(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * rows.nbytes  # each row's gradient is as large as all the rows


def test_results_share_memory_with_nothing(backend, rng):
    captured = np.ones((3, 3))

    def f(x):
        return everything(x), everything(np.zeros_like(x) + captured), captured, captured.T

    check_calls(lambda *xs: f(*xs)[0], [(rng.random((3, 3)),) for _ in range(3)], backend)
    jitted = td.jit(f, backend=backend)
    x = rng.random((3, 3))
    first = jitted(x)
    kept = copied(first)
    for result in arrays(first):
        result[...] = -1.0  # no later call sees it
    assert_same(jitted(x), kept)
    assert_array_equal(captured, 1)


def test_an_item_by_a_traced_index_is_not_a_view(rng):
    def f(x, i):
        h = x + 1
        row = h[i]
        return row, np.sum(h * 2 * 3), x[i]

    check_calls(f, [(rng.random((3, 4)), np.int64(1)), (rng.random((3, 4)), np.int64(2))])


def test_arguments_are_never_written(backend):
    def f(params, x):
        y = x * 2
        y = np.exp(y)
        return td.tree.map(lambda p: p - 0.1 * p * np.sum(y), params)

    check_calls(f, [({"a": np.ones(3), "b": [np.ones((3, 3))]}, X)], backend)


def test_read_only_arguments(backend):
    x = X.copy()
    x.flags.writeable = False
    check_calls(lambda x: (x * 2, x, x[::-1]), [(x,)], backend)
    result = td.jit(lambda x: x, backend=backend)(x)
    assert result.flags.writeable


@pytest.mark.parametrize("lay", ["F", "strided", "reversed", "broadcast", "unaligned"])
def test_arrays_that_lie_in_memory_in_other_ways(lay, backend, rng):
    full = rng.standard_normal((6, 8))
    x = {
        "F": np.asfortranarray(full),
        "strided": np.repeat(full, 2, axis=1)[:, ::2],
        "reversed": full[::-1, ::-1],
        "broadcast": np.broadcast_to(full[0], (6, 8)),
        "unaligned": np.frombuffer(b"0" + full.tobytes(), np.uint8)[1:].view(float).reshape(6, 8),
    }[lay]

    def f(x):
        return x * 2, np.exp(x) + x[0], x.T, x[1:3], np.maximum(x, 0) @ x.T, x.reshape(-1), x > 0

    check_calls(f, [(x,), (full,)], backend)


def test_sums_over_arrays_in_fortran_order_may_differ_in_the_last_bits(rng):
    """NumPy adds in the order in which an array lies; a program was laid out for its first call."""

    def f(x):
        return (
            np.sum(x * 2, axis=0),
            np.sum(x.T * 2),
            td.special.logsumexp(x.T * 2, axis=0),
        )

    x = rng.standard_normal((200, 300))
    jitted = td.jit(f)
    assert_same(jitted(x), f(x))
    for got, wanted in zip(jitted(np.asfortranarray(x)), f(np.asfortranarray(x)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    assert jitted.cache_info().traces <= 2


def test_sums_of_transposed_values_have_eagers_bits(rng):
    def f(x):
        y = x.T * 2
        return (
            np.sum(y),
            np.sum(y, axis=0),
            td.special.logsumexp(y, axis=0),
            np.einsum("ij,kj->ik", y, y),
        )

    check_calls(f, [(rng.standard_normal((200, 300)),)])


def test_overlapping_arguments(backend):
    def f(a, b):
        a = a * 2
        return a + b, a - b, b

    x = np.arange(6.0)
    check_calls(f, [(x, x[::-1]), (x, x), (x[:3], x[2:5]), (x, x + 1)], backend)


# --- donated arguments


def descend(params, grads):
    return td.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def test_donated_arrays_become_the_results(backend):
    params = {"w": np.ones((3, 4)), "b": [np.zeros(4)]}
    grads = {"w": np.full((3, 4), 2.0), "b": [np.ones(4)]}
    wanted, kept = descend(params, grads), copied(grads)
    jitted = td.jit(descend, donate="params", backend=backend)
    results = jitted(params, grads)
    assert results["w"] is params["w"]
    assert results["b"][0] is params["b"][0]
    assert_same(results, wanted, backend)
    assert_same(grads, kept)
    again = jitted(results, grads)
    assert_same(again, descend(wanted, grads), backend)


def test_a_training_loop_that_donates_gives_eagers_bits(rng):
    x, y = rng.standard_normal((32, 8)), rng.integers(0, 3, 32)

    def step(params, velocity, x, y):
        def loss(p):
            return td.nn.cross_entropy(np.tanh(x @ p["w"]) @ p["v"] + p["b"], y)

        value, grads = td.value_and_grad(loss)(params)
        velocity = td.tree.map(lambda v, g: 0.9 * v - 0.1 * g, velocity, grads)
        return value, td.tree.map(np.add, params, velocity), velocity

    params = {
        "w": rng.standard_normal((8, 8)),
        "v": rng.standard_normal((8, 3)),
        "b": np.zeros(3),
    }
    eager = params, td.tree.map(np.zeros_like, params)
    fast = copied(eager)
    jitted = td.jit(step, donate=("params", "velocity"))
    for _ in range(20):
        value, *eager = step(*eager, x, y)
        fast_value, *fast = jitted(*fast, x, y)
        assert_same((fast_value, *fast), (value, *eager))


def test_the_same_array_donated_and_passed_again():
    def f(a, b):
        c = a + 1
        return c, c * b

    jitted = td.jit(f, donate="a")
    for make in (lambda p: (p, p), lambda p: (p, p[::-1]), lambda p: (p[:2], p[1:])):
        assert_same(jitted(*make(X.copy())), f(*make(X.copy())))


def test_donated_arrays_that_are_read_in_another_order(backend):
    def f(p):
        return p + p[::-1] * 2 + np.sum(p), p - p.T

    x = np.arange(9.0).reshape(3, 3)
    jitted = td.jit(f, donate="p", backend=backend)
    for p in (x.copy(), x[::-1].copy()):
        assert_same(jitted(p.copy()), f(p), backend)


def test_the_same_array_donated_twice():
    jitted = td.jit(lambda a: {"x": a["x"] + 1, "y": a["y"] * 2}, donate="a")
    x = X.copy()
    results = jitted({"x": x, "y": x})
    assert_same(results, {"x": X + 1, "y": X * 2})
    assert_own_memory(results)


def test_a_donated_result_that_is_returned_twice():
    a, b = td.jit(lambda a: (a + 1, a + 1), donate="a")(X.copy())
    assert_same((a, b), (X + 1, X + 1))
    assert_own_memory([a, b])


def test_donated_arrays_that_cannot_be_written():
    x = X.copy()
    x.flags.writeable = False
    jitted = td.jit(lambda a: a + 1, donate="a")
    assert_same(jitted(x), X + 1)
    assert_array_equal(x, X)
    assert_same(jitted(X[::-1].copy()[::-1]), X + 1)
    assert_same(jitted(np.broadcast_to(1.0, 3)), np.full(3, 2.0))


def test_a_donated_input_that_is_a_result_itself():
    x = X.copy()
    same, more = td.jit(lambda a: (a, a + 1), donate="a")(x)
    assert_same((same, more), (X, X + 1))
    assert_own_memory([same, more])


# --- donation, errors, copies


@pytest.mark.parametrize(
    "overlapping",
    [
        lambda p: np.lib.stride_tricks.sliding_window_view(p, 3),
        lambda p: np.asarray(memoryview(p)),
        lambda p: p[::-1],
    ],
    ids=["windows", "memoryview", "reversed"],
)
def test_a_donated_array_that_another_argument_shares_is_left_alone(overlapping, backend):
    def f(p, x):
        return p * 2 + 1, np.sum(np.exp(x * 3 + 1))

    p = np.arange(6.0)
    wanted = f(p.copy(), overlapping(p).copy())
    got = td.jit(f, donate="p", backend=backend)(p, overlapping(p))
    for g, w in zip(got, wanted, strict=True):
        assert_allclose(g, w, rtol=1e-12)
    assert_array_equal(p, np.arange(6.0))


def test_an_index_error_after_a_donated_array_was_overwritten(backend):
    def f(p, x):
        i = p.astype(int)
        return p * 0, x[i] * 2

    jitted = td.jit(f, donate="p", backend=backend)
    jitted(np.ones(2), np.arange(5.0))
    with pytest.raises(IndexError):
        jitted(np.array([1.0, 99.0]), np.arange(5.0))


def test_an_error_draws_no_more_than_eager_does(backend):
    def f(rng, x, i):
        return np.sum(x * rng.random(3)) + np.sum((x * 2)[i])

    x, bad = np.ones(3), np.array([0, 9])
    jitted = td.jit(f, backend=backend)
    jitted(np.random.default_rng(0), x, np.array([0, 1]))
    mine, eager = np.random.default_rng(1), np.random.default_rng(1)
    with pytest.raises(IndexError):
        jitted(mine, x, bad)
    with pytest.raises(IndexError):
        f(eager, x, bad)
    assert mine.random() == eager.random()


def test_names_belong_to_their_arguments():
    f = td.jit(lambda a, *rest, p: rest[1] * 2 + a + p * 0, donate="p")
    a, z = np.ones(2), np.ones(2)
    f(a, a, z, p=np.ones(2))
    assert_array_equal(z, np.ones(2))
    with pytest.raises(TypeError, match="no argument 'rest'"):
        td.jit(lambda a, *rest: a, donate="rest")


def test_two_functions_may_call_each_other_from_two_threads():
    @td.jit
    def first(x, n):
        return x + (second(np.ones(2), n - 1) if n else 0.0)

    @td.jit
    def second(x, n):
        return x * (first(np.ones(2), n - 1) if n else 2.0)

    results = {}
    start = threading.Barrier(2)

    def run(name, f, n):
        start.wait()
        results[name] = f(np.ones(2), n)

    threads = [
        threading.Thread(target=run, args=args, daemon=True)
        for args in (("first", first, 1), ("second", second, 1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert_array_equal(results["first"], [3.0, 3.0])
    assert_array_equal(results["second"], [1.0, 1.0])


@td.jit
def doubled(x):
    return x * 2


def test_a_jitted_function_can_be_pickled_and_copied():
    assert copy.deepcopy(doubled)(2.0) == 4.0
    assert doubled.__reduce__() == "doubled"  # found again by its name
    kind, args = td.jit(np.sin, backend="numpy", cache_size=3).__reduce__()
    again = kind(*pickle.loads(pickle.dumps(args)))
    assert again(0.5) == np.sin(0.5)
    assert again.cache_info().maxsize == 3


def test_static_values_of_other_types_are_other_values():
    f = td.jit(lambda x, rate: x * rate, static_argnames="rate")
    x = np.ones(2, np.float32)
    assert f(x, 0.5).dtype == np.float32
    assert f(x, np.float64(0.5)).dtype == np.float64
    assert f(x, frozenset({1}) and 1).dtype == np.float32


def test_native_code_needs_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(td.errors.MissingExtraError, match=r"tinygrad-digits\[native\]"):
        td.jit(np.sin, backend="native")
