"""The statements of an exported program, op by op.

    # digits.py:12: h = relu(images @ w0 + b0)
    v1 = np.maximum((images @ w0) + b0, 0)  # float32(n, 64)

A value that is used once, by an op of the same line of the user's code, is written where it is
used; each of the others has a name, and its dtype and shape in a comment. A step of a loop is a
function of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ..compiler.control import Step
from ..compiler.program import END, Equation
from ..support.user_lines import UserLine
from .arguments import uses_length
from .constants import Constants
from .draft import Draft, Scope, describe
from .expressions import Expressions, Text
from .tracing import suggest_names

LONGEST = 72
"""Characters up to which an expression becomes part of another."""


class Statements:
    """The equations of a program, under comments with the lines of the user's they come from."""

    def __init__(
        self,
        draft: Draft,
        scope: Scope,
        constants: Constants,
        lines: dict[int, UserLine],
        name_line: Callable[[int], str],
    ) -> None:
        self.draft, self.scope, self.constants = draft, scope, constants
        self.lines, self.name_line = lines, name_line
        self.expressions = Expressions(
            scope.program, draft.copier, scope.texts, name_line, self.write_step
        )
        self.users = scope.program.uses()
        self._count, self._at = 0, -1
        constants.add(scope)

    def write(self) -> list[str]:
        """The statements in order."""
        lines: list[str] = []
        errors: dict[str, Any] | None = None
        line: UserLine | None = None
        for i, eqn in self.scope.program.equations.items():
            self._at = i
            text = self.expressions.write(i)
            if self._is_part(i, eqn, text):
                self.scope.texts[i] = text
                continue
            here = self.lines.get(i)
            if here is not None and here[:2] != (line and line[:2]):
                lines += _comment_on(here)
                line = here
            if eqn.errors != errors and eqn.errors is not None:
                state = ", ".join(f"{name}={mode!r}" for name, mode in eqn.errors.items())
                lines.append(f"with np.errstate({state}):")
            errors = eqn.errors
            indent = "" if errors is None else "    "
            lines.append(f"{indent}{self._write_statement(i, eqn, text)}")
        return lines

    def _write_statement(self, i: int, eqn: Equation, text: Text) -> str:
        described = "" if eqn.aval.form == "tuple" else f"  # {describe(eqn.aval)}"
        if not self.users.get(i):
            return f"{text.text}{described}"
        name = self._new_name()
        self.scope.texts[i] = Text(name)
        return f"{name} = {text.text}{described}"

    def _new_name(self) -> str:
        """The next of v1, v2 ... that nothing else in the file is called."""
        self._count += 1
        name = f"v{self._count}"
        return self._new_name() if name in self.draft.copier.taken else name

    def write_step(self, step: Step, kind: str) -> str:
        """Write a step of a loop, or a branch, as a function; -> what it is called."""
        draft = self.draft
        scope = Scope(step.program, suggest_names(draft.exported, step.program))
        around = self.name_line(self._at)
        statements = Statements(draft, scope, self.constants, {}, lambda _: around)
        free = (name for k in itertools.count() if (name := f"x{k}") not in draft.copier.taken)
        parameters = [next(free) for _ in step.program.inputs]
        scope.texts |= dict(zip(step.program.inputs, map(Text, parameters), strict=True))
        body = [*statements.write()]
        returned = [statements.expressions.write_operand(x).text for x in step.program.outputs]
        body.append(f"return [{', '.join(returned)}]")
        name = draft.copier.new_name(f"_{kind}")
        length = ["n"] if uses_length(body) else []
        head = f"def {name}({', '.join([*length, *parameters])}):"
        draft.copier.sources.append("\n".join([head, *[f"    {line}" for line in body]]))
        if not length:
            return name
        draft.copier.modules.add("functools")
        return f"functools.partial({name}, n)"

    def _is_part(self, i: int, eqn: Equation, text: Text) -> bool:
        """Whether an expression is written where its value is used."""
        users = self.users.get(i, [])
        if eqn.effect or len(users) != 1 or users[0] == END or len(text.text) > LONGEST:
            return False
        user, lines = self.scope.program.equations[users[0]], self.lines
        here, there = lines.get(i), lines.get(users[0])
        same = (here and here[:2]) == (there and there[:2])
        return same and eqn.errors == user.errors


def _comment_on(line: UserLine) -> list[str]:
    """The user's line as a comment; none where its source is not there."""
    if not line.code:
        return []
    file = line.path.replace("\\", "/").rpartition("/")[2]
    return [f"# {file}:{line.number}: {line.code[:80]}"]
