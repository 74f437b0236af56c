"""Images from files, made to look like the ones the model was trained on.

.npy            (8, 8), (64,), (n, 8, 8) or (n, 64), pixels 0-1 or 0-16, light ink on dark
anything else   what Pillow reads (PNG, ...), grey or colour, of any size, ink of either kind
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .data import PIXELS, Array
from .extras import extra

SIDE = 8


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
        array = np.load(path, allow_pickle=False)
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
    """(height, width) floats: luminance, with transparent parts as white paper."""
    with extra():
        from PIL import Image
    try:
        with Image.open(path) as file:
            if file.mode[0] in "IF":  # 16-bit grey would be cut off at 255 by the conversion
                return np.array(file, float)
            paper = Image.new("RGBA", file.size, "white")
            return np.array(Image.alpha_composite(paper, file.convert("RGBA")).convert("L"), float)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).partition(" '")[0]  # Pillow repeats the path
        raise ImageError(f"not a whole picture or .npy file ({reason})") from error


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
