"""NumPy's two protocols: what becomes of a call of one of its functions on a Tensor.

A ufunc's plain call goes to its op at once (`ArrayMethods.__array_ufunc__`); all others come here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..support.errors import NotDifferentiableError
from ..support.foreign import admit_all, admit_options
from ..support.numpy_arguments import drop_arrays, name_arguments, place_arrays
from ..support.substitutes import NUMPY, PROTOCOLS, REFUSED, SCIPY


def call_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """A ufunc with keywords, one of its methods (reduce, outer ...), or one of SciPy's."""
    if options.get("out") is not None:
        raise NotDifferentiableError(
            f"{ufunc.__name__}: cannot write a Tensor into an existing array (out=, or +=); "
            "make a new one instead: h = h + x, not h += x"
        )
    options = admit_options(drop_arrays(method, options), ufunc.__name__)
    op = NUMPY.get((ufunc, method))
    if op is None and method == "__call__" and _is_scipys(ufunc):
        op = SCIPY.get(ufunc.__name__)
    if op is None:
        raise no_rule(ufunc, method)
    return op(*admit_all(inputs, ufunc.__name__), **options)


def call_function(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Any other NumPy function."""
    op = NUMPY.get(function)
    if op is None:
        raise no_rule(function)
    args = admit_all(args, function.__name__)
    if options:
        options = admit_options(options, function.__name__)
    if not args:  # np.sum(a=x)
        args, options = place_arrays(function, options)
    elif len(args) > 2:  # np.sum(x, 0, None, None, True)
        args, options = name_arguments(function, op, args, options)
    return op(*args, **options)


PROTOCOLS |= {"__array_ufunc__": call_ufunc, "__array_function__": call_function}


def _is_scipys(ufunc: np.ufunc) -> bool:
    return getattr(sys.modules.get("scipy.special"), ufunc.__name__, None) is ufunc


def no_rule(function: Any, method: str = "__call__") -> NotDifferentiableError:
    """The error for a function that has no op to stand in for it."""
    name = function.__name__
    if isinstance(function, np.ufunc):
        module = "np." if getattr(np, name, None) is function else ""
    else:
        module = f"{function.__module__}.".replace("numpy.", "np.", 1)
    method = "" if method == "__call__" else f".{method}"
    if function in REFUSED:
        return NotDifferentiableError(f"{module}{name}{method}: {REFUSED[function]}")
    return NotDifferentiableError(
        f"{module}{name}{method} has no derivative rule. Write it with functions that have one, or "
        f"give it a rule: {name} = td.define({module}{name}{method}, lambda g, y, x: ...)"
    )
