"""A program as a Python file that needs NumPy alone, and a file of its constants beside it.

    v1 = np.maximum((images @ w0) + b0, 0)  # float32(n, 64)

A value that is used once, by an op of the same line of the user's code, is written where it is
used; each of the others has a name, and its dtype and shape in a comment.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiler.control import Step
from ..compiler.program import END, Aval, Equation
from ..support.user_lines import UserLine
from .arguments import Arguments, uses_length
from .constants import Constants
from .draft import Draft, Scope, describe
from .expressions import Expressions, Text
from .lengths import Length
from .results import Results
from .tracing import Exported, check_structure, suggest_names

LONGEST = 72
"""Characters up to which an expression becomes part of another."""


class Written(NamedTuple):
    """The two files: their contents."""

    source: str
    arrays: bytes | None
    """Of a .npz file; None where no constant is large."""


def write_python(exported: Exported, name: str, arrays_name: str, made_by: str) -> Written:
    """Write a program down as a function of this name.

    Raises ExportError, naming op and line, for what is not NumPy alone.
    """
    check_structure(exported.structure)
    draft = Draft(exported, name)
    arguments, constants, results = Arguments(draft), Constants(draft), Results(draft)
    opening = arguments.write()
    statements = Statements(draft, draft.scope, constants, exported.lines)
    body = [*statements.write(), f"return {results.write(statements.expressions)}"]
    body = [*opening, *arguments.write_length(body), *body]
    arrays = constants.pack()
    loading = [] if arrays is None else constants.write_loading(arrays, arrays_name)
    main = _write_main(draft)
    needs = "NumPy alone" if arrays is None else f"NumPy and {arrays_name} beside this file"
    blocks = [
        [
            *_write_docstring(draft, results, f"{made_by}\nIt needs {needs}."),
            *_write_imports(draft),
        ],
        [*loading, *constants.lines],
        [*results.write_classes()],
        [f"def {name}({', '.join(draft.parameters)}):", *[f"    {line}" for line in body]],
        *[[source] for source in draft.copier.sources],
        main,
    ]
    text = "\n\n\n".join("\n".join(block) for block in blocks if block)
    return Written(f"{text}\n", arrays)


# --- around the function


def _write_docstring(draft: Draft, results: Results, made_by: str) -> list[str]:
    about = draft.exported.summary.replace("\\", "/").replace('"""', "'''")
    return [
        f'"""{draft.name}: {about}',
        "",
        *[f"    {path}: {describe(aval)}" for path, aval in draft.program.inputs.values()],
        f"    returns: {results.describe()}",
        "",
        *made_by.splitlines(),
        '"""',
        "",
    ]


def _write_imports(draft: Draft) -> list[str]:
    standard = [f"import {module}" for module in sorted(draft.copier.modules - {"numpy"})]
    return [*standard, *[""] * bool(standard), "import numpy as np"]


def _write_main(draft: Draft) -> list[str]:
    """Run on .npy files, where all arguments are arrays."""
    exported, parameters = draft.exported, draft.parameters
    if not parameters or not all(isinstance(x, np.ndarray | np.generic) for x in exported.args):
        return []
    draft.copier.modules.add("sys")
    avals = [aval for _, aval in draft.program.inputs.values()]
    loads = [
        f"{name} = np.load(sys.argv[{k}], allow_pickle=False)"
        f".astype({aval.dtype.name!r}, casting='same_kind').reshape({_write_reshape(aval)})"
        for k, (name, aval) in enumerate(zip(parameters, avals, strict=True), 1)
    ]
    usage = " ".join([f"usage: python {draft.name}.py", *[f"{name}.npy" for name in parameters]])
    return [
        'if __name__ == "__main__":',
        f"    if len(sys.argv) != {len(parameters) + 1}:",
        f"        sys.exit({usage!r})",
        *[f"    {load}" for load in loads],
        f"    print({draft.name}({', '.join(parameters)}))",
    ]


def _write_reshape(aval: Aval) -> str:
    shape = tuple(-1 if isinstance(k, Length) else k for k in aval.shape)
    return repr(aval.shape if shape.count(-1) > 1 else shape)


# --- the program


class Statements:
    """The equations of a program, under comments with the lines of the user's they come from."""

    def __init__(
        self, draft: Draft, scope: Scope, constants: Constants, lines: dict[int, UserLine]
    ) -> None:
        self.draft, self.scope, self.constants, self.lines = draft, scope, constants, lines
        self.expressions = Expressions(
            scope.program, draft.copier, scope.texts, draft.exported.name_line, self.write_step
        )
        self.users = scope.program.uses()
        self._count = 0
        constants.add(scope)

    def write(self) -> list[str]:
        """The statements in order."""
        lines: list[str] = []
        errors: dict[str, Any] | None = None
        line: UserLine | None = None
        for i, eqn in self.scope.program.equations.items():
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
        parameters = [f"x{k}" for k in range(len(step.program.inputs))]
        scope.texts |= {
            i: Text(name) for i, name in zip(step.program.inputs, parameters, strict=True)
        }
        statements = Statements(draft, scope, self.constants, {})
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
