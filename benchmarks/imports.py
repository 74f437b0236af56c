"""How long a fresh interpreter takes to import the package, and to import NumPy alone."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .timing import Timing, orders, ratio

ROOT = Path(__file__).parent.parent
MODULES = ["numpy", "tinygrad_digits"]


def measure(rounds: int) -> dict[str, Any]:
    """Medians over fresh processes, in turn. The interpreter's own start does not count."""
    micros: dict[str, list[float]] = {module: [] for module in MODULES}
    for module in MODULES:
        _import_seconds(module)  # writes the byte code
    for _, modules in zip(range(rounds), orders(MODULES), strict=False):
        for module in modules:
            micros[module].append(_import_seconds(module) * 1e6)
    timings = {module: Timing(1, taken) for module, taken in micros.items()}
    return {
        "rounds": rounds,
        "numpy_ms": timings["numpy"].median / 1e3,
        "package_ms": timings["tinygrad_digits"].median / 1e3,
        "ratio": ratio(timings["tinygrad_digits"], timings["numpy"])._asdict(),
        "rounds_us": micros,
    }


def _import_seconds(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    cached = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=cached, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)
