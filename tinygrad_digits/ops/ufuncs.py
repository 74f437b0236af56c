"""The keywords and methods that NumPy's universal functions have in common.

`np.log(x, where=x > 0)`, `np.add.outer(a, b)`, `np.logaddexp.reduce(x, axis=-1)` ... A call with
keywords and each method is an entry of its own in the table of stand-ins, `NUMPY[ufunc, method]`;
all of them come down to the ops of other chapters, and to the few of this one.
"""

from functools import partial
from typing import Any, NoReturn, TypeAlias

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind, Op, Primitive
from ..staging.batching import batch_along_flat, batch_reduction, register_batching
from ..support.errors import NotDifferentiableError, no_rule_with
from ..support.foreign import as_array, as_numbers
from ..support.substitutes import NUMPY
from . import complex_parts, elementwise, powers  # noqa: F401 (whose ufuncs these are)
from .masked_reductions import selection
from .reductions import Axis
from .softmax import shares

Ufunc: TypeAlias = Any
"""An np.ufunc: mypy knows too little of them."""

# --- calls with keywords

DEFAULTS = {"casting": "same_kind", "order": "K", "subok": True, "signature": None, "out": None}
"""Keywords that change nothing in saying this, and are refused when they say something else."""

WITHIN = {np.arcsin: 0.5, np.arccos: 0.5, np.arctanh: 0.5, np.arccosh: 2}
"""A number at which a ufunc and its derivatives are finite, where 1 is not one."""


def call_ufunc(
    ufunc: Ufunc, *inputs: Array, where: Any = True, dtype: Any = None, **others: Any
) -> Any:
    """A ufunc's call with keywords; the result is 0 where `where=` says that there is none.

    NumPy leaves those elements as they happen to lie in memory. The operands are harmless numbers
    there, so that nothing which is not selected can make a NaN or a warning.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.log(x, where=x > 0).sum())(np.array([2.0, 0.0, -1.0]))
    array([0.5, 0. , 0. ])
    """
    for name, value in others.items():
        if value is not DEFAULTS.get(name, ...) and value != DEFAULTS.get(name, ...):
            raise no_rule_with(ufunc.__name__, name, ("dtype", "where"))
    if where is not True and ufunc.signature:
        raise no_rule_with(ufunc.__name__, "where", ("dtype",))
    operands = [x if _is_number(x) else as_numbers(x) for x in inputs]
    if dtype is not None:
        operands = _cast(ufunc, operands, dtype)
    return (
        NUMPY[ufunc](*operands) if where is True else _call_masked(ufunc, operands, as_array(where))
    )


def _call_masked(ufunc: Ufunc, operands: list[Array], mask: Array) -> Any:
    if mask.dtype != bool:
        raise TypeError(f"{ufunc.__name__}: where= takes bools, not {mask.dtype}")
    harmless = WITHIN.get(ufunc, 1)
    y = NUMPY[ufunc](*[x if _is_number(x) else np.where(mask, x, harmless) for x in operands])
    if type(y) is tuple:
        return tuple([np.where(mask, part, 0) for part in y])
    return np.where(mask, y, 0)


def _is_number(x: Any) -> bool:
    """Whether x is a Python number, which takes the dtype of the arrays that it meets."""
    return type(x) in (int, float, bool, complex) or getattr(x, "is_number", False)


def _kind(x: Any) -> Any:
    """What stands for a Python number where NumPy resolves dtypes."""
    return np.dtype(bool) if type(x) is bool else type(x)


def _cast(ufunc: Ufunc, operands: list[Array], dtype: Any) -> list[Array]:
    """The operands in the dtypes in which NumPy computes a result of this dtype."""
    if np.dtype(dtype).kind not in "fc":
        raise NotDifferentiableError(
            f"{ufunc.__name__}: with a Tensor dtype= is floating point, not {np.dtype(dtype)}"
        )
    given = [_kind(x) if _is_number(x) else x.dtype for x in operands]
    signature = (*[None] * ufunc.nin, *[np.dtype(dtype)] * ufunc.nout)
    try:
        wanted = ufunc.resolve_dtypes((*given, *[None] * ufunc.nout), signature=signature)
    except TypeError as error:
        raise TypeError(f"{ufunc.__name__}: dtype={dtype!r}: {error}") from None
    pairs = zip(operands, given, wanted, strict=False)
    return [x if _is_number(x) or old == new else x.astype(new) for x, old, new in pairs]


# --- outer, at, reduceat


def outer(ufunc: Ufunc, a: Array, b: Array, /, **options: Any) -> Any:
    """ufunc.outer: (*a), (*b) -> (*a, *b), every element of a with every element of b."""
    column = np.reshape(a, np.shape(a) + (1,) * np.ndim(b))
    return ufunc(column, as_array(b), **options)


def at(ufunc: Ufunc, *_args: Array, **_options: Any) -> NoReturn:
    """ufunc.at writes into its first argument: refused."""
    name = ufunc.__name__
    twin = {"maximum": "max", "minimum": "min"}.get(name, name)
    way = f"combine(np.{name}, v)" if ufunc.nin == 2 else f"set(np.{name}(a[i]))"
    way = f"{twin}(v)" if twin in ASSIGNMENTS else way
    raise NotDifferentiableError(
        f"np.{name}.at writes into its argument, and no Tensor is written into an array, or "
        f"changes: make a new array, a = td.at(a)[i].{way}"
    )


ASSIGNMENTS = {"add", "subtract", "multiply", "divide", "power", "max", "min", "logaddexp"}
"""What td.at(a)[i] has methods for."""


def reduceat(ufunc: Ufunc, x: Array, /, indices: Any, axis: int = 0, dtype: Any = None) -> Array:
    """ufunc.reduceat: of each stretch from one index to the next, its reduction along `axis`.

    As in NumPy, a stretch that would end before it starts has one element.
    """
    axis %= x.ndim
    starts = np.asarray(indices)
    if starts.ndim != 1 or not len(starts) or starts.dtype.kind not in "iu":
        raise ValueError(f"{ufunc.__name__}.reduceat: indices are a row of ints, got {indices!r}")
    n = x.shape[axis]
    if starts.min() < 0 or starts.max() >= n:
        raise IndexError(f"{ufunc.__name__}.reduceat: an index is not in [0, {n})")
    pieces = []
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        stretch = x[(slice(None),) * axis + (slice(int(start), int(max(stop, start + 1))),)]
        pieces.append(ufunc.reduce(stretch, axis=axis, dtype=dtype))
    return np.stack(pieces, axis=axis)


# --- reduce


_logaddexp: Ufunc = np.logaddexp


def _logaddexp_reduce(
    x: Array, axis: Axis = None, *, keepdims: bool = False, initial: float | None = -np.inf
) -> Array:
    return _logaddexp.reduce(x, axis=axis, keepdims=keepdims, initial=initial)


def _logaddexp_reduce_rule(
    g: Array,
    y: Array,
    x: Array,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: float | None = -np.inf,
) -> Array:
    """g times the share of each element, from x alone: exp(x - y) has the rounding of a large y.

    Where y is infinite, the elements that are, too, have even shares.
    """
    if not (keepdims or axis is None):
        g, y = np.expand_dims(g, axis), np.expand_dims(y, axis)
    share = shares(x, axis=axis)
    if initial is not None and initial != -np.inf:
        total = logaddexp_reduce(x, axis=axis, keepdims=True)
        share = share * elementwise.natural_share(total, initial)
    ties = _tied_at_infinity(x, y)
    even = 1 / np.maximum(np.sum(ties, axis=axis, keepdims=True), 1)
    return g * np.where(ties, even.astype(g.dtype), share)


logaddexp_reduce = define(
    _logaddexp_reduce,
    _logaddexp_reduce_rule,
    name="logaddexp.reduce",
    kind=Kind.REDUCTION,
    unchecked=True,
)


def _logaddexp_over(x: Array, axis: Axis, where: Any = True, **options: Any) -> Array:
    selected = x if where is True else np.where(selection(x, where), x, -np.inf)
    return logaddexp_reduce(selected, axis=axis, **options)


REDUCTIONS: dict[Ufunc, Function] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logaddexp: _logaddexp_over,
}


def reduce(ufunc: Ufunc, x: Array, /, axis: Axis = 0, dtype: Any = None, **options: Any) -> Array:
    """ufunc.reduce: np.sum, np.prod ... by another name, but for the axis, which is the first."""
    if dtype is not None and ufunc in (np.add, np.multiply):
        options["dtype"] = dtype
    elif dtype is not None:
        x = x.astype(dtype)
    number = not x.shape and axis in (0, -1)  # of which NumPy says that it has such an axis
    return REDUCTIONS[ufunc](x, axis=None if number else axis, **options)


# --- accumulate


def _carry_back(s: Array, y: Array, weight: Function) -> Array:
    """s[i] + w(y[i], y[i+1]) s[i+1] + w(y[i], y[i+2]) s[i+2] + ..., if w(a, b) w(b, c) = w(a, c).

    By doubling, in log2(n) steps (Hillis and Steele, Data parallel algorithms, 1986).
    """
    step = 1
    while step < len(s):
        nearer = s[:-step] + weight(y[:-step], y[step:]) * s[step:]
        s = np.concatenate([nearer, s[-step:]])
        step *= 2
    return s


def _running(ufunc: Ufunc, weight: Function, tied: Function) -> Op:
    """The op ufunc.accumulate, given how much y[i] has in a later y[j], and x[i] in y[i].

    Elements that tie share evenly: those up to i which are equal to y[i].
    """

    def accumulate(x: Array, axis: int = 0) -> Array:
        return ufunc.accumulate(x, axis=axis)

    def rule(g: Array, y: Array, x: Array, axis: int = 0) -> Array:
        g, y, x = [np.swapaxes(each, 0, axis) for each in (g, y, x)]
        ties = _carry_back((tied(x, y) * 1.0)[::-1], y[::-1], tied)[::-1]
        share = (1 / np.maximum(ties, 1)).astype(g.dtype)
        return np.swapaxes(_carry_back(g * share, y, weight) * weight(x, y), 0, axis)

    return define(accumulate, rule, name=f"{ufunc.__name__}.accumulate", unchecked=True)


def _same(a: Array, b: Array) -> Array:
    return (a == b) | ((a != a) & (b != b))


def _tied_at_infinity(a: Array, b: Array) -> Array:
    return (a == b) & np.isinf(a)


def _ratio(a: Array, b: Array) -> Array:
    """exp(a - b), 1 for equal infinities."""
    return np.exp(np.where(_tied_at_infinity(a, b), 0, a - b))


maximum_accumulate = _running(np.maximum, _same, _same)
minimum_accumulate = _running(np.minimum, _same, _same)
logaddexp_accumulate = _running(np.logaddexp, _ratio, _tied_at_infinity)

ACCUMULATIONS: dict[Ufunc, Function] = {
    np.add: np.cumsum,
    np.multiply: np.cumprod,
    np.maximum: maximum_accumulate,
    np.minimum: minimum_accumulate,
    np.logaddexp: logaddexp_accumulate,
}


def accumulate(ufunc: Ufunc, x: Array, /, axis: int = 0, dtype: Any = None) -> Array:
    """ufunc.accumulate: y[i] = ufunc(y[i - 1], x[i]) along the axis; ties share evenly."""
    if not x.shape:
        raise TypeError(f"{ufunc.__name__}.accumulate: cannot accumulate on a scalar")
    return ACCUMULATIONS[ufunc](x if dtype is None else x.astype(dtype), axis=axis)


# --- the entries


def _is_constant(op: Function) -> bool:
    primitive = getattr(op, "primitive", None)
    return isinstance(primitive, Primitive) and not primitive.rules


for _ufunc, _op in [(f, op) for f, op in NUMPY.items() if isinstance(f, np.ufunc)]:
    keywords_of_its_own = _is_constant(_op) or (_ufunc.signature and not hasattr(_op, "primitive"))
    NUMPY.setdefault(
        (_ufunc, "__call__"), _op if keywords_of_its_own else partial(call_ufunc, _ufunc)
    )
    NUMPY[_ufunc, "at"] = partial(at, _ufunc)
    if _ufunc.nin == 2 and not _ufunc.signature:
        NUMPY[_ufunc, "outer"] = partial(outer, _ufunc)
for _ufunc in REDUCTIONS:
    for _method in (reduce, accumulate, reduceat):
        NUMPY[_ufunc, _method.__name__] = partial(_method, _ufunc)
register_batching(batch_reduction, logaddexp_reduce)
register_batching(batch_along_flat, maximum_accumulate, minimum_accumulate, logaddexp_accumulate)
