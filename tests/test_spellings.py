"""NumPy's spellings of an op, operators, methods, brackets, agree and are recorded."""

import operator

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases.indexing import INDEXED, INDICES, ODD_INDICES
from tests.cases.linalg import MATMULS

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])
OPERATORS = ["add", "sub", "mul", "truediv", "pow"]
UFUNCS = {"sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power"}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other", [ROW, 2, 1.5, np.float64(2.5), np.float32(0.5), np.int64(3), [1, 2, 3]]
)
@pytest.mark.parametrize("reflected", [False, True], ids=["t-op-x", "x-op-t"])
def test_an_operator_and_its_ufunc_record_and_agree(name, other, reflected):
    by_operator = getattr(operator, name)
    by_ufunc = getattr(np, UFUNCS.get(name, name))

    def spelled(f):
        return lambda x: np.sum(f(other, x) if reflected else f(x, other))

    value, gradient = td.value_and_grad(spelled(by_operator))(X)
    other_value, other_gradient = td.value_and_grad(spelled(by_ufunc))(X)
    array = np.asarray(other)
    assert_allclose(value, np.sum(by_operator(array, X) if reflected else by_operator(X, array)))
    assert value == other_value
    assert_array_equal(gradient, other_gradient)
    td.check_grads(spelled(by_operator), X, order=1)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_between_tensors(name):
    f = getattr(operator, name)
    td.check_grads(f, X, ROW)
    td.check_grads(lambda x: f(x, x), X)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_comparisons_give_plain_bools(name):
    compare = getattr(operator, name)
    seen = []

    def f(x):
        seen.extend([compare(x, ROW), compare(ROW, x), compare(x, 0.7), compare(x, x)])
        return np.sum(x)

    td.grad(f)(X)
    expected = [compare(X, ROW), compare(ROW, X), compare(X, 0.7), compare(X, X)]
    for got, wanted in zip(seen, expected, strict=True):
        assert type(got) is np.ndarray
        assert_array_equal(got, wanted)


METHODS = {
    "sum": lambda x, m: (m(x, "sum", axis=0), np.sum(x, axis=0)),
    "sum positional": lambda x, m: (m(x, "sum", 1), np.sum(x, 1)),
    "mean": lambda x, m: (m(x, "mean", axis=1, keepdims=True), np.mean(x, axis=1, keepdims=True)),
    "max": lambda x, m: (m(x, "max", 0), np.max(x, 0)),
    "min": lambda x, m: (m(x, "min"), np.min(x)),
    "var": lambda x, m: (m(x, "var", ddof=1), np.var(x, ddof=1)),
    "std": lambda x, m: (m(x, "std", axis=-1), np.std(x, axis=-1)),
    "reshape numbers": lambda x, m: (m(x, "reshape", 3, -1), np.reshape(x, (3, -1))),
    "reshape tuple": lambda x, m: (m(x, "reshape", (6,)), np.reshape(x, 6)),
    "reshape F": lambda x, m: (
        m(x, "reshape", 3, 2, order="F"),
        np.reshape(x, (3, 2), order="F"),
    ),
    "transpose": lambda x, m: (m(x, "transpose"), np.transpose(x)),
    "transpose numbers": lambda x, m: (m(x, "transpose", 1, 0), np.transpose(x, (1, 0))),
    "T": lambda x, m: (x.T, np.transpose(x)),
    "ravel": lambda x, m: (m(x, "ravel"), np.ravel(x)),
    "ravel F": lambda x, m: (m(x, "ravel", "F"), np.ravel(x, "F")),
    "flatten": lambda x, m: (m(x, "flatten"), np.ravel(x)),
    "swapaxes": lambda x, m: (m(x, "swapaxes", 0, 1), np.swapaxes(x, 0, 1)),
    "squeeze": lambda x, m: (m(x[None], "squeeze", 0), np.squeeze(x[None], 0)),
    "clip": lambda x, m: (m(x, "clip", 0.5, 1.0), np.clip(x, 0.5, 1.0)),
    "clip min": lambda x, m: (m(x, "clip", min=0.5), np.clip(x, 0.5, None)),
    "astype": lambda x, m: (m(x, "astype", np.float32), x.astype(np.float32)),
    "dot": lambda x, m: (m(x, "dot", ROW), np.dot(x, ROW)),
    "abs": lambda x, m: (abs(-x), np.absolute(-x)),
    "neg": lambda x, m: (-x, np.negative(x)),
    "pos": lambda x, m: (+x, np.positive(x)),
    "add.reduce": lambda x, m: (np.add.reduce(x), np.sum(x, 0)),
    "maximum.reduce": lambda x, m: (np.maximum.reduce(x, axis=1), np.max(x, 1)),
    "minimum.reduce": lambda x, m: (np.minimum.reduce(x, axis=None), np.min(x)),
}


@pytest.mark.parametrize("spelling", METHODS)
def test_a_method_and_its_function_record_and_agree(spelling):
    def both(x):
        return METHODS[spelling](
            x, lambda x, name, *args, **options: getattr(x, name)(*args, **options)
        )

    assert_array_equal(*both(X))  # what NumPy does with the same spelling
    (y, z), pullback = td.vjp(both, X)
    assert_array_equal(y, both(X)[0])
    ones, zeros = np.ones_like(y), np.zeros_like(y)
    assert np.any(pullback((ones, zeros)))
    assert_array_equal(pullback((ones, zeros)), pullback((zeros, np.ones_like(z))))


@pytest.mark.parametrize("index", INDICES + ODD_INDICES, ids=repr)
def test_indexing_by_brackets(index, rng):
    x = rng.standard_normal(INDEXED)
    y, pullback = td.vjp(lambda t: t[index], x)
    assert_array_equal(y, x[index])
    g = rng.standard_normal(np.shape(y))
    expected = np.zeros_like(x)
    np.add.at(expected, index, g)
    assert_allclose(pullback(g), expected, rtol=1e-14)
    td.check_grads(lambda t: t[index] ** 3, x)


def test_an_index_is_taken_as_it_is_at_the_time(rng):
    index = np.array([0, 1])
    _, pullback = td.vjp(lambda x: x[index], rng.standard_normal(3))
    index[:] = 2
    assert_array_equal(pullback(np.ones(2)), [1, 1, 0])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("join", [np.stack, np.concatenate])
def test_joining_with_plain_arrays(join, axis, rng):
    a, b = rng.standard_normal((2, 2, 3))
    y, _ = td.vjp(lambda x: join([a, x, b, x], axis=axis), X)
    assert_array_equal(y, join([a, X, b, X], axis=axis))
    td.check_grads(lambda x, z: join([a, x, z, x], axis=axis), X, b)


def test_joining_the_rows_of_one_tensor():
    td.check_grads(lambda x: np.stack(list(x), axis=1) * np.stack(x)[0], np.ones((3, 3)))
    td.check_grads(
        lambda x: np.concatenate([x, ROW], axis=None) * np.concatenate([x[0], x[1], x[0]]), X
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *MATMULS[:4],
        ((), (3,)),
        ((2, 3), ()),
        ((2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((4, 2, 3), (5, 3, 2)),
    ],
)
def test_dot(a, b, rng):
    a, b = rng.standard_normal(a), rng.standard_normal(b)
    y, _ = td.vjp(np.dot, a, b)
    assert_allclose(y, np.dot(a, b), rtol=1e-13)
    td.check_grads(np.dot, a, b)


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_the_matmul_operator(a, b, rng):
    a, b = rng.standard_normal(a), rng.standard_normal(b)
    for f, x in ((lambda t: a @ t, b), (lambda t: t @ b, a)):
        y, pullback = td.vjp(f, x)
        assert_array_equal(y, a @ b)
        assert pullback(np.ones_like(y)).shape == x.shape
        td.check_grads(f, x)
