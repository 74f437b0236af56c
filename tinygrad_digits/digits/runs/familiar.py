"""What a run keeps to read pictures by: what digits look like, and the temperature.

In a file of its own beside the parameters, so that a run without it, as older ones are, is read all
the same: without a warning of what is no digit, and with probabilities as they come.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...support.files import write_atomically
from ..data.dataset import Array, Dataset, Split
from ..data.strokes import load_pool
from ..errors import RunError
from ..model import kinds
from ..model.calibration import fit_temperature, measure_calibration_error, temper
from ..model.familiarity import (
    LEVELS,
    MOST_KNOWN,
    Familiar,
    find_strange,
    fit_familiar,
    pick_evenly,
)
from ..model.mlp import Params
from .checksummed import parse_facts, seal, unseal
from .store import FAMILIAR

FORMAT = "tinygrad-digits familiar"
HELD_OUT, HELD_OUT_SEED = 1000, 1
"""Synthetic digits that no training has seen, whose pool has another seed."""


class Manner(NamedTuple):
    """How the model's answers are to be taken."""

    temperature: float
    familiar: Familiar | None
    """None to a model of other images than digits, to which nothing looks strange."""


class Trust(NamedTuple):
    """How far a model's answers can be trusted, on images that it has not seen."""

    calibration_error: float
    """Of the probabilities as they come."""
    calibrated_error: float | None
    """Of those that are said."""
    false_alarms: float | None
    """Share that looks like no digit. None, both, without a manner; this one, to whom nothing is
    strange."""


def fit_manner(
    params: Params, data: Split, *, synthetic: bool = False, doubts: bool = True
) -> Manner | None:
    """Learn it from the images that were trained on and validated with; None without the latter.

    Without `doubts`, as for images of any size, nothing is to look strange.

    To a model that was trained on synthetic digits, too, others of their kind are known, and what
    it makes of new ones counts as well.
    """
    known, (images, labels) = data.train.images, data.validation
    if not len(images):
        return None
    if synthetic:
        known, (images, labels) = _add_known(known), _add_held_out(data.validation)
    logits = kinds.logits_in_parts(params, images)
    familiar = fit_familiar(known, images, logits) if doubts else None
    return Manner(fit_temperature(logits, labels), familiar)


def _add_known(images: Array) -> Array:
    """MOST_KNOWN in all, half of them synthetic or more."""
    pool = load_pool(str(images.dtype)).images
    drawn = pool[: max(MOST_KNOWN // 2, MOST_KNOWN - len(images))]
    return np.concatenate([pick_evenly(images, MOST_KNOWN - len(drawn)), drawn])


def _add_held_out(validation: Dataset) -> Dataset:
    drawn = load_pool(str(validation.images.dtype), HELD_OUT, HELD_OUT_SEED)
    return Dataset(*(np.concatenate(both) for both in zip(validation, drawn, strict=True)))


def measure_trust(
    params: Params, manner: Manner | None, probabilities: Array, dataset: Dataset
) -> Trust:
    """Of what a model makes of a dataset, (n, classes): how honest it is, and how often in doubt.

    >>> measure_trust({}, None, np.array([[0.75, 0.25]] * 4), Dataset(np.eye(4), np.zeros(4, int)))
    Trust(calibration_error=0.25, calibrated_error=None, false_alarms=None)
    """
    images, labels = dataset
    error = measure_calibration_error(probabilities, labels)
    if manner is None:
        return Trust(error, None, None)
    tempered = temper(probabilities, manner.temperature)
    alarms = None
    if manner.familiar is not None:
        logits = kinds.logits_in_parts(params, images)
        alarms = float(find_strange(manner.familiar, images, logits).mean())
    return Trust(error, measure_calibration_error(tempered, labels), alarms)


def save_manner(folder: Path, manner: Manner) -> None:
    """Write a run's file, sealed and atomically; MissingExtraError without safetensors."""
    facts: dict[str, float] = {"temperature": manner.temperature}
    arrays = {}
    if manner.familiar is not None:
        facts |= {"limit": manner.familiar.limit, "weight": manner.familiar.weight}
        levels = np.round(manner.familiar.images * LEVELS)
        arrays["images"] = levels.astype(np.uint8)  # a quarter of the bytes
    metadata = {"format": FORMAT, **{name: json.dumps(fact) for name, fact in facts.items()}}
    write_atomically(folder / FAMILIAR, seal(arrays, metadata))


def load_manner(folder: Path) -> Manner | None:
    """What `save_manner` wrote; None where there is no such file.

    Raises RunError, naming the file, where it is truncated, altered or not of this program.
    """
    path = folder / FAMILIAR
    if not path.is_file():
        return None
    arrays, metadata = unseal(path, FORMAT)
    names = ["temperature", "limit"] if arrays else ["temperature"]
    facts = parse_facts(path, {"weight": "0.0", **metadata}, *names, "weight")
    temperature, *limits, weight = facts
    if not all(type(fact) is float and math.isfinite(fact) for fact in facts):
        raise RunError(f"{path}: its temperature, limit and weight must be numbers")
    if temperature <= 0 or weight < 0:
        raise RunError(f"{path}: its temperature must be positive, its weight not negative")
    if not arrays:
        return Manner(temperature, None)
    images = arrays.get("images")
    if images is None or images.ndim != 2 or images.dtype != "uint8":
        raise RunError(f"{path}: it holds no images")
    levels = (images / LEVELS).astype(np.float32)
    return Manner(temperature, Familiar(levels, limits[0], weight))
