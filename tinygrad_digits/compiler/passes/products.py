"""The pass that makes one product of those of all steps of a scan, for native code.

    h' = h @ w + x @ u  : x @ u does not depend on h: one product before the loop, of all rows of xs
    s' = s + a.T @ b    : the sum of products is the product of all a with all b: after the loop

The gradient of a recurrent network of vectors takes 0.35 to 0.6 of its time so, of 8 rows 0.8; from
16 rows on it makes no difference. Sums have another order then, and so other last bits.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from ..control import SCAN, Loop, Step
from ..numpy_statements import is_view
from ..primitives import ADD, ITEM, MATMUL, RESHAPE, TRANSPOSE
from ..program import END, Aval, Equation, Operand, Program, Var, producer
from .shortening import common_subexpressions, dead_code

FEW = 8
"""Up to how many rows a step's matrices are better multiplied with those of the other steps."""
MOST = 4
"""How many times the memory of what goes along anyway may be taken for what is stacked."""


def multiply_at_once(program: Program) -> Program:
    """The program with products before and after its scans, instead of some in their steps."""
    equations: dict[int, Equation] = {}
    current = replace(program, equations=equations)
    fresh = itertools.count(program.fresh())
    parts: dict[int, _Parts] = {}
    for index, eqn in program.equations.items():
        if eqn.op is SCAN and eqn.options["loop"].length > 1:
            parts[index] = _Parts(eqn, current, fresh)
            equations |= parts[index].before
            equations[index] = parts[index].scan
        elif eqn.op is ITEM and (scan := parts.get(eqn.vars[0])):
            equations |= scan.take(index, eqn)
        else:
            equations[index] = eqn
    return common_subexpressions(current) if parts else program  # it may stack what was stacked


class _Parts:
    """A scan in three parts: products before it, a shorter one, and products after it."""

    def __init__(self, eqn: Equation, program: Program, fresh: Iterator[int]) -> None:
        self.program, self.fresh = program, fresh
        self.before: dict[int, Equation] = {}
        self.scan = self._multiply_before(eqn)
        self.sums = _find_sums(self.loop, {*filter(self._has_rows, self._find_inputs()[2])})
        self.first = self.scan.args[self.loop.consts :]
        self.rows = dict(zip(self._find_inputs()[2], self._find_operands()[2], strict=True))
        self.stacked: dict[int, int] = {}
        """For values of the step that are stacked for products the number of the result."""
        self.matrices: dict[int, tuple[Var, Aval]] = {}
        """They, as matrices of all rows, once they are."""
        self.numbers: dict[int, int] = {}
        """For each result that stays its number now."""
        if self.sums:
            self.scan = self._leave_out_sums()

    @property
    def loop(self) -> Loop:
        loop: Loop = self.scan.options["loop"]
        return loop

    def _find_inputs(self) -> tuple[list[int], list[int], list[int]]:
        return self.loop.split([*self.loop.step.program.inputs])

    def _find_operands(self) -> tuple[list[Operand], list[Operand], list[Operand]]:
        return self.loop.split(self.scan.args)

    def _has_rows(self, i: int) -> bool:
        """Whether what goes along for an input of the step can be seen as a matrix of rows."""
        x = self._find_operands()[2][self._find_inputs()[2].index(i)]
        eqn = producer(x, self.program)
        return isinstance(x, Var) and (eqn is None or not is_view(eqn))

    # --- before

    def _multiply_before(self, eqn: Equation) -> Equation:
        """The scan that is given the products of its rows, which are made before it."""
        self.scan = eqn
        program, (consts, _, xs) = self.loop.step.program, self._find_inputs()
        equations, inputs, args = dict(program.equations), dict(program.inputs), [*eqn.args]
        for i, each in program.equations.items():
            if each.op.function is not np.matmul or not all(isinstance(x, Var) for x in each.args):
                continue
            x, w = each.vars
            fits = x in xs and self._has_rows(x) and w in consts
            if fits and len(program.aval(w).shape) == 2 and self._is_small(each.aval):
                k = xs.index(x) + self.loop.consts + self.loop.carries
                args.append(self._multiply_rows(each, args[k], args[consts.index(w)]))
                inputs[i] = ("product", each.aval)
                del equations[i]
        if len(args) == len(eqn.args):
            return eqn
        step = self.loop.step
        given = [*step.given, *[None] * (len(args) - len(eqn.args))]
        shorter = Step(replace(program, inputs=inputs, equations=equations), given, step.returned)
        return replace(eqn, args=(*args,), options={"loop": self.loop.replace(step=shorter)})

    def _is_small(self, aval: Aval) -> bool:
        limit = MOST * _count_bytes(self.loop, self._find_inputs()[2])
        return prod(aval.shape[:-1]) <= FEW and aval.nbytes <= limit

    def _multiply_rows(self, eqn: Equation, xs: Operand, w: Operand) -> Var:
        length, made = self.loop.length, self.before
        rows = _add_rows(xs, self._find_aval(xs), made, self.fresh)
        whole = Aval((length * prod(eqn.aval.shape[:-1]), eqn.aval.shape[-1]), eqn.aval.dtype)
        product, stacked = next(self.fresh), next(self.fresh)
        made[product] = Equation(MATMUL, (rows, w), {}, whole, eqn.errors)
        made[stacked] = _reshape(Var(product), replace(whole, shape=(length, *eqn.aval.shape)))
        return Var(stacked)

    def _find_aval(self, x: Operand) -> Aval:
        return self.program.aval(x.index)

    # --- after

    def _leave_out_sums(self) -> Equation:
        """The scan that stacks factors and does not add up their products."""
        loop, program = self.loop, self.loop.step.program
        kept = [k for k in range(len(self.scan.args)) if k - loop.consts not in self.sums]
        left = [k for k in range(len(program.outputs)) if k not in self.sums]
        step = loop.step.select(kept, left)
        outputs, returned = [*step.program.outputs], [*step.returned]
        self.numbers = {k: at for at, k in enumerate(left)}
        known = {x.index: at for at, x in enumerate(outputs) if isinstance(x, Var)}
        for i in dict.fromkeys(itertools.chain(*self.sums.values())):
            if known.get(i, -1) >= loop.carries - len(self.sums):
                self.stacked[i] = known[i]
            elif i not in self.rows:
                self.stacked[i] = len(outputs)
                outputs.append(Var(i))
                returned.append(np.zeros(program.aval(i).shape, program.aval(i).dtype))
        shorter = Step(dead_code(replace(step.program, outputs=outputs)), step.given, returned)
        carries = loop.carries - len(self.sums)
        held = loop.replace(step=shorter, carries=carries, residuals=0)
        args = tuple([self.scan.args[k] for k in kept])
        return replace(self.scan, args=args, options={"loop": held})

    def take(self, index: int, eqn: Equation) -> dict[int, Equation]:
        """One of the results of the scan, which may have to be made of what is stacked."""
        scan, k = eqn.args
        if k not in self.sums:
            return {index: replace(eqn, args=(scan, self.numbers.get(k, k)))}
        made: dict[int, Equation] = {}
        (a, aval), (b, _) = [self._take_rows(i, scan, made) for i in self.sums[k]]
        turned, product = next(self.fresh), next(self.fresh)
        made[turned] = Equation(TRANSPOSE, (a,), {}, replace(aval, shape=aval.shape[::-1]))
        whole = Equation(MATMUL, (Var(turned), b), {}, eqn.aval, self.scan.errors)
        if self._is_zero(self.first[k]):
            return made | {index: whole}
        total = replace(whole, op=ADD, args=(self.first[k], Var(product)))
        return made | {product: whole, index: total}

    def _is_zero(self, x: Operand) -> bool:
        constant = self.program.constant_of(x)
        return constant is not None and not constant.any()

    def _take_rows(self, i: int, scan: Var, made: dict[int, Equation]) -> tuple[Var, Aval]:
        """A value of all steps, as one matrix; the same for all products that it is part of."""
        if i not in self.matrices:
            x = self.rows.get(i)
            if x is None:
                one = self.loop.step.program.aval(i)
                aval = Aval((self.loop.length, *one.shape), one.dtype)
                x = Var(next(self.fresh))
                made[x.index] = Equation(ITEM, (scan, self.stacked[i]), {}, aval)
            else:
                aval = self._find_aval(x)
            rows = _add_rows(x, aval, made, self.fresh)
            self.matrices[i] = rows, made[rows.index].aval
        return self.matrices[i]


def _add_rows(x: Operand, aval: Aval, made: dict[int, Equation], fresh: Iterator[int]) -> Var:
    """An array as a matrix of all its rows."""
    rows = next(fresh)
    shape = (prod(aval.shape[:-1]), aval.shape[-1])
    made[rows] = _reshape(x, Aval(shape, aval.dtype))
    return Var(rows)


def _reshape(x: Operand, aval: Aval) -> Equation:
    return Equation(RESHAPE, (x,), {"shape": aval.shape}, aval)


# --- sums of products in a step


class _Factors(NamedTuple):
    """Values of a step, with a product a.T @ b of their rows."""

    a: int
    b: int


def _find_sums(loop: Loop, along: set[int]) -> dict[int, _Factors]:
    """The carries that add up products of others, if it pays to do that after the loop."""
    program, users = loop.step.program, loop.step.program.uses()
    consts, carries, xs = loop.split([*program.inputs])
    never = {*consts, *xs} - along
    found: dict[int, _Factors] = {}
    for k, (c, y) in enumerate(zip(carries, program.outputs, strict=False)):
        eqn = producer(y, program)
        if eqn is None or eqn.op.function is not np.add or users.get(c) != [y.index]:
            continue
        (term,) = [x for x in eqn.args if x != Var(c)] or [None]
        factors = _find_factors(term, program) if users[y.index] == [END] else None
        alike = factors and program.aval(term.index) == eqn.aval == program.aval(c)
        if factors and alike and not never & {*factors}:
            found[k] = factors
    stacked = {*itertools.chain(*found.values())} - {*xs}
    summed = sum(program.aval(carries[k]).nbytes for k in found)
    limit = min(2 * summed, MOST * _count_bytes(loop, xs))
    return found if sum(program.aval(i).nbytes for i in stacked) <= limit else {}


def _count_bytes(loop: Loop, values: list[int]) -> int:
    return sum(loop.step.program.aval(i).nbytes for i in values)


def _find_factors(x: Operand, program: Program) -> _Factors | None:
    """What a value is the product of, if it is one of transposed rows, or of two vectors."""
    eqn = producer(x, program)
    if eqn is None or not all(isinstance(each, Var) for each in eqn.args):
        return None
    a, b = eqn.vars if len(eqn.vars) == 2 else (-1, -1)
    turned = producer(Var(a), program)
    if eqn.op.function is np.matmul and turned is not None and len(program.aval(b).shape) == 2:
        flat = len(turned.aval.shape) == 2 and turned.options.get("axes") is None
        fits = flat and turned.op.function is np.transpose and program.aval(b).shape[0] <= FEW
        return _Factors(turned.vars[0], b) if fits else None
    if eqn.op.function is not np.multiply:
        return None
    column, row = _find_vector(a, 0, program), _find_vector(b, 1, program)
    return _Factors(column, row) if column >= 0 and row >= 0 else None


def _find_vector(i: int, axis: int, program: Program) -> int:
    """The vector that a value is, as a column (axis 0) or a row of a matrix; -1 if it is none."""
    shape, eqn = program.aval(i).shape, program.equations.get(i)
    if len(shape) == 1 and axis == 1:
        return i
    if eqn is None or len(shape) != 2 or shape[1 - axis] != 1:
        return -1
    index = eqn.options.get("index", ())
    parts = index if isinstance(index, tuple) else (index,)
    whole = all(part in (None, Ellipsis, slice(None)) for part in parts)
    known = whole and eqn.op.function in (operator.getitem, np.reshape, np.expand_dims)
    return eqn.vars[0] if known and len(program.aval(eqn.vars[0]).shape) == 1 else -1
