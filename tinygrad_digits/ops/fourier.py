"""Fourier transforms, numpy.fft: discrete, of real and Hermitian data, in one axis and in several.

The matrix of a transform is symmetric, F[j, k] = w**(j k), so that the cotangent of its input is
the same transform of its output's. A transform of real data computes the half of the spectrum that
determines the rest; of an inverse, each number inside that half stands for two of the whole. Where
`n` crops the input or fills it up with zeros, the cotangent is filled up or cropped.

Norms are NumPy's: "backward" divides inverse transforms by n, "forward" the others, "ortho" both
by √n. The transpose of a transform with real data at one end goes the other way, so that norms
change places.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..engine.primitive import Array, Function, Kind
from ..staging.batching import batch_along_flat, register_batching
from ..support.foreign import as_array
from .complex_parts import break_holomorphy, conj, is_complex
from .registering import handles, implement

Axis: TypeAlias = int | tuple[int, ...] | None
Norm: TypeAlias = Literal["backward", "ortho", "forward"] | None

TRANSPOSED: dict[Norm, Norm] = {
    None: "forward",
    "backward": "forward",
    "ortho": "ortho",
    "forward": "backward",
}
"""The norm of the other direction that scales by the same number."""

transform = partial(implement, kind=Kind.OPAQUE)


def resize(x: Array, n: int, axis: int) -> Array:
    """x cropped, or filled up with zeros, to length n along an axis."""
    axis = normalize_axis_index(axis, x.ndim)
    if n <= x.shape[axis]:
        return x if n == x.shape[axis] else x[(slice(None),) * axis + (slice(n),)]
    missing = [n - length if i == axis else length for i, length in enumerate(x.shape)]
    return np.concatenate([x, np.zeros(missing, x.dtype)], axis)


def weigh(x: Array, weights: Array, axis: int) -> Array:
    """x times a weight for each place along an axis."""
    axis = normalize_axis_index(axis, x.ndim)
    return x * weights.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _define_symmetric(function: Function) -> Function:
    def rule(
        g: Array,
        _y: Array,
        a_like: Array,
        n: int | None = None,  # noqa: ARG001 (g has that length)
        axis: int = -1,
        norm: Norm = None,
    ) -> Array:
        return resize(function(g, axis=axis, norm=norm), a_like.shape[axis], axis)

    return transform(function, rule)


fft = _define_symmetric(np.fft.fft)
ifft = _define_symmetric(np.fft.ifft)


def _weigh_inside(spectrum: Array, n: int, axis: int, inside: float) -> Array:
    """Half a spectrum with what is inside of it, and so stands for two numbers, times `inside`."""
    weights = np.full(n // 2 + 1, inside, spectrum.real.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return weigh(spectrum, weights, axis)


def _rfft_rule(
    g: Array, _y: Array, a_like: Array, n: int | None = None, axis: int = -1, norm: Norm = None
) -> Array:
    """The real part of the sum of g[k] w**(j k) over the half."""
    n = a_like.shape[axis] if n is None else n
    half = _weigh_inside(conj(g), n, axis, 0.5)
    return resize(np.fft.irfft(half, n, axis, TRANSPOSED[norm]), a_like.shape[axis], axis)


def _irfft_rule(
    g: Array,
    _y: Array,
    a_like: Array,
    n: int | None = None,  # noqa: ARG001 (g has that length)
    axis: int = -1,
    norm: Norm = None,
) -> Array:
    spectrum = conj(np.fft.rfft(g, axis=axis, norm=TRANSPOSED[norm]))
    ct = resize(_weigh_inside(spectrum, g.shape[axis], axis, 2.0), a_like.shape[axis], axis)
    return ct if is_complex(a_like) else np.real(ct).astype(a_like.dtype)


rfft = transform(np.fft.rfft, _rfft_rule)
irfft = transform(np.fft.irfft, _irfft_rule)
break_holomorphy(irfft)
register_batching(batch_along_flat, fft, ifft, rfft, irfft)


# --- of Hermitian data


@handles(np.fft.hfft)
def hfft(a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """numpy.fft.hfft: the real spectrum of Hermitian data, of which `a` is half."""
    n = (a.shape[axis] - 1) * 2 if n is None else n
    return irfft(np.conjugate(a), n, axis, norm=TRANSPOSED[norm])


@handles(np.fft.ihfft)
def ihfft(a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """numpy.fft.ihfft: half of the Hermitian data that have this real spectrum.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda x: np.sum(np.fft.ihfft(x).real))(np.ones(3))
    array([0.66666667, 0.16666667, 0.16666667])
    """
    n = a.shape[axis] if n is None else n
    return np.conjugate(rfft(a, n, axis, norm=TRANSPOSED[norm]))


# --- in several axes


def choose_axes(s: Sequence[int] | None, axes: Sequence[int] | None, ndim: int) -> Sequence[int]:
    """The axes to transform: if they are not given the last, as many as `s` has lengths, or all."""
    return range(-(ndim if s is None else len(s)), 0) if axes is None else axes


def _each_axis(
    a: Array, s: Sequence[int] | None, axes: Sequence[int] | None, *, inverse_of_real: bool = False
) -> list[tuple[int, int]]:
    """(length, axis) of each transform; `s` has -1 for the length that is there."""
    if s is not None and axes is not None and len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    axes = choose_axes(s, axes, a.ndim)
    lengths = [a.shape[axis] for axis in axes] if s is None else [*s]
    lengths = [a.shape[i] if n == -1 else n for n, i in zip(lengths, axes, strict=True)]
    if inverse_of_real and s is None:
        lengths[-1] = (a.shape[axes[-1]] - 1) * 2
    return [*zip(lengths, axes, strict=True)]


def _transform_each(
    function: Function, a: Array, pairs: Sequence[tuple[int, int]], norm: Norm
) -> Array:
    for n, axis in pairs:
        a = function(a, n, axis, norm)
    return a


def _several(function: Function, one: Function, axes: Sequence[int] | None) -> Function:
    """numpy.fft.fftn and its like, with these axes by default."""

    @handles(function)
    def transform_axes(a: Array, s: Any = None, axes: Any = axes, norm: Norm = None) -> Array:
        return _transform_each(one, a, _each_axis(a, s, axes)[::-1], norm)

    return transform_axes


def _several_of_real(function: Function, axes: Sequence[int] | None) -> None:
    """numpy.fft.rfftn and its like: the last axis is real, and transformed first."""

    @handles(function)
    def transform_axes(a: Array, s: Any = None, axes: Any = axes, norm: Norm = None) -> Array:
        *others, (n, axis) = _each_axis(a, s, axes)
        return _transform_each(np.fft.fft, np.fft.rfft(a, n, axis, norm), others[::-1], norm)


def _several_to_real(function: Function, axes: Sequence[int] | None) -> None:
    """numpy.fft.irfftn and its like: the last axis becomes real, and is transformed last."""

    @handles(function)
    def transform_axes(a: Array, s: Any = None, axes: Any = axes, norm: Norm = None) -> Array:
        *others, (n, axis) = _each_axis(a, s, axes, inverse_of_real=True)
        return np.fft.irfft(_transform_each(np.fft.ifft, a, others, norm), n, axis, norm)


for _plane, _axes in (("2", (-2, -1)), ("n", None)):
    _several(getattr(np.fft, f"fft{_plane}"), np.fft.fft, _axes)
    _several(getattr(np.fft, f"ifft{_plane}"), np.fft.ifft, _axes)
    _several_of_real(getattr(np.fft, f"rfft{_plane}"), _axes)
    _several_to_real(getattr(np.fft, f"irfft{_plane}"), _axes)


# --- in several axes, as scipy.fft has them


def read_lengths(
    who: str, x: Array, s: int | Sequence[int] | None, axes: int | Sequence[int] | None
) -> list[tuple[int, int]]:
    """(length, axis) of each transform, where a single one may be a number, and -1 is all of it."""
    s = [s] if isinstance(s, int) else s
    axes = choose_axes(s, [axes] if isinstance(axes, int) else axes, x.ndim)
    axes = normalize_axis_tuple(axes, x.ndim)  # which refuses an axis that is named twice
    if s is not None and len(s) != len(axes):
        raise ValueError(f"{who}: {len(s)} lengths for {len(axes)} axes")
    return _each_axis(x, s, axes)


def hfftn(
    x: Array,
    s: int | Sequence[int] | None = None,
    axes: int | Sequence[int] | None = None,
    norm: Norm = None,
) -> Array:
    """scipy.fft.hfftn: the real spectrum of Hermitian data, of whose last axis x is half."""
    x = as_array(x)
    pairs = read_lengths("hfftn", x, s, axes)
    if s is None:
        pairs[-1] = (pairs[-1][0] - 1) * 2, pairs[-1][1]
    *others, (n, axis) = pairs
    x = _transform_each(np.fft.fft, x, others, norm)
    return np.fft.hfft(x, n, axis, norm)


def ihfftn(
    x: Array,
    s: int | Sequence[int] | None = None,
    axes: int | Sequence[int] | None = None,
    norm: Norm = None,
) -> Array:
    """scipy.fft.ihfftn: half of the Hermitian data that have this real spectrum."""
    x = as_array(x)
    *others, (n, axis) = read_lengths("ihfftn", x, s, axes)
    return _transform_each(np.fft.ifft, np.fft.ihfft(x, n, axis, norm), others, norm)


def hfft2(x: Array, s: Any = None, axes: Any = (-2, -1), norm: Norm = None) -> Array:
    """scipy.fft.hfft2: hfftn along two axes."""
    return hfftn(x, s, axes, norm)


def ihfft2(x: Array, s: Any = None, axes: Any = (-2, -1), norm: Norm = None) -> Array:
    """scipy.fft.ihfft2: ihfftn along two axes."""
    return ihfftn(x, s, axes, norm)


# --- lengths


def next_fast_len(target: int, real: bool = False) -> int:
    """scipy.fft.next_fast_len: the first length from `target` on without a large prime factor.

    None is larger than 11, or in transforms of real data 5.

    >>> next_fast_len(13), next_fast_len(13, real=True)
    (14, 15)
    """
    primes = (2, 3, 5) if real else (2, 3, 5, 7, 11)
    while _divide_out(target, primes) != 1:
        target += 1
    return target


def _divide_out(n: int, primes: Sequence[int]) -> int:
    for p in primes:
        while n > 1 and n % p == 0:
            n //= p
    return n


# --- the middle of a spectrum


def _axes_to_roll(x: Array, axes: Axis) -> tuple[int, ...]:
    return normalize_axis_tuple(
        range(x.ndim) if axes is None else axes, x.ndim, allow_duplicate=True
    )


@handles(np.fft.fftshift)
def fftshift(x: Array, axes: Axis = None) -> Array:
    """numpy.fft.fftshift: the second half of each axis before the first."""
    axes = _axes_to_roll(x, axes)
    return np.roll(x, tuple([x.shape[axis] // 2 for axis in axes]), axes)


@handles(np.fft.ifftshift)
def ifftshift(x: Array, axes: Axis = None) -> Array:
    """numpy.fft.ifftshift, which undoes fftshift."""
    axes = _axes_to_roll(x, axes)
    return np.roll(x, tuple([-(x.shape[axis] // 2) for axis in axes]), axes)
