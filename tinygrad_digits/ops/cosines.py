"""Cosine and sine transforms, of all four types, as in scipy.fft: dct, dst and their inverses.

The matrix of types 1 and 4 is symmetric, and that of type 2 the transpose of type 3's, but for the
numbers at the ends of the data, which type 1 and 3 take once and all others twice; with
`orthogonalize`, those are scaled by √2 so that with norm="ortho" the matrix is orthogonal.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Op
from ..staging.batching import batch_along_flat, register_batching
from ..support.errors import extra
from ..support.foreign import as_array
from .complex_parts import is_complex
from .fourier import TRANSPOSED, Norm, read_lengths, resize, weigh

OTHER = {1: 1, 2: 3, 3: 2, 4: 4}
"""The type of a transform whose matrix is the transposed one, and of its inverse."""
ROOT = 2**0.5


def _scipy(name: str) -> Callable[..., Any]:
    with extra("scipy"):
        import scipy.fft
    return getattr(scipy.fft, name)  # type: ignore[no-any-return]


def _scale_ends(x: Array, axis: int, ends: dict[int, float]) -> Array:
    """x with its first (0) and last (-1) elements along an axis scaled."""
    if not ends:
        return x
    weights = np.ones(x.shape[axis], x.real.dtype)
    for end, scale in ends.items():
        weights[end] *= scale
    return weigh(x, weights, axis)


def _ends(name: str, type: int, orthogonal: bool) -> tuple[dict[int, float], dict[int, float]]:
    """What scales the cotangent, and what its transform: at which end, by how much."""
    end = 0 if name == "dct" else -1
    if type == 2:
        return {end: ROOT if orthogonal else 2.0}, {}
    if type == 3:
        return {}, {end: 1 / ROOT if orthogonal else 0.5}
    if type == 1 and name == "dct":
        both = ROOT if orthogonal else 2.0
        return {0: both, -1: both}, {0: 1 / both, -1: 1 / both}
    return {}, {}


def _define(name: str) -> Op:
    def kernel(
        x: Array, type: int, n: int | None, axis: int, norm: Norm, orthogonalize: bool
    ) -> Array:
        given = {"type": type, "n": n, "axis": axis, "norm": norm, "orthogonalize": orthogonalize}
        transform = _scipy(name)
        if is_complex(x):  # of which SciPy drops `orthogonalize`
            return transform(x.real, **given) + 1j * transform(x.imag, **given)
        return transform(x, **given)

    def rule(
        g: Array,
        _y: Array,
        x_like: Array,
        type: int,
        n: int | None,  # noqa: ARG001 (g has that length)
        axis: int,
        norm: Norm,
        orthogonalize: bool,
    ) -> Array:
        before, after = _ends(name, type, orthogonalize)
        ct = op(
            _scale_ends(g, axis, before), type=OTHER[type], n=None, axis=axis, norm=norm,
            orthogonalize=False,
        )  # fmt: skip
        return resize(_scale_ends(ct, axis, after), x_like.shape[axis], axis)

    op = define(kernel, rule, name=name, unchecked=True)
    register_batching(batch_along_flat, op)
    return op


cosine_transform, sine_transform = _define("dct"), _define("dst")


def _name(op: Op, name: str, *, inverse: bool) -> Function:
    def transform(
        x: Array,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: Norm = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Array:
        if type not in OTHER:
            raise ValueError(f"{name}: type is 1, 2, 3 or 4, got {type!r}")
        if norm not in TRANSPOSED:
            raise ValueError(f"{name}: norm is 'backward', 'ortho' or 'forward', got {norm!r}")
        return op(
            as_array(x), type=OTHER[type] if inverse else type, n=n, axis=axis,
            norm=TRANSPOSED[norm] if inverse else norm or "backward",
            orthogonalize=norm == "ortho" if orthogonalize is None else orthogonalize,
        )  # fmt: skip

    kind = "sine" if "dst" in name else "cosine"
    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = (
        f"scipy.fft.{name}: the {'inverse ' * inverse}{kind} transform along an axis.\n\n"
        "    Of real or complex data, cropped or filled up to length n. Raises MissingExtraError\n"
        "    without SciPy.\n    "
    )
    return transform


dct = _name(cosine_transform, "dct", inverse=False)
idct = _name(cosine_transform, "idct", inverse=True)
dst = _name(sine_transform, "dst", inverse=False)
idst = _name(sine_transform, "idst", inverse=True)


def _name_several(one: Function) -> Function:
    def transform(
        x: Array,
        type: int = 2,
        s: int | Sequence[int] | None = None,
        axes: int | Sequence[int] | None = None,
        norm: Norm = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Array:
        x = as_array(x)
        for n, axis in read_lengths(name, x, s, axes):
            x = one(x, type, n, axis, norm, orthogonalize=orthogonalize)
        return x

    name = transform.__name__ = transform.__qualname__ = f"{one.__name__}n"
    transform.__doc__ = (
        f"scipy.fft.{name}: {one.__name__} along each of `axes`.\n\n"
        "    By default those are all axes, or as many of the last as there are lengths `s`.\n    "
    )
    return transform


dctn, idctn, dstn, idstn = map(_name_several, (dct, idct, dst, idst))
