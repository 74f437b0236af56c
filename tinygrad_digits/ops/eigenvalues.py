"""Eigenvalues and eigenvectors of matrices that are not symmetric, and roots of polynomials.

With a v = v diag(w), and b = inv(v) da v: dw = diag(b), and the part of dv along the other vectors
is v c with c[i, j] = b[i, j] / (w[j] - w[i]). What is left of dv keeps the gauge that LAPACK gives
(xGEEV): each vector has length 1, and its largest component is real.
"""

from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind
from ..staging.batching import batch_last_axes, register_batching
from ..staging.lowering import register_lowering
from ..support.errors import DegenerateWarning
from ..support.foreign import as_array
from ..support.user_lines import warn
from .complex_parts import break_holomorphy, conj, imag, is_complex, is_known, real
from .linalg import _indistinct, _inverses, _t
from .registering import handles

# Packed as the values above the vectors, (..., 1 + n, n), always complex.


def _eig(a: Array) -> Array:
    values, vectors = np.linalg.eig(a)
    packed = np.concatenate([values[..., None, :], vectors], axis=-2)
    return packed.astype(np.result_type(packed, np.complex64), copy=False)


def _eig_rule(g: Array, y: Array, _a: Array) -> Array:
    check_eig(g, y)
    values, vectors = y[..., 0, :], y[..., 1:, :]
    distances = values[..., None, :] - values[..., :, None]
    along = _t(vectors) @ _fix_gauge(g[..., 1:, :], vectors)
    inside = _inverses(distances, distances != 0) * along
    own = np.eye(values.shape[-1], dtype=g.dtype) * g[..., 0, None, :]
    return _pull_back(inside + own, vectors)


def _pull_back(inside: Array, vectors: Array) -> Array:
    """The cotangent of a from that of b = inv(v) da v."""
    return np.linalg.solve(_t(vectors), inside @ _t(vectors))


def _fix_gauge(g: Array, vectors: Array) -> Array:
    """The cotangent of what moves vectors along others, of which part is undone to keep the gauge.

    With t = sum(g v): a stretch is undone by Re(t) conj(v), and a turn, of which the largest
    component tells, by i Im(t) in its place.
    """
    t = np.sum(g * vectors, axis=-2, keepdims=True)
    n = vectors.shape[-2]
    largest = np.argmax(np.abs(vectors), axis=-2)[..., None, :] == np.arange(n)[:, None]
    turn = np.where(largest, 1j * imag(t) / np.where(largest, vectors, 1), 0)
    return g - real(t) * conj(vectors) - turn


def _check_eig(g: Array, y: Array) -> Array:
    """Warn where vectors of equal eigenvalues are asked for."""
    values, n = y[..., 0, :], y.shape[-1]
    limit = _indistinct(y.dtype, n) * np.abs(values).max(-1, initial=0)[..., None, None]
    close = np.abs(values[..., None, :] - values[..., :, None]) <= limit
    lost = (close & ~np.eye(n, dtype=bool)).any((-2, -1)) & (g[..., 1:, :] != 0).any((-2, -1))
    if lost.any():
        warn(
            "eig: eigenvalues that are equal to rounding have no vectors of their own, so that "
            "this gradient is arbitrary",
            DegenerateWarning,
        )
    return lost


check_eig = define(_check_eig, name="check_eig")
register_lowering(check_eig, effect=True)
_packed_eig = define(_eig, _eig_rule, name="eig", unchecked=True)
_keep_gauge: Function = define(
    lambda v: v.copy(), lambda g, _y, _v: g, name="eigenvectors", kind=Kind.ELEMENTWISE
)
"""The vectors: lengths of 1 and real components are no holomorphic functions, the values are."""
break_holomorphy(_keep_gauge)


def _eigvals(a: Array) -> Array:
    values = np.linalg.eigvals(a)
    return values.astype(np.result_type(values, np.complex64), copy=False)


def _eigvals_rule(g: Array, _y: Array, a: Array) -> Array:
    packed = _packed_eig(a)
    own = np.eye(packed.shape[-1], dtype=g.dtype) * g[..., None, :]
    return _pull_back(own, packed[..., 1:, :])


_complex_eigvals = define(_eigvals, _eigvals_rule, name="eigvals", unchecked=True)
register_batching(batch_last_axes, _packed_eig, _complex_eigvals)
EigResult: Any = type(np.linalg.eig(np.eye(1)))


def _are_real(values: Array, a: Array) -> bool:
    """Whether NumPy makes real arrays: of real eigenvalues of a real matrix."""
    return not is_complex(a) and is_known(values) and bool(np.all(np.imag(values) == 0))


@handles(np.linalg.eig)
def eig(a: Array) -> Any:
    """numpy.linalg.eig: (..., n, n) -> eigenvalues, (..., n), and eigenvectors, (..., n, n).

    Each vector has length 1, and its largest component is real, as LAPACK gives it; nothing but a
    real factor is arbitrary then, its sign. Under `jit` and `vmap` the result is always complex.
    """
    packed = _packed_eig(a)
    values, vectors = packed[..., 0, :], _keep_gauge(packed[..., 1:, :])
    if _are_real(values, a):
        values, vectors = real(values), real(vectors)
    return EigResult(values, vectors)


@handles(np.linalg.eigvals)
def eigvals(a: Array) -> Array:
    """numpy.linalg.eigvals: (..., n, n) -> (..., n), in no order.

    >>> import tinygrad_digits as td
    >>> a = np.array([[0.0, 1.0], [-4.0, 0.0]])
    >>> td.grad(lambda a: np.abs(np.linalg.eigvals(a)).max())(a).round(6)
    array([[ 0.  ,  1.  ],
           [-0.25,  0.  ]])
    """
    values = _complex_eigvals(a)
    return real(values) if _are_real(values, a) else values


# --- roots


def _roots(p: Array) -> Array:
    y = np.roots(p)
    return y.astype(np.result_type(y, p.dtype, np.complex64), copy=False)


def _roots_rule(g: Array, y: Array, p: Array) -> Array:
    """0 = d p(y) = p'(y) dy + the sum of dp[k] y**(n - k), at each root by itself."""
    slopes = np.polyval(np.polyder(p), y)
    return (-(g / slopes) @ np.vander(y, p.shape[0])).astype(g.dtype)


complex_roots = define(_roots, _roots_rule, name="roots", unchecked=True)


@handles(np.roots)
def roots(p: Array) -> Array:
    """numpy.roots: of the polynomial with these coefficients, the highest power first.

    The derivative of a multiple root is infinite or NaN. Under `jit` the first coefficient must not
    be 0, and the result is always complex.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda p: np.roots(p)[0].real)(np.array([1.0, 2.0, 5.0]))
    array([ 1. , -0.5,  0. ])
    """
    p = np.atleast_1d(as_array(p))
    if p.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    y = complex_roots(p)
    return real(y) if _are_real(y, p) else y
