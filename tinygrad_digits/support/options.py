"""Options that a function does not have, and what the caller may have meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def suggest_options(f: F) -> F:
    """f, whose TypeError for an option that it does not have names the nearest one, and all.

    >>> @suggest_options
    ... def scale(x, *, factor=2, offset=0):
    ...     return factor * x + offset
    >>> scale(1, factors=3)
    Traceback (most recent call last):
    ...
    TypeError: scale has no option 'factors': did you mean factor? It has factor, offset
    """
    parameters = inspect.signature(f).parameters

    @functools.wraps(f)
    def checked(*args: Any, **options: Any) -> Any:
        for name in options.keys() - parameters.keys():
            raise TypeError(_explain(f.__name__, name, parameters))
        return f(*args, **options)

    return checked  # type: ignore[return-value]


def _explain(function: str, name: str, parameters: Any) -> str:
    import difflib  # 2 ms, which only a mistake has to wait for

    options = [p.name for p in parameters.values() if p.default is not p.empty and p.name != "f"]
    near = [option for option in options if name.startswith(option)]  # donate_argnums, as in JAX
    near += difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{function} has no option {name!r}: {meant}It has {', '.join(options)}"
