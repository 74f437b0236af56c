"""What goes from step to step of a loop: a tree whose form never changes.

Carry : init -> its leaves; then what each step returns -> leaves of the same form
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..compiler.signature import is_generator
from ..compiler.trace import GeneratorTracer
from ..support import tree
from ..support.errors import ShapeError
from ..support.foreign import within
from ..support.tree import Tree

_NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


class Carry:
    """The form of a carry: its structure, and the shape and dtype of each array in it."""

    def __init__(self, loop: str, init: Tree, name: str = "carry") -> None:
        self.loop, self.name = loop, name
        leaves, self.structure = tree.flatten(init)
        self.leaves = [as_leaf(leaf) for leaf in leaves]
        self.outline = tree.outline(self.structure)
        self.forms = [form_of(leaf) for leaf in self.leaves]

    def open(self, leaves: list[Any]) -> Tree:
        """The tree of these leaves."""
        return tree.unflatten(self.structure, leaves)

    def take(self, returned: Tree) -> list[Any]:
        """The leaves of what a step has returned, of the same form; or ShapeError, with the path.

        A Python number takes the dtype that the carry has there.
        """
        leaves, structure = tree.flatten(returned)
        if tree.outline(structure) != self.outline:
            raise ShapeError(
                f"{self.loop}: the {self.name} changes its structure, from "
                f"{describe_tree(self.open(self.leaves))} to {describe_tree(returned)}; "
                f"{_TELLING[self.name].structure}"
            )
        if [form_of(leaf) for leaf in leaves] == self.forms:
            return leaves
        return [self._fit(k, within(leaf)) for k, leaf in enumerate(leaves)]

    def _fit(self, k: int, leaf: Any) -> Any:
        form = self.forms[k]
        number = _NUMBERS.get(type(leaf))
        if number and form and not form[0] and np.can_cast(number, form[1], "same_kind"):
            return form[1].type(leaf)
        leaf = as_leaf(leaf)
        if form_of(leaf) != form:
            path = [path for path, _ in tree.items(self.open(self.leaves), self.name)][k]
            telling = _TELLING[self.name]
            raise ShapeError(
                f"{self.loop}: {path} is {_describe(self.leaves[k])} {telling.before} and "
                f"{_describe(leaf)} {telling.after}; {telling.advise(form, form_of(leaf))}"
            )
        return leaf


def refuse_changes(before: list[Any], after: list[Any], carry: Carry) -> None:
    """Raise ShapeError where what is no array is not what it was: a program could not tell."""
    paths = [path for path, _ in tree.items(carry.open(before), carry.name)]
    for path, x, y in zip(paths, before, after, strict=True):
        if isinstance(x, GeneratorTracer) and x is not y:
            raise ShapeError(
                f"{carry.loop}: {path} is another generator after a step; a program draws from the "
                "one that is there: return it where it was"
            )
        if form_of(x) is None and x is not y and type(x) is type(y) and x != y:
            raise ShapeError(
                f"{carry.loop}: {path} changes from {x!r} to {y!r}, and is no array that a program "
                "could carry; leave it out of the carry"
            )


class Parts:
    """Leaves, parted into arrays and what is no array."""

    def __init__(self, leaves: Iterable[Any]) -> None:
        self.leaves = [*leaves]
        self.are_arrays = [form_of(x) is not None or is_generator(x) for x in self.leaves]
        self.arrays = self.pick(self.leaves)

    def pick(self, leaves: list[Any]) -> list[Any]:
        return [x for x, chosen in zip(leaves, self.are_arrays, strict=True) if chosen]

    def merge(self, arrays: Iterable[Any]) -> list[Any]:
        """All leaves, with others in the place of the arrays."""
        others = iter(arrays)
        return [
            next(others) if chosen else x
            for x, chosen in zip(self.leaves, self.are_arrays, strict=True)
        ]

    def merge_results(self, results: Iterable[Any]) -> list[Any]:
        """The same with what a loop has made of the arrays; a generator stays the one it was."""
        pairs = zip(self.arrays, results, strict=True)
        return self.merge([x if isinstance(x, GeneratorTracer) else y for x, y in pairs])


def find_generators(results: list[Any], given: list[Any]) -> dict[int, int]:
    """The generators among the results: which of those given each is, -1 for none."""
    places = {id(x): k for k, x in enumerate(given)}
    return {
        k: places.get(id(x), -1) for k, x in enumerate(results) if isinstance(x, GeneratorTracer)
    }


def as_leaf(leaf: Any) -> Any:
    """A number as the NumPy scalar that it is worth; anything else as it is."""
    leaf = within(leaf)
    if type(leaf) in _NUMBERS:
        return _NUMBERS[type(leaf)](leaf)
    return leaf.strong() if hasattr(leaf, "strong") else leaf


def form_of(leaf: Any) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and dtype of an array; None for what is none."""
    dtype = getattr(leaf, "dtype", None)
    return None if dtype is None else (leaf.shape, dtype)


def _describe(leaf: Any) -> str:
    return type(leaf).__name__ if form_of(leaf) is None else f"{leaf.dtype}{leaf.shape}"


def describe_tree(whole: Tree) -> str:
    """A tree as messages show it: what is in it, by path."""
    parts = [*tree.items(whole)]
    if [path for path, _ in parts] == [""]:
        return _describe(whole)
    told = ", ".join(f"{path}: {_describe(leaf)}" for path, leaf in parts)
    return f"{type(whole).__name__}({told})"


class _Telling(NamedTuple):
    """How messages speak of what should have kept its form."""

    before: str
    after: str
    structure: str
    cast: str
    shape: str

    def advise(self, before: Any, after: Any) -> str:
        """What to do about two forms, of which at least one is an array's."""
        if before is None or after is None:
            return "arrays and other things cannot take each other's places"
        if before[0] == after[0]:
            return f"cast it, as x.astype(np.{before[1]}) does{self.cast.format(after[1])}"
        return self.shape.format(after[0])


_TELLING = {
    "carry": _Telling(
        "when a step begins",
        "when it ends",
        "return a tree like the one that went in",
        ", or begin with {}",
        "begin with an array of shape {}, or keep the shape in the step",
    ),
    "result": _Telling(
        "from one branch",
        "from another",
        "return trees alike from all branches",
        "",
        "return arrays of one shape from all branches",
    ),
    "elems": _Telling(
        "when fn gets it",
        "when fn returns it",
        "return a tree like each of the two that went in",
        ", or begin with {}",
        "combine element by element along the axis, as a + b does",
    ),
}
"""By what it is."""
