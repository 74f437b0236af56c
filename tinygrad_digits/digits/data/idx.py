"""MNIST's IDX files: a magic number, the dimensions, and the bytes.

The format is described by its authors (LeCun, Cortes & Burges, The MNIST database): two zero bytes,
a byte for the type (8 is uint8), one for the number of dimensions, these as big-endian int32, data.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Array
from .stored import Source, make_source

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def is_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file does."""
    try:
        with _open(path) as file:
            start = file.read(4)
    except (OSError, EOFError):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in TYPES and 1 <= start[3] <= 4


def find_idx(folder: Path) -> list[Path]:
    """The files of images in a folder of IDX files; training first."""
    names = [path for path in folder.iterdir() if path.is_file() and "images" in path.name]
    return sorted(filter(is_idx, names), key=lambda path: (_is_test(path), path.name))


def read_idx(images: list[Path]) -> Source:
    """Files of images, with the files of labels beside them; `t10k` and `test` are set apart."""
    labelled = [_labels_of(path) for path in images]
    parts = [(read_array(x), read_array(y)) for x, y in zip(images, labelled, strict=True)]
    for path, (pixels, labels) in zip(images, parts, strict=True):
        if len(pixels) != len(labels):
            raise ValueError(f"{path.name} has {len(pixels)} images and {len(labels)} labels")
    stored = parts[0][0] if len(parts) == 1 else np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    tested = [np.full(len(y), _is_test(path)) for path, (_, y) in zip(images, parts, strict=True)]
    return make_source(stored, labels, stored.shape[1:], np.concatenate(tested))


def read_array(path: Path) -> Array:
    """The array in an IDX file; one that is not gzipped stays on disk."""
    with _open(path) as file:
        _, _, kind, dimensions = struct.unpack("4B", file.read(4))
        shape = struct.unpack(f">{dimensions}i", file.read(4 * dimensions))
        dtype = np.dtype(TYPES[kind])
        if path.suffix != ".gz":
            return np.memmap(path, dtype, "r", file.tell(), shape)
        wanted = math.prod(shape) * dtype.itemsize
        data = file.read(wanted + 1)
    if len(data) != wanted:
        raise ValueError(f"{path.name} is not whole: {wanted} bytes of data were promised")
    return np.frombuffer(data, dtype).reshape(shape)


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _is_test(path: Path) -> bool:
    return path.name.startswith(("t10k", "test"))


def _labels_of(path: Path) -> Path:
    """The file of labels that belongs to one of images, by MNIST's names."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    stem = name.removesuffix(".gz")
    for candidate in (name, stem, f"{stem}.gz"):
        if (labels := path.with_name(candidate)) != path and labels.is_file():
            return labels
    raise ValueError(f"{path.name} has no labels beside it: {name} is missing")
