"""Convolution in machine code is the eager one, values and derivatives, whatever their sizes."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.jit_programs import skip_without

SHAPES = [
    # images, kernels, padding, dilation, strides
    ((8, 3, 6, 5), (4, 3, 3, 3), 1, 1, 1),
    ((3, 2, 7, 9), (11, 2, 2, 3), ((1, 0), (2, 0)), 1, 1),
    ((16, 1, 9, 8), (5, 1, 3, 3), 0, (2, 1), 1),
    ((1, 4, 5, 21), (1, 4, 1, 2), "same", 1, 1),
    ((33, 2, 4, 4), (9, 2, 4, 4), 3, 1, 1),
    ((17, 2, 7, 6), (5, 2, 3, 3), 1, 1, 2),
    ((16, 1, 9, 9), (9, 1, 2, 3), ((1, 0), (2, 1)), (2, 1), (1, 3)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("images", "kernels", "padding", "dilation", "strides"), SHAPES)
def test_values_and_derivatives_are_eager_ones(
    images, kernels, padding, dilation, strides, dtype, rng
):
    skip_without("native")
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in (images, kernels))

    def convolve(x, w):
        return td.nn.conv2d(x, w, padding=padding, dilation=dilation, strides=strides)

    def loss(x, w):
        y = convolve(x, w)
        return np.sum(np.square(y)), y

    f = td.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    jitted = td.jit(f, backend="native")
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    wanted_by_path = dict(td.tree.items(f(x, w)))
    for path, got in td.tree.items(jitted(x, w)):
        wanted = wanted_by_path[path]
        assert got.dtype == wanted.dtype
        assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {"window": 2},
        {"window": 3, "strides": 2, "padding": 1},
        {"window": (2, 3), "strides": 1, "padding": ((1, 0), (2, 0))},
        {"window": 2, "strides": (3, 1), "dilation": (1, 2)},
    ],
)
@pytest.mark.parametrize("pool", [td.nn.max_pool2d, td.nn.avg_pool2d])
def test_pools_are_eager_ones(pool, options, dtype, rng):
    skip_without("native")
    x = rng.standard_normal((5, 3, 8, 7)).astype(dtype)
    f = td.value_and_grad(lambda x: np.sum(pool(x, **options) ** 3))
    jitted = td.jit(f, backend="native")
    assert not re.search("(windows|fold): called as it is", str(jitted.program(x)))
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for got, wanted in zip(jitted(x), f(x), strict=True):
        assert got.dtype == wanted.dtype
        assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))


def test_only_short_rows_are_left_to_numpy(rng):
    skip_without("native")
    x, w = rng.standard_normal((16, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
    left = "correlate2d: called as it is"
    assert left not in describe(x, w)
    assert "kernel0" in describe(x, w)
    assert left not in describe(x, w, strides=2)
    assert left in describe(x[:8], w, strides=2)
    assert left in describe(x[:1, :, :3], w)


def describe(x, w, **options):
    """What the program of a convolution says of itself."""
    convolve = td.jit(lambda x, w: td.nn.conv2d(x, w, **options), backend="native")
    return str(convolve.program(x, w))
