"""A drawing read by the model: the digit, how surely, and which pixels decided."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...compiler.api import jit
from ...engine.transforms import vjp
from ...looking.recording import record
from ...ops.losses import one_hot
from ...ops.softmax import softmax
from ..data.dataset import CLASSES, PIXELS, Array
from ..errors import RunError
from ..images.normalise import SIDE, fit_ink
from ..model import kinds
from ..model.familiarity import find_strange
from ..model.mlp import Params
from ..runs.familiar import Manner
from ..training.backends import AUTO, NATIVE, choose_backend

LARGEST = 64
"""Rows or columns of a drawing: eight for each pixel that the model sees."""


class DrawingError(ValueError):
    """Something that is not a drawing; the message says what a drawing is."""


class Reading(NamedTuple):
    """What the model makes of one drawing."""

    digit: int
    """The likeliest."""
    unlike: bool
    """Whether the drawing looks like no digit at all."""
    probabilities: Array
    """(10,), of sum 1."""
    image: Array
    """(8, 8) in 0 ... 1: the drawing as the model sees it."""
    saliency: Array
    """(8, 8): the gradient of the digit's logit with respect to the image."""
    occlusion: Array
    """(8, 8): by how much the digit's logit falls where a pixel's ink is taken away."""


def reader(params: Params, manner: Manner | None = None) -> Callable[[Array], Reading]:
    """A function from ink, as `ink_of` returns it, to its `Reading`; compiled here and now.

    Without a manner nothing is unlike a digit, and probabilities are as they come. Raises RunError
    where the parameters are not for 64 pixels and ten digits.

    >>> read = reader({"w0": np.eye(64)[:, :10], "b0": np.zeros(10)})
    >>> found = read(np.eye(8))
    >>> found.digit, int(found.saliency.argmax())
    (0, 0)
    """
    sizes = kinds.layer_sizes(params)
    if (sizes[0], sizes[-1]) != (PIXELS, CLASSES):
        raise RunError(f"a digit has {PIXELS} pixels and {CLASSES} classes, this model {sizes}")
    dtype = params["w0"].dtype
    temperature = np.ones((), dtype) if manner is None else np.array(manner.temperature, dtype)
    fit_ink(np.eye(2 * SIDE))  # so that the first stroke need not wait for SciPy
    explainer = Explainer(params, np.zeros((1, PIXELS), dtype), temperature)  # nor for a compiler

    def read(ink: Array) -> Reading:
        image = fit_ink(ink).astype(dtype)
        row = image.reshape(1, PIXELS)
        (probabilities,), *why = explainer(params, row, temperature)
        saliency, occlusion = (pixels.reshape(SIDE, SIDE) for pixels in why)
        known = manner.familiar if manner is not None else None
        unlike = known is not None and bool(find_strange(known, row, kinds.logits(params, row))[0])
        digit = int(probabilities.argmax())
        return Reading(digit, unlike, probabilities, image, saliency, occlusion)

    return read


class Explainer:
    """`explain`, compiled: by NumPy at once, and natively beside what goes on from there on.

    Natively, where llvmlite is installed, a call takes 71 us instead of 128; but compiling takes
    0.2 s, or 0.08 s from the cache, and NumPy's 0.04.
    """

    def __init__(self, *example: Any) -> None:
        self.compiled = jit(explain)
        self.compiled(*example)
        self.beside = threading.Thread(target=self._compile_natively, args=example)
        if choose_backend(AUTO) == NATIVE:
            self.beside.start()

    def __call__(self, *args: Any) -> tuple[Array, Array, Array]:
        return self.compiled(*args)

    def _compile_natively(self, *example: Any) -> None:
        native = jit(explain, backend=NATIVE)
        native(*example)
        self.compiled = native


def explain(params: Params, x: Array, temperature: Any = 1) -> tuple[Array, Array, Array]:
    """(n, 64) images -> (n, 10) probabilities, and (n, 64) twice: which pixels decide.

    First the gradients of the winning logits (Simonyan et al., Deep Inside Convolutional Networks,
    2013: the image-specific saliency, here with its sign): what a little more ink would do. Then by
    how much they fall without a pixel's ink (Zeiler & Fergus, Visualizing and Understanding
    Convolutional Networks, 2014: occlusion, here of one pixel): what the ink that is there does.

    >>> from tinygrad_digits.digits.model import mlp
    >>> probabilities, *why = explain(mlp.init_params(), np.zeros((2, 64)))
    >>> probabilities.shape, [pixels.shape for pixels in why]
    ((2, 10), [(2, 64), (2, 64)])
    """
    scores, pullback = vjp(lambda x: kinds.logits(params, x), x)
    winners = one_hot(np.argmax(scores, axis=1), classes=CLASSES).astype(scores.dtype)
    covered = x[:, None, :] * (1 - np.eye(PIXELS, dtype=x.dtype))  # (n, 64, 64): one pixel a row
    without = np.sum(kinds.logits(params, covered) * winners[:, None, :], axis=2)
    falls = np.sum(scores * winners, axis=1)[:, None] - without
    return softmax(scores / temperature), pullback(winners), falls


def draw_tape(params: Params, image: Array) -> str:
    """The tape of one reading as SVG: from the (8, 8) image to the logit of the digit that it is.

    >>> from tinygrad_digits.digits.model import mlp
    >>> draw_tape(mlp.init_params(), np.zeros((8, 8))).startswith("<svg")
    True
    """
    image = image.reshape(1, PIXELS)
    digit = int(kinds.logits(params, image)[0].argmax())
    return record(lambda image: kinds.logits(params, image)[0, digit], image).svg()


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


def digit_of(value: Any) -> int:
    """A decoded JSON value as a digit. Raises DrawingError where it is none."""
    if type(value) is not int or not 0 <= value < CLASSES:
        raise DrawingError("digit must be a whole number in 0 ... 9")
    return value


def strokes_of(value: Any) -> list[list[list[float]]]:
    """A decoded JSON value as strokes: lists of points [x, y] in 0 ... 1, of the drawing's square.

    Raises DrawingError where it is not.

    >>> strokes_of([[[0.1, 0.2], [0.3, 0.4]]])
    [[[0.1, 0.2], [0.3, 0.4]]]
    """
    if not isinstance(value, list) or not all(isinstance(stroke, list) for stroke in value):
        raise DrawingError("strokes must be a list of strokes, each a list of points")
    for point in (point for stroke in value for point in stroke):
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_share, point)):
            raise DrawingError("a point must be [x, y], numbers in 0 ... 1")
    return value


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1
