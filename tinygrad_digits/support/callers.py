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

import numpy as np

from .errors import NotDifferentiableError
from .substitutes import INSTEAD, NUMPY

LIBRARIES = frozenset({"numpy", "scipy", "pandas", "xarray", "sklearn", "skimage", "statsmodels"})
"""Whose frames are not the user's."""


def name_caller(frame: FrameType | None) -> tuple[str, Callable[..., Any] | None]:
    """The function of a library that the user has called, and its dotted name; "" for none.

    Where no public name is found it is that of the module.
    """
    frames = [*_library_frames(frame)]
    for outer in reversed(frames):
        for name, function in _public_names(outer):
            return name, function
    return (".".join(_public_parts(_module(frames[-1]))), None) if frames else ("", None)


def _library_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and _module(frame).partition(".")[0] in LIBRARIES:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _public_names(frame: FrameType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public names under which the function of a frame is found, the shortest first."""
    path = frame.f_code.co_qualname.split(".")
    if any(part.startswith("_") and not part.endswith("__") for part in path):
        return
    parts = _public_parts(_module(frame))
    for n in range(1, len(parts) + 1):
        module = ".".join(parts[:n])
        found: Any = sys.modules.get(module)
        for part in path:
            found = getattr(found, part, None)
        if callable(found) and _innermost_code(found) is frame.f_code:
            yield ".".join([module, *[part for part in path if part[0] != "_"]]), found


def _public_parts(module: str) -> list[str]:
    """The parts of a module's name in front of the first private one."""
    return [*itertools.takewhile(lambda part: part[0] != "_", module.split("."))]


def _innermost_code(function: Any) -> Any:
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


NO_NUMBER = (
    "a Tensor that is being differentiated cannot become a plain number (by float, int, a function "
    "of math, or `a[i] = t`): its gradient would be lost. To fill an array write "
    "a = td.at(a)[i].set(t), or np.stack([...]); for a function of math use NumPy's, np.sin(t). If "
    "the gradient shall end here, say so: t.item(), t.value or td.stop_gradient(t)"
)

NO_ARRAY = (
    "a Tensor cannot become a plain array: its gradient would be lost. To build an array "
    "out of Tensors use np.stack or np.concatenate rather than np.array, np.r_ or np.c_, "
    "and rather than `a[i] = t` write a = td.at(a)[i].set(t); "
    "for the bare numbers take tensor.value"
)


def answer_scipy_sparse(frame: FrameType) -> Any:
    """What tells an operator of scipy.sparse that its other operand is to answer: no array at all.

    None where the frame is not of scipy.sparse. Raises NotDifferentiableError for its functions
    that would go on with it.
    """
    if not _module(frame).startswith("scipy.sparse."):
        return None
    if frame.f_code.co_name in ("_matmul_dispatch", "_mul_dispatch", "_divide"):
        return np.array(None, object)
    raise NotDifferentiableError(
        "scipy.sparse takes a Tensor in products with a matrix A alone, A @ t and t @ A; elsewhere "
        "write A.toarray()"
    )


def explain_no_array(frame: FrameType | None, otherwise: str = NO_ARRAY) -> str:
    """Why a Tensor becomes no plain array, in the words of the function that wants one.

    `otherwise` is for the user's own code, and for NumPy's functions, of which there is more to say
    only where another takes their place.
    """
    name, function = name_caller(frame)
    if not name:
        return otherwise
    short = name.replace("numpy.", "np.", 1)
    if function in NUMPY:  # which has not seen the Tensors in a list, nor those among its options
        stacked = f"{short}([...]) with Tensors in a list is {short}(np.stack([...]))"
        return f"{stacked}, and one as an option, as in initial=t, has no gradient: {otherwise}"
    instead = INSTEAD.get(name) or _find_namesake(name) or find_instead(name)
    if instead is None and name.startswith("numpy."):
        return f"{short}: {otherwise}" if function else otherwise
    return (
        f"{short} makes a plain array of a Tensor, whose gradient would be lost; write "
        f"{instead or _suggest_rule(name)}; for the bare numbers take tensor.value"
    )


def _suggest_rule(name: str) -> str:
    """What to write instead of a function that nobody knows."""
    module, _, last = name.rpartition(".")
    rule = f", or give it a derivative: {last} = td.define({name}, rule)"
    return "NumPy's functions" + (rule if module else "")


def _find_namesake(name: str) -> str | None:
    """Our function of the same name as SciPy's, or NumPy's."""
    module, _, last = name.rpartition(".")
    if module not in ("scipy.linalg", "scipy.special", "scipy.signal", "scipy.integrate"):
        return None
    package = sys.modules[__name__.partition(".")[0]]
    for space in ("special", "linalg", "nn"):
        if last in getattr(package, space).__all__:
            return f"td.{space}.{last}"
    for where, path in ((np, "np"), (np.linalg, "np.linalg")):
        found = getattr(where, last, None)
        if callable(found) and found in NUMPY:
            return f"{path}.{last}"
    return None
