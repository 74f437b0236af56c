"""No state, no cycles, no leaks: with the collector off, in many threads, in long programs."""

import gc
import operator
import pathlib
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.leaks import cycles_left


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def network(rng):
    params = {"w": rng.standard_normal((8, 4)), "b": np.zeros(4), "name": "net"}
    images, labels = rng.standard_normal((16, 8)), rng.integers(0, 4, 16)

    def loss(params):
        hidden = td.nn.relu(images @ params["w"] + params["b"])
        return td.nn.cross_entropy(hidden, labels) + np.mean(np.var(hidden[[0, 0, 1]], axis=0))

    return params, loss


def steps(n, params, loss):
    optimizer = td.optim.momentum(0.01)
    state = optimizer.init(params)
    for _ in range(n):
        _, grads = td.value_and_grad(loss)(params)
        params, state = optimizer.update(params, grads, state)
    return params


def nested(n, params, loss):
    def norm(params):
        return np.sum(td.grad(loss)(params)["w"] ** 2)

    for _ in range(n):
        td.grad(norm)(params)


def pulled(n, params, loss):
    for _ in range(n):
        y, pullback = td.vjp(lambda p: {"y": loss(p)}, params)
        pullback(y)


def failing(n, params, loss):
    for _ in range(n):
        with pytest.raises(ValueError, match="matmul"):
            td.grad(lambda p: loss(p) + p["w"] @ p["w"])(params)


@pytest.mark.parametrize("run", [steps, nested, pulled])
def test_a_training_loop_makes_no_reference_cycles(run, rng):
    params, loss = network(rng)
    assert not cycles_left(lambda: run(20, params, loss))


def test_a_cycle_would_be_found():
    def entangled():
        tape = td.Tape()
        tape.records[0] = td.Tensor(1.0, tape)

    assert {type(x) for x in cycles_left(entangled)} == {td.Tape, td.Tensor}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("run", [steps, nested, pulled, failing])
def test_memory_stays_flat_without_the_collector(run, rng):
    params, loss = network(rng)
    run(5, params, loss)
    gc.collect()
    tracemalloc.start()
    try:
        before = array_bytes()
        run(50, params, loss)
        if run is failing:  # pytest.raises makes cycles of its own
            gc.collect()
        after = array_bytes()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000  # the smallest array here, left over by each of 50 steps: 1,600


def array_bytes():
    """What the data of NumPy's arrays takes now. Python itself keeps freed tuples for later."""
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
    return sum(trace.size for trace in traces)


@pytest.mark.usefixtures("no_collector")
def test_a_transform_leaves_nothing_alive():
    kept = []

    def f(x):
        y = np.exp(x * 2)
        kept.append(weakref.ref(y.value))
        return np.sum(y)

    td.grad(f)(np.ones(3))
    assert kept[0]() is None


@pytest.mark.usefixtures("no_collector")
def test_the_sweep_frees_each_record_as_it_passes():
    alive = []

    def spy(g, _y, _x):
        alive.append(later() is not None)
        return g

    probe = td.define(lambda x: x.copy(), spy, name="probe")
    later = None

    def f(x):
        nonlocal later
        y = np.exp(probe(x))  # exp keeps its output for its rule
        later = weakref.ref(y.value)
        alive.append(later() is not None)
        z = np.sum(y)
        del y
        alive.append(later() is not None)
        return z

    assert_array_equal(td.grad(f)(np.zeros(3)), np.ones(3))
    assert alive == [True, True, False]


@pytest.mark.usefixtures("no_collector")
def test_what_no_rule_reads_is_freed_at_once(rng):
    seen = []

    def f(x):
        product = x @ w
        ref = weakref.ref(product.value)
        hidden = product + 1.0
        del product
        seen.append(ref() is None)
        ref = weakref.ref(hidden.value)
        active = td.nn.relu(hidden)
        del hidden
        seen.append(ref() is None)
        ref = weakref.ref(active.value)
        summed = np.sum(active)
        del active
        seen.append(ref() is not None)  # relu's rule reads its output
        return summed

    x, w = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    td.grad(f)(x)
    assert seen == [True, True, True]


def test_a_first_layers_input_has_no_cotangent(rng):
    """Of x @ w with x a constant, w is not kept and g @ w.T not computed."""
    tape = td.Tape()
    w = td.Tensor(rng.standard_normal((3, 2)), tape)
    product = rng.standard_normal((4, 3)) @ w
    record = tape[product.index]
    assert record.parents == (None, w.index)
    assert getattr(record.inputs[1], "value", None) is None
    assert not isinstance(record.inputs[1], np.ndarray)


def test_a_chain_of_a_hundred_thousand_ops():
    factor = 1.00001

    def f(x):
        for _ in range(100_000):
            x = x * factor
        return x

    value, g = td.value_and_grad(f)(1.0)
    assert_allclose(g, factor**100_000, rtol=1e-9)
    assert_allclose(value, g, rtol=1e-9)


def test_a_long_chain_of_second_order():
    def f(x):
        for _ in range(5_000):
            x = x + 0.001 * np.sin(x)
        return x

    limit = sys.getrecursionlimit()
    assert np.isfinite(td.grad(td.grad(f))(0.1))
    assert sys.getrecursionlimit() == limit


def test_a_wide_sum_of_many_uses():
    def f(x):
        return sum((x * float(k) for k in range(2_000)), np.float64(0))

    assert td.grad(f)(2.0) == sum(range(2_000))


# --- threads


@pytest.fixture
def switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_nested_gradients_in_interleaved_threads():
    n = 8
    barrier = threading.Barrier(n, timeout=20)

    def f(x):
        def inner(y):
            barrier.wait()
            z = x * y * y
            barrier.wait()
            return z

        barrier.wait()
        return x * td.grad(inner)(x)  # x 2 x**2

    with ThreadPoolExecutor(n) as pool:
        found = list(pool.map(td.grad(f), np.arange(1.0, n + 1)))
    assert_allclose(found, 6 * np.arange(1.0, n + 1) ** 2)


@pytest.mark.usefixtures("switching")
def test_transforms_at_once_in_many_threads(rng):
    params, loss = network(rng)
    expected = td.grad(loss)(params)

    def task(_):
        return [td.grad(loss)(params) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for grads in pool.map(task, range(8)):
            for g in grads:
                assert_array_equal(g["w"], expected["w"])


@pytest.mark.usefixtures("switching")
def test_several_threads_record_on_one_tape(rng):
    n, length = 8, 300
    tape = td.Tape()
    starts = rng.uniform(0.5, 1.5, n)
    x = td.Tensor(starts, tape)
    barrier = threading.Barrier(n, timeout=20)

    def chain(k):
        barrier.wait()
        y = x[k]
        for _ in range(length):
            y = y * 1.001 + x[k] * 0.001
        return y

    with ThreadPoolExecutor(n) as pool:
        ends = list(pool.map(chain, range(n)))
    y = np.sum(np.stack(ends))
    assert len(tape) == 1 + n * (1 + 4 * length) + n + 1 + 1
    growth = 1.001**length
    assert_allclose(tape.gradients(y, x)[0], np.full(n, growth + 0.001 * (growth - 1) / 0.001))


@pytest.mark.usefixtures("switching")
def test_threads_inside_one_differentiated_function(rng):
    xs = rng.uniform(0.5, 1.5, 6)

    def f(x):
        def task(k):
            y = x[k]
            for _ in range(50):
                y = np.sin(y) + td.grad(operator.mul)(1.0, y)
            return y

        with ThreadPoolExecutor(6) as pool:
            return np.sum(np.stack(list(pool.map(task, range(6)))))

    expected = np.ones(6)
    y = xs.copy()
    for _ in range(50):
        expected, y = expected * (np.cos(y) + 1), np.sin(y) + y
    assert_allclose(td.grad(f)(xs), expected, rtol=1e-10)


@pytest.mark.usefixtures("switching")
def test_one_pullback_in_many_threads(rng):
    x = rng.standard_normal(50)
    y, pullback = td.vjp(lambda x: np.tanh(x) * x, x)
    expected = pullback(y)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(pullback, [y] * 200):
            assert_array_equal(found, expected)


def test_an_exception_in_one_thread_leaves_the_others_alone():
    barrier = threading.Barrier(2, timeout=20)

    def f(x):
        barrier.wait()
        if x < 0:
            raise KeyError("negative")
        return td.grad(lambda y: y**3 * x)(x)

    with ThreadPoolExecutor(2) as pool:
        good, bad = pool.submit(td.grad(f), 2.0), pool.submit(td.grad(f), -2.0)
        assert good.result() == 36
        with pytest.raises(KeyError, match="negative"):
            bad.result()


# --- optimisers


@pytest.mark.parametrize(
    "optimizer", [td.optim.gradient_descent(0.1), td.optim.momentum(0.1)], ids=["gd", "momentum"]
)
def test_an_optimizer_mutates_and_shares_nothing(optimizer, rng):
    params = {"w": rng.standard_normal(3), "b": 2.0, "name": "net", "f": None, "on": True}
    grads = {"w": rng.standard_normal(3), "b": 1.0, "name": "net", "f": None, "on": True}
    state = optimizer.init(params)
    before = [
        td.tree.map(lambda x: np.copy(x) if hasattr(x, "dtype") else x, t)
        for t in (params, grads, state)
    ]
    after, state2 = optimizer.update(params, grads, state)
    for tree, kept in zip((params, grads, state), before, strict=True):
        td.tree.map(assert_array_equal, tree, kept)
    assert (after["name"], after["f"], after["on"]) == ("net", None, True)
    assert after["b"] == pytest.approx(1.9)
    assert_allclose(after["w"], params["w"] - 0.1 * grads["w"])
    arrays = [
        x
        for x in td.tree.flatten([params, grads, state, after, state2])[0]
        if type(x) is np.ndarray
    ]
    for i, one in enumerate(arrays):
        assert not any(
            np.shares_memory(one, other) for other in arrays[i + 1 :] if other is not one
        )


def test_momentum_is_heavy_ball(rng):
    grads = rng.standard_normal((5, 3))
    optimizer = td.optim.momentum(0.1, beta=0.8)
    params, state = np.zeros(3), optimizer.init(np.zeros(3))
    for g in grads:
        params, state = optimizer.update(params, g, state)
    weights = [sum(0.8**j for j in range(5 - i)) for i in range(5)]
    assert_allclose(params, -0.1 * np.tensordot(weights, grads, 1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_optimizers_keep_the_dtype(dtype):
    for optimizer in (td.optim.gradient_descent(0.1), td.optim.momentum(0.1)):
        x = np.ones(3, dtype)
        after, _ = optimizer.update(x, x, optimizer.init(x))
        assert after.dtype == dtype


@pytest.mark.parametrize("rate", [0, -1.0, float("nan")])
def test_optimizers_refuse_a_rate_that_is_not_positive(rate):
    for make in (td.optim.gradient_descent, td.optim.momentum):
        with pytest.raises(ValueError, match="rate"):
            make(rate)
    with pytest.raises(ValueError, match="beta"):
        td.optim.momentum(0.1, beta=1.0)


def test_no_frame_or_count_of_references_decides_what_a_program_means():
    """Frames tell messages the user's line, and whose function wants a plain array."""
    package = pathlib.Path(td.__file__).parent
    sources = {path.stem: path.read_text("utf-8") for path in package.rglob("*.py")}
    for name in (
        "getrefcount", "f_lasti", "f_locals", "co_code", "opmap", "get_referrers", "currentframe",
    ):  # fmt: skip
        found = {stem for stem, text in sources.items() if name in text}
        assert found <= ({"copying"} if name == "co_code" else set())  # which tells lambdas apart
    of_frames = {stem for stem, text in sources.items() if "_getframe" in text}
    assert of_frames <= {"user_lines", "tensor", "array_methods", "tracer"}
    of_code = {stem for stem, text in sources.items() if "f_code" in text}
    assert of_code <= {"user_lines", "callers", "tensor"}
