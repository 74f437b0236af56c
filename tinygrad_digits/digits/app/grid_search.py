"""A grid of the classifier's settings, each cross-validated; on joblib, so on its backends too.

parse_grid    : "rate=0.1,0.3 hidden=64|128,64" -> a dictionary of settings for each combination
search        : settings, dataset -> the accuracy of each on each split, as they are done
rank_settings : scores -> the settings with their mean accuracies, best first

Each fit is a task of its own. On a Dask cluster those of a worker that dies go to another.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import Dataset
from ..extras import extra
from ..runs import material
from ..training.estimator import DigitsClassifier
from ..training.recipe import Config
from ..training.settings import check_settings
from .parallel import as_done

Settings = dict[str, Any]

WORDS = {"none": None, "true": True, "false": False}
FIXED = ("random_state", "verbose")
"""Parameters that are no setting: --seed is for the first."""


class FoldScore(NamedTuple):
    """How some settings did on one split."""

    settings: Settings
    split: int
    accuracy: float | None
    """None where the loss stopped being finite."""
    seconds: float

    @property
    def key(self) -> str:
        return _key(self.settings, self.split)

    @classmethod
    def of(cls, row: dict[str, Any]) -> FoldScore:
        """From what JSON made of one."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in row["settings"].items()
        }
        return cls(**{**row, "settings": settings})


class Rank(NamedTuple):
    """How some settings did on all splits: accuracies by split, seconds of one fit."""

    settings: Settings
    mean: float
    std: float
    accuracies: list[float | None]
    seconds: float


# --- what to try


def parse_grid(grid: str) -> list[Settings]:
    """All combinations of `name=choice,choice ...`; layers are parted by commas, so theirs by |.

    Raises ValueError, naming the setting, for what DigitsClassifier does not take.

    >>> parse_grid("hidden=64,32|none rate=0.1")
    [{'hidden': (64, 32), 'rate': 0.1}, {'hidden': (), 'rate': 0.1}]
    """
    with extra():
        from sklearn.model_selection import ParameterGrid
    known = [name for name in DigitsClassifier().get_params() if name not in FIXED]
    choices: dict[str, list[Any]] = {}
    for word in grid.split():
        name, equals, values = word.partition("=")
        if name not in known or name in choices or not equals:
            why = "the name is none of " + ", ".join(known)
            if name in known:
                why = "the name is there twice" if name in choices else "there is no ="
            raise ValueError(f"grid: a part is name=choice,choice; in {word!r} {why}")
        parts = values.split("|" if name == "hidden" or "|" in values else ",")
        choices[name] = list(dict.fromkeys(_parse_choice(name, part) for part in parts))
    found = [dict(settings) for settings in ParameterGrid(choices)]
    for settings in found:
        try:
            check_settings(DigitsClassifier(**settings).get_params())
        except TypeError as error:
            raise ValueError(f"grid: {settings}: {error}") from None
    return found


def _parse_choice(name: str, text: str) -> Any:
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


def load_training_images(seed: int) -> Dataset:
    """What `train --seed` trains and validates on: its test set takes no part in a choice.

    >>> load_training_images(0).labels.shape
    (1437,)
    """
    train, validation, _ = material.load_split(Config(seed=seed))
    return Dataset(*map(np.concatenate, zip(train, validation, strict=True)))


# --- trying it


def try_fold(settings: Settings, split: int, splits: int, seed: int, dataset: Dataset) -> FoldScore:
    """Train on all but one of so many stratified parts, and test on that: as GridSearchCV does.

    >>> try_fold({"epochs": 5}, 0, splits=3, seed=0, dataset=load_training_images(0)).accuracy > 0.9
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
    return FoldScore(settings, split, accuracy, time.perf_counter() - began)


def search(
    tried: Sequence[Settings],
    dataset: Dataset,
    splits: int,
    seed: int,
    jobs: int | None = None,
    known: Iterable[FoldScore] = (),
) -> Iterator[FoldScore]:
    """Each of the settings on each split, as they are done, but for those that are known.

    So many jobs run at once; None is for what joblib's backend has: 1, or all of a cluster's.

    >>> found = search([{"epochs": 2}], load_training_images(0), splits=2, seed=0)
    >>> [one.split for one in found]
    [0, 1]
    """
    with extra():
        from joblib import delayed
    done = {one.key for one in known}
    tasks = [
        delayed(try_fold)(settings, split, splits, seed, dataset)
        for settings in tried
        for split in range(splits)
        if _key(settings, split) not in done
    ]
    return as_done(tasks, jobs)


def select_known(
    scores: Iterable[FoldScore], tried: Sequence[Settings], splits: int
) -> list[FoldScore]:
    """Of scores those of these settings on so many splits."""
    wanted = {_key(settings, split) for settings in tried for split in range(splits)}
    return [one for one in scores if one.key in wanted]


@contextlib.contextmanager
def use_cluster(address: str | None, jobs: int | None = None) -> Iterator[None]:
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


def rank_settings(found: Iterable[FoldScore]) -> list[Rank]:
    """The fits of the same settings summed up, best mean first; what diverged counts as 0.

    >>> fits = [FoldScore({"rate": 9}, 0, None, 1.0), FoldScore({"rate": 1}, 0, 0.9, 1.0)]
    >>> [rank.settings for rank in rank_settings(fits)]
    [{'rate': 1}, {'rate': 9}]
    """
    groups: dict[str, list[FoldScore]] = {}
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
