"""Derivatives of your own: none at all, or one that you write.

stop_gradient : tree -> the same tree, a constant
custom_vjp    : (args -> y), forward, backward -> (args -> y)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from ..engine.apply import find_top_tape
from ..engine.define import define
from ..engine.primitive import Array, Kind
from ..engine.tensor import Tensor
from ..support import tree
from ..support.argnums import leaf_paths
from ..support.errors import NotDifferentiableError, RuleError, ShapeError
from ..support.foreign import without_labels
from ..support.pickling import Decorated, as_findable, computed_once, importable_name
from ..support.results import copy_leaf
from ..support.tree import Tree
from .calls import CustomCall, make_primitive, refuse_captured

P = ParamSpec("P")
R = TypeVar("R")

# --- no derivative


def _copy(x: Array) -> Array:
    return x.copy()


_cut = define(_copy, name="stop_gradient", kind=Kind.ELEMENTWISE, unchecked=True)


def stop_gradient(x: R) -> R:
    """`stop_gradient : tree -> tree`: the same numbers, which no derivative goes through.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return cast("R", tree.map(_stop, x))


def _stop(x: Any) -> Any:
    if isinstance(x, Tensor):  # of a Python number, a tracer is as good as a copy
        return x if x.dtype.kind not in "fc" or getattr(x, "is_number", False) else _cut(x)
    return copy_leaf(x)


# --- a derivative of your own


class custom_vjp(Decorated, Generic[P, R]):  # noqa: N801 (a decorator)
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
        f: Callable[P, R],
        forward: Callable[..., tuple[Tree, Tree]] | None = None,
        backward: Callable[[Tree, Tree], tuple[Tree, ...]] | None = None,
    ) -> None:
        functools.update_wrapper(self, f)
        self.f, self.forward, self.backward = f, forward, backward
        self.primitive = make_primitive(f)

    def defvjp(
        self,
        forward: Callable[..., tuple[Tree, Tree]],
        backward: Callable[[Tree, Tree], tuple[Tree, ...]],
    ) -> None:
        """Give the function its derivative."""
        self.forward, self.backward = forward, backward

    def __repr__(self) -> str:
        return f"<custom_vjp {self.primitive.name}>"

    def __reduce__(self) -> Any:
        rule = {"forward": self.forward, "backward": self.backward}
        return importable_name(self) or (custom_vjp, (as_findable(self.f),), rule)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: P.args, **named: P.kwargs) -> R:
        given: tuple[Tree, ...] = args
        if named or not isinstance(self.f, np.ufunc):  # whose out= is not wanted
            given = self._by_position(args, named)
        call = CustomCall(self.primitive, given, self._run, self._forward, self._pull)
        return cast("R", call.apply())

    @computed_once
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.f)

    def _by_position(self, args: tuple[Tree, ...], named: dict[str, Tree]) -> tuple[Tree, ...]:
        """All arguments in their positions, those that are left out by their defaults."""
        signature: inspect.Signature = self.signature
        bound = signature.bind(*args, **named)
        if bound.kwargs:
            raise TypeError(f"{self.primitive.name}: {', '.join(bound.kwargs)} has no position")
        bound.apply_defaults()
        return bound.args

    def _run(self, *args: Any, **named: Any) -> Tree:
        return self._check_given(self.f(*args, **named), args)

    def _check_given(self, y: Tree, args: tuple[Tree, ...]) -> Tree:
        """y, made of its arguments: what else it was made of would pass by the rule."""
        tape = find_top_tape(tree.flatten(args)[0])
        tensors = [x for x in tree.flatten(y)[0] if type(x) is Tensor]
        refuse_captured(self.primitive, tensors, tape.serial if tape else 0)
        return y

    def _forward(self, *args: Tree) -> tuple[Tree, Tree]:
        if self.forward is None:
            raise NotDifferentiableError(
                f"{self.primitive.name} has no derivative yet: give it with "
                f"{self.primitive.name}.defvjp(forward, backward)"
            )
        pair = self.forward(*args)
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise RuleError(f"{self.primitive.name}: forward must return a pair (y, residuals)")
        self._check_given(pair[0], args)
        return pair

    def _pull(self, avals: Tree, residuals: Tree, g: Tree, tracked: list[int]) -> list[Array]:
        assert self.backward is not None
        return _fit_cotangents(self, avals, self.backward(residuals, g), g, tracked)


def _fit_cotangents(
    f: custom_vjp[..., Any], avals: tuple[Tree, ...], given: Any, g: Tree, tracked: list[int]
) -> list[Array]:
    """The cotangents of the tracked leaves, if backward has returned what fits the arguments."""
    name = f.primitive.name
    if not isinstance(given, tuple) or len(given) != len(avals):
        got = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
        raise RuleError(
            f"{name}: backward must return a tuple of {len(avals)}, with a cotangent for each "
            f"argument, got {got}"
        )
    cts: list[Any] = []
    for i, (aval, ct) in enumerate(zip(avals, given, strict=True)):
        try:
            full = tree.map(lambda *_: None, aval) if ct is None else ct
            cts += tree.flatten(tree.map(lambda _, ct: ct, aval, full))[0]
        except ShapeError as error:
            raise RuleError(f"{name}: backward, for argument {i}: {error}") from None
    leaves = tree.flatten(avals)[0]
    dtypes = {y.dtype for y in tree.flatten(g)[0] if hasattr(y, "dtype")}
    fitted = []
    for k in tracked:
        aval, ct = leaves[k], without_labels(cts[k])
        if ct is None or type(ct) in (int, float, complex):
            ct = np.full(aval.shape, 0.0 if ct is None else ct, aval.dtype)
        shape, dtype = getattr(ct, "shape", None), getattr(ct, "dtype", type(ct).__name__)
        fits = dtype in {aval.dtype} | dtypes or "c" in (
            aval.dtype.kind,
            getattr(dtype, "kind", ""),
        )
        if shape != aval.shape or not fits:
            path = leaf_paths(avals, tuple(range(len(avals))), f.f)[k]
            got = f"{dtype}{'' if shape is None else shape}"
            raise RuleError(
                f"{name}: backward returned {got} as the cotangent of {path}, which is "
                f"{aval.dtype}{aval.shape}"
            )
        ct = np.real(ct) if aval.dtype.kind == "f" else ct
        fitted.append(ct if ct.dtype == aval.dtype else ct.astype(aval.dtype))
    return fitted
