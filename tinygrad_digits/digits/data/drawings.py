"""Drawings that the page has kept, because their readings were corrected: one folder a digit.

<folder>/<digit>/<name>.png     the 8x8 image, ink white on black
<folder>/<digit>/<name>.json    {"digit", "read", "image": [8][8], "strokes": lists of [x, y]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import CLASSES, PIXELS, Dataset


def holds_drawings(folder: Path) -> bool:
    """Whether a folder is one of drawings: any other folder of pictures has nothing beside them."""
    return any(folder.glob("[0-9]/*.json"))


def load(folder: Path) -> Dataset:
    """All that is kept in a folder, as (n, 64) images in 0 ... 1 and (n,) labels; n may be 0.

    Raises ValueError, naming the file, for one that is no drawing.
    """
    kept = list(_drawings(folder))
    images = np.array([image for image, _ in kept], float).reshape(-1, PIXELS)
    return Dataset(images, np.array([digit for _, digit in kept], np.int64))


def _drawings(folder: Path) -> Iterator[tuple[Any, int]]:
    for digit in range(CLASSES):
        for path in sorted((folder / str(digit)).glob("*.json")):
            try:
                drawn = json.loads(path.read_text(encoding="utf-8"))
                image, said = np.array(drawn["image"], float), drawn["digit"]
                if image.size != PIXELS or not 0 <= image.min() <= image.max() <= 1:
                    raise ValueError("its image is not 8x8 in 0 ... 1")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(f"{path} is damaged, or no drawing ({error})") from error
            if said != digit:
                raise ValueError(f"{path} says it is a {said}")
            yield image.ravel(), digit
