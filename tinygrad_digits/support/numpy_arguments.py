"""NumPy's ways to pass arguments: by position or by its names for them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def drop_arrays(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a ufunc's method, without the arrays: by keyword NumPy gives those twice."""
    if method == "__call__":
        return options
    return {name: x for name, x in options.items() if name not in ("array", "indices")}


def place_arrays(
    function: Callable[..., Any], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays that were given by NumPy's names for them, in their places: np.sum(a=x)."""
    args: list[Any] = []
    rest = dict(options)
    for name in inspect.signature(function).parameters:
        if name not in rest or (args and not _has_shape(rest[name])):
            break
        args.append(rest.pop(name))
    return tuple(args), rest


def _has_shape(x: Any) -> bool:
    return hasattr(x, "shape") and not isinstance(x, type | np.dtype)


def name_arguments(
    function: Callable[..., Any],
    op: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments that the op does not take by position, by NumPy's names for them."""
    most, names = _count_positional(op), _read_names(function)
    if len(args) <= most or len(args) > len(names):
        return args, options
    rest = dict(zip(names[most:], args[most:], strict=False))
    given = {name: x for name, x in rest.items() if x is not np._NoValue}
    if twice := given.keys() & options.keys():
        raise TypeError(f"{function.__name__} got multiple values for {', '.join(sorted(twice))}")
    return args[:most], {**given, **options}


@functools.cache
def _count_positional(op: Callable[..., Any]) -> int:
    """How many arguments an op takes by position: its arrays, and what its primitive says."""
    if (primitive := getattr(op, "primitive", None)) is not None:
        arity = primitive.arity
        return sys.maxsize if arity is None else arity + len(primitive.positional)
    kinds = [p.kind for p in inspect.signature(op).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return sys.maxsize
    return sum(
        kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for kind in kinds
    )


@functools.cache
def _read_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """NumPy's names for what a function takes by position, where it tells them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple([p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD])
