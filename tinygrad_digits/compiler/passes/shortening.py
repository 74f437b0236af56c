"""Passes that leave equations out: because nobody needs them, or because they are known."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from ...engine.primitive import Kind
from ..program import Aval, Equation, Operand, Program, Var, map_operand, vars_in
from ..signature import identity


def dead_code(program: Program) -> Program:
    """Keep what the outputs need, and what has an effect."""
    needed = set(vars_in(program.outputs))
    equations = {}
    for index, eqn in reversed(program.equations.items()):
        if index in needed or eqn.effect:
            needed.update(eqn.vars)
            equations[index] = eqn
    constants = {i: constant for i, constant in program.constants.items() if i in needed}
    return replace(program, equations=dict(reversed(equations.items())), constants=constants)


def common_subexpressions(program: Program) -> Program:
    """Compute the same only once (common subexpressions, equal small constants)."""
    renamed: dict[int, Operand] = {}
    seen: dict[Hashable, int] = {}
    for i, x in program.constants.items():
        if x.nbytes <= 64:
            first = seen.setdefault((Aval.of(x), x.tobytes()), i)
            if first != i:
                renamed[i] = Var(first)
    equations: dict[int, Equation] = {}
    for index, eqn in program.equations.items():
        equations[index] = eqn = eqn.rename(renamed)
        if eqn.effect:
            continue
        key = (eqn.op.kernel, identity(eqn.args), identity(eqn.options), eqn.aval)
        first = seen.setdefault(key, index)
        if first != index and (eqn.errors in (equations[first].errors, QUIET)):
            renamed[index] = Var(first)
            del equations[index]
    return program.with_equations(equations, renamed)


QUIET = dict.fromkeys(np.geterr(), "ignore")


def fold(program: Program) -> Program:
    """Compute now what depends on constants alone (if it is small, or no larger than they are)."""
    constants = dict(program.constants)
    equations = {}
    for index, eqn in program.equations.items():
        parts = eqn.vars
        small = eqn.aval.nbytes <= max(
            [4096, *(constants[i].nbytes for i in parts if i in constants)]
        )
        if eqn.effect or eqn.aval.form not in ("array", "scalar") or not small:
            equations[index] = eqn
        elif all(i in constants for i in parts) and eqn.op.kind is not Kind.OPAQUE:
            args, options = map_operand(
                lambda x: constants[x.index] if isinstance(x, Var) else x, (eqn.args, eqn.options)
            )
            with np.errstate(all="ignore"):
                constants[index] = eqn.op.kernel(*args, **options)
        else:
            equations[index] = eqn
    return replace(program, equations=equations, constants=constants)


def scalar_constants(program: Program) -> Program:
    """An array of equal numbers, where it is to be broadcast, is as good as one number."""
    equations = dict(program.equations)
    for index, eqn in program.equations.items():
        dtypes = {program.aval(i).dtype for i in eqn.vars}
        shapes = [program.aval(i).shape for i in eqn.vars if i not in program.constants]
        spreads = eqn.op.function in SPREADING and len(dtypes) == 1
        if spreads and eqn.aval.shape in shapes and eqn.aval.shape:
            equations[index] = replace(eqn, args=tuple(_one_number(x, program) for x in eqn.args))
    return replace(program, equations=equations)


SPREADING = {np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum}
"""Ufuncs that treat a number and an array of that number alike."""


def _one_number(x: Operand, program: Program) -> Operand:
    constant = program.constant_of(x)
    if constant is None or constant.dtype.kind != "f" or not constant.size:
        return x
    number = constant.flat[0]
    alike = (constant == number).all() and np.isfinite(number) and number != 0
    return number.item() if alike else x
