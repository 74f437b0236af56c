"""Taking some of the elements, and putting several arrays into one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.primitive import Each, Kind, Op, define, handles, no_rule_with
from ..engine.tape import Array
from ..engine.tensor import Tensor

# --- x[index]


def _getitem(x: Array, index: Any) -> Array:
    return x[index]


def _scatter(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with g added at `index`: the transpose of x[index].

    >>> _scatter(np.ones(3), [0, 0, 1], (4,))
    array([2., 1., 0., 0.])
    """
    full = np.zeros(shape, g.dtype)
    if _may_repeat(index):
        np.add.at(full, index, g)
    else:
        full[index] = g
    return full


def _may_repeat(index: Any) -> bool:
    """Whether an index can name an element twice: only one with integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(not _is_basic(part) and np.asarray(part).dtype != bool for part in parts)


def _frozen(index: Any) -> Any:
    """The index as it is now, sequences as arrays of their own: their owner may change them."""
    if isinstance(index, tuple):
        return tuple([part if _is_basic(part) else _array(part) for part in index])
    return index if _is_basic(index) else _array(index)


def _is_basic(part: Any) -> bool:
    """Whether a part of an index selects by itself: an int, a slice, None or an ellipsis."""
    basic = part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
    return basic and not isinstance(part, bool)


def _array(part: Any) -> Array:
    if isinstance(part, Tensor) and type(part) is not Tensor:
        return part  # of a trace, which cannot change
    array = np.array(part)
    return array if array.size or array.dtype == bool else array.astype(int)  # [] selects nothing


take = define(
    _getitem,
    lambda g, _y, x_like, index: scatter(g, index=index, shape=x_like.shape),
    name="getitem",
    kind=Kind.GATHER,
    trusted=True,
)
scatter: Op = define(
    _scatter,
    lambda g, _y, _x, index, shape: g[index],
    name="scatter",
    kind=Kind.GATHER,
    trusted=True,
)


def getitem(x: Array, index: Any) -> Array:
    """x[index] for every kind of index; where an element is taken twice its gradients add up.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: x[[0, 0, 1]].sum())(np.zeros(3))
    array([2., 1., 0.])
    """
    return take(x, index=_frozen(index))


# --- several arrays in one


def _concatenate(*arrays: Array, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


def _piece(k: int, g: Array, _y: Array, *xs_like: Array, axis: int = 0) -> Array:
    """The part of g that came from array k."""
    axis %= g.ndim
    start = sum(x.shape[axis] for x in xs_like[:k])
    return g[(slice(None),) * axis + (slice(start, start + xs_like[k].shape[axis]),)]


join = define(_concatenate, Each(_piece), name="concatenate", kind=Kind.GATHER, trusted=True)


@handles(np.concatenate)
def concatenate(arrays: Sequence[Array], axis: int | None = 0, **others: Any) -> Array:
    """numpy.concatenate: arrays that agree but for the length along `axis`, end to end."""
    for option in others:
        raise no_rule_with("concatenate", option, ["axis"])
    if axis is None:
        return join(*[np.reshape(x, -1) for x in arrays])
    return join(*arrays, axis=axis)


@handles(np.stack)
def stack(arrays: Sequence[Array], axis: int = 0, **others: Any) -> Array:
    """numpy.stack: n arrays of one shape -> the same with a new axis of length n."""
    for option in others:
        raise no_rule_with("stack", option, ["axis"])
    return join(*[np.expand_dims(x, axis) for x in arrays], axis=axis)
