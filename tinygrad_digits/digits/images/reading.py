"""A picture read step by step: its ink, the digits in it, each as the model sees it."""

from __future__ import annotations

from typing import NamedTuple

from ..data.dataset import Array
from .ink import BlankError, Ink, find_ink, find_paper
from .normalise import Box, normalise
from .segments import Segment, find_segments


class Digit(NamedTuple):
    """One digit of a picture."""

    segment: Segment
    bitmap: Array
    """(32, 32) bools."""
    image: Array
    """(8, 8) in 0 ... 1."""

    @property
    def box(self) -> Box:
        """Where it is on the sheet."""
        return self.segment.box


class Stages(NamedTuple):
    """What became of a picture."""

    picture: Array
    """(height, width, channels) in 0 ... 1: the sheet of paper in it."""
    corner: tuple[int, int]
    """Of that sheet: its row and column in the whole picture."""
    ink: Ink
    digits: list[Digit]

    def find_boxes(self) -> list[Box]:
        """Where the digits are in the whole picture."""
        down, right = self.corner
        return [
            Box(top + down, bottom + down, left + right, end + right)
            for top, bottom, left, end in (digit.box for digit in self.digits)
        ]


def read_digits(picture: Array) -> Stages:
    """Find the digits in a picture, (height, width, channels) floats in 0 ... 1.

    They are in the order of reading. Raises BlankError where there is none.

    >>> import numpy as np
    >>> picture = np.ones((60, 120, 1))
    >>> picture[10:50, 30:36] = picture[12:48, 80:86] = 0
    >>> [box.left for box in read_digits(picture).find_boxes()]
    [30, 80]
    """
    rows, columns = find_paper(picture)
    picture = picture[rows, columns]
    ink = find_ink(picture)
    segments = find_segments(ink.ink)
    if not segments:
        raise BlankError("there is no digit in the picture: all of it is noise")
    digits = [Digit(segment, *normalise(segment.ink)) for segment in segments]
    return Stages(picture, (rows.start, columns.start), ink, digits)
