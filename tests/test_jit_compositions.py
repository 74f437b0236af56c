"""jit of transforms of transforms, of layers and nets, and of rules of one's own."""

import numpy as np
import pytest

import tinygrad_digits as td
from tests.jit_programs import BACKENDS, assert_same, skip_without

W = np.random.default_rng(0).standard_normal((4, 3))
"""Captured, so a constant of the programs; derivatives read its transpose too."""


def smooth(x):
    return td.special.logsumexp(W @ x) + np.prod(x)


def assigned(x):
    y = x * 2
    y[1:] = np.sin(x[:-1])
    y[0] += x[-1]
    return np.sum(y**3)


@td.checkpoint
def block(p, x):
    return np.tanh(x @ p) @ p.T


@td.custom_vjp
def bounded(x):
    """The identity, whose gradient is bounded."""
    return x * 1.0


bounded.defvjp(lambda x: (bounded(x), None), lambda _, g: (np.clip(g, -1, 1),))


def net(params, images):
    h = td.nn.relu(td.nn.conv2d(images, params["kernel"], params["bias"], padding=1))
    h = td.nn.max_pool2d(h, 2).reshape(len(images), -1)
    return td.nn.log_softmax(td.nn.layer_norm(h @ params["w"], params["gain"]))


def net_params(rng):
    shapes = {"kernel": (3, 1, 3, 3), "bias": (3,), "w": (12, 5), "gain": (5,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


FUNCTIONS = {
    "jacobian": (td.jacobian(lambda x: np.tanh(W @ x)), (3,)),
    "forward jacobian": (td.jacobian(lambda x: np.tanh(W @ x), mode="forward"), (3,)),
    "hessian": (td.hessian(smooth), (3,)),
    "hvp": (lambda x, v: td.hvp(smooth, x, v), (3,), (3,)),
    "jvp": (lambda x, v: td.jvp(lambda x: np.exp(W @ x), x, v), (3,), (3,)),
    "linearize": (lambda x, v: td.linearize(lambda x: np.exp(W @ x), x)[1](v), (3,), (3,)),
    "vmap of grad": (td.vmap(td.grad(lambda x: np.sum(np.tanh(W @ x) ** 3))), (5, 3)),
    "grad of vmap": (
        td.grad(lambda x: np.sum(td.vmap(lambda v: np.cumsum(v) * np.max(v))(x) ** 2)),
        (5, 3),
    ),
    "gradients of examples": (
        td.vmap(td.grad(lambda w, x: np.sum(td.nn.relu(x @ w)) ** 2), in_axes=(None, 0)),
        (3, 2),
        (5, 3),
    ),
    "set": (td.grad(lambda x: np.sum(np.tanh(td.at(x)[[0, 0, 2]].set(x[1])) ** 2)), (3, 4)),
    "add": (td.grad(lambda x: np.sum(np.tanh(td.at(x)[[0, 0, 2]].add(x[1])) ** 2)), (3, 4)),
    "multiply": (td.grad(lambda x, v: np.sum(td.at(np.exp(x))[1:].multiply(v))), (3, 4), (4,)),
    "assignment": (td.value_and_grad(assigned), (4,)),
    "layer_norm": (td.hessian(lambda x: np.sum(td.nn.layer_norm(x) ** 3)), (2, 4)),
    "checkpoint": (td.grad(lambda p: np.sum(block(p, block(p, W)) ** 2)), (3, 2)),
    "checkpoint, twice": (td.hessian(lambda p: np.sum(block(p, W) ** 2)), (3, 2)),
    "custom_vjp": (td.grad(lambda x: np.sum(bounded(x) ** 2)), (4,)),
    "custom_vjp, twice": (td.hessian(lambda x: np.sum(bounded(np.sin(x)) ** 2)), (4,)),
    "eigenvectors": (td.grad(lambda x: np.sum(np.linalg.eigh(x @ x.T)[1] ** 4)), (3, 3)),
    "powers of scalars": (td.value_and_grad(lambda x: np.sum(x) ** 3 * x[0] ** -0.5), (3,)),
}
NATIVE = [
    ("gradients of examples", "checkpoint", "custom_vjp"),
    pytest.param(("hessian", "set", "assignment"), marks=pytest.mark.gate),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_eagers_bits(name, rng):
    f, *shapes = FUNCTIONS[name]
    jitted = td.jit(f)
    for _ in range(3):
        args = [rng.uniform(0.25, 1.5, shape) for shape in shapes]
        assert_same(jitted(*args), f(*args))


@pytest.mark.parametrize("names", NATIVE, ids=" ".join)
def test_native_code_is_close(names, rng):
    """One program for all of them, which takes less to compile."""
    skip_without("native")

    def all_of_them(inputs):
        return {name: FUNCTIONS[name][0](*args) for name, args in inputs.items()}

    shapes = {name: FUNCTIONS[name][1:] for name in names}
    inputs = {name: [rng.uniform(0.25, 1.5, s) for s in of] for name, of in shapes.items()}
    assert_same(td.jit(all_of_them, backend="native")(inputs), all_of_them(inputs), "native")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_convolutional_net(backend, rng):
    skip_without(backend)
    params, images = net_params(rng), rng.standard_normal((2, 1, 4, 4))
    loss = td.value_and_grad(lambda params, images: -np.sum(net(params, images)[:, 0]))
    assert_same(td.jit(loss, backend=backend)(params, images), loss(params, images), backend, 1.0)


def test_gradients_of_examples_of_a_convolutional_net(rng):
    params, images = net_params(rng), rng.standard_normal((3, 1, 4, 4))
    each = td.vmap(td.grad(lambda params, x: net(params, x[None])[0, 1]), in_axes=(None, 0))
    assert_same(td.jit(each)(params, images), each(params, images))


def test_constants_keep_their_order_in_memory(rng):
    """A product with a transposed matrix adds up in another order than one with its copy."""
    constant, x = rng.standard_normal((40, 30)).T, rng.standard_normal((40, 20))
    for f in (lambda x: constant @ x, lambda x: np.sum(constant, axis=0) @ x):
        assert_same(td.jit(f)(x), f(x))


def test_results_have_eagers_order_in_memory(rng):
    """Or else a sum of them by the caller would differ in the last bit."""
    x = rng.standard_normal((40, 30))
    f = lambda x: (np.maximum(x.T, 0), np.sum(np.maximum(x.T, 0) * x.T))  # noqa: E731
    for got, wanted in zip(td.jit(f)(x), f(x), strict=True):
        assert_same(got, wanted)
        assert got.strides == wanted.strides
