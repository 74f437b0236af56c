"""train: from nothing, or from where a run stopped, to a run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ...data.dataset import Dataset, Split
from ...data.own import OwnData
from ...data.stored import Source
from ...extras import extra
from ...runs import material, run, store
from ...training.loop import Epoch
from ...training.recipe import Config, configure, reconfigure
from .. import display
from ..console import (
    INTERRUPTED,
    err,
    guard,
    note,
    open_browser,
    print_json,
    refuse_misuse,
    show_evaluation,
)
from ..options import (
    Augment,
    Average,
    Browser,
    Data,
    Descent,
    Eager,
    Epochs,
    Json,
    KeepOption,
    Label,
    LearningRate,
    ModelOption,
    OptionalBackend,
    OptionalBatch,
    OptionalDtype,
    OptionalSeed,
    OutFolder,
    Overwrite,
    Plain,
    Port,
    Resume,
    SaveEvery,
    ScheduleOption,
    Side,
    Smoothing,
    Stratify,
    Synthetic,
    Threads,
    WarmUp,
    Watch,
    WeightDecay,
    Widths,
    read_settings,
)
from ..own_data import open_own

with extra():
    import typer


class Surroundings(NamedTuple):
    """How to train, of what makes no difference to the result."""

    save_every: int | None
    as_json: bool
    watch: bool
    port: int
    browser: bool


CHECKPOINT_SECONDS = 1.0  # of training: writing one takes 5 ms, a sixth of an epoch by the recipe


@guard
def train(
    data: Data = None,
    label: Label = None,
    side: Side = None,
    out_folder: OutFolder = None,
    overwrite: Overwrite = False,
    resume: Resume = None,
    plain: Plain = False,
    model: ModelOption = None,
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
    watch: Watch = False,
    port: Port = None,
    browser: Browser = True,
    as_json: Json = False,
) -> None:
    """Train on scikit-learn's digits, or on images of your own, and write a run folder.

    The folder gets the parameters, the configuration, the metrics, the history, pictures and a
    report of one page to read in a browser, and during training a checkpoint: a run that was
    stopped, in whatever way, goes on with --resume to the same bits. Ctrl-C saves what has been
    trained and exits with 130. The training step is compiled when it is first taken, to what the
    command program shows. A fifth of the digits is the test set, by default that of
    train_test_split(images, labels, test_size=0.2, random_state=SEED). Of images of your own it
    is what they set apart for tests, else a fifth of each class; they may be of any size and of any
    number of classes, and more than fit into memory. What you have corrected on the page joins the
    training images of scikit-learn's digits.
    """
    given = read_settings(locals())
    around = _surround(save_every, as_json, watch, port, browser)
    if resume is not None:
        anew = out_folder is not None or any((overwrite, plain, data, label, side))
        return _train_on(resume, given, around, anew=anew)
    return _train_anew(*_configure(given, data, label, side, plain), out_folder, overwrite, around)


def _surround(
    save_every: int | None, as_json: bool, watch: bool, port: int | None, browser: bool
) -> Surroundings:
    run.check_extra()
    if port is not None and not watch:
        raise typer.BadParameter("--port goes with --watch")
    return Surroundings(save_every, as_json, watch, port or 0, browser)


def _configure(
    given: dict[str, Any], data: str | None, label: str | None, side: int | None, plain: bool
) -> tuple[Config, Source | Dataset | None]:
    own, read = open_own(data, label, side)
    with refuse_misuse():
        return configure({**given, "data": own}, plain=plain), read


def _train_anew(
    config: Config,
    read: Source | Dataset | None,
    out_folder: Path | None,
    overwrite: bool,
    around: Surroundings,
) -> None:
    data = material.load_split(config, read)
    if config.data is not None:
        note(_describe_data(config.data), around.as_json)
    with refuse_misuse():
        run.start(config, data)  # refuses what makes no sense, before there is a folder
    folder = store.new_folder(Path("runs")) if out_folder is None else out_folder
    with store.claim(folder, overwrite=overwrite):
        try:
            _train(folder, config, data, None, around)
        except FloatingPointError:  # as it would again
            (folder / store.CHECKPOINT).unlink(missing_ok=True)
            raise


def _describe_data(own: OwnData) -> str:
    """What was found at a path."""
    if own.joins:
        return f"data: scikit-learn's digits, and {own.images} that you have drawn and corrected"
    names = ", ".join(own.classes[:12]) + (" ..." if len(own.classes) > 12 else "")
    shape = "x".join(map(str, own.shape))
    return f"data: {own.images} images of {shape} in {len(own.classes)} classes ({names})"


def _train_on(folder: Path, given: dict[str, Any], around: Surroundings, *, anew: bool) -> None:
    if anew:
        raise typer.BadParameter("--resume goes without --data, --out, --overwrite and --plain")
    with store.claim(folder, resume=True):
        saved, before = run.load_checkpoint(folder)
        with refuse_misuse():
            config = reconfigure(before, given)
        data = material.load_split(config)
        trained = run.restore(saved, config, data)
        with refuse_misuse():
            run.start(config, data, trained.snapshot)  # refuses to make a run shorter than it is
        note(f"resumed after epoch {trained.snapshot.epoch}", around.as_json)
        if config.planned != before.planned:
            so = f"its rate follows the schedule of {config.epochs} epochs from here on"
            note(so, around.as_json)
        _train(folder, config, data, trained, around)


def _train(
    folder: Path, config: Config, data: Split, before: run.Trained | None, around: Surroundings
) -> None:
    note(f"run folder: {folder}", around.as_json)

    written = -math.inf

    def save(so_far: run.Trained) -> None:
        nonlocal written
        late = so_far.seconds >= written + CHECKPOINT_SECONDS
        often = around.save_every
        if late if often is None else so_far.snapshot.epoch % often == 0:
            run.save_checkpoint(folder, config, so_far)
            written = so_far.seconds

    records = run.start(config, data, before and before.snapshot)
    images = config.joined(len(data.train.labels))
    with (
        _show_page(config, data, images, around) as publish,
        display.show_progress(err, config.epochs, images) as watch,
    ):

        def tell(record: Epoch) -> None:
            watch(record)
            publish(record)

        trained = run.follow(records, tell, save, before)
    _finish(folder, config, data, trained, around.as_json)


@contextmanager
def _show_page(
    config: Config, data: Split, images: int, around: Surroundings
) -> Iterator[Callable[[Epoch], None]]:
    """What to tell of each epoch: with --watch, to a page that is there as long as the block."""
    if not around.watch:
        yield lambda _: None
        return
    from ..watch import make_publisher, watching  # an extra of its own

    with watching(around.port) as (board, address):
        note(f"watch at {address}", around.as_json)
        if around.browser:
            open_browser(address)
        yield make_publisher(board, config, data.validation, images)


def _finish(folder: Path, config: Config, data: Split, trained: run.Trained, as_json: bool) -> None:
    with run.hold_interrupts():
        found, achieved = run.save(folder, config, trained, data)
        if as_json:
            print_json({"folder": str(folder), "config": config.describe(), **achieved})
        else:
            show_evaluation(found, f" ({trained.seconds:.1f} s of training)")
    if trained.interrupted:
        note(
            f"interrupted after epoch {trained.snapshot.epoch}; saved; "
            f"go on with: tinygrad-digits train --resume {folder}"
        )
        raise typer.Exit(INTERRUPTED)
