"""Many fits: compare with other classifiers, and sweep over settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...data.dataset import Dataset, load_digits
from ...data.own import OwnData
from ...runs.material import join
from .. import baselines, display
from ..console import err, guard, note, out, print_json, refuse_misuse
from ..journal import open_journal
from ..options import (
    Dask,
    Data,
    FirstSeed,
    Grid,
    Jobs,
    Journal,
    Json,
    Label,
    Parts,
    Seed,
    Side,
    Splits,
)
from ..own_data import open_own


@guard
def compare(
    data: Data = None,
    label: Label = None,
    side: Side = None,
    splits: Splits = 10,
    seed: FirstSeed = 0,
    jobs: Jobs = None,
    out_file: Journal = None,
    as_json: Json = False,
) -> None:
    """Compare the classifier with scikit-learn's on the same splits of the digits, or of your own.

    Each split trains on 80 % of the images and tests on the others, with each digit in its share.
    Ours is trained as train does by default, and by plain gradient descent; none holds out a
    validation set here. Several jobs at once make each fit slower. Whatever kills it, the same
    command with the same --out goes on. Images of your own are all in memory here.
    """
    own, digits = _read_images(data, label, side)
    make = baselines.make_contenders
    entrants = make() if own is None or own.digits else make(digits=False)
    seeds, common = range(seed, seed + splits), {"test": baselines.TEST, "among": list(entrants)}
    if own is not None:
        common["data"] = own.path
    with open_journal(out_file, common, baselines.SplitScore.of) as journal:
        known = [one for one in journal.rows if one.seed in seeds]
        with _counting(len(entrants) * splits, len(known), out_file) as done:
            for one in baselines.run_contest(entrants, seeds, digits, jobs or 1, known):
                journal.add(one)
                done(f"{one.name}: {one.accuracy:.2%}")
        found = [one for one in journal.rows if one.seed in seeds]
    rows = baselines.summarise(found, list(entrants))
    if as_json:
        print_json({"seeds": [*seeds], "standings": [row._asdict() for row in rows]})
    else:
        out.print(display.tabulate_standings(rows, seeds))


def _read_images(
    path: str | None, label: str | None, side: int | None
) -> tuple[OwnData | None, Dataset]:
    """What --data, --label and --size name, in memory."""
    own, read = open_own(path, label, side)
    if own is None or own.joins or read is None:
        digits = load_digits(np.float32)
        return own, digits if read is None else join(digits, read)  # type: ignore[arg-type]
    return own, Dataset(np.asarray(read.images), read.labels)


@guard
def sweep(
    grid: Grid,
    splits: Parts = 3,
    seed: Seed = 0,
    jobs: Jobs = None,
    dask: Dask = None,
    out_file: Journal = None,
    as_json: Json = False,
) -> None:
    """Cross-validate the classifier's settings on a grid, over processes or a cluster.

    The images are those that train --seed SEED trains and validates on, so that its test set takes
    no part in the choice. Whatever kills the sweep, the same command with the same --out goes on.
    """
    from .. import grid_search

    with refuse_misuse():
        tried = grid_search.parse_grid(grid)
    common = {"splits": splits, "seed": seed}
    with open_journal(out_file, common, grid_search.FoldScore.of) as journal:
        known = grid_search.select_known(journal.rows, tried, splits)
        images = grid_search.load_training_images(seed)
        with (
            grid_search.use_cluster(dask, jobs),
            _counting(len(tried) * splits, len(known), out_file) as done,
        ):
            for one in grid_search.search(tried, images, splits, seed, jobs, known):
                journal.add(one)
                done(f"{display.spell_settings(one.settings)}: {display.percent(one.accuracy)}")
        found = grid_search.select_known(journal.rows, tried, splits)
    ranks = grid_search.rank_settings(found)
    if as_json:
        settings = [rank._asdict() for rank in ranks]
        print_json({"splits": splits, "seed": seed, "settings": settings})
    else:
        out.print(display.tabulate_ranks(ranks, splits, seed))


@contextmanager
def _counting(total: int, known: int, path: Path | None) -> Iterator[display.Done]:
    """Count fits that are done, those of an earlier time included; say how to go on."""
    if known:
        note(f"{path} holds {known} of {total} fits: going on from there")
    try:
        with display.count(err, total, known) as done:
            yield done
    except KeyboardInterrupt:
        if path is not None:
            note(f"what was done is in {path}: the same command goes on from there")
        raise
