"""Loops and branches in machine code: as they are without it, and without a call of NumPy."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.checks import quiet
from tests.loop_programs import PROGRAMS, TRANSFORMS, WS, XS, H, W, rnn
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


def test_a_gradient_is_one_segment():
    text = str(native(td.value_and_grad(rnn)).program(W))
    assert "6 steps of" in text
    assert "6 steps backwards of" in text
    assert text.count("code = segment") == 1
    assert is_native(td.grad(rnn), W)


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
