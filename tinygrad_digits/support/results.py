"""Results as the caller's own: in memory that nobody else has, arrays or scalars as NumPy has them.

NumPy's ops return scalars where they leave no axis. A tracer says by `is_scalar` what NumPy would
have there.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def own(value: Any) -> Any:
    """A value as an op would return it: a copy of an array, and a scalar for one without axes."""
    if isinstance(value, np.ndarray):
        return value.copy()[()]
    return value[()] if _is_traced_0d(value) else value


def own_like(x: Any, value: Any) -> Any:
    """x in memory of its own: an array if the value is one, else a scalar; zeros for None."""
    if x is None:
        x = np.zeros_like(value)
    elif isinstance(x, np.ndarray | np.generic):
        x = np.array(x, subok=True)
    if _is_traced_0d(value):
        return np.broadcast_to(x, ())
    if isinstance(value, np.ndarray) or not (isinstance(x, np.ndarray) or _is_traced_0d(x)):
        return x
    return x[()]


def copy_leaf(leaf: Any) -> Any:
    """An array as one that nobody else has; anything else as it is."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def conjugate_leaf(x: Any) -> Any:
    """The conjugate of a complex array or number; anything else as it is."""
    if getattr(getattr(x, "dtype", None), "kind", "") != "c":
        return x
    return np.conjugate(x) if x.shape else own_like(np.conjugate(x), x)


def _is_traced_0d(value: Any) -> bool:
    """Whether a value is a tracer of an array (not of a scalar) without axes."""
    return getattr(value, "is_scalar", True) is False and not value.shape
