"""From a picture to 8x8 pixels, as the data set was made."""

from .files import read_images

__all__ = ["read_images"]
