"""The native backend: loops around BLAS calls, compiled to machine code by LLVM.

Equations are fused into blocks (`native.fusion`). Each block becomes a function (`native.nests`,
`native.standalone`), blocks alike the same one, and consecutive blocks a segment, which Python
calls with one tuple: inputs, arena and arrays for the results (`native.segment`). As text:

    kernel1 over (32, 64): p0 = float32(32, 64) by (64, 1) of #0; ...
        t3 = add p0, p1 -> float32(32, 64)
        p2 = maximum t3, 0 -> float32(32, 64)

What has no native form is called between segments, as by the NumPy backend, whose program also
stands by for errors: native code only notices that there is one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from . import numpy_backend
from .control import draws
from .namespace import list_names
from .native import host, library
from .native.axes import LARGE, PARTS
from .native.code import ERRORS
from .native.fusion import Block, Role
from .native.loops import lower_loop
from .native.segment import NOT_PLAIN, Kernels, NativeProgram, NativeSegment
from .native.threads import count_cores
from .numpy_backend import Code, Emitter
from .passes.for_loops import prepare_for_loops
from .plan import ALIGNMENT, round_up
from .program import Equation, Program, vars_in

PASSES = (prepare_for_loops,)
"""What a program goes through before."""


def compile_program(
    program: Program,
    name: str,
    donated: frozenset[int] = frozenset(),
    threads: int | None = None,
) -> Code:
    """Emit a program with native parts, and compile them; None is all cores' threads."""
    emitter = NativeEmitter(program, donated, threads or count_cores())
    make_spare = functools.cache(lambda: numpy_backend.compile_program(program, name))
    emitter.namespace.things["again"] = functools.partial(
        _run_again, make_spare=make_spare, pure=_is_pure(emitter)
    )
    source = emitter.source(name)
    start = time.perf_counter()
    emitter.namespace.things |= library.load(emitter)
    seconds = time.perf_counter() - start
    code = numpy_backend.assemble(emitter, name, source)
    return code._replace(source=f"{emitter.notation}\n\n{source}", seconds=seconds)


def _is_pure(emitter: NativeEmitter) -> bool:
    """Whether a program can be run again: it has written over no input, and drawn nothing."""
    donated = any(over in emitter.program.inputs for over in emitter.plan.in_place.values())
    return not donated and not draws(emitter.program)


def _run_again(inputs: Any, code: int, *, make_spare: Callable[[], Code], pure: bool) -> list[Any]:
    """What NumPy says to inputs for which native code has found an error."""
    if not pure:
        raise ERRORS[code - 1]
    spare = make_spare()
    return spare.run(inputs, spare.workspace())


def _call_again(segment: Any, things: tuple[Any, ...], code: int) -> int:
    """A segment with arrays that it can read, if it was for that that it did not run."""
    if code != NOT_PLAIN:
        return code
    result: int = segment(tuple([host.make_plain(thing) for thing in things]))
    return result


class NativeEmitter(NativeProgram, Emitter):
    """Writes native functions, and the Python that calls them."""

    own_products = False

    def __init__(self, program: Program, donated: frozenset[int], threads: int) -> None:
        NativeProgram.__init__(self, program, Kernels(), lower_loop, self.own_products)
        self.segments: list[NativeSegment] = []
        self.threads = min(threads, PARTS) if host.has_known_layout() else 1
        self.outputs = set(vars_in(program.outputs))
        self.seen = self._find_seen()
        Emitter.__init__(self, self.program, donated, self.steps)
        self.scratch_start = round_up(self.plan.size)
        self.namespace.things |= {"call_again": _call_again, "empty": np.empty}

    @property
    def notation(self) -> str:
        """All that is native, in writing, and why something is not."""
        parts = [f"{kernel.name} {text}" for text, kernel in self.kernels.items()]
        parts += [segment.text for segment in self.segments]
        calls = [
            f"{self.names[i]} = {self.program.equations[i].op.name}: called as it is, {reason}"
            for i, reason in self.reasons.items()
            if i in self.program.equations
        ]
        return "\n\n".join([*parts, *calls])

    # --- memory

    def _arena_size(self) -> int:
        """With room at its end for what the parts of loops find."""
        return self.plan.size + (ALIGNMENT + self.scratch_size if self.scratch_size else 0)

    def _find_planned(self) -> set[int]:
        """Of native values those that are stored, but for results, which have their own memory."""
        native = {i for block in self.blocks if block.native for i in block.equations}
        results = {i for i in self.outputs if self.program.aval(i).shape}
        return (super()._find_planned() - native) | ((native & self.kept) - results)

    def _find_writable(self) -> set[int]:
        """Equations of loops that read no view, which might be of what they write over."""
        safe = set()
        for block in self.blocks:
            readings = [i for index in block.equations for i in self.program.equations[index].vars]
            if block.native and not any(self.role.get(i) is Role.VIEW for i in readings):
                safe |= {i for i in block.equations if self.role[i] is Role.POINTWISE}
        return safe

    def _find_pointwise(self) -> set[int]:
        return self._find_writable()

    def _may_be_preallocated(self, i: int) -> bool:
        """Only what Python sees; native code makes its own views."""
        return (
            self.role[i] in (Role.VIEW, Role.NUMPY)
            and i in self.seen
            and not self._is_numpys_scalar(i)
            and super()._may_be_preallocated(i)
        )

    def _find_seen(self) -> set[int]:
        """The values that the Python part reads: of views also what they are views of."""
        seen = set(self.outputs)
        for i, eqn in reversed(self.program.equations.items()):
            if self.role[i] is Role.NUMPY or (self.role[i] is Role.VIEW and i in seen):
                seen |= {*eqn.vars}
        return seen

    def _list_held(self) -> list[str]:
        python = {i for i in self.role if self.role[i] is Role.NUMPY}
        held = [i for i in self.plan.places if i in self.seen | python] + self.preallocated
        return ["arena", *[self.names[i] for i in held]]

    # --- the Python part

    def _write_body(self, indices: list[int]) -> list[str]:  # noqa: ARG002 (all of them)
        """Calls of native functions, and between them what NumPy does."""
        self.made: set[int] = set()
        self.rank = {i: k for k, i in enumerate(self.program.equations)}
        segment: list[Block] = []
        body = []
        for block in self.blocks:
            if block.native:
                segment.append(block)
            else:
                body += self._write_call(segment) + self._write_numpy(block.equations)
                segment = []
        return body + self._write_call(segment) + self._write_numpy([*self.outputs], of=True)

    def _write_numpy(self, indices: list[int], of: bool = False) -> list[str]:
        """Statements for these equations (or only for what they are views of), views first."""
        views: set[int] = set()
        todo = [var for i in indices for var in ([i] if of else self.program.equations[i].vars)]
        while todo:
            var = todo.pop()
            if self.role.get(var) is Role.VIEW and var not in self.made:
                self.made.add(var)
                views.add(var)
                todo += self.program.equations[var].vars
        ordered = sorted(views, key=self.rank.__getitem__)
        return super()._write_body([*ordered, *([] if of else indices)])

    def _write_statements(self, i: int, eqn: Equation) -> list[str]:
        """Scalars as scalars: of what is an array in the arena NumPy may make another array."""
        statements = super()._write_statements(i, eqn)
        if self._is_numpys_scalar(i) and not self._has_memory(i):
            statements.append(f"{self.names[i]} = {self.names[i]}[()]")
        return statements

    def _is_numpys_scalar(self, i: int) -> bool:
        return self.role.get(i) is Role.NUMPY and self.program.aval(i).form == "scalar"

    def _write_call(self, blocks: list[Block]) -> list[str]:
        """The calls of native functions for these blocks: one, but for loops that threads share."""
        segments: list[NativeSegment] = []
        for block in blocks:
            if self.threads > 1 and prod(block.shape or ()) * 64 >= LARGE:  # whatever is in it
                alone = self._make_segment(is_split=True)
                alone.add(block)
                if alone.calls[0].kernel.in_parts:
                    segments.append(alone)
                    continue
                self.segments.pop()
            if not segments or segments[-1].is_split:
                segments.append(self._make_segment())
            segments[-1].add(block)
        return [line for segment in segments for line in self._write_segment(segment)]

    def _make_segment(self, is_split: bool = False) -> NativeSegment:
        self.segments.append(NativeSegment(f"segment{len(self.segments)}", self, is_split))
        return self.segments[-1]

    def _write_segment(self, segment: NativeSegment) -> list[str]:
        return [
            *[f"    {self._write_allocation(i)}" for i in segment.results],
            f"    things = ({list_names(segment.things)})",
            f"    code = {segment.name}(things)",
            f"    if code and (code := call_again({segment.name}, things, code)):",
            "        return again(inputs, code)",
        ]

    def _write_allocation(self, i: int) -> str:
        """Memory for a result."""
        aval = self.program.aval(i)
        dtype = self.namespace.bind(aval.dtype.name, aval.dtype)
        return f"{self.names[i]} = empty({aval.shape}, {dtype})"

    def _own(self, i: int, name: str, given: bool) -> str:
        if i in self.plan.places and self.program.aval(i).form == "array":
            return f"{name}.copy()"
        if self.role.get(i) is Role.PART and self.program.aval(i).shape and not given:
            return name
        return super()._own(i, name, given)
