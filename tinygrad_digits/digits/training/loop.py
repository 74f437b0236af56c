"""Training: a fold of a pure step over minibatches, seen epoch by epoch.

step  : (params, state), (x, labels) -> (params, state)
train : ... -> Epoch, Epoch, ...

Each Epoch holds the State that training goes on from: the rest of the run follows from it alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...compiler.api import jit
from ...engine.transforms import grad
from ...ops.losses import cross_entropy
from ...optim import Optimizer
from ...support import tree
from ..data.dataset import Array, Dataset, minibatches, validate
from ..model import mlp as model
from ..model.mlp import Params
from . import threads

Memory: TypeAlias = Any
"""What an optimiser remembers between steps: a tree of arrays, or None."""

Step: TypeAlias = Callable[[Params, Memory, Any, Any], tuple[Params, Memory]]
Augment: TypeAlias = Callable[[Array, np.random.Generator], Array]
Average: TypeAlias = Callable[[Params, Memory], Params]


class State(NamedTuple):
    """All that training goes on from."""

    epoch: int
    params: Params
    memory: Memory
    generator: dict[str, Any]
    """The bit generator's state, as NumPy gives it: a dict of strings and ints."""


class Epoch(NamedTuple):
    """Where training stands after so many passes over the data."""

    epoch: int
    params: Params
    """What is measured: the state's parameters, or their average."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    state: State

    def scores(self) -> dict[str, float]:
        """The numbers, for tables and files."""
        return {
            name: value for name, value in self._asdict().items() if name not in ("params", "state")
        }


def make_step(optimizer: Optimizer, backend: str | None = "numpy", smoothing: float = 0.0) -> Step:
    """One step of descent as a pure function: (params, state, x, labels) -> (params, state).

    Jitted for a backend of `jit`, with a program for each size of a batch; eager for None. With
    "numpy" both give the same bits. `smoothing` is that of the labels in `cross_entropy`.

    >>> import tinygrad_digits as td
    >>> step = make_step(td.optim.gradient_descent(1.0))
    >>> params = {"w0": np.zeros((1, 2)), "b0": np.zeros(2)}
    >>> params, _ = step(params, None, np.ones((1, 1)), np.array([0]))
    >>> params["b0"]
    array([ 0.5, -0.5])
    """

    def loss(params: Params, x: Any, labels: Any) -> Any:
        return cross_entropy(model.logits(params, x), labels, smoothing=smoothing)

    gradient = grad(loss)

    def step(params: Params, state: Memory, x: Any, labels: Any) -> tuple[Params, Memory]:
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
    smoothing: float = 0.0,
    augment: Augment | None = None,
    average: Average | None = None,
    resume: State | None = None,
    blas_threads: int = 0,
) -> Iterator[Epoch]:
    """Yield the start (epoch 0), then where each epoch has led; print nothing, change nothing.

    Stop when you like: each record holds arrays of its own. A record's state given as `resume`,
    with all else as it was, yields that record again and then the rest of the same run, to the bit.

    Args:
        params: where to start.
        optimizer: how to step.
        train_set: what to learn.
        validation_set: what to measure, too.
        epochs: how many passes over the data, those before `resume` included.
        batch_size: images in a step; the last of an epoch takes what remains.
        rng: draws the minibatches and the augmentation.
        backend: as in `make_step`. None suits an optimiser that `jit` cannot trace, or whose state
            is an int that counts, for which it would trace every step.
        smoothing: as in `make_step`.
        augment: (images, rng) -> images, done to the training images afresh in each epoch.
        average: (params, memory) -> params, which to measure instead of the parameters.
        resume: where to start, instead of at the parameters and at what `rng` would draw.
        blas_threads: of matrix products; 0 for as many as pay at these sizes. The last bits of the
            result depend on it.

    Raises ShapeError or ValueError, before anything is computed, for datasets or settings that make
    no sense, and FloatingPointError when the loss stops being finite.

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
    if resume is not None and resume.epoch > epochs:
        raise ValueError(f"cannot resume after epoch {resume.epoch} a run of {epochs} epochs")
    few = threads.chosen(blas_threads, sizes, batch_size)
    step = make_step(optimizer, backend, smoothing)

    def follow(state: State) -> State:
        images = train_set.images if augment is None else augment(train_set.images, rng)
        batches = minibatches(Dataset(images, train_set.labels), batch_size, rng)
        # _record says better what became infinite
        with threads.limited(few), np.errstate(over="ignore", invalid="ignore"):
            after = functools.reduce(lambda so_far, b: step(*so_far, *b), batches, state[1:3])
        return State(state.epoch + 1, *after, dict(rng.bit_generator.state))

    def record(state: State) -> Epoch:
        measured = state.params if average is None else average(state.params, state.memory)
        with threads.limited(few):
            return _record(state, measured, train_set, validation_set)

    if resume is None:
        resume = State(0, params, optimizer.init(params), dict(rng.bit_generator.state))
    else:
        rng.bit_generator.state = resume.generator
    return _epochs(resume, epochs, follow, record)


def _epochs(
    state: State, epochs: int, follow: Callable[[State], State], record: Callable[[State], Epoch]
) -> Iterator[Epoch]:
    yield record(state)
    while state.epoch < epochs:
        state = follow(state)
        yield record(state)


@np.errstate(over="ignore", invalid="ignore")
def _record(state: State, params: Params, train_set: Dataset, validation_set: Dataset) -> Epoch:
    scores: list[tuple[float, float]] = []
    for images, labels in (train_set, validation_set):
        z = model.logits(params, images)  # (n, 10)
        loss = float(cross_entropy(z, labels))
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {state.epoch}: lower the learning rate"
            )
        scores.append((loss, float(np.mean(z.argmax(axis=1) == labels))))
    train, validation = scores
    return Epoch(
        state.epoch, tree.map(_copied, params), *train, *validation, tree.map(_copied, state)
    )


def _copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
