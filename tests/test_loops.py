"""Loops and branches: what they compute, and what they refuse, on arrays and on tapes."""

import numpy as np
import pytest

import tinygrad_digits as td
from tinygrad_digits.support import tree

SLOW = pytest.mark.slow


def unroll(f, init, xs, n, reverse=False):
    """A scan as a Python loop."""
    carry, ys = init, [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        carry, ys[i] = f(carry, tree.map(lambda x: x[i], xs))  # noqa: B023
    return carry, tree.map(lambda *y: np.stack(y), *ys)


def rnn(w):
    def step(h, x):
        h = np.tanh(h @ w + x)
        return h, {"h": h, "norm": np.sum(h**2)}

    return step


@pytest.fixture
def data(rng):
    return rng.standard_normal((4, 4)), rng.standard_normal((7, 4)), rng.standard_normal(4)


def assert_same(a, b):
    assert tree.outline(tree.flatten(a)[1]) == tree.outline(tree.flatten(b)[1])
    for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True):
        assert np.shape(x) == np.shape(y)
        assert np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_is_a_python_loop(data, reverse):
    w, xs, h = data
    assert_same(td.scan(rnn(w), h, xs, reverse=reverse), unroll(rnn(w), h, xs, 7, reverse))


@pytest.mark.parametrize("checkpoint", [False, True, 3, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_a_scan_are_those_of_the_loop(data, reverse, checkpoint):
    w, xs, h = data

    def loss(run, params):
        def step(carry, x):
            w, h = carry
            h, y = rnn(w)(h, x)
            return (w, h), y

        w, xs, h = params
        (_, h), ys = run(step, (w, h), xs)
        return np.sum(h) + np.sum(ys["h"] ** 2) + np.sum(np.sin(ys["norm"]))

    def scan(step, init, xs):
        return td.scan(step, init, xs, reverse=reverse, checkpoint=checkpoint)

    def loop(step, init, xs):
        return unroll(step, init, xs, 7, reverse)

    ours, theirs = (td.grad(lambda p, r=run: loss(r, p))((w, xs, h)) for run in (scan, loop))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("k", [0, 2, 7, *(pytest.param(k, marks=SLOW) for k in (3, 100, True))])
def test_turns_of_several_steps_are_the_steps(data, backend, reverse, k):
    def last(w, h, xs, unroll, checkpoint=False):
        def step(h, x):
            return rnn(w)(h, x)[0], {**rnn(w)(h, x)[1], "none": None}

        h, ys = td.scan(step, h, xs, None, reverse, unroll, checkpoint=checkpoint)
        return np.sum(h) + np.sum(ys["h"] ** 2 * np.arange(7)[:, None]) + np.sum(ys["norm"] ** 3)

    w, xs, h = data
    wanted = td.grad(last)(w, h, xs, 1)
    for checkpoint in (False, True, 2):
        found = td.jit(td.grad(last), static_argnames=("unroll", "checkpoint"), backend=backend)(
            w, h, xs, unroll=k, checkpoint=checkpoint
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_turns_cost_as_many_equations_as_they_have_steps(data):
    w, xs, h = data
    lengths = [
        len(str(td.jit(lambda w, k=k: td.scan(rnn(w), h, xs, unroll=k)[0]).program(w)).splitlines())
        for k in (1, 7)
    ]
    assert lengths[1] > 2 * lengths[0]
    with pytest.raises(ValueError, match="unroll is True or a number of steps, got -1"):
        td.scan(rnn(w), h, xs, unroll=-1)


def test_a_carry_that_changes_is_named_by_its_path():
    init = {"h": np.zeros(3, np.float32)}
    with pytest.raises(td.errors.ShapeError, match=r"carry\['h'\] is float32.*float64.*astype"):
        td.scan(lambda c, _: ({"h": c["h"].astype(float)}, None), init, length=2)
    with pytest.raises(td.errors.ShapeError, match=r"carry\['h'\] is float32\(3,\).*\(4,\)"):
        td.scan(lambda c, _: ({"h": np.zeros(4, np.float32)}, None), init, length=2)
    with pytest.raises(td.errors.ShapeError, match="changes its structure"):
        td.scan(lambda c, _: ((c, c), None), init, length=2)
    with pytest.raises(td.errors.ShapeError, match=r"while_loop: carry\['h'\]"):
        td.while_loop(lambda _: True, lambda c: {"h": c["h"][:2]}, init)
    with pytest.raises(TypeError, match="pair"):
        td.scan(lambda c, _: c, init, length=2)


def test_xs_of_unequal_length_are_named_by_their_paths():
    xs = {"a": np.zeros(3), "b": np.zeros((4, 2))}
    with pytest.raises(td.errors.ShapeError, match=r"xs\['a'\]: 3, xs\['b'\]: 4"):
        td.scan(lambda c, _: (c, None), 0.0, xs)
    with pytest.raises(td.errors.ShapeError, match=r"length: 2, xs\['a'\]: 3"):
        td.scan(lambda c, _: (c, None), 0.0, {"a": np.zeros(3)}, length=2)
    with pytest.raises(td.errors.ShapeError, match="xs has no axis"):
        td.scan(lambda c, _: (c, None), 0.0, 3.0)
    with pytest.raises(td.errors.ShapeError, match="length="):
        td.scan(lambda c, _: (c, None), 0.0)


def test_a_number_of_steps_is_none_that_is_negative():
    with pytest.raises(ValueError, match="length is a number of steps, got -1"):
        td.scan(lambda c, _: (c, None), 0.0, length=-1)


@pytest.mark.parametrize("count", [2.5, "2"])
def test_steps_are_counted_by_ints(count):
    for wrong in ({"length": count}, {"length": 2, "checkpoint": count}):
        with pytest.raises(TypeError, match="integer"):
            td.scan(lambda c, _: (c, None), 0.0, **wrong)
    with pytest.raises(TypeError, match="integer"):
        td.while_loop(lambda c: c < 1, lambda c: c + 1, 0, max_steps=count)
    with pytest.raises(ValueError, match="max_steps is a number of steps, got -1"):
        td.while_loop(lambda c: c < 1, lambda c: c + 1, 0, max_steps=-1)


def test_a_checkpointed_step_draws_anew_or_not_at_all(rng):
    x = rng.standard_normal((6, 3))

    def scan(generator, step, **how):
        return td.scan(lambda c, a: step(c, a, generator), x[0], x, **how)[0]

    def multiply(c, a, generator):
        return c + a * generator.random(), None

    def drop(c, a, generator):
        return c + td.nn.dropout(a, 0.5, generator), None

    with pytest.raises(td.errors.NotDifferentiableError, match=r"generator.*part of the carry"):
        scan(np.random.default_rng(0), multiply, checkpoint=2)
    wanted, got = (scan(np.random.default_rng(0), drop, checkpoint=k) for k in (0, 2))
    np.testing.assert_array_equal(got, wanted)


def test_numbers_take_the_dtype_that_the_carry_has():
    carry, _ = td.scan(lambda _c, _x: (1.0, None), np.float32(0), length=2)
    assert type(carry) is np.float32
    assert type(td.scan(lambda c, _x: (c, None), 1, length=2)[0]) is np.int64


def test_a_scan_of_no_steps_gives_what_went_in_and_empty_ys():
    carry, ys = td.scan(lambda c, x: (c, {"y": 2 * x, "n": 1}), 3.0, np.zeros((0, 2)))
    assert carry == 3.0
    assert ys["y"].shape == (0, 2)
    assert ys["n"].shape == (0,)


@pytest.mark.parametrize("n", range(1, 12))
def test_an_associative_scan_combines_all_prefixes(n, rng):
    x = rng.integers(0, 9, (n, 2))
    np.testing.assert_array_equal(td.associative_scan(np.add, x), np.cumsum(x, 0))
    backwards = td.associative_scan(np.add, x, reverse=True)
    np.testing.assert_array_equal(backwards, np.cumsum(x[::-1], 0)[::-1])
    np.testing.assert_array_equal(td.associative_scan(np.add, x, axis=1), np.cumsum(x, 1))


def test_an_associative_scan_of_matrices_is_differentiated(rng):
    """The order of what does not commute is kept."""
    a = rng.standard_normal((6, 2, 2))
    products = td.associative_scan(np.matmul, a)
    np.testing.assert_allclose(products[-1], np.linalg.multi_dot(a), rtol=1e-12)
    td.check_grads(lambda a: np.sum(td.associative_scan(np.matmul, a) ** 2), a)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda a, b: (a, b), "elems changes its structure"),
        (lambda a, b: (a + b)[:1], r"elems is float64\(2,\) when fn gets it and float64\(1,\)"),
        (lambda a, b: a > b, "float64.* and bool.*astype"),
    ],
)
def test_an_associative_scan_needs_elements_of_one_form(fn, message):
    with pytest.raises(td.errors.ShapeError, match=message):
        td.associative_scan(fn, np.ones(5))
    with pytest.raises(td.errors.ShapeError, match="elems has no axis 1"):
        td.associative_scan(fn, np.ones(5), axis=1)


@pytest.mark.parametrize("how", [lambda f: f, td.jit])
@pytest.mark.parametrize("index", [True, 1.0, np.bool_(True), np.float64(1), np.array(1.0)])
def test_branches_are_counted_by_ints(index, how):
    with pytest.raises(TypeError, match=r"switch: index is (bool|float64).*astype\(int\)"):
        how(lambda i: td.switch(i, [lambda: 1.0, lambda: 2.0]))(index)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda x: x[:1],
            r"result is float64\(3,\) from one branch and float64\(1,\) from another",
        ),
        (lambda x: x > 0, r"float64\(3,\) from one branch and bool.*astype"),
        (lambda x: (x, x), r"changes its structure, from float64\(3,\) to tuple"),
    ],
)
def test_branches_that_differ_are_told_apart(other, message):
    with pytest.raises(td.errors.ShapeError, match=message):
        td.jit(lambda x: td.cond(x[0] > 0, other, lambda x: x, x))(np.ones(3))


def test_branches_and_counted_loops():
    assert td.switch(-3, [lambda x: x, lambda x: 2 * x], 5) == 5
    assert td.switch(9, [lambda x: x, lambda x: 2 * x], 5) == 10
    assert td.cond(np.bool_(False), lambda: 1, lambda: 2) == 2
    assert td.fori_loop(2, 5, lambda i, c: c + i, 0.0) == 9
    assert td.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, 2 * c[1]), (0, 1.0)) == (5, 32)
    assert td.while_loop(lambda _: True, lambda c: c + 1, 0, max_steps=4) == 4
    with pytest.raises(td.errors.ShapeError, match="one value"):
        td.cond(np.array([True, False]), lambda: 1, lambda: 2)


def test_under_vmap_each_example_takes_its_own_branch_and_number_of_steps():
    x = np.array([1.0, 3.0, 200.0])

    def double(x):
        return td.while_loop(lambda c: c < 100, lambda c: 2 * c, x)

    np.testing.assert_array_equal(td.vmap(double)(x), [128, 192, 200])
    np.testing.assert_array_equal(td.vmap(td.grad(double))(x), [128, 64, 1])
    chosen = td.vmap(lambda x: td.cond(x > 2, lambda x: x**2, lambda x: -x, x))
    np.testing.assert_array_equal(chosen(x), [-1, 9, 40000])
    switched = td.vmap(lambda k: td.switch(k, [lambda: 1.0, lambda: 2.0, lambda: 3.0]))
    np.testing.assert_array_equal(switched(np.array([2, -1, 9])), [3, 1, 3])


def test_a_scan_under_vmap_is_the_scan_of_each(data):
    w, xs, h = data
    hs = np.stack([h, 2 * h, -h])
    got = td.vmap(lambda h: td.scan(rnn(w), h, xs))(hs)
    for k, each in enumerate(hs):
        for a, b in zip(
            tree.flatten(got)[0],
            tree.flatten(td.scan(rnn(w), each, xs))[0],
            strict=True,
        ):
            np.testing.assert_allclose(a[k], b, rtol=1e-14)


def test_a_recording_shows_a_loop_as_one_box_that_opens(data):
    w, xs, _ = data

    def f(w):
        def outer(h, _):
            return td.scan(rnn(w), h, xs)

        h, ys = td.scan(outer, np.ones(4), length=2)
        return td.while_loop(lambda c: c < 50, lambda c: 2 * c, np.sum(h) + np.sum(ys["h"]) ** 2)

    recording = td.record(f, w)
    assert [name for name in names_of(recording) if "_" in name or "," in name] == [
        "scan, 2 steps",
        "while_loop",
    ]
    once, twice = recording.open(), recording.open().open()
    assert names_of(once).count("scan, 7 steps") == 2
    assert "while_loop" not in names_of(once)
    assert names_of(twice).count("matmul") == 14
    assert len(recording.nodes()) < len(once.nodes()) < len(twice.nodes()) == len(recording)
    assert "scan, 2 steps" in recording.svg()
    for box in recording.nodes().values():
        assert {*box.parents} <= recording.nodes().keys()
    assert recording.open().open().open().groups == ()


def names_of(recording):
    return [box.name for box in recording.nodes().values()]


def test_debug_looks_into_a_loop():
    with pytest.raises(td.errors.NonFiniteError, match="log"):
        td.debug(lambda x: td.scan(lambda c, _: (np.log(c), None), x, length=5)[0])(np.array([2.0]))


def test_other_keys_are_named():
    with pytest.raises(td.errors.ShapeError, match=r"from dict\(\['a'\]: .* to dict\(\['b'\]: "):
        td.scan(lambda c, x: ({"b": c["a"]}, x), {"a": 1.0}, np.ones(2))
