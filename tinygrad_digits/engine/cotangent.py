"""Shape and dtype of cotangents: a cotangent has those of what it belongs to."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..support.errors import NotDifferentiableError, ShapeError, wrong_cotangent
from ..support.foreign import as_array
from .primitive import Array, Primitive


def as_cotangent(g: Any, y: Array) -> Array:
    """g as a cotangent of y: of its shape, in its dtype."""
    g = as_array(g)
    shape, dtype = getattr(y, "shape", ()), getattr(y, "dtype", np.dtype(float))
    if g.shape != shape:
        raise ShapeError(f"the cotangent has shape {g.shape}, the output {shape}")
    if g.dtype.kind not in ("fiubc" if dtype.kind == "c" else "fiub"):
        raise NotDifferentiableError(f"a cotangent of {dtype} is no array of {g.dtype}")
    return g if g.dtype == dtype else g.astype(dtype)


def conform(
    ct: Array, shape: tuple[int, ...], dtype: np.dtype[Any], op: Primitive, y_dtype: np.dtype[Any]
) -> Array:
    """A cotangent in the dtype of its primal.

    One in the precision of the op's output is cast: a float32 parameter that met float64 data has
    a float32 gradient. A real primal takes the real part: with dL = Re(ct dx) and a real dx, that
    is what is left. Anything else is a mistake in the op's rule, and a RuleError.
    """
    if ct.dtype != dtype and ct.dtype.char.lower() in (y_dtype.char.lower(), dtype.char.lower()):
        ct = np.real(ct) if dtype.kind != "c" else ct
        ct = ct.astype(dtype)
    if ct.shape != shape or ct.dtype != dtype:
        raise wrong_cotangent(op.name, ct, f"{dtype}{shape}", y_dtype)
    return ct


def unbroadcast(ct: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes that broadcasting added to, or stretched from, `shape`.

    The transpose of broadcasting: what was copied n times has the sum of n cotangents.
    """
    added = ct.ndim - len(shape)
    if added < 0:
        return ct  # nothing was broadcast: the rule is wrong, as `conform` will say
    plain = type(ct) is np.ndarray or hasattr(ct, "tape")
    if added == 1 and plain and ct.ndim == 2 and ct.dtype.char in "fd":
        row = ones(ct.shape[0], ct.dtype)
        # dot is 0.5 us faster, but rounds as @ does only for memory in one piece
        ct = row.dot(ct) if type(ct) is np.ndarray and ct.flags.forc else row @ ct
    elif added:
        ct = np.sum(ct, tuple(range(added)))
    if ct.shape == shape:
        return ct
    stretched = tuple([i for i, n in enumerate(shape) if n == 1 and ct.shape[i] != 1])
    return np.sum(ct, stretched).reshape(shape) if stretched else ct


@functools.lru_cache(maxsize=16)
def ones(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A vector to sum with: `ones @ x` is a BLAS call, up to six times as fast as np.sum(x, 0)."""
    full = np.ones(shape, dtype)
    full.flags.writeable = False  # it is shared
    return full
