"""Sums of products: matmul, dot, einsum."""

import functools
import operator
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.define import define
from ..engine.primitive import Array, Kind, VariadicRule
from ..engine.tensor import Tensor
from ..staging.batching import BatchedCall, Rule, batch_two_axes, register_batching, widen
from ..support.errors import ShapeError, no_rule_with
from ..support.foreign import as_array
from .complex_parts import conj, watch_rules
from .indexing import put
from .registering import handles, implement
from .views import Way, share

SMALL_LETTERS = "abcdefghijklmnopqrstuvwxyz"
LETTERS = SMALL_LETTERS.upper() + SMALL_LETTERS  # sorted, as NumPy numbers the labels of einsum


# --- matmul: (..., n, k) @ (..., k, m) -> (..., n, m), where a vector is a matrix of one row or
# column that is dropped again. Batch axes that were broadcast are summed by the engine.


def _matmul_left(g: Array, _y: Array, a_like: Array, b: Array) -> Array:
    """g @ b.T"""
    if b.ndim == 2 and g.ndim > 1:
        return g @ b.T
    if b.ndim == 1:
        return (g if a_like.ndim == 1 else g[..., None]) * b
    return g @ b.swapaxes(-1, -2) if a_like.ndim > 1 else (b @ g[..., None])[..., 0]


def _matmul_right(g: Array, _y: Array, a: Array, b_like: Array) -> Array:
    """a.T @ g"""
    if a.ndim == 2 and g.ndim == 2:
        return a.T @ g
    if a.ndim == 1:
        return g * a if b_like.ndim == 1 else a[:, None] * g[..., None, :]
    if b_like.ndim == 1:
        return (a.swapaxes(-1, -2) @ g[..., None])[..., 0]
    if b_like.ndim == 2:  # one product over all the batch's rows, rather than a sum of many
        rows = prod(a.shape[:-1])
        return a.reshape(rows, a.shape[-1]).T @ g.reshape(rows, g.shape[-1])
    return a.swapaxes(-1, -2) @ g


matmul = implement(np.matmul, _matmul_left, _matmul_right, kind=Kind.PRODUCT)


def _batch_matmul(call: BatchedCall) -> Any:
    (a, b), (left, right), (m, n) = call.xs, call.on, call.ndims()
    if min(m, n) == 0:
        raise ShapeError("matmul: a product of matrices takes no 0-d arrays; write a * b")
    if not right and n <= 2:
        if m == 1:
            return a @ b
        shape = (*a.shape[:-1], *b.shape[1:])  # one product over the rows of all examples
        return (a.reshape(prod(a.shape[:-1]), a.shape[-1]) @ b).reshape(shape)
    if not left and m <= 2 and n == 1:
        return b @ a.T
    a = a[..., None, :] if m == 1 else a
    b = b[..., None] if n == 1 else b
    ndim = max(m, n, 2)
    a, b = (widen(x, on, ndim) for x, on in ((a, left), (b, right)))
    y = a @ b
    y = y[..., 0, :] if m == 1 else y
    return y[..., 0] if n == 1 else y


register_batching(_batch_matmul, matmul)


# --- dot and what is made of it


def _dot_left(g: Array, _y: Array, a_like: Array, b: Array) -> Array:
    summed = max(b.ndim - 2, 0)
    rest = [i for i in range(b.ndim) if i != summed]
    return np.tensordot(g, b, (range(a_like.ndim - 1, g.ndim), rest))


def _dot_right(g: Array, _y: Array, a: Array, b_like: Array) -> Array:
    leading = range(a.ndim - 1)
    return np.moveaxis(np.tensordot(a, g, (leading, leading)), 0, max(b_like.ndim - 2, 0))


_dot = define(np.dot, _dot_left, _dot_right, unchecked=True)


@handles(np.dot)
def dot(a: Array, b: Array) -> Array:
    """numpy.dot: a product of scalars, vectors or matrices; over (..., k) and (..., k, m) else."""
    a, b = as_array(a), as_array(b)
    if not a.shape or not b.shape:
        return np.multiply(a, b)
    # NumPy's dot of more axes rounds in another way than its matmul
    return matmul(a, b) if max(len(a.shape), len(b.shape)) <= 2 else _dot(a, b)


@handles(np.vdot)
def vdot(a: Array, b: Array, /) -> Array:
    """numpy.vdot: the product of all elements by all elements, as of vectors; a is conjugated."""
    return np.dot(conj(np.reshape(a, -1)), np.reshape(b, -1))


@handles(np.inner)
def inner(a: Array, b: Array, /) -> Array:
    """numpy.inner: (..., k) and (..., k) -> (..., ...), over the last axes of both."""
    a, b = as_array(a), as_array(b)
    return np.dot(a, b.swapaxes(-1, -2) if a.shape and len(b.shape) > 1 else b)


@handles(np.outer)
def outer(a: Array, b: Array) -> Array:
    """numpy.outer: (n,) and (m,), or anything that is flattened to them -> (n, m)."""
    return np.multiply(np.reshape(a, (-1, 1)), np.reshape(b, (1, -1)))


@handles(np.linalg.outer)
def linalg_outer(x1: Array, x2: Array, /) -> Array:
    """numpy.linalg.outer: numpy.outer, of vectors alone."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"linalg.outer takes vectors, got {np.shape(x1)} and {np.shape(x2)}")
    return outer(x1, x2)


@handles(np.tensordot, np.linalg.tensordot)
def tensordot(a: Array, b: Array, /, axes: Any = 2) -> Array:
    """numpy.tensordot: a sum over some axes of both; `axes` says how many, or which of each."""
    a, b = as_array(a), as_array(b)
    left, right = (range(-axes, 0), range(axes)) if np.ndim(axes) == 0 else axes
    left, right = normalize_axis_tuple(left, a.ndim), normalize_axis_tuple(right, b.ndim)
    summed = [a.shape[i] for i in left]
    if summed != [b.shape[i] for i in right]:
        raise ValueError(f"tensordot: axes {left} of {a.shape} do not fit {right} of {b.shape}")
    free_a = [i for i in range(a.ndim) if i not in left]
    free_b = [i for i in range(b.ndim) if i not in right]
    rows, columns = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    flat_a = np.transpose(a, (*free_a, *left)).reshape((prod(rows), prod(summed)))
    flat_b = np.transpose(b, (*right, *free_b)).reshape((prod(summed), prod(columns)))
    return np.dot(flat_a, flat_b).reshape((*rows, *columns))


@handles(np.kron)
def kron(a: Array, b: Array) -> Array:
    """numpy.kron: every element of a times the whole of b, as blocks; axes are added in front."""
    a, b = as_array(a), as_array(b)
    if not a.shape or not b.shape:
        return np.multiply(a, b)
    ndim = max(len(a.shape), len(b.shape))
    of_a, of_b = ((1,) * (ndim - len(x.shape)) + x.shape for x in (a, b))
    blocks = a.reshape([n for m in of_a for n in (m, 1)])
    inside = b.reshape([n for m in of_b for n in (1, m)])
    return np.multiply(blocks, inside).reshape([m * n for m, n in zip(of_a, of_b, strict=True)])


@handles(np.cross)
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """numpy.cross of vectors of 3 along axes; of two with 2, which lie in a plane, a number."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    dimensions = a.shape[-1], b.shape[-1]
    if dimensions != (3, 3):  # NumPy's own word on others: for 2 a warning, from 2.5 on an error
        np.cross(np.zeros(dimensions[0]), np.zeros(dimensions[1]))
    if dimensions == (2, 2):
        area = _minor(a, b, 0, 1)
        return area if area.shape else np.broadcast_to(area, ())  # an array, as in NumPy
    a, b = (x if x.shape[-1] == 3 else _in_space(x) for x in (a, b))
    return np.stack([_minor(a, b, i, j) for i, j in ((1, 2), (2, 0), (0, 1))], axis=axisc)


def _minor(a: Array, b: Array, i: int, j: int) -> Array:
    return a[..., i] * b[..., j] - a[..., j] * b[..., i]


def _in_space(x: Array) -> Array:
    """Vectors of the plane with a third component, which is 0."""
    return np.concatenate([x, np.zeros((*x.shape[:-1], 1), x.dtype)], -1)


@handles(np.linalg.cross)
def linalg_cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """numpy.linalg.cross: numpy.cross, of vectors of 3 alone."""
    if np.shape(x1)[axis] != 3 or np.shape(x2)[axis] != 3:
        raise ValueError(f"linalg.cross takes vectors of 3, got {np.shape(x1)} and {np.shape(x2)}")
    return cross(x1, x2, axis=axis)


@handles(np.linalg.matmul)
def linalg_matmul(x1: Array, x2: Array, /) -> Array:
    """numpy.linalg.matmul: numpy.matmul."""
    return matmul(x1, x2)


@handles(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Array]) -> Array:
    """numpy.linalg.multi_dot: the product of a chain, in the order that takes fewest operations.

    The order is found by dynamic programming (Cormen et al., Introduction to Algorithms, 14.2 of
    the fourth edition).
    """
    chain = [as_array(x) for x in arrays]
    if len(chain) < 2:
        raise ValueError(f"multi_dot takes two arrays or more, got {len(chain)}")
    if len(chain) == 2:
        return np.dot(*chain)
    ndims = [len(x.shape) for x in chain]
    if set(ndims[1:-1]) != {2} or not {ndims[0], ndims[-1]} <= {1, 2}:
        raise np.linalg.LinAlgError(
            f"multi_dot takes matrices, vectors at the ends; got {ndims} axes"
        )
    shape = chain[0].shape[:-1] + chain[-1].shape[1:]  # the ends may be vectors
    chain[0], chain[-1] = chain[0].reshape((-1, chain[0].shape[-1])), _columns(chain[-1])
    lengths = [chain[0].shape[0], *[x.shape[-1] for x in chain]]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """Of the product of chain[i] to chain[j]: its cost, and after which array to split it."""
        costs = [
            (best(i, k)[0] + best(k + 1, j)[0] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
            for k in range(i, j)
        ]
        return min(costs, default=(0, i))

    def product(i: int, j: int) -> Array:
        k = best(i, j)[1]
        return chain[i] if i == j else np.dot(product(i, k), product(k + 1, j))

    whole = product(0, len(chain) - 1)
    return whole.reshape(shape) if shape else whole[0, 0]  # a scalar, as in NumPy


def _columns(x: Array) -> Array:
    """A vector as a matrix of one column."""
    return x if len(x.shape) > 1 else x.reshape((x.shape[0], 1))


@handles(np.linalg.matrix_power)
def matrix_power(a: Array, n: int) -> Array:
    """numpy.linalg.matrix_power: a @ a @ ... by repeated squaring; inverted first where n < 0."""
    n = operator.index(n)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power takes square matrices, got {a.shape}")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy()
    square, n = (np.linalg.inv(a) if n < 0 else a), abs(n)
    if n == 3:  # in the order that NumPy takes
        return (square @ square) @ square
    result = square if n & 1 else None
    while n := n >> 1:
        square = square @ square
        if n & 1:
            result = square if result is None else result @ square
    return result


# --- products along one axis, batches of them


def _vecdot_left(g: Array, _y: Array, _a: Array, b: Array) -> Array:
    return conj(g[..., None] * b)


def _vecdot_right(g: Array, _y: Array, a: Array, _b: Array) -> Array:
    return g[..., None] * conj(a)


_vecdot = define(np.vecdot, _vecdot_left, _vecdot_right, kind=Kind.PRODUCT, unchecked=True)


def _batch_vectors(left: int, right: int) -> Rule:
    """The rule for a product whose arguments have so many axes that are no batch of their own."""

    def rule(call: BatchedCall) -> Any:
        if call.options:
            return NotImplemented
        outer = max(n - core for n, core in zip(call.ndims(), (left, right), strict=True))
        each = zip(call.xs, call.on, (left, right), strict=True)
        return call.op.apply(*[widen(x, on, outer + core) for x, on, core in each])

    return rule


register_batching(_batch_vectors(1, 1), _vecdot)


@handles(np.vecdot)
def vecdot(a: Array, b: Array, /, *, axis: int = -1, keepdims: bool = False) -> Array:
    """numpy.vecdot: (..., n) and (..., n) -> (...), products of vectors; a is conjugated."""
    a, b = (x if axis == -1 else np.moveaxis(x, axis, -1) for x in (as_array(a), as_array(b)))
    return np.expand_dims(_vecdot(a, b), axis) if keepdims else _vecdot(a, b)


@handles(np.linalg.vecdot)
def linalg_vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """numpy.linalg.vecdot: numpy.vecdot."""
    return vecdot(x1, x2, axis=axis)


if hasattr(np, "matvec"):  # NumPy 2.2
    matvec = implement(
        np.matvec,
        lambda g, _y, _a, b: g[..., None] * b[..., None, :],
        lambda g, _y, a, _b: np.matvec(a.swapaxes(-1, -2), g),
        kind=Kind.PRODUCT,
    )
    vecmat = implement(
        np.vecmat,
        lambda g, _y, _a, b: conj(np.matvec(b, g)),
        lambda g, _y, a, _b: conj(a)[..., None] * g[..., None, :],
        kind=Kind.PRODUCT,
    )
    register_batching(_batch_vectors(2, 1), matvec)
    register_batching(_batch_vectors(1, 2), vecmat)
    watch_rules(vecmat)
watch_rules(_vecdot)


# --- the trace


def _trace_rule(
    g: Array, _y: Array, x_like: Array, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Array:
    """g along the diagonal that was summed."""
    diagonal = np.eye(x_like.shape[axis1], x_like.shape[axis2], k=offset, dtype=g.dtype)
    return np.moveaxis(g[..., None, None] * diagonal, (-2, -1), (axis1, axis2))


_trace = define(np.trace, _trace_rule, unchecked=True)
register_batching(batch_two_axes, _trace)


@handles(np.trace)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
    """numpy.trace: (n, m, ...) -> (...), the sum along a diagonal; in `dtype`, if one is given."""
    return _trace(a if dtype is None else a.astype(dtype), offset=offset, axis1=axis1, axis2=axis2)


@handles(np.linalg.trace)
def linalg_trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """numpy.linalg.trace: (..., n, m) -> (...)."""
    return trace(x, offset, -2, -1, dtype)


@handles(np.linalg.diagonal)
def linalg_diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """numpy.linalg.diagonal: (..., n, m) -> (..., min(n, m))."""
    return np.diagonal(x, offset, -2, -1)


@handles(np.linalg.matrix_transpose)
def linalg_matrix_transpose(x: Array, /) -> Array:
    """numpy.linalg.matrix_transpose: (..., n, m) -> (..., m, n)."""
    if len(x.shape) < 2:
        raise ValueError(f"matrix_transpose takes matrices, (..., n, m), got {x.shape}")
    return x.swapaxes(-1, -2)


# --- einsum


def _contract(*operands: Array, subscripts: str, optimize: Any = False) -> Array:
    return np.einsum(subscripts, *operands, optimize=optimize)


def _einsum_rule(
    k: int, g: Array, _y: Array, *xs: Array, subscripts: str, optimize: Any = False
) -> Array:
    """An einsum again: the output's cotangent takes the place of operand k.

    Two things need help. A label that operand k repeats ("ii") gets a fresh one for each
    repetition and an identity matrix that ties them. A label that no other operand has, because it
    was summed away, is stretched by a vector of ones.
    """
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    others = [
        (output, g),
        *[(t, x) for i, (t, x) in enumerate(zip(terms, xs, strict=True)) if i != k],
    ]
    length: dict[str, int] = {}
    for term, x in others:
        for label, n in zip(term, x.shape, strict=True):
            length[label] = max(n, length.get(label, 0))
    fresh = (letter for letter in LETTERS if letter not in subscripts)
    target = ""
    for label, n in zip(terms[k], xs[k].shape, strict=True):
        if label in target:
            twin = next(fresh)
            others.append((label + twin, np.eye(n, dtype=g.dtype)))
            label = twin
        elif length.get(label, 0) < n:
            others.append((label, np.ones(n, g.dtype)))
        target += label
    return np.einsum(
        f"{','.join(term for term, _ in others)}->{target}",
        *[x for _, x in others],
        optimize=optimize or len(others) > 2,
    )


_EINSUM_DEFAULTS = {"out": None, "dtype": None, "order": "K", "casting": "safe"}
_einsum = define(
    _contract, VariadicRule(_einsum_rule), name="einsum", kind=Kind.PRODUCT, unchecked=True
)


def _batch_einsum(call: BatchedCall) -> Any:
    inputs, output = call.options["subscripts"].split("->")
    fresh = next((c for c in LETTERS if c not in inputs), None)
    if fresh is None:
        return NotImplemented
    terms = [fresh * on + term for term, on in zip(inputs.split(","), call.on, strict=True)]
    subscripts = f"{','.join(terms)}->{fresh}{output}"
    return call.op.apply(*call.xs, **{**call.options, "subscripts": subscripts})


register_batching(_batch_einsum, _einsum)


@handles(np.einsum)
def einsum(*operands: Any, optimize: Any = False, **others: Any) -> Array:
    """numpy.einsum, in both of its forms: ("ij,jk->ik", a, b) and (a, [0, 1], b, [1, 2], [0, 2]).

    >>> import tinygrad_digits as td
    >>> td.grad(lambda a: np.einsum("ii->", a))(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    for option, value in others.items():
        default = _EINSUM_DEFAULTS.get(option, ...)
        if value is not default and not (isinstance(value, str) and value == default):
            raise no_rule_with("einsum", option, ["optimize"])
    subscripts, *arrays = operands if isinstance(operands[0], str) else _from_lists(operands)
    arrays = [as_array(x) for x in arrays]
    explicit = _explicit(subscripts, [len(x.shape) for x in arrays])
    y = _einsum(*arrays, subscripts=explicit, optimize=optimize)
    inputs, output = explicit.split("->")
    if len(arrays) == 1 and set(inputs) == set(output):  # nothing is summed: NumPy makes a view
        share(arrays[0], y, REORDERED, explicit)
    return y


def _put_reordered(x: Array, view: Array, subscripts: str) -> Array:
    """x with the elements of einsum(subscripts, x) replaced, such as the diagonal of "ii->i"."""
    inputs, output = subscripts.split("->")
    along = np.ix_(*map(np.arange, view.shape))  # the places of each label of the output
    return put(x, view, index=tuple([along[output.index(label)] for label in inputs]))


REORDERED = Way(lambda x, subscripts: np.einsum(subscripts, x), _put_reordered)


@handles(np.einsum_path)
def einsum_path(*operands: Any, **options: Any) -> tuple[list[Any], str]:
    """numpy.einsum_path, which looks at shapes alone."""
    shapes = [np.empty(x.shape, x.dtype) if isinstance(x, Tensor) else x for x in operands]
    return np.einsum_path(*shapes, **options)


def _from_lists(operands: Sequence[Any]) -> list[Any]:
    """(a, [0, 1], b, [1, 2], [0, 2]) as ["ab,bc->ac", a, b]."""
    arrays, labels = operands[0 : len(operands) // 2 * 2 : 2], list(operands[1::2])
    words = [
        "".join("..." if label is Ellipsis else LETTERS[label] for label in term)
        for term in (labels if len(operands) % 2 == 0 else [*labels, operands[-1]])
    ]
    output = [] if len(operands) % 2 == 0 else ["->" + words.pop()]
    return [",".join(words) + "".join(output), *arrays]


def _explicit(subscripts: str, ndims: Sequence[int]) -> str:
    """Subscripts with letters for each ellipsis, and with an output."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(ndims)}")
    hidden = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims, strict=True)]
    if any(n < 0 or (n and "..." not in term) for n, term in zip(hidden, terms, strict=True)):
        raise ValueError(f"einsum: {subscripts!r} does not fit operands with {list(ndims)} axes")
    fresh = [letter for letter in LETTERS if letter not in subscripts]
    batch = "".join(fresh[: max(hidden, default=0)])
    spelled = [
        term.replace("...", batch[len(batch) - n :]) for term, n in zip(terms, hidden, strict=True)
    ]
    if arrow and batch and "..." not in output:
        raise ValueError(f"einsum: {subscripts!r}: the output must have the '...' of the operands")
    if not arrow:
        once = sorted(c for c in set(chain(*terms)) - {"."} if inputs.count(c) == 1)
        output = "..." * bool(batch) + "".join(once)
    return f"{','.join(spelled)}->{output.replace('...', batch)}"
