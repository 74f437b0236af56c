"""On which cores the contenders run: on one, or in a process of their own on all there are."""

import json
import os
import subprocess
import sys
from typing import Any

from . import ALL_CORES
from .imports import ROOT

LIMITS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
LIMITS += ("TORCHINDUCTOR_COMPILE_THREADS", "XLA_FLAGS", "NPROC")
"""The environment variables that keep libraries from starting threads."""

CAN_PIN = hasattr(os, "sched_setaffinity")  # Linux can; macOS and Windows cannot


def pin() -> list[int]:
    """Keep this process, and what it starts, on one core; those that it had before.

    The last of them: interrupts go to the first by default.
    """
    if not CAN_PIN:
        return []
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    return cores


def unpin(cores: list[int]) -> None:
    """Back to the cores that `pin` returned."""
    if CAN_PIN and cores:
        os.sched_setaffinity(0, cores)


def run_on_all(module: str, argument: Any, cores: list[int]) -> Any:
    """What a module prints as JSON, given an argument as JSON, in a process that has all cores."""
    free = {name: value for name, value in os.environ.items() if name not in LIMITS}
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(argument)],
        cwd=ROOT, env={**free, ALL_CORES: json.dumps(cores)}, check=True, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    return json.loads(done.stdout)
