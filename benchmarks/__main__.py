"""Race the tape against backprop by hand, and print how it went.

In a minute: the training step, by plain gradient descent and by the default recipe, and the memory
that it takes. Peers and native code take part where they are installed.
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from . import (
    chains,
    environment,
    first_call,
    imports,
    memory,
    op_cost,
    pinning,
    problem,
    report,
    steps,
    workloads,
)
from .contenders import jits
from .peers import Peer, installed

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"


class Effort(NamedTuple):
    """How much to measure, and for how long."""

    cases: list[problem.Case]
    memory: list[problem.Case]
    workloads: list[Any]
    chains: dict[int, int]
    rounds: int
    """Fresh processes, for each thing that needs them."""
    budget: float
    """Seconds for a step or a workload, once its contenders are ready."""
    cap: float
    """Seconds that a contender may take to come to a first result."""


QUICK = Effort(
    problem.QUICK_CASES, memory.CASES, workloads.QUICK_WORKLOADS, chains.QUICK_LENGTHS, 1, 0.5, 10
)
USUAL = Effort(
    problem.MAIN_CASES, memory.CASES, workloads.WORKLOADS, chains.QUICK_LENGTHS, 3, 3, 10
)
FULL = Effort(problem.CASES, memory.CASES, workloads.WORKLOADS, chains.LENGTHS, 5, 8, 180)


class Run(NamedTuple):
    """What a part is measured with: the effort, the peers, and the cores there were at first."""

    effort: Effort
    peers: dict[str, Peer]
    cores: list[int]


# --- the parts


def measure_imports(run: Run) -> Any:
    return imports.measure(3 * run.effort.rounds)


def measure_memory(run: Run) -> Any:
    return [memory.measure(case) for case in _progress("memory", run.effort.memory)]


def measure_ops(run: Run) -> Any:
    budget = 0.4 * run.effort.budget
    return [op_cost.measure(name, budget) for name in _progress("cost of an op", op_cost.OPS)]


def measure_steps(run: Run) -> Any:
    budget, cap = run.effort.budget, run.effort.cap
    cases = _progress("training step", run.effort.cases)
    return [steps.measure(case, run.peers, budget, cap) for case in cases]


def measure_on_all_cores(run: Run) -> Any:
    budget, cap = run.effort.budget, run.effort.cap
    cases = [case for case in run.effort.cases if case in problem.MAIN_CASES]
    return [
        steps.measure_on_all_cores(case, run.peers, budget, cap, run.cores)
        for case in _progress("on all cores", cases)
    ]


def measure_first_calls(run: Run) -> Any:
    effort = run.effort
    names = [*jits(), *(name for name, peer in run.peers.items() if peer.compiles)]
    cases = [case for case in first_call.CASES if case in effort.cases]
    return [
        first_call.measure(case, names, rounds=effort.rounds, cap=effort.cap)
        for case in _progress("first call", cases)
    ]


def measure_workloads(run: Run) -> Any:
    return [
        workloads.measure(make, run.peers, run.effort.budget, run.effort.cap)
        for make in _progress("workload", run.effort.workloads)
    ]


def measure_chains(run: Run) -> Any:
    lengths = _progress("chain", run.effort.chains.items())
    return [chains.measure(n, rounds, run.peers) for n, rounds in lengths]


PARTS: dict[str, Callable[[Run], Any]] = {
    "import": measure_imports,
    "memory": measure_memory,
    "ops": measure_ops,
    "steps": measure_steps,
    "all_cores": measure_on_all_cores,
    "first_calls": measure_first_calls,
    "workloads": measure_workloads,
    "chains": measure_chains,
}
MAIN_PARTS = ("steps", "memory")


# --- the command


def main() -> None:
    options = _options()
    began, cores = time.perf_counter(), pinning.pin()
    effort = FULL if options.full else QUICK if options.quick else USUAL
    names = options.only or (PARTS if options.full or options.quick else MAIN_PARTS)
    run = Run(effort, _peers(options), cores)
    results = {"environment": environment.describe(run.peers, cores, asked=options.peers)}
    for name in names:
        results[name] = PARTS[name](run)
    print(report.summary(results))
    _say(f"measured in {time.perf_counter() - began:.0f} s")
    out = options.out or (RESULTS if options.full and not options.only else None)
    if out is not None:
        _say(f"wrote {', '.join(write(results, out))} to {out}")


def _peers(options: argparse.Namespace) -> dict[str, Peer]:
    peers = installed() if options.peers else {}
    if not options.full and peers.pop("PyTorch compile", None):
        _say("PyTorch compile takes part with --full: it takes up to a minute to start")
    return peers


def write(results: dict[str, Any], out: Path) -> list[str]:
    """The files, and their names; the picture where all that it shows was measured."""
    out.mkdir(parents=True, exist_ok=True)
    sections = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in results.items()]
    text = "{\n" + ",\n".join(sections) + "\n}\n"  # a line for each: the raw rounds are long
    (out / "results.json").write_text(text, encoding="utf-8")
    (out / "results.md").write_text(report.markdown(results), encoding="utf-8")
    written = ["results.md", "results.json"]
    if not {"steps", "workloads", "chains"} <= results.keys():
        return written
    if importlib.util.find_spec("matplotlib") is None:
        _say('no chart: it needs matplotlib (pip install -e ".[dev]")')
        return written
    from . import chart  # matplotlib should not weigh on what is measured

    chart.draw(results, out / "results.png")
    return [*written, "results.png"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--full", action="store_true", help="measure everything, at length: a quarter of an hour"
    )
    effort.add_argument(
        "--quick", action="store_true", help="everything in short, to see that it runs"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        metavar="NAME",
        help=f"measure this part, and others so named: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--no-peers",
        dest="peers",
        action="store_false",
        help="without PyTorch, JAX, autograd and MyGrad, which else run in the same rounds",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write the results there, too; unasked, --full alone does: to benchmarks/results",
    )
    return parser.parse_args()


def _progress(what: str, items: Iterable[T]) -> Iterator[T]:
    """The items, showing on stderr which one is under way."""
    items = list(items)
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        for k, item in enumerate(items, 1):
            _say(f"{what} {k}/{len(items)}")
            yield item
    else:
        yield from track(items, f"{what:16}", console=Console(stderr=True), refresh_per_second=1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
