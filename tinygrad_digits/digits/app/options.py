"""The options of the commands, and what is made of their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from ..extras import extra
from ..model import mlp
from ..training.recipe import PLAIN, RATES, RECIPE, Config

with extra():
    import typer


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


class ModelName(StrEnum):
    """Choices of --model."""

    mlp = "mlp"
    conv = "conv"


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

    auto = "auto"
    numpy = "numpy"
    native = "native"


class Language(StrEnum):
    """Choices of --to."""

    py = "py"
    c = "c"


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that train has made.")]
Seed = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Of all that is random.")
]
Batch = Annotated[
    int, typer.Option("--batch-size", metavar="N", min=1, help="Images in a minibatch.")
]
Hidden = Annotated[
    str,
    typer.Option(
        metavar="WIDTHS", help="Widths of the hidden layers, as in 64,32; none for no hidden layer."
    ),
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
        "native code by LLVM, of the extra native; auto is native where that is installed.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout; progress and remarks go to stderr.")
]
Show = Annotated[
    Path | None,
    typer.Option(
        "--show",
        metavar="DIR",
        file_okay=False,
        help="Draw what each step made of each picture into this folder: light, grain, lines, "
        "digits, pen.",
    ),
]
HIDDEN = ",".join(map(str, mlp.SIZES[1:-1]))
DEFAULT = Config()
RECIPE_PANEL = "Recipe"


def _tell_default(name: str) -> str:
    """A setting's defaults, for --help."""

    def said(value: Any) -> str:
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        return ("no", "yes")[value] if isinstance(value, bool) else str(value)

    ours, plain = said(getattr(RECIPE, name)), said(getattr(PLAIN, name))
    return f"[default: {ours}]" if ours == plain else f"[default: {ours}; --plain: {plain}]"


def _recipe_option(name: str, help: str, *flags: str, **options: Any) -> Any:
    """An option of `train` that the recipe has a value for, which --help tells."""
    return typer.Option(
        *flags, rich_help_panel=RECIPE_PANEL, help=f"{help} {_tell_default(name)}", **options
    )


Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Images of your own: a folder with a folder of pictures for each class, .npz, .csv, "
        ".parquet, MNIST's IDX files; mine for what you have corrected on the page. "
        "[default: scikit-learn's digits]",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="Which column or array of PATH holds the classes. [default: found by its name]",
    ),
]
Side = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="N",
        min=2,
        max=1024,
        help="Scale the pictures of a folder to NxN. [default: as they are where all are of one "
        "size up to 64, else as digits of 8x8]",
    ),
]
Watch = Annotated[
    bool,
    typer.Option("--watch", help="Open a page that shows the training while it goes on."),
]
Port = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, max=65535, help="Of that page. [default: a free one]"),
]
Browser = Annotated[bool, typer.Option(help="Open the page in the browser.")]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run folder. [default: the next of runs/1, ...]"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that DIR holds.")]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Continue the run in this folder, as if never stopped."),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Vanilla gradient descent on the images as they are.")
]
OptionalSeed = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, max=2**32 - 1, help=f"Of all that is random. [default: {DEFAULT.seed}]"
    ),
]
ModelOption = Annotated[
    ModelName | None,
    typer.Option(
        "--model",
        help="Fully connected layers, or two convolutions before them, which takes longer. "
        "[default: mlp]",
    ),
]
Epochs = Annotated[
    int | None, _recipe_option("epochs", "Passes over the data.", metavar="N", min=0)
]
OptionalBatch = Annotated[
    int | None, _recipe_option("batch_size", "Images in a minibatch.", metavar="N", min=1)
]
Widths = Annotated[
    str | None,
    _recipe_option(
        "hidden",
        "Widths of the hidden layers, as in 64,32; none for no hidden layer.",
        metavar="WIDTHS",
    ),
]
Descent = Annotated[OptimizerName | None, _recipe_option("optimizer", "How to descend.")]
LearningRate = Annotated[
    float | None,
    _recipe_option(
        "rate",
        "Learning rate, the highest of the schedule. Another --optimizer's own: "
        f"{', '.join(f'{name} {rate}' for name, rate in RATES.items())}.",
        metavar="R",
    ),
]
ScheduleOption = Annotated[ScheduleName | None, _recipe_option("schedule", "How the rate falls.")]
WarmUp = Annotated[
    float | None,
    _recipe_option(
        "warmup", "Share of the steps in which it rises.", metavar="SHARE", min=0, max=0.99
    ),
]
WeightDecay = Annotated[
    float | None, _recipe_option("weight_decay", "Of weights, not of biases.", metavar="R", min=0)
]
Smoothing = Annotated[
    float | None,
    _recipe_option(
        "smoothing", "Share of a label spread over all.", metavar="SHARE", min=0, max=0.99
    ),
]
Augment = Annotated[
    bool | None,
    _recipe_option(
        "augment",
        "Move and turn the images a little, afresh in each epoch.",
        "--augment/--no-augment",
    ),
]
Synthetic = Annotated[
    float | None,
    _recipe_option(
        "synthetic",
        "Digits drawn by the program for each of the data, in every epoch.",
        metavar="SHARE",
        min=0,
    ),
]
Average = Annotated[
    float | None,
    _recipe_option(
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
        help="For what to compile the step: NumPy, with the bits of --eager, or native code by "
        "LLVM, of the extra native; auto is native where that is installed. [default: auto; "
        "--resume: the run's]"
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


def check_jobs(jobs: int | None) -> int | None:
    """A number of processes, or -1."""
    if jobs is not None and jobs < 1 and jobs != -1:
        raise typer.BadParameter(f"processes are 1 or more, or -1 for all cores, not {jobs}")
    return jobs


Jobs = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        callback=check_jobs,
        help="Processes at once; -1 for all cores. [default: 1, or all that Dask has]",
    ),
]
Journal = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="JSON lines of what is done; the same command with the same FILE goes on from there.",
    ),
]
Splits = Annotated[int, typer.Option(metavar="N", min=1, help="How many splits to try.")]
FirstSeed = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Of the first split; the others count up from it."),
]
Grid = Annotated[
    str,
    typer.Option(
        metavar="GRID",
        help="What to try, as in 'rate=0.001,0.01 hidden=64,32|128,64 augment=true,false': "
        "parameters of DigitsClassifier, in all combinations.",
    ),
]
Parts = Annotated[int, typer.Option(metavar="N", min=2, help="Parts to cross-validate on.")]
Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the Dask cluster at this address (of the extra distributed), or on one made "
        "for this: local.",
    ),
]


def read_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command's arguments those that are given and that a Config has.

    >>> read_settings({"epochs": 3, "rate": None, "out_folder": Path("runs"), "hidden": "8,4"})
    {'epochs': 3, 'hidden': (8, 4)}
    """
    names = {field.name for field in dataclasses.fields(Config)} - {"data"}
    given = {name: _read(name, value) for name, value in arguments.items() if name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.get("eager") or "backend" in given:
        backend = Backend(given.get("backend", "auto"))
        given["backend"] = choose_backend(backend, eager=bool(arguments.get("eager")))
    return given


def _read(name: str, value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    return parse_widths(value) if name == "hidden" and value is not None else value


def parse_widths(text: str) -> tuple[int, ...]:
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


def choose_backend(backend: Backend, *, eager: bool) -> str | None:
    """For what to compile, "auto" included: None for not at all."""
    if eager and backend not in (Backend.auto, Backend.numpy):
        raise typer.BadParameter(f"--eager compiles nothing, so not for --backend {backend.value}")
    return None if eager else backend.value
