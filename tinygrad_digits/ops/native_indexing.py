"""x[index] of integer arrays, and what goes with it, in native code: loops over the places."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .indexing import scatter, take


def _write_take(call: SourceCall) -> Callable[[Any], None] | None:
    (x,) = call.args
    if not (isinstance(x, SourceArray) and x.plain):
        return None
    places = _index_arrays(call.options["index"], len(x.shape))
    size = prod(x.shape[len(places) :])

    def write(code: Any) -> None:
        with code.loop(prod(places[0].shape)) as k:
            at = _find_place(code, places, x.shape, k)
            with code.loop(size) as r:
                call.out[k * size + r] = x[at * size + r]

    return write if places else None


def _write_scatter(call: SourceCall) -> Callable[[Any], None] | None:
    (g,), shape = call.args, call.options["shape"]
    if not (isinstance(g, SourceArray) and g.plain and g.shape):
        return None
    places = _index_arrays(call.options["index"], len(shape))
    size, out = prod(shape[len(places) :]), call.out

    def write(code: Any) -> None:
        out.fill(0)
        with code.loop(prod(places[0].shape)) as k:
            at = _find_place(code, places, shape, k)
            with code.loop(size) as r:
                out[at * size + r] = out[at * size + r] + g[k * size + r]

    return write if places else None


def _index_arrays(index: Any, rank: int) -> list[Any]:
    """The arrays of an index of plain arrays of integers, alike, for the leading axes; or none."""
    parts = [*index] if isinstance(index, tuple) else [index]
    whole = all(isinstance(x, SourceArray) and x.plain and x.shape for x in parts)
    if not whole or len(parts) > rank or len({x.shape for x in parts}) != 1:
        return []
    return parts if all(x.dtype.kind in "iu" for x in parts) else []


def _find_place(code: Any, places: list[Any], shape: tuple[int, ...], k: Any) -> Any:
    """Where the k-th of the indices leads to, among the leading axes of an array."""
    at = code.index(0)
    for place, n in zip(places, shape, strict=False):
        j = code.as_index(place[k])
        j = (j < 0).select(j + n, j)
        code.fail_if((j < 0) | (j >= n))
        at = at * n + j
    return at


register_lowering(take, function=operator.getitem, native=_write_take)
register_lowering(scatter, native=_write_scatter)
