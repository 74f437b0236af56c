"""The networks and batches on which a training step is measured."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_digits.digits.data.dataset import CLASSES, PIXELS
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.digits.training.recipe import RECIPE, configure

RATE = 0.1
"""Of plain gradient descent."""
STEPS = configure({}).steps(1293)
"""Of a run by the recipe: `train` has 1293 images to learn from."""
TAKEN = STEPS // 3
"""Steps by the recipe before the one that is measured: the rate falls, and averages have filled."""

DIGITS = (64, 64, 32, 10)
"""The classifier's own layers; its whole training set has 1437 images."""
WIDE = (784, 512, 256, 10)
"""Where the matrix products outweigh everything else."""


class Case(NamedTuple):
    """A network, a batch size and a precision; plain gradient descent, or the default recipe."""

    sizes: tuple[int, ...]
    batch: int
    dtype: str
    recipe: bool = False

    @property
    def network(self) -> str:
        return "-".join(map(str, self.sizes)) + (f", {BY_RECIPE}" if self.recipe else "")

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {self.dtype}"


BY_RECIPE = "AdamW"
RECIPE_CASE = Case((PIXELS, *RECIPE.hidden, CLASSES), RECIPE.batch_size, "float32", recipe=True)
"""The step that `tinygrad-digits train` takes."""

CASES = [
    RECIPE_CASE,
    *[
        Case(DIGITS, batch, dtype)
        for dtype in ("float32", "float64")
        for batch in (1, 32, 256, 1437)
    ],
    *[Case(WIDE, batch, dtype) for dtype in ("float32", "float64") for batch in (32, 256)],
]
MAIN_CASES = [
    Case(DIGITS, 32, "float32"),
    Case(DIGITS, 1437, "float32"),
    Case(WIDE, 256, "float32"),
    RECIPE_CASE,
]
"""Those that a run takes which is to be short."""
QUICK_CASES = [
    Case(DIGITS, 1, "float32"),
    Case(DIGITS, 32, "float32"),
    Case(WIDE, 32, "float32"),
    RECIPE_CASE,
]


class Problem(NamedTuple):
    """Where a step starts: every contender is given these numbers."""

    params: dict[str, Any]
    x: Any
    labels: Any
    mean: dict[str, Any]
    """Adam's average of gradients, for a step by the recipe; and of their squares."""
    square: dict[str, Any]

    @property
    def data(self) -> tuple[dict[str, Any], Any, Any]:
        """What a loss takes: parameters, images, labels."""
        return self[:3]


def make(case: Case) -> Problem:
    """He-initialised parameters, as many random images as the batch holds, and likely averages."""
    rng = np.random.default_rng(0)
    params = {k: p.astype(case.dtype) for k, p in model.init_params(case.sizes, rng).items()}
    x = rng.random((case.batch, case.sizes[0])).astype(case.dtype)
    labels = rng.integers(0, case.sizes[-1], case.batch)
    mean = {k: (0.01 * rng.standard_normal(p.shape)).astype(p.dtype) for k, p in params.items()}
    square = {k: m**2 + m.dtype.type(1e-4) for k, m in mean.items()}
    return Problem(params, x, labels, mean, square)
