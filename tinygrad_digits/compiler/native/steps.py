"""The step of a loop, or a branch, in machine code: a segment that other machine code calls.

What it reads and where its results go is told by a table of pointers, as to any segment. Its own
values live in an arena, which is part of the memory of the kernel around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir

from ..numpy_statements import may_alias
from ..plan import Plan, check, plan, round_up
from ..program import Program, vars_in
from .code import POINTER, FunctionWriter
from .host import WORD
from .layouts import Strides
from .roles import NotNativeError
from .segment import Kernels, NativeLoop, NativeProgram, NativeSegment
from .terms import INT8, INT64


class StepCode(NativeProgram):
    """A program whose inputs are in memory, and each of whose results has memory of its own.

    Each output is the value of an equation, and none is there twice (`passes.for_steps`).
    """

    def __init__(
        self,
        program: Program,
        kernels: Kernels,
        lower_loop: Callable[..., NativeLoop],
        own_products: bool,
        strides: Mapping[int, Strides],
    ) -> None:
        super().__init__(program, kernels, lower_loop, own_products, strides)
        if self.reasons:
            i, reason = next(iter(self.reasons.items()))
            raise NotNativeError(
                f"its step's %{i} {program.equations[i].op.name} is not native: {reason}"
            )
        self.plan = self._make_plan()
        everything = (*program.inputs, *program.constants, *program.equations)
        self.names = {i: f"v{i}" for i in everything}
        self.scratch_start = round_up(self.plan.size)
        self.segment = NativeSegment(kernels.name_step(), self)
        for block in self.blocks:
            self.segment.add(block)

    def _make_plan(self) -> Plan:
        program, outputs = self.program, {*vars_in(self.program.outputs)}
        made = plan(
            program,
            self.kept - outputs,
            aliases={i: e.vars for i, e in program.equations.items() if may_alias(e, program)},
            pointwise=set(),
            writable=set(),
            steps=self.steps,
        )
        check(program, made)
        return made

    @property
    def size(self) -> int:
        """Bytes of its arena."""
        return self.scratch_start + round_up(self.scratch_size)

    @property
    def is_ours(self) -> bool:
        """Whether its text says all."""
        return all(call.kernel.notation.is_ours for call in self.segment.calls)

    @property
    def text(self) -> str:
        """It, in writing."""
        results = [self.names[x.index] for x in self.program.outputs]
        return f"{self.segment.text}\n    return {', '.join(results)}"

    def write(self, module: ir.Module) -> Any:
        """The function of a table; written once."""
        name = f"{self.segment.name}_run"
        return module.globals.get(name) or self.segment.write_run(module, name)


class Table:
    """The pointers that a step is told of, by the value that is there."""

    def __init__(self, code: FunctionWriter, step: StepCode, arena: Any) -> None:
        self.code, self.step = code, step
        self._routine = step.write(code.builder.module)
        self._things = step.segment.things
        self._start = code.pointers(max(len(self._things), 1))
        if "arena" in self._things:
            self._store("arena", arena)

    def has(self, i: int) -> bool:
        """Whether the step needs a pointer to this value."""
        return self.step.names[i] in self._things

    def __getitem__(self, i: int) -> Any:
        return self.code.builder.load(self._point(self.step.names[i]), typ=POINTER)

    def __setitem__(self, i: int, pointer: Any) -> None:
        if self.has(i):
            self._store(self.step.names[i], pointer)

    def _point(self, name: str) -> Any:
        offset = INT64(self._things.index(name) * WORD)
        return self.code.builder.gep(self._start, [offset], source_etype=INT8)

    def _store(self, name: str, pointer: Any) -> None:
        self.code.builder.store(pointer, self._point(name))

    def call(self) -> None:
        """Run the step; an error in it is one of the function around."""
        builder = self.code.builder
        code = builder.call(self._routine, [self._start])
        self.code.function.may_fail = True
        with builder.if_then(builder.icmp_signed("!=", code, INT64(0)), likely=False):
            builder.ret(code)
