"""What is done with a run: evaluate, predict, report, serve."""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any

from ...extras import extra
from ...images import read_images
from ...model import mlp
from ...model.evaluation import evaluate as evaluate_params
from ...runs import finished_run, run, store
from ...runs import report as reports
from ...training.recipe import Config
from .. import display
from ..console import guard, note, out, print_json, say, show_evaluation
from ..options import Json, RunFolder

with extra():
    import typer


@guard
def evaluate(folder: RunFolder, as_json: Json = False) -> None:
    """Measure a trained model on the test set of its run."""
    saved = store.load_run(folder)
    data = run.load_split(Config.of(saved.config))
    found = evaluate_params(saved.params, data.test)
    if as_json:
        print_json(run.describe_evaluation(found))
    else:
        show_evaluation(found)


@guard
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
    rows: list[tuple[str, Any]] = []
    failures: list[str] = []
    for path in files:
        try:
            probabilities = mlp.probabilities(params, read_images(path))
        except (ValueError, OSError) as error:
            failures.append(str(error))
            continue
        for i, row in enumerate(probabilities):
            rows.append((str(path) if len(probabilities) == 1 else f"{path}[{i}]", row))
    if as_json:
        print_json(
            [
                {"image": name, "digit": int(row.argmax()), "probabilities": row.tolist()}
                for name, row in rows
            ]
        )
    elif rows:
        table = [(name, int(row.argmax()), float(row.max())) for name, row in rows]
        out.print(display.tabulate_predictions(table))
    if failures:
        raise ValueError("\nerror: ".join(failures))


@guard
def report(folder: RunFolder) -> None:
    """Write a run's report again: report.html, one page that needs no network.

    Curves, confusion, mistakes with their saliency, the first layer's weights, the tape, the
    configuration and the environment. For folders of before there were reports, too.
    """
    say(f"report: {reports.write(folder, *finished_run.read_run(folder))}")


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

    It shows the probabilities, the 8x8 image that the model sees, and which pixels decided. Ctrl-C
    ends it. Needs the extra serve.
    """
    from .. import serve as server  # an extra of its own

    def ready(address: str) -> None:
        say(f"draw at {address} (Ctrl-C ends this)")
        if browser:  # in a thread of its own, as a browser for terminals would not return
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    if host in server.EVERYWHERE:
        note("open to all who can reach this computer: they can draw, and nothing else")
    server.run(store.load_run(folder).params, host, port, ready)
