"""The passes that make a traced program shorter. Each keeps the values, to the last bit.

    drop_dead : lines whose value nobody reads
    share     : lines that compute what another line has computed
    simplify  : ops that do nothing, or that a cheaper one can do
    fold      : lines that depend on constants alone are computed now

PASSES has them in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from math import frexp, prod
from typing import Any, TypeAlias

import numpy as np

from ..engine.primitive import Kind, Primitive
from ..ops import elementwise, indexing, losses, reductions, shaping
from .program import (
    END,
    PACK,
    PIECE,
    Line,
    Operand,
    Program,
    Value,
    Var,
    found,
    mapped,
    substituted,
)
from .signature import identity

Pass: TypeAlias = Callable[[Program], Program]


def drop_dead(program: Program) -> Program:
    """Keep what the outputs need, and what has an effect."""
    needed = set(found(program.outputs))
    lines = {}
    for index, line in reversed(program.lines.items()):
        if index in needed or line.effect:
            needed.update(line.vars)
            lines[index] = line
    constants = {i: constant for i, constant in program.constants.items() if i in needed}
    return replace(program, lines=dict(reversed(lines.items())), constants=constants)


def share(program: Program) -> Program:
    """Compute the same only once (common subexpressions, equal small constants)."""
    renamed: dict[int, Operand] = {}
    seen: dict[Hashable, int] = {}
    for i, x in program.constants.items():
        if x.nbytes <= 64:
            first = seen.setdefault((x.shape, x.dtype, x.tobytes()), i)
            if first != i:
                renamed[i] = Var(first)
    lines: dict[int, Line] = {}
    for index, line in program.lines.items():
        args, options = substituted(line.args, renamed), substituted(line.options, renamed)
        lines[index] = replace(line, args=args, options=options)
        if line.effect:
            continue
        key = (line.op.kernel, identity(args), identity(options), line.value)
        first = seen.setdefault(key, index)
        if first != index and (line.errors in (lines[first].errors, QUIET)):
            renamed[index] = Var(first)
            del lines[index]
    return program.with_lines(lines, renamed)


QUIET = dict.fromkeys(np.geterr(), "ignore")


def simplify(program: Program) -> Program:
    """Leave out what does nothing; divide by multiplying where that is exact."""
    renamed: dict[int, Operand] = {}
    lines: dict[int, Line] = {}
    current = replace(program, lines=lines)  # what is settled so far
    users = program.uses()
    for index, line in program.lines.items():
        line = replace(
            line,
            args=substituted(line.args, renamed),
            options=substituted(line.options, renamed),
        )
        rule = RULES.get(line.op.kernel)
        result = rule(line, current) if rule and not line.effect else None
        if result is None and line.op.kernel is _BROADCAST_TO:
            result = _needless_broadcast(index, line, program, users)
        if isinstance(result, Var):
            renamed[index] = result
        else:
            lines[index] = result or line
    return program.with_lines(lines, renamed)


def fold(program: Program) -> Program:
    """Compute now what depends on constants alone (if it is small, or no larger than they are)."""
    constants = dict(program.constants)
    lines = {}
    for index, line in program.lines.items():
        parts = line.vars
        small = line.value.nbytes <= max(
            [4096, *(constants[i].nbytes for i in parts if i in constants)]
        )
        if line.effect or line.value.form not in ("array", "scalar") or not small:
            lines[index] = line
        elif all(i in constants for i in parts) and line.op.kind is not Kind.OPAQUE:
            args, options = mapped(
                lambda x: constants[x.index] if isinstance(x, Var) else x, (line.args, line.options)
            )
            with np.errstate(all="ignore"):
                constants[index] = line.op.kernel(*args, **options)
        else:
            lines[index] = line
    return replace(program, lines=lines, constants=constants)


def spread(program: Program) -> Program:
    """An array of equal numbers, where it is to be broadcast, is as good as one number."""
    lines = dict(program.lines)
    for index, line in program.lines.items():
        dtypes = {program.value(i).dtype for i in line.vars}
        shapes = [program.value(i).shape for i in line.vars if i not in program.constants]
        spreads = line.op.kernel in SPREADING and len(dtypes) == 1
        if spreads and line.value.shape in shapes and line.value.shape:
            lines[index] = replace(line, args=tuple(_one_number(x, program) for x in line.args))
    return replace(program, lines=lines)


SPREADING = {np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum}
"""Ufuncs for which it makes no difference how a number comes."""


def _one_number(x: Operand, program: Program) -> Operand:
    constant = program.constants.get(x.index) if isinstance(x, Var) else None
    if constant is None or constant.dtype.kind != "f" or not constant.size:
        return x
    number = constant.flat[0]
    alike = (constant == number).all() and np.isfinite(number) and number != 0
    return number.item() if alike else x


def columns(program: Program) -> Program:
    """The maxima of many short rows, in softmax, as those of a few long columns: in half the time.

    Where 0.0 and -0.0 tie the other may be found; after exp, or less a logarithm, it is the same.
    """
    users = program.uses()
    for index, line in program.lines.items():
        if _is_peak(line, program) and _in_softmax(index, users, program):
            program = _by_columns(index, program)
    return program


def _is_peak(line: Line, program: Program) -> bool:
    """Whether a line is the maximum along the rows of a matrix."""
    if line.op.reduction_ufunc is not np.maximum or line.options != {"axis": -1, "keepdims": True}:
        return False
    value = program.value(line.vars[0])
    rows, columns = value.shape if len(value.shape) == 2 else (0, 0)
    return rows >= 16 and columns <= 64 and not value.order and value.dtype.kind == "f"


def _in_softmax(index: int, users: dict[int, list[int]], program: Program) -> bool:
    """Whether a value is only taken from others, and that only goes into exp, or less a log."""

    def lines(i: int) -> list[Line | None]:
        return [program.lines.get(user) for user in users.get(i, [])]

    for shifted in users.get(index, []):
        line = program.lines.get(shifted)
        if line is None or line.op.kernel is not np.subtract or line.args[1] != Var(index):
            return False
        for user in lines(shifted):
            ends = user is not None and user.op.kernel in (np.exp, np.subtract)
            if not ends or user is None or user.args[0] != Var(shifted):
                return False
            less = _maker(user.args[-1], program)
            if user.op.kernel is np.subtract and (less is None or less.op.kernel is not np.log):
                return False
    return True


def _by_columns(index: int, program: Program) -> Program:
    line, new = program.lines[index], program.fresh()
    rows, width = program.value(line.vars[0]).shape
    turned, copied, peaks = Var(new), Var(new + 1), Var(new + 2)
    dtype, errors = line.value.dtype, line.errors
    made = {
        new: Line(shaping.transpose.primitive, line.args, {}, Value((width, rows), dtype), errors),
        new + 1: Line(_COPY, (turned,), {"order": "C"}, Value((width, rows), dtype), errors),
        new + 2: replace(line, args=(copied,), options={"axis": 0}, value=Value((rows,), dtype)),
        index: Line(shaping.reshape.primitive, (peaks,), {"shape": (rows, 1)}, line.value, errors),
    }
    lines: dict[int, Line] = {}
    for i, other in program.lines.items():
        lines |= made if i == index else {i: other}
    return replace(program, lines=lines)


_COPY = Primitive(np.copy, (), "copy", Kind.OPAQUE)


def batch(program: Program) -> Program:
    """Do the same with several arrays at once, where they may as well lie end to end.

    An optimiser's `rate * gradient` for each parameter becomes one product; for small arrays the
    calls are what costs.
    """
    for group in _batches(program):
        program = _batched(program, group)
    return program


def _batches(program: Program) -> list[list[int]]:
    """Groups of lines that are alike but for their one array, which is theirs alone."""
    order = {index: at for at, index in enumerate(program.lines)}
    users = program.uses()
    groups: dict[Hashable, list[int]] = {}
    for index, line in program.lines.items():
        ufunc = isinstance(line.op.kernel, np.ufunc) and line.op.kind is Kind.ELEMENTWISE
        if not ufunc or len(line.vars) != 1 or line.options or line.value.dtype.kind != "f":
            continue
        operand = line.vars[0]
        maker = program.lines.get(operand)
        large = line.value.nbytes > SMALL or line.value.order
        if maker is None or not _is_packable(maker) or large:
            continue
        if maker.value == line.value and users[operand] == [index]:
            words = tuple(None if isinstance(x, Var) else x for x in line.args)
            key = (line.op.kernel, identity(words), line.value.dtype, str(line.errors))
            group = groups.setdefault(key, [])
            if not group or order[operand] < order[group[0]]:
                group.append(index)
    return [group for group in groups.values() if len(group) > 1]


SMALL = 1 << 18
"""Bytes up to which a call is worth saving."""


def _is_packable(line: Line) -> bool:
    """Whether a line can write anywhere: products and reductions."""
    product = line.op.kernel is np.matmul or line.op.reduction_ufunc is not None
    return product and line.value.form == "array" and bool(line.value.shape)


def _batched(program: Program, group: list[int]) -> Program:
    first = program.lines[group[0]]
    packed, done, *pieces = range(program.fresh(), program.fresh() + 2 + len(group))
    values = [program.lines[i].value for i in group]
    whole = Value((sum(prod(value.shape) for value in values),), first.value.dtype)
    operands = tuple(Var(program.lines[i].vars[0]) for i in group)
    args = tuple(Var(packed) if isinstance(x, Var) else x for x in first.args)
    made = {packed: Line(PACK, operands, {}, whole), done: replace(first, args=args, value=whole)}
    start = 0
    for piece, value in zip(pieces, values, strict=True):
        made[piece] = Line(PIECE, (Var(done), start, value.shape), {}, value)
        start += prod(value.shape)
    lines: dict[int, Line] = {}
    for index, line in program.lines.items():
        if index == group[0]:
            lines |= made
        if index not in group:
            lines[index] = line
    return program.with_lines(lines, dict(zip(group, map(Var, pieces), strict=True)))


# --- the rules of simplify: (line, program) -> the Var of the same value, another line, or None

Rule: TypeAlias = Callable[[Line, Program], Var | Line | None]


def _same(line: Line, x: Operand, program: Program) -> Var | None:
    """x, if its value is known to be like the line's."""
    return x if isinstance(x, Var) and program.value(x.index) == line.value else None


def _literal(x: Operand, program: Program) -> float | None:
    """The number that an operand is known to be."""
    if isinstance(x, Var) and x.index in program.constants:
        x = program.constants[x.index]
        return float(x) if x.shape == () and x.dtype.kind in "fiub" else None
    return x if type(x) in (int, float) else None


def _times_one(line: Line, program: Program) -> Var | None:
    for x, other in (line.args, line.args[::-1]):
        if _literal(other, program) == 1 and (same := _same(line, x, program)):
            return same
    return None


def _exact_division(line: Line, program: Program) -> Var | Line | None:
    """x / 2^k is x * 2^-k."""
    x, other = line.args
    divisor = _literal(other, program)
    if divisor == 1:
        return _same(line, x, program)
    if not divisor or abs(frexp(divisor)[0]) != 0.5 or not 1e-4 < abs(divisor) < 1e4:
        return None
    if line.value.form == "number" or line.value.dtype.kind != "f":
        return None
    if not isinstance(x, Var) or program.value(x.index).dtype != line.value.dtype:
        return None
    factor = 1 / divisor if not isinstance(other, Var) else line.value.dtype.type(1 / divisor)
    if isinstance(other, Var):
        return None
    return replace(line, op=elementwise.multiply.primitive, args=(x, factor))


def _twice(line: Line, program: Program) -> Var | None:
    """negative(negative(x)) is x."""
    inner = _maker(line.args[0], program)
    return inner.args[0] if inner is not None and inner.op.kernel is np.negative else None


def _no_op(line: Line, program: Program) -> Var | None:
    """A cast to the dtype that it has, a reshape to the shape that it has."""
    return _same(line, line.args[0], program)


def _reshape(line: Line, program: Program) -> Var | Line | None:
    """Of two reshapes in a row only the second counts."""
    if line.options.get("order", "C") != "C":
        return None
    if same := _same(line, line.args[0], program):
        return same
    inner = _maker(line.args[0], program)
    if inner is not None and inner.op.kernel is _RESHAPE and inner.options.get("order", "C") == "C":
        shorter = replace(line, args=(inner.args[0], *line.args[1:]))
        return _same(shorter, inner.args[0], program) or shorter
    return None


def _transpose(line: Line, program: Program) -> Var | None:
    """Two transposes in a row that undo each other."""
    inner = _maker(line.args[0], program)
    if inner is None or inner.op.kernel is not np.transpose:
        return None
    if line.options.get("axes") is None and inner.options.get("axes") is None:
        return _same(line, inner.args[0], program)
    return None


def _everything(line: Line, program: Program) -> Var | None:
    """x[()] of an array is the array."""
    whole = line.options.get("index") == () and line.value.shape
    return _same(line, line.args[0], program) if whole else None


def _maker(x: Operand, program: Program) -> Line | None:
    """The line that computes an operand."""
    return program.lines.get(x.index) if isinstance(x, Var) else None


def _needless_broadcast(
    index: int, line: Line, program: Program, users: dict[int, list[int]]
) -> Var | None:
    """Elementwise ops broadcast by themselves, where another operand has the full shape."""
    x = line.args[0]
    if not isinstance(x, Var) or program.value(x.index).form == "number":
        return None

    def broadcasts(user: int) -> bool:
        if user == END or program.lines[user].op.kind is not Kind.ELEMENTWISE:
            return False
        others = [i for i in program.lines[user].vars if i != index]
        return any(program.value(i).shape == line.value.shape for i in others)

    return x if all(map(broadcasts, users.get(index, []))) else None


def _sum_of_hits(line: Line, program: Program) -> Line | None:
    """Each row of `hits` has one element that is not 0: that is its sum."""
    hits = _maker(line.args[0], program)
    if hits is None or hits.op is not losses.hits.primitive:
        return None
    if line.options.get("axis") not in (-1, (-1,)) or line.value.dtype != hits.value.dtype:
        return None
    return Line(_FULL, (line.value.shape, hits.args[1], line.value.dtype), {}, line.value)


_FULL = Primitive(np.full, (), "full", Kind.GATHER)


_RESHAPE = shaping.reshape.primitive.kernel
_BROADCAST_TO = shaping.broadcast_to.primitive.kernel

RULES: dict[Any, Rule] = {
    np.multiply: _times_one,
    np.divide: _exact_division,
    np.negative: _twice,
    np.positive: _no_op,
    elementwise.cast.primitive.kernel: _no_op,
    _RESHAPE: _reshape,
    np.squeeze: _no_op,
    np.expand_dims: _no_op,
    _BROADCAST_TO: _no_op,
    np.transpose: _transpose,
    indexing.take.primitive.kernel: _everything,
    reductions.sum.primitive.kernel: _sum_of_hits,
}

PASSES: tuple[Pass, ...] = (drop_dead, share, simplify, fold, spread, share, drop_dead)
