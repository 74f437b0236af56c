"""Rules without a formula of their own: the function is run again on a tape, which is swept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..engine.primitive import Array
from ..engine.run import ForwardPass, seed
from ..engine.tensor import Tensor
from ..support import tree
from ..support.tree import Tree


def compute_vjp(
    f: Callable[..., Tree], args: tuple[Tree, ...], g: Tree, tracked: list[int] | None = None
) -> list[Array]:
    """The cotangents of leaves of args (all, or those numbered `tracked`), given that of f(*args).

    It leaves no tape behind, as `vjp` does: that is freed as it is swept.
    """
    leaves, structure = tree.flatten(args)
    numbers = [*range(len(leaves))] if tracked is None else tracked

    def run(tensors: list[Tensor]) -> Tree:
        boxed = dict(zip(numbers, tensors, strict=True))
        return f(*tree.unflatten(structure, [boxed.get(k, x) for k, x in enumerate(leaves)]))

    ran = ForwardPass(run, ([leaves[k] for k in numbers],))
    pairs = zip(ran.outputs, tree.flatten(g)[0], strict=True)
    seeds = seed(ran.dependent, [ct for y, ct in pairs if ran.tape.is_on(y)])
    ran.outputs.clear()  # what they hold can be freed by the sweep
    swept = ran.tape.sweep(seeds, free=True, pull=ran.pull)
    return [swept[x.index] if x.index in swept else np.zeros(x.shape, x.dtype) for x in ran.tensors]
