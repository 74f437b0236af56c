"""A native function: consecutive native blocks, with what they read and write as parameters."""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import loops
from .fusion import Block, Role
from .native_cache import digest
from .native_expressions import NATIVE_DTYPES, Names, number
from .plan import Plan
from .program import Aval, Program, format_operand
from .roles import Roles, order_of_axes
from .standalone import write_block


class Emitted(Protocol):
    """What a native function has to know of the program that it is part of."""

    program: Program
    names: dict[int, str]
    native_names: Names
    plan: Plan
    roles: Roles
    role: dict[int, Role]
    kept: set[int]
    parts: dict[str, str]


OFTEN = 3
"""Occurrences from which statements are worth a function of their own."""


class _Step(NamedTuple):
    """Statements, and how they would be called as a function."""

    statements: list[str]
    function: str = ""
    call: str = ""


class NativeFunction:
    """One native function: its parameters and its source."""

    def __init__(self, name: str, segment: list[Block], emitter: Emitted) -> None:
        self.name, self.segment, self.emitter = name, segment, emitter
        self.program, self.names = emitter.program, emitter.names
        made = [i for block in segment for i in block.equations]
        touched = dict.fromkeys(made)
        todo = [i for k in made for i in self.program.equations[k].vars]
        while todo:  # through views to what they are views of
            i = todo.pop()
            if emitter.role.get(i) is Role.VIEW and i not in touched:
                todo += self.program.equations[i].vars
            touched[i] = None
        views = {i for i in touched if emitter.role.get(i) is Role.VIEW}
        self.views = [i for i in self.program.equations if i in views]
        self.placed = [i for i in touched if i in emitter.plan.places]
        self.literals = [i for i in touched if self._is_literal(i)]
        self.results = [i for i in made if i in emitter.kept and i not in emitter.plan.places]
        known = {*made, *self.views, *self.placed, *self.literals}
        self.given = [i for i in touched if i not in known]
        self.parameters = {self.names[i]: i for i in (*self.given, *self.results)}

    def _is_literal(self, i: int) -> bool:
        constant = self.program.constants.get(i)
        return constant is not None and constant.ndim == 0

    @property
    def arguments(self) -> str:
        """What the Python part passes: arrays in plain order."""
        plain = [
            f"plain({name})" if i in self.given and self.program.aval(i).form == "array" else name
            for name, i in self.parameters.items()
        ]
        return ", ".join(["arena", *plain])

    @property
    def examples(self) -> tuple[Any, ...]:
        """Arguments of the types that it will be called with."""
        avals = [self.program.aval(i) for i in self.parameters.values()]
        return np.empty(0, np.uint8), *map(_make_example, avals)

    @property
    def source(self) -> str:
        """What occurs often is a function of its own, which is compiled only once."""
        steps = [self._write_place(i) for i in self.placed]
        for i in self.literals:
            literal = number(self.program.constants[i].item(), self.program.aval(i).dtype)
            steps.append(_Step([f"{self.names[i]} = {literal}"]))
        views = {i: self._write_view(i) for i in self.views}
        steps += [_Step([f"{self.names[i]} = {view}"]) for i, view in views.items()]
        steps += [self._make_part(self._write_block(block)) for block in self.segment]
        counts = Counter(step.function for step in steps)
        body = []
        for step in steps:
            if counts[step.function] < OFTEN or not step.function:
                body += step.statements
            else:
                name = f"part_{digest(step.function)[:10]}"
                self.emitter.parts[name] = f"def {name}{step.function}"
                body.append(step.call.format(name))
        head = f"def {self.name}({', '.join(['arena', *self.parameters])}):"
        return "\n    ".join([head, *body]) + "\n"

    def _write_block(self, block: Block) -> list[str]:
        emitter = self.emitter
        if block.shape is not None:
            return loops.write_loop(block, emitter.role, emitter.native_names, emitter.kept)
        (index,) = block.equations
        eqn = self.program.equations[index]
        return write_block(eqn, index, emitter.native_names)

    def _make_part(self, statements: list[str]) -> _Step:
        """These statements; or a function of them, whose names do not tell where it is called."""
        body, arguments = _anonymize(statements)
        function = "\n    ".join([f"({', '.join(arguments)}):", *body]) + "\n"
        return _Step(statements, function, f"{{}}({', '.join(arguments.values())})")

    def _write_place(self, i: int) -> _Step:
        """The statement that finds a planned value in the arena."""
        aval, (start, stop) = self.program.aval(i), self.emitter.plan.places[i]
        view = f".view({NATIVE_DTYPES[aval.dtype]})"
        flat = f"{self.names[i]} = arena[{start}:{stop}]{view}"
        call = f"{self.names[i]} = {{}}(arena, {start}, {stop}"
        if len(aval.shape) < 2:
            function = f"(arena, start, stop):\n    return arena[start:stop]{view}\n"
            return _Step([flat], function, f"{call})")
        shaped = f"return arena[start:stop]{view}.reshape(shape)"
        function = f"(arena, start, stop, shape):\n    {shaped}\n"
        return _Step([f"{flat}.reshape({aval.shape})"], function, f"{call}, {aval.shape})")

    def _write_view(self, made: int) -> str:
        eqn = self.program.equations[made]
        x = self.names[eqn.args[0].index]
        if eqn.op.function in (np.transpose, np.swapaxes):
            order = order_of_axes(eqn)
            if order == sorted(order):
                return x
            if self.emitter.roles.layouts.views[made] == "F":
                return f"{x}.T"
            steps = ", ".join(f"{x}.strides[{axis}]" for axis in order)
            return f"as_strided({x}, {eqn.aval.shape}, ({steps},))"  # which compiles at once
        if eqn.op.function is operator.getitem:
            index = eqn.options["index"]
            parts = index if type(index) is tuple else (index,)
            return f"{x}[{', '.join(map(format_operand, parts))}]"
        return f"{x}.reshape({eqn.aval.shape})"


def _anonymize(statements: list[str]) -> tuple[list[str], dict[str, str]]:
    """Statements with values numbered from 0, and {parameter: what it stands for}."""
    numbers: dict[str, int] = {}
    arguments: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        letter, index = match.groups()
        k = numbers.setdefault(index, len(numbers))
        if letter not in "acv":
            return f"{letter}{k}"
        arguments[f"x{k}"] = match.group()
        return f"x{k}"

    return [_NAME.sub(rename, statement) for statement in statements], arguments


_NAME = re.compile(r"\b([acvtwsp])(\d+)\b")
"""Arrays (a, c, v), and variables that hold an element, a flat array or a sum of theirs."""


def _make_example(aval: Aval) -> Any:
    if aval.form == "number":
        return aval.dtype.type(0).item()
    if aval.form == "scalar":
        return aval.dtype.type(0)
    return np.empty((0,) * len(aval.shape), aval.dtype)
