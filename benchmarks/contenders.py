"""Who takes part besides the peers, which of them can, and that they all compute the same."""

import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .timing import at_most

Step: TypeAlias = Callable[[], tuple[Any, dict[str, Any]]]
"""() -> (loss, what comes of it by name: updated parameters, or gradients)"""

MANUAL = "manual"
TAPE = "eager tape"
JIT = "jit"
NATIVE = "jit, native"
PRODUCTS = "matrix products alone"

OURS = [MANUAL, TAPE, JIT, NATIVE]

BACKENDS = {JIT: ("numpy", []), NATIVE: ("native", ["llvmlite"])}
"""Contender -> the backend of td.jit, and the modules that it needs."""
TOLERANCE = {"float32": 1e-2, "float64": 1e-9}
"""How far a result may be from the first contender's, relative to its size. In float32 another
order of summation can put the input of a relu on the other side of 0, which changes some gradients
a little; float64 has the same steps held to nine digits."""


def jits() -> dict[str, str]:
    """The jitted contenders that can run here, and their backends."""
    return {name: backend for name, (backend, _) in BACKENDS.items() if not missing(name)}


def missing(name: str) -> list[str]:
    """The modules that a jitted contender needs and does not have."""
    return [module for module in BACKENDS[name][1] if importlib.util.find_spec(module) is None]


def assembled(
    makers: dict[str, Callable[[], Step]], what: str, cap: float
) -> tuple[dict[str, Step], dict[str, str]]:
    """The contenders that come to a first result, and why the others do not.

    One may take longer than `cap` seconds to get there (to compile, as a rule), and a peer may
    fail, which is said and does not stop the rest. A failure of ours is raised.
    """
    steps, left_out = {}, {}
    for name, maker in makers.items():
        start = time.perf_counter()
        try:
            with at_most(cap):
                step = maker()
                step()
            steps[name] = step
        except Exception as error:
            late = time.perf_counter() - start >= cap
            if not late and name in OURS:
                raise
            left_out[name] = too_late(cap) if late else type(error).__name__
            print(f"{what}: without {name}, {error!r:.500}", file=sys.stderr, flush=True)
    return steps, left_out


def too_late(cap: float) -> str:
    return f"no result within {cap:g} s"


def check_agreement(steps: dict[str, Step], start: dict[str, Any]) -> None:
    """Raise AssertionError for a contender that does not compute what the first one does.

    The results are updates of `start`, which is zeros where they are gradients.
    """
    first, *_ = steps.values()
    loss, expected = first()
    dtype = next(iter(start.values())).dtype
    tolerance = TOLERANCE[dtype.name]
    for name, step in steps.items():
        its_loss, its_results = step()
        assert its_results.keys() == start.keys(), f"{name}: {', '.join(its_results)}"
        for key, begin in start.items():
            got = np.asarray(its_results[key])
            assert got.dtype == dtype, f"{name}: {key} became {got.dtype}"
            error = np.linalg.norm(got - expected[key]) / np.linalg.norm(expected[key] - begin)
            assert error < tolerance, f"{name}: {key} is off by {error:.1e}"
        np.testing.assert_allclose(float(its_loss), loss, rtol=min(1e-5, tolerance), err_msg=name)
