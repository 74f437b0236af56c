"""Whose function asks a Tensor for a plain array, and what to write instead of it.

Frames of the stack name the function in an error's message, and decide nothing.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

INSTEAD: dict[str, str] = {}
"""What to write instead of functions of other libraries, by dotted name: its own or a module's."""

LIBRARIES = frozenset({"numpy", "scipy", "pandas", "xarray", "sklearn", "skimage", "statsmodels"})
"""Whose frames are not the user's."""


def name_caller(frame: FrameType | None) -> tuple[str, Callable[..., Any] | None]:
    """The function of a library that the user has called, and its dotted name; "" for none.

    Where no public name is found it is that of the module.
    """
    frames = [*_library_frames(frame)]
    for outer in reversed(frames):
        for name, function in _public(outer):
            return name, function
    return (".".join(_shown(_module(frames[-1]))), None) if frames else ("", None)


def _library_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and _module(frame).partition(".")[0] in LIBRARIES:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _public(frame: FrameType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public names under which the function of a frame is found, the shortest first."""
    path = frame.f_code.co_qualname.split(".")
    if any(part.startswith("_") and not part.endswith("__") for part in path):
        return
    parts = _shown(_module(frame))
    for n in range(1, len(parts) + 1):
        module = ".".join(parts[:n])
        found: Any = sys.modules.get(module)
        for part in path:
            found = getattr(found, part, None)
        if callable(found) and _code(found) is frame.f_code:
            yield ".".join([module, *[part for part in path if part[0] != "_"]]), found


def _shown(module: str) -> list[str]:
    """The parts of a module's name in front of the first private one."""
    return [*itertools.takewhile(lambda part: part[0] != "_", module.split("."))]


def _code(function: Any) -> Any:
    """The code of a function under its decorators, and under NumPy's dispatch to a protocol."""
    function = inspect.unwrap(function)
    return getattr(getattr(function, "_implementation", function), "__code__", None)


def find_instead(name: str) -> str | None:
    """What to write instead of a function, or of all of its module."""
    while name:
        if name in INSTEAD:
            return INSTEAD[name]
        name = name.rpartition(".")[0]
    return None
