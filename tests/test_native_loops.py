"""Loops and branches in machine code: as they are without it, and without a call of NumPy."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.checks import quiet
from tests.loop_programs import PROGRAMS, TRANSFORMS, WS, XS, H, W, rnn
from tests.test_staged_loops import OPS, make_step
from tinygrad_digits.support import tree

LEFT_TO_NUMPY = {"several_results"}
"""Programs with something in them that has no native form."""


def native(f):
    return td.jit(f, backend="native")


def is_native(f, *args):
    return "called as it is" not in str(native(f).program(*args))


def assert_close(a, b, rtol=1e-10):
    for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True):
        assert (np.shape(x), np.asarray(x).dtype) == (np.shape(y), np.asarray(y).dtype)
        assert_allclose(x, y, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_native_and_gives_what_the_loop_gives(name):
    f = PROGRAMS[name]
    jitted = native(f)
    for w in (W, 1.1 * W):
        assert_close(jitted(w), f(w))
    assert is_native(f, W) != (name in LEFT_TO_NUMPY)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_derivatives_are_those_of_the_loop(name, transform):
    with quiet():
        assert_close(native(transform(PROGRAMS[name]))(W), transform(PROGRAMS[name])(W), 1e-9)


@pytest.mark.parametrize("name", ["rnn", "nested", "choosing", "counting", "in segments"])
def test_gradients_of_a_batch(name):
    f = PROGRAMS[name]
    with quiet():
        singly = np.stack([td.grad(f)(w) for w in WS])
        assert_close(native(td.vmap(td.grad(f)))(WS), singly)


@pytest.mark.parametrize("shape", [(7, 5, 4), (7, 5)])
def test_rows_that_a_step_packs_are_native(shape, rng):
    """Of the gradient of a loop over rows that is unrolled in a step."""

    def f(w, xs):
        def step(h, x):
            for row in [*x]:
                h = np.tanh(h * w + row)
            return h, np.sum(h)

        last, sums = td.scan(step, np.zeros(shape[2:]), xs)
        return np.sum(last) + np.sum(sums)

    w, xs = rng.standard_normal(shape[2:])[()], rng.standard_normal(shape)
    gradient = td.grad(f, argnums=(0, 1))
    assert_close(native(gradient)(w, xs), gradient(w, xs))
    assert is_native(gradient, w, xs)
    assert ("pack" in str(native(gradient).program(w, xs))) == (len(shape) == 3)


def test_a_sum_of_a_single_number_is_native():
    def f(w):
        def step(h, _):
            return np.tanh(h * w), np.sum(h, keepdims=True) + np.max(h)

        last, ys = td.scan(step, np.array(0.5), None, length=4)
        return np.sum(ys) + np.sum(last)

    w = np.array(1.5)
    assert_close(native(td.value_and_grad(f))(w), td.value_and_grad(f)(w))
    assert is_native(f, w)


@pytest.mark.parametrize("x", [2.0, np.float64(2), np.float32(2)], ids=lambda x: type(x).__name__)
def test_a_choice_of_numbers_is_a_number_of_that_kind(x):
    def choose(flag, x, y):
        chosen = td.cond(flag > 0, lambda x: 2 * x, lambda x: x - 1, x)
        return chosen, chosen * y

    y = np.ones(2, np.float32)
    first, second = native(choose)(1.0, x, y), native(choose)(-1.0, x, y)
    for got, wanted in ((first, choose(1.0, x, y)), (second, choose(-1.0, x, y))):
        assert type(got[0]) is type(wanted[0])
        assert_close(got, wanted)


def test_a_gradient_is_one_segment():
    text = str(native(td.value_and_grad(rnn)).program(W))
    assert "6 steps of" in text
    assert "6 steps backwards of" in text
    assert text.count("code = segment") == 1
    assert is_native(td.grad(rnn), W)


@pytest.mark.parametrize(
    "start", [np.array([1.0, 0.5]), {"q": 1.0, "v": 0.5}], ids=["array", "tree"]
)
def test_slopes_that_are_made_of_numbers_are_native(start):
    """As equations are written down: state by state."""

    def pendulum(y, t, rate):
        if isinstance(y, dict):
            return {"q": y["v"], "v": -rate * np.sin(t + y["q"])}
        return np.stack([y[1], -rate * np.sin(t + y[0])])

    def loss(rate):
        ys = td.odeint(pendulum, start, np.linspace(0, 1, 5), rate, method="rk4")
        return sum(np.sum(y * y) for y in tree.flatten(ys)[0])

    for f in (loss, td.grad(loss)):
        rate = np.float64(2.0)
        assert is_native(f, rate)
        assert_close(native(f)(rate), f(rate))


def test_an_error_inside_a_loop_is_that_of_numpy():
    f = native(lambda x, at: td.scan(lambda c, i: (c + x[i], c), np.zeros(3), at))
    assert_close(
        f(W, np.array([0, 2, -1])), (W[0] + W[2] + W[-1], np.cumsum([0 * H, W[0], W[2]], 0))
    )
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        f(W, np.array([0, 3, 1]))


def test_loops_of_no_steps():
    f = native(lambda xs: td.scan(lambda c, x: (c + x, c), H, xs))
    last, ys = f(XS[:0])
    assert_allclose(last, H)
    assert ys.shape == (0, 3)
    while_ = native(lambda h: td.while_loop(lambda c: np.sum(c) < -1e9, lambda c: c + 1, h))
    assert_allclose(while_(H), H)


def test_results_are_the_callers_own():
    f = native(lambda h, xs: td.scan(lambda c, x: (x, (c, h)), h, xs))
    last, (ys, hs) = f(H, XS)
    again = [x.copy() for x in (last, ys, hs)]
    f(2 * H, -XS)
    for x, y in zip((last, ys, hs), again, strict=True):
        assert_allclose(x, y, rtol=0)
        assert not any(np.shares_memory(x, other) for other in (H, XS))


def test_operands_may_lie_in_any_order():
    def f(w, xs):
        return td.scan(lambda h, x: (np.tanh(w.T @ h + x), h[::-1]), H, xs.T)

    spread = np.repeat(XS.T, 2, 0)[::2]
    for w, xs in ((np.asfortranarray(W), XS.T), (W, spread), (W[:, ::-1], XS.T)):
        assert_close(native(f)(w, xs), f(w, xs))


def test_float32_stays():
    h, xs = H.astype("f4"), XS.astype("f4")

    def f(w):
        return td.scan(lambda h, x: (np.tanh(h @ w + x), h), h, xs)

    w = W.astype("f4")
    assert_close(native(f)(w), f(w), 1e-6)
    assert is_native(f, w)


def test_the_text_does_not_depend_on_the_number_of_steps():
    def count_lines(n):
        f = native(td.grad(lambda w: np.sum(td.fori_loop(0, n, lambda _, h: np.tanh(h @ w), H))))
        return len(str(f.program(W)).splitlines())

    assert count_lines(10) == count_lines(10_000)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (20, 3)])
def test_products_of_few_rows_are_multiplied_at_once(shape):
    xs = np.random.default_rng(1).standard_normal((5, *shape))

    def loss(w, u, b):
        h, hs = td.scan(lambda h, x: (np.tanh(h @ w + x @ u + b), h), 0 * xs[0], xs)
        return np.sum(h) + np.sum(hs**2)

    args = W, W - 1, H
    f = td.grad(loss, (0, 1, 2))
    assert_close(native(f)(*args), f(*args))
    text = str(native(f).program(*args))
    assert (f"float64(3, {5 * xs[0].size // 3})" in text) == (shape != (20, 3))


def test_sums_of_products_are_stacked_only_beside_as_much_else():
    def f(w):
        step = lambda i, c: (c[0] + c[1][:, None] * c[1], np.tanh(c[1] @ w))  # noqa: E731
        return td.fori_loop(0, 50, step, (0 * w, H))

    assert_close(native(f)(W), f(W))
    assert "(50, 3, 3)" not in (text := str(native(f).program(W)))
    assert "(50, 3)" not in text


def test_a_number_and_an_array_without_axes_are_read_as_what_they_are():
    for k in (np.float64(1.5), np.array(1.5), np.float64(2.5), np.array(2.5)):
        jitted = native(lambda k: td.scan(lambda c, x: (c * k + x, c), H, XS))
        assert_close(jitted(k), td.scan(lambda c, x, k=k: (c * k + x, c), H, XS))


def test_a_known_number_may_be_put_in_a_place():
    zero = np.array(0.0)
    f = native(lambda h: td.at(h)[1].set(zero))
    assert_allclose(f(H), [H[0], 0, H[2]])
    assert is_native(lambda h: td.at(h)[1].set(zero), H)


def test_truth_values_may_be_turned():
    f = native(lambda h: td.while_loop(lambda c: ~(np.sum(c) > 9), lambda c: c + 1, h))
    assert np.sum(f(H)) > 9
    assert is_native(lambda h: ~(h > 0), H)


more_bodies = st.lists(st.sampled_from(sorted({*OPS} - {"sorted"})), min_size=1, max_size=3)


@settings(max_examples=8)
@given(more_bodies, st.booleans(), st.sampled_from([0, 2]), st.sampled_from([1, 6]))
def test_any_scan_is_native_and_its_python_loop(names, reverse, checkpoint, length):
    def loss(w, h, xs):
        how = {"reverse": reverse, "checkpoint": checkpoint}
        h, (a, b) = td.scan(make_step(names, w), h, xs, **how)
        return np.sum(h) + np.sum(a * np.cos(a)) + np.sum(b)

    args = W, H, XS[:length]
    assert_close(native(loss)(*args), loss(*args))
    gradient = td.grad(loss, (0, 1, 2))
    with quiet():
        assert_close(native(gradient)(*args), gradient(*args))
    assert is_native(gradient, *args)


def test_a_million_steps_take_no_memory():
    code = """
    import resource, numpy as np, tinygrad_digits as td
    f = td.jit(lambda h, n: td.fori_loop(0, n, lambda i, h: 0.5 * h + 1.0, h), backend="native",
               static_argnames="n")
    f(np.ones(8), 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    f(np.ones(8), 1_000_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert int(ran.stdout) < 4000  # kB: of machine code and its compilation
