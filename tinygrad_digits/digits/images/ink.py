"""Where in a picture the ink is, whatever the light, the paper and the pen.

picture -> contrast  of each pixel with the paper around it, in the pen's own colour
        -> quiet     without specks and grain
        -> unruled   without the paper's lines
        -> ink       0 ... 1: 1 as dark as the pen, 1/2 at its edge
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data.dataset import Array
from ..extras import extra

with extra():
    from scipy import ndimage

PENS = (0.08, 0.16, 0.3)
"""Of a picture's smaller side: what a pen may be as thick as; the least that the ink fits in is
taken, as wider shadows are then none of it."""
SHEET = 0.4
"""Share of a picture that a sheet on a table covers at least; no light ink covers as much."""
SHADOW = 12
"""Pixels: shadows that fall on smaller pictures are wider than any pen."""
COARSE = 48
"""Pixels along an edge that are enough to see how the light falls."""
CONTRAST = 0.04
"""Of paper to ink, below which a picture is blank: cameras and JPEG make as much out of nothing."""
RULED = 40
"""Pixels along an edge, below which the paper has no lines."""
LINE = 0.045
"""Of a picture's side: how thick a line of the paper is at most."""
PARTS = 6
"""Into which a line is cut: it is one of the paper if it goes through all of them."""
LEAN = 0.09
"""Rows by which lines rise from column to column at most: five degrees."""


class Ink(NamedTuple):
    """What `find_ink` did, step by step, each (height, width) floats."""

    contrast: Array
    quiet: Array
    unruled: Array
    ink: Array


class BlankError(ValueError):
    """A picture without ink."""


def find_ink(picture: Array) -> Ink:
    """The ink in a picture, (height, width, channels) floats in 0 ... 1.

    Raises BlankError where nothing differs from the paper.

    >>> lamp = np.linspace(0.4, 1, 100)[:, np.newaxis, np.newaxis]  # at the bottom
    >>> picture = np.ones((100, 100, 1)) * lamp
    >>> picture[40:50, 20:80] *= 0.3
    >>> ink = find_ink(picture).ink
    >>> [round(float(ink[at]), 2) for at in ((44, 24), (44, 76), (80, 10))]
    [1.0, 1.0, 0.0]
    """
    channels = [flatten(channel) for channel in np.moveaxis(picture, -1, 0)]
    contrast = merge_colours(np.stack(channels, axis=-1))
    quiet = smooth(contrast)
    if quiet.max() < CONTRAST:
        raise BlankError("the picture is blank: all of it is of one brightness")
    if quiet.max() < measure_grain(contrast):  # a digit is twice that in the worst of light
        raise BlankError("there is no digit in the picture: all of it is noise")
    unruled = drop_lines(quiet)
    pen = np.median(unruled[unruled > unruled.max() / 2])
    return Ink(contrast, quiet, unruled, np.minimum(unruled / pen, 1))


# --- paper


def find_paper(picture: Array) -> tuple[slice, slice]:
    """Rows and columns of the sheet on a darker table, or of the whole picture.

    What is lighter than the border and covers much of the picture is no ink.

    >>> table = np.full((50, 60, 1), 0.3)
    >>> table[9:41, 5:55] = 0.9
    >>> find_paper(table)
    (slice(10, 40, None), slice(6, 54, None))
    """
    grey = ndimage.gaussian_filter(picture.mean(axis=-1), min(picture.shape[:2]) / 200)
    whole = slice(0, len(grey)), slice(0, grey.shape[1])
    light = grey > (grey.max() + grey.min()) / 2
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    if light.mean() < SHEET or border.mean() > 0.3:
        return whole
    labels, _ = ndimage.label(light)
    sheet = ndimage.binary_fill_holes(labels == np.bincount(labels[light]).argmax())
    outline = sheet & ~ndimage.binary_erosion(sheet, border_value=1)
    steep = ndimage.maximum_filter(grey, 5) - ndimage.minimum_filter(grey, 5)
    if not outline.any() or np.median(steep[outline]) < np.ptp(grey) / 3:
        return whole  # a lamp's light, which has no edge
    rows, columns = ndimage.find_objects(sheet.astype(int))[0]
    rim = 1 + min(rows.stop - rows.start, columns.stop - columns.start) // 50
    rows, columns = (
        slice(side.start + (side.start > 0) * rim, side.stop - (side.stop < full.stop) * rim)
        for side, full in zip((rows, columns), whole, strict=True)
    )
    return rows, columns


# --- light and colour


def flatten(channel: Array) -> Array:
    """How far each pixel is from the paper around it, as a share of the paper's brightness.

    The paper is the brightest thing near by (a closing, which fills what is narrower than a pen
    may be), or the darkest where the ink is light.
    """
    if ink_is_light(channel):
        channel = 1.1 - channel  # so that no paper is black, whose brightness would divide
    side = min(channel.shape)
    soft = ndimage.gaussian_filter(channel, side / 200)
    thick = compare_paper(channel, soft, PENS[-1])
    darkest = thick >= 0.8 * np.quantile(thick, 0.999)
    for pen in PENS[:-1]:
        if pen * side > SHADOW:
            contrast = compare_paper(channel, soft, pen)
            if (contrast[darkest] > 0.5 * thick[darkest]).mean() > 0.98:
                return contrast
    return thick


def compare_paper(channel: Array, soft: Array, pen: float) -> Array:
    """The contrast to the paper beside a pen of such a thickness, from a channel without grain."""
    reach = 3 + 2 * int(pen * min(channel.shape) / 2)
    paper = ndimage.grey_closing(soft, (reach, reach), mode="nearest")
    contrast: Array = np.maximum(paper - channel, 0) / np.maximum(paper, 0.05)
    return contrast


def ink_is_light(channel: Array) -> bool:
    """Whether what is not paper is brighter than it: on a board, in an inverted picture.

    The paper's light is a surface of second degree, fitted to the border at first and then to
    whatever is near it (by iteratively reweighted least squares, with Cauchy's weights).
    """
    by = -(-max(channel.shape) // COARSE)
    seen = ndimage.uniform_filter(channel, by, mode="nearest")[by // 2 :: by, by // 2 :: by]
    y, x = (np.linspace(-1, 1, n) for n in seen.shape)
    x, y = (axis.ravel() for axis in np.meshgrid(x, y))
    surface = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    weights = np.where(np.maximum(abs(x), abs(y)) > 0.85, 1.0, 0.05)
    for _ in range(10):
        weighted = surface * weights[:, np.newaxis]
        fitted = np.linalg.solve(weighted.T @ surface, weighted.T @ seen.ravel())
        rest = seen.ravel() - surface @ fitted
        scale = 2 * np.median(abs(rest)) + 0.01
        weights = 1 / (1 + (rest / scale) ** 2)
    return bool((rest**3).sum() > 0)


def merge_colours(contrasts: Array) -> Array:
    """Contrast in the direction of the pen's own colour: (height, width, channels) -> two axes.

    The pen's colour is that of the percent with most contrast; a blue line has little of a red
    pen's.
    """
    strength = np.linalg.norm(contrasts, axis=-1)
    strong = contrasts[strength >= np.quantile(strength, 0.99)].mean(axis=0)
    merged: Array = contrasts @ strong / max(float(strong @ strong) ** 0.5, 1e-9)
    return merged


# --- grain


def smooth(contrast: Array) -> Array:
    """Without specks of one pixel, and blurred by as much as the grain asks for.

    What all paper has of contrast is taken off.
    """
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    least, most = (
        extreme(contrast, footprint=around, mode="nearest")
        for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    calm = np.clip(contrast, least, most)  # a thin line has others of its kind beside it
    share = measure_grain(calm) / max(float(np.quantile(calm, 0.999)), 1e-9)
    blurred = ndimage.gaussian_filter(calm, min(8 * share, min(calm.shape) / 60))
    quiet: Array = np.maximum(blurred - np.median(blurred), 0)
    return quiet


def measure_grain(picture: Array) -> float:
    """The standard deviation of what differs from pixel to pixel.

    (J. Immerkaer, Fast noise variance estimation, 1996: this mask is blind to slopes and edges;
    here with the median, to which strokes do not count.)

    >>> grainy = np.random.default_rng(0).normal(0, 0.1, (100, 100))
    >>> round(measure_grain(grainy), 2)
    0.1
    """
    rough = ndimage.convolve(picture, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], mode="nearest")
    return float(np.median(abs(rough)) / 0.6745 / 6)


# --- lines


def drop_lines(quiet: Array) -> Array:
    """Without the lines that go across all of the paper, either way, or nearly so."""
    if min(quiet.shape) < RULED:
        return quiet
    for _ in range(2):
        steps = find_lean(quiet)
        quiet = roll_columns(drop_rows(roll_columns(quiet, steps)), -steps).T
    return quiet


def find_lean(quiet: Array) -> Array:
    """By how many rows to move each column for the paper's lines to be level."""
    every = -(-quiet.shape[1] // 64)  # 64 columns are enough to see it
    pale = np.minimum(quiet, 0.3 * quiet.max())[:, ::every]  # the pen does not count for more
    columns, columns_here = np.arange(quiet.shape[1]), np.arange(pale.shape[1]) * every
    best, most = 0.0, 1.1 * float(pale.mean(axis=1).var())  # level lines are likelier
    for lean in np.arange(-LEAN, LEAN, 1 / len(columns)):
        level = roll_columns(pale, np.round(lean * columns_here).astype(int))
        if (score := float(level.mean(axis=1).var())) > most:
            best, most = float(lean), score
    return np.round(best * columns).astype(int)


def roll_columns(picture: Array, steps: Array) -> Array:
    """Each column moved down by so many rows, around the edge."""
    height = len(picture)
    rows = (np.arange(height)[:, np.newaxis] - steps) % height
    return np.take_along_axis(picture, rows, axis=0)


def profile_lines(quiet: Array) -> Array:
    """How dark each row is throughout: the palest of its parts, each by its median."""
    parts = np.array_split(quiet, PARTS, axis=1)
    profile: Array = np.min([np.median(part, axis=1) for part in parts], axis=0)
    return profile


def drop_rows(quiet: Array) -> Array:
    """Without the dark rows.

    Where one is crossed by the pen, it stays: as dark as it is darker than the line, or as what is
    above and below.
    """
    profile = profile_lines(quiet)
    runs, _ = ndimage.label(profile > 0.1 * quiet.max())
    thickest = 2 + LINE * len(quiet)
    cleaned = quiet.copy()
    for (rows,) in ndimage.find_objects(runs):
        if rows.stop - rows.start > thickest:
            continue  # no line
        rows = slice(max(rows.start - 1, 0), rows.stop + 1)  # with its soft edge
        above, below = cleaned[max(rows.start - 1, 0)], quiet[min(rows.stop, len(quiet) - 1)]
        line = profile[rows, np.newaxis]
        darker = np.maximum(quiet[rows] - line, 0) / np.maximum(1 - line / quiet.max(), 0.3)
        cleaned[rows] = np.maximum(darker, np.minimum(above, below))
    return cleaned
