"""What each step made of a picture, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.dataset import Array
from ..extras import extra
from .reading import Stages

if TYPE_CHECKING:
    from PIL.Image import Image

FIRST, REST = 5, 4
"""Panels in a row for the picture, and in the others, two for each digit."""
PANEL, GAP, CAPTION = 240, 12, 20
"""Pixels: of a panel from edge to edge, between two, and for what is written above each."""
ROW = FIRST * (PANEL + GAP) - GAP
"""Pixels: of a row, which a line of digits has for itself."""


def explain(stages: Stages) -> dict[str, Array]:
    """The steps by name, each (height, width) or (height, width, 3) in 0 ... 1, ink high.

    >>> from .reading import read_digits
    >>> picture = np.ones((60, 60, 1))
    >>> picture[10:50, 28:33] = 0
    >>> [*explain(read_digits(picture))]
    ['picture', 'contrast', 'without grain', 'without lines', 'digits', '32 x 32', '8 x 8']
    """
    ink = stages.ink
    named = {
        "picture": stages.picture,
        "contrast": ink.contrast / max(float(ink.contrast.max()), 1e-9),
        "without grain": ink.quiet / float(ink.quiet.max()),
        "without lines": ink.unruled / float(ink.unruled.max()),
        "digits": outline(stages),
    }
    for number, digit in enumerate(stages.digits, 1):
        of = f" of digit {number}" if len(stages.digits) > 1 else ""
        named[f"32 x 32{of}"] = digit.bitmap.astype(float)
        named[f"8 x 8{of}"] = digit.image
    return named


def outline(stages: Stages) -> Array:
    """The ink in black on white with a frame around each digit: (height, width, 3)."""
    seen = np.repeat(1 - stages.ink.ink[..., np.newaxis], 3, axis=-1)
    for digit in stages.digits:
        top, bottom, left, right = digit.box
        for rows, columns in (
            (slice(top, bottom), [left, right - 1]),
            ([top, bottom - 1], slice(left, right)),
        ):
            seen[rows, columns] = (0.85, 0.1, 0.1)
    return seen


def draw_stages(stages: Stages) -> Image:
    """All steps in one picture, two panels for each digit below the picture's own.

    >>> from .reading import read_digits
    >>> picture = np.ones((60, 60, 1))
    >>> picture[10:50, 28:33] = 0
    >>> draw_stages(read_digits(picture)).size
    (1272, 556)
    """
    with extra():
        from PIL import Image, ImageDraw

    rows = [*_arrange(stages)]
    heights = [max(panel.height for _, panel in row) + CAPTION + GAP for row in rows]
    sheet = Image.new("RGB", (ROW + 2 * GAP, sum(heights) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for top, row in zip(itertools.accumulate(heights, initial=GAP), rows, strict=False):
        for column, (name, panel) in enumerate(row):
            left, right, below = column * (PANEL + GAP) + GAP, panel.width, panel.height
            pen.text((left, top), name, fill="black")
            sheet.paste(panel, (left, top + CAPTION))
            frame = (left - 1, top + CAPTION - 1, left + right, top + CAPTION + below)
            pen.rectangle(frame, outline="gray")
    return sheet


def _arrange(stages: Stages) -> Iterator[list[tuple[str, Any]]]:
    """Rows of panels with their names; those of a picture wider than two panels one by one."""
    panels = [(name, _make_panel(levels)) for name, levels in explain(stages).items()]
    picture, digits = panels[:FIRST], panels[FIRST:]
    at_once = 1 if max(panel.width for _, panel in picture) > PANEL else FIRST
    for some, most in ((picture, at_once), (digits, REST)):
        yield from (some[start : start + most] for start in range(0, len(some), most))


def _make_panel(levels: Array) -> Any:
    """An array as a picture that fits a panel, or a row if it is wide; small ones in squares."""
    from PIL import Image

    pixels = np.round(255 * np.clip(levels, 0, 1)).astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze() if pixels.ndim == 3 else pixels).convert("RGB")
    width, height = picture.size
    by = min((ROW if width > 2 * height else PANEL) / width, PANEL / height)
    size = [max(1, round(side * by)) for side in picture.size]
    return picture.resize(size, Image.Resampling.NEAREST if by > 1 else Image.Resampling.BOX)
