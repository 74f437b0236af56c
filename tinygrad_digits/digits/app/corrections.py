"""Readings that somebody has corrected, kept in a folder of his own.

    <folder>/<digit>/<name>.png     the 8x8 image, ink white on black
    <folder>/<digit>/<name>.json    {"digit", "read", "image": [8][8], "strokes": lists of [x, y]}

One folder a class, so that it is data like any other folder of pictures. Nothing leaves it.
"""

from __future__ import annotations

import io
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import CLASSES, PIXELS, Array, Dataset
from ..extras import extra
from ..runs.store import write_atomically

with extra():
    import typer
    from PIL import Image

FOLDER = "TINYGRAD_DIGITS_MINE"
"""The variable of the environment that names another folder."""
NAME = re.compile(r"[0-9a-f]{32}")


def own_folder() -> Path:
    """Where corrections are kept: $TINYGRAD_DIGITS_MINE, or among the user's own programs' data."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else Path(typer.get_app_dir("tinygrad-digits"), "mine")


def keep(folder: Path, digit: int, image: Array, strokes: Any, read: int) -> str:
    """Write a drawing's (8, 8) image in 0 ... 1 under its true digit; returns the drawing's name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = keep(Path(folder), 3, np.eye(8), [], read=8)
    ...     load(Path(folder)).labels
    array([3])
    """
    name = uuid.uuid4().hex
    here = folder / str(digit)
    here.mkdir(parents=True, exist_ok=True)
    drawn = {"digit": digit, "read": read, "image": np.asarray(image).tolist(), "strokes": strokes}
    picture = io.BytesIO()
    Image.fromarray(np.round(255 * np.asarray(image)).astype(np.uint8)).save(picture, "PNG")
    write_atomically(here / f"{name}.png", picture.getvalue())
    write_atomically(here / f"{name}.json", json.dumps(drawn).encode())
    return name


def forget(folder: Path, name: str) -> bool:
    """Delete a drawing by its name; whether it was there."""
    found = list(folder.glob(f"[0-9]/{name}.*")) if NAME.fullmatch(name) else []
    for path in found:
        path.unlink()
    return bool(found)


def load(folder: Path) -> Dataset:
    """All that is kept in a folder, as (n, 64) images and (n,) labels; n may be 0."""
    kept = list(_drawings(folder))
    images = np.array([drawn["image"] for drawn in kept], float).reshape(-1, PIXELS)
    return Dataset(images, np.array([drawn["digit"] for drawn in kept], int))


def _drawings(folder: Path) -> Iterator[dict[str, Any]]:
    for digit in range(CLASSES):
        for path in sorted((folder / str(digit)).glob("*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))
