"""Checkpoints: all that a run goes on from, in one sealed file.

A tree's leaves are named by their paths, as in params['w0'], and go back into a tree of the same
structure: the one that the run's configuration starts with. Facts that are no arrays are JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...support import tree
from ...support.tree import Tree
from ..data.dataset import Array
from ..errors import RunError
from .checksummed import parse_facts, seal, unseal

FORMAT = "tinygrad-digits checkpoint"
RENAMED = {"['memory']": "['state']"}
"""Of leaves in files that earlier versions wrote, how their paths began, and begin now."""
PARTS = " (real, imaginary)"
"""After the path of complex numbers, which are stored as pairs: safetensors has no complex128."""
NUMBERS = (bool, int, float, complex, np.generic)


class Checkpoint(NamedTuple):
    """A file's content, before a tree is there to hold the arrays."""

    path: Path
    arrays: dict[str, Array]
    facts: dict[str, Any]


def dump(content: Tree, facts: dict[str, Any]) -> bytes:
    """The file's bytes: a tree of arrays, numbers and None; and what JSON can hold.

    Raises TypeError for a leaf of another type, and ValueError for a NaN among the facts.
    """
    arrays = {}
    for path, leaf in tree.items(content):
        if leaf is None:
            continue
        if not isinstance(leaf, (np.ndarray, *NUMBERS)):
            raise TypeError(f"{path}: a checkpoint cannot hold a {type(leaf).__name__}")
        array = np.asarray(leaf)
        if array.dtype.kind == "c":
            path, array = path + PARTS, np.stack([array.real, array.imag], axis=-1)
        arrays[path] = array
    return seal(arrays, {"format": FORMAT, "facts": json.dumps(facts, allow_nan=False)})


def load(path: Path) -> Checkpoint:
    """What `dump` made.

    Raises RunError, naming the file, where it is missing, truncated, altered or not a checkpoint.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file; there is no run to resume")
    arrays, metadata = unseal(path, FORMAT)
    (found,) = parse_facts(path, metadata, "facts")
    if not isinstance(found, dict):
        raise RunError(f"{path}: its facts have no names")
    return Checkpoint(path, {_rename(name): array for name, array in arrays.items()}, found)


def _rename(path: str) -> str:
    for old, new in RENAMED.items():
        if path.startswith(old):
            return new + path.removeprefix(old)
    return path


def restore(saved: Checkpoint, like: Tree) -> Tree:
    """The tree that was dumped, given one of the same structure, shapes and dtypes.

    Raises RunError, naming the leaf, where the file holds another tree.
    """
    left = dict(saved.arrays)
    leaves: list[Any] = []
    for path, leaf in tree.items(like):
        if leaf is None:
            leaves.append(None)
            continue
        wanted = np.asarray(leaf)
        array = left.pop(path, None)
        if wanted.dtype.kind == "c" and (parts := left.pop(path + PARTS, None)) is not None:
            array = parts[..., 0].astype(np.result_type(parts, np.complex64))
            array.imag = parts[..., 1]
        if array is None or (array.shape, array.dtype) != (wanted.shape, wanted.dtype):
            found = "nothing" if array is None else f"{array.dtype}{array.shape}"
            raise RunError(
                f"{saved.path}: {path} should be {wanted.dtype}{wanted.shape}, found {found}; it "
                "was saved by another version of this program, or of NumPy"
            )
        leaves.append(type(leaf)(array[()]) if isinstance(leaf, NUMBERS) else array)
    if left:
        raise RunError(f"{saved.path} holds what this program does not know: {', '.join(left)}")
    return tree.unflatten(tree.flatten(like)[1], leaves)
