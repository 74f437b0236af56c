"""Arrays with some elements replaced: td.at(x)[index].set(v), and x[index] = v on top of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.errors import EscapedTensorError, NotDifferentiableError, TracedValueError
from ..engine.primitive import Kind, Op, define, row_of
from ..engine.tape import Array, unbroadcast
from ..engine.tensor import REFUSED, Tensor
from .indexing import frozen, getitem, is_basic, is_mask, may_repeat, scatter, take


def _put(x: Array, v: Array, index: Any) -> Array:
    if hasattr(v, "__array_function__") and type(v) is not np.ndarray and type(x) is np.ndarray:
        return _put_foreign(x, v, index)
    full = x.copy() if hasattr(x, "__setitem__") else np.array(x)
    full[index] = v
    return full if hasattr(x, "__setitem__") else full[()]


def _put_foreign(x: Array, v: Array, index: Any) -> Array:
    """The same with an array of another library, which is not computed for it."""
    chosen = np.zeros(x.shape, bool)
    chosen[index] = True
    spread = scatter(np.broadcast_to(v, x[index].shape), index=index, shape=x.shape)
    full: Array = np.where(chosen, spread, x)
    return full.astype(x.dtype)


def _put_values(g: Array, _y: Array, _x: Array, v_like: Array, index: Any) -> Array:
    """The cotangent at the places, but 0 for an element that a later one has replaced."""
    taken = take(g, index=index)
    if may_repeat(index):
        order = np.arange(taken.size).reshape(taken.shape)
        last = getitem(put(np.zeros(g.shape, int), order, index=index), index)
        taken = np.where(last == order, taken, 0)
    shape = v_like.shape
    summed = unbroadcast(taken, shape[max(len(shape) - taken.ndim, 0) :])
    return np.reshape(summed, shape)


put: Op = define(
    _put,
    lambda g, _y, _x, _v, index: put(g, 0.0, index=index),
    _put_values,
    name="put",
    kind=Kind.GATHER,
    trusted=True,
)


def at(x: Array) -> "At":
    """Functional assignment: `td.at(x)[index].set(v)` is a copy of x with v at index.

    Also add, subtract, multiply, divide, power, min, max and logaddexp, or combine(f, v) for any f,
    which combine what is there with v, one after the other where an element is named twice (as
    ufunc.at does); and get, which is x[index]. Both x and v may be Tensors; v is broadcast into the
    place and cast to the dtype of x. Where `set` names an element twice, the last of the values
    stays and has the gradient.

    >>> import tinygrad_digits as td
    >>> td.at(np.zeros(3))[1:].set(5.0)
    array([0., 5., 5.])
    >>> td.grad(lambda v: (td.at(np.ones(3))[[0, 0, 2]].set(v) ** 2).sum())(np.arange(3.0))
    array([0., 2., 4.])
    >>> td.at(np.ones(3))[[0, 0, 2]].add(1.0)
    array([3., 1., 2.])
    """
    return At(x)


class At:
    """An array of which some elements are to be replaced, as its index will say."""

    def __init__(self, x: Array) -> None:
        self.x = x if hasattr(x, "dtype") else np.asarray(x)

    def __getitem__(self, index: Any) -> "Place":
        return Place(self.x, frozen(index))


class Place:
    """The elements of an array at an index. Its methods return arrays like the whole of it."""

    def __init__(self, x: Array, index: Any) -> None:
        self.x = x
        self.index = index

    def get(self) -> Array:
        """x[index]."""
        return getitem(self.x, self.index)

    def set(self, v: Array) -> Array:
        """With v in place of what is there."""
        self._check(v)
        if _chooses_all(self.index, self.x) and np.ndim(v) == 0:  # also where it is not known yet
            chosen: Array = np.where(self.index, v, self.x)
            return chosen.astype(self.x.dtype)
        return put(self.x, v, index=self.index)

    def add(self, v: Array) -> Array:
        """With v added to what is there."""
        v = self._fitted(v)
        return self.x + scatter(v, index=self.index, shape=self.x.shape)

    def subtract(self, v: Array) -> Array:
        """With v subtracted from what is there."""
        return self.add(-v)

    def multiply(self, v: Array) -> Array:
        """With v times what is there."""
        return self.combine(np.multiply, v)

    def divide(self, v: Array) -> Array:
        """With what is there divided by v."""
        return self.combine(np.divide, v)

    def power(self, v: Array) -> Array:
        """With what is there to the power of v."""
        return self.combine(np.power, v)

    def min(self, v: Array) -> Array:
        """With v where that is smaller than what is there."""
        return self.combine(np.minimum, v)

    def max(self, v: Array) -> Array:
        """With v where that is larger than what is there."""
        return self.combine(np.maximum, v)

    def _check(self, v: Array) -> None:
        """Raise NotDifferentiableError where casting v would end its gradient."""
        if type(v) is Tensor and self.x.dtype.kind != "f":
            raise NotDifferentiableError(
                f"an array of {self.x.dtype} cannot hold a Tensor: make it .astype(float) first"
            )

    def _fitted(self, v: Array) -> Array:
        """v in the shape of the place, in the dtype of x."""
        self._check(v)
        shape = self.get().shape
        v = v if hasattr(v, "dtype") else np.asarray(v)
        if v.ndim > len(shape):
            v = np.reshape(v, v.shape[v.ndim - len(shape) :])  # assignments take (1, 3) for (3,)
        return np.broadcast_to(v, shape).astype(self.x.dtype)

    def logaddexp(self, v: Array) -> Array:
        """With the logarithm of the sum of the exponentials of what is there and v."""
        return self.combine(np.logaddexp, v)

    def combine(self, f: Callable[..., Array], v: Array) -> Array:
        """With f(what is there, v): what f.at does in place, for any function of two arrays."""
        if not may_repeat(self.index):
            return self.set(f(self.get(), v))
        if any(isinstance(part, Tensor) for part in _parts(self.index)):
            raise TracedValueError(
                f"td.at(x)[index]: {f.__name__} works through the elements that an index names "
                "twice one by one, so jit has to know the index; make it static, or use add or set"
            )
        x, v = self.x, np.reshape(self._fitted(v), -1)
        places = np.arange(x.size).reshape(x.shape)[self.index].reshape(-1)
        rounds = _nth_time(places)
        for n in range(rounds.max(initial=-1) + 1):
            now = np.flatnonzero(rounds == n)
            where = np.unravel_index(places[now], x.shape)
            x = put(x, f(x[where], v[now]), index=where)
        return x


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _chooses_all(index: Any, x: Array) -> bool:
    """Whether an index is a mask that says of each element whether it is meant."""
    return not isinstance(index, tuple) and is_mask(index) and index.shape == x.shape


def _nth_time(places: Array) -> Array:
    """For each place, how often it was named before.

    >>> _nth_time(np.array([7, 3, 7, 7]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    nth = np.empty_like(places)
    nth[order] = np.arange(places.size) - np.searchsorted(ordered, ordered)
    return nth


def assign(t: Tensor, index: Any, v: Array) -> None:
    """t[index] = v: from now on t is td.at(t)[index].set(v). No array is written.

    What was computed from t keeps its value; so do views of t (NumPy would change them too), and a
    view itself cannot be assigned to, since NumPy would write into what it is a view of.
    """
    if t.tape.closed:
        raise EscapedTensorError("t[i] = v: the Tensor has outlived the call that made it")
    op, options = t.tape.origin(t.index)
    looks = op is not None and (
        op.kind is Kind.VIEW
        or (op is row_of(take) and all(map(is_basic, _parts(options["index"]))))
    )
    if looks:
        raise NotDifferentiableError(
            f"t[i] = v: t came out of {op and op.name} as a view of another Tensor, and would not "
            "write into that. Assign to the whole, as in x[0, 1] = v for row = x[0]; row[1] = v; "
            "or to a copy, row = x[0].copy()"
        )
    t.become(at(t)[index].set(v))


REFUSED |= {
    function: "a Tensor is not written into; the new array is td.at(x)[" + remedy
    for function, remedy in {
        np.put: "np.unravel_index(indices, x.shape)].set(v)",
        np.place: "mask].set(v)",
        np.putmask: "mask].set(v[mask])",
        np.copyto: "...].set(v), or np.broadcast_to(v, shape), also for np.full and np.full_like",
        np.put_along_axis: "index].set(v), with an index array for each axis",
        np.fill_diagonal: "i, i].set(v) with i = np.arange(min(x.shape))",
    }.items()
}
