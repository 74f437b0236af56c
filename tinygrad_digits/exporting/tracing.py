"""What is exported: the program of a function, with the line of each op and names for values."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..compiler.api import Jitted, jit
from ..compiler.free_variables import find_functions, names_used
from ..compiler.passes import PASSES
from ..compiler.program import Program
from ..compiler.trace import Captured, JitInterpreter
from ..support import tree
from ..support.errors import ExportError, ShapeError
from ..support.user_lines import UserLine
from .lengths import LENGTHS, identity_of_array, unify


class Exported(NamedTuple):
    """A program, and what is needed to write it down for others."""

    function: Callable[..., Any]
    """The user's own."""
    parameters: list[str]
    """Its arguments' names."""
    program: Program
    structure: tree.Structure
    """Of the results."""
    lines: dict[int, UserLine]
    """Of each equation the user's line."""
    args: tuple[Any, ...]
    static: frozenset[str]
    """Arguments of which the program has the value."""

    @property
    def summary(self) -> str:
        """The first paragraph of what the user says of the function."""
        about = inspect.getdoc(self.function) or ""
        return about.partition("\n\n")[0] or "a function of arrays"

    def name_line(self, index: int) -> str:
        """The line of an equation, for messages."""
        return _name_line(self.lines, index)


def trace(f: Callable[..., Any], args: tuple[Any, ...], batch: tuple[str, ...]) -> Exported:
    """The program of f for such arguments, shortened by the passes that all backends share."""
    jitted = f if isinstance(f, Jitted) else jit(f)
    parameters = jitted.parameters[: len(args)]
    parameters += [f"argument_{k}" for k in range(len(parameters), len(args))]
    if not batch:
        return Exported(jitted.f, parameters, *_trace_once(jitted, args), args, jitted.static)
    if unknown := [name for name in batch if name not in parameters]:
        raise TypeError(f"batch_argnames: there is no argument {unknown[0]!r} among {parameters}")
    traced = [_trace_once(jitted, _resize(args, parameters, batch, n)) for n in LENGTHS]
    _, structure, lines = traced[0]
    program = unify([program for program, _, _ in traced], lambda i: _name_line(lines, i))
    return Exported(jitted.f, parameters, program, structure, lines, args, jitted.static)


def _name_line(lines: dict[int, UserLine], index: int) -> str:
    return str(lines.get(index, "the function"))


def _trace_once(
    jitted: Jitted[..., Any], args: tuple[Any, ...]
) -> tuple[Program, tree.Structure, dict[int, UserLine]]:
    interpreter = JitInterpreter()
    lines: dict[int, UserLine] = {}
    interpreter.lines = lines
    try:
        program, structure = jitted.trace(args, {}, interpreter)
    except Captured:
        raise ExportError(
            "the function uses a Tensor of a transform that is under way: export it outside"
        ) from None
    for each in PASSES:
        program = each(program)
    return program, structure, lines


def _resize(
    args: tuple[Any, ...], parameters: list[str], batch: tuple[str, ...], n: int
) -> tuple[Any, ...]:
    """The arguments with n rows in the place of those that they have, over and over again."""

    def repeat(leaf: Any) -> Any:
        if np.ndim(leaf) < 1 or not len(leaf):
            raise ShapeError(
                f"batch_argnames: an argument of any length needs a row to begin with, got "
                f"{type(leaf).__name__} of shape {np.shape(leaf)}"
            )
        return np.resize(leaf, (n, *leaf.shape[1:]))

    return tuple(
        tree.map(repeat, x) if name in batch else x
        for name, x in zip(parameters, args, strict=True)
    )


# --- names


def suggest_names(exported: Exported, program: Program) -> dict[int, str]:
    """Names for inputs and constants of its program, or of a step, by what the user calls them."""
    paths = {i: path for i, (path, _) in program.inputs.items()}
    like = {(x.dtype, np.size(x)) for x in program.constants.values()}  # for others may be large
    captured = [
        (path, x) for path, x in _list_captured(exported.function) if (x.dtype, x.size) in like
    ]
    known = {_content(x): path for path, x in captured}  # also for what is reshaped
    known |= {identity_of_array(x): path for path, x in captured}
    for i, x in program.constants.items():
        paths[i] = known.get(identity_of_array(x)) or known.get(_content(x)) or "constant"
    short = {i: _shorten(path) for i, path in paths.items()}
    taken = [*short.values()]
    return {
        i: name if taken.count(name) == 1 else join_words(paths[i]) for i, name in short.items()
    }


def _content(x: Any) -> tuple[Any, ...]:
    return x.dtype, x.tobytes()


def _shorten(path: str) -> str:
    """The last part of a path: params['w0'] -> w0."""
    words = re.findall(r"\w+", path)
    return words[-1] if words and words[-1].isidentifier() else join_words(path)


def join_words(path: str) -> str:
    """All parts of a path as one name: out['w0'] -> out_w0."""
    name = "_".join(re.findall(r"\w+", path))
    return name if name.isidentifier() else f"value_{name}".rstrip("_")


def _list_captured(f: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The arrays that a function uses without being given them, with their paths."""
    for function in find_functions(f):
        for name, content in _list_variables(function):
            for path, leaf in tree.items(content, name):
                if isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject:
                    yield path, leaf


def _list_variables(function: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(function, functools.partial):
        yield from function.keywords.items()
    elif inspect.ismethod(function):
        yield from getattr(function.__self__, "__dict__", {}).items()
    elif inspect.isfunction(function):
        for name in names_used(function.__code__):
            if name in function.__globals__:
                yield name, function.__globals__[name]
        closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in closed:
            try:
                yield name, cell.cell_contents
            except ValueError:  # it is not bound yet
                continue


def check_structure(structure: tree.Structure) -> None:
    """Raise ExportError for results in containers that a plain Python file does not know."""
    if structure is None:
        return
    _, like, keys, nested = structure
    kind = type(like)
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    if kind not in (dict, list, tuple) and not named:
        raise ExportError(
            f"the function returns a {kind.__name__}, which the file could not make without the "
            "code that defines it: return a dict, a list or a tuple of what is in it"
        )
    for key in keys:
        check_key(key)
    for child in nested or ():
        check_structure(child)


def check_key(key: Any) -> None:
    """Raise ExportError for a key that cannot be written down."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(type(part) in (str, int, float, bool, type(None)) for part in parts):
        raise ExportError(
            f"a dict with the key {key!r} cannot be written down: use strings and numbers as keys"
        )
