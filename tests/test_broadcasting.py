"""Each gradient of an elementwise row has the shape of its own input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.elementwise import OPTIONS, ROWS, draw_arguments, floats
from tinygrad_digits.ops import OPS


def weighted(name):
    """(args) -> the sum of the op's output, each element with a weight of its own."""

    def scalar(*args):
        y = OPS[name](*args, **OPTIONS.get(name, {}))
        return np.sum(np.real(y * np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)))

    return scalar


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_gradient_has_its_own_inputs_shape(name, data):
    arity = OPS[name].primitive.arity
    shapes, _ = data.draw(
        mutually_broadcastable_shapes(num_shapes=arity, max_dims=3, min_side=0, max_side=3)
    )
    args = draw_arguments(name, shapes, np.random.default_rng(0))
    grads = td.grad(weighted(name), floats(args))(*args)
    full = [x.copy() for x in np.broadcast_arrays(*args)]
    stretched = td.grad(weighted(name), floats(args))(*full)
    for i, g, whole in zip(floats(args), grads, stretched, strict=True):
        assert np.shape(g) == np.shape(args[i])
        assert_allclose(g, summed(whole, np.shape(args[i])), rtol=1e-12, atol=1e-14)


def summed(whole, shape):
    """The transpose of broadcasting, element by element."""
    small = np.zeros(shape)
    views = np.broadcast_to(np.arange(small.size).reshape(shape), np.shape(whole))
    np.add.at(small.reshape(-1), views, whole)
    return small


@pytest.mark.parametrize("value", [np.array(0.7), np.float64(0.7), 0.7])
def test_zero_dimensional_arguments_come_back_as_they_were(value):
    g = td.grad(lambda x: np.tanh(x) * x)(value)
    assert g.shape == ()
    assert isinstance(g, np.ndarray) == isinstance(value, np.ndarray)
