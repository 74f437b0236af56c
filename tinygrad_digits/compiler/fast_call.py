"""The fast path into a program: straight-line code that knows one signature by heart.

    def try_call(args, kwargs):
        if kwargs or len(args) != 2: return MISS
        t0, a1, = args
        if type(t0) is not dict or (*t0,) != keys0: return MISS
        a0, = t0.values()
        if not (type(a0) is ndarray and a0.shape == (3, 4) and ...): return MISS
        if OPEN and hold_a_tensor(places): return MISS
        ...

Finding the program by its signature takes as long as ten small NumPy calls; this takes two. It
gives up (MISS) on whatever it does not know, and then the signature decides. How a container is
tested, opened and closed is written in `support.tree`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ..engine.tape import OPEN
from ..support import tree
from .free_variables import FreeVariable, hold_a_tensor, holds_a_tensor, is_fixed
from .instances import Attributes, has_state
from .signature import Sealed, identity, is_input

FastCall: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Any]

MISS: Final = object()
"""What `try_call` returns for a call with another signature."""


def compile_fast_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: tree.Structure,
    run: Callable[[tuple[Any, ...], Any], list[Any]],
    workspaces: list[Any],
    make_workspace: Callable[[], Any],
    known: Known,
) -> FastCall:
    """`try_call` for calls like this one.

    Args:
        args: the call's arguments.
        kwargs: those that it names.
        output: the tree of what the program returns.
        run: the program, on inputs and a workspace.
        workspaces: those that are idle.
        make_workspace: for when there is none.
        known: what of the function itself the program depends on.
    """
    writer = _Writer(known.attributes)
    writer.open_call(args, kwargs)
    for held in known.selves:
        writer.test_value(writer.bind(held), held)
    writer.refuse_tensors(known.places)
    result = writer.close(output, iter(range(1 << 30)))
    names = writer.namespace | {
        "MISS": MISS,
        "OPEN": OPEN,
        "ndarray": np.ndarray,
        "run": run,
        "take_workspace": workspaces.pop,
        "make_workspace": make_workspace,
        "give_back": workspaces.append,
    }
    source = _write_source(writer, result)
    exec(source, names)
    try_call: FastCall = names.pop("try_call")
    return try_call


def _write_source(writer: _Writer, result: str) -> str:
    """The source of `try_call`, which returns `result` of the program's leaves v."""
    return "\n".join(
        [
            "def try_call(args, kwargs):",
            *writer.lines,
            f"    if not ({' and '.join(writer.tests) or True}):",
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


class Known(NamedTuple):
    """What a program depends on that is no argument."""

    places: list[FreeVariable]
    """Variables that the function uses, which must not have become Tensors."""
    selves: list[Any]
    """Instances that it is called on, which must not have changed."""
    attributes: Attributes
    """What it reads of instances."""


class _Writer:
    """Writes how a call's arguments are taken apart, and tested, and how the result is built."""

    def __init__(self, attributes: Attributes) -> None:
        self.lines: list[str] = []
        self.tests: list[str] = []
        self.inputs: list[str] = []
        self.namespace: dict[str, Any] = {}
        self.attributes = attributes
        self.holders: list[str] = []  # leaves that could come to hold a Tensor

    def bind(self, thing: Any) -> str:
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
        self.bind(None)  # so that the next names are others
        if names:
            self.lines.append(f"    {''.join(f'{name}, ' for name in names)}= {source}")
        for name, child in zip(names, children, strict=True):
            self._open(name, child)

    def _open(self, name: str, argument: Any) -> None:
        kind = type(argument)
        if (container := tree.container_of(kind)) is not None:
            self._open_container(name, argument, container)
        elif kind is np.ndarray:
            dtype = self.bind(argument.dtype)
            self.tests.append(
                f"type({name}) is ndarray and {name}.shape == {argument.shape} "
                f"and {name}.dtype is {dtype}"
            )
            self.inputs.append(name)
        elif is_input(argument):
            self.tests.append(f"type({name}) is {self.bind(kind)}")
            self.inputs.append(name)
        elif argument is None or (is_fixed(argument) and kind is not MethodType):
            self.tests.append(f"{name} is {self.bind(argument)}")
        elif kind in (int, str, bool):
            self.tests.append(f"type({name}) is {kind.__name__} and {name} == {argument!r}")
        else:
            self.test_value(name, argument)

    def _open_container(self, name: str, argument: Any, container: tree.Container) -> None:
        kind, words = type(argument), {"tree": name, "open": self.bind(container.open)}
        tests = [f"type({name}) is {self.bind(kind)}"]
        if container.keys:
            keys = container.keys.format(**words)
            known = eval(keys, self.namespace, {name: argument})
            tests.append(f"{keys} == {self.bind(known)}")
            if type(known) is tuple and not all(type(key) is str for key in known):
                kinds = self.bind([*map(type, known)])  # 1 and True are equal
                tests.append(f"[*map(type, {keys})] == {kinds}")
        self.lines.append(f"    if not ({' and '.join(tests)}):")
        self.lines.append("        return MISS")
        children = container.open(argument).values()
        self._open_children(container.children.format(**words), children)

    def test_value(self, name: str, leaf: Any) -> None:
        """Test that a leaf is what it was, by its value or by its state."""
        value = leaf.value if isinstance(leaf, Sealed) else leaf
        key, attributes = identity(value, self.attributes), self.bind(self.attributes)
        now = f"{self.bind(identity)}({name}, {attributes})"
        self.tests.append(f"type({name}) is {self.bind(type(value))} and {now} == {self.bind(key)}")
        if has_state(value) or isinstance(leaf, Sealed):
            self.holders.append(name)

    def refuse_tensors(self, places: list[FreeVariable]) -> None:
        """Miss where a Tensor may have come into what the function uses."""
        tests = [f"{self.bind(hold_a_tensor)}({self.bind(places)})"] if places else []
        tests += [f"{self.bind(holds_a_tensor)}({name})" for name in self.holders]
        if tests:
            self.lines.append(f"    if OPEN and ({' or '.join(tests)}):")
            self.lines.append("        return MISS")

    def close(self, structure: tree.Structure, leaf: Iterator[int]) -> str:
        """An expression for a tree of the leaves v[0], v[1] ..."""
        if structure is None:
            return f"v[{next(leaf)}]"
        container, like, keys, nested = structure
        children = [self.close(child, leaf) for child in nested or [None] * len(keys)]
        named = zip(map(self.bind, keys), children, strict=True)
        return container.whole.format(
            close=self.bind(container.close),
            like=self.bind(like),
            items="".join(f"{key}: {child}, " for key, child in named),
            each="".join(f"{child}, " for child in children),
        )
