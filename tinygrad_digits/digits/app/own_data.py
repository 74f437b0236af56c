"""What --data, --label and --size name."""

from __future__ import annotations

from pathlib import Path

from ..data.dataset import Dataset
from ..data.own import OwnData, open_data
from ..data.stored import Source
from ..extras import extra
from . import corrections

with extra():
    import typer

MINE = "mine"
"""The word for what has been corrected on the page."""


def open_own(
    path: str | None, label: str | None, side: int | None
) -> tuple[OwnData | None, Source | Dataset | None]:
    """What is there, and how to name it; nothing for scikit-learn's digits."""
    if path is None:
        if label or side:
            raise typer.BadParameter("--label and --size go with --data")
        return None, None
    if path != MINE:
        return open_data(Path(path), label, side)
    folder = corrections.own_folder()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: correct a reading on the page of `serve` first")
    return open_data(folder, label, side)
