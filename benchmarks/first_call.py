"""What the first call of a compiled step costs: tracing it, and making a program of it.

Every figure comes from a fresh process, whose caches on disk are in a directory of their own: empty
for a cold start, then once more with what that left there.

    python -m benchmarks.first_call "jit, native" 1437
"""

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tinygrad_digits as td

from .contenders import TAPE, jits, too_late
from .imports import ROOT
from .peers import PEERS, Maker
from .problem import DIGITS, Case, Problem, make
from .steps import whole_step

CASES = [Case(DIGITS, 32, "float32"), Case(DIGITS, 1437, "float32")]
CACHES = ("TINYGRAD_DIGITS_CACHE", "TORCHINDUCTOR_CACHE_DIR")
"""The environment variables that say where compiled programs are kept."""


def measure(case: Case, names: list[str], rounds: int, cap: float) -> dict[str, Any]:
    """The median first call of each contender, cold, and warm where it keeps something on disk."""
    rows, left_out = {}, {}
    for name in names:
        try:
            pairs = [_cold_and_warm(name, case, cap) for _ in range(rounds)]
        except subprocess.TimeoutExpired:
            left_out[name] = too_late(cap)
            continue
        except subprocess.CalledProcessError:
            if name in jits():
                raise
            left_out[name] = "failed"  # its step has said why
            continue
        cold, warm = (sorted(filter(None, runs), key=_total) for runs in zip(*pairs, strict=True))
        rows[name] = {"cold": _middle(cold), "warm": _middle(warm)}
    return {
        **case._asdict(),
        "network": case.network,
        "rounds": rounds,
        "rows": rows,
        "left_out": left_out,
    }


def pays_after(seconds: float, name: str, step: dict[str, Any]) -> float | None:
    """How many steps make up for the first call, compared with the eager tape; None if none do."""
    if name not in step["rows"]:
        return None
    saved = (step["rows"][TAPE]["median_us"] - step["rows"][name]["median_us"]) / 1e6
    return seconds / saved if saved > 0 else None


def _cold_and_warm(name: str, case: Case, cap: float) -> tuple[dict[str, Any], Any]:
    with tempfile.TemporaryDirectory() as cache:
        cold = _in_fresh_process(name, case, cache, cap)
        kept = any(path.is_file() for path in Path(cache).rglob("*"))
        return cold, _in_fresh_process(name, case, cache, cap) if kept else None


def _in_fresh_process(name: str, case: Case, cache: str, cap: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_call", name, str(case.batch)],
        cwd=ROOT, env={**os.environ, **dict.fromkeys(CACHES, cache)}, timeout=cap,
        check=True, stdout=subprocess.PIPE, stderr=None if name in jits() else subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _total(run: dict[str, Any]) -> float:
    return run["seconds"]


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    return runs[len(runs) // 2] if runs else None


def _here(name: str, case: Case) -> dict[str, Any]:
    """The first call in this process, and its stages where they are known."""
    problem = make(case)
    if name in PEERS:
        importlib.import_module(PEERS[name].module)
        return {"seconds": _timed(PEERS[name].step, problem), "stages": {}}
    jitted = td.jit(whole_step(), backend=jits()[name])
    seconds = _timed(lambda problem: functools.partial(jitted, *problem.data), problem)
    return {"seconds": seconds, "stages": jitted.program(*problem.data).seconds}


def _timed(maker: Maker, problem: Problem) -> float:
    start = time.perf_counter()
    maker(problem)()
    return time.perf_counter() - start


if __name__ == "__main__":
    _, _name, _batch = sys.argv
    (_case,) = [case for case in CASES if case.batch == int(_batch)]
    print(json.dumps(_here(_name, _case)))
