"""Loops and branches under jit: as they are without it, differentiated and batched."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.checks import quiet
from tests.jit_programs import BACKENDS, skip_without
from tests.loop_programs import PROGRAMS, TRANSFORMS, WS, XS, H, W, rnn
from tinygrad_digits.compiler.control import SCAN, SWITCH, WHILE
from tinygrad_digits.support import tree

program = pytest.mark.parametrize("f", PROGRAMS.values(), ids=PROGRAMS)


def assert_close(a, b):
    for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True):
        assert (np.shape(x), np.asarray(x).dtype) == (np.shape(y), np.asarray(y).dtype)
        assert_allclose(x, y, rtol=1e-10, atol=1e-11)


@program
def test_a_program_has_the_bits_of_the_loop(f):
    jitted, wanted = td.jit(f), f(W)
    for _ in range(2):
        assert np.asarray(jitted(W)).tobytes() == np.asarray(wanted).tobytes()


@program
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_derivatives_of_programs_are_those_of_the_loop(f, transform):
    with quiet():
        assert_close(td.jit(transform(f))(W), transform(f)(W))


@program
def test_a_batch_of_programs_is_a_program_of_the_batch(f):
    with quiet():
        singly = np.stack([f(w) for w in WS])
        assert_close(td.jit(td.vmap(f))(WS), singly)
        assert_close(td.vmap(td.jit(f))(WS), singly)


@program
def test_gradients_of_a_batch(f):
    with quiet():
        singly = np.stack([td.grad(f)(w) for w in WS])
        assert_close(td.jit(td.vmap(td.grad(f)))(WS), singly)
        assert_close(td.jit(td.grad(lambda ws: np.sum(td.vmap(f)(ws))))(WS), singly)


# --- bodies that hypothesis draws

OPS = {
    "tanh": lambda h, _x, _w: np.tanh(h),
    "sin": lambda h, x, _w: np.sin(h + x),
    "matmul": lambda h, _x, w: h @ w,
    "times x": lambda h, x, _w: h * x,
    "norm": lambda h, _x, _w: h / np.sqrt(1 + np.sum(h**2)),
    "reverse": lambda h, x, _w: h[::-1] + x,
    "first": lambda h, x, _w: h + 0.5 * x[0],
    "where": lambda h, x, _w: np.where(x > 0, h, np.cos(h)),
    "maximum": lambda h, x, w: np.maximum(h, x + w[1]),
    "sorted": lambda h, _x, _w: np.sort(h),
}
bodies = st.lists(st.sampled_from(sorted(OPS)), min_size=1, max_size=4)


def make_step(names, w):
    def step(h, x):
        before = h
        for name in names:
            h = OPS[name](h, x, w)
        return h, (before * h, np.sum(h))

    return step


def unrolled(step, h, xs, reverse):
    ys = [None] * len(xs)
    for i in reversed(range(len(xs))) if reverse else range(len(xs)):
        h, ys[i] = step(h, xs[i])
    return h, tuple(map(np.stack, zip(*ys, strict=True)))


@pytest.mark.slow  # five programs an example
@given(bodies, st.booleans(), st.sampled_from([0, 1, 2, 5]))
def test_any_scan_is_its_python_loop(names, reverse, checkpoint):
    def loss(run):
        def value(w, h, xs):
            h, (a, b) = run(make_step(names, w), h, xs)
            return np.sum(h) + np.sum(a * np.cos(a)) + np.sum(b) + np.sum(w**2)

        return value

    loop = loss(lambda step, h, xs: unrolled(step, h, xs, reverse))
    scan = loss(lambda step, h, xs: td.scan(step, h, xs, reverse=reverse, checkpoint=checkpoint))
    args = W, H, XS
    assert scan(*args) == loop(*args) == td.jit(scan)(*args)
    grads = td.grad(loop, (0, 1, 2))(*args)
    assert_close(td.grad(scan, (0, 1, 2))(*args), grads)
    assert_close(td.jit(td.grad(scan, (0, 1, 2)))(*args), grads)
    second = td.grad(lambda *a: np.sum(td.grad(loop)(*a) ** 2))(*args)
    assert_close(td.jit(td.grad(lambda *a: np.sum(td.grad(scan)(*a) ** 2)))(*args), second)
    wanted = np.stack([td.grad(loop)(w, H, XS) for w in WS])
    assert_close(td.jit(td.vmap(td.grad(scan), (0, None, None)))(WS, H, XS), wanted)


# --- what a program is made of


def held(program, op):
    return [eqn for eqn in program.equations.values() if eqn.op is op]


def test_a_loop_is_one_equation_however_long_it_is():
    def made(n):
        return td.jit(td.grad(lambda w: rnn_of(w, n))).program(W).final

    def rnn_of(w, n):
        return np.sum(td.scan(lambda h, _: (np.tanh(h @ w), None), H, length=n)[0])

    short, long = made(3), made(3000)
    assert len(short.equations) == len(long.equations)
    assert [len(held(each, SCAN)) for each in (short, long)] == [2, 2]
    for a, b in zip(held(short, SCAN), held(long, SCAN), strict=True):
        assert (a.options["loop"].length, b.options["loop"].length) == (3, 3000)
        assert str(a.options["loop"].step.program) == str(b.options["loop"].step.program)


def test_examples_of_what_only_the_derivative_reads_are_not_written():
    def f(w):
        return np.sum(td.scan(lambda h, _: (np.tanh(h @ w), np.sin(h)), H, length=9)[1])

    (forward, _) = held(td.jit(td.grad(f)).program(W).stages[0].program, SCAN)
    loop = forward.options["loop"]
    last, ys, *residuals = loop.example()
    assert len(residuals) == loop.residuals > 0
    assert last.shape == (3,)
    assert ys.shape == (9, 3)
    assert not any(np.any(x) for x in residuals)
    pruned = held(td.jit(td.grad(f)).program(W).final, SCAN)[0].options["loop"]
    assert len(pruned.example()) == len(pruned.step.returned) >= pruned.residuals


def test_what_only_unread_results_need_is_not_stacked_by_the_loop_around():
    def f(w):
        def inner(h, x):
            h = np.tanh(h @ w + x)
            return h, np.exp(np.sin(2 * h) @ w)

        outer = td.scan(lambda h, _: (td.scan(inner, h, XS)[0], None), H, length=3)
        return np.sum(outer[0])

    forward, _ = held(td.jit(td.grad(f)).program(W).final, SCAN)
    (inside,) = held(forward.options["loop"].step.program, SCAN)
    ops = {eqn.op.name for eqn in inside.options["loop"].step.program.equations.values()}
    assert ops == {"matmul", "add", "tanh"}
    assert_close(td.jit(td.grad(f))(W), td.grad(f)(W))


def test_what_costs_less_than_memory_is_computed_again():
    def f(w):
        def step(h, x):
            forget = np.tanh(h @ w)
            return forget * h + (1 - forget) * x, None

        return np.sum(td.scan(step, H, XS)[0])

    forward, _ = held(td.jit(td.grad(f)).program(W).final, SCAN)
    step = forward.options["loop"].step.program
    kept = [step.equations[x.index].op.name for x in step.outputs if x.index in step.equations]
    assert "tanh" in kept
    assert "subtract" not in kept
    assert_close(td.jit(td.grad(f))(W), td.grad(f)(W))


def test_what_nobody_reads_is_not_computed_in_the_loop():
    def f(w):
        def step(c, x):
            a, b = c
            return (np.tanh(a @ w + x), np.exp(b)), (np.sin(a), b)

        (a, _), _ = td.scan(step, (H, H), XS)
        return a

    (scan,) = held(td.jit(f).program(W).final, SCAN)
    names = [eqn.op.name for eqn in scan.options["loop"].step.program.equations.values()]
    assert names == ["matmul", "add", "tanh"]
    assert len(scan.options["loop"].step.returned) == 1


def test_what_is_the_same_in_every_step_is_computed_before_the_loop():
    program = td.jit(lambda w: td.scan(lambda h, x: (h @ np.exp(w).T + x, None), H, XS)[0])
    final = program.program(W).final
    assert [eqn.op.name for eqn in final.equations.values()][:2] == ["exp", "transpose"]
    (scan,) = held(final, SCAN)
    names = [eqn.op.name for eqn in scan.options["loop"].step.program.equations.values()]
    assert names == ["matmul", "add"]


def test_only_the_chosen_branch_runs():
    def f(x):
        return td.cond(np.sum(x) > 0, lambda: np.linalg.inv(x), lambda: x)

    jitted = td.jit(f)
    np.testing.assert_array_equal(jitted(-np.ones((2, 2))), -np.ones((2, 2)))  # no inverse
    with pytest.raises(np.linalg.LinAlgError):
        jitted(np.ones((2, 2)))
    assert len(held(jitted.program(np.eye(2)).final, SWITCH)) == 1


def test_a_predicate_that_is_known_leaves_no_choice():
    program = td.jit(lambda x, flag: td.cond(flag, np.sin, np.cos, x)).program(H, True).final
    assert [eqn.op.name for eqn in program.equations.values()] == ["sin"]


def test_a_printed_program_shows_the_steps():
    text = str(td.jit(rnn).program(W).final)
    assert "loop=6 steps" in text
    assert re.search(r"^ +\| %\d+ +tanh %\d+ ", text, re.M)
    assert "for i in range(6):" in td.jit(rnn).program(W).source


# --- what it costs


def peak(f, *args):
    f(*args)
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_scan(n, checkpoint=False):
    start = np.full((4, 16), 0.1)

    def loss(w):
        return np.sum(
            td.scan(lambda h, _: (np.tanh(h @ w), None), start, length=n, checkpoint=checkpoint)[0]
        )

    return loss


BIG = np.random.default_rng(0).standard_normal((16, 16)) / 8


@pytest.mark.parametrize(
    "how", [pytest.param(lambda f: f, id="eager", marks=pytest.mark.slow), td.jit]
)
def test_checkpoints_need_the_memory_of_a_square_root(how):
    plain, less = (how(td.grad(long_scan(1600, checkpoint=k))) for k in (False, True))
    assert_close(less(BIG), plain(BIG))
    assert peak(less, BIG) < peak(plain, BIG) / 5
    assert peak(how(td.grad(long_scan(3200, True))), BIG) < 3 * peak(
        how(td.grad(long_scan(800, True))), BIG
    )


@pytest.mark.parametrize("how", [lambda f: f, td.jit], ids=["eager", "jit"])
def test_a_forward_pass_needs_no_memory_for_its_steps(how):
    few, many = how(long_scan(10)), how(long_scan(2000))
    assert peak(many, BIG) < peak(few, BIG) + 20_000


# --- what a step may use, and what not


def test_a_large_array_that_steps_use_is_one_constant_of_the_program(rng):
    """The steps of the loop and of its derivative read the same copy, and have none."""
    a, x = rng.standard_normal((2, 60, 60)) / 60

    def loss(params):
        def step(c, _):
            c = np.tanh(c @ a + params["used"])
            return c, np.sum(np.mean(c, 0))

        last, ys = td.scan(step, x, length=4)
        return np.sum(last**2) + np.sum(ys)

    params = {"used": x, "unused": 2 * x}
    jitted = td.jit(td.grad(loss))
    assert_close(jitted(params), td.grad(loss)(params))
    assert_close(td.grad(loss)(params)["unused"], 0 * x)
    program = jitted.program(params).final
    scans = held(program, SCAN)
    inside = [c for each in scans for c in each.options["loop"].step.program.constants.values()]
    assert len(scans) == 2
    assert [np.array_equal(c, a) for c in program.constants.values()].count(True) == 1
    assert not [c for c in inside if c.shape == a.shape]
    second = td.grad(lambda p: np.sum(td.grad(loss)(p)["used"] ** 2))
    assert_close(td.jit(second)(params), second(params))


def test_a_generator_goes_along_in_the_carry():
    def f(w, rng):
        def step(c, x):
            h, rng = c
            h = np.tanh(td.nn.dropout(h, 0.5, rng) @ w + x + rng.normal(size=3))
            return (h, rng), h

        (_, _), hs = td.scan(step, (H, rng), XS)
        return np.sum(hs**2)

    assert td.jit(f)(W, np.random.default_rng(3)) == f(W, np.random.default_rng(3))
    both = td.grad(f), td.jit(td.grad(f))
    assert_close(*[g(W, np.random.default_rng(3)) for g in both])
    jitted, rng = td.jit(f), np.random.default_rng(3)
    assert jitted(W, rng) != jitted(W, rng)  # it draws on


def step_with_noise(carry, x):
    rng, total = carry
    total = total + rng.normal() * x
    return (rng, total), total


def scan_with_noise(rng, xs, **how):
    return td.scan(step_with_noise, (rng, 0.0), xs, **how)


NOISY = {
    "scan": scan_with_noise,
    "scan in turns": lambda rng, xs: scan_with_noise(rng, xs, unroll=2),
    "scan backwards in turns": lambda rng, xs: scan_with_noise(rng, xs, unroll=3, reverse=True),
    "fori_loop": lambda rng, xs: td.fori_loop(
        0, 3, lambda _, c: step_with_noise(c, xs[0])[0], (rng, 0.0)
    ),
    "while_loop": lambda rng, xs: td.while_loop(
        lambda c: np.abs(c[1]) < 2, lambda c: step_with_noise(c, xs[0])[0], (rng, 0.0)
    ),
    "cond": lambda rng, xs: td.cond(
        xs[0] > 0, lambda c: step_with_noise(c, xs[0])[0], lambda c: c, (rng, 0.0)
    ),
}


@pytest.mark.parametrize("loop", NOISY.values(), ids=NOISY)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_generator_that_has_been_through_a_loop_draws_on(loop, backend):
    def f(rng, xs):
        carry = loop(rng, xs)
        rng, total = carry[0] if isinstance(carry[0], tuple) else carry
        after, _ = scan_with_noise(rng, xs)
        return total, after[1], after[0].normal(), rng.normal()

    skip_without(backend)
    for n in (1, 4, 5):
        jitted, xs = td.jit(f, backend=backend), np.arange(1.0, n + 1)
        ours, theirs = np.random.default_rng(n), np.random.default_rng(n)
        for _ in range(2):
            assert_close(jitted(ours, xs), f(theirs, xs))
        assert ours.bit_generator.state == theirs.bit_generator.state


def test_generators_that_change_places_are_refused():
    def swap(c, _=None):
        a, b, total = c
        return b, a, total + a.normal()

    loops = {
        "scan": lambda c: td.scan(lambda c, x: (swap(c), x), c, None, length=3)[0],
        "while_loop": lambda c: td.while_loop(lambda c: c[2] < 1, swap, c),
        "cond": lambda c: td.cond(c[2] > 0, swap, lambda c: c, c),
    }
    for name, loop in loops.items():

        def f(a, b, total, loop=loop):
            return loop((a, b, total))[2]

        rngs = np.random.default_rng(0), np.random.default_rng(1)
        with pytest.raises(td.errors.ShapeError, match=f"{name}: .*generator"):
            td.jit(f)(*rngs, np.float64(0))


@pytest.mark.parametrize("unroll", [1, 2])
def test_what_steps_return_is_checked_in_turns_as_in_steps(unroll):
    def run(step):
        return td.jit(lambda xs: td.scan(step, 0.0, xs, unroll=unroll))(np.arange(4.0))

    with pytest.raises(td.errors.ShapeError, match=r"from float64\(\) to dict\(\['a'\]: float64"):
        run(lambda c, x: ({"a": c}, x))
    with pytest.raises(TypeError, match="a step returns a pair"):
        run(lambda c, _: c)
    with pytest.raises(td.errors.ShapeError, match="carry is float64"):  # and is again, after two
        run(lambda c, x: ((c[0] if np.ndim(c) else c * np.ones(2)), x))


def test_a_generator_from_outside_draws_in_every_step():
    def f(h, rng):
        return td.scan(lambda h, _: (h + rng.normal(size=3), None), h, length=4)[0]

    assert_close(td.jit(f)(H, np.random.default_rng(0)), f(H, np.random.default_rng(0)))


def test_a_generator_that_would_draw_once_is_refused():
    class Noise:
        def __call__(self, h, _):
            return h + self.rng.normal(size=3), None

    def f(h, rng):
        noise = Noise()
        noise.rng = rng
        return td.scan(noise, h, length=4)[0]

    with pytest.raises(td.errors.TracedValueError, match="part of the carry"):
        td.jit(f)(H, np.random.default_rng(0))


def test_a_branch_may_use_what_it_closes_over_alone():
    """It runs only where it is chosen, and its gradient is 0, not 0 times NaN, where it is not."""

    def f(x):
        return td.cond(x > 0, lambda: np.sqrt(x), lambda: x**2)

    with np.errstate(invalid="raise"):
        assert td.jit(td.value_and_grad(f))(-2.0) == (4.0, -4.0)
        assert td.jit(td.value_and_grad(f))(4.0) == (2.0, 0.25)


def test_a_branch_that_computes_outside_is_refused():
    class Root:
        def __call__(self):
            return np.sqrt(self.x)

    def f(x):
        root = Root()
        root.x = x
        return td.cond(x > 0, root, lambda: x)

    with pytest.raises(td.errors.TracedValueError, match=r"sqrt in a branch.*as an operand"):
        td.jit(f)(-2.0)


def test_checkpoints_draw_the_same_again():
    def f(w, rng, checkpoint):
        def step(c, x):
            w, h, rng = c
            return (w, np.tanh(h @ w + x + rng.normal(size=3)), rng), None

        return np.sum(td.scan(step, (w, H, rng), XS, checkpoint=checkpoint)[0][1])

    plain, less = (td.grad(f)(W, np.random.default_rng(5), k) for k in (False, 2))
    assert_close(less, plain)


def test_a_branch_that_draws_has_no_derivative():
    def f(x, rng):
        return np.sum(td.cond(x[0] > 0, lambda: x * rng.normal(size=3), lambda: x))

    for x in (H, -H):
        assert td.jit(f)(x, np.random.default_rng(1)) == f(x, np.random.default_rng(1))
    with pytest.raises(td.errors.NotDifferentiableError, match="draw before the branch"):
        td.jit(td.grad(f))(H, np.random.default_rng(1))


def test_carries_may_be_donated():
    jitted = td.jit(lambda h, xs: td.scan(lambda c, x: (c + x, None), h, xs)[0], donate="h")
    assert_close(jitted(H.copy(), XS), H + XS.sum(0))


def test_results_are_nobody_elses_memory():
    f = td.jit(lambda h: td.scan(lambda c, x: (c + x, c + x), h, XS))
    first, ys = f(H)
    kept = first.copy(), ys.copy()
    second, _ = f(2 * H)
    assert not np.shares_memory(first, ys)
    assert not np.shares_memory(first, second)
    assert_close((first, ys), kept)
    x = H.copy()
    td.jit(lambda h: td.scan(lambda c, _: (2 * c, None), h, length=2)[0])(x)
    np.testing.assert_array_equal(x, H)


def test_floats_of_single_precision_stay_that():
    f = td.jit(
        td.value_and_grad(
            lambda w, h, xs: np.sum(td.scan(lambda h, x: (np.tanh(h @ w + 0.5 * x), h), h, xs)[1])
        )
    )
    value, g = f(*(x.astype(np.float32) for x in (W, H, XS)))
    assert (value.dtype, g.dtype) == (np.float32, np.float32)


def test_a_carry_that_changes_is_named_under_jit_too():
    with pytest.raises(td.errors.ShapeError, match=r"carry\['h'\] is float64\(3,\)"):
        td.jit(lambda h: td.scan(lambda c, _: ({"h": c["h"][:2]}, None), {"h": h}, length=2))(H)
    with pytest.raises(td.errors.ShapeError, match="cond: the result changes its structure"):
        td.jit(lambda h: td.cond(h[0] > 0, lambda: h, lambda: (h, h)))(H)
    with pytest.raises(td.errors.ShapeError, match=r"switch: result is float64\(3,\)"):
        td.jit(lambda k: td.switch(k, [lambda: H, lambda: H[:2]]))(np.int64(0))


def test_branching_in_python_names_what_to_write():
    with pytest.raises(td.errors.TracedValueError, match=r"(?s)if x > 0.*td\.cond.*td\.while_loop"):
        td.jit(lambda x: 1.0 if x > 0 else 2.0)(3.0)  # fmt: skip (`if x > 0` on this line)
    with pytest.raises(td.errors.TracedValueError, match=r"td\.at\(array\)\[index\]\.get\(\)"):
        td.jit(lambda i: H[i])(np.int64(1))


# --- loops of unknown length


def doubling(x, w):
    return td.while_loop(lambda c: c[1] < 100, lambda c: (c[0] + 1, c[1] * w), (0, x))[1]


def test_a_while_is_differentiated_forwards():
    x, w = np.float64(3), np.float64(1.7)
    f = td.jit(lambda x, w: td.jvp(doubling, (x, w), (1.0, 2.0)))
    assert_close(f(x, w), td.jvp(doubling, (x, w), (1.0, 2.0)))
    n = np.ceil(np.log(100 / 3) / np.log(1.7))
    assert_allclose(f(x, w)[1], 1.7**n + 2 * n * 3 * 1.7 ** (n - 1))
    rows = td.jit(td.jacobian(lambda x: doubling(x, w), mode="forward"))
    assert_allclose(rows(x), 1.7**n)
    assert len(held(f.program(x, w).final, WHILE)) == 2


@pytest.mark.parametrize("transform", [td.grad, td.jacobian, td.hessian])
def test_backwards_it_needs_to_know_how_many_steps_there_can_be(transform):
    with pytest.raises(td.errors.NotDifferentiableError, match=r"while_loop\(lambda.*max_steps=n"):
        td.jit(transform(lambda x: doubling(x, 2.0)))(3.0)
    td.grad(lambda x: doubling(x, 2.0))(3.0)  # without jit the steps are recorded


def test_a_count_that_is_traced_makes_a_while():
    f = td.jit(lambda n, x: td.fori_loop(0, n, lambda i, c: 1.1 * c + i, x))
    for n in (np.int64(0), np.int64(5)):
        assert_close(f(n, H), td.fori_loop(0, n, lambda i, c: 1.1 * c + i, H))
    assert f.cache_info().traces == 1


def test_max_steps_ends_a_while():
    for how in (lambda f: f, td.jit):
        assert (
            how(lambda x: td.while_loop(lambda _: x < 9, lambda c: c + 1, x, max_steps=4))(1) == 5
        )


# --- draws

DRAWING = {
    "a number": lambda x, g: td.scan(lambda c, a: (c + a * g.random(), None), x[0], x)[0],
    "an array": lambda x, g: td.scan(lambda c, a: (c + a * g.normal(size=4), None), x[0], x)[0],
    "a result": lambda x, g: td.scan(lambda c, a: (c * a, g.random()), x[0], x)[0],
    "of a constant": lambda x, g: td.scan(
        lambda c, a: (c + td.nn.dropout(np.ones((4, 4)), 0.5, g) @ a, None), x[0], x
    )[0],
    "of a carry": lambda x, g: td.scan(
        lambda c, a: ((c[0] + td.nn.dropout(a, 0.5, c[1]) * c[1].random(), c[1]), None),
        (x[0], g),
        x,
    )[0][0],
    "in a loop": lambda x, g: td.scan(
        lambda c, a: (td.fori_loop(0, 2, lambda _, d: d * g.random() + a, c), None), x[0], x
    )[0],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", DRAWING.values(), ids=DRAWING)
def test_the_gradient_is_of_the_numbers_that_were_drawn(f, backend, rng):
    """They are kept for it: drawn once more they would be others."""
    skip_without(backend)
    x = rng.standard_normal((5, 4))

    def differentiate(x, g):
        return f(x, g), td.grad(lambda x: np.sum(f(x, g) ** 2))(x)

    ours, theirs = np.random.default_rng(0), np.random.default_rng(0)
    got = td.jit(differentiate, backend=backend)(x, ours)
    for a, b in zip(got, differentiate(x, theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert ours.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_branch_that_is_not_taken_may_have_no_value(backend):
    """Its index need not be one."""
    skip_without(backend)

    def choose(x, i):
        return td.cond(np.max(i) < 3, lambda x: x[i], lambda x: x[i * 0], x)

    jitted = td.jit(choose, backend=backend)
    x = np.arange(3.0)
    for i in (np.array([0, 99]), np.array([2, 1])):
        np.testing.assert_array_equal(jitted(x, i), choose(x, i))


def test_an_error_in_a_step_says_what_eager_says():
    skip_without("native")

    def run(x, labels):
        return td.scan(lambda c, a: (c + td.nn.cross_entropy(x, a), None), 0.0, labels)[0]

    with pytest.raises(td.errors.ShapeError, match=r"labels must be integers in 0 .*3, got 9"):
        td.jit(run, backend="native")(np.ones((2, 4)), np.array([[0, 1], [9, 9]]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_without_max_steps_is_refused_by_each_backend(backend):
    skip_without(backend)

    def run(x):
        return td.while_loop(lambda c: c < 20, lambda c: c * 1.5, x)

    with pytest.raises(td.errors.NotDifferentiableError, match="max_steps"):
        td.jit(td.grad(run), backend=backend)(1.0)
