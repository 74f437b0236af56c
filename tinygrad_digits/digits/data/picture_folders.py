"""Pictures by class: a folder for each class, and any pictures in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..extras import extra
from ..images.files import ImageError, read_grey, read_images
from .dataset import Array
from .stored import Source, make_source

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST = 64
"""Pixels along an edge, up to which pictures of one size are taken as they are."""


def read_folder(folder: Path, side: int | None = None) -> Source:
    """PATH/<class>/<picture>: grey in 0 ... 255, (side, side); see `read_source` for the size.

    Raises ValueError where there are no classes, no pictures, or one cannot be read.
    """
    paths = sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix.lower() in PICTURES and not path.name.startswith(".")
    )
    if not paths:
        raise ValueError("no pictures: there should be a folder for each class, <class>/<picture>")
    sizes = {_size(path) for path in paths}
    width, height = sizes.pop() if len(sizes) == 1 else (LARGEST + 1,) * 2
    read: Callable[[Path], Array] = _grey
    if side is not None or max(width, height) > LARGEST:
        width = height = side or 8
        read = _scale_to(side) if side else _digit
    stored = np.empty((len(paths), height, width), np.uint8)
    for row, path in enumerate(paths):
        stored[row] = read(path)
    return make_source(stored, [path.parent.name for path in paths], (height, width))


def _size(path: Path) -> tuple[int, int]:
    """(width, height), before any pixel is decoded."""
    with extra():
        from PIL import Image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decoded
            with Image.open(path) as file:
                width, height = file.size
                return width, height
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} is not a whole picture") from error


def _grey(path: Path) -> Array:
    try:
        return read_grey(path)
    except ImageError as error:
        raise ValueError(f"{path.parent.name}/{path.name} is not a whole picture") from error


def scale_to(grey: Array, height: int, width: int) -> Array:
    """A picture's pixels averaged, or repeated, to another size: uint8 (height, width)."""
    from PIL import Image

    if grey.shape == (height, width):
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BOX))


def _scale_to(side: int) -> Callable[[Path], Array]:
    return lambda path: scale_to(_grey(path), side, side)


def _digit(path: Path) -> Array:
    """A picture of one digit as the classifier of digits sees it."""
    image: Array = np.round(255 * read_images(path)[0].reshape(8, 8)).astype(np.uint8)
    return image
