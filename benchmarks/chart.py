"""The results as one picture: steps and workloads as ratios, and chains as they grow."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .chains import BY_HAND
from .contenders import JIT, MANUAL, NATIVE, OURS, PRODUCTS, TAPE

STYLE = {  # Okabe and Ito's colours, which colour-blind readers tell apart; filled is compiled
    MANUAL: ("#222222", "x", True),
    TAPE: ("#D55E00", "o", False),
    JIT: ("#D55E00", "o", True),
    NATIVE: ("#D55E00", "*", True),
    "PyTorch": ("#0072B2", "s", False),
    "PyTorch compile": ("#0072B2", "s", True),
    "JAX jit": ("#009E73", "^", True),
    "autograd": ("#CC79A7", "v", False),
    "MyGrad": ("#E69F00", "P", False),
    PRODUCTS: ("#999999", "d", True),
}
MARKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20)


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the PNG."""
    settings = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(13.5, 7.6), layout="constrained")
        panels = figure.subplot_mosaic(
            [["steps", "workloads"], ["steps", "chains"]], width_ratios=(1.25, 1)
        )
        _steps(panels["steps"], results["steps"])
        _workloads(panels["workloads"], results["workloads"])
        _chains(panels["chains"], results["chains"])
        shown: dict[str, Any] = {}
        for axes in panels.values():
            shown |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        names = [name for name in STYLE if name in shown]
        figure.legend(
            [shown[name] for name in names],
            ["by hand" if name == MANUAL else name for name in names],
            loc="outside lower center", ncols=5, frameon=False,
        )  # fmt: skip
        figure.savefig(path, dpi=150)


def _steps(axes: Axes, steps: list[dict[str, Any]]) -> None:
    _ratios(axes, steps, [f"batch {step['batch']}, {step['dtype']}" for step in steps], to=MANUAL)
    for y in range(len(steps)):
        if y == 0 or steps[y]["network"] != steps[y - 1]["network"]:
            axes.axhline(y - 0.6, color="#BBBBBB", linewidth=0.8)
            _heading(axes, y - 0.5, steps[y]["network"])
    axes.set_xlabel("time of a training step / backprop by hand  (left is faster)")
    axes.set_title("Training step, one core", loc="left", fontweight="bold")


def _workloads(axes: Axes, workloads: list[dict[str, Any]]) -> None:
    names = [textwrap.fill(workload["workload"], 26) for workload in workloads]
    _ratios(axes, workloads, names, to=TAPE)
    axes.tick_params(axis="y", labelsize=9)
    axes.set_xlabel("time / eager tape  (left is faster)")
    axes.set_title("Other workloads", loc="left", fontweight="bold")


def _ratios(axes: Axes, measured: list[dict[str, Any]], labels: list[str], to: str) -> None:
    """A line for each thing measured, a marker for each contender, its quartiles as a bar."""
    names = dict.fromkeys(name for each in measured for name in each["rows"] if name != to)
    for k, name in enumerate(sorted(names, key=lambda name: name in OURS)):  # ours on top
        places = [y for y, each in enumerate(measured) if name in each["rows"]]
        ratios = [measured[y]["rows"][name]["ratio"] for y in places]
        middle = [r["median"] for r in ratios]
        around = [[m - r["low"] for m, r in zip(middle, ratios, strict=True)]]
        around += [[r["high"] - m for m, r in zip(middle, ratios, strict=True)]]
        axes.errorbar(
            middle, places, xerr=around, label=name, zorder=3 + k, linestyle="", elinewidth=1.5,
            **_marker(name),
        )  # fmt: skip
    axes.axvline(1, color=STYLE[to][0], linewidth=1.2, zorder=2)
    axes.set_yticks(range(len(measured)), labels)
    axes.set_ylim(len(measured) - 0.5, -0.6)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    marks = [mark for mark in MARKS if low <= mark <= high]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="both", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)


def _marker(name: str) -> dict[str, Any]:
    colour, marker, filled = STYLE[name]
    return {
        "color": colour,
        "marker": marker,
        "markerfacecolor": colour if filled else "white",
        "markeredgewidth": 1.5,
        "markersize": 12 if name == NATIVE else 9 if name in OURS else 7,
    }


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


def _chains(axes: Axes, chains: list[dict[str, Any]]) -> None:
    """Seconds against length, both logarithmic: linear growth is a line of slope 1."""
    names = list(dict.fromkeys(name for chain in chains for name in chain["rows"]))
    for name in names:
        points = [
            (chain["length"], chain["rows"][name]["seconds"])
            for chain in chains
            if name in chain["rows"]
        ]
        label = MANUAL if name == BY_HAND else name
        axes.plot(
            *zip(*points, strict=True), label=label, linewidth=2 if name == TAPE else 1.2,
            zorder=4 if name == TAPE else 3, **_marker(label),
        )  # fmt: skip
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
