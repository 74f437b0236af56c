"""Fitting rows of any kind, each with a weight: what the estimator repeats, an epoch at a time.

step  : (params, memory), (x, labels, weights) -> params, memory, loss
epoch : step, (params, memory), rows -> params, memory, mean loss
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...compiler.api import jit
from ...engine.transforms import value_and_grad
from ...ops.losses import cross_entropy
from ..data.dataset import Array
from ..model import mlp as model
from ..model.mlp import Params
from .optimizer_choice import averaged, descent
from .recipe import Recipe

RATES = {
    "gd": 0.3,
    "momentum": 0.05,
    "nesterov": 0.05,
    "rmsprop": 0.001,
    "adagrad": 0.03,
    "adam": 0.005,
    "adamw": 0.005,
    "lion": 0.0003,
}
"""Learning rates that suit the optimisers."""

DECAYS = {"adamw": 0.5, "lion": 5.0}
"""Weight decays that suit those that have it in their names, or paper: their rates times this."""

Step: TypeAlias = Callable[..., tuple[Params, Any, Any]]


class Rows(NamedTuple):
    """What is fitted: (n, features) floats, (n,) integer labels, (n,) positive weights."""

    x: Array
    labels: Array
    weights: Array


class Progress(NamedTuple):
    """How far fitting has come: the parameters, what the optimiser remembers, which to use."""

    params: Params
    memory: Any
    used: Params


def weighted_loss(
    params: Params, x: Array, labels: Array, weights: Array, smoothing: float = 0.0
) -> Array:
    """Cross-entropy averaged with weights: rows that weigh 2 count as if they were there twice.

    >>> params = {"w0": np.array([[1.0, 0.0]]), "b0": np.zeros(2)}
    >>> once = weighted_loss(params, np.array([[0.0], [1.0]]), np.array([0, 1]), np.array([2., 1]))
    >>> x, labels = np.array([[0.0], [0.0], [1.0]]), np.array([0, 0, 1])
    >>> bool(np.isclose(once, model.loss(params, x, labels)))
    True
    """
    logits = model.logits(params, x)
    losses = cross_entropy(logits, labels, smoothing=smoothing, reduction="none")
    mean: Array = np.sum(losses * weights) / np.sum(weights)
    return mean


def begin(params: Params, recipe: Recipe, steps: int) -> Progress:
    """Before the first of so many steps."""
    return Progress(params, descent(recipe, steps).init(params), params)


@functools.lru_cache(maxsize=64)
def make_step(recipe: Recipe, steps: int, backend: str | None, _shapes: tuple[Any, ...]) -> Step:
    """One of so many steps: (params, memory, x, labels, weights) -> params, memory, loss.

    Made once for all fits that are alike: the `_shapes` (and dtypes) that the step will see are
    among its arguments so that it is traced for them alone, however many others there are.
    """
    optimizer = descent(recipe, steps)
    gradient = value_and_grad(weighted_loss)

    def step(
        params: Params, memory: Any, x: Any, labels: Any, weights: Any
    ) -> tuple[Params, Any, Any]:
        loss, grads = gradient(params, x, labels, weights, recipe.smoothing)
        params, memory = optimizer.update(params, grads, memory)
        return params, memory, loss

    return step if backend is None else jit(step, backend=backend)


def epoch(
    step: Step, progress: Progress, rows: Rows, size: int, rng: np.random.Generator, ema: float
) -> tuple[Progress, float]:
    """Every row once, in an order that `rng` draws: where that leads, and the mean loss on the way.

    With `ema`, the optimiser's average is what is used. Raises FloatingPointError when the loss or
    a parameter stops being finite.
    """
    params, memory, _ = progress
    losses, weights = [], []
    with np.errstate(over="ignore", invalid="ignore"):  # the error below says it better
        for batch in batches(rows, size, rng):
            params, memory, loss = step(params, memory, *batch)
            losses.append(float(loss))
            weights.append(float(batch.weights.sum()))
        mean = float(np.average(losses, weights=weights))
    if not np.isfinite([mean, *(array.sum() for array in params.values())]).all():
        raise FloatingPointError("the loss or a parameter became infinite or NaN: lower the rate")
    return Progress(params, memory, averaged(params, memory) if ema else params), mean


def batches(rows: Rows, size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Shuffled minibatches, all of one size: rows that weigh nothing fill up the last.

    >>> rows = Rows(np.eye(3), np.arange(3), np.ones(3))
    >>> [batch.weights for batch in batches(rows, 2, np.random.default_rng(0))]
    [array([1., 1.]), array([1., 0.])]
    """
    order = rng.permutation(len(rows.labels))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        filled = np.resize(chosen, size)
        weights = rows.weights[filled]
        weights[len(chosen) :] = 0
        yield Rows(rows.x[filled], rows.labels[filled], weights)


def padded_size(rows: int, batch_size: int) -> int:
    """The batch size, or the power of 2 that holds all rows where they are fewer.

    So a stream of chunks of any length needs no more than a handful of programs.

    >>> padded_size(1000, 64), padded_size(20, 64), padded_size(50, 48)
    (64, 32, 48)
    """
    return min(batch_size, 1 << (rows - 1).bit_length())
