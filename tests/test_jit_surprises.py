"""What may surprise about jit: each is loud, or listed in docs/SURPRISES.md."""

# ruff: noqa: PLW0108 (the errors name the line of the lambda)

import collections
import copy
import dataclasses
import enum
import functools
import importlib.util
import inspect
import math
import pickle
import re
import threading
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    arrays,
    assert_own_memory,
    assert_same,
    check_calls,
    copied,
    count_calls,
    skip_without,
)

X = np.array([1.0, -2.0, 3.0])


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    skip_without(request.param)
    return request.param


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
    assert caught.match(rf"test_jit_surprises\.py:({numbers}): `.+`")
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
        td.errors.TracedValueError, match=rf"py:{line}: `return 1.0 if x\[0\] > 0 else"
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


# --- what is captured is a constant


def test_a_captured_array_is_a_constant():
    a = np.ones(3)
    f = td.jit(lambda x: (x * a, a))
    first = f(X)
    a[:] = 5
    second = f(X)
    assert_same(second, first)
    assert_own_memory([first, second], a)
    a = np.zeros(3)
    assert_same(f(X), first)
    f.cache_clear()
    assert_array_equal(f(X)[0], X * 0)


def test_a_captured_number_is_a_constant():
    rate = 0.5
    f = td.jit(lambda x: x * rate)
    assert f(2.0) == 1
    rate = 0.25
    assert f(2.0) == 1


def test_a_default_is_a_constant():
    a = np.ones(3)

    @td.jit
    def f(x, a=a):
        return x * a

    f(X)
    a[:] = 2
    assert_array_equal(f(X), X)
    assert_array_equal(f(X, a), 2 * X)


class Model:
    """An instance whose method reads some of what it holds, in several ways."""

    def __init__(self, w):
        self.w = w
        self.settings = {"shift": [0.0]}
        self.part = Part(1.0)
        self.array = np.ones(2)
        self.history = []

    def __call__(self, x):
        return x * self.scale + self.settings["shift"][0] + self.part.times(x) + self.array.sum()

    @property
    def scale(self):
        return self.w

    def dynamic(self, x):
        return x * getattr(self, "".join("w"))


class Part:
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k

    def times(self, x):
        return x * self.k

    def __call__(self, x):
        return x * self.k


CHANGES = {
    "attribute": lambda model: setattr(model, "w", 5.0),
    "sign of zero": lambda model: setattr(model, "w", -0.0),
    "type": lambda model: setattr(model, "w", np.float32(2.0)),
    "item": lambda model: model.settings["shift"].__setitem__(0, 1.0),
    "key": lambda model: model.settings.update(shift=(2.0,)),
    "slot": lambda model: setattr(model.part, "k", 7.0),
    "part": lambda model: setattr(model, "part", Part(8.0)),
    "array": lambda model: setattr(model, "array", np.zeros(2)),
    "numbers in an array": lambda model: model.array.__imul__(3.0),
    "one number in an array": lambda model: model.array.__setitem__(1, -0.0),
}


def calling(*arguments):
    """A program that calls what it is given."""
    f = td.jit(lambda x, g, *given: g(*given, x))
    return lambda x: f(x, *arguments)


WAYS = ["method", "decorated", "object", "static", "argument", "partial"]
WAYS += ["bound argument", "partial argument", "function argument"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_an_instance_is_noticed(how, change):
    class Decorated(Model):
        jitted = td.jit(Model.__call__)

    model = Decorated(2.0)
    f = {
        "method": lambda: td.jit(model.__call__),
        "decorated": lambda: model.jitted,
        "object": lambda: td.jit(model),
        "partial": lambda: td.jit(functools.partial(model.__call__)),
        "argument": lambda: functools.partial(td.jit(Model.__call__), model),
        "static": lambda: functools.partial(td.jit(Model.__call__, static_argnames="self"), model),
        "bound argument": lambda: calling(model.__call__),
        "partial argument": lambda: calling(functools.partial(Model.__call__, model)),
        "function argument": lambda: calling(lambda model, x: model(x), model),
    }[how]()
    for _ in range(3):
        assert_same(f(3.0), model(3.0))
    CHANGES[change](model)
    for _ in range(3):
        assert_same(f(3.0), model(3.0))


def test_attributes_that_are_found_by_name_are_noticed():
    model = Model(2.0)
    f = td.jit(model.dynamic)
    assert f(1.0) == 2
    model.w = 5.0
    assert f(1.0) == 5


def test_what_a_partial_function_holds_may_change():
    factors = [2.0]
    g = functools.partial(lambda x, factors: x * factors[0], factors=factors)
    f = td.jit(lambda x, g: g(x), static_argnames="g")
    assert f(1.0, g) == 2
    factors[0] = 5.0
    assert f(1.0, g) == 5
    assert f(1.0, functools.partial(g.func, factors=[5.0])) == 5
    assert f.cache_info().traces == 2


def test_a_large_array_of_an_instance_is_looked_at_here_and_there():
    model = Model(2.0)
    model.array = np.ones(10_000)
    f = td.jit(model.__call__)
    assert f(1.0) == model(1.0)
    model.array *= 2.0
    assert f(1.0) == model(1.0)
    model.array[1] = 7.0
    assert f(1.0) != model(1.0)


def test_what_a_method_does_not_read_may_change():
    model = Model(2.0)
    f = td.jit(model.__call__)
    model.itself = model
    for _ in range(5):
        model.history.append(f(1.0))
        model.unread = object()
    assert f.cache_info().traces == 1


def test_an_instance_that_its_class_calls_equal_to_another_is_equal():
    class Wrapped:
        def __init__(self, k, name):
            self.k, self.name = k, name

        def __eq__(self, other):
            return self.k == other.k

        def __hash__(self):
            return hash(self.k)

    f = td.jit(lambda x, wrapped: x * wrapped.k)
    assert [f(2.0, Wrapped(k, "abcd"[k])) for k in (1, 2, 1, 2)] == [2, 4, 2, 4]
    assert f.cache_info().traces == 2


def test_a_large_instance_is_looked_at_in_part():
    counts = []
    for size in (1_000, 2_000):
        model = Model(2.0)
        model.settings = {"shift": [0.0, *range(size)]}
        f = td.jit(model.__call__)
        assert f(1.0) == model(1.0)
        counts.append(count_calls(f, 1.0))
        model.settings["shift"][0] = 1.0
        assert f(1.0) == model(1.0)
    assert counts[0] == counts[1]


def test_the_warning_names_the_attribute_that_changes():
    model = Model(2.0)

    def call_with(f, name, values):
        for value in values:
            setattr(model, name, value)
            f()

    method = td.jit(model.__call__)
    with pytest.warns(td.errors.RetraceWarning, match=r"Model\.w \(5, 6, 7\)"):
        call_with(lambda: method(1.0), "w", range(8))
    static = td.jit(lambda x, m: m(x), static_argnames="m")
    with pytest.warns(td.errors.RetraceWarning, match=r"m\.part \(Part at"):
        call_with(lambda: static(1.0, model), "part", map(Part, range(8)))


def test_attributes_that_are_no_fields_are_constants():
    net = Net(X, "net")
    net.scale = 2.0
    f = td.jit(lambda net: net.layer * net.scale)
    assert_array_equal(f(net), 2 * X)
    net.scale = 3.0
    assert_array_equal(f(net), 2 * X)


def test_a_buffer_that_f_fills_anew_is_taken_as_it_is_each_time():
    def f(x):
        mask, total = np.zeros(3), 0.0
        for i in range(3):
            mask[:] = 0
            mask[i] = i + 1
            total = total + np.sum(x * mask)
        return total, mask

    check_calls(f, [(X,), (2 * X,)])


@pytest.mark.parametrize("constant", [np.array(2.0), np.float32(2.0), np.ones(2), 2.0, 2, None])
def test_a_returned_constant_is_what_it_was(constant):
    check_calls(lambda x: (constant, x, [constant]), [(X,)])


# --- closing over a Tensor of an enclosing transform

GLOBAL: Any = 2.0


def times_global(x):
    return x * GLOBAL


class Box:
    w: Any = 2.0

    def times(self, x):
        return x * self.w


def set_global(w):
    globals()["GLOBAL"] = w


def by_cell():
    w = 2.0

    def put(new):
        nonlocal w
        w = new

    return lambda x: x * w, put


def by_nested_function():
    w = 2.0

    def put(new):
        nonlocal w
        w = new

    def inner(x):
        return (lambda y: y * w)(x)

    return lambda x: inner(x), put


def by_dict():
    held = {"a": {"w": 2.0}}
    return lambda x: x * held["a"]["w"], lambda w: held["a"].update(w=w)


def by_list():
    held = [2.0]
    return lambda x: x * held[0], lambda w: held.__setitem__(0, w)


def by_attribute():
    box = Box()
    return lambda x: x * box.w, lambda w: setattr(box, "w", w)


def by_method():
    box = Box()
    return box.times, lambda w: setattr(box, "w", w)


def by_default():
    held = [2.0]

    def f(x, held=held):
        return x * held[0]

    return f, lambda w: held.__setitem__(0, w)


def by_partial():
    held = [2.0]
    return functools.partial(lambda h, x: x * h[0], held), lambda w: held.__setitem__(0, w)


def by_function_in_a_dict():
    w = 2.0
    table = {"f": lambda x: x * w}

    def put(new):
        nonlocal w
        w = new

    return lambda x: table["f"](x), put


def by_inner_jit():
    w = 2.0
    inner = td.jit(lambda x: x * w)

    def put(new):
        nonlocal w
        w = new

    return lambda x: inner(x), put


WAYS = [
    *(by_cell, by_nested_function, by_dict, by_list, by_attribute, by_method, by_default),
    *(by_partial, by_function_in_a_dict, by_inner_jit, lambda: (times_global, set_global)),
]


@pytest.fixture
def global_restored():
    yield
    set_global(2.0)


@pytest.mark.usefixtures("global_restored")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("called_before", [False, True], ids=["fresh", "called before"])
def test_a_tensor_that_f_closes_over_is_not_baked(way, called_before):
    f, put = way()
    jitted = td.jit(f)
    if called_before:
        assert jitted(3.0) == 6.0

    def loss(w):
        put(w)
        return jitted(3.0)

    for _ in range(2):
        assert td.grad(loss)(2.0) == 3.0
        assert td.value_and_grad(loss)(5.0) == (15.0, 3.0)


def test_the_forms_of_closing_over_a_tensor():
    assert td.grad(lambda w: td.jit(lambda x: x * w)(3.0))(2.0) == 3
    assert td.grad(lambda w: td.jit(functools.partial(lambda w, x: x * w, w))(3.0))(2.0) == 3
    assert td.grad(lambda w: td.jit(lambda x, w=w: x * w)(3.0))(2.0) == 3
    assert td.grad(lambda w: td.jit(lambda x: w * w)(3.0))(2.0) == 4
    assert td.grad(lambda w: td.jit(lambda x: w)(3.0))(2.0) == 1
    assert td.grad(lambda w: td.jit(lambda: w * w)())(2.0) == 4
    assert td.grad(lambda w: td.jit(lambda x: np.where(x > w, x, 2 * x))(3.0) * w)(2.0) == 3
    assert td.grad(lambda w: td.jit(lambda x: x if x > w else 2 * x)(3.0) * w)(2.0) == 3
    assert td.grad(td.grad(lambda w: td.jit(lambda x: x * w**3)(3.0)))(2.0) == 36
    y, pullback = td.vjp(lambda w: td.jit(lambda x: x * w)(X), 2.0)
    assert_array_equal(y, 2 * X)
    assert pullback(np.ones(3)) == X.sum()


def test_a_jit_that_closes_over_a_traced_value_of_another():
    outer = td.jit(lambda w: td.jit(lambda x: x * w)(3.0))
    assert (outer(2.0), outer(5.0)) == (6, 15)
    assert outer.cache_info().traces == 1


# --- composition


def cubes(x):
    return np.sum(x**3)


def test_jit_composes_with_the_transforms(backend):
    jit = functools.partial(td.jit, backend=backend)
    for f in (
        jit(td.grad(cubes)),
        td.grad(jit(cubes)),
        jit(td.grad(jit(cubes))),
        jit(jit(td.grad(cubes))),
        jit(lambda x: jit(td.grad(cubes))(x)),
        jit(lambda x: td.vjp(cubes, x)[1](np.float64(1.0))),
        lambda x: td.vjp(jit(cubes), x)[1](1.0),
        jit(lambda x: td.value_and_grad(cubes)(x)[1]),
    ):
        assert_same(f(X), td.grad(cubes)(X), backend)
    hessian_row = td.grad(lambda x: td.grad(cubes)(x)[0])
    for f in (
        jit(hessian_row),
        td.grad(jit(lambda x: td.grad(cubes)(x)[0])),
        td.grad(lambda x: jit(td.grad(cubes))(x)[0]),
        jit(td.grad(lambda x: td.grad(jit(cubes))(x)[0])),
    ):
        assert_same(f(X), hessian_row(X), backend)


def test_a_jitted_function_under_a_transform_is_not_traced():
    f = td.jit(cubes)
    td.grad(f)(X)
    td.vjp(f, X)
    assert f.cache_info() == (0, 0, 64)
    with pytest.raises(TypeError, match="cubes is not compiled for these arguments"):
        td.grad(f.program)(X)


def test_has_aux_inside():
    f = td.value_and_grad(
        lambda x: (np.sum(x * x), {"doubled": 2 * x, "name": "aux"}), has_aux=True
    )
    check_calls(f, [(X,), (-X,)])


def test_jit_as_a_decorator_of_any_form():
    @td.jit
    def plain(x):
        """Adds one."""
        return x + 1

    @td.jit(static_argnames="n", cache_size=4)
    def with_arguments(x, n):
        return x + n

    assert (plain.__name__, plain.__doc__) == ("plain", "Adds one.")
    assert str(inspect.signature(with_arguments)) == "(x, n)"
    assert plain(1.0) == with_arguments(1.0, 1) == 2
    assert with_arguments.cache_info().maxsize == 4


def test_jit_of_methods():
    class Scale:
        def __init__(self, k):
            self.k = k

        @td.jit
        def by(self, x):
            return x * self.k

        @staticmethod
        @td.jit
        def double(x):
            return x * 2

        @classmethod
        def make(cls, k):
            return cls(k)

        def plain(self, x):
            return x + self.k

    one, two = Scale(2.0), Scale.make(3.0)
    assert (one.by(2.0), two.by(2.0), Scale.by(two, 2.0)) == (4, 6, 6)
    assert one.double(2.0) == 4
    assert td.jit(two.plain)(2.0) == 5
    assert Scale.by.cache_info().traces == 2
    assert td.grad(two.by)(2.0) == 3


def test_jit_of_what_is_not_a_plain_function():
    class Callable:
        def __call__(self, x):
            return x + 1

    assert td.jit(Callable())(1.0) == 2
    assert td.jit(functools.partial(lambda a, b: a - b, 1.0))(3.0) == -2
    assert_array_equal(td.jit(np.add)(X, X), X + X)
    assert td.jit(lambda *xs: sum(xs))(1.0, 2.0, 3.0) == 6
    assert td.jit(lambda x, /, *, k: x - k)(1.0, k=3.0) == -2


# --- the signature


def retracing(jitted, calls):
    """The RetraceWarnings of some calls, each with the number of its call."""
    found = []
    for number, (args, kwargs) in enumerate(calls, 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            jitted(*args, **kwargs)
        found += [(number, warning) for warning in caught]
    assert all(warning.category is td.errors.RetraceWarning for _, warning in found)
    return found


def test_an_int_that_changes_each_call_retraces_and_warns():
    @td.jit
    def f(x, settings):
        return x * settings["step"][0]

    calls = [((X, {"step": [n], "name": "a"}), {}) for n in range(17)]
    found = retracing(f, calls)
    assert [number for number, _ in found] == [8, 16]
    message = str(found[0][1].message)
    assert "f has been traced 8 times, because of settings['step'][0] (5, 6, 7)." in message
    assert "pass what changes as a float or an array" in message
    assert found[0][1].filename == __file__
    assert f.cache_info().traces == 17


@pytest.mark.parametrize(
    ("calls", "culprit"),
    [
        ([((np.ones(n),), {}) for n in range(1, 9)], r"x \(float64\(6,\), float64\(7,\), "),
        ([((X,), {"n": n}) for n in range(8)], r"n \(5, 6, 7\)\."),
        ([((X, str(n)), {}) for n in range(8)], r"n \('5', '6', '7'\)\."),
        ([((X[: n % 3], n), {}) for n in range(8)], r"x \(.*\) and n \("),
        ([(({str(n): 1.0},), {}) for n in range(8)], "the structure of its arguments"),
    ],
    ids=["shape", "keyword", "text", "both", "structure"],
)
def test_the_warning_names_what_changes(calls, culprit):
    f = td.jit(lambda x, n=0, *rest: n)
    ((number, warning),) = retracing(f, calls)
    assert number == 8
    assert re.search(culprit, str(warning.message))


def test_dtypes_that_change_retrace():
    f = td.jit(lambda x: x * 2)
    for dtype in (np.float64, np.float32, np.float16, np.int64, bool, complex, ">f8"):
        x = np.ones(3, dtype)
        assert_same(f(x), x * 2)
    assert f.cache_info().traces == 7


def test_a_warning_that_is_an_error_leaves_it_usable():
    f = td.jit(lambda x, n: x * n)
    for n in range(7):
        f(2.0, n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(td.errors.RetraceWarning):
            f(2.0, 7)
        assert f(2.0, 7) == 14


def test_floats_do_not_retrace():
    f = td.jit(lambda x, rate: x * rate)
    for rate in np.linspace(0, 1, 20):
        assert_array_equal(f(X, float(rate)), X * float(rate))
    assert f.cache_info().traces == 1


def test_static_arguments():
    seen = []

    @td.jit(static_argnames=("rate", "axes"))
    def f(x, rate, axes=(0,)):
        seen.append(rate)
        return x.sum(axis=axes) * (rate if rate > 0.5 else 0.0)

    x = np.ones((2, 3))
    assert_array_equal(f(x, 0.75), [1.5] * 3)
    assert_array_equal(f(x, 0.25), [0.0] * 3)
    assert_array_equal(f(x, rate=0.75), [1.5] * 3)
    assert_array_equal(f(x, 0.75, (1,)), [2.25] * 2)
    assert_array_equal(f(x, axes=(1,), rate=0.75), [2.25] * 2)
    assert set(seen) == {0.75, 0.25}
    assert len(seen) <= 5
    assert_array_equal(f(x, 0.75), [1.5] * 3)
    traces = len(seen)
    f(x, 0.25)
    assert len(seen) == traces


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: Any
    inner: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    rate: Any


class Pair(NamedTuple):
    rate: Any
    name: str = "pair"


WRAPPED = {
    "bare": lambda value: value,
    "tuple": lambda value: (value, "name"),
    "nested": lambda value: ((1, (value,)),),
    "frozenset": lambda value: frozenset({value}),
    "frozen dataclass": Settings,
    "nested dataclass": lambda value: Settings(1, (Settings(value),)),
    "with slots": Slotted,
    "named tuple": Pair,
}
APART = {
    "zeros": lambda: [0.0, -0.0, 0, False, np.float64(0), np.float64(-0.0), np.int8(0), 0j, -0j],
    "ones": lambda: [1, 1.0, True, np.float32(1), np.True_, 1 + 0j, Fraction(1), Decimal(1)],
    "nans": lambda: [float("nan"), np.float32("nan"), np.float64("nan"), complex("nan")],
    "negative zeros": lambda: [np.float32(-0.0), complex(-0.0, 0.0), complex(0.0, -0.0)],
    "others": lambda: [Decimal("nan"), Decimal("1.0"), Decimal("1.00"), "1", b"1", None, ...],
    "numbers of NumPy's": lambda: [np.int32(1), np.uint8(1), np.float16("nan"), np.str_("1")],
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("values", APART)
def test_static_values_are_what_they_are_written_as(values, wrapped):
    f = td.jit(lambda x, value: x, static_argnames="value")
    count = len(APART[values]())
    with warnings.catch_warnings(action="ignore"):
        for _ in range(3):
            for value in APART[values]():  # made anew: a NaN is not even the same object
                assert f(1.0, WRAPPED[wrapped](value)) == 1.0
    assert f.cache_info().traces == count


def test_a_complex_nan_is_an_argument_like_another():
    f = td.jit(lambda x, tree: x)
    for _ in range(3):
        f(1.0, {"a": [complex("nan"), Decimal("nan")]})
    assert f.cache_info().traces == 1


@pytest.mark.parametrize(
    "values", [(1, 1.0, True), (0.0, -0.0), (0, False), ((1,), (True,), (1.0,))]
)
def test_static_values_that_are_only_equal_are_told_apart(values):
    @td.jit(static_argnames="n")
    def f(x, n):
        return x * n[0] if isinstance(n, tuple) else x * n

    x = np.array([1, 2])
    for n in [*values, *values]:
        assert_same(f(x, n), x * (n[0] if isinstance(n, tuple) else n))
    assert f.cache_info().traces == len(values)


def test_an_unhashable_static_argument_is_named():
    with pytest.raises(TypeError, match="settings: a dict is neither"):
        td.jit(lambda x, settings: x, static_argnames="settings")(X, {"a": 1})
    with pytest.raises(TypeError, match=r"settings\['a'\]\[1\]: a set is neither"):
        td.jit(lambda x, settings: x)(X, {"a": [1, {2}]})


def test_an_unhashable_argument_can_be_made_static_by_giving_it_a_hash():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        rate: float
        name: str

    f = td.jit(lambda x, settings: x * settings.rate, static_argnames="settings")
    assert f(2.0, Settings(3.0, "a")) == 6
    assert f(2.0, Settings(3.0, "a")) == 6
    assert f(2.0, Settings(4.0, "a")) == 8
    assert f.cache_info().traces == 2


def test_a_kind_of_leaf_that_was_never_met_is_traced_once():
    class New:
        pass

    new, f = New(), td.jit(lambda x, new: x * 2)
    for _ in range(3):
        f(2.0, new)
    assert f.cache_info().traces == 1


# --- numbers

P = np.array([1.0, 2.0, 3.0], np.float32)
UPDATES = {
    "p - rate g": lambda p, g, rate: p - rate * g,
    "rate 0.5 g": lambda p, g, rate: p - rate * 0.5 * g,
    "rate squared": lambda p, g, rate: p - rate**2 * g,
    "power of two": lambda p, g, rate: p - 2**rate * g,
    "-rate": lambda p, g, rate: p + -rate * g,
    "+rate": lambda p, g, rate: p - +rate * g,
    "abs": lambda p, g, rate: p - abs(rate) * g,
    "1 / rate": lambda p, g, rate: p - 1 / rate * g,
    "1 - rate": lambda p, g, rate: rate * p + (1 - rate) * g,
    "rate % 2": lambda p, g, rate: p - rate % 2 * g,
    "rate // 0.01": lambda p, g, rate: p - rate // 0.01 * g,
    "rate * True": lambda p, g, rate: p - rate * True * g,
    "divided": lambda p, g, rate: p / rate - g,
    "rate alone": lambda p, g, rate: (rate, rate * 2, p),
    "rate + rate": lambda p, g, rate: (rate + rate) * p,
    "rate > 0": lambda p, g, rate: p * (rate > 0) + (rate == 0.1) * 1,
    "g ** rate": lambda p, g, rate: np.abs(g) ** rate,
    "np.maximum": lambda p, g, rate: np.maximum(p, rate),
    "np.where": lambda p, g, rate: np.where(g > rate, p, rate),
    "np.exp": lambda p, g, rate: p * np.exp(rate),  # a NumPy scalar in eager, too
    "np.sqrt": lambda p, g, rate: p * np.sqrt(rate),
    "scalar of p": lambda p, g, rate: p[0] * rate + g[1],
    "gradient": lambda p, g, rate: td.grad(lambda p: np.sum(p**rate * g))(p),
    "gradient of rate": lambda p, g, rate: td.grad(lambda r: np.sum(p * r) * r)(rate),
}


@pytest.mark.parametrize("what", UPDATES)
@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.array, np.float16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_numbers_promote_as_in_eager(what, kind, dtype):
    p, g = P.astype(dtype), np.array([0.5, -1.0, 0.25], dtype)
    check_calls(UPDATES[what], [(p, g, kind(0.1)), (p, g, kind(0.3))])


@pytest.mark.parametrize("exponent", [3, 0.5, -1, 2.5])
def test_powers_of_python_numbers_are_pythons(exponent):
    check_calls(lambda p, rate: (p - rate**exponent * p, rate**exponent), [(P, 0.1), (P, 0.3)])


def test_a_float_a_numpy_scalar_and_a_0d_array_stay_what_they_are():
    def f(x):
        return x, x * 2, np.tanh(x), [x - x]

    for x in (2.0, np.float64(2.0), np.float32(2.0), np.array(2.0), np.array([2.0]), 2, True):
        check_calls(f, [(x,)])


def test_a_ufunc_of_two_python_numbers_is_a_numpy_scalar():
    """np.multiply(0.1, 0.5) is an np.float64, which promotes float32 arrays; 0.1 * 0.5 is not."""
    check_calls(lambda rate: (np.multiply(rate, 0.5) * P, rate * 0.5 * P), [(0.1,), (0.3,)])
    check_calls(lambda rate: (np.less(rate, 0.5), rate < 0.5), [(0.1,), (0.7,)])


SCALAR_POWERS = {
    "cube": lambda v: v[0] ** 3,
    "square": lambda v: v[0] ** 2,
    "root": lambda v: v[1] ** 0.5,
    "inverse": lambda v: v[1] ** -2,
    "of scalars": lambda v: v[1] ** v[0],
    "of a number": lambda v: 2.5 ** v[0],
    "of an array": lambda v: v**2.0 * v[1] ** np.abs(v),
    "of a sum": lambda v: np.sum(v) ** 3,
    "by a captured scalar": lambda v: v[1] ** np.float32(3),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("what", SCALAR_POWERS)
def test_powers_of_numpy_scalars_have_a_routine_of_their_own(what, dtype, rng):
    """np.float64(x) ** 3 and np.power(x, 3) differ in the last bit of every tenth x."""

    def both(v):
        return SCALAR_POWERS[what](v), td.value_and_grad(lambda v: SCALAR_POWERS[what](v).sum())(v)

    f = td.jit(both)
    for v in rng.uniform(0.5, 2, (100, 3)).astype(dtype):
        assert_same(f(v), both(v))


def test_powers_of_captured_numpy_scalars_may_differ_in_the_last_bit(rng):
    """For np.float64(3) ** x, NumPy asks x, as for np.power(3.0, x)."""
    f = td.jit(lambda x: np.float64(3) ** x)
    numbers = rng.random(1000)
    np.testing.assert_allclose([f(x) for x in numbers], [3**x for x in numbers], rtol=1e-15)
    assert_array_equal([f(x) for x in numbers], [np.power(3.0, x) for x in numbers])


def test_compositions_may_have_another_order_in_memory_than_numpys_own(rng):
    x = rng.standard_normal((2, 3, 4))
    f = lambda x: np.sort(x.T, axis=0)  # noqa: E731
    got, wanted = td.jit(f)(x), f(x)
    assert_same(got, wanted)
    assert got.strides != wanted.strides


def test_zero_division_of_python_numbers():
    f = td.jit(lambda x, rate: x * (1 / rate))
    assert_array_equal(f(X, 2.0), X / 2)
    with pytest.raises(ZeroDivisionError):
        f(X, 0.0)
    assert_array_equal(f(X, 4.0), X / 4)


def test_nan_and_infinity_flow(backend):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, 5e-324])

    def f(x):
        return x + 1, np.maximum(x, 0), np.minimum(x, x[::-1]), np.sum(x), np.max(x), np.sign(x)

    with np.errstate(all="ignore"):
        check_calls(f, [(special,), (special[::-1].copy(),)], backend)
        check_calls(td.grad(lambda x: np.sum(td.nn.relu(x) * x)), [(special,)], backend)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_arrays_without_elements(shape, backend):
    def f(x, w):
        return x * 2, np.sum(x, axis=0), x.T @ x, td.grad(lambda x: np.sum(np.tanh(x) * w))(x)

    check_calls(f, [(np.zeros(shape), 2.0)], backend)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8", ">f4", np.complex128, np.int8])
def test_other_dtypes(dtype, backend):
    x = np.array([1, -2, 3]).astype(dtype)
    check_calls(lambda x: (x * 2, x + x[0], np.sum(x), x[::-1], x), [(x,)], backend)
    if x.dtype.kind == "f" and x.dtype.isnative:
        check_calls(td.value_and_grad(lambda x: np.mean(x * x)), [(x,)], backend)


# --- memory


def everything(x):
    y = x + 1
    return {
        "input": x,
        "view": x[1:],
        "reversed": x[::-1],
        "transposed": x.T,
        "reshaped": x.reshape(-1),
        "new": y,
        "view of new": y[0],
        "new again": y,
        "copy": x.copy(),
        "diagonal": np.einsum("ii->i", x),
        "swapped": np.einsum("ij->ji", x),
        "broadcast": np.broadcast_to(x[0], (2, 3)),
        "of NumPy": np.moveaxis(y, 0, 1),
        "real": np.real(y),
        "atleast": np.atleast_3d(y),
        "split": list(np.split(y, 3)),
        "squeezed": np.squeeze(y[None]),
        "diag": np.diagonal(y),
        "sum": np.sum(y, axis=()),
    }


def test_results_share_memory_with_nothing(backend, rng):
    captured = np.ones((3, 3))

    def f(x):
        return everything(x), everything(np.zeros_like(x) + captured), captured, captured.T

    check_calls(lambda *xs: f(*xs)[0], [(rng.random((3, 3)),) for _ in range(3)], backend)
    jitted = td.jit(f, backend=backend)
    x = rng.random((3, 3))
    first = jitted(x)
    kept = copied(first)
    for result in arrays(first):
        result[...] = -1.0  # no later call sees it
    assert_same(jitted(x), kept)
    assert_array_equal(captured, 1)


def test_an_item_by_a_traced_index_is_not_a_view(rng):
    def f(x, i):
        h = x + 1
        row = h[i]
        return row, np.sum(h * 2 * 3), x[i]

    check_calls(f, [(rng.random((3, 4)), np.int64(1)), (rng.random((3, 4)), np.int64(2))])


def test_arguments_are_never_written(backend):
    def f(params, x):
        y = x * 2
        y = np.exp(y)
        return td.tree.map(lambda p: p - 0.1 * p * np.sum(y), params)

    check_calls(f, [({"a": np.ones(3), "b": [np.ones((3, 3))]}, X)], backend)


def test_read_only_arguments(backend):
    x = X.copy()
    x.flags.writeable = False
    check_calls(lambda x: (x * 2, x, x[::-1]), [(x,)], backend)
    result = td.jit(lambda x: x, backend=backend)(x)
    assert result.flags.writeable


@pytest.mark.parametrize("lay", ["F", "strided", "reversed", "broadcast", "unaligned"])
def test_arrays_that_lie_in_memory_in_other_ways(lay, backend, rng):
    full = rng.standard_normal((6, 8))
    x = {
        "F": np.asfortranarray(full),
        "strided": np.repeat(full, 2, axis=1)[:, ::2],
        "reversed": full[::-1, ::-1],
        "broadcast": np.broadcast_to(full[0], (6, 8)),
        "unaligned": np.frombuffer(b"0" + full.tobytes(), np.uint8)[1:].view(float).reshape(6, 8),
    }[lay]

    def f(x):
        return x * 2, np.exp(x) + x[0], x.T, x[1:3], np.maximum(x, 0) @ x.T, x.reshape(-1), x > 0

    check_calls(f, [(x,), (full,)], backend)


def test_sums_over_arrays_in_fortran_order_may_differ_in_the_last_bits(rng):
    """NumPy adds in the order in which an array lies; a program was laid out for its first call."""

    def f(x):
        return np.sum(x * 2, axis=0), np.sum(x.T * 2), td.special.logsumexp(x.T * 2, axis=0)

    x = rng.standard_normal((200, 300))
    jitted = td.jit(f)
    assert_same(jitted(x), f(x))
    for got, wanted in zip(jitted(np.asfortranarray(x)), f(np.asfortranarray(x)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    assert jitted.cache_info().traces <= 2


def test_sums_of_transposed_values_have_eagers_bits(rng):
    def f(x):
        y = x.T * 2
        return (
            np.sum(y),
            np.sum(y, axis=0),
            td.special.logsumexp(y, axis=0),
            np.einsum("ij,kj->ik", y, y),
        )

    check_calls(f, [(rng.standard_normal((200, 300)),)])


def test_overlapping_arguments(backend):
    def f(a, b):
        a = a * 2
        return a + b, a - b, b

    x = np.arange(6.0)
    check_calls(f, [(x, x[::-1]), (x, x), (x[:3], x[2:5]), (x, x + 1)], backend)


# --- donated arguments


def descend(params, grads):
    return td.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def test_donated_arrays_become_the_results(backend):
    params = {"w": np.ones((3, 4)), "b": [np.zeros(4)]}
    grads = {"w": np.full((3, 4), 2.0), "b": [np.ones(4)]}
    wanted, kept = descend(params, grads), copied(grads)
    jitted = td.jit(descend, donate="params", backend=backend)
    results = jitted(params, grads)
    assert results["w"] is params["w"]
    assert results["b"][0] is params["b"][0]
    assert_same(results, wanted, backend)
    assert_same(grads, kept)
    again = jitted(results, grads)
    assert_same(again, descend(wanted, grads), backend)


def test_a_training_loop_that_donates_gives_eagers_bits(rng):
    x, y = rng.standard_normal((32, 8)), rng.integers(0, 3, 32)

    def step(params, velocity, x, y):
        def loss(p):
            return td.nn.cross_entropy(np.tanh(x @ p["w"]) @ p["v"] + p["b"], y)

        value, grads = td.value_and_grad(loss)(params)
        velocity = td.tree.map(lambda v, g: 0.9 * v - 0.1 * g, velocity, grads)
        return value, td.tree.map(np.add, params, velocity), velocity

    params = {
        "w": rng.standard_normal((8, 8)),
        "v": rng.standard_normal((8, 3)),
        "b": np.zeros(3),
    }
    eager = params, td.tree.map(np.zeros_like, params)
    fast = copied(eager)
    jitted = td.jit(step, donate=("params", "velocity"))
    for _ in range(20):
        value, *eager = step(*eager, x, y)
        fast_value, *fast = jitted(*fast, x, y)
        assert_same((fast_value, *fast), (value, *eager))


def test_the_same_array_donated_and_passed_again():
    def f(a, b):
        c = a + 1
        return c, c * b

    jitted = td.jit(f, donate="a")
    for make in (lambda p: (p, p), lambda p: (p, p[::-1]), lambda p: (p[:2], p[1:])):
        assert_same(jitted(*make(X.copy())), f(*make(X.copy())))


def test_donated_arrays_that_are_read_in_another_order(backend):
    def f(p):
        return p + p[::-1] * 2 + np.sum(p), p - p.T

    x = np.arange(9.0).reshape(3, 3)
    jitted = td.jit(f, donate="p", backend=backend)
    for p in (x.copy(), x[::-1].copy()):
        assert_same(jitted(p.copy()), f(p), backend)


def test_the_same_array_donated_twice():
    jitted = td.jit(lambda a: {"x": a["x"] + 1, "y": a["y"] * 2}, donate="a")
    x = X.copy()
    results = jitted({"x": x, "y": x})
    assert_same(results, {"x": X + 1, "y": X * 2})
    assert_own_memory(results)


def test_a_donated_result_that_is_returned_twice():
    a, b = td.jit(lambda a: (a + 1, a + 1), donate="a")(X.copy())
    assert_same((a, b), (X + 1, X + 1))
    assert_own_memory([a, b])


def test_donated_arrays_that_cannot_be_written():
    x = X.copy()
    x.flags.writeable = False
    jitted = td.jit(lambda a: a + 1, donate="a")
    assert_same(jitted(x), X + 1)
    assert_array_equal(x, X)
    assert_same(jitted(X[::-1].copy()[::-1]), X + 1)
    assert_same(jitted(np.broadcast_to(1.0, 3)), np.full(3, 2.0))


def test_a_donated_input_that_is_a_result_itself():
    x = X.copy()
    same, more = td.jit(lambda a: (a, a + 1), donate="a")(x)
    assert_same((same, more), (X, X + 1))
    assert_own_memory([same, more])


# --- errors


def test_an_exception_midway_leaves_it_usable(backend, rng):
    def f(x, labels):
        h = np.tanh(x * 2)
        return td.value_and_grad(td.nn.cross_entropy)(h, labels), h

    x, good, bad = rng.random((4, 3)), np.array([0, 1, 2, 0]), np.array([0, 1, 3, 0])
    jitted = td.jit(f, backend=backend)
    first = jitted(x, good)
    kept = copied(first)
    with pytest.raises(
        td.errors.ShapeError, match=r"labels must be integers in 0 \.\.\. 2, got 0 \.\.\. 3"
    ):
        jitted(x, bad)
    assert_same(jitted(x, good), f(x, good), backend)
    assert_same(first, kept)
    assert jitted.cache_info().traces == 1


def test_an_exception_while_tracing_leaves_it_usable():
    f = td.jit(lambda x, y: x @ y)
    with pytest.raises(ValueError, match="matmul") as caught:
        f(np.ones((2, 3)), np.ones((2, 3)))
    assert any("while tracing" in note and __file__ in note for note in caught.value.__notes__)
    assert_array_equal(f(np.ones((2, 3)), np.ones(3)), [3, 3])
    assert f.cache_info() == (1, 1, 64)


def test_an_index_out_of_range_at_a_later_call(backend):
    f = td.jit(lambda x, i: x[i] * 2, backend=backend)
    assert_array_equal(f(X, np.array([0, 1])), [2, -4])
    with pytest.raises(IndexError):
        f(X, np.array([0, 3]))
    assert_array_equal(f(X, np.array([-1, 1])), [6, -4])


def test_the_traceback_of_a_later_call_shows_the_program():
    f = td.jit(lambda x, i: np.exp(x)[i])
    f(X, np.array([0, 1]))
    with pytest.raises(IndexError) as caught:
        f(X, np.array([0, 3]))
    last = caught.traceback[-1]
    assert str(last.path).startswith("<jit ")
    assert "a1" in str(last.statement)


def test_recursion_is_refused():
    @td.jit
    def by_constant(x):
        return by_constant(np.ones(2)) + x

    @td.jit
    def endless(x):
        return endless(x - 1)

    @td.jit
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    for f, args in ((by_constant, (X,)), (endless, (X,)), (power, (2.0, 3))):
        with pytest.raises(RecursionError, match=f"{f.__name__} calls itself while jit traces"):
            f(*args)


def test_a_plain_function_may_call_itself():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert td.jit(power)(2.0, 5) == 32


def test_generators_are_refused():
    def generator(x):
        yield x

    async def coroutine(x):
        return x

    for f in (generator, coroutine, functools.partial(generator, 1.0)):
        with pytest.raises(TypeError, match="is a generator or a coroutine"):
            td.jit(f)
    with pytest.raises(TypeError, match="returned a generator"):
        td.jit(lambda x: (i for i in [x]))(X)
    with pytest.raises(TypeError, match="returned a function"):
        td.jit(lambda x: lambda: x)(X)
    with pytest.raises(TypeError, match="returned a function"):
        td.jit(lambda x: {"pull": td.vjp(np.sin, x)[1]})(X)


@pytest.mark.parametrize(
    "leaf",
    [
        np.ma.array([1.0, 2.0], mask=[True, False]),
        np.array([1, None]),
        np.array(["a"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, [("a", float)]),
        np.rec.array([(1.0,)], dtype=[("a", float)]),
    ],
    ids=["masked", "object", "text", "date", "fields", "record"],
)
def test_arrays_of_other_kinds_are_refused(leaf):
    with pytest.raises(TypeError, match=rf"batch\['x'\].*{type(leaf).__name__}"):
        td.jit(lambda batch: batch["x"])({"x": leaf})


def test_arrays_with_labels_are_taken_without_them():
    labelled = pd.Series([1.0, 2.0, 3.0], index=[2, 0, 1])
    f = td.jit(lambda x, s: x * s + labelled)
    assert_array_equal(f(X, labelled), X * labelled.to_numpy() + labelled.to_numpy())
    f(X, labelled + 1)
    assert f.cache_info().traces == 1


def warned(f, *args):
    """The result of f, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = f(*args)
    return result, [(warning.category, str(warning.message)) for warning in caught]


ZERO = np.array([0.0, 1.0])


def test_the_forward_pass_warns_as_eager_does():
    def f(x):
        return np.log(x), 1 / x, np.exp(700 * x), np.sqrt(x - 1)

    jitted = td.jit(f)
    jitted(np.array([1.0, 1.01]))  # traced without any
    x = np.array([0.0, 2.0])
    assert len(warned(f, x)[1]) == 4
    assert warned(jitted, x)[1] == warned(f, x)[1]


def test_the_backward_sweep_is_quiet():
    f = td.value_and_grad(lambda x: np.sum(np.sqrt(x)))
    assert warned(f, ZERO)[1] == warned(td.jit(f), ZERO)[1] == []
    check_calls(f, [(ZERO,)])


def test_what_nobody_needs_is_not_computed_and_does_not_warn():
    f = td.grad(lambda x: np.sum(np.log(x)))  # its gradient is 1 / x
    jitted = td.jit(f)
    jitted(ZERO + 1)
    assert [text for _, text in warned(f, ZERO)[1]] == ["divide by zero encountered in log"]
    assert warned(jitted, ZERO)[1] == []
    with np.errstate(all="raise"):
        assert_array_equal(jitted(ZERO), [np.inf, 1])


@pytest.mark.parametrize("traced_under", ["ignore", "warn", "raise"])
def test_error_states_are_the_callers(traced_under):
    def f(x):
        with np.errstate(divide="ignore"):
            quiet = np.log(x)
        return quiet, np.exp(x), td.value_and_grad(lambda x: np.sum(np.sqrt(x)))(x)

    jitted = td.jit(f)
    with np.errstate(all=traced_under):
        assert_same(jitted(ZERO), f(ZERO))
    with np.errstate(all="raise"):
        assert_same(jitted(ZERO), f(ZERO))
        for call in (f, jitted):
            with pytest.raises(FloatingPointError, match="overflow encountered in exp"):
                call(1000 * ZERO)
    with np.errstate(all="ignore"):
        assert_same(jitted(-ZERO), f(-ZERO))
    assert jitted.cache_info().traces == 1


def test_a_loud_line_is_not_merged_with_a_quiet_one():
    def f(x):
        with np.errstate(divide="ignore"):
            quiet = np.log(x)
        return quiet + np.log(x)

    jitted = td.jit(f)
    jitted(ZERO + 1)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        jitted(ZERO)
    assert warned(jitted, ZERO)[1] == warned(f, ZERO)[1] != []


# --- threads


def together(count, work):
    """The results of work(0) ... work(count - 1), all started at the same time."""
    barrier = threading.Barrier(count)

    def run(k):
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(run, range(count))]


def test_eight_threads_get_right_answers(backend, rng):
    def f(w, x):
        h = np.tanh(x @ w)
        return np.sum(h, axis=0), h * 2, td.grad(lambda w: np.mean((x @ w) ** 2))(w)

    w, xs = rng.standard_normal((20, 20)), rng.standard_normal((8, 30, 20))
    jitted = td.jit(f, backend=backend)
    wanted = [f(w, x) for x in xs]
    jitted(w, xs[0])

    def work(k):
        return [jitted(w, xs[k]) for _ in range(50)]

    for results, right in zip(together(8, work), wanted, strict=True):
        for result in results:
            assert_same(result, right, backend)
    assert jitted.cache_info().traces == 1


def test_eight_threads_at_the_first_call_trace_once(backend):
    traces = []

    @td.jit(backend=backend)
    def f(x):
        traces.append(1)
        return np.cos(x) * x

    results = together(8, lambda k: f(k * X))
    assert len(traces) == f.cache_info().traces == 1
    for k, result in enumerate(results):
        assert_same(result, np.cos(k * X) * (k * X), backend)


def test_threads_with_signatures_of_their_own():
    f = td.jit(lambda x, n: x * n, cache_size=3)

    def work(k):
        return [f(np.ones(k + 1), n) for n in (1, 2) for _ in range(20)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", td.errors.RetraceWarning)
        for k, results in enumerate(together(8, work)):
            for i, result in enumerate(results):
                assert_same(result, np.full(k + 1, 1.0 + i // 20))
    assert f.cache_info().programs == 3


def test_calls_within_calls_have_workspaces_of_their_own():
    live = False

    def kernel(x):
        nonlocal live
        if not live:
            return x
        live = False
        return jitted(x)  # the function that is running

    own = td.define(kernel, name="own")

    def f(x):
        return np.exp(x) * np.sin(x) + own(np.cos(x))

    jitted = td.jit(f)
    jitted(X)
    live = True
    assert_array_equal(jitted(X), np.exp(X) * np.sin(X) + f(np.cos(X)))


# --- randomness


def noisy(x, rng):
    a = rng.standard_normal(3) * x
    rng.random()  # drawn, though nobody looks
    b = rng.integers(0, 10, 4)
    return a, b, td.nn.dropout(x, 0.5, rng), rng.permutation(5), rng.choice(3, 2), rng.normal(x)


def test_a_generator_that_is_an_argument_draws_anew_at_each_call():
    eager, fast = np.random.default_rng(1), np.random.default_rng(1)
    jitted = td.jit(noisy)
    for _ in range(4):
        assert_same(jitted(X, fast), noisy(X, eager))
    assert eager.bit_generator.state == fast.bit_generator.state
    assert jitted.cache_info().traces == 1


@pytest.mark.parametrize("captured", [False, True], ids=["argument", "captured"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dropout_draws_anew_from_eagers_stream(captured, dtype, backend):
    x = np.ones((4, 5), dtype)
    eager, fast = np.random.default_rng(2), np.random.default_rng(2)

    def f(x, rng):
        return td.value_and_grad(lambda x: np.sum(td.nn.dropout(x, 0.3, rng) ** 2))(x)

    if captured:
        jitted = td.jit(lambda x: f(x, fast), backend=backend)
        results = [jitted(x) for _ in range(3)]
    else:
        jitted = td.jit(f, backend=backend)
        results = [jitted(x, fast) for _ in range(3)]
    wanted = [f(x, eager) for _ in range(3)]
    assert_same(results, wanted, backend)
    assert not np.array_equal(results[0][1], results[1][1])
    assert eager.bit_generator.state == fast.bit_generator.state


def test_drawing_directly_from_a_captured_generator_gives_a_constant():
    rng = np.random.default_rng(3)
    f = td.jit(lambda x: x * rng.random())
    assert f(1.0) == f(1.0) == np.random.default_rng(3).random()


def test_the_global_generator_gives_a_constant():
    f = td.jit(lambda x: x * np.random.default_rng().random())
    assert f(1.0) == f(1.0)


def test_generators_do_not_shuffle_in_a_program():
    with pytest.raises(td.errors.TracedValueError, match=r"Generator\.shuffle"):
        td.jit(lambda x, rng: rng.shuffle(x))(X, np.random.default_rng(0))
    with pytest.raises(td.errors.TracedValueError, match=r"Generator\.spawn"):
        td.jit(lambda x, rng: rng.spawn(2))(X, np.random.default_rng(0))


def test_a_generator_is_returned_as_itself():
    rng = np.random.default_rng(0)
    f = td.jit(lambda x, rng: (x * rng.random(), rng))
    for _ in range(2):
        assert f(1.0, rng)[1] is rng


def test_tracing_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    td.jit(noisy).program(X, rng)
    assert rng.bit_generator.state == before


# --- trees


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass
class Net:
    layer: Layer
    name: str


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Any


class Color(enum.IntEnum):
    RED = 1


class Mode(enum.StrEnum):
    FAST = "fast"


TREES = {
    "dict": {"w": X, "b": {"c": X + 1}},
    "namedtuple": Layer(X, 2.0),
    "dataclass": Net(Layer(X, X), "net"),
    "frozen dataclass": Frozen(X),
    "OrderedDict": collections.OrderedDict(b=X, a=X),
    "defaultdict": collections.defaultdict(list, a=X),
    "deque": collections.deque([X, 1.0]),
    "namespace": types.SimpleNamespace(w=X),
    "mapping": types.MappingProxyType({"w": X}),
    "deep": [({"a": (X, [X, {"b": X}])},), (), [], {}],
    "None": {"w": X, "b": None},
    "text": {"w": X, "name": "net", "bytes": b"abc"},
    "flags": [X, True, False, 3, 2.5, np.True_, np.int64(3), np.float32(0.5), Ellipsis],
    "complex": [X, 1j, np.complex64(1j)],
    "enums": {"w": X, "color": Color.RED, "mode": Mode.FAST, "np": np.str_("text")},
    "functions": {"w": X, "activation": np.tanh, "own": td.nn.relu, "dtype": np.float32},
    "dtypes": {"w": X, "dtype": np.dtype("f4"), "range": range(3), "set": frozenset({1})},
    "empty": {},
    "nothing": None,
    "a leaf": X,
}


@pytest.mark.parametrize("name", TREES)
def test_trees_go_in_and_out(name, backend):
    tree = TREES[name]

    def moved(leaf):
        return leaf * 2 if isinstance(leaf, np.ndarray | td.Tensor) and leaf.ndim else leaf

    def f(tree, again=None):
        return td.tree.map(moved, tree), tree, [again]

    jitted = check_calls(f, [(tree,), (tree, tree)], backend)
    (out, same, _), wanted = jitted(tree), f(tree)
    assert type(out) is type(wanted[0])
    assert type(same) is type(tree)


def test_optimisers_carry_other_leaves():
    params = {"w": X, "name": "net", "activation": np.tanh, "on": True, "n": 3}

    def step(params):
        grads = td.grad(lambda p: np.sum(p["activation"](p["w"])))({**params, "n": 3.0})
        return td.optim.gradient_descent(0.1).update({**params, "n": 3.0}, grads, None)

    check_calls(step, [(params,)])


def test_trees_of_results_are_new_each_time():
    f = td.jit(lambda x: {"a": [x, {"b": 1}]})
    first = f(X)
    first["a"][1]["b"] = 2
    first["a"].append(3)
    assert_same(f(X), {"a": [X, {"b": 1}]})


def test_keys_that_are_only_equal_are_told_apart():
    f = td.jit(lambda tree: tree)
    for key in (1, True, 1.0):
        (got,) = f({key: X})
        assert type(got) is type(key)


def test_outputs_of_every_kind(backend):
    def f(x):
        y = x * 2
        return [x, x, y, y, y[0], x[0], 3, 2.5, "text", None, np.pi, x.shape, True, np.float32(1)]

    check_calls(f, [(X,), (-X,)], backend)


def test_a_function_without_inputs(backend):
    check_calls(lambda: np.arange(3.0), [()], backend)
    check_calls(lambda *args, **kwargs: (args, kwargs), [()], backend)
    check_calls(lambda n: np.ones(n), [(3,)], backend)
    check_calls(lambda: None, [()], backend)


def test_an_array_of_another_library_is_left_to_it():
    class Foreign:
        def __array_function__(self, function, types, args, kwargs):
            return f"{function.__name__} of a Foreign"

    f = td.jit(lambda x: np.sum(x))
    assert f(Foreign()) == "sum of a Foreign"
    assert f.cache_info() == (0, 0, 64)


def test_numba_gives_no_floating_point_warnings():
    skip_without("numba")
    f = td.jit(lambda x: np.exp(np.log(x)) * 2, backend="numba")
    f(ZERO + 1)
    assert_array_equal(warned(f, ZERO)[0], [0, 2])


# --- Tensors that come by other ways

SCALE = 2.0


def scaled_by_a_global(x):
    return x * SCALE


class Layer:
    def __init__(self, w):
        self.w = w

    def __call__(self, x):
        return x * self.w

    @td.jit
    def jitted(self, x):
        return x * self.w


def with_global(w, f):
    global SCALE  # noqa: PLW0603
    SCALE = w
    try:
        return f(3.0)
    finally:
        SCALE = 2.0


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: scaled_by_a_global(x), 3.0),
        (lambda x: td.grad(lambda v: v * v * SCALE)(x), 6.0),
    ],
    ids=["in a helper", "in a nested function"],
)
def test_a_tensor_in_a_global_is_not_baked(f, slope):
    jitted = td.jit(f)
    jitted(1.0)
    assert td.grad(lambda w: with_global(w, jitted))(2.0) == slope


def test_a_traced_value_in_a_global_is_not_baked():
    inner = td.jit(lambda x: x * SCALE)
    inner(3.0)
    outer = td.jit(lambda w: with_global(w, inner))
    assert [outer(5.0), outer(6.0)] == [15.0, 18.0]


@pytest.mark.parametrize("kind", ["object that is called", "method"])
def test_a_tensor_in_an_attribute_is_not_baked(kind):
    layer = Layer(2.0)
    jitted = td.jit(layer) if kind == "object that is called" else layer.jitted
    assert jitted(3.0) == 6.0

    def loss(w):
        layer.w = w
        return jitted(3.0)

    assert td.grad(loss)(2.0) == 3.0
    layer.w = 2.0
    assert jitted(3.0) == 6.0


# --- donation, errors, copies


@pytest.mark.parametrize(
    "overlapping",
    [
        lambda p: np.lib.stride_tricks.sliding_window_view(p, 3),
        lambda p: np.asarray(memoryview(p)),
        lambda p: p[::-1],
    ],
    ids=["windows", "memoryview", "reversed"],
)
def test_a_donated_array_that_another_argument_shares_is_left_alone(overlapping, backend):
    def f(p, x):
        return p * 2 + 1, np.sum(np.exp(x * 3 + 1))

    p = np.arange(6.0)
    wanted = f(p.copy(), overlapping(p).copy())
    got = td.jit(f, donate="p", backend=backend)(p, overlapping(p))
    for g, w in zip(got, wanted, strict=True):
        assert_allclose(g, w, rtol=1e-12)
    assert_array_equal(p, np.arange(6.0))


def test_an_index_error_after_a_donated_array_was_overwritten(backend):
    def f(p, x):
        i = p.astype(int)
        return p * 0, x[i] * 2

    jitted = td.jit(f, donate="p", backend=backend)
    jitted(np.ones(2), np.arange(5.0))
    with pytest.raises(IndexError):
        jitted(np.array([1.0, 99.0]), np.arange(5.0))


def test_an_error_draws_no_more_than_eager_does(backend):
    def f(rng, x, i):
        return np.sum(x * rng.random(3)) + np.sum((x * 2)[i])

    x, bad = np.ones(3), np.array([0, 9])
    jitted = td.jit(f, backend=backend)
    jitted(np.random.default_rng(0), x, np.array([0, 1]))
    mine, eager = np.random.default_rng(1), np.random.default_rng(1)
    with pytest.raises(IndexError):
        jitted(mine, x, bad)
    with pytest.raises(IndexError):
        f(eager, x, bad)
    assert mine.random() == eager.random()


def test_names_belong_to_their_arguments():
    f = td.jit(lambda a, *rest, p: rest[1] * 2 + a + p * 0, donate="p")
    a, z = np.ones(2), np.ones(2)
    f(a, a, z, p=np.ones(2))
    assert_array_equal(z, np.ones(2))
    with pytest.raises(TypeError, match="no argument 'rest'"):
        td.jit(lambda a, *rest: a, donate="rest")


def test_two_functions_may_call_each_other_from_two_threads():
    @td.jit
    def first(x, n):
        return x + (second(np.ones(2), n - 1) if n else 0.0)

    @td.jit
    def second(x, n):
        return x * (first(np.ones(2), n - 1) if n else 2.0)

    results = {}
    start = threading.Barrier(2)

    def run(name, f, n):
        start.wait()
        results[name] = f(np.ones(2), n)

    threads = [
        threading.Thread(target=run, args=args, daemon=True)
        for args in (("first", first, 1), ("second", second, 1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert_array_equal(results["first"], [3.0, 3.0])
    assert_array_equal(results["second"], [1.0, 1.0])


@td.jit
def doubled(x):
    return x * 2


def test_a_jitted_function_can_be_pickled_and_copied():
    assert copy.deepcopy(doubled)(2.0) == 4.0
    assert doubled.__reduce__() == "doubled"  # found again by its name
    kind, args = td.jit(np.sin, backend="numpy", cache_size=3).__reduce__()
    again = kind(*pickle.loads(pickle.dumps(args)))
    assert again(0.5) == np.sin(0.5)
    assert again.cache_info().maxsize == 3


def test_static_values_of_other_types_are_other_values():
    f = td.jit(lambda x, rate: x * rate, static_argnames="rate")
    x = np.ones(2, np.float32)
    assert f(x, 0.5).dtype == np.float32
    assert f(x, np.float64(0.5)).dtype == np.float64
    assert f(x, frozenset({1}) and 1).dtype == np.float32


def test_the_cache_on_disk_may_be_damaged(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setenv("TINYGRAD_DIGITS_CACHE", str(tmp_path))
    f = lambda x: np.sum(np.sqrt(x) + 17)  # noqa: E731
    wanted = td.jit(f, backend="numba")(np.ones(3))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".nbc" for path in files)
    for path in files:
        path.write_bytes(b"\xff\xfe")
    assert td.jit(f, backend="numba")(np.ones(3)) == wanted


def test_numba_needs_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(td.errors.MissingExtraError, match=r"tinygrad-digits\[jit\]"):
        td.jit(np.sin, backend="numba")
