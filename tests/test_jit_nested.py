"""jit inside and outside of the other transforms, and of itself."""

# ruff: noqa: PLW0108 (the errors name the line of the lambda)

import functools
import inspect

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import (
    assert_same,
    check_calls,
)

X = np.array([1.0, -2.0, 3.0])


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
