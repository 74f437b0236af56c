"""How an equation is written in NumPy: into given memory, as a method of arrays, or as a view.

A ufunc and a reduction by a ufunc take `out`; for others a statement is in a table here, by the
function of NumPy that they compute, or registered on their primitive.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Kind
from ..staging.lowering import lowering_of
from .control import SCAN, SWITCH, WHILE
from .primitives import ITEM, PACK
from .program import Equation, Operand, Program, Var, producer, vars_in

STATEMENTS: dict[Any, str] = {
    np.where: "copyto({out}, {2}); copyto({out}, {1}, 'same_kind', {0})",
    np.copy: "copyto({out}, {0})",
    np.ndarray.astype: "copyto({out}, {0}, 'unsafe')",
    PACK.function: "",  # its operands are computed there
}
"""How NumPy's functions that are not ufuncs are written into `out`; ops say it of themselves."""

VIEWS: dict[Any, Callable[[Equation], str]] = {
    np.reshape: lambda eqn: f"{{0}}.reshape({eqn.aval.shape})",
    np.expand_dims: lambda eqn: f"{{0}}.reshape({eqn.aval.shape})",
    np.squeeze: lambda eqn: f"{{0}}.reshape({eqn.aval.shape})",
    np.transpose: lambda eqn: (
        f"{{0}}.transpose({axes})" if (axes := eqn.options.get("axes")) else "{0}.T"
    ),
    np.swapaxes: lambda eqn: "{0}.swapaxes({axis1}, {axis2})".format("{0}", **eqn.options),
    np.broadcast_to: lambda eqn: f"broadcast_to({{0}}, {eqn.aval.shape})",
}
"""The same as methods of arrays, which cost a third of NumPy's functions."""


def find_statement(eqn: Equation, program: Program) -> str | None:
    """The statement that computes an equation into `out`, with {0}, {1} ... for its operands."""
    kernel = eqn.op.kernel
    if isinstance(kernel, np.ufunc) and kernel.nout == 1 and not eqn.options:
        operands = "".join(f"{{{k}}}, " for k in range(len(eqn.args)))
        return f"{{f}}({operands}out={{out}})"
    if eqn.op.reduction_ufunc is not None and set(eqn.options) <= {"axis", "keepdims"}:
        axis, keepdims = eqn.options.get("axis"), bool(eqn.options.get("keepdims"))
        return f"{{f}}({{0}}, {axis}, None, {{out}}, {keepdims})"
    if eqn.op.function is np.where and not _is_bool(eqn.args[0], program):
        return None
    return STATEMENTS.get(eqn.op.function, lowering_of(eqn.op).statement or None)


def _is_bool(x: Operand, program: Program) -> bool:
    return isinstance(x, Var) and program.aval(x.index).dtype == bool


def is_view(eqn: Equation) -> bool:
    """Whether an equation gives its operand's elements another shape or order, fixed beforehand."""
    if eqn.op.function is operator.getitem:
        return not any(vars_in(eqn.options))
    return eqn.op.kind is Kind.VIEW


def may_alias(eqn: Equation, program: Program) -> bool:
    """Whether the value of an equation may share memory with its operands."""
    if eqn.op is ITEM:
        made_by = producer(eqn.args[0], program)
        return made_by is None or made_by.op not in (SCAN, SWITCH, WHILE)
    if eqn.op.function is operator.getitem:
        return not any(program.aval(i).shape for i in vars_in(eqn.options))
    if isinstance(eqn.op.function, np.ufunc) or find_statement(eqn, program) is not None:
        return False
    return eqn.op.kind is not Kind.GATHER
