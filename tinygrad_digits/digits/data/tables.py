"""Tables: a row an image, one column the label."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import extra
from .stored import Source, make_source

NAMES = ("label", "labels", "target", "class", "digit", "y", "species")
ROWS = 10_000
"""That are read at a time, so that a table larger than memory is never whole in it."""


def read_table(path: Path, label: str | None = None) -> Source:
    """A .csv, .tsv or .parquet file, by pandas; the pixels go to a file without a name on disk.

    The label is the column named so, or of one of NAMES, or the only one that is not of numbers, or
    the first or last of a table without names whose whole numbers are few. ValueError otherwise.
    """
    names: list[Any] = []
    columns = 0
    with tempfile.TemporaryFile() as file:
        for pixels, some in _parts(path, label):
            file.write(pixels.tobytes())
            names.append(some)
            columns = pixels.shape[1]
        if not columns:
            raise ValueError("there are no pixels: only a label, or nothing")
        stored = np.memmap(file, np.float32, "r", shape=(sum(map(len, names)), columns))
    side = round(columns**0.5)
    shape = (side, side) if side * side == columns else (columns,)
    return make_source(stored, np.concatenate(names), shape)


def _parts(path: Path, label: str | None) -> Iterator[tuple[Any, Any]]:
    """(n, columns) pixels and (n,) names of classes, some rows at a time."""
    column = None
    for frame in _frames(path):
        column = _label_of(frame, label) if column is None else column
        rest = frame.drop(columns=[column])
        words = _of_words(rest)
        if words:
            raise ValueError(f"column {words[0]} is not of numbers: drop it, or name the label")
        names = frame[column]
        if names.isna().any():
            raise ValueError(f"column {column} has gaps, first in row {int(names.isna().argmax())}")
        yield rest.to_numpy(np.float32), _words(names.to_numpy())


def _frames(path: Path) -> Iterator[Any]:
    with extra("all"):
        import pandas as pd
    if path.suffix in (".parquet", ".pq"):
        yield pd.read_parquet(path)
        return
    separator = "\t" if path.suffix == ".tsv" else ","
    first = pd.read_csv(path, sep=separator, header=None, nrows=1).iloc[0]
    bare = all(not isinstance(cell, str) for cell in first)  # no names, but pixels at once
    header = None if bare else 0
    yield from pd.read_csv(path, sep=separator, header=header, chunksize=ROWS)


def _label_of(frame: Any, label: str | None) -> Any:
    """The column that holds the label."""
    by_word = {str(name).lower(): name for name in frame}
    if label is not None:
        if label.lower() not in by_word:
            raise ValueError(f"there is no column {label!r}, only {', '.join(map(str, frame))}")
        return by_word[label.lower()]
    named = [by_word[name] for name in NAMES if name in by_word]
    words = _of_words(frame)
    bare = frame.columns.dtype.kind == "i"  # no names
    ends = [name for name in frame.columns[[0, -1]] if bare and _is_class(frame[name])]
    for found in (named[:1], words if len(words) == 1 else [], ends[:1]):
        if found:
            return found[0]
    raise ValueError(f"which column is the label? Name it by --label; {', '.join(map(str, frame))}")


def _of_words(frame: Any) -> list[Any]:
    """The columns that are not of numbers."""
    return [name for name in frame if frame[name].dtype.kind not in "fiub"]


def _is_class(column: Any) -> bool:
    """Whether it could be a label: whole numbers, of some different values but not of many."""
    return bool(column.dtype.kind == "i" and 2 <= column.nunique() <= 100)


def _words(names: Any) -> Any:
    """Names of classes as words; 3.0 is 3."""
    if names.dtype.kind == "f" and (names == np.round(names)).all():
        names = names.astype(int)
    return names.astype(str)
