"""How chapters register what stands in for NumPy's functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..engine.define import define
from ..engine.primitive import Function, Kind, Op, Rule, VariadicRule
from ..support.errors import no_rule_with
from ..support.numpy_arguments import name_arguments
from ..support.signatures import VAR_KEYWORD, read_defaults, read_parameters
from ..support.substitutes import NUMPY

F = TypeVar("F", bound=Callable[..., Any])


def implement(
    function: Any,
    *rules: Rule | VariadicRule | None,
    kind: Kind,
    kernel: Function | None = None,
    composite: bool = False,
    reduction_ufunc: np.ufunc | None = None,
) -> Op:
    """`define` the op that stands in for a NumPy function when an argument is a Tensor.

    `kernel` is another way to compute the same, where NumPy's own spends more on its call.
    """
    name = function.__name__
    op = define(
        kernel or function,
        *rules,
        name=name,
        kind=kind,
        unchecked=True,
        composite=composite,
        reduction_ufunc=reduction_ufunc,
    )
    op.primitive.function = function
    op.primitive.name_arguments = functools.partial(name_arguments, function, op)
    NUMPY[function] = op
    return op


def handles(*functions: Any) -> Callable[[F], F]:
    """Register a composition of ops to stand in for NumPy functions.

    Keywords that its signature does not name are refused, unless they say NumPy's default aloud.
    """

    def register(op: F) -> F:
        parameters = read_parameters(op)
        if any(p.kind is VAR_KEYWORD for p in parameters):
            NUMPY.update(dict.fromkeys(functions, op))
            return op
        known = frozenset(p.name for p in parameters)
        for function in functions:
            NUMPY[function] = _only_with(known, op, function)
        return op

    return register


def fallback_for(op: Op, *functions: Any) -> Callable[[F], F]:
    """Register a composition for the calls of NumPy functions with options that their op lacks.

    The others cost no more for it: the op turns here only for an option that it does not know.
    """

    def register(general: F) -> F:
        general.__name__ = op.__name__  # which errors name
        for function in functions:
            handles(function)(general)
            op.primitive.fallback = NUMPY[function]
            NUMPY[function] = op
        return general

    return register


def _only_with(known: frozenset[str], op: Function, function: Any) -> Function:
    """The op, held to the keywords that it knows."""

    @functools.wraps(op)
    def handled(*args: Any, **options: Any) -> Any:
        if options.keys() <= known:
            return op(*args, **options)
        defaults = read_defaults(function)
        for name in options.keys() - known:
            value = options.pop(name)
            if value is not None and value is not defaults.get(name):
                raise no_rule_with(op.__name__, name, known)
        return op(*args, **options)

    return handled
