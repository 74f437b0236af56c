"""The two models by name; which of them parameters belong to is told by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ...engine.primitive import Array
from . import conv, mlp
from .mlp import Params


class Model(Protocol):
    """What a model's module has."""

    ROWS: int
    """Images whose logits are taken at a time."""

    def init_params(self, sizes: Sequence[int], rng: np.random.Generator, dtype: Any) -> Params:
        """For (pixels, hidden ..., classes)."""

    def param_shapes(self, sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Of what `init_params` makes."""

    def layer_sizes(self, params: Params) -> tuple[int, ...]:
        """What `init_params` was given."""

    def logits(self, params: Params, x: Array) -> Array:
        """(n, pixels) -> (n, classes)."""

    def loss(self, params: Params, x: Array, labels: Array, *, smoothing: float = 0.0) -> Array:
        """(n, pixels), (n,) -> scalar."""


KINDS: dict[str, Model] = {"mlp": mlp, "conv": conv}


def name_of(params: Params) -> str:
    """Of the model that these are the parameters of.

    >>> name_of(mlp.init_params())
    'mlp'
    """
    return "conv" if "kernel0" in params else "mlp"


def layer_sizes(params: Params) -> tuple[int, ...]:
    """(pixels, hidden ..., classes)."""
    return KINDS[name_of(params)].layer_sizes(params)


def logits(params: Params, x: Array) -> Array:
    """As the model's: (n, pixels) -> (n, classes)."""
    return KINDS[name_of(params)].logits(params, x)


def logits_in_parts(params: Params, images: Array, rows: int = 0) -> Array:
    """The same of many images, some at a time: of stored ones no more than these are in memory.

    >>> logits_in_parts(mlp.init_params(), np.zeros((5, 64)), rows=2).shape
    (5, 10)
    """
    rows = rows or KINDS[name_of(params)].ROWS
    starts = range(0, max(1, len(images)), rows)
    return np.concatenate([logits(params, images[i : i + rows]) for i in starts])


def first_layer(params: Params) -> Array:
    """The weights that lead to each unit or kernel of the first layer: (units, inputs).

    >>> first_layer(mlp.init_params()).shape
    (64, 64)
    """
    if name_of(params) == "conv":
        return params["kernel0"].reshape(conv.CHANNELS[1], -1)
    weights: Array = params["w0"].T
    return weights
