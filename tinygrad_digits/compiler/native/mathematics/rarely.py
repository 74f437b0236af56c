"""What few elements of an array need, as calls that the vectoriser sees through.

A loop in which a function is called is vectorised where LLVM is told of functions that do the same
for 2, 4, 8 or 16 lanes (the attribute "vector-function-abi-variant", https://llvm.org/docs/LangRef.html).
Each of these looks once whether any lane needs the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..terms import Term, suffix_of

LANES = (2, 4, 8, 16)
Formula = Callable[[Term], Term]


def replace_rarely(x: Term, usual: Term, name: str, is_rare: Formula, compute: Formula) -> Term:
    """compute(x) where is_rare(x), otherwise what is usual."""
    function = _define_scalar(x, f"{name}_{suffix_of(x.type)}_rarely", is_rare, compute)
    return is_rare(x).select(Term(x.builder, x.builder.call(function, [x.value])), usual)


def _define_scalar(x: Term, name: str, is_rare: Formula, compute: Formula) -> ir.Function:
    """The function of one number, which knows of those of several."""
    module = x.builder.module
    if name in module.globals:
        return module.globals[name]
    function, y, (rare, usual) = _start(module, x.type, name, is_rare)
    y.builder.position_at_end(rare)
    y.builder.ret(compute(y).value)
    y.builder.position_at_end(usual)
    y.builder.ret(y.value)
    variants = [f"_ZGV_LLVM_N{n}v_{name}({name}_{n})" for n in LANES]
    _add_attribute(function, f'"vector-function-abi-variant"="{",".join(variants)}"')
    for n in LANES:
        _define_vector(function, ir.VectorType(x.type, n), f"{name}_{n}", is_rare)
    return function


def _define_vector(scalar: ir.Function, a_type: Any, name: str, is_rare: Formula) -> None:
    """The same for a vector, by the scalar one where that is needed at all."""
    _, x, (rare, usual) = _start(scalar.module, a_type, name, is_rare)
    builder = x.builder
    builder.position_at_end(rare)
    result = x.value
    for k in range(a_type.count):
        at = ir.Constant(ir.IntType(32), k)
        lane = builder.call(scalar, [builder.extract_element(x.value, at)])
        result = builder.insert_element(result, lane, at)
    builder.ret(result)
    builder.position_at_end(usual)
    builder.ret(x.value)


def _start(module: ir.Module, a_type: Any, name: str, is_rare: Formula) -> Any:
    """A function without side effects, its argument, and its blocks for rare and usual."""
    function = ir.Function(module, ir.FunctionType(a_type, [a_type]), name)
    for attribute in ("noinline", "nounwind", "readnone", "willreturn"):
        _add_attribute(function, attribute)
    x = Term(ir.IRBuilder(function.append_basic_block()), function.args[0])
    found = is_rare(x)
    if isinstance(a_type, ir.VectorType):
        found = Term(x.builder, x.builder.bitcast(found.value, ir.IntType(a_type.count))) != 0
    blocks = function.append_basic_block(), function.append_basic_block()
    x.builder.cbranch(found.value, *blocks)
    return function, x, blocks


def _add_attribute(function: ir.Function, text: str) -> None:
    """An attribute of LLVM that llvmlite need not know."""
    set.add(function.attributes, text)
