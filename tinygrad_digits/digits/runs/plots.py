"""The pictures of a run, as matplotlib Figures that belong to no global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data.dataset import DIGITS, SHAPE, Array
from ..data.folding import fold
from ..extras import extra
from ..model.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "#2a6fbb", "#e07b39"
INK, FAINT = "#333333", "#dddddd"
NUMBERED = 20  # classes; the counts of more would be too small to read
SHOWN = 24  # mistakes; a bad model makes more than a page holds


def encode_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def encode_svg(figure: Figure) -> bytes:
    """The figure as the bytes of an SVG file, which are the same for the same figure."""
    with extra():
        import matplotlib as mpl
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "tinygrad_digits"}):  # else its ids are random
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def draw_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Loss (logarithmic) and accuracy on train and validation, epoch by epoch.

    Each item holds epoch, train_loss, train_accuracy, validation_loss, validation_accuracy.
    """
    figure = _figure(10, 4)
    losses, accuracies = figure.subplots(1, 2)
    _curve(losses, history, "loss")
    _curve(accuracies, history, "accuracy")
    losses.legend(frameon=False)
    return figure


def draw_curve(history: Sequence[Mapping[str, float]], measure: str) -> Figure:
    """One of the two of `draw_curves`, of measure loss or accuracy, on a ground that is clear."""
    figure = _figure(5.6, 3.8)
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    _curve(axes, history, measure)
    axes.legend(frameon=False)
    return figure


def draw_reliability(bins: Mapping[str, Sequence[Bin]]) -> Figure:
    """How often a model is right where it is so sure, by name, beside the diagonal of honesty."""
    figure = _figure(3.8, 3.8)
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2)
    for (name, found), colour in zip(bins.items(), (VALIDATION, TRAIN), strict=False):
        confidence, accuracy, images = zip(*found, strict=True)
        sizes = 8 + 300 * np.array(images) / sum(images)
        axes.scatter(confidence, accuracy, sizes, color=colour, alpha=0.6, label=name)
    _bare(axes)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_xlabel("probability of what is said")
    axes.set_title("Share that is right", loc="left", color=INK)
    axes.set_xlim(0, 1.05)
    axes.set_ylim(0, 1.05)
    axes.legend(frameon=False)
    return figure


def draw_overlaid(histories: Mapping[str, Sequence[Mapping[str, float]]], measure: str) -> Figure:
    """Loss or accuracy of several runs by name: solid on validation, dotted on training images."""
    figure = _figure(5.6, 3.8)
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    for place, (name, history) in enumerate(histories.items()):
        epochs = [row["epoch"] for row in history]
        for part, style in (("validation", "-"), ("train", ":")):
            values = [row[f"{part}_{measure}"] for row in history]
            label = spell_name(name, most=40) if part == "validation" else None
            axes.plot(epochs, values, style, color=f"C{place % 10}", linewidth=1.6, label=label)
    _bare(axes)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_xlabel("epoch")
    axes.set_title("Cross-entropy" if measure == "loss" else "Accuracy", loc="left", color=INK)
    axes.legend(frameon=False)
    if measure == "loss":
        axes.set_yscale("log")
    else:
        _limit_accuracy(
            axes, min(history[-1]["validation_accuracy"] for history in histories.values())
        )
    return figure


def draw_confusion(counts: Array, classes: Sequence[str] = DIGITS) -> Figure:
    """What was said, for each truth: (n, n) counts, a row for each true class."""
    figure = _figure(5.6, 5.6)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root makes single errors show
    for truth, said in np.argwhere(counts) if len(classes) <= NUMBERED else ():
        light = shares[truth, said] > 0.25
        axes.text(said, truth, str(counts[truth, said]), ha="center", va="center",
                  color="white" if light else INK)  # fmt: skip
    _name_classes(axes, classes)
    axes.set_xlabel("said")
    axes.set_ylabel("truth")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right} of {total} test {_things(classes)} right", loc="left", color=INK)
    _bare(axes, spines=())
    return figure


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    """Along both sides, with lines between them; of many, some are named."""
    places = range(0, len(classes), -(-len(classes) // NUMBERED))
    upright = max(map(len, classes)) > 2
    names = [spell_name(classes[i]) for i in places]
    axes.set_xticks(places, names, rotation=90 if upright else 0)
    axes.set_yticks(places, names)
    edges = np.arange(1, len(classes)) - 0.5
    axes.hlines(edges, -0.5, len(classes) - 0.5, color="white", linewidth=1)
    axes.vlines(edges, -0.5, len(classes) - 0.5, color="white", linewidth=1)


def _things(classes: Sequence[str]) -> str:
    """What is told apart."""
    return "digits" if tuple(classes) == DIGITS else "images"


def draw_mistakes(
    images: Array,
    labels: Array,
    probabilities: Array,
    classes: Sequence[str] = DIGITS,
    shape: tuple[int, ...] = SHAPE,
) -> Figure:
    """The images taken for others, the surest mistake first: (n, pixels), (n,), (n, classes).

    The caption of each says what the model said, how surely, and the truth.
    """
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, said[wrong]], kind="stable")]
    shown = wrong[:SHOWN]
    columns = min(8, max(4, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = _figure(1.35 * columns, 1.7 * rows + 0.45)
    of = "" if len(shown) == len(wrong) else f"; the {len(shown)} surest"
    title = f"{len(wrong)} of {len(labels)} test {_things(classes)} misread{of}"
    figure.suptitle(title, x=0.02, ha="left", color=INK)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.axis("off")
    for axes, i in zip(grid, shown, strict=False):
        axes.imshow(fold(images[i], shape), cmap="gray_r", vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([])
        _bare(axes, spines=("left", "right", "top", "bottom"))
        sure = probabilities[i, said[i]]
        guess, truth = (spell_name(classes[label], most=8) for label in (said[i], labels[i]))
        axes.set_title(f"said {guess} ({sure:.1%})\ntruth {truth}", fontsize=9, color=INK)
    if not len(wrong):
        figure.text(0.5, 0.45, "none", ha="center", fontsize=20, color=TRAIN)
    return figure


def spell_name(name: str, most: int = 20) -> str:
    r"""A name in a figure: no longer than so, and its dollars are no mathematics.

    >>> spell_name("5"), spell_name("hippopotamus", most=8), spell_name("$1$")
    ('5', 'hippopo…', '\\$1\\$')
    """
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    return short.replace("$", r"\$")


def _figure(width: float, height: float) -> Figure:
    """A Figure made without pyplot draws with Agg, which needs no display."""
    with extra():
        from matplotlib import figure
    return figure.Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], measure: str) -> None:
    """Draw loss or accuracy on train and validation, epoch by epoch."""
    epochs = [row["epoch"] for row in history]
    for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
        values = [row[f"{part}_{measure}"] for row in history]
        axes.plot(epochs, values, color=colour, linewidth=1.8, label=part)
    _bare(axes)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_xlabel("epoch")
    axes.set_xlim(0, max(1, *epochs))
    if measure == "loss":
        axes.set_yscale("log")
        axes.tick_params(which="minor", length=0)
        axes.set_title("Cross-entropy", loc="left", color=INK)
        return
    reached = history[-1]["validation_accuracy"]
    axes.set_title(f"Accuracy: {reached:.1%} of the validation images", loc="left", color=INK)
    _limit_accuracy(axes, min(history[-1]["train_accuracy"], reached))


def _limit_accuracy(axes: Axes, least: float) -> None:
    """In percent, and only where good models differ if the least accurate is one."""
    axes.set_ylim(0.8 if least > 0.8 else 0.0, 1.005)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def _bare(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Leave out the frame's other sides, and the ticks."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in spines)
        spine.set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
