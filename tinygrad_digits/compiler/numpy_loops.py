"""Loops and branches for the NumPy backend: a Python loop around a step's straight-line code.

    for i in range(100):
        a3 = s3[i]                     the step's element of an array that goes along
        matmul(a1, a0, v8)             the step, on memory that is there already
        v9 = tanh(v8)
        y0[i] = v9                     into the stacked result
        a1, = v9,                      the carry of the next step

A carry that nobody reads any more is written over in place, as a donated input is.
"""

from __future__ import annotations

from typing import Any

from .control import SCAN, SWITCH, WHILE, Branches, Loop, Step, While
from .namespace import list_names
from .numpy_backend import SUBPROGRAMS, Emitter, Runner, assemble, compile_program
from .numpy_statements import find_statement
from .passes.for_numpy import prepare_for_numpy
from .primitives import PACK
from .program import Equation, Operand, Program, Var, producer


class LoopEmitter(Emitter):
    """Writes a loop, whose body is a step."""

    def __init__(self, step: Step, consts: int, carries: int) -> None:
        inputs = [*step.program.inputs]
        self.consts, self.carry = inputs[:consts], inputs[consts : consts + carries]
        self.xs = inputs[consts + carries :]
        program = prepare_for_numpy(step.program)
        self.placed = _find_placed(program, carries)
        arrays = {
            i
            for i, y in zip(self.carry, program.outputs, strict=False)
            if program.aval(i).form == "array" and not _is_among(y, self.placed)
        }
        super().__init__(program, frozenset(arrays))

    def write_loop(self, name: str, head: str, results: str, around: list[str]) -> str:
        """The function: `around` stands before the loop, `head` begins it."""
        names = self.names
        inputs = [*(names[i] for i in (*self.consts, *self.carry)), *(f"s{i}" for i in self.xs)]
        body = [f"        {names[i]} = s{i}[i]" for i in self.xs]
        body += [f"    {line}" for line in self._write_body([*self.program.equations])]
        body += [f"        {line}" for line in self._write_ends()]
        return "\n".join(
            [
                *self._write_head(name, inputs),
                *[f"    {line}" for line in (*self._write_own_carries(), *around)],
                f"    {head}",
                *(body or ["        pass"]),
                f"    return {results}",
                "",
            ]
        )

    def _find_writable(self) -> set[int]:
        return super()._find_writable() - self.placed.keys()

    def _has_memory(self, i: int) -> bool:
        return i in self.placed or super()._has_memory(i)

    def _write_statements(self, i: int, eqn: Equation) -> list[str]:
        statements = super()._write_statements(i, eqn)
        if i in self.placed:
            return [f"{self.names[i]} = y{self.placed[i]}[i]", *statements]
        return statements

    def _write_own_carries(self) -> list[str]:
        """First carries that may be written over."""
        owned = [i for i in self.carry if self.program.aval(i).form == "array"]
        return [f"{self.names[i]} = array({self.names[i]}, order='C')" for i in owned]

    def _write_ends(self) -> list[str]:
        """What is done with the results of a step: stacked, or handed to the next."""
        outputs, m = self.program.outputs, len(self.carry)
        lines = [
            f"y{k}[i] = {self.namespace.text(y)}"
            for k, y in enumerate(outputs[m:])
            if not (isinstance(y, Var) and self.placed.get(y.index) == k)
        ]
        changed = {i: y for i, y in zip(self.carry, outputs[:m], strict=True) if y != Var(i)}
        names = [self.names[i] for i in changed]
        values = self._write_owned([*changed.values()])
        if names and names != values:
            lines.append(f"{list_names(names)}= {list_names(values)}")
        return lines

    def write_last(self, k: int) -> str:
        """The last carry as the caller's own: nobody else's memory."""
        name = self.names[self.carry[k]]
        return f"{name}.copy()" if _is_among(self.program.outputs[k], self.placed) else name

    def _own(self, i: int, name: str, given: bool) -> str:
        text = super()._own(i, name, given)
        return f"{name}.copy()" if text.endswith(".copy('K')") else text


def _find_placed(program: Program, carries: int) -> dict[int, int]:
    """The values that are computed where they are stacked, and in which of the results."""
    placed: dict[int, int] = {}
    for k, y in enumerate(program.outputs[carries:]):
        eqn = producer(y, program)
        if eqn is None or eqn.aval.form != "array" or not eqn.aval.shape or eqn.aval.order:
            continue
        if find_statement(eqn, program) and eqn.op is not PACK:
            placed.setdefault(y.index, k)
    return placed


def _is_among(x: Operand, values: dict[int, int]) -> bool:
    return isinstance(x, Var) and x.index in values


class Chooser:
    """Compiled branches: what a `switch` equation calls."""

    def __init__(self, branches: list[Runner]) -> None:
        self.branches = branches

    def __call__(self, index: Any, *leaves: Any) -> list[Any]:
        results: list[Any] = self.branches[index](*leaves)
        return results

    @property
    def source(self) -> str:
        return "\n".join(branch.source for branch in self.branches)


def compile_scan(eqn: Equation) -> Runner:
    """The function of a scan equation."""
    loop: Loop = eqn.options["loop"]
    emitter = LoopEmitter(loop.step, loop.consts, loop.carries)
    ys = emitter.program.outputs[loop.carries :]
    n = loop.length
    around = []
    for k, y in enumerate(ys):
        aval = emitter.program.aval_of(y)
        dtype = emitter.namespace.bind(f"dtype{k}", aval.dtype)
        around.append(f"y{k} = empty({(n, *aval.shape)}, {dtype})")
    steps = f"range({n - 1}, -1, -1)" if loop.reverse else f"range({n})"
    results = [emitter.write_last(k) for k in range(loop.carries)]
    results += [f"y{k}" for k in range(len(ys))]
    source = emitter.write_loop(
        f"scan, {loop}", f"for i in {steps}:", f"[{', '.join(results)}]", around
    )
    return Runner(assemble(emitter, "scan", source))


def compile_while(eqn: Equation) -> Runner:
    """The function of a while equation."""
    loop: While = eqn.options["loop"]
    emitter = LoopEmitter(loop.body, loop.consts, len(loop.body.returned))
    cond = Runner(compile_program(prepare_for_numpy(loop.cond.program), "cond"))
    test = emitter.namespace.bind("goes_on", cond)
    emitter.inside.append(cond.source)
    given = list_names(emitter.names[i] for i in (*emitter.consts, *emitter.carry))
    if loop.max_steps is None:
        head = f"while {test}({given})[0]:"
    else:
        head = f"for i in range({loop.max_steps}):\n        if not {test}({given})[0]: break"
    results = f"[{', '.join(emitter.names[i] for i in emitter.carry)}]"
    return Runner(assemble(emitter, "while", emitter.write_loop(f"{loop}", head, results, [])))


def compile_switch(eqn: Equation) -> Chooser:
    """The function of a switch equation."""
    branches: Branches = eqn.options["branches"]
    programs = [prepare_for_numpy(step.program) for step in branches.steps]
    return Chooser(
        [Runner(compile_program(each, f"branch {k}")) for k, each in enumerate(programs)]
    )


SUBPROGRAMS.update({SCAN: compile_scan, WHILE: compile_while, SWITCH: compile_switch})
