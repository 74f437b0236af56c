"""A digit's ink as the data set has it: a bitmap of 32x32, and how many of each 4x4 are ink.

mask  -> upright  its rows moved until its left edge stands upright
      -> pen      thickened or thinned to as much ink as the data set's digits have
      -> box      the ink's, stretched to 20 x 32 in the middle of a bitmap of 32 x 32
      -> counts   of ink in blocks of 4 x 4, in sixteenths

So were the images of scikit-learn's digits made (E. Alpaydin and C. Kaynak, Optical Recognition of
Handwritten Digits, UCI Machine Learning Repository, 1998: blocks of 4x4 of a bitmap of 32x32 are
counted), by what M. D. Garris et al. describe (NIST Form-Based Handprint Recognition System, NISTIR
5469, 1994): the box is stretched to 20 x 32 whatever its shape, the pen is thickened below 256
pixels of ink and thinned above 412, and the digit is sheared to stand upright. The data show it:
of 178 zeros 177 are six blocks wide, all digits reach the first and the last row, and 98 % have 251
to 397 pixels of ink.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..data.dataset import Array
from ..extras import extra

BITMAP, BLOCK = 32, 4
SIDE = BITMAP // BLOCK
"""Of an image, in pixels."""
WIDTH, HEIGHT = 20, 32
"""Of the box in the bitmap."""
LEAST_INK, MOST_INK = 285, 338
"""Pixels of a bitmap, between which the pen is left as it is: the middle half of the data set."""
MOST_STRETCH = 2.5
"""How much more a box is stretched one way than the other: a bar stays a bar. The data set has no
such limit, but its bars lean, so that their boxes are not as narrow as they are."""
EDGE = 2
"""Rows at the top and the bottom that do not count for how upright a digit is: NIST's reckoning."""
FINE = 64
"""Pixels along the longer edge of a digit that are enough to measure its pen by."""
MARGIN = 0.2
"""Share of a mask's size that its pen may grow by."""
COARSE = 96
"""Pixels along an edge that are enough to know how thick a pen must be."""


class Normal(NamedTuple):
    """A digit on its way to the model."""

    bitmap: Array
    """(32, 32) bools."""
    counts: Array
    """(8, 8) multiples of 1/16 in 0 ... 1."""


class Box(NamedTuple):
    """A rectangle of rows top ... bottom - 1 and columns left ... right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left


def normalise(ink: Array) -> Normal:
    """The ink of one digit as the data set has it: (height, width) bools or 0 ... 1, of any size.

    Raises ValueError where nothing is above 1/2; MissingExtraError without SciPy.

    >>> bar = np.zeros((60, 40), bool)
    >>> bar[5:55, 18:22] = True
    >>> normalise(bar).counts[4]
    array([0., 0., 0., 1., 1., 0., 0., 0.])
    """
    if not (ink > 0.5).any():
        raise ValueError("normalise needs some ink above 1/2, and there is none")
    if ink.dtype != bool and (image := shrink_blocks(ink)) is not None:
        return Normal(np.kron(image, np.ones((BLOCK, BLOCK))) > 0.5, image)
    depth = fit_pen(straighten(refine(ink)))
    if (depth > 0).any():
        bitmap = sample(depth, find_box(depth > 0))
    else:  # a blot that thinning the pen has eaten up
        bitmap = np.zeros((BITMAP, BITMAP), bool)
    return Normal(bitmap, count_blocks(bitmap))


def shrink_blocks(ink: Array) -> Array | None:
    """An image of the data set that was enlarged to squares of grey, as it was; None for others.

    >>> image = np.arange(64).reshape(8, 8) / 63
    >>> np.allclose(shrink_blocks(np.kron(image, np.ones((5, 5)))), image)
    True
    """
    top, bottom, left, right = find_box(ink > 0.03)
    ink = ink[top:bottom, left:right]
    by, rest = divmod(bottom - top, SIDE)
    wide = (right - left) // max(by, 1)
    if rest or by < 2 or wide > SIDE or wide * by != right - left:
        return None
    blocks = ink.reshape(SIDE, by, wide, by)
    if np.ptp(blocks, axis=(1, 3)).max() > 0.05 or not ((ink > 0.2) & (ink < 0.8)).any():
        return None  # a drawing
    image = np.zeros((SIDE, SIDE))
    first = (SIDE - wide + 1) // 2  # the data set's digits are rather to the right
    image[:, first : first + wide] = blocks.mean(axis=(1, 3))
    return image


def fit_ink(ink: Array) -> Array:
    """The ink of one digit, (height, width) in 0 ... 1, as the model sees it: (8, 8).

    What is 8x8 already is only scaled to 1 where it is darkest. There must be some ink.

    >>> drawing = np.zeros((40, 60))
    >>> drawing[4:20, 9:25] = 0.5
    >>> fit_ink(drawing).shape, float(fit_ink(drawing).max())
    ((8, 8), 1.0)
    """
    scaled: Array = ink / ink.max()
    return scaled if ink.shape == (SIDE, SIDE) else normalise(scaled).counts


def find_box(mask: Array) -> Box:
    """The smallest that holds all ink of a mask, of which there must be some.

    >>> find_box(np.eye(5, dtype=bool)[1:4])
    Box(top=0, bottom=3, left=1, right=4)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def refine(ink: Array) -> Array:
    """A mask of what is above 1/2, FINE pixels high or wide; greys say where between pixels.

    >>> refine(np.array([[0.0, 0.9, 0.2, 0.0]])).shape
    (192, 192)
    """
    top, bottom, left, right = find_box(ink > 0.5)
    ink = np.pad(ink, 1)[top : bottom + 2, left : right + 2]  # with the greys around it
    by = -(-FINE // (max(ink.shape) - 2))
    return enlarge(ink, by) > 0.5


def enlarge(picture: Array, by: int) -> Array:
    """(height, width) -> (by height, by width), linear between the pixels' middles.

    >>> enlarge(np.array([[0.0, 1.0]]), 2)
    array([[0.  , 0.25, 0.75, 1.  ],
           [0.  , 0.25, 0.75, 1.  ]])
    """
    if by == 1:
        return picture
    with extra():
        from scipy import ndimage

    larger: Array = ndimage.zoom(picture.astype(float), by, order=1, mode="nearest", grid_mode=True)
    return larger


def fit_pen(mask: Array) -> Array:
    """How deep in the ink each pixel is, > 0 where it is ink, of a pen that leaves enough of it.

    That is LEAST_INK ... MOST_INK in the bitmap. The mask is cropped, with some margin.

    >>> ring = np.pad(np.zeros((76, 50), bool), 2, constant_values=True)  # 80 x 54, of 2 pixels
    >>> round(count_ink(ring)), round(count_ink(fit_pen(ring) > 0))
    (77, 301)
    """
    with extra():
        from scipy import ndimage

    top, bottom, left, right = find_box(mask)
    mask = mask[top:bottom, left:right]
    mask = np.pad(mask, 1 + int(MARGIN * max(mask.shape)))
    ink = count_ink(mask)
    if ink < LEAST_INK:  # only what is outside the ink need be known
        depth = 0.5 - ndimage.distance_transform_edt(~mask)
        fitted: Array = depth + find_level(depth, LEAST_INK)
    elif ink > MOST_INK:
        depth = ndimage.distance_transform_edt(mask) - 0.5
        fitted = depth + find_level(depth, MOST_INK)
    else:
        fitted = mask - 0.5
    return fitted


def find_level(depth: Array, ink: float) -> float:
    """What to add to the depth that so many pixels of the bitmap be ink."""
    by = -(-max(depth.shape) // COARSE)
    depth = depth[::by, ::by]
    low, high = -float(depth.max()), -float(depth.min())
    for _ in range(10):  # to a thousandth of what is possible
        middle = (low + high) / 2
        if count_ink(depth + middle > 0) < ink:
            low = middle
        else:
            high = middle
    return high


def count_ink(mask: Array) -> float:
    """How many pixels of the bitmap a mask would fill."""
    if not mask.any():
        return 0.0
    box = find_box(mask)
    width, height = stretch(box.width, box.height)
    ink: float = np.count_nonzero(mask) * width / box.width * height / box.height
    return ink


def stretch(width: Any, height: Any) -> tuple[Any, Any]:
    """Width and height in the bitmap of a box, or of an array of them.

    >>> width, height = stretch(np.array([10, 4, 40]), np.array([10, 32, 4]))
    >>> width.tolist(), height.tolist()
    ([20.0, 10.0, 20.0], [32.0, 32.0, 5.0])
    """
    across, down = WIDTH / width, HEIGHT / height
    across, down = np.minimum(across, MOST_STRETCH * down), np.minimum(down, MOST_STRETCH * across)
    return width * across, height * down


def sample(depth: Array, box: Box) -> Array:
    """What is in a box, stretched, in the middle of the bitmap: (32, 32) bools."""
    from scipy import ndimage

    width, height = stretch(box.width, box.height)
    centres = np.arange(BITMAP) + 0.5 - BITMAP / 2
    rows = centres * box.height / height + (box.top + box.bottom - 1) / 2
    columns = centres * box.width / width + (box.left + box.right - 1) / 2
    at = np.meshgrid(rows, columns, indexing="ij")
    deep: Array = ndimage.map_coordinates(depth, at, order=1, mode="constant", cval=-np.inf)
    return deep > 0


def straighten(mask: Array) -> Array:
    """Rows moved sideways until the left edge near the bottom is below that near the top.

    >>> leaning = np.eye(32, dtype=bool)[::-1]
    >>> find_box(straighten(leaning)).width
    1
    """
    rows = np.flatnonzero(mask.any(axis=1))
    edge = round(EDGE / BITMAP * (rows[-1] + 1 - rows[0]))
    top, bottom = rows[0] + edge, rows[-1] - edge
    if bottom <= top or not (mask[top].any() and mask[bottom].any()):
        return mask
    lean = (mask[top].argmax() - mask[bottom].argmax()) / (bottom - top)
    moves = np.round((np.arange(len(mask)) - (top + bottom) // 2) * lean).astype(int)
    room = int(np.abs(moves).max())
    mask = np.pad(mask, ((0, 0), (room, room)))
    sources = np.arange(mask.shape[1]) - moves[:, np.newaxis]
    inside = (sources >= 0) & (sources < mask.shape[1])
    moved: Array = np.take_along_axis(mask, sources.clip(0, mask.shape[1] - 1), axis=1) & inside
    return moved


def count_blocks(bitmaps: Array) -> Array:
    """How much of each block is ink: (..., 32, 32) bools -> (..., 8, 8) multiples of 1/16.

    >>> count_blocks(np.eye(32, dtype=bool))[0, :2]
    array([0.25, 0.  ])
    """
    blocks = bitmaps.reshape(*bitmaps.shape[:-2], SIDE, BLOCK, SIDE, BLOCK)
    counts: Array = blocks.sum(axis=(-3, -1)) / BLOCK**2
    return counts
