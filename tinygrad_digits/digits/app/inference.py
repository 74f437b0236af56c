"""A drawing read by the model: the digit, how surely, and which pixels decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...compiler.api import jit
from ...engine.transforms import vjp
from ...ops.losses import one_hot
from ...ops.softmax import softmax
from ..data.dataset import CLASSES, PIXELS, Array
from ..errors import RunError
from ..images.files import SIDE, fitted
from ..model import mlp as model
from ..model.mlp import Params

LARGEST = 64
"""Rows or columns of a drawing: eight for each pixel that the model sees."""


class DrawingError(ValueError):
    """Something that is not a drawing; the message says what a drawing is."""


class Reading(NamedTuple):
    """What the model makes of one drawing."""

    digit: int
    probabilities: Array
    """(10,), of sum 1."""
    image: Array
    """(8, 8) in 0 ... 1: the drawing as the model sees it."""
    saliency: Array
    """(8, 8): the gradient of the digit's logit with respect to the image."""


def reader(params: Params) -> Callable[[Array], Reading]:
    """A function from ink, as `ink_of` returns it, to its `Reading`; compiled here and now.

    Raises RunError where the parameters are not for 64 pixels and ten digits.

    >>> read = reader({"w0": np.eye(64)[:, :10], "b0": np.zeros(10)})
    >>> found = read(np.eye(8))
    >>> found.digit, int(found.saliency.argmax())
    (0, 0)
    """
    sizes = model.layer_sizes(params)
    if (sizes[0], sizes[-1]) != (PIXELS, CLASSES):
        raise RunError(f"a digit has {PIXELS} pixels and {CLASSES} classes, this model {sizes}")
    compiled = jit(explained)
    dtype = params["w0"].dtype
    compiled(params, np.zeros((1, PIXELS), dtype))  # so that the first stroke need not wait

    def read(ink: Array) -> Reading:
        image = fitted(ink).astype(dtype)
        (probabilities,), (saliency,) = compiled(params, image.reshape(1, PIXELS))
        return Reading(
            int(probabilities.argmax()), probabilities, image, saliency.reshape(SIDE, SIDE)
        )

    return read


def explained(params: Params, x: Array) -> tuple[Array, Array]:
    """(n, 64) images -> (n, 10) probabilities, (n, 64) gradients of the winning logits.

    (Simonyan et al., Deep Inside Convolutional Networks, 2013: the image-specific saliency, here
    with its sign.)

    >>> probabilities, saliency = explained(model.init_params(), np.zeros((2, 64)))
    >>> probabilities.shape, saliency.shape
    ((2, 10), (2, 64))
    """
    scores, pullback = vjp(lambda x: model.logits(params, x), x)
    winners = one_hot(np.argmax(scores, axis=1), classes=CLASSES)
    return softmax(scores), pullback(winners.astype(scores.dtype))


def ink_of(pixels: Any) -> Array:
    """A decoded JSON value as ink: rows of numbers in 0 ... 255 -> (height, width) in 0 ... 1.

    Raises DrawingError where it is not 8 to 64 rows of 8 to 64 such numbers each, or blank.

    >>> ink_of([[0, 255] * 4] * 8).shape
    (8, 8)
    >>> ink_of([[0, 256] * 4] * 8)
    Traceback (most recent call last):
    ...
    tinygrad_digits.digits.app.inference.DrawingError: pixels must be numbers in 0 ... 255, no ink 0
    """
    if not isinstance(pixels, list) or not all(isinstance(row, list) for row in pixels):
        raise DrawingError("pixels must be a list of rows, each a list of numbers")
    widths = {len(row) for row in pixels}
    if len(widths) != 1 or not all(SIDE <= side <= LARGEST for side in (len(pixels), *widths)):
        raise DrawingError(f"pixels must be {SIDE} to {LARGEST} rows of one length in that range")
    if not all(type(p) in (int, float) and 0 <= p <= 255 for row in pixels for p in row):
        raise DrawingError("pixels must be numbers in 0 ... 255, no ink 0")  # NaN fails that, too
    ink = np.array(pixels, float) / 255
    if not ink.max() > 1e-3:  # below half of one level, and safe from underflow
        raise DrawingError("the drawing is blank")
    return ink
