"""Synthetic digits: strokes in the ways people write them, drawn into bitmaps and read as pictures.

way    : strokes, each the corners of a polygon that pulls a quadratic B-spline: (k, 2)
digit  : a way, its corners moved, bent, leant, turned and stretched at random
points : where the pen goes: (n, POINTS, 2), x and y, y down
mask   : where the pen was: (n, SIDE, SIDE) bools
image  : as `normalise` makes it of any picture's mask: (n, 64) floats in 0 ... 1
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np

from ..images.normalise import normalise
from .dataset import CLASSES, PIXELS, Array, Dataset

Stroke: TypeAlias = str
"""Corners "x,y x,y ..." on a sheet 20 wide and 30 high. A corner that is there twice is sharp; else
the pen goes through the middles of the polygon's sides, and rounds its corners."""
Way: TypeAlias = tuple[Stroke, ...]

WAYS: dict[int, dict[str, Way]] = {
    0: {
        "oval": ("12,0 3,0 0,10 1,24 8,31 17,29 20,18 19,4 12,0",),
        "circle": ("10,1 0,1 -1,15 0,30 10,30 20,30 21,15 20,1 10,1",),
        "open": ("11,2 3,1 0,12 2,30 11,31 20,27 20,10 15,1",),
        "hooked": ("15,5 9,-2 0,6 0,28 10,31 20,25 20,3 10,-1 5,5",),
        "slashed": ("10,0 0,1 -1,15 0,29 10,30 20,29 21,15 20,1 10,0", "18,1 2,29"),
        "from the right": ("16,4 12,-1 4,0 -1,12 2,30 14,31 21,18 18,2 14,1",),
    },
    1: {
        "bar": ("10,0 10,15 10,30",),
        "flag": ("3,8 10,0 10,0 10,15 10,30",),
        "long flag": ("0,14 6,8 13,0 13,0 12,15 12,30",),
        "flag and foot": ("4,7 10,0 10,0 10,30", "2,30 18,30"),
        "foot": ("10,0 10,30", "3,30 17,30"),
        "curved flag": ("2,9 8,6 11,-1 11,-1 11,15 11,30",),
        "hooked": ("10,0 9,14 9,27 11,31 14,29",),
    },
    2: {
        "straight base": ("1,8 3,-1 17,-2 20,8 14,18 0,30 0,30 20,30",),
        "loop": ("1,8 4,-1 17,-2 18,10 9,24 1,31 -1,26 5,24 11,29 20,29",),
        "round base": ("2,6 7,-2 18,0 17,11 8,22 1,30 1,30 9,27 13,31 21,27",),
        "z": ("1,3 10,0 18,1 18,1 10,16 1,29 1,29 20,29",),
        "swan": ("2,10 1,0 14,-2 20,6 17,17 6,24 1,30 1,30 10,30 20,29",),
        "tall": ("2,5 8,-2 17,1 16,10 12,19 4,30 4,30 18,30",),
        "long tail": ("2,7 6,-1 15,0 13,11 8,20 1,29 1,29 14,28 26,25",),
        "tick": ("1,5 6,-2 15,0 14,12 9,20 5,29 5,29 13,26 21,22",),
    },
    3: {
        "round": ("1,4 7,-2 19,0 19,12 7,14 7,14 20,15 21,29 9,32 0,26",),
        "flat": ("2,0 18,0 18,0 9,11 9,11 20,13 21,29 9,32 0,26",),
        "even": ("2,4 9,-3 20,2 17,13 10,14 10,14 20,17 20,29 8,33 0,27",),
        "sharp": ("2,1 12,0 18,3 13,11 5,14 5,14 16,15 20,22 14,30 0,30",),
        "loop": ("2,3 12,-3 20,4 14,13 7,15 8,12 17,14 21,25 12,32 0,28",),
        "small head": ("4,4 9,-2 16,1 14,11 8,12 8,12 19,13 22,27 10,32 1,27",),
        "long tail": ("5,4 11,-2 19,2 15,12 8,13 8,13 18,14 19,25 11,31 -2,31 -5,28",),
        "from afar": ("0,5 6,-2 17,-1 18,8 13,13 9,13 14,14 20,19 17,30 7,31 1,30",),
    },
    4: {
        "closed": ("15,30 15,0 15,0 0,20 0,20 20,20",),
        "open": ("4,0 3,8 1,17 1,17 19,17", "15,5 14,30"),
        "leaning": ("9,0 5,9 0,19 0,19 20,18", "13,11 11,30"),
        "chair": ("2,0 2,15 2,15 17,15", "17,0 17,30"),
        "cup": ("2,1 1,12 4,17 12,17 18,13", "17,0 16,14 15,30"),
        "one stroke": ("3,1 1,11 3,18 12,17 17,10 18,1 18,1 16,14 14,30",),
        "closed, short": ("13,0 0,17 0,17 20,17", "13,0 13,30"),
        "loop": ("13,30 15,10 15,0 15,0 6,12 0,20 7,21 20,19",),
        "closed, low bar": ("14,0 0,21 0,21 18,23", "14,0 12,30"),
        "sharp": ("16,0 2,18 2,18 19,17", "12,9 10,30"),
    },
    5: {
        "separate bar": ("4,0 3,13 3,13 10,9 20,14 19,28 9,32 0,27", "4,0 19,0"),
        "one stroke": ("18,0 4,0 4,0 3,13 3,13 11,9 21,14 19,29 8,32 0,27",),
        "s": ("19,1 9,-1 2,3 3,12 13,13 20,19 17,30 7,31 0,28",),
        "flat": ("18,1 3,1 3,1 3,14 3,14 13,13 20,17 20,29 10,31 1,29",),
        "large belly": ("6,1 3,11 3,11 14,5 23,15 19,31 7,32 0,27", "6,1 18,0"),
        "loose bar": ("5,3 4,13 4,13 12,11 19,16 17,29 7,31 1,28", "7,0 20,-1"),
    },
    6: {
        "curved": ("16,0 7,4 0,17 1,29 10,32 20,28 19,17 9,14 1,22",),
        "straight": ("14,0 7,8 1,20 2,30 11,32 20,27 18,17 8,15 1,23",),
        "hooked": ("19,5 15,-2 4,1 -1,16 1,30 11,32 20,28 19,16 9,13 1,20",),
        "small loop": ("10,0 4,10 1,22 3,30 11,31 17,27 15,20 8,19 2,26",),
        "large loop": ("13,0 3,5 -1,19 3,31 15,32 22,23 18,11 6,11 0,20",),
        "stem": ("4,0 2,12 1,25 5,31 14,31 20,25 16,17 8,17 2,24",),
        "b": ("4,0 2,10 2,24 4,30 12,31 19,27 17,18 9,15 3,27",),
        "wide loop": ("6,1 2,8 -1,21 4,31 14,31 24,24 19,13 10,15 3,27",),
        "rolled": ("18,2 8,1 0,12 0,28 10,33 20,26 15,15 5,18 7,26 13,26",),
    },
    7: {
        "plain": ("1,1 18,1 18,1 12,15 8,30",),
        "crossed": ("1,1 18,1 18,1 12,15 8,30", "4,15 17,14"),
        "serif": ("1,6 1,1 1,1 19,1 19,1 12,14 8,30",),
        "serif, crossed": ("1,5 2,0 2,0 19,1 19,1 13,12 7,30", "4,16 17,14"),
        "curved": ("0,4 6,-1 12,4 19,0 19,0 13,11 10,20 9,30",),
        "round": ("1,3 9,0 18,-1 19,4 13,15 10,30",),
        "curved, crossed": ("0,5 4,0 12,3 19,0 19,0 12,15 9,30", "5,17 18,13"),
        "upright": ("2,1 17,1 17,1 16,15 15,30",),
        "short bar": ("4,2 16,0 16,0 14,15 8,30",),
    },
    8: {
        "s first": ("17,5 14,-2 3,-1 2,10 17,17 20,30 10,32 0,30 3,17 17,11 17,5",),
        "slanted": ("19,4 15,-2 7,0 5,10 14,19 15,29 7,32 0,28 3,20 15,10 20,5 18,1",),
        "two circles": (
            "10,0 3,0 2,7 3,14 10,14 17,14 18,7 17,0 10,0",
            "10,14 1,14 0,22 1,31 10,31 19,31 20,22 19,14 10,14",
        ),
        "from the middle": ("10,14 1,9 4,-2 15,-2 19,9 3,17 0,30 10,33 20,30 17,17 10,14",),
        "open": ("18,4 12,-2 3,0 3,11 16,17 19,29 9,33 1,28 4,18 14,11 17,7",),
        "small head": ("14,5 12,-1 5,0 5,9 17,15 21,29 10,33 0,29 3,16 14,10 14,5",),
        "narrow": ("14,4 11,-2 6,2 8,12 14,22 12,31 6,31 5,23 11,13 15,6 13,1",),
    },
    9: {
        "straight": ("18,6 12,-2 2,0 0,12 6,18 16,14 18,3 18,3 18,16 17,30",),
        "curled": ("18,6 13,-2 2,0 0,12 6,18 16,14 18,3 18,3 20,18 17,32 8,31 2,27",),
        "leaning": ("19,4 12,-2 2,2 1,13 8,17 17,11 19,3 19,3 14,16 9,30",),
        "circle and bar": ("16,8 15,0 6,-1 0,3 0,13 7,18 16,15 16,8", "17,1 17,30"),
        "one stroke": ("17,9 17,0 8,-2 0,3 0,14 8,18 17,13 18,6 18,16 14,30",),
        "hooked": ("18,9 16,-1 5,-2 -1,8 4,18 15,17 19,8 20,20 15,31 5,31",),
        "small head": ("14,5 10,-1 3,1 2,9 7,13 13,9 15,2 15,2 15,15 13,30",),
        "g": ("16,4 10,-2 1,1 1,11 8,16 16,11 17,2 17,2 17,16 17,31 6,32 1,26",),
        "leaning stem": ("15,5 10,-2 1,1 0,11 6,15 14,11 17,3 17,3 14,15 6,30",),
    },
}
"""Digit -> name -> way."""

POINTS = 160
"""Of a digit: less than half a pixel apart."""
SIDE = 40
"""Pixels of a mask from edge to edge, before it is read as any picture's is."""


def synthesise(n: int, rng: np.random.Generator) -> Dataset:
    """So many synthetic digits, as many of each class as of another or one more, in mixed order.

    >>> digits = synthesise(20, np.random.default_rng(0))
    >>> digits.images.shape, np.bincount(digits.labels)
    ((20, 64), array([2, 2, 2, 2, 2, 2, 2, 2, 2, 2]))
    """
    labels = rng.permutation(np.arange(n) % CLASSES)
    masks = draw_masks(trace(labels, rng), rng)
    images = np.empty((n, PIXELS))
    for image, mask in zip(images, masks, strict=True):
        image[:] = normalise(mask).counts.ravel()
    return Dataset(images, labels)


def trace(labels: Array, rng: np.random.Generator) -> Array:
    """Where a pen goes that writes these digits, each in its own way: (n, POINTS, 2)."""
    points = np.empty((len(labels), POINTS, 2))
    for digit, ways in WAYS.items():
        chosen = np.where(labels == digit, rng.integers(len(ways), size=len(labels)), -1)
        for number, way in enumerate(ways.values()):
            mine = chosen == number
            points[mine] = spline(way) @ move(way, int(mine.sum()), rng)
    return distort(points, rng)


@functools.cache
def corners(way: Way) -> Array:
    """Of all its strokes: (k, 2), in sheets of height 1."""
    each = [pair.split(",") for stroke in way for pair in stroke.split()]
    return np.array(each, float) / 30


def move(way: Way, n: int, rng: np.random.Generator) -> Array:
    """Its corners, n times elsewhere: (n, k, 2); what is twice in one place stays so."""
    at, ends = corners(way), np.cumsum([0, *(len(stroke.split()) for stroke in way)])
    spread = np.full((len(at), 1), MOVE)
    spread[[*ends[:-1], *(ends[1:] - 1)]] = END
    moves = rng.normal(0, 1, (n, *at.shape)) * spread
    for i in range(1, len(at)):
        if (at[i] == at[i - 1]).all():
            moves[:, i] = moves[:, i - 1]
    return at + moves


MOVE = 0.03
END = 0.03
TAPER, SAG = 0.0, 0.0


@functools.cache
def spline(way: Way) -> Array:
    """What weight each corner has in each point: (POINTS, k), rows that sum to 1."""
    counts = [len(stroke.split()) for stroke in way]
    starts = np.cumsum([0, *counts])
    lengths = [
        np.linalg.norm(np.diff(corners(way)[a : a + k], axis=0), axis=1).sum()
        for a, k in zip(starts, counts, strict=False)
    ]
    shares = np.round(np.cumsum([0, *lengths]) / sum(lengths) * POINTS).astype(int)
    weights = np.zeros((POINTS, starts[-1]))
    for i, k in enumerate(counts):
        rows, columns = slice(*shares[i : i + 2]), slice(*starts[i : i + 2])
        weights[rows, columns] = quadratic(k, shares[i + 1] - shares[i])
    return weights


def quadratic(k: int, points: int) -> Array:
    """A quadratic B-spline's weights of k corners, from the first to the last: (points, k)."""
    knots = np.concatenate([[0, 0], np.linspace(0, 1, k - 1), [1, 1]]) if k > 2 else None
    at = np.linspace(0, 1, points)
    if knots is None:
        return np.stack([1 - at, at], axis=1)
    from scipy.interpolate import BSpline

    return BSpline.design_matrix(at, knots, 2).toarray()


def distort(points: Array, rng: np.random.Generator) -> Array:
    """Bend, lean, turn and stretch every digit in its own way: (n, POINTS, 2) -> the same."""
    n = len(points)
    for _ in range(2):
        wave = rng.uniform(-1, 1, (n, 1, 2)) * BEND_FREQ * 2 * np.pi
        phase = (points * wave).sum(axis=2, keepdims=True) + rng.uniform(0, 2 * np.pi, (n, 1, 1))
        points = points + rng.normal(0, BEND, (n, 1, 2)) * np.sin(phase)
    x, y = points[..., 0], points[..., 1]
    down = 2 * y - 1
    x = (x - x.mean(1, keepdims=True)) * (1 + rng.normal(0, TAPER, (n, 1)).clip(-.6, .6) * down)
    y = y + rng.normal(0, SAG, (n, 1)).clip(-.2, .2) * (1 - down * down)
    points = np.stack([x, y], 2)
    angle, lean = rng.normal(0, TURN, n), rng.normal(0, LEAN, n)
    wide = np.exp(rng.normal(0, STRETCH, n))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[wide, np.zeros(n)], [-lean, np.ones(n)]])
    return points @ np.einsum("ijn,jkn->nik", shear, turn)


BEND, BEND_FREQ = 0.03, 1.2
TURN, LEAN, STRETCH = 0.1, 0.25, 0.2
PEN = 0.8, 3.2


def draw_masks(points: Array, rng: np.random.Generator) -> Array:
    """What a round pen leaves, as large as fits: (n, POINTS, 2) -> (n, SIDE, SIDE) bools."""
    n, radii = len(points), rng.uniform(*PEN, (len(points), 1))
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    size = (SIDE - 1 - 2 * np.ceil(PEN[1])) / (high - low).max(axis=2, keepdims=True)
    points = (points - (low + high) / 2) * size + SIDE / 2
    whole = np.floor(points).astype(np.int32)
    across, down = np.moveaxis((points - whole - 0.5).astype(np.float32), 2, 0)
    base = np.arange(n, dtype=np.int32)[:, None] * SIDE * SIDE + whole[..., 1] * SIDE + whole[..., 0]
    masks, reach = np.zeros(n * SIDE * SIDE, bool), int(np.ceil(PEN[1]))
    squares = (radii**2).astype(np.float32)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if x * x + y * y < (PEN[1] + 1) ** 2:
                inked = (across - x) ** 2 + (down - y) ** 2 <= squares
                masks[(base + (y * SIDE + x))[inked]] = True
    return masks.reshape(n, SIDE, SIDE)
