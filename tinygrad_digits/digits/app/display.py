"""What the command line shows: tables, and how training goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.dataset import DIGITS
from ..extras import extra
from ..images.normalise import Extent
from ..model.evaluation import AVERAGES, Evaluation
from ..model.gradcheck import TOLERANCES, Agreement
from ..runs.familiar import Trust
from ..runs.side_by_side import ComparedRun, find_differences
from ..training.loop import Epoch
from .answers import Answer
from .baselines import Standing
from .pace import Pace

with extra():
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.table import Table
    from rich.text import Text

if TYPE_CHECKING:
    from .grid_search import Rank

Done: TypeAlias = Callable[[str], None]
"""Is told what was done."""

COLUMNS = ("precision", "recall", "f1-score")
NAMED = 24
"""Letters of a run's name that no other column takes the room of."""


@contextmanager
def show_progress(console: Console, epochs: int, images: int) -> Iterator[Callable[[Epoch], None]]:
    """A bar on a terminal; elsewhere a line after epochs 0, 1, 2, 4, 8 ... and the last.

    `images` is how many an epoch goes over.
    """
    pace = Pace(epochs, images)
    if not console.is_terminal:
        yield _make_line_printer(console, pace)
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
            pace.follow(record.epoch)
            reached = f"loss {record.train_loss:.4f}, validation {record.validation_accuracy:6.1%}"
            if pace.images_per_second:
                reached += f", {pace.images_per_second:,.0f} images/s"
            bar.update(task, completed=record.epoch, description=reached)

        yield watch


def _make_line_printer(console: Console, pace: Pace) -> Callable[[Epoch], None]:
    """What prints a line for some of the epochs, with the seconds that are left at this speed."""

    def watch(record: Epoch) -> None:
        pace.follow(record.epoch)
        if record.epoch & (record.epoch - 1) == 0 or record.epoch == pace.epochs:
            console.print(
                f"epoch {record.epoch}/{pace.epochs}: {_summarise(record)}{_tell_pace(pace)}",
                highlight=False,
                soft_wrap=True,
            )

    return watch


def _tell_pace(pace: Pace) -> str:
    if pace.images_per_second is None or not pace.seconds_left:
        return ""
    return f"; {pace.images_per_second:,.0f} images/s, {pace.seconds_left:.0f} s left"


def _summarise(record: Epoch) -> str:
    return (
        f"loss {record.train_loss:.4f}, accuracy {record.train_accuracy:.1%}; "
        f"validation {record.validation_loss:.4f}, {record.validation_accuracy:.1%}"
    )


@contextmanager
def count(console: Console, total: int, known: int = 0) -> Iterator[Done]:
    """Say what each call says was done: beside a bar on a terminal, elsewhere on a line each.

    So many of the total were `known` before.
    """
    if not console.is_terminal:
        yield lambda done: console.print(done, highlight=False)
        return
    columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), Remaining())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, completed=known)
        yield lambda done: bar.update(task, advance=1, description=done)


def tabulate_evaluation(found: Evaluation, title: str | None = None) -> Table:
    """Precision, recall and F1 of each class that there are images of.

    Averages stand under all classes alone, as those that nothing is of would count in them as 0.
    """
    classes = [name for name in found.report if name not in AVERAGES]
    digits = classes == [*DIGITS]
    title = title or ("Test digits" if digits else "Test images")
    shown = [name for name in classes if found.report[name]["support"]]
    averages = AVERAGES if shown == classes else ()
    table = Table(title=title, title_justify="left")
    table.add_column("digit" if digits else "class")
    for name in (*COLUMNS, "images"):
        table.add_column(name, justify="right")
    for label in (*shown, *averages):
        row = found.report[label]
        cells = [f"{row[name]:.3f}" for name in COLUMNS]
        last = label == shown[-1]
        table.add_row(Text(label), *cells, f"{row['support']:.0f}", end_section=last)
    return table


def summarise_trust(trust: Trust) -> str:
    """One line, of fewer words for a run that knows no doubt."""
    error = f"calibration error: {trust.calibration_error:.2%}"
    if trust.calibrated_error is not None:
        error += f", {trust.calibrated_error:.2%} at the run's temperature"
    if trust.false_alarms is not None:
        error += f"; {trust.false_alarms:.1%} look like no digit"
    return error


def tabulate_predictions(answers: Sequence[Answer]) -> Table:
    """Of each image: the digit and how surely it is one; of several in a picture, where it is."""
    several = any(one.place is not None and one.box for one in answers)
    table = Table(caption="boxes: left,top - right,bottom in pixels" if several else None)
    table.add_column("image", overflow="fold")
    digits = all(one.classes == DIGITS for one in answers)
    table.add_column("digit" if digits else "class", justify="right", style="bold")
    table.add_column("probability", justify="right")
    if several:
        table.add_column("box")
    for one in answers:
        sure = f"{one.probabilities.max():.1%}"
        said = ("?", "this does not look like one digit") if one.strange else (one.said, sure)
        box = [_spell_box(one.box)] if several else []
        table.add_row(*(Text(str(cell)) for cell in (one.image, *said, *box)))
    return table


def _spell_box(box: Extent | None) -> str:
    return f"{box.left},{box.top} - {box.right},{box.bottom}" if box else ""


def tabulate_agreement(rows: Sequence[Agreement]) -> Table:
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


def tabulate_standings(rows: Sequence[Standing], seeds: Sequence[int]) -> Table:
    """Of each contender: test accuracy over the splits, and how long one fit took."""
    many = f"{len(seeds)} stratified splits, seeds {seeds[0]} to {seeds[-1]}"
    table = Table(
        title="Test accuracy",
        title_justify="left",
        caption=many if len(seeds) > 1 else f"one stratified split, seed {seeds[0]}",
        caption_justify="left",
    )
    table.add_column("classifier")
    for name in ("mean", "min", "max", "seconds a fit"):
        table.add_column(name, justify="right")
    best = max(row.mean for row in rows)
    for row in rows:
        cells = [f"{share:.2%}" for share in (row.mean, row.min, row.max)]
        style = "bold" if row.mean == best else ""
        table.add_row(row.name, *cells, f"{row.seconds:.2f}", style=style)
    return table


def tabulate_ranks(rows: Sequence[Rank], splits: int, seed: int) -> Table:
    """Of each of a grid's settings: accuracies over the splits, best first."""
    table = Table(
        title="Cross-validated accuracy",
        title_justify="left",
        caption=f"{splits} stratified parts of the training images; seed {seed}",
        caption_justify="left",
    )
    table.add_column("settings", overflow="fold")
    for name in ("mean", "std", "min", "max", "seconds a fit"):
        table.add_column(name, justify="right")
    for row in rows:
        scores = [accuracy or 0.0 for accuracy in row.accuracies]
        cells = [f"{number:.2%}" for number in (row.mean, row.std, min(scores), max(scores))]
        style = "bold" if row.mean == rows[0].mean else ""
        table.add_row(Text(spell_settings(row.settings)), *cells, f"{row.seconds:.2f}", style=style)
    return table


def spell_settings(settings: dict[str, Any]) -> str:
    """Settings as a grid has them: hidden=64,32 rate=0.1."""

    def said(value: Any) -> str:
        if isinstance(value, tuple):
            return ",".join(map(str, value)) or "none"
        return str(value).lower() if isinstance(value, bool | type(None)) else str(value)

    return " ".join(f"{name}={said(value)}" for name, value in settings.items())


def tabulate_runs(runs: Sequence[ComparedRun]) -> Table:
    """Of each run what it reached, and the settings that differ."""
    differences = find_differences([run.config for run in runs])
    differences.pop("epochs", None)  # which are there already
    table = Table(title="Runs, on their test sets", title_justify="left")
    table.add_column(
        "run", overflow="fold", min_width=min(NAMED, max(len(run.name) for run in runs))
    )
    for name in ("accuracy", "loss", "epochs", "seconds", *differences):
        table.add_column(Text(name), justify="right")
    best = max(run.accuracy for run in runs)
    for i, run in enumerate(runs):
        reached = (
            f"{run.accuracy:.2%}",
            f"{run.loss:.4f}",
            f"{run.history[-1]['epoch']:.0f}",
            f"{run.seconds:.1f}",
        )
        settings = (Text(row[i]) for row in differences.values())
        style = "bold" if run.accuracy == best else ""
        table.add_row(Text(run.name), *reached, *settings, style=style)
    return table


def percent(accuracy: float | None) -> str:
    """In percent; None is of a loss that became infinite."""
    return "diverged" if accuracy is None else f"{accuracy:.2%}"
