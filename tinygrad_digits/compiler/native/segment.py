"""Consecutive native blocks: one function that Python calls with one tuple.

Each block is a kernel, a function of pointers; blocks alike share one. The function of a segment
reads where the arrays of the tuple have their elements, and calls kernel after kernel.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np
from llvmlite import ir

from ..plan import Plan
from ..primitives import PACK
from ..program import Program, Var
from . import host
from .axes import PARTS, Axes, count_words, find_axes
from .code import POINTER, FunctionWriter, Place
from .fusion import Block, Role, find_stored, fuse, reorder
from .layouts import MemoryLayout, Strides
from .nests import Nest
from .notation import Notation
from .roles import Roles
from .standalone import write_block
from .terms import INT8, INT64, Term

NOT_PLAIN = -1
"""What a segment returns if an array is not as native code can read it."""


class NativeLoop(Protocol):
    """A loop or a choice of steps, as a block of its own (`loops`)."""

    @property
    def size(self) -> int:
        """Bytes that it needs for itself."""

    @property
    def is_ours(self) -> bool:
        """Whether its text says all."""

    @property
    def text(self) -> str:
        """It, in writing."""

    def write(
        self, code: FunctionWriter, operands: list[Any], results: dict[int, Place], memory: Any
    ) -> None:
        """Write it: operands and results are in memory, or numbers."""


class NativeProgram:
    """A program in blocks, of which segments are made: a whole one, or the step of a loop.

    Args:
        program: the equations, which are put in the order in which they run.
        kernels: those that there are; its own are added.
        lower_loop: makes native code of an equation that holds steps.
        own_products: see `Layouts`.
        strides: of the inputs that do not lie row by row.
    """

    names: dict[int, str]
    plan: Plan
    scratch_start: int
    """Where in the arena kernels have room for themselves, `scratch_size` bytes."""

    def __init__(
        self,
        program: Program,
        kernels: Kernels,
        lower_loop: Callable[..., NativeLoop],
        own_products: bool = False,
        strides: Mapping[int, Strides] | None = None,
    ) -> None:
        roles = Roles(program, functools.partial(lower_loop, kernels=kernels), own_products)
        given = (strides or {}).items()
        roles.layouts.views |= {i: MemoryLayout(i, 0, own) for i, own in given}
        self.role = {i: roles(i, eqn) for i, eqn in program.equations.items()}
        self.blocks = fuse(program, self.role)
        self.kept = find_stored(program, self.blocks)
        self.program, self.steps = reorder(program, self.blocks)
        self.layouts, self.reasons, self.loops = roles.layouts, roles.reasons, roles.loops
        self.kernels, self.scratch_size = kernels, 0


@dataclass(frozen=True)
class Kernel:
    """A function of pointers that runs a block; if it is in parts, some of them."""

    name: str
    emitter: NativeProgram
    block: Block
    parameters: int
    places: dict[int, tuple[int, Strides]]
    """For each value in memory the parameter that points to it, and its steps from there."""
    axes: Axes | None
    notation: Notation

    @property
    def in_parts(self) -> bool:
        return self.axes is not None and self.axes.in_parts

    @property
    def loop(self) -> NativeLoop | None:
        """The loop of steps that it is."""
        return self.emitter.loops.get(self.block.equations[0])

    @property
    def has_memory(self) -> bool:
        """Whether it is told of memory for itself."""
        return self.in_parts or self.loop is not None

    @property
    def sums(self) -> str:
        """The function that adds up what the parts have found; empty if there is none."""
        return f"{self.name}_sums" if self.axes and self.axes.across else ""

    @property
    def size(self) -> int:
        """Bytes that it needs for itself: a loop's, or for what the parts find."""
        if self.loop is not None:
            return self.loop.size
        across = self.axes.across if self.axes else ()
        return 8 * PARTS * sum(count_words(self.emitter.program.aval(i)) for i in across)

    def write(self, module: ir.Module) -> None:
        """Write the function."""
        emitter = self.emitter
        code = FunctionWriter(
            module, self.name, self.parameters + self.has_memory, 2 * self.in_parts
        )
        places = self._find_places(code)
        if self.loop is not None:
            self._write_loop(self.loop, code, places)
        elif self.axes is None:
            (index,) = self.block.equations
            write_block(index, emitter.program.equations[index], places, code)
        elif not self.in_parts:
            Nest(self.block, self.axes, emitter, places, code).write()
        else:
            *_, scratch, first, last = code.function.args
            bounds = Term(code.builder, first), Term(code.builder, last)
            nest = Nest(self.block, self.axes, emitter, places, code)
            nest.write_parts(Place(code, scratch, (1,), np.dtype(float)), *bounds)
        code.close()
        if self.sums:
            self._write_sums(module)

    def _write_loop(self, loop: NativeLoop, code: FunctionWriter, places: dict[int, Place]) -> None:
        program = self.emitter.program
        first, *items = self.block.equations
        operands = [
            places[x.index] if isinstance(x, Var) else x for x in program.equations[first].args
        ]
        results = {program.equations[i].args[1]: places[i] for i in items if i in places}
        loop.write(code, operands, results, code.function.args[-1])

    def _write_sums(self, module: ir.Module) -> None:
        assert self.axes is not None
        code = FunctionWriter(module, self.sums, self.parameters + 1)
        partials = Place(code, code.function.args[-1], (1,), np.dtype(float))
        places = self._find_places(code)
        Nest(self.block, self.axes, self.emitter, places, code).write_sums(partials)
        code.close()

    def _find_places(self, code: FunctionWriter) -> dict[int, Place]:
        emitter = self.emitter
        places = {}
        for i, (parameter, strides) in self.places.items():
            aval = emitter.program.aval(i)
            pointer = code.function.args[parameter]
            places[i] = Place(code, pointer, aval.shape, aval.dtype, strides)
        if self.axes is None:
            self._add_own_places(code, places)
        return places

    def _add_own_places(self, code: FunctionWriter, places: dict[int, Place]) -> None:
        """Places in the function itself: for literals, and results that nobody reads."""
        program = self.emitter.program
        for i in {var for k in self.block.equations for var in program.equations[k].vars}:
            if i in program.constants and i not in places:
                places[i] = code.place_number(program.constants[i].item(), program.aval(i).dtype)
        if self.loop is not None:
            return
        for i in self.block.equations:
            if i not in places:
                aval = program.aval(i)
                memory = code.memory(aval.dtype, prod(aval.shape))
                places[i] = Place(code, memory.pointer, aval.shape, aval.dtype)


class Kernels(dict[str, Kernel]):
    """The kernels of a program and of its steps, by what they do."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()

    def name_step(self) -> str:
        """A name for the function of one more step."""
        return f"step{next(self._numbers)}"


class Call(NamedTuple):
    """The call of a kernel: for each parameter a thing of the tuple, and bytes from its start."""

    kernel: Kernel
    arguments: tuple[tuple[int, int], ...]


@dataclass
class NativeSegment:
    """One native function, and the names of what goes into its tuple."""

    name: str
    emitter: NativeProgram
    is_split: bool = False
    """Whether it is one kernel, some parts of which are run in a call."""
    things: list[str] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """Which of the things are numbers."""
    doubtful: set[int] = field(default_factory=set)
    """Which are arrays that somebody else has made."""
    results: list[int] = field(default_factory=list)
    """The values that are in memory of their own, which has to be there."""
    calls: list[Call] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """One more block."""
        emitter = self.emitter
        if emitter.program.equations[block.equations[0]].op is PACK:
            return  # what is packed is computed where it belongs
        read = [i for k in block.equations for i in emitter.program.equations[k].vars]
        stored = [i for i in block.equations if i in emitter.kept]
        inside = {*block.equations}
        arguments: dict[tuple[int, int], int] = {}
        places = {}
        for i in dict.fromkeys([*[i for i in read if i not in inside], *stored]):
            if not self._is_literal(i):
                root, offset, strides = emitter.layouts.of(i)
                slot, start = self._locate(root)
                at = slot, start + offset * emitter.program.aval(i).dtype.itemsize
                places[i] = arguments.setdefault(at, len(arguments)), strides
        self.results += [
            i for i in stored if i not in emitter.plan.places and i not in emitter.plan.in_place
        ]
        kernel = self._find_kernel(block, len(arguments), places)
        if kernel.has_memory:
            arguments[self._number("arena"), emitter.scratch_start] = len(arguments)
            emitter.scratch_size = max(emitter.scratch_size, kernel.size)
        self.calls.append(Call(kernel, tuple(arguments)))

    def _find_kernel(
        self, block: Block, parameters: int, places: dict[int, tuple[int, Strides]]
    ) -> Kernel:
        """The kernel of a block: the one that is there already, if it is the same."""
        emitter, axes = self.emitter, None
        if block.shape is not None:
            strides = {i: own for i, (_, own) in places.items()}
            axes = find_axes(block, emitter.program, emitter.role, strides)
        in_parts = axes is not None and axes.in_parts
        loop = emitter.loops.get(block.equations[0])
        notation = Notation(block, emitter.program, places, in_parts, loop)
        name = f"kernel{len(emitter.kernels)}"
        kernel = Kernel(name, emitter, block, parameters, places, axes, notation)
        return emitter.kernels.setdefault(notation.text, kernel)

    def _is_literal(self, i: int) -> bool:
        constant = self.emitter.program.constants.get(i)
        return constant is not None and constant.ndim == 0

    def _locate(self, root: int) -> tuple[int, int]:
        """Of a value which thing it is in, and from which byte."""
        emitter = self.emitter
        if root in emitter.plan.places:
            return self._number("arena"), emitter.plan.places[root].start
        slot = self._number(emitter.names[root])
        if emitter.program.aval(root).form != "array":
            self.numbers.add(slot)
        elif root in emitter.program.inputs or emitter.role.get(root) is Role.NUMPY:
            self.doubtful.add(slot)
        return slot, 0

    def _number(self, name: str) -> int:
        if name not in self.things:
            self.things.append(name)
        return self.things.index(name)

    @property
    def text(self) -> str:
        """The function in writing."""
        words = [
            f"{kernel.name}({', '.join(self._write_argument(*each) for each in arguments)})"
            for kernel, arguments in self.calls
        ]
        what = "for threads to share" * self.is_split
        things = ", ".join(map(self._write_thing, range(len(self.things))))
        return "\n    ".join([f"{self.name}({things}): {what}".rstrip(), *words])

    def _write_thing(self, slot: int) -> str:
        """A thing by name, and what is read of it: the number that it is, or flags first."""
        name = self.things[slot]
        return (
            f"number {name}" if slot in self.numbers else f"{name}{'?' * (slot in self.doubtful)}"
        )

    def _write_argument(self, slot: int, offset: int) -> str:
        return f"{self.things[slot]} + {offset}" if offset else self.things[slot]

    # --- machine code

    def write(self, module: ir.Module) -> None:
        """Write the function as Python calls it; where objects are not known, of pointers."""
        if not host.has_known_layout():
            self.write_run(module, self.name)
            return
        run = self.write_run(module, f"{self.name}_run")
        run.linkage = "internal"
        function = ir.Function(module, self._signature, self.name)
        builder = ir.IRBuilder(function.append_basic_block())
        things, *bounds = function.args
        pointers = builder.alloca(POINTER, INT64(len(self.things)))
        for slot in range(len(self.things)):
            place = builder.gep(pointers, [INT64(slot)], source_etype=POINTER)
            builder.store(self._write_unpacking(builder, things, slot), place)
        builder.ret(builder.call(run, [pointers, *bounds]))

    @property
    def _signature(self) -> ir.FunctionType:
        return ir.FunctionType(INT64, [POINTER, *[INT64] * (2 * self.is_split)])

    def _write_unpacking(self, builder: ir.IRBuilder, things: Any, slot: int) -> Any:
        """Where the elements of a thing are, or the number is."""
        thing = _load(builder, things, host.ITEMS + slot * host.WORD)
        if slot in self.numbers:
            return builder.gep(thing, [INT64(host.DATA)], source_etype=INT8)
        if slot in self.doubtful:
            flags = _load(builder, thing, host.FLAGS, ir.IntType(32))
            plain = builder.and_(flags, flags.type(host.PLAIN))
            odd = builder.icmp_unsigned("!=", plain, flags.type(host.PLAIN))
            with builder.if_then(odd, likely=False):
                builder.ret(INT64(NOT_PLAIN))
        return _load(builder, thing, host.DATA)

    def write_run(self, module: ir.Module, name: str) -> ir.Function:
        """The function of a table of pointers to elements."""
        function = ir.Function(module, self._signature, name)
        builder = ir.IRBuilder(function.append_basic_block())
        things, *bounds = function.args
        starts = [_load(builder, things, slot * host.WORD) for slot in range(len(self.things))]
        for kernel, arguments in self.calls:
            pointers = [
                builder.gep(starts[slot], [INT64(offset)], source_etype=INT8)
                for slot, offset in arguments
            ]
            self._write_call(builder, kernel, pointers, bounds)
        builder.ret(INT64(0))
        return function

    def _write_call(
        self, builder: ir.IRBuilder, kernel: Kernel, pointers: list[Any], bounds: list[Any]
    ) -> None:
        """The call of a kernel: all parts of it, or those that are asked for, none for the sums."""
        routine = builder.module.globals[kernel.name]
        if bounds:
            with builder.if_then(builder.icmp_signed("<", *bounds)):
                builder.call(routine, [*pointers, *bounds])
                builder.ret(INT64(0))
        elif kernel.in_parts:
            builder.call(routine, [*pointers, INT64(0), INT64(PARTS)])
        else:
            code = builder.call(routine, pointers)
            if routine.may_fail:
                with builder.if_then(builder.icmp_signed("!=", code, INT64(0)), likely=False):
                    builder.ret(code)
        if kernel.sums:
            builder.call(builder.module.globals[kernel.sums], pointers)


def _load(builder: ir.IRBuilder, start: Any, offset: int, kind: Any = POINTER) -> Any:
    return builder.load(builder.gep(start, [INT64(offset)], source_etype=INT8), typ=kind)
