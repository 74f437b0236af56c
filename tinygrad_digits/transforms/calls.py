"""A call of a function as one record on the tape, whatever the function does inside.

The record's rule, the `Pull` that it has for an option, gives the cotangents of all the arguments
at once. What the derivative needs (the residuals) are constant inputs of the record, so that it
keeps and frees them as it does for every other op. `custom_vjp`, `checkpoint` and `fixed_point`
are made of such calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.primitive import Array, Kind, Like, Primitive, VariadicRule
from ..engine.tape import Tape
from ..engine.tensor import Tensor, record
from ..engine.transforms import name_of
from ..support import tree
from ..support.errors import NotDifferentiableError
from ..support.foreign import without_labels
from ..support.tree import Tree
from .batching import Batch, vmap

Derivative: TypeAlias = Callable[[Tree, Tree, Tree, list[int]], list[Array]]
"""(arguments, without their values; residuals; ȳ; which leaves are tracked) -> their cotangents."""


class Pull:
    """The derivative of one call: (residuals, ȳ) -> the cotangents of the tracked arguments.

    A rule is asked for one argument after another; all have the same g, and so are computed once.
    """

    __slots__ = ("done", "filled", "likes", "name", "pull", "shaped", "tracked")

    def __init__(
        self,
        name: str,
        pull: Derivative,
        likes: Tree,
        filled: Callable[[list[Array]], Tree],
        shaped: Callable[[Array], Tree],
        tracked: list[int],
    ) -> None:
        self.name, self.pull, self.likes, self.tracked = name, pull, likes, tracked
        self.filled, self.shaped = filled, shaped  # back to the trees of residuals and of y
        self.done: tuple[Array, dict[int, Array]] | None = None

    def __repr__(self) -> str:
        return self.name

    def __call__(self, k: int, g: Array, inputs: tuple[Any, ...]) -> Array:
        done = self.done  # read once, and written as a whole: threads may share a pullback
        if done is None or done[0] is not g:
            residuals = self.filled([x for x in inputs if x is not None])
            cts = self.pull(self.likes, residuals, self.shaped(g), self.tracked)
            done = g, dict(zip(self.tracked, cts, strict=True))
        self.done = done if k != self.tracked[-1] else None
        return done[1][k]


def _rule(k: int, g: Array, _y: Array, *inputs: Any, pull: Pull) -> Array:
    return pull(k, g, inputs)


def row_of_calls(f: Any) -> Primitive:
    """A row for the calls of f, each of which brings its derivative along."""
    return Primitive(f, VariadicRule(_rule), name_of(f), Kind.OPAQUE)


def recorded_call(
    row: Primitive,
    args: tuple[Tree, ...],
    f: Callable[..., Tree],
    forward: Callable[..., tuple[Tree, Tree]],
    pull: Derivative,
) -> Tree:
    """f(*args); on a tape the y of forward(*args), which makes one record of whatever ran.

    forward runs on what the tape's Tensors hold, so on Tensors of outer tapes if there are any:
    calling f itself there makes a record on the next tape out.
    """
    leaves, structure = tree.flatten(args)
    tape = find_top_tape(leaves)
    if isinstance(tape, Batch):
        return _batched_call(row, args, f, forward, pull, tape)
    if type(tape) is not Tape:
        return f(*args) if tape is None else tape.called(row, args, f, forward, pull)
    if tape.closed:
        next(tape.indices)  # raises
    parents = [x.index if type(x) is Tensor and x.tape is tape else None for x in leaves]
    inside = [x if i is None else x.value for x, i in zip(leaves, parents, strict=True)]
    y, residuals = forward(*tree.unflatten(structure, inside))
    y = tree.map(without_labels, y)
    refuse_captured(row, (y, residuals), tape.serial - 1)
    value, shaped = _packed(y)
    if value is None:
        return y
    arrays, filled = _apart(residuals, lambda x: hasattr(x, "dtype"))
    tracked = [k for k, index in enumerate(parents) if index is not None]
    options = {"pull": Pull(row.name, pull, tree.map(_like, args), filled, shaped, tracked)}
    sources = (*parents, *[None] * len(arrays))
    inputs = (*[None] * len(parents), *arrays)
    return shaped(record(tape, value, row, sources, inputs, None, options))


def _batched_call(
    row: Primitive,
    args: tuple[Tree, ...],
    f: Callable[..., Tree],
    forward: Callable[..., tuple[Tree, Tree]],
    pull: Derivative,
    batch: Batch,
) -> Tree:
    """The call for all examples at once: what vmap makes of f, forward and pull."""
    leaves, structure = tree.flatten(args)
    axes = [0 if batch.has(x) else None for x in leaves]
    stacked = [x if axis is None else x.stacked for x, axis in zip(leaves, axes, strict=True)]
    if not any(isinstance(x, Tensor) for x in stacked):
        return f(*args)
    in_axes = tree.unflatten(structure, axes)
    likes = tree.map(_like, args)

    def pull_all(_: Tree, residuals: Tree, g: Tree, tracked: list[int]) -> list[Array]:
        each = vmap(lambda residuals, g: pull(likes, residuals, g, tracked))(residuals, g)
        return [
            np.sum(ct, 0) if axes[k] is None else ct for k, ct in zip(tracked, each, strict=True)
        ]

    y = recorded_call(
        row, tree.unflatten(structure, stacked), vmap(f, in_axes), vmap(forward, in_axes), pull_all
    )
    refuse_captured(row, y, batch.serial - 1)
    return tree.map(lambda x: batch.entered(x) if hasattr(x, "dtype") else x, y)


def refuse_captured(row: Primitive, results: Tree, newest: int) -> None:
    """Raise NotDifferentiableError for results on a newer tape than the arguments."""
    tape = find_top_tape(tree.flatten(results)[0])
    if tape is not None and tape.serial > newest:
        raise NotDifferentiableError(
            f"{row.name} uses a Tensor that it was not given (from a closure, or a global), whose "
            "gradient would be lost; make it an argument"
        )


def _like(x: Any) -> Any:
    return Like(x) if hasattr(x, "dtype") else x


def _packed(y: Tree) -> tuple[Array | None, Callable[[Array], Tree]]:
    """The floating-point leaves of y as one array (None without any), and the way back."""
    floats, filled = _apart(y, tree.is_float)
    if len(floats) > 1:
        return tree.ravel(y)
    return (tree.strong(floats[0]) if floats else None), lambda x: filled([x])


def _apart(
    whole: Tree, wanted: Callable[[Any], bool]
) -> tuple[list[Any], Callable[[list[Any]], Tree]]:
    """The leaves of a tree that are wanted, and how to put others in their places."""
    leaves = tree.flatten(whole)[0]
    chosen = [wanted(leaf) for leaf in leaves]
    rest = [None if taken else leaf for leaf, taken in zip(leaves, chosen, strict=True)]
    structure = tree.flatten(tree.map(lambda _: None, whole))[1]  # which keeps none of the leaves

    def filled(others: list[Any]) -> Tree:
        left = iter(others)
        full = [next(left) if taken else x for x, taken in zip(rest, chosen, strict=True)]
        return tree.unflatten(structure, full)

    return [leaf for leaf, taken in zip(leaves, chosen, strict=True) if taken], filled


def pulled_back(
    f: Callable[..., Tree], args: tuple[Tree, ...], tracked: list[int], g: Tree
) -> list[Array]:
    """The cotangents of the tracked leaves of args, from the cotangent of f(*args)."""
    tape = Tape()
    leaves, structure = tree.flatten(args)
    entered = [record(tape, leaves[k]) for k in tracked]
    for k, tensor in zip(tracked, entered, strict=True):
        leaves[k] = tensor
    try:
        y = f(*tree.unflatten(structure, leaves))
    finally:
        tape.close()
    del leaves
    cotangents: dict[int, Array] = {}
    for leaf, ct in zip(tree.flatten(y)[0], tree.flatten(g)[0], strict=True):
        if type(leaf) is Tensor and leaf.tape is tape:
            known = cotangents.get(leaf.index)
            cotangents[leaf.index] = ct if known is None else known + ct
    del y
    swept = tape.sweep(cotangents, free=True)
    return [swept[x.index] if x.index in swept else np.zeros(x.shape, x.dtype) for x in entered]
