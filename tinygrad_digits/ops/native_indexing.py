"""x[index], and what goes with it, in native code: loops over the places.

An index is told axis by axis of the array: a place that stays (a number, or one that is computed),
a slice, or an array of places. Where their results go among the axes of x[index] is NumPy's rule
(https://numpy.org/doc/stable/user/basics.indexing.html#combining-advanced-and-basic-indexing).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, TypeAlias

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .indexing import put, scatter, take


class _Sliced(NamedTuple):
    """A slice of so many elements, and the axis of the result that it becomes."""

    start: int
    step: int
    length: int
    axis: int


_Part: TypeAlias = "int | SourceArray | _Sliced"


class _Places(NamedTuple):
    """The parts of an index, one for each axis of the array; where those of arrays go."""

    parts: list[_Part]
    shape: tuple[int, ...]
    axis: int
    rank: int
    """Of the result."""

    def find_shape(self) -> tuple[int, ...]:
        """The shape of x[index]."""
        shape = [1] * self.rank
        shape[self.axis : self.axis + len(self.shape)] = self.shape
        for part in self.parts:
            if isinstance(part, _Sliced):
                shape[part.axis] = part.length
        return tuple(shape)

    def check(self, code: Any, shape: tuple[int, ...]) -> None:
        """Fail where a place is not in the array."""
        for part, n in zip(self.parts, shape, strict=True):
            if isinstance(part, SourceArray):
                with code.loop(prod(part.shape)) as k:
                    j = code.as_index(part[k])
                    code.fail_if((j < -n) | (j >= n))

    def find(self, code: Any, shape: tuple[int, ...], at: tuple[Any, ...]) -> tuple[Any, ...]:
        """The place in the array of the element that is at a place of x[index]."""
        return tuple(
            [self._find(code, part, n, at) for part, n in zip(self.parts, shape, strict=True)]
        )

    def _find(self, code: Any, part: _Part, n: int, at: tuple[Any, ...]) -> Any:
        if isinstance(part, int):
            return part
        if isinstance(part, _Sliced):
            return at[part.axis] * part.step + part.start
        inside = at[self.axis : self.axis + len(self.shape)]
        j = code.as_index(part[inside if part.shape else 0])
        return (j < 0).select(j + n, j)


def _write_take(call: SourceCall) -> Callable[[Any], None] | None:
    (x,) = call.args
    if not isinstance(x, SourceArray):
        return None
    places, out = _find_places(call.options["index"], x.shape), call.out
    if places is None or not any(isinstance(part, SourceArray) for part in places.parts):
        return None  # or a view

    def write(code: Any) -> None:
        places.check(code, x.shape)
        with code.loops(out.shape) as at:
            out[at] = x[places.find(code, x.shape, at)]

    return write


def _write_scatter(call: SourceCall) -> Callable[[Any], None] | None:
    (g,), shape = call.args, call.options["shape"]
    if not isinstance(g, SourceArray):
        return None
    places, out = _find_places(call.options["index"], shape), call.out
    if places is None or 0 in g.shape:
        return None

    def write(code: Any) -> None:
        places.check(code, shape)
        out.fill(0)
        with code.loops(g.shape) as at:
            to = places.find(code, shape, at)
            out[to] = out[to] + g[at]

    return write


def _write_put(call: SourceCall) -> Callable[[Any], None] | None:
    x, v = call.args
    if not isinstance(x, SourceArray) or not x.shape:
        return None
    places, out = _find_places(call.options["index"], x.shape), call.out
    if places is None:
        return None
    taken = places.find_shape()
    given = v.shape if isinstance(v, SourceArray) else ()
    if 0 in taken or len(given) > len(taken):
        return None

    def write(code: Any) -> None:
        places.check(code, x.shape)
        with code.loops(x.shape) as at:
            out[at] = x[at]
        with code.loops(taken) as at:
            within = at[len(at) - len(given) :]
            own = tuple([0 if n == 1 else k for n, k in zip(given, within, strict=True)])
            out[places.find(code, x.shape, at)] = v[own] if isinstance(v, SourceArray) else v

    return write


def _find_places(index: Any, shape: tuple[int, ...]) -> _Places | None:
    """An index in its parts, if it consists of what is native."""
    parts = _complete([*index] if isinstance(index, tuple) else [index], len(shape))
    if parts is None or not all(map(_is_native, parts)):
        return None
    arrays = [x for x in parts if isinstance(x, SourceArray) and x.shape]
    if len({x.shape for x in arrays}) > 1:
        return None
    own = arrays[0].shape if arrays else ()
    axis = _find_first_axis(parts) if arrays else 0
    found: list[_Part] = []
    position = 0  # among the axes of the result
    for part in parts:
        if arrays and position == axis:
            position += len(own)
        if part is None:
            position += 1
        elif isinstance(part, slice):
            start, stop, step = part.indices(n := shape[len(found)])
            length = len(range(start, stop, step))
            found.append(_Sliced(start, step, length, position))
            position += 1
            if not length:
                return None
        else:
            n = shape[len(found)]
            if isinstance(part, int) and not -n <= part < n:
                return None
            found.append(part % n if isinstance(part, int) else part)
    rank = max(position, axis + len(own))
    return _Places(found, own, axis, rank)


def _is_native(part: Any) -> bool:
    if isinstance(part, SourceArray):
        return part.dtype.kind in "iu" and part.plain and 0 not in part.shape
    if isinstance(part, slice):
        return all(type(x) in (int, type(None)) for x in (part.start, part.stop, part.step))
    return part is None or type(part) is int


def _complete(parts: list[Any], rank: int) -> list[Any] | None:
    """The parts with whole slices for what is left out."""
    left = rank - sum(part is not None and part is not Ellipsis for part in parts)
    if left < 0:
        return None
    at = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:at], *[slice(None)] * left, *parts[at + 1 :]]


def _find_first_axis(parts: list[Any]) -> int:
    """The axis of the result where those of the arrays begin: the first, if they are apart."""
    kinds = [part is None or isinstance(part, slice) for part in parts]
    advanced = [k for k, basic in enumerate(kinds) if not basic]
    apart = any(kinds[advanced[0] : advanced[-1]])
    return 0 if apart else sum(kinds[: advanced[0]])


register_lowering(take, function=operator.getitem, native=_write_take)
register_lowering(put, native=_write_put)


def _find_row(options: dict[str, Any]) -> int | None:
    """The row that an integer names; one that is traced has no number yet."""
    index = options["index"]
    return index if type(index) is int else None


register_lowering(scatter, native=_write_scatter, row=_find_row)
