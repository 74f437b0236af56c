"""The gate: what of other libraries may meet a Tensor, and what to write where it may not.

Beside NumPy's arrays and numbers, data may be whatever speaks NumPy's two protocols, as Dask's
arrays do, and what holds plain numbers in a buffer or under labels, as pandas does. Those are taken
by position: labels would line up the cotangents too, which belong to places.

As a parameter only what can be differentiated is taken. The rest of what looks like numbers is
refused: carried through like text, it would pass for its own gradient.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from .array_methods import ArrayMethods
from .errors import NotDifferentiableError, RuleError


class Gate(NamedTuple):
    """What becomes of a type of array that is not NumPy's."""

    take: Callable[[Any], Any] | None  # its numbers as data, by position; None where it is refused
    instead: str  # what to write for an x of this type
    keeps_labels: bool = False  # whether Tensors may hold it, with labels and all


def strip_labels(x: Any) -> Any:
    """The numbers of a Series, an Index or a DataFrame, without their labels.

    Raises NotDifferentiableError where they are no numbers, or some are missing (NA).
    """
    kinds = [*x.dtypes] if x.ndim == 2 else [x.dtype]
    plain = [getattr(kind, "numpy_dtype", kind) for kind in kinds]
    for kind, dtype in zip(kinds, plain, strict=True):
        if not isinstance(dtype, np.dtype) or dtype.kind not in "fiubc":
            raise NotDifferentiableError(
                f"a {type(x).__name__} of {kind} holds no plain numbers; write "
                f"{_NUMBERS_OF.get(str(kind).partition('[')[0], 'x.astype(float)')}"
            )
    if any(kind is not dtype for kind, dtype in zip(kinds, plain, strict=True)) and np.any(
        x.isna()
    ):
        raise NotDifferentiableError(
            f"a {type(x).__name__} of {', '.join(dict.fromkeys(map(str, kinds)))} lacks numbers "
            "(NA); write x.fillna(0), or x.to_numpy(float, na_value=np.nan)"
        )
    return x.to_numpy(np.result_type(*plain) if plain else float)


_NUMBERS_OF = {
    "category": "x.cat.codes, or pd.get_dummies(x)",
    "datetime64": "(x - start).dt.total_seconds()",
    "timedelta64": "x.dt.total_seconds()",
    "Sparse": "x.sparse.to_dense()",
}
"""What to write for a pandas dtype, by the start of its name."""

PANDAS = Gate(strip_labels, "x.to_numpy()")
XARRAY = Gate(lambda x: x.data, "x.data", keeps_labels=True)
BUFFER = Gate(np.asarray, "np.asarray(x)")
SPARSE = Gate(None, "x.toarray(), or a product with it: x @ t, t @ x")
OTHER = Gate(None, "np.asarray(x)")

GATES = {
    "numpy.MaskedArray": Gate(None, "np.ma.filled(x, 0), with weights of ~x.mask where it matters"),
    "numpy.matrix": OTHER,
    **dict.fromkeys(("pandas.Series", "pandas.DataFrame", "pandas.Index"), PANDAS),
    "pandas.ExtensionArray": PANDAS,
    **dict.fromkeys(("xarray.DataArray", "xarray.Variable"), XARRAY),
    "xarray.Dataset": Gate(None, "x['name'], one of its arrays"),
    **dict.fromkeys(("scipy.spmatrix", "scipy.sparray", "cupyx.spmatrix"), SPARSE),
    "torch.Tensor": Gate(None, "x.numpy(force=True)"),
    "numpy.ABCPolyBase": Gate(None, "x.coef"),
    "decimal.Decimal": Gate(None, "float(x)"),
}
"""By library and class, also of its subclasses; by name, so that nothing is imported for it."""

NUMERIC = (
    *("__array__", "__array_interface__", "__array_struct__", "__array_namespace__"),
    *("__dlpack__", "__dataframe__", "__cuda_array_interface__"),
)
"""What types of numbers in bulk offer to others: one of these at least."""

TEXT = (bytes, bytearray, str)
"""Buffers that are not of numbers."""

_gates: dict[type, Gate | None] = {}
"""The gate of each type met so far; None for what passes as it is."""


def gate_of(x: Any) -> Gate | None:
    """How x may meet a Tensor; None for NumPy's arrays, protocol arrays, and what is no array."""
    kind = type(x)
    if kind not in _gates:
        _gates[kind] = _find_gate(x)
    return _gates[kind]


def _find_gate(x: Any) -> Gate | None:
    for base in type(x).__mro__:
        gate = GATES.get(_library_name(base))
        if gate is not None:
            return gate
    has_numpys_dtype = isinstance(getattr(x, "dtype", None), np.dtype)
    if isinstance(x, (np.ndarray, np.generic, *TEXT)):
        return None
    if getattr(type(x), "__array_ufunc__", None) is not None and has_numpys_dtype:
        return None
    if _is_buffer(x) or (has_numpys_dtype and hasattr(type(x), "__array__")):
        return BUFFER
    return OTHER if any(hasattr(type(x), name) for name in NUMERIC) else None


def _library_name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _is_buffer(x: Any) -> bool:
    try:
        memoryview(x)
    except TypeError:
        return False
    return True


# --- as data


def as_array(x: Any, dtype: Any = None) -> Any:
    """x as an array: by position where it has labels, by np.asarray where it has no dtype.

    That is then `dtype`, unless its numbers are complex.
    """
    if type(x) is np.ndarray:
        return x
    if hasattr(x, "as_array"):  # a Python number under a trace has a dtype, but no methods
        return x.as_array()
    gate = gate_of(x)
    array = x if gate is None else take(x, gate)
    if hasattr(x, "dtype"):
        return array
    array = np.asarray(array)
    return array if dtype is None or array.dtype.kind == "c" else array.astype(dtype, copy=False)


def as_numbers(x: Any) -> Any:
    """x as an array of numbers."""
    array = as_array(x)
    if array.dtype.kind not in "fiubc":
        raise NotDifferentiableError(explain_refusal(array))
    return array


def is_sparse(x: Any) -> bool:
    """Whether something is a sparse matrix or array, of scipy.sparse or one like it."""
    return hasattr(type(x), "tocsr")


def without_labels(x: Any) -> Any:
    """What a user's function returned: pandas' by position, anything else as it is."""
    return take(x, PANDAS) if gate_of(x) is PANDAS else x


def check_returns(function: Callable[..., Any], who: str) -> Callable[..., Any]:
    """The function, held to returning a floating-point array, and one of its own."""

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        y = without_labels(function(*args, **options))
        if type(y) in _PYTHONS and all(type(x) in _PYTHONS for x in args):
            return y  # under a trace, as without it
        kind = getattr(getattr(y, "dtype", None), "kind", "")
        if not hasattr(y, "shape") or kind not in ("f", "c"):
            raise RuleError(
                f"{who} returned {getattr(y, 'dtype', type(y).__name__)}; it must return a "
                "floating-point array or NumPy scalar, as np.asarray(..., float) makes one"
            )
        return y.copy() if any(y is x for x in args) else y

    return checked


_PYTHONS = (int, float, complex)


def take(x: Any, gate: Gate) -> Any:
    """The numbers of x, as constants; NotDifferentiableError where they are not taken."""
    if gate.take is None:
        raise NotDifferentiableError(
            f"a Tensor cannot be combined with a {name_type(x)}; write {gate.instead}"
        )
    return gate.take(x)


def name_type(x: Any) -> str:
    """A type by the name that its users know."""
    kind = type(x)
    root = kind.__module__.partition(".")[0]
    return kind.__name__ if root in ("builtins", "__main__") else f"{root}.{kind.__name__}"


_OF_KIND = {
    "O": "x.astype(float)",
    "V": "one of its fields, x['name']",
    "M": "numbers, as (x - start) / np.timedelta64(1, 's')",
    "m": "numbers, as x / np.timedelta64(1, 's')",
}


def explain_refusal(x: Any) -> str:
    """Why what passed the gate is no operand of an op with a derivative, and what to write."""
    dtype = getattr(x, "dtype", None)
    remedy = _OF_KIND.get(getattr(dtype, "kind", ""))
    return f"a Tensor cannot be combined with {name_type(x) if dtype is None else dtype}; " + (
        f"write {remedy}"
        if remedy
        else "the operands of a differentiated op are arrays and numbers"
    )


# --- as an operand of a Tensor

PLAIN: set[type] = {
    *(np.ndarray, float, int, bool, complex, str, type(None)),
    *(np.float64, np.float32, np.complex128, np.complex64),
}
"""Types that meet a Tensor as they are; its own is added by the engine."""


def admit(x: Any, who: str, among: Iterable[Any] = ()) -> Any:
    """An operand of `who` as it may meet a Tensor: by position, where it has labels.

    A Tensor among the operands that itself holds labels keeps those of the others.
    """
    gate = gate_of(x)
    if gate is None or (gate.keeps_labels and any(_holds(y, gate) for y in among)):
        return x
    try:
        return take(x, gate)
    except NotDifferentiableError as error:
        raise NotDifferentiableError(f"{who}: {error}") from None


def admit_all(args: Any, who: str) -> Any:
    """`admit` for a row of arguments, also for the operands in a list or tuple of them."""
    if PLAIN.issuperset(map(type, args)):
        return args
    return type(args)(
        [admit_all(x, who) if type(x) in (list, tuple) else admit(x, who, args) for x in args]
    )


def refuse_tensors(options: dict[str, Any], who: str) -> None:
    """An option is not differentiated, so a Tensor there would lose its gradient unnoticed."""
    for name, value in options.items():
        if type(value) in PLAIN and isinstance(value, ArrayMethods):
            raise NotDifferentiableError(
                f"{who}: {name}= cannot be a Tensor; give arrays by position, and an option as a "
                "plain number (tensor.item())"
            )


def as_operand(x: Any, who: str, among: Iterable[Any] = ()) -> Any:
    """An operand that is not differentiated, if it is of numbers; lists become arrays."""
    kind = type(x)
    if kind is np.ndarray:
        if x.dtype.kind in "fiubc":
            return x
    elif kind in PLAIN and kind is not str and x is not None:
        return x
    elif kind is list or kind is tuple:
        return as_operand(np.asarray(x), who)
    else:
        x = admit(x, who, among)
        if getattr(getattr(x, "dtype", None), "kind", "O") in "fiubc":
            return x
    raise NotDifferentiableError(f"{who}: {explain_refusal(x)}")


def admit_options(options: dict[str, Any], who: str) -> dict[str, Any]:
    if PLAIN.issuperset(map(type, options.values())):
        return options
    return dict(zip(options, admit_all([*options.values()], who), strict=True))


def within(output: Any) -> Any:
    """The Tensor that a labelled array holds, as xarray's do; anything else as it is."""
    gate = gate_of(output)
    if gate is None or not gate.keeps_labels:
        return output
    return output.data if isinstance(output.data, ArrayMethods) else output


def _holds(x: Any, gate: Gate) -> bool:
    """Whether x is a Tensor of an array of this gate, under all of its tapes."""
    return isinstance(x, ArrayMethods) and gate_of(x.memory) is gate


# --- as a parameter


def refuse_leaf(leaf: Any) -> None:
    """Raise NotDifferentiableError for what looks like numbers and cannot be differentiated."""
    gate = gate_of(leaf)
    if gate is not None and not gate.keeps_labels:
        raise NotDifferentiableError(
            f"cannot differentiate with respect to a {name_type(leaf)}; write {gate.instead}"
        )
    if isinstance(leaf, np.ndarray | np.void) and (names := leaf.dtype.names):
        raise NotDifferentiableError(
            f"cannot differentiate with respect to an array of fields; make it a dict of them, "
            f"{{name: x[name] for name in {names}}}"
        )
    if getattr(getattr(leaf, "dtype", None), "kind", "") in ("M", "m"):
        raise NotDifferentiableError(
            f"cannot differentiate with respect to {leaf.dtype}; write {_OF_KIND[leaf.dtype.kind]}"
        )


def is_known(kind: type) -> bool:
    """Whether a type has its line in GATES, and so is no container of leaves, though like one."""
    return any(_library_name(base) in GATES for base in kind.__mro__)


def is_numeric(leaf: Any) -> bool:
    """Whether a leaf is an array or a number, and not text, a flag, a type or something else.

    Raises NotDifferentiableError for what looks like numbers and cannot be differentiated.
    """
    refuse_leaf(leaf)
    dtype = getattr(leaf, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype.kind not in "SUTVMm"
    return isinstance(leaf, numbers.Number) and not isinstance(leaf, bool)


def as_parameter(value: Any) -> Any:
    """A value that can be differentiated; Python numbers become float64 or complex128."""
    if isinstance(value, numbers.Real) and not isinstance(value, np.generic | bool):
        value = np.float64(value)
    elif type(value) is complex:
        value = np.complex128(value)
    if hasattr(value, "strong"):  # a Python number under a trace
        value = value.strong()
    refuse_leaf(value)
    dtype = getattr(value, "dtype", np.dtype(object))
    if dtype.kind not in "fc":
        raise NotDifferentiableError(
            f"cannot differentiate with respect to {dtype} values; make them floating point "
            "first, with .astype(float)"
        )
    return value
