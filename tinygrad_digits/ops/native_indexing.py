"""x[index] of integer arrays, and what goes with it, in native code: loops over the places."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .indexing import scatter, take


def _write_take(call: SourceCall) -> list[str] | None:
    (x,) = call.args
    if not (isinstance(x, SourceArray) and x.plain):
        return None
    places = _index_arrays(call.options["index"], len(x.shape))
    return places and [
        f"source, target = {x.flat}, {call.out.flat}",
        *_write_loop(places, x.shape, "target[k * {size} + r] = source[at * {size} + r]"),
    ]


def _write_scatter(call: SourceCall) -> list[str] | None:
    (g,), shape = call.args, call.options["shape"]
    if not (isinstance(g, SourceArray) and g.plain and g.shape):
        return None
    places = _index_arrays(call.options["index"], len(shape))
    return places and [
        f"source, target = {g.flat}, {call.out.flat}",
        "target[:] = 0",
        *_write_loop(places, shape, "target[at * {size} + r] += source[k * {size} + r]"),
    ]


def _index_arrays(index: Any, rank: int) -> list[Any]:
    """The arrays of an index of plain arrays of integers, alike, for the leading axes; or none."""
    parts = [*index] if isinstance(index, tuple) else [index]
    whole = all(isinstance(x, SourceArray) and x.plain and x.shape for x in parts)
    if not whole or len(parts) > rank or len({x.shape for x in parts}) != 1:
        return []
    return parts if all(x.dtype.kind in "iu" for x in parts) else []


def _write_loop(places: list[Any], shape: tuple[int, ...], statement: str) -> list[str]:
    """For each k a place `at` in an array of this shape, and a statement for what is there."""
    statements = [f"for k in range({prod(places[0].shape)}):", "    at = 0"]
    for place, n in zip(places, shape, strict=False):
        statements += [
            f"    j = int({place.flat}[k])",
            f"    j = j + {n} if j < 0 else j",
            f"    if j < 0 or j >= {n}:",
            '        raise IndexError("an index is out of bounds")',
            f"    at = at * {n} + j",
        ]
    size = prod(shape[len(places) :])
    return [*statements, f"    for r in range({size}):", f"        {statement.format(size=size)}"]


register_lowering(take, function=operator.getitem, native=_write_take)
register_lowering(scatter, native=_write_scatter)
