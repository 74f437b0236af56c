"""What a run learns from: scikit-learn's digits, or images of somebody's own.

Those that a source sets apart for tests are the test set; else a share of each class is. Images
stay where they are stored, and are read a minibatch at a time, unless each epoch varies them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.dataset import Array, Dataset, Split, load_digits, split
from ..data.own import OwnData, open_data
from ..data.sources import SourceError
from ..data.stored import Source
from ..errors import RunError
from ..extras import extra
from ..training.recipe import Config

TEST, VALIDATION = 0.2, 0.1
"""The shares of all images, and of what that leaves over."""


def load_split(config: Config, read: Source | Dataset | None = None) -> Split:
    """The data as the run sees them; `read`, where they have been read already.

    Raises RunError where a run's own data are not as they were, or hold too little to split.
    """
    own = config.data
    if own is None:
        return split(load_digits(config.dtype), config.seed, stratify=config.stratify)
    if read is None:
        read = _read_again(own)
    if isinstance(read, Dataset):
        digits = split(load_digits(config.dtype), config.seed, stratify=config.stratify)
        return digits._replace(train=join(digits.train, read))
    parts = split_source(read, config.seed, stratify=config.stratify)
    varied = config.augment or config.synthetic
    return Split(*(_read_whole(part, config.dtype) for part in parts)) if varied else parts


def _read_again(own: OwnData) -> Source | Dataset:
    """The data of a run that is there already, if they are what it was trained on."""
    try:
        found, read = open_data(Path(own.path), own.label, own.side)
    except SourceError as error:
        raise RunError(f"the run's data are gone: {error}") from error
    if own.joins != found.joins or (not own.joins and own != found):
        raise RunError(
            f"{own.path} holds {_tell(found)}, but the run is of {_tell(own)}: train anew"
        )
    return read


def _tell(own: OwnData) -> str:
    shape = "x".join(map(str, own.shape))
    return f"{own.images} images of {shape} in {len(own.classes)} classes, of 0 ... {own.full:g}"


def join(digits: Dataset, drawn: Dataset) -> Dataset:
    """Digits, and drawings of others after them."""
    images = np.concatenate([digits.images, drawn.images.astype(digits.images.dtype)])
    return Dataset(images, np.concatenate([digits.labels, drawn.labels]))


def _read_whole(dataset: Dataset, dtype: str) -> Dataset:
    return Dataset(np.asarray(dataset.images, dtype), dataset.labels)


def split_source(source: Source, seed: int, *, stratify: bool = True) -> Split:
    """Three parts of a source that share no image, unread.

    Raises RunError where a class has fewer than three images: one for each part.
    """
    rest, tested = np.flatnonzero(~source.tested), np.flatnonzero(source.tested)
    fewest = 2 if len(tested) else 3
    counts = np.bincount(source.labels[rest], minlength=len(source.classes))
    if counts.min() < fewest:
        name = source.classes[int(counts.argmin())]
        raise RunError(
            f"class {name} has {counts.min()} images to train on, and needs {fewest} or more, so "
            "that each part of the data has one"
        )
    if not len(tested):
        rest, tested = _part(source, rest, TEST, seed, stratify=stratify)
    trained, validated = _part(source, rest, VALIDATION, seed, stratify=True)
    return Split(source.dataset(trained), source.dataset(validated), source.dataset(tested))


def _part(
    source: Source, rows: Array, share: float, seed: int, *, stratify: bool
) -> tuple[Array, Array]:
    """Rows parted by seed: what is left, and a share, of at least one image for each class."""
    with extra():
        from sklearn.model_selection import train_test_split
    labels = source.labels[rows]
    size = max(int(np.ceil(share * len(rows))), len(source.classes))
    left, taken = train_test_split(
        rows, test_size=size, random_state=seed, stratify=labels if stratify else None
    )
    return left, taken
