"""Saliency: which pixels speak for the class that the model sees in an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.primitive import Array
from ...engine.transforms import grad
from ...ops.losses import one_hot
from ...support.errors import ShapeError
from . import kinds
from .mlp import Params


def saliency(params: Params, images: Any) -> Array:
    """The gradient of the winning class's logit by the pixels: (n, 64) images -> (n, 64).

    Where it is positive, more ink would make the model surer of what it sees, where negative, less
    sure. (Simonyan et al., Deep Inside Convolutional Networks, 2014.) Any number of features will
    do; images of whole numbers count as floats. The gradient has the images' dtype.
    Raises ShapeError where images are not (n, features).

    >>> params = {"w0": np.array([[1.0, -2.0], [0.0, 3.0]]), "b0": np.zeros(2)}
    >>> saliency(params, [[1.0, 0.0], [0.0, 1.0]])
    array([[ 1.,  0.],
           [-2.,  3.]])
    """
    images = np.asarray(images)
    if images.dtype.kind != "f":
        images = images.astype(float)
    features, *_, classes = kinds.layer_sizes(params)
    if images.ndim != 2 or images.shape[1] != features:
        raise ShapeError(
            f"saliency needs images (n, {features}), got {images.shape}: "
            f"use images.reshape(-1, {features})"
        )
    wins = one_hot(np.argmax(kinds.logits(params, images), axis=-1), classes)  # (n, classes)
    # no row's logits depend on another's pixels, so the gradient of the sum is each one's own
    pixels: Array = grad(lambda x: np.sum(kinds.logits(params, x) * wins))(images)
    return pixels
