"""Nests of loops: the equations of a fused block, as machine code.

    for i in 0 ... 31:
        x9 = ...                          what depends on the outer indices alone
        for j in 0 ... 63:
            x8 = v8[i, j]                 loads
            x10 = x8 + x9                 equations
            v10[i, j] = x10               what others read
            s11 = s11 + x10               reductions

For every array that is met a nest knows one step an axis (0 where it is broadcast, or reduced), so
axes along which all arrays go on evenly become one. Sums of float32 are added up in float64, and
long sums in parts, so that the error does not grow with the length.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...staging.lowering import lowering_of
from ..program import Equation, Operand, Program, Var
from .code import FunctionWriter, Place
from .expressions import FORMULAS, constant, convert
from .fusion import Block, Role
from .layouts import plain_strides
from .roles import IDENTITIES, loop_dtypes
from .terms import Term

PART = 4096
"""Elements that are added up before their sum is added to the others."""

Steps: TypeAlias = tuple[int, ...]


class Reduction(NamedTuple):
    """An equation that reduces its operand over some axes of the loop."""

    eqn: int
    ufunc: np.ufunc
    wide: np.dtype[Any]
    """The dtype in which it is added up."""
    depth: int
    """How many loops are around the innermost reduced ones: there a variable will do."""
    final: bool
    """Whether that variable is the result; or else one part of it."""


class Nest:
    """The loops of a block under construction."""

    def __init__(
        self,
        block: Block,
        program: Program,
        roles: dict[int, Role],
        kept: set[int],
        places: dict[int, Place],
        code: FunctionWriter,
    ) -> None:
        assert block.shape is not None
        self.program, self.code, self.kept, self.places = program, code, kept, places
        self.equations = {i: program.equations[i] for i in block.equations}
        reducing = [i for i in self.equations if roles[i] is Role.REDUCING]
        self.steps = {
            i: _find_steps(place, block.shape) for i, place in places.items() if place.pointer
        }
        for i in reducing:
            self.steps[i] = _find_result_steps(self.equations[i], block.shape)
        self.shape, self.steps = _merge_axes(block.shape, self.steps)
        self.rank = len(self.shape)
        self.reductions = {i: self._describe_reduction(i) for i in reducing}
        self.tables = {i: self._make_table(r) for i, r in self.reductions.items()}
        self.indices: list[Term] = []
        self.values: dict[int, Term] = {}
        self.totals: dict[int, Place] = {}

    def write(self) -> None:
        """The loops, from the outermost in."""
        partial = [i for i, r in self.reductions.items() if not r.final]
        for i in partial:
            self.tables[i].fill(_start(self.reductions[i]))
        self._write_nest(0)
        for i in partial:
            if self.tables[i] is not self.places[i]:
                self._copy_table(i)

    # --- loops

    def _write_nest(self, depth: int) -> None:
        for i, steps in self.steps.items():
            if i not in self.equations and _depth(steps) == depth:
                self.values[i] = self._load(i)
        own = [i for i, r in self.reductions.items() if r.depth == depth]
        for i in own:
            self.totals[i] = self.code.variable(self.reductions[i].wide)
            self.totals[i][0] = _start(self.reductions[i])
        if depth == self.rank:
            self._write_body()
        elif depth == self.rank - 1 and own and self.shape[depth] > 2 * PART:
            self._write_in_parts(depth, own)
        else:
            with self.code.loop(self.shape[depth]) as index:
                self.indices.append(index)
                self._write_nest(depth + 1)
                self.indices.pop()
        for i in own:
            self._finish(i, self.totals[i][0])

    def _write_in_parts(self, depth: int, own: list[int]) -> None:
        """The innermost loop, so many elements at a time."""
        totals, n = dict(self.totals), self.shape[depth]
        with self.code.loop(n, step=PART) as first:
            for i in own:
                self.totals[i] = self.code.variable(self.reductions[i].wide)
                self.totals[i][0] = _start(self.reductions[i])
            stop = first + PART
            with self.code.loop((stop < n).select(stop, n), first) as index:
                self.indices.append(index)
                self._write_nest(depth + 1)
                self.indices.pop()
            for i in own:
                r = self.reductions[i]
                totals[i][0] = _combine(r, totals[i][0], self.totals[i][0])
        self.totals = totals

    def _point(self, i: int, place: Place) -> Any:
        pairs = [*zip(self.indices, self.steps[i], strict=False)]
        return place.point([index for index, _ in pairs], [step for _, step in pairs])

    def _load(self, i: int) -> Term:
        return self.places[i].load(self._point(i, self.places[i]))

    def _write_body(self) -> None:
        for i, eqn in self.equations.items():
            if i in self.reductions:
                r, total = self.reductions[i], self.totals[i]
                x = convert(self._operand(eqn.args[0], eqn.aval.dtype), r.wide)
                total[0] = _combine(r, total[0], x)
                continue
            self.values[i] = self._write_formula(eqn)
            if i in self.kept:
                self.places[i].store(self._point(i, self.places[i]), self.values[i])

    # --- equations

    def _write_formula(self, eqn: Equation) -> Term:
        function, dtype = eqn.op.function, eqn.aval.dtype
        if function in IDENTITIES:
            return self._operand(eqn.args[0], dtype)
        if function is np.where:
            c, a, b = eqn.args
            chosen, otherwise = (self._operand(x, dtype) for x in (a, b))
            return self._operand(c, np.dtype(bool)).select(chosen, otherwise)
        if element := lowering_of(eqn.op).element:
            return convert(element(*[self._operand(x, dtype) for x in eqn.args]), dtype)
        dtypes = loop_dtypes(eqn, self.program)
        assert dtypes is not None
        operands = [self._operand(x, d) for x, d in zip(eqn.args, dtypes, strict=False)]
        return convert(FORMULAS[function](*operands), dtype)

    def _operand(self, x: Operand, dtype: np.dtype[Any]) -> Term:
        """An operand in the dtype that the op computes in."""
        if not isinstance(x, Var):
            return constant(self.code.builder, x, dtype)
        if x.index not in self.values:
            number = self.program.constants[x.index].item()
            self.values[x.index] = constant(
                self.code.builder, number, self.program.aval(x.index).dtype
            )
        return convert(self.values[x.index], dtype)

    # --- reductions

    def _describe_reduction(self, i: int) -> Reduction:
        eqn, steps = self.equations[i], self.steps[i]
        dtype = eqn.aval.dtype
        wide = np.dtype(float) if eqn.op.reduction_ufunc is np.add and dtype.kind == "f" else dtype
        depth = _depth(steps)
        assert eqn.op.reduction_ufunc is not None
        return Reduction(i, eqn.op.reduction_ufunc, wide, depth, 0 not in steps[:depth])

    def _make_table(self, r: Reduction) -> Place:
        """Where the parts of a result are added up: in the result, if its dtype is wide enough."""
        place = self.places[r.eqn]
        if r.final or r.wide == place.dtype:
            return place
        return self.code.memory(r.wide, place.size)

    def _finish(self, i: int, total: Term) -> None:
        r, table = self.reductions[i], self.tables[i]
        at = self._point(i, table)
        table.store(at, total if r.final else _combine(r, table.load(at), total))

    def _copy_table(self, i: int) -> None:
        with self.code.loop(self.places[i].size) as k:
            self.places[i][k] = self.tables[i][k]


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


def _combine(r: Reduction, total: Term, x: Term) -> Term:
    """One more element, or part, taken in: in any order that LLVM finds best, once and for all."""
    if x.is_float and r.ufunc in (np.add, np.multiply):
        builder = total.builder
        write = builder.fadd if r.ufunc is np.add else builder.fmul
        return Term(builder, write(total.value, x.value, flags=["reassoc"]))
    if x.is_float:
        name = "llvm.maximum" if r.ufunc is np.maximum else "llvm.minimum"
        return total.call(name.removeprefix("llvm."), x)
    return FORMULAS[r.ufunc](total, x)


# --- axes


def _find_steps(place: Place, shape: tuple[int, ...]) -> Steps:
    """How far one goes in an array along each axis of a loop."""
    missing = len(shape) - len(place.shape)
    own = [0 if n == 1 else step for n, step in zip(place.shape, place.layout.strides, strict=True)]
    return (*[0] * missing, *own)


def _find_result_steps(eqn: Equation, shape: tuple[int, ...]) -> Steps:
    """The same in the result of a reduction."""
    rank, axis = len(shape), eqn.options.get("axis")
    every = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {i % rank for i in every}
    full = tuple([1 if i in reduced else n for i, n in enumerate(shape)])
    strides = plain_strides(full)
    return tuple([0 if full[i] == 1 else strides[i] for i in range(rank)])


def _merge_axes(
    shape: tuple[int, ...], steps: dict[int, Steps]
) -> tuple[tuple[int, ...], dict[int, Steps]]:
    """The axes in the order of their steps, and in one where everything goes on evenly."""
    axes = [axis for axis, n in enumerate(shape) if n > 1]
    axes.sort(key=lambda axis: -sum(abs(each[axis]) for each in steps.values()))
    merged: list[tuple[int, list[int]]] = []
    for axis in axes:
        n, own = shape[axis], [each[axis] for each in steps.values()]
        if merged and all(a == b * n for a, b in zip(merged[-1][1], own, strict=True)):
            merged[-1] = merged[-1][0] * n, own
        else:
            merged.append((n, own))
    lengths = tuple([n for n, _ in merged])
    return lengths, {i: tuple([own[k] for _, own in merged]) for k, i in enumerate(steps)}


def _depth(steps: Steps) -> int:
    """How many loops are around a place before it is known."""
    return max([axis + 1 for axis, step in enumerate(steps) if step], default=0)
