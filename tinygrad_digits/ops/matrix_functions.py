"""Functions of symmetric matrices, by what they do to eigenvalues.

With a = v @ diag(w) @ v.T, f(a) is v @ diag(f(w)) @ v.T, and its derivative in a direction e is

    v @ (f[w_i, w_j] * (v.T @ e @ v)) @ v.T        f[x, y] = (f(x) - f(y)) / (x - y), f'(x) at y = x

(Daleckii and Krein, 1965). Divided differences f[x, y, z] and so on of more eigenvalues make the
derivatives of higher order (Higham, Functions of Matrices, 2008, theorem 3.11 and problem 3.6).
Nowhere are eigenvectors differentiated, so that equal eigenvalues make no trouble.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise, permutations

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind, VariadicRule
from ..engine.run import run_on
from ..engine.tape import Tape
from ..engine.tensor import Tensor
from ..staging.batching import batch_matrices, register_batching
from ..support.errors import NotDifferentiableError, ShapeError
from .complex_parts import is_complex
from .products import SMALL_LETTERS

Elementwise = Callable[[Array], Array]


def funm(f: Elementwise, a: Array) -> Array:
    """f of real symmetric matrices, (..., n, n) -> (..., n, n): f is applied to the eigenvalues.

    Derivatives of any order are right at equal eigenvalues too, where those of np.linalg.eigh are
    not, and keep their digits at nearly equal ones.

    Args:
        f: an elementwise function of arrays and Tensors: np.exp, np.sqrt, lambda x: 1 / x. It may
            use no Tensor but its argument.
        a: of which, as of np.linalg.eigh, the lower triangle is read, and gets the gradient; for
            one that treats both triangles alike write funm(f, (a + a.T) / 2).

    Raises LinAlgError where a is not square, ShapeError where f is not elementwise,
    NotDifferentiableError where it uses Tensors of its own, or where a or f(x) is complex.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda a: td.linalg.funm(np.sqrt, a).trace())(np.diag([4.0, 4.0, 25.0]))
    array([[0.25, 0.  , 0.  ],
           [0.  , 0.25, 0.  ],
           [0.  , 0.  , 0.1 ]])
    """
    a = a if hasattr(a, "dtype") else np.asarray(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"funm takes symmetric matrices, (..., n, n), got {a.shape}")
    if a.dtype.kind == "c":
        raise NotDifferentiableError(
            "funm takes real matrices; of a Hermitian one write w, v = np.linalg.eigh(a), and then "
            "v * f(w) @ v.conj().T"
        )
    a = a if a.dtype.kind == "f" else a.astype(float)
    return _funm(np.tril(a) + np.tril(a, -1).swapaxes(-1, -2), f=f)


def _matrix_function(a: Array, *directions: Array, f: Elementwise) -> Array:
    """f(a), or its derivative in the directions, one after another; of the symmetric parts of all.

    Only symmetric parts make it the same, whichever of its arguments the cotangent replaces.
    """
    w, v = np.linalg.eigh(_symmetric(a))
    rotated = [_t(v) @ _symmetric(x) @ v for x in directions]
    differences = divided_differences(f, w.astype(float), len(rotated)).astype(a.dtype)
    if not rotated:
        return _symmetric((v * differences[..., None, :]) @ _t(v))
    nodes = SMALL_LETTERS[: len(rotated) + 1]
    terms = ",".join([f"...{nodes}", *[f"...{i}{j}" for i, j in pairwise(nodes)]])
    contraction, several = f"{terms}->...{nodes[0]}{nodes[-1]}", len(rotated) > 1
    inside = sum(
        np.einsum(contraction, differences, *chain, optimize=several)
        for chain in permutations(rotated)
    )
    return _symmetric(v @ inside @ _t(v))


def _rule(k: int, g: Array, _y: Array, *xs: Array, f: Elementwise) -> Array:
    """A derivative is symmetric in its directions: g is one more, or in the place of another."""
    return _funm(*xs, g, f=f) if k == 0 else _funm(*xs[:k], g, *xs[k + 1 :], f=f)


_funm = define(
    _matrix_function, VariadicRule(_rule), name="funm", kind=Kind.PRODUCT, unchecked=True
)
register_batching(batch_matrices, _funm)


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _symmetric(x: Array) -> Array:
    return (x + _t(x)) / 2


# --- divided differences


def divided_differences(f: Elementwise, w: Array, order: int) -> Array:
    """f[w_i, w_j, ...] of order + 1 of the ascending numbers (..., n): (..., n, n, ...).

    A quotient of differences loses digits where the numbers are close; an integral over the
    derivative (Hermite and Genocchi) loses none there, but is exact only there. Of the two it is
    the one whose error is estimated to be less.
    """
    values = _evaluate(f, w)
    errors = EPS * np.abs(values)
    for k in range(1, order + 1):
        f = _slope(f)
        places = np.sort(np.indices((w.shape[-1],) * (k + 1)), axis=0)
        low, high = (..., *places[:-1]), (..., *places[1:])
        with np.errstate(all="ignore"):
            width = w[..., places[-1]] - w[..., places[0]]
            values = (values[high] - values[low]) / width
            errors = (errors[high] + errors[low]) / width
            poor = ~(errors <= ENOUGH * np.abs(values))
            if poor.any():
                nodes = np.stack([w[..., place][poor] for place in places], axis=-1)
                integrals, others = _integrals(f, nodes)
                better = (others < errors[poor]) | (width[poor] == 0)
                values[poor] = np.where(better, integrals, values[poor])
                errors[poor] = np.where(better, others, errors[poor])
    return values


EPS = float(np.finfo(float).eps)
ENOUGH = 64 * EPS
"""The relative error with which a quotient is taken as it is."""
POINTS = 8, 6
"""How many the integral takes, and how many the one that it is compared with to see its error."""


def _integrals(derivative: Elementwise, nodes: Array) -> tuple[Array, Array]:
    """f[x_0, ..., x_k] for rows of nodes (m, k + 1), from f's k-th derivative; and their errors."""
    nodes, back = np.unique(nodes, axis=0, return_inverse=True)
    fine, coarse = (_over_simplex(derivative, nodes, points) for points in POINTS)
    errors = np.abs(fine - coarse) + EPS * np.abs(fine)
    back = back.reshape(-1)
    return fine[back], errors[back]


def _over_simplex(derivative: Elementwise, nodes: Array, points: int) -> Array:
    """The integral over all mixtures of the nodes in a row, by Gauss' rule in each dimension.

    Mixtures are x_0 + t_1 (x_1 - x_0) + t_1 t_2 (x_2 - x_1) + ..., each t from 0 to 1.
    """
    k = nodes.shape[-1] - 1
    t, weights = _gauss(points)
    x, share, weight = nodes[:, :1], np.ones(1), np.ones(1)
    for j in range(1, k + 1):  # x is (m, points so far); each of them meets each t
        share = (share[:, None] * t).reshape(-1)
        x = np.repeat(x, points, axis=1) + share * (nodes[:, j] - nodes[:, j - 1])[:, None]
        weight = (weight[:, None] * (weights * t ** (k - j))).reshape(-1)
    return _evaluate(derivative, x) @ weight


@cache
def _gauss(points: int) -> tuple[Array, Array]:
    """Places and weights of Gauss and Legendre on 0 ... 1."""
    t, weights = np.polynomial.legendre.leggauss(points)
    return (t + 1) / 2, weights / 2


def _evaluate(f: Elementwise, x: Array) -> Array:
    y = f(x)
    if isinstance(y, Tensor):
        raise NotDifferentiableError(
            "funm: f uses a Tensor of an enclosing transform (grad, vmap, jit), whose gradient "
            "would be lost; let the matrix bring it along: td.linalg.funm(np.exp, t * a) rather "
            "than td.linalg.funm(lambda x: np.exp(t * x), a)"
        )
    if is_complex(y):
        raise NotDifferentiableError(
            "funm: f made complex numbers, and funm gives real matrices; take real and imaginary "
            "parts by themselves: funm(np.cos, a) + 1j * funm(np.sin, a)"
        )
    if type(y) not in (int, float) and np.shape(y) != x.shape:
        raise ShapeError(
            f"funm: f is a function of each eigenvalue by itself; of {x.shape} numbers it made "
            f"{np.shape(y)}. A function of whole matrices, as td.linalg.expm is, needs no funm"
        )
    return np.array(np.broadcast_to(y, x.shape), float)


def _slope(f: Elementwise) -> Elementwise:
    """The derivative of an elementwise function, which may be 0 without a warning."""

    def slope(x: Array) -> Array:
        tape = Tape()
        y, (inside,), _ = run_on(tape, f, (x,))
        if not tape.is_on(y):
            return np.zeros(x.shape)
        return tape.gradients(y, inside, g=np.ones(y.shape, y.dtype))[0]

    return slope
