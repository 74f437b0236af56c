"""A training run from its configuration to its folder."""

from __future__ import annotations

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import checkpoint, plots, report, store
from ..model import mlp as model
from ..data.augment import augment
from .checkpoint import Checkpoint
from ..data.dataset import CLASSES, PIXELS, Split, load_digits, split
from ..training.optimizer_choice import averaged, descent
from .environment import environment
from ..model.evaluation import Evaluation, evaluate
from ..extras import extra
from ..training.fitting import RATES
from ..model.mlp import Params
from ..training.recipe import PLAIN, RECIPE
from ..training.loop import Epoch, State, train


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on; the same configuration gives the same parameters.

    The defaults are those of --plain, so that a configuration saved before a field was there keeps
    its meaning. Of rates 0.1, 0.2 and 0.3 with batches of 16 and 32, the default pair has the best
    validation accuracy on average over ten initialisations (97.2 %, the others 95.7 to 97.0 %).
    """

    seed: int = 42
    epochs: int = PLAIN.epochs
    batch_size: int = PLAIN.batch_size
    rate: float = PLAIN.rate
    optimizer: str = PLAIN.optimizer
    hidden: tuple[int, ...] = PLAIN.hidden
    dtype: str = "float32"  # half the memory traffic of float64, and the digits are exact in it
    stratify: bool = False  # the plain train_test_split, on which others publish their figures
    backend: str | None = "numpy"  # which gives the same bits as None, eager; "numba" does not
    schedule: str = PLAIN.schedule
    warmup: float = PLAIN.warmup
    weight_decay: float = PLAIN.weight_decay
    smoothing: float = PLAIN.smoothing
    augment: bool = PLAIN.augment
    ema: float = PLAIN.ema
    keep: str = "last"  # or "best"
    threads: int = 0  # of BLAS; 0 for as many as pay

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Config:
        """From what `dataclasses.asdict` and JSON made of one; RunError where it is not one."""
        try:
            config = cls(**{**saved, "hidden": tuple(saved["hidden"]), "seed": int(saved["seed"])})
            config._check_types()
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
            raise store.RunError(f"not a configuration of this program: {error}") from error
        return config

    def _check_types(self) -> None:
        for name, default in vars(type(self)()).items():
            value = getattr(self, name)
            kinds = (float, int) if isinstance(default, float) else type(default)
            if not isinstance(value, kinds) and (name, value) != ("backend", None):
                raise TypeError(f"{name} is {value!r}")
        if not all(isinstance(width, int) for width in self.hidden):
            raise TypeError(f"hidden is {self.hidden}")

    def steps(self, images: int) -> int:
        """Of the optimiser, in the whole run over so many images."""
        return self.epochs * math.ceil(images / self.batch_size)


class Best(NamedTuple):
    """The epoch with the highest validation accuracy so far, and of equals the lowest loss."""

    epoch: int
    params: Params


class Trained(NamedTuple):
    """How far training came."""

    params: Params
    history: list[dict[str, float]]
    seconds: float
    interrupted: bool
    state: State
    best: Best

    def kept(self, config: Config) -> Params:
        """The parameters that the run is for: the last, or the best."""
        return self.best.params if config.keep == "best" else self.params


def configured(given: Mapping[str, Any], *, plain: bool = False) -> Config:
    """The recipe's configuration, or the plain one, but for what is given.

    Another optimizer than the recipe's takes a rate that suits it, unless one is given.

    >>> configured({"epochs": 3, "optimizer": "momentum"}, plain=True).rate
    0.05
    """
    settings = (PLAIN if plain else RECIPE).settings()
    if given.get("optimizer", settings["optimizer"]) != settings["optimizer"]:
        settings["rate"] = RATES[given["optimizer"]]
    return Config(**{**settings, **given})


def continued(saved: Config, given: Mapping[str, Any]) -> Config:
    """A resumed run's configuration; ValueError where what is given differs from it.

    Only the epochs may, where the rate is constant: else it depends on how many there are.

    >>> continued(Config(), {"epochs": 100}).epochs
    100
    >>> continued(Config(), {"rate": 0.1})
    Traceback (most recent call last):
    ...
    ValueError: the run to resume has rate 0.3, not 0.1: leave that out, or start another run
    """
    constant = saved.schedule == "constant" and not saved.warmup
    for name, value in given.items():
        ours = getattr(saved, name)
        if value != ours and not (name == "epochs" and constant):
            raise ValueError(
                f"the run to resume has {name} {ours}, not {value}: leave that out, or start "
                "another run"
            )
    return dataclasses.replace(saved, **given)


def check_extra() -> None:
    """Raise MissingExtraError now for what `save` would miss only after training."""
    with extra():
        import jinja2  # noqa: F401
        import matplotlib.figure  # noqa: F401
        import PIL.Image  # noqa: F401
        import safetensors.numpy  # noqa: F401
        import sklearn.metrics  # noqa: F401


def load_split(config: Config) -> Split:
    """The data as the run sees them."""
    return split(load_digits(config.dtype), config.seed, stratify=config.stratify)


def start(config: Config, data: Split, resume: State | None = None) -> Iterator[Epoch]:
    """The epochs of a run, or what is left of them, from the one resumed on.

    Raises ValueError where the configuration makes no sense.
    """
    rng = np.random.default_rng(config.seed)
    params = model.init_params((PIXELS, *config.hidden, CLASSES), rng, config.dtype)
    return train(
        params,
        descent(config, config.steps(len(data.train.labels))),
        data.train,
        data.validation,
        epochs=config.epochs,
        batch_size=config.batch_size,
        rng=rng,
        backend=config.backend,
        smoothing=config.smoothing,
        augment=augment if config.augment else None,
        average=averaged if config.ema else None,
        resume=resume,
        blas_threads=config.threads,
    )


def follow(
    epochs: Iterator[Epoch],
    watch: Callable[[Epoch], None],
    save: Callable[[Trained], None] = lambda _: None,
    before: Trained | None = None,
) -> Trained:
    """Train to the end, or to Ctrl-C: then to the last whole epoch.

    `save`, then `watch`, see each epoch. `before` is how far the resumed run had come.
    """
    began = time.perf_counter() - (before.seconds if before else 0)
    so_far = before
    try:
        for record in epochs:
            so_far = _extended(so_far, record, time.perf_counter() - began)
            save(so_far)
            watch(record)
    except KeyboardInterrupt:
        if so_far is None:
            raise
        return so_far._replace(interrupted=True)
    assert so_far is not None, "training yields its start"
    return so_far


def _extended(so_far: Trained | None, record: Epoch, seconds: float) -> Trained:
    """With one epoch more, or with the last one again."""
    history, best = (so_far.history, so_far.best) if so_far else ([], None)
    history = [*history[: record.epoch], record.scores()]
    if best is None or _rank(history[record.epoch]) > _rank(history[best.epoch]):
        best = Best(record.epoch, record.params)
    return Trained(record.params, history, seconds, False, record.state, best)


def _rank(scores: dict[str, float]) -> tuple[float, float]:
    return scores["validation_accuracy"], -scores["validation_loss"]


def save_checkpoint(folder: Path, config: Config, trained: Trained) -> None:
    """Write all that `resumed` needs, in one file and atomically."""
    facts = {
        "config": dataclasses.asdict(config),
        "epoch": trained.state.epoch,
        "best": trained.best.epoch,
        "generator": trained.state.generator,
        "seconds": trained.seconds,
        "history": trained.history,
    }
    content = _content(trained.state, trained.params, trained.best)
    store.write_atomically(folder / store.CHECKPOINT, checkpoint.dump(content, facts))


def load_checkpoint(folder: Path) -> tuple[Checkpoint, Config]:
    """What a run's checkpoint holds, and the configuration; RunError as in `checkpoint.load`."""
    saved = checkpoint.load(folder / store.CHECKPOINT)
    try:
        return saved, Config.of(saved.facts.get("config", {}))
    except store.RunError as error:
        raise store.RunError(f"{saved.path}: {error}") from error


def resumed(saved: Checkpoint, config: Config, data: Split) -> Trained:
    """How far the run had come; RunError where the checkpoint is not one of this configuration."""
    first = next(start(dataclasses.replace(config, backend=None), data))
    like = _content(first.state, first.params, Best(0, first.params))
    content, facts = checkpoint.restore(saved, like), saved.facts
    try:
        history = [{name: row[name] for name in first.scores()} for row in facts["history"]]
        if not all(type(score) in (int, float) for row in history for score in row.values()):
            raise ValueError("its history holds what is no number")
        if [row["epoch"] for row in history] != [*range(facts["epoch"] + 1)]:
            raise ValueError("epochs are missing from its history")
        np.random.default_rng(0).bit_generator.state = facts["generator"]
        best = Best(history[facts["best"]]["epoch"], content["best"])
        seconds = float(facts["seconds"])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise store.RunError(f"{saved.path} holds no state of training: {error}") from error
    state = State(facts["epoch"], content["params"], content["memory"], facts["generator"])
    return Trained(content["measured"], history, seconds, False, state, best)


def _content(state: State, measured: Params, best: Best) -> dict[str, Any]:
    """A checkpoint's arrays."""
    return {
        "params": state.params,
        "memory": state.memory,
        "measured": measured,
        "best": best.params,
    }


def save(
    folder: Path, config: Config, trained: Trained, data: Split
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate on the test set and write the run's files: what was found, and metrics.json."""
    settings, params = dataclasses.asdict(config), trained.kept(config)
    save_checkpoint(folder, config, trained)
    store.save_params(folder / store.PARAMS, params, settings)
    store.write_json(folder / store.CONFIG, settings)
    store.write_json(folder / "history.json", trained.history)
    found = evaluate(params, data.test)
    achieved = metrics(trained, found)
    store.write_json(folder / "metrics.json", achieved)
    pictures = {
        "curves.png": plots.curves(trained.history),
        "confusion.png": plots.confusion(found.confusion),
        "mistakes.png": plots.mistakes(*data.test, found.probabilities),
    }
    for name, figure in pictures.items():
        store.write_atomically(folder / name, plots.png(figure))
    report.write(folder, store.Run(params, settings), trained.history, achieved, data, found)
    return found, achieved


def metrics(trained: Trained, found: Evaluation) -> dict[str, Any]:
    """What metrics.json holds."""
    return {
        "epochs": trained.history[-1]["epoch"],
        "best_epoch": trained.best.epoch,
        "interrupted": trained.interrupted,
        "seconds": round(trained.seconds, 3),
        **measures(found),
        "environment": environment(),
    }


def measures(found: Evaluation) -> dict[str, Any]:
    """An evaluation as what JSON can hold."""
    return {
        "test_accuracy": found.accuracy,
        "test_loss": found.loss,
        "report": found.report,
        "confusion": found.confusion.tolist(),
    }


@contextmanager
def holding_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done; for the main thread.

    >>> try:
    ...     with holding_interrupts():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("saved")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    saved
    interrupted
    """
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
