"""What the model says of the images in files, for people and for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...ops.softmax import softmax
from ..data.dataset import DIGITS, Array
from ..images.files import Images
from ..images.normalise import Extent
from ..model import kinds
from ..model.familiarity import find_strange
from ..model.mlp import Params
from ..runs.familiar import Manner

if TYPE_CHECKING:
    from ..images.reading import Stages


class Answer(NamedTuple):
    """What the model makes of one image."""

    image: str
    """The file's name, with a number where it holds several."""
    probabilities: Array
    """(classes,), of sum 1."""
    strange: bool
    """Whether it looks like no digit."""
    box: Extent | None
    """Where it is in a picture."""
    classes: tuple[str, ...] = DIGITS
    place: int | None = None
    """Among the images of its file; None where it is the only one."""

    @property
    def digit(self) -> int | None:
        """The likeliest class's place; None for what looks like no digit."""
        return None if self.strange else int(self.probabilities.argmax())

    @property
    def said(self) -> str | None:
        """The likeliest class's name; None for what looks like no digit."""
        return None if self.digit is None else self.classes[self.digit]

    def describe(self) -> dict[str, Any]:
        """As what JSON can hold."""
        said: dict[str, Any] = {
            "image": self.image,
            **({"digit": self.digit} if self.classes == DIGITS else {"class": self.said}),
            "probabilities": self.probabilities.tolist(),
        }
        return said if self.box is None else {**said, "box": self.box._asdict()}


def answer(
    params: Params,
    manner: Manner | None,
    path: Path,
    content: Images,
    classes: tuple[str, ...] = DIGITS,
) -> list[Answer]:
    """What the model makes of what a file holds; without a manner nothing looks strange to it.

    >>> import numpy as np
    >>> eye = {"w0": np.eye(64)[:, :10], "b0": np.zeros(10)}
    >>> [one.digit for one in answer(eye, None, Path("x.npy"), Images(np.eye(64)[3:5]))]
    [3, 4]
    """
    logits = kinds.logits_in_parts(params, content.images)
    strange = [False] * len(logits)
    if manner is not None and manner.familiar is not None:
        strange = find_strange(manner.familiar, content.images, logits).tolist()
    if manner is not None:
        logits = logits / manner.temperature
    boxes: list[Extent | None] = [None] * len(logits) if content.boxes is None else [*content.boxes]
    places = [None] if len(logits) == 1 else [*range(len(logits))]
    names = [str(path) if place is None else f"{path}[{place}]" for place in places]
    rows = zip(names, softmax(logits), strange, boxes, strict=True)
    return [Answer(*row, classes, place) for row, place in zip(rows, places, strict=True)]


def save_stages(stages: Stages, folder: Path, path: Path) -> Path:
    """Draw what became of the picture at a path into a folder: where it was drawn."""
    from ..images.show import draw_stages

    folder.mkdir(parents=True, exist_ok=True)
    drawn = folder / f"{path.name}.steps.png"
    draw_stages(stages).save(drawn)
    return drawn
