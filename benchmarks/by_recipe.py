"""The training step that `tinygrad-digits train` takes by default: AdamW, at a rate on a cosine.

By hand and by this package; peers.py has what their users would write.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_digits as td
from tinygrad_digits.digits.model import manual
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.digits.training.optimizer_choice import choose_optimizer
from tinygrad_digits.digits.training.recipe import RECIPE

from .contenders import Step
from .problem import STEPS, TAKEN, Problem

RISING = round(RECIPE.warmup * STEPS)
"""Steps in which the rate rises."""
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def rate_at(step: int) -> float:
    """The learning rate: up along a line, down along half a cosine.

    >>> [round(rate_at(step), 6) for step in (RISING, (RISING + STEPS) // 2, STEPS)]
    [0.002, 0.001, 0.0]
    """
    gone = max(0, step - RISING) / (STEPS - RISING)
    rise = min(1.0, (step + 1) / (RISING + 1))
    return RECIPE.rate * rise * (1 + math.cos(math.pi * gone)) / 2


def manual_step(problem: Problem) -> Step:
    """Backprop and AdamW by hand: an array at a time, each number where it will stay.

    (Loshchilov and Hutter, 2019.) The state it starts from stays as it is, so that every step does
    the same; to write over it would be the same calls.
    """
    params, x, labels = problem.data
    after, mean, square, scratch = (
        {name: np.empty_like(p) for name, p in params.items()} for _ in range(4)
    )

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = manual.loss_and_grads(params, x, labels)
        rate = rate_at(TAKEN)
        seen1, seen2 = 1 - BETA1 ** (TAKEN + 1), 1 - BETA2 ** (TAKEN + 1)
        for name, p in params.items():
            g, m, v, s = grads[name], mean[name], square[name], scratch[name]
            np.multiply(problem.mean[name], BETA1, out=m)
            np.multiply(g, 1 - BETA1, out=s)
            m += s  # m = beta1 m + (1 - beta1) g
            np.multiply(problem.square[name], BETA2, out=v)
            np.multiply(g, g, out=s)
            s *= 1 - BETA2
            v += s  # v = beta2 v + (1 - beta2) g^2
            np.divide(v, seen2, out=s)
            np.sqrt(s, out=s)
            s += EPS
            np.divide(m, s, out=s)
            s *= rate / seen1  # rate m^ / (sqrt(v^) + eps)
            q = np.multiply(p, 1 - rate * RECIPE.weight_decay * (p.ndim > 1), out=after[name])
            q -= s
        return loss, after

    return step


def whole_step() -> Callable[..., tuple[Any, dict[str, Any], Any]]:
    """(params, memory, x, labels) -> (loss, params, memory), of what `train` trains with."""
    loss_and_grads = td.value_and_grad(model.loss)
    optimizer = choose_optimizer(RECIPE, STEPS)

    def step(params: Any, memory: Any, x: Any, labels: Any) -> tuple[Any, dict[str, Any], Any]:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, *optimizer.update(params, grads, memory)

    return step


def tape_step(problem: Problem) -> Step:
    """Everything recorded, swept and updated anew at each step."""
    return _result_of(whole_step(), problem)


def jit_step(problem: Problem, backend: str) -> Step:
    """The same function, traced once."""
    return _result_of(td.jit(whole_step(), backend=backend), problem)


def _result_of(step: Callable[..., Any], problem: Problem) -> Step:
    """From where the problem starts, without what the optimiser remembers afterwards."""
    params, x, labels = problem.data
    adam, decay, scheduled = choose_optimizer(RECIPE, STEPS).init(params)
    taken = np.int64(TAKEN)
    memory = (
        adam._replace(step=taken, mean=problem.mean, square=problem.square),
        decay,
        scheduled._replace(step=taken),
    )
    call = functools.partial(step, params, memory, x, labels)
    return lambda: call()[:2]
