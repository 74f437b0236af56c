"""Measure the tape against backprop by hand, and write results.md, results.json and results.png."""

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from . import (
    chains,
    environment,
    first_call,
    imports,
    memory,
    op_cost,
    problem,
    report,
    steps,
    workloads,
)
from .contenders import jits
from .peers import Peer, installed

T = TypeVar("T")


def main() -> None:
    options = _options()
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit('the chart needs matplotlib: pip install -e ".[dev]"')
    peers = installed() if options.peers else {}
    if options.quick and peers.pop("PyTorch compile", None):
        _say("--quick leaves PyTorch compile out: it takes up to a minute to start")
    about = environment.describe(peers, asked=options.peers)
    _say(json.dumps(about, indent=1))
    results = {"environment": about, **measure(peers, quick=options.quick)}
    write(results, options.out)
    _say(f"wrote results.md, results.json and results.png to {options.out}")


def measure(peers: dict[str, Peer], *, quick: bool) -> dict[str, Any]:
    """All measurements, shortest first."""
    lengths = chains.QUICK_LENGTHS if quick else chains.LENGTHS
    return {
        "import": imports.measure(2 if quick else 15),
        "memory": [memory.measure(case) for case in _progress("memory", memory.CASES)],
        "ops": [
            op_cost.measure(name, budget=0.2 if quick else 3)
            for name in _progress("cost of an op", op_cost.OPS)
        ],
        **_compared(peers, quick=quick),
        "chains": [
            chains.measure(n, rounds, peers) for n, rounds in _progress("chain", lengths.items())
        ],
    }


def _compared(peers: dict[str, Peer], *, quick: bool) -> dict[str, Any]:
    """Steps, first calls and workloads: where compilers take part."""
    cap = 10 if quick else 180  # seconds to come to a first result
    cases = problem.QUICK_CASES if quick else problem.CASES
    makes = workloads.QUICK_WORKLOADS if quick else workloads.WORKLOADS
    makers = {name: peer.step for name, peer in peers.items()}
    compiled = [*jits(), *(name for name, peer in peers.items() if peer.compiles)]
    firsts = [case for case in first_call.CASES if case in cases]
    return {
        "steps": [
            steps.measure(case, makers, budget=0.5 if quick else 8, cap=cap)
            for case in _progress("step", cases)
        ],
        "first_calls": [
            first_call.measure(case, compiled, rounds=1 if quick else 3, cap=cap)
            for case in _progress("first call", firsts)
        ],
        "workloads": [
            workloads.measure(make, peers, budget=0.5 if quick else 8, cap=cap)
            for make in _progress("workload", makes)
        ],
    }


def write(results: dict[str, Any], out: Path) -> None:
    """The three files."""
    from . import chart  # matplotlib should not weigh on what is measured

    out.mkdir(parents=True, exist_ok=True)
    sections = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in results.items()]
    text = "{\n" + ",\n".join(sections) + "\n}\n"  # a line for each: the raw rounds are long
    (out / "results.json").write_text(text, encoding="utf-8")
    (out / "results.md").write_text(report.markdown(results), encoding="utf-8")
    chart.draw(results, out / "results.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to see that it runs; coarse figures"
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="run PyTorch, JAX, autograd and MyGrad in the same rounds, where installed",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("benchmarks/results"),
        metavar="DIR",
        help="where the results go (%(default)s)",
    )
    return parser.parse_args()


def _progress(what: str, items: Iterable[T]) -> Iterator[T]:
    """The items, saying on stderr which one is under way."""
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
