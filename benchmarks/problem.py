"""The networks and batches on which a training step is measured."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_digits.digits import model

RATE = 0.1

DIGITS = (64, 64, 32, 10)
"""The classifier's own layers; its whole training set has 1437 images."""
WIDE = (784, 512, 256, 10)
"""Where the matrix products outweigh everything else."""


class Case(NamedTuple):
    """A network, a batch size and a precision."""

    sizes: tuple[int, ...]
    batch: int
    dtype: str

    @property
    def network(self) -> str:
        return "-".join(map(str, self.sizes))

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {self.dtype}"


CASES = [
    *[
        Case(DIGITS, batch, dtype)
        for dtype in ("float32", "float64")
        for batch in (1, 32, 256, 1437)
    ],
    *[Case(WIDE, batch, dtype) for dtype in ("float32", "float64") for batch in (32, 256)],
]
QUICK_CASES = [Case(DIGITS, 1, "float32"), Case(DIGITS, 32, "float32"), Case(WIDE, 32, "float32")]


class Problem(NamedTuple):
    """Where a step starts: every contender is given these numbers."""

    params: dict[str, Any]
    x: Any
    labels: Any


def make(case: Case) -> Problem:
    """He-initialised parameters, and as many random images as the batch holds."""
    rng = np.random.default_rng(0)
    params = model.init_params(case.sizes, rng)
    return Problem(
        params={name: p.astype(case.dtype) for name, p in params.items()},
        x=rng.random((case.batch, case.sizes[0])).astype(case.dtype),
        labels=rng.integers(0, case.sizes[-1], case.batch),
    )
