"""Functions that pickle as the call that made them, so that other processes can have them.

The standard pickle knows a function by the name under which it can be imported; one that a
transform returns has no such name. What it was made of usually has, and the transform too.

A decorated function hides what it was made of. It pickles as its own name; but one of a script
does not, since other pickles (cloudpickle, of joblib and Dask) send what a script defines to
workers that do not have it. There the function inside is given a name of its own to be found by.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class computed_once:  # noqa: N801 (it is used as a decorator)
    """functools.cached_property without its lock (Python 3.11), which a fork might inherit held.

    Two threads may compute the value at once; one of theirs is kept.
    """

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute = compute

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return vars(instance).setdefault(self.compute.__name__, self.compute(instance))


class Decorated:
    """What may stand, in its module, in the place of the function that it was made of."""

    @computed_once
    def plain(self) -> Callable[..., Any]:
        """A copy of that function that the standard pickle finds: as an attribute of this."""
        f: Any = inspect.unwrap(cast("Any", self))
        copy = types.FunctionType(
            f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__
        )
        functools.update_wrapper(copy, f)
        del copy.__wrapped__  # type: ignore[attr-defined]
        copy.__kwdefaults__ = f.__kwdefaults__
        copy.__qualname__ = f"{f.__qualname__}.plain"
        return copy


class Restorable(functools.partial[Any], Decorated):
    """A function that a call has made; a `partial` of nothing, since that is called without delay.

    A class with a `__call__` of its own costs 50 ns a call, this 20. It pickles as the name under
    which it can be imported, if it was made by a decorator, or as the call.
    """

    __name__: str
    __qualname__: str
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<function {getattr(self, '__qualname__', '?')} at {id(self):#x}>"

    def __reduce__(self) -> Any:
        maker, args, options = self.call
        args = tuple(map(as_findable, args))
        return importable_name(self) or (functools.partial(maker, *args, **options), ())

    def __copy__(self) -> Restorable:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Restorable:
        return self


def make_restorable(
    function: Callable[..., Any],
    like: Any,
    maker: Callable[..., Any],
    *args: Any,
    **options: Any,
) -> Restorable:
    """The function, with the name and signature of another, which maker(*args, **options) makes.

    >>> import operator, pickle
    >>> third = make_restorable(lambda x: x[2], operator.itemgetter(0), operator.itemgetter, 2)
    >>> pickle.loads(pickle.dumps(third))("abc")
    'c'
    """
    whole = Restorable(function)
    functools.update_wrapper(whole, like)
    whole.call = maker, args, options
    return whole


def name_of(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def wrap_transform(
    f: Any, g: Callable[..., Any], transform: Callable[..., Any], *args: Any, **options: Any
) -> Restorable:
    """g as what transform(f, *args, **options) makes of f, in name, signature and pickles."""
    whole = make_restorable(g, f, transform, f, *args, **options)
    whole.__name__ = whole.__qualname__ = f"{transform.__name__}({name_of(f)})"
    return whole


def importable_name(function: Any) -> str | None:
    """The name in its module by which a decorated function is found; None in a script."""
    inner = inspect.unwrap(function)
    if _find_namesake(inner) is not function or inner.__module__ == "__main__":
        return None
    return cast("str", inner.__qualname__)


def as_findable(f: Any) -> Any:
    """A function that has a name to pickle it by, where f is decorated in a script; else f."""
    if isinstance(f, types.FunctionType) and f.__module__ == "__main__":
        outside = _find_namesake(f)
        if isinstance(outside, Decorated) and inspect.unwrap(cast("Any", outside)) is f:
            return outside.plain
    return f


def _find_namesake(f: Any) -> Any:
    """What has the name of a function in its module."""
    module: Any = sys.modules.get(getattr(f, "__module__", None) or "")
    try:
        return functools.reduce(getattr, getattr(f, "__qualname__", "").split("."), module)
    except AttributeError:  # made in a function, or a ufunc
        return None


def pickle_as_call(maker: Callable[P, R]) -> Callable[P, R]:
    """For what returns a function, or a named tuple of functions: each pickles as the call.

    >>> import pickle, tinygrad_digits as td
    >>> optimizer = pickle.loads(pickle.dumps(td.optim.gradient_descent(0.5)))
    >>> optimizer.update(1.0, 4.0, None)
    (-1.0, None)
    """

    @functools.wraps(maker)
    def remembered(*args: P.args, **options: P.kwargs) -> R:
        result = maker(*args, **options)
        if not isinstance(result, tuple):
            return cast(
                "R", make_restorable(cast("Any", result), result, remembered, *args, **options)
            )
        call = RestorableCall(remembered, args, options)
        parts = [make_restorable(f, f, call.part, k) for k, f in enumerate(cast("Any", result))]
        return cast("R", cast("Any", type(result))(*parts))

    return remembered


class RestorableCall(NamedTuple):
    """A call that makes several functions."""

    maker: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]

    def part(self, k: int) -> Any:
        """The k-th of what it makes."""
        return self.maker(*self.args, **self.options)[k]
