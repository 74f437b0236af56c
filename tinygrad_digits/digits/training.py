"""Training: a fold of a pure step over minibatches, seen epoch by epoch.

step  : (params, state), (x, labels) -> (params, state)
train : ... -> Epoch, Epoch, ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..engine.transforms import grad
from ..jit.api import jit
from ..optim import Optimizer
from . import model
from .data import Dataset, minibatches, validate
from .model import Params

State: TypeAlias = Any
"""What an optimiser remembers between steps."""

Step: TypeAlias = Callable[[Params, State, Any, Any], tuple[Params, State]]


class Epoch(NamedTuple):
    """Where training stands after so many passes over the data."""

    epoch: int
    params: Params
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float

    def scores(self) -> dict[str, float]:
        """All but the parameters, for tables and files."""
        return {name: value for name, value in self._asdict().items() if name != "params"}


def make_step(optimizer: Optimizer, backend: str | None = "numpy") -> Step:
    """One step of descent as a pure function: (params, state, x, labels) -> (params, state).

    Jitted for a backend of `jit`, with a program for each size of a batch; eager for None. With
    "numpy" both give the same bits.

    >>> import tinygrad_digits as td
    >>> step = make_step(td.optim.gradient_descent(1.0))
    >>> params = {"w0": np.zeros((1, 2)), "b0": np.zeros(2)}
    >>> params, _ = step(params, None, np.ones((1, 1)), np.array([0]))
    >>> params["b0"]
    array([ 0.5, -0.5])
    """
    gradient = grad(model.loss)

    def step(params: Params, state: State, x: Any, labels: Any) -> tuple[Params, State]:
        return optimizer.update(params, gradient(params, x, labels), state)

    return step if backend is None else jit(step, backend=backend)


def train(
    params: Params,
    optimizer: Optimizer,
    train_set: Dataset,
    validation_set: Dataset,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    backend: str | None = "numpy",
) -> Iterator[Epoch]:
    """Yield the start (epoch 0), then where each epoch has led; print nothing, change nothing.

    Stop when you like: each record holds parameters of its own. `rng` draws the minibatches;
    `backend` is as in `make_step`: None suits an optimiser that `jit` cannot trace, or whose state
    is an int that counts, for which it would trace every step. Raises ShapeError or ValueError,
    before anything is computed, for datasets or settings that make no sense, and
    FloatingPointError when the loss stops being finite.

    >>> import tinygrad_digits as td
    >>> images = Dataset(np.eye(64), np.arange(64) % 10)
    >>> epochs = train(model.init_params(), td.optim.gradient_descent(0.5), images, images,
    ...                epochs=100, batch_size=16, rng=np.random.default_rng(0))
    >>> [record.train_accuracy for record in epochs][-1]
    1.0
    """
    sizes = model.layer_sizes(params)
    train_set, validation_set = (
        validate(*dataset, pixels=sizes[0], classes=sizes[-1])
        for dataset in (train_set, validation_set)
    )
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"needs epochs >= 0 and batch_size >= 1, got {epochs} and {batch_size}")
    step, state = make_step(optimizer, backend), optimizer.init(params)
    return _epochs(step, params, state, train_set, validation_set, epochs, batch_size, rng)


def _epochs(
    step: Step,
    params: Params,
    state: State,
    train_set: Dataset,
    validation_set: Dataset,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[Epoch]:
    yield _record(0, params, train_set, validation_set)
    for epoch in range(1, epochs + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # _record says it better
            params, state = functools.reduce(
                lambda so_far, batch: step(*so_far, *batch),
                minibatches(train_set, batch_size, rng),
                (params, state),
            )
        yield _record(epoch, params, train_set, validation_set)


@np.errstate(over="ignore", invalid="ignore")
def _record(epoch: int, params: Params, train_set: Dataset, validation_set: Dataset) -> Epoch:
    scores = []
    for dataset in (train_set, validation_set):
        loss = float(model.loss(params, *dataset))
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {epoch}: lower the learning rate"
            )
        scores += [loss, model.accuracy(params, *dataset)]
    return Epoch(epoch, {name: array.copy() for name, array in params.items()}, *scores)
