"""Loops as ops, in the words of jax.lax.

    scan             : ((carry, x) -> (carry, y)), carry, xs -> (carry, ys)
    map              : (x -> y), xs -> ys
    fori_loop        : lower, upper, ((i, carry) -> carry), carry -> carry
    associative_scan : ((a, b) -> c, associative), xs -> what has been combined up to each x

On arrays and Tensors they are Python loops, whose ops a tape records one by one. Under `jit` a scan
is one equation of the program, whose step is traced once, however many steps there are.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiler.control import Loop
from ..compiler.signature import is_generator
from ..support import tree
from ..support.errors import ShapeError
from ..support.foreign import admit
from ..support.tree import Tree
from .branches import while_loop
from .carries import Carry, Parts, as_leaf, describe_tree, form_of, refuse_changes
from .checkpoint import checkpoint as checkpointed
from .checkpoint import refuse_draws
from .staged_scan import scan_arrays
from .steps import (
    TraceFound,
    close,
    find_captured,
    find_example,
    find_traces,
    group_records,
    look_for_traces,
    scalar,
)

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]


def scan(
    f: Step,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    checkpoint: bool | int = False,
) -> tuple[Tree, Tree]:
    """`scan : ((carry, x) -> (carry, y)), carry, xs -> (carry, ys)`: a loop that stacks results.

    Args:
        f: a step. What it returns as carry has the structure, shapes and dtypes of `init`.
        init: the first carry, any tree. Python numbers in it become NumPy's scalars: 0.0 is a
            float64, beside which nothing stays float32.
        xs: a tree of arrays; each step gets their next element along the first axis.
        length: the number of steps, needed where xs has no arrays.
        reverse: whether to go from the last x to the first; ys are where their xs are.
        unroll: under `jit`, how many steps a turn of the loop takes; True for all of them.
        checkpoint: keep for the derivative every k-th carry only, and compute the steps between
            once more; True for k = sqrt(n). The step is then traced as `jit` does, without `jit`
            too, and cannot branch on values in Python.

    Returns the last carry and the ys, stacked. Raises ShapeError where xs differ in length, or
    where the carry changes its form, with the path of what does.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.scan(lambda total, x: (total + x, total), 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(6.0), array([0., 1., 3.]))
    """
    return Steps("scan", f, init, xs, length, reverse, unroll).run(checkpoint)


def map(f: Callable[[Tree], Tree], xs: Tree) -> Tree:
    """`map : (x -> y), xs -> ys`: f of each x along the first axis, one after the other.

    `vmap` computes all at once; this needs the memory of one.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.map(lambda x: x @ x, np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([ 5., 25.])
    """
    return Steps("map", lambda _, x: (None, f(x)), None, xs, None, False).run()[1]


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Tree], Tree], init: Tree) -> Tree:
    """`fori_loop : lower, upper, ((i, carry) -> carry), carry -> carry`: i from lower to upper - 1.

    i is an np.int64, so a float32 carry times i is float64: write np.float32(i). Where a bound is
    traced by `jit`, this is a while_loop.

    >>> import tinygrad_digits as td
    >>> td.fori_loop(1, 5, lambda i, product: product * i, 1)
    np.int64(24)
    """
    if find_traces([lower, upper]):
        return while_loop(
            lambda c: c[0] < c[1],
            lambda c: (c[0] + 1, c[1], body(c[0], c[2])),
            (lower, upper, init),
        )[2]
    steps = np.arange(lower, upper)
    return Steps("fori_loop", lambda c, i: (body(i, c), None), init, steps, None, False).run()[0]


class Steps:
    """The steps of a scan."""

    def __init__(
        self,
        loop: str,
        f: Step,
        init: Tree,
        xs: Tree,
        length: int | None,
        reverse: bool,
        unroll: int | bool = 1,
    ) -> None:
        self.loop, self.f, self.reverse = loop, f, reverse
        self.carry = Carry(loop, init)
        leaves, self.structure = tree.flatten(xs)
        paths = [path for path, _ in tree.items(xs, "xs")]
        self.xs = [
            leaf if leaf is None else as_leaf(admit(leaf, path))
            for leaf, path in zip(leaves, paths, strict=True)
        ]
        self.length = _count_steps(loop, [*zip(paths, self.xs, strict=True)], length)
        self.unroll = self._read_unroll(unroll)

    def run(self, checkpoint: bool | int = False) -> tuple[Tree, Tree]:
        """The steps as an equation, if a trace is under way, or else one by one."""
        leaves = [*self.carry.leaves, *self.xs, *find_captured(self.f)]
        every = self._read_checkpoint(checkpoint)
        with group_records(leaves, f"{self.loop}, {self.length} steps"):
            try:
                look_for_traces(leaves)
                return self.run_alone(every)
            except TraceFound as found:
                if self.unroll > 1:
                    return self.run_turns(every)
                return self.run_staged(found.traces, every)

    def run_alone(self, every: int) -> tuple[Tree, Tree]:
        """The same without a trace under way."""
        if every and any(is_generator(x) for x in self.carry.leaves):
            return self.run_segments(every)
        if every and self.length:
            return self.run_staged([], every)
        carry, ys = self.run_on(self.carry.leaves, self.xs, self.length)
        return self.carry.open(carry), ys

    def _read_checkpoint(self, every: bool | int) -> int:
        """How many steps a segment has; 0 for no segments."""
        if every is True:
            return math.isqrt(max(self.length - 1, 0)) + 1
        if operator.index(every) < 0:
            raise ValueError(f"{self.loop}: checkpoint is True or a number of steps, got {every!r}")
        return int(every)

    def _read_unroll(self, several: bool | int) -> int:
        """How many steps a turn has, of those that there are."""
        if several is True:
            return self.length
        if operator.index(several) < 0:
            raise ValueError(f"{self.loop}: unroll is True or a number of steps, got {several!r}")
        return min(max(int(several), 1), self.length)

    # --- one by one

    def pick(self, xs: list[Any], i: int) -> Tree:
        """The x of a step."""
        return tree.unflatten(self.structure, [x if x is None else x[i] for x in xs])

    def step(self, carry: list[Any], x: Tree, f: Step | None = None) -> tuple[list[Any], Tree]:
        """One step, on the leaves of the carry."""
        returned = (f or self.f)(self.carry.open(carry), x)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise TypeError(
                f"{self.loop}: a step returns a pair (carry, y), got {describe_tree(returned)}"
            )
        return self.carry.take(returned[0]), returned[1]

    def run_on(self, carry: list[Any], xs: list[Any], length: int) -> tuple[list[Any], Tree]:
        """The steps, one after the other: the leaves of the last carry, and the ys."""
        if not length:
            return carry, self._run_none()
        columns: list[list[Any]] | None = None
        y_structure: tree.Structure = None
        for i in reversed(range(length)) if self.reverse else range(length):
            carry, y = self.step(carry, self.pick(xs, i))
            leaves, structure = tree.flatten(y)
            if columns is None:
                y_structure, outline = structure, tree.outline(structure)
                columns = [[] for _ in leaves]
                look_for_traces([*carry, *leaves])
            elif tree.outline(structure) != outline:
                raise ShapeError(f"{self.loop}: y changes its structure from step to step")
            for column, leaf in zip(columns, leaves, strict=True):
                if leaf is not None:
                    column.append(leaf)
        step = -1 if self.reverse else 1
        return carry, tree.unflatten(y_structure, [_stack(c[::step]) for c in columns or ()])

    def _run_none(self) -> Tree:
        """The ys of no steps: of the form that one would have."""
        blank = [x if x is None else np.zeros(x.shape[1:], x.dtype)[()] for x in self.xs]
        y = self.step(self.carry.leaves, tree.unflatten(self.structure, blank))[1]
        return tree.map(_stack_none, y)

    def run_segments(self, k: int) -> tuple[Tree, Tree]:
        """The same in segments, of which a tape keeps what they begin with."""
        n, carry, parts = self.length, self.carry.leaves, []
        starts = range(0, n, k)
        segment = checkpointed(self.run_on)
        for start in reversed(starts) if self.reverse else starts:
            part = [x if x is None else x[start : start + k] for x in self.xs]
            carry, ys = segment(carry, part, min(k, n - start))
            parts.append(ys)
        if not parts:
            return self.run()
        parts = parts[::-1] if self.reverse else parts
        return self.carry.open(carry), tree.map(_join, *parts)

    # --- as an equation

    def run_turns(self, every: int) -> tuple[Tree, Tree]:
        """Turns of several steps as an equation, and the steps that are left as another."""
        k, n, init = self.unroll, self.length, self.carry.open(self.carry.leaves)
        left = n % k
        first = slice(left, None) if self.reverse else slice(n - left)
        last = slice(left) if self.reverse else slice(n - left, None)

        def run(f: Step, carry: Tree, xs: list[Any], length: int, every: int) -> tuple[Tree, Tree]:
            xs_tree = tree.unflatten(self.structure, xs)
            return Steps(self.loop, f, carry, xs_tree, length, self.reverse).run(every)

        turns = [x if x is None else x[first].reshape(n // k, k, *x.shape[1:]) for x in self.xs]
        carry, ys = run(_take_steps(self, self.f, k), init, turns, n // k, -(-every // k))
        ys = tree.map(_join_turns, ys)
        if not left:
            return carry, ys
        xs = [x if x is None else x[last] for x in self.xs]
        carry, more = run(self.f, carry, xs, left, every)
        return carry, tree.map(_join, *((more, ys) if self.reverse else (ys, more)))

    def run_staged(self, traces: list[Any], every: int) -> tuple[Tree, Tree]:
        """The step traced once, and one call of all steps."""
        if not self.length:
            return self.carry.open(self.carry.leaves), self._run_none()
        carry, xs = Parts(self.carry.leaves), Parts(self.xs)
        y_parts: list[tuple[Parts, tree.Structure]] = []

        def step(leaves: list[Any], f: Step) -> list[Any]:
            m = len(carry.arrays)
            x = tree.unflatten(self.structure, xs.merge(leaves[m:]))
            before = carry.merge(leaves[:m])
            after, y = self.step(before, x, f)
            refuse_changes(before, after, self.carry)
            y_leaves, y_structure = tree.flatten(y)
            y_parts.append((Parts([as_leaf(y) for y in y_leaves]), y_structure))
            return [*carry.pick(after), *y_parts[0][0].arrays]

        examples = [find_example(x) for x in carry.arrays]
        examples += [find_example(x)[0] for x in xs.arrays]
        with contextlib.nullcontext() if traces else refuse_draws(self.f):
            closed, captured = close(step, [scalar(x) for x in examples], traces, user=self.f)
        loop = Loop(closed, len(captured), len(carry.arrays), self.length, self.reverse)
        results = scan_arrays(loop, [*captured, *carry.arrays, *xs.arrays], every)
        m, (y, y_structure) = loop.carries, y_parts[0]
        last = self.carry.open(carry.merge_results(results[:m]))
        return last, tree.unflatten(y_structure, y.merge(results[m:]))


def _take_steps(steps: Steps, f: Step, k: int) -> Step:
    """A turn: k steps of f, which `close` finds in this closure, one after the other."""

    def turn(carry: Tree, xs: Tree) -> tuple[Tree, Tree]:
        leaves, ys = tree.flatten(carry)[0], [None] * k
        for i in reversed(range(k)) if steps.reverse else range(k):
            x = tree.map(lambda x, i=i: x if x is None else x[i], xs)
            leaves, ys[i] = steps.step(leaves, x, f)
        return steps.carry.open(leaves), tree.map(lambda *column: _stack([*column]), *ys)

    return turn


def _join_turns(y: Any) -> Any:
    """What turns have returned, (turns, steps, ...), one step after the other."""
    return y.reshape(-1, *y.shape[2:]) if form_of(y) else y


def _count_steps(loop: str, xs: list[tuple[str, Any]], length: int | None) -> int:
    """The length of the first axis of all xs, and `length`, if it is given."""
    lengths = {} if length is None else {"length": operator.index(length)}
    for path, x in xs:
        if x is None:
            continue
        if not x.shape:
            raise ShapeError(f"{loop}: {path} has no axis to go along; it is {x.dtype}{x.shape}")
        lengths[path] = x.shape[0]
    if lengths.get("length", 0) < 0:
        raise ValueError(f"{loop}: length is a number of steps, got {length}")
    if not lengths:
        raise ShapeError(f"{loop}: give xs with arrays in it, or length=")
    if len({*lengths.values()}) > 1:
        told = ", ".join(f"{path}: {n}" for path, n in lengths.items())
        raise ShapeError(f"{loop}: xs must have first axes of one length, got {told}")
    return next(iter(lengths.values()))


def _stack(column: list[Any]) -> Any:
    """What the steps have returned in one place; None if nothing."""
    if not column or (form_of(column[0]) is None and form_of(as_leaf(column[0])) is None):
        return column[0] if column else None
    shapes = {np.shape(y) for y in column}
    if len(shapes) > 1:
        raise ShapeError(
            f"scan: ys must have one shape, got {', '.join(sorted(str(shape) for shape in shapes))}"
        )
    return np.stack(column)


def _stack_none(y: Any) -> Any:
    """What no step has returned, of the form that one would."""
    y = as_leaf(y)
    return y if form_of(y) is None else _stack([y])[:0]


def _join(*parts: Any) -> Any:
    return np.concatenate(parts) if form_of(parts[0]) else parts[0]


# --- without a carry in order


def associative_scan(
    fn: Callable[[Tree, Tree], Tree], elems: Tree, reverse: bool = False, axis: int = 0
) -> Tree:
    """`associative_scan : ((a, b) -> c), xs -> ys`, where y[k] combines x[0] to x[k].

    Args:
        fn: associative, on trees like elems; it is given many elements at once, and so works on
            each along the axis by itself.
        elems: a tree of arrays with axes of one length.
        reverse: whether y[k] combines the last to x[k] instead.
        axis: which.

    In 2 log2(n) calls of fn, each on whole arrays (Blelloch, Prefix sums and their applications,
    1990): many times as fast as a scan where n is large. Raises ShapeError where lengths differ.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.associative_scan(np.maximum, np.array([1.0, 3.0, 2.0, 4.0]))
    array([1., 3., 3., 4.])
    """
    leaves, structure = tree.flatten(elems)
    paths = [path for path, _ in tree.items(elems, "elems")]
    first = [
        _move_to_front(admit(x, path), axis, path) for x, path in zip(leaves, paths, strict=True)
    ]
    length = _count_steps("associative_scan", [*zip(paths, first, strict=True)], None)
    first = [x[::-1] for x in first] if reverse else first

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        combined = fn(tree.unflatten(structure, a), tree.unflatten(structure, b))
        return Carry("associative_scan", tree.unflatten(structure, a), "elems").take(combined)

    done = _combine_all(combine, first, length)
    done = [x[::-1] for x in done] if reverse else done
    return tree.unflatten(structure, [np.moveaxis(x, 0, axis) for x in done])


def _move_to_front(x: Any, axis: int, path: str) -> Any:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"associative_scan: {path} has no axis {axis} to go along; it is {x.dtype}{x.shape}"
        )
    return np.moveaxis(x, axis, 0)


def _combine_all(
    combine: Callable[[list[Any], list[Any]], list[Any]], xs: list[Any], n: int
) -> list[Any]:
    """All prefixes: those of pairs give every second one, and one more x the others."""
    if n < 2:
        return xs
    pairs = combine([x[: n - 1 : 2] for x in xs], [x[1::2] for x in xs])
    odd = _combine_all(combine, pairs, n // 2)
    if n == 2:
        return [np.concatenate([x[:1], y]) for x, y in zip(xs, odd, strict=True)]
    even = combine([y[: (n - 1) // 2] for y in odd], [x[2::2] for x in xs])
    even = [np.concatenate([x[:1], y]) for x, y in zip(xs, even, strict=True)]
    return [*itertools.starmap(_interleave, zip(even, odd, strict=True))]


def _interleave(even: Any, odd: Any) -> Any:
    """even[0], odd[0], even[1], odd[1] ..."""
    n = len(odd)
    pairs = np.stack([even[:n], odd], 1).reshape((2 * n, *even.shape[1:]))
    return pairs if len(even) == n else np.concatenate([pairs, even[n:]])
