"""A run as one page of HTML that needs no network, no server and no scripts.

`report.html` beside this file is its template; Jinja escapes all that is put into it. The page's
content security policy lets it load nothing but the data: URIs that it carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...looking.recording import record
from ...support.files import write_atomically
from ..data import data_uris
from ..data.dataset import DIGITS, SHAPE, Array, Dataset, Split
from ..data.folding import fold
from ..extras import extra
from ..model import kinds
from ..model.calibration import BINS, bin_by_confidence, temper
from ..model.evaluation import Evaluation
from ..model.saliency import saliency
from . import plots
from .familiar import Manner, measure_trust
from .store import SavedRun

History: TypeAlias = Sequence[Mapping[str, float]]
"""Loss and accuracy, epoch by epoch."""

NAME = "report.html"
MISREAD = 48
"""Mistakes that are shown."""
SAMPLES = 20
"""Classes of which the heading shows an image."""
CLOSE = 6
"""Right answers that are shown, the least sure."""
UNITS = 256
"""Hidden units whose weights are shown."""


class Specimen(NamedTuple):
    """One test digit in a gallery."""

    number: int
    """Its place in the test set, from 0."""
    truth: str
    said: str
    sure: float
    """The probability of what was said."""
    of_truth: float
    """The probability of the truth."""
    image: str
    saliency: str
    """Addresses of pictures."""


class Unit(NamedTuple):
    """One column of the first layer's weights."""

    number: int
    image: str


def write(
    folder: Path,
    run: SavedRun,
    history: History,
    metrics: Mapping[str, Any],
    data: Split,
    found: Evaluation,
    manner: Manner | None = None,
) -> Path:
    """Write a run's report into its folder, atomically; where the file is.

    `history` and `metrics` are what history.json and metrics.json hold, `found` what `evaluate`
    found on `data.test`, `manner` what `familiar.load_manner` finds. Raises MissingExtraError
    without matplotlib, Pillow or Jinja.
    """
    path = folder / NAME
    text = render_page(folder.resolve().name, run, history, metrics, data, found, manner)
    write_atomically(path, text.encode())
    return path


def render_page(
    name: str,
    run: SavedRun,
    history: History,
    metrics: Mapping[str, Any],
    data: Split,
    found: Evaluation,
    manner: Manner | None = None,
) -> str:
    """The report as HTML: as `write`, for a run of this name."""
    return _render(
        name=name,
        history=history,
        metrics=metrics,
        found=found,
        **_describe_run(run, metrics, found),
        **_draw_curves(history),
        **_draw_reliability(run, found, data.test, manner),
        **_fill_galleries(run, data.test, found),
        **_draw_first_layer(run),
        **_record_tape(run, data.train),
    )


def _render(**content: Any) -> str:
    """The template with what is to be put into it."""
    with extra():
        from jinja2 import Environment, StrictUndefined
    template = resources.files(__package__).joinpath(NAME).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(content)


def _describe_run(run: SavedRun, metrics: Mapping[str, Any], found: Evaluation) -> dict[str, Any]:
    right, total = int(np.trace(found.confusion)), int(found.confusion.sum())
    return {
        "right": right,
        "total": total,
        "interval": wilson(right, total),
        "confusion": shade(found.confusion),
        "classes": run.classes,
        "things": "digits" if run.classes == DIGITS else "images",
        "width": _shape(run)[1],
        "height": _shape(run)[0],
        "kind": kinds.name_of(run.params),
        "sizes": kinds.layer_sizes(run.params),
        "parameters": sum(array.size for array in run.params.values()),
        "config": {field: spell(value) for field, value in flatten(run.config).items()},
        "environment": metrics.get("environment", {}),
    }


def _shape(run: SavedRun) -> tuple[int, int]:
    """Of its images as they are shown."""
    height, width = fold(np.zeros(kinds.layer_sizes(run.params)[0]), _image_shape(run)).shape
    return height, width


def _image_shape(run: SavedRun) -> tuple[int, ...]:
    return run.own.shape if run.own else SHAPE


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """With what is said of the data beside the other settings."""
    flat: dict[str, Any] = {}
    for field, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{field}: {name}": part for name, part in value.items()}
        else:
            flat[field] = value
    return flat


def _draw_curves(history: History) -> dict[str, Any]:
    drawn = {
        measure: plots.encode_svg(plots.draw_curve(history, measure))
        for measure in ("loss", "accuracy")
    }
    return {"curves": {name: data_uris.uri(svg, "image/svg+xml") for name, svg in drawn.items()}}


def _draw_reliability(
    run: SavedRun, found: Evaluation, test: Dataset, manner: Manner | None
) -> dict[str, Any]:
    """How sure and how right; as the network has it, and as it is said."""
    said = {"as they come": found.probabilities}
    if manner is not None:
        said["as they are said"] = temper(found.probabilities, manner.temperature)
    bins = {name: bin_by_confidence(shares, test.labels) for name, shares in said.items()}
    svg = plots.encode_svg(plots.draw_reliability(bins))
    return {
        "reliability": data_uris.uri(svg, "image/svg+xml"),
        "bins": BINS,
        "manner": manner,
        "trust": measure_trust(run.params, manner, found.probabilities, test),
    }


def _fill_galleries(run: SavedRun, dataset: Dataset, found: Evaluation) -> dict[str, Any]:
    misread, close = rank_by_confidence(dataset.labels, found.probabilities)
    return {
        "samples": list(pick_one_of_each(dataset, run.classes, _image_shape(run))),
        "mistakes": len(misread),
        "misread": list(make_specimens(run, dataset, found, misread[:MISREAD])),
        "close": list(make_specimens(run, dataset, found, close[:CLOSE])),
    }


def _draw_first_layer(run: SavedRun) -> dict[str, Any]:
    """The weights that lead to each unit, as pictures, and for what weight is their full colour.

    Hidden units come the heaviest first, classes in their order.
    """
    weights = kinds.first_layer(run.params)  # (units, inputs)
    scale = float(np.quantile(np.abs(weights), 0.99))  # the largest would leave the others pale
    order = np.arange(len(weights))
    if len(run.params) > 2:
        order = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:UNITS]
    shape = _image_shape(run)
    units = [Unit(int(i), data_uris.signed(weights[i], scale, shape)) for i in order]
    return {"units": units, "all_units": len(weights), "scale": scale}


def _record_tape(run: SavedRun, dataset: Dataset) -> dict[str, Any]:
    """What is recorded of a minibatch's loss; drawn, too, in SVG that escapes its words."""
    with extra():
        from markupsafe import Markup
    batch = Dataset(*(part[: run.config.get("batch_size")] for part in dataset))
    loss = kinds.KINDS[kinds.name_of(run.params)].loss
    recording = record(lambda params: loss(params, *batch), run.params)
    return {"batch": len(batch.labels), "recording": recording, "tape": Markup(recording.svg())}


def spell(value: Any) -> str:
    """A setting's value for people.

    >>> spell(True), spell(None), spell((64, 32)), spell(0.3)
    ('yes', 'none', '64, 32', '0.3')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, by its score (Wilson, 1927): unlike others, never beyond 0, 1.

    >>> [round(end, 4) for end in wilson(right=357, total=360)]
    [0.9758, 0.9972]
    """
    z, share = 1.959964, right / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def rank_by_confidence(labels: Array, probabilities: Array) -> tuple[Array, Array]:
    """Which are misread, the surest first; which are read right, the least sure first.

    >>> misread, close = rank_by_confidence(np.array([0, 1]), np.array([[0.8, 0.2], [0.7, 0.3]]))
    >>> misread, close
    (array([1]), array([0]))
    """
    said, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    right = (said == labels)[order]
    return order[~right], order[right][::-1]


def make_specimens(
    run: SavedRun, dataset: Dataset, found: Evaluation, chosen: Array
) -> Iterator[Specimen]:
    """The chosen images of a dataset, with what `evaluate` found on it and why."""
    images, labels = (part[chosen] for part in dataset)
    shape = _image_shape(run)
    for i, image, label, slope in zip(
        chosen, images, labels, saliency(run.params, images), strict=True
    ):
        said, chances = found.predicted[i], found.probabilities[i]
        yield Specimen(
            number=int(i),
            truth=run.classes[label],
            said=run.classes[said],
            sure=float(chances[said]),
            of_truth=float(chances[label]),
            image=data_uris.ink(image, shape),
            saliency=data_uris.signed(slope, shape=shape),
        )


def pick_one_of_each(
    dataset: Dataset, classes: Sequence[str] = DIGITS, shape: tuple[int, ...] = SHAPE
) -> Iterator[str]:
    """The first image of each class that there is; of SAMPLES classes at most."""
    for label in range(min(len(classes), SAMPLES)):
        for i in np.flatnonzero(dataset.labels == label)[:1]:
            yield data_uris.ink(dataset.images[i], shape)


def shade(counts: Array) -> list[list[tuple[int, float]]]:
    """Each count with how much colour it gets; the root makes single errors show.

    >>> shade(np.array([[4, 0], [3, 1]]))
    [[(4, 1.0), (0, 0.0)], [(3, 0.87), (1, 0.5)]]
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        [(int(count), round(float(share) ** 0.5, 2)) for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
