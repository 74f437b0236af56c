"""What the parameters of derivative rules say: what they read, and which options their op takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from .errors import lacking_options, no_rule_with, wrong_count, wrong_rule
from .signatures import KEYWORD_ONLY, VAR_KEYWORD, read_parameters

NOTHING: Final = 0
LIKE: Final = 1
VALUE: Final = 2
"""How much of an array a rule reads."""


def read_rules(
    rules: Iterable[Callable[..., Any] | None], places: int, name: str
) -> tuple[list[list[int]], dict[str, bool]]:
    """What each rule of the op `name` reads; its options, and whether each may be by position.

    The first `places` parameters of a rule are (g, y, *inputs). Raises TypeError where there are
    fewer, and where an option of one rule is lacking in another.
    """
    signatures = [_read_rule(rule, places, name) for rule in rules]
    options = {option: by_place for s in signatures for option, by_place in s.options.items()}
    for lacking in [options.keys() - s.options.keys() for s in signatures if not s.takes_any]:
        if lacking:
            raise lacking_options(name, options, lacking)
    return [signature.reads for signature in signatures], options


def bind_options(
    op: Any, extra: tuple[Any, ...], options: dict[str, Any], missing: int = 0
) -> dict[str, Any]:
    """The options of a call by name, as the op's rules name them; any other is refused.

    `extra` are the positional arguments after the arrays, of which some may be missing.
    """
    if missing or len(extra) > len(op.positional):
        raise wrong_count(op, len(extra), missing)
    options = {**dict(zip(op.positional, extra, strict=False)), **options}
    for name in options.keys() - op.options:
        if options[name] is not None:  # None is NumPy's default, said aloud
            raise no_rule_with(op.name, name, op.options)
        del options[name]
    return options


class _Signature(NamedTuple):
    """What the parameters of a rule say."""

    reads: list[int]  # how much of y, and of each input
    options: dict[str, bool]  # by name: whether it may be given by position
    takes_any: bool  # other options too, by ** or because there is no rule


def _read_rule(rule: Callable[..., Any] | None, places: int, name: str) -> _Signature:
    """What a rule of the op `name` reads; its first parameters are (g, y, *inputs)."""
    if rule is None:
        return _Signature([], {}, takes_any=True)
    parameters = read_parameters(rule)
    positional = [p.name for p in parameters if p.kind is not KEYWORD_ONLY]
    if len(positional) < places:
        raise wrong_rule(name, places, positional)
    options = [p for p in parameters[places:] if p.kind is not VAR_KEYWORD]
    return _Signature(
        [_read_much(p.name) for p in parameters[:places]][1 - places :],
        {p.name: p.name in positional for p in options},
        takes_any=len(options) < len(parameters) - places,
    )


def _read_much(parameter: str) -> int:
    """How much of an argument a rule reads, by the name of its parameter."""
    return NOTHING if parameter[0] == "_" else LIKE if parameter.endswith("_like") else VALUE
