"""The command line.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 misused, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import threading
import webbrowser
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np

from ... import __version__
from ...compiler.api import jit
from ...engine.transforms import grad
from ...looking.profiling import profile
from ...looking.recording import record
from ...support.errors import AutodiffError
from ..data.dataset import CLASSES, PIXELS, Split, load_digits
from ..extras import extra
from ..images.files import read_images
from ..model import gradcheck as crosscheck
from ..model import mlp as model
from ..model.evaluation import Evaluation
from ..model.evaluation import evaluate as evaluated
from ..runs import finished_run as past
from ..runs import report as reports
from ..runs import run, store
from ..training.fitting import RATES
from ..training.loop import make_step
from ..training.optimizer_choice import descent
from ..training.recipe import PLAIN, RECIPE
from . import baselines as contest

with extra():
    import typer
    from rich.console import Console

from . import display

F = TypeVar("F", bound=Callable[..., Any])

CHECKPOINT_SECONDS = 1.0  # of training: writing one takes 5 ms, a sixth of an epoch by the recipe
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
out = Console()
err = Console(stderr=True)
app = typer.Typer(
    name="tinygrad-digits",
    help="Train a handwritten-digit classifier on a small autodiff engine, and look inside.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which fills paragraphs
    context_settings={"help_option_names": ["-h", "--help"]},
)


class OptimizerName(StrEnum):
    """Choices of --optimizer."""

    gd = "gd"
    momentum = "momentum"
    nesterov = "nesterov"
    rmsprop = "rmsprop"
    adagrad = "adagrad"
    adam = "adam"
    adamw = "adamw"
    lion = "lion"


class ScheduleName(StrEnum):
    """Choices of --schedule."""

    constant = "constant"
    step = "step"
    cosine = "cosine"
    one_cycle = "one-cycle"


class Keep(StrEnum):
    """Choices of --keep."""

    last = "last"
    best = "best"


class Dtype(StrEnum):
    """Choices of --dtype."""

    float32 = "float32"
    float64 = "float64"


class Backend(StrEnum):
    """Choices of --backend."""

    numpy = "numpy"
    numba = "numba"


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that train has made.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all that is random.")]
Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images in a minibatch.")]
Hidden = Annotated[
    str, typer.Option(help="Widths of the hidden layers, as in 64,32; none for no hidden layer.")
]
OptimizerOption = Annotated[
    OptimizerName, typer.Option("--optimizer", help="Plain gradient descent, or one of its kin.")
]
DtypeOption = Annotated[Dtype, typer.Option("--dtype", help="Of parameters and images.")]
BackendOption = Annotated[
    Backend,
    typer.Option(
        "--backend",
        help="For what to compile the step: NumPy, with the bits of --eager, or "
        "native loops by Numba, of the extra jit.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout; progress and remarks go to stderr.")
]
HIDDEN = ",".join(map(str, model.SIZES[1:-1]))
DEFAULT = run.Config()
RECIPE_PANEL = "Recipe"


def _default(name: str) -> str:
    """A setting's defaults, for --help."""

    def said(value: Any) -> str:
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        return ("no", "yes")[value] if isinstance(value, bool) else str(value)

    ours, plain = said(getattr(RECIPE, name)), said(getattr(PLAIN, name))
    return f"[default: {ours}]" if ours == plain else f"[default: {ours}; --plain: {plain}]"


def guarded(command: F) -> F:
    """Turn what can go wrong into one line on stderr and an exit code."""

    @functools.wraps(command)
    def guard(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except KeyboardInterrupt:
            err.print("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (AutodiffError, ValueError, ArithmeticError, OSError, MemoryError) as error:
            err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error

    return guard  # type: ignore[return-value]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and stop."
        ),
    ] = False,
) -> None:
    """Train a handwritten-digit classifier on a small autodiff engine, and look inside."""


def _recipe(name: str, help: str, *flags: str, **options: Any) -> Any:
    """An option of `train` that the recipe has a value for, which --help tells."""
    return typer.Option(
        *flags, rich_help_panel=RECIPE_PANEL, help=f"{help} {_default(name)}", **options
    )


OutFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run folder. [default: the next of runs/1, ...]"),
]
Overwrite = Annotated[bool, typer.Option(help="Replace the run that DIR holds.")]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Continue the run in this folder, as if never stopped."),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Vanilla gradient descent on the images as they are.")
]
OptionalSeed = Annotated[
    int | None,
    typer.Option(min=0, max=2**32 - 1, help=f"Of all that is random. [default: {DEFAULT.seed}]"),
]
Epochs = Annotated[int | None, _recipe("epochs", "Passes over the data.", metavar="N", min=0)]
OptionalBatch = Annotated[
    int | None, _recipe("batch_size", "Images in a minibatch.", metavar="N", min=1)
]
Widths = Annotated[
    str | None,
    _recipe(
        "hidden",
        "Widths of the hidden layers, as in 64,32; none for no hidden layer.",
        metavar="WIDTHS",
    ),
]
Descent = Annotated[OptimizerName | None, _recipe("optimizer", "How to descend.")]
LearningRate = Annotated[
    float | None,
    _recipe(
        "rate",
        "Learning rate, the highest of the schedule. Another --optimizer's own: "
        f"{', '.join(f'{name} {rate}' for name, rate in RATES.items())}.",
        metavar="R",
    ),
]
ScheduleOption = Annotated[ScheduleName | None, _recipe("schedule", "How the rate falls.")]
WarmUp = Annotated[
    float | None,
    _recipe("warmup", "Share of the steps in which it rises.", metavar="SHARE", min=0, max=0.99),
]
WeightDecay = Annotated[
    float | None, _recipe("weight_decay", "Of weights, not of biases.", metavar="R", min=0)
]
Smoothing = Annotated[
    float | None,
    _recipe("smoothing", "Share of a label spread over all.", metavar="SHARE", min=0, max=0.99),
]
Augment = Annotated[
    bool | None,
    _recipe(
        "augment",
        "Move and turn the images a little, afresh in each epoch.",
        "--augment/--no-augment",
    ),
]
Average = Annotated[
    float | None,
    _recipe(
        "ema",
        "Decay of a moving average of the parameters, which is then what is measured and kept; "
        "0 for none.",
        metavar="DECAY",
        min=0,
        max=0.99999,
    ),
]
KeepOption = Annotated[
    Keep | None,
    typer.Option(
        help="Which parameters to save: the last, or those with the best validation accuracy. "
        "[default: last]"
    ),
]
OptionalDtype = Annotated[
    Dtype | None, typer.Option(help="Of parameters and images. [default: float32]")
]
Stratify = Annotated[
    bool | None,
    typer.Option(
        "--stratify/--no-stratify",
        help="Give the test set each digit in its share. [default: no-stratify]",
    ),
]
OptionalBackend = Annotated[
    Backend | None,
    typer.Option(
        help="For what to compile the step: NumPy, with the bits of --eager, or native loops "
        "by Numba, of the extra jit. [default: numpy]"
    ),
]
Eager = Annotated[
    bool, typer.Option("--eager", help="Take each step op by op instead of compiled.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Of BLAS, on which the last bits depend. [default: one for small layers, else all]",
    ),
]
SaveEvery = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="EPOCHS",
        help="How often to write the checkpoint. [default: after each second]",
    ),
]


@app.command()
@guarded
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
    given = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "rate": rate,
        "optimizer": optimizer and optimizer.value,
        "hidden": None if hidden is None else _widths(hidden),
        "dtype": dtype and dtype.value,
        "stratify": stratify,
        "schedule": schedule and schedule.value,
        "warmup": warmup,
        "weight_decay": weight_decay,
        "smoothing": smoothing,
        "augment": augment,
        "ema": ema,
        "keep": keep and keep.value,
        "threads": threads,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if eager or backend is not None:
        given["backend"] = _backend(backend or Backend.numpy, eager=eager)
    run.check_extra()
    if resume is None:
        _train_anew(run.configured(given, plain=plain), out_folder, overwrite, save_every, as_json)
    elif out_folder is not None or overwrite or plain:
        raise typer.BadParameter("--resume goes without --out, --overwrite and --plain")
    else:
        _train_on(resume, given, save_every, as_json)


def _train_anew(
    config: run.Config,
    out_folder: Path | None,
    overwrite: bool,
    save_every: int | None,
    as_json: bool,
) -> None:
    data = run.load_split(config)
    run.start(config, data)  # refuses what makes no sense, before there is a folder
    folder = store.new_folder(Path("runs")) if out_folder is None else out_folder
    with store.claimed(folder, overwrite=overwrite):
        try:
            _train(folder, config, data, None, save_every, as_json)
        except FloatingPointError:  # as it would again
            (folder / store.CHECKPOINT).unlink(missing_ok=True)
            raise


def _train_on(folder: Path, given: dict[str, Any], save_every: int | None, as_json: bool) -> None:
    with store.claimed(folder, resume=True):
        saved, config = run.load_checkpoint(folder)
        config = run.continued(config, given)
        data = run.load_split(config)
        before = run.resumed(saved, config, data)
        _note(f"resumed after epoch {before.state.epoch}", as_json)
        _train(folder, config, data, before, save_every, as_json)


def _train(
    folder: Path,
    config: run.Config,
    data: Split,
    before: run.Trained | None,
    save_every: int | None,
    as_json: bool,
) -> None:
    _note(f"run folder: {folder}", as_json)

    written = -math.inf

    def save(so_far: run.Trained) -> None:
        nonlocal written
        late = so_far.seconds >= written + CHECKPOINT_SECONDS
        if late if save_every is None else so_far.state.epoch % save_every == 0:
            run.save_checkpoint(folder, config, so_far)
            written = so_far.seconds

    records = run.start(config, data, before and before.state)
    with display.progress(err, config.epochs) as watch:
        trained = run.follow(records, watch, save, before)
    with run.holding_interrupts():
        found, achieved = run.save(folder, config, trained, data)
        if as_json:
            _json({"folder": str(folder), "config": dataclasses.asdict(config), **achieved})
        else:
            _show(found, f" ({trained.seconds:.1f} s of training)")
    if trained.interrupted:
        err.print(
            f"interrupted after epoch {trained.state.epoch}; saved; "
            f"go on with: tinygrad-digits train --resume {folder}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED)


@app.command()
@guarded
def evaluate(folder: RunFolder, as_json: Json = False) -> None:
    """Measure a trained model on the test set of its run."""
    saved = store.load_run(folder)
    data = run.load_split(run.Config.of(saved.config))
    found = evaluated(saved.params, data.test)
    if as_json:
        _json(run.measures(found))
    else:
        _show(found)


@app.command()
@guarded
def predict(
    folder: RunFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".npy or PNG files.")],
    as_json: Json = False,
) -> None:
    """Say which digits image files show, and how surely.

    A .npy file holds one or more 8x8 images, (8, 8), (64,), (n, 8, 8) or (n, 64), with pixels 0-1
    or 0-16 and ink high, like the training data. A picture (PNG and others, grey or colour) may
    have any size and dark ink on light paper or the reverse: the border shows which is the paper.
    It is cropped to the ink and resized to 8x8.
    """
    params = store.load_run(folder).params
    rows, failures = [], []
    for path in files:
        try:
            probabilities = model.probabilities(params, read_images(path))
        except (ValueError, OSError) as error:
            failures.append(str(error))
            continue
        for i, row in enumerate(probabilities):
            rows.append((str(path) if len(probabilities) == 1 else f"{path}[{i}]", row))
    if as_json:
        _json(
            [
                {"image": name, "digit": int(row.argmax()), "probabilities": row.tolist()}
                for name, row in rows
            ]
        )
    elif rows:
        table = [(name, int(row.argmax()), float(row.max())) for name, row in rows]
        out.print(display.predictions(table))
    if failures:
        raise ValueError("\nerror: ".join(failures))


@app.command()
@guarded
def gradcheck(
    seed: Seed = 0, batch_size: Batch = 32, hidden: Hidden = HIDDEN, as_json: Json = False
) -> None:
    """Compare the tape's gradients with manual backprop and central differences.

    Layer by layer, in float32 and float64. Exits with 1 where they differ by more than allowed.
    """
    sizes = (PIXELS, *_widths(hidden), CLASSES)
    rows = []
    for dtype in crosscheck.TOLERANCES:
        rng = np.random.default_rng(seed)
        rows += crosscheck.compare(*crosscheck.example(sizes, dtype, batch_size, rng), rng)
    if as_json:
        _json([{**row._asdict(), "dtype": row.dtype.name, "agrees": row.agrees} for row in rows])
    else:
        out.print(display.agreement(rows))
    if not all(row.agrees for row in rows):
        raise ValueError("the gradients differ by more than is allowed")
    _note("the three gradients agree", as_json)


@app.command()
@guarded
def report(folder: RunFolder) -> None:
    """Write a run's report again: report.html, one page that needs no network.

    Curves, confusion, mistakes with their saliency, the first layer's weights, the tape, the
    configuration and the environment. For folders of before there were reports, too.
    """
    _say(f"report: {reports.write(folder, *past.past_run(folder))}")


@app.command()
@guarded
def tape(
    seed: Seed = 0,
    batch_size: Batch = DEFAULT.batch_size,
    hidden: Hidden = HIDDEN,
    backward: Annotated[bool, typer.Option(help="Record the gradient's ops too.")] = False,
    costs: Annotated[bool, typer.Option(help="Print what each op costs instead.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw it into this file, too.")] = None,
) -> None:
    """Print the program that the tape records in one training step.

    One line for each op: its number, its inputs, its output's shape and dtype. The gradient is the
    same list read backwards.
    """
    rng = np.random.default_rng(seed)
    sizes = (PIXELS, *_widths(hidden), CLASSES)
    params, x, labels = crosscheck.example(sizes, np.float32, batch_size, rng)

    def loss(params: model.Params) -> Any:
        return model.loss(params, x, labels)

    recording = record(grad(loss) if backward else loss, params)
    typer.echo(profile(loss, params) if costs else recording)
    if svg is not None:
        svg.write_text(recording.svg(), encoding="utf-8", newline="\n")
        _say(f"drawn in {svg}")


@app.command()
@guarded
def program(
    batch_size: Batch = DEFAULT.batch_size,
    optimizer: OptimizerOption = OptimizerName.gd,
    hidden: Hidden = HIDDEN,
    dtype: DtypeOption = Dtype.float32,
    backend: BackendOption = Backend.numpy,
) -> None:
    """Print the program that one training step is compiled to.

    What each pass over it did; then one line for each op of the forward pass, the gradient and
    the optimizer: its number, its inputs, its output's dtype and shape; how much memory they
    share; and the code that runs.
    """
    rng = np.random.default_rng(0)  # for values, which a program does not depend on
    sizes = (PIXELS, *_widths(hidden), CLASSES)
    params, x, labels = crosscheck.example(sizes, dtype.value, batch_size, rng)
    config = run.configured({"optimizer": optimizer.value}, plain=True)
    descends = descent(config, steps=1)
    step = jit(make_step(descends, backend=None), backend=backend.value)
    typer.echo(step.program(params, descends.init(params), x, labels))


@app.command()
@guarded
def serve(
    folder: RunFolder,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other computers in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a page to draw digits on, which the model reads as you draw.

    It shows the probabilities, the 8x8 image that the model sees, and which pixels decided. Ctrl-C
    ends it. Needs the extra serve.
    """
    from . import serve as server  # an extra of its own

    def ready(address: str) -> None:
        _say(f"draw at {address} (Ctrl-C ends this)")
        if browser:  # in a thread of its own, as a browser for terminals would not return
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    if host in server.EVERYWHERE:
        err.print("open to all who can reach this computer: they can draw, and nothing else")
    server.run(store.load_run(folder).params, host, port, ready)


@app.command()
@guarded
def compare(
    splits: Annotated[int, typer.Option(min=1, help="How many splits to try.")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first split; the others count up from it.")
    ] = 0,
    jobs: Annotated[int, typer.Option(min=-1, help="Processes at once; -1 for all cores.")] = 1,
    as_json: Json = False,
) -> None:
    """Compare the classifier with scikit-learn's on the same splits of the digits.

    Each split trains on 80 % of the images and tests on the others, with each digit in its share.
    Ours is trained as train does by default, and by plain gradient descent; none holds out a
    validation set here. Several jobs at once make each fit slower.
    """
    seeds, entrants = range(seed, seed + splits), contest.contenders()
    found = []
    with display.counting(err, len(entrants) * splits) as done:
        for one in contest.fits(entrants, seeds, load_digits(np.float32), jobs):
            found.append(one)
            done(f"{one.name}: {one.accuracy:.2%}")
    rows = contest.standings(found, list(entrants))
    if as_json:
        _json({"seeds": [*seeds], "standings": [row._asdict() for row in rows]})
    else:
        out.print(display.standings(rows, seeds))


@app.command()
@guarded
def sweep(
    grid: Annotated[
        str,
        typer.Option(
            help="What to try, as in 'rate=0.001,0.01 hidden=64,32|128,64 augment=true,false': "
            "parameters of DigitsClassifier, in all combinations."
        ),
    ],
    splits: Annotated[int, typer.Option(min=2, help="Parts to cross-validate on.")] = 3,
    seed: Seed = 0,
    jobs: Annotated[
        int | None,
        typer.Option(min=-1, help="Processes at once; -1 for all cores. [default: 1; all of Dask]"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on the Dask cluster at this address (of the extra distributed), or on one "
            "made for this: local.",
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="JSON lines of what is done; a sweep goes on from there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Cross-validate the classifier's settings on a grid, over processes or a cluster.

    The images are those that train --seed SEED trains and validates on, so that its test set takes
    no part in the choice. Whatever kills the sweep, the same command with the same --out goes on.
    """
    from . import grid_search as search

    tried = search.candidates(grid)
    with search.kept(out_file, splits=splits, seed=seed) as journal:
        known, missing = journal.sorted_out(tried)
        found, images = known.copy(), search.training_images(seed)
        with search.cluster(dask, jobs), display.counting(err, missing) as done:
            for one in search.fits(tried, images, splits=splits, seed=seed, jobs=jobs, known=known):
                journal.add(one)
                found.append(one)
                done(f"{display.spelled(one.settings)}: {display.share(one.accuracy)}")
    ranks = search.ranked(found)
    if as_json:
        _json({"splits": splits, "seed": seed, "settings": [rank._asdict() for rank in ranks]})
    else:
        out.print(display.ranks(ranks, splits, seed))


def _say(text: str) -> None:
    """A line for people and for grep: no colours, no wrapping."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _note(text: str, as_json: bool) -> None:
    """A line for people, out of the way of JSON."""
    (err if as_json else out).print(text, markup=False, highlight=False, soft_wrap=True)


def _json(content: Any) -> None:
    """For scripts."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def _show(found: Evaluation, remark: str = "") -> None:
    out.print(display.report(found))
    _say(f"test accuracy: {found.accuracy:.2%}{remark}")


def _widths(text: str) -> tuple[int, ...]:
    """Layers: 64,32 -> (64, 32); none -> ()."""
    if text.strip() == "none":
        return ()
    try:
        widths = tuple(int(width) for width in text.split(","))
    except ValueError:
        widths = (0,)
    if min(widths) < 1:
        raise typer.BadParameter(f"--hidden takes widths like 64,32, or none; got {text!r}")
    return widths


def _backend(backend: Backend, *, eager: bool) -> str | None:
    """For what to compile: None for not at all."""
    if eager and backend is not Backend.numpy:
        raise typer.BadParameter(f"--eager compiles nothing, so not for --backend {backend.value}")
    return None if eager else backend.value
