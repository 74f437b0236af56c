"""Shapes, axes and indices that hypothesis draws: NumPy's values, central differences' slopes."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.jit_programs import assert_same

REDUCTIONS = [
    *(np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.ptp, np.median),
    *(np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanmax, np.nanmin, np.nanmedian),
    *(np.average, td.special.logsumexp, np.linalg.vector_norm),
]
RUNNING = [np.cumsum, np.cumprod, np.nancumsum, np.sort, np.diff, np.flip, np.maximum.accumulate]


def spread(shape, seed):
    """Numbers that are nowhere closer than 0.1 to each other, nor to 0."""
    rng = np.random.default_rng(seed)
    n = math.prod(shape)
    return (rng.permutation(n) * 0.25 - 0.124 * n + rng.uniform(0, 0.1, n) + 0.01).reshape(shape)


def check(f, *xs, order=2):
    """f on Tensors and as a program gives f's own values; its gradient is central differences'."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = f(*xs)
        y, _ = td.vjp(f, *xs)
        for a, b in zip(td.tree.flatten(y)[0], td.tree.flatten(expected)[0], strict=True):
            assert np.shape(a) == np.shape(b)
            assert a.dtype == b.dtype
            assert_allclose(a, b, rtol=1e-13, atol=1e-14)
        assert_same(td.jit(f)(*xs), expected)
        if all(np.isfinite(leaf).all() for leaf in td.tree.flatten(expected)[0]):
            td.check_grads(f, *xs, order=order, rtol=1e-5)


SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)


@st.composite
def shapes_and_axes(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    n = len(shape)
    axes = st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True).map(tuple)
    return shape, draw(st.none() | st.integers(-n, n - 1) | axes)


@pytest.mark.parametrize("f", REDUCTIONS, ids=lambda f: f.__name__)
@settings(max_examples=25, deadline=None)
@given(drawn=shapes_and_axes(), keepdims=st.booleans(), seed=st.integers(0, 9))
def test_reductions(f, drawn, keepdims, seed):
    shape, axis = drawn
    if f in (np.std, np.var, np.nanvar):  # of two elements it has no curvature to compare
        shape = tuple(max(n, 3) for n in shape)
    check(lambda x: f(x, axis=axis, keepdims=keepdims), spread(shape, seed), order=1)


@pytest.mark.parametrize("f", RUNNING, ids=lambda f: f"{f.__name__} {getattr(f, '__self__', '')}")
@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9))
def test_along_an_axis(f, data, seed):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(lambda x: f(x, axis=axis), spread(shape, seed))


@given(data=st.data(), seed=st.integers(0, 9))
def test_indexing(data, seed):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    index = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
        | hnp.integer_array_indices(shape)
        | hnp.arrays(bool, shape)
    )
    x = spread(shape, seed)
    v = spread(np.shape(x[index]), seed + 1)
    check(lambda x: x[index] ** 2, x)
    check(lambda x, v: td.at(x)[index].set(v**2), x, v)
    check(lambda x, v: td.at(x)[index].add(v * x[index]), x, v)


@given(
    drawn=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3),
    seed=st.integers(0, 9),
)
def test_broadcasting(drawn, seed):
    xs = [spread(shape, seed + k) + 3 * k for k, shape in enumerate(drawn.input_shapes)]
    check(lambda a, b, c: np.where(a > b, a * c, b / c) + np.hypot(a, c), *xs)


@given(
    drawn=hnp.mutually_broadcastable_shapes(
        signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, max_side=3
    ),
    seed=st.integers(0, 9),
)
def test_products(drawn, seed):
    a, b = (spread(shape, seed + k) for k, shape in enumerate(drawn.input_shapes))
    check(np.matmul, a, b)


@given(shape=SHAPES, seed=st.integers(0, 9), data=st.data())
def test_shaping(shape, seed, data):
    x = spread(shape, seed)
    axes = data.draw(st.permutations(range(len(shape))))
    other = data.draw(st.integers(0, len(shape)))
    widths = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    check(lambda x: np.transpose(x, axes) ** 2, x)
    check(lambda x: np.expand_dims(x, other) * x.reshape(-1)[0], x)
    check(lambda x: np.stack([x, x**2], axis=other), x)
    check(lambda x: np.pad(x, widths, mode="edge") ** 2, x)
    check(lambda x: np.tile(x, (2, 1)) * 2.0, x, order=1)
    check(lambda x: np.repeat(x**2, 2, axis=None), x)
