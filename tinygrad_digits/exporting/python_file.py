"""A program as a Python file that needs NumPy alone, and a file of its constants beside it.

    h = np.maximum((images @ w0) + b0, 0)  # float32(n, 64)

A value that is used once, by an op of the same line of the user's code, is written where it is
used; each of the others has a name, and its dtype and shape in a comment.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import keyword
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..compiler.numpy_statements import may_alias
from ..compiler.program import END, Aval, Equation, Var, vars_in
from ..compiler.signature import is_input
from ..support import tree
from ..support.errors import ExportError
from ..support.user_lines import UserLine
from . import checks
from .copying import Copier, NotPlain, write_value
from .expressions import Expressions, Text
from .lengths import Length
from .tracing import Exported, check_structure, suggest_names

MARK = "Written by tinygrad_digits"
"""By which a file is known as one that may be replaced."""
FEW = 8
"""Elements up to which a constant is written into the source."""
LONGEST = 72
"""Characters up to which an expression becomes part of another."""
RESERVED = {*keyword.kwlist, *dir(builtins), "np", "n"}


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
    return _Writer(exported, name).write(arrays_name, made_by)


class _Writer:
    """The parts of a file, as they become known."""

    def __init__(self, exported: Exported, name: str) -> None:
        self.exported = exported
        self.program = exported.program
        self.name = name
        self.copier = Copier({*RESERVED, *_read_parameters(exported), name})
        self.texts: dict[int, Text] = {}
        self.expressions = Expressions(self.program, self.copier, self.texts, exported.name_line)
        self.users = self.program.uses()
        self.stored: dict[str, Any] = {}
        self.batched: list[tuple[str, str]] = []
        """The batch's arrays and their paths."""
        self.classes: dict[type, str] = {}

    def write(self, arrays_name: str, made_by: str) -> Written:
        """The source and the arrays."""
        names = suggest_names(self.exported)
        parameters, opening = self._write_opening(names)
        constants = self._write_constants(names)
        body = [*self._write_equations(), f"return {self._write_results()}"]
        body = [*opening, *self._write_length(body), *body]
        arrays = _pack(self.stored) if self.stored else None
        if arrays is not None:
            constants = [*self._write_loading(arrays, arrays_name), *constants]
        main = self._write_main(parameters)
        head = [*self._write_docstring(made_by, arrays_name), *self._write_imports()]
        function = [f"def {self.name}({', '.join(parameters)}):", *_indent(body)]
        classes = [*self._write_classes()]
        blocks = [
            head,
            constants,
            classes,
            function,
            *map(str.splitlines, self.copier.sources),
            main,
        ]
        text = "\n\n\n".join("\n".join(block) for block in blocks if block)
        return Written(f"{text}\n", arrays)

    # --- around the function

    def _write_docstring(self, made_by: str, arrays_name: str) -> list[str]:
        about = self.exported.summary.replace("\\", "/").replace('"""', "'''")
        needs = f" and {arrays_name} beside this file" if self.stored else " alone"
        inputs = [f"    {path}: {_describe(aval)}" for path, aval in self.program.inputs.values()]
        return [
            f'"""{self.name}: {about}',
            "",
            *inputs,
            f"    returns: {self._describe_results()}",
            "",
            *made_by.splitlines(),
            f"It needs NumPy{needs}.",
            '"""',
            "",
        ]

    def _describe_results(self) -> str:
        leaves = iter(
            _describe(self.program.aval(x.index)) if isinstance(x, Var) else repr(x)
            for x in self.program.outputs
        )
        return self._close(self.exported.structure, leaves)

    def _write_imports(self) -> list[str]:
        others = sorted(self.copier.modules - {"numpy"})
        standard = [f"import {module}" for module in others]
        return [*standard, *[""] * bool(others), "import numpy as np"]

    def _write_loading(self, arrays: bytes, arrays_name: str) -> list[str]:
        """The function that loads the constants, before all others, and its call."""
        load = self.copier.copy(checks.load_arrays)
        digest = hashlib.sha256(arrays).hexdigest()
        return [self.copier.sources.pop(), "", "", f"_arrays = {load}({arrays_name!r}, {digest!r})"]

    def _write_classes(self) -> Iterator[str]:
        for kind, name in self.classes.items():
            fields = ", ".join(map(repr, kind._fields))  # type: ignore[attr-defined]
            yield f"{name} = collections.namedtuple({name!r}, [{fields}])"

    def _write_main(self, parameters: list[str]) -> list[str]:
        """Run on .npy files, where all arguments are arrays."""
        avals = [aval for _, aval in self.program.inputs.values()]
        if not (parameters and all(map(_is_array, self.exported.args))):
            return []
        self.copier.modules.add("sys")
        loads = [
            f"np.load(sys.argv[{k}], allow_pickle=False)"
            f".astype({aval.dtype.name!r}, casting='same_kind').reshape({_write_reshape(aval)})"
            for k, aval in enumerate(avals, 1)
        ]
        return [
            'if __name__ == "__main__":',
            f"    if len(sys.argv) != {len(parameters) + 1}:",
            f'        sys.exit("usage: python {self.name}.py {_list_files(parameters)}")',
            *[f"    {name} = {load}" for name, load in zip(parameters, loads, strict=True)],
            f"    print({self.name}({', '.join(parameters)}))",
        ]

    # --- inputs and constants

    def _write_opening(self, names: dict[int, str]) -> tuple[list[str], list[str]]:
        """The parameters, and the statements that check them and take them apart."""
        indices = iter(self.program.inputs)
        parameters: list[str] = []
        lines: list[str] = []
        exported = self.exported
        arguments = zip(exported.parameters, _read_parameters(exported), exported.args, strict=True)
        for original, parameter, argument in arguments:
            parameters.append(parameter)
            if original in exported.static:
                lines.append(self._write_fixed(parameter, argument))
                continue
            lines += self._check_containers(argument, parameter)
            for path, leaf in tree.items(argument, parameter):
                if is_input(leaf):
                    i = next(indices)
                    name = parameter if path == parameter else self.copier.new_name(names[i])
                    lines.append(self._write_input(i, name, path))
                else:
                    lines.append(self._write_fixed(path, leaf))
        return parameters, lines

    def _write_input(self, i: int, name: str, path: str) -> str:
        aval = self.program.aval(i)
        self.texts[i] = Text(name)
        if any(isinstance(k, Length) for k in aval.shape):
            self.batched.append((name, path))
        return f"{name} = {self._write_taking(path, aval)}"

    def _write_length(self, body: list[str]) -> list[str]:
        """The statements that find out the length of the batch, if anybody asks for it."""
        used = any(re.search(r"\bn\b", line.partition("  # ")[0]) for line in body)
        (first, _), *others = self.batched or [("", "")]
        if not others and not (self.batched and used):
            return []
        lines = [f"n = len({first})"]
        if others:
            check = self.copier.copy(checks.check_length)
            lines += [f"{check}({name}, {path!r}, n)" for name, path in others]
        return lines

    def _check_containers(self, argument: Any, path: str) -> Iterator[str]:
        container = tree.container_of(type(argument))
        if container is None:
            return
        children = container.open(argument)
        if isinstance(argument, dict):
            check = self.copier.copy(checks.check_keys)
            yield f"{check}({path}, {path!r}, {write_value((*children,))})"
        elif isinstance(argument, list | tuple):
            check = self.copier.copy(checks.check_count)
            yield f"{check}({path}, {path!r}, {len(children)})"
        for key, child in children.items():
            inner = f"{path}.{key}" if container.dotted else f"{path}[{key!r}]"
            yield from self._check_containers(child, inner)

    def _write_taking(self, path: str, aval: Aval) -> str:
        if aval.form == "number":
            return f"{self.copier.copy(checks.take_number)}({path}, {path!r})"
        if aval.form == "generator":
            return f"{self.copier.copy(checks.take_generator)}({path}, {path!r})"
        shape = tuple(None if isinstance(k, Length) else k for k in aval.shape)
        take = self.copier.copy(checks.take_array)
        whole = "[()]" if aval.form == "scalar" else ""
        return f"{take}({path}, {path!r}, {aval.dtype.name!r}, {shape}){whole}"

    def _write_fixed(self, path: str, leaf: Any) -> str:
        try:
            return f"{self.copier.copy(checks.take_fixed)}({path}, {path!r}, {write_value(leaf)})"
        except NotPlain:
            raise ExportError(
                f"the argument {path} is a {type(leaf).__name__}, which the file's users could "
                "not give: export functools.partial(f, ...) of the others, or a lambda"
            ) from None

    def _write_constants(self, names: dict[int, str]) -> list[str]:
        lines = []
        for i, constant in self.program.constants.items():
            if not self.users.get(i):
                continue
            text = _write_small(constant)
            if text is not None and not np.shape(constant):
                self.texts[i] = Text(text)
                continue
            name = self.copier.new_name(names[i])
            self.texts[i] = Text(name)
            described = f"  # {_describe(Aval.of(constant))}"
            lines.append(f"{name} = {text or self._store(name, constant)}{described}")
        return lines

    def _store(self, name: str, constant: Any) -> str:
        """An expression that loads a constant, in the order in memory that BLAS saw it in."""
        order = Aval.of(constant).order
        self.stored[name] = np.transpose(constant, order) if order else constant
        loaded = f"_arrays[{name!r}]"
        if not isinstance(constant, np.ndarray):
            return f"{loaded}[()]"
        return f"{loaded}.transpose({(*np.argsort(order).tolist(),)})" if order else loaded

    # --- the program

    def _write_equations(self) -> list[str]:
        """The statements, under a comment with the line of the user's that they come from."""
        lines: list[str] = []
        errors: dict[str, Any] | None = None
        line: UserLine | None = None
        count = 0
        for i, eqn in self.program.equations.items():
            text = self.expressions.write(i)
            if self._is_part(i, eqn, text):
                self.texts[i] = text
                continue
            here = self.exported.lines.get(i)
            if here is not None and here[:2] != (line and line[:2]):
                lines += _comment_on(here)
                line = here
            if eqn.errors != errors and eqn.errors is not None:
                state = ", ".join(f"{name}={mode!r}" for name, mode in eqn.errors.items())
                lines.append(f"with np.errstate({state}):")
            errors = eqn.errors
            statement = text.text
            if self.users.get(i):
                count += 1
                name = self.copier.new_name(f"v{count}")
                self.texts[i] = Text(name)
                statement = f"{name} = {statement}"
            described = "" if eqn.aval.form == "tuple" else f"  # {_describe(eqn.aval)}"
            lines.append(f"{'    ' * (errors is not None)}{statement}{described}")
        return lines

    def _is_part(self, i: int, eqn: Equation, text: Text) -> bool:
        """Whether an expression is written where its value is used."""
        users = self.users.get(i, [])
        if eqn.effect or len(users) != 1 or users[0] == END or len(text.text) > LONGEST:
            return False
        user, lines = self.program.equations[users[0]], self.exported.lines
        here, there = lines.get(i), lines.get(users[0])
        same = here is not None and there is not None and here[:2] == there[:2]
        return same and eqn.errors == user.errors

    def _write_results(self) -> str:
        given: set[int] = set()
        leaves = []
        for x in self.program.outputs:
            text = self.expressions.write_operand(x).text
            if isinstance(x, Var):
                text = self._own(x.index, text, x.index in given)
                given |= {*vars_in(x)}
            leaves.append(text)
        return self._close(self.exported.structure, iter(leaves))

    def _own(self, i: int, name: str, given: bool) -> str:
        """A result as the caller's own, which no input, constant or other result shares."""
        aval = self.program.aval(i)
        if aval.form != "array":
            return name
        eqn = self.program.equations.get(i)
        fresh = eqn is not None and not may_alias(eqn, self.program) and not given
        return name if fresh else f"{name}.copy(order='K')"

    def _close(self, structure: tree.Structure, leaves: Iterator[str]) -> str:
        """The source of a tree."""
        if structure is None:
            return next(leaves)
        _, like, keys, nested = structure
        children = [self._close(child, leaves) for child in nested or [None] * len(keys)]
        if isinstance(like, dict):
            pairs = zip(keys, children, strict=True)
            return f"{{{', '.join(f'{write_value(key)}: {child}' for key, child in pairs)}}}"
        inner = ", ".join(children)
        if isinstance(like, list):
            return f"[{inner}]"
        if hasattr(like, "_fields"):
            return f"{self._name_class(type(like))}({inner})"
        return f"({inner}{',' * (len(children) == 1)})"

    def _name_class(self, kind: type) -> str:
        """What the file calls a class of named tuples."""
        if kind not in self.classes:
            self.copier.modules.add("collections")
            self.classes[kind] = self.copier.new_name(kind.__name__)
        return self.classes[kind]


def _read_parameters(exported: Exported) -> list[str]:
    reserved = {"np", "n", *keyword.kwlist}
    return [f"{name}_" if name in reserved else name for name in exported.parameters]


def _write_reshape(aval: Aval) -> str:
    shape = tuple(-1 if isinstance(k, Length) else k for k in aval.shape)
    return repr(aval.shape if shape.count(-1) > 1 else shape)


def _list_files(parameters: list[str]) -> str:
    return " ".join(f"{name}.npy" for name in parameters)


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic)


def _describe(aval: Aval) -> str:
    return f"{aval.dtype}{aval.shape}" if aval.form in ("array", "scalar") else aval.form


def _comment_on(line: UserLine) -> list[str]:
    """The user's line as a comment; none where its source is not there."""
    if not line.code:
        return []
    file = line.path.replace("\\", "/").rpartition("/")[2]
    return [f"# {file}:{line.number}: {line.code[:80]}"]


def _indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _write_small(constant: Any) -> str | None:
    """A constant of a few ordinary numbers as an expression; None for others."""
    dtype = constant.dtype
    few = 0 < np.size(constant) <= FEW and dtype.char in "fd?bhilqBHILQ"
    if not few or Aval.of(constant).order or not np.isfinite(constant).all():
        return None
    if not isinstance(constant, np.ndarray):
        return write_value(constant)
    return f"np.array({constant.tolist()}, {dtype.name!r})"


def _pack(arrays: dict[str, Any]) -> bytes:
    """Arrays as the bytes of a .npz file, the same for the same arrays."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, _written_by=np.bytes_(MARK), **arrays)
    return file.getvalue()
