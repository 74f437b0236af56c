"""debug: the first op that makes a NaN or an infinity, and arrays that change under the tape."""

import inspect
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td

X = np.array([0.5, 2.0])


def line_of(f, text):
    lines, start = inspect.getsourcelines(f)
    return next(start + k for k, line in enumerate(lines) if text in line)


# --- what is fine stays as it is


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_sound_function_is_not_changed(dtype, shape, rng):
    params = {"w": np.asarray(rng.random(shape), dtype), "name": "net", "n": 3}

    def f(params, rate):
        return td.tree.map(
            lambda w, g: w - rate * g if isinstance(g, np.ndarray | np.generic) else w,
            params,
            td.grad(lambda p: np.sum(np.tanh(p["w"]) ** p["n"]))({**params, "n": 3}),
        )

    def gradient(params):
        return td.grad(lambda w: np.sum(np.tanh(w) ** 3))(params["w"])

    got, wanted = td.debug(gradient)(params), gradient(params)
    assert_array_equal(got, wanted)
    assert (type(got), got.dtype) == (type(wanted), wanted.dtype)
    assert not np.shares_memory(got, params["w"])


def test_python_numbers_do_not_widen_float32():
    x = np.ones(2, np.float32)
    update = td.debug(lambda x, rate: x - rate * 2 * x)
    assert update(x, 0.1).dtype == np.float32
    assert td.debug(td.grad(lambda x: x**3))(2.0) == 12


def test_it_composes_with_the_other_transforms():
    def f(x):
        return np.sum(np.exp(x))

    x = np.array([0.0, 1.0])
    expected = np.exp(x)
    for transformed in (
        td.debug(td.grad(f)),
        td.grad(td.debug(f)),
        td.debug(td.debug(td.grad(f))),
        td.debug(td.jit(td.grad(f))),
        td.grad(lambda x: np.sum(td.debug(td.grad(f))(x))),
    ):
        np.testing.assert_allclose(transformed(x), expected, rtol=1e-15)


def test_infinities_that_were_given_are_no_fault():
    x = np.array([0.0, -np.inf])
    assert_array_equal(td.debug(lambda x: np.exp(x) + 1)(x), [2, 1])
    assert td.debug(lambda x: np.where(x > 0, x, -np.inf))(np.array([1.0]))[0] == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(td.nn.softmax(np.where(x > 0, x, -np.inf))),
        lambda x: np.sum(np.exp(td.at(x)[0].set(-np.inf))),
        lambda x: np.sum(td.nn.max_pool2d(x[None, None, None], (1, 2), padding=(0, 1))),
        lambda x: np.sum(np.where(x > 0, x, np.nan)[:1]),
    ],
    ids=["mask", "put", "pool", "nan"],
)
def test_nor_are_those_that_the_code_writes(f):
    x = np.array([1.0, -1.0, 2.0])
    assert_array_equal(td.debug(td.grad(f))(x), td.grad(f)(x))


def test_a_derivative_of_ones_own_holds_outside_of_debug():
    clipped = td.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: (np.clip(g, -1, 1),))

    def f(x):
        return np.sum(clipped(x) ** 2) + np.sum(td.checkpoint(np.sin)(x))

    def root(a):
        return td.fixed_point(lambda a, x: (x + a / x) / 2, a, 1.0)

    x = np.array([0.1, 5.0])
    assert_array_equal(td.grad(td.debug(f))(x), td.grad(f)(x))
    assert_array_equal(td.hessian(td.debug(f))(x), td.hessian(f)(x))
    assert td.grad(td.debug(root))(4.0) == td.grad(root)(4.0)


def test_ones_own_function_is_looked_at_under_a_gradient():
    with pytest.raises(td.errors.NonFiniteError, match="log made an infinity"):
        td.grad(td.debug(td.checkpoint(np.log)))(0.0)


def test_under_vmap_all_examples_are_looked_at():
    f = td.debug(td.grad(lambda x: np.sum(np.log(x))))
    assert_array_equal(td.vmap(f)(np.array([[1.0, 2.0], [4.0, 0.5]])), [[1, 0.5], [0.25, 2]])
    with pytest.raises(td.errors.NonFiniteError, match=r"log made an infinity.*(?s:.)*at \[1, 0\]"):
        td.vmap(f)(np.array([[1.0, 2.0], [0.0, 1.0]]))


def test_a_program_is_debugged_from_outside():
    with pytest.raises(td.errors.TracedValueError, match=r"td\.debug\(td\.jit\(f\)\)"):
        td.jit(td.debug(np.log))(np.ones(2))


# --- what is not


def unstable(x):
    p = np.exp(x) / np.sum(np.exp(x))
    return -np.log(p[0])


def test_the_first_bad_op_is_named_with_line_ranges_and_advice():
    with pytest.raises(td.errors.NonFiniteError) as caught:
        td.debug(td.grad(unstable))(np.array([1.0, 1000.0]))
    message = str(caught.value)
    assert message.startswith("exp made an infinity out of finite numbers")
    assert f"{__file__}:{line_of(unstable, 'p = np.exp')}" in message
    assert "p = np.exp(x) / np.sum(np.exp(x))" in message
    assert "in [1, 1000], 1000 at [1]" in message
    assert "td.nn.softmax" in message
    assert isinstance(caught.value, FloatingPointError)


def test_a_bad_op_of_the_reverse_sweep_is_named_by_the_op_it_differentiates():
    def f(x):
        a = x * 2
        b = np.sqrt(a)  # here
        return np.sum(b) + np.sum(np.sqrt(x + 1))

    with pytest.raises(td.errors.NonFiniteError) as caught:
        td.debug(td.grad(f))(np.array([1.0, 0.0]))
    message = str(caught.value)
    assert message.startswith("the derivative of sqrt made an infinity")
    assert f":{line_of(f, '# here')}" in message
    assert "inf at [1]" in message
    assert "np.hypot" in message


@pytest.mark.parametrize(
    ("f", "x", "what"),
    [
        (np.log, 0.0, "log made an infinity"),
        (np.log, -1.0, "log made NaN"),
        (lambda x: x / (x - 1), np.ones(2), "divide made an infinity"),
        (np.arccos, 2.0, "arccos made NaN"),
        (np.sinh, 1000.0, "sinh made an infinity"),
        (lambda x: np.prod(x * 1e200), np.ones(2), "prod made an infinity"),
        (lambda x: x @ x, np.full(2, 1e200), "matmul made an infinity"),
        (td.grad(lambda x: x**0.5), 0.0, "derivative of power made an infinity"),
        (td.grad(lambda x: np.log(x * x)), 1e-170, "divide|log|derivative"),
        (td.grad(td.grad(lambda x: x**1.5)), 0.0, "derivative of power"),
    ],
)
def test_what_is_bad(f, x, what):
    with pytest.raises(td.errors.NonFiniteError, match=what):
        td.debug(f)(x)


def test_every_advice_belongs_to_an_op():
    from tinygrad_digits.looking.debugging import ADVICE

    assert ADVICE.keys() <= td.ops.OPS.keys()
    assert all(len(text) > 20 for text in ADVICE.values())


def test_there_is_no_switch_that_stays_on():
    with pytest.raises(td.errors.NonFiniteError):
        td.debug(td.grad(np.sqrt))(0.0)
    assert td.grad(np.sqrt)(0.0) == np.inf
    before = np.geterr()
    found = []

    def bad():
        try:
            td.debug(td.grad(np.sqrt))(0.0)
        except td.errors.NonFiniteError as error:
            found.append(error)

    threads = [threading.Thread(target=bad) for _ in range(4)]
    for thread in threads:
        thread.start()
        found.append(td.grad(np.sqrt)(0.0))
    for thread in threads:
        thread.join()
    assert sum(isinstance(x, td.errors.NonFiniteError) for x in found) == 4
    assert np.geterr() == before


def test_nothing_to_watch():
    with pytest.raises(td.errors.NotDifferentiableError, match="no floating-point argument"):
        td.debug(lambda n: n + 1)(3)


# --- arrays that change


def pulled(f):
    def pull(x):
        y, pullback = td.vjp(f, x)
        return pullback(y)

    return pull


def by_hand(f):
    def swept(x):
        tape = td.Tape()
        tensor = td.Tensor(x, tape)
        return tape.gradients(f(tensor), tensor)[0]

    return swept


@pytest.mark.parametrize("transform", [td.grad, pulled, by_hand, lambda f: by_hand(td.grad(f))])
def test_a_buffer_used_again(transform):
    def f(x):
        buffer = np.empty(2)
        for k in (1.0, 2.0):
            buffer[:] = k
            x = x * buffer  # here
        return np.sum(x)

    with pytest.raises(td.errors.ChangedArrayError) as caught:
        td.debug(transform(f))(np.ones(2))
    assert str(caught.value).count(f":{line_of(f, '# here')}") == 2
    assert "multiply" in str(caught.value)


def test_a_buffer_that_nothing_relies_on():
    def f(x):
        buffer, moment = np.empty(2), np.zeros(2)
        for k in (1.0, 2.0, 3.0):
            buffer[:] = k
            gradient = td.grad(lambda x: np.sum(np.tanh(x)))(x)
            moment *= 0.9
            moment += 0.1
            x = x * buffer - moment * gradient
        buffer[:] = 0
        return np.sum(x)

    assert td.debug(f)(np.ones(2)) == f(np.ones(2))
    assert td.debug(td.debug(f))(np.ones(2)) == f(np.ones(2))
    with pytest.raises(td.errors.ChangedArrayError):
        td.grad(td.debug(f))(np.ones(2))
    with pytest.raises(td.errors.ChangedArrayError):
        td.debug(by_hand(f))(np.ones(2))


def test_an_array_that_is_only_compared_with_may_change():
    def f(x):
        bound = np.ones(2)
        x = np.where(x > bound, x, 2 * x)
        bound[:] = 3
        return np.sum(np.where(x < bound, x, 3 * x))

    assert_array_equal(td.debug(td.grad(f))(X), td.grad(f)(X))


def test_assignments_are_looked_at():
    def f(x):
        y = 2.0 * x
        y[0] = x[1]
        y += 1.0
        y[1:] *= 3.0
        return np.sum(np.log(y))

    assert_array_equal(td.debug(td.grad(f))(X), td.grad(f)(X))
    with pytest.raises(td.errors.NonFiniteError, match="log made"):
        td.debug(f)(np.array([1.0, -1.0]))


def test_the_arguments_that_are_watched():
    def fill(x, batch, *, rate=1.0):
        buffer = np.empty(2)
        buffer[:] = batch
        return np.log(x * buffer) * rate

    x = np.ones(2)
    with pytest.raises(TypeError, match="plain array"):
        td.debug(fill)(x, x)
    for argnums in (0, (0,), -2):
        assert_array_equal(td.debug(fill, argnums)(x, x, rate=2.0), [0, 0])
        with pytest.raises(td.errors.NonFiniteError):
            td.debug(fill, argnums=argnums)(0 * x, x)
        assert list(td.record(fill, x, x, argnums=argnums).names.values()) == ["x"]
        assert [c.op for c in td.profile(fill, x, x, argnums=argnums, seconds=0.0).costs]
    assert [*td.record(lambda x, y: x * y, x, x).names.values()] == ["x", "y"]
    with pytest.raises(TypeError, match="argnums: 2"):
        td.debug(fill, 2)(x, x)
    with pytest.raises(td.errors.NotDifferentiableError, match="no floating-point argument"):
        td.debug(lambda n, x: x, 0)(1, x)


def test_minimize_is_looked_at_from_inside():
    def f(x):
        return np.sum(np.log(x) ** 2 + np.sqrt(x - 1))

    x = np.array([0.5, 2.0])
    with np.errstate(all="ignore"), pytest.raises(td.errors.NonFiniteError, match="sqrt made NaN"):
        td.minimize(td.debug(f), x)


def test_a_change_after_the_last_use():
    def f(x):
        c = np.ones(2)
        y = np.sum(x * c)
        c[:] = 5
        return y

    with pytest.raises(td.errors.ChangedArrayError, match="multiply used it"):
        td.debug(td.grad(f))(np.ones(2))
    with pytest.raises(td.errors.ChangedArrayError, match="when the function returned"):
        td.grad(td.debug(f))(np.ones(2))


def steps(x, batches):
    buffer = np.empty(2)
    for batch in batches:
        buffer[:] = batch
        x = x - td.grad(lambda x: np.sum((buffer * x) ** 2))(x)  # here
    return np.sum(x)


def test_a_buffer_may_change_when_its_gradient_is_done():
    batches = [[0.25, 0.5], [0.5, 0.75]]
    assert td.debug(lambda x: steps(x, batches))(np.ones(2)) == steps(np.ones(2), batches)


@pytest.mark.parametrize(
    "transformed", [lambda f: td.debug(td.grad(f)), lambda f: td.grad(td.debug(f))]
)
def test_but_not_when_a_gradient_around_it_is_not(transformed):
    with pytest.raises(td.errors.ChangedArrayError) as caught:
        transformed(lambda x: steps(x, [[0.25, 0.5], [0.5, 0.75]]))(np.ones(2))
    assert f":{line_of(steps, '# here')}" in str(caught.value)


@pytest.mark.parametrize("whole", [np.ones((2, 3)), np.ones((4, 3))[1:3]], ids=["own", "view"])
def test_a_change_that_the_sweep_reads_through_a_view(whole):
    def f(x):
        matrix = whole[:]
        y = np.sum((matrix @ x) ** 2)
        matrix[:] = 5
        return y

    with pytest.raises(td.errors.ChangedArrayError, match="matmul used it"):
        td.debug(td.grad(f))(np.ones(3))


def test_arrays_that_do_not_change_are_used_as_often_as_one_likes():
    c = np.array([1.0, np.nan])
    labels = np.array([1, 0])
    assert_array_equal(td.debug(lambda x: x * c + x * c * labels)(np.ones(2)), [2, np.nan])


# --- a tape says what it keeps, and when it is swept


def test_an_array_whose_values_no_derivative_reads_may_change():
    def f(x):
        buffer = np.empty(2)
        for k in (1.0, 2.0):
            buffer[:] = k
            x = x + buffer  # the derivative of a sum reads shapes alone
        return np.sum(x * x)

    assert_array_equal(td.debug(td.grad(f))(X), td.grad(f)(X))


@pytest.mark.parametrize("changing", [False, True])
def test_gradients_of_plain_arrays_whose_function_uses_what_is_watched(changing):
    """The tape of such a gradient meets the watched Tensor in the middle of its function."""

    def f(w):
        buffer = np.empty(2)
        total = 0.0
        for k in (1.0, 2.0):
            buffer[:] = k

            def inner(x):
                y = np.sum(np.tanh(x) * w * buffer)
                if changing:
                    buffer[:] = 7.0
                return y

            total = total + np.sum(td.grad(inner)(X))
        return total

    if changing:
        with pytest.raises(td.errors.ChangedArrayError, match="multiply used it"):
            td.debug(f)(np.ones(2))
    else:
        assert td.debug(f)(np.ones(2)) == f(np.ones(2))


def test_what_vjp_has_copied_may_change_and_what_it_copies_too_late_may_not():
    def f(x, changing=False):
        c = np.ones(2)

        def inner(x):
            y = np.sum(x * c)
            if changing:
                c[:] = 5.0
            return y

        _, pullback = td.vjp(inner, x)
        c[:] = 9.0
        return pullback(1.0)

    assert_array_equal(td.debug(f)(X), [1, 1])
    with pytest.raises(td.errors.ChangedArrayError, match="multiply used it"):
        td.debug(f)(X, changing=True)


def test_each_thread_is_told_of_its_own_rule():
    turns = threading.Barrier(2)
    told = {}

    def root(name):
        def rule(g, y, _x):
            turns.wait(10)  # both threads are in a rule now
            return g / (2 * y)

        return td.define(np.sqrt, rule, name=name)

    def differentiate(name, x):
        try:
            td.grad(root(name))(x)
        except td.errors.NonFiniteError as error:
            told[name] = str(error)

    def f(x):
        threads = [threading.Thread(target=differentiate, args=(k, x)) for k in ("this", "that")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return x

    td.debug(f)(0.0)
    for name in ("this", "that"):
        assert told[name].startswith(f"the derivative of {name} made an infinity")
