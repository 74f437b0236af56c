"""The gradient checker: a derivative rule against central differences.

For y = f(x), a random direction v and a random cotangent u, two numbers must agree:

    <u, (f(x + h v) - f(x - h v)) / 2h>     and     <vjp(f, x)(u), v>

with <u, v> the real part of sum(u v), and directions in the whole plane where numbers are complex.
The error of the left one is O(h^2) from the curvature and O(eps / h) from rounding; h = eps^(1/3)
balances them (Nocedal and Wright, Numerical Optimization, section 8.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.primitive import Array
from ..engine.transforms import vjp
from ..support import tree
from ..support.errors import GradientMismatchError
from ..support.pickling import name_of
from ..support.tree import Tree


def check_grads(
    f: Callable[..., Any],
    *args: Tree,
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
) -> None:
    """Raise GradientMismatchError (an AssertionError) where a derivative of f is wrong.

    Each array among the arguments is checked by itself, along a random direction; with order 2 so
    is the gradient's own gradient, and so on.

    Args:
        f: any function of trees of real or complex floating-point arrays that returns such a tree.
        args: where to check; keep away from kinks.
        order: how many derivatives.
        rtol: relative to the sum of the terms' sizes; 50 sqrt(eps) by default, which is 7e-7 in
            float64 and 2e-2 in float32 (one central difference sees no better).
        atol: absolute; by default what rounding f's values can amount to.
        seed: of the random directions.

    >>> check_grads(lambda x: np.sin(x) * x, np.array([0.5, 2.0]))
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    tree.refuse_leaves(args, "args")
    rng = np.random.default_rng(seed)
    name = name_of(f)
    leaves, structure = tree.flatten(args)
    paths = [path for path, _ in tree.items(args, "args")]
    moving = [i for i, leaf in enumerate(leaves) if tree.is_inexact(leaf)]
    if not moving:
        raise TypeError(f"check_grads({name}): none of the arguments is a floating-point array")

    def flat(*values: Array) -> list[Array]:
        """f as a function from a row of arrays to a list of them."""
        full = list(leaves)
        for i, value in zip(moving, values, strict=True):
            full[i] = value.copy() if type(value) is np.ndarray else value  # f may write into it
        return tree.flatten(f(*tree.unflatten(structure, full)))[0]

    primals = [np.asarray(leaves[i]) for i in moving]
    _check(flat, name, [paths[i] for i in moving], primals, order, (rtol, atol), rng)


def _check(
    f: Callable[..., list[Array]],
    name: str,
    paths: list[str],
    primals: list[Array],
    order: int,
    tolerances: tuple[float | None, float | None],
    rng: np.random.Generator,
) -> None:
    ys, pullback = vjp(f, *primals)
    cotangents = [_random_like(y, rng) for y in ys]

    def gradient(*values: Array) -> list[Array]:
        _, pullback = vjp(f, *values)
        grads = pullback(cotangents)
        return list(grads) if len(values) > 1 else [grads]

    pulled = pullback(cotangents)
    grads = pulled if len(primals) > 1 else (pulled,)
    for k, path in enumerate(paths):
        _check_one(f, f"{name}: derivative with respect to {path}", primals, k,
                   cotangents, grads[k], tolerances, rng)  # fmt: skip
    if order > 1:
        _check(gradient, f"gradient of {name}", paths, primals, order - 1, tolerances, rng)


def _check_one(
    f: Callable[..., list[Array]],
    what: str,
    primals: list[Array],
    k: int,
    cotangents: list[Array],
    grad: Array,
    tolerances: tuple[float | None, float | None],
    rng: np.random.Generator,
) -> None:
    x = primals[k]
    eps = float(np.finfo(x.dtype).eps)
    step = (eps ** (1 / 3) * np.maximum(np.abs(x), 1) * _random_like(x, rng)).astype(x.dtype)
    after, before = x + step, x - step
    ahead = f(*primals[:k], after, *primals[k + 1 :])
    behind = f(*primals[:k], before, *primals[k + 1 :])
    direction = _wide(after - before)  # what rounding left of 2 steps
    if not all(np.isfinite(y).all() for y in (*ahead, *behind)):
        raise GradientMismatchError(
            f"{what}: the function is not finite at x + h or x - h, |h| up to "
            f"{np.abs(step).max():.1e}; check at another x, or rescale it"
        )
    changes = [
        np.real(_wide(u) * (_wide(a) - _wide(b)))
        for u, a, b in zip(cotangents, ahead, behind, strict=True)
    ]
    products = np.real(_wide(grad) * direction)
    expected, got = sum(float(np.sum(c)) for c in changes), float(np.sum(products))
    size = max(sum(float(np.sum(np.abs(c))) for c in changes), float(np.sum(np.abs(products))))
    sizes = [np.sum(np.abs(_wide(u) * _wide(a))) for u, a in zip(cotangents, ahead, strict=True)]
    rtol, atol = tolerances
    allowed = (50 * eps**0.5 if rtol is None else rtol) * size
    allowed += 50 * eps * float(sum(sizes)) if atol is None else atol
    if not abs(got - expected) <= allowed < np.inf:  # `not <=` also catches NaN
        scale = float(np.linalg.norm(direction)) or 1.0
        raise GradientMismatchError(
            f"{what}, along a random direction: expected {expected / scale:.10g} "
            f"(central difference), got {got / scale:.10g} (its rules); "
            f"difference {abs(got - expected) / scale:.3g}, allowed {allowed / scale:.3g}"
        )


def _wide(x: Array) -> Array:
    """x in double precision, real or complex."""
    return np.asarray(x, np.result_type(x, float))


def _random_like(x: Array, rng: np.random.Generator) -> Array:
    dtype = np.dtype(getattr(x, "dtype", float))
    if dtype.kind == "c":
        pairs = rng.standard_normal((*np.shape(x), 2))
        return np.asarray(pairs @ np.array([1, 1j]), dtype)
    return np.asarray(rng.standard_normal(np.shape(x)), dtype)
