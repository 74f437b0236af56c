"""Which arguments of a function are meant, and what their leaves are called."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

from . import tree
from .pickling import name_of
from .tree import Tree

ArgNums: TypeAlias = int | tuple[int, ...]


def all_argnums(primals: tuple[Tree, ...]) -> ArgNums:
    """All the arguments: a tuple only where there are several."""
    return tuple(range(len(primals))) if len(primals) > 1 else 0


def check_argnums(argnums: Any, count: int, f: Any) -> None:
    """Raise TypeError unless argnums names arguments that f was called with, each once."""
    asked = argnums if isinstance(argnums, tuple) else (argnums,)
    for i in asked:
        if not isinstance(i, int):
            raise TypeError(f"argnums must be an int or a tuple of ints, got {i!r}")
        if not -count <= i < count:
            raise TypeError(
                f"argnums: {i}, but {name_of(f)} was called with {count} positional arguments"
            )
    if len({i % count for i in asked}) < len(asked):
        raise TypeError(f"argnums={argnums} names an argument of {name_of(f)} twice")


def leaf_paths(args: tuple[Tree, ...], argnums: ArgNums, f: Any) -> list[str]:
    """Where in the arguments each leaf stands, as in params['layers'][0]."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):  # some builtins have none
        names = []
    names += [f"argument {i}" for i in range(len(names), len(args))]
    positions = range(len(args))
    return [
        path
        for i in (argnums if isinstance(argnums, tuple) else (argnums,))
        for path, _ in tree.items(args[i], names[positions[i]])
    ]
