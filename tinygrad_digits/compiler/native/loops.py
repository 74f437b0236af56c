"""Loops and choices in machine code: each a kernel that calls the functions of its steps.

    for i in range(100):             step0 reads a table of pointers: to the values that stay, the
        step0(table)                 carry, the rows of arrays that go along, and where to write
        swap carries, next rows

A carry has two places, which change roles after every step. Rows are where they are in the arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..control import SCAN, SWITCH, WHILE, Branches, Loop, Step, While
from ..plan import round_up
from ..program import Aval, Equation, Var
from .code import POINTER, FunctionWriter, Place
from .expressions import constant
from .layouts import Layouts, Strides, plain_strides
from .roles import NotNativeError
from .segment import Kernels, NativeLoop
from .steps import StepCode, Table
from .terms import INT8, INT64


def lower_loop(eqn: Equation, layouts: Layouts, kernels: Kernels) -> NativeLoop:
    """An equation that holds steps as native code; NotNativeError where that cannot be."""
    if eqn.op is SCAN:
        return NativeScan(eqn, layouts, kernels)
    if eqn.op is SWITCH:
        return NativeSwitch(eqn, layouts, kernels)
    if eqn.op is WHILE:
        return NativeWhile(eqn, layouts, kernels)
    raise NotNativeError("it has no native form")


def _lower_step(
    step: Step, strides: Sequence[Strides | None], kernels: Kernels, around: Layouts
) -> StepCode:
    """A step, whose inputs have these strides where they do not lie row by row."""
    program = step.program
    given = {i: own for i, own in zip(program.inputs, strides, strict=True) if own is not None}
    for x in (*program.outputs, *map(Var, program.inputs)):
        aval = program.aval(x.index)
        if aval.form not in ("array", "scalar"):
            raise NotNativeError(f"its step is about a {aval.form}")
    return StepCode(program, kernels, lower_loop, around.own_products, given)


def _find_strides(x: Any, layouts: Layouts) -> Strides | None:
    """An operand's strides, if it does not lie row by row."""
    if not isinstance(x, Var) or layouts.program.aval(x.index).form not in ("array", "scalar"):
        return None
    own = layouts.of(x.index).strides
    return None if own == plain_strides(layouts.program.aval(x.index).shape) else own


class _Carries:
    """The carries of a loop: each has two places, to read and to write, which change roles.

    Args:
        code: the function.
        avals: of the carries.
        start: from which byte of the memory on they have their places.
        memory: the pointer to it.
    """

    def __init__(
        self, code: FunctionWriter, avals: Sequence[Aval], start: int, memory: Any
    ) -> None:
        self.code, self.avals = code, avals
        self._read: list[Any] = []
        self._written: list[Any] = []
        for aval in avals:
            for cells in (self._read, self._written):
                cell = code.pointers()
                code.builder.store(_place(code, aval, memory, start).pointer, cell)
                cells.append(cell)
                start += round_up(aval.nbytes)

    def __getitem__(self, k: int) -> Place:
        """One of them as it is now."""
        pointer = self.code.builder.load(self._read[k], typ=POINTER)
        return Place(self.code, pointer, self.avals[k].shape, self.avals[k].dtype)

    def fill(self, first: Sequence[Any]) -> None:
        """Write the first carries."""
        for k, x in enumerate(first):
            _copy(self.code, x, self[k])

    def tell(self, table: Table, inputs: Sequence[int], outputs: Sequence[int] = ()) -> None:
        """Let a step read the carries, and write the next ones."""
        for values, cells in ((inputs, self._read), (outputs, self._written)):
            for i, cell in zip(values, cells, strict=False):
                table[i] = self.code.builder.load(cell, typ=POINTER)

    def swap(self) -> None:
        """What has been written is to be read."""
        load, store = self.code.builder.load, self.code.builder.store
        for read, written in zip(self._read, self._written, strict=True):
            old, new = load(read, typ=POINTER), load(written, typ=POINTER)
            store(new, read)
            store(old, written)

    def copy_to(self, results: dict[int, Place]) -> None:
        """Write the last carries to where the program wants them."""
        for k, place in results.items():
            if k < len(self.avals):
                _copy(self.code, self[k], place)


def _sum_sizes(avals: Iterable[Aval]) -> int:
    return sum(round_up(aval.nbytes) for aval in avals)


def _place(code: FunctionWriter, aval: Aval, memory: Any, start: int) -> Place:
    return Place(code, _advance(code, memory, start), aval.shape, aval.dtype)


def _advance(code: FunctionWriter, pointer: Any, size: int) -> Any:
    """A pointer so many bytes further on."""
    return code.builder.gep(pointer, [INT64(size)], source_etype=INT8)


def _copy(code: FunctionWriter, x: Any, place: Place) -> None:
    """Write an array, or a number, into a place."""
    if not isinstance(x, Place):
        number = np.asarray(x, place.dtype)
        place[(0,) * len(place.shape)] = constant(code.builder, number.item(), place.dtype)
        return
    with code.loops(place.shape) as at:
        place[at] = x[at]


def _point_at(code: FunctionWriter, x: Any, aval: Aval) -> Any:
    """A pointer to an operand, which may be a number."""
    if isinstance(x, Place):
        return x.pointer
    return code.place_number(x, aval.dtype).pointer


class _OfSteps:
    """What all of them have: the steps' functions, and memory."""

    codes: list[StepCode]

    @property
    def is_ours(self) -> bool:
        return all(code.is_ours for code in self.codes)

    def _describe(self, what: str) -> str:
        lines = [f"    {line}" for code in self.codes for line in code.text.splitlines()]
        return "\n".join([what, *lines])


class NativeScan(_OfSteps):
    """A scan as a loop."""

    def __init__(self, eqn: Equation, layouts: Layouts, kernels: Kernels) -> None:
        self.loop: Loop = eqn.options["loop"]
        strides = [_find_strides(x, layouts) for x in eqn.args]
        consts, carries, xs = self.loop.split(strides)
        rows = [None if own is None else own[1:] for own in xs]
        inside = [*consts, *[None] * len(carries), *rows]
        self.step = _lower_step(self.loop.step, inside, kernels, layouts)
        self.codes = [self.step]
        self.inputs = self.loop.split([*self.step.program.inputs])
        self.outputs = [x.index for x in self.step.program.outputs]

    def _find_avals(self, numbers: Sequence[int]) -> list[Aval]:
        return [self.step.program.aval(i) for i in numbers]

    @property
    def size(self) -> int:
        carries = self._find_avals(self.inputs[1])
        ys = self._find_avals(self.outputs[self.loop.carries :])
        return self.step.size + 2 * _sum_sizes(carries) + _sum_sizes(ys)

    @property
    def text(self) -> str:
        kinds = [",".join(f"v{i}" for i in each) for each in self.inputs]
        return self._describe(f"{self.loop} of ({'; '.join(kinds)})")

    def write(
        self, code: FunctionWriter, operands: list[Any], results: dict[int, Place], memory: Any
    ) -> None:
        loop = self.loop
        consts, first, xs = loop.split(operands)
        table = Table(code, self.step, memory)
        for i, x in zip(self.inputs[0], consts, strict=True):
            table[i] = _point_at(code, x, self.step.program.aval(i))
        avals = self._find_avals(self.inputs[1])
        carries = _Carries(code, avals, self.step.size, memory)
        carries.fill(first)
        rows = [
            (i, x.pointer, x.strides[0] * x.dtype.itemsize)
            for i, x in zip(self.inputs[2], xs, strict=True)
        ]
        rows += self._find_results(code, results, self.step.size + 2 * _sum_sizes(avals), memory)
        moving = [row for row in rows if table.has(row[0])]
        for i, pointer, size in moving:
            last = size * (loop.length - 1) if loop.reverse else 0
            table[i] = _advance(code, pointer, last)
        if loop.length:
            with code.loop(loop.length):
                carries.tell(table, self.inputs[1], self.outputs[: loop.carries])
                table.call()
                carries.swap()
                for i, _, size in moving:
                    table[i] = _advance(code, table[i], -size if loop.reverse else size)
        carries.copy_to(results)

    def _find_results(
        self, code: FunctionWriter, results: dict[int, Place], start: int, memory: Any
    ) -> Iterator[tuple[int, Any, int]]:
        """Of what is stacked where it begins, and how many bytes a step goes on.

        What nobody reads is written to one place.
        """
        for k, y in enumerate(self.outputs[self.loop.carries :], self.loop.carries):
            aval = self.step.program.aval(y)
            if k in results:
                yield y, results[k].pointer, aval.nbytes
            else:
                yield y, _place(code, aval, memory, start).pointer, 0
            start += round_up(aval.nbytes)


class NativeWhile(_OfSteps):
    """A loop that runs while its condition holds, in turns: the condition, then the body."""

    def __init__(self, eqn: Equation, layouts: Layouts, kernels: Kernels) -> None:
        self.loop: While = eqn.options["loop"]
        strides = [_find_strides(x, layouts) for x in eqn.args]
        strides[self.loop.consts :] = [None] * (len(strides) - self.loop.consts)
        self.cond = _lower_step(self.loop.cond, strides, kernels, layouts)
        self.body = _lower_step(self.loop.body, strides, kernels, layouts)
        self.codes = [self.cond, self.body]

    @property
    def _avals(self) -> list[Aval]:
        program = self.body.program
        return [program.aval(i) for i in [*program.inputs][self.loop.consts :]]

    @property
    def size(self) -> int:
        return self.cond.size + self.body.size + 2 * _sum_sizes(self._avals)

    @property
    def text(self) -> str:
        return self._describe(f"{self.loop}, {self.loop.consts} values that stay")

    def write(
        self, code: FunctionWriter, operands: list[Any], results: dict[int, Place], memory: Any
    ) -> None:
        consts = self.loop.consts
        cond = Table(code, self.cond, memory)
        body = Table(code, self.body, _advance(code, memory, self.cond.size))
        carries = _Carries(code, self._avals, self.cond.size + self.body.size, memory)
        carries.fill(operands[consts:])
        for table in (cond, body):
            for i, x in zip(table.step.program.inputs, operands[:consts], strict=False):
                table[i] = _point_at(code, x, table.step.program.aval(i))
        self._write_turns(code, cond, body, carries)
        carries.copy_to(results)

    def _write_turns(
        self, code: FunctionWriter, cond: Table, body: Table, carries: _Carries
    ) -> None:
        """The loop: the number of steps is looked at, then the condition."""
        consts, builder = self.loop.consts, code.builder
        goes_on, steps = code.variable(np.dtype(bool)), code.variable(np.dtype(np.int64))
        cond[self.cond.program.outputs[0].index] = goes_on.pointer
        steps[0] = 0
        head, inside, after = (code.function.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        if self.loop.max_steps is not None:
            checks = code.function.append_basic_block()
            builder.cbranch((steps[0] < self.loop.max_steps).value, checks, after)
            builder.position_at_end(checks)
        carries.tell(cond, [*self.cond.program.inputs][consts:])
        cond.call()
        builder.cbranch(goes_on[0].value, inside, after)
        builder.position_at_end(inside)
        outputs = [x.index for x in self.body.program.outputs]
        carries.tell(body, [*self.body.program.inputs][consts:], outputs)
        body.call()
        carries.swap()
        steps[0] = steps[0] + 1
        builder.branch(head)
        builder.position_at_end(after)


class NativeSwitch(_OfSteps):
    """A choice of branches."""

    def __init__(self, eqn: Equation, layouts: Layouts, kernels: Kernels) -> None:
        self.branches: Branches = eqn.options["branches"]
        strides = [_find_strides(x, layouts) for x in eqn.args[1:]]
        self.codes = [_lower_step(step, strides, kernels, layouts) for step in self.branches.steps]

    @property
    def size(self) -> int:
        return max(
            code.size + _sum_sizes(map(code.program.aval_of, code.program.outputs))
            for code in self.codes
        )

    @property
    def text(self) -> str:
        return self._describe(f"{self.branches}")

    def write(
        self, code: FunctionWriter, operands: list[Any], results: dict[int, Place], memory: Any
    ) -> None:
        builder = code.builder
        which, *operands = operands
        index = which[()].convert(INT64) if isinstance(which, Place) else code.index(int(which))
        after = code.function.append_basic_block()
        blocks = [code.function.append_basic_block() for _ in self.codes]
        choice = builder.switch(index.value, blocks[0])
        for k, (block, branch) in enumerate(zip(blocks, self.codes, strict=True)):
            choice.add_case(INT64(k), block)
            builder.position_at_end(block)
            self._write_branch(code, branch, operands, results, memory)
            builder.branch(after)
        builder.position_at_end(after)

    @staticmethod
    def _write_branch(
        code: FunctionWriter,
        branch: StepCode,
        operands: list[Any],
        results: dict[int, Place],
        memory: Any,
    ) -> None:
        table = Table(code, branch, memory)
        program = branch.program
        for i, x in zip(program.inputs, operands, strict=True):
            if table.has(i):  # which takes memory for a number
                table[i] = _point_at(code, x, program.aval(i))
        start = branch.size
        for k, x in enumerate(program.outputs):
            aval = program.aval(x.index)
            place = results.get(k) or _place(code, aval, memory, start)
            table[x.index] = place.pointer
            start += round_up(aval.nbytes)
        table.call()
