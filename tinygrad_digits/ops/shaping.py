"""The same elements in another shape or order. The derivative puts them back."""

from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.cotangent import unbroadcast
from ..engine.define import define
from ..engine.primitive import Array, Function, Kind
from ..engine.tensor import Tensor
from ..staging.batching import (
    BatchedCall,
    as_tuple,
    batch_two_axes,
    batch_whole,
    move_axis,
    register_batching,
    shift_axis,
    widen,
)
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import as_array
from .registering import handles, implement
from .views import TAKES_COPIES, VIEWS, Way, memory_of, share

Shape: TypeAlias = int | tuple[int, ...]

view = partial(implement, kind=Kind.VIEW)


def _reshape(x: Array, shape: Shape, order: Any = "C") -> Array:
    if order == "C":  # which other libraries' arrays know without its name
        return x.reshape(shape)
    if order != "F":  # the others depend on how x happens to lie in memory
        raise ValueError(f"reshape: no derivative rule with order={order!r}; it takes 'C' or 'F'")
    return x.reshape(shape, order="F")


def _broadcast_to(x: Array, shape: Shape) -> Array:
    if type(x) is not np.ndarray and not isinstance(x, np.generic):
        return np.broadcast_to(x, shape)
    if x.ndim > np.size(shape):
        return np.broadcast_to(x, shape)  # which refuses
    full = np.empty(shape, x.dtype)  # a third of what np.broadcast_to spends on making a view
    full[...] = x
    return full


def _inverse(axes: Shape | None) -> Shape | None:
    """The permutation that undoes `axes`; of a vector's only axis, or of all reversed, itself."""
    if axes is None or isinstance(axes, int | np.integer):
        return axes
    positive = [axis % len(axes) for axis in axes]
    return tuple(sorted(range(len(axes)), key=positive.__getitem__))


reshape = view(
    np.reshape,
    lambda g, _y, x_like, shape, order="C": _reshape(g, x_like.shape, order),
    kernel=_reshape,
)
transpose = view(
    np.transpose,
    lambda g, _y, _x, axes=None: np.transpose(g, _inverse(axes)),
)
swapaxes = view(np.swapaxes, lambda g, _y, _x, axis1, axis2: np.swapaxes(g, axis1, axis2))
expand_dims = view(np.expand_dims, lambda g, _y, x_like, axis: g.reshape(x_like.shape))
squeeze = view(np.squeeze, lambda g, _y, x_like, axis=None: g.reshape(x_like.shape))
broadcast_to = view(
    np.broadcast_to, lambda g, _y, x_like, shape: unbroadcast(g, x_like.shape), kernel=_broadcast_to
)


# --- for many examples at once


def _batch_reshape(call: BatchedCall) -> Any:
    (x,), options = call.xs, call.options
    shape = as_tuple(options["shape"])
    count = prod(x.shape[1:])
    known = prod(n for n in shape if n != -1)
    shape = tuple([count // max(known, 1) if n == -1 else n for n in shape])
    if prod(shape) != count:
        raise ShapeError(f"cannot reshape an example of shape {x.shape[1:]} into {shape}")
    if options.get("order", "C") == "C":
        return x.reshape(len(x), *shape)
    y = np.reshape(move_axis(x, 0, -1), (*shape, len(x)), order="F")  # the last varies slowest
    return move_axis(y, -1, 0)


def _batch_transpose(call: BatchedCall) -> Any:
    ndim = call.ndims()[0]
    axes = call.options.get("axes")
    axes = range(ndim)[::-1] if axes is None else axes
    return np.transpose(call.xs[0], (0, *[axis % ndim + 1 for axis in axes]))


def _batch_expand_dims(call: BatchedCall) -> Any:
    axis = call.options["axis"]
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = call.ndims()[0] + len(axes)
    return call.op.apply(call.xs[0], axis=tuple([shift_axis(i, ndim) for i in axes]))


def _batch_squeeze(call: BatchedCall) -> Any:
    (x,), axis = call.xs, call.options.get("axis")
    if axis is None:
        return x.reshape(len(x), *[n for n in x.shape[1:] if n != 1])
    axes = axis if isinstance(axis, tuple) else (axis,)
    return call.op.apply(x, axis=tuple([shift_axis(i, x.ndim - 1) for i in axes]))


def _batch_broadcast_to(call: BatchedCall) -> Any:
    (x,), shape = call.xs, as_tuple(call.options["shape"])
    x = widen(x, True, len(shape))
    return call.op.apply(x, shape=(len(x), *shape))


register_batching(_batch_reshape, reshape)
register_batching(_batch_transpose, transpose)
register_batching(batch_two_axes, swapaxes)
register_batching(_batch_expand_dims, expand_dims)
register_batching(_batch_squeeze, squeeze)
register_batching(_batch_broadcast_to, broadcast_to)


# --- views, and what is made of them


def _fits(x: Tensor, what: Any) -> bool:
    """Whether NumPy reshapes x by looking at its memory in another way."""
    lying = memory_of(x)
    if not isinstance(lying, np.ndarray):
        return True  # the arrays of other libraries, which do not tell
    args, options = what
    if len(args) == 1 and not options and lying.flags.c_contiguous:
        return True
    return np.may_share_memory(lying, _reshape(lying, *args, **options))


_reshaping = VIEWS[reshape.primitive]
VIEWS[reshape.primitive] = _reshaping._replace(shares=_fits)
VIEWS[broadcast_to.primitive] = Way(  # the kernel copies
    lambda x, what: np.broadcast_to(x, *what[0], **what[1]), put_back=None
)


@handles(np.full_like)
def full_like(
    a: Array, fill_value: Array, dtype: Any = None, *, shape: Shape | None = None
) -> Array:
    """numpy.full_like; what it is filled with may be a Tensor, and gets the sum of the gradient."""
    shape = np.shape(a) if shape is None else shape
    return np.broadcast_to(fill_value, shape).astype(np.result_type(a) if dtype is None else dtype)


@handles(np.reshape)
def numpys_reshape(
    a: Array, /, shape: Shape, order: Any = "C", *, copy: bool | None = None
) -> Array:
    """numpy.reshape; whether a Tensor is looked at or copied shows in assignments alone."""
    if copy is not None and not copy:
        raise NotDifferentiableError("reshape: copy=False cannot be promised for a Tensor")
    return reshape(a, shape, order).copy() if copy else reshape(a, shape, order)


@handles(np.ravel)
def ravel(a: Array, order: Any = "C") -> Array:
    """numpy.ravel: (...) -> (size,)."""
    if isinstance(a, Tensor) and not _is_contiguous(a, order):
        return _reshaping.take(a, ((-1,), {"order": order}))
    return reshape(a, -1, order=order)


def _is_contiguous(x: Tensor, order: str) -> bool:
    flags = getattr(memory_of(x), "flags", None)
    return flags is None or bool(flags.f_contiguous if order == "F" else flags.c_contiguous)


_compact = define(
    lambda x: x.copy(), lambda g, _y, _x: g, name="copy", kind=Kind.ELEMENTWISE, unchecked=True
)
register_batching(batch_whole, _compact)


def copy(x: Array, order: str = "C") -> Array:
    """ndarray.copy: in a memory of its own, and in that in order, as a reshape of it will show."""
    return _compact(x) if order == "C" and not _is_contiguous(x, order) else +x


def flat(x: Tensor) -> Array:
    """ndarray.flat: (...) -> (size,), a view however x lies in memory; but its parts are copies."""
    y = _reshaping.take(x, ((-1,), {}))
    share(x, y, Way(*_reshaping[:2]), ((-1,), {}))
    y.views = TAKES_COPIES
    return y


def flatten(a: Array, order: Any = "C") -> Array:
    """ndarray.flatten: (...) -> (size,), a copy."""
    return ravel(a, order).copy()


# --- axes in another order: NumPy's own function is asked where an array of shape (0, 1, 2, ...)
# would have its axes


def _in_the_order_of(reordered: Array, x: Array) -> Array:
    return np.transpose(x, reordered.shape)


def _axes(x: Array) -> Array:
    return np.empty(tuple(range(x.ndim)))


@handles(np.moveaxis)
def moveaxis(a: Array, source: Shape, destination: Shape) -> Array:
    """numpy.moveaxis."""
    return _in_the_order_of(np.moveaxis(_axes(a), source, destination), a)


@handles(np.rollaxis)
def rollaxis(a: Array, axis: int, start: int = 0) -> Array:
    """numpy.rollaxis."""
    return _in_the_order_of(np.rollaxis(_axes(a), axis, start), a)


@handles(np.matrix_transpose)
def matrix_transpose(x: Array, /) -> Array:
    """numpy.matrix_transpose: (..., n, m) -> (..., m, n)."""
    return _in_the_order_of(np.matrix_transpose(_axes(x)), x)


@handles(np.flip)
def flip(m: Array, axis: Shape | None = None) -> Array:
    """numpy.flip: the elements read backwards along the axes, all of them by default."""
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    return m[tuple([slice(None, None, -1 if i in axes else None) for i in range(m.ndim)])]


@handles(np.fliplr)
def fliplr(m: Array) -> Array:
    """numpy.fliplr."""
    return np.flip(m, 1)


@handles(np.flipud)
def flipud(m: Array) -> Array:
    """numpy.flipud."""
    return np.flip(m, 0)


@handles(np.rot90)
def rot90(m: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """numpy.rot90: k quarter turns from the first of the axes towards the second."""
    np.rot90(_axes(m), k, axes)  # which checks the axes
    first, second = axes
    if k % 2 == 0:
        return np.flip(m, axes) if k % 4 else m[...]
    turned = np.swapaxes(m, first, second)
    return np.flip(turned, first if k % 4 == 1 else second)


# --- axes of length one


def _each(reshaped: Function) -> Function:
    """One array for one, a tuple of them for several."""

    def each(*arys: Array) -> Any:
        found = tuple([reshaped(as_array(x)) for x in arys])
        return found[0] if len(found) == 1 else found

    return each


@handles(np.atleast_1d)
@_each
def atleast_1d(x: Array) -> Array:
    return x if x.shape else np.reshape(x, 1)


@handles(np.atleast_2d)
@_each
def atleast_2d(x: Array) -> Array:
    return x if len(x.shape) >= 2 else np.reshape(x, (1, -1) if x.shape else (1, 1))


@handles(np.atleast_3d)
@_each
def atleast_3d(x: Array) -> Array:
    if len(x.shape) >= 3:
        return x
    return np.reshape(x, (*x.shape, 1) if len(x.shape) == 2 else (1, *(x.shape or (1,)), 1))


# --- broadcasting


@handles(np.broadcast_arrays)
def broadcast_arrays(*args: Array) -> tuple[Array, ...]:
    """numpy.broadcast_arrays."""
    arrays = [as_array(x) for x in args]
    shape = np.broadcast_shapes(*[x.shape for x in arrays])
    return tuple([x if x.shape == shape else np.broadcast_to(x, shape) for x in arrays])


@handles(np.meshgrid)
def meshgrid(
    *xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Array, ...]:
    """numpy.meshgrid: n vectors -> n arrays of n axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    axes = [*range(len(xi))]
    if indexing == "xy":
        axes[:2] = axes[1::-1]
    grids: tuple[Array, ...] = tuple(
        np.reshape(x, [-1 if i == axis else 1 for i in range(len(xi))])
        for x, axis in zip(xi, axes, strict=True)
    )
    grids = grids if sparse else np.broadcast_arrays(*grids)
    return tuple([+x for x in grids]) if copy else tuple(grids)
