"""What a function that is differentiated may return."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from .array_methods import ArrayMethods
from .errors import DisconnectedWarning, NotDifferentiableError
from .pickling import name_of
from .user_lines import warn


def split_aux(output: Any, f: Any) -> tuple[Any, Any]:
    """(output, aux), of a function that is said to return such a pair."""
    if not (isinstance(output, tuple) and len(output) == 2):
        raise TypeError(f"has_aux=True: {name_of(f)} must return a pair (output, aux)")
    return output


def refuse_array(shape: tuple[int, ...], f: Any) -> NoReturn:
    """Raise NotDifferentiableError for an output of this shape, where a scalar was to be."""
    raise NotDifferentiableError(
        f"{name_of(f)} returned an array of shape {shape}; a gradient needs a scalar: reduce it "
        "with .mean() or .sum(), take all the derivatives with jacobian, or use vjp with a "
        "cotangent of that shape"
    )


def check_constant(output: Any, f: Any) -> None:
    """Warn of an output that is not on the tape; NotDifferentiableError unless a real scalar."""
    kind = getattr(getattr(output, "dtype", None), "kind", None)
    number = type(output) in (int, float) or (kind is not None and kind in "fiu")
    if not number or np.size(output) != 1:
        described = f"{output.dtype}{np.shape(output)}" if kind else type(output).__name__
        raise NotDifferentiableError(
            f"{name_of(f)} must return a real scalar to be differentiated, got {described}"
            + ("; with has_aux=True it may return (scalar, aux)" if type(output) is tuple else "")
        )
    warn(
        f"the output of {name_of(f)} depends on none of its inputs: the gradient is zero",
        DisconnectedWarning,
    )


def check_arrays(outputs: list[Any], f: Any) -> None:
    """Raise NotDifferentiableError for an output that is neither an array nor a number."""
    for leaf in outputs:
        if not isinstance(leaf, ArrayMethods | int | float | np.ndarray | np.generic):
            raise NotDifferentiableError(
                f"{name_of(f)} must return arrays, got {type(leaf).__name__}"
            )
