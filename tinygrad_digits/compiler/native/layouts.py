"""Where the elements of values are in memory: known when a program is compiled.

Whatever is computed lies in plain order (row by row); a view has the memory of a value and strides
of its own. What a view is like is found by making one, of an array that is never read.
"""

from __future__ import annotations

import functools
import operator
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..program import Equation, Operand, Program, Var

Strides: TypeAlias = tuple[int, ...]
"""Steps along the axes, in elements."""


class MemoryLayout(NamedTuple):
    """The value whose memory it is, and where in it the elements are."""

    root: int
    offset: int
    strides: Strides


@functools.cache
def plain_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Those of an array that lies row by row."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


class Layouts:
    """How the values of a program lie in memory."""

    def __init__(self, program: Program, own_products: bool = False) -> None:
        self.program = program
        self.own_products = own_products  # whether whoever links the code brings the products
        self.views: dict[int, MemoryLayout] = {}

    def of(self, index: int) -> MemoryLayout:
        """The layout of a value."""
        view = self.views.get(index)
        return view or MemoryLayout(index, 0, plain_strides(self.program.aval(index).shape))

    def is_plain(self, x: Operand) -> bool:
        """Whether an operand is an array that lies row by row."""
        if not isinstance(x, Var) or self.program.aval(x.index).form != "array":
            return False
        shape = self.program.aval(x.index).shape
        return self.of(x.index).strides == plain_strides(shape)

    def add_view(self, index: int, eqn: Equation) -> bool:
        """Note how a view lies in memory; False for what turns out to be no view."""
        x = eqn.args[0]
        if not isinstance(x, Var) or self.program.aval(x.index).form not in ("array", "scalar"):
            return False
        layout = self.of(x.index)
        root = np.empty(self.program.aval(layout.root).shape, eqn.aval.dtype)
        view = _look(eqn, _lay(root, layout, self.program.aval(x.index).shape))
        if view is None or not np.may_share_memory(view, root) or 0 in view.shape:
            return False
        size = root.itemsize
        offset = (view.ctypes.data - root.ctypes.data) // size
        self.views[index] = MemoryLayout(
            layout.root, offset, tuple([n // size for n in view.strides])
        )
        return True


def _lay(root: Any, layout: MemoryLayout, shape: tuple[int, ...]) -> Any:
    """A view with this layout."""
    flat = root.reshape(-1)[layout.offset :]
    strides = tuple([n * root.itemsize for n in layout.strides])
    return np.lib.stride_tricks.as_strided(flat, shape, strides)


RESHAPES = {np.reshape, np.expand_dims, np.squeeze}


def _look(eqn: Equation, x: Any) -> Any:
    """What an equation makes of an array, if that need not be copied."""
    try:
        if eqn.op.function in RESHAPES:
            if eqn.options.get("order", "C") != "C":
                return None
            return np.reshape(x, eqn.aval.shape, copy=False)
        if eqn.op.function is operator.getitem:
            index = eqn.options["index"]
            parts = index if isinstance(index, tuple) else (index,)
            return x[parts if Ellipsis in parts else (*parts, ...)]  # of a single element, too
        return eqn.op.kernel(x, *eqn.args[1:], **eqn.options)
    except (ValueError, TypeError):
        return None
