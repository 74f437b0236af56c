"""Training: one loop for the command line and the estimators.

make_step : optimizer, loss -> (params, state, x, labels, ...) -> params, state, loss
fit       : step, progress, draw -> Progress, Progress, ...    one an epoch
train     : params, datasets -> Epoch, Epoch, ...              measured, and resumable to the bit

Each Epoch holds the Snapshot that training goes on from: the rest of the run follows from it alone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...compiler.api import jit
from ...engine.transforms import value_and_grad
from ...ops.losses import cross_entropy
from ...optim import Optimizer
from ...support import tree
from ..data.dataset import Array, Dataset, minibatches, validate
from ..model import kinds, mlp
from ..model.mlp import Params
from . import threads

OptState: TypeAlias = Any
"""An optimiser's: a tree of arrays, or None."""

Batch: TypeAlias = tuple[Any, ...]
"""(x, labels), then (n,) weights and dropout's masks where there are any."""

Step: TypeAlias = Callable[..., tuple[Params, OptState, Any]]
Augment: TypeAlias = Callable[[Array, np.random.Generator], Array]
Join: TypeAlias = Callable[[Dataset, np.random.Generator], Dataset]
Average: TypeAlias = Callable[[Params, OptState], Params]

MEASURED = 16_384
"""Images of each set on which an epoch is measured, at most, evenly chosen: of 60,000 all would
take a third of the time that it takes to learn them."""


class Progress(NamedTuple):
    """How far fitting has come."""

    epoch: int
    params: Params
    state: OptState
    used: Params
    """What the model is: the parameters, or their average."""
    loss: float = np.nan
    """The mean over the epoch's batches, each before its step."""


class Snapshot(NamedTuple):
    """All that training goes on from."""

    epoch: int
    params: Params
    state: OptState
    generator: dict[str, Any]
    """The bit generator's state, as NumPy gives it: a dict of strings and ints."""


class Epoch(NamedTuple):
    """Where training stands after so many passes over the data."""

    epoch: int
    params: Params
    """What is measured: the snapshot's parameters, or their average."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    snapshot: Snapshot

    def scores(self) -> dict[str, float]:
        """The numbers, for tables and files."""
        return {
            name: value
            for name, value in self._asdict().items()
            if name not in ("params", "snapshot")
        }


def make_step(
    optimizer: Optimizer,
    backend: str | None = "numpy",
    smoothing: float = 0.0,
    loss: Callable[..., Any] = mlp.loss,
) -> Step:
    """One step of descent as a pure function: (params, state, *batch) -> params, state, loss.

    Jitted for a backend of `jit`, with a program for each size of a batch; eager for None. With
    "numpy" both give the same bits. `loss` is a function of (params, *batch); `smoothing`, where
    there is any, its keyword argument.

    >>> import tinygrad_digits as td
    >>> step = make_step(td.optim.gradient_descent(1.0))
    >>> params = {"w0": np.zeros((1, 2)), "b0": np.zeros(2)}
    >>> params, state, loss = step(params, None, np.ones((1, 1)), np.array([0]))
    >>> params["b0"], bool(np.isclose(loss, np.log(2)))
    (array([ 0.5, -0.5]), True)
    """
    gradient = value_and_grad(functools.partial(loss, smoothing=smoothing) if smoothing else loss)

    def step(params: Params, state: OptState, *batch: Any) -> tuple[Params, OptState, Any]:
        value, grads = gradient(params, *batch)
        params, state = optimizer.update(params, grads, state)
        return params, state, value

    return step if backend is None else jit(step, backend=backend)


def fit(
    step: Step,
    progress: Progress,
    draw: Callable[[], Iterable[Batch]],
    epochs: int,
    average: Average | None = None,
    blas_threads: int | None = None,
) -> Iterator[Progress]:
    """Follow the step over the batches that `draw` makes for each epoch; yield where each has led.

    `average` is what the model is made of params and state, by default the params. BLAS has no more
    than `blas_threads` meanwhile. Raises FloatingPointError when the loss or a parameter stops
    being finite.

    >>> import tinygrad_digits as td
    >>> rows = np.eye(2), np.array([0, 1])
    >>> optimizer, params = td.optim.gradient_descent(1.0), mlp.init_params((2, 2))
    >>> begin = Progress(0, params, optimizer.init(params), params)
    >>> curve = [p.loss for p in fit(make_step(optimizer), begin, lambda: [rows], epochs=3)]
    >>> curve == sorted(curve, reverse=True)
    True
    """
    while progress.epoch < epochs:
        # _check_finite says better what became infinite
        with threads.limit(blas_threads), np.errstate(over="ignore", invalid="ignore"):
            progress = _follow(step, progress, draw(), average)
        yield progress


def _follow(
    step: Step, progress: Progress, batches: Iterable[Batch], average: Average | None
) -> Progress:
    epoch, params, state = progress.epoch + 1, progress.params, progress.state
    losses, weights = [], []
    for batch in batches:
        params, state, loss = step(params, state, *batch)
        losses.append(float(loss))
        weighted = len(batch) > 2 and batch[2] is not None
        weights.append(float(batch[2].sum()) if weighted else len(batch[1]))
    mean = float(np.average(losses, weights=weights))
    _check_finite(mean, params, epoch)
    return Progress(epoch, params, state, average(params, state) if average else params, mean)


def _check_finite(loss: float, params: Params, epoch: int) -> None:
    remedy = f"in epoch {epoch}: lower the learning rate"
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss became {loss} {remedy}")
    for name, array in params.items():
        if not np.isfinite(array.sum()):
            raise FloatingPointError(f"the parameter {name} became infinite or NaN {remedy}")


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
    join: Join | None = None,
    augment: Augment | None = None,
    average: Average | None = None,
    resume: Snapshot | None = None,
    blas_threads: int = 0,
) -> Iterator[Epoch]:
    """Yield the start (epoch 0), then where each epoch has led; print nothing, change nothing.

    Stop when you like: each record holds arrays of its own. A record's snapshot given as `resume`,
    with all else as it was, yields that record again and then the rest of the same run, to the bit.

    Args:
        params: where to start.
        optimizer: how to step.
        train_set: what to learn; stored images are read a minibatch at a time.
        validation_set: what to measure, too. Of more than MEASURED images, some of either are.
        epochs: how many passes over the data, those before `resume` included.
        batch_size: images in a step; the last of an epoch takes what remains.
        rng: draws the minibatches and the augmentation.
        backend: as in `make_step`. None suits an optimiser that `jit` cannot trace, or whose state
            is an int that counts, for which it would trace every step.
        smoothing: of the labels, as in `cross_entropy`.
        join: (dataset, rng) -> dataset, what an epoch learns instead of the training set alone.
        augment: (images, rng) -> images, done to these images afresh in each epoch.
        average: (params, state) -> params, which to measure instead of the parameters.
        resume: where to start, instead of at the parameters and at what `rng` would draw.
        blas_threads: of matrix products; 0 for as many as pay at these sizes. The last bits of the
            result depend on it.

    Raises ShapeError or ValueError, before anything is computed, for datasets or settings that make
    no sense, and FloatingPointError when the loss stops being finite.

    >>> import tinygrad_digits as td
    >>> images = Dataset(np.eye(64), np.arange(64) % 10)
    >>> epochs = train(mlp.init_params(), td.optim.gradient_descent(0.5), images, images,
    ...                epochs=100, batch_size=16, rng=np.random.default_rng(0))
    >>> [record.train_accuracy for record in epochs][-1]
    1.0
    """
    sizes = kinds.layer_sizes(params)
    sets = [validate(*d, pixels=sizes[0], classes=sizes[-1]) for d in (train_set, validation_set)]
    _check_length(epochs, batch_size, resume)
    few = threads.choose(blas_threads, sizes, batch_size)
    loss = kinds.KINDS[kinds.name_of(params)].loss
    step = make_step(optimizer, backend, smoothing, loss)
    some = [_take_some(dataset) for dataset in sets]
    if resume is None:
        resume = Snapshot(0, params, optimizer.init(params), dict(rng.bit_generator.state))
    rng.bit_generator.state = resume.generator
    used = average(resume.params, resume.state) if average else resume.params
    begin = Progress(*resume[:3], used)
    draw = functools.partial(_draw, sets[0], join, augment, batch_size, rng)

    def measure(progress: Progress) -> Epoch:
        snapshot = Snapshot(*progress[:3], dict(rng.bit_generator.state))
        with threads.limit(few):
            learned, validated = (_measure(progress, part) for part in some)
        copied, used = tree.map(_copy, (snapshot, progress.used))
        return Epoch(progress.epoch, used, *learned, *validated, copied)

    return map(measure, itertools.chain([begin], fit(step, begin, draw, epochs, average, few)))


def _draw(
    dataset: Dataset,
    join: Join | None,
    augment: Augment | None,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[Dataset]:
    """The minibatches of an epoch."""
    images, labels = dataset if join is None else join(dataset, rng)
    images = images if augment is None else augment(images, rng)
    return minibatches(Dataset(images, labels), batch_size, rng)


def _check_length(epochs: int, batch_size: int, resume: Snapshot | None) -> None:
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"needs epochs >= 0 and batch_size >= 1, got {epochs} and {batch_size}")
    if resume is not None and resume.epoch > epochs:
        raise ValueError(f"cannot resume after epoch {resume.epoch} a run of {epochs} epochs")


def _take_some(dataset: Dataset, most: int = MEASURED) -> Dataset:
    """No more than so many images, stored ones read here and now."""
    every = -(-len(dataset.labels) // most)
    if every == 1 and isinstance(dataset.images, np.ndarray):
        return dataset
    return Dataset(dataset.images[::every], dataset.labels[::every])


@np.errstate(over="ignore", invalid="ignore")
def _measure(progress: Progress, dataset: Dataset) -> tuple[float, float]:
    """Loss and accuracy on all of a dataset."""
    z = kinds.logits_in_parts(progress.used, dataset.images)  # (n, classes)
    loss = float(cross_entropy(z, dataset.labels))
    _check_finite(loss, {}, progress.epoch)
    return loss, float(np.mean(z.argmax(axis=1) == dataset.labels))


def _copy(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
