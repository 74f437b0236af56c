"""Three ways to one gradient: the tape, manual backprop, and central differences.

The tape and the manual backprop give whole arrays, which are compared entry by entry. Central
differences give one number for a direction v in one parameter, (f(p + h v) - f(p - h v)) / 2h, to
compare with <gradient, v>. They are taken in float64 also of a float32 network, since in float32
rounding would leave them three digits; so there they show how far float32 is from the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...engine.transforms import value_and_grad
from ..data.dataset import Array
from . import manual, mlp
from .mlp import Params

TOLERANCES = {
    np.dtype(np.float32): (1e-5, 1e-5),  # tape and manual; either and central differences
    np.dtype(np.float64): (1e-12, 1e-7),
}
DIRECTIONS = 4
STEP = float(np.finfo(float).eps) ** (1 / 3)  # balances curvature against rounding


class Agreement(NamedTuple):
    """Worst relative differences in one parameter's gradient (or in the loss)."""

    dtype: np.dtype[Any]
    name: str
    tape_manual: float
    tape_central: float
    manual_central: float

    @property
    def agrees(self) -> bool:
        exact, central = TOLERANCES[self.dtype]
        return self.tape_manual <= exact and max(self.tape_central, self.manual_central) <= central


def compare(params: Params, x: Array, labels: Array, rng: np.random.Generator) -> list[Agreement]:
    """One row for each parameter, in layer order: params of one dtype, (n, pixels), (n,).

    `rng` draws the directions. Differences are relative to the gradient's largest entry (tape and
    manual) or its norm (central differences), so that entries that cancel to 0 do not count.
    """
    _, tape = value_and_grad(mlp.loss)(params, x, labels)
    _, hand = manual.loss_and_grads(params, x, labels)
    rows = []
    for name, array in params.items():
        by_tape, by_hand = tape[name].astype(float), hand[name].astype(float)
        central = [central_slope(params, name, x, labels, rng) for _ in range(DIRECTIONS)]
        rows.append(
            Agreement(
                array.dtype,
                name,
                _worst(by_tape, by_hand),
                max(_off(by_tape, *measured) for measured in central),
                max(_off(by_hand, *measured) for measured in central),
            )
        )
    return rows


def example(
    sizes: Sequence[int], dtype: Any, batch: int, rng: np.random.Generator
) -> tuple[Params, Array, Array]:
    """Random parameters, images and labels; biases too, so that no two layers look alike."""
    params = mlp.init_params(sizes, rng, dtype)
    for name in params:
        if name.startswith("b"):
            params[name] = rng.normal(0, 0.1, params[name].shape).astype(dtype)
    x = rng.random((batch, sizes[0])).astype(dtype)
    return params, x, rng.integers(0, sizes[-1], batch)


def central_slope(
    params: Params, name: str, x: Array, labels: Array, rng: np.random.Generator
) -> tuple[Array, float]:
    """A direction in one parameter, drawn by `rng`, and the loss's slope along it, in float64.

    The more relus there are, the shorter the step between two of their kinks: it shrinks until
    none switches. Raises ValueError where even a hundredth of the step is too long.
    """
    params = {key: array.astype(float) for key, array in params.items()}
    x = x.astype(float)
    for step in STEP * 0.75 ** np.arange(17):
        direction = rng.standard_normal(params[name].shape)
        ahead = {**params, name: params[name] + step * direction}
        behind = {**params, name: params[name] - step * direction}
        if np.array_equal(_active(ahead, x), _active(behind, x)):  # no kink in between
            difference = mlp.loss(ahead, x, labels) - mlp.loss(behind, x, labels)
            return direction, float(difference / (2 * step))
    raise ValueError(
        f"central differences in {name}: every step crosses a kink of one of the relus; "
        "take a smaller batch or narrower layers"
    )


def _active(params: Params, x: Array) -> Array:
    """Which relus are on: where between two points none switches, the loss is smooth."""
    on = [np.empty(0, bool)]
    for i in range(len(params) // 2 - 1):
        z = x @ params[f"w{i}"] + params[f"b{i}"]
        on.append((z > 0).ravel())
        x = np.maximum(z, 0)
    return np.concatenate(on)


def _worst(a: Array, b: Array) -> float:
    scale = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale > 0 else 0.0


def _off(gradient: Array, direction: Array, slope: float) -> float:
    scale = float(np.linalg.norm(gradient))
    difference = abs(float(np.sum(gradient * direction)) - slope)
    return difference / scale if scale > 0 else difference
