"""The pictures of a run, as matplotlib Figures that belong to no global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data.dataset import CLASSES, Array
from ..extras import extra
from ..model.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "#2a6fbb", "#e07b39"
INK, FAINT = "#333333", "#dddddd"
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


def draw_confusion(counts: Array) -> Figure:
    """What was said, for each truth: (10, 10) counts, a row for each true digit."""
    figure = _figure(5.6, 5.6)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root makes single errors show
    for truth in range(CLASSES):
        for said in range(CLASSES):
            if count := int(counts[truth, said]):
                light = shares[truth, said] > 0.25
                axes.text(said, truth, str(count), ha="center", va="center",
                          color="white" if light else INK)  # fmt: skip
    digits = range(CLASSES)
    axes.set_xticks(digits, labels=map(str, digits))
    axes.set_yticks(digits, labels=map(str, digits))
    edges = np.arange(1, CLASSES) - 0.5
    axes.hlines(edges, -0.5, CLASSES - 0.5, color="white", linewidth=1)
    axes.vlines(edges, -0.5, CLASSES - 0.5, color="white", linewidth=1)
    axes.set_xlabel("said")
    axes.set_ylabel("truth")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right} of {total} test digits right", loc="left", color=INK)
    _bare(axes, spines=())
    return figure


def draw_mistakes(images: Array, labels: Array, probabilities: Array) -> Figure:
    """The digits taken for others, the surest mistake first: (n, 64), (n,), (n, 10).

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
    title = f"{len(wrong)} of {len(labels)} test digits misread{of}"
    figure.suptitle(title, x=0.02, ha="left", color=INK)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.axis("off")
    for axes, i in zip(grid, shown, strict=False):
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([])
        _bare(axes, spines=("left", "right", "top", "bottom"))
        sure = probabilities[i, said[i]]
        axes.set_title(f"said {said[i]} ({sure:.1%})\ntruth {labels[i]}", fontsize=9, color=INK)
    if not len(wrong):
        figure.text(0.5, 0.45, "none", ha="center", fontsize=20, color=TRAIN)
    return figure


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
    axes.set_title(f"Accuracy: {reached:.1%} of the validation digits", loc="left", color=INK)
    good = min(history[-1]["train_accuracy"], reached) > 0.8
    axes.set_ylim(0.8 if good else 0.0, 1.005)  # where good models differ
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def _bare(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Leave out the frame's other sides, and the ticks."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in spines)
        spine.set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
