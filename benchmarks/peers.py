"""The same steps, gradients and chains in other libraries: each as its own users write them."""

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_digits as td
from tinygrad_digits.digits.training.recipe import RECIPE

from . import ALL_CORES, by_recipe
from .contenders import Step
from .problem import RATE, STEPS, TAKEN, Problem

Maker = Callable[[Problem], Step]
Loss = Callable[..., Any]
"""(a library's own `numpy`, params, *data) -> scalar"""
Gradient = Callable[[Loss, dict[str, Any], tuple[Any, ...]], Step]
"""(loss, params, data) -> a step that computes the loss and its gradients"""
Chain = Callable[[Any, int], Any]
"""(x, n) -> the gradient of sum(sin(sin(... x))), n sines deep"""


class Peer(NamedTuple):
    """A library: the module to import, and what to run in it."""

    module: str
    step: Maker
    gradient: Gradient
    chain: Chain | None = None
    recipe: Maker | None = None
    """The step by the recipe, where the library brings an AdamW."""
    longest: int = 1_000_000
    """The longest chain to ask for; ten times that takes up to a minute a run."""
    compiles: bool = False
    """Whether the first call pays for the others."""


# --- PyTorch, eager


def torch_step(problem: Problem) -> Step:
    import torch

    _limit_threads()
    params = {k: torch.tensor(p, requires_grad=True) for k, p in problem.params.items()}
    x, labels = torch.tensor(problem.x), torch.tensor(problem.labels)

    def step() -> tuple[Any, dict[str, Any]]:
        loss = _torch_loss(params, x, labels)
        grads = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            updated = {k: p - RATE * g for (k, p), g in zip(params.items(), grads, strict=True)}
        return loss.detach(), updated

    return step


def _torch_loss(params: dict[str, Any], x: Any, labels: Any) -> Any:
    import torch

    depth = len(params) // 2
    h = x
    for i in range(depth):
        h = h @ params[f"w{i}"] + params[f"b{i}"]
        if i < depth - 1:
            h = torch.relu(h)
    return torch.nn.functional.cross_entropy(h, labels)


def torch_gradient(loss: Loss, params: dict[str, Any], data: tuple[Any, ...]) -> Step:
    import torch

    _limit_threads()
    params = {k: torch.tensor(p, requires_grad=True) for k, p in params.items()}
    data = tuple(map(torch.tensor, data))

    def step() -> tuple[Any, dict[str, Any]]:
        value = loss(torch, params, *data)
        grads = torch.autograd.grad(value, list(params.values()))
        return value.detach(), dict(zip(params, grads, strict=True))

    return step


def torch_chain(x: Any, n: int) -> Any:
    import torch

    _limit_threads()
    start = h = torch.tensor(x, requires_grad=True)
    for _ in range(n):
        h = torch.sin(h)
    h.sum().backward()
    return start.grad


def torch_recipe_step(problem: Problem) -> Step:
    """Its AdamW, which writes over its parameters and averages: to copy these back, so that each
    step does the same, takes a twentieth of the step.
    """
    import torch

    _limit_threads()
    params = {k: torch.tensor(p, requires_grad=True) for k, p in problem.params.items()}
    x, labels = torch.tensor(problem.x), torch.tensor(problem.labels)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in params.values() if p.ndim > 1]},
            {"params": [p for p in params.values() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=by_recipe.rate_at(TAKEN), betas=(by_recipe.BETA1, by_recipe.BETA2), eps=by_recipe.EPS,
        weight_decay=RECIPE.weight_decay,
    )  # fmt: skip
    _torch_loss(params, x, labels).backward()
    optimizer.step()  # which makes the averages
    states = [optimizer.state[p] for p in params.values()]
    here = [*params.values(), *(s["exp_avg"] for s in states), *(s["exp_avg_sq"] for s in states)]
    there = [problem.params, problem.mean, problem.square]
    start = [torch.tensor(array) for arrays in there for array in arrays.values()]

    def step() -> tuple[Any, dict[str, Any]]:
        with torch.no_grad():
            torch._foreach_copy_(here, start)
        for state in states:
            state["step"].fill_(TAKEN)
        optimizer.zero_grad()
        loss = _torch_loss(params, x, labels)
        loss.backward()
        optimizer.step()
        return loss.detach(), {name: p.detach() for name, p in params.items()}

    return step


def _limit_threads() -> None:
    """PyTorch's default is a thread for each core of the machine."""
    import torch

    if ALL_CORES not in os.environ:
        torch.set_num_threads(1)


# --- PyTorch, compiled: torch.func inside, so that one graph holds the whole step


def torch_compiled_step(problem: Problem) -> Step:
    import torch

    loss_and_grads = torch.func.grad_and_value(_torch_loss)

    def update(params: Any, x: Any, labels: Any) -> Any:
        grads, loss = loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return _torch_compiled(update, *problem.data)


def torch_compiled_gradient(loss: Loss, params: dict[str, Any], data: tuple[Any, ...]) -> Step:
    import torch

    gradient = torch.func.grad_and_value(functools.partial(loss, torch))

    def loss_and_grads(params: Any, *data: Any) -> Any:
        grads, value = gradient(params, *data)
        return value, grads

    return _torch_compiled(loss_and_grads, params, *data)


def _torch_compiled(f: Callable[..., Any], params: dict[str, Any], *data: Any) -> Step:
    import torch

    _limit_threads()
    torch.compiler.reset()  # of shapes that it has seen before it makes a slower, general program
    tensors = {name: torch.tensor(p) for name, p in params.items()}
    compiled = torch.compile(f, dynamic=False)
    return functools.partial(compiled, tensors, *map(torch.tensor, data))


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

    loss_and_grads = jax.value_and_grad(functools.partial(_loss, jnp))

    def update(params: Any, x: Any, labels: Any) -> Any:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return _jax_jitted(update, *problem.data)


def jax_recipe_step(problem: Problem) -> Step:
    import jax
    import jax.numpy as jnp
    import optax

    def rate_at(step: Any) -> Any:
        gone = jnp.maximum(0, step - by_recipe.RISING) / (STEPS - by_recipe.RISING)
        rise = jnp.minimum(1.0, (step + 1) / (by_recipe.RISING + 1))
        return RECIPE.rate * rise * (1 + jnp.cos(jnp.pi * gone)) / 2

    optimizer = optax.adamw(
        rate_at, by_recipe.BETA1, by_recipe.BETA2, by_recipe.EPS,
        weight_decay=RECIPE.weight_decay,
        mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )  # fmt: skip
    loss_and_grads = jax.value_and_grad(functools.partial(_loss, jnp))

    def step(params: Any, state: Any, x: Any, labels: Any) -> Any:
        loss, grads = loss_and_grads(params, x, labels)
        updates, state = optimizer.update(grads, state, params)
        return loss, optax.apply_updates(params, updates), state

    params, x, labels = problem.data
    state = optax.tree_utils.tree_set(
        optimizer.init(params), mu=problem.mean, nu=problem.square, count=jnp.int32(TAKEN)
    )
    jitted = _jax_jitted(step, params, state, x, labels)
    return lambda: jitted()[:2]


def jax_gradient(loss: Loss, params: dict[str, Any], data: tuple[Any, ...]) -> Step:
    import jax
    import jax.numpy as jnp

    return _jax_jitted(jax.value_and_grad(functools.partial(loss, jnp)), params, *data)


def _jax_jitted(f: Callable[..., Any], *args: Any) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    jitted, args = jax.jit(f), jax.device_put(args)
    return lambda: jax.block_until_ready(jitted(*args))


def autograd_step(problem: Problem) -> Step:
    import autograd
    import autograd.numpy as anp

    params, x, labels = problem.data
    loss_and_grads = autograd.value_and_grad(functools.partial(_loss, anp))

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return step


def autograd_gradient(loss: Loss, params: dict[str, Any], data: tuple[Any, ...]) -> Step:
    import autograd
    import autograd.numpy as anp

    loss_and_grads = autograd.value_and_grad(functools.partial(loss, anp))
    return functools.partial(loss_and_grads, params, *data)


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


def mygrad_gradient(loss: Loss, params: dict[str, Any], data: tuple[Any, ...]) -> Step:
    import mygrad

    params = {name: mygrad.tensor(p) for name, p in params.items()}

    def step() -> tuple[Any, dict[str, Any]]:
        value = loss(mygrad, params, *data)
        value.backward()
        return value.item(), {name: p.grad for name, p in params.items()}

    return step


def mygrad_chain(x: Any, n: int) -> Any:
    import mygrad

    start = h = mygrad.tensor(x)
    for _ in range(n):
        h = np.sin(h)
    h.sum().backward()
    return start.grad


PEERS = {
    "PyTorch": Peer("torch", torch_step, torch_gradient, torch_chain, torch_recipe_step),
    "PyTorch compile": Peer("torch", torch_compiled_step, torch_compiled_gradient, compiles=True),
    "JAX jit": Peer("jax", jax_step, jax_gradient, recipe=jax_recipe_step, compiles=True),
    "autograd": Peer("autograd", autograd_step, autograd_gradient, autograd_chain, longest=100_000),
    "MyGrad": Peer("mygrad", mygrad_step, mygrad_gradient, mygrad_chain, longest=100_000),
}


SCANS = {"jax": "jax.lax"}
"""Peers -> where they have a scan."""


def find_scan(numpy: Any) -> Callable[..., Any]:
    """The scan of the library that this `numpy` is of: the peer's, or ours."""
    owner = numpy.__name__.partition(".")[0]
    scan: Callable[..., Any] = importlib.import_module(SCANS.get(owner, td.__name__)).scan
    return scan


def installed() -> dict[str, Peer]:
    return {name: peer for name, peer in PEERS.items() if importlib.util.find_spec(peer.module)}
