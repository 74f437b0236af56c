"""Equations that are a native block by themselves: products, and what ops register."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...staging.lowering import SourceCall, lowering_of
from ..program import Equation, Var, map_operand
from . import products
from .code import FunctionWriter, Place
from .layouts import Layouts


def has_block(index: int, eqn: Equation, layouts: Layouts) -> bool:
    """Whether an equation can be a native block."""
    if eqn.op.function is np.matmul:
        return products.fits(eqn, layouts)
    native = lowering_of(eqn.op).native
    if native is None:
        return False

    def describe(i: int) -> Place:
        aval = layouts.program.aval(i)
        return Place(None, None, aval.shape, aval.dtype, layouts.of(i).strides)

    return native(_describe_call(index, eqn, describe, layouts.own_products)) is not None


def write_block(index: int, eqn: Equation, places: dict[int, Place], code: FunctionWriter) -> None:
    """The code of an equation that can be a native block."""
    call = _describe_call(index, eqn, places.__getitem__, alone=True)  # as has been decided
    if eqn.op.function is np.matmul:
        a, b = call.args
        return products.write(code, a, b, call.out)
    native = lowering_of(eqn.op).native
    write = native(call) if native is not None else None
    assert write is not None
    return write(code)


def _describe_call(
    index: int, eqn: Equation, describe: Callable[[int], Place], alone: bool
) -> SourceCall:
    args, options = map_operand(
        lambda x: describe(x.index) if isinstance(x, Var) else x, (eqn.args, eqn.options)
    )
    return SourceCall(args, options, describe(index), alone)
