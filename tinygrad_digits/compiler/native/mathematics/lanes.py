"""Functions that few numbers need another formula for: calls that the vectoriser sees through.

A loop that calls a function is vectorised where LLVM is told of functions that do the same for
several lanes (attribute "vector-function-abi-variant", https://llvm.org/docs/LangRef.html): each
looks once whether any lane needs the other formula. To inline the usual formula and to call for the
rest took 1.6 times as long for sin: nothing stays in vector registers across a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from ..terms import BOOL, Term, width_of

BITS = (128, 256, 512)
"""The widths of vectors."""


class Guarded(NamedTuple):
    """A function with a formula for most numbers and one for the rest."""

    usual: Callable[[Term], Term]
    is_rare: Callable[[Term], Term]
    rare: Callable[[Term], Term]


def define_guarded(module: ir.Module, name: str, a_type: Any, guarded: Guarded) -> ir.Function:
    """The function of one number, which names those of 2 to 16."""
    lanes = [bits // width_of(a_type) for bits in BITS]
    function = _define(module, a_type, name, guarded, guarded.rare)
    variants = ",".join(f"_ZGV_LLVM_N{n}v_{name}({name}_{n})" for n in lanes)
    _add_attribute(function, f'"vector-function-abi-variant"="{variants}"')
    for n in lanes:
        vector = ir.VectorType(a_type, n)
        _define(module, vector, f"{name}_{n}", guarded, lambda x: _call_each(function, x))
    return function


def _define(
    module: ir.Module, a_type: Any, name: str, guarded: Guarded, rare: Callable[[Term], Term]
) -> ir.Function:
    """A function without side effects, which stays a call until loops are vectorised."""
    function = ir.Function(module, ir.FunctionType(a_type, [a_type]), name)
    for attribute in ("noinline", "nounwind", "readnone", "willreturn"):
        _add_attribute(function, attribute)
    builder = ir.IRBuilder(function.append_basic_block())
    x = Term(builder, function.args[0])
    usual, found = guarded.usual(x), guarded.is_rare(x)
    with builder.if_then(_any(found), likely=False):
        builder.ret(rare(x).value)
    builder.ret(usual.value)
    return function


def _any(found: Term) -> ir.Value:
    """Whether it is true in any lane."""
    if found.type == BOOL:
        return found.value
    mask = ir.IntType(found.type.count)
    return (Term(found.builder, found.builder.bitcast(found.value, mask)) != 0).value


def _call_each(function: ir.Function, x: Term) -> Term:
    """A function of each lane."""
    result = x.value
    for k in range(x.type.count):
        at = ir.Constant(ir.IntType(32), k)
        lane = x.builder.call(function, [x.builder.extract_element(x.value, at)])
        result = x.builder.insert_element(result, lane, at)
    return Term(x.builder, result)


def _add_attribute(function: ir.Function, text: str) -> None:
    """An attribute of LLVM's that llvmlite need not know."""
    set.add(function.attributes, text)
