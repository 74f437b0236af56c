"""The same elements in another shape or order. The derivative puts them back."""

from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..engine.errors import NotDifferentiableError
from ..engine.primitive import Kind, handles, implement
from ..engine.tape import Array, unbroadcast

Shape: TypeAlias = int | tuple[int, ...]

row = partial(implement, kind=Kind.VIEW)


def _reshape(x: Array, shape: Shape, order: Any = "C") -> Array:
    if order not in ("C", "F"):  # the others depend on how x happens to lie in memory
        raise ValueError(f"reshape: no derivative rule with order={order!r}; it takes 'C' or 'F'")
    return x.reshape(shape, order=order)


def _broadcast_to(x: Array, shape: Shape) -> Array:
    if type(x) is not np.ndarray and not isinstance(x, np.generic):
        return np.broadcast_to(x, shape)
    if x.ndim > np.size(shape):
        return np.broadcast_to(x, shape)  # which refuses
    full = np.empty(shape, x.dtype)  # a third of what np.broadcast_to spends on making a view
    full[...] = x
    return full


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    positive = [axis % len(axes) for axis in axes]
    return tuple(sorted(range(len(axes)), key=positive.__getitem__))


reshape = row(
    np.reshape,
    lambda g, _y, x_like, shape, order="C": _reshape(g, x_like.shape, order),
    kernel=_reshape,
)
transpose = row(
    np.transpose,
    lambda g, _y, _x, axes=None: np.transpose(g, None if axes is None else _inverse(axes)),
)
swapaxes = row(np.swapaxes, lambda g, _y, _x, axis1, axis2: np.swapaxes(g, axis1, axis2))
expand_dims = row(np.expand_dims, lambda g, _y, x_like, axis: g.reshape(x_like.shape))
squeeze = row(np.squeeze, lambda g, _y, x_like, axis=None: g.reshape(x_like.shape))
broadcast_to = row(
    np.broadcast_to, lambda g, _y, x_like, shape: unbroadcast(g, x_like.shape), kernel=_broadcast_to
)


@handles(np.full_like)
def full_like(
    a: Array, fill_value: Array, dtype: Any = None, *, shape: Shape | None = None
) -> Array:
    """numpy.full_like; what it is filled with may be a Tensor, and gets the sum of the gradient."""
    shape = np.shape(a) if shape is None else shape
    return np.broadcast_to(fill_value, shape).astype(np.result_type(a) if dtype is None else dtype)


@handles(np.copyto)
def copyto(*_args: Array, **_options: Any) -> None:
    """Refused, in the name of np.full_like and others that fill an array that they have made."""
    raise NotDifferentiableError(
        "np.copyto (np.full_like, np.full): a Tensor cannot be written into an array; "
        "np.broadcast_to(tensor, shape) is filled with it"
    )


@handles(np.ravel)
def ravel(x: Array, order: Any = "C") -> Array:
    """numpy.ravel: (...) -> (size,)."""
    return reshape(x, -1, order=order)
