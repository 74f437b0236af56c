"""The run folder: what a training run leaves behind, written so that no file is ever half there.

checkpoint.safetensors  all that training goes on from, of the last epoch (checkpoint.py)
params.safetensors      the parameters; as metadata, the layer sizes and the configuration
familiar.safetensors    what digits look like, to tell what is none, and a temperature (familiar.py)
config.json             what the run was asked to do, again, for people
metrics.json            what it achieved on the test set
history.json            a list: loss and accuracy, epoch by epoch
*.png                   the curves, the confusion matrix, the mistakes
report.html             all of it on one page, readable offline
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...support.files import TEMPORARY, write_atomically
from ..data.dataset import DIGITS
from ..data.own import OwnData
from ..errors import RunError
from ..model import kinds
from ..model.mlp import Params
from . import locking
from .checksummed import parse_facts, seal, unseal

PARAMS, CONFIG, CHECKPOINT = "params.safetensors", "config.json", "checkpoint.safetensors"
FAMILIAR = "familiar.safetensors"
FORMAT = "tinygrad-digits mlp"
FORMATS = {FORMAT: kinds.KINDS["mlp"], "tinygrad-digits conv": kinds.KINDS["conv"]}
"""Of files of parameters, and the models that these are of."""
FILES = frozenset(
    {PARAMS, CONFIG, CHECKPOINT, FAMILIAR, "metrics.json", "history.json", "report.html"}
    | {"curves.png", "confusion.png", "mistakes.png"}
)
"""All that training writes into a folder."""


class SavedRun(NamedTuple):
    """What is needed of a run to use its model; both of one file, to belong together."""

    params: Params
    config: dict[str, Any]

    @property
    def own(self) -> OwnData | None:
        """The data of somebody's own that it was trained on; RunError where they are damaged."""
        saved = self.config.get("data")
        try:
            return None if saved is None else OwnData.of(saved)
        except (TypeError, ValueError, KeyError) as error:
            raise RunError(f"not a configuration of this program: {error}") from error

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what it tells apart."""
        return self.own.classes if self.own else DIGITS


def write_json(path: Path, content: Any) -> None:
    """As indented JSON, atomically; NaN is refused with a ValueError, since JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def save_params(path: Path, params: Params, config: dict[str, Any]) -> None:
    """As sealed safetensors with the configuration, atomically.

    Raises MissingExtraError without safetensors.
    """
    metadata = {
        "format": f"tinygrad-digits {kinds.name_of(params)}",
        "sizes": json.dumps(kinds.layer_sizes(params)),
        "config": json.dumps(config),
    }
    write_atomically(path, seal(params, metadata))


def load_run(folder: Path) -> SavedRun:
    """What `save_params` wrote into a run's folder: finite float parameters, and what made them.

    Raises RunError, naming the file, where it is missing, truncated, altered or not of this
    program.
    """
    path = folder / PARAMS
    if not path.is_file():
        remedy = "`tinygrad-digits train` makes run folders"
        if folder.is_file():
            raise RunError(f"{folder} is a file, no run folder; {remedy}")
        if (folder / CHECKPOINT).is_file():
            remedy = f"finish the run with `tinygrad-digits train --resume {folder}`"
        raise RunError(f"{path}: no such file; {remedy}")
    # the first versions of this program sealed nothing
    params, metadata = unseal(path, *FORMATS, unsealed=frozenset({"format", "sizes", "config"}))
    sizes, config = parse_facts(path, metadata, "sizes", "config")
    if not isinstance(config, dict):
        raise RunError(f"{path}: its metadata hold no configuration")
    shapes = FORMATS[metadata["format"]].param_shapes
    return SavedRun(_check(params, shapes, sizes, path), config)


def _check(
    params: Params,
    shapes: Callable[[list[int]], dict[str, tuple[int, ...]]],
    sizes: list[int],
    path: Path,
) -> Params:
    """The parameters in the model's order, if they are those of a network of these sizes."""
    try:
        wanted = shapes(sizes)
    except (ValueError, TypeError, RecursionError) as error:
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


@contextlib.contextmanager
def claim(folder: Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
    """Make a folder for a run and keep other processes from writing it; inside, fill it.

    Raises RunError where another process is writing it; where it holds a run already, unless that
    is to be resumed or overwritten; and where it holds other things and no run. A folder that stays
    empty is removed when the block fails.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, but a run needs a folder")
    if not resume:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with _write_alone(folder):
            if not (resume or overwrite) and holds_run(folder):
                raise RunError(
                    f"{folder} holds a run already: choose another --out, --overwrite it, or "
                    "continue it with --resume"
                )
            if not resume and not holds_run(folder):
                _refuse_others(folder)
            for left in folder.glob(f".*{TEMPORARY}"):  # by a process that was killed
                left.unlink(missing_ok=True)
            yield
    except BaseException:
        with contextlib.suppress(OSError):  # it is not empty: a run's
            if not resume:
                folder.rmdir()
        raise


@contextlib.contextmanager
def _write_alone(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locking.hold(folder))
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another process is writing this run; wait until it is done, or choose "
                "another --out"
            ) from error
        except FileNotFoundError as error:
            raise RunError(f"{folder}: no such folder; there is no run to resume") from error
        yield


def _refuse_others(folder: Path) -> None:
    """Raise RunError where somebody else's things are in a folder that is to become a run's."""
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in {*FILES, locking.NAME} and not path.match(f".*{TEMPORARY}")
    )
    if others:
        raise RunError(
            f"{folder} holds {', '.join(others[:3])}{' ...' if others[3:] else ''} and no run: "
            "choose another --out, one that is empty or not there yet"
        )


def holds_run(folder: Path) -> bool:
    """Whether there is anything in a folder that training would replace."""
    return any((folder / name).exists() for name in (CONFIG, PARAMS, CHECKPOINT))
