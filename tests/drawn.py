"""Digits drawn by six hands, in pictures of many kinds: what the classifier is measured on.

Nothing here is shared with what the classifier trains on: other hands (points that a pen passes
through, not the shapes in tinygrad_digits/digits/data/strokes.py), another renderer (Pillow's, with
pressure), other seeds.

hand    : digit -> ways of writing it; each is strokes; each is points (x, y), y down, 100 high
picture : ink on paper -> what a camera, a scanner or a drawing program makes of it
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import CubicSpline

SCHOOL = {
    0: [[(30, 2), (9, 22), (5, 58), (28, 98), (53, 66), (51, 26), (30, 2)]],
    1: [[(12, 28), (34, 3), (34, 3), (34, 98)]],
    2: [[(8, 25), (28, 3), (50, 22), (38, 52), (8, 97), (8, 97), (54, 97)]],
    3: [[(10, 16), (30, 3), (47, 22), (24, 46), (24, 46), (52, 70), (30, 98), (6, 84)]],
    4: [[(18, 4), (6, 62), (6, 62), (56, 60)], [(40, 32), (38, 98)]],
    5: [[(14, 4), (10, 44), (10, 44), (34, 38), (52, 66), (30, 97), (6, 88)], [(14, 4), (50, 5)]],
    6: [[(42, 3), (16, 40), (9, 74), (30, 98), (50, 76), (32, 54), (11, 70)]],
    7: [[(6, 5), (52, 5), (52, 5), (24, 98)]],
    8: [[(46, 18), (28, 3), (12, 22), (30, 46), (50, 74), (28, 98), (8, 76), (30, 46), (46, 18)]],
    9: [[(48, 22), (28, 4), (8, 28), (26, 50), (48, 26), (48, 26), (44, 98)]],
}
CONTINENTAL = {
    0: [[(36, 6), (14, 18), (6, 62), (24, 97), (44, 74), (50, 24), (34, 4), (24, 12)]],
    1: [[(2, 52), (38, 2), (38, 2), (36, 98)]],
    2: [[(8, 24), (30, 3), (46, 26), (28, 66), (8, 92), (8, 92), (22, 84), (38, 96), (56, 88)]],
    3: [[(8, 8), (30, 2), (46, 18), (24, 44), (24, 44), (50, 66), (34, 96), (4, 90)]],
    4: [[(30, 2), (4, 62), (4, 62), (56, 62)], [(38, 40), (32, 99)]],
    5: [[(16, 4), (12, 42), (12, 42), (40, 42), (48, 72), (28, 96), (4, 92)], [(16, 4), (54, 2)]],
    6: [[(46, 2), (20, 30), (8, 70), (24, 98), (46, 82), (38, 56), (10, 72)]],
    7: [[(4, 12), (10, 5), (54, 5), (54, 5), (34, 50), (22, 99)], [(14, 48), (50, 46)]],
    8: [[(48, 10), (28, 4), (14, 22), (44, 64), (34, 96), (8, 86), (22, 56), (46, 26), (48, 10)]],
    9: [[(46, 16), (26, 4), (8, 26), (22, 50), (46, 22), (46, 22), (44, 70), (28, 98), (6, 90)]],
}
ENGINEER = {
    0: [[(30, 2), (6, 30), (6, 70), (30, 98), (54, 70), (54, 30), (30, 2)], [(50, 12), (10, 90)]],
    1: [[(14, 22), (32, 4), (32, 4), (32, 97)], [(10, 97), (54, 97)]],
    2: [[(8, 22), (16, 6), (44, 6), (52, 24), (42, 50), (6, 96), (6, 96), (54, 96)]],
    3: [[(8, 4), (50, 4), (50, 4), (26, 40), (26, 40), (52, 60), (44, 92), (22, 98), (6, 86)]],
    4: [[(42, 98), (42, 3), (42, 3), (4, 68), (4, 68), (56, 68)]],
    5: [[(48, 4), (12, 4), (12, 4), (10, 42), (10, 42), (38, 38), (52, 66), (34, 96), (6, 90)]],
    6: [[(48, 8), (28, 4), (8, 36), (8, 72), (28, 98), (52, 78), (42, 50), (20, 48), (8, 68)]],
    7: [[(6, 18), (6, 4), (6, 4), (54, 4), (54, 4), (20, 98)]],
    8: [
        [(30, 3), (12, 24), (30, 46), (48, 24), (30, 3)],
        [(30, 46), (6, 72), (30, 98), (54, 72), (30, 46)],
    ],
    9: [[(52, 30), (30, 4), (8, 28), (28, 52), (52, 30), (52, 30), (50, 64), (36, 96), (12, 94)]],
}
HASTY = {
    0: [[(26, 8), (8, 28), (6, 66), (26, 96), (48, 72), (48, 34), (34, 10)]],
    1: [[(36, 3), (26, 97)]],
    2: [[(10, 20), (34, 4), (44, 30), (18, 82), (6, 92), (14, 78), (32, 92), (58, 96)]],
    3: [[(12, 8), (44, 8), (40, 26), (22, 42), (46, 56), (42, 88), (6, 96)]],
    4: [[(14, 6), (8, 50), (8, 50), (34, 52), (50, 42)], [(48, 8), (40, 98)]],
    5: [[(54, 6), (18, 8), (12, 42), (40, 50), (46, 76), (28, 96), (4, 90)]],
    6: [[(34, 2), (10, 54), (12, 88), (34, 96), (48, 74), (30, 64), (12, 84)]],
    7: [[(4, 10), (28, 8), (52, 6), (40, 40), (28, 98)]],
    8: [[(50, 8), (24, 6), (16, 28), (40, 56), (38, 92), (12, 94), (14, 70), (40, 36), (52, 14)]],
    9: [[(44, 10), (20, 12), (12, 36), (30, 44), (46, 14), (46, 14), (38, 60), (34, 98)]],
}
CHILD = {
    0: [[(38, 3), (8, 18), (2, 56), (26, 94), (60, 76), (66, 30), (38, 3)]],
    1: [[(30, 2), (30, 96)], [(10, 96), (52, 96)]],
    2: [[(6, 32), (14, 8), (44, 4), (52, 32), (32, 64), (4, 94), (4, 94), (60, 92)]],
    3: [[(6, 20), (26, 3), (50, 20), (24, 44), (24, 44), (58, 66), (36, 98), (4, 82)]],
    4: [[(10, 6), (8, 52), (8, 52), (62, 54)], [(50, 4), (50, 98)]],
    5: [[(12, 8), (12, 46), (12, 46), (44, 42), (58, 70), (34, 97), (4, 88)], [(12, 8), (56, 8)]],
    6: [[(30, 2), (8, 40), (4, 74), (30, 98), (58, 76), (36, 50), (6, 68)]],
    7: [[(2, 8), (58, 6), (58, 6), (30, 98)], [(18, 54), (56, 50)]],
    8: [
        [(32, 2), (8, 24), (32, 44), (56, 24), (32, 2)],
        [(30, 44), (2, 72), (32, 98), (62, 70), (30, 44)],
    ],
    9: [[(54, 24), (30, 2), (4, 26), (28, 54), (54, 24)], [(54, 8), (54, 98)]],
}
NARROW = {
    0: [[(22, 2), (8, 30), (10, 74), (22, 98), (36, 70), (36, 26), (22, 2)]],
    1: [[(14, 16), (26, 2), (26, 2), (24, 98)], [(14, 98), (36, 97)]],
    2: [[(6, 18), (20, 3), (38, 18), (30, 56), (4, 97), (4, 97), (40, 95)]],
    3: [[(8, 8), (26, 3), (36, 22), (18, 46), (18, 46), (40, 72), (22, 98), (4, 90)]],
    4: [[(26, 2), (2, 70), (2, 70), (44, 66)], [(30, 48), (28, 98)]],
    5: [[(40, 4), (12, 5), (12, 5), (10, 46), (10, 46), (34, 52), (34, 86), (4, 96)]],
    6: [[(30, 2), (10, 44), (8, 82), (22, 98), (38, 80), (26, 60), (10, 78)]],
    7: [[(4, 4), (40, 6), (40, 6), (16, 98)], [(10, 52), (36, 48)]],
    8: [[(34, 14), (20, 3), (8, 22), (34, 68), (22, 98), (6, 76), (34, 28), (34, 14)]],
    9: [[(36, 18), (20, 3), (6, 24), (18, 48), (34, 28), (36, 14), (36, 14), (32, 98)]],
}

Strokes = list[list[tuple[int, int]]]
HANDS: dict[str, dict[int, Strokes]] = {
    "school": SCHOOL,
    "continental": CONTINENTAL,
    "engineer": ENGINEER,
    "hasty": HASTY,
    "child": CHILD,
    "narrow": NARROW,
}
SLANTS = {"continental": 0.2, "hasty": 0.15, "narrow": 0.1}
"""How far to the right a hand leans: the tangent of the angle."""

SIDE = 200
"""Pixels of a picture from edge to edge, before a kind makes it larger or smaller."""
FINE = 4
"""A pen's edge is smooth by as many finer pixels each way."""


class Drawn(NamedTuple):
    """A picture, and the truth about it."""

    picture: Image.Image
    label: int
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the ink in the picture, as Pillow has them."""
    mask: np.ndarray
    """(height, width) bools: where the ink is."""


# --- ink


def trace(stroke: list[tuple[int, int]], rng: np.random.Generator) -> np.ndarray:
    """Where a pen goes that passes near these points: (n, 2). A doubled point is a corner."""
    at = np.array(stroke, float)
    corners = [i for i in range(1, len(at)) if (at[i] == at[i - 1]).all()]
    near = at + rng.normal(0, 1.6, at.shape)
    for i in corners:
        near[i] = near[i - 1]
    pieces = np.split(near, corners)
    return np.concatenate([_through(piece) for piece in pieces if len(piece) > 1])


def _through(points: np.ndarray) -> np.ndarray:
    """A smooth curve through points, by the length of its chords."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    places = np.concatenate([[0], np.cumsum(np.sqrt(lengths + 1e-9))])
    curve = CubicSpline(places, points) if len(points) > 2 else _line(places, points)
    return curve(np.linspace(0, places[-1], 20 * len(points)))


def _line(places: np.ndarray, points: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda at: np.stack([np.interp(at, places, column) for column in points.T], axis=1)


def draw_ink(
    hand: str, digit: int, rng: np.random.Generator, *, pen: float, height: float, place: float
) -> np.ndarray:
    """Ink, 0 ... 1: (SIDE, SIDE). Pen and height are shares of the height and of the picture.

    `place` is how far from the middle the digit may be: 1 reaches the picture's edges.
    """
    lines = [trace(stroke, rng) for stroke in HANDS[hand][digit]]
    slant = SLANTS.get(hand, 0) + rng.normal(0, 0.06)
    turn, wide = rng.normal(0, np.radians(4)), rng.uniform(0.85, 1.15)
    by = np.array([[wide * np.cos(turn), np.sin(turn)], [-slant - np.sin(turn), np.cos(turn)]])
    lines = [line @ by for line in lines]
    every = np.concatenate(lines)
    low, high = every.min(axis=0), every.max(axis=0)
    size = height * SIDE / (high - low).max()
    width = pen * height * SIDE
    spare = (SIDE - (high - low) * size) / 2 - width / 2 - 2
    middle = SIDE / 2 + rng.choice([-1, 1], 2) * rng.uniform(0.7, 1, 2) * place * spare
    lines = [(line - (low + high) / 2) * size + middle for line in lines]
    return _press(lines, width, rng)


def _press(lines: list[np.ndarray], width: float, rng: np.random.Generator) -> np.ndarray:
    """A pen along lines, pressed harder here than there."""
    picture = Image.new("L", (SIDE * FINE, SIDE * FINE), 0)
    pen = ImageDraw.Draw(picture)
    for line in lines:
        steps = max(2, int(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() * FINE))
        along = np.linspace(0, len(line) - 1, steps)
        x, y = (np.interp(along, np.arange(len(line)), column) * FINE for column in line.T)
        wave = rng.uniform(0, 0.2) * np.sin(
            along / len(line) * rng.uniform(2, 8) + rng.uniform(0, 6)
        )
        radii = width * FINE / 2 * (1 + wave)
        for left, top, r in zip(x, y, radii, strict=True):
            pen.ellipse((left - r, top - r, left + r, top + r), fill=255)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), float) / 255


# --- pictures


def _colour(rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    return rng.uniform(low, high, 3)


def _lay(ink: np.ndarray, pen: np.ndarray | float, paper: np.ndarray | float) -> np.ndarray:
    """Ink of one colour on paper of another: (height, width, 3) floats, 0 ... 255."""
    return ink[..., None] * pen + (1 - ink[..., None]) * (paper * np.ones(3))


def _picture(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).round().astype(np.uint8))


def _as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue()))


def black_on_white(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    return _picture(_lay(ink, rng.uniform(0, 40), rng.uniform(245, 255)))


def chalk(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Light on a dark board, and the board's grain in the chalk."""
    grain = ndimage.gaussian_filter(rng.normal(0, 1, ink.shape), 0.7)
    rubbed = ink * np.clip(0.9 + 0.5 * grain, 0, 1)
    return _picture(_lay(rubbed, rng.uniform(210, 250), _colour(rng, 15, 60)))


def coloured(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A pen of strong colour on tinted paper."""
    pen = rng.permutation([rng.uniform(0, 60), rng.uniform(0, 110), rng.uniform(130, 220)])
    return _picture(_lay(ink, pen, _colour(rng, 200, 255)))


def jpeg(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    return _as_jpeg(black_on_white(ink, rng), int(rng.integers(12, 30)))


def mnist(ink: np.ndarray, _rng: np.random.Generator) -> Image.Image:
    """28x28, light on black: 20 pixels high or wide, its centre of mass in the middle."""
    left, top, right, bottom = _box(ink)
    cropped = Image.fromarray(np.uint8(255 * ink[top:bottom, left:right]))
    by = 20 / max(cropped.size)
    small = cropped.resize(
        [max(1, round(side * by)) for side in cropped.size], Image.Resampling.BILINEAR
    )
    y, x = ndimage.center_of_mass(np.asarray(small))
    picture = Image.new("L", (28, 28), 0)
    spare = (28 - small.width, 28 - small.height)
    at = [int(np.clip(round(14 - c), 0, s)) for c, s in zip((x, y), spare, strict=True)]
    picture.paste(small, tuple(at))
    return picture


def ruled(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Blue lines, and often a red one down the margin."""
    paper = _lines(np.full((SIDE, SIDE, 3), 250.0), rng, axis=0)
    if rng.random() < 0.5:
        at = int(rng.uniform(0.03, 0.2) * SIDE)
        paper[:, at : at + 2] = (235, 120, 120)
    return _picture(_lay(ink, _colour(rng, 0, 70), paper))


def squared(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    paper, seed = np.full((SIDE, SIDE, 3), 250.0), int(rng.integers(2**32))
    for axis in (0, 1):  # alike both ways
        paper = _lines(paper, np.random.default_rng(seed), axis)
    return _picture(_lay(ink, _colour(rng, 0, 70), paper))


def _lines(paper: np.ndarray, rng: np.random.Generator, axis: int) -> np.ndarray:
    """Lines across the paper, thin and pale, as far apart as in exercise books."""
    apart, thick = int(rng.integers(18, 45)), int(rng.integers(1, 3))
    first, colour = int(rng.integers(apart)), rng.uniform((130, 150, 190), (190, 205, 235))
    paper = np.moveaxis(paper.copy(), axis, 0)
    for at in range(first, SIDE, apart):
        paper[at : at + thick] = colour
    return np.moveaxis(paper, 0, axis)


def uneven_light(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A lamp at one side: the paper is four times as bright here as there."""
    y, x = np.indices(ink.shape) / SIDE - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    slope = x * np.cos(turn) + y * np.sin(turn)
    light = np.exp(rng.uniform(0.6, 1.3) * slope - rng.uniform(0, 0.8) * (x * x + y * y))
    return _lit(ink, light / light.max(), rng)


def shadow(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A hand's or a telephone's, with a soft edge."""
    y, x = np.indices(ink.shape) / SIDE - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    depth = x * np.cos(turn) + y * np.sin(turn) + 0.08 * np.sin(5 * x + rng.uniform(0, 6))
    edge = 1 / (1 + np.exp(-(depth - rng.uniform(-0.2, 0.2)) / rng.uniform(0.01, 0.05)))
    return _lit(ink, 1 - rng.uniform(0.35, 0.6) * edge, rng)


def _lit(ink: np.ndarray, light: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Paper and pen under a light, taken by a camera that is not quite sharp or quiet."""
    seen = _lay(ink, _colour(rng, 20, 70), _colour(rng, 225, 250)) * light[..., None]
    soft = ndimage.gaussian_filter(seen, (0.8, 0.8, 0))
    return _picture(soft + rng.normal(0, 3, seen.shape))


def noisy(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Grain as of a telephone in the dark, and specks of dust."""
    seen = _lay(ink, rng.uniform(20, 60), rng.uniform(190, 230))
    seen = seen + rng.normal(0, rng.uniform(15, 28), (*ink.shape, 1))
    dust = rng.random(ink.shape) < 0.002
    seen[dust] = rng.uniform(0, 255, (int(dust.sum()), 1))
    return _picture(seen)


def photo(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Everything at once: light, grain and compression."""
    lit = np.asarray(uneven_light(ink, rng), float)
    return _as_jpeg(_picture(lit + rng.normal(0, 8, lit.shape)), 60)


def transparent(ink: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A drawing program's: ink on nothing."""
    levels = np.zeros((*ink.shape, 4))
    levels[..., :3], levels[..., 3] = _colour(rng, 0, 90), 255 * ink
    return _picture(levels)


class Kind(NamedTuple):
    """How a digit is drawn, and what becomes of it."""

    picture: Callable[[np.ndarray, np.random.Generator], Image.Image]
    pen: tuple[float, float] = (0.07, 0.11)
    height: tuple[float, float] = (0.5, 0.75)
    place: float = 0.3


KINDS = {
    "black on white": Kind(black_on_white),
    "inverted": Kind(chalk),
    "thin": Kind(black_on_white, pen=(0.02, 0.035)),
    "thick": Kind(black_on_white, pen=(0.16, 0.21)),
    "off-centre": Kind(black_on_white, height=(0.25, 0.4), place=1.0),
    "coloured": Kind(coloured),
    "JPEG": Kind(jpeg),
    "28x28": Kind(mnist),
    "transparent": Kind(transparent),
    "ruled": Kind(ruled),
    "squared": Kind(squared),
    "uneven light": Kind(uneven_light),
    "shadow": Kind(shadow),
    "noise": Kind(noisy),
    "photo": Kind(photo),
}
CLEAN = tuple(KINDS)[:9]
"""Those in which nothing but the digit can be taken for ink."""


def draw(hand: str, digit: int, kind: str, seed: int = 0) -> Drawn:
    """One digit of one hand in one kind of picture; the same seed draws the same.

    >>> drawn = draw("school", 7, "ruled")
    >>> drawn.picture.size, drawn.label, drawn.mask.shape
    ((200, 200), 7, (200, 200))
    """
    rng = np.random.default_rng([seed, digit, *map(_number, (hand, kind))])
    how = KINDS[kind]
    pen, height = rng.uniform(*how.pen), rng.uniform(*how.height)
    ink = draw_ink(hand, digit, rng, pen=pen, height=height, place=how.place)
    picture = how.picture(ink, rng)
    if kind == "28x28":
        ink = np.asarray(picture, float) / 255
    return Drawn(picture, digit, _box(ink), ink > 0.5)


def draw_all(kind: str, samples: int = 3, seed: int = 0) -> Iterator[Drawn]:
    """Every digit by every hand, so many times: 60 pictures each time."""
    for hand in HANDS:
        for digit in range(10):
            for sample in range(samples):
                yield draw(hand, digit, kind, seed + sample)


def _number(name: str) -> int:
    """The same in every process, which `hash` is not."""
    return zlib.crc32(name.encode())


def _box(ink: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
