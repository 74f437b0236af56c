"""Data of somebody's own, as a run's configuration names them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .dataset import DIGITS, SHAPE, Dataset
from .drawings import holds_drawings, load
from .sources import SourceError, read_source
from .stored import Source


@dataclasses.dataclass(frozen=True)
class OwnData:
    """Where they are, and what was there."""

    path: str
    label: str | None
    side: int | None
    images: int
    classes: tuple[str, ...] = DIGITS
    shape: tuple[int, ...] = SHAPE
    """Of one image: (height, width), or (features,)."""
    full: float = 1.0
    """What pixels were divided by."""
    joins: bool = False
    """Whether these are drawings that the page has kept: too few to train on alone, so that they
    join scikit-learn's digits."""

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> OwnData:
        """From what JSON made of one; TypeError, ValueError or KeyError where it is not one."""
        lists = {"classes": tuple(saved["classes"]), "shape": tuple(saved["shape"])}
        data = cls(**{**saved, **lists})
        data._check()
        return data

    def _check(self) -> None:
        if not all(type(text) is str for text in (self.path, *self.classes)):
            raise TypeError("its data have names that are not text")
        if not all(type(side) is int and side > 0 for side in (*self.shape, self.images)):
            raise TypeError(f"its data have the shape {self.shape}")
        if len(self.classes) < 2 or len(self.shape) not in (1, 2):
            raise ValueError(f"its data are {self.shape} of {len(self.classes)} classes")
        if not (isinstance(self.full, float | int) and self.full > 0):
            raise TypeError(f"its data go up to {self.full!r}")

    @property
    def pixels(self) -> int:
        """Of an image."""
        return math.prod(self.shape)

    @property
    def digits(self) -> bool:
        """Whether these are images like scikit-learn's: 8x8, of the digits 0 to 9."""
        return (self.shape, self.classes) == (SHAPE, DIGITS)


def open_data(
    path: Path, label: str | None = None, side: int | None = None
) -> tuple[OwnData, Source | Dataset]:
    """What is at a path, and how to name it; SourceError as `read_source` raises it."""
    where = str(path.resolve())
    if path.is_dir() and holds_drawings(path):
        try:
            drawn = load(path)
        except ValueError as error:
            raise SourceError(f"{path}: {error}") from error
        return OwnData(where, None, None, len(drawn.labels), joins=True), drawn
    source = read_source(path, label, side)
    own = OwnData(
        where, label, side, len(source.labels), source.classes,
        tuple(map(int, source.shape)), source.images.full,
    )  # fmt: skip
    return own, source
