"""Which equations of a program native code can do.

The role of an equation follows from its primitive: a ufunc that has a formula is pointwise, a
reduction by a ufunc is reducing, views are views; some have a block of their own (`standalone`, and
what is registered on a primitive). Whatever has none of these is left to NumPy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.primitive import Kind
from ...staging.lowering import lowering_of
from ..control import Held
from ..passes.for_loops import can_hold
from ..primitives import ITEM, PACK
from ..program import Equation, Program, Var, vars_in
from .expressions import FORMULAS, TYPES, find_formula
from .fusion import Role
from .layouts import Layouts
from .notation import is_plain_option
from .standalone import has_block

IDENTITIES = {np.ndarray.astype, np.copy, np.broadcast_to}
REDUCTIONS = {np.add, np.multiply, np.maximum, np.minimum}


class NotNativeError(Exception):
    """Why an equation is left to NumPy."""


class Roles:
    """What each equation of a program is to native code, and why some are nothing to it.

    Args:
        program: the equations.
        lower_loop: makes native code of an equation that holds steps, or raises NotNativeError.
    """

    def __init__(
        self,
        program: Program,
        lower_loop: Callable[[Equation, Layouts], Any],
        own_products: bool = False,
    ) -> None:
        self.program = program
        self.layouts = Layouts(program, own_products)
        self.loops: dict[int, Any] = {}
        """The native loops of equations that hold steps."""
        self._lower_loop = lower_loop
        self.reasons: dict[int, str] = {}
        """For each equation that is left to NumPy why that is."""

    def __call__(self, index: int, eqn: Equation) -> Role:
        role = self._find_role(index, eqn)
        if isinstance(role, Role):
            return role
        self.reasons[index] = role
        return Role.NUMPY

    def _find_role(self, index: int, eqn: Equation) -> Role | str:
        """The role of an equation; or the reason why it has none in native code."""
        function = eqn.op.function
        if eqn.op is ITEM and eqn.vars[0] in self.loops:
            return Role.PART
        if any(isinstance(x, Held) for x in eqn.options.values()):
            return self._find_role_of_loop(index, eqn)
        if reason := self._find_odd_type(eqn):
            return reason
        if not is_plain_option((eqn.args, eqn.options)):
            return "its options are no numbers"
        if eqn.op is PACK or has_block(index, eqn, self.layouts):
            return Role.STANDALONE
        if function in FORMULAS and not eqn.options:
            dtypes = loop_dtypes(eqn, self.program)
            numbers = [x for x in eqn.args if type(x) is int]
            if dtypes and not all(can_hold(dtypes[0], x) for x in numbers):
                return f"it is about {numbers[0]}, which {dtypes[0]} cannot hold"
            fits = find_formula(function, dtypes) is not None
            return Role.POINTWISE if fits else "it has no formula in this dtype"
        if function is np.ndarray.astype and self._loses_imaginary_part(eqn):
            return "NumPy warns of the imaginary part that is lost"
        if function in IDENTITIES or function is np.where or find_element(eqn, self.program):
            return Role.POINTWISE
        if eqn.op.reduction_ufunc in REDUCTIONS and isinstance(eqn.args[0], Var):
            if not set(eqn.options) <= {"axis", "keepdims"}:
                return "of its options only axis and keepdims are native"
            return Role.REDUCING if self.program.aval(eqn.vars[0]).shape else Role.POINTWISE
        if eqn.op.kind is Kind.VIEW or (
            function is operator.getitem and not any(vars_in(eqn.options))
        ):
            fits = self.layouts.add_view(index, eqn)
            return Role.VIEW if fits else "it is no view of a native array"
        return "it has no native form"

    def _find_role_of_loop(self, index: int, eqn: Equation) -> Role | str:
        try:
            self.loops[index] = self._lower_loop(eqn, self.layouts)
        except NotNativeError as reason:
            return str(reason)
        return Role.STANDALONE

    def _loses_imaginary_part(self, eqn: Equation) -> bool:
        kind = self.program.aval(eqn.vars[0]).dtype.kind
        return kind == "c" and eqn.aval.dtype.kind not in "cb"

    def _find_odd_type(self, eqn: Equation) -> str:
        """Why it is not only about arrays and numbers of native dtypes, if it is not."""
        avals = [eqn.aval, *(self.program.aval(i) for i in eqn.vars)]
        if eqn.aval.form == "number":
            return "it computes a Python number"
        if odd := [aval for aval in avals if aval.form in ("tuple", "generator")]:
            return f"it is about a {odd[0].form}"
        if odd := [aval for aval in avals if aval.dtype not in TYPES]:
            return f"native code has no {odd[0].dtype}"
        return "an array is empty" if any(0 in aval.shape for aval in avals) else ""


def is_complex(eqn: Equation, program: Program) -> bool:
    """Whether an equation is about complex numbers."""
    avals = [eqn.aval, *(program.aval(i) for i in eqn.vars)]
    return any(aval.dtype.kind == "c" for aval in avals)


def find_element(eqn: Equation, program: Program) -> Any:
    """The formula of one element, or its name, that is registered on a primitive."""
    lowering = lowering_of(eqn.op)
    if not is_complex(eqn, program):
        return lowering.element
    return None if any(eqn.options.values()) else lowering.complex_element


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
