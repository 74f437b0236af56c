"""What makes an object an array to Python and NumPy: operators, ndarray's methods, two protocols.

Each is what stands in for a NumPy function (see `substitutes`): `a + b` for np.add. An operator
looks its op up and calls it, some 60 ns; by way of np.add and NumPy's protocol it is 0.5 us.

NumPy offers foreign arrays `__array_ufunc__` for its universal functions
(https://numpy.org/neps/nep-0013-ufunc-overrides.html) and `__array_function__` for the rest
(https://numpy.org/neps/nep-0018-array-function-protocol.html).
"""

# mypy: disable-error-code="no-any-return, call-overload, arg-type, return-value"
# (the tables hold functions of any type, and NumPy's do not know this class; types are told here)

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, Self, TypeAlias

import numpy as np

from .callers import answer_scipy_sparse, explain_no_array
from .errors import NotDifferentiableError
from .substitutes import NUMPY, PROTOCOLS, REFUSED

Operand: TypeAlias = Any
"""An array like this one, or whatever may meet one: an ndarray, a number, a list of numbers."""


class Lacking:
    """An attribute of ndarrays that is not there: asking for it says what to write instead."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        function = getattr(np, self.name, None)
        instead = f"that is about a plain array, tensor.value.{self.name}"
        if function in REFUSED:
            instead = REFUSED[function]
        elif function in NUMPY:
            instead = f"write np.{self.name}(...), which makes a new one"
        raise AttributeError(f"a Tensor has no {self.name}: {instead}")


class ArrayMethods:
    """An ndarray's attributes, operators and methods, for a class whose instances have a value."""

    __slots__ = ()
    value: Any
    __hash__ = None  # type: ignore[assignment]  # == is elementwise, as for ndarrays
    __pandas_priority__ = 5000  # above DataFrame's 4000: `series * t` leaves it to the Tensor

    # --- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def ndim(self) -> int:
        return len(self.value.shape)

    @property
    def size(self) -> int:
        return prod(self.value.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def memory(self) -> Any:
        """A plain array that lies in memory as NumPy's would."""
        return self.value.memory if isinstance(self.value, ArrayMethods) else self.value

    @property
    def is_array(self) -> bool:
        """Whether NumPy has an array here, which can be written into, and no scalar."""
        return is_array(self.value) or hasattr(self, "source")

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __float__(self) -> float:
        number = float(self.value)  # which raises as NumPy's does for more than one element
        self._refuse_to_be_lost()
        return number

    def __int__(self) -> int:
        number = int(self.value)
        self._refuse_to_be_lost()
        return number

    def __complex__(self) -> complex:
        number = complex(self.value)
        self._refuse_to_be_lost()
        return number

    def rebind(self, other: Self) -> None:
        """Be what the other is, from now on."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.rebind(self)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotDifferentiableError(
            "a Tensor cannot be pickled: its tape would stay behind, and its gradient be lost; "
            "pickle tensor.value"
        )

    def _refuse_to_be_lost(self) -> None:
        """Raise where a plain number would lose a gradient; `item` says that it shall."""

    def __array__(self, *args: Any, **options: Any) -> Any:
        if (answer := answer_scipy_sparse(sys._getframe(1))) is not None:
            return answer
        raise NotDifferentiableError(explain_no_array(sys._getframe(1)))

    def item(self, *place: int) -> float:
        return self.value.item(*place)

    def tolist(self) -> Any:
        return self.value.tolist()

    # --- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if not options and method == "__call__" and (op := NUMPY.get(ufunc)) is not None:
            return op(*inputs)
        return PROTOCOLS["__array_ufunc__"](ufunc, method, inputs, options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        alone = not options and len(args) == 1 and args[0] is self  # np.sum(t): 0.3 us less
        if alone and (op := NUMPY.get(function)) is not None:
            return op(self)
        return PROTOCOLS["__array_function__"](function, args, options)

    # --- operators

    def __add__(self, other: Operand) -> Self:
        return NUMPY[np.add](self, other)

    def __radd__(self, other: Operand) -> Self:
        return NUMPY[np.add](other, self)

    def __iadd__(self, other: Operand) -> Self:
        return NUMPY[operator.iadd](self, other)

    def __sub__(self, other: Operand) -> Self:
        return NUMPY[np.subtract](self, other)

    def __rsub__(self, other: Operand) -> Self:
        return NUMPY[np.subtract](other, self)

    def __isub__(self, other: Operand) -> Self:
        return NUMPY[operator.isub](self, other)

    def __mul__(self, other: Operand) -> Self:
        return NUMPY[np.multiply](self, other)

    def __rmul__(self, other: Operand) -> Self:
        return NUMPY[np.multiply](other, self)

    def __imul__(self, other: Operand) -> Self:
        return NUMPY[operator.imul](self, other)

    def __truediv__(self, other: Operand) -> Self:
        return NUMPY[np.divide](self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return NUMPY[np.divide](other, self)

    def __itruediv__(self, other: Operand) -> Self:
        return NUMPY[operator.itruediv](self, other)

    def __floordiv__(self, other: Operand) -> Any:
        return NUMPY[np.floor_divide](self, other)

    def __rfloordiv__(self, other: Operand) -> Any:
        return NUMPY[np.floor_divide](other, self)

    def __ifloordiv__(self, other: Operand) -> Self:
        return NUMPY[operator.ifloordiv](self, other)

    def __mod__(self, other: Operand) -> Self:
        return NUMPY[np.remainder](self, other)

    def __rmod__(self, other: Operand) -> Self:
        return NUMPY[np.remainder](other, self)

    def __imod__(self, other: Operand) -> Self:
        return NUMPY[operator.imod](self, other)

    def __divmod__(self, other: Operand) -> tuple[Any, Self]:
        return NUMPY[np.divmod](self, other)

    def __rdivmod__(self, other: Operand) -> tuple[Any, Self]:
        return NUMPY[np.divmod](other, self)

    def __pow__(self, other: Operand) -> Self:
        return NUMPY[operator.pow](self, other)

    def __rpow__(self, other: Operand) -> Self:
        return NUMPY[operator.pow](other, self)

    def __ipow__(self, other: Operand) -> Self:
        return NUMPY[operator.ipow](self, other)

    def __matmul__(self, other: Operand) -> Self:
        return NUMPY[np.matmul](self, other)

    def __rmatmul__(self, other: Operand) -> Self:
        return NUMPY[np.matmul](other, self)

    def __imatmul__(self, other: Operand) -> Self:
        return NUMPY[operator.imatmul](self, other)

    def __neg__(self) -> Self:
        return NUMPY[np.negative](self)

    def __pos__(self) -> Self:
        return NUMPY[np.positive](self)

    def __abs__(self) -> Self:
        return NUMPY[np.absolute](self)

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self) if digits is None else np.round(self, digits)

    def __lt__(self, other: Operand) -> Any:
        return NUMPY[np.less](self, other)

    def __le__(self, other: Operand) -> Any:
        return NUMPY[np.less_equal](self, other)

    def __gt__(self, other: Operand) -> Any:
        return NUMPY[np.greater](self, other)

    def __ge__(self, other: Operand) -> Any:
        return NUMPY[np.greater_equal](self, other)

    def __eq__(self, other: Operand) -> Any:
        return NUMPY[np.equal](self, other)

    def __ne__(self, other: Operand) -> Any:
        return NUMPY[np.not_equal](self, other)

    def __getitem__(self, index: Any) -> Self:
        return NUMPY[operator.getitem](self, index)

    def __setitem__(self, index: Any, value: Operand) -> None:
        NUMPY[operator.setitem](self, index, value)

    # --- reductions and running totals

    def sum(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.sum](self, *args, **options)

    def prod(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.prod](self, *args, **options)

    def mean(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.mean](self, *args, **options)

    def var(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.var](self, *args, **options)

    def std(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.std](self, *args, **options)

    def max(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.max](self, *args, **options)

    def min(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.min](self, *args, **options)

    def cumsum(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.cumsum](self, *args, **options)

    def cumprod(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.cumprod](self, *args, **options)

    def trace(self, *args: Any, **options: Any) -> Self:
        return np.trace(self, *args, **options)

    def all(self, *args: Any, **options: Any) -> Any:
        return np.all(self, *args, **options)

    def any(self, *args: Any, **options: Any) -> Any:
        return np.any(self, *args, **options)

    # --- another shape or order

    @property
    def T(self) -> Self:  # noqa: N802 (NumPy's name)
        return NUMPY[np.transpose](self)

    @property
    def mT(self) -> Self:  # noqa: N802
        return NUMPY[np.matrix_transpose](self)

    @property
    def flat(self) -> Self:
        return NUMPY[np.ndarray.flat](self)

    def reshape(self, *shape: Any, **options: Any) -> Self:
        return NUMPY[np.ndarray.reshape](self, *_as_one(shape), **options)

    def transpose(self, *axes: Any, **options: Any) -> Self:
        return NUMPY[np.transpose](self, *_as_one(axes), **options)

    def swapaxes(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.swapaxes](self, *args, **options)

    def squeeze(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.squeeze](self, *args, **options)

    def ravel(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.ndarray.ravel](self, *args, **options)

    def flatten(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.ndarray.flatten](self, *args, **options)

    # --- some of the elements

    def take(self, *args: Any, **options: Any) -> Self:
        return np.take(self, *args, **options)

    def compress(self, condition: Any, *args: Any, **options: Any) -> Self:
        return np.compress(condition, self, *args, **options)

    def diagonal(self, *args: Any, **options: Any) -> Self:
        return np.diagonal(self, *args, **options)

    def repeat(self, *args: Any, **options: Any) -> Self:
        return np.repeat(self, *args, **options)

    # --- each element, and products

    def copy(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.ndarray.copy](self, *args, **options)

    def astype(self, *args: Any, **options: Any) -> Self:
        return NUMPY[np.ndarray.astype](self, *args, **options)

    @property
    def real(self) -> Self:
        return NUMPY[np.real](self)

    @real.setter
    def real(self, value: Operand) -> None:
        NUMPY[np.real, "__set__"](self, value)

    @property
    def imag(self) -> Any:
        """Zeros, where it is real."""
        return NUMPY[np.ndarray.imag](self)

    @imag.setter
    def imag(self, value: Operand) -> None:
        NUMPY[np.imag, "__set__"](self, value)

    def conj(self) -> Self:
        return NUMPY[np.ndarray.conj](self)

    def conjugate(self) -> Self:
        return NUMPY[np.ndarray.conj](self)

    def clip(self, *args: Any, **options: Any) -> Self:
        return np.clip(self, *args, **options)

    def round(self, *args: Any, **options: Any) -> Any:
        return np.round(self, *args, **options)

    def dot(self, *args: Any, **options: Any) -> Self:
        return np.dot(self, *args, **options)

    # --- places of elements: constants

    def argmax(self, *args: Any, **options: Any) -> Any:
        return np.argmax(self, *args, **options)

    def argmin(self, *args: Any, **options: Any) -> Any:
        return np.argmin(self, *args, **options)

    def argsort(self, *args: Any, **options: Any) -> Any:
        return np.argsort(self, *args, **options)

    def argpartition(self, *args: Any, **options: Any) -> Any:
        return np.argpartition(self, *args, **options)

    def searchsorted(self, *args: Any, **options: Any) -> Any:
        return np.searchsorted(self, *args, **options)

    def nonzero(self, *args: Any, **options: Any) -> Any:
        return np.nonzero(self, *args, **options)

    # --- in place

    def fill(self, value: Operand) -> None:
        self[...] = value

    def sort(self, *args: Any, **options: Any) -> None:
        self[...] = np.sort(self, *args, **options)

    def partition(self, *args: Any, **options: Any) -> None:
        self[...] = np.partition(self, *args, **options)

    # --- about the memory of an ndarray

    base = Lacking()
    byteswap = Lacking()
    choose = Lacking()
    ctypes = Lacking()
    data = Lacking()
    device = Lacking()
    dump = Lacking()
    dumps = Lacking()
    flags = Lacking()
    getfield = Lacking()
    put = Lacking()
    resize = Lacking()
    setfield = Lacking()
    setflags = Lacking()
    strides = Lacking()
    to_device = Lacking()
    tobytes = Lacking()
    tofile = Lacking()
    view = Lacking()


def is_array(x: Any) -> bool:
    """Whether `x += v` writes into x, as it does for arrays but not for NumPy's scalars."""
    return x.is_array if isinstance(x, ArrayMethods) else hasattr(type(x), "__iadd__")


def _as_one(numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """What may be given as one tuple or as several numbers, as one argument."""
    return numbers if len(numbers) < 2 else (numbers,)
