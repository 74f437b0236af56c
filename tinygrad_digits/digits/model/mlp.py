"""The model: a multilayer perceptron of any depth, as plain functions on a dict of arrays.

params : {"w0": (64, 64), "b0": (64,), "w1": (64, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ...engine.primitive import Array
from ...ops.losses import cross_entropy, mse
from ...ops.softmax import relu, softmax
from ...support.errors import ShapeError

Params: TypeAlias = dict[str, Any]
"""Arrays, or Tensors while a tape is recording."""

ROWS = 8192
"""Images whose logits are taken at a time: 25 MB of them where they are 28x28."""
SIZES = (64, 64, 32, 10)
"""Pixels, two hidden layers, classes."""


def init_params(
    sizes: Sequence[int] = SIZES,
    rng: np.random.Generator | None = None,
    dtype: Any = np.float64,
) -> Params:
    """Weights (a, b) drawn from N(0, 2/a), which keeps the signal's size through relus; biases 0.

    (He et al., Delving Deep into Rectifiers, 2015.) Without `rng`, a generator seeded with 0.
    Raises ShapeError where sizes are not two or more positive integers.

    >>> {name: array.shape for name, array in init_params((64, 32, 10)).items()}
    {'w0': (64, 32), 'b0': (32,), 'w1': (32, 10), 'b1': (10,)}
    """
    rng = np.random.default_rng(0) if rng is None else rng
    params = {}
    for name, shape in param_shapes(sizes).items():
        if name.startswith("w"):
            params[name] = (rng.standard_normal(shape) * np.sqrt(2 / shape[0])).astype(dtype)
        else:
            params[name] = np.zeros(shape, dtype)
    return params


def param_shapes(sizes: Sequence[int] = SIZES) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters, which take no memory; ShapeError as `init_params` raises it.

    >>> param_shapes((64, 32, 10))
    {'w0': (64, 32), 'b0': (32,), 'w1': (32, 10), 'b1': (10,)}
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ShapeError(f"sizes must be two or more positive integers, got {tuple(sizes)}")
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        shapes |= {f"w{i}": (a, b), f"b{i}": (b,)}
    return shapes


def logits(params: Params, x: Array, masks: Sequence[Array] = ()) -> Array:
    """Scores, not probabilities: (n, 64) images -> (n, 10).

    `masks`, one for each hidden layer and of its shape, are multiplied with its units: `draw_masks`
    makes those of dropout.

    >>> logits(init_params(), np.zeros((2, 64))).shape
    (2, 10)
    """
    last = len(params) // 2 - 1
    for i in range(last):
        x = relu(x @ params[f"w{i}"] + params[f"b{i}"])  # (n, hidden)
        if masks:
            x = x * masks[i]
    return x @ params[f"w{last}"] + params[f"b{last}"]  # (n, 10)


def draw_masks(
    hidden: Sequence[int], rows: int, rate: float, rng: np.random.Generator, dtype: Any = np.float64
) -> tuple[Array, ...]:
    """Which hidden units a batch is trained with: of each layer (rows, width), 0 or 1 / (1 - rate).

    A share `rate` is 0; what the others are scaled by keeps the expectation (Srivastava et al.,
    Dropout, 2014). They are inputs of a step, so that a compiled one need draw nothing.

    >>> [mask.mean().round(1) for mask in draw_masks((99, 99), 99, 0.5, np.random.default_rng(0))]
    [np.float64(1.0), np.float64(1.0)]
    """
    kept = [rng.random((rows, width), np.float32) >= rate for width in hidden]
    return tuple(np.where(keep, 1 / (1 - rate), 0).astype(dtype) for keep in kept)


def loss(
    params: Params,
    x: Array,
    labels: Array,
    weights: Array | None = None,
    masks: Sequence[Array] = (),
    *,
    smoothing: float = 0.0,
) -> Array:
    """Mean cross-entropy: (n, 64) images, (n,) integer labels -> scalar.

    With (n,) weights, the mean is theirs: rows that weigh 2 count as if they were there twice.
    `smoothing` is that of the labels in `cross_entropy`, `masks` are those of `logits`.

    >>> import tinygrad_digits as td
    >>> images, labels = np.full((3, 64), 0.5), np.array([0, 1, 2])
    >>> td.grad(loss)(init_params(), images, labels)["b2"].shape
    (10,)
    """
    z = logits(params, x, masks)
    if weights is None:
        return cross_entropy(z, labels, smoothing=smoothing)
    return average(cross_entropy(z, labels, smoothing=smoothing, reduction="none"), weights)


def squared_error(
    params: Params,
    x: Array,
    targets: Array,
    weights: Array | None = None,
    masks: Sequence[Array] = (),
) -> Array:
    """Mean squared error of outputs that are no logits: (n, features), (n, outputs) -> scalar.

    >>> params = {"w0": np.array([[2.0]]), "b0": np.zeros(1)}
    >>> squared_error(params, np.array([[1.0], [2.0]]), np.array([[2.0], [2.0]]))
    np.float64(2.0)
    """
    outputs = logits(params, x, masks)
    if weights is None:
        return mse(outputs, targets)
    return average(np.mean(mse(outputs, targets, reduction="none"), axis=1), weights)


def average(losses: Array, weights: Array) -> Array:
    """The mean of losses by weight: (n,), (n,) -> scalar.

    >>> average(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
    np.float64(2.0)
    """
    mean: Array = np.sum(losses * weights) / np.sum(weights)
    return mean


def probabilities(params: Params, x: Array) -> Array:
    """Rows that sum to 1: (n, 64) images -> (n, 10)."""
    return softmax(logits(params, x))


def predict(params: Params, x: Array) -> Array:
    """The likeliest class of each image: (n, 64) -> (n,) integers."""
    return np.argmax(logits(params, x), axis=-1)


def accuracy(params: Params, x: Array, labels: Array) -> float:
    """The share of images that `predict` gets right, in 0 ... 1.

    >>> accuracy({"w0": np.eye(10), "b0": np.zeros(10)}, np.eye(10), np.arange(10))
    1.0
    """
    return float(np.mean(predict(params, x) == labels))


def layer_sizes(params: Params) -> tuple[int, ...]:
    """The sizes that `init_params` was given.

    >>> layer_sizes(init_params((64, 32, 10)))
    (64, 32, 10)
    """
    depth = len(params) // 2
    return (params["w0"].shape[0], *[params[f"w{i}"].shape[1] for i in range(depth)])
