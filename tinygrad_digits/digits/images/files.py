"""Images from files, made to look like the ones the model was trained on.

.npy            (8, 8), (64,), (n, 8, 8) or (n, 64), pixels 0-1 or 0-16, light ink on dark
anything else   a picture in one of FORMATS, grey or colour, ink of either kind; not so large that
                it would take more than 64 MB
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import PIXELS, Array
from ..extras import extra

SIDE = 8
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Those whose decoders take no more memory than is reckoned with here."""
BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""That Pillow takes for a pixel; 4 in other modes."""
DECODER = {"WEBP": 12, "GIF": 8, "TIFF": 8, "progressive": 6}
"""Bytes for a pixel that a format's decoder takes besides; the others go row by row."""
MOST_BYTES = 49 * 10**6
"""Of a decoded picture: 12 megapixels in colour, which is what telephones take."""
MOST_PIXELS = 40 * 10**6
"""Of a picture that takes few bytes: half a second to decode."""
LONGEST = 768
"""Pixels along an edge, to which a larger picture is averaged down before its ink is sought."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a stored picture is to be turned."""
TURNED: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


class ImageError(ValueError):
    """A file that cannot be read as a digit; the message names the file."""


def read_images(path: Path) -> Array:
    """The images in a file: (n, 64) float64 in 0 ... 1, ink 1, paper 0.

    Raises ImageError, naming the file, where it is missing, damaged, empty or of another kind;
    MissingExtraError without Pillow.
    """
    try:
        if not path.is_file():
            raise ImageError("no such file")
        return _from_npy(path) if path.suffix == ".npy" else _from_picture(path)[np.newaxis]
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _from_npy(path: Path) -> Array:
    try:
        # mapped, so that a header that promises more than the file holds takes no memory
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"not a whole .npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ImageError("an image is an array of numbers")
    if not (array.shape[-2:] == (SIDE, SIDE) and array.ndim <= 3) and not (
        array.shape[-1:] == (PIXELS,) and array.ndim <= 2
    ):
        raise ImageError(f"needs shape (8, 8), (64,), (n, 8, 8) or (n, 64), got {array.shape}")
    images = array.reshape(-1, PIXELS).astype(float)
    if not len(images) or not np.isfinite(images).all():
        raise ImageError("needs one image or more, without NaN or infinity")
    low, high = images.min(), images.max()
    if low < 0 or high > 16:
        raise ImageError(f"pixels must be 0-1 or 0-16, got {low:g} ... {high:g}")
    return images / 16 if high > 1 else images


def _from_picture(path: Path) -> Array:
    """A picture of one digit: (64,).

    The paper is what the median of the border shows, and the ink what differs from it most; so
    dark on light and light on dark both work. A picture of another size than 8x8 is cropped to the
    ink and padded to a square, since the training images fill their height, then averaged down.
    """
    return fitted(_ink(_grey(path))).reshape(PIXELS)


def fitted(ink: Array) -> Array:
    """Ink of any size and place, (height, width) in 0 ... 1, as the model sees it: (8, 8).

    Scaled to 1 where it is darkest. What is 8x8 already is not cropped. There must be some ink.

    >>> drawing = np.zeros((40, 60))
    >>> drawing[4:20, 9:25] = 0.5
    >>> fitted(drawing).shape, float(fitted(drawing).min())
    ((8, 8), 1.0)
    """
    if ink.shape != (SIDE, SIDE):
        ink = _cropped(ink / ink.max())
    scaled: Array = ink / ink.max()
    return scaled


def _grey(path: Path) -> Array:
    """(height, width) floats, the right way up: luminance, with transparent parts as white paper.

    No edge is longer than LONGEST, and no pixel is decoded before the size is known.
    """
    with extra():
        from PIL import Image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we are stricter
            file = Image.open(path, formats=FORMATS)
        with file:
            _check_size(file)
            file.load()
            grey = np.concatenate([*_strips(file)])
            turn: Callable[[Array], Array] = TURNED.get(
                file.getexif().get(ORIENTATION, 1), np.asarray
            )
        return turn(grey)
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).partition(" '")[0]  # Pillow repeats the path
        raise ImageError(f"not a whole picture or .npy file ({reason})") from error


def _check_size(file: Any) -> None:
    """Raise ImageError for a picture that would take too much; a large JPEG is read in part."""
    pixels, size = math.prod(file.size), "{} x {}".format(*file.size)
    if max(file.size) > LONGEST:
        file.draft("L", (LONGEST, LONGEST))  # a JPEG at 1/2, 1/4 or 1/8 of its size
    kind = "progressive" if "progressive" in file.info else file.format
    needed = math.prod(file.size) * BYTES.get(file.mode, 4) + pixels * DECODER.get(kind, 0)
    if pixels > MOST_PIXELS or needed > MOST_BYTES or max(file.size) > 20 * LONGEST:
        raise ImageError(f"the picture is too large, {size} pixels: make it smaller, or crop it")


def _strips(file: Any) -> Iterator[Array]:
    """A picture from top to bottom, averaged down: (rows, width) floats of luminance each.

    Strip by strip, so that a large picture is not there a second time.
    """
    width, height = file.size
    by = -(-max(file.size) // LONGEST)
    rows = by * max(1, 2**18 // (by * width))
    for top in range(0, height, rows):
        strip = file.crop((0, top, width, min(height, top + rows)))
        yield _averaged(_luminance(strip), by)


def _luminance(picture: Any) -> Array:
    from PIL import Image

    if picture.mode[0] not in "IF":  # 16-bit grey would be cut off at 255 by the conversion
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA")).convert("L")
    return np.array(picture, float)


def _averaged(grey: Array, by: int) -> Array:
    """Means of squares of by x by pixels; at the far edges, of what is left.

    >>> _averaged(np.arange(6.0).reshape(2, 3), by=2)
    array([[2. , 3.5]])
    """
    if by == 1:
        return grey
    for axis in (0, 1):
        starts = np.arange(0, grey.shape[axis], by)
        counts = np.diff(starts, append=grey.shape[axis])
        grey = np.add.reduceat(grey, starts, axis) / np.expand_dims(counts, 1 - axis)
    return grey


def _ink(grey: Array) -> Array:
    """How far each pixel is from the paper, towards the ink: 0 ... 1."""
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    difference = grey - np.median(border)
    if difference.max() < -difference.min():
        difference = -difference
    difference = np.maximum(difference, 0)
    if not difference.max() > 0:
        raise ImageError("the picture is blank: all of it is of one brightness")
    scaled: Array = difference / difference.max()
    return scaled


def _cropped(ink: Array) -> Array:
    """Crop to the ink, pad to a square, average down to 8x8."""
    from PIL import Image

    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    spare = max(ink.shape) - np.array(ink.shape)
    ink = np.pad(ink, [(int(s) // 2, int(s) - int(s) // 2) for s in spare])
    picture = Image.fromarray(ink.astype(np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), float)
