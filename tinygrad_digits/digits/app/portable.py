"""The classifier of a run as a program that runs without this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...exporting.api import export
from ...ops.softmax import softmax
from ..data.dataset import DIGITS, Array
from ..model import kinds
from ..model.mlp import Params
from ..runs.familiar import Manner
from ..runs.store import SavedRun


def export_classifier(
    saved: SavedRun, manner: Manner | None, path: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write it to `path`, and return what has been written.

    A Python file takes images, (n, pixels), and a C function one of (pixels,). Raises
    FileExistsError for files that are somebody else's.
    """
    classify = make_classifier(saved.params, 1.0 if manner is None else manner.temperature)
    pixels, *_ = kinds.layer_sizes(saved.params)
    classify.__doc__ = _describe(pixels, saved.classes)
    image = np.zeros(pixels, _dtype_of(saved.params))
    if path.suffix == ".o":
        export(classify, image, path=path, overwrite=overwrite)
        return [path, path.with_suffix(".h")]
    export(classify, image[None], path=path, batch_argnames="images", overwrite=overwrite)
    return [path, path.with_suffix(".npz")]


def make_classifier(params: Params, temperature: float) -> Callable[[Array], Array]:
    """A function of images, (..., pixels) -> probabilities, (..., classes).

    >>> eye = {"w0": np.eye(64)[:, :10], "b0": np.zeros(10)}
    >>> make_classifier(eye, 1.0)(9 * np.eye(64)[3:4]).argmax()
    np.int64(3)
    """

    def classify(images: Array) -> Array:
        scores = kinds.logits(params, images)
        probabilities: Array = softmax(scores / temperature)
        return probabilities

    return classify


def _dtype_of(params: Params) -> np.dtype[np.floating]:
    dtype: np.dtype[np.floating] = next(iter(params.values())).dtype
    return dtype


def _describe(pixels: int, classes: tuple[str, ...]) -> str:
    side = round(pixels**0.5)
    size = f"{side}x{side}" if side * side == pixels else str(pixels)
    names = "the digits 0 ... 9" if classes == DIGITS else ", ".join(classes)
    return f"probabilities of {names} in images of {size} pixels,\nrow by row in 0 ... 1, ink high."
