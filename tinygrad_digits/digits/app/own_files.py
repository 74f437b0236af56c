"""Images in files as a model of somebody's own data sees them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..data.dataset import Array
from ..data.own import OwnData
from ..data.picture_folders import scale_to
from ..images.files import ImageError, Images, read_grey


def read_own(path: Path, own: OwnData) -> Images:
    """What a file holds, made like the data that the model was trained on: (n, pixels) in 0 ... 1.

    A picture becomes grey and gets the data's size; ink and paper stay as they are. A .npy file
    holds one image or more of the data's shape, with pixels as in the data, or in 0 ... 1.
    Raises ImageError, naming the file.
    """
    try:
        if not path.is_file():
            raise ImageError("no such file")
        images = _read_array(path, own) if path.suffix == ".npy" else _read_picture(path, own)
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from error
    return Images(images)


def _read_picture(path: Path, own: OwnData) -> Array:
    if len(own.shape) != 2:
        raise ImageError(f"the model reads rows of {own.pixels} features, no pictures: use .npy")
    return scale_to(read_grey(path), *own.shape).reshape(1, -1) / 255


def _read_array(path: Path, own: OwnData) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"not a whole .npy file ({error})") from error
    ways = {own.shape, (own.pixels,)}
    if array.dtype.kind not in "fiub" or not ({array.shape, array.shape[1:]} & ways):
        both = sorted(ways, key=len, reverse=True)
        spelled = " or ".join(f"{way} or (n, {str(way)[1:]}" for way in both)
        raise ImageError(f"needs shape {spelled}, got {array.dtype} {array.shape}")
    images = np.asarray(array, np.float32).reshape(-1, math.prod(own.shape))
    if not len(images) or not np.isfinite(images).all():
        raise ImageError("needs one image or more, without NaN or infinity")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > own.full:
        raise ImageError(f"pixels must be 0-1 or 0-{own.full:g}, got {low:g} ... {high:g}")
    whole = array.dtype.kind != "f" or high > 1
    return images / np.float32(own.full) if whole else images
