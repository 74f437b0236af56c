"""Arrays with some elements replaced: td.at(x)[index].set(v), and x[index] = v on top of it."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.errors import (
    EscapedTensorError,
    NotDifferentiableError,
    ShapeError,
    TracedValueError,
)
from ..engine.foreign import as_array, refused
from ..engine.primitive import Kind, Op, Primitive, define, row_of
from ..engine.standin import StandIn
from ..engine.tape import Array, unbroadcast
from ..engine.tensor import REFUSED, Tensor, is_stored
from .indexing import frozen, getitem, is_basic, is_mask, may_repeat, nth_time, scatter, take


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
        self.x = as_array(x)

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
        v = as_array(v)
        if isinstance(self.x, Tensor) and v.dtype.kind not in "fiub":
            raise NotDifferentiableError(f"td.at(x)[index]: {refused(v)}")
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
        rounds = nth_time(places)
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


def assign(t: Tensor, index: Any, v: Array) -> None:
    """t[index] = v: from now on t is td.at(t)[index].set(v). No array is written.

    What was computed from t keeps its value; so do views of t (NumPy would change them too), and a
    view itself cannot be assigned to, since NumPy would write into what it is a view of.
    """
    if t.tape.closed:
        raise EscapedTensorError("t[i] = v: the Tensor has outlived the call that made it")
    _refuse_view(t, "t[i] = v", "in x[0, 1] = v for row = x[0]; row[1] = v")
    t.become(at(t)[index].set(v))


def _refuse_view(t: Tensor, what: str, way: str) -> None:
    """Raise NotDifferentiableError where NumPy would write into what t is a view of."""
    if (op := _looking(t)) is not None:
        raise NotDifferentiableError(
            f"{what}: t came out of {op.name} as a view of another Tensor, and would not "
            f"write into that. Assign to the whole, as {way}; or to a copy, row = x[0].copy()"
        )


def _looking(t: Tensor) -> Primitive | None:
    """The op that made t as a view of another Tensor, if one did."""
    op, options = t.tape.origin(t.index)
    if op is row_of(take):
        return op if all(map(is_basic, _parts(options["index"]))) else None
    return op if op is not None and op.kind is Kind.VIEW else None


def rewriting(op: Op, symbol: str) -> Op:
    """`t += v` and its like: from now on t is what the op makes of it, as by t[...] = t + v.

    What NumPy would write into keeps its shape and dtype; a scalar, which NumPy does not write
    into, is left alone, and a new one returned.
    """

    def rewritten(t: Tensor, v: Any) -> Array:
        y = op(t, v)
        if not _is_written(t):
            return y
        what = f"t {symbol}= v"
        _check_fit(y, t, what)
        if getattr(y, "tape", None) is not t.tape or y.dtype != t.dtype or not y.shape:
            y = at(t)[...].set(y)
        if _looking(t) is None:
            t.become(y)
            return t
        # of x[0] += v this is the second of three steps: x[0], its sum with v, and x[0] = that
        if sys.getrefcount(t) > UNNAMED or not is_stored(sys._getframe(1), ahead=True):
            _refuse_view(t, what, f"in x[0] {symbol}= v for row = x[0]; row {symbol}= v")
        return y

    return rewritten


def _is_written(t: Array) -> bool:
    """Whether `t += v` writes into t, if that has the value of this Tensor."""
    while isinstance(t, Tensor) and not isinstance(t, StandIn):
        t = t.value
    if not isinstance(t, StandIn):
        return hasattr(type(t), "__iadd__")
    number = getattr(t, "is_scalar", True) or getattr(t, "is_number", False)
    return bool(t.shape) or not number


def _check_fit(y: Array, t: Tensor, what: str) -> None:
    """Raise, as NumPy would, where y cannot take the place of t."""
    if y.shape != t.shape:
        raise ShapeError(f"{what}: the result {y.shape} does not fit into t, which is {t.shape}")
    if not np.can_cast(y.dtype, t.dtype, "same_kind"):
        raise TypeError(f"{what}: the result is {y.dtype}, which t, of {t.dtype}, cannot hold")


class _Counted:
    """Counts the references to what `x[i] += v` works on, which has no name of its own."""

    def __getitem__(self, _: Any) -> "_Counted":
        return _Counted()

    def __iadd__(self, _: Any) -> int:
        return sys.getrefcount(self)

    def __setitem__(self, _: Any, count: int) -> None:
        self.count = count


_counted: Any = _Counted()
_counted[0] += 1
UNNAMED: int = _counted.count

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
