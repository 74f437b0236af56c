"""Elementary functions as LLVM IR that the loop vectoriser vectorises, without branches.

Each is within 2 units of the last place of the exact value, over the whole range of float32 and
float64, with the zeros, infinities and NaNs of NumPy's ufunc of the name.

    exponentials     exp exp2 expm1 sinh cosh tanh sigmoid
    logarithms       log log2 log10 log1p arcsinh arccosh arctanh softplus
    powers           power cbrt hypot
    circular         sin cos tan, of numbers of any size
    arcs             arcsin arccos arctan arctan2
    error_functions  erf erfc
    of_complex       most of these of complex numbers, within 4 units of the result's length
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..terms import Term, suffix_of
from . import arcs, error_functions, exponentials, logarithms, powers
from .circular import CIRCULAR
from .lanes import define_guarded

FORMULAS: dict[str, Callable[..., Term]] = {
    f.__name__: f
    for f in (
        *(exponentials.exp, exponentials.exp2, exponentials.expm1, exponentials.sinh),
        *(exponentials.cosh, exponentials.tanh, exponentials.sigmoid),
        *(logarithms.log, logarithms.log2, logarithms.log10, logarithms.log1p),
        *(logarithms.arcsinh, logarithms.arccosh, logarithms.arctanh, logarithms.softplus),
        *(logarithms.logaddexp, logarithms.logaddexp2),
        *(powers.power, powers.cbrt, powers.hypot),
        *(arcs.arcsin, arcs.arccos, arcs.arctan, arcs.arctan2),
        *(error_functions.erf, error_functions.erfc),
    )
}
"""The formulas by the names of NumPy's ufuncs (SciPy's for erf and erfc)."""
FUNCTIONS = (*FORMULAS, *CIRCULAR)
BINARY = ("arctan2", "hypot", "logaddexp", "logaddexp2", "power")


def define_function(module: ir.Module, name: str, a_type: Any) -> ir.Function:
    """The function of this name for numbers of a type (or vectors), defined once a module.

    It is inlined wherever it is called, but those of the circle: these have variants for vectors.
    """
    symbol = f"{name}_{suffix_of(a_type)}"
    if symbol in module.globals:
        return module.globals[symbol]
    if name in CIRCULAR:
        return define_guarded(module, symbol, a_type, CIRCULAR[name])
    signature = ir.FunctionType(a_type, [a_type] * (2 if name in BINARY else 1))
    function = ir.Function(module, signature, symbol)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(FORMULAS[name](*(Term(builder, each) for each in function.args)).value)
    return function
