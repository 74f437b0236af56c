"""Synthetic digits: strokes in the ways people write them, drawn into bitmaps as pictures are.

way     : strokes, each the corners of a polygon that pulls a quadratic B-spline: (k, 2)
points  : where the pen goes, the corners moved, then all bent, leant and stretched: (n, POINTS, 2)
upright : straightened as `normalise` straightens a picture
bitmap  : as much ink as `normalise` leaves a picture, in the same box: (n, 32, 32) bools
image   : counted by the same blocks: (n, 64) floats in 0 ... 1

What `normalise` does to one picture in milliseconds is done here to thousands of digits at once,
whose pens are known; both give the same images but for a picture's pixels.
"""

from __future__ import annotations

import functools

import numpy as np

from ..extras import extra
from ..images.normalise import (
    BITMAP,
    EDGE,
    LEAST_INK,
    MOST_INK,
    count_blocks,
    stretch,
)
from .dataset import CLASSES, PIXELS, Array, Dataset
from .ways import HEIGHT, WAYS, Way

POINTS = 128
"""Of a digit: a pixel of the bitmap apart, or less."""
POOL = 8000
"""Synthetic digits that training draws from: a second and a half, once in a process."""
PEN = 0.03
"""A pen's radius, in heights of a digit, until its ink is weighed."""
REACH = 6
"""Pixels of a bitmap that a pen covers at most to each side."""
WEIGHINGS = 2
"""Which bring the ink to within a tenth of what it should be."""

MOVE, END = 0.035, 0.06
"""How far corners move, and those at strokes' ends: standard deviations, in heights."""
BEND, WAVES = 0.03, 1.2
"""How far a digit is bent in waves, and how many of them there are at most in a height."""
TAPER, SAG = 0.15, 0.05
"""How much narrower the head is than the foot, or wider; how far the waist is lowered or raised."""
TURN, LEAN, STRETCH = 0.1, 0.3, 0.25
"""Radians; tangents; powers of e by which it is wider. (All these are standard deviations.)"""


def synthesise(n: int, rng: np.random.Generator) -> Dataset:
    """So many synthetic digits, as many of each class as of another or one more, in mixed order.

    Raises MissingExtraError without SciPy.

    >>> digits = synthesise(20, np.random.default_rng(0))
    >>> digits.images.shape, np.bincount(digits.labels).tolist()
    ((20, 64), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    labels = rng.permutation(np.arange(n) % CLASSES)
    points = straighten(distort(trace(labels, rng), rng))
    bitmaps = draw(points, ink=rng.uniform(LEAST_INK, MOST_INK, n))
    return Dataset(count_blocks(bitmaps).reshape(n, PIXELS), labels)


@functools.cache
def load_pool(dtype: str, n: int = POOL, seed: int = 0) -> Dataset:
    """Synthetic digits, always the same: by default those that every training draws from."""
    images, labels = synthesise(n, np.random.default_rng(seed))
    return Dataset(images.astype(dtype), labels)


def add_synthetic(dataset: Dataset, rng: np.random.Generator, share: float) -> Dataset:
    """A dataset of 8x8 digits with synthetic ones after it, drawn by `rng`: so many for each.

    >>> zeros = Dataset(np.zeros((10, 64), np.float32), np.zeros(10, int))
    >>> add_synthetic(zeros, np.random.default_rng(0), share=0.5).images.shape
    (15, 64)
    """
    pool = load_pool(str(dataset.images.dtype))
    drawn = rng.integers(POOL, size=round(share * len(dataset.labels)))
    return Dataset(
        np.concatenate([dataset.images, pool.images[drawn]]),
        np.concatenate([dataset.labels, pool.labels[drawn]]),
    )


# --- where the pen goes


def trace(labels: Array, rng: np.random.Generator) -> Array:
    """Where a pen goes that writes these digits, each in a way of its own: (n, POINTS, 2)."""
    points = np.empty((len(labels), POINTS, 2))
    chosen = rng.random(len(labels))
    for digit, ways in WAYS.items():
        for number, way in enumerate(ways.values()):
            mine = (labels == digit) & (np.floor(chosen * len(ways)) == number)
            points[mine] = find_spline(way) @ move_corners(way, int(mine.sum()), rng)
    return points


def find_corners(way: Way) -> list[Array]:
    """Of each stroke: (k, 2), in heights of the sheet."""
    return [
        np.array([pair.split(",") for pair in stroke.split()], float) / HEIGHT for stroke in way
    ]


def move_corners(way: Way, n: int, rng: np.random.Generator) -> Array:
    """All its corners, n times elsewhere: (n, k, 2). What is there twice stays together."""
    strokes = find_corners(way)
    spread = np.concatenate([np.r_[END, np.full(len(s) - 2, MOVE), END] for s in strokes])
    at = np.concatenate(strokes)
    moves = rng.standard_normal((n, *at.shape)) * spread[:, np.newaxis]
    twice = np.flatnonzero((at[1:] == at[:-1]).all(axis=1))
    moves[:, twice + 1] = moves[:, twice]
    moved: Array = at + moves
    return moved


@functools.cache
def find_spline(way: Way) -> Array:
    """What each corner weighs in each point: (POINTS, k), rows that sum to 1."""
    strokes = find_corners(way)
    lengths = [np.linalg.norm(np.diff(at, axis=0), axis=1).sum() for at in strokes]
    ends = np.round(np.cumsum(lengths) / sum(lengths) * POINTS).astype(int)
    weights = np.zeros((POINTS, sum(map(len, strokes))))
    start = column = 0
    for at, end in zip(strokes, ends, strict=True):
        weights[start:end, column : column + len(at)] = weigh_corners(len(at), end - start)
        start, column = end, column + len(at)
    return weights


def weigh_corners(k: int, points: int) -> Array:
    """Of a quadratic B-spline from its first corner to its last: (points, k).

    >>> weigh_corners(3, 3)
    array([[1.  , 0.  , 0.  ],
           [0.25, 0.5 , 0.25],
           [0.  , 0.  , 1.  ]])
    """
    with extra():
        from scipy.interpolate import BSpline

    degree = min(2, k - 1)
    knots = np.r_[np.zeros(degree), np.linspace(0, 1, k - degree + 1), np.ones(degree)]
    weights: Array = BSpline.design_matrix(np.linspace(0, 1, points), knots, degree).toarray()
    return weights


def distort(points: Array, rng: np.random.Generator) -> Array:
    """Bend, taper, sag, turn, lean and stretch every digit in its own way: (n, m, 2) -> the same.

    >>> distort(np.zeros((3, 5, 2)), np.random.default_rng(0)).shape
    (3, 5, 2)
    """

    def draw_each(deviation: float) -> Array:
        return rng.normal(0, deviation, (len(points), 1)).clip(-2 * deviation, 2 * deviation)

    for _ in range(2):
        waves = rng.uniform(-WAVES, WAVES, (len(points), 1, 2)) * 2 * np.pi
        phases = (points * waves).sum(axis=2) + rng.uniform(0, 2 * np.pi, (len(points), 1))
        ways = np.stack([draw_each(BEND), draw_each(BEND)], axis=2)
        points = points + ways * np.sin(phases)[..., np.newaxis]
    x, y = np.moveaxis(points - points.mean(axis=1, keepdims=True), 2, 0)  # (n, m) each
    x = x * (1 + 2 * y * draw_each(TAPER))
    y = y + draw_each(SAG) * (1 - 4 * y * y)
    x = x * np.exp(draw_each(STRETCH)) - y * draw_each(LEAN)
    turn = draw_each(TURN)
    turned = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    return np.stack(turned, axis=2)


# --- as pictures are read


def straighten(points: Array) -> Array:
    """Shear digits until the left edge near the bottom is below that near the top: (n, m, 2).

    >>> leaning = np.linspace((30, 0), (0, 30), 100)[np.newaxis]
    >>> bool(np.ptp(straighten(leaning)[0, :, 0]) < 1)
    True
    """
    x, y = np.moveaxis(points, 2, 0)  # (n, m) each
    low, high = y.min(axis=1, keepdims=True), y.max(axis=1, keepdims=True)
    pen = PEN * (high - low)
    edge = (high - low + 2 * pen) * EDGE / BITMAP - pen
    top, bottom = low + edge, high - edge
    lean = (find_left(x, y, top, pen) - find_left(x, y, bottom, pen)) / (bottom - top)
    return np.stack([x + lean * (y - (low + high) / 2), y], axis=2)


def find_left(x: Array, y: Array, row: Array, pen: Array) -> Array:
    """Where a round pen along these points first touches a row: (n, m) each -> (n, 1)."""
    away = np.abs(y - row)
    near = away <= np.maximum(pen, away.min(axis=1, keepdims=True))
    left = np.where(near, x - np.sqrt(np.maximum(pen**2 - away**2, 0)), np.inf)
    first: Array = left.min(axis=1, keepdims=True)
    return first


def draw(points: Array, ink: Array) -> Array:
    """Bitmaps of digits, each with so many pixels of ink: (n, m, 2), (n,) -> (n, 32, 32) bools."""
    low, high = points.min(axis=1), points.max(axis=1)  # (n, 2)
    pen = PEN * (high - low).max(axis=1)
    for _ in range(1 + WEIGHINGS):
        size = high - low + 2 * pen[:, np.newaxis]
        scale = np.stack(stretch(*size.T), axis=1) / size
        placed = (points - ((low + high) / 2)[:, np.newaxis]) * scale[:, np.newaxis] + BITMAP / 2
        bitmaps = press(placed, pen[:, np.newaxis] * scale)
        pen = pen * (ink / bitmaps.sum(axis=(1, 2))) ** 1.2
    return bitmaps


def press(points: Array, radii: Array) -> Array:
    """What pens cover of bitmaps: (n, m, 2) points in pixels, (n, 2) radii -> (n, 32, 32) bools.

    >>> press(np.array([[(16.5, 16.5)]]), np.array([(1.2, 2.2)])).sum()
    np.int64(11)
    """
    radii = radii.clip(0.71, REACH)  # what is thinner than a pixel's diagonal would have gaps
    pixels = np.floor(points).astype(np.int32)
    across, down = np.moveaxis((points - pixels - 0.5).astype(np.float32), 2, 0)
    wide = BITMAP + 2 * REACH + 2
    pixels += REACH + 1
    first = np.arange(len(points), dtype=np.int32)[:, np.newaxis] * wide**2
    first = first + pixels[..., 1] * wide + pixels[..., 0]
    inked = np.zeros(len(points) * wide**2, bool)
    by_x, by_y = np.moveaxis((1 / radii).astype(np.float32)[:, np.newaxis], 2, 0)
    reach_x, reach_y = np.ceil(radii.max(axis=0)).astype(int)
    for y in range(-reach_y, reach_y + 1):
        beside = ((down - y) * by_y) ** 2
        for x in range(-reach_x, reach_x + 1):
            covered = ((across - x) * by_x) ** 2 + beside <= 1
            inked[(first + (y * wide + x))[covered]] = True
    inside = slice(REACH + 1, -REACH - 1)
    return inked.reshape(-1, wide, wide)[:, inside, inside]
