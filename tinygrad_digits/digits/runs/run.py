"""A training run from its configuration to its folder."""

from __future__ import annotations

import dataclasses
import functools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...support.files import write_atomically
from ..data.augment import augment
from ..data.dataset import Split
from ..data.strokes import add_synthetic
from ..errors import RunError
from ..extras import extra
from ..model import kinds
from ..model.evaluation import Evaluation, evaluate
from ..model.mlp import Params
from ..training.loop import Epoch, Snapshot, train
from ..training.optimizer_choice import choose_optimizer, read_average
from ..training.recipe import Config
from . import checkpoint, familiar, plots, report, store
from .checkpoint import Checkpoint
from .environment import describe_environment


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
    snapshot: Snapshot
    best: Best

    def kept(self, config: Config) -> Params:
        """The parameters that the run is for: the last, or the best."""
        return self.best.params if config.keep == "best" else self.params


def check_extra() -> None:
    """Raise MissingExtraError now for what `save` would miss only after training."""
    with extra():
        import jinja2  # noqa: F401
        import matplotlib.figure  # noqa: F401
        import PIL.Image  # noqa: F401
        import safetensors.numpy  # noqa: F401
        import sklearn.metrics  # noqa: F401


def start(config: Config, data: Split, resume: Snapshot | None = None) -> Iterator[Epoch]:
    """The epochs of a run, or what is left of them, from the one resumed on.

    Raises ValueError where the configuration makes no sense.
    """
    rng = np.random.default_rng(config.seed)
    if config.model not in kinds.KINDS:
        raise ValueError(f"model must be one of {', '.join(kinds.KINDS)}, got {config.model!r}")
    params = kinds.KINDS[config.model].init_params(config.sizes, rng, config.dtype)
    return train(
        params,
        choose_optimizer(config, config.steps(len(data.train.labels))),
        data.train,
        data.validation,
        epochs=config.epochs,
        batch_size=config.batch_size,
        rng=rng,
        backend=config.backend,
        smoothing=config.smoothing,
        join=functools.partial(add_synthetic, share=config.synthetic) if config.synthetic else None,
        augment=augment if config.augment else None,
        average=read_average if config.ema else None,
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
            so_far = _extend(so_far, record, time.perf_counter() - began)
            save(so_far)
            watch(record)
    except KeyboardInterrupt:
        if so_far is None:
            raise
        return so_far._replace(interrupted=True)
    assert so_far is not None, "training yields its start"
    return so_far


def _extend(so_far: Trained | None, record: Epoch, seconds: float) -> Trained:
    """With one epoch more, or with the last one again."""
    history, best = (so_far.history, so_far.best) if so_far else ([], None)
    history = [*history[: record.epoch], record.scores()]
    if best is None or _rank(history[record.epoch]) > _rank(history[best.epoch]):
        best = Best(record.epoch, record.params)
    return Trained(record.params, history, seconds, False, record.snapshot, best)


def _rank(scores: dict[str, float]) -> tuple[float, float]:
    return scores["validation_accuracy"], -scores["validation_loss"]


def save_checkpoint(folder: Path, config: Config, trained: Trained) -> None:
    """Write all that `restore` needs, in one file and atomically."""
    facts = {
        "config": config.describe(),
        "epoch": trained.snapshot.epoch,
        "best": trained.best.epoch,
        "generator": trained.snapshot.generator,
        "seconds": trained.seconds,
        "history": trained.history,
    }
    content = _content(trained.snapshot, trained.params, trained.best)
    write_atomically(folder / store.CHECKPOINT, checkpoint.dump(content, facts))


def load_checkpoint(folder: Path) -> tuple[Checkpoint, Config]:
    """What a run's checkpoint holds, and the configuration; RunError as in `checkpoint.load`."""
    saved = checkpoint.load(folder / store.CHECKPOINT)
    try:
        return saved, Config.of(saved.facts.get("config", {}))
    except RunError as error:
        raise RunError(f"{saved.path}: {error}") from error


def restore(saved: Checkpoint, config: Config, data: Split) -> Trained:
    """How far the run had come; RunError where the checkpoint is not one of this configuration."""
    first = next(start(dataclasses.replace(config, backend=None), data))
    like = _content(first.snapshot, first.params, Best(0, first.params))
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
        raise RunError(f"{saved.path} holds no state of training: {error}") from error
    snapshot = Snapshot(facts["epoch"], content["params"], content["state"], facts["generator"])
    return Trained(content["measured"], history, seconds, False, snapshot, best)


def _content(snapshot: Snapshot, measured: Params, best: Best) -> dict[str, Any]:
    """A checkpoint's arrays."""
    return {
        "params": snapshot.params,
        "state": snapshot.state,
        "measured": measured,
        "best": best.params,
    }


def save(
    folder: Path, config: Config, trained: Trained, data: Split
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate on the test set and write the run's files: what was found, and metrics.json."""
    settings, params = config.describe(), trained.kept(config)
    save_checkpoint(folder, config, trained)
    store.save_params(folder / store.PARAMS, params, settings)
    manner = familiar.fit_manner(params, data, synthetic=config.synthetic > 0, doubts=config.digits)
    if manner is not None:
        familiar.save_manner(folder, manner)
    store.write_json(folder / store.CONFIG, settings)
    store.write_json(folder / "history.json", trained.history)
    found = evaluate(params, data.test, config.classes)
    trust = familiar.measure_trust(params, manner, found.probabilities, data.test)
    achieved = {**collect_metrics(trained, found), **trust._asdict()}
    store.write_json(folder / "metrics.json", achieved)
    pictures = {
        "curves.png": plots.draw_curves(trained.history),
        "confusion.png": plots.draw_confusion(found.confusion, config.classes),
        "mistakes.png": plots.draw_mistakes(
            *data.test, found.probabilities, config.classes, config.shape
        ),
    }
    for name, figure in pictures.items():
        write_atomically(folder / name, plots.encode_png(figure))
    saved = store.SavedRun(params, settings)
    report.write(folder, saved, trained.history, achieved, data, found, manner)
    return found, achieved


def collect_metrics(trained: Trained, found: Evaluation) -> dict[str, Any]:
    """What metrics.json holds."""
    return {
        "epochs": trained.history[-1]["epoch"],
        "best_epoch": trained.best.epoch,
        "interrupted": trained.interrupted,
        "seconds": round(trained.seconds, 3),
        **describe_evaluation(found),
        "environment": describe_environment(),
    }


def describe_evaluation(found: Evaluation) -> dict[str, Any]:
    """An evaluation as what JSON can hold."""
    return {
        "test_accuracy": found.accuracy,
        "test_loss": found.loss,
        "report": found.report,
        "confusion": found.confusion.tolist(),
    }


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done; for the main thread.

    >>> try:
    ...     with hold_interrupts():
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
