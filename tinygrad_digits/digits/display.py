"""What the command line shows: tables, and how training goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .crosscheck import TOLERANCES, Agreement
from .data import CLASSES
from .evaluation import AVERAGES, Evaluation
from .extras import extra
from .training import Epoch

with extra():
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.table import Table
    from rich.text import Text

COLUMNS = ("precision", "recall", "f1-score")


@contextmanager
def progress(console: Console, epochs: int) -> Iterator[Callable[[Epoch], None]]:
    """A bar on a terminal; elsewhere a line after epochs 0, 1, 2, 4, 8 ... and the last."""
    if not console.is_terminal:
        yield lambda record: _line(console, record, epochs)
        return
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        Remaining(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=epochs)

        def watch(record: Epoch) -> None:
            reached = f"validation accuracy {record.validation_accuracy:6.1%}"
            bar.update(task, completed=record.epoch, description=reached)

        yield watch


def _line(console: Console, record: Epoch, epochs: int) -> None:
    if record.epoch & (record.epoch - 1) == 0 or record.epoch == epochs:
        console.print(f"epoch {record.epoch}/{epochs}: {_summary(record)}", highlight=False)


def _summary(record: Epoch) -> str:
    return (
        f"loss {record.train_loss:.4f}, accuracy {record.train_accuracy:.1%}; "
        f"validation {record.validation_loss:.4f}, {record.validation_accuracy:.1%}"
    )


def report(found: Evaluation) -> Table:
    """Precision, recall and F1 of each digit."""
    table = Table(title="Test digits", title_justify="left")
    table.add_column("digit")
    for name in (*COLUMNS, "images"):
        table.add_column(name, justify="right")
    for digit in (*map(str, range(CLASSES)), *AVERAGES):
        row = found.report[digit]
        cells = [f"{row[name]:.3f}" for name in COLUMNS]
        table.add_row(digit, *cells, f"{row['support']:.0f}", end_section=digit == "9")
    return table


def predictions(rows: Sequence[tuple[str, int, float]]) -> Table:
    """Of each (image, label, probability)."""
    table = Table()
    table.add_column("image", overflow="fold")
    table.add_column("digit", justify="right", style="bold")
    table.add_column("probability", justify="right")
    for name, label, probability in rows:
        table.add_row(Text(name), str(label), f"{probability:.1%}")
    return table


def agreement(rows: Sequence[Agreement]) -> Table:
    """Of each parameter: how far apart the three gradients are."""
    allowed = "; ".join(
        f"{dtype}: {exact:.0e} tape and manual, {central:.0e} central"
        for dtype, (exact, central) in TOLERANCES.items()
    )
    table = Table(
        title="Worst relative differences between three gradients",
        title_justify="left",
        caption=f"allowed in {allowed}",
        caption_justify="left",
    )
    for name in ("dtype", "of"):
        table.add_column(name)
    for name in ("tape-manual", "tape-central", "manual-central", ""):
        table.add_column(name, justify="right")
    for i, row in enumerate(rows):
        table.add_row(
            str(row.dtype),
            row.name,
            f"{row.tape_manual:.1e}",
            f"{row.tape_central:.1e}",
            f"{row.manual_central:.1e}",
            "[green]agrees[/]" if row.agrees else "[bold red]DIFFERS[/]",
            end_section=i + 1 < len(rows) and rows[i + 1].dtype != row.dtype,
        )
    return table
