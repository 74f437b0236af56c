"""The classifier beside scikit-learn's, trained and tested on the same splits of the digits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import Dataset
from ..extras import extra
from ..training.recipe import OWN, PLAIN, RECIPE
from .parallel import as_done

TEST = 0.2
"""The share of the images that a split tests on; each class in its share."""


class SplitScore(NamedTuple):
    """How one contender did on one split."""

    name: str
    seed: int
    accuracy: float
    seconds: float
    """Of fitting, on the wall's clock."""

    @classmethod
    def of(cls, row: dict[str, Any]) -> SplitScore:
        """From what JSON made of one."""
        return cls(str(row["name"]), int(row["seed"]), float(row["accuracy"]), row["seconds"])


class Standing(NamedTuple):
    """How one contender did on all splits: test accuracies in 0 ... 1, seconds of one fit."""

    name: str
    mean: float
    min: float
    max: float
    seconds: float
    accuracies: list[float]


def make_contenders(*, digits: bool = True) -> dict[str, Any]:
    """Who takes part, as unfitted estimators: ours by the recipe and plain, and scikit-learn's.

    For other images than 8x8 digits ours are by the recipe for those.

    Theirs are as good as a small search on other splits made them (seeds 100-104): neighbours 1,
    3 and 5; C of 0.1, 1 and 10, pixels standardised or 0-1; four shapes of the MLP.

    >>> list(make_contenders())[2:4]
    ['SVC(C=10)', 'k-NN(1)']
    """
    with extra():
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.neural_network import MLPClassifier
        from sklearn.svm import SVC
    from ..training.estimator import DigitsClassifier

    return {
        "ours": DigitsClassifier(**(RECIPE if digits else OWN).settings(), scaling="range"),
        "ours, plain": DigitsClassifier(**PLAIN.settings(), scaling="range"),
        "SVC(C=10)": SVC(C=10),
        "k-NN(1)": KNeighborsClassifier(n_neighbors=1),
        "MLPClassifier": MLPClassifier((64, 32), max_iter=500),
        "LogisticRegression": LogisticRegression(C=10, max_iter=1000),
    }


def try_split(name: str, contender: Any, seed: int, dataset: Dataset) -> SplitScore:
    """Train on 80 % of a dataset, split by seed and stratified; test on the rest.

    The contender, an unfitted scikit-learn classifier, is not changed: a clone is fitted, its own
    random choices seeded like the split.

    >>> from ..data import load_digits
    >>> try_split("SVC", make_contenders()["SVC(C=10)"], 0, load_digits()).accuracy > 0.98
    True
    """
    with extra():
        from sklearn.base import clone
        from sklearn.model_selection import train_test_split
    images, tested, labels, truth = train_test_split(
        *dataset, test_size=TEST, random_state=seed, stratify=dataset.labels
    )
    classifier = clone(contender)
    if "random_state" in classifier.get_params():
        classifier.set_params(random_state=seed)
    began = time.perf_counter()
    classifier.fit(images, labels)
    seconds = time.perf_counter() - began
    return SplitScore(name, seed, float(np.mean(classifier.predict(tested) == truth)), seconds)


def run_contest(
    entrants: Mapping[str, Any],
    seeds: Sequence[int],
    dataset: Dataset,
    jobs: int = 1,
    known: Iterable[SplitScore] = (),
) -> Iterator[SplitScore]:
    """Each contender on each split but those known, as they are done; so many jobs at once.

    -1 is for as many as there are cores.

    >>> from ..data import load_digits
    >>> neighbours = {"k-NN(1)": make_contenders()["k-NN(1)"]}
    >>> [(found.name, found.seed) for found in run_contest(neighbours, [5, 6], load_digits())]
    [('k-NN(1)', 5), ('k-NN(1)', 6)]
    """
    with extra():
        from joblib import delayed
    done = {(one.name, one.seed) for one in known}
    return as_done(
        [
            delayed(try_split)(name, entrant, seed, dataset)
            for name, entrant in entrants.items()
            for seed in seeds
            if (name, seed) not in done
        ],
        jobs,
    )


def summarise(found: Sequence[SplitScore], names: Sequence[str]) -> list[Standing]:
    """The fits of each contender summed up, in the order of the names; accuracies by seed.

    >>> summarise([SplitScore("a", 1, 1.0, 0.1), SplitScore("a", 0, 0.5, 0.3)], ["a"])
    [Standing(name='a', mean=0.75, min=0.5, max=1.0, seconds=0.2, accuracies=[0.5, 1.0])]
    """
    rows = []
    for name in names:
        mine = sorted((one for one in found if one.name == name), key=lambda one: one.seed)
        accuracies = [one.accuracy for one in mine]
        seconds = float(np.mean([one.seconds for one in mine]))
        mean = float(np.mean(accuracies))
        rows.append(Standing(name, mean, min(accuracies), max(accuracies), seconds, accuracies))
    return rows
