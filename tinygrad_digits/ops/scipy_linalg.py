"""Twins of functions of scipy.linalg, which has to be installed when they are called."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind
from ..staging.batching import batch_last_axes, register_batching
from ..support.errors import extra
from ..support.foreign import as_array
from .complex_parts import conj

TRANSPOSED = {0: False, "N": False, 1: True, "T": True, 2: True, "C": True}


def _scipy(name: str) -> Callable[..., Any]:
    with extra("scipy"):
        import scipy.linalg
    return getattr(scipy.linalg, name)  # type: ignore[no-any-return]


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


# --- triangular equations


def _triangular(a: Array, b: Array, **options: Any) -> Array:
    solve = _scipy("solve_triangular")
    if a.ndim == b.ndim == 2:
        return solve(a, b, **options)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # which older SciPys do not loop over
    a, b = (np.broadcast_to(x, batch + x.shape[-2:]) for x in (a, b))
    x = np.empty(b.shape, np.result_type(a, b, np.float32))
    for i in np.ndindex(batch):
        x[i] = solve(a[i], b[i], **options)
    return x


def _triangular_rule_b(
    g: Array,
    _y: Array,
    a: Array,
    _b: Array,
    *,
    trans: int,
    lower: bool,
    unit_diagonal: bool,
    check_finite: bool,
) -> Array:
    return solve_triangular_op(a, g, trans=1 - trans, lower=lower, unit_diagonal=unit_diagonal,
                  check_finite=check_finite)  # fmt: skip


def _triangular_rule_a(
    g: Array,
    y: Array,
    a: Array,
    b: Array,
    *,
    trans: int,
    lower: bool,
    unit_diagonal: bool,
    check_finite: bool,
) -> Array:
    """As for solve, in the triangle that is read."""
    of_b = _triangular_rule_b(g, y, a, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal,
                              check_finite=check_finite)  # fmt: skip
    read = np.tri(a.shape[-1], k=-int(unit_diagonal), dtype=g.dtype)
    return -(y @ _t(of_b) if trans else of_b @ _t(y)) * (read if lower else read.T)


solve_triangular_op = define(
    _triangular,
    _triangular_rule_a,
    _triangular_rule_b,
    name="solve_triangular",
    kind=Kind.PRODUCT,
    unchecked=True,
)


def solve_triangular(
    a: Array,
    b: Array,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    *,
    check_finite: bool = True,
) -> Array:
    """scipy.linalg.solve_triangular: (..., n, n) and (n,) or (..., n, k) -> x with a @ x = b.

    Only one triangle of a is read, and gets a gradient; with trans=1 (or "T") it is transposed
    first, with 2 (or "C") its conjugate is. Raises LinAlgError where a is singular,
    MissingExtraError without SciPy.

    >>> import tinygrad_digits as td
    >>> a = np.array([[2.0, 1], [0, 4]])
    >>> td.grad(lambda b: td.linalg.solve_triangular(a, b).sum())(np.ones(2))
    array([0.5  , 0.125])
    """
    if trans not in TRANSPOSED:
        raise ValueError(f"solve_triangular: trans is 0 or 'N', 1 or 'T', 2 or 'C', not {trans!r}")
    a, b = (as_array(x, float) for x in (a, b))
    a = conj(a) if trans in (2, "C") else a
    columns = b.reshape((-1, 1)) if b.ndim == 1 else b
    x = solve_triangular_op(a, columns, trans=int(TRANSPOSED[trans]), lower=bool(lower),
               unit_diagonal=bool(unit_diagonal), check_finite=bool(check_finite))  # fmt: skip
    return x[..., 0] if b.ndim == 1 else x


def cho_solve(c_and_lower: tuple[Array, bool], b: Array, *, check_finite: bool = True) -> Array:
    """scipy.linalg.cho_solve: x with a @ x = b, from (c, lower), a Cholesky factor of a.

    >>> import tinygrad_digits as td
    >>> factor = np.linalg.cholesky(np.diag([4.0, 9.0]))
    >>> td.grad(lambda b: td.linalg.cho_solve((factor, True), b).sum())(np.ones(2))
    array([0.25      , 0.11111111])
    """
    c, lower = c_and_lower
    first, then = (0, 2) if lower else (2, 0)
    half = solve_triangular(c, b, first, lower, check_finite=check_finite)
    return solve_triangular(c, half, then, lower, check_finite=check_finite)


# --- the exponential of a matrix


def _expm(a: Array) -> Array:
    return _scipy("expm")(a)


def _expm_rule(g: Array, _y: Array, a: Array) -> Array:
    """The derivative in a direction is a block of the exponential of a block matrix.

    exp([[a, g], [0, a]]) has it at the upper right (Najfeld and Havel, Derivatives of the matrix
    exponential and their computation, 1995); the transpose takes the transposed matrix.
    """
    n = a.shape[-1]
    upper = np.concatenate([_t(a), g], axis=-1)
    lower = np.concatenate([np.zeros_like(a), _t(a)], axis=-1)
    return expm(np.concatenate([upper, lower], axis=-2))[..., :n, n:].astype(g.dtype)


_exponential = define(_expm, _expm_rule, name="expm", unchecked=True)
register_batching(batch_last_axes, _exponential)


def expm(A: Array) -> Array:
    """scipy.linalg.expm: the exponential of matrices, (..., n, n) -> (..., n, n).

    Raises MissingExtraError without SciPy.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda a: td.linalg.expm(a)[0, 1])(np.zeros((2, 2)))
    array([[0., 1.],
           [0., 0.]])
    """
    return _exponential(A)
