"""train: from nothing, or from where a run stopped, to a run folder."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from ...data.dataset import Split
from ...extras import extra
from ...runs import run, store
from ...training.recipe import Config, configure, reconfigure
from .. import display
from ..console import (
    INTERRUPTED,
    err,
    guard,
    note,
    print_json,
    refuse_misuse,
    show_evaluation,
)
from ..options import (
    Augment,
    Average,
    Descent,
    Eager,
    Epochs,
    Json,
    KeepOption,
    LearningRate,
    OptionalBackend,
    OptionalBatch,
    OptionalDtype,
    OptionalSeed,
    OutFolder,
    Overwrite,
    Plain,
    Resume,
    SaveEvery,
    ScheduleOption,
    Smoothing,
    Stratify,
    Synthetic,
    Threads,
    WarmUp,
    WeightDecay,
    Widths,
    read_settings,
)

with extra():
    import typer

CHECKPOINT_SECONDS = 1.0  # of training: writing one takes 5 ms, a sixth of an epoch by the recipe


@guard
def train(
    out_folder: OutFolder = None,
    overwrite: Overwrite = False,
    resume: Resume = None,
    plain: Plain = False,
    seed: OptionalSeed = None,
    epochs: Epochs = None,
    batch_size: OptionalBatch = None,
    hidden: Widths = None,
    optimizer: Descent = None,
    rate: LearningRate = None,
    schedule: ScheduleOption = None,
    warmup: WarmUp = None,
    weight_decay: WeightDecay = None,
    smoothing: Smoothing = None,
    augment: Augment = None,
    synthetic: Synthetic = None,
    ema: Average = None,
    keep: KeepOption = None,
    dtype: OptionalDtype = None,
    stratify: Stratify = None,
    backend: OptionalBackend = None,
    eager: Eager = False,
    threads: Threads = None,
    save_every: SaveEvery = None,
    as_json: Json = False,
) -> None:
    """Train on scikit-learn's digits and write a run folder.

    The folder gets the parameters, the configuration, the metrics, the history, pictures and a
    report of one page to read in a browser, and during training a checkpoint: a run that was
    stopped, in whatever way, goes on with --resume to the same bits. Ctrl-C saves what has been
    trained and exits with 130. The training step is compiled when it is first taken, to what the
    command program shows. A fifth of the digits is the test set, by default that of
    train_test_split(images, labels, test_size=0.2, random_state=SEED).
    """
    given = read_settings(locals())
    run.check_extra()
    if resume is None:
        _train_anew(configure(given, plain=plain), out_folder, overwrite, save_every, as_json)
    elif out_folder is not None or overwrite or plain:
        raise typer.BadParameter("--resume goes without --out, --overwrite and --plain")
    else:
        _train_on(resume, given, save_every, as_json)


def _train_anew(
    config: Config,
    out_folder: Path | None,
    overwrite: bool,
    save_every: int | None,
    as_json: bool,
) -> None:
    data = run.load_split(config)
    with refuse_misuse():
        run.start(config, data)  # refuses what makes no sense, before there is a folder
    folder = store.new_folder(Path("runs")) if out_folder is None else out_folder
    with store.claim(folder, overwrite=overwrite):
        try:
            _train(folder, config, data, None, save_every, as_json)
        except FloatingPointError:  # as it would again
            (folder / store.CHECKPOINT).unlink(missing_ok=True)
            raise


def _train_on(folder: Path, given: dict[str, Any], save_every: int | None, as_json: bool) -> None:
    with store.claim(folder, resume=True):
        saved, before = run.load_checkpoint(folder)
        config = reconfigure(before, given)
        data = run.load_split(config)
        trained = run.restore(saved, config, data)
        note(f"resumed after epoch {trained.snapshot.epoch}", as_json)
        if config.planned != before.planned:
            note(f"its rate follows the schedule of {config.epochs} epochs from here on", as_json)
        _train(folder, config, data, trained, save_every, as_json)


def _train(
    folder: Path,
    config: Config,
    data: Split,
    before: run.Trained | None,
    save_every: int | None,
    as_json: bool,
) -> None:
    note(f"run folder: {folder}", as_json)

    written = -math.inf

    def save(so_far: run.Trained) -> None:
        nonlocal written
        late = so_far.seconds >= written + CHECKPOINT_SECONDS
        if late if save_every is None else so_far.snapshot.epoch % save_every == 0:
            run.save_checkpoint(folder, config, so_far)
            written = so_far.seconds

    records = run.start(config, data, before and before.snapshot)
    with display.show_progress(err, config.epochs) as watch:
        trained = run.follow(records, watch, save, before)
    _finish(folder, config, data, trained, as_json)


def _finish(folder: Path, config: Config, data: Split, trained: run.Trained, as_json: bool) -> None:
    with run.hold_interrupts():
        found, achieved = run.save(folder, config, trained, data)
        if as_json:
            print_json({"folder": str(folder), "config": dataclasses.asdict(config), **achieved})
        else:
            show_evaluation(found, f" ({trained.seconds:.1f} s of training)")
    if trained.interrupted:
        note(
            f"interrupted after epoch {trained.snapshot.epoch}; saved; "
            f"go on with: tinygrad-digits train --resume {folder}"
        )
        raise typer.Exit(INTERRUPTED)
