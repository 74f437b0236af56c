"""A call of a function as one record on the tape, whatever the function does inside.

The record's rule, the `CallPullback` that it has for an option, gives the cotangents of all the
arguments at once. What the derivative needs (the residuals) are constant inputs of the record, so
that it keeps and frees them as it does for every other op. `custom_vjp`, `checkpoint` and
`fixed_point` are made of such calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import Array, Kind, Like, Primitive, VariadicRule
from ..engine.tape import Tape, interpreters_of
from ..engine.tensor import record
from ..support import tree
from ..support.errors import NotDifferentiableError
from ..support.foreign import without_labels
from ..support.pickling import name_of
from ..support.tree import Tree

Derivative: TypeAlias = Callable[[Tree, Tree, Tree, list[int]], list[Array]]
"""(arguments, without their values; residuals; ȳ; which leaves are tracked) -> their cotangents."""


class CustomCall(NamedTuple):
    """A call of a function that brings a derivative of its own along.

    Where nothing is differentiated `f` runs. On a tape `forward` runs instead, which returns
    (y, residuals), and `pull` is the derivative.
    """

    primitive: Primitive
    args: tuple[Tree, ...]
    f: Callable[..., Tree]
    forward: Callable[..., tuple[Tree, Tree]]
    pull: Derivative

    staged: bool = False  # no op that programs know, as loops are

    def apply(self) -> Tree:
        """The result: what the top interpreter among the arguments makes of the call."""
        tape = find_top_tape(tree.flatten(self.args)[0])
        return self.run() if tape is None else tape.process_call(self)

    def run(self) -> Tree:
        return self.f(*self.args)

    @property
    def avals(self) -> tuple[Tree, ...]:
        """The arguments, of whose arrays only shape and dtype are left."""
        avals: tuple[Tree, ...] = tree.map(_forget_value, self.args)
        return avals

    def record(self, tape: Tape) -> Tree:
        """The y of forward(*args), as one record of whatever ran.

        forward runs on what the tape's Tensors hold, so on Tensors of outer tapes if there are any:
        calling f itself there makes a record on the next tape out.
        """
        tape.check_open()
        leaves, structure = tree.flatten(self.args)
        parents = [x.index if tape.is_on(x) else None for x in leaves]
        inside = [x if i is None else x.value for x, i in zip(leaves, parents, strict=True)]
        y, residuals = self.forward(*tree.unflatten(structure, inside))
        y = tree.map(without_labels, y)
        refuse_captured(self.primitive, (y, residuals), tape.serial - 1)
        floats, fill_in = partition(y, tree.is_inexact)
        if not floats:
            return y
        floats = [*map(tree.strong, floats)]
        arrays, unflatten_residuals = partition(residuals, lambda x: hasattr(x, "dtype"))
        tracked = [k for k, index in enumerate(parents) if index is not None]
        pull, avals = self.pull, self.avals  # and not the arguments, which could not be freed
        likes = [*map(Like, floats)]

        def pull_back(arrays: list[Array], cts: dict[int, Array]) -> list[Array]:
            full = [cts[k] if k in cts else _zeros_like(like) for k, like in enumerate(likes)]
            return pull(avals, unflatten_residuals(arrays), fill_in(full), tracked)

        results = record_results(tape, self.primitive, parents, floats, arrays, pull_back, tracked)
        return fill_in(results)


class CallPullback:
    """The derivative of one call: (residuals, ȳ) -> the cotangents of the tracked arguments.

    A rule is asked for one argument after another; all have the same g, and so are computed once.
    """

    __slots__ = ("known", "name", "pull", "tracked")

    def __init__(
        self, name: str, pull: Callable[[list[Array], Any], list[Array]], tracked: list[int]
    ) -> None:
        self.name, self.pull, self.tracked = name, pull, tracked
        self.known: tuple[Any, dict[int, Array]] | None = None  # g, and what it was pulled to

    def __repr__(self) -> str:
        return self.name

    def __call__(self, k: int, g: Any, inputs: tuple[Any, ...]) -> Array:
        known = self.known  # read once, and written as a whole: threads may share a pullback
        if known is None or known[0] is not g:
            cts = self.pull([x for x in inputs if x is not None], g)
            known = g, dict(zip(self.tracked, cts, strict=True))
        self.known = known if k != self.tracked[-1] else None
        return known[1][k]


def pull_argument(k: int, g: Array, _y: Array, *inputs: Any, pull: CallPullback) -> Array:
    """The rule of calls, for argument k."""
    return pull(k, g, inputs)


def make_primitive(f: Any) -> Primitive:
    """A primitive for the calls of f, each of which brings its derivative along."""
    primitive = Primitive(f, VariadicRule(pull_argument), name_of(f), Kind.OPAQUE)
    primitive.holomorphic = None
    return primitive


# --- calls with several results


class Bundle:
    """The cotangents of several results, of those that have one; for the sweep one of them all."""

    __slots__ = ("parts",)
    shape: tuple[int, ...] = ()
    dtype = np.dtype(object)

    def __init__(self, parts: dict[int, Array]) -> None:
        self.parts = parts

    def __add__(self, other: Bundle) -> Bundle:
        both = self.parts | other.parts
        twice = self.parts.keys() & other.parts.keys()
        return Bundle(both | {k: self.parts[k] + other.parts[k] for k in twice})


def _bundle(g: Array, _y: Array, _x: Array, *, k: int) -> Any:
    return Bundle({k: g})


PART = Primitive(lambda results, k: results[k], (_bundle,), "part", Kind.OPAQUE)
"""One of the results of a call."""


def record_results(
    tape: Tape,
    primitive: Primitive,
    parents: list[int | None],
    results: list[Array],
    residuals: list[Array],
    pull: Callable[[list[Array], dict[int, Array]], list[Array]],
    tracked: list[int],
) -> list[Array]:
    """The results of a call as Tensors: a record for the call, and one for each of several.

    Those that are not floating-point stay off the tape. `pull` gets the residuals, and the
    cotangents by the number of the result.
    """
    name = primitive.name
    sources = (*parents, *[None] * len(residuals))
    inputs = (*[None] * len(parents), *residuals)
    if len(results) == 1:
        alone = CallPullback(name, lambda arrays, g: pull(arrays, {0: g}), tracked)
        y = results[0]
        return [record(tape, y, primitive, sources, inputs, None, {"pull": alone})]
    pullback = CallPullback(name, lambda arrays, g: pull(arrays, g.parts), tracked)
    call = record(tape, Bundle({}), primitive, sources, inputs, None, {"pull": pullback})
    return [
        record(tape, y, PART, (call.index,), (None,), None, {"k": k}) if tree.is_inexact(y) else y
        for k, y in enumerate(results)
    ]


def refuse_captured(primitive: Primitive, results: Tree, newest: int) -> None:
    """Raise NotDifferentiableError for results on a newer tape than the arguments."""
    tape = find_top_tape(tree.flatten(results)[0])
    if tape is not None and tape.serial > newest:
        raise NotDifferentiableError(
            f"{primitive.name} uses a Tensor that it was not given (from a closure, or a global), "
            "whose gradient would be lost; make it an argument"
        )


def is_differentiated(x: Any) -> bool:
    """Whether x is on a tape."""
    return any(isinstance(interpreter, Tape) for interpreter in interpreters_of(x))


def _forget_value(x: Any) -> Any:
    return Like(x) if hasattr(x, "dtype") else x


def _zeros_like(x: Like) -> Array:
    return np.zeros(x.shape, x.dtype)[()]


def partition(
    whole: Tree, wanted: Callable[[Any], bool]
) -> tuple[list[Any], Callable[[list[Any]], Tree]]:
    """The leaves of a tree that are wanted, and how to put others in their places."""
    leaves = tree.flatten(whole)[0]
    chosen = [wanted(leaf) for leaf in leaves]
    rest = [None if taken else leaf for leaf, taken in zip(leaves, chosen, strict=True)]
    structure = tree.flatten(tree.map(lambda _: None, whole))[1]  # which keeps none of the leaves

    def unflatten(others: list[Any]) -> Tree:
        left = iter(others)
        full = [next(left) if taken else x for x, taken in zip(rest, chosen, strict=True)]
        return tree.unflatten(structure, full)

    return [leaf for leaf, taken in zip(leaves, chosen, strict=True) if taken], unflatten
