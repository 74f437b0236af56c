"""Products, factorisations, equations and norms."""

import numpy as np
import scipy.linalg
import scipy.sparse

import tinygrad_digits as td
from tests.cases import Draw, case, method, nonzero, normal, regular, symmetric
from tinygrad_digits.ops import linalg


def spread(*shape):
    """Matrices whose singular values lie apart, (..., m, n)."""
    m, n = shape[-2:]
    apart = np.zeros((m, n))
    np.fill_diagonal(apart, 1.5 * np.arange(1, min(m, n) + 1))
    return Draw(lambda rng: rng.standard_normal(shape) / 4 + apart)


def rank_one(m, n):
    return Draw(lambda rng: np.outer(rng.uniform(0.5, 2, m), rng.uniform(0.5, 2, n)))


def eigenpairs(a, b):
    values, vectors = np.linalg.eig(a + b * 1j)
    return values, vectors


def eigenvalues(a, b):
    return np.linalg.eigvals(a + b * 1j)


def lstsq_cases():
    return [
        case(np.linalg.lstsq, spread(4, 2), normal(4, 3), rcond=None),
        case(np.linalg.lstsq, spread(4, 2), normal(4), rcond=1e-8),
        case(np.linalg.lstsq, spread(2, 4), normal(2, 3)),
        case(np.linalg.lstsq, spread(3, 3), normal(3), rcond=-1),
        case(np.linalg.lstsq, spread(3, 2), np.arange(3.0)),
        case(np.linalg.lstsq, np.eye(3, 2) + 1, normal(3)),
        case(np.linalg.lstsq, [[1, 0], [2, 3], [1, 1]], normal(3)),
        case(np.linalg.lstsq, normal(0, 2), normal(0)),
        case(np.linalg.lstsq, spread(3, 2), normal(3, 0)),
    ]


def gufunc_cases():
    if not hasattr(np, "matvec"):  # NumPy 2.2
        return
    yield case(np.matvec, normal(2, 3), normal(3))
    yield case(np.matvec, normal(2, 2, 3), normal(3))
    yield case(np.matvec, normal(2, 3), normal(2, 3))
    yield case(np.matvec, np.ones((2, 3)), normal(4, 3))
    yield case(np.vecmat, normal(2), normal(2, 3))
    yield case(np.vecmat, normal(2), normal(2, 2, 3))
    yield case(np.vecmat, normal(4, 2), normal(2, 3))


def plane_cases():
    if np.lib.NumpyVersion(np.__version__) < "2.5.0":  # which refuses vectors of the plane
        yield case(np.cross, normal(2), normal(2))
        yield case(np.cross, normal(4, 2), normal(3))
        yield case(np.cross, normal(3), normal(4, 2))


MATMULS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((6, 5, 2, 3), (3,)),
    ((1, 3), (3, 1)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 4)),
    ((5, 2, 0), (0, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 2, 3), (3, 0)),
]
EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 3)),
    ("ii->", (3, 3)),
    ("ii->i", (3, 3)),
    ("iii->i", (2, 2, 2)),
    ("iij->j", (3, 3, 2)),
    ("ii,i->i", (3, 3), (3,)),
    ("ii,ij->j", (2, 2), (2, 3)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (2,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ij->ij", (2, 3), (1, 3)),
    ("ij,ij->", (1, 3), (2, 1)),
    ("ij,jk->", (2, 1), (3, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ijk,ik->j", (2, 3, 4), (2, 4)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    (",i->i", (), (3,)),
    ("->", ()),
    ("i,j->j", (2,), (3,)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,jk->ik", (0, 3), (3, 2)),
]
PRODUCTS = [
    *[case(np.matmul, normal(*a), normal(*b)) for a, b in MATMULS],
    *[case(np.einsum, text, *[normal(*shape) for shape in shapes]) for text, *shapes in EINSUMS],
    case(np.einsum, "ij,jk,kl->il", normal(2, 3), normal(3, 4), normal(4, 2), optimize=True),
    case(np.dot, normal(3), normal(3)),
    case(np.dot, normal(2, 3), normal(3, 4)),
    case(np.dot, normal(2, 2, 3), normal(3)),
    case(np.dot, normal(3), normal(2, 3, 2)),
    case(np.dot, normal(2, 2, 3), normal(3, 2)),
    case(np.dot, normal(2, 2, 3), normal(2, 3, 2)),
    case(np.dot, normal(), normal(2, 3)),
    case(np.dot, normal(2, 0), normal(0, 3)),
    case(np.dot, np.arange(6.0).reshape(2, 3), normal(3)),
    case(np.dot, [[1, 2], [3, 4]], normal(2)),
    case(method("dot"), normal(2, 3), normal(3)),
    case(np.vdot, normal(2, 3), normal(2, 3)),
    case(np.vdot, normal(6), np.arange(6.0).reshape(2, 3)),
    case(np.vdot, normal(), normal()),
    case(np.inner, normal(3), normal(3)),
    case(np.inner, normal(2, 3), normal(4, 3)),
    case(np.inner, normal(2, 2, 3), normal(3)),
    case(np.inner, normal(3), normal(2, 2, 3)),
    case(np.inner, normal(2, 2, 3), normal(2, 2, 3)),
    case(np.inner, normal(2, 3), normal()),
    case(np.inner, [1.0, 2.0], normal(3, 2)),
    case(np.outer, normal(2), normal(3)),
    case(np.outer, normal(2, 2), normal()),
    case(np.outer, [1.0, 2.0], normal(3)),
    case(np.outer, normal(0), normal(3)),
    case(np.linalg.outer, normal(2), normal(3)),
    case(np.linalg.matmul, normal(2, 2, 3), normal(3, 2)),
    *gufunc_cases(),
    case(np.vecdot, normal(3), normal(3)),
    case(np.vecdot, normal(2, 3), normal(3)),
    case(np.vecdot, normal(2, 1, 3), normal(2, 3)),
    case(np.vecdot, normal(3, 2), normal(3, 2), axis=0),
    case(np.vecdot, normal(3, 2), normal(3, 2), axis=0, keepdims=True),
    case(np.linalg.vecdot, normal(2, 3), normal(3)),
    case(np.linalg.vecdot, normal(3, 2), normal(3, 2), axis=0),
    case(np.linalg.vecdot, np.ones(3), normal(2, 3), axis=-1),
    case(np.tensordot, normal(2, 3), normal(3, 2), axes=1),
    case(np.tensordot, normal(2, 3, 2), normal(3, 2, 2)),
    case(np.tensordot, normal(2), normal(3), axes=0),
    case(np.tensordot, normal(2, 3, 4), normal(4, 3), axes=([1, 2], [1, 0])),
    case(np.tensordot, normal(2, 3), normal(4, 3), axes=(1, -1)),
    case(np.tensordot, normal(2, 3), normal(2, 3), axes=((0, 1), (0, 1))),
    case(np.tensordot, np.ones((2, 3)), normal(3, 0), axes=1),
    case(np.linalg.tensordot, normal(2, 3), normal(2, 3), axes=[[-2], [0]]),
    case(np.kron, normal(2), normal(3)),
    case(np.kron, normal(2, 2), normal(1, 3)),
    case(np.kron, normal(2), normal(2, 1, 2)),
    case(np.kron, normal(2, 1, 2), normal(2)),
    case(np.kron, normal(), normal(3)),
    case(np.kron, np.eye(2), normal(2, 2)),
    case(np.kron, normal(0), normal(3)),
    case(np.cross, normal(3), normal(3)),
    case(np.cross, normal(2, 1, 3), normal(4, 3)),
    case(np.cross, normal(3, 2), normal(2, 3), axisa=0, axisb=1, axisc=0),
    case(np.cross, normal(3, 2), normal(3, 2), axis=0),
    *plane_cases(),
    case(np.cross, [1.0, 2.0, 3.0], normal(2, 3)),
    case(np.linalg.cross, normal(2, 3), normal(3)),
    case(np.linalg.cross, normal(3, 2), normal(3, 2), axis=0),
    case(np.einsum, "ij,jk->ik", normal(2, 3), normal(3, 2)),
    case(np.einsum, "...i,i", normal(2, 2, 3), normal(3)),
    case(np.einsum, "ii->i", normal(3, 3)),
    case(np.einsum, "ij,jk,kl", normal(2, 3), normal(3, 2), normal(2, 2), optimize=True),
    case(np.einsum, normal(2, 3), [0, 1], normal(3), [1], [0]),
    case(np.einsum, "i,i", normal(3), normal(3), order="K", casting="safe", dtype=None, out=None),
    case(np.trace, normal(3, 3)),
    case(np.trace, normal(3, 4), offset=1),
    case(np.trace, normal(2, 3, 4), offset=-1, axis1=2, axis2=0),
    case(np.trace, normal(2, 3), dtype=np.longdouble),
    case(np.trace, normal(0, 3)),
    case(method("trace"), normal(2, 3, 3), axis1=1, axis2=2),
    case(np.linalg.trace, normal(2, 3, 3)),
    case(np.linalg.trace, normal(2, 3), offset=1, dtype=np.float64),
    case(np.linalg.diagonal, normal(2, 3, 3)),
    case(np.linalg.diagonal, normal(2, 3), offset=1),
    case(np.linalg.matrix_transpose, normal(2, 3, 4)),
    case(np.linalg.multi_dot, [normal(2, 3), normal(3, 2)]),
    case(np.linalg.multi_dot, [normal(2, 3), normal(3, 4), normal(4, 1)]),
    case(np.linalg.multi_dot, [normal(3), normal(3, 4), normal(4)]),
    case(np.linalg.multi_dot, [normal(3), normal(3, 2), normal(2, 2), np.eye(2), normal(2, 3)]),
    case(np.linalg.multi_dot, [normal(3), normal(3)]),
    case(np.linalg.matrix_power, normal(2, 2), 1),
    case(np.linalg.matrix_power, normal(3, 2, 2), 2),
    case(np.linalg.matrix_power, normal(2, 2), 3),
    case(np.linalg.matrix_power, normal(2, 2), 6),
    case(np.linalg.matrix_power, normal(2, 2), 7),
    case(np.linalg.matrix_power, regular(2, 2), -1),
    case(np.linalg.matrix_power, regular(2, 2), -3),
    case(np.linalg.matrix_power, normal(2, 2, 2), 0),
]

EQUATIONS = [
    case(np.linalg.inv, regular(3, 3)),
    case(np.linalg.inv, regular(2, 1, 2, 2)),
    case(np.linalg.inv, normal(0, 0)),
    case(np.linalg.solve, regular(3, 3), normal(3)),
    case(np.linalg.solve, regular(3, 3), normal(3, 2)),
    case(np.linalg.solve, regular(2, 3, 3), normal(3)),
    case(np.linalg.solve, regular(2, 1, 2, 2), normal(3, 2, 2)),
    case(np.linalg.solve, regular(2, 2), normal(3, 2, 1)),
    case(np.linalg.solve, regular(2, 2), [1.0, 2.0]),
    case(np.linalg.solve, np.array([[2.0, 1], [0, 3]]), normal(2)),
    case(np.linalg.solve, normal(0, 0), normal(0, 2)),
    case(np.linalg.tensorinv, Draw(lambda rng: eye_like(rng, 4, 6, 8, 3)), ind=2),
    case(np.linalg.tensorinv, Draw(lambda rng: eye_like(rng, 6, 2, 3)), ind=1),
    case(np.linalg.tensorsolve, Draw(lambda rng: eye_like(rng, 2, 3, 6)), normal(2, 3)),
    case(np.linalg.tensorsolve, Draw(lambda rng: eye_like(rng, 2, 2, 4)), normal(2, 2), axes=None),
    case(
        np.linalg.tensorsolve,
        Draw(lambda rng: np.moveaxis(eye_like(rng, 6, 2, 3), 1, 0)),
        normal(6),
        axes=(0, 2),
    ),
    *lstsq_cases(),
    case(np.linalg.pinv, spread(2, 3)),
    case(np.linalg.pinv, spread(2, 3, 2)),
    case(np.linalg.pinv, spread(2, 2), rcond=1e-9),
    case(np.linalg.pinv, spread(3, 2), rtol=1e-9),
    case(np.linalg.pinv, spread(2, 2, 2), rtol=np.array([1e-9, 1e-8])),
    case(np.linalg.pinv, symmetric(3, 3), hermitian=True),
    case(np.linalg.pinv, spread(3, 3), None, True),
    case(np.linalg.pinv, normal(0, 3)),
]


def eye_like(rng, *shape):
    """Reshaped from a square matrix that is far from singular."""
    n = round(np.sqrt(np.prod(shape)))
    return (rng.standard_normal((n, n)) / 4 + 2 * np.eye(n)).reshape(shape)


def cofactors(a):
    return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)


def second_cofactors(a, direction):
    """The derivative of the cofactors of a regular matrix in a direction, by the product rule."""
    inverse = np.swapaxes(np.linalg.inv(a), -1, -2)
    change = inverse @ np.swapaxes(direction, -1, -2) @ inverse
    slope = np.sum(cofactors(a) * direction, axis=(-2, -1), keepdims=True)
    return slope * inverse - np.linalg.det(a)[..., None, None] * change


def singular(rng, n, rank):
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n))


FACTORS = [
    case(np.linalg.det, regular(3, 3)),
    case(np.linalg.det, regular(2, 1, 2, 2)),
    case(np.linalg.det, normal(1, 1)),
    case(np.linalg.det, normal(0, 0)),
    case(linalg.cofactors, regular(3, 3)).but(reference=cofactors),
    case(linalg.cofactors, regular(2, 2, 2)).but(reference=cofactors),
    case(np.linalg.det, Draw(lambda rng: singular(rng, 3, 2))),
    case(np.linalg.det, Draw(lambda rng: np.stack([singular(rng, 2, k) for k in range(3)]))),
    case(linalg.cofactors, regular(3, 3), normal(3, 3)).but(reference=second_cofactors),
    case(linalg.cofactors, regular(2, 2), normal(3, 2, 2)).but(reference=second_cofactors),
    case(np.linalg.slogdet, regular(3, 3)),
    case(np.linalg.slogdet, regular(2, 2, 2)),
    case(np.linalg.slogdet, normal(0, 0)),
    case(np.linalg.cholesky, symmetric(3, 3)),
    case(np.linalg.cholesky, symmetric(2, 1, 2, 2)),
    case(np.linalg.cholesky, symmetric(3, 3), upper=True),
    case(np.linalg.cholesky, symmetric(2, 2), upper=False),
    case(np.linalg.cholesky, normal(0, 0)),
    case(np.linalg.qr, spread(3, 3)),
    case(np.linalg.qr, spread(4, 2)),
    case(np.linalg.qr, spread(2, 4)),
    case(np.linalg.qr, spread(2, 3, 2), mode="reduced"),
    case(np.linalg.qr, spread(3, 2), mode="r"),
    case(np.linalg.qr, spread(2, 3), mode="complete"),
    case(np.linalg.qr, normal(3, 0)),
    case(np.linalg.eigh, symmetric(3, 3)),
    case(np.linalg.eigh, symmetric(2, 2, 2)),
    case(np.linalg.eigh, symmetric(3, 3), UPLO="U"),
    case(np.linalg.eigh, spread(3, 3), "L"),
    case(np.linalg.eigh, normal(1, 1)),
    case(np.linalg.eigh, normal(0, 0)),
    case(eigenpairs, spread(3, 3), normal(3, 3)).but(label="np.linalg.eig"),
    case(eigenpairs, spread(2, 2, 2), normal(2, 2)).but(label="np.linalg.eig"),
    case(eigenvalues, spread(3, 3), normal(3, 3)).but(label="np.linalg.eigvals"),
    case(eigenvalues, spread(2, 2, 2), normal(2, 2)).but(label="np.linalg.eigvals"),
    case(np.linalg.eigvalsh, symmetric(3, 3)),
    case(np.linalg.eigvalsh, spread(2, 2, 2), UPLO="U"),
    case(np.linalg.svd, spread(3, 3)),
    case(np.linalg.svd, spread(3, 2), full_matrices=False),
    case(np.linalg.svd, spread(2, 4), full_matrices=False),
    case(np.linalg.svd, spread(2, 3, 2), full_matrices=False, compute_uv=True),
    case(np.linalg.svd, spread(2, 3), compute_uv=False),
    case(np.linalg.svd, Draw(lambda rng: indefinite(rng, 3)), hermitian=True),
    case(np.linalg.svd, Draw(lambda rng: indefinite(rng, 3)), compute_uv=False, hermitian=True),
    case(np.linalg.svd, normal(0, 3), full_matrices=False),
    case(np.linalg.svdvals, spread(3, 2)),
    case(np.linalg.svdvals, spread(2, 2, 3)),
]


def indefinite(rng, n):
    """Symmetric up to rounding of the draw, with eigenvalues of either sign and sizes apart."""
    a = rng.standard_normal((n, n)) / 8
    return a + a.T + np.diag([(-1.5) ** (k + 1) for k in range(n)])


def norms():
    for ord in (None, 2, 1, 3, 2.5, 0, -1, -2, np.inf, -np.inf):
        yield case(np.linalg.norm, nonzero(4), ord=ord)
        yield case(np.linalg.norm, nonzero(2, 3), ord=ord, axis=-1, keepdims=True)
        yield case(np.linalg.vector_norm, nonzero(2, 3), ord=2 if ord is None else ord)
    for ord in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        yield case(np.linalg.norm, spread(3, 2), ord=ord)
        yield case(np.linalg.norm, spread(2, 3, 2), ord=ord, axis=(-1, 1), keepdims=True)
        yield case(np.linalg.norm, spread(2, 2, 3), ord=ord, axis=(1, 2))
        yield case(np.linalg.matrix_norm, spread(2, 3), ord="fro" if ord is None else ord)
    for p in (None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc"):
        yield case(np.linalg.cond, spread(3, 3), p=p)
        yield case(np.linalg.cond, spread(2, 2, 2), p)


NORMS = [
    *norms(),
    case(np.linalg.norm, normal(2, 3)),
    case(np.linalg.norm, normal(2, 3, 2), keepdims=True),
    case(np.linalg.norm, normal(2, 3, 2), axis=1),
    case(np.linalg.norm, normal(3, 2), None, (0,)),
    case(np.linalg.norm, normal(0)),
    case(np.linalg.vector_norm, normal(2, 3, 2), axis=(0, -1), keepdims=True, ord=3),
    case(np.linalg.vector_norm, normal(2, 3, 2), axis=(2, 0)),
    case(np.linalg.vector_norm, normal(2, 3), axis=0),
    case(np.linalg.vector_norm, normal(2, 3), axis=None, keepdims=True),
    case(np.linalg.vector_norm, normal()),
    case(np.linalg.matrix_norm, normal(2, 2, 3), keepdims=True),
    case(np.linalg.cond, spread(3, 2)),
]


def triangular(a, b, trans=0, lower=False, unit_diagonal=False, **_options):
    read = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        read = read + (1 - read) * np.eye(a.shape[-1])
    return np.linalg.solve(read if trans in (0, "N") else np.swapaxes(read, -1, -2), b)


def triangular_cases():
    for options in (
        {},
        {"lower": True},
        {"trans": 1},
        {"trans": "T", "lower": True},
        {"trans": "N", "unit_diagonal": True, "lower": True},
        {"trans": "C", "unit_diagonal": True, "check_finite": False},
    ):
        for b in (normal(3), normal(3, 2)):
            each = case(td.linalg.solve_triangular, regular(3, 3), b, **options)
            yield each.but(reference=triangular)


SCIPY = [
    *triangular_cases(),
    *[
        each.but(reference=triangular)
        for each in (
            case(td.linalg.solve_triangular, regular(2, 2, 2), normal(2, 2, 3), lower=True),
            case(td.linalg.solve_triangular, regular(2, 3, 3), normal(3)),
            case(td.linalg.solve_triangular, regular(2, 2), normal(3, 2, 1)),
            case(td.linalg.solve_triangular, np.triu(np.ones((2, 2))), normal(2)),
            case(td.linalg.solve_triangular, np.array([[2, 1], [1, 3]]), normal(2)),
            case(td.linalg.solve_triangular, regular(2, 2), [1.0, 2.0], 1),
        )
    ],
    *[
        each.but(reference=scipy.linalg.cho_solve)
        for each in (
            case(td.linalg.cho_solve, (regular(3, 3), True), normal(3)),
            case(td.linalg.cho_solve, (regular(3, 3), False), normal(3, 2)),
            case(td.linalg.cho_solve, (regular(2, 2), True), np.ones(2), check_finite=False),
        )
    ],
    *[
        each.but(reference=scipy.linalg.expm)
        for each in (
            case(td.linalg.expm, normal(3, 3)),
            case(td.linalg.expm, normal(2, 2, 2)),
            case(td.linalg.expm, normal(1, 1)),
        )
    ],
]


def by_eigenvalues(f, a):
    w, v = np.linalg.eigh(a)
    return (v * f(w)[..., None, :]) @ np.swapaxes(v, -1, -2)


def with_equal_eigenvalues(*shape):
    """Symmetric positive definite matrices, two of whose eigenvalues are equal up to rounding."""

    def sample(rng):
        q = np.linalg.qr(rng.standard_normal(shape)).Q
        w = np.maximum(np.arange(shape[-1]), 1) + rng.uniform(0.5, 1)
        a = (q * w) @ np.swapaxes(q, -1, -2)
        return (a + np.swapaxes(a, -1, -2)) / 2

    return Draw(sample)


MATRIX_FUNCTIONS = [
    each.but(reference=by_eigenvalues, label="td.linalg.funm")
    for each in (
        case(td.linalg.funm, np.exp, symmetric(3, 3)),
        case(td.linalg.funm, np.sqrt, symmetric(2, 1, 2, 2)),
        case(td.linalg.funm, np.log, with_equal_eigenvalues(3, 3)),
        case(td.linalg.funm, np.reciprocal, with_equal_eigenvalues(2, 2, 2)),
        case(td.linalg.funm, np.tanh, normal(1, 1)),
        case(td.linalg.funm, np.exp, normal(0, 0)),
    )
]

DENSE = np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -0.5]])
CSR = scipy.sparse.csr_array(DENSE)


def times_sparse(t):
    return CSR @ t


def sparse_times(t):
    return t @ CSR


SPARSE = [
    case(times_sparse, normal(3)).but(reference=lambda t: DENSE @ t),
    case(times_sparse, normal(3, 2)).but(reference=lambda t: DENSE @ t),
    case(sparse_times, normal(2)).but(reference=lambda t: t @ DENSE),
    case(sparse_times, normal(3, 2)).but(reference=lambda t: t @ DENSE),
]

CASES = [*PRODUCTS, *EQUATIONS, *FACTORS, *NORMS, *SCIPY, *MATRIX_FUNCTIONS, *SPARSE]
