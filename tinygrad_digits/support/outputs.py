"""What a function that is differentiated may return."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from .array_methods import ArrayMethods
from .errors import DisconnectedWarning, NotDifferentiableError
from .loading import load
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


def check_complex(value: Any, leaves: list[Any], pull: Any, f: Any, holomorphic: bool) -> Any:
    """What runs the rules of a sweep: `pull`, and with `holomorphic` what refuses other ops.

    Raises NotDifferentiableError for a complex output without `holomorphic`, and with it for a
    real output or parameter.
    """
    kind = "c" if type(value) is complex else getattr(value, "dtype", np.dtype(float)).kind
    if not holomorphic:
        if kind == "c":
            raise NotDifferentiableError(
                f"{name_of(f)} returned a complex number, which has no gradient: return a real "
                "one, as .real or abs make, or take the complex derivative of a holomorphic "
                "function with holomorphic=True"
            )
        return pull
    kinds = {kind, *[x.dtype.kind for x in leaves if isinstance(x, ArrayMethods)]}
    if kinds != {"c"}:
        raise NotDifferentiableError(
            f"holomorphic=True is for complex functions of complex numbers; {name_of(f)} has real "
            "parameters, or returned a real number: leave it out, or make them complex with "
            ".astype(complex)"
        )
    package = __package__.rpartition(".")[0]
    return load(f"{package}.transforms.holomorphy", "watch_sweep")(f, pull)


REAL = {"f", "i", "u"}
"""Kinds of dtypes."""


def check_constant(output: Any, f: Any, holomorphic: bool) -> None:
    """Warn of an output that is not on the tape; NotDifferentiableError unless a scalar."""
    kind = getattr(getattr(output, "dtype", None), "kind", None)
    own = {int: "i", float: "f", complex: "c"}.get(type(output), "")
    if (kind or own) not in (REAL | {"c"} if holomorphic else REAL) or np.size(output) != 1:
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
        if not isinstance(leaf, ArrayMethods | int | float | complex | np.ndarray | np.generic):
            raise NotDifferentiableError(
                f"{name_of(f)} must return arrays, got {type(leaf).__name__}"
            )
