"""Large photographs in WebP, by libwebp itself: 1.5 bytes for a pixel.

Pillow decodes WebP as an animation, which takes 16 bytes for a pixel: 195 MB for the 12 megapixels
of a telephone. Lossy WebP holds light and two differences of colour, these of half as many rows and
columns (ITU-R BT.601, in 16 ... 235 and 16 ... 240); averaged down as they are, they take 18 MB.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Array
from .averaging import average

ABI = 0x0209
"""Of libwebp's decoder; a library of another first byte refuses it."""
LOSSY = 1
FEATURES = ("width", "height", "alpha", "animation", "format")
"""What WebPBitstreamFeatures begins with."""
FROM_YUV = np.array([[1.164, 1.164, 1.164], [0.0, -0.392, 2.017], [1.596, -0.813, 0.0]])
"""What light and the differences of colour add to red, green and blue."""


def read_lossy(path: Path, longest: int) -> Array | None:
    """A lossy, opaque, still WebP with no edge over `longest`: (height, width, 3) in 0 ... 255.

    None for other kinds, for a file that is not whole, and where there is no libwebp.
    """
    library = _load_library()
    if library is None:
        return None
    data = np.memmap(path, np.uint8, "r")
    found = _read_features(library, data)
    if (found.get("format"), found.get("alpha"), found.get("animation")) != (LOSSY, 0, 0):
        return None
    by = 2 * -(-max(found["width"], found["height"]) // (2 * longest))  # even, as colour has half
    with _decode(library, data) as planes:
        if planes is None:
            return None
        smaller = [_average_rows(p, n) for p, n in zip(planes, (by, by // 2, by // 2), strict=True)]
    levels: Array = (np.stack(smaller, axis=-1) - (16, 128, 128)) @ FROM_YUV
    return levels.clip(0, 255)


@functools.cache
def _load_library() -> Any:
    """The libwebp that came with Pillow, or the system's; None where there is neither."""
    import PIL

    home = Path(PIL.__file__).parent
    bundled = [*home.parent.glob("pillow.libs/libwebp-*"), *home.glob(".dylibs/libwebp.*")]
    for name in (*bundled, "libwebp.so.7", "libwebp.7.dylib", "libwebp.dll"):
        try:
            library = ctypes.CDLL(str(name))
        except OSError:
            continue
        library.WebPDecodeYUV.restype = ctypes.c_void_p
        return library
    return None


def _read_features(library: Any, data: Array) -> dict[str, int]:
    """What a file's head says, by name; nothing where it is damaged."""
    found = (ctypes.c_int * 10)()
    status = library.WebPGetFeaturesInternal(*_point_at(data), found, ABI)
    return {} if status else dict(zip(FEATURES, found, strict=False))


def _point_at(data: Array) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
    return ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.size)


@contextmanager
def _decode(library: Any, data: Array) -> Iterator[list[Array] | None]:
    """Light and differences of colour, (height, width) uint8 each, as long as the block."""
    width, height, stride, half_stride = (ctypes.c_int() for _ in range(4))
    u, v = ctypes.c_void_p(), ctypes.c_void_p()
    told = map(ctypes.byref, (width, height, u, v, stride, half_stride))
    first = library.WebPDecodeYUV(*_point_at(data), *told)
    if first is None:
        yield None
        return
    rows, columns = height.value, width.value
    half = (rows + 1) // 2, (columns + 1) // 2
    try:
        yield [
            _view(first, rows, columns, stride.value),
            *(_view(plane.value, *half, half_stride.value) for plane in (u, v)),
        ]
    finally:
        library.WebPFree(ctypes.c_void_p(first))


def _view(address: int | None, rows: int, columns: int, stride: int) -> Array:
    """What is in memory there."""
    assert address is not None, "libwebp tells where all planes are if it tells where one is"
    kind = ctypes.c_uint8 * (stride * (rows - 1) + columns)
    flat = np.ctypeslib.as_array(kind.from_address(address))
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (stride, 1), writeable=False)


def _average_rows(plane: Array, by: int) -> Array:
    """As `average`, of some rows at a time, which are floats meanwhile."""
    rows = by * max(1, 2**18 // (by * plane.shape[1]))
    strips = (plane[top : top + rows] for top in range(0, len(plane), rows))
    return np.concatenate([average(strip.astype(np.float32), by) for strip in strips])
