"""What a run keeps to read pictures by: what digits look like, and the temperature.

In a file of its own beside the parameters, so that a run without it, as older ones are, is read all
the same: without a warning of what is no digit, and with probabilities as they come.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ..data.dataset import Split
from ..errors import RunError
from ..model import kinds
from ..model.calibration import fit_temperature
from ..model.familiarity import Familiar, fit_familiar
from ..model.mlp import Params
from .checksummed import parse_facts, seal, unseal
from .store import FAMILIAR, write_atomically

FORMAT = "tinygrad-digits familiar"


class Manner(NamedTuple):
    """How the model's answers are to be taken."""

    temperature: float
    familiar: Familiar


def fit_manner(params: Params, data: Split) -> Manner | None:
    """Learn it from the images that were trained on and validated with; None without the latter."""
    images, labels = data.validation
    if not len(images):
        return None
    temperature = fit_temperature(kinds.logits_in_parts(params, images), labels)
    return Manner(temperature, fit_familiar(data.train.images, images))


def save_manner(folder: Path, manner: Manner) -> None:
    """Write a run's file, sealed and atomically; MissingExtraError without safetensors."""
    facts = {"temperature": manner.temperature, "limit": manner.familiar.limit}
    metadata = {"format": FORMAT, **{name: json.dumps(fact) for name, fact in facts.items()}}
    data = seal({"images": manner.familiar.images}, metadata)
    write_atomically(folder / FAMILIAR, data)


def load_manner(folder: Path) -> Manner | None:
    """What `save_manner` wrote; None where there is no such file.

    Raises RunError, naming the file, where it is truncated, altered or not of this program.
    """
    path = folder / FAMILIAR
    if not path.is_file():
        return None
    arrays, metadata = unseal(path, FORMAT)
    temperature, limit = parse_facts(path, metadata, "temperature", "limit")
    if not all(type(fact) is float and fact > 0 for fact in (temperature, limit)):
        raise RunError(f"{path}: its temperature and limit must be positive numbers")
    images = arrays.get("images")
    if images is None or images.ndim != 2 or images.dtype != "uint8":
        raise RunError(f"{path}: it holds no images")
    return Manner(temperature, Familiar(images, limit))
