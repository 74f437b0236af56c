"""Images from files, made to look like the ones the model was trained on.

.npy            (8, 8), (64,), (n, 8, 8) or (n, 64), pixels 0-1 or 0-16, light ink on dark; or
                (28, 28), (n, 28, 28) or (n, 784), pixels 0-1 or 0-255, as MNIST has them
anything else   a picture in one of FORMATS, grey or colour, ink of either kind, of one digit or of
                several; not so large that it would take more than 64 MB
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..data.dataset import PIXELS, Array
from ..extras import extra
from . import webp
from .averaging import average
from .normalise import SIDE, Extent, fit_ink

if TYPE_CHECKING:
    from .reading import Stages

MNIST_SIDE = 28
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
"""Those whose decoders take no more memory than is reckoned with here; HEIF is HEIC's, too."""
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
"""That follow "ftyp" in the head of a file, as ISO/IEC 23008-12 has it."""
BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""That Pillow takes for a pixel; 4 in other modes."""
DECODER = {"WEBP": 12, "AVIF": 12, "HEIF": 12, "GIF": 8}
"""Bytes for a pixel that a format's decoder takes besides; the others go row by row, or are below.
So 12 megapixels are too many in HEIF and AVIF, which decode to colour differences, then to colours,
all of the picture at once: 100 MB and more with Pillow's own.
"""
ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH, BITS, SAMPLES = 278, 322, 323, 258, 277
"""Tags of TIFF: how much of a picture is decoded at once."""
MOST_BYTES = 49 * 10**6
"""Of a decoded picture: 12 megapixels in colour, which is what telephones take."""
MOST_PIXELS = 40 * 10**6
"""Of a picture that takes few bytes: half a second to decode."""
LONGEST = 512
"""Pixels along an edge, to which a larger picture is averaged down before its ink is sought."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a stored picture is to be turned."""
TURNED: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}


class ImageError(ValueError):
    """A file that cannot be read as a digit; the message names the file."""


class Images(NamedTuple):
    """What a file holds."""

    images: Array
    """(n, 64) float64 in 0 ... 1, ink 1, paper 0."""
    boxes: list[Extent] | None = None
    """Of a picture's digits: where they are, in the file's pixels."""
    stages: Stages | None = None
    """Of a picture larger than the model's images: what became of it."""


def read_images(path: Path) -> Array:
    """The images in a file: (n, 64) float64 in 0 ... 1, ink 1, paper 0.

    Raises ImageError, naming the file, where it is missing, damaged, empty or of another kind;
    MissingExtraError without Pillow or SciPy.
    """
    return read_file(path).images


def read_file(path: Path) -> Images:
    """As `read_images`, with where they are in a picture, and how they were found."""
    try:
        if not path.is_file():
            raise ImageError("no such file")
        return Images(_read_npy(path)) if path.suffix == ".npy" else _read_picture(path)
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from error


def read_grey(path: Path) -> Array:
    """A picture as it is: (height, width) uint8, the brighter the higher; errors as above.

    One larger than LONGEST is averaged down.
    """
    from PIL import Image

    levels = np.round(255 * _load_levels(path)[0]).astype(np.uint8)  # (height, width, 1 or 3)
    if levels.shape[2] == 1:
        return levels[..., 0]
    return np.asarray(Image.fromarray(levels).convert("L"))


# --- arrays


def _read_npy(path: Path) -> Array:
    try:
        # mapped, so that a header that promises more than the file holds takes no memory
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"not a whole .npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ImageError("an image is an array of numbers")
    side = _find_side(array.shape)
    images = array.reshape(-1, side, side).astype(float)
    if not len(images) or not np.isfinite(images).all():
        raise ImageError("needs one image or more, without NaN or infinity")
    most = 16 if side == SIDE else 255
    low, high = images.min(), images.max()
    if low < 0 or high > most:
        raise ImageError(f"pixels must be 0-1 or 0-{most}, got {low:g} ... {high:g}")
    images = images / most if high > 1 else images
    if side == SIDE:
        return images.reshape(-1, PIXELS)
    return np.array([fit_ink(_difference(image)).ravel() for image in images])


def _find_side(shape: tuple[int, ...]) -> int:
    """Of the squares that an array of this shape holds."""
    for side in (SIDE, MNIST_SIDE):
        if shape[-2:] == (side, side) and len(shape) <= 3:
            return side
        if shape[-1:] == (side * side,) and len(shape) <= 2:
            return side
    raise ImageError(
        "needs shape (8, 8), (64,), (n, 8, 8) or (n, 64), or (28, 28), (n, 28, 28) or (n, 784), "
        f"got {shape}"
    )


def _difference(grey: Array) -> Array:
    """How far each pixel is from the paper, towards the ink: 0 ... 1.

    The paper is what the median of the border shows, and the ink what differs from it most.
    """
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    difference = grey - np.median(border)
    if difference.max() < -difference.min():
        difference = -difference
    if not difference.max() > 0:
        raise ImageError("the picture is blank: all of it is of one brightness")
    scaled: Array = np.maximum(difference, 0) / difference.max()
    return scaled


# --- pictures


def _read_picture(path: Path) -> Images:
    """One of 8x8 pixels is an image of the data set's kind; others show one digit or several.

    So is one that is made of 8x8 squares, each of one colour.
    """
    from .reading import read_digits  # brings in SciPy, half a second of a cold start

    levels, by = _load_levels(path)
    if (small := _shrink_squares(levels)) is not None:
        return Images(_difference(small.mean(axis=-1)).reshape(1, PIXELS))
    stages = read_digits(levels)
    images = np.array([digit.image.ravel() for digit in stages.digits])
    return Images(images, [_enlarge(box, by) for box in stages.find_boxes()], stages)


def _shrink_squares(levels: Array) -> Array | None:
    """Of 8x8 squares of one colour one pixel each: (8, 8, channels); None for other pictures."""
    height, width, channels = levels.shape
    if height != width or height % SIDE:
        return None
    squares = levels.reshape(SIDE, height // SIDE, SIDE, width // SIDE, channels)
    small: Array = squares[:, 0, :, 0]
    return small if (squares == small[:, np.newaxis, :, np.newaxis]).all() else None


def _enlarge(box: Extent, by: float) -> Extent:
    return Extent(*(round(edge * by) for edge in box))


def _load_levels(path: Path) -> tuple[Array, float]:
    """(height, width, channels) floats in 0 ... 1, the right way up, and how much smaller it is.

    Transparent parts are white paper. No edge is longer than LONGEST, and no pixel is decoded
    before the size is known.
    """
    with extra():
        from PIL import Image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we are stricter
            Image.init()
            if _is_heif(path):
                _register_heif()
            file = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
        with file:
            longest = max(file.size)
            levels = _decode(file, path)
            turn: Callable[[Array], Array] = TURNED.get(
                file.getexif().get(ORIENTATION, 1), np.asarray
            )
        return turn(_scale(levels)), longest / max(levels.shape[:2])
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).partition(" '")[0]  # Pillow repeats the path
        raise ImageError(f"not a whole picture or .npy file ({reason})") from error


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS


def _register_heif() -> None:
    """Have Pillow read HEIC, which it does by another package."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("HEIC needs a package more: pip install pillow-heif") from error
    pillow_heif.register_heif_opener(thumbnails=False)


def _scale(levels: Array) -> Array:
    """To 0 ... 1; those of 16 or 32 bits by what the picture itself has."""
    if levels.max() <= 255 and levels.min() >= 0:
        return levels / 255
    low, high = float(levels.min()), float(levels.max())
    return (levels - low) / max(high - low, 1e-9)


def _decode(file: Any, path: Path) -> Array:
    """Levels in 0 ... 255, or more of deeper pictures; no edge is longer than LONGEST.

    Raises ImageError for a picture that would take too much. A large JPEG is read in part.
    """
    pixels, size = math.prod(file.size), "{} x {}".format(*file.size)
    beside = _count_decoder_bytes(file)
    if max(file.size) > LONGEST:
        file.draft("L", (LONGEST, LONGEST))  # a JPEG at 1/2, 1/4 or 1/8 of its size
    needed = math.prod(file.size) * BYTES.get(file.mode, 4) + beside
    if pixels <= MOST_PIXELS and max(file.size) <= 20 * LONGEST:
        if needed <= MOST_BYTES:
            file.load()
            return np.concatenate([*_strips(file)])
        if file.format == "WEBP" and (levels := webp.read_lossy(path, LONGEST)) is not None:
            return levels
    raise ImageError(f"the picture is too large, {size} pixels: make it smaller, or crop it")


def _count_decoder_bytes(file: Any) -> float:
    """What decoding a picture takes besides its pixels."""
    pixels = math.prod(file.size)
    if "progressive" in file.info:  # all coefficients, of which colours may have fewer
        shares = [across * down for _, across, down, _ in file.layer]
        return float(2 * pixels * sum(shares) / max(shares))
    if file.format == "TIFF":
        if file.tile[0][0] == "raw":  # uncompressed, which goes row by row
            return 0
        tags = file.tag_v2
        width = tags.get(TILE_WIDTH, file.width)
        rows = tags.get(TILE_LENGTH) or min(tags.get(ROWS_PER_STRIP, file.height), file.height)
        depth = tags.get(SAMPLES, 1) * max(tags.get(BITS, (1,))) / 8
        return float(width * rows * max(depth, BYTES.get(file.mode, 4)))
    return float(pixels * DECODER.get(file.format, 0))


def _strips(file: Any) -> Iterator[Array]:
    """A picture from top to bottom, averaged down: (rows, width, channels) floats each.

    Strip by strip, so that a large picture is not there a second time.
    """
    width, height = file.size
    by = -(-max(file.size) // LONGEST)
    rows = by * max(1, 2**18 // (by * width))
    for top in range(0, height, rows):
        strip = file.crop((0, top, width, min(height, top + rows)))
        yield average(_levels(strip), by)


def _levels(picture: Any) -> Array:
    """(height, width, channels): one of grey, or three of colour on white paper."""
    from PIL import Image

    if picture.mode in ("1", "L"):
        picture = picture.convert("L")
    elif picture.mode[0] not in "IF":  # 16-bit grey would be cut off at 255 by the conversion
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    return np.atleast_3d(np.array(picture, np.float32))
