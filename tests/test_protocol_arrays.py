"""The value under a Tensor may be any array that speaks NumPy's two protocols, and nothing else."""

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.testing import assert_allclose

import tinygrad_digits as td


def method(name):
    return lambda self, *args, **options: Foreign(getattr(self.data, name)(*args, **options))


class Foreign(NDArrayOperatorsMixin):
    """An array that answers NumPy's functions, counts them, and refuses to become an ndarray."""

    def __init__(self, data):
        self.data = np.asarray(data)

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    T = property(lambda self: Foreign(self.data.T))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return Foreign(self.data[index])

    def __array__(self, *_args, **_options):
        raise AssertionError("converted to an ndarray")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__":
            return NotImplemented  # as Dask
        return Foreign(getattr(ufunc, method)(*map(bare, inputs), **options))

    def __array_function__(self, function, types, args, kwargs):
        found = function(*bare_all(args), **kwargs)
        return Foreign(found) if isinstance(found, np.ndarray | np.generic) else found

    sum, max, mean, reshape = method("sum"), method("max"), method("mean"), method("reshape")
    astype, swapaxes, copy = method("astype"), method("swapaxes"), method("copy")


def bare(x):
    return x.data if isinstance(x, Foreign) else x


def bare_all(args):
    return type(args)(bare_all(x) if isinstance(x, list | tuple) else bare(x) for x in args)


CASES = {
    "arithmetic": lambda x: np.sum(x * x / (1 + x) - 2.0 * x),
    "functions": lambda x: np.sum(np.tanh(np.exp(x)) + np.sqrt(x) * np.log(x)),
    "means": lambda x: np.mean(x * x),
    "products": lambda x: np.sum((x @ np.arange(8.0).reshape(4, 2)) ** 2),
    "broadcasting": lambda x: np.sum((x + np.arange(4.0)) * np.mean(x, axis=1, keepdims=True)),
    "relu": lambda x: np.sum(td.nn.relu(x - 1.0)),
    "softmax": lambda x: np.sum(td.nn.softmax(x) * x),
    "log_softmax": lambda x: np.sum(td.nn.log_softmax(x) * np.arange(4.0)),
    "logsumexp": td.special.logsumexp,
    "cross_entropy": lambda x: td.nn.cross_entropy(x, np.array([0, 1, 2])),
    "maximum": lambda x: np.sum(np.maximum(x, 1.0)),
    "where": lambda x: np.sum(np.where(x > 1.0, x, 0.0)),
    "concatenate": lambda x: np.sum(np.concatenate([x, x * x]) ** 2),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_numpys(name, rng):
    x = rng.random((3, 4)) + 0.5
    value, grad = td.value_and_grad(CASES[name])(Foreign(x))
    expected_value, expected = td.value_and_grad(CASES[name])(x)
    assert isinstance(grad, Foreign)
    assert_allclose(bare(value), expected_value, rtol=1e-13)
    assert_allclose(grad.data, expected, rtol=1e-13)


def test_what_a_foreign_array_cannot_do_fails_with_its_own_error(rng):
    class Poor(Foreign):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            raise TypeError(f"Poor cannot {ufunc.__name__}")

    with pytest.raises(TypeError, match="Poor cannot tanh"):
        td.grad(lambda x: np.sum(np.tanh(x)))(Poor(rng.random(3)))
