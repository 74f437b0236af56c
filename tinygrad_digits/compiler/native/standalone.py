"""Equations that are a native block by themselves: products, and what ops register."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...staging.lowering import SourceCall, lowering_of
from ..program import Equation, Operand, Var, map_operand
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

    def describe(x: Operand) -> Any:
        if not isinstance(x, Var):
            return x
        aval = layouts.program.aval(x.index)
        return Place(None, None, aval.shape, aval.dtype, layouts.of(x.index).strides)

    call = _describe_call(index, eqn, describe)
    call.alone = layouts.own_products
    return native(call) is not None


def write_block(index: int, eqn: Equation, places: dict[int, Place], code: FunctionWriter) -> None:
    """The code of an equation that can be a native block."""

    def describe(x: Operand) -> Any:
        return places[x.index] if isinstance(x, Var) else x

    call = _describe_call(index, eqn, describe)
    if eqn.op.function is np.matmul:
        a, b = call.args
        return products.write(code, a, b, call.out)
    native = lowering_of(eqn.op).native
    call.alone = True  # as has been decided
    write = native(call) if native is not None else None
    assert write is not None
    return write(code)


def _describe_call(index: int, eqn: Equation, describe: Any) -> SourceCall:
    args, options = map_operand(describe, (eqn.args, eqn.options))
    return SourceCall(args, options, describe(Var(index)))
