"""The most memory that a gradient needs at any moment, beyond what was there before."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import tinygrad_digits as td
from tinygrad_digits.digits import manual, model

from .problem import DIGITS, WIDE, Case, make

CASES = [Case(DIGITS, 1437, "float32"), Case(WIDE, 256, "float32")]


def measure(case: Case) -> dict[str, Any]:
    """Peak bytes of the loss and its gradients, by the tape and by hand."""
    problem = make(case)
    tape = peak(lambda: td.value_and_grad(model.loss)(*problem))
    by_hand = peak(lambda: manual.loss_and_grads(*problem))
    return {
        **case._asdict(),
        "network": case.network,
        "tape_bytes": tape,
        "manual_bytes": by_hand,
        "ratio": tape / by_hand,
    }


def peak(f: Callable[[], Any]) -> int:
    """Bytes at the height of a call, its result included. NumPy tells tracemalloc of its buffers.

    >>> import numpy as np
    >>> 8000 <= peak(lambda: np.ones(1000)) < 9000
    True
    """
    f()  # what a first call leaves in caches is not the gradient's
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        f()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
