"""jvp, linearize, jacobian, hessian, hvp, elementwise_grad: against closed forms and each other."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import copied
from tests.leaks import cycles_left

MODES = ("reverse", "forward", None)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_hessian(x):
    h = np.diag(-400 * x[:-1], 1) + np.diag(-400 * x[:-1], -1)
    return h + np.diag(np.r_[1200 * x[:-1] ** 2 - 400 * x[1:] + 2, 0] + np.r_[0, 200 + 0 * x[1:]])


def net(params, x):
    for layer in params["layers"]:
        x = np.tanh(x @ layer["w"] + layer["b"])
    return {"logits": x, "size": [np.sum(x**2)]}


@pytest.fixture
def params(rng):
    shapes = [(3, 4), (4, 2)]
    layers = [{"w": rng.standard_normal(s), "b": rng.standard_normal(s[1])} for s in shapes]
    return {"layers": layers, "name": "net"}


@pytest.fixture
def x(rng):
    return rng.standard_normal(5)


# --- jvp and linearize


def test_jvp_of_a_tree_is_the_jacobian_times_the_tangent(params, rng):
    data = rng.standard_normal((2, 3))
    tangents = td.tree.map(lambda p: np.cos(p) if hasattr(p, "shape") else p, params)

    def f(params):
        return net(params, data)

    y, dy = td.jvp(f, params, tangents)
    step = 1e-6

    def along(h):
        return td.tree.map(lambda p, v: p + h * v if hasattr(p, "shape") else p, params, tangents)

    ahead, behind = f(along(step)), f(along(-step))
    td.tree.map(assert_array_equal, y, f(params))
    td.tree.map(
        lambda d, a, b: assert_allclose(d, (a - b) / (2 * step), rtol=1e-7, atol=1e-8),
        dy, ahead, behind,
    )  # fmt: skip
    _, pullback = td.vjp(f, params)
    pulled = pullback(y)
    forward = sum(np.sum(u * d) for u, d in zip(*map(leaves, (y, dy)), strict=True))
    reverse = sum(np.sum(g * v) for g, v in zip(*map(leaves, (pulled, tangents)), strict=True))
    assert_allclose(forward, reverse, rtol=1e-12)


def leaves(tree):
    return [leaf for leaf in td.tree.flatten(tree)[0] if hasattr(leaf, "shape")]


def test_several_primals_and_aux():
    y, dy, aux = td.jvp(lambda a, b: (a * b, "aux"), (2.0, 3.0), (1.0, 10.0), has_aux=True)
    assert (y, dy, aux) == (6, 23, "aux")
    assert td.jvp(lambda t: t[0] * t[1], ((2.0, 3.0),), ((1.0, 10.0),)) == (6, 23)
    assert td.jvp(np.sin, (0.0,), (2.0,)) == (0, 2)


def test_linearize_runs_once_and_keeps_what_it_needs(rng):
    calls = []
    a, x = rng.standard_normal((3, 3)), rng.standard_normal(3)

    def f(x):
        calls.append(1)
        return np.tanh(a @ x)

    y, push = td.linearize(f, x)
    slope = (1 - np.tanh(a @ x) ** 2)[:, None] * a
    assert_allclose(y, np.tanh(a @ x))
    a[...], x[...] = 0, 0
    for v in np.eye(3):
        assert_allclose(push(v), slope @ v, rtol=1e-12)
        assert_allclose(push(v), slope @ v, rtol=1e-12)
    assert len(calls) == 1
    _, push = td.linearize(lambda a, b: a * b, 2.0, 3.0)
    assert push(1.0, 10.0) == 23


def test_outputs_that_do_not_depend_on_the_primals():
    y, dy = td.jvp(lambda x: (x, np.ones(2), 3, np.argmax(x)), np.ones(3), np.ones(3))
    assert_array_equal(dy[1], np.zeros(2))
    assert (y[2], dy[2], dy[3]) == (3, 0, 0)
    assert_array_equal(td.jvp(np.ones_like, np.ones(2), np.ones(2))[1], np.zeros(2))


def test_tangents_take_the_primals_dtype():
    y, dy = td.jvp(np.sin, np.zeros(2, np.float32), np.ones(2))
    assert (y.dtype, dy.dtype) == (np.float32, np.float32)
    assert td.jvp(np.sin, 0.0, True)[1] == 1
    y, dy = td.jvp(lambda x: x * np.ones(2), np.float32(1), 1)
    assert (y.dtype, dy.dtype) == (np.float64, np.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: td.jvp(np.sin, np.ones(2), np.ones(3)), td.errors.ShapeError,
         r"x has shape|argument 0 "),
        (lambda: td.jvp(lambda p: p["a"], {"a": 1.0}, {"b": 1.0}), td.errors.ShapeError,
         "trees differ"),
        (lambda: td.jvp(lambda p: p["a"], {"a": 1.0}, {"a": np.ones(2)}), td.errors.ShapeError,
         r"p\['a'\] has shape \(\), but its tangent \(2,\)"),
        (lambda: td.jvp(np.sin, 1.0, 1j), TypeError, "complex"),
        (lambda: td.jvp(np.sin, 1.0, None), TypeError, "object"),
        (lambda: td.jvp(lambda p: p["n"], {"n": 1}, {"n": 1, "m": 2}), td.errors.ShapeError,
         "differ"),
        (lambda: td.jvp(np.multiply, (1.0, 2.0), (1.0,)), td.errors.ShapeError, "2 primals"),
        (lambda: td.jvp(np.sin, (), ()), TypeError, "at least one primal"),
        (lambda: td.linearize(np.sin), TypeError, "at least one primal"),
        (lambda: td.linearize(np.sin, 1.0)[1](1.0, 2.0), td.errors.ShapeError, "1 primals"),
        (lambda: td.jvp(lambda p: p["i"], {"i": np.arange(2)}, {"i": 1}), TypeError, r"p\['i'\]"),
        (lambda: td.hvp(lambda x: x, np.ones(2), np.ones(2)), TypeError, r"\.mean\(\)"),
        (lambda: td.hvp(np.sum, np.ones(2), np.ones(3)), td.errors.ShapeError,
         r"\(2,\), but its tangent"),
        (lambda: td.jacobian(np.sin, mode="sideways"), ValueError, "sideways"),
        (lambda: td.jacobian(np.sin)(np.arange(2)), TypeError, "int64"),
        (lambda: td.jacobian(lambda x: None)(1.0), TypeError, "must return arrays, got None"),
        (lambda: td.jacobian(np.sin, 2)(1.0), TypeError, "argnums: 2"),
        (lambda: td.jacobian(np.sin, has_aux=True)(1.0), TypeError, "pair"),
        (lambda: td.elementwise_grad(np.sum)(np.ones(2)), td.errors.ShapeError,
         r"sum is not elementwise"),
        (lambda: td.elementwise_grad(np.add)(np.ones(2), np.ones((3, 1))), td.errors.ShapeError,
         r"of \(2,\) it made \(3, 2\)"),
        (lambda: td.elementwise_grad(lambda x: [x, x])(1.0), td.errors.ShapeError, "jacobian"),
        (lambda: td.elementwise_grad(lambda x: None)(1.0), td.errors.ShapeError, "NoneType"),
    ],
)  # fmt: skip
def test_errors_name_the_culprit(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- Jacobians


@pytest.mark.parametrize("mode", MODES)
def test_jacobian_of_trees(mode, params, rng):
    data = rng.standard_normal((2, 3))

    def f(params):
        return net(params, data)

    jac = td.jacobian(f, mode=mode)(params)
    _, pullback = td.vjp(f, params)
    for (i, j), which in np.ndenumerate(np.arange(4).reshape(2, 2)):
        seed = {"logits": np.zeros((2, 2)), "size": [0.0]}
        seed["logits"].flat[which] = 1
        row = pullback(seed)
        for k in range(2):
            for name in "wb":
                got = jac["logits"]["layers"][k][name]
                assert got.shape == (2, 2, *params["layers"][k][name].shape)
                assert_allclose(got[i, j], row["layers"][k][name], rtol=1e-9, atol=1e-12)
    assert jac["logits"]["name"] == "net"
    row = pullback({"logits": np.zeros((2, 2)), "size": [1.0]})
    assert_allclose(jac["size"][0]["layers"][0]["w"], row["layers"][0]["w"], rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_jacobian_of_closed_forms(mode, rng):
    a, x = rng.standard_normal((3, 4)), rng.standard_normal(4)

    def f(x):
        y = a @ x
        return {"y": y, "x": x, "twice": [y, y], "none": np.ones(2), "index": np.argmax(x)}

    jac = td.jacobian(f, mode=mode)(x)
    assert_allclose(jac["y"], a, rtol=1e-12)
    assert_array_equal(jac["x"], np.eye(4))
    assert_allclose(jac["twice"][0] + jac["twice"][1], 2 * a, rtol=1e-12)
    assert_array_equal(jac["none"], np.zeros((2, 4)))
    assert_array_equal(jac["index"], np.zeros(4))
    assert not np.shares_memory(*jac["twice"])


@pytest.mark.parametrize("mode", MODES)
def test_jacobian_shapes_and_dtypes(mode):
    jac = td.jacobian(lambda a, b: a * b, (0, -1), mode=mode)(2.0, np.float32(3))
    assert jac == (3, 2)
    assert [type(j) for j in jac] == [np.float64, np.float32]
    narrow = td.jacobian(lambda x: x * np.ones((2, 1)), mode=mode)(np.ones(3, np.float32))
    assert (narrow.shape, narrow.dtype) == ((2, 3, 3), np.float32)
    assert td.jacobian(np.sin, mode=mode)(np.array(0.0)).shape == ()
    assert td.jacobian(lambda x: x[:0], mode=mode)(np.ones(2)).shape == (0, 2)
    assert td.jacobian(lambda x: np.sum(x) + np.ones(2), mode=mode)(np.ones(0)).shape == (2, 0)
    scaled = td.jacobian(lambda x, scale: x * scale, mode=mode)(np.ones(2), scale=3.0)
    assert_array_equal(scaled, 3 * np.eye(2))
    jac, aux = td.jacobian(lambda x: (x, x.sum()), has_aux=True, mode=mode)(np.ones(2))
    assert_array_equal(jac, np.eye(2))
    assert aux == 2


@pytest.mark.parametrize("mode", MODES)
def test_ops_without_a_batching_rule_are_looped(mode, rng):
    odd = td.define(
        lambda x: x[::-1] * x,
        lambda g, _y, x: g * x[::-1] + (g * x)[::-1],
        name="odd",
    )
    x = rng.standard_normal(3)
    got = td.jacobian(lambda x: odd(np.sin(x)), mode=mode)(x)
    wanted = td.jacobian(lambda x: np.sin(x)[::-1] * np.sin(x), mode=mode)(x)
    assert_allclose(got, wanted, rtol=1e-12)


def test_the_mode_is_chosen_by_the_sizes():
    calls = []

    def copied(x):
        calls.append(np.shape(x))
        return x + 0

    def of_copies(g, _y, _x):
        return same(g)

    same = td.define(copied, of_copies, name="same")  # looped: a call for each row or column
    td.jacobian(lambda x: np.sum(same(x)))(np.ones(6))
    assert len(calls) == 1 + 1
    calls.clear()
    td.jacobian(lambda x: np.ones(6) * same(x))(1.0)
    assert len(calls) == 1 + 1 + 1


# --- Hessians


def test_hessian_and_its_products(x, rng):
    v = rng.standard_normal(5)
    wanted = rosenbrock_hessian(x)
    assert_allclose(td.hessian(rosenbrock)(x), wanted, rtol=1e-12, atol=1e-9)
    for mode in MODES:
        again = td.jacobian(td.grad(rosenbrock), mode=mode)(x)
        assert_allclose(again, wanted, rtol=1e-12, atol=1e-9)
    assert_allclose(td.hvp(rosenbrock, x, v), wanted @ v, rtol=1e-10)
    assert_allclose(td.jvp(td.grad(rosenbrock), x, v)[1], wanted @ v, rtol=1e-10)


def test_hessian_of_trees(params, rng):
    data = rng.standard_normal((2, 3))

    def loss(params):
        return net(params, data)["size"][0]

    hessian = td.hessian(loss)(params)
    one = hessian["layers"][0]["w"]["layers"][1]["b"]
    other = hessian["layers"][1]["b"]["layers"][0]["w"]
    assert one.shape == (3, 4, 2)
    assert_allclose(one, other.transpose(1, 2, 0), rtol=1e-9, atol=1e-12)
    assert hessian["name"] == "net"
    v = td.tree.map(lambda p: np.sin(p) if hasattr(p, "shape") else p, params)
    product = td.hvp(loss, params, v)
    assert product["name"] == "net"
    wanted = sum(
        np.tensordot(hessian["layers"][0]["w"]["layers"][k][n], v["layers"][k][n],
                     np.ndim(v["layers"][k][n]))
        for k in range(2) for n in "wb"
    )  # fmt: skip
    assert_allclose(product["layers"][0]["w"], wanted, rtol=1e-9)


def test_hessian_arguments():
    def f(a, b, power=2):
        return a**power * b**3

    second = td.hessian(f, (0, 1))(2.0, 3.0)
    assert_allclose(second, [[54, 108], [108, 72]])
    assert td.hessian(f, -1)(2.0, 3.0, power=1) == 36
    assert td.hessian(lambda x: (x**3, "aux"), has_aux=True)(2.0) == (12, "aux")
    assert td.hvp(f, (2.0, 3.0), (1.0, 0.0)) == (54, 108)
    assert td.hvp(lambda x: x**3, (2.0,), (1.0,)) == (12,)
    assert td.hvp(lambda x: x**3, 2.0, 1.0) == 12
    assert_array_equal(td.hessian(np.sum)(np.ones(2)), np.zeros((2, 2)))
    assert_array_equal(td.hvp(np.sum, np.ones(2), np.ones(2)), np.zeros(2))
    half = td.hessian(lambda x: np.sum(x**3))(np.ones(2, np.float16))
    assert half.dtype == np.float16


# --- elementwise


def test_elementwise_grad():
    x = np.linspace(-2, 2, 6).reshape(2, 3)
    slope = td.elementwise_grad(np.tanh)
    assert_allclose(slope(x), 1 - np.tanh(x) ** 2)
    assert_allclose(td.elementwise_grad(slope)(x), -2 * np.tanh(x) * (1 - np.tanh(x) ** 2))
    assert type(slope(0.5)) is np.float64
    both = td.elementwise_grad(lambda a, b, c: a * b + c, (0, 1))(x, x + 1, c=2.0)
    assert_allclose(both[0], x + 1)
    assert_allclose(both[1], x)
    assert_array_equal(td.elementwise_grad(np.ones_like)(x), np.zeros((2, 3)))
    assert slope(x.astype(np.float32)).dtype == np.float32


# --- all together


def f_of(x):
    return np.sin(x) * x[0] + np.cumsum(x**2)


def test_they_compose(x, rng):
    v = rng.standard_normal(5)
    td.check_grads(td.jacobian(f_of), x)
    td.check_grads(td.jacobian(f_of, mode="forward"), x)
    td.check_grads(lambda x, v: td.jvp(f_of, x, v), x, v)
    td.check_grads(lambda x, v: td.linearize(f_of, x)[1](v), x, v)
    td.check_grads(lambda x, v: td.hvp(rosenbrock, x, v), x, v)
    td.check_grads(td.elementwise_grad(np.tanh), x)
    td.check_grads(td.hessian(rosenbrock), x, order=1)


def test_third_derivatives(x):
    third = td.jacobian(td.hessian(lambda x: np.sum(x**4)))(x)
    k, wanted = np.arange(5), np.zeros((5, 5, 5))
    wanted[k, k, k] = 24 * x
    assert_allclose(third, wanted)
    forward = td.jacobian(td.jacobian(td.grad(lambda x: np.sum(x**4)), mode="forward"))(x)
    assert_allclose(forward, wanted)
    ones = np.ones(5)
    twice = td.hvp(lambda x: np.sum(td.hvp(lambda x: np.sum(x**4), x, ones)), x, ones)
    assert_allclose(twice, 24 + 0 * x)
    assert_allclose(td.jvp(lambda x: td.jvp(np.sin, x, ones)[1], x, ones)[1], -np.sin(x))


def test_perturbations_are_not_confused():
    def inner(x):
        return td.jvp(lambda y: x * y, 1.0, 1.0)[1]

    assert td.jvp(lambda x: x * inner(x), 3.0, 1.0) == (9, 6)
    assert td.jacobian(lambda x: x * td.jacobian(lambda y: x + y)(1.0))(3.0) == 1


def test_mapped(x, rng):
    xs = np.stack([x, x + 1, 2 * x])
    v = rng.standard_normal((3, 5))
    hessians = td.vmap(td.hessian(rosenbrock))
    assert_allclose(hessians(xs), [rosenbrock_hessian(x) for x in xs], rtol=1e-12, atol=1e-9)
    assert hessians.loops(xs) == ()
    pushed = td.vmap(lambda x, v: td.jvp(f_of, x, v)[1])(xs, v)
    assert_allclose(pushed, [td.jvp(f_of, *each)[1] for each in zip(xs, v, strict=True)])
    for mode in MODES:
        mapped = td.vmap(td.jacobian(f_of, mode=mode))(xs)
        assert_allclose(mapped, [td.jacobian(f_of)(x) for x in xs], atol=1e-14)
    whole = td.jacobian(td.vmap(f_of))(xs)
    assert_allclose(whole[1, :, 1], td.jacobian(f_of)(xs[1]), atol=1e-14)
    assert not whole[1, :, 0].any()


@pytest.mark.parametrize(
    "transformed",
    [
        td.jacobian(f_of),
        td.jacobian(f_of, mode="forward"),
        td.hessian(rosenbrock),
        td.elementwise_grad(np.tanh),
        lambda x: td.jvp(f_of, x, np.cos(x)),
        lambda x: td.linearize(f_of, x)[1](x),
        lambda x: td.hvp(rosenbrock, x, np.cos(x)),
        td.grad(lambda x: np.sum(td.jacobian(f_of)(x))),
        lambda x: td.jacobian(lambda s: s * x)(x[0]),
    ],
)
def test_as_programs(transformed, x):
    jitted = td.jit(transformed)
    for _ in range(2):
        got, wanted = jitted(x), transformed(x)
        td.tree.map(lambda g, w: assert_allclose(g, w, rtol=1e-13, atol=1e-13), got, wanted)
        td.tree.map(lambda g, w: np.testing.assert_equal(np.shape(g), np.shape(w)), got, wanted)
    assert jitted.cache_info().traces == 1


def test_of_programs(x):
    jitted = td.jit(f_of)
    assert_allclose(td.jacobian(jitted)(x), td.jacobian(f_of)(x))
    assert_allclose(td.hessian(td.jit(rosenbrock))(x), rosenbrock_hessian(x), atol=1e-9)
    assert_allclose(td.jvp(jitted, x, x)[1], td.jvp(f_of, x, x)[1])


def test_zero_dimensional_arrays_under_a_program():
    x = np.array(2.0)
    for f in (td.jacobian(np.sin), td.hessian(np.sin), td.jacobian(lambda x: x * np.ones(2))):
        assert td.jit(f)(x).shape == np.shape(f(x))
        assert_allclose(td.jit(f)(x), f(x))
        assert_allclose(td.jit(f)(2.0), f(2.0))


def test_assignment_inside():
    def f(x):
        y = 2 * x
        y[0] = x[1] ** 2
        return y

    x = np.array([1.0, 3.0])
    for mode in MODES:
        assert_array_equal(td.jacobian(f, mode=mode)(x), [[0, 6], [0, 2]])
    assert_array_equal(td.hessian(lambda x: f(x).sum())(x), [[0, 0], [0, 2]])


# --- manners


def test_nothing_is_mutated_or_shared(x):
    params, v = {"x": x, "y": np.ones(2)}, {"x": np.cos(x), "y": np.zeros(2)}
    before = copied((params, v))

    def f(p):
        return [p["x"], p["x"], p["y"] * 2]

    results = [
        td.jvp(f, params, v),
        td.linearize(f, params)[1](v),
        td.jacobian(f)(params),
        td.jacobian(f, mode="forward")(params),
        td.hvp(lambda p: np.sum(p["x"] ** 2) / 2, params, v),
        td.elementwise_grad(lambda x: x)(x),
    ]
    found = [leaf for leaf in td.tree.flatten(results)[0] if isinstance(leaf, np.ndarray)]
    for k, y in enumerate(found):
        others = (*td.tree.flatten((params, v))[0], *found[:k])
        assert not any(np.shares_memory(y, other) for other in others)
        assert y.flags.writeable
    td.tree.map(assert_array_equal, (params, v), before)


def test_an_exception_leaves_nothing_behind(x):
    def broken(_x):
        raise ZeroDivisionError

    for transformed in (td.jacobian(broken), td.hessian(broken), lambda x: td.jvp(broken, x, x)):
        with pytest.raises(ZeroDivisionError):
            transformed(x)
    assert_allclose(td.hessian(rosenbrock)(x), rosenbrock_hessian(x), atol=1e-9)


def test_no_cycles_are_left(x):
    calls = [
        lambda: td.jvp(f_of, x, x),
        lambda: td.linearize(f_of, x)[1](x),
        lambda: td.jacobian(f_of)(x),
        lambda: td.jacobian(f_of, mode="forward")(x),
        lambda: td.hvp(rosenbrock, x, x),
        lambda: td.elementwise_grad(np.tanh)(x),
    ]
    for call in calls:
        assert not cycles_left(call)


def test_threads(x):
    found = {}

    def work(k):
        for _ in range(5):
            found[k] = td.hessian(lambda x: np.sum(x**k))(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, got in found.items():
        assert_allclose(got, np.diag(k * (k - 1) * x ** (k - 2)), atol=1e-12)


def test_names_and_other_containers(x):
    assert td.jacobian(rosenbrock).__name__ == "jacobian(rosenbrock)"
    assert td.hessian(rosenbrock).__name__ == "hessian(rosenbrock)"
    assert td.elementwise_grad(np.tanh).__name__ == "elementwise_grad(tanh)"
    space = td.jacobian(lambda s: s.a * 2)(SimpleNamespace(a=x))
    assert_array_equal(space.a, 2 * np.eye(5))
