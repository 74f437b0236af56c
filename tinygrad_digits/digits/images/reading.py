"""A picture read step by step: its ink, the digits in it, each as the model sees it."""

from __future__ import annotations

from typing import NamedTuple

from ..data.dataset import Array
from .ink import BlankError, Ink, find_ink
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
        """Where it is in the picture."""
        return self.segment.box


class Stages(NamedTuple):
    """What became of a picture."""

    picture: Array
    """(height, width, channels) in 0 ... 1."""
    ink: Ink
    digits: list[Digit]


def read_digits(picture: Array) -> Stages:
    """Find the digits in a picture, (height, width, channels) floats in 0 ... 1.

    They are in the order of reading. Raises BlankError where there is none.

    >>> import numpy as np
    >>> picture = np.ones((60, 120, 1))
    >>> picture[10:50, 30:36] = picture[12:48, 80:86] = 0
    >>> [digit.box.left for digit in read_digits(picture).digits]
    [30, 80]
    """
    ink = find_ink(picture)
    segments = find_segments(ink.ink)
    if not segments:
        raise BlankError("there is no digit in the picture: all of it is noise")
    digits = [Digit(segment, *normalise(segment.ink)) for segment in segments]
    return Stages(picture, ink, digits)
