"""What every optimiser does with the leaves of its trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..support import tree
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import is_numeric
from ..support.tree import Tree


def each(f: Callable[..., Any], first: Tree, *rest: Tree) -> Tree:
    """`tree.map` over arrays and numbers; of other leaves, those of the first tree are kept.

    >>> each(np.add, {"w": 1.0, "name": "linear"}, {"w": 2.0, "name": None})
    {'w': np.float64(3.0), 'name': 'linear'}
    """

    def leaf(x: Any, *others: Any) -> Any:
        moves = (type(x) is np.ndarray and x.dtype.kind in "fc") or is_numeric(x)
        return f(x, *others) if moves else x

    try:
        return tree.map(leaf, first, *rest)
    except NotDifferentiableError:
        tree.refuse_leaves(first, "params")
        raise


def each_of(count: int, f: Callable[..., tuple[Any, ...]], first: Tree, *rest: Tree) -> list[Tree]:
    """`each` of a function with several results: so many trees, in one walk instead of several.

    >>> each_of(2, lambda x: (x + 1, x - 1), {"w": 1.0, "name": "linear"})
    [{'w': 2.0, 'name': 'linear'}, {'w': 0.0, 'name': 'linear'}]
    """
    found: list[list[Any]] = [[] for _ in range(count)]

    def leaf(x: Any, *others: Any) -> Any:
        moves = (type(x) is np.ndarray and x.dtype.kind in "fc") or is_numeric(x)
        for values, y in zip(found, f(x, *others) if moves else (x,) * count, strict=True):
            values.append(y)

    tree.map(leaf, first, *rest)
    _, structure = tree.flatten(first)
    return [tree.unflatten(structure, values) for values in found]


def with_grads(f: Callable[..., Any], params: Tree, grads: Tree, *rest: Tree) -> Tree:
    """`each` of f(parameter, gradient, ...), each gradient in its parameter's dtype.

    Raises ShapeError, with the path, for a gradient that has not its parameter's shape.

    >>> with_grads(np.subtract, {"w": np.ones(2)}, {"w": np.ones(3)})
    Traceback (most recent call last):
    ...
    tinygrad_digits.support.errors.ShapeError: params['w'] has shape (2,), but its gradient (3,)
    """

    def leaf(p: Any, g: Any, *others: Any) -> Any:
        usual = type(p) is type(g) is np.ndarray and p.dtype is g.dtype and p.shape == g.shape
        if usual and p.dtype.kind in "fc":  # 0.2 us less than the line below
            return f(p, g, *others)
        return f(p, fit_gradient(p, g), *others) if is_numeric(p) else p

    return map_matching(leaf, params, grads, *rest)


def map_matching(leaf: Callable[..., Any], params: Tree, grads: Tree, *rest: Tree) -> Tree:
    """`tree.map`, with the path where a gradient does not fit its parameter."""
    try:
        return tree.map(leaf, params, grads, *rest)
    except ShapeError as error:
        raise _misfit(params, grads) or error from None
    except NotDifferentiableError:
        tree.refuse_leaves(params, "params")
        tree.refuse_leaves(grads, "grads")
        raise


def apply_in_place(ufunc: np.ufunc, a: Any, b: Any) -> Any:
    """ufunc(a, b) in the memory of a, a new array that nobody else has, where that is possible.

    A sixth off the time of Adam. Tensors, and what promotes, go the usual way.
    """
    fits = type(a) is np.ndarray and (
        type(b) is float or (type(b) is type(a) and b.dtype is a.dtype)
    )
    return ufunc(a, b, out=a) if fits and a.shape else ufunc(a, b)


def zeros(params: Tree) -> Tree:
    """Zeros like the parameters: new arrays, and NumPy's numbers for numbers."""
    return each(lambda p: unwrap_0d(np.zeros_like(p)), params)


def zero_sizes(params: Tree) -> Tree:
    """Zeros like the lengths of the parameters, which are real."""
    return each(lambda p: unwrap_0d(np.zeros_like(np.real(p))), params)


def unwrap_0d(x: Any) -> Any:
    """An array, or the NumPy number in one without axes, which is what arithmetic gives."""
    return x if x.ndim else x[()]


def weaken(number: Any) -> Any:
    """A NumPy number as Python's; a Tensor, which only `match_dtype` can help, as it is."""
    return number.item() if isinstance(number, np.generic) else number


def match_dtype(number: Any, like: Any) -> Any:
    """A number that takes on the dtype of the array that it meets, as Python's numbers do.

    >>> (match_dtype(np.float64(0.5), np.float32(1)) * np.float32(1)).dtype
    dtype('float32')
    """
    if type(number) is float:
        return number
    kind = getattr(getattr(like, "dtype", None), "kind", "")
    if not hasattr(number, "astype") or kind not in ("f", "c"):
        return number
    return number.astype(like.dtype if kind == "f" else like.real.dtype)


def check_positive(name: str, value: float) -> float:
    """A Python number, which unlike NumPy's leaves float32 parameters float32."""
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")
    return float(value)


def check_not_negative(name: str, value: float) -> float:
    """A Python number of 0 or more."""
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)


def check_fraction(name: str, value: float) -> float:
    """A Python number in [0, 1): how much of the past is kept."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")
    return float(value)


def check_count(name: str, value: int) -> int:
    if not (isinstance(value, int | np.integer) and value >= 1):
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def fit_gradient(p: Any, g: Any) -> Any:
    """The gradient in its parameter's dtype."""
    if not is_numeric(g) or getattr(g, "shape", ()) != getattr(p, "shape", ()):
        raise ShapeError("a gradient does not fit its parameter")
    wanted = getattr(p, "dtype", None)
    foreign = getattr(g, "dtype", wanted) != wanted
    return g.astype(wanted) if foreign and wanted is not None and wanted.kind in "fc" else g


def square_size(g: Any) -> Any:
    """The square of each element, of complex ones that of the length: a real array."""
    if not hasattr(g, "dtype") or g.dtype.kind != "c":
        return np.square(g)
    return np.square(g.real) + np.square(g.imag)


def _misfit(params: Tree, grads: Tree) -> ShapeError | None:
    """The first place where gradients do not fit their parameters."""
    wanted, there = dict(tree.items(params)), dict(tree.items(grads))
    for path, p in wanted.items():
        if path not in there:
            got = ", ".join(f"grads{other}" for other in [*there][:9])
            return ShapeError(f"params{path} has no gradient; there are {got or 'none'}")
        g = there[path]
        if is_numeric(p) and not is_numeric(g):
            return ShapeError(f"params{path} is a number, but its gradient {g!r}")
        shape, other = getattr(p, "shape", ()), getattr(g, "shape", ())
        if is_numeric(p) and shape != other:
            return ShapeError(f"params{path} has shape {shape}, but its gradient {other}")
    more = [path for path in there if path not in wanted]
    return ShapeError(f"grads{more[0]} is the gradient of no parameter") if more else None
