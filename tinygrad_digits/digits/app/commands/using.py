"""What is done with a run: evaluate, predict, report, export, serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from ...data import drawings
from ...data.dataset import Dataset
from ...errors import RunError
from ...extras import extra
from ...images.files import read_file
from ...model.evaluation import evaluate as evaluate_params
from ...runs import finished_run, material, run, side_by_side, store
from ...runs import report as reports
from ...runs.familiar import load_manner, measure_trust
from ...training.recipe import Config
from .. import corrections, display
from ..answers import Answer, answer, save_stages
from ..console import (
    describe_failure,
    guard,
    note,
    open_browser,
    out,
    print_json,
    say,
    show_evaluation,
)
from ..options import Json, Language, RunFolder, Show
from ..own_files import read_own
from ..portable import export_classifier

with extra():
    import typer


@guard
def evaluate(
    folder: RunFolder,
    mine: Annotated[
        bool, typer.Option("--mine", help="On what you have drawn and corrected on the page.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure a trained model on the test set of its run, or on what you have drawn.

    Also how far its probabilities are from the shares that are right (the expected calibration
    error), and how many of the digits it would say look like none.
    """
    saved = store.load_run(folder)
    config = Config.of(saved.config)
    tested = _load_mine(config, as_json) if mine else material.load_split(config).test
    found = evaluate_params(saved.params, tested, config.classes)
    trust = measure_trust(saved.params, load_manner(folder), found.probabilities, tested)
    if as_json:
        print_json({**run.describe_evaluation(found), **trust._asdict()})
    else:
        show_evaluation(found, title="What you have drawn" if mine else None)
        say(display.summarise_trust(trust))


def _load_mine(config: Config, as_json: bool) -> Dataset:
    """What has been drawn and corrected; RunError where there is nothing, or nothing to read it."""
    folder = corrections.own_folder()
    drawn = drawings.load(folder)
    if not config.digits:
        raise RunError("what you have drawn are digits of 8x8, and this model reads others")
    if not len(drawn.labels):
        raise RunError(f"{folder} holds nothing: correct a reading on the page of `serve` first")
    if config.data is not None and config.data.joins:
        note("the run has learnt from some of these, if not from all", as_json)
    return drawn


@guard
def predict(
    folder: RunFolder,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Pictures or .npy files, or folders.")
    ],
    show: Show = None,
    as_json: Json = False,
) -> None:
    """Say which digits, or classes of your own, image files show, and how surely.

    A picture (PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, AVIF; HEIC with the package pillow-heif) may be
    of any size, pen, paper and light, and show several digits, which are read line by line; only
    one of 8x8 pixels is taken as it is. A .npy file holds one or more images of 8x8, (8, 8), (64,),
    (n, 8, 8) or (n, 64), with pixels 0-1 or 0-16 and ink high, as the training data, or of 28x28
    with pixels 0-1 or 0-255, as MNIST's. What is unlike all that the run has learnt and validated
    from is said to be no digit. Of a folder all but hidden files are read. To a run on
    images of your own, one picture is one image: it becomes grey and gets their size.
    """
    saved, manner = store.load_run(folder), load_manner(folder)
    own = saved.own
    answers: list[Answer] = []
    failures: list[str] = []
    for path in _open_folders(files):
        try:
            content = read_file(path) if own is None or own.digits else read_own(path, own)
            answers += answer(saved.params, manner, path, content, saved.classes)
            if show is not None and content.stages is not None:
                note(f"steps: {save_stages(content.stages, show, path)}", as_json)
        except (ValueError, OSError) as error:
            failures.append(describe_failure(error))
    if as_json:
        print_json([one.describe() for one in answers])
    elif answers:
        out.print(display.tabulate_predictions(answers))
    if not answers and not failures:
        raise ValueError(f"{files[0]} holds no files")
    if failures:
        raise ValueError("\nerror: ".join(failures))


def _open_folders(paths: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and of folders the files in them, by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file for file in path.iterdir() if file.is_file() and file.name[0] != "."
            )
        else:
            yield path


@guard
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders that train has made.")
    ],
    page: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Of several runs the page. [default: compared.html]"
        ),
    ] = None,
) -> None:
    """Write a run's report again, or compare several runs: one page that needs no network.

    Of one run: curves, confusion, mistakes with their saliency, the first layer's weights, the
    tape, the configuration and the environment, in its report.html; for folders of before there
    were reports, too. Of several: what they reached, their curves, and the settings that differ.
    """
    if len(folders) == 1:
        if page is not None:
            raise typer.BadParameter("--out is for the page of several runs")
        say(f"report: {reports.write(folders[0], *finished_run.read_run(folders[0]))}")
        return
    runs = [side_by_side.read_compared(folder) for folder in folders]
    path = side_by_side.write(page or Path(side_by_side.NAME), runs)
    out.print(display.tabulate_runs(runs))
    say(f"report: {path}")


@guard
def export(
    folder: RunFolder,
    to: Annotated[
        Language,
        typer.Option("--to", help="A Python file that needs NumPy alone, or an object file for C."),
    ] = Language.py,
    path: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Its stem names the function. [default: digits.py, or digits.o]",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that this command has not written.")
    ] = False,
) -> None:
    """Write the model of a run as a program that runs without this one.

    A Python file, its parameters in a file beside it, has a function of images, (n, 64) with pixels
    in 0 ... 1 and ink high, that returns probabilities, (n, 10), as calibrated as those that
    predict says. It can be run, too: python digits.py image.npy.

    An object file has all in it, and its header declares int digits(const float *images, float
    *out): 64 pixels in, 10 probabilities out. Link it with any C program: cc main.c digits.o -lm.
    Needs the extra native.
    """
    suffix = {Language.py: ".py", Language.c: ".o"}[to]
    path = Path(f"digits{suffix}") if path is None else path
    if path.suffix != suffix:
        raise typer.BadParameter(f"--out takes a file that ends in {suffix}, not {path.name}")
    saved, manner = store.load_run(folder), load_manner(folder)
    written = export_classifier(saved, manner, path, overwrite=overwrite)
    say(f"program: {' and '.join(map(str, written))}")


@guard
def serve(
    folder: RunFolder,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen at; 0.0.0.0 lets other computers in."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one.")
    ] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a page to draw digits on, which the model reads as you draw.

    It shows the probabilities, the 8x8 image that the model sees, and which pixels decided, and
    says of what is unlike all digits that the run knows that it is none. Ctrl-C ends it. Needs the
    extra serve.
    """
    from .. import serve as server  # an extra of its own

    def ready(address: str) -> None:
        say(f"draw at {address} (Ctrl-C ends this)")
        if browser:
            open_browser(address)

    saved = store.load_run(folder)
    if saved.own is not None and not saved.own.digits:
        raise RunError(
            f"the page is for drawing digits, and {folder} reads "
            f"{', '.join(saved.classes[:3])} ...: use predict {folder} PICTURE"
        )
    if host in server.EVERYWHERE:
        note("open to all who can reach this computer: they can draw, and nothing else")
    server.run(saved.params, load_manner(folder), host, port, ready)
