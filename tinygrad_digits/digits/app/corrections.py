"""Readings that somebody has corrected, kept in a folder of his own.

One folder a class, as data/drawings.py reads them. Nothing leaves it.
"""

from __future__ import annotations

import io
import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from ...support.files import write_atomically
from ..data.dataset import Array
from ..extras import extra

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
    >>> from tinygrad_digits.digits.data import drawings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = keep(Path(folder), 3, np.eye(8), [], read=8)
    ...     drawings.load(Path(folder)).labels
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
