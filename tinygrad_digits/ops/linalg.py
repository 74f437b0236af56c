"""Sums of products: matmul, dot, einsum."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from ..engine.primitive import Each, Kind, define, handles, implement, no_rule_with
from ..engine.tape import Array

LETTERS = ascii_uppercase + ascii_lowercase  # sorted, as NumPy numbers the labels of einsum


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


@handles(np.dot)
def dot(a: Array, b: Array) -> Array:
    """numpy.dot: a product of scalars, vectors or matrices; over (..., k) and (..., k, m) else."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    left, right = LETTERS[: np.ndim(a) - 1], LETTERS[np.ndim(a) : 50][: np.ndim(b) - 1]
    return np.einsum(f"{left}Z,{right[:-1]}Z{right[-1]}->{left}{right}", a, b)


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


_einsum = define(_contract, Each(_einsum_rule), name="einsum", kind=Kind.PRODUCT, trusted=True)


@handles(np.einsum)
def einsum(*operands: Any, optimize: Any = False, **others: Any) -> Array:
    """numpy.einsum, in both of its forms: ("ij,jk->ik", a, b) and (a, [0, 1], b, [1, 2], [0, 2]).

    >>> import tinygrad_digits as td
    >>> td.grad(lambda a: np.einsum("ii->", a))(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    for option in others:
        raise no_rule_with("einsum", option, ["optimize"])
    subscripts, *arrays = operands if isinstance(operands[0], str) else _from_lists(operands)
    arrays = [x if hasattr(x, "shape") else np.asarray(x) for x in arrays]
    explicit = _explicit(subscripts, [len(x.shape) for x in arrays])
    return _einsum(*arrays, subscripts=explicit, optimize=optimize)


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
