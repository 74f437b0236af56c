"""Functions that are one op on the tape, whatever they do inside.

    stop_gradient : tree -> the same tree, a constant
    custom_vjp    : (args -> y) -> (args -> y), with a derivative of your own
    checkpoint    : (args -> y) -> (args -> y), with a derivative that computes y once more

A call of such a function is one record. Its rule, the `Pull` that the record has for an option,
gives the cotangents of all the arguments at once. What the derivative needs (the residuals)
are constant inputs of the record, so that it keeps and frees them as it does for every other op.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from . import tree
from .batching import Batch, vmap
from .errors import NotDifferentiableError, RuleError, ShapeError
from .primitive import Each, Kind, Like, Primitive, define, innermost
from .tape import Array, Tape
from .tensor import Tensor, recorded
from .transforms import leaf_paths, name_of
from .tree import Tree

GENERATORS = (np.random.Generator, np.random.RandomState)

Derivative: TypeAlias = Callable[[Tree, Tree, Tree, list[int]], list[Array]]
"""(arguments, without their values; residuals; ȳ; which leaves are tracked) -> their cotangents."""

# --- no derivative


def _copied(x: Array) -> Array:
    return x.copy()


_stopped = define(_copied, name="stop_gradient", kind=Kind.ELEMENTWISE)


def stop_gradient(x: Tree) -> Tree:
    """`stop_gradient : tree -> tree`: the same numbers, which no derivative goes through.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return tree.map(_stop, x)


def _stop(x: Any) -> Any:
    if isinstance(x, Tensor):  # of a Python number, a trace's stand-in is as good as a copy
        return x if x.dtype.kind != "f" or getattr(x, "is_number", False) else _stopped(x)
    return x.copy() if isinstance(x, np.ndarray) else x


# --- a derivative of your own


class custom_vjp:  # noqa: N801 (a decorator)
    """`custom_vjp : (args -> y), forward, backward -> (args -> y)`: f, differentiated by backward.

        forward  : args -> (y, residuals)
        backward : (residuals, ȳ) -> (cotangent of the first argument, of the second, ...)

    Args:
        f: a function of trees that returns a tree. It runs where nothing is differentiated.
        forward: runs instead where something is. The residuals are any tree.
        backward: gets them and the cotangent of y, a tree like y, and returns a tuple with a
            cotangent for each argument: a tree like it, in which None stands for zeros. Written
            in differentiable functions it is differentiated in turn. For derivatives of higher
            order forward is code like any other: where it returns (f(x), ...), with the function
            that has the rule, the rule holds there too.

    As a decorator, `@td.custom_vjp`, it is given the other two with `f.defvjp(forward, backward)`.
    All arguments have a position: those given by name or left out are put there. Raises RuleError
    where a cotangent does not fit its argument, and NotDifferentiableError where f uses a Tensor
    that it was not given.

    >>> import numpy as np, tinygrad_digits as td
    >>> clipped = td.custom_vjp(
    ...     lambda x: x,
    ...     lambda x: (x, None),
    ...     lambda _, g: (np.clip(g, -1, 1),),
    ... )
    >>> td.grad(lambda x: np.sum(clipped(x) ** 2))(np.array([0.1, 5.0]))
    array([0.2, 1. ])
    """

    def __init__(
        self,
        f: Callable[..., Tree],
        forward: Callable[..., tuple[Tree, Tree]] | None = None,
        backward: Callable[[Tree, Tree], tuple[Tree, ...]] | None = None,
    ) -> None:
        functools.update_wrapper(self, f)
        self.f, self.forward, self.backward = f, forward, backward
        self.row = row_of_calls(f)

    def defvjp(
        self,
        forward: Callable[..., tuple[Tree, Tree]],
        backward: Callable[[Tree, Tree], tuple[Tree, ...]],
    ) -> None:
        """Give the function its derivative."""
        self.forward, self.backward = forward, backward

    def __repr__(self) -> str:
        return f"<custom_vjp {self.row.name}>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **named: Any) -> Tree:
        if named or not isinstance(self.f, np.ufunc):  # whose out= is not wanted
            args = self._by_position(args, named)
        return recorded_call(self.row, args, self._run, self._forward, self._pull)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.f)

    def _by_position(self, args: tuple[Tree, ...], named: dict[str, Tree]) -> tuple[Tree, ...]:
        """All arguments in their positions, those that are left out by their defaults."""
        bound = self.signature.bind(*args, **named)
        if bound.kwargs:
            raise TypeError(f"{self.row.name}: {', '.join(bound.kwargs)} has no position")
        bound.apply_defaults()
        return bound.args

    def _run(self, *args: Tree) -> Tree:
        return self._watched(self.f(*args), args)

    def _watched(self, y: Tree, args: tuple[Tree, ...]) -> Tree:
        """y, made of its arguments: what else it was made of would pass by the rule."""
        tape = innermost(tree.flatten(args)[0])
        tensors = [x for x in tree.flatten(y)[0] if type(x) is Tensor]
        _refuse_captured(self.row, tensors, tape.serial if tape else 0)
        return y

    def _forward(self, *args: Tree) -> tuple[Tree, Tree]:
        if self.forward is None:
            raise NotDifferentiableError(
                f"{self.row.name} has no derivative yet: give it with "
                f"{self.row.name}.defvjp(forward, backward)"
            )
        pair = self.forward(*args)
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise RuleError(f"{self.row.name}: forward must return a pair (y, residuals)")
        self._watched(pair[0], args)
        return pair

    def _pull(self, likes: Tree, residuals: Tree, g: Tree, tracked: list[int]) -> list[Array]:
        assert self.backward is not None
        return _fitted(self, likes, self.backward(residuals, g), g, tracked)


def _fitted(
    f: custom_vjp, likes: tuple[Tree, ...], given: Any, g: Tree, tracked: list[int]
) -> list[Array]:
    """The cotangents of the tracked leaves, if backward has returned what fits the arguments."""
    name = f.row.name
    if not isinstance(given, tuple) or len(given) != len(likes):
        got = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
        raise RuleError(
            f"{name}: backward must return a tuple of {len(likes)}, with a cotangent for each "
            f"argument, got {got}"
        )
    cts: list[Any] = []
    for i, (like, ct) in enumerate(zip(likes, given, strict=True)):
        try:
            same = tree.map(lambda *_: None, like) if ct is None else ct
            cts += tree.flatten(tree.map(lambda _, ct: ct, like, same))[0]
        except ShapeError as error:
            raise RuleError(f"{name}: backward, for argument {i}: {error}") from None
    leaves = tree.flatten(likes)[0]
    dtypes = {y.dtype for y in tree.flatten(g)[0] if hasattr(y, "dtype")}
    fitted = []
    for k in tracked:
        like, ct = leaves[k], cts[k]
        if ct is None or type(ct) in (int, float):
            ct = np.full(like.shape, 0.0 if ct is None else ct, like.dtype)
        shape, dtype = getattr(ct, "shape", None), getattr(ct, "dtype", type(ct).__name__)
        if shape != like.shape or dtype not in {like.dtype} | dtypes:
            path = leaf_paths(likes, tuple(range(len(likes))), f.f)[k]
            got = f"{dtype}{'' if shape is None else shape}"
            raise RuleError(
                f"{name}: backward returned {got} as the cotangent of {path}, which is "
                f"{like.dtype}{like.shape}"
            )
        fitted.append(ct if dtype == like.dtype else ct.astype(like.dtype))
    return fitted


# --- computed once more


def checkpoint(f: Callable[..., Tree]) -> Callable[..., Tree]:
    """`checkpoint : (args -> y) -> (args -> y)`: f, of which a tape keeps the arguments alone.

    The sweep computes f a second time, with a tape, and goes on through that. For one more
    forward pass, n layers in sqrt(n) blocks, each with a checkpoint, need memory for 2 sqrt(n)
    layers instead of n (Chen et al., Training deep nets with sublinear memory cost, 2016).

    Gradients are those of f, of any order. A random generator among the arguments draws the same
    again; the arrays among them cannot be written into. Raises NotDifferentiableError where f uses
    a Tensor, or names a generator, that it was not given. Under `jit`, which plans memory by itself
    and computes nothing twice, it saves none.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.grad(lambda x: checkpoint(np.sin)(x) ** 2)(0.5) == td.grad(lambda x: np.sin(x) ** 2)(0.5)
    np.True_
    """
    row = row_of_calls(f)

    @functools.wraps(f)
    def checkpointed(*args: Any, **named: Any) -> Any:
        if any(map(_draws_in_a_program, tree.flatten((args, named))[0])):
            return f(*args, **named)
        return _recomputed(row, f, args, named)

    return checkpointed


def _recomputed(
    row: Primitive, f: Callable[..., Tree], args: tuple[Tree, ...], named: dict[str, Tree]
) -> Tree:
    """f(*args, **named), recorded as what is computed once more from the same arguments."""

    def run(args: tuple[Tree, ...], named: dict[str, Tree]) -> Tree:
        return f(*args, **named)

    def forward(args: tuple[Tree, ...], named: dict[str, Tree]) -> tuple[Tree, Tree]:
        _refuse_generators(f)
        args, named = tree.map(sealed, (args, named))
        kept = tree.map(_same_draws, (args, named))
        with writing_explained(row.name):
            return _recomputed(row, f, args, named), kept

    def pull(_: Tree, kept: Tree, g: Tree, tracked: list[int]) -> list[Array]:
        return pulled_back(run, tree.map(_same_draws, kept), tracked, g)

    return recorded_call(row, (args, named), run, forward, pull)


def sealed(x: Any) -> Any:
    """An array of an argument, that nobody can write into before it is used once more."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


@contextlib.contextmanager
def writing_explained(name: str) -> Iterator[None]:
    """Around calls with sealed arrays: say why they are."""
    try:
        yield
    except ValueError as error:
        if "read-only" in str(error):
            error.add_note(
                f"{name} is computed more than once, so it cannot write into its arguments: make "
                "new arrays, as np.where(mask, new, old) does"
            )
        raise


def _same_draws(x: Any) -> Any:
    return copy.deepcopy(x) if isinstance(x, GENERATORS) else x


def _draws_in_a_program(x: Any) -> bool:
    """Whether x is a trace's stand-in for a generator, which cannot be copied."""
    return isinstance(x, Tensor) and x.dtype == object


def _refuse_generators(f: Any) -> None:
    """Raise NotDifferentiableError where f draws from a generator that is not an argument."""
    try:
        used = inspect.getclosurevars(f)
    except (TypeError, ValueError):  # not written in Python, or a variable is not set yet
        return
    for name, value in {**used.globals, **used.nonlocals}.items():
        if isinstance(value, GENERATORS):
            raise NotDifferentiableError(
                f"checkpoint({name_of(f)}): the generator {name} would draw other numbers when "
                f"{name_of(f)} is computed again; give it as an argument"
            )


# --- one record for a whole call


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
    return Primitive(f, Each(_rule), name_of(f), Kind.OPAQUE)


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
    tape = innermost(leaves)
    if isinstance(tape, Batch):
        return _batched_call(row, args, f, forward, pull, tape)
    if type(tape) is not Tape:
        return f(*args)
    if tape.closed:
        next(tape.indices)  # raises
    parents = [x.index if type(x) is Tensor and x.tape is tape else None for x in leaves]
    inside = [x if i is None else x.value for x, i in zip(leaves, parents, strict=True)]
    y, residuals = forward(*tree.unflatten(structure, inside))
    _refuse_captured(row, (y, residuals), tape.serial - 1)
    value, shaped = _packed(y)
    if value is None:
        return y
    arrays, filled = _apart(residuals, lambda x: hasattr(x, "dtype"))
    tracked = [k for k, index in enumerate(parents) if index is not None]
    options = {"pull": Pull(row.name, pull, tree.map(_like, args), filled, shaped, tracked)}
    sources = (*parents, *[None] * len(arrays))
    inputs = (*[None] * len(parents), *arrays)
    return shaped(recorded(tape, value, row, sources, inputs, None, options))


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
    _refuse_captured(row, y, batch.serial - 1)
    return tree.map(lambda x: batch.entered(x) if hasattr(x, "dtype") else x, y)


def _refuse_captured(row: Primitive, results: Tree, newest: int) -> None:
    """Raise NotDifferentiableError for results on a newer tape than the arguments."""
    tape = innermost(tree.flatten(results)[0])
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
    entered = [recorded(tape, leaves[k]) for k in tracked]
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
