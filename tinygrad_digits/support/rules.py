"""What the parameters of a derivative rule say: what it reads, and which options its op takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .errors import wrong_rule
from .signatures import KEYWORD_ONLY, VAR_KEYWORD, read_parameters

NOTHING: Final = 0
LIKE: Final = 1
VALUE: Final = 2
"""How much of an array a rule reads."""


class Signature(NamedTuple):
    """What the parameters of a rule say."""

    reads: list[int]  # how much of y, and of each input
    options: dict[str, bool]  # by name: whether it may be given by position
    takes_any: bool  # other options too, by ** or because there is no rule


def read_rule(rule: Callable[..., Any] | None, places: int, name: str) -> Signature:
    """What a rule of the op `name` reads; its first parameters are (g, y, *inputs)."""
    if rule is None:
        return Signature([], {}, takes_any=True)
    parameters = read_parameters(rule)
    positional = [p.name for p in parameters if p.kind is not KEYWORD_ONLY]
    if len(positional) < places:
        raise wrong_rule(name, places, positional)
    options = [p for p in parameters[places:] if p.kind is not VAR_KEYWORD]
    return Signature(
        [_read_much(p.name) for p in parameters[:places]][1 - places :],
        {p.name: p.name in positional for p in options},
        takes_any=len(options) < len(parameters) - places,
    )


def _read_much(parameter: str) -> int:
    """How much of an argument a rule reads, by the name of its parameter."""
    return NOTHING if parameter[0] == "_" else LIKE if parameter.endswith("_like") else VALUE
