"""The state of instances that a program has taken for granted: static arguments, a method's self.

    class Model:
        @td.jit
        def predict(self, x):           # reads self.w and, in self.scaled, self.factor
            return self.scaled(x @ self.w)

A program of `predict` is right until one of these attributes changes. What the method does not
read (`self.history`, which grows) makes no difference, and costs nothing.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from numbers import Number
from types import FunctionType
from typing import Any, cast

import numpy as np

from ..engine.primitive import Primitive
from ..engine.tensor import Tensor
from ..support.pickling import Decorated
from .free_variables import find_functions, is_fixed, names_used

MOST = 100
"""Values that are looked at in an instance: a call must not take long for a large one."""

_DYNAMIC = {"getattr", "vars", "__dict__", "attrgetter"}
"""Names that say that any attribute may be read."""

_HEAP_TYPE = 1 << 9
"""The flag of types that were made by a class statement (object.h)."""


def has_state(held: Any) -> bool:
    """Whether something is an instance of a class written in Python, and no function."""
    return _is_written(cast("Any", type(held))) and not is_fixed(held)


@functools.lru_cache(maxsize=1024)
def _is_written(kind: Any) -> bool:
    """Whether a type was made by a class statement, and its instances are no numbers or arrays."""
    no_state = (Primitive, Tensor, Decorated, enum.Enum, np.generic, np.ndarray, Number, str)
    return bool(kind.__flags__ & _HEAP_TYPE) and not issubclass(kind, no_state)


class Instance:
    """An instance as part of a signature: as it was when the signature was taken."""

    __slots__ = ("held", "state")

    def __init__(self, held: Any, attributes: Attributes) -> None:
        self.held = held
        self.state = attributes.state(held)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instance):
            return False
        if self.held is other.held:
            return self.state == other.state
        return bool(self.held == other.held)  # a class may say that two of it are the same

    def __hash__(self) -> int:
        return hash(self.held) if isinstance(self.held, Hashable) else id(self.held)


class Attributes:
    """Which attributes of instances a function reads, itself or in their methods."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._functions: dict[Hashable, Callable[..., Any]] = {Same(f): f}
        self._read: dict[type, frozenset[str]] = {}

    def notice(self, function: FunctionType) -> None:
        """Let what this function reads count, too: an argument, that may be called on instances."""
        if function.__code__ not in self._functions:
            self._functions[function.__code__] = function
            self._read.clear()

    def state(self, held: Any) -> tuple[Hashable, ...]:
        """What an instance holds now, as far as f reads it: containers in it by what is in them."""
        return tuple(map(_fingerprint, _collect_parts(held, self._names(held))))

    def describe(self, held: Any, path: str) -> dict[str, str]:
        """What f reads of an instance itself, for the warning that it keeps changing."""
        names = self._names(held)
        return {
            f"{path}.{name}": f"{type(x).__name__} at {id(x):#x}" if has_state(x) else repr(x)[:40]
            for name, x in _attributes(held)
            if name in names
        }

    def _names(self, held: Any) -> frozenset[str]:
        kind = type(held)
        if kind not in self._read:
            self._read[kind] = _find_names_read([*self._functions.values()], held)
        return self._read[kind]


class Same:
    """Something that is compared by being it."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


_ITEMS = (list, tuple, deque, set, frozenset)
_VALUES = (int, bool, str, bytes, type(None))


def _fingerprint(part: Any) -> Hashable:
    """A part of an instance as its state has it."""
    if type(part) in _VALUES:
        return type(part), part
    if isinstance(part, Number | np.generic):
        return type(part), repr(part)  # tells -0.0 from 0.0, and NaN is itself
    if isinstance(part, dict):
        return type(part), (*islice(part, MOST),), len(part)
    if isinstance(part, _ITEMS):
        return type(part), len(part)
    return fingerprint_array(part) if type(part) is np.ndarray else Same(part)


def fingerprint_array(array: Any) -> Hashable:
    """Which array it is, and some of the numbers in it."""
    if array.dtype.kind in "biufc":
        return Same(array), array.flat[:: 1 + array.size // MOST].tobytes()
    return Same(array)


def _collect_parts(held: Any, names: frozenset[str]) -> list[Any]:
    """An instance and what is in it, outside first: attributes of these names, and items."""
    parts, instances = [held], {id(held)}
    for part in parts:  # which grows
        for x in _look_inside(part, names):
            if len(parts) == MOST:
                return parts
            if id(x) not in instances:
                parts.append(x)
                if has_state(x):
                    instances.add(id(x))
    return parts


def _look_inside(part: Any, names: frozenset[str]) -> Iterable[Any]:
    """The attributes of these names of an instance; the first items of a container."""
    if isinstance(part, dict):
        return islice(part.values(), MOST)
    if isinstance(part, _ITEMS):
        return islice(part, MOST)
    if type(part) in _VALUES or not has_state(part):
        return ()
    return [x for name, x in _attributes(part) if name in names]


def _attributes(held: Any) -> Iterator[tuple[str, Any]]:
    """The names and values of an instance's own attributes."""
    yield from getattr(held, "__dict__", {}).items()
    for name in _slots(cast("Any", type(held))):
        if hasattr(held, name):
            yield name, getattr(held, name)


@functools.lru_cache(maxsize=1024)
def _slots(kind: Any) -> list[str]:
    """The names in the __slots__ of a class and of those that it is made from."""
    declared = [base.__dict__.get("__slots__", ()) for base in kind.__mro__]
    return [name for slots in declared for name in ((slots,) if type(slots) is str else slots)]


class _All(frozenset[str]):
    """All names."""

    def __contains__(self, name: object) -> bool:
        return True


def _find_names_read(functions: list[Callable[..., Any]], held: Any) -> frozenset[str]:
    """The names in functions and in those that they call, those of an instance's methods too."""
    names = _find_names_in(functions)
    while True:
        if names & _DYNAMIC:
            return _All()
        kinds = {type(part) for part in _collect_parts(held, frozenset(names)) if has_state(part)}
        more = _find_names_in(method for kind in kinds for method in _methods(kind, names))
        if more <= names:
            return frozenset(names)
        names |= more


def _find_names_in(functions: Iterable[Callable[..., Any]]) -> set[str]:
    """The names in functions, and in those that they close over or call."""
    called = [g for f in functions for g in find_functions(f)]
    codes = [g.__code__ for g in called if isinstance(g, FunctionType)]
    return {name for code in codes for name in names_used(code)}


def _methods(kind: type, names: set[str]) -> Iterator[FunctionType]:
    """The functions of a class that have one of these names, or that operators call."""
    for base in kind.__mro__:
        for name, method in vars(base).items():
            special = name.startswith("__") and name not in ("__init__", "__new__", "__repr__")
            if name in names or special:
                function = inspect.unwrap(getattr(method, "fget", None) or method)
                function = getattr(function, "__func__", function)
                if isinstance(function, FunctionType):
                    yield function
