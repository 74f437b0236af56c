"""The results as one picture: steps relative to backprop by hand, and chains as they grow."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .chains import BY_HAND
from .steps import MANUAL, PRODUCTS, TAPE

STYLE = {  # Okabe and Ito's colours, which colour-blind readers tell apart
    TAPE: ("#D55E00", "o"),
    MANUAL: ("#222222", ""),
    BY_HAND: ("#222222", "x"),
    PRODUCTS: ("#999999", "d"),
    "PyTorch": ("#0072B2", "s"),
    "JAX jit": ("#009E73", "^"),
    "autograd": ("#CC79A7", "v"),
    "MyGrad": ("#E69F00", "P"),
}


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the PNG."""
    settings = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(13, 6.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
        _steps(left, results["steps"])
        _chains(right, results["chains"])
        figure.savefig(path, dpi=150)


def _steps(axes: Axes, steps: list[dict[str, Any]]) -> None:
    """A line for each configuration, a marker for each contender, its quartiles as a bar."""
    names = [name for name in steps[0]["rows"] if name != MANUAL]
    for k, name in enumerate(sorted(names, key=lambda name: name == TAPE)):  # the tape on top
        ratios = [step["rows"][name]["ratio"] for step in steps]
        middle = [r["median"] for r in ratios]
        around = [[m - r["low"] for m, r in zip(middle, ratios, strict=True)]]
        around += [[r["high"] - m for m, r in zip(middle, ratios, strict=True)]]
        colour, marker = STYLE[name]
        axes.errorbar(
            middle,
            range(len(steps)),
            xerr=around,
            fmt=marker,
            color=colour,
            markersize=9 if name == TAPE else 7,
            elinewidth=1.5,
            alpha=1 if name == TAPE else 0.85,
            label=name,
            zorder=3 + k,
        )
    axes.axvline(1, color=STYLE[MANUAL][0], linewidth=1.2, zorder=2, label="by hand")
    axes.set_yticks(
        range(len(steps)), [f"batch {step['batch']}, {step['dtype']}" for step in steps]
    )
    for y in range(len(steps)):
        if y == 0 or steps[y]["network"] != steps[y - 1]["network"]:
            axes.axhline(y - 0.6, color="#BBBBBB", linewidth=0.8)
            _heading(axes, y - 0.5, steps[y]["network"])
    axes.set_ylim(len(steps) - 0.5, -0.6)
    axes.set_xscale("log")
    marks = [mark for mark in (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20) if _within(mark, axes)]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="both", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("time of a training step / backprop by hand  (left is faster)")
    axes.set_title("Training step, one thread", loc="left", fontweight="bold")
    _legend(axes, below=0.11)


def _heading(axes: Axes, y: float, network: str) -> None:
    axes.text(
        0.01,
        y,
        network,
        transform=axes.get_yaxis_transform(),
        va="top",
        fontweight="bold",
        color="#555555",
    )


def _within(mark: float, axes: Axes) -> bool:
    low, high = axes.get_xlim()
    return low <= mark <= high


def _chains(axes: Axes, chains: list[dict[str, Any]]) -> None:
    """Seconds against length, both logarithmic: linear growth is a line of slope 1."""
    names = list(dict.fromkeys(name for chain in chains for name in chain["rows"]))
    for name in names:
        points = [
            (chain["length"], chain["rows"][name]["seconds"])
            for chain in chains
            if name in chain["rows"]
        ]
        colour, marker = STYLE[name]
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            marker=marker,
            linewidth=2.5 if name == TAPE else 1.5,
            markersize=7,
            label=name,
            zorder=4 if name == TAPE else 3,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([chain["length"] for chain in chains])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{s:g} s"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("sines in a row, value and gradient")
    axes.set_title("Chains of ops: linear, without a limit", loc="left", fontweight="bold")
    _legend(axes, below=0.11)


def _legend(axes: Axes, below: float) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -below), ncols=3, frameon=False)
