"""The results as Markdown: tables, the targets beside the figures, and how it was measured."""

from collections.abc import Iterable
from typing import Any

from .steps import MANUAL, PRODUCTS, TAPE
from .targets import judged, step_limit
from .timing import TURN

METHOD = f"""\
Each round gives every contender its turn, in an order that changes from round to round; a turn is
as many calls as take about {TURN * 1e3:.0f} ms (at least one). A ratio is the median of the rounds'
ratios, with the quartiles in brackets, so that what slows the machine for a while slows both sides
of it. Every step starts from the same parameters, and before it is timed, a contender has to arrive
at the manual step's loss and new parameters."""

FAULTS = 50
"""Page faults per step that are worth a line."""

MEMORY = "The loss and all gradients, as counted by tracemalloc, which NumPy tells of its buffers."

OPS = """\
Microseconds per op, forward and backward together, on 4x4 float64 arrays. NumPy's own is a plain
loop that makes the same calls; what the tape adds is the rest."""

CHAINS = """\
Seconds for the value and the gradient of `sin(sin(... x))` with 8 elements, and in brackets
microseconds per op."""


def markdown(results: dict[str, Any]) -> str:
    """The whole page."""
    sections = [
        "# Benchmarks",
        _environment(results["environment"]),
        "## Targets",
        _targets(results),
        "## The training step",
        "Loss, gradients and one update by gradient descent; time relative to backprop by hand.",
        step_table(results["steps"]),
        METHOD,
        _page_faults(results["steps"]),
        "## Peak memory of a gradient",
        _memory(results["memory"]),
        MEMORY,
        "## What an op costs",
        _ops(results["ops"]),
        OPS,
        "## Chains of sines",
        _chains(results["chains"]),
        CHAINS,
        "## Import",
        _imports(results["import"]),
    ]
    return "\n\n".join(sections) + "\n"


def step_table(steps: list[dict[str, Any]]) -> str:
    """One row for each network, batch and precision; one column for each contender."""
    peers = [name for name in steps[0]["rows"] if name not in (MANUAL, TAPE, PRODUCTS)]
    head = ["network", "batch", "dtype", "by hand", "tape", "target", *peers, PRODUCTS]
    rows = []
    for step in steps:
        ratios = {name: row["ratio"] for name, row in step["rows"].items()}
        tape, limit = ratios[TAPE], step_limit(step)
        rows.append(
            [
                step["network"],
                str(step["batch"]),
                step["dtype"],
                _time(step["rows"][MANUAL]["median_us"]),
                f"**{tape['median']:.2f}** ({tape['low']:.2f}-{tape['high']:.2f})",
                "" if limit is None else f"<= {limit:.2f}",
                *[f"{ratios[name]['median']:.2f}" for name in [*peers, PRODUCTS]],
            ]
        )
    return _table(head, rows, left=3)


def _page_faults(steps: list[dict[str, Any]]) -> str:
    """Who was slowed by memory that came and went, which depends on the state of the heap."""
    rows = [
        [step["network"], str(step["batch"]), step["dtype"]]
        + [f"{step['rows'][name]['page_faults']:.0f}" for name in (MANUAL, TAPE)]
        for step in steps
        if max(step["rows"][name]["page_faults"] for name in (MANUAL, TAPE)) >= FAULTS
    ]
    if not rows:
        return f"By hand or with the tape, no step had as many as {FAULTS} page faults."
    return (
        "Page faults per step, where there were many: memory that the allocator had returned to\n"
        "the system, and had to ask for again. They come and go with the state of the heap, cost\n"
        "microseconds each, and move these rows' ratios, either way, between runs.\n\n"
        + _table(["network", "batch", "dtype", "by hand", "tape"], rows, left=3)
    )


def _targets(results: dict[str, Any]) -> str:
    rows = [
        [target.what, f"{target.measured:.3f}", f"<= {target.limit:.2f}", _verdict(target.met)]
        for target in judged(results)
    ]
    return _table(["what", "measured", "target", "met"], rows)


def _verdict(met: bool) -> str:
    return "yes" if met else "**no**"


def _memory(rows: list[dict[str, Any]]) -> str:
    return _table(
        ["network", "batch", "dtype", "by hand", "tape", "ratio"],
        [
            [
                row["network"],
                str(row["batch"]),
                row["dtype"],
                f"{row['manual_bytes'] / 1e6:.2f} MB",
                f"{row['tape_bytes'] / 1e6:.2f} MB",
                f"{row['ratio']:.2f}",
            ]
            for row in rows
        ],
        left=3,
    )


def _ops(rows: list[dict[str, Any]]) -> str:
    return _table(
        ["op", "NumPy's own", "with the tape", "added"],
        [
            [f"`{row['op']}`", *[f"{row[key]:.2f}" for key in ("numpy_us", "tape_us", "added_us")]]
            for row in rows
        ],
    )


def _chains(chains: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for chain in chains for name in chain["rows"]))
    rows = []
    for chain in chains:
        cells = [f"{chain['length']:,}"]
        for name in names:
            if row := chain["rows"].get(name):
                cells.append(f"{row['seconds']:.3g} ({row['us_per_op']:.1f})")
            else:
                cells.append(chain["failed"].get(name, ""))
        rows.append(cells)
    return _table(["ops", *names], rows)


def _imports(row: dict[str, Any]) -> str:
    return (
        f"In {row['rounds']} fresh interpreters each: NumPy {row['numpy_ms']:.0f} ms, the package "
        f"(NumPy included) {row['package_ms']:.0f} ms: {row['ratio']['median']:.2f} times as long "
        f"({row['ratio']['low']:.2f}-{row['ratio']['high']:.2f})."
    )


def _environment(about: dict[str, Any]) -> str:
    pools = [
        f"{pool['internal_api']} {pool['version'] or ''}".strip() + f" on {pool['num_threads']}"
        for pool in about["blas"]
    ]
    threads = ", ".join(pools) or "limited by environment variables, unverified"
    lines = [
        f"tinygrad_digits {about['tinygrad_digits']}, {about['date']}.  ",
        f"Python {about['python']}, NumPy {about['numpy']}.  ",
        f"{about['system']}, {about['cpus']} CPUs ({about['cpu']}).  ",
        f"BLAS threads: {threads}. Garbage collector: {about['gc']}.  ",
    ]
    if about["peers"]:
        peers = [f"{name} {version}" for name, version in about["peers"].items()]
        lines.append(f"Peers, on one thread too: {', '.join(peers)}.  ")
    if about["not_installed"]:
        lines.append(f"Not installed: {', '.join(about['not_installed'])}.  ")
    return "\n".join(lines).rstrip()


def _time(micros: float) -> str:
    return f"{micros:.0f} us" if micros < 10_000 else f"{micros / 1e3:.1f} ms"


def _table(head: list[str], rows: Iterable[list[str]], left: int = 1) -> str:
    """A Markdown table whose columns line up in the source too."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rules = ["-" * w if i < left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join(map(line, [head, rules, *rows]))
