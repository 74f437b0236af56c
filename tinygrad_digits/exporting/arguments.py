"""The arguments of an exported function: the statements that check them and take them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..compiler.program import Aval
from ..compiler.signature import is_input
from ..support import tree
from ..support.errors import ExportError
from . import checks
from .copying import NotPlain, write_value
from .draft import Draft
from .expressions import Text
from .lengths import Length


class Arguments:
    """What is done with them before the program runs."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.batched: list[tuple[str, str]] = []
        """The batch's arrays and their paths."""

    def write(self) -> list[str]:
        """A statement for each leaf, and for each container."""
        draft, lines = self.draft, []
        indices = iter(draft.program.inputs)
        exported = draft.exported
        arguments = zip(exported.parameters, draft.parameters, exported.args, strict=True)
        for original, parameter, argument in arguments:
            if original in exported.static:
                lines.append(self._write_fixed(parameter, argument))
                continue
            lines += self._check_containers(argument, parameter)
            for path, leaf in tree.items(argument, parameter):
                if is_input(leaf):
                    lines.append(self._write_input(next(indices), path, parameter))
                else:
                    lines.append(self._write_fixed(path, leaf))
        return lines

    def _write_input(self, i: int, path: str, parameter: str) -> str:
        draft = self.draft
        aval = draft.program.aval(i)
        name = parameter if path == parameter else draft.copier.new_name(draft.scope.names[i])
        draft.scope.texts[i] = Text(name)
        if any(isinstance(k, Length) for k in aval.shape):
            self.batched.append((name, path))
        return f"{name} = {self._write_taking(path, aval)}"

    def write_length(self, body: list[str]) -> list[str]:
        """The statements that find out the length of the batch, if anybody asks for it."""
        (first, _), *others = self.batched or [("", "")]
        if not others and not (self.batched and uses_length(body)):
            return []
        lines = [f"n = len({first})"]
        if others:
            check = self.draft.copier.copy(checks.check_length)
            lines += [f"{check}({name}, {path!r}, n)" for name, path in others]
        return lines

    def _check_containers(self, argument: Any, path: str) -> Iterator[str]:
        container = tree.container_of(type(argument))
        if container is None:
            return
        children = container.open(argument)
        if isinstance(argument, dict):
            check = self.draft.copier.copy(checks.check_keys)
            yield f"{check}({path}, {path!r}, {write_value((*children,))})"
        elif isinstance(argument, list | tuple):
            check = self.draft.copier.copy(checks.check_count)
            yield f"{check}({path}, {path!r}, {len(children)})"
        for key, child in children.items():
            inner = f"{path}.{key}" if container.dotted else f"{path}[{key!r}]"
            yield from self._check_containers(child, inner)

    def _write_taking(self, path: str, aval: Aval) -> str:
        if aval.form == "number":
            take = checks.take_complex_number if aval.dtype.kind == "c" else checks.take_number
            return f"{self.draft.copier.copy(take)}({path}, {path!r})"
        if aval.form == "generator":
            return f"{self.draft.copier.copy(checks.take_generator)}({path}, {path!r})"
        shape = tuple(None if isinstance(k, Length) else k for k in aval.shape)
        take_array = self.draft.copier.copy(checks.take_array)
        whole = "[()]" if aval.form == "scalar" else ""
        return f"{take_array}({path}, {path!r}, {aval.dtype.name!r}, {shape}){whole}"

    def _write_fixed(self, path: str, leaf: Any) -> str:
        check = self.draft.copier.copy(checks.take_fixed)
        try:
            return f"{check}({path}, {path!r}, {write_value(leaf)})"
        except NotPlain:
            raise ExportError(
                f"the argument {path} is a {type(leaf).__name__}, which the file's users could "
                "not give: export functools.partial(f, ...) of the others, or a lambda"
            ) from None


def uses_length(lines: list[str]) -> bool:
    """Whether statements read the length of the batch."""
    return any(re.search(r"\bn\b", line.partition("  # ")[0]) for line in lines)
