"""The command line.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 misused, 130 interrupted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np

from .. import __version__
from ..engine.errors import AutodiffError
from ..engine.transforms import grad
from ..jit.api import jit
from ..profiling import profile
from ..recording import record
from . import crosscheck, model, run, store
from .data import CLASSES, PIXELS
from .evaluation import evaluate as evaluated
from .extras import extra
from .images import read_images
from .training import make_step

with extra():
    import typer
    from rich.console import Console

from . import display

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
out = Console()
err = Console(stderr=True)
app = typer.Typer(
    name="tinygrad-digits",
    help="Train a handwritten-digit classifier on a small autodiff engine, and look inside.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which fills paragraphs
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class OptimizerName(StrEnum):
    """Choices of --optimizer."""

    gd = "gd"
    momentum = "momentum"


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
    OptimizerName, typer.Option("--optimizer", help="Plain gradient descent, or heavy ball.")
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
HIDDEN = ",".join(map(str, model.SIZES[1:-1]))
DEFAULT = run.Config()


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


@app.command()
@guarded
def train(
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Run folder. [default: the next of runs/1, ...]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the run that DIR holds.")] = False,
    seed: Seed = DEFAULT.seed,
    epochs: Annotated[int, typer.Option(min=0, help="Passes over the data.")] = DEFAULT.epochs,
    batch_size: Batch = DEFAULT.batch_size,
    rate: Annotated[
        float | None,
        typer.Option(
            help=f"Learning rate. [default: {', '.join(f'{k} {v}' for k, v in run.RATES.items())}]"
        ),
    ] = None,
    optimizer: OptimizerOption = OptimizerName.gd,
    hidden: Hidden = HIDDEN,
    dtype: DtypeOption = Dtype.float32,
    stratify: Annotated[
        bool, typer.Option(help="Give the test set each digit in its share.")
    ] = DEFAULT.stratify,
    backend: BackendOption = Backend.numpy,
    eager: Annotated[
        bool, typer.Option("--eager", help="Take each step op by op instead of compiled.")
    ] = False,
) -> None:
    """Train on scikit-learn's digits and write a run folder.

    The folder gets the parameters, the configuration, the metrics, the history and pictures.
    The training step is compiled when it is first taken, to what the command program shows.
    Ctrl-C saves what has been trained and exits with 130. A fifth of the digits is the test set,
    by default that of train_test_split(images, labels, test_size=0.2, random_state=SEED).
    """
    rate = run.RATES[optimizer.value] if rate is None else rate
    widths, target = _widths(hidden), _backend(backend, eager=eager)
    config = run.Config(
        seed, epochs, batch_size, rate, optimizer.value, widths, dtype.value, stratify, target
    )
    run.check_extra()
    data = run.load_split(config)
    records = run.start(config, data)  # refuses what makes no sense, before there is a folder
    folder = _folder(out_folder, overwrite=overwrite)
    _say(f"run folder: {folder}")
    with store.dropped_if_empty(folder), display.progress(err, epochs) as watch:
        trained = run.follow(records, watch)
    with run.holding_interrupts():
        found = run.save(folder, config, trained, data.test)
        out.print(display.report(found))
        _say(f"test accuracy: {found.accuracy:.2%} ({trained.seconds:.1f} s of training)")
    if trained.interrupted:
        err.print(f"interrupted after epoch {trained.history[-1]['epoch']}; saved")
        raise typer.Exit(INTERRUPTED)


@app.command()
@guarded
def evaluate(folder: RunFolder) -> None:
    """Measure a trained model on the test set of its run."""
    saved = store.load_run(folder)
    data = run.load_split(run.Config.of(saved.config))
    found = evaluated(saved.params, data.test)
    out.print(display.report(found))
    _say(f"test accuracy: {found.accuracy:.2%}")


@app.command()
@guarded
def predict(
    folder: RunFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".npy or PNG files.")],
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
            name = str(path) if len(probabilities) == 1 else f"{path}[{i}]"
            rows.append((name, int(row.argmax()), float(row.max())))
    if rows:
        out.print(display.predictions(rows))
    if failures:
        raise ValueError("\nerror: ".join(failures))


@app.command()
@guarded
def gradcheck(seed: Seed = 0, batch_size: Batch = 32, hidden: Hidden = HIDDEN) -> None:
    """Compare the tape's gradients with manual backprop and central differences.

    Layer by layer, in float32 and float64. Exits with 1 where they differ by more than allowed.
    """
    sizes = (PIXELS, *_widths(hidden), CLASSES)
    rows = []
    for dtype in crosscheck.TOLERANCES:
        rng = np.random.default_rng(seed)
        rows += crosscheck.compare(*crosscheck.example(sizes, dtype, batch_size, rng), rng)
    out.print(display.agreement(rows))
    if not all(row.agrees for row in rows):
        raise ValueError("the gradients differ by more than is allowed")
    _say("the three gradients agree")


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
    descent = run.OPTIMIZERS[optimizer.value](run.RATES[optimizer.value])
    step = jit(make_step(descent, backend=None), backend=backend.value)
    typer.echo(step.program(params, descent.init(params), x, labels))


def _say(text: str) -> None:
    """A line for people and for grep: no colours, no wrapping."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


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


def _folder(chosen: Path | None, *, overwrite: bool) -> Path:
    if chosen is None:
        return store.new_folder(Path("runs"))
    return store.claim_folder(chosen, overwrite=overwrite)
