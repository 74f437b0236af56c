"""The recipe: how the classifier is trained by default, chosen by experiment.

Chosen on ten stratified 80/20 splits (seeds 100-109), then measured on ten others (seeds 0-9): a
mean test accuracy of 99.47 % and 99.25 %, where an SVC(C=10) has 99.25 % and 99.11 %. On the first
ten, of which one image is 0.03 %: 99.25 % without noise; with shifts up to 0.3 pixels and turns up
to 8 degrees 99.03 %, with 0.5 and 10 99.33 %, with 0.7 and 12 99.36 % (300 epochs, no noise).
Smoothed labels (99.36 %) and averaged parameters (99.33 %) change nothing that ten splits show, so
are left out.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Recipe:
    """AdamW on freshly augmented pictures, at a rate that warms up, then falls as a cosine.

    >>> RECIPE.hidden, PLAIN.optimizer
    ((256, 128), 'gd')
    """

    hidden: tuple[int, ...] = (256, 128)
    optimizer: str = "adamw"
    rate: float = 0.002  # the highest, after the warm-up
    schedule: str = "cosine"
    warmup: float = 0.05  # the share of all steps in which the rate grows to it
    weight_decay: float = 0.1  # of the weights, times the rate; biases do not decay
    batch_size: int = 64
    epochs: int = 200
    smoothing: float = 0.0  # the share of a label that goes to all classes alike
    augment: bool = True
    ema: float = 0.0  # how much of the average of parameters a step keeps; 0 for none

    def settings(self) -> dict[str, Any]:
        """As keyword arguments, for a Config or an estimator."""
        return dataclasses.asdict(self)


RECIPE = Recipe()
PLAIN = Recipe(
    hidden=(64, 32),
    optimizer="gd",
    rate=0.3,
    schedule="constant",
    warmup=0.0,
    weight_decay=0.0,
    batch_size=32,
    epochs=60,
    augment=False,
)
"""Vanilla gradient descent on the images as they are."""
