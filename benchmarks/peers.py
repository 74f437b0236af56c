"""The same step, and the same chain of ops, in other libraries: each as its own users write it."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .problem import RATE, Problem
from .steps import Maker, Step

Chain = Callable[[Any, int], Any]
"""(x, n) -> the gradient of sum(sin(sin(... x))), n sines deep"""


class Peer(NamedTuple):
    """A library: the module to import, and what to run in it."""

    module: str
    step: Maker
    chain: Chain | None = None
    longest: int = 1_000_000
    """The longest chain to ask for; ten times that takes up to a minute a run."""


# --- PyTorch, eager


def torch_step(problem: Problem) -> Step:
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    params = {k: torch.tensor(p, requires_grad=True) for k, p in problem.params.items()}
    x, labels = torch.tensor(problem.x), torch.tensor(problem.labels)
    depth = len(params) // 2

    def step() -> tuple[Any, dict[str, Any]]:
        h = x
        for i in range(depth):
            h = h @ params[f"w{i}"] + params[f"b{i}"]
            if i < depth - 1:
                h = torch.relu(h)
        loss = cross_entropy(h, labels)
        grads = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            updated = {k: p - RATE * g for (k, p), g in zip(params.items(), grads, strict=True)}
        return loss.detach(), updated

    return step


def torch_chain(x: Any, n: int) -> Any:
    import torch

    torch.set_num_threads(1)
    start = h = torch.tensor(x, requires_grad=True)
    for _ in range(n):
        h = torch.sin(h)
    h.sum().backward()
    return start.grad


# --- JAX and HIPS autograd, which both bring a `numpy` of their own


def _loss(np: Any, params: dict[str, Any], x: Any, labels: Any) -> Any:
    depth = len(params) // 2
    h = x
    for i in range(depth):
        h = h @ params[f"w{i}"] + params[f"b{i}"]
        if i < depth - 1:
            h = np.maximum(h, 0)
    shifted = h - np.max(h, axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])


def jax_step(problem: Problem) -> Step:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    loss_and_grads = jax.value_and_grad(lambda params, x, labels: _loss(jnp, params, x, labels))

    @jax.jit
    def update(params: Any, x: Any, labels: Any) -> Any:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    problem = jax.device_put(problem)
    return lambda: jax.block_until_ready(update(*problem))


def autograd_step(problem: Problem) -> Step:
    import autograd
    import autograd.numpy as anp

    params, x, labels = problem
    loss_and_grads = autograd.value_and_grad(lambda params: _loss(anp, params, x, labels))

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = loss_and_grads(params)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return step


def autograd_chain(x: Any, n: int) -> Any:
    import autograd
    import autograd.numpy as anp

    def f(h: Any) -> Any:
        for _ in range(n):
            h = anp.sin(h)
        return anp.sum(h)

    return autograd.grad(f)(x)


# --- MyGrad


def mygrad_step(problem: Problem) -> Step:
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    params = {name: mygrad.tensor(p) for name, p in problem.params.items()}
    depth = len(params) // 2

    def step() -> tuple[Any, dict[str, Any]]:
        h: Any = problem.x
        for i in range(depth):
            h = h @ params[f"w{i}"] + params[f"b{i}"]
            if i < depth - 1:
                h = relu(h)
        loss = softmax_crossentropy(h, problem.labels)
        loss.backward()
        return loss.item(), {name: p.data - RATE * p.grad for name, p in params.items()}

    return step


def mygrad_chain(x: Any, n: int) -> Any:
    import mygrad

    start = h = mygrad.tensor(x)
    for _ in range(n):
        h = np.sin(h)
    h.sum().backward()
    return start.grad


PEERS = {
    "PyTorch": Peer("torch", torch_step, torch_chain),
    "JAX jit": Peer("jax", jax_step),
    "autograd": Peer("autograd", autograd_step, autograd_chain, longest=100_000),
    "MyGrad": Peer("mygrad", mygrad_step, mygrad_chain, longest=100_000),
}


def installed() -> dict[str, Peer]:
    return {name: peer for name, peer in PEERS.items() if importlib.util.find_spec(peer.module)}
