"""Images of a few pixels as PNG files inside data: URIs, for a page to magnify."""

from __future__ import annotations

import base64
import io

import numpy as np

from ..extras import extra
from .dataset import Array
from .folding import fold

MORE, LESS = (0x2A, 0x6F, 0xBB), (0xE0, 0x7B, 0x39)
"""Blue and orange, which also those who do not see red and green alike tell apart."""


def uri(data: bytes, kind: str) -> str:
    """The address that is its own content.

    >>> uri(b"hi", "text/plain")
    'data:text/plain;base64,aGk='
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ink(image: Array, shape: tuple[int, ...] | None = None) -> str:
    """Black ink on white paper: a row or a picture of floats, 0 for paper and 1 for ink.

    A row is folded to its shape, else to a square.

    >>> ink(np.zeros(64))[:22]
    'data:image/png;base64,'
    """
    return _png(np.round(255 * (1 - np.clip(fold(image, shape), 0, 1))))


def signed(image: Array, scale: float | None = None, shape: tuple[int, ...] | None = None) -> str:
    """Blue where positive, orange where negative, the fainter the nearer to 0, which is clear.

    As `ink` takes them; the full colours are for `scale`, by default the largest magnitude.
    """
    image = fold(image, shape)
    scale = float(np.abs(image).max()) if scale is None else scale
    strength = np.clip(np.abs(image) / (scale or 1.0), 0, 1)[..., None]
    colours = np.where(image[..., None] > 0, MORE, LESS)
    return _png(np.concatenate([colours, np.round(255 * strength)], axis=-1))


def _png(pixels: Array) -> str:
    """(n, m) for grey, (n, m, 4) for colours and opacity, in 0 ... 255."""
    with extra():
        from PIL import Image
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="png", optimize=True)
    return uri(buffer.getvalue(), "image/png")
