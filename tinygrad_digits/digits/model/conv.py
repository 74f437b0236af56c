"""A second model: two convolutions before the layers of the first.

params : {"kernel0": (16, 1, 3, 3), "bias0": (16,), "kernel1": (32, 16, 3, 3), "bias1": (32,),
          "w0": (512, 64), "b0": (64,), "w1": (64, 10), "b1": (10,)}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...engine.primitive import Array
from ...ops.layers import conv2d, max_pool2d
from ...ops.losses import cross_entropy
from ...ops.softmax import relu
from ...support.errors import ShapeError
from . import mlp
from .mlp import Params

CHANNELS = (1, 16, 32)
"""Grey, and the kernels of each convolution, all 3x3."""
ROWS = 256
"""Images at a time: of 28x28, what a convolution gathers takes 115 MB."""


def init_params(sizes: Sequence[int], rng: np.random.Generator, dtype: Any = np.float64) -> Params:
    """Weights of variance 2 / inputs (He et al., 2015), biases 0; sizes as of the first model.

    >>> params = init_params((64, 32, 10), np.random.default_rng(0))
    >>> layer_sizes(params)
    (64, 32, 10)
    """
    params = {}
    for name, shape in param_shapes(sizes).items():
        if name.startswith("kernel"):
            deviation = np.sqrt(2 / math.prod(shape[1:]))
            params[name] = (deviation * rng.standard_normal(shape)).astype(dtype)
        elif name.startswith("bias"):
            params[name] = np.zeros(shape, dtype)
    return {**params, **mlp.init_params(_dense_sizes(sizes), rng, dtype)}


def param_shapes(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters, for (pixels, hidden ..., classes).

    Raises ShapeError where the pixels are no square of an even side.

    >>> param_shapes((64, 10))["w0"]
    (512, 10)
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (fewer, more) in enumerate(itertools.pairwise(CHANNELS)):
        shapes |= {f"kernel{i}": (more, fewer, 3, 3), f"bias{i}": (more,)}
    return {**shapes, **mlp.param_shapes(_dense_sizes(sizes))}


def _dense_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    pixels, *rest = sizes
    side = math.isqrt(pixels)
    if side * side != pixels or side % 2 or not pixels:
        raise ShapeError(
            f"the convolutional model takes square images of an even side, not of {pixels} pixels: "
            "take the other model"
        )
    return (CHANNELS[-1] * pixels // 4, *rest)


def layer_sizes(params: Params) -> tuple[int, ...]:
    """The sizes that `init_params` was given."""
    features, *rest = mlp.layer_sizes(_take_dense(params))
    return (4 * features // CHANNELS[-1], *rest)


def logits(params: Params, x: Array) -> Array:
    """Scores, not probabilities: (..., pixels) images -> (..., classes).

    >>> logits(init_params((64, 10), np.random.default_rng(0)), np.zeros((2, 64))).shape
    (2, 10)
    """
    *lead, pixels = x.shape
    side = math.isqrt(pixels)
    x = x.reshape(-1, 1, side, side)
    for i in range(len(CHANNELS) - 1):
        kernels, biases = params[f"kernel{i}"], params[f"bias{i}"]
        x = relu(conv2d(x, kernels, biases, padding="same"))  # (n, channels, side, side)
    x = max_pool2d(x, 2).reshape(*lead, CHANNELS[-1] * pixels // 4)
    return mlp.logits(_take_dense(params), x)


def _take_dense(params: Params) -> Params:
    """Those after the convolutions: w0, b0, w1 ..."""
    return {name: array for name, array in params.items() if name[1:].isdigit()}


def loss(params: Params, x: Array, labels: Array, *, smoothing: float = 0.0) -> Array:
    """Mean cross-entropy: (n, pixels) images, (n,) integer labels -> scalar."""
    return cross_entropy(logits(params, x), labels, smoothing=smoothing)
