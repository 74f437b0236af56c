"""Arrays with some elements replaced: td.at(x)[index].set(v), and x[index] = v on top of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Array, Function
from ..engine.tensor import Tensor
from ..support.errors import (
    EscapedTensorError,
    NotDifferentiableError,
    ShapeError,
    TracedValueError,
)
from ..support.foreign import as_array, explain_refusal
from ..support.substitutes import REFUSED
from .complex_parts import imag, is_complex, real
from .indexing import (
    TAKING,
    count_repeats,
    freeze_index,
    is_mask,
    may_repeat,
    put,
    same_index,
    scatter,
    take,
)
from .views import source_of


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

    def __getitem__(self, index: Any) -> "Elements":
        return Elements(self.x, freeze_index(index))


class Elements:
    """The elements of an array at an index. Its methods return arrays like the whole of it."""

    def __init__(self, x: Array, index: Any) -> None:
        self.x = x
        self.index = index

    def get(self) -> Array:
        """x[index]."""
        return take(self.x, index=self.index)

    def set(self, v: Array) -> Array:
        """With v in place of what is there."""
        self._check(v)
        if _chooses_all(self.index, self.x) and np.ndim(v) == 0:  # also where it is not known yet
            chosen: Array = np.where(self.index, v, self.x)
            return chosen.astype(self.x.dtype)
        return put(self.x, v, index=self.index)

    def add(self, v: Array) -> Array:
        """With v added to what is there."""
        v = self._fit(v)
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
        if type(v) is Tensor and self.x.dtype.kind not in "fc":
            raise NotDifferentiableError(
                f"an array of {self.x.dtype} cannot hold a Tensor: make it .astype(float) first"
            )

        if self.x.dtype.kind == "f" and is_complex(v):
            raise NotDifferentiableError(
                f"an array of {self.x.dtype} holds no complex numbers: make it .astype(complex)"
            )

    def _fit(self, v: Array) -> Array:
        """v in the shape of the place, in the dtype of x."""
        self._check(v)
        shape = self.get().shape
        v = as_array(v)
        if isinstance(self.x, Tensor) and v.dtype.kind not in "fiubc":
            raise NotDifferentiableError(f"td.at(x)[index]: {explain_refusal(v)}")
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
        x, v = self.x, np.reshape(self._fit(v), -1)
        places = np.arange(x.size).reshape(x.shape)[self.index].reshape(-1)
        rounds = count_repeats(places)
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


def write(t: Tensor, y: Tensor, what: str) -> None:
    """Make y the value of t, and of all that shares memory with t.

    Raises NotDifferentiableError, before anything is written, where t is a view that NumPy makes
    read-only; `what` is what the user wrote.
    """
    written = [(t, y)]
    while (found := source_of(t)) is not None:
        source, way, told = found
        if way.put_back is None:
            raise NotDifferentiableError(
                f"{what}: t is a view of another Tensor that NumPy makes read-only, as those of "
                "np.broadcast_to and np.diagonal are. Assign to the whole, as in x[i, i] = v; or "
                "make a new array, of a copy (t.copy()) or by td.at(t)[i].set(v)"
            )
        t, y = source, way.put_back(source, y, told)
        written.append((t, y))
    if not _have_same_layout(t.memory, y.memory):  # which decides what its reshapes share
        written[-1] = t, put(t, y, index=...)
    for each, new in reversed(written):  # the whole first, which may refuse
        each.rebind(new)
    _refresh_views(t, {id(each) for each, _ in written})


def _have_same_layout(a: Array, b: Array) -> bool:
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return True
    return a.strides == b.strides or bool(a.flags.c_contiguous and b.flags.c_contiguous)


def _refresh_views(whole: Tensor, written: set[int]) -> None:
    """Give the views of a Tensor, and theirs, the values that they have now.

    Those that were just written have them.
    """
    todo = [whole]
    while todo:
        source = todo.pop()
        if not getattr(source, "views", None):
            continue
        alive = [(each, view) for each in source.views if (view := each()) is not None]
        source.views = [each for each, _ in alive]
        for _, view in alive:
            origin, way, what = view.source
            if origin is source and id(view) not in written and not view.tape.closed:
                view.rebind(way.take(source, what))
            todo.append(view)


def assign(t: Tensor, index: Any, v: Array) -> None:
    """t[index] = v: from now on t is td.at(t)[index].set(v), and so are its views.

    No array is written. The view that `t[index] += v` puts back is there already.
    """
    if t.tape.closed:
        raise EscapedTensorError("t[i] = v: the Tensor has outlived the call that made it")
    if not t.is_array:
        raise TypeError("t[i] = v: t is a scalar, as NumPy's sums are, and has no items: t = v")
    found = source_of(v)
    if found is not None and found[0] is t and found[1] is TAKING and same_index(found[2], index):
        return
    write(t, at(t)[index].set(v), "t[i] = v")


def write_real(z: Tensor, x: Array) -> None:
    """z.real = x, which is z[...] = x where z is real."""
    _check_parts(z, "z.real = x")
    assign(real(z), ..., x)


def write_imag(z: Tensor, y: Array) -> None:
    """z.imag = y."""
    _check_parts(z, "z.imag = y")
    if not is_complex(z):
        raise TypeError(f"z.imag = y: an array of {z.dtype} has none: make it .astype(complex)")
    assign(imag(z), ..., y)


def _check_parts(z: Tensor, what: str) -> None:
    """Raise AttributeError, as NumPy, for the parts of what it gives as a scalar."""
    if not z.is_array:
        raise AttributeError(f"{what}: z is a scalar, as NumPy's sums are: write z = x + 1j * y")


def make_in_place(op: Function, symbol: str) -> Function:
    """`t += v` and its like: from now on t is what the op makes of it, as by t[...] = t + v.

    What NumPy would write into keeps its shape and dtype; a scalar, which NumPy does not write
    into, is left alone, and a new one returned.
    """

    def assign_result(t: Tensor, v: Any) -> Array:
        y = op(t, v)
        if not t.is_array:
            return y
        what = f"t {symbol}= v"
        _check_fit(y, t, what)
        if getattr(y, "tape", None) is not t.tape or y.dtype != t.dtype or not y.shape:
            y = at(t)[...].set(y)
        write(t, y, what)
        return t

    return assign_result


def _check_fit(y: Array, t: Tensor, what: str) -> None:
    """Raise, as NumPy would, where y cannot take the place of t."""
    if y.shape != t.shape:
        raise ShapeError(f"{what}: the result {y.shape} does not fit into t, which is {t.shape}")
    if not np.can_cast(y.dtype, t.dtype, "same_kind"):
        raise TypeError(f"{what}: the result is {y.dtype}, which t, of {t.dtype}, cannot hold")


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
