"""Nests of loops: the equations of a fused block, as machine code.

    for i in 0 ... 31:
        x9 = ...                          what depends on the outer indices alone
        for j in 0 ... 63:
            x8 = v8[i, j]                 loads
            x10 = x8 + x9                 equations
            v10[i, j] = x10               what others read
            s11 = s11 + x10               reductions

Sums of float32 are added up in float64, and long sums in blocks, so that the error does not grow
with the length. Loops over large arrays are cut into parts, always the same ones, which threads
share; sums over all parts are added up in the end, so that one thread finds the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from llvmlite import ir

from ...staging.lowering import lowering_of
from ..program import Equation, Operand, Program, Var
from .axes import PARTS, Axes, count_words
from .code import FunctionWriter, Place
from .complex_terms import ComplexTerm, select
from .expressions import FORMULAS, NAMED, constant, convert, find_formula
from .fusion import Block, Role
from .roles import IDENTITIES, find_element, is_complex, loop_dtypes
from .terms import BOOL, Term, declare, suffix_of

CIRCULAR = {np.sin, np.cos, np.tan}
"""Which have rare cases, of lanes as wide as registers."""
SHORT = 16
"""The longest row that is one vector."""
BLOCK = 4096
"""Elements that are added up before their sum is added to the others."""


Bounds: TypeAlias = tuple[int | Term, int | Term]


class Fused(Protocol):
    """A program whose equations are in blocks."""

    program: Program
    role: dict[int, Role]
    kept: set[int]


class Reduction(NamedTuple):
    """An equation that reduces its operand over some axes of the loop."""

    ufunc: np.ufunc
    wide: np.dtype[Any]
    """The dtype in which it is added up."""
    depth: int
    """How many loops are around the innermost reduced ones: there a variable will do."""
    final: bool
    """Whether that variable is the result; or else one part of it."""


class Nest:
    """The loops of a block under construction.

    Args:
        block: its equations.
        axes: its loops.
        fused: the program that they are part of.
        places: the arrays.
        code: what the loops are written into.
    """

    def __init__(
        self,
        block: Block,
        axes: Axes,
        fused: Fused,
        places: dict[int, Place],
        code: FunctionWriter,
    ) -> None:
        self.program, self.kept = fused.program, fused.kept
        self.axes, self.places, self.code = axes, places, code
        self.equations = {i: self.program.equations[i] for i in block.equations}
        reducing = [i for i in self.equations if fused.role[i] is Role.REDUCING]
        self.lanes = self._count_lanes()
        self.rank = len(axes.shape) - bool(self.lanes)
        self.reductions = {i: self._describe_reduction(i) for i in reducing}
        self.tables: dict[int, Place] = {}
        self.indices: list[Term] = []
        self.values: dict[int, Term | ComplexTerm] = {}
        self.totals: dict[int, Place] = {}

    def write(self) -> None:
        """The loops, from the outermost in."""
        partial = [i for i, r in self.reductions.items() if not r.final]
        self.tables = {i: self._make_table(i) for i in self.reductions}
        for i in partial:
            self.tables[i].fill(_start(self.reductions[i]))
        self._write_nest(0, (0, self.axes.shape[0] if self.rank else 1))
        for i in partial:
            if self.tables[i] is not self.places[i]:
                with self.code.loop(self.places[i].size) as k:
                    self.places[i][k] = self.tables[i][k]

    # --- in parts

    def write_parts(self, partials: Place, first: Term, last: Term) -> None:
        """The loops over some of the parts, whose sums go into a row of `partials` each."""
        with self.code.loop(last, first) as part:
            own = self._find_partials(partials, part)
            self.tables = {i: own.get(i, self.places[i]) for i in self.reductions}
            for i, table in own.items():
                table.fill(_start(self.reductions[i]))
            n = self.axes.shape[0]
            self._write_nest(0, (part * n / PARTS, (part + 1) * n / PARTS))

    def write_sums(self, partials: Place) -> None:
        """The sums of all parts, in their order."""
        parts = [self._find_partials(partials, part) for part in range(PARTS)]
        for i in self.axes.across:
            with self.code.loop(self.places[i].size) as k:
                total = parts[0][i][k]
                for part in parts[1:]:
                    total = _combine(self.reductions[i], total, part[i][k], freely=False)
                self.places[i][k] = total

    def _find_partials(self, partials: Place, part: int | Term) -> dict[int, Place]:
        """Where one part has its sums for the others."""
        words = {i: count_words(self.program.aval(i)) for i in self.axes.across}
        start, places = part * sum(words.values()), {}
        for i, count in words.items():
            pointer = partials.point((start,), (1,))
            size, wide = self.places[i].size, self.reductions[i].wide
            places[i] = Place(self.code, pointer, (size,), wide)
            start = start + count
        return places

    # --- loops

    def _write_nest(self, depth: int, bounds: Bounds) -> None:
        for i in [i for i in self.axes.steps if i not in self.equations]:
            needed = self.axes.depth(i)
            if min(needed, self.rank) == depth:
                lanes = self.lanes if needed > depth else 0
                self.values[i] = self.places[i].load(self._point(i, self.places[i]), lanes)
        own = [i for i, r in self.reductions.items() if r.depth == depth]
        self._start_totals(own)
        if depth == self.rank:
            self._write_body()
        elif depth == self.rank - 1 and own and self.axes.shape[depth] > 2 * BLOCK:
            self._write_in_blocks(depth, bounds, own)
        else:
            self._write_loop(depth, bounds)
        for i in own:
            self._finish(i, self.totals[i][0])

    def _start_totals(self, own: list[int]) -> None:
        for i in own:
            self.totals[i] = self.code.variable(self.reductions[i].wide)
            self.totals[i][0] = _start(self.reductions[i])

    def _write_loop(self, depth: int, bounds: Bounds) -> None:
        start, stop = bounds
        with self.code.loop(stop, start) as index:
            self.indices.append(index)
            deeper = self.axes.shape[depth + 1] if depth + 1 < self.rank else 1
            self._write_nest(depth + 1, (0, deeper))
            self.indices.pop()

    def _write_in_blocks(self, depth: int, bounds: Bounds, own: list[int]) -> None:
        """The innermost loop, so many elements at a time."""
        totals, (start, stop) = dict(self.totals), bounds
        with self.code.loop(stop, start, step=BLOCK) as first:
            self._start_totals(own)
            last = first + BLOCK
            self._write_loop(depth, (first, (last < stop).select(last, stop)))
            for i in own:
                totals[i][0] = _combine(self.reductions[i], totals[i][0], self.totals[i][0])
        self.totals = totals

    def _point(self, i: int, place: Place) -> Any:
        pairs = [*zip(self.indices, self.axes.steps[i], strict=False)]
        return place.point([index for index, _ in pairs], [step for _, step in pairs])

    def _write_body(self) -> None:
        for i, eqn in self.equations.items():
            if i in self.reductions:
                x = self._operand(eqn.args[0], eqn.aval.dtype)
                self._take_in(i, convert(x, self.reductions[i].wide))
                continue
            self.values[i] = self._write_formula(eqn)
            if i in self.kept:
                self.places[i].store(self._point(i, self.places[i]), self.values[i])

    # --- equations

    def _write_formula(self, eqn: Equation) -> Any:
        function, dtype = eqn.op.function, eqn.aval.dtype
        if function is np.power and type(eqn.args[1]) is float and eqn.args[1] == 0.5:
            root = find_formula(np.sqrt, (dtype, dtype))  # as NumPy, at -inf and -0
            assert root is not None
            return root(self._operand(eqn.args[0], dtype))
        if function in IDENTITIES or eqn.op.reduction_ufunc is not None:  # of a single number
            return self._operand(eqn.args[0], dtype)
        if function is np.where:
            c, a, b = eqn.args
            chosen, otherwise = (self._operand(x, dtype) for x in (a, b))
            choose = select if isinstance(chosen, ComplexTerm) else Term.select
            return choose(self._operand(c, np.dtype(bool)), chosen, otherwise)
        if element := find_element(eqn, self.program):
            formula = NAMED[element] if isinstance(element, str) else element
            wide = np.result_type(dtype, np.complex64) if is_complex(eqn, self.program) else dtype
            return convert(formula(*[self._operand(x, wide) for x in eqn.args]), dtype)
        dtypes = loop_dtypes(eqn, self.program)
        formula = find_formula(function, dtypes)
        assert dtypes is not None
        assert formula is not None
        operands = [self._operand(x, d) for x, d in zip(eqn.args, dtypes, strict=False)]
        return convert(formula(*operands), dtype)

    def _operand(self, x: Operand, dtype: np.dtype[Any]) -> Any:
        """An operand in the dtype that the op computes in, in all lanes."""
        if not isinstance(x, Var):
            return self._spread(constant(self.code.builder, x, dtype))
        if x.index not in self.values:
            number = self.program.constants[x.index].item()
            self.values[x.index] = constant(
                self.code.builder, number, self.program.aval(x.index).dtype
            )
        return self._spread(convert(self.values[x.index], dtype))

    # --- rows as vectors

    def _count_lanes(self) -> int:
        """The length of the innermost loop if a vector can take its place; or else 0.

        LLVM leaves a remainder of such loops to be done one by one.
        """
        shape, steps = self.axes.shape, self.axes.steps.values()
        if len(shape) < 2 or shape[-1] > SHORT or any(own[-1] not in (0, 1) for own in steps):
            return 0
        return 0 if any(map(self._is_of_single_numbers, self.equations.values())) else shape[-1]

    def _is_of_single_numbers(self, eqn: Equation) -> bool:
        """Whether the formula of an equation is not one of vectors as short as rows."""
        written = eqn.op.function in CIRCULAR or lowering_of(eqn.op).element is not None
        return written or is_complex(eqn, self.program)

    def _spread(self, x: Any) -> Any:
        wide = not self.lanes or isinstance(x.type, ir.VectorType)
        return x if wide else x.splat(self.lanes)

    # --- reductions

    def _describe_reduction(self, i: int) -> Reduction:
        ufunc, dtype = self.equations[i].op.reduction_ufunc, self.equations[i].aval.dtype
        assert ufunc is not None
        widest = {"f": np.dtype(float), "c": np.dtype(complex)}
        wide = widest.get(dtype.kind, dtype) if ufunc is np.add else dtype
        return Reduction(ufunc, wide, self.axes.depth(i), self.axes.is_final(i))

    def _make_table(self, i: int) -> Place:
        """Where the parts of a result are added up: in the result, if its dtype is wide enough."""
        r, place = self.reductions[i], self.places[i]
        alike = r.final or r.wide == place.dtype
        return place if alike else self.code.memory(r.wide, place.size)

    def _take_in(self, i: int, x: Any) -> None:
        """One more element, or row."""
        r = self.reductions[i]
        if r.depth > self.rank:  # a row into a row
            return self._finish(i, x)
        self.totals[i][0] = _combine(r, self.totals[i][0], _reduce(r, x) if self.lanes else x)
        return None

    def _finish(self, i: int, total: Any) -> None:
        r, table = self.reductions[i], self.tables[i]
        at, lanes = self._point(i, table), self.lanes if r.depth > self.rank else 0
        table.store(at, total if r.final else _combine(r, table.load(at, lanes), total))


def _start(r: Reduction) -> float:
    """What a reduction of nothing is."""
    if r.ufunc in (np.add, np.multiply):
        return 0 if r.ufunc is np.add else 1
    low = r.ufunc is np.maximum
    if r.wide.kind == "f":
        return -np.inf if low else np.inf
    if r.wide.kind == "b":
        return not low
    limits = np.iinfo(r.wide)
    return int(limits.min if low else limits.max)


OF_LANES: dict[np.ufunc, str] = {
    np.add: "fadd or add add",
    np.multiply: "fmul and mul mul",
    np.maximum: "fmaximum or smax umax",
    np.minimum: "fminimum and smin umin",
}
"""LLVM's reductions of a vector: of floats, bools, signed and unsigned integers."""


def _reduce(r: Reduction, x: Term) -> Term:
    """All lanes of a vector taken together."""
    of_floats, of_bools, of_signed, of_unsigned = OF_LANES[r.ufunc].split()
    of_integers = of_unsigned if x.unsigned else of_signed
    name = of_floats if x.is_float else of_bools if x.scalar == BOOL else of_integers
    kinds = [x.scalar, x.type] if name in ("fadd", "fmul") else [x.type]
    full = f"llvm.vector.reduce.{name}.{suffix_of(x.type)}"
    function = declare(x.builder.module, full, ir.FunctionType(x.scalar, kinds))
    start = [ir.Constant(x.scalar, _start(r))] if len(kinds) > 1 else []
    flags = ("reassoc",) if start else ("nsz",) if x.is_float else ()
    return Term(x.builder, x.builder.call(function, [*start, x.value], fastmath=flags), x.unsigned)


def _combine(r: Reduction, total: Any, x: Any, freely: bool = True) -> Any:
    """One more element, or part, taken in: in any order that LLVM finds best, once and for all."""
    if x.is_float and freely and r.ufunc is np.add:
        return total.add_freely(x)
    if isinstance(x, ComplexTerm):
        return FORMULAS[r.ufunc](total, x)
    if x.is_float and freely and r.ufunc is np.multiply:
        return total.multiply_freely(x)
    if x.is_float and r.ufunc in (np.maximum, np.minimum):  # of zeros it may be either
        name = "maximum" if r.ufunc is np.maximum else "minimum"
        signature = ir.FunctionType(x.type, [x.type] * 2)
        function = declare(x.builder.module, f"llvm.{name}.{suffix_of(x.type)}", signature)
        return Term(x.builder, x.builder.call(function, [total.value, x.value], fastmath=("nsz",)))
    return FORMULAS[r.ufunc](total, x)
