"""Derivatives of one's own: given, recomputed, implied by an equation, or none."""

import copy
import gc
import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td


def mlp(params, x):
    for w in params["w"]:
        x = np.tanh(x @ w) + params["b"]
    return x


def drawn(rng, dtype=float):
    return {
        "w": [rng.standard_normal((3, 3)).astype(dtype) for _ in range(2)],
        "b": rng.standard_normal(3).astype(dtype),
    }


def alike(got, wanted):
    """Equal trees, to the bit."""
    td.tree.map(assert_array_equal, got, wanted)


# --- stop_gradient


def test_no_derivative_passes_a_stop(rng):
    x = rng.standard_normal(3)
    assert_array_equal(td.grad(lambda x: np.sum(x * td.stop_gradient(x)))(x), x)
    assert td.grad(td.grad(lambda x: x * x * td.stop_gradient(x)))(3.0) == 6.0
    assert td.grad(lambda x: x + td.grad(lambda y: y * td.stop_gradient(x * y))(2.0))(3.0) == 1.0


def test_a_stop_takes_any_tree_and_copies(rng):
    given = {"x": rng.standard_normal(2), "n": 3, "name": "a", "many": [np.array([1]), 2.0]}
    got = td.stop_gradient(given)
    alike(got, given)
    assert not np.shares_memory(got["x"], given["x"])
    assert got["n"] is given["n"]
    assert type(td.stop_gradient(np.array(1.0))) is np.ndarray
    assert td.grad(lambda p: p["x"] * td.stop_gradient(p)["x"])({"x": 2.0, "k": "v"})["x"] == 2.0


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_program_has_a_stop_of_its_own(backend, rng):
    if backend == "native":
        pytest.importorskip("llvmlite")
    x = rng.standard_normal(5).astype(np.float32)

    def f(x, scale):
        stopped = td.stop_gradient({"x": x, "scale": scale, "flags": x > 0})
        value, slope = td.value_and_grad(lambda x: np.sum(x * td.stop_gradient(np.sin(x))))(x)
        return stopped, value, slope

    got, wanted = td.jit(f, backend=backend)(x, 2.0), f(x, 2.0)
    td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-6), got, wanted)
    assert got[0]["x"].dtype == np.float32
    assert type(got[0]["scale"]) is float


def test_a_stop_under_vmap(rng):
    x = rng.standard_normal((4, 3))
    each = td.vmap(td.grad(lambda x: np.sum(x * td.stop_gradient(x) ** 2)))
    assert_array_equal(each(x), x**2)
    total = td.grad(lambda x: np.sum(td.vmap(lambda x: x * td.stop_gradient(x))(x)))
    assert_array_equal(total(x), x)


# --- custom_vjp


@td.custom_vjp
def softplus(x):
    """log(1 + exp(x))."""
    return np.log1p(np.exp(x))


softplus.defvjp(lambda x: (softplus(x), x), lambda x, g: (g * td.nn.sigmoid(x),))


def _mixed(params, name, scale=1.0):
    y = np.sin(params["x"]) * params["k"] * scale
    return {"y": y, "name": name, "total": np.sum(params["x"]) * params["k"], "n": len(name)}


def _mixed_backward(residuals, g):
    params, name, scale = residuals
    x, k = params["x"], params["k"]
    assert g["name"] == name
    ct_x = g["y"] * np.cos(x) * k * scale + g["total"] * k
    ct_k = np.sum(g["y"] * np.sin(x) * scale) + g["total"] * np.sum(x)
    return {"x": ct_x, "k": ct_k}, None, np.sum(g["y"] * np.sin(x) * k)


mixed = td.custom_vjp(
    _mixed, lambda *args: (mixed(*args), args), _mixed_backward
)  # forward gets all three: arguments by name and defaults are put in their places


def test_a_rule_of_ones_own_is_used_at_every_order(rng):
    x = rng.standard_normal((2, 3))
    assert_array_equal(td.grad(lambda x: np.sum(softplus(x)))(x), td.nn.sigmoid(x))
    td.check_grads(softplus, x, order=3)
    calls = []
    twice = td.custom_vjp(np.square)
    twice.defvjp(lambda x: (twice(x), x), lambda x, g: calls.append(1) or (g * x * 20,))
    assert td.grad(twice)(3.0) == 60.0  # not the true derivative: the one that was given
    assert td.grad(td.grad(twice))(3.0) == 20.0
    assert td.grad(lambda x: td.value_and_grad(twice)(x)[0])(3.0) == 60.0
    assert len(calls) == 4


@pytest.mark.parametrize("k", [2.0, np.float64(2.0), np.array(2.0)])
def test_arguments_and_results_are_trees(k, rng):
    params = {"x": rng.standard_normal(3), "k": k}

    def weighted(f, params, scale):
        found = f(params, "abc", scale=scale)
        assert (found["name"], found["n"]) == ("abc", 3)
        return np.sum(found["y"] * np.arange(3.0)) * found["total"]

    got, wanted = (
        td.value_and_grad(lambda p, s, f=f: weighted(f, p, s), (0, 1))(params, 0.5)
        for f in (mixed, _mixed)
    )
    td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-13), got, wanted)
    td.check_grads(lambda p, s: weighted(mixed, p, s), params, 0.5)
    assert td.grad(lambda s: weighted(mixed, params, s))(0.5) == got[1][1]  # scale alone
    assert mixed(params, "a")["n"] == 1


def test_a_part_of_the_result_that_is_not_used(rng):
    params = {"x": rng.standard_normal(3), "k": 2.0}
    grads = td.grad(lambda p: mixed(p, "a")["total"])(params)
    assert_array_equal(grads["x"], [2.0] * 3)


def test_backward_runs_once_for_all_arguments():
    calls = []
    f = td.custom_vjp(lambda a, b: a * b)
    f.defvjp(lambda a, b: (a * b, (a, b)), lambda r, g: calls.append(g) or (g * r[1], g * r[0]))
    assert td.grad(f, (0, 1))(2.0, 5.0) == (5.0, 2.0)
    assert len(calls) == 1
    _, pullback = td.vjp(f, 2.0, 5.0)
    assert pullback(1.0) == (5.0, 2.0)
    assert pullback(10.0) == (50.0, 20.0)
    assert len(calls) == 3


def test_narrow_dtypes_stay():
    narrow, wide = np.float32([1.0, 2.0]), np.array([1.0, 2.0])
    grads = td.grad(lambda a, b: np.sum(mixed({"x": a, "k": 1.0}, "n")["y"] * b), (0, 1))
    got = grads(narrow, wide)
    assert [g.dtype for g in got] == [np.float32, np.float64]
    pair = td.custom_vjp(lambda a, b: (a + 0, b + 0))
    pair.defvjp(lambda a, b: (pair(a, b), None), lambda _, g: g)
    y, pullback = td.vjp(pair, narrow, wide)
    assert [leaf.dtype for leaf in y] == [np.float32, np.float64]
    assert [ct.dtype for ct in pullback((narrow, wide))] == [np.float32, np.float64]


@pytest.mark.parametrize("given", [None, 0, 0.0])
def test_none_and_plain_numbers_are_cotangents(given):
    f = td.custom_vjp(lambda x: x * 2, lambda x: (x * 2, None), lambda _, g: (given,))
    got = td.grad(f)(np.float32(1.0))
    assert (got, got.dtype) == (0.0, np.float32)


@pytest.mark.parametrize("transform", [td.jit, td.vmap])
def test_programs_and_batches_keep_the_rule(transform, rng):
    x = rng.standard_normal((4, 3))
    plain = np.stack([td.grad(lambda x: np.sum(clipped(x) ** 2))(row) for row in x])
    inside = td.grad(lambda x: np.sum(clipped(x) ** 2))
    inside = transform(inside) if transform is td.vmap else transform(td.vmap(inside))
    outside = td.grad(lambda x: np.sum(transform(clipped)(x) ** 2))
    for gradient in (inside, outside):
        assert_allclose(gradient(x), plain, rtol=1e-14)
    assert np.max(np.abs(plain)) == 1.0
    assert_array_equal(transform(clipped)(x), x)


clipped = td.custom_vjp(
    lambda x: x * 1.0, lambda x: (clipped(x), None), lambda _, g: (np.clip(g, -1.0, 1.0),)
)


def test_a_batch_shares_what_has_no_batch_axis(rng):
    params = {"x": rng.standard_normal((4, 3)), "k": np.float64(2.0)}
    axes = ({"x": 0, "k": None}, None)

    def total(p, f):
        found = td.vmap(f, in_axes=axes)(p, "ab")
        return np.sum(found["y"] ** 2) + np.sum(found["total"] ** 3)

    got, wanted = (td.grad(lambda p, f=f: total(p, f))(params) for f in (mixed, _mixed))
    td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-12), got, wanted)
    shared = [
        td.grad(lambda k, f=f: total({"x": params["x"], "k": k}, f))(2.0) for f in (mixed, _mixed)
    ]
    assert_allclose(*shared, rtol=1e-12)
    per_example = td.vmap(td.grad(lambda p: mixed(p, "ab")["total"]), in_axes=axes[:1])(params)
    assert_array_equal(per_example["k"], np.sum(params["x"], 1))


def test_a_jitted_gradient_equals_the_eager_one(rng):
    params = {"x": rng.standard_normal(3), "k": 2.0}

    def gradients(params):
        return td.grad(lambda p: np.sum(mixed(p, "a")["y"] ** 2) + np.sum(softplus(p["x"])))(params)

    alike(td.jit(gradients)(params), gradients(params))


def test_methods_can_be_given_a_rule():
    class Model:
        scale = 3.0

        @td.custom_vjp
        def apply(self, x):
            """Times the scale."""
            return self.scale * x

        apply.defvjp(lambda self, x: (self.scale * x, self), lambda self, g: (None, g * self.scale))

    assert td.grad(Model().apply)(2.0) == 3.0
    assert Model.apply.__doc__ == "Times the scale."
    assert repr(Model.apply) == "<custom_vjp apply>"


BROKEN = {
    "bare": (lambda p, g: g, "tuple of 2, with a cotangent for each argument, got float64"),
    "count": (lambda p, g: (g,), "got a tuple of 1"),
    "structure": (lambda p, g: ({"w": [g]}, None), r"argument 0: .*\['w', 'b'\] against \['w'\]"),
    "leaf": (lambda p, g: ({"w": g, "b": g}, None), "argument 0"),
    "shape": (lambda p, g: ({"w": [g], "b": g}, None), r"float64\(\) as .* params\['b'\].*\(2,\)"),
    "dtype": (
        lambda p, g: ({"w": [np.float32(1)], "b": None}, None),
        r"product: .*float32\(\) as the cotangent of params\['w'\]\[0\], which is float64\(\)",
    ),
    "type": (lambda p, g: ({"w": ["g"], "b": None}, None), r"str as the .* params\['w'\]\[0\]"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_cotangent_that_does_not_fit_is_told_of_by_its_path(name):
    backward, message = BROKEN[name]

    @td.custom_vjp
    def product(params, scale):
        return params["w"][0] * np.sum(params["b"]) * scale

    product.defvjp(lambda p, scale: (product(p, scale), p), backward)
    params = {"w": [2.0], "b": np.ones(2)}
    with pytest.raises(td.errors.RuleError, match=message):
        td.grad(product)(params, 1.0)
    assert product(params, 1.0) == 4.0


def test_mistakes_in_forward_are_told():
    f = td.custom_vjp(lambda x, *, how=1: x)
    with pytest.raises(td.errors.NotDifferentiableError, match="defvjp"):
        td.grad(f)(1.0)
    f.defvjp(lambda x: x, None)
    with pytest.raises(td.errors.RuleError, match="pair"):
        td.grad(f)(1.0)
    with pytest.raises(TypeError, match="how has no position"):
        f(1.0, how=2)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: td.custom_vjp(f, lambda x: (f(x), None), lambda _, g: (g,)),
        td.checkpoint,
        lambda f: lambda x: td.fixed_point(lambda x, y: f(x) + 0.0 * y, x, 0.0),
    ],
    ids=["custom_vjp", "checkpoint", "fixed_point"],
)
def test_a_tensor_from_a_closure_is_refused(wrap):
    with pytest.raises(td.errors.NotDifferentiableError, match="not given"):
        td.grad(lambda w: wrap(lambda x: x * w)(w))(2.0)
    with pytest.raises(td.errors.NotDifferentiableError, match="not given"):
        td.grad(lambda w: np.sum(td.vmap(lambda w: wrap(lambda x: x * w)(w))(w)))(np.ones(2))


def test_a_rule_is_not_passed_by():
    def f(w):
        return td.custom_vjp(lambda x: x * w, lambda x: (x * w, None), lambda _, g: (g,))

    with pytest.raises(td.errors.NotDifferentiableError, match="not given"):
        td.grad(lambda w: f(w)(3.0))(2.0)
    with pytest.raises(td.errors.NotDifferentiableError, match="not given"):
        td.grad(lambda w: td.grad(f(w))(3.0))(2.0)
    assert td.jit(lambda w: td.grad(f(w))(3.0) + f(w)(3.0))(2.0) == 7.0


JACOBIANS = {
    "custom_vjp": lambda x: mixed({"x": x, "k": 2.0}, "a")["y"] * softplus(x),
    "checkpoint": td.checkpoint(lambda x: np.tanh(x) * np.sum(x)),
    "fixed_point": lambda x: heron(x + x[::-1] ** 2),
    "stop_gradient": lambda x: x * td.stop_gradient(np.sum(x)),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobians_forward_and_reverse_agree(name, rng):
    f, x = JACOBIANS[name], rng.uniform(1, 2, 3)
    rows = np.stack([td.vjp(f, x)[1](e) for e in np.eye(3)])
    for mode in ("reverse", "forward"):
        assert_allclose(td.jacobian(f, mode=mode)(x), rows, rtol=1e-12)
    _, push = td.linearize(f, x)
    assert_allclose(np.stack([push(e) for e in np.eye(3)], 1), rows, rtol=1e-12)
    hessian = td.hessian(lambda x: np.sum(f(x) ** 2))(x)
    if name != "stop_gradient":  # which no function has for its derivative
        assert_allclose(hessian, hessian.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", JACOBIANS)
def test_what_is_recorded_or_debugged_is_the_same(name, rng):
    f, x = JACOBIANS[name], rng.uniform(1, 2, 3)
    g = td.grad(lambda x: np.sum(f(x) ** 2))
    assert_array_equal(td.debug(f)(x), f(x))
    assert_array_equal(td.debug(g)(x), g(x))
    assert "float64" in str(td.record(f, x))


def test_a_checkpoint_may_use_tensors_of_an_outer_gradient():
    def inner(a):
        return td.grad(td.checkpoint(lambda x: a * x * x))(3.0)

    assert td.grad(inner)(2.0) == 6.0


def test_an_exception_leaves_nothing_behind():
    f = td.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            td.grad(f)(1.0)
        assert td.grad(td.checkpoint(lambda x: x * x))(3.0) == 6.0


def test_a_closed_tape_is_told_of():
    kept = []
    td.grad(lambda x: kept.append(x) or x * 1.0)(1.0)
    with pytest.raises(td.errors.EscapedTensorError):
        softplus(kept[0])


def test_a_pullback_stays_right_when_arrays_change(rng):
    x, data = rng.standard_normal(3), rng.standard_normal(3)
    f = td.custom_vjp(lambda x, d: x * d, lambda x, d: (x * d, d), lambda d, g: (g * d, None))
    for g in (f, td.checkpoint(lambda x, d: np.sin(x) * d)):
        _, pullback = td.vjp(lambda x, g=g: g(x, data), x)
        wanted = pullback(np.ones(3)).copy()
        kept = data.copy()
        data[:] = 0
        assert_array_equal(pullback(np.ones(3)), wanted)
        data[:] = kept


def test_threads_share_a_pullback(rng):
    params, x = drawn(rng), rng.standard_normal((2, 3))
    for f in (td.checkpoint(mlp), td.custom_vjp(mlp, lambda *a: (mlp(*a), a), through(mlp))):
        y, pullback = td.vjp(f, params, x)
        seeds = [rng.standard_normal(y.shape) for _ in range(8)]
        wanted = [pullback(seed) for seed in seeds]
        barrier = threading.Barrier(8)

        def pulled(seed, barrier=barrier, pullback=pullback):
            barrier.wait()
            return pullback(seed)

        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(pulled, seeds))
        alike(got, wanted)


def through(f):
    """A backward that differentiates f by the engine's own rules."""
    return lambda args, g: td.vjp(f, *args)[1](g)


def test_no_cycle_keeps_a_record(rng):
    params, x = drawn(rng), rng.standard_normal((2, 3))

    def loss(params):
        h = td.checkpoint(mlp)(params, x)
        return np.sum(softplus(h)) * mixed({"x": h, "k": 2.0}, "a")["total"]

    td.grad(loss)(params)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(20):
            td.grad(loss)(params)
        assert len(gc.get_objects()) - before < 20
    finally:
        gc.enable()


# --- checkpoint


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_checkpoint_changes_no_bit_of_a_gradient(dtype, rng):
    params, x = drawn(rng, dtype), rng.standard_normal((2, 3)).astype(dtype)
    results = [
        td.value_and_grad(lambda p, x, f=f: np.sum(f(f(p, x=x), n=1) ** 2), (0, 1))(params, x)
        for f in (mixed_mlp, td.checkpoint(mixed_mlp))
    ]
    alike(results[1], results[0])


def mixed_mlp(params, x=None, n=2):
    """Takes a tree and returns one, or takes one and returns an array."""
    if x is not None:
        return {"params": params, "x": mlp(params, x), "n": n}
    return mlp(params["params"], params["x"]) * n


def test_checkpoints_nest_and_have_all_orders(rng):
    inner = td.checkpoint(lambda x, w: np.tanh(x @ w))
    outer = td.checkpoint(lambda x, w: inner(inner(x, w), w))
    x, w = rng.standard_normal(3), rng.standard_normal((3, 3))
    td.check_grads(outer, x, w, order=3)
    v = rng.standard_normal(3)
    plain = td.hvp(lambda x: np.sum(np.tanh(np.tanh(x @ w) @ w)), x, v)
    assert_allclose(td.hvp(lambda x: np.sum(outer(x, w)), x, v), plain, rtol=1e-13)
    assert_allclose(td.jit(td.grad(lambda x: np.sum(outer(x, w))))(x), td.grad(
        lambda x: np.sum(outer(x, w)))(x), rtol=1e-15)  # fmt: skip


def test_what_is_not_differentiated_needs_no_derivative(rng):
    labels = np.array([0, 2])
    loss = td.checkpoint(lambda logits, labels, name: td.nn.cross_entropy(logits, labels))
    logits = rng.standard_normal((2, 3))
    wanted = td.grad(td.nn.cross_entropy)(logits, labels)
    assert_array_equal(td.grad(loss)(logits, labels, "a"), wanted)
    assert td.checkpoint(np.argmax)(logits) == np.argmax(logits)
    assert (
        td.grad(lambda x: td.checkpoint(lambda x: (np.argmax(x), 2))(x)[1] * x[0])(logits[0])[0]
        == 2
    )


def chain(f):
    scales = [(i % 7 + 1) / 5 for i in range(100)]

    def loss(h):
        for i in range(0, 100, 10):
            h = f(h, scales[i : i + 10])
        return np.sum(h)

    return td.grad(loss)


def block(h, scales):
    for scale in scales:
        h = np.tanh(h * scale)
    return h


def peak(f, *args):
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_checkpoint_saves_memory():
    h = np.linspace(-1, 1, 12_800)  # 100 kB
    plain, saving = chain(block), chain(td.checkpoint(block))
    assert_array_equal(saving(h), plain(h))
    assert peak(saving, h) < 0.3 * peak(plain, h)  # 22 arrays of 101


def test_a_generator_draws_the_same_again():
    x = np.linspace(1, 2, 50)

    def noisy(x, rng):
        return td.nn.dropout(np.sin(x), 0.5, rng) * td.nn.dropout(x, 0.5, rng)

    def run(f, order):
        rng = np.random.default_rng(3)
        g = td.grad(lambda x: np.sum(f(x, rng)))
        g = td.grad(lambda x: np.sum(td.grad(lambda x: np.sum(f(x, rng)))(x) ** 2)) if order else g
        return g(x), rng.random()

    for order in range(2):
        alike(run(td.checkpoint(noisy), order), run(noisy, order))
    rng = np.random.default_rng(3)
    _, pullback = td.vjp(lambda x: td.checkpoint(noisy)(x, rng), x)
    assert_array_equal(pullback(np.ones(50)), pullback(np.ones(50)))
    jitted = td.jit(td.grad(lambda x, rng: np.sum(td.checkpoint(noisy)(x, rng))))
    assert_array_equal(jitted(x, np.random.default_rng(3)), run(noisy, 0)[0])


def test_a_batch_keeps_the_rule_for_what_it_shares(rng):
    x = rng.standard_normal(4)
    blocked = td.custom_vjp(lambda a, x: a * x, lambda a, x: (a * x, None), lambda _, g: (g, g))
    assert td.grad(lambda a: np.sum(td.vmap(lambda x: blocked(a, x))(x)))(3.0) == 4.0


def writes(x, d):
    d[0] = 5.0
    return x * d


def test_what_is_computed_again_cannot_write_into_its_arguments():
    x, d = np.ones(2), np.ones(2)
    for f in (td.checkpoint(writes), td.checkpoint(lambda d, x: writes(x, d))):
        with pytest.raises(ValueError, match="read-only") as caught:
            td.grad(lambda x, f=f: np.sum(f(x, d) if f.__name__ == "writes" else f(x, x)))(x)
        assert "computed more than once" in caught.value.__notes__[0]

    def step(a, x):
        x[...] = (x + a / x) / 2
        return x

    with pytest.raises(ValueError, match="read-only") as caught:
        td.fixed_point(step, d, x)
    assert "computed more than once" in caught.value.__notes__[0]
    assert_array_equal([x, d], 1)


def test_a_generator_from_a_closure_is_refused(rng):
    noisy = td.checkpoint(lambda x: td.nn.dropout(x, 0.5, rng))
    with pytest.raises(td.errors.NotDifferentiableError, match=r"generator rng.*argument"):
        td.grad(noisy)(1.0)


# --- fixed_point


def heron(a):
    return td.fixed_point(lambda a, x: (x + a / x) / 2, a, np.ones_like(a))


def test_a_fixed_point_has_the_derivatives_of_the_solution(rng):
    a = rng.uniform(1, 3, 4)
    assert_allclose(heron(a), np.sqrt(a), rtol=1e-14)
    assert_allclose(td.grad(lambda a: np.sum(heron(a)))(a), 0.5 / np.sqrt(a), rtol=1e-13)
    td.check_grads(heron, a, order=3)
    v = rng.standard_normal(4)
    assert_allclose(td.hvp(lambda a: np.sum(heron(a)), a, v), -0.25 * a**-1.5 * v, rtol=1e-12)


def coupled(params, x):
    return {
        "a": 0.4 * np.tanh(params["w"] @ x["a"] + x["b"]) + params["c"],
        "b": 0.3 * np.sin(x["a"]) * params["k"],
    }


def test_a_fixed_point_of_trees(rng):
    params = {"w": rng.standard_normal((2, 2)) / 2, "c": rng.standard_normal(2), "k": 0.5, "n": "a"}
    start = {"a": np.zeros(2), "b": np.zeros(2)}

    def solution(params):
        return td.fixed_point(coupled, params, start)

    x = solution(params)
    td.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-13), x, coupled(params, x))

    def unrolled(params):
        x = start
        for _ in range(100):
            x = coupled(params, x)
        return np.sum(x["a"] ** 2) + np.sum(x["b"])

    got = td.grad(lambda p: np.sum((x := solution(p))["a"] ** 2) + np.sum(x["b"]))(params)
    wanted = td.grad(unrolled)(params)
    assert got.pop("n") == wanted.pop("n") == "a"
    td.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-10), got, wanted)
    td.check_grads(lambda p: list(solution(p).values()), {k: params[k] for k in "wck"})
    assert_array_equal(start["a"], [0, 0])


def test_the_start_has_no_derivative_and_is_not_aliased():
    assert td.grad(lambda s: td.fixed_point(lambda a, x: np.cos(x), None, s) + 0 * s)(1.0) == 0
    value, start = np.array([0.5]), np.array([0.5])
    x = td.fixed_point(lambda a, x: a, value, start)
    assert not np.shares_memory(x, value)
    assert td.fixed_point(lambda a, x: x / 2, 0.0, 1) < 1e-13
    assert td.grad(lambda a: 1e-200 * heron(a))(4.0) == 0.25e-200  # relative to the cotangent


def test_a_fixed_point_in_float32():
    a = np.float32([2.0, 3.0])
    root, slope = heron(a), td.grad(lambda a: np.sum(heron(a)))(a)
    assert (root.dtype, slope.dtype) == (np.float32, np.float32)
    assert_allclose(slope, 0.5 / np.sqrt(a), rtol=1e-5)


def test_a_fixed_point_takes_the_memory_of_a_step():
    a = np.linspace(1.0, 2.0, 10_000)

    def slow(a):
        return td.fixed_point(lambda a, x: 0.9 * np.tanh(x) + a, a, np.zeros_like(a))

    def unrolled(a):
        x = np.zeros_like(a)
        for _ in range(100):
            x = 0.9 * np.tanh(x) + a
        return x

    implicit, recorded = (td.grad(lambda a, f=f: np.sum(f(a))) for f in (slow, unrolled))
    assert_allclose(implicit(a), recorded(a), rtol=1e-10)
    assert peak(implicit, a) < 0.2 * peak(recorded, a)


def test_batches_of_fixed_points(rng):
    a = rng.uniform(1, 3, 4)
    assert_allclose(td.vmap(lambda a: td.fixed_point(newton, a, 1.0))(a), np.sqrt(a), rtol=1e-14)
    assert_allclose(td.vmap(td.grad(heron))(a), 0.5 / np.sqrt(a), rtol=1e-13)
    td.check_grads(td.vmap(lambda a: td.fixed_point(newton, a, 1.0)), a)


def newton(a, x):
    return (x + a / x) / 2


def test_steps_that_do_not_come_to_rest_are_an_error():
    with pytest.raises(
        td.errors.ConvergenceError, match="newton has not come to rest after 2"
    ) as caught:
        td.fixed_point(newton, 100.0, 1.0, max_steps=2)
    assert (caught.value.steps, caught.value.residual) == (2, pytest.approx(24.2599))
    assert td.fixed_point(newton, 100.0, 1.0, max_steps=2, tolerance=1.0) == 50.5
    with np.errstate(over="ignore"), pytest.raises(td.errors.ConvergenceError) as caught:
        td.fixed_point(lambda _, x: x * x, None, np.array([3.0, 0.1]))
    assert caught.value.steps < 20  # overflow ends it
    same = pickle.loads(pickle.dumps(caught.value))
    assert (str(same), same.steps) == (str(caught.value), caught.value.steps)
    assert isinstance(copy.copy(same), ArithmeticError)
    with pytest.raises(td.errors.ConvergenceError):  # the solution is found, its derivative is not
        td.grad(lambda a: td.fixed_point(lambda a, x: a - 2 * x * (x > 9), a, 3.0) ** 2 * 0)(10.0)


def test_what_a_step_may_not_return():
    with pytest.raises(
        td.errors.ShapeError, match=r"float64\(3,\) for x\['a'\], which is float64\(\)"
    ):
        td.fixed_point(lambda _, x: {"a": np.ones(3)}, None, {"a": 1.0})
    with pytest.raises(td.errors.ShapeError, match=r"float64.* float32"):
        td.fixed_point(lambda a, x: x * a, np.ones(2), np.ones(2, np.float32))
    with pytest.raises(td.errors.ShapeError, match="trees differ"):
        td.fixed_point(lambda _, x: [x], None, 1.0)
    with pytest.raises(td.errors.NotDifferentiableError, match="x0"):
        td.fixed_point(lambda _, x: x, None, "a")


def test_jit_does_not_trace_a_fixed_point():
    with pytest.raises(td.errors.TracedValueError, match="fixed_point"):
        td.jit(heron)(np.ones(2))


# --- tree.ravel


def test_ravel_goes_both_ways(rng):
    params = {
        "w": rng.standard_normal((2, 3)).astype(np.float32), "b": [np.float64(1.0), 2.0],
        "n": np.arange(3), "empty": np.zeros((0, 2)), "name": "a", "d": np.array(3.0), "i": 4,
    }  # fmt: skip
    vector, unravel = td.tree.ravel(params)
    assert (vector.shape, vector.dtype) == ((9,), np.float64)
    back = unravel(vector)
    alike(back, params)
    kinds, wanted = ([type(x) for x in td.tree.flatten(t)[0]] for t in (back, params))
    assert kinds == [np.float64 if kind is float else kind for kind in wanted]
    assert back["w"].dtype == np.float32
    assert not np.shares_memory(back["w"], vector)
    with pytest.raises(td.errors.ShapeError, match=r"\(9,\), got \(8,\)"):
        unravel(vector[1:])
    narrow, _ = td.tree.ravel([np.float16(1), np.float32([2])])
    assert narrow.dtype == np.float32


def test_ravel_of_nothing():
    vector, unravel = td.tree.ravel({"name": "a", "n": 1})
    assert vector.shape == (0,)
    assert unravel(vector) == {"name": "a", "n": 1}


def test_gradients_pass_a_ravel(rng):
    params = {"w": rng.standard_normal((2, 2)), "k": 2.0}

    def loss(params):
        vector, unravel = td.tree.ravel(params)
        again = unravel(vector**2)
        return np.sum(vector**3) + np.sum(again["w"]) * again["k"]

    td.check_grads(loss, params)
    assert_allclose(td.jit(loss)(params), loss(params), rtol=1e-15)
    alike(td.jit(td.grad(loss))(params), td.grad(loss)(params))
    ravel = td.jit(lambda p: td.tree.ravel(p)[1](td.tree.ravel(p)[0]))
    alike(ravel({**params, "d": np.array(1.0)}), {**params, "d": np.array(1.0)})


def test_an_op_of_ones_own_takes_python_numbers_in_programs_too():
    cube = td.define(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube")
    for f in (cube, td.grad(cube)):
        assert type(td.jit(f)(2.0)) is type(f(2.0))
        assert td.jit(f)(2.0) == f(2.0)


@pytest.mark.parametrize("join", [lambda t: np.r_[t, 1.0], lambda t: np.c_[t, t]])
@pytest.mark.parametrize("transform", [td.grad, td.jit])
def test_r_and_c_say_what_to_write(join, transform):
    with pytest.raises((TypeError, td.errors.TracedValueError), match=r"np\.r_"):
        transform(lambda t: np.sum(join(t)))(np.ones(2))
