"""The names that the source of a program uses: for values, and for what it is given."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import isfinite, prod
from typing import Any

import numpy as np

from .program import Operand, Program, Var

_MANY = 1 << 18  # elements of a constant that is repeated for speed


class Namespace:
    """What the source of a program can use, by name."""

    def __init__(self, program: Program, given: dict[str, Any]) -> None:
        self.things = dict(given)
        self.values = {i: f"a{i}" for i in program.inputs}
        """The names of the program's values."""
        self.values |= {i: f"v{i}" for i in program.equations}
        self._numbers: dict[Any, Any] = {}
        self._serials = itertools.count()
        for i, constant in program.constants.items():
            self.values[i] = self.bind(f"c{i}", constant)

    def bind(self, name: str, thing: Any) -> str:
        """A name under which the source can use something."""
        while self.things.setdefault(name, thing) is not thing:
            name += "_"
        return name

    def number(self, x: float, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
        """A number as an array: of one element, or (maximum goes four times as fast) of many."""
        key, size = (float(x).hex(), dtype), prod(shape)
        if key not in self._numbers or self._numbers[key].size < size <= _MANY:
            with np.errstate(over="ignore"):
                self._numbers[key] = np.full(size, x, dtype)
        known = self._numbers[key]
        array = known[:size].reshape(shape) if size <= known.size else known[:1].reshape(())
        return self.bind(f"k{next(self._serials)}", array)

    def text(self, x: Operand) -> str:
        """An operand as the source has it."""
        if isinstance(x, Var):
            return self.values[x.index]
        if isinstance(x, tuple):
            return f"({list_names(map(self.text, x))})"
        if isinstance(x, list):
            return f"[{list_names(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({self.text(x.start)}, {self.text(x.stop)}, {self.text(x.step)})"
        if x is None or x is Ellipsis or type(x) in (bool, int, str):
            return repr(x)
        if type(x) is float and isfinite(x):
            return repr(x)
        return self.bind(f"k{next(self._serials)}", x)


def list_names(names: Iterable[str]) -> str:
    """Names as the source lists them: "a, b, "."""
    return "".join(f"{name}, " for name in names)
