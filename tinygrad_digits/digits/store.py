"""The run folder: what a training run leaves behind, written so that no file is ever half there.

params.safetensors   the parameters; as metadata, the layer sizes and the configuration
config.json          what the run was asked to do, again, for people
metrics.json         what it achieved on the test set
history.json         a list: loss and accuracy, epoch by epoch
*.png                the curves, the confusion matrix, the mistakes
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..engine.errors import AutodiffError
from . import model
from .extras import extra
from .model import Params

PARAMS, CONFIG = "params.safetensors", "config.json"
FORMAT = "tinygrad-digits mlp"


class RunError(AutodiffError, ValueError):
    """A run folder, or a file in it, is missing, damaged or somebody else's."""


class Run(NamedTuple):
    """What is needed of a run to use its model; both of one file, to belong together."""

    params: Params
    config: dict[str, Any]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole, or leave the old one as it was.

    The bytes go to a temporary file in the same folder, and to the disk; only then does that file
    take the name. Whatever goes wrong before (a full disk, Ctrl-C), the temporary file is removed.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 (mkstemp makes it 0o600)
        os.replace(temporary, path)  # noqa: PTH105 (atomic on POSIX and Windows)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say of its own accord
        raise


def write_json(path: Path, content: Any) -> None:
    """As indented JSON, atomically; NaN is refused with a ValueError, since JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def save_params(path: Path, params: Params, config: dict[str, Any]) -> None:
    """As safetensors with the configuration, atomically.

    Raises MissingExtraError without safetensors.
    """
    with extra():
        from safetensors import numpy as safetensors
    arrays = {name: np.ascontiguousarray(array) for name, array in params.items()}
    metadata = {
        "format": FORMAT,
        "sizes": json.dumps(model.layer_sizes(params)),
        "config": json.dumps(config),
    }
    write_atomically(path, safetensors.save(arrays, metadata))


def load_run(folder: Path) -> Run:
    """What `save_params` wrote into a run's folder: finite float parameters, and what made them.

    Raises RunError, naming the file, where it is missing, truncated or not of this program.
    """
    with extra():
        from safetensors import SafetensorError, safe_open
    path = folder / PARAMS
    if not path.is_file():
        raise RunError(f"{path}: no such file; `tinygrad-digits train` makes run folders")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise RunError(f"{path} was not saved by this program: it lacks {FORMAT!r}")
            params = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        sizes, config = json.loads(metadata["sizes"]), json.loads(metadata["config"])
    except RunError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged, or not a safetensors file ({error})") from error
    if not isinstance(config, dict):
        raise RunError(f"{path}: its metadata hold no configuration")
    return Run(_checked(params, sizes, path), config)


def _checked(params: Params, sizes: list[int], path: Path) -> Params:
    """The parameters in the model's order, if they are those of a network of these sizes."""
    try:
        wanted = {name: array.shape for name, array in model.init_params(sizes).items()}
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: {error}") from error
    found = {name: array.shape for name, array in params.items()}
    if found != wanted:
        raise RunError(f"{path}: expected {wanted}, found {found}")
    for name, array in params.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise RunError(f"{path}: {name} ({array.dtype}) must hold finite floats")
    return {name: params[name] for name in wanted}


def new_folder(parent: Path) -> Path:
    """Make and return the first of parent/1, parent/2, ... that is free; safe against races."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable: the count does not end")


def claim_folder(folder: Path, *, overwrite: bool) -> Path:
    """Make a folder for a run, unless it holds one already; then RunError, or `overwrite`."""
    if not overwrite and ((folder / CONFIG).exists() or (folder / PARAMS).exists()):
        raise RunError(f"{folder} holds a run already: choose another --out, or --overwrite")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, but a run needs a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # a folder that cannot be written to: say so now
        return folder


@contextlib.contextmanager
def dropped_if_empty(folder: Path) -> Iterator[None]:
    """Remove a new run's folder when what was to fill it fails before it has written anything."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # it is not empty: an older run's
            folder.rmdir()
        raise


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
