"""Products with sparse matrices of scipy.sparse, which are constants: A @ t, t @ A, A.dot(t).

SciPy's own `@` comes first in `A @ t`. It leaves the product to what NumPy can make no array of
(`Tensor.__array__` says so to it), and so it ends here, as `t @ A` does.
"""

import copy
from typing import Any

from ..engine.define import define
from ..engine.primitive import Array
from ..staging.batching import BatchedCall, move_axis, register_batching
from ..support.errors import NotDifferentiableError
from ..support.foreign import is_sparse
from .products import matmul

STORED_ONCE = ("csr", "csc", "coo")
"""Formats whose transpose stores the same numbers in the same order."""


class Places:
    """A sparse matrix as an option of an op, which says where its numbers belong."""

    __slots__ = ("matrix",)

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix

    def __repr__(self) -> str:
        return f"{type(self.matrix).__name__}{self.matrix.shape}"

    def fill(self, data: Array) -> Any:
        """The matrix with these numbers: on a tape and in a program they are copies of its own."""
        if data is self.matrix.data:
            return self.matrix
        filled = copy.copy(self.matrix)
        filled.data = data
        return filled


def _product(data: Array, x: Array, *, places: Places) -> Array:
    return places.fill(data) @ x


def _product_rule(g: Array, _y: Array, data: Array, _x: Array, *, places: Places) -> Array:
    """A.T @ g"""
    return sparse_product(data, g, places=Places(places.matrix.T))


sparse_product = define(_product, None, _product_rule, name="sparse_product", unchecked=True)


def _batch_sparse_product(call: BatchedCall) -> Any:
    """A sparse matrix times (k,) or (k, m): one product with the columns of all examples."""
    (data, x), options = call.xs, call.options
    if x.ndim == 2:
        return call.op.apply(data, x.T, **options).T
    columns = move_axis(x, 0, 1).reshape(x.shape[1], call.length * x.shape[2])
    y = call.op.apply(data, columns, **options)
    return move_axis(y.reshape(y.shape[0], call.length, x.shape[2]), 1, 0)


register_batching(_batch_sparse_product, sparse_product)


def multiply(a: Any, b: Any) -> Array:
    """a @ b, of which one is sparse: (n, k) and (k,) or (k, m); or (k,) or (m, k) and (k, n)."""
    if is_sparse(a) and is_sparse(b):
        return a @ b
    if is_sparse(b):
        return multiply(b.T, a.T).T
    if a.dtype.kind not in "fiubc":
        raise NotDifferentiableError(
            f"matmul: a Tensor cannot be multiplied by a sparse matrix of {a.dtype}"
        )
    if a.ndim == 1:
        return multiply(a.reshape((1, -1)).tocsr(), b)[0]
    a = a if a.format in STORED_ONCE else a.tocsr()
    return sparse_product(a.data, b, places=Places(a))


matmul.primitive.sparse = multiply
