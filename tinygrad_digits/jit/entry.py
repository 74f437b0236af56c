"""The short way into a program: straight-line code that knows one signature by heart.

    def enter(args, kwargs):
        if kwargs or len(args) != 2: return MISS
        t0, a1, = args
        if type(t0) is not dict or (*t0,) != keys0: return MISS
        a0, = t0.values()
        if not (type(a0) is ndarray and a0.shape == (3, 4) and ...): return MISS
        ...

Finding the program by its signature takes as long as ten small NumPy calls; this takes two. It
gives up (MISS) on whatever it does not know, and then the long way decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np

from ..engine import tree
from .captures import Watch, holds_a_tensor, is_fixed
from .program import is_generator

Enter: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Any]

MISS: Final = object()
"""What `enter` returns for a call with another signature."""


def entry(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: tree.Structure,
    run: Callable[[tuple[Any, ...], Any], list[Any]],
    workspaces: list[Any],
    make_workspace: Callable[[], Any],
    watches: list[Watch],
) -> Enter | None:
    """`enter` for calls like this one; None where its containers are unusual.

    Args:
        args: the call's arguments.
        kwargs: those that it names.
        output: the tree of what the program returns.
        run: the program, on inputs and a workspace.
        workspaces: those that are idle.
        make_workspace: for when there is none.
        watches: variables that the function uses, which must not have become Tensors.
    """
    writer = _Writer()
    try:
        writer.open_call(args, kwargs)
        result = writer.closed(output, iter(range(1 << 30)))
    except LookupError:
        return None
    names = writer.namespace
    tests = [watch.test(writer.bound) for watch in watches]
    tests += writer.tests
    names |= {
        "MISS": MISS,
        "holds_a_tensor": holds_a_tensor,
        "ndarray": np.ndarray,
        "run": run,
        "take_workspace": workspaces.pop,
        "make_workspace": make_workspace,
        "give_back": workspaces.append,
    }
    source = "\n".join(
        [
            "def enter(args, kwargs):",
            *writer.lines,
            f"    if not ({' and '.join(tests) or True}):",
            "        return MISS",
            "    try:",
            "        workspace = take_workspace()",
            "    except IndexError:",
            "        workspace = make_workspace()",
            "    try:",
            f"        v = run(({''.join(f'{name}, ' for name in writer.inputs)}), workspace)",
            "    finally:",
            "        give_back(workspace)",
            f"    return {result}",
        ]
    )
    exec(source, names)
    enter: Enter = names.pop("enter")
    return enter


def is_input(leaf: Any) -> bool:
    """Whether a leaf may change between calls without a new trace."""
    arrays = np.ndarray | np.number | np.bool_
    return type(leaf) is float or isinstance(leaf, arrays) or is_generator(leaf)


class _Writer:
    """Writes how a call's arguments are taken apart, and tested, and how the result is built."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tests: list[str] = []
        self.inputs: list[str] = []
        self.namespace: dict[str, Any] = {}

    def bound(self, thing: Any) -> str:
        name = f"k{len(self.namespace)}"
        self.namespace[name] = thing
        return name

    def open_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.lines.append(f"    if len(args) != {len(args)} or kwargs.keys() != {{*{(*kwargs,)}}}:")
        self.lines.append("        return MISS")
        self._open_children("args", args)
        by_name = "".join(f"kwargs[{name!r}], " for name in kwargs)
        self._open_children(by_name, kwargs.values())

    def _open_children(self, source: str, children: Any) -> None:
        names = [f"a{len(self.namespace)}_{k}" for k in range(len(children))]
        self.bound(None)  # so that the next names are others
        if names:
            self.lines.append(f"    {''.join(f'{name}, ' for name in names)}= {source}")
        for name, child in zip(names, children, strict=True):
            self._open(name, child)

    def _open(self, name: str, argument: Any) -> None:
        kind = type(argument)
        if kind is dict and not all(type(key) is str for key in argument):
            raise LookupError(kind)
        if kind in (dict, list, tuple):
            same = f"(*{name},) == {self.bound((*argument,))}" if kind is dict else ""
            size = f"len({name}) == {len(argument)}"
            self.lines.append(f"    if not (type({name}) is {kind.__name__} and {same or size}):")
            self.lines.append("        return MISS")
            if kind is dict:
                self._open_children(f"{name}.values()", argument.values())
            else:
                self._open_children(name, argument)
        elif kind is np.ndarray:
            dtype = self.bound(argument.dtype)
            self.tests.append(
                f"type({name}) is ndarray and {name}.shape == {argument.shape} "
                f"and {name}.dtype is {dtype}"
            )
            self.inputs.append(name)
        elif is_input(argument):
            self.tests.append(f"type({name}) is {self.bound(kind)}")
            self.inputs.append(name)
        elif argument is None or is_fixed(argument):
            self.tests.append(f"{name} is {self.bound(argument)}")
        elif kind in (int, str, bool):
            self.tests.append(f"type({name}) is {kind.__name__} and {name} == {argument!r}")
        else:
            raise LookupError(kind)

    def closed(self, structure: tree.Structure, leaf: Iterator[int]) -> str:
        """An expression for a tree of the leaves v[0], v[1] ..."""
        if structure is None:
            return f"v[{next(leaf)}]"
        _, like, keys, nested = structure
        children = [self.closed(child, leaf) for child in nested or [None] * len(keys)]
        if type(like) is dict:
            named = zip(map(self.bound, keys), children, strict=True)
            return f"{{{', '.join(f'{key}: {child}' for key, child in named)}}}"
        if type(like) is list:
            return f"[{', '.join(children)}]"
        if type(like) is tuple:
            return f"({''.join(f'{child}, ' for child in children)})"
        raise LookupError(type(like))
