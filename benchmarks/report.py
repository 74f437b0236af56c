"""The results as Markdown: tables, the targets beside the figures, and how it was measured."""

from collections.abc import Iterable
from typing import Any

from .contenders import MANUAL, OURS, PRODUCTS, TAPE
from .first_call import pays_after
from .peers import PEERS
from .problem import BY_RECIPE
from .targets import judged
from .timing import TURN

STEPS = f"""\
Loss, gradients and one update by gradient descent or, where it says {BY_RECIPE}, by the default
recipe; time relative to the same by hand. Everybody has one core."""

ALL_CORES = """\
The same steps with all cores for everybody, and as many threads as each library takes of its own
accord."""

METHOD = f"""\
Each round gives every contender its turn, in an order that changes from round to round; a turn is
as many calls as take about {TURN * 1e3:.0f} ms (at least one). A ratio is the median of the rounds'
ratios, with the quartiles in brackets, so that what slows the machine for a while slows both sides
of it. Every step starts from the same parameters, and before it is timed, a contender has to arrive
at the manual step's loss and new parameters."""

FAULTS = 50
"""Page faults per step that are worth a line."""

FIRST_CALLS = """\
The first call of a compiled step: tracing, compiling, importing what only that needs, and the step.
Each figure is from a fresh process; warm is one that finds on disk what an earlier one compiled.
It has paid for itself when the steps since then have saved as much time as it took, compared with
steps by the eager tape."""

WORKLOADS = """\
Time relative to the eager tape, whose own is in the second column. A contender has to arrive at the
same loss and the same gradients (in the first row, new parameters) before it is timed."""

MEMORY = """\
The most that a step needs at any moment, in brackets relative to the step by hand: arrays and
Python's objects, as counted by tracemalloc, with what a program keeps from one call to the next.
AdamW by hand writes over its averages and parameters; a pure function makes new ones."""

OPS = """\
Microseconds per op, forward and backward together, on 4x4 float64 arrays. NumPy's own is a plain
loop that makes the same calls; what the tape adds is the rest."""

CHAINS = """\
Seconds for the value and the gradient of `sin(sin(... x))` with 8 elements, and in brackets
microseconds per op."""


def markdown(results: dict[str, Any]) -> str:
    """The whole page, of what was measured."""
    page = ["# Benchmarks", _environment(results["environment"])]
    if steps := results.get("steps"):
        page += ["## The training step", STEPS, step_table(steps), _left_out(steps)]
        page += [METHOD, _page_faults(steps)]
    if everywhere := results.get("all_cores"):
        page += ["### On all cores", ALL_CORES, step_table(everywhere), _left_out(everywhere)]
    if rows := _target_rows(results):
        page += ["## Targets", _table(["what", "measured", "target", "met"], rows)]
    if first := results.get("first_calls"):
        page += ["## The first call", _first_calls(first, steps or []), _left_out(first)]
        page += [FIRST_CALLS]
    if other := results.get("workloads"):
        page += ["## Other workloads", workload_table(other), _left_out(other), WORKLOADS]
    for name, title, table, remark in REST:
        page += [f"## {title}", table(results[name]), remark] if name in results else []
    return "\n\n".join(filter(None, page)) + "\n"


def summary(results: dict[str, Any]) -> str:
    """What was measured, as tables for a terminal."""
    shown = []
    for name, title in (("steps", "one core"), ("all_cores", "all cores")):
        if steps := results.get(name):
            table = step_table(steps, spread=False)
            shown += [f"Training step, x by hand, {title}", table, _left_out(steps)]
    if first := results.get("first_calls"):
        shown += ["The first call", _first_calls(first, results.get("steps", []))]
    if other := results.get("workloads"):
        shown += ["Other workloads, x eager tape", workload_table(other, spread=False)]
        shown += [_left_out(other)]
    for name, title, table, _remark in REST:
        shown += [title, table(results[name])] if name in results else []
    return "\n\n".join(filter(None, shown))


def step_table(steps: list[dict[str, Any]], *, spread: bool = True) -> str:
    """One row for each network, batch and precision; one column for each contender."""
    names = [name for name in _names(steps) if name != MANUAL]
    head = ["network", "batch", "dtype", "by hand", *names]
    rows = [
        [
            *_case(step),
            _time(step["rows"][MANUAL]["median_us"]),
            *[_ratio(step["rows"].get(name), spread=spread and name in OURS) for name in names],
        ]
        for step in steps
    ]
    return _table(head, rows, left=3)


def workload_table(workloads: list[dict[str, Any]], *, spread: bool = True) -> str:
    """One row for each workload; one column for each contender."""
    names = [name for name in _names(workloads) if name != TAPE]
    rows = [
        [
            workload["workload"],
            _time(workload["rows"][TAPE]["median_us"]),
            *[_ratio(workload["rows"].get(name), spread=spread and name in OURS) for name in names],
        ]
        for workload in workloads
    ]
    return _table(["workload", TAPE, *map(_title, names)], rows)


def _names(measured: list[dict[str, Any]]) -> list[str]:
    """Everyone who has a row anywhere: ours first, the floor last."""
    known = [*OURS, *PEERS, PRODUCTS]
    return [name for name in known if any(name in each["rows"] for each in measured)]


def _title(name: str) -> str:
    return "by hand" if name == MANUAL else name


def _case(row: dict[str, Any]) -> list[str]:
    return [row["network"], str(row["batch"]), row["dtype"]]


def _ratio(row: dict[str, Any] | None, *, spread: bool) -> str:
    """The median, and of our own the quartiles."""
    if row is None:
        return ""
    ratio = row["ratio"]
    if not spread:
        return f"{ratio['median']:.2f}"
    return f"**{ratio['median']:.2f}** ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _left_out(measured: list[dict[str, Any]]) -> str:
    """Who could not take part, and where."""
    where: dict[tuple[str, str], list[str]] = {}
    for each in measured:
        what = each.get("workload") or ", ".join(_case(each))
        for name, reason in each["left_out"].items():
            where.setdefault((name, reason), []).append(what)
    return "\n".join(
        f"Without {name} ({reason}): {'; '.join(places)}.  "
        for (name, reason), places in where.items()
    ).rstrip()


def _page_faults(steps: list[dict[str, Any]]) -> str:
    """Who was slowed by memory that came and went, which depends on the state of the heap."""
    names = [name for name in _names(steps) if name in OURS]
    rows = []
    for step in steps:
        faults = [
            step["rows"][name]["page_faults"] if name in step["rows"] else 0 for name in names
        ]
        if max(faults) >= FAULTS:
            rows.append([*_case(step), *[f"{count:.0f}" for count in faults]])
    if not rows:
        return f"By hand or with this package, no step had as many as {FAULTS} page faults."
    return (
        "Page faults per step, where there were many: memory that the allocator had returned to\n"
        "the system, and had to ask for again. They come and go with the state of the heap, cost\n"
        "microseconds each, and move these rows' ratios, either way, between runs.\n\n"
        + _table(["network", "batch", "dtype", *map(_title, names)], rows, left=3)
    )


def _target_rows(results: dict[str, Any]) -> list[list[str]]:
    return [
        [target.what, f"{target.measured:.3f}", f"<= {target.limit:.2f}", _verdict(target.met)]
        for target in judged(results)
    ]


def _verdict(met: bool) -> str:
    return "yes" if met else "**no**"


def _first_calls(first_calls: list[dict[str, Any]], steps: list[dict[str, Any]]) -> str:
    same = {tuple(_case(step)): step for step in steps}
    rows = []
    for each in first_calls:
        step = same.get(tuple(_case(each)), {"rows": {}})
        for name, row in each["rows"].items():
            cold, warm = row["cold"], row["warm"]
            rows.append(
                [
                    *_case(each),
                    name,
                    _seconds(cold["seconds"]),
                    ", ".join(f"{what} {_seconds(s)}" for what, s in cold["stages"].items()),
                    _steps_to_pay(pays_after(cold["seconds"], name, step)),
                    _seconds(warm["seconds"]) if warm else "",
                    _steps_to_pay(pays_after(warm["seconds"], name, step)) if warm else "",
                ]
            )
    head = ["network", "batch", "dtype", "", "first call", "of which", "paid for after"]
    return _table([*head, "warm", "paid for after"], rows, left=4)


def _steps_to_pay(steps: float | None) -> str:
    return "never" if steps is None else f"{steps:,.0f} steps"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _memory(rows: list[dict[str, Any]]) -> str:
    names = _names(rows)
    return _table(
        ["network", "batch", "dtype", *map(_title, names)],
        [
            [
                *_case(row),
                *[
                    f"{row['rows'][name]['bytes'] / 1e6:.2f} MB ({row['rows'][name]['ratio']:.2f})"
                    for name in names
                ],
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
    pinned = "pinned to one" if about["pinned"] else "one thread, as nothing can be pinned there"
    lines = [
        f"tinygrad_digits {about['tinygrad_digits']}, {about['date']}.  ",
        f"Python {about['python']}, NumPy {about['numpy']}.  ",
        f"{about['system']}, {about['cpus']} CPUs ({about['cpu']}); {pinned}.  ",
        f"BLAS threads: {threads}. Garbage collector: {about['gc']}.  ",
    ]
    lines += [
        f"`{name}` with {', '.join(f'{module} {version}' for module, version in needs.items())}.  "
        for name, needs in about["backends"].items()
        if needs
    ]
    lines += [
        f"No `{name}`: it needs {' and '.join(modules)}, not installed here.  "
        for name, modules in about["missing"].items()
    ]
    if about["peers"]:
        peers = [f"{name} {version}" for name, version in about["peers"].items()]
        lines.append(f"Peers, on the same core: {', '.join(peers)}.  ")
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


REST = (
    ("memory", "Peak memory of a step", _memory, MEMORY),
    ("ops", "What an op costs", _ops, OPS),
    ("chains", "Chains of sines", _chains, CHAINS),
    ("import", "Import", _imports, ""),
)
"""Parts of the results: their titles, tables, and what is to be known of them."""
