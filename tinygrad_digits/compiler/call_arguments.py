"""The arguments of a call by name: what f calls them, and the path of each leaf."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..support import tree
from .signature import Sealed, is_generator


def read_positional(f: Any) -> list[str]:
    """The names of f's positional arguments."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in _read_parameters(f) if p.kind in kinds]


def read_names(f: Any) -> list[str] | None:
    """The names of all arguments; None where there may be any."""
    parameters = _read_parameters(f)
    if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]


def _read_parameters(f: Any) -> list[inspect.Parameter]:
    try:
        return [*inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):  # some builtins have none
        return []


def list_leaves(
    args: tuple[Any, ...], kwargs: dict[str, Any], parameters: list[str]
) -> Iterator[tuple[str, Any]]:
    """Each leaf of a call with its path, as in params['w0']."""
    for k, argument in enumerate(args):
        name = parameters[k] if k < len(parameters) else f"argument {k}"
        yield from tree.items(argument, name)
    for name, argument in kwargs.items():
        yield from tree.items(argument, name)


def describe_leaf(leaf: Any) -> str:
    """What the signature has of a leaf, as a message shows it."""
    if isinstance(leaf, np.ndarray):
        return f"{leaf.dtype}{leaf.shape}"
    if isinstance(leaf, float | complex | np.generic) or is_generator(leaf):
        return type(leaf).__name__
    return repr(leaf.value if isinstance(leaf, Sealed) else leaf)[:40]
