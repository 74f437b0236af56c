"""A run that is over, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..data.dataset import Split
from ..errors import RunError
from ..model.evaluation import Evaluation, evaluate
from ..training.recipe import Config
from . import store
from .familiar import Manner, load_manner
from .material import load_split

T = TypeVar("T")

MEASURES = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


class FinishedRun(NamedTuple):
    """What `report.write` needs to know of a run."""

    run: store.SavedRun
    history: list[dict[str, float]]
    metrics: dict[str, Any]
    data: Split
    found: Evaluation
    manner: Manner | None


def read_run(folder: Path) -> FinishedRun:
    """Read a run folder, and measure its model again on its test set.

    Raises RunError, naming the file, where one of its files is missing or damaged.
    """
    saved = store.load_run(folder)
    config = Config.of(saved.config)
    data = load_split(config)
    history, metrics = read_history(folder), read_metrics(folder)
    found = evaluate(saved.params, data.test, config.classes)
    return FinishedRun(saved, history, metrics, data, found, load_manner(folder))


def read_history(folder: Path) -> list[dict[str, float]]:
    """Loss and accuracy, epoch by epoch; RunError as `read_run` raises it."""
    return _read(folder / "history.json", _check_history)


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json holds; RunError as `read_run` raises it."""
    return _read(folder / "metrics.json", _check_metrics)


def _check_history(content: Any) -> list[dict[str, float]]:
    history = [{name: row[name] + 0 for name in MEASURES} for row in content]
    if not history:
        raise ValueError("it is empty")
    return history


def _check_metrics(content: Any) -> dict[str, Any]:
    environment = content.get("environment", {})
    return {
        **content,
        "seconds": float(content["seconds"]),
        "interrupted": bool(content["interrupted"]),
        "environment": {str(name): str(value) for name, value in environment.items()},
    }


def _read(path: Path, check: Callable[[Any], T]) -> T:
    """What a JSON file holds, if it is that of a run."""
    try:
        return check(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; was the run finished?") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is damaged, or not a run's ({error!r})") from error
