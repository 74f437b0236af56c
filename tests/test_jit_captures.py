"""What a program captures: constants that do not change, and Tensors of transforms around it."""

# ruff: noqa: PLW0108 (the errors name the line of the lambda)

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    assert_own_memory,
    assert_same,
    check_calls,
    count_calls,
)

X = np.array([1.0, -2.0, 3.0])

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


@dataclasses.dataclass
class Callable:
    """A callable that can be compared with others, so that it has no hash."""

    w: np.ndarray
    others: list[np.ndarray]
    factor: float = 2.0

    def __call__(self, x):
        return x * self.w.sum() * self.factor + self.others[0].sum()


CALLABLE_CHANGES = {
    "number": lambda held: setattr(held, "factor", 3.0),
    "array": lambda held: setattr(held, "w", np.zeros(2)),
    "numbers in an array": lambda held: held.w.__imul__(3.0),
    "complex numbers in an array": lambda held: held.others[0].__imul__(2j),
}


@pytest.mark.parametrize("how", ["method", "object", "bound argument", "partial argument"])
@pytest.mark.parametrize("change", CALLABLE_CHANGES)
def test_a_change_of_a_dataclass_is_noticed(how, change):
    layer = Callable(np.ones(2), [np.ones(3, complex)])
    f = {
        "method": lambda: td.jit(layer.__call__),
        "object": lambda: td.jit(layer),
        "bound argument": lambda: calling(layer.__call__),
        "partial argument": lambda: calling(functools.partial(Callable.__call__, layer)),
    }[how]()
    for _ in range(2):
        assert_same(f(3.0), layer(3.0))
    CALLABLE_CHANGES[change](layer)
    for _ in range(2):
        assert_same(f(3.0), layer(3.0))


def read_shift(model):
    return model.shift


class Shifted:
    """An instance of which a function reads what no method does."""

    def __init__(self, shift):
        self.shift = shift

    def __call__(self, x):
        return x + read_shift(self)


@pytest.mark.parametrize("how", ["method", "object", "argument"])
def test_what_functions_of_an_instance_read_is_noticed(how):
    model = Shifted(1.0)
    f = {
        "method": lambda: td.jit(model.__call__),
        "object": lambda: td.jit(model),
        "argument": lambda: calling(model),
    }[how]()
    assert f(3.0) == 4
    model.shift = 5.0
    assert f(3.0) == 8


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


@dataclasses.dataclass
class Net:
    layer: Any
    name: str


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
