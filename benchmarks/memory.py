"""The most memory that a training step needs at any moment, beyond what was there before."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from .contenders import MANUAL
from .problem import DIGITS, RECIPE_CASE, WIDE, Case, make
from .steps import own_makers

CASES = [Case(DIGITS, 1437, "float32"), Case(WIDE, 256, "float32"), RECIPE_CASE]


def measure(case: Case) -> dict[str, Any]:
    """Peak bytes of a step, by each contender of ours, and the ratios to the manual one."""
    problem = make(case)
    peaks = {name: peak(maker(problem)) for name, maker in own_makers(recipe=case.recipe).items()}
    rows = {name: {"bytes": b, "ratio": b / peaks[MANUAL]} for name, b in peaks.items()}
    return {**case._asdict(), "network": case.network, "rows": rows}


def peak(f: Callable[[], Any]) -> int:
    """Bytes at the height of a call, its result included, and the arrays that it works on from
    one call to the next. NumPy tells tracemalloc of its buffers.

    >>> held = []
    >>> 8000 <= peak(lambda: np.ones(1000)) < 9000
    True
    >>> 16000 <= peak(lambda: held or held.append(np.ones(2000))) < 17000
    True
    """
    gc.collect()
    tracemalloc.start()
    try:
        f()  # what a first call leaves in Python's caches is not the step's
        gc.collect()
        kept = _in_arrays()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        f()
        return kept + tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _in_arrays() -> int:
    """Bytes in the arrays that were made since tracemalloc's start and are still there."""
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    snapshot = tracemalloc.take_snapshot().filter_traces([arrays])
    return sum(trace.size for trace in snapshot.traces)
