"""What a function uses without being given it, and whether a Tensor is among that.

A program may be run again only while nothing that it has taken for a constant is a Tensor: else
the function is part of a gradient under way, and has to be run as it is. Looked at are closures,
globals, defaults, the objects of methods, and the functions of the same package that are called.
That takes time in proportion to all they hold, so it is done only while some tape is open.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterator
from types import CellType, CodeType, ModuleType
from typing import Any

import numpy as np

from ..engine.tape import OPEN
from ..engine.tensor import Tensor
from ..support import tree
from ..support.pickling import Restorable

_OURS = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 (pathlib takes 4 ms to import)
_SIMPLE = (np.ndarray, np.float64, np.float32, float, int, bool, str, type(None))
"""Types of what holds nothing else."""


def holds_a_tensor(held: Any, depth: int = 4) -> bool:
    """Whether something is a Tensor in use, or a container or an object with one in it."""
    if isinstance(held, Tensor):
        return not held.tape.closed
    if type(held) in _SIMPLE or not depth or is_fixed(held):
        return False
    inside = [*vars(held).values()] if hasattr(held, "__dict__") else tree.flatten(held)[0]
    return any(x is not held and holds_a_tensor(x, depth - 1) for x in inside)


def is_fixed(held: Any) -> bool:
    """Whether something is a function, a class or a module, whose own variables are watched."""
    return inspect.isroutine(held) or isinstance(held, type | ModuleType | np.ufunc | Restorable)


class FreeVariable:
    """A place that may hold a Tensor the next time: a cell, a name in a module, or an object."""

    __slots__ = ("name", "where")

    def __init__(self, where: Any, name: str | None = None) -> None:
        self.where = where
        self.name = name

    @property
    def content(self) -> Any:
        if self.name is not None:
            return self.where.get(self.name)
        return _content(self.where) if isinstance(self.where, CellType) else self.where


def hold_a_tensor(places: list[FreeVariable]) -> bool:
    """Whether one of these places holds a Tensor in use, as far as one looks into it."""
    return bool(OPEN) and any(holds_a_tensor(place.content) for place in places)


def find_free_variables(f: Any) -> list[FreeVariable]:
    """All the places that f uses, but for functions, classes and modules."""
    places = [place for function in find_functions(f) for place in _find_variables(function)]
    return [place for place in places if not _will_stay(place.content)]


def find_instances(f: Any) -> list[Any]:
    """The instances that f is called on: a method's, or f itself where it is an object."""
    found = []
    for function in find_functions(f):
        if inspect.ismethod(function):
            found.append(function.__self__)
        elif not isinstance(function, functools.partial) and not is_fixed(function):
            found.append(function)
    return found


def _will_stay(held: Any) -> bool:
    """Whether nobody puts a Tensor there: where functions are, alone or as a tuple."""
    leaves = tree.flatten(held)[0] if isinstance(held, tuple) else [held]
    return all(map(is_fixed, leaves))


def _find_variables(function: Any) -> Iterator[FreeVariable]:
    if isinstance(function, functools.partial):
        yield FreeVariable((function.args, function.keywords))
    elif inspect.ismethod(function):
        yield FreeVariable(function.__self__)
    elif inspect.isfunction(function):
        yield from map(FreeVariable, function.__closure__ or ())
        if function.__defaults__ or function.__kwdefaults__:
            yield FreeVariable((function.__defaults__, function.__kwdefaults__))
        names = names_used(function.__code__)
        yield from (
            FreeVariable(function.__globals__, n) for n in names if n in function.__globals__
        )
    elif not is_fixed(function):  # an object that can be called
        yield FreeVariable(function)


def find_functions(f: Any) -> Iterator[Any]:
    """f, and the functions that it wraps, closes over, or calls in its own package."""
    todo, seen = [f], set()
    package = str(getattr(f, "__module__", "")).partition(".")[0]
    while todo:
        f = todo.pop()
        if id(f) in seen or (inspect.isfunction(f) and _is_ours(f) and not f.__closure__):
            continue
        seen.add(id(f))
        if not (inspect.isfunction(f) and _is_ours(f)):
            yield f
        wrapped = ("func", "__func__", "__wrapped__")
        todo += [getattr(f, name) for name in wrapped if hasattr(f, name)]
        for place in _find_variables(f):
            for leaf in tree.flatten(place.content)[0]:
                mine = place.name is None or _package(leaf) == package
                if mine and (inspect.isroutine(leaf) or isinstance(leaf, functools.partial)):
                    todo.append(leaf)
                elif mine and hasattr(leaf, "__wrapped__"):  # a jitted function
                    todo.append(leaf.__wrapped__)


def _package(function: Any) -> str:
    return str(getattr(function, "__module__", "")).partition(".")[0]


def _is_ours(function: Any) -> bool:
    """Whether a function is a transform's or an optimiser's, which holds nothing that changes."""
    code: CodeType = function.__code__
    return code.co_filename.startswith(_OURS) and "digits" not in (function.__module__ or "").split(
        "."
    )


def names_used(code: CodeType) -> list[str]:
    """The global names in a function, and in the functions inside."""
    inner = [name for x in code.co_consts if isinstance(x, CodeType) for name in names_used(x)]
    return [*dict.fromkeys([*code.co_names, *inner])]


def _content(cell: CellType) -> Any:
    """What a cell holds; None if it is not bound yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
