"""The digits in a picture: whose ink is whose, and in which order they are read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data.dataset import Array
from ..extras import extra
from .normalise import SIDE, Box, find_box

with extra():
    from scipy import ndimage

SPECK = 0.2
"""Of the largest piece of ink, in its longer side: what is smaller is dirt."""
MOST_PIECES = 100
"""Of ink in a picture; more are noise, or a text."""
SMALL = 0.5
"""Of another piece's height: what is lower can be a part of its digit, a bar or a foot."""
NEAR = 0.12
"""Of a digit's height: how far from it a part of it may be, from side to side ..."""
ABOVE = 0.35
"""... and from top to bottom, if they are above each other."""
OVERLAP = 0.3
"""Of the narrower of two pieces, that has the other above or below it."""
SLENDER = 2.3
"""How many times as high as wide two pieces above each other may be to be one digit, an 8."""
WIDE = 1.5
"""How many times as wide as high a digit is at most; else it is several that touch."""
USUAL = 0.7
"""How wide a digit is, of its height."""
BRIDGE = 0.25
"""Of a digit's height: how much ink there may be where two touch, from top to bottom."""


class Segment(NamedTuple):
    """One digit's ink."""

    box: Box
    ink: Array
    """0 ... 1, of the box and some more; without the ink of other digits."""


def find_segments(ink: Array) -> list[Segment]:
    """The digits in ink of 0 ... 1, line by line and from left to right; none where it is noise.

    >>> ink = np.zeros((50, 90))
    >>> ink[10:40, 60:64] = ink[8:38, 20:24] = ink[25, 80] = 1
    >>> for segment in find_segments(ink):
    ...     print(segment.box)
    Box(top=8, bottom=38, left=20, right=24)
    Box(top=10, bottom=40, left=60, right=64)
    """
    labels, many = ndimage.label(ink > 0.5, np.ones((3, 3)))
    if not many > 0:
        return []
    boxes = {
        label: Box(rows.start, rows.stop, columns.start, columns.stop)
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1)
    }
    pieces = drop_specks(boxes)
    if len(pieces) > MOST_PIECES:
        return []
    groups = drop_marks(group_pieces(pieces))
    segments = [
        part for labelled in groups for part in split_touching(cut_out(ink, labels, labelled))
    ]
    return sort_segments(segments)


def drop_specks(boxes: dict[int, Box]) -> dict[int, Box]:
    """Those pieces that are large enough to be of a digit."""
    least = SPECK * max(max(box.height, box.width) for box in boxes.values())
    return {
        label: box for label, box in boxes.items() if max(box.height, box.width) >= max(least, 2)
    }


def group_pieces(pieces: dict[int, Box]) -> list[dict[int, Box]]:
    """Pieces of one digit together, as a bar and its 5; of the tallest first."""
    groups: list[dict[int, Box]] = []
    for label, box in sorted(pieces.items(), key=lambda item: -item[1].height):
        joined = {label: box}
        for group in [group for group in groups if belong(join(group), box)]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return groups


def join(group: dict[int, Box]) -> Box:
    """The box of several."""
    top, _, left, _ = np.min([*group.values()], axis=0)
    _, bottom, _, right = np.max([*group.values()], axis=0)
    return Box(int(top), int(bottom), int(left), int(right))


def belong(a: Box, b: Box) -> bool:
    """Whether two boxes are of one digit.

    >>> body, bar = Box(20, 60, 10, 40), Box(5, 8, 30, 55)
    >>> belong(body, bar), belong(body, Box(20, 60, 45, 75))
    (True, False)
    """
    tall = max(a.height, b.height)
    small = min(a.height, b.height) < SMALL * tall
    across = max(a.left, b.left) - min(a.right, b.right)  # negative where they overlap
    down = max(a.top, b.top) - min(a.bottom, b.bottom)
    if across < -OVERLAP * min(a.width, b.width):
        both = join({0: a, 1: b})
        return down < ABOVE * tall and (small or both.height < SLENDER * both.width)
    return small and down < 0 and across < NEAR * tall


def drop_marks(groups: list[dict[int, Box]]) -> list[dict[int, Box]]:
    """Without what is too low to be a digit beside the others: dots, commas, dashes."""
    tall = max(join(group).height for group in groups)
    return [group for group in groups if join(group).height >= SMALL * tall]


def cut_out(ink: Array, labels: Array, wanted: dict[int, Box]) -> Segment:
    """The ink of these pieces, with the greys around them."""
    box = join(wanted)
    around = 1 + max(box.height, box.width) // SIDE
    top, left = max(box.top - around, 0), max(box.left - around, 0)
    inside = np.s_[top : box.bottom + around, left : box.right + around]
    others = (labels[inside] > 0) & ~np.isin(labels[inside], [*wanted])
    return Segment(box, np.where(others, 0, ink[inside]))


def split_touching(segment: Segment) -> list[Segment]:
    """A segment that is too wide for a digit, cut where there is little ink from top to bottom."""
    box, inner = segment.box, find_box(segment.ink > 0.5)
    ink = segment.ink[:, inner.left : inner.right]
    many = round(box.width / (USUAL * box.height))
    if box.width < WIDE * box.height or many < 2:
        return [segment]
    depth = (ink > 0.5).sum(axis=0)
    cuts = [0]
    for part in range(1, many):
        middle, reach = part * box.width // many, box.width // many // 4
        near = depth[middle - reach : middle + reach + 1]
        least = np.flatnonzero(near == near.min())
        cut = middle - reach + int(least[len(least) // 2])
        if depth[cut] > BRIDGE * box.height:
            return [segment]
        cuts.append(cut)
    parts = []
    for left, right in zip(cuts, [*cuts[1:], box.width], strict=True):
        found = find_box(ink[:, left:right] > 0.5)
        top, start = box.top + found.top - inner.top, box.left + left + found.left
        place = Box(top, top + found.height, start, start + found.width)
        parts.append(Segment(place, ink[:, left:right]))
    return parts


def sort_segments(segments: list[Segment]) -> list[Segment]:
    """In the order of reading: lines from top to bottom, each from left to right."""
    lines: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda one: one.box.top + one.box.bottom):
        middle = (segment.box.top + segment.box.bottom) / 2
        if lines and any(other.box.top < middle < other.box.bottom for other in lines[-1]):
            lines[-1].append(segment)
        else:
            lines.append([segment])
    return [one for line in lines for one in sorted(line, key=lambda one: one.box.left)]
