"""NumPy's archives: images and labels by name, mapped where they are not compressed."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

from .dataset import Array
from .stored import Source, make_source

IMAGES = ("images", "image", "x", "X", "data", "pixels", "features")
LABELS = ("labels", "label", "y", "Y", "target", "targets", "classes")
TRAIN, TEST = ("", "_train", "train_"), ("_test", "test_")


def read_npz(path: Path, label: str | None = None) -> Source:
    """Images (n, ...) and labels (n,) under one of the usual names, or the name of `label`.

    `x_test` and `y_test` are set apart for tests.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                info.filename.removesuffix(".npy"): _member(path, archive, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except zipfile.BadZipFile as error:
        raise ValueError(f"not a whole .npz file ({error})") from error
    if label is not None and label not in arrays:
        raise ValueError(f"there is no array {label!r}, only {', '.join(arrays) or 'none'}")
    stored, names = _pair(arrays, TRAIN, label)
    tested = np.zeros(len(stored), bool)
    if any(_find(arrays, IMAGES, (affix,)) for affix in TEST):
        more, more_names = _pair(arrays, TEST, None)
        stored, names = np.concatenate([stored, more]), np.concatenate([names, more_names])
        tested = np.concatenate([tested, np.ones(len(more), bool)])
    if names.ndim == 2 and names.shape[1] > 1:
        raise ValueError(f"labels are {names.shape}: turn one-hot rows into labels with argmax(1)")
    return make_source(stored, names.reshape(-1), stored.shape[1:], tested)


def _pair(
    arrays: dict[str, Array], affixes: tuple[str, ...], label: str | None
) -> tuple[Array, Array]:
    images = _find(arrays, IMAGES, affixes)
    labels = label or _find(arrays, LABELS, affixes)
    if images is None or labels is None:
        missing, wanted = ("images", IMAGES) if images is None else ("labels", LABELS)
        raise ValueError(
            f"which array holds the {missing}? There are {', '.join(arrays) or 'none'}; "
            f"understood is {', '.join(wanted)}"
        )
    return arrays[images], arrays[labels]


def _find(arrays: dict[str, Array], names: tuple[str, ...], affixes: tuple[str, ...]) -> str | None:
    spelled = [
        f"{affix}{name}" if affix.endswith("_") else f"{name}{affix}"
        for affix in affixes
        for name in names
    ]
    return next((name for name in spelled if name in arrays), None)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """An array of an archive: mapped where `np.savez` left it uncompressed."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        header = file.tell()
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds objects, which are not read")
        if info.compress_type != zipfile.ZIP_STORED:
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        # the local header of PKZIP's APPNOTE, 4.3.7: 30 bytes, then a name and an extra field
        name, more = struct.unpack("<26x2H", raw.read(30))
    start = info.header_offset + 30 + name + more + header
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
