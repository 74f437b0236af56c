"""The command line: its commands, in the order in which one meets them."""

from __future__ import annotations

from typing import Annotated

from ... import __version__
from ..extras import extra
from .commands import comparing, looking, training, using
from .console import CommandGroup

with extra():
    import typer

START, USE, COMPARE, LOOK = "Start here", "With a run", "Many fits", "A look inside"
COMMANDS = (
    (START, training.train, ("train", "train --epochs 50 --out runs/short",
                             "train --data my_pictures/ --watch",
                             "train --resume runs/1 --epochs 400")),
    (START, using.serve, ("serve runs/1", "serve runs/1 --port 0 --no-browser")),
    (USE, using.evaluate, ("evaluate runs/1", "evaluate runs/1 --mine")),
    (USE, using.predict, ("predict runs/1 seven.png", "predict runs/1 drawn/ --json")),
    (USE, using.report, ("report runs/1", "report runs/1 runs/2 runs/3")),
    (USE, using.export, ("export runs/1", "export runs/1 --to c --out digits.o")),
    (COMPARE, comparing.compare, ("compare", "compare --splits 3 --out compared.jsonl")),
    (COMPARE, comparing.sweep, ("sweep --grid 'rate=0.001,0.01 hidden=64,32|128,64'",
                                "sweep --grid 'dropout=0,0.2' --jobs -1 --out swept.jsonl")),
    (LOOK, looking.gradcheck, ("gradcheck", "gradcheck --hidden 9,8 --json")),
    (LOOK, looking.tape, ("tape --backward", "tape --costs", "tape --svg tape.svg")),
    (LOOK, looking.program, ("program", "program --optimizer adamw --backend native")),
)  # fmt: skip
"""Of each its panel in --help, and examples."""

app = typer.Typer(
    name="tinygrad-digits",
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",  # which fills paragraphs
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Train a handwritten-digit classifier on a small autodiff engine, and look inside.

    Start with train; then serve opens a page to draw digits on.
    """


def _show_examples(commands: tuple[str, ...]) -> str:
    """For --help: a list in Markdown."""
    return "Examples:\n\n" + "\n".join(f"* `tinygrad-digits {command}`" for command in commands)


for panel, command, examples in COMMANDS:
    app.command(rich_help_panel=panel, epilog=_show_examples(examples))(command)
