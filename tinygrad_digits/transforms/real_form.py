"""Functions of complex numbers as functions of real ones, of twice as many.

split_complex : args, argnums -> args with real parts, (g -> g of these)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.complex_parts import is_complex, join_parts
from ..support import tree
from ..support.argnums import ArgNums
from ..support.pickling import name_of
from ..support.tree import Tree


def split_complex(
    args: tuple[Tree, ...], argnums: ArgNums
) -> tuple[tuple[Tree, ...], Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """The arguments with each complex array, (...), as its parts, (2, ...): real, then imaginary.

    Also what makes, of a function of the arguments, one of these. Where nothing is complex, both
    stay as they are.
    """
    positions = argnums if isinstance(argnums, tuple) else (argnums,)
    chosen = {i % len(args) for i in positions if -len(args) <= i < len(args)}
    split = tuple([tree.map(is_complex, x) if k in chosen else False for k, x in enumerate(args)])
    if not any(tree.flatten(split)[0]):
        return args, lambda f: f
    parts = tuple([tree.map(_split, x) if k in chosen else x for k, x in enumerate(args)])

    def take_parts(f: Callable[..., Any]) -> Callable[..., Any]:
        def f_of_parts(*parts: Any, **options: Any) -> Any:
            whole = [
                tree.map(_join, x, split[k]) if k in chosen else x for k, x in enumerate(parts)
            ]
            return f(*whole, **options)

        f_of_parts.__name__ = name_of(f)  # for messages
        return f_of_parts

    return parts, take_parts


def _split(x: Any) -> Any:
    return np.stack([np.real(x), np.imag(x)]) if is_complex(x) else x


def _join(x: Any, is_split: bool) -> Any:
    return join_parts(x[0], x[1]) if is_split else x
