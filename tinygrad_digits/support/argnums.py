"""Which arguments of a function are meant, what their leaves are called, and what it returned."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn, TypeAlias

import numpy as np

from . import tree
from .errors import NotDifferentiableError
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


def split_aux(output: Any, f: Any) -> tuple[Any, Any]:
    """(output, aux), of a function that is said to return such a pair."""
    if not (isinstance(output, tuple) and len(output) == 2):
        raise TypeError(f"has_aux=True: {name_of(f)} must return a pair (output, aux)")
    return output


def refuse_array(shape: tuple[int, ...], f: Any) -> NoReturn:
    """Raise NotDifferentiableError for an output of this shape, where a scalar was to be."""
    raise NotDifferentiableError(
        f"{name_of(f)} returned an array of shape {shape}; a gradient needs a scalar: reduce it "
        "with .mean() or .sum(), take all the derivatives with jacobian, or use vjp with a "
        "cotangent of that shape"
    )


def check_scalar(output: Any, f: Any) -> None:
    """Raise NotDifferentiableError unless an output that is not on the tape is a real scalar."""
    kind = getattr(getattr(output, "dtype", None), "kind", None)
    number = type(output) in (int, float) or (kind is not None and kind in "fiu")
    if not number or np.size(output) != 1:
        described = f"{output.dtype}{np.shape(output)}" if kind else type(output).__name__
        raise NotDifferentiableError(
            f"{name_of(f)} must return a real scalar to be differentiated, got {described}"
            + ("; with has_aux=True it may return (scalar, aux)" if type(output) is tuple else "")
        )
