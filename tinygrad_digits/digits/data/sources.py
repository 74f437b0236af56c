"""Data of somebody's own: what a path holds, told by what is there.

a folder of folders   pictures by class: PATH/<class>/<picture>
.npz                  images and labels under names such as x and y, or x_train, x_test ...
.csv, .parquet        a row an image; which column is the label is found, or named
IDX                   MNIST's files, gzipped or not: a folder of them, or one file of images

What is uncompressed on disk stays there, and is read a minibatch at a time.
"""

from __future__ import annotations

from pathlib import Path

from .archives import read_npz
from .idx import find_idx, is_idx, read_idx
from .picture_folders import read_folder
from .stored import Source
from .tables import read_table

TABLES = (".csv", ".tsv", ".parquet", ".pq")


class SourceError(ValueError):
    """A path that cannot be read as images with labels; the message names the path."""


def read_source(path: Path, label: str | None = None, side: int | None = None) -> Source:
    """The images and labels at a path.

    Args:
        path: a file or folder as above.
        label: the column of a table, or the array of an archive, that holds the labels; for others
            an error.
        side: pictures in folders are scaled to (side, side); by default they keep their size where
            that is one for all and at most 64, and are read as single digits, 8x8, otherwise.

    Raises SourceError, naming the path and what would be understood, also for a side or a label
    where there is none to choose; MissingExtraError where the kind needs a library that is not
    there.
    """
    try:
        return _read(path, label, side)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{path}: {reason}") from error


def _read(path: Path, label: str | None, side: int | None) -> Source:
    if not path.exists():
        raise ValueError("there is no such file or folder")
    found, suffix = find_idx(path) if path.is_dir() else [], path.suffix.lower()
    if side is not None and (found or not path.is_dir()):
        raise ValueError("a size is for pictures in folders; images here have theirs")
    if label is not None and suffix not in (".npz", *TABLES):
        raise ValueError("a label is named in .npz, .csv and .parquet alone")
    if path.is_dir():
        return read_idx(found) if found else read_folder(path, side)
    if suffix == ".npz":
        return read_npz(path, label)
    if suffix in TABLES:
        return read_table(path, label)
    if is_idx(path):
        return read_idx([path])
    raise ValueError(
        "not data that is understood: a folder with a folder of pictures for each class, .npz, "
        ".csv, .parquet, or MNIST's IDX files"
    )
