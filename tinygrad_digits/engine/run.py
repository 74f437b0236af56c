"""Running a function on an interpreter: its arguments boxed, the function run, what it left.

run_on      : interpreter, f, args -> what f returns of Tensors in the place of arrays
ForwardPass : what that has left on a tape, ready for sweeps of any kind
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from ..support import tree
from ..support.argnums import ArgNums, check_argnums, leaf_paths
from ..support.errors import NotDifferentiableError
from ..support.foreign import within
from ..support.outputs import split_aux
from ..support.results import copy_leaf, own, own_like
from ..support.tree import Tree
from .primitive import NO_OPTIONS, Array
from .tape import Interpreter, Tape
from .tensor import Tensor, box_leaves

BoxLeaves: TypeAlias = Callable[[list[Any], Any, list[Any]], None]
"""(leaves, interpreter, boxed): append to `boxed` each leaf, on the interpreter if it is to be."""


def run_on(
    interpreter: Interpreter,
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] = NO_OPTIONS,
    *,
    argnums: ArgNums = 0,
    box: BoxLeaves = box_leaves,
) -> tuple[Any, list[Any], tree.Structure]:
    """f(*args, **kwargs) with the arguments at `argnums` boxed; then the interpreter is closed.

    This is the one place where functions run on interpreters. Returns what f has returned, and the
    leaves of the boxed arguments as f has seen them, with their structure.
    """
    if type(argnums) is not int or not -len(args) <= argnums < len(args):
        check_argnums(argnums, len(args), f)
    chosen = args[argnums] if isinstance(argnums, int) else tuple([args[i] for i in argnums])
    leaves, structure = tree.flatten(chosen)
    boxed: list[Any] = []
    try:
        box(leaves, interpreter, boxed)
    except NotDifferentiableError as error:
        path = leaf_paths(args, argnums, f)[len(boxed)]
        raise NotDifferentiableError(f"{path}: {error}") from None
    inside, given = tree.unflatten(structure, boxed), [*args]
    if isinstance(argnums, int):
        given[argnums] = inside
    else:
        for i, argument in zip(argnums, inside, strict=True):
            given[i] = argument
    try:
        return f(*given, **kwargs), boxed, structure
    finally:
        interpreter.close()


class ForwardPass:
    """What running a function once on a tape of its own has left, for sweeps of any kind."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: ArgNums = 0,
        kwargs: dict[str, Any] = NO_OPTIONS,
        *,
        has_aux: bool = False,
    ) -> None:
        self.tape = Tape()
        output, self.tensors, self.params = run_on(self.tape, f, args, kwargs, argnums=argnums)
        output, aux = split_aux(output, f) if has_aux else (output, None)
        self.aux = tree.map(lambda leaf: unbox(leaf, self.tape), aux)
        outputs, self.structure = tree.flatten(output)
        self.outputs = [within(y) for y in outputs]
        self.pull = self.tape.find_pull(self.outputs)

    @property
    def value(self) -> Tree:
        """What the function returned, as the caller's own."""
        values = [copy_leaf(unbox(y, self.tape)) for y in self.outputs]
        return tree.unflatten(self.structure, values)

    @property
    def dependent(self) -> list[Tensor]:
        """The outputs that are on the tape, and so depend on its inputs."""
        return [y for y in self.outputs if self.tape.is_on(y)]

    def sweep(self, cotangents: Iterable[Array], *, free: bool) -> dict[int, Array]:
        """By index the inputs' cotangents, given one for each output that is on the tape."""
        return self.tape.sweep(seed(self.dependent, cotangents), free=free, pull=self.pull)

    def pull_back(self, cotangents: Iterable[Array], *, free: bool) -> Tree:
        """The same as a tree like the arguments, of arrays that are nobody else's."""
        swept = self.sweep(cotangents, free=free)
        return tree.unflatten(self.params, collect_gradients(self.tensors, swept))


def seed(outputs: Iterable[Tensor], cotangents: Iterable[Array]) -> dict[int, Array]:
    """Where a sweep starts: at each output with its cotangent, or the sum of several."""
    start: dict[int, Array] = {}
    for y, ct in zip(outputs, cotangents, strict=True):
        start[y.index] = start[y.index] + ct if y.index in start else ct
    return start


def unbox(leaf: Any, tape: Tape) -> Any:
    """Tensor of this tape -> its value, as the caller's own; anything else as it is."""
    return own(leaf.value) if type(leaf) is Tensor and leaf.tape is tape else leaf


def collect_gradients(tensors: list[Any], cotangents: dict[int, Array]) -> list[Any]:
    """The cotangent of each input: zeros if none arrived, and nobody else's memory."""
    grads, taken = [], set()
    index = 0  # the inputs are the first records of a tape; `t[i] = v` gives them later ones
    for tensor in tensors:
        if type(tensor) is Tensor:
            ct = cotangents.get(index)
            index += 1
            if type(ct) is not np.ndarray or ct.base is not None or not ct.shape or id(ct) in taken:
                ct = detach(ct, tensor.value)
            taken.add(id(ct))
            grads.append(ct)
        else:
            grads.append(tensor)
    return grads


def detach(ct: Array | None, value: Array) -> Array:
    """The cotangent of a value in memory of its own, an array or a scalar as the value is."""
    while type(value) is Tensor and value.tape.closed:  # `t[i] = v` moved it to an inner tape
        value = value.value
    return own_like(ct, value)
