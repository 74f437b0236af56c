"""vmap equals a loop over the examples: programs that hypothesis draws, indices, axes, transforms.

`test_cases.py` compares it with the loop for every case of every function.
"""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.checks import assert_is_the_loop, quiet, total
from tests.jit_programs import copied, programs
from tests.leaks import cycles_left
from tinygrad_digits.ops import OPS
from tinygrad_digits.staging import batching


def test_batching_rules_are_registered_on_primitives_not_on_names():
    alike = [td.define(lambda x: 2 * x, lambda g, _y, _x: 2 * g, name="alike") for _ in range(2)]
    batching.register_batching(batching.batch_whole, alike[0])
    assert [td.vmap(op).loops(np.ones((2, 3))) for op in alike] == [(), ("alike",)]
    assert batching.rule_of(OPS["add"].primitive) is batching.batch_elementwise


@given(programs())
def test_any_program_with_its_gradient(drawn):
    calls = [drawn.arguments(1), drawn.arguments(2)]
    flat = [td.tree.flatten(arguments) for arguments in calls]
    stacked = [np.stack(pair) for pair in zip(*(xs for xs, _ in flat), strict=True)]

    def run(*xs):
        return drawn.run_with_gradient(*td.tree.unflatten(flat[0][1], xs))

    with quiet():
        assert_is_the_loop(run, *stacked, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("left", [(3,), (2, 3), (2, 2, 3), (4, 1, 2, 3)])
@pytest.mark.parametrize("right", [(3,), (3, 2), (2, 3, 4), (4, 2, 3, 1)])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (1, -1)])
def test_products_of_all_ranks(left, right, axes, rng):
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    sides = [
        (x, x) if axis is None else (np.stack([x, 2 * x, x - 1], axis), None)
        for x, axis in zip((a, b), axes, strict=True)
    ]
    got = td.vmap(np.matmul, axes)(sides[0][0], sides[1][0])
    for k, y in enumerate(got):
        one = [
            x if axis is None else np.take(x, k, axis)
            for (x, _), axis in zip(sides, axes, strict=True)
        ]
        assert_allclose(y, one[0] @ one[1], rtol=1e-12, atol=1e-12)
    assert td.vmap(np.matmul, axes).loops(sides[0][0], sides[1][0]) == ()


# --- indices that differ between examples

BATCHED_INDICES = {
    "a number": lambda x, i, j: x[i],
    "a number behind": lambda x, i, j: x[:, i],
    "after an ellipsis": lambda x, i, j: x[..., i],
    "several": lambda x, i, j: x[j],
    "behind": lambda x, i, j: x[:, j],
    "apart": lambda x, i, j: x[j, :, i],
    "together": lambda x, i, j: x[:, j, i],
    "with a slice and a new axis": lambda x, i, j: x[1:, None, j],
    "with a constant": lambda x, i, j: x[i, :, [[1], [0]]],
    "with a number": lambda x, i, j: x[j, :, 1],
    "with a mask": lambda x, i, j: x[np.array([True, False, True]), i],
    "in the middle": lambda x, i, j: x[..., j, :],
}


@pytest.mark.parametrize("name", BATCHED_INDICES)
def test_an_index_for_each_example(name, rng):
    f = BATCHED_INDICES[name]
    x, i = rng.standard_normal((4, 3, 3, 3)), rng.integers(-3, 3, 4)
    j = rng.integers(-3, 3, (4, 2))

    def both(x, i, j):
        return f(x, i, j), td.grad(lambda x: total([f(x, i, j)]))(x)

    assert_is_the_loop(both, x, i, j)
    assert td.vmap(both).loops(x, i, j) == ()
    around = td.grad(lambda x: total([td.vmap(f)(x, i, j)]))(x)
    assert_allclose(around, np.stack([both(*each)[1] for each in zip(x, i, j, strict=True)]))
    shared = td.vmap(lambda i, j: f(td.stop_gradient(x[0]) + 0 * i, i, j))(i, j)
    assert_array_equal(shared, np.stack([f(x[0], *each) for each in zip(i, j, strict=True)]))


@pytest.mark.parametrize(
    "index",
    [
        ([0, 2], slice(None), [1, 1]),
        (0, slice(None), [[1], [2]]),
        (slice(None), [0, 2], [1, 1]),
        (None, [0, 2], Ellipsis, [1, 1]),
        (0, slice(None), 1),
        (np.array([True, False, True]), None, [0, 1]),
    ],
)
def test_the_same_index_for_all_examples(index, rng):
    def both(x):
        return x[index], td.grad(lambda x: total([x[index]]))(x)

    assert_is_the_loop(both, rng.standard_normal((2, 3, 3, 3)))


def test_a_mask_for_each_example_is_refused(rng):
    x = rng.standard_normal((2, 3))
    with pytest.raises(td.errors.TracedValueError, match=r"x\[mask\].*np\.where"):
        td.vmap(lambda x: x[x > 0])(x)


def test_an_element_of_a_plain_array():
    table = np.arange(6.0).reshape(3, 2)
    with pytest.raises(td.errors.TracedValueError, match=r"td\.at\(array\)\[index\]\.get\(\)"):
        td.vmap(lambda i: table[i])(np.array([2, 0]))
    got = td.vmap(lambda i: td.at(table)[i].get())(np.array([2, 0]))
    assert_array_equal(got, table[[2, 0]])


# --- axes


def test_axes_in_and_out(rng):
    a, b = rng.standard_normal((3, 2)), rng.standard_normal((4, 3))
    assert_allclose(td.vmap(np.dot, (1, None))(a, b.T), (b @ a).T)
    assert_allclose(td.vmap(np.dot, (None, 1), 1)(b, a), b @ a)
    assert_allclose(td.vmap(np.dot, [None, -1], -1)(b, a), b @ a)
    assert_array_equal(td.vmap(lambda x: x, 1, 1)(a), a)


def test_trees_of_axes(rng):
    params = {"w": rng.standard_normal((2, 3)), "b": 1.0, "name": "x", "more": [np.ones(2), None]}
    axes = {"w": 0, "b": None, "name": 0, "more": None}

    def f(params, x):
        assert params["name"] == "x"
        assert params["more"][1] is None
        return {"y": params["w"] @ x + params["b"], "same": params["more"][0], "none": None}

    x = rng.standard_normal((3, 2))
    got = td.vmap(f, (axes, 1), {"y": 0, "same": None, "none": 0})(params, x)
    assert_allclose(got["y"], np.einsum("nk,kn->n", params["w"], x) + 1)
    assert_array_equal(got["same"], np.ones(2))
    assert got["none"] is None
    assert td.vmap(f, (axes, 1))(params, x)["same"].shape == (2, 2)


def test_what_is_given_by_keyword(rng):
    x = rng.standard_normal((2, 3))
    got = td.vmap(lambda x, scale=None, power=1: scale * x**power)(x, scale=x[:, 0], power=2)
    assert_allclose(got, x[:, :1] * x**2)


def test_results_that_are_the_same_for_all():
    x = np.ones((3, 2))
    got = td.vmap(lambda x: (1.5, True, np.ones(2), np.float32(2), x.shape[0], "a", None))(x)
    assert [np.shape(y) for y in got] == [(3,), (3,), (3, 2), (3,), (3,), (), ()]
    assert [y.dtype.name for y in got[:5]] == ["float64", "bool", "float64", "float32", "int64"]
    assert got[5:] == ("a", None)


@pytest.mark.parametrize(
    ("mapped", "args", "error", "message"),
    [
        (td.vmap(np.dot), (np.ones(2), np.ones(3)), td.errors.ShapeError, "a: 2, b: 3"),
        (
            td.vmap(lambda p: p["a"]),
            ({"a": 2.0},),
            td.errors.ShapeError,
            r"p\['a'\]: has no axis 0",
        ),
        (
            td.vmap(lambda x: x, 2),
            (np.ones((2, 3)),),
            td.errors.ShapeError,
            "x: has no axis 2",
        ),
        (td.vmap(lambda x: x, None), (np.ones(2),), td.errors.ShapeError, "none at all"),
        (td.vmap(np.add, (0,)), (np.ones(2), np.ones(2)), TypeError, "1 arguments"),
        (
            td.vmap(lambda p: p, ({"b": 0},)),
            ({"a": np.ones(2)},),
            td.errors.ShapeError,
            "in_axes",
        ),
        (td.vmap(lambda x: x, "rows"), (np.ones(2),), td.errors.ShapeError, "in_axes"),
        (
            td.vmap(lambda x: x, 0, 3),
            (np.ones((2, 3)),),
            td.errors.ShapeError,
            "out_axes: 3",
        ),
        (
            td.vmap(lambda x: x, 0, None),
            (np.ones(2),),
            td.errors.ShapeError,
            "differs between",
        ),
        (
            td.vmap(lambda x: x, 0, (0, 0)),
            (np.ones(2),),
            td.errors.ShapeError,
            "out_axes",
        ),
        (td.vmap(lambda x: x.sum(axis=1)), (np.ones((2, 3)),), ValueError, "axis 1"),
        (
            td.vmap(lambda x: x.reshape(2)),
            (np.ones((2, 3)),),
            td.errors.ShapeError,
            r"\(3,\) into \(2,\)",
        ),
        (td.vmap(lambda x: x @ 2.0), (np.ones((2, 3)),), ValueError, "0-d"),
    ],
)
def test_errors_name_the_culprit(mapped, args, error, message):
    with pytest.raises(error, match=message):
        mapped(*args)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: 1 if x > 0 else 2,
        float,
        range,
        lambda x: x.value,
        lambda x: x.item(),
        lambda x: f"{x:.2f}",
        np.asarray,
        lambda x: x.tolist(),
    ],
)
def test_what_needs_one_value_says_so(use):
    with pytest.raises(td.errors.TracedValueError, match=r"test_vmap\.py.*2 examples at once"):
        td.vmap(use)(np.ones(2))


# --- what it is made of


def test_what_was_looped_is_told():
    x = np.arange(6.0).reshape(2, 3)
    odd = td.define(lambda x: x[::-1].copy(), lambda g, _y, _x: g[::-1], name="odd")
    f = td.vmap(lambda x: odd(np.tanh(x)))
    assert_allclose(f(x), np.tanh(x)[:, ::-1])
    assert f.loops(x) == ("odd",)
    assert td.vmap(np.tanh).loops(x) == ()


def test_an_op_of_the_users_is_not_taken_for_one_of_that_name():
    first = td.define(lambda x: np.asarray(x[0]), None, name="softmax")
    x = np.arange(6.0).reshape(2, 3)
    assert_array_equal(td.vmap(first)(x), [0, 3])
    assert td.vmap(first).loops(x) == ("softmax",)


def test_a_composed_op_keeps_its_own_rule():
    def bounded(x):
        return np.maximum(x, 0)  # whose derivative at 0 is a half

    op = td.define(bounded, lambda g, _y, _x: g * 7.0, name="bounded", composite=True)
    x = np.array([[0.0, 1.0]])
    assert_array_equal(td.grad(lambda x: td.vmap(op)(x).sum())(x), [[7.0, 7.0]])
    assert_array_equal(td.vmap(td.grad(lambda x: op(x).sum()))(x), [[7.0, 7.0]])
    twice = td.vmap(td.vmap(op))
    assert_array_equal(td.grad(lambda x: twice(x[None]).sum())(x), [[7.0, 7.0]])
    assert td.vmap(op).loops(x) == ()
    assert_array_equal(td.grad(lambda x: td.vmap(td.nn.relu)(x).sum())(x), [[0.0, 1.0]])


def test_functions_without_rules():
    x = np.array([[1, 2], [3, 4]])
    assert_array_equal(td.vmap(lambda x: x & 1)(x), x & 1)
    assert_array_equal(td.vmap(np.gcd)(x, x[::-1]), np.gcd(x, x[::-1]))
    assert_array_equal(td.vmap(lambda x: np.argmax(x) + np.argsort(-x))(x), [[2, 1], [2, 1]])
    assert_array_equal(td.vmap(lambda x: np.any(x > 3))(x), [False, True])
    assert_array_equal(td.vmap(lambda x: x.shape[0] * np.ones_like(x))(x), np.full((2, 2), 2))
    parts, exponents = td.vmap(np.frexp)(x.astype(float))
    assert_array_equal(parts * 2.0**exponents, x)


def test_assignment_follows_numpys_views():
    def f(x):
        y = 2 * x
        y[0] = x[1]
        return y

    x = np.arange(6.0).reshape(2, 3)
    assert_array_equal(td.vmap(f)(x), np.stack([f(row) for row in x.copy()]))

    def through_a_view(x):
        row = (2 * x)[1:]
        row[0] = 1.0
        return row

    assert_array_equal(td.vmap(through_a_view)(x), [[1, 4], [1, 10]])


def test_noise_is_drawn_for_each_example():
    def f(x, rng):
        return td.nn.dropout(x, 0.5, rng)

    x = np.ones((3, 8), np.float32)
    got = td.vmap(f, (0, None))(x, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert_array_equal(got, np.stack([f(row, rng) for row in x]))
    assert len({row.tobytes() for row in got}) == 3
    shared = td.vmap(lambda x: x * td.nn.dropout(np.ones(8), 0.5, np.random.default_rng(1)))(x)
    assert len({row.tobytes() for row in shared}) == 1


def test_a_batch_of_no_examples():
    x = np.ones((0, 3))
    assert td.vmap(lambda x: np.sum(np.tanh(x) @ np.ones((3, 2))))(x).shape == (0,)
    assert td.vmap(td.grad(lambda x: np.sum(x**2)))(x).shape == (0, 3)
    odd = td.define(lambda x: x[:2] + 0, lambda g, _y, x: g, name="odd")
    assert td.vmap(odd)(x).shape == (0, 2)
    none = np.ones((0, 2, 3)), np.ones((0, 2), int)
    assert td.vmap(td.grad(loss), (None, 0, 0))(np.ones((3, 4)), *none).shape == (0, 3, 4)


def test_shapes_that_differ_between_examples():
    with pytest.raises(td.errors.ShapeError, match="same shape"):
        td.vmap(np.unique)(np.array([[1, 1], [1, 2]]))


# --- with the other transforms


def loss(w, x, label):
    return td.nn.cross_entropy(np.tanh(x @ w), label)


@pytest.fixture
def batch(rng):
    return rng.standard_normal((3, 4)), rng.standard_normal((5, 2, 3)), rng.integers(0, 4, (5, 2))


def test_per_example_gradients(batch):
    w, x, labels = batch
    mapped = td.vmap(td.grad(loss), (None, 0, 0))
    wanted = np.stack([td.grad(loss)(w, *each) for each in zip(x, labels, strict=True)])
    assert_allclose(mapped(w, x, labels), wanted, rtol=1e-12)
    assert mapped.loops(w, x, labels) == ()
    for _ in range(2):
        assert_array_equal(td.jit(mapped)(w, x, labels), mapped(w, x, labels))
    inlined = td.vmap(td.jit(td.grad(loss)), (None, 0, 0))
    assert_array_equal(inlined(w, x, labels), mapped(w, x, labels))
    for axes in itertools.product((0, None), repeat=3):
        if any(axis == 0 for axis in axes):
            given = [
                np.stack([v, v]) if axis == 0 else v
                for v, axis in zip((w, x[0], labels[0]), axes, strict=True)
            ]
            got = td.vmap(td.grad(loss), axes)(*given)
            assert_allclose(got, np.stack([wanted[0]] * 2), rtol=1e-12)


def test_gradient_of_a_mapped_loss(batch):
    w, x, labels = batch

    def mean(w):
        return td.vmap(loss, (None, 0, 0))(w, x, labels).mean()

    wanted = np.mean([td.grad(loss)(w, *each) for each in zip(x, labels, strict=True)], axis=0)
    assert_allclose(td.grad(mean)(w), wanted, rtol=1e-12)
    assert_allclose(td.jit(td.grad(mean))(w), td.grad(mean)(w), rtol=0)
    td.check_grads(mean, w)


def test_maps_of_maps(rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    product = td.vmap(td.vmap(np.dot, (None, 1)), (0, None))
    assert_allclose(product(a, b), a @ b, rtol=1e-12)
    assert_allclose(td.jit(product)(a, b), a @ b, rtol=1e-12)
    td.check_grads(product, a, b)
    outer = td.vmap(lambda x: td.vmap(lambda y: x * y)(a[0]))(a[1])
    assert_allclose(outer, np.outer(a[1], a[0]))


def test_closing_over_a_tensor(rng):
    x = rng.standard_normal((3, 2))
    got = td.grad(lambda w: np.sum(td.vmap(lambda x: np.sin(w) @ x)(x)))(np.ones(2))
    assert_allclose(got, np.cos(1) * x.sum(0))
    inner = td.vmap(lambda x: td.grad(lambda w: np.sum(td.vmap(lambda v: v * w * x)(x * w)))(x))
    wanted = [td.grad(lambda w, x=v: np.sum(x * w) ** 2)(v) for v in x]
    assert_allclose(inner(x), wanted)


@pytest.mark.parametrize(
    "f",
    [
        lambda v: np.sum(np.sort(v) ** 3),
        lambda v: np.sum(td.at(v)[np.argsort(v)[:2]].set(v[:2] ** 2) ** 2),
    ],
    ids=["take", "put"],
)
def test_a_gradient_by_places_that_an_outer_vmap_maps(f, rng):
    def around(v):
        return np.sum(td.vmap(td.grad(f))(np.stack([v, v])) ** 2)

    x = rng.standard_normal((3, 4))
    assert_allclose(td.vmap(td.grad(around))(x), [td.grad(around)(v) for v in x])


def test_nothing_is_mutated_or_shared(rng):
    x = rng.standard_normal((3, 2))
    before = copied(x)
    results = td.vmap(lambda v: [v, v, v.T, v[:1], np.broadcast_to(v, (2, 2))])(x)
    assert_array_equal(x, before)
    for k, y in enumerate(results):
        assert not any(np.shares_memory(y, other) for other in (x, *results[:k]))
        assert y.flags.writeable


def test_what_outlives_the_call_says_so():
    kept = []
    td.vmap(kept.append)(np.ones(2))
    with pytest.raises(td.errors.EscapedTensorError):
        kept[0] + 1
    assert repr(kept[0]) == "Batched(2 x float64())"


def test_no_cycles_are_left():
    x, i = np.arange(6.0).reshape(2, 3), np.array([0, 2])
    mapped = td.vmap(td.grad(lambda x, i: x[i] * np.sum(x)))
    assert not cycles_left(lambda: mapped(x, i))


def test_threads():
    x = np.arange(12.0).reshape(4, 3)
    found = {}

    def work(k):
        for _ in range(20):
            found[k] = td.vmap(td.grad(lambda v: np.sum(v**k)))(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, got in found.items():
        assert_allclose(got, k * x ** (k - 1))


def test_its_name_and_signature():
    def f(x):
        """Doc."""
        return x

    assert td.vmap(f).__name__ == "vmap(f)"
    assert td.vmap(f).__doc__ == "Doc."
