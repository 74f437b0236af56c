"""What of a program native code can do, and how the lines that are not in loops are written.

A line's role follows from its row: a ufunc that is in the table below is pointwise, a reduction
by a ufunc is reducing, views are views; a few kernels have a form of their own. Whatever has none
is left to NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from math import isfinite, prod
from typing import Any, NamedTuple

import numpy as np

from ..engine.primitive import Kind, Primitive
from ..ops import elementwise, indexing, joining, losses, reductions, shaping
from . import blas, ufunc_loops
from .fusion import Role
from .program import Line, Operand, Program, Var, found
from .trace import SCALAR_POWER

SYMBOLS: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.square: "{0} * {0}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.maximum: "{0} if {0} >= {1} or {0} != {0} else {1}",
    np.minimum: "{0} if {0} <= {1} or {0} != {0} else {1}",
    np.logical_and: "{0} and {1}",
    np.logical_or: "{0} or {1}",
    np.logical_not: "not {0}",
    np.isnan: "{0} != {0}",
    np.power: "{0} ** {1}",
    np.bitwise_and: "{0} & {1}",
    np.bitwise_or: "{0} | {1}",
    np.bitwise_xor: "{0} ^ {1}",
    np.reciprocal: "1 / {0}",
    np.conjugate: "{0}",
    np.float_power: "{0} ** {1}",
    np.fmax: "{0} if {0} >= {1} or {1} != {1} else {1}",
    np.fmin: "{0} if {0} <= {1} or {1} != {1} else {1}",
    np.heaviside: "{1} if {0} == 0 else {0} if {0} != {0} else 1.0 if {0} > 0 else 0.0",
    np.logical_xor: "({0} != 0) != ({1} != 0)",
}
"""Ufuncs as expressions of their (cast) operands."""

FUNCTIONS = (
    *(np.absolute, np.sqrt, np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p),
    *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.arctan2, np.hypot),
    *(np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.logaddexp, np.logaddexp2),
    *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isfinite, np.isinf, np.deg2rad),
    *(np.rad2deg, np.copysign, np.cbrt, np.degrees, np.radians, np.fabs, np.fmod, np.remainder),
    *(np.ldexp, np.signbit, np.nextafter),
)
"""Ufuncs that numba knows by name."""

SYMBOLS |= {f: f"np.{f.__name__}({', '.join(f'{{{k}}}' for k in range(f.nin))})" for f in FUNCTIONS}

AS_UFUNCS = {
    SCALAR_POWER.kernel: Primitive(np.power, (), "power", Kind.ELEMENTWISE),
    elementwise.ldexp.primitive.kernel: Primitive(np.ldexp, (), "ldexp", Kind.ELEMENTWISE),
}
"""Ops that are a ufunc to native code."""

NATIVE_DTYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "f4",
    np.dtype(np.float64): "f8",
    np.dtype(bool): "np.bool_",
    **{
        np.dtype(name): f"np.{name}"
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}
"""The dtypes of native code and their names in it."""


def number(x: float, dtype: np.dtype[Any]) -> str:
    """A number of this dtype, as native code writes it."""
    text = repr(x) if isfinite(x) else {"inf": "np.inf", "-inf": "-np.inf"}.get(repr(x), "np.nan")
    return f"{NATIVE_DTYPES[dtype]}({text})"


def prepared(program: Program) -> Program:
    """The program as it suits loops: sums as sums, all values in plain order, no exp twice."""
    lines: dict[int, Line] = {}
    current = replace(program, lines=lines)
    fresh = itertools.count(program.fresh())
    for index, line in program.lines.items():
        line = replace(
            line,
            op=AS_UFUNCS.get(line.op.kernel, line.op),
            value=replace(line.value, order=()),
        )
        if line.op.kernel is np.clip and _is_alike(line, program):
            within = next(fresh)
            lines[within], line = _clipped(line, program, within)
        lines[index] = _sum_by_ones(line, program) or _softmax_again(line, current) or line
    constants = {i: x if x.flags.c_contiguous else x.copy() for i, x in program.constants.items()}
    return replace(program, lines=lines, constants=constants)


def _is_alike(line: Line, program: Program) -> bool:
    """Whether a line's operands are arrays of its own dtype, and numbers."""
    values = [program.value(x.index) for x in line.args if isinstance(x, Var)]
    numbers = [type(x) in (int, float) for x in line.args if not isinstance(x, Var)]
    arrays = [
        (value.dtype, value.form == "number") == (line.value.dtype, False) for value in values
    ]
    return all(numbers) and all(arrays) and not line.options


def _clipped(line: Line, program: Program, within: int) -> tuple[Line, Line]:
    """np.clip as a maximum, of the number `within`, and the minimum of that."""
    x, low, high = line.args
    shapes = [program.value(each.index).shape for each in (x, low) if isinstance(each, Var)]
    shape = np.broadcast_shapes(*shapes)
    form = "array" if shape else line.value.form
    larger = replace(
        line,
        op=elementwise.maximum.primitive,
        args=(x, low),
        value=replace(line.value, shape=shape, form=form),
    )
    return larger, replace(line, op=elementwise.minimum.primitive, args=(Var(within), high))


def _softmax_again(line: Line, program: Program) -> Line | None:
    """exp(x - log(sum(exp(x)))) is exp(x) / sum(exp(x)), and exp(x) is known."""
    inside = _maker(line.args[0], program) if line.op.kernel is np.exp else None
    if inside is None or inside.op.kernel is not np.subtract:
        return None
    x, logarithm = inside.args[0], _maker(inside.args[1], program)
    if logarithm is None or logarithm.op.kernel is not np.log:
        return None
    total = _maker(logarithm.args[0], program)
    powers = _maker(total.args[0], program) if total is not None else None
    if powers is None or powers.op.kernel is not np.exp or powers.args[0] != x:
        return None
    shifted = _maker(x, program)  # by the maximum, or exp may overflow
    peak = _maker(shifted.args[-1], program) if shifted is not None else None
    if shifted is None or shifted.op.kernel is not np.subtract:
        return None
    if peak is None or peak.op.reduction_ufunc is not np.maximum:
        return None
    assert total is not None
    if total.op.reduction_ufunc is not np.add or powers.value.shape != line.value.shape:
        return None
    return replace(line, op=elementwise.divide.primitive, args=(total.args[0], logarithm.args[0]))


def _maker(x: Operand, program: Program) -> Line | None:
    return program.lines.get(x.index) if isinstance(x, Var) else None


def _sum_by_ones(line: Line, program: Program) -> Line | None:
    """A product with ones is a sum, which can be part of a loop."""
    if line.op.kernel is not np.matmul:
        return None
    a, b = line.args
    total = replace(line, op=reductions.sum.primitive)
    if _is_ones(a, program) and program.value(a.index).shape == program.value(b.index).shape[:1]:
        return replace(total, args=(b,), options={"axis": 0})
    if _is_ones(b, program) and program.value(b.index).shape[1:] == (1,):
        return replace(total, args=(a,), options={"axis": -1, "keepdims": True})
    return None


def _is_ones(x: Operand, program: Program) -> bool:
    constant = program.constants.get(x.index) if isinstance(x, Var) else None
    return constant is not None and constant.ndim > 0 and bool((constant == 1).all())


# --- what is native


def loop_dtypes(line: Line, program: Program) -> tuple[np.dtype[Any], ...] | None:
    """The dtypes in which a ufunc computes these operands, and that of the result."""
    kinds = []
    for x in line.args:
        if isinstance(x, Var):
            value = program.value(x.index)
            weak = value.form == "number" and value.dtype.kind != "b"
            kinds.append(value.dtype.type(0).item().__class__ if weak else value.dtype)
        else:
            kinds.append(np.dtype(bool) if type(x) is bool else type(x))
    try:
        ufunc: Any = line.op.kernel
        dtypes: tuple[np.dtype[Any], ...] = ufunc.resolve_dtypes((*kinds, None))
        return dtypes
    except (TypeError, ValueError):
        return None


class Roles:
    """What each line of a program is to the native code; layouts of what it reads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layouts: dict[int, str] = {}
        """C (in plain order), F (a transposed matrix) or A (anything) for views."""

    def layout(self, x: Operand) -> str:
        if not isinstance(x, Var):
            return "A"
        return self.layouts.get(x.index, "C")

    def __call__(self, index: int, line: Line) -> Role:
        program, kernel = self.program, line.op.kernel
        values = [line.value, *(program.value(i) for i in line.vars)]
        forms = {value.form for value in values}
        if forms & {"tuple", "generator"} or line.value.form == "number":
            return Role.NUMPY
        if any(value.dtype not in NATIVE_DTYPES for value in values):
            return Role.NUMPY
        if 0 in line.value.shape or any(0 in value.shape for value in values):
            return Role.NUMPY
        form = ALONE.get(kernel)
        if form is not None and form.fits(line, self):
            return Role.ALONE
        if kernel in SYMBOLS and not line.options:
            dtypes = loop_dtypes(line, program)
            fits = dtypes is not None and all(dtype in NATIVE_DTYPES for dtype in dtypes)
            return Role.POINTWISE if fits else Role.NUMPY
        if kernel in IDENTITIES or kernel is np.where:
            return Role.POINTWISE
        if line.op.reduction_ufunc in REDUCTIONS and isinstance(line.args[0], Var):
            plain = set(line.options) <= {"axis", "keepdims"} and values[1].shape
            return Role.REDUCING if plain else Role.NUMPY
        if line.op.kind is Kind.VIEW or (
            kernel is indexing.take.primitive.kernel and not any(found(line.options))
        ):
            return self._view(index, line)
        return Role.NUMPY

    def _view(self, index: int, line: Line) -> Role:
        """Whether native code can look at it this way, and in what layout."""
        x, kernel, layout = line.args[0], line.op.kernel, None
        if not isinstance(x, Var) or self.program.value(x.index).form != "array":
            return Role.NUMPY
        if kernel in (np.transpose, np.swapaxes) and line.value.shape:
            as_it_is = order_of_axes(line) == [*range(len(line.value.shape))]
            turned = order_of_axes(line) == [1, 0] and self.layout(x) == "C"
            layout = self.layout(x) if as_it_is else "F" if turned else "A"
        elif kernel in RESHAPES and line.options.get("order", "C") == "C":
            layout = "C" if self.layout(x) == "C" and line.value.shape else None
        elif kernel is indexing.take.primitive.kernel and line.value.shape:
            parts = line.options["index"]
            parts = parts if isinstance(parts, tuple) else (parts,)
            plain = all(type(part) in (int, slice) or part is Ellipsis for part in parts)
            whole = self.layout(x) == "C" and all(type(part) is int for part in parts)
            layout = ("C" if whole else "A") if plain and parts else None
        if layout is None:
            return Role.NUMPY
        self.layouts[index] = layout
        return Role.VIEW


def order_of_axes(line: Line) -> list[int]:
    """The axes of the operand in the order in which a transposition has them."""
    rank, options = len(line.value.shape), line.options
    axes = [*range(rank)]
    if line.op.kernel is np.swapaxes:
        i, j = options["axis1"], options["axis2"]
        axes[i], axes[j] = axes[j], axes[i]
        return axes
    order = options.get("axes")
    return axes[::-1] if order is None else [axes[axis] for axis in order]


IDENTITIES = {elementwise.cast.primitive.kernel, np.copy, shaping.broadcast_to.primitive.kernel}
RESHAPES = {shaping.reshape.primitive.kernel, np.expand_dims, np.squeeze}
REDUCTIONS = {np.add, np.multiply, np.maximum, np.minimum}


class Scope:
    """The names that a native function has for the values of a program."""

    def __init__(
        self, program: Program, names: dict[int, str], roles: Roles, planned: set[int]
    ) -> None:
        self.program = program
        self.names = names
        self.roles = roles
        self.planned = planned

    def array(self, x: Operand) -> str:
        """The array that an operand is."""
        return self.names[x.index]

    def flat(self, x: Operand) -> str:
        """An array in plain order as one with a single axis."""
        shape = self.program.value(x.index).shape
        name = self.names[x.index]
        return name if len(shape) <= 1 else f"{name}.reshape({prod(shape)})"

    def element(self, i: int, position: str) -> str:
        """An element of a value; what has no axes is a number, or an array of one."""
        value = self.program.value(i)
        if value.shape:
            return f"{self.names[i]}[{position}]"
        if i in self.program.constants:
            return self.names[i]  # a number
        if i in self.planned:
            return f"{self.names[i]}[0]"
        return f"{self.names[i]}[()]" if value.form == "array" else self.names[i]


# --- lines that are a block by themselves: when they are native, and how they are written


def _can_dot(line: Line, roles: Roles) -> bool:
    values = [roles.program.value(i) for i in line.vars]
    dtypes = {value.dtype for value in (*values, line.value)}
    ranks = [len(value.shape) for value in values]
    return (
        len(values) == 2
        and len(dtypes) == 1
        and dtypes.pop().char in "fd"
        and max(ranks) <= 2
        and all(roles.layout(x) in "CF" for x in line.args)
    )


def _dot(line: Line, write: Scope, index: int) -> list[str]:
    """A product of matrices or vectors: by NumPy's BLAS, or else by np.dot, which is SciPy's."""
    a, b = line.args
    out, shape = write.names[index], line.value.shape
    if not shape:
        return [f"{out}[0] = np.dot({write.array(a)}, {write.array(b)})"]
    if not blas.routines():
        return [f"np.dot({write.array(a)}, {write.array(b)}, {out})"]
    left, right = (write.program.value(x.index).shape for x in (a, b))
    code = line.value.dtype.char
    if len(left) == 2 and (1 in right[1:] or len(right) == 1):
        return [_gemv(code, a, b, left, write, out)]
    if left[0] == 1 or len(left) == 1:
        return [_gemv(code, b, a, right[::-1], write, out, turned=True)]
    return [_gemm(code, a, b, (left[0], *right[::-1]), write, out)]


def _gemm(code: str, a: Var, b: Var, lengths: tuple[int, ...], write: Scope, out: str) -> str:
    """out = a @ b, for matrices in plain order or the transposes of such."""
    m, n, k = lengths
    words = [str(blas.ROW_MAJOR)]
    words += [str(_turn(x, write)) for x in (a, b)] + [f"{m}, {n}, {k}, {_ONE[code]}"]
    for x, rows, columns in ((a, m, k), (b, k, n)):
        step = rows if write.roles.layout(x) == "F" else columns
        words.append(f"{write.array(x)}.ctypes, {step}")
    return f"gemm_{code}({', '.join(words)}, {_ZERO[code]}, {out}.ctypes, {n})"


def _gemv(
    code: str,
    a: Var,
    x: Var,
    shape: tuple[int, ...],
    write: Scope,
    out: str,
    turned: bool = False,
) -> str:
    """out = a @ x for a vector x; or (turned) a.T @ x, where `shape` is a.T's."""
    (m, k), transposed = shape, (write.roles.layout(a) == "F") != turned
    rows, columns = (k, m) if transposed else (m, k)
    turn = blas.TRANSPOSED if transposed else blas.AS_IT_IS
    return (
        f"gemv_{code}({blas.ROW_MAJOR}, {turn}, {rows}, {columns}, {_ONE[code]}, "
        f"{write.array(a)}.ctypes, {columns}, {write.array(x)}.ctypes, 1, {_ZERO[code]}, "
        f"{out}.ctypes, 1)"
    )


def _turn(x: Var, write: Scope) -> int:
    return blas.TRANSPOSED if write.roles.layout(x) == "F" else blas.AS_IT_IS


_ONE, _ZERO = {"f": "f4(1)", "d": "f8(1)"}, {"f": "f4(0)", "d": "f8(0)"}


def _index_vars(line: Line, roles: Roles, x_rank: int) -> list[int]:
    """The integer arrays of an index, if it consists of such, alike, for the leading axes."""
    index = line.options["index"]
    parts = index if isinstance(index, tuple) else (index,)
    values = [roles.program.value(x.index) for x in parts if isinstance(x, Var)]
    alike = len(values) == len(parts) <= x_rank and len({value.shape for value in values}) == 1
    plain = all(value.dtype.kind in "iu" and value.shape for value in values)
    if not (alike and plain and all(roles.layout(x) == "C" for x in parts)):
        return []
    return [x.index for x in parts]


def _can_take(line: Line, roles: Roles) -> bool:
    x = line.args[0]
    if (
        not isinstance(x, Var)
        or roles.layout(x) != "C"
        or roles.program.value(x.index).form != "array"
    ):
        return False
    return bool(_index_vars(line, roles, len(roles.program.value(x.index).shape)))


def _can_scatter(line: Line, roles: Roles) -> bool:
    g = line.args[0]
    whole = isinstance(g, Var) and roles.layout(g) == "C" and roles.program.value(g.index).shape
    return bool(whole and _index_vars(line, roles, len(line.options["shape"])))


def _offsets(write: Scope, parts: list[int], shape: tuple[int, ...]) -> tuple[list[str], int, int]:
    """Statements that find where element k of an index points; how many it has, of what size."""
    count = prod(write.program.value(parts[0]).shape)
    inside = ["    at = 0"]
    for part, n in zip(parts, shape, strict=False):
        flat = f"{write.array(Var(part))}.reshape({count})"
        inside += [
            f"    j = int({flat}[k])",
            f"    j = j + {n} if j < 0 else j",
            f"    if j < 0 or j >= {n}:",
            '        raise IndexError("an index is out of bounds")',
            f"    at = at * {n} + j",
        ]
    return inside, count, prod(shape[len(parts) :])


def _take(line: Line, write: Scope, index: int) -> list[str]:
    x = line.args[0].index
    shape = write.program.value(x).shape
    parts = _index_vars(line, write.roles, len(shape))
    inside, count, size = _offsets(write, parts, shape)
    return [
        f"source, target = {write.flat(Var(x))}, {write.flat(Var(index))}",
        f"for k in range({count}):",
        *inside,
        f"    for r in range({size}):",
        f"        target[k * {size} + r] = source[at * {size} + r]",
    ]


def _scatter(line: Line, write: Scope, index: int) -> list[str]:
    shape = line.options["shape"]
    parts = _index_vars(line, write.roles, len(shape))
    inside, count, size = _offsets(write, parts, shape)
    return [
        f"source, target = {write.flat(line.args[0])}, {write.flat(Var(index))}",
        "target[:] = 0",
        f"for k in range({count}):",
        *inside,
        f"    for r in range({size}):",
        f"        target[at * {size} + r] += source[k * {size} + r]",
    ]


def _can_hit(line: Line, roles: Roles) -> bool:
    at, value = line.args
    plain = isinstance(at, Var) and roles.layout(at) == "C" and roles.program.value(at.index).shape
    return bool(plain) and type(value) in (int, float) and isfinite(value)


def _hits(line: Line, write: Scope, index: int) -> list[str]:
    total = prod(line.value.shape)
    cast = NATIVE_DTYPES[line.value.dtype]
    return [
        f"target = {write.flat(Var(index))}",
        "target[:] = 0",
        f"for j in {write.flat(line.args[0])}:",
        f"    if j < 0 or j >= {total}:",
        '        raise IndexError("an index is out of bounds")',
        f"    target[j] = {cast}({line.args[1]!r})",
    ]


def _can_check(line: Line, roles: Roles) -> bool:
    labels = line.args[0]
    plain = isinstance(labels, Var) and roles.layout(labels) == "C"
    return plain and bool(roles.program.value(labels.index).shape)


def _check(line: Line, write: Scope, _: int) -> list[str]:
    return [
        f"for j in {write.flat(line.args[0])}:",
        f"    if j < 0 or j >= {line.options['classes']}:",
        '        raise ShapeError("a label is out of range")',
    ]


LARGE = 1024
"""Elements from which NumPy's vectorised loops are worth going through memory for."""


def _has_numpys_loop(line: Line, roles: Roles) -> bool:
    """Whether a line is one call of NumPy's own loop, over arrays in plain order."""
    kernel, value = line.op.kernel, line.value
    if not isinstance(kernel, np.ufunc) or value.nbytes < LARGE * value.dtype.itemsize:
        return False
    if ufunc_loops.name(kernel, value.dtype.char) not in ufunc_loops.routines() or line.options:
        return False
    return all(
        isinstance(x, Var) and roles.program.value(x.index) == value and roles.layout(x) == "C"
        for x in line.args
    )


def _numpys_loop(line: Line, write: Scope, index: int) -> list[str]:
    ufunc: Any = line.op.kernel
    arrays = [write.flat(x) for x in (*line.args, Var(index))]
    starts = ", ".join(f"{array}.ctypes.data" for array in arrays)
    steps = ", ".join([str(line.value.dtype.itemsize)] * len(arrays))
    loop = ufunc_loops.name(ufunc, line.value.dtype.char)
    return [
        f"starts, steps = np.array([{starts}]), np.array([{steps}])",
        f"count = np.array([{prod(line.value.shape)}])",
        f"{loop}(starts.ctypes, count.ctypes, steps.ctypes, 0)",
    ]


def _can_join(line: Line, roles: Roles) -> bool:
    return (
        all(isinstance(x, Var) for x in line.args)
        and len({roles.program.value(i).dtype for i in (*line.vars,)} | {line.value.dtype}) == 1
    )


def _join(line: Line, write: Scope, index: int) -> list[str]:
    """Each operand by a loop of its own, which compiles in a fifth of the time of a slice."""
    axis = line.options.get("axis", 0) % len(line.value.shape)
    places = [f"i{k}" for k in range(len(line.value.shape))]
    targets = places.copy()
    statements, start = [], 0
    for x in line.args:
        shape = write.program.value(x.index).shape
        targets[axis] = f"i{axis} + {start}"
        statements += [f"{'    ' * k}for i{k} in range({n}):" for k, n in enumerate(shape)]
        element = f"{write.array(x)}[{', '.join(places)}]"
        moved = f"{write.names[index]}[{', '.join(targets)}] = {element}"
        statements.append("    " * len(shape) + moved)
        start += shape[axis]
    return statements


class Form(NamedTuple):
    """How a kernel is written as a block of its own, and when it can be."""

    fits: Callable[[Line, Roles], bool]
    write: Callable[[Line, Scope, int], list[str]]


ALONE: dict[Any, Form] = {
    **dict.fromkeys(ufunc_loops.UFUNCS, Form(_has_numpys_loop, _numpys_loop)),
    np.matmul: Form(_can_dot, _dot),
    indexing.take.primitive.kernel: Form(_can_take, _take),
    indexing.scatter.primitive.kernel: Form(_can_scatter, _scatter),
    joining.join.primitive.kernel: Form(_can_join, _join),
    losses.hits.primitive.kernel: Form(_can_hit, _hits),
    losses.check_labels.primitive.kernel: Form(_can_check, _check),
}
