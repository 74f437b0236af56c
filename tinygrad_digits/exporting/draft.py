"""A Python file under construction: what its parts share."""

from __future__ import annotations

import builtins
import keyword

from ..compiler.program import Aval, Program
from .copying import Copier
from .expressions import Text
from .tracing import Exported, suggest_names

RESERVED = {*keyword.kwlist, "np", "n"}
"""Names that mean something in every file."""


class Draft:
    """The names of a file, and the functions that are copied into it."""

    def __init__(self, exported: Exported, name: str) -> None:
        self.exported = exported
        self.program: Program = exported.program
        self.name = name
        self.parameters = [f"{x}_" if x in RESERVED else x for x in exported.parameters]
        self.copier = Copier({*RESERVED, *dir(builtins), *self.parameters, name})
        self.scope = Scope(self.program, suggest_names(exported, self.program))


class Scope:
    """A program in the file, the whole one or a step of a loop: how its values are called."""

    def __init__(self, program: Program, names: dict[int, str]) -> None:
        self.program = program
        self.names = names
        """Of inputs and constants, as the user calls them."""
        self.texts: dict[int, Text] = {}
        """Of all values, as the file does."""


def describe(aval: Aval) -> str:
    """What a comment says of a value.

    >>> import numpy as np
    >>> describe(Aval((2, 3), np.dtype("float32")))
    'float32(2, 3)'
    """
    return f"{aval.dtype}{aval.shape}" if aval.form in ("array", "scalar") else aval.form
