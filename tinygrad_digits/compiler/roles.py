"""Which equations of a program native code can do.

The role of an equation follows from its primitive: a ufunc that has an expression is pointwise, a
reduction by a ufunc is reducing, views are views; some have a block of their own (`standalone`, and
what is registered on a primitive). Whatever has none of these is left to NumPy.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..engine.primitive import Kind
from ..staging.lowering import lowering_of
from .fusion import Role
from .native_expressions import NATIVE_DTYPES, SYMBOLS, Layouts
from .program import Equation, Program, Var, vars_in
from .standalone import has_block

IDENTITIES = {np.ndarray.astype, np.copy, np.broadcast_to}
RESHAPES = {np.reshape, np.expand_dims, np.squeeze}
REDUCTIONS = {np.add, np.multiply, np.maximum, np.minimum}


class Roles:
    """What each equation of a program is to the native code; layouts of what it reads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layouts = Layouts(program)

    def __call__(self, index: int, eqn: Equation) -> Role:
        function = eqn.op.function
        if not self._has_native_types(eqn):
            return Role.NUMPY
        if has_block(eqn, index, self.layouts):
            return Role.STANDALONE
        if function in SYMBOLS and not eqn.options:
            dtypes = loop_dtypes(eqn, self.program)
            fits = dtypes is not None and all(dtype in NATIVE_DTYPES for dtype in dtypes)
            return Role.POINTWISE if fits else Role.NUMPY
        if function in IDENTITIES or function is np.where or lowering_of(eqn.op).element:
            return Role.POINTWISE
        if eqn.op.reduction_ufunc in REDUCTIONS and isinstance(eqn.args[0], Var):
            plain = set(eqn.options) <= {"axis", "keepdims"}
            return Role.REDUCING if plain and self.program.aval(eqn.vars[0]).shape else Role.NUMPY
        if eqn.op.kind is Kind.VIEW or (
            function is operator.getitem and not any(vars_in(eqn.options))
        ):
            return self._view(index, eqn)
        return Role.NUMPY

    def _has_native_types(self, eqn: Equation) -> bool:
        """Whether all that an equation reads and makes are arrays and numbers of native dtypes."""
        avals = [eqn.aval, *(self.program.aval(i) for i in eqn.vars)]
        return eqn.aval.form != "number" and all(
            aval.form not in ("tuple", "generator")
            and aval.dtype in NATIVE_DTYPES
            and 0 not in aval.shape
            for aval in avals
        )

    def _view(self, index: int, eqn: Equation) -> Role:
        """Whether native code can look at it this way; and note the layout, if it can."""
        x = eqn.args[0]
        if not isinstance(x, Var) or self.program.aval(x.index).form != "array":
            return Role.NUMPY
        layout = self._layout_of_view(eqn, self.layouts.of(x)) if eqn.aval.shape else None
        if layout is None:
            return Role.NUMPY
        self.layouts.views[index] = layout
        return Role.VIEW

    def _layout_of_view(self, eqn: Equation, layout: str) -> str | None:
        """How a view lies in memory, of what lies as `layout` says; None for what is no view."""
        function = eqn.op.function
        if function in (np.transpose, np.swapaxes):
            order = order_of_axes(eqn)
            if order == sorted(order):
                return layout
            return "F" if order == [1, 0] and layout == "C" else "A"
        if function in RESHAPES and eqn.options.get("order", "C") == "C":
            return "C" if layout == "C" else None
        if function is operator.getitem:
            parts = eqn.options["index"]
            parts = parts if isinstance(parts, tuple) else (parts,)
            plain = all(type(part) in (int, slice) or part is Ellipsis for part in parts)
            whole = layout == "C" and all(type(part) is int for part in parts)
            return ("C" if whole else "A") if plain and parts else None
        return None


def order_of_axes(eqn: Equation) -> list[int]:
    """The axes of the operand in the order in which a transposition has them."""
    rank, options = len(eqn.aval.shape), eqn.options
    axes = [*range(rank)]
    if eqn.op.function is np.swapaxes:
        i, j = options["axis1"], options["axis2"]
        axes[i], axes[j] = axes[j], axes[i]
        return axes
    order = options.get("axes")
    return axes[::-1] if order is None else [axes[axis] for axis in order]


def loop_dtypes(eqn: Equation, program: Program) -> tuple[np.dtype[Any], ...] | None:
    """The dtypes in which a ufunc computes these operands, and that of the result."""
    kinds = []
    for x in eqn.args:
        if isinstance(x, Var):
            aval = program.aval(x.index)
            weak = aval.form == "number" and aval.dtype.kind != "b"
            kinds.append(aval.dtype.type(0).item().__class__ if weak else aval.dtype)
        else:
            kinds.append(np.dtype(bool) if type(x) is bool else type(x))
    try:
        ufunc: Any = eqn.op.function
        dtypes: tuple[np.dtype[Any], ...] = ufunc.resolve_dtypes((*kinds, None))
        return dtypes
    except (TypeError, ValueError):
        return None
