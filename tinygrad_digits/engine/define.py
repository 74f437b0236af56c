"""Declaring ops: a kernel and its derivative rules, in a call or above the kernel."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ..support.foreign import check_returns
from .apply import bind
from .primitive import Function, Kind, Op, Primitive, Rule, VariadicRule

AROUND: dict[Kind, Callable[[Primitive, Function], Function]] = {}
"""What ops of a kind are wrapped in: those that make views, in what lets them share memory."""


def define(
    kernel: Function,
    *rules: Rule | VariadicRule | None,
    name: str | None = None,
    kind: Kind = Kind.OPAQUE,
    unchecked: bool = False,
    composite: bool = False,
    reduction_ufunc: np.ufunc | None = None,
) -> Op:
    """An op with derivative rules of your own: a function of arrays and Tensors alike.

    Args:
        kernel: computes the value from plain arrays (and keyword options); never sees a Tensor.
        rules: for each array argument the function (g, y, *inputs, **options) -> its cotangent,
            in its shape, and in the dtype of the argument or of y; None for an argument that is
            never differentiated. Without any rules the op is not recorded at all.
        name: what errors and printed tapes call it; the kernel's name by default.
        kind: what it is; only Kind.ELEMENTWISE and Kind.PRODUCT may leave the summing over
            broadcast axes to the engine.
        unchecked: whether to save the check that kernel and rules return arrays at all.
        composite: whether the kernel is written in functions that accept Tensors, so that `jit` can
            look into it.
        reduction_ufunc: the ufunc that a Kind.REDUCTION repeats along `axis`, as np.add for a sum.

    Raises RuleError, when differentiated, where a rule returns another shape or dtype.

    >>> import numpy as np, tinygrad_digits as td
    >>> cube = td.define(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube")
    >>> td.grad(cube)(2.0)
    np.float64(12.0)
    """
    label, kind = name or kernel.__name__, Kind(kind)
    compute = kernel
    if rules and not unchecked:
        compute = check_returns(kernel, f"{label}: the kernel")
        rules = tuple([_check_rule(rule, f"{label}: a derivative rule") for rule in rules])
    each: Any = rules[0] if rules and isinstance(rules[0], VariadicRule) else rules
    primitive = Primitive(kernel, each, label, kind, composite, reduction_ufunc)
    primitive.holomorphic = True if unchecked else None
    op = bind(primitive, compute)
    if kind in AROUND:
        op = AROUND[kind](primitive, op)
    if inspect.isfunction(kernel):
        functools.update_wrapper(op, kernel)
    else:
        op.__doc__ = f"NumPy's {label}, recorded when an argument is a Tensor."
    op.__name__ = op.__qualname__ = label
    op.primitive = primitive  # type: ignore[attr-defined]
    primitive.apply = op
    return cast("Op", op)


def primitive(*rules: Rule | VariadicRule | None, **options: Any) -> Callable[[Function], Op]:
    """`define` as a decorator of the kernel, with its options: the rules stand above it.

    >>> import numpy as np, tinygrad_digits as td
    >>> @td.primitive(lambda g, y, x: g * 3 * x**2)
    ... def cube(x):
    ...     return x**3
    >>> td.grad(cube)(2.0)
    np.float64(12.0)
    """
    return lambda kernel: define(kernel, *rules, **options)


def _check_rule(rule: Rule | VariadicRule | None, who: str) -> Rule | VariadicRule | None:
    """The rule, held to returning what a cotangent can be."""
    if isinstance(rule, VariadicRule):
        return VariadicRule(check_returns(rule.rule, who))
    return rule and check_returns(rule, who)
