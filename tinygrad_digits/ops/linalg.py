"""numpy.linalg: inverses, determinants, factorisations, norms.

The sources of the derivatives, by the names that the rules cite:

    Giles      Collected matrix derivative results for forward and reverse mode AD, 2008
    Golub      Golub and Pereyra, The differentiation of pseudo-inverses, 1973
    Murray     Differentiation of the Cholesky decomposition, 2016
    Roberts    Roberts and Roberts, QR and LQ decomposition matrix backpropagation, 2020
    Townsend   Differentiating the singular value decomposition, 2016

An op has one output, so a factorisation is an op whose kernel packs the factors into one array,
and slices of that. Three conventions hold throughout:

- What reads one triangle of a matrix (cholesky, eigh, eigvalsh, and hermitian=True) gives a
  gradient to that triangle alone, as central differences of NumPy's function have it. For a
  gradient that treats both triangles alike write the matrix as (a + a.T) / 2.
- Where eigenvalues are equal to rounding, their vectors have no derivative; the terms that would
  divide by the difference are left out, so that all is finite. The gradient of what is made of
  the values alone stays right. What is made of values and vectors, as v @ diag(f(w)) @ v.T or the
  gradient just named, loses its derivative with respect to how the equal ones mix: a
  DegenerateWarning says so. The same holds for singular values that are equal or 0; the polar
  factor u @ vh stays right at equal ones.
- Of complex matrices, what is symmetric here is Hermitian. A rule that conjugates is written for
  conj(g), the gradient that dL = Re(sum of conj(conj(g)) dy) pairs with dy, and returns the
  conjugate of a's.
- Matrices are the last two axes; there may be any others before them.
"""

from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.define import define
from ..engine.primitive import Array, Kind, VariadicRule
from ..engine.tensor import Tensor
from ..staging.batching import (
    BatchedCall,
    batch_last_axes,
    batch_matrices,
    flatten_example,
    register_batching,
    shift_axes,
    widen,
)
from ..staging.lowering import register_lowering
from ..support.errors import DegenerateWarning, NotDifferentiableError
from ..support.foreign import as_array
from ..support.user_lines import warn
from .complex_parts import (
    adjoint,
    break_holomorphy,
    conj,
    imag,
    is_complex,
    real,
    watch_rules,
)
from .products import SMALL_LETTERS
from .reductions import unit
from .registering import handles, implement


def _t(x: Array) -> Array:
    """The transposes of matrices."""
    return x.swapaxes(-1, -2)


def _lengths(a: Array) -> tuple[int, int]:
    """(m, n) of matrices."""
    if a.ndim < 2:
        raise np.linalg.LinAlgError(f"these are no matrices, (..., m, n), but an array {a.shape}")
    return a.shape[-2], a.shape[-1]


def _half(like: Array, upper: bool = False) -> Array:
    """Ones in one triangle and halves on the diagonal: what a symmetric matrix is twice of."""
    lower = np.tri(like.shape[-1], dtype=like.dtype) - np.eye(like.shape[-1], dtype=like.dtype) / 2
    return lower.T if upper else lower


def _mirror(x: Array, upper: bool = False) -> Array:
    """The symmetric matrix of which x has one triangle."""
    triangle = _half(x, upper) * x
    return triangle + adjoint(triangle)


def _onto(x: Array, upper: bool = False) -> Array:
    """The transpose of `_mirrored`: the cotangent of a symmetric matrix, for one triangle."""
    return _half(x, upper) * (x + adjoint(x))


def _inverses(x: Array, regular: Array) -> Array:
    """1 / x where `regular`, and 0 elsewhere."""
    return regular / (x + np.logical_not(regular))


def _product(left: Array, values: Array, right: Array) -> Array:
    """left @ diag(values) @ right.T, or its adjoint"""
    return (left * values[..., None, :]) @ adjoint(right)


# --- inverses and linear equations


def _inverse_rule(g: Array, y: Array, _a: Array) -> Array:
    return -(_t(y) @ g @ _t(y))  # Giles 2.2.3


def _inverse_or_nan(a: Array) -> Array:
    """numpy.linalg.inv, with NaN for the singular matrices."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        if a.shape[-1] != a.shape[-2]:
            raise
        if a.ndim == 2:
            return np.full_like(a, np.nan)
        return np.stack([_inverse_or_nan(matrix) for matrix in a])


inv = implement(np.linalg.inv, _inverse_rule, kind=Kind.OPAQUE)
inverse_or_nan = define(_inverse_or_nan, _inverse_rule, name="inverse_or_nan", unchecked=True)
_solve = define(
    np.linalg.solve,
    lambda g, y, a, _b: -(np.linalg.solve(_t(a), g) @ _t(y)),
    lambda g, _y, a, _b: np.linalg.solve(_t(a), g),
    name="solve",
    kind=Kind.PRODUCT,
    unchecked=True,
)  # Giles 2.3.1


def _batch_solve(call: BatchedCall) -> Any:
    (a, b), (left, right), (m, n) = call.xs, call.on, call.ndims()
    if n == 1 and m == 2 and not left:
        return call.op.apply(a, b.T).T  # all examples at once
    b = b[..., None] if n == 1 else b
    ndim = max(m, n, 2)
    y = call.op.apply(widen(a, left, ndim), widen(b, right, ndim))
    return y[..., 0] if n == 1 else y


register_batching(_batch_solve, _solve)


@handles(np.linalg.solve)
def solve(a: Array, b: Array) -> Array:
    """numpy.linalg.solve: (..., n, n) and (n,) or (..., n, k) -> x with a @ x = b."""
    return _solve(a, np.reshape(b, (-1, 1)))[..., 0] if np.ndim(b) == 1 else _solve(a, b)


@handles(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Array:
    """numpy.linalg.tensorinv: the inverse for tensordot over `ind` axes."""
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    rows = int(np.prod(a.shape[ind:], dtype=int))
    return np.linalg.inv(a.reshape((rows, -1))).reshape(a.shape[ind:] + a.shape[:ind])


@handles(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Any = None) -> Array:
    """numpy.linalg.tensorsolve: x with tensordot(a, x, x.ndim) = b; `axes` of a go last before."""
    if axes is not None:
        a = np.transpose(a, [i for i in range(np.ndim(a)) if i not in axes] + list(axes))
    shape = np.shape(a)[np.ndim(b) :]
    size = int(np.prod(shape, dtype=int))
    if np.size(a) != size**2:
        raise np.linalg.LinAlgError(
            f"tensorsolve: an array of {np.shape(a)} is not square for the other of {np.shape(b)}"
        )
    return np.linalg.solve(np.reshape(a, (size, size)), np.reshape(b, -1)).reshape(shape)


# --- determinants


def _others(s: Array, order: int) -> Array:
    """Products of (..., n) numbers without `order` of them: (..., n, ..., n), 0 where two are one.

    Each product is made of the numbers before and those after the one that is left out, so that
    zeros do no harm.
    """
    distinct = 1 - np.eye(s.shape[-1], dtype=s.dtype)
    for _ in range(order - 1):  # a 1 in the place of the number that an axis leaves out
        s = np.where(distinct == 0, 1, s[..., None, :])
    s, exponents = np.frexp(s)  # whose products would overflow, or vanish, on the way
    one = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([one, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([one, s[..., :0:-1]], -1), -1)[..., ::-1]
    left = np.ldexp(before * after, exponents.sum(-1, keepdims=True) - exponents)
    for i, j in combinations(range(order), 2):
        shape = [s.shape[-1] if axis in (i, j) else 1 for axis in range(order)]
        left = left * distinct.reshape(shape)
    return left


def _svd_or_nan(a: Array) -> Any:
    """numpy.linalg.svd, with NaN for the matrices that have some, where det is NaN and no error."""
    lost = np.isnan(a).any((-2, -1), keepdims=True)
    factors = np.linalg.svd(np.where(lost, 0, a)) if lost.any() else np.linalg.svd(a)
    if not lost.any():
        return factors
    u, s, vh = factors
    return u, np.where(lost[..., 0], np.nan, s), vh


def _cofactors(a: Array, *directions: Array) -> Array:
    """The derivative of det(a), and of that in each of the directions: (..., n, n).

    For orthogonal u and vh, det(a) is det(u) det(u.T @ a @ vh.T) det(vh). With those of the
    singular values u.T @ a @ vh.T is diagonal, and zeros there do no harm. (Unitary matrices have
    adjoints there, and the cofactors of u are det(u) conj(u).)
    """
    if not a.size:  # of 0 x 0 matrices, or of none
        return np.zeros(np.broadcast_shapes(a.shape, *[x.shape for x in directions]), a.dtype)
    u, s, vh = _svd_or_nan(a)
    orientation = np.sign(np.linalg.det(u) * np.linalg.det(vh))
    if not directions:
        return _product(conj(u), orientation[..., None] * _others(s, 1), _t(vh))
    inside = _cofactors_of_diagonal(s, [adjoint(u) @ x @ adjoint(vh) for x in directions])
    return orientation[..., None, None] * (conj(u) @ inside @ conj(vh))


def _cofactors_of_diagonal(s: Array, directions: list[Array]) -> Array:
    """The same of diag(s), by Leibniz' sum over permutations.

    The elements of as many rows and columns are differentiated as there are derivatives; of the
    other rows the product takes what is on the diagonal.
    """
    order = len(directions) + 1
    others, rows = _others(s, order), SMALL_LETTERS[:order]
    diagonal = np.eye(s.shape[-1], dtype=s.dtype)
    total = np.zeros((), s.dtype)
    for columns in permutations(rows):
        *pairs, last = [f"...{i}{j}" for i, j in zip(rows, columns, strict=True)]
        terms, on_diagonal = ",".join([f"...{rows}", *pairs]), rows[-1] == columns[-1]
        target = f"...{rows[-1]}" if on_diagonal else last
        term = np.einsum(f"{terms}->{target}", others, *directions, optimize=order > 2)
        total = total + _sign(rows, columns) * (term[..., None] * diagonal if on_diagonal else term)
    return total


def _sign(rows: str, columns: tuple[str, ...]) -> int:
    """Of a permutation: -1 to the number of pairs that stand the other way round."""
    swapped = sum(i > j for i, j in combinations([rows.index(c) for c in columns], 2))
    return -1 if swapped % 2 else 1


def _cofactors_rule(k: int, g: Array, _y: Array, *xs: Array) -> Array:
    """A derivative is symmetric in its directions: g is one more, or in the place of another."""
    return cofactors(*xs, g) if k == 0 else cofactors(*xs[:k], g, *xs[k + 1 :])


def _slogdet(a: Array) -> Array:
    return np.stack(np.linalg.slogdet(a), axis=-1)


cofactors = define(
    _cofactors, VariadicRule(_cofactors_rule), name="cofactors", kind=Kind.PRODUCT, unchecked=True
)
det = implement(
    np.linalg.det,
    lambda g, _y, a: g[..., None, None] * cofactors(a),  # Giles 2.2.4
    kind=Kind.OPAQUE,
)


def _slogdet_rule(g: Array, y: Array, a: Array) -> Array:
    """With w = tr(inv(a) da), the logarithm grows by Re(w), and a complex sign by i sign Im(w)."""
    each = g[..., 1]
    if is_complex(a):
        each = each + 1j * imag(g[..., 0] * y[..., 0])
    return each[..., None, None] * _t(inverse_or_nan(a))


_sign_and_log = define(_slogdet, _slogdet_rule, name="slogdet", unchecked=True)
SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


@handles(np.linalg.slogdet)
def slogdet(a: Array) -> Any:
    """numpy.linalg.slogdet: (sign, logabsdet); the sign of a real matrix is constant."""
    both = _sign_and_log(a)
    sign, log = (both[..., 0], both[..., 1]) if both.ndim > 1 else (both[0], both[1])
    return SlogdetResult(sign if is_complex(a) else np.sign(sign), real(log))


# --- Cholesky factors


def _cholesky_rule(g: Array, y: Array, _a: Array, *, upper: bool = False) -> Array:
    """Murray, put onto the triangle that NumPy reads."""
    g, lower = (adjoint(conj(g)), adjoint(y)) if upper else (conj(g), y)
    inside = _half(y) * (adjoint(lower) @ g)
    half = np.linalg.solve(adjoint(lower), inside)
    return conj(_onto(adjoint(np.linalg.solve(adjoint(lower), adjoint(half))), upper))


def _cholesky(a: Array, *, upper: bool = False) -> Array:
    if not isinstance(a, np.ndarray):
        raise NotDifferentiableError(
            f"cholesky: no derivative rule for a {type(a).__name__}, whose library may mean "
            "another triangle than NumPy (Dask does); it takes plain arrays"
        )
    return np.linalg.cholesky(a, upper=upper) if upper else np.linalg.cholesky(a)


cholesky = implement(np.linalg.cholesky, _cholesky_rule, kind=Kind.OPAQUE, kernel=_cholesky)


# --- QR: packed as q.T beside r, (..., k, m + n)


def _qr(a: Array) -> Array:
    q, r = np.linalg.qr(a)
    return np.concatenate([_t(q), r], axis=-1)


def _qr_rule(g: Array, y: Array, a: Array) -> Array:
    """Roberts; in a wide matrix, [square, rest], q comes from the square, and q @ r is the rest."""
    m, n = a.shape[-2:]
    check_qr(g, y, m=m)
    g = conj(g)
    gq, gr, q, r = _t(g[..., :m]), g[..., m:], _t(y[..., :m]), y[..., m:]
    if m >= n:
        return conj(_qr_of_columns(gq, gr, q, r))
    gq = gq + a[..., m:] @ adjoint(gr[..., m:])
    left = _qr_of_columns(gq, gr[..., :m], q, r[..., :m])
    return conj(np.concatenate([left, q @ gr[..., m:]], axis=-1))


def _qr_of_columns(gq: Array, gr: Array, q: Array, r: Array) -> Array:
    inside = _mirror(r @ adjoint(gr) - adjoint(gq) @ q)
    return adjoint(np.linalg.solve(r, adjoint(gq + q @ inside)))


def _check_qr(g: Array, y: Array, m: int) -> Array:
    """Warn where columns depend on those before them, and a derivative is asked for."""
    diagonal = np.abs(np.diagonal(y[..., m:], axis1=-2, axis2=-1))
    limit = _indistinct(y.dtype, *y.shape[-2:]) * diagonal.max(-1, initial=0)
    lost = (diagonal <= limit[..., None]).any(-1) & (g != 0).any((-2, -1))
    if lost.any():
        warn(
            "qr: columns that depend on those before them to rounding have no direction of their "
            "own, so that q and r have no derivative, and this gradient is arbitrary. For a "
            "function of the matrix a.T @ a write td.linalg.funm(f, a.T @ a)",
            DegenerateWarning,
        )
    return lost


check_qr = define(_check_qr, name="check_qr")
register_lowering(check_qr, effect=True)
_packed_qr = define(_qr, _qr_rule, name="qr", unchecked=True)
QRResult: Any = type(np.linalg.qr(np.eye(1)))


@handles(np.linalg.qr)
def qr(a: Array, mode: str = "reduced") -> Any:
    """numpy.linalg.qr: (..., m, n) -> q, (..., m, k), and r, (..., k, n), k = min(m, n)."""
    m, n = _lengths(a)
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise NotDifferentiableError(
            f"qr: no derivative rule with mode={mode!r} for {a.shape}; it takes 'reduced' and 'r' "
            "('complete' adds arbitrary columns where a is tall)"
        )
    packed = _packed_qr(a)
    q, r = _t(packed[..., :m]), packed[..., m:]
    return r if mode == "r" else QRResult(q, r)


# --- parts of factorisations
#
# Whether a wrong gradient may come of vectors of equal values depends on what is used together. A
# packed factorisation begins with two rows of zeros, whose cotangents are 1 where the values, and
# where the vectors, were read: the cotangents of the parts themselves may be 0 all the same.

VALUES, VECTORS, TOLD = 0, 1, 2


def _read_rule(g: Array, _y: Array, packed_like: Array, start: int, stop: int, told: int) -> Array:
    """g in its place, and the row that tells of it."""
    *batch, rows, k = packed_like.shape
    before = np.zeros((*batch, start, k), g.dtype)
    before[..., told, :] = 1
    return np.concatenate([before, g, np.zeros((*batch, rows - stop, k), g.dtype)], axis=-2)


def _read(packed: Array, start: int, stop: int, told: int) -> Array:  # noqa: ARG001
    return packed[..., start:stop, :].copy()


read = define(_read, _read_rule, name="read", unchecked=True)


def _are_together(g: Array, paired: bool) -> Array:
    """For each matrix, whether values and vectors are read; values are for sure, if `paired`.

    Vectors alone are as bad where their cotangents all vanish: perhaps to first order only.
    """
    nothing = ~(g[..., TOLD:, :] != 0).any((-2, -1))
    return (g[..., VALUES, :].any(-1) | paired | nothing) & g[..., VECTORS, :].any(-1)


def _indistinct(dtype: Any, *lengths: int) -> float:
    """Within what distance, relative to the largest, a division by it leaves two digits or less."""
    return 64 * _rounding(dtype, *lengths)


def _are_lost(block: Array, arrived: Array, together: Array) -> Array:
    """Whether values and vectors are combined in a block of equal values.

    Only the second derivative would tell by how much the gradient is wrong. It is right where the
    cotangents arrive elsewhere, as for the first of many principal components.
    """
    elsewhere = arrived.any(-1) & ~(arrived & block).any(-1)
    return together & block.any(-1) & ~elsewhere


def _warn_of_equals(who: str, matrix: str) -> None:
    warn(
        f"{who} that are equal to rounding have no vectors of their own, and the gradient lacks "
        "how those mix: it may be wrong. A function of the matrix, as v @ diag(exp(w)) @ v.T is "
        f"of a symmetric one, has the right gradient as td.linalg.funm(f, {matrix})",
        DegenerateWarning,
    )


# --- eigenvalues of symmetric matrices: packed as the values above the vectors, (..., 2 + 1 + n, n)


def _eigh(a: Array, UPLO: Any = "L", paired: bool = False) -> Array:  # noqa: ARG001
    values, vectors = np.linalg.eigh(a, UPLO)
    told = np.zeros((*values.shape[:-1], TOLD, values.shape[-1]), values.dtype)
    return np.concatenate([told, values[..., None, :], vectors], axis=-2)


def _eigh_parts(packed: Array) -> tuple[Array, Array]:
    rows, values = packed.shape[-2], TOLD
    return (
        real(read(packed, start=values, stop=values + 1, told=VALUES)[..., 0, :]),
        read(packed, start=values + 1, stop=rows, told=VECTORS),
    )


def _eigh_rule(g: Array, y: Array, _a: Array, UPLO: Any = "L", paired: bool = False) -> Array:
    """Giles 3.1."""
    check_eigh(g, y, paired=paired)
    g = conj(g)
    values, vectors = _eigh_parts(y)
    distances = values[..., None, :] - values[..., :, None]
    largest = np.maximum(np.abs(values[..., :1]), np.abs(values[..., -1:]))[..., None]
    apart = np.abs(distances) > _rounding(g.dtype, *vectors.shape[-1:]) * largest
    inside = _inverses(distances, apart) * (adjoint(vectors) @ g[..., TOLD + 1 :, :])
    inside = inside + np.eye(values.shape[-1], dtype=g.dtype) * g[..., TOLD, None, :]
    return conj(_onto(vectors @ inside @ adjoint(vectors), UPLO.upper() == "U"))


def _check_eigh(g: Array, y: Array, paired: bool = False) -> Array:
    """Warn where a cotangent asks how the vectors of equal eigenvalues mix, or for a phase."""
    if is_complex(y):
        turning = np.sum(g[..., TOLD + 1 :, :] * y[..., TOLD + 1 :, :], axis=-2)
        _check_phases("eigh", turning, g)
        g = conj(g)
    values, vectors = y[..., TOLD, :].real, y[..., TOLD + 1 :, :]
    n = values.shape[-1]
    limit = _indistinct(y.dtype, n) * np.abs(values).max(-1, initial=0)[..., None, None]
    if not (np.diff(values) <= limit[..., 0]).any():
        return np.zeros(np.broadcast_shapes(g.shape, y.shape)[:-2], bool)
    close = np.abs(values[..., None, :] - values[..., :, None]) <= limit
    close &= ~np.eye(n, dtype=bool)
    mixing = adjoint(vectors) @ g[..., TOLD + 1 :, :]
    lost = _differ(mixing, close)
    arrived = (g[..., TOLD:, :] != 0).any(-2)
    lost |= _are_lost(close.any(-1), arrived, _are_together(g, paired))
    if lost.any():
        _warn_of_equals("eigh: eigenvalues", "a")
    return lost


def _check_phases(who: str, turning: Array, g: Array) -> None:
    """Warn where a cotangent depends on the phases of vectors: dL = -Im(turning) dphase."""
    size = np.abs(g).max((-2, -1), initial=0)[..., None]
    if (np.abs(turning.imag) > 1e4 * np.finfo(g.dtype).eps * size).any():
        warn(
            f"{who}: what is differentiated depends on the phases of complex vectors, which are "
            "arbitrary, and so is this gradient: use what no phase changes, as abs(v) or products "
            "of v with its conjugate",
            DegenerateWarning,
        )


def _differ(mixing: Array, close: Array) -> Array:
    """Whether a rotation of close vectors into each other changes something.

    Where their pair of the mixing is symmetric it does not, to first order. Nothing at all beside
    the diagonal is no sign of that: for v[0]**2 at v = (1, 0) the first order vanishes by accident.
    """
    noise = _indistinct(mixing.dtype, mixing.shape[-1]) * np.abs(mixing).max((-2, -1), initial=0)
    noise = noise[..., None, None]
    own = np.diagonal(mixing, axis1=-2, axis2=-1)
    unlike = np.abs(own[..., None, :] - own[..., :, None]) > noise
    beside = (np.abs(mixing) > noise) | (np.abs(_t(mixing)) > noise)
    rotated = np.abs(mixing - adjoint(mixing)) > noise
    return (close & (rotated | (unlike & ~beside))).any((-2, -1))


def _eigvalsh_rule(g: Array, _y: Array, a: Array, UPLO: Any = "L") -> Array:
    _, vectors = _eigh_parts(_packed_eigh(a, UPLO=UPLO, paired=True))  # with g, which values make
    return conj(_onto(_product(vectors, g, vectors), UPLO.upper() == "U"))


def _rounding(dtype: Any, *lengths: int) -> float:
    """How far apart, relative to the largest of all, what is equal may be computed."""
    return float(np.finfo(dtype).eps) * max(lengths)


check_eigh = define(_check_eigh, name="check_eigh")
register_lowering(check_eigh, effect=True)
_packed_eigh = define(_eigh, _eigh_rule, name="eigh", unchecked=True)
eigvalsh = implement(np.linalg.eigvalsh, _eigvalsh_rule, kind=Kind.OPAQUE)
EighResult: Any = type(np.linalg.eigh(np.eye(1)))


@handles(np.linalg.eigh)
def eigh(a: Array, UPLO: Any = "L") -> Any:
    """numpy.linalg.eigh: (..., n, n) -> eigenvalues, (..., n), and eigenvectors, (..., n, n)."""
    return EighResult(*_eigh_parts(_packed_eigh(a, UPLO=UPLO)))


# --- singular values: packed as u above s above v, (..., 2 + m + 1 + n, k)


def _svd(a: Array, hermitian: bool = False, paired: bool = False) -> Array:  # noqa: ARG001
    u, s, vh = np.linalg.svd(a, full_matrices=False, hermitian=hermitian)
    told = np.zeros((*s.shape[:-1], TOLD, s.shape[-1]), s.dtype)
    return np.concatenate([told, u, s[..., None, :], adjoint(vh)], axis=-2)


def _svd_parts(packed: Array, m: int) -> tuple[Array, Array, Array]:
    rows, values = packed.shape[-2], TOLD + m
    return (
        read(packed, start=TOLD, stop=values, told=VECTORS),
        real(read(packed, start=values, stop=values + 1, told=VALUES)[..., 0, :]),
        read(packed, start=values + 1, stop=rows, told=VECTORS),
    )


def _svd_slices(packed: Array, m: int) -> tuple[Array, Array, Array]:
    """The same of a cotangent."""
    rows = packed[..., TOLD:, :]
    return rows[..., :m, :], rows[..., m, :], rows[..., m + 1 :, :]


def _svd_rule(
    g: Array, y: Array, a_like: Array, hermitian: bool = False, paired: bool = False
) -> Array:
    """Townsend, with 1 / (s_j^2 - s_i^2) split into what s_j - s_i and what s_j + s_i divides.

    Only the former makes trouble where two singular values are equal.
    """
    m, n = a_like.shape[-2:]
    check_svd(g, y, m=m, paired=paired)
    (gu, gs, gv), (u, s, v) = _svd_slices(conj(g), m), _svd_parts(y, m)
    tiny = _rounding(g.dtype, m, n) * s[..., :1]
    distances, sums = s[..., None, :] - s[..., :, None], s[..., None, :] + s[..., :, None]
    of_u, of_v = adjoint(u) @ gu, adjoint(v) @ gv
    of_u, of_v = of_u - adjoint(of_u), of_v - adjoint(of_v)
    inside = _inverses(distances, np.abs(distances) > tiny[..., None]) * (of_u + of_v) / 2
    inside = inside + _inverses(sums, sums > tiny[..., None]) * (of_u - of_v) / 2
    inside = inside + np.eye(s.shape[-1], dtype=g.dtype) * gs[..., None, :]
    result = u @ inside @ adjoint(v)
    each = _inverses(s, s > tiny)
    if m > n:
        result = result + _product(gu - u @ (adjoint(u) @ gu), each, v)
    if m < n:
        result = result + _product(u, each, gv - v @ (adjoint(v) @ gv))
    return conj(_onto(result) if hermitian else result)


def _check_svd(g: Array, y: Array, m: int, paired: bool = False) -> Array:
    """Warn where a cotangent asks how the vectors of singular values mix that are equal, or 0."""
    (gu, _, gv), (u, s, v) = _svd_slices(conj(g), m), _svd_slices(y, m)
    s = s.real
    if is_complex(y):
        turning = np.sum(conj(gu) * u, axis=-2) + np.sum(conj(gv) * v, axis=-2)
        _check_phases("svd", turning, g)
    limit = _indistinct(y.dtype, m, v.shape[-2]) * s[..., :1]
    zero, close = s <= limit, np.abs(s[..., None, :] - s[..., :, None]) <= limit[..., None]
    close &= ~np.eye(s.shape[-1], dtype=bool)
    if not (zero.any() or close.any()):
        return np.zeros(np.broadcast_shapes(g.shape, y.shape)[:-2], bool)
    of_u, of_v = adjoint(u) @ gu, adjoint(v) @ gv
    both_zero = close & zero[..., None, :] & zero[..., :, None]
    lost = _differ(of_u + of_v, close) | _differ(of_u - of_v, both_zero)
    outside = np.abs(gu - u @ of_u).sum(-2) + np.abs(gv - v @ of_v).sum(-2)
    noise = _indistinct(y.dtype, m, v.shape[-2]) * np.abs(g).max((-2, -1), initial=0)[..., None]
    lost |= (zero & (outside > noise)).any(-1)
    block = close.any(-1) | (zero & (m != v.shape[-2]))
    arrived = (g[..., TOLD:, :] != 0).any(-2)
    lost |= _are_lost(block, arrived, _are_together(g, paired))
    if lost.any():
        _warn_of_equals("svd: singular values that are 0, or", "a.T @ a")
    return lost


def _singular_values(a: Array, hermitian: bool = False) -> Array:
    return np.linalg.svd(a, compute_uv=False, hermitian=hermitian)


def _singular_values_rule(g: Array, _y: Array, a: Array, hermitian: bool = False) -> Array:
    """0 for a singular value of 0, at which it has a kink as abs does."""
    packed = _packed_svd(a, hermitian=hermitian, paired=True)  # with g, which the values make
    u, s, v = _svd_parts(packed, a.shape[-2])
    result = _product(u, g * (s > _rounding(g.dtype, *a.shape[-2:]) * s[..., :1]), v)
    return conj(_onto(result) if hermitian else result)


check_svd = define(_check_svd, name="check_svd")
register_lowering(check_svd, effect=True)
_packed_svd = define(_svd, _svd_rule, name="svd", unchecked=True)
singular_values = define(_singular_values, _singular_values_rule, name="svdvals", unchecked=True)
SVDResult: Any = type(np.linalg.svd(np.eye(1)))


@handles(np.linalg.svd)
def svd(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """numpy.linalg.svd: (..., m, n) -> u, (..., m, k), s, (..., k), vh, (..., k, n), k = min(m, n).

    The columns that full_matrices adds to one of them, where m is not n, are arbitrary and refused.
    """
    if not compute_uv:
        return singular_values(a, hermitian=hermitian)
    m, n = _lengths(a)
    if full_matrices and m != n:
        raise NotDifferentiableError(
            f"svd: {a.shape} has no derivative with full_matrices=True, NumPy's default, since the "
            "columns that it adds are arbitrary; write full_matrices=False"
        )
    u, s, v = _svd_parts(_packed_svd(a, hermitian=hermitian), m)
    return SVDResult(u, s, adjoint(v))


@handles(np.linalg.svdvals)
def svdvals(x: Array, /) -> Array:
    """numpy.linalg.svdvals: (..., m, n) -> (..., min(m, n)), from the largest to the smallest."""
    return singular_values(x)


# --- pseudo-inverses and least squares


def _pinv_rule(g: Array, y: Array, a: Array, hermitian: bool = False) -> Array:
    """Golub, equation 4.12: where the rank stays as it is."""
    a = _mirror(a) if hermitian else a
    g, back = conj(g), adjoint(y)
    result = back @ g @ back
    right, left = adjoint(g) @ y @ back, back @ y @ adjoint(g)
    result = (right - a @ (y @ right)) + (left - (left @ y) @ a) - result
    return conj(_onto(result) if hermitian else result)


pinv = implement(
    np.linalg.pinv,
    lambda g, y, a, rcond=None, hermitian=False, *, rtol=None: _pinv_rule(g, y, a, hermitian),
    kind=Kind.OPAQUE,
)


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    """All that numpy.linalg.lstsq returns in a row; NaN for residuals that it leaves out."""
    x, residuals, rank, s = np.linalg.lstsq(a, b, rcond)
    if residuals.size != b.shape[1]:
        residuals = np.full(b.shape[1], np.nan, x.dtype)
    return np.concatenate([x.reshape(-1), residuals, s, np.array([rank], x.dtype)])


def _lstsq_parts(packed: Array, a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    n, k = a.shape[1], b.shape[1]
    x, rest = packed[: n * k].reshape((n, k)), packed[n * k :]
    return x, rest[:k], rest[k:-1], rest[-1]


def _lstsq_rule_a(g: Array, y: Array, a: Array, b: Array, rcond: float | None = None) -> Array:
    """Of x = pinv(a) @ b, and of the squares of b - a @ x."""
    (x, *_), (gx, gr, *_) = _lstsq_parts(y, a, b), _lstsq_parts(g, a, b)
    of_x = _pinv_rule(gx @ b.T, _pinv_of(a, rcond, g.dtype), a)
    return of_x - 2 * (conj(b - a @ x) * gr) @ x.T


def _lstsq_rule_b(g: Array, y: Array, a: Array, b: Array, rcond: float | None = None) -> Array:
    (x, *_), (gx, gr, *_) = _lstsq_parts(y, a, b), _lstsq_parts(g, a, b)
    return _pinv_of(a, rcond, g.dtype).T @ gx + 2 * conj(b - a @ x) * gr


def _pinv_of(a: Array, rcond: float | None, dtype: Any) -> Array:
    """The pseudo-inverse, of the rank that lstsq finds."""
    given = rcond is not None and rcond >= 0
    return np.linalg.pinv(a, rcond if given else _rounding(dtype, *a.shape))


lstsq_values = define(
    lambda s, _a: s.copy(),
    None,
    lambda g, y, _s, a: _singular_values_rule(g, y, a),
    name="lstsq_values",
    unchecked=True,
)
"""Singular values that lstsq has found, of its matrix: apart from what x depends on."""
_packed_lstsq = define(_lstsq, _lstsq_rule_a, _lstsq_rule_b, name="lstsq", unchecked=True)


@handles(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, Array, Array]:
    """numpy.linalg.lstsq: (m, n) and (m,) or (m, k) -> (x, residuals, rank, singular values).

    Residuals are there where m > n and the rank is n. Since their shape depends on values, under
    `jit` they are always there where m > n, and NaN where the rank is less.
    """
    a, b = (as_array(x) for x in (a, b))
    columns = b.reshape((-1, 1)) if b.ndim == 1 else b
    packed = _packed_lstsq(a, columns, rcond=rcond)
    x, *rest = _lstsq_parts(packed, a, columns)
    residuals, s, rank = map(real, rest)  # of which cotangents are complex, without imaginary parts
    s = lstsq_values(s, a)
    rank, (m, n) = rank.astype(np.intc), a.shape
    if m <= n or not (_is_traced(packed) or rank == n):
        residuals = residuals[:0]
    return x[:, 0] if b.ndim == 1 else x, residuals, rank, s


def _is_traced(x: Array) -> bool:
    """Whether `jit` is tracing, so that the value is not to be had."""
    while type(x) is Tensor:
        x = x.value
    return isinstance(x, Tensor)


# --- norms


def _norm_rule(
    g: Array, y: Array, x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> Array:
    """Of the p-norm sign(x) (|x| / y)^(p-1), p = 2 for most; 0 where all elements are 0.

    There the derivative of that is NaN, as the norm has a kink.
    """
    axes = _axes(x, axis)
    if axis is None or not keepdims:
        shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
        g, y = g.reshape(shape), y.reshape(shape)
    if ord in (None, 2, "fro", "f"):
        return g * conj(unit(x, axis=tuple(axes)))
    sizes = np.abs(x)
    if ord < 1:
        sizes = sizes + (x == 0) * y  # the ratio is 1 for an element that is 0: its sign is 0
    # the mask is on the slope, and not on g, so that what pushes g forward meets no NaN either
    return g * np.where(y == 0, 0, conj(np.sign(x)) * (sizes / y) ** (ord - 1))


def _axes(x: Array, axis: Any) -> list[int]:
    """The axes of a norm, counted from the front."""
    return list(range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim))


_norm = define(np.linalg.norm, _norm_rule, name="norm", unchecked=True)


def _batch_norm(call: BatchedCall) -> Any:
    (x,), options, ndim = call.xs, dict(call.options), call.ndims()[0]
    if options.get("axis") is None:
        if options.get("keepdims"):
            return NotImplemented
        x, ndim = (flatten_example(x), 1) if options.get("ord") is None else (x, ndim)
    return call.op.apply(x, **{**options, "axis": shift_axes(options.get("axis"), ndim)})


register_batching(_batch_norm, _norm)


@handles(np.linalg.norm)
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """numpy.linalg.norm, of vectors along one axis and of matrices in two; at 0 its slope is 0.

    >>> import tinygrad_digits as td
    >>> td.grad(np.linalg.norm)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    axes = (axis,) if axis is not None and not isinstance(axis, tuple) else axis
    count = x.ndim if axes is None else len(axes)
    if count == 1 and ord in (np.inf, -np.inf, 0, 1):
        return _norm_of_vectors(x, ord, axes, keepdims)
    if count == 2 and ord in (np.inf, -np.inf, 1, -1, 2, -2, "nuc"):
        return _norm_of_matrices(x, ord, _axes(x, axes), keepdims)
    return _norm(x, ord=ord, axis=axis, keepdims=keepdims)


def _norm_of_vectors(x: Array, ord: float, axis: Any, keepdims: bool) -> Array:
    if ord == 0:
        return np.sum((x != 0).astype(real(x).dtype), axis=axis, keepdims=keepdims)
    sizes = np.abs(x)
    if ord == 1:
        return np.sum(sizes, axis=axis, keepdims=keepdims)
    if ord < 0:
        return np.min(sizes, axis=axis, keepdims=keepdims)
    return np.max(sizes, axis=axis, keepdims=keepdims, initial=0)


def _norm_of_matrices(x: Array, ord: Any, axes: list[int], keepdims: bool) -> Array:
    row, column = axes
    if ord in (2, -2, "nuc"):
        sizes = singular_values(np.moveaxis(x, axes, (-2, -1)))
    else:
        summed, other = (row, column) if abs(ord) == 1 else (column, row)
        sizes = np.moveaxis(
            np.sum(np.abs(x), axis=summed, keepdims=True), (summed, other), (-2, -1)
        )
        sizes = sizes[..., 0, :]
    if ord == "nuc":
        result = np.sum(sizes, axis=-1)
    else:
        result = np.min(sizes, axis=-1) if ord < 0 else np.max(sizes, axis=-1, initial=0)
    return np.expand_dims(result, tuple(axes)) if keepdims else result


@handles(np.linalg.vector_norm)
def vector_norm(x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """numpy.linalg.vector_norm: of all elements along any number of axes."""
    axes = _axes(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    if axis is None:
        result = norm(x.reshape(-1), ord, 0)
    elif isinstance(axis, tuple):
        shape = [int(np.prod([x.shape[i] for i in axes], dtype=int)), *[x.shape[i] for i in rest]]
        result = norm(np.transpose(x, axes + rest).reshape(shape), ord, 0)
    else:
        result = norm(x, ord, axis)
    return np.expand_dims(result, tuple(axes)) if keepdims else result


@handles(np.linalg.matrix_norm)
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """numpy.linalg.matrix_norm: (..., m, n) -> (...)."""
    return norm(x, ord, (-2, -1), keepdims)


@handles(np.linalg.cond)
def cond(x: Array, p: Any = None) -> Array:
    """numpy.linalg.cond: (..., n, n) -> (...), by a norm of the matrix and of its inverse."""
    if 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    with np.errstate(all="ignore"):
        if p in (None, 2, -2):
            s = singular_values(x)
            ratio = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
        else:
            ratio = norm(x, p, (-2, -1)) * norm(inverse_or_nan(x), p, (-2, -1))
    singular = np.logical_and(np.isnan(ratio), np.logical_not(np.any(np.isnan(x), axis=(-2, -1))))
    return np.where(singular, np.inf, ratio)[()]


break_holomorphy(_sign_and_log, cholesky, _packed_qr, _packed_eigh, eigvalsh, _packed_svd, _norm)
break_holomorphy(singular_values, lstsq_values, pinv)
watch_rules(_packed_lstsq)

# --- for many examples at once

register_batching(batch_last_axes, inv, inverse_or_nan, det, cholesky, eigvalsh, singular_values)
register_batching(batch_last_axes, pinv, read, _sign_and_log, _packed_qr, _packed_eigh, _packed_svd)
register_batching(batch_matrices, cofactors, check_qr, check_eigh, check_svd)
