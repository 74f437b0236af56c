"""Runs beside each other: where their settings differ, what they reached, and how.

`side_by_side.html` beside this file is the page's template; like a run's report it needs no network
and no scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from ...support.files import write_atomically
from ..data import data_uris
from ..extras import extra
from ..model import kinds
from . import plots, store
from .finished_run import read_history, read_metrics
from .report import flatten, spell

NAME = "compared.html"


class ComparedRun(NamedTuple):
    """What is compared of a run."""

    name: str
    config: dict[str, Any]
    history: list[dict[str, float]]
    accuracy: float
    """On its test set."""
    loss: float
    seconds: float
    parameters: int
    model: str


def read_compared(folder: Path) -> ComparedRun:
    """A run folder, as it says of itself; RunError where one of its files is missing or damaged."""
    saved, metrics = store.load_run(folder), read_metrics(folder)
    return ComparedRun(
        name=str(folder),
        config=flatten({"model": "mlp", **saved.config}),
        history=read_history(folder),
        accuracy=float(metrics["test_accuracy"]),
        loss=float(metrics["test_loss"]),
        seconds=metrics["seconds"],
        parameters=sum(array.size for array in saved.params.values()),
        model=kinds.name_of(saved.params),
    )


def find_differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The settings that are not alike in all, with what they are in each.

    >>> find_differences([{"rate": 0.1, "seed": 1}, {"rate": 0.3, "seed": 1}, {"seed": 1}])
    {'rate': ['0.1', '0.3', '-']}
    """
    names = dict.fromkeys(name for config in configs for name in config)
    rows = {
        name: [spell(config[name]) if name in config else "-" for config in configs]
        for name in names
    }
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def write(path: Path, runs: Sequence[ComparedRun]) -> Path:
    """Write the page, atomically; where it is. MissingExtraError without matplotlib or Jinja."""
    with extra():
        from jinja2 import Environment, StrictUndefined
    histories = {run.name: run.history for run in runs}
    curves = {
        measure: data_uris.uri(
            plots.encode_svg(plots.draw_overlaid(histories, measure)), "image/svg+xml"
        )
        for measure in ("loss", "accuracy")
    }
    template = resources.files(__package__).joinpath("side_by_side.html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        runs=runs,
        curves=curves,
        best=max(run.accuracy for run in runs),
        differences=find_differences([run.config for run in runs]),
    )
    write_atomically(path, text.encode())
    return path
