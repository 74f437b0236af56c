"""A program as users write it. Each reveal_type is followed by what type checkers should say."""

from dataclasses import dataclass, replace
from typing import Any, reveal_type

import numpy as np
from numpy.typing import NDArray

import tinygrad_digits as td
from tinygrad_digits import nn, optim, tree

Array = NDArray[np.float64]


@dataclass
class Params:
    w1: Array
    b1: Array
    w2: Array


def init(rng: np.random.Generator, hidden: int = 8) -> Params:
    return Params(rng.normal(size=(4, hidden)), np.zeros(hidden), rng.normal(size=(hidden, 3)))


@td.checkpoint
def hidden_layer(params: Params, x: Array) -> Array:
    h: Array = nn.relu(x @ params.w1 + params.b1)
    return h


reveal_type(hidden_layer)  # (params: Params, x: ndarray) -> ndarray


@td.custom_vjp
def clip_gradient(x: Array, limit: float) -> Array:  # noqa: ARG001 (backward reads it)
    return x


clip_gradient.defvjp(
    lambda x, limit: (x, limit),
    lambda limit, g: (np.clip(g, -limit, limit), None),
)
reveal_type(clip_gradient)  # custom_vjp[(x: ndarray, limit: float), ndarray]


def loss(params: Params, x: Array, labels: NDArray[np.int64], *, smoothing: float = 0.0) -> float:
    logits = clip_gradient(hidden_layer(params, x) @ params.w2, 1.0)
    reveal_type(logits)  # ndarray
    value: float = nn.cross_entropy(logits, labels, smoothing=smoothing)
    return value


gradient = td.grad(loss)
reveal_type(gradient)
# (params: Params, x: ndarray, labels: ndarray, *, smoothing: float = ...) -> Any
reveal_type(td.value_and_grad(loss))
# (params: Params, x: ndarray, labels: ndarray, *, smoothing: float = ...) -> tuple[Any, Any]
reveal_type(td.jacobian(hidden_layer))  # (params: Params, x: ndarray) -> Any
reveal_type(td.hessian(loss, argnums=(0, 1)))
# (params: Params, x: ndarray, labels: ndarray, *, smoothing: float = ...) -> Any
reveal_type(td.grad(lambda x: x**3)(2.0))  # Any

optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(optim.schedules.cosine(0.1, 50)))
reveal_type(optimizer)  # Optimizer


@td.jit
def step(
    params: Params, state: Any, x: Array, labels: NDArray[np.int64]
) -> tuple[Params, Any, float]:
    value, grads = td.value_and_grad(loss)(params, x, labels, smoothing=0.1)
    params, state = optimizer.update(params, grads, state)
    return params, state, value


@td.jit(backend="numpy", static_argnames="power")
def scaled(x: Array, power: int = 2) -> Array:
    return np.power(x, power)


reveal_type(scaled)  # Jitted[(x: ndarray, power: int = ...), ndarray]
reveal_type(scaled(np.ones(2), power=3))  # ndarray
reveal_type(scaled.cache_info().traces)  # int


class Model:
    scale = 2.0

    @td.jit
    def predict(self, x: Array) -> Array:
        return self.scale * x


reveal_type(Model().predict)  # (x: ndarray) -> ndarray

each = td.vmap(hidden_layer, in_axes=(None, 0))
reveal_type(each.loops)  # (params: Params, x: ndarray) -> tuple[str, ...]


def energy(t: td.Tensor) -> td.Tensor:
    reveal_type(t + 1.0)  # Tensor
    reveal_type(2.0 * t)  # Tensor
    reveal_type(-t[0] @ t)  # Tensor
    reveal_type(t.sum(axis=0))  # Tensor
    reveal_type(t.shape)  # tuple[int, ...]
    t[0] = 2.0
    t += 1.0
    return t**2


def curve(x: float) -> float:
    return float(np.sin(x))


reveal_type(td.elementwise_grad(curve))  # (x: float) -> Any


def main() -> list[float]:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(16, 4)), rng.integers(3, size=16)
    params = init(rng)
    state = optimizer.init(params)
    losses = []
    for _ in range(20):
        params, state, value = step(params, state, x, labels)
        reveal_type(params)  # Params
        losses.append(value)
    reveal_type(each(params, x))  # Any
    reveal_type(td.stop_gradient(params))  # Params
    reveal_type(step.program(params, state, x, labels))  # Lowered
    y, pullback = td.vjp(lambda x: hidden_layer(params, x), x)
    reveal_type(td.jvp(hidden_layer, (params, x), (params, x)))  # tuple[ndarray, ndarray]
    reveal_type(td.linearize(hidden_layer, params, x)[1](params, x))  # ndarray
    doubled: Params = tree.map(lambda leaf: 2 * leaf, params)
    td.check_grads(lambda w: loss(replace(doubled, w2=w), x, labels), params.w2, order=1)
    reveal_type(td.record(loss, params, x, labels))  # Recording
    reveal_type(td.profile(loss, params, x, labels))  # Profile
    reveal_type(td.debug(loss)(params, x, labels))  # float
    reveal_type(td.minimize(lambda w: np.sum(w**2), x).success)  # bool
    try:
        pullback(y)
    except td.errors.ShapeError as error:
        reveal_type(error)  # ShapeError
    return losses
