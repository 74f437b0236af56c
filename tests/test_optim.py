"""Optimisers against their papers' formulas; schedules and wrappers; what is refused.

The formulas are written again below for one Python float, with no array, tree or library.
"""

import inspect
import math
from collections import namedtuple

import numpy as np
import pytest

import tinygrad_digits as td
from tinygrad_digits import optim
from tinygrad_digits.optim import schedules

# --- the papers' algorithms, for one number: naive(x, slope, steps, ...) -> where it gets to


def naive_gradient_descent(x, slope, steps, rate):
    for t in range(steps):
        x -= rate(t) * slope(x)
    return x


def naive_momentum(x, slope, steps, rate, beta=0.9):
    v = 0.0
    for t in range(steps):
        v = beta * v - rate(t) * slope(x)
        x += v
    return x


def naive_nesterov(x, slope, steps, rate, beta=0.9):
    """Sutskever et al. (2013), equations 3 and 4: the gradient is that of the place ahead."""
    v = 0.0
    for t in range(steps):
        v_new = beta * v - rate(t) * slope(x + beta * v)
        x, v = x + v_new, v_new
    return x + beta * v  # where the next gradient would be taken


def naive_rmsprop(x, slope, steps, rate, beta=0.9, eps=1e-8):
    mean_square = 0.0
    for t in range(steps):
        g = slope(x)
        mean_square = beta * mean_square + (1 - beta) * g**2
        x -= rate(t) * g / (math.sqrt(mean_square) + eps)
    return x


def naive_adagrad(x, slope, steps, rate, eps=1e-10):
    squares = []
    for t in range(steps):
        g = slope(x)
        squares.append(g**2)
        x -= rate(t) * g / (eps + math.sqrt(sum(squares)))
    return x


def naive_adam(x, slope, steps, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    """Kingma and Ba, algorithm 1; with `decay`, Loshchilov and Hutter, algorithm 2 in green."""
    m = v = 0.0
    for t in range(1, steps + 1):
        g = slope(x)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        x = x - rate(t - 1) * (m_hat / (math.sqrt(v_hat) + eps) + decay * x)
    return x


def naive_adamw(x, slope, steps, rate, decay=1e-2, **options):
    return naive_adam(x, slope, steps, rate, decay=decay, **options)


def naive_lion(x, slope, steps, rate, beta1=0.9, beta2=0.99, decay=1e-2):
    m = 0.0
    for t in range(steps):
        g = slope(x)
        c = beta1 * m + (1 - beta1) * g
        sign = (c > 0) - (c < 0)
        x, m = x - rate(t) * (sign + decay * x), beta2 * m + (1 - beta2) * g
    return x


NAIVE = {
    "gradient_descent": naive_gradient_descent,
    "momentum": naive_momentum,
    "nesterov": naive_nesterov,
    "rmsprop": naive_rmsprop,
    "adagrad": naive_adagrad,
    "adam": naive_adam,
    "adamw": naive_adamw,
    "lion": naive_lion,
}
OPTIONS = {
    "momentum": {"beta": 0.7},
    "nesterov": {"beta": 0.7},
    "rmsprop": {"beta": 0.6, "eps": 1e-3},
    "adagrad": {"eps": 0.1},
    "adam": {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3},
    "adamw": {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "decay": 0.3},
    "lion": {"beta1": 0.6, "beta2": 0.8, "decay": 0.3},
}
WRAPPED = {
    **{name: getattr(optim, name)(0.05) for name in NAIVE},
    **{f"{name}, scheduled": getattr(optim, name)(schedules.cosine(0.05, 40)) for name in NAIVE},
    "clipped": optim.chain(optim.clip_by_global_norm(0.5), optim.momentum(0.05)),
    "decayed": optim.chain(
        optim.weight_decay(0.1, where=lambda p: p.ndim > 1), optim.gradient_descent(0.05)
    ),
    "accumulated": optim.accumulate(optim.adam(0.05), every=3),
    "averaged": optim.ema(optim.nesterov(0.05), decay=0.9),
    "everything": optim.ema(
        optim.accumulate(
            optim.chain(optim.clip_by_global_norm(0.5), optim.adamw(schedules.one_cycle(0.05, 40))),
            every=2,
        )
    ),
}
LAYER = namedtuple("LAYER", "w, b")


def valley(x):
    """Rosenbrock's, whose minimum is (1, 1)."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def slope(x):
    return math.cos(2 * x) + 0.3 * x


def surface(params):
    """A scalar that has `slope` as its derivative with respect to each number."""
    return sum(
        np.sum(np.sin(2 * x) / 2 + 0.15 * x * x)
        for x in td.tree.flatten(params)[0]
        if not isinstance(x, str)
    )


def network(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    w, b, scale = (rng.normal(size=shape).astype(dtype) for shape in ((3, 2), (2,), (4, 1, 2)))
    return {"layers": [LAYER(w, b)], "scale": scale}


def descend(optimizer, params, steps, *, jitted=False, loss=surface):
    def step(params, state):
        return optimizer.update(params, td.grad(loss)(params), state)

    step = td.jit(step) if jitted else step
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def assert_same_bits(a, b):
    td.tree.map(np.testing.assert_array_equal, a, b)
    td.tree.map(lambda x, y: kinds(x) == kinds(y) or pytest.fail(f"{x!r}, {y!r}"), a, b)


def kinds(x):
    return type(x), getattr(x, "dtype", None), getattr(x, "shape", None)


def arrays(params):
    return [leaf for leaf in td.tree.flatten(params)[0] if isinstance(leaf, np.ndarray)]


# --- formulas


def test_every_optimiser_has_its_formula_here():
    functions = {name: getattr(optim, name) for name in optim.__all__ if name.islower()}
    functions.pop("schedules")
    assert {
        name
        for name, f in functions.items()
        if next(iter(inspect.signature(f).parameters)) == "rate"
    } == set(NAIVE)


@pytest.mark.parametrize("options", [{}, "others"], ids=["defaults", "options"])
@pytest.mark.parametrize(
    "pace", [lambda t: 0.05, lambda t: 0.1 / (t + 1)], ids=["rate", "schedule"]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAIVE)
def test_each_number_goes_where_the_papers_loop_takes_it(name, dtype, pace, options):
    options = OPTIONS.get(name, {}) if options else {}
    rate = 0.05 if pace(9) == 0.05 else pace
    start, steps = network(dtype), 25 if dtype == np.float64 else 8  # rounding errors grow
    got, _ = descend(getattr(optim, name)(rate, **options), start, steps)
    close = {"rtol": 1e-12} if dtype == np.float64 else {"rtol": 2e-6, "atol": 1e-6}
    for x0, x in zip(arrays(start), arrays(got), strict=True):
        assert x.dtype == dtype
        wanted = [NAIVE[name](float(v), slope, steps, pace, **options) for v in x0.flat]
        np.testing.assert_allclose(x.ravel(), wanted, **close)


def test_the_first_two_steps_of_adam_by_hand():
    params, state = np.array([1.0]), (adam := optim.adam(0.1, eps=1e-30)).init(np.array([1.0]))
    params, state = adam.update(params, np.array([2.0]), state)
    np.testing.assert_allclose(params, [0.9], rtol=1e-14)
    params, state = adam.update(params, np.array([-2.0]), state)  # m = -0.02/0.19, v = 4
    np.testing.assert_allclose(params, [0.9 + 0.1 * (0.02 / 0.19) / 2], rtol=1e-12)
    assert state[0].step == 2


# --- convergence

RATES = {
    "gradient_descent": (0.1, 2e-3, 12000),
    "momentum": (0.05, 1e-3, 3000),
    "nesterov": (0.05, 1e-3, 3000),
    "rmsprop": (schedules.cosine(0.05, 1000), schedules.cosine(0.01, 3000), 3000),
    "adagrad": (0.5, 1.0, 12000),
    "adam": (schedules.cosine(0.05, 1000), 0.05, 3000),
    "adamw": (schedules.cosine(0.05, 1000), schedules.cosine(0.1, 3000), 3000),
    "lion": (schedules.cosine(0.02, 1000), schedules.cosine(0.01, 3000), 3000),
}


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAIVE)
def test_the_bottom_of_a_parabola(name, dtype, jitted):
    target = np.array([3.0, -0.5], dtype)
    options = {"decay": 1e-6} if name in ("adamw", "lion") else {}
    x, _ = descend(
        getattr(optim, name)(RATES[name][0], **options),
        np.zeros(2, dtype),
        1000,
        jitted=jitted,
        loss=lambda x: np.sum((x - target) ** 2),
    )
    np.testing.assert_allclose(x, target, atol=1e-3)
    assert x.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAIVE)
def test_the_bottom_of_rosenbrocks_valley(name, dtype):
    _, rate, steps = RATES[name]
    options = {"decay": 1e-6} if name in ("adamw", "lion") else {}
    start = np.array([-1.2, 1.0], dtype)
    x, _ = descend(getattr(optim, name)(rate, **options), start, steps, jitted=True, loss=valley)
    np.testing.assert_allclose(x, [1, 1], atol=0.03)
    assert x.dtype == dtype


# --- jit, dtypes, purity, trees: of all, and of all that can be built of them


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", WRAPPED)
def test_a_jitted_step_equals_the_eager_one_to_the_last_bit(name, dtype):
    eager = descend(WRAPPED[name], network(dtype), 30)
    assert_same_bits(descend(WRAPPED[name], network(dtype), 30, jitted=True), eager)
    assert {x.dtype for x in arrays(eager)} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", WRAPPED)
def test_one_program_serves_all_steps(name):
    optimizer, params = WRAPPED[name], network(np.float32)
    step = td.jit(lambda params, state: optimizer.update(params, td.grad(surface)(params), state))
    state = optimizer.init(params)
    for _ in range(50):
        params, state = step(params, state)
    assert step.cache_info().traces == 1


@pytest.mark.parametrize(
    "name", ["adamw, scheduled", pytest.param("everything", marks=pytest.mark.gate)]
)
def test_native_step(name):
    pytest.importorskip("llvmlite")
    optimizer, params = WRAPPED[name], network()
    grads = td.grad(surface)(params)
    state = optimizer.update(params, grads, optimizer.init(params))[1]
    got = td.jit(optimizer.update, backend="native")(params, grads, state)
    wanted = optimizer.update(params, grads, state)
    for x, y in zip(arrays(got), arrays(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize("name", WRAPPED)
def test_nothing_is_changed_or_shared(name):
    optimizer, params = WRAPPED[name], network()
    state, grads = optimizer.init(params), td.grad(surface)(params)
    assert_nothing_shared(arrays(state), arrays(params))
    for _ in range(3):
        before = td.tree.map(np.copy, (params, grads, state))
        results = optimizer.update(params, grads, state)
        td.tree.map(np.testing.assert_array_equal, (params, grads, state), before)
        assert_nothing_shared(arrays(results), arrays((params, grads, state)))
        params, state = results
        assert_nothing_shared(arrays(params), arrays(state))


def assert_nothing_shared(some, others):
    assert not [1 for a in some for b in others if np.shares_memory(a, b)]


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", [name for name in WRAPPED if name != "decayed"])
def test_numbers_move_and_other_leaves_stay(name, jitted):
    params = {"name": "net", "x": np.float64(0.3), "y": [0.25, np.ones(2, np.float32)]}
    got, _ = descend(WRAPPED[name], params, 6, jitted=jitted)
    assert got["name"] == "net"
    assert got["x"] != 0.3
    assert got["y"][0] != 0.25
    assert got["y"][1].dtype == np.float32
    assert set(params) == set(got)


@pytest.mark.parametrize("name", WRAPPED)
def test_foreign_gradients_leave_parameters_their_dtype(name):
    optimizer, params = WRAPPED[name], network(np.float32)
    grads = td.tree.map(lambda x: x.astype(np.float64), params)
    after, state = optimizer.update(params, grads, optimizer.init(params))
    assert {x.dtype for x in arrays((after, state))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["nesterov", "adam", "clipped"])
def test_training_can_be_differentiated(name):
    """How the loss after two steps depends on where they start."""

    def after_two(x):
        state = WRAPPED[name].init(np.zeros(2))
        for _ in range(2):
            x, state = WRAPPED[name].update(x, x**3, state)
        return np.sum(x**2)

    td.check_grads(after_two, np.array([1.0, 2.0]))


# --- transforms and wrappers


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("limit", [0.1, 6.9, 7.1])
def test_clipping_bounds_the_norm_over_all_leaves(dtype, limit):
    grads = {"w": np.array([[2.0, -3.0]], dtype), "b": [np.array(6.0, dtype)], "name": "net"}
    clipped, _ = optim.clip_by_global_norm(limit).apply(grads, None, None)
    w, b = clipped["w"], clipped["b"][0]
    norm = math.sqrt(float(np.sum(w.astype(float) ** 2) + float(b) ** 2))
    assert norm == pytest.approx(min(7, limit), rel=2e-3 if dtype == np.float16 else 1e-6)
    assert w.dtype == b.dtype == dtype
    if limit > 7:
        assert_same_bits(w, grads["w"])


@pytest.mark.parametrize(
    "make", [getattr(optim, name) for name in optim.__all__ if name.startswith("scale_by_")]
)
def test_transforms_keep_float32(make):
    transform, x = make(), np.ones(3, np.float32)
    results = transform.apply(x, transform.init(x), x)
    assert {leaf.dtype for leaf in arrays(results)} == {np.dtype(np.float32)}


def test_clipping_large_and_zero_and_broken_gradients():
    apply = optim.clip_by_global_norm(2.0).apply
    large = np.array([3e30, -4e30], np.float32)  # whose squares are infinite in float32
    np.testing.assert_allclose(apply(large, None, None)[0], [1.2, -1.6], rtol=1e-6)
    np.testing.assert_array_equal(apply(np.zeros(3), None, None)[0], np.zeros(3))
    assert np.isnan(apply(np.array([1.0, np.nan]), None, None)[0]).all()


def test_where_weight_decay_stands_in_a_chain_makes_it_decoupled_or_not():
    x = {"w": np.array([[2.0]]), "b": np.array([2.0])}
    zero = td.tree.map(np.zeros_like, x)
    decay = optim.weight_decay(0.1, where=lambda p: p.ndim > 1)
    adam, descent = optim.scale_by_adam(), optim.gradient_descent(0.5)
    decoupled, coupled = optim.chain(adam, decay, descent), optim.chain(decay, adam, descent)
    assert decoupled.update(x, zero, decoupled.init(x))[0]["w"] == pytest.approx(1.9)
    assert coupled.update(x, zero, coupled.init(x))[0]["w"] == pytest.approx(1.5)
    assert decoupled.update(x, zero, decoupled.init(x))[0]["b"] == 2.0


def test_chains_apply_in_order_and_nest():
    x, g = np.array([0.6, 0.8]), np.array([2.4, 3.2])  # of lengths 1 and 4
    clip, decay = optim.clip_by_global_norm(1.0), optim.weight_decay(1.0)
    descent = optim.gradient_descent(1.0)
    for optimizer, length in [
        (optim.chain(decay, clip, descent), 1),
        (optim.chain(clip, decay, descent), 2),
        (optim.chain(decay, optim.chain(clip, descent)), 1),
        (optim.chain(clip, optim.chain(decay, descent)), 2),
        (optim.chain(descent), 4),
    ]:
        after, _ = optimizer.update(x, g, optimizer.init(x))
        assert np.linalg.norm(x - after) == pytest.approx(length)


@pytest.mark.parametrize("inner", ["momentum", "adam", "lion", "adam, scheduled"])
def test_accumulated_gradients_take_the_step_of_their_mean(inner):
    optimizer, rng = WRAPPED[inner], np.random.default_rng(0)
    slow = optim.accumulate(optimizer, every=4)
    params = whole = network()
    state, wanted = slow.init(params), optimizer.init(params)
    for _ in range(3):
        grads = [td.tree.map(lambda p: rng.normal(size=p.shape), params) for _ in range(4)]
        for i, g in enumerate(grads):
            after, state = slow.update(params, g, state)
            if i < 3:
                assert_same_bits(after, params)
            params = after
        mean = td.tree.map(lambda *gs: sum(gs) / 4, *grads)
        whole, wanted = optimizer.update(whole, mean, wanted)
        assert_same_bits(params, whole)
        assert_same_bits(state.inner, wanted)
        assert not any(total.any() for total in arrays(state.total))
        assert state.count == 0


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_weighted_mean_of_the_parameters(decay):
    optimizer, params = optim.ema(plain := optim.momentum(0.05), decay), network()
    state, seen = optimizer.init(params), []
    assert_same_bits(state.average, params)
    for t in range(1, 12):
        params, state = optimizer.update(params, td.grad(surface)(params), state)
        seen.append(params)
        weights = [decay ** (t - k) for k in range(1, t + 1)]
        each_place = zip(*map(arrays, seen), strict=True)
        means = [np.average(xs, axis=0, weights=weights) for xs in each_place]
        for got, mean in zip(arrays(state.average), means, strict=True):
            np.testing.assert_allclose(got, mean, rtol=1e-12)
    assert_same_bits(params, descend(plain, network(), 11)[0])


# --- schedules

SCHEDULES = {
    "constant": (schedules.constant(0.3), {0: 0.3, 10**9: 0.3}),
    "step_decay": (
        schedules.step_decay(0.8, 0.5, every=3),
        {0: 0.8, 2: 0.8, 3: 0.4, 5: 0.4, 6: 0.2, 30: 0.8 / 1024},
    ),
    "cosine": (
        schedules.cosine(0.8, steps=6, final=0.2),
        {0: 0.8, 2: 0.65, 3: 0.5, 4: 0.35, 6: 0.2, 7: 0.2, 10**9: 0.2},
    ),
    "warmup": (
        schedules.warmup(schedules.step_decay(0.8, 0.5, every=2), steps=3),
        {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 0.8, 5: 0.4, 6: 0.4, 7: 0.2},
    ),
    "warmup to a rate": (schedules.warmup(0.5, steps=1), {0: 0.25, 1: 0.5, 99: 0.5}),
    "one_cycle": (
        schedules.one_cycle(0.8, steps=20, rise=0.2, start=10, final=100),
        {0: 0.08, 2: 0.44, 4: 0.8, 12: (0.8 + 0.0008) / 2, 20: 0.0008, 21: 0.0008, 10**9: 0.0008},
    ),
}


def test_every_schedule_is_here():
    made = {
        name
        for name, f in vars(schedules).items()
        if inspect.isfunction(f) and f.__module__ == schedules.__name__ and name[0] != "_"
    }
    assert made <= set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_at_its_corners_for_any_kind_of_step(name):
    schedule, wanted = SCHEDULES[name]
    jitted = td.jit(lambda step: schedule(step) * np.ones(1, np.float64))
    for step, rate in wanted.items():
        for kind in (int, np.int64, np.array):
            assert schedule(kind(step)) == pytest.approx(rate, rel=1e-12)
            assert np.shape(schedule(kind(step))) == ()
        assert jitted(np.int64(step)) == schedule(step)
    assert jitted.cache_info().traces == 1


def test_one_cycle_at_every_step():
    schedule = schedules.one_cycle(0.8, steps=20, rise=0.33, start=5, final=50)
    for step in range(21):
        if step < 6.6:
            wanted = 0.16 + 0.64 * (1 - math.cos(math.pi * step / 6.6)) / 2
        else:
            wanted = 0.0032 + 0.7968 * (1 + math.cos(math.pi * (step - 6.6) / 13.4)) / 2
        assert schedule(step) == pytest.approx(wanted, rel=1e-12)


def test_a_schedule_is_any_function_of_the_step():
    for rate in (lambda step: 0.5, lambda step: np.float32(0.5), lambda step: 1 / (2 + 0 * step)):
        optimizer = optim.gradient_descent(rate)
        for dtype in (np.float32, np.float64):
            x, state = optimizer.update(np.ones(2, dtype), np.ones(2, dtype), optimizer.init(None))
            assert_same_bits(x, np.full(2, 0.5, dtype))
            assert state.step == 1


# --- what is refused


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", WRAPPED)
def test_gradients_that_do_not_fit_are_refused_by_path(name, jitted):
    optimizer, params = WRAPPED[name], network()
    state, good = optimizer.init(params), td.grad(surface)(params)
    update = td.jit(optimizer.update) if jitted else optimizer.update
    bad = {
        r"params\['layers'\]\[0\].b has shape \(2,\), but its gradient \(1,\)": {
            **good,
            "layers": [good["layers"][0]._replace(b=np.ones(1))],
        },
        r"params\['scale'\] has no gradient": {"layers": good["layers"]},
        r"grads\['more'\] is the gradient of no parameter": {**good, "more": np.ones(2)},
        r"params\['scale'\] is a number, but its gradient None": {**good, "scale": None},
        r"params\['layers'\]\[0\].w has no gradient; there are grads\['layers'\]\[0\]\[0\], ": {
            **good,
            "layers": [tuple(good["layers"][0])],
        },
    }
    for message, grads in bad.items():
        with pytest.raises(td.errors.ShapeError, match=message):
            update(params, grads, state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.adam(0.0), "rate must be positive, got 0.0"),
        (lambda: optim.lion(math.nan), "rate must be positive, got nan"),
        (lambda: optim.momentum(0.1, beta=1.0), r"beta must be in \[0, 1\), got 1.0"),
        (lambda: optim.rmsprop(0.1, beta=-0.1), r"beta must be in \[0, 1\)"),
        (lambda: optim.adamw(0.1, beta2=1.5), r"beta2 must be in \[0, 1\)"),
        (lambda: optim.adam(0.1, eps=0.0), "eps must be positive"),
        (lambda: optim.weight_decay(-1.0), "decay must not be negative"),
        (lambda: optim.clip_by_global_norm(0), "limit must be positive"),
        (lambda: optim.accumulate(optim.adam(), every=0), "every must be a whole number"),
        (lambda: optim.accumulate(optim.adam(), every=1.5), "every must be a whole number"),
        (lambda: optim.ema(optim.adam(), decay=1), r"decay must be in \[0, 1\)"),
        (lambda: schedules.constant(-1.0), "rate must be positive"),
        (lambda: schedules.cosine(1.0, steps=0), "steps must be a whole number"),
        (lambda: schedules.cosine(1.0, steps=9, final=-1.0), "final must not be negative"),
        (lambda: schedules.step_decay(1.0, 0.0, every=2), "factor must be positive"),
        (lambda: schedules.warmup(1.0, steps=0), "steps must be a whole number"),
        (lambda: schedules.one_cycle(1.0, steps=9, rise=1.0), "rise must be between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (optim.clip_by_global_norm(1.0),),
        (optim.adam(), optim.clip_by_global_norm(1.0)),
        (optim.adam(), optim.adam()),
        (optim.clip_by_global_norm, optim.adam()),
    ],
)
def test_chains_that_end_in_no_optimiser(parts):
    with pytest.raises(TypeError, match="needs Transforms and then one Optimizer, got"):
        optim.chain(*parts)
