"""Consecutive native blocks: one function that Python calls with one tuple.

Each block is a kernel, a function of pointers; blocks alike share one. The function of a segment
reads where the arrays of the tuple have their elements, and calls kernel after kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, Protocol

from llvmlite import ir

from ..plan import Plan
from ..program import Program
from . import host
from .code import POINTER, FunctionWriter, Place
from .fusion import Block, Role
from .layouts import Layouts, MemoryLayout
from .nests import Nest
from .notation import Notation
from .standalone import write_block
from .terms import INT8, INT64

NOT_PLAIN = -1
"""What a segment returns if an array is not as native code can read it."""


class Emitted(Protocol):
    """What a segment has to know of the program that it is part of."""

    program: Program
    names: dict[int, str]
    plan: Plan
    layouts: Layouts
    role: dict[int, Role]
    kept: set[int]
    kernels: dict[str, Kernel]


@dataclass(frozen=True)
class Kernel:
    """A function of pointers that runs a block."""

    name: str
    block: Block
    parameters: int
    places: dict[int, tuple[int, MemoryLayout]]
    """For each value in memory the parameter that points to it, and its layout from there."""
    notation: Notation

    def write(self, module: ir.Module, emitter: Emitted) -> None:
        """Write the function."""
        code = FunctionWriter(module, self.name, self.parameters)
        places = {}
        for i, (parameter, layout) in self.places.items():
            aval = emitter.program.aval(i)
            pointer = code.function.args[parameter]
            places[i] = Place(code, pointer, aval.shape, aval.dtype, layout)
        if self.block.shape is not None:
            Nest(self.block, emitter.program, emitter.role, emitter.kept, places, code).write()
        else:
            (index,) = self.block.equations
            eqn = emitter.program.equations[index]
            if index not in places:  # nobody reads what comes out
                places[index] = code.memory(eqn.aval.dtype, prod(eqn.aval.shape))
            write_block(index, eqn, places, code)
        code.close()


class Call(NamedTuple):
    """The call of a kernel: for each parameter a thing of the tuple, and bytes from its start."""

    kernel: Kernel
    arguments: tuple[tuple[int, int], ...]


@dataclass
class NativeSegment:
    """One native function, and the names of what goes into its tuple."""

    name: str
    emitter: Emitted
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
        read = [i for k in block.equations for i in emitter.program.equations[k].vars]
        stored = [i for i in block.equations if i in emitter.kept]
        inside = {*block.equations}
        arguments: dict[tuple[int, int], int] = {}
        places = {}
        for i in dict.fromkeys([*[i for i in read if i not in inside], *stored]):
            if not self._is_literal(i):
                layout = emitter.layouts.of(i)
                at = self._locate(layout.root)
                places[i] = arguments.setdefault(at, len(arguments)), layout
        self.results += [
            i for i in stored if i not in emitter.plan.places and i not in emitter.plan.in_place
        ]
        notation = Notation(block, emitter.program, places)
        name = f"kernel{len(emitter.kernels)}"
        kernel = Kernel(name, block, len(arguments), places, notation)
        kernel = emitter.kernels.setdefault(notation.text, kernel)
        self.calls.append(Call(kernel, tuple(arguments)))

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
        return "\n    ".join([f"{self.name}({', '.join(self.things)}):", *words])

    def _write_argument(self, slot: int, offset: int) -> str:
        return (
            f"{self.things[slot]} + {offset}" if self.things[slot] == "arena" else self.things[slot]
        )

    # --- machine code

    def write(self, module: ir.Module) -> None:
        """Write the function as Python calls it; where objects are not known, of pointers."""
        run = self.write_run(module)
        run.linkage = "internal" if host.has_known_layout() else ""
        if not host.has_known_layout():
            return
        function = ir.Function(module, ir.FunctionType(INT64, [POINTER]), self.name)
        builder = ir.IRBuilder(function.append_basic_block())
        pointers = builder.alloca(POINTER, INT64(len(self.things)))
        for slot in range(len(self.things)):
            thing = _load(builder, function.args[0], host.ITEMS + slot * host.WORD)
            if slot in self.numbers:
                data = builder.gep(thing, [INT64(host.DATA)], source_etype=INT8)
            else:
                data = _load(builder, thing, host.DATA)
            if slot in self.doubtful:
                flags = _load(builder, thing, host.FLAGS, ir.IntType(32))
                plain = builder.and_(flags, flags.type(host.PLAIN))
                odd = builder.icmp_unsigned("!=", plain, flags.type(host.PLAIN))
                with builder.if_then(odd, likely=False):
                    builder.ret(INT64(NOT_PLAIN))
            place = builder.gep(pointers, [INT64(slot)], source_etype=POINTER)
            builder.store(data, place)
        builder.ret(builder.call(run, [pointers]))

    def write_run(self, module: ir.Module) -> ir.Function:
        """The function of a table of pointers to elements."""
        name = f"{self.name}_run" if host.has_known_layout() else self.name
        function = ir.Function(module, ir.FunctionType(INT64, [POINTER]), name)
        builder = ir.IRBuilder(function.append_basic_block())
        starts = [
            _load(builder, function.args[0], slot * host.WORD) for slot in range(len(self.things))
        ]
        for kernel, arguments in self.calls:
            pointers = [
                builder.gep(starts[slot], [INT64(offset)], source_etype=INT8)
                for slot, offset in arguments
            ]
            code = builder.call(module.globals[kernel.name], pointers)
            with builder.if_then(builder.icmp_signed("!=", code, INT64(0)), likely=False):
                builder.ret(code)
        builder.ret(INT64(0))
        return function


def _load(builder: ir.IRBuilder, start: Any, offset: int, kind: Any = POINTER) -> Any:
    return builder.load(builder.gep(start, [INT64(offset)], source_etype=INT8), typ=kind)
