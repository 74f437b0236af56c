"""Programs see no values, and side effects happen once: loud, or listed in docs/SURPRISES.md."""

# ruff: noqa: PLW0108 (the errors name the line of the lambda)

import inspect
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    check_calls,
)

X = np.array([1.0, -2.0, 3.0])

# --- Python cannot see values


def looping(x):
    while np.sum(x) < 100:
        x = x * 2
    return x


def asserting(x):
    assert x[0] > 0
    return x


def filling(x):
    a = np.zeros(3)
    a[0] = x[0]
    return a


def adding_up(x):
    a = np.zeros(3)
    a += x
    return a


NEEDS_VALUES = {
    "if": lambda x: x if x[0] > 0 else -x,
    "if array": lambda x: x if x.any() else -x,
    "while": looping,
    "assert": asserting,
    "and": lambda x: x[0] and x[1],
    "or": lambda x: x[0] or x[1],
    "not": lambda x: not x[0],
    "chained comparison": lambda x: 0 < x[0] < 1,
    "any": lambda x: any(x),
    "max": lambda x: max(x[0], x[1]),
    "sorted": lambda x: sorted(x),
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "bool": lambda x: bool(x[0]),
    "complex": lambda x: complex(x[0]),
    "math": lambda x: math.sqrt(x[0]),
    "np.float64": lambda x: np.float64(x[0]),
    "np.asarray": lambda x: np.asarray(x),
    "np.array": lambda x: np.array([x[0], x[1]]),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "value": lambda x: x.value,
    "range": lambda x: list(range(x.argmax())),
    "index of a list": lambda x: ["a", "b", "c"][x.argmax()],
    "repetition of a list": lambda x: [0] * x.argmax(),
    "format": lambda x: f"{x[0]:.3f}",
    "percent": lambda x: "%f" % x[0],  # noqa: UP031
    "in an array": lambda x: 1.0 in x,
    "in a list": lambda x: x[0] in [1.0, 2.0],
    "np.arange": lambda x: np.arange(x[0]),
    "np.full": lambda x: np.full(3, x[0]),
    "filling": filling,
    "axis": lambda x: np.sum(x.reshape(3, 1), axis=x.argmin()),
    "axis of a method": lambda x: x.reshape(3, 1).sum(axis=x.argmin()),
    "shape": lambda x: x.reshape(x.argmax(), -1),
    "broadcast_to": lambda x: np.broadcast_to(x, (x.argmax(), 3)),
    "repeat": lambda x: np.repeat(x, x.argmax()),
    "x[x > 0]": lambda x: x[x > 0],
    "nonzero": lambda x: np.nonzero(x),
    "where": lambda x: np.where(x > 0),
    "argwhere": lambda x: np.argwhere(x),
    "unique": lambda x: np.unique(x),
    "bincount": lambda x: np.bincount(x.astype(int)),
    "compress": lambda x: np.compress(x > 0, x),
    "extract": lambda x: np.extract(x > 0, x),
    "setxor1d": lambda x: np.setxor1d(x, x + 1),
    "union1d": lambda x: np.union1d(x, x),
    "delete": lambda x: np.delete(x, x.argmax()),
    "fill_diagonal": lambda x: np.fill_diagonal(x.reshape(1, 3), 0),
    "put": lambda x: np.put(x, [0], 1.0),
    "putmask": lambda x: np.putmask(x, x > 0, 1.0),
    "place": lambda x: np.place(x, x > 0, [1.0]),
    "add.at": lambda x: np.add.at(x, [0], 1.0),
}


@pytest.mark.parametrize("what", NEEDS_VALUES)
def test_python_cannot_see_a_traced_value(what, backend):
    f = NEEDS_VALUES[what]
    x, before = X.copy(), X.copy()
    jitted = td.jit(f, backend=backend)
    with pytest.raises(td.errors.TracedValueError) as caught:
        jitted(x)
    lines, first = inspect.getsourcelines(f)
    numbers = "|".join(str(first + k) for k in range(len(lines)))
    assert caught.match(rf"test_jit_values\.py:({numbers}): `.+`")
    assert_array_equal(x, before)
    with pytest.raises(td.errors.TracedValueError):  # again: nothing has been kept
        jitted(x)
    assert jitted.cache_info().programs == 0


def test_numpy_itself_refuses_a_traced_length(backend):
    with pytest.raises(TypeError, match="Traced"):
        td.jit(lambda x: np.zeros(x.argmax()), backend=backend)(X)


def test_the_error_names_the_line_in_the_function_that_f_calls():
    def helper(x):
        return 1.0 if x[0] > 0 else 0.0

    line = helper.__code__.co_firstlineno + 1
    with pytest.raises(
        td.errors.TracedValueError,
        match=rf"py:{line}: `return 1.0 if x\[0\] > 0 else",
    ):
        td.jit(lambda x: x * helper(x))(X)


@pytest.mark.parametrize("message", ["np.where", "static_argnames"])
def test_the_error_says_what_to_write(message):
    with pytest.raises(td.errors.TracedValueError, match=message):
        td.jit(lambda x: x if x > 0 else -x)(2.0)


def test_branching_inside_a_gradient_is_refused_too():
    with pytest.raises(td.errors.TracedValueError, match="branching"):
        td.jit(td.grad(lambda x: x * x if x > 0 else -x))(2.0)
    assert td.grad(lambda x: x * x if x > 0 else -x)(2.0) == 4


def test_writing_into_an_array_with_a_traced_one_is_refused():
    with pytest.raises(TypeError, match=r"h = h \+ x"):
        td.jit(adding_up)(X)
    with pytest.raises(TypeError, match="view of another"):
        td.jit(lambda x: np.broadcast_to(x, (2, *x.shape)).__setitem__(0, 1.0))(X)


def test_views_show_what_is_written():
    def f(x):
        first, flat = x[:1], np.reshape(x, -1)
        x[1:] *= 2.0
        first[0] = 9.0
        return x, first, flat * 1.0

    check_calls(lambda x: f(x.copy()), [(X,), (X + 1,)])
    x = X.copy()
    assert_array_equal(td.jit(f)(x)[1], [9.0])
    assert_array_equal(x, X)


def test_what_is_known_while_tracing():
    """Shapes, dtypes and ints are plain Python: loops and branches over them unroll."""

    def f(x, n):
        for row in x:
            for _ in range(n):
                x = x + row
        if x.ndim == 2 and len(x) == 3 and x.size > 4 and x.dtype == np.float64:
            x = x * x.shape[0]
        return x, f"{x}", repr(x)

    y, *texts = td.jit(f)(np.eye(3), 2)
    assert_array_equal(y, 3 * (np.eye(3) + 2))
    assert all("Traced" in text for text in texts)


def test_a_traced_float_is_not_a_float():
    assert td.jit(lambda x: isinstance(x, float))(2.0) is False
    assert td.jit(lambda x: isinstance(x, np.ndarray))(X) is False
    assert td.jit(lambda n: isinstance(n, int))(2) is True


def test_methods_of_arrays_and_their_functions_agree():
    def f(x):
        return x.cumsum(), x.prod(), x.mean(), x.T, x.round(1), x.clip(0, 1), np.cumprod(x)

    check_calls(f, [(X,), (-X,)])


# --- side effects happen once


def test_printing_happens_while_tracing(capsys):
    @td.jit
    def f(x):
        print("x is", x)  # noqa: T201
        return x + 1

    for _ in range(3):
        f(X)
    assert capsys.readouterr().out == "x is Traced(%0: float64(3,))\n"


def test_appending_happens_while_tracing():
    seen = []

    @td.jit
    def f(x):
        seen.append(x)
        return x + len(seen)

    assert [f(1.0) for _ in range(3)] == [2.0, 2.0, 2.0]
    assert len(seen) == 1
    with pytest.raises(td.errors.EscapedTensorError):
        seen[0] * 2
