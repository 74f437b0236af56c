"""Branches, and the loop that runs as long as something holds, in the words of jax.lax.

    cond       : bool, (xs -> y), (xs -> y), xs -> y
    switch     : int, [xs -> y], xs -> y
    while_loop : (carry -> bool), (carry -> carry), carry -> carry

With a value to branch on they are Python's `if` and `while`. Under `vmap`, where examples may go
different ways, all branches are computed, and each example takes its own. Under `jit` they are
one equation, and only the chosen branch runs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..compiler.control import Branches, While
from ..staging.tracer import Tracer, bare
from ..support import tree
from ..support.errors import ShapeError
from ..support.tree import Tree
from .carries import Carry, Parts, as_leaf, find_generators, refuse_changes
from .staged_branches import SwitchCall, WhileCall
from .steps import (
    TraceFound,
    close_all,
    find_captured,
    find_example,
    find_traces,
    group_records,
    look_for_traces,
    scalar,
)

Branch = Callable[..., Tree]


def cond(pred: Any, true_fun: Branch, false_fun: Branch, *operands: Tree) -> Tree:
    """`cond : bool, (xs -> y), (xs -> y), xs -> y`: true_fun(*operands) if pred, else false_fun's.

    Args:
        pred: a bool (or number), or an array of one without axes.
        true_fun: a function of the operands.
        false_fun: the other; both return trees of one structure, of the same shapes and dtypes.
        operands: trees.

    Under `vmap`, with examples of both kinds, both branches are computed for all of them, and
    np.where chooses: a branch must then be finite (and have a finite derivative) for every example,
    also for those that do not take it, since 0 times NaN is NaN. Give it a safe operand, as in
    np.sqrt(np.where(x > 0, x, 1)).

    >>> import tinygrad_digits as td
    >>> td.cond(3 > 2, lambda x: 2 * x, lambda x: -x, 5.0)
    10.0
    """
    pred = _read("cond", pred, bool)
    if isinstance(pred, Tracer):
        pred = np.where(pred if pred.dtype == bool else pred != 0, 1, 0)
    return _choose("cond", pred, (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Branch], *operands: Tree) -> Tree:
    """`switch : int, [xs -> y], xs -> y`: branches[index](*operands), with index clamped.

    As `cond`, for any number of branches: what lies outside 0 ... len(branches) - 1 takes the
    first or the last.

    >>> import tinygrad_digits as td
    >>> td.switch(7, [lambda x: x, lambda x: 10 * x], 2.0)
    20.0
    """
    if not branches:
        raise ValueError("switch needs at least one branch")
    _refuse_other_index(index)
    index = np.clip(_read("switch", index, operator.index), 0, len(branches) - 1)
    return _choose("switch", index, tuple(branches), operands)


def while_loop(
    cond: Callable[[Tree], Any],
    body: Callable[[Tree], Tree],
    init: Tree,
    *,
    max_steps: int | None = None,
) -> Tree:
    """`while_loop : (carry -> bool), (carry -> carry), carry -> carry`: body while cond holds.

    Args:
        cond: of a carry, whether to go on.
        body: a step; it returns a carry of the structure, shapes and dtypes of `init`.
        init: the first carry, any tree.
        max_steps: after which to stop, whatever cond says. Under `jit` a gradient needs to know.

    Under `vmap` it runs until all examples are done; those that are keep their values.

    >>> import tinygrad_digits as td
    >>> td.while_loop(lambda x: x < 100, lambda x: 2 * x, 3.0)
    np.float64(192.0)
    """
    if max_steps is not None and operator.index(max_steps) < 0:
        raise ValueError(f"while_loop: max_steps is a number of steps, got {max_steps}")
    carry = Carry("while_loop", init)
    leaves = [*carry.leaves, *find_captured(cond), *find_captured(body)]
    try:
        if traces := find_traces(leaves):
            raise TraceFound(traces)
        with group_records(leaves, "while_loop"):
            return _run_while(cond, body, carry, max_steps)
    except TraceFound as found:
        return _stage_while(cond, body, carry, max_steps, found.traces)


def _run_while(
    cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], carry: Carry, max_steps: int | None
) -> Tree:
    """The steps, one after the other; until the last example is done, where there are many."""
    leaves, steps = carry.leaves, 0
    while max_steps is None or steps < max_steps:
        go_on = _read("while_loop", cond(carry.open(leaves)), bool)
        look_for_traces([go_on])
        if not np.any(bare(go_on) if isinstance(go_on, Tracer) else go_on):
            break
        returned = carry.take(body(carry.open(leaves)))
        if isinstance(go_on, Tracer):
            returned = [_where(go_on, new, old) for new, old in zip(returned, leaves, strict=True)]
        leaves, steps = returned, steps + 1
        if steps == 1:
            look_for_traces(leaves)
    return carry.open(leaves)


def _read(name: str, x: Any, convert: Callable[[Any], Any]) -> Any:
    """What a branch is chosen by: a Python value, or a Tracer that stands for many of them."""
    if np.shape(x) != ():
        raise ShapeError(
            f"{name}: what to branch on must be one value, got shape {np.shape(x)}; choose between "
            "elements with np.where, or reduce it with np.all or np.any"
        )
    return x if isinstance(x, Tracer) else convert(x)


def _refuse_other_index(index: Any) -> None:
    """Raise TypeError for what is no int, also where its value is not known."""
    dtype = getattr(index, "dtype", np.dtype(type(index) if type(index) in (bool, float) else int))
    if dtype.kind not in "iu":
        raise TypeError(
            f"switch: index is {dtype}, and branches are counted by ints: write "
            "index.astype(int), or td.cond for a bool"
        )


def _choose(
    name: str, index: Any, branches: tuple[Branch, ...], operands: tuple[Tree, ...]
) -> Tree:
    """The result of one of the branches; for a batched index that of each example's own."""
    if traces := find_traces([index]):
        return _stage_choice(name, index, branches, operands, traces)
    if not isinstance(index, Tracer):
        return branches[index](*operands)
    results = [branch(*operands) for branch in branches]
    leaves, structure = tree.flatten(results[0])
    form = Carry(name, results[0], "result")
    for k, result in enumerate(results[1:], 1):
        others = form.take(result)
        leaves = [_where(index == k, new, old) for new, old in zip(others, leaves, strict=True)]
    return tree.unflatten(structure, leaves)


def _where(chosen: Any, new: Any, old: Any) -> Any:
    """new for the examples that are chosen; what is no array is the same for all."""
    return np.where(chosen, new, old) if hasattr(as_leaf(new), "dtype") else new


# --- as equations


def _stage_choice(
    name: str,
    index: Any,
    branches: tuple[Branch, ...],
    operands: tuple[Tree, ...],
    traces: list[Any],
) -> Tree:
    """Each branch traced once, and a call of all."""
    leaves, structure = tree.flatten(operands)
    parts = Parts(leaves)
    forms: list[Carry] = []
    drawn: list[dict[int, int]] = []

    def run(arrays: list[Any], branch: Branch) -> list[Any]:
        result = branch(*tree.unflatten(structure, parts.merge(arrays)))
        if not forms:
            forms.append(Carry(name, result, "result"))
        results = Parts(forms[0].take(result)).arrays
        drawn.append(find_generators(results, arrays))
        return results

    examples = [scalar(find_example(x)) for x in parts.arrays]
    steps, captured = close_all([(run, branch) for branch in branches], examples, traces)
    call = SwitchCall(Branches(steps), [index, *captured, *parts.arrays])
    results = call.apply()
    if any(places != drawn[0] or -1 in places.values() for places in drawn):
        raise ShapeError(f"{name}: all branches must return the same of the generators they get")
    for k, place in drawn[0].items():
        results[k] = parts.arrays[place]
    return forms[0].open(Parts(forms[0].leaves).merge(results))


def _stage_while(
    cond: Callable[[Tree], Any],
    body: Callable[[Tree], Tree],
    carry: Carry,
    max_steps: int | None,
    traces: list[Any],
) -> Tree:
    """Both functions traced once, and a call of the loop."""
    parts = Parts(carry.leaves)

    def test(leaves: list[Any], cond: Callable[[Tree], Any]) -> list[Any]:
        go_on = cond(carry.open(parts.merge(leaves)))
        return [_read("while_loop", go_on, np.bool_) != 0]

    def step(leaves: list[Any], body: Callable[[Tree], Tree]) -> list[Any]:
        before = parts.merge(leaves)
        after = carry.take(body(carry.open(before)))
        refuse_changes(before, after, carry)
        return parts.pick(after)

    examples = [scalar(find_example(x)) for x in parts.arrays]
    (goes_on, again), captured = close_all([(test, cond), (step, body)], examples, traces)
    loop = While(goes_on, again, len(captured), max_steps)
    return carry.open(parts.merge_results(WhileCall(loop, [*captured, *parts.arrays]).apply()))
