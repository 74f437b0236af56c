"""Loops: the equations of a fused block, as native code.

    for i0 in range(32):
        x9 = ...                          what depends on the outer indices alone
        for i1 in range(64):
            x8 = v8[i0, i1]               loads
            t10 = x8 + x9                 equations
            v10[i0, i1] = t10             what others read
            s11 = s11 + t10               reductions

Sums of float32 are added up in float64, sums of float64 along a long axis in blocks of 512, so
that the error does not grow with the length.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..staging.lowering import lowering_of
from .fusion import Block, Role
from .native_expressions import NATIVE_DTYPES, SYMBOLS, Names, number
from .program import Equation, Operand, Var
from .roles import IDENTITIES, loop_dtypes

BLOCK = 512
"""Elements that are added up before their sum is added to the others."""

ADDING = {np.add: "+=", np.multiply: "*="}
"""Reductions that have an in-place operator."""


Loads: TypeAlias = dict[int, list[str]]
"""For each depth of a nest of loops the reads of values that are made elsewhere."""


class Reduction(NamedTuple):
    """An equation that reduces its operand over some axes of the loop."""

    eqn: int
    ufunc: np.ufunc
    axes: tuple[int, ...]
    rank: int
    keepdims: bool

    @property
    def trailing(self) -> bool:
        """Whether the reduced axes are the last ones, so that a variable will do."""
        return self.axes == (*range(self.rank - len(self.axes), self.rank),)

    @property
    def depth(self) -> int:
        """How many loops are around a trailing reduction."""
        return self.rank - len(self.axes)


def write_loop(block: Block, roles: dict[int, Role], names: Names, kept: set[int]) -> list[str]:
    """The source of a block's loop."""
    return _Loop(block, roles, names, kept).source()


class _Loop:
    """A loop under construction."""

    def __init__(self, block: Block, roles: dict[int, Role], names: Names, kept: set[int]) -> None:
        assert block.shape is not None
        self.names, self.kept = names, kept
        self.flat: dict[int, str] = {}  # arrays that are read with one index
        self.equations = {i: names.program.equations[i] for i in block.equations}
        self.reductions = [
            _describe_reduction(i, eqn, block.shape)
            for i, eqn in self.equations.items()
            if roles[i] is Role.REDUCING
        ]
        self.shape, self.is_flat = block.shape, False
        if len(block.shape) > 1 and self._can_be_flat():
            self.shape, self.is_flat = (prod(block.shape),), True
            self.reductions = [r._replace(axes=(0,), rank=1) for r in self.reductions]
        self.rank = len(self.shape)

    def _can_be_flat(self) -> bool:
        """Whether one index will do: all arrays are whole and in plain order, all sums total."""
        if any(len(r.axes) < r.rank for r in self.reductions):
            return False
        touched = {i for eqn in self.equations.values() for i in eqn.vars} | {*self.equations}
        return all(
            self.names.program.aval(i).shape in ((), self.shape)
            and (i in self.equations or self.names.layouts.of(Var(i)) == "C")
            for i in touched
        )

    # --- the pieces

    def source(self) -> list[str]:
        """The loops, from the outermost in."""
        loads = self._write_loads()
        out: list[str] = []
        for r in self.reductions:
            if not r.trailing:
                out += self._write_table(r)
        self._write_nest(0, "", loads, out)
        out = [f"w{i} = {flat}" for i, flat in self.flat.items()] + out
        for r in self.reductions:
            if not r.trailing:
                out += self._store_table(r)
        return out

    def _write_nest(
        self, depth: int, indent: str, loads: dict[int, list[str]], out: list[str]
    ) -> None:
        out += [indent + load for load in loads.get(depth, [])]
        own = [r for r in self.reductions if r.trailing and r.depth == depth]
        out += [f"{indent}s{r.eqn} = {self._write_start(r)}" for r in own]
        if depth == self.rank:
            out += [indent + statement for statement in self._write_body()]
        else:
            self._write_over(depth, indent, loads, out)
        out += [f"{indent}{self._write_target(r)} = {self._cast_name(r)}(s{r.eqn})" for r in own]

    def _write_over(
        self, depth: int, indent: str, loads: dict[int, list[str]], out: list[str]
    ) -> None:
        """The loop over an axis; the last one in blocks if it adds up much."""
        n, inner = self.shape[depth], f"{indent}    "
        partial = self._find_partial() if depth == self.rank - 1 else []
        if not partial:
            out.append(f"{indent}for i{depth} in range({n}):")
            return self._write_nest(depth + 1, inner, loads, out)
        out += [f"{indent}for first in range(0, {n}, {BLOCK}):"]
        out += [f"{inner}p{r.eqn} = {self._write_start(r)}" for r in partial]
        out += [f"{inner}for i{depth} in range(first, min(first + {BLOCK}, {n})):"]
        self._write_nest(depth + 1, f"{inner}    ", loads, out)
        out += [f"{inner}s{r.eqn} += p{r.eqn}" for r in partial]
        return None

    def _find_partial(self) -> list[Reduction]:
        """The sums that have to be added up in blocks."""
        return [
            r
            for r in self.reductions
            if r.trailing and r.ufunc is np.add and prod(self.shape[r.depth :]) > BLOCK
        ]

    def _write_loads(self) -> Loads:
        """For each depth the reads of values that are made elsewhere."""
        loads: Loads = {}
        for i in dict.fromkeys(i for eqn in self.equations.values() for i in self._find_reads(eqn)):
            if i not in self.equations:
                position, depth = self._find_position(self.names.program.aval(i).shape)
                loads.setdefault(depth, []).append(f"t{i} = {self._write_element(i, position)}")
        return loads

    def _find_reads(self, eqn: Equation) -> list[int]:
        return [x.index for x in eqn.args if isinstance(x, Var)]

    def _write_element(self, i: int, position: str) -> str:
        if self.is_flat and self.names.program.aval(i).shape:
            self.flat[i] = self.names.flat(Var(i))
            return f"w{i}[{position}]"
        return self.names.element(i, position)

    def _find_position(self, shape: tuple[int, ...]) -> tuple[str, int]:
        """Where a value of this shape is read or written, and in how many loops that is known."""
        if self.is_flat:
            return "i0", 1 if shape else 0
        offset = self.rank - len(shape)
        used = [
            None if n == 1 and self.shape[offset + axis] != 1 else offset + axis
            for axis, n in enumerate(shape)
        ]
        position = ", ".join("0" if axis is None else f"i{axis}" for axis in used)
        return position, max([axis + 1 for axis in used if axis is not None], default=0)

    def _write_body(self) -> list[str]:
        out = []
        reduced = {r.eqn: r for r in self.reductions}
        for i, eqn in self.equations.items():
            if i in reduced:
                out.append(self._accumulate(reduced[i], f"t{eqn.vars[-1]}"))
                continue
            out.append(f"t{i} = {self._write_expression(eqn)}")
            if i in self.kept:
                position, _ = self._find_position(eqn.aval.shape)
                out.append(f"{self._write_element(i, position)} = t{i}")
        return out

    # --- equations

    def _write_expression(self, eqn: Equation) -> str:
        function, result = eqn.op.function, NATIVE_DTYPES[eqn.aval.dtype]
        if function in IDENTITIES:
            return self._write_operand(eqn.args[0], eqn.aval.dtype)
        if function is np.where:
            c, a, b = eqn.args
            chosen = [self._write_operand(x, eqn.aval.dtype) for x in (a, b)]
            return f"{chosen[0]} if {self._write_operand(c, np.dtype(bool))} else {chosen[1]}"
        if element := lowering_of(eqn.op).element:
            each = [self._write_operand(x, eqn.aval.dtype) for x in eqn.args]
            return f"{result}({element.format(*each)})"
        dtypes = loop_dtypes(eqn, self.names.program)
        assert dtypes is not None
        operands = [self._write_operand(x, d) for x, d in zip(eqn.args, dtypes, strict=False)]
        return f"{result}({SYMBOLS[function].format(*operands)})"

    def _write_operand(self, x: Operand, dtype: np.dtype[Any]) -> str:
        """An operand in the dtype that the op computes in."""
        name = NATIVE_DTYPES[dtype]
        if not isinstance(x, Var):
            return number(x, dtype)
        aval = self.names.program.aval(x.index)
        if aval.dtype == dtype and aval.form != "number":
            return f"t{x.index}"
        return f"(t{x.index} != 0)" if dtype.kind == "b" else f"{name}(t{x.index})"

    # --- reductions

    def _wide_dtype(self, r: Reduction) -> np.dtype[Any]:
        """The dtype in which a reduction adds up."""
        dtype = self.names.program.equations[r.eqn].aval.dtype
        return np.dtype(float) if r.ufunc is np.add and dtype.kind == "f" else dtype

    def _cast_name(self, r: Reduction) -> str:
        dtype: np.dtype[Any] = self.names.program.equations[r.eqn].aval.dtype
        return NATIVE_DTYPES[dtype]

    def _write_start(self, r: Reduction) -> str:
        """What a reduction of nothing is."""
        dtype = self._wide_dtype(r)
        name = NATIVE_DTYPES[dtype]
        if r.ufunc in ADDING:
            return f"{name}({0 if r.ufunc is np.add else 1})"
        low = r.ufunc is np.maximum
        if dtype.kind == "f":
            return f"{name}({'-' if low else ''}np.inf)"
        if dtype.kind == "b":
            return f"{name}({not low})"
        return f"{name}({np.iinfo(dtype).min if low else np.iinfo(dtype).max})"

    def _accumulate(self, r: Reduction, x: str) -> str:
        """The statement that takes one more element in."""
        total = f"s{r.eqn}"
        if not r.trailing:
            kept = [f"i{axis}" for axis in range(self.rank) if axis not in r.axes]
            total = f"s{r.eqn}[{', '.join(kept)}]"
        elif r in self._find_partial():
            total = f"p{r.eqn}"
        x = f"{NATIVE_DTYPES[self._wide_dtype(r)]}({x})"
        if r.ufunc in ADDING:
            return f"{total} {ADDING[r.ufunc]} {x}"
        sign = ">=" if r.ufunc is np.maximum else "<="
        return f"{total} = {total} if {total} {sign} {x} or {total} != {total} else {x}"

    def _write_target(self, r: Reduction) -> str:
        """Where the result of a trailing reduction goes."""
        shape = self.names.program.equations[r.eqn].aval.shape
        kept = [f"i{axis}" for axis in range(r.depth)]
        position = ", ".join(kept + ["0"] * (len(shape) - len(kept)))
        return self.names.element(r.eqn, position)

    def _write_table(self, r: Reduction) -> list[str]:
        """One variable for each element of the result."""
        kept = tuple(n for axis, n in enumerate(self.shape) if axis not in r.axes)
        dtype = NATIVE_DTYPES[self._wide_dtype(r)]
        return [f"s{r.eqn} = np.full({kept}, {self._write_start(r)}, {dtype})"]

    def _store_table(self, r: Reduction) -> list[str]:
        """The table into the result."""
        size = prod(self.names.program.equations[r.eqn].aval.shape)
        return [
            f"target, source = {self.names.flat(Var(r.eqn))}, s{r.eqn}.reshape({size})",
            f"for k in range({size}):",
            f"    target[k] = {self._cast_name(r)}(source[k])",
        ]


def _describe_reduction(index: int, eqn: Equation, shape: tuple[int, ...]) -> Reduction:
    axis, keepdims = eqn.options.get("axis"), bool(eqn.options.get("keepdims"))
    rank = len(shape)
    every = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted({i % rank for i in every}))
    assert eqn.op.reduction_ufunc is not None
    return Reduction(index, eqn.op.reduction_ufunc, axes, rank, keepdims)
