"""A grid of the classifier's settings, each cross-validated; on joblib, so on its backends too.

candidates : "rate=0.1,0.3 hidden=64|128,64" -> a dictionary of settings for each combination
fits       : settings, dataset -> the accuracy of each on each split, as they are done
ranked     : fits -> the settings with their mean accuracies, best first

Each fit is a task of its own. On a Dask cluster those of a worker that dies go to another.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import Dataset
from ..extras import extra
from ..runs import run
from ..runs.locking import locked
from ..runs.store import write_atomically
from ..training.estimator import DigitsClassifier, check_settings
from .parallel import as_done

Settings = dict[str, Any]

WORDS = {"none": None, "true": True, "false": False}
FIXED = ("random_state", "verbose")
"""Parameters that are no setting: --seed is for the first."""


class Fit(NamedTuple):
    """How some settings did on one split."""

    settings: Settings
    split: int
    accuracy: float | None
    """None where the loss stopped being finite."""
    seconds: float

    @property
    def key(self) -> str:
        return _key(self.settings, self.split)


class Rank(NamedTuple):
    """How some settings did on all splits: accuracies by split, seconds of one fit."""

    settings: Settings
    mean: float
    std: float
    accuracies: list[float | None]
    seconds: float


# --- what to try


def candidates(grid: str) -> list[Settings]:
    """All combinations of `name=choice,choice ...`; layers are parted by commas, so theirs by |.

    Raises ValueError, naming the setting, for what DigitsClassifier does not take.

    >>> candidates("hidden=64,32|none rate=0.1")
    [{'hidden': (64, 32), 'rate': 0.1}, {'hidden': (), 'rate': 0.1}]
    """
    with extra():
        from sklearn.model_selection import ParameterGrid
    known = [name for name in DigitsClassifier().get_params() if name not in FIXED]
    choices: dict[str, list[Any]] = {}
    for word in grid.split():
        name, equals, values = word.partition("=")
        if name not in known or name in choices or not equals:
            why = "is there twice" if name in choices else "is none of " + ", ".join(known)
            raise ValueError(f"grid: a part is name=choice,choice; in {word!r} the name {why}")
        parts = values.split("|" if name == "hidden" or "|" in values else ",")
        choices[name] = list(dict.fromkeys(_value(name, part) for part in parts))
    found = [dict(settings) for settings in ParameterGrid(choices)]
    for settings in found:
        try:
            check_settings(DigitsClassifier(**settings))
        except TypeError as error:
            raise ValueError(f"grid: {settings}: {error}") from None
    return found


def _value(name: str, text: str) -> Any:
    """A choice: a tuple of layers, None, a truth, a number or a name."""
    if name == "hidden":
        text = "" if text == "none" else f"{text},"
        parts = text.split(",")[:-1]
        if not all(part.isdecimal() for part in parts):
            raise ValueError(f"grid: hidden takes layers like 64,32 or none, got {text[:-1]!r}")
        return tuple(map(int, parts))
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def training_images(seed: int) -> Dataset:
    """What `train --seed` trains and validates on: its test set takes no part in a choice.

    >>> training_images(0).labels.shape
    (1437,)
    """
    train, validation, _ = run.load_split(run.Config(seed=seed))
    return Dataset(*map(np.concatenate, zip(train, validation, strict=True)))


# --- trying it


def fit(settings: Settings, split: int, splits: int, seed: int, dataset: Dataset) -> Fit:
    """Train on all but one of so many stratified parts, and test on that: as GridSearchCV does.

    >>> fit({"epochs": 5}, 0, splits=3, seed=0, dataset=training_images(0)).accuracy > 0.9
    True
    """
    with extra():
        from sklearn.model_selection import StratifiedKFold
    folds = StratifiedKFold(splits, shuffle=True, random_state=seed).split(*dataset)
    train, test = list(folds)[split]
    classifier = DigitsClassifier(random_state=seed).set_params(**settings)
    began = time.perf_counter()
    try:
        classifier.fit(dataset.images[train], dataset.labels[train])
        accuracy = classifier.score(dataset.images[test], dataset.labels[test])
    except FloatingPointError:  # the rate was too high
        accuracy = None
    return Fit(settings, split, accuracy, time.perf_counter() - began)


def fits(
    tried: Sequence[Settings],
    dataset: Dataset,
    *,
    splits: int,
    seed: int,
    jobs: int | None = None,
    known: Iterable[Fit] = (),
) -> Iterator[Fit]:
    """Each of the settings on each split, as they are done, but for those that are known.

    So many jobs run at once; None is for what joblib's backend has: 1, or all of a cluster's.

    >>> found = fits([{"epochs": 2}], training_images(0), splits=2, seed=0)
    >>> [one.split for one in found]
    [0, 1]
    """
    with extra():
        from joblib import delayed
    done = {one.key for one in known}
    tasks = [
        delayed(fit)(settings, split, splits, seed, dataset)
        for settings in tried
        for split in range(splits)
        if _key(settings, split) not in done
    ]
    return as_done(tasks, jobs)


@contextlib.contextmanager
def cluster(address: str | None, jobs: int | None = None) -> Iterator[None]:
    """Inside, joblib runs on the Dask cluster at an address; on one of its own for "local".

    None leaves joblib as it is. Raises MissingExtraError without Dask, OSError where no cluster
    answers.
    """
    if address is None:
        yield
        return
    with extra("distributed"):
        from distributed import Client
    with extra():
        from joblib import parallel_config
    workers = jobs if jobs and jobs > 0 else os.cpu_count()
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    connect: Any = Client  # which has no types
    client = connect(**options) if address == "local" else connect(address)
    with client, parallel_config("dask"):
        yield


def ranked(found: Iterable[Fit]) -> list[Rank]:
    """The fits of the same settings summed up, best mean first; what diverged counts as 0.

    >>> fits = [Fit({"rate": 9}, 0, None, 1.0), Fit({"rate": 1}, 0, 0.9, 1.0)]
    >>> [rank.settings for rank in ranked(fits)]
    [{'rate': 1}, {'rate': 9}]
    """
    groups: dict[str, list[Fit]] = {}
    for one in sorted(found, key=lambda one: one.key):
        groups.setdefault(_key(one.settings, 0), []).append(one)
    ranks = []
    for group in groups.values():
        accuracies = [one.accuracy for one in sorted(group, key=lambda one: one.split)]
        scores = [accuracy or 0.0 for accuracy in accuracies]
        seconds = float(np.mean([one.seconds for one in group]))
        mean, std = float(np.mean(scores)), float(np.std(scores))
        ranks.append(Rank(group[0].settings, mean, std, accuracies, seconds))
    return sorted(ranks, key=lambda rank: -rank.mean)


def _key(settings: Settings, split: int) -> str:
    return json.dumps([settings, split], sort_keys=True)


# --- what has been tried


@contextlib.contextmanager
def kept(path: Path | None, *, splits: int, seed: int) -> Iterator[Journal]:
    """The journal in a file, which nobody else writes meanwhile; ValueError if somebody does."""
    with contextlib.ExitStack() as held:
        if path is not None:
            try:
                held.enter_context(locked(path.parent, f".{path.name}.lock"))
            except BlockingIOError as error:
                raise ValueError(f"{path}: another sweep is writing it; take another") from error
            except FileNotFoundError as error:
                raise ValueError(f"{path}: there is no folder {path.parent}") from error
        yield Journal(path, splits=splits, seed=seed)


class Journal:
    """A file of JSON lines: what all fits have in common, and then each as it is done.

    It is replaced as a whole with each fit, so that it is never half a line. Opening one that is
    there takes up its fits. Raises ValueError, naming it, where it is damaged or of another sweep.
    """

    def __init__(self, path: Path | None, *, splits: int, seed: int) -> None:
        self.path = path
        self.common = {"splits": splits, "seed": seed}
        self.fits: list[Fit] = []
        if path is None:
            return
        if path.exists():
            self._read(path)
        self._write()

    def _read(self, path: Path) -> None:
        try:
            common, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            self.fits = [_from_json(row) for row in rows]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no file that a sweep has written: {error!r}") from error
        if common != self.common:
            raise ValueError(
                f"{path} is of a sweep with {common}, not {self.common}: take these, or a new file"
            )

    def sorted_out(self, tried: Sequence[Settings]) -> tuple[list[Fit], int]:
        """Which fits of these settings are known, and how many are missing."""
        wanted = {_key(settings, k) for settings in tried for k in range(self.common["splits"])}
        known = [one for one in self.fits if one.key in wanted]
        return known, len(wanted) - len(known)

    def add(self, one: Fit) -> None:
        """Keep a fit."""
        self.fits.append(one)
        self._write()

    def _write(self) -> None:
        if self.path is not None:
            rows = [self.common, *(one._asdict() for one in self.fits)]
            text = "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows)
            write_atomically(self.path, text.encode())


def _from_json(row: dict[str, Any]) -> Fit:
    settings = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row["settings"].items()
    }
    return Fit(**{**row, "settings": settings})
