"""Signals by their spectra, as in scipy.signal: convolution, the analytic signal, short times."""

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.primitive import Array
from ..support.foreign import as_array
from .complex_parts import is_complex
from .fourier import next_fast_len, weigh
from .indexing import getitem, scatter

# --- convolution


def fftconvolve(in1: Array, in2: Array, mode: str = "full", axes: Any = None) -> Array:
    """scipy.signal.fftconvolve: the convolution along axes (all of them), as a product of spectra.

    Along other axes the arrays have the same length, or one of them 1. `mode` says which part of
    the sums comes back: "full", "same" (as long as in1, from the middle), or "valid" (those of
    arrays that overlap completely). Takes n log(n) operations where np.convolve takes n**2.
    Raises ValueError for numbers of axes that differ, and where none is long enough to be "valid".

    >>> fftconvolve(np.array([1.0, 2.0]), np.array([1.0, 0.0, 3.0])).round(12)
    array([1., 2., 3., 6.])
    """
    a, b = as_array(in1), as_array(in2)
    if a.ndim != b.ndim:
        raise ValueError(f"fftconvolve: {a.ndim} axes and {b.ndim}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"fftconvolve: mode is 'full', 'same' or 'valid', got {mode!r}")
    along = normalize_axis_tuple(range(a.ndim) if axes is None else axes, a.ndim)
    if not along:
        if axes is not None:
            raise ValueError("fftconvolve: there are no axes to convolve along")
        return a * b
    if not (a.size and b.size):
        return np.zeros(0, np.result_type(a, b))  # as SciPy, whatever the mode
    pairs = [(a.shape[i], b.shape[i]) for i in along]
    if mode == "valid" and not (all(m >= n for m, n in pairs) or all(m <= n for m, n in pairs)):
        raise ValueError("fftconvolve: mode='valid' is for an array at least as long in each axis")
    full = [m + n - 1 for m, n in pairs]
    sizes = [next_fast_len(n, real=True) for n in full]
    plain = not (is_complex(a) or is_complex(b))
    forward, backward = (np.fft.rfftn, np.fft.irfftn) if plain else (np.fft.fftn, np.fft.ifftn)
    y = backward(forward(a, sizes, along) * forward(b, sizes, along), sizes, along)
    part = [slice(None)] * a.ndim
    for axis, n, (m, k) in zip(along, full, pairs, strict=True):
        length = {"full": n, "same": m, "valid": abs(m - k) + 1}[mode]
        start = (n - length) // 2
        part[axis] = slice(start, start + length)
    return y[tuple(part)]


# --- the analytic signal


def hilbert(x: Array, N: int | None = None, axis: int = -1) -> Array:
    """scipy.signal.hilbert: a complex signal with x for its real part, and no negative frequencies.

    Its size is the envelope of x, its angle the phase.

    >>> x = np.cos(2 * np.pi * np.arange(8) / 8)
    >>> abs(hilbert(x)).round(12)
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    x = as_array(x)
    if is_complex(x):
        raise ValueError("hilbert: x must be real")
    n = x.shape[axis] if N is None else N
    if n < 1:
        raise ValueError(f"hilbert: N is a length, at least 1, got {n}")
    weights = np.zeros(n)
    weights[0] = 1
    weights[1 : (n + 1) // 2] = 2
    if n % 2 == 0:
        weights[n // 2] = 1
    spectrum = np.fft.fft(x, n, axis)
    return np.fft.ifft(weigh(spectrum, weights.astype(spectrum.real.dtype), axis), axis=axis)


# --- short-time transforms


class _Frames(NamedTuple):
    """How a signal is cut: the window, from one to the next, and to what length each is filled."""

    window: Array
    step: int
    length: int

    def places(self, count: int) -> Array:
        """The place in the signal of each element of each frame: (count, samples)."""
        return np.arange(count)[:, None] * self.step + np.arange(self.window.shape[0])

    def scale(self, scaling: str, fs: float, dtype: Any) -> Array:
        if scaling == "spectrum":
            return (1 / np.sum(self.window)).astype(dtype)
        if scaling == "psd":
            return (1 / np.sqrt(fs * np.sum(self.window**2))).astype(dtype)
        raise ValueError(f"scaling is 'spectrum' or 'psd', got {scaling!r}")


def _cosine_window(constant: float, n: int) -> Array:
    return constant - (1 - constant) * np.cos(2 * np.pi * np.arange(n) / n)


WINDOWS = {"hann": 0.5, "hamming": 0.54, "boxcar": 1.0}
"""The constants of periodic windows c - (1 - c) cos(2 pi k / n)."""


def _cut(
    window: Any, nperseg: int | None, noverlap: int | None, nfft: int | None, longest: int
) -> _Frames:
    if isinstance(window, str | tuple):
        if window not in WINDOWS:
            raise ValueError(f"window is an array, or one of {[*WINDOWS]}, got {window!r}")
        window = _cosine_window(WINDOWS[window], nperseg or min(256, longest))
    window = as_array(window)
    if window.ndim != 1 or is_complex(window):
        raise ValueError(f"window is one real vector, got {window.dtype}{window.shape}")
    n = window.shape[0]
    if nperseg is not None and nperseg != n:
        raise ValueError(f"nperseg is {nperseg}, but the window has {n} samples")
    overlap, length = n // 2 if noverlap is None else noverlap, nfft or n
    if not 0 <= overlap < n or length < n:
        raise ValueError(f"of {n} samples, noverlap is {overlap} and nfft {length}")
    return _Frames(window.astype(float), n - overlap, length)


def stft(
    x: Array,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    *,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
    scaling: str = "spectrum",
    return_onesided: bool = True,
) -> tuple[Array, Array, Array]:
    """scipy.signal.stft: (frequencies, times, Z), Z the spectra of windows along the signal.

    x: (..., n) -> Z: (..., frequencies, times); with another `axis`, frequencies take its place.
    They are half of the spectrum of a real signal, all of a complex one. `window` is "hann",
    "hamming", "boxcar" or an array, which may be a parameter, too; those with a name are shortened
    to the signal. The other arguments mean what they mean there.

    >>> f, t, z = stft(np.cos(np.pi / 2 * np.arange(32)), nperseg=8)
    >>> z.shape, f[abs(z[:, 4]).argmax()]
    ((5, 9), np.float64(0.25))
    """
    if boundary not in ("zeros", None):
        raise ValueError(f"stft: boundary is 'zeros' or None, got {boundary!r}")
    x = np.moveaxis(as_array(x), axis, -1)
    if isinstance(window, str) and nperseg is not None:
        nperseg = min(nperseg, x.shape[-1])
    frames = _cut(window, nperseg, noverlap, nfft, x.shape[-1])
    n = frames.window.shape[0]
    if n > x.shape[-1]:
        raise ValueError(f"stft: the window has {n} samples, the signal {x.shape[-1]}")
    half = n // 2 if boundary else 0
    rest = -(x.shape[-1] + 2 * half - n) % frames.step if padded else 0
    x = _surround(x, half, half + rest)
    count = (x.shape[-1] - n) // frames.step + 1
    pieces = getitem(x, (..., frames.places(count))) * frames.window.astype(x.real.dtype)
    onesided = return_onesided and not is_complex(x)
    z = (np.fft.rfft if onesided else np.fft.fft)(pieces, frames.length)
    z = z * frames.scale(scaling, fs, z.real.dtype)
    frequency = np.fft.rfftfreq if onesided else np.fft.fftfreq
    times = (np.arange(count) * frames.step + (0 if boundary else n / 2)) / fs
    z = np.moveaxis(z, -1, axis if axis >= 0 else axis - 1)
    return frequency(frames.length, 1 / fs), times, z


def _surround(x: Array, before: int, after: int) -> Array:
    """(..., n) -> (..., before + n + after), with zeros."""
    ends = [np.zeros((*x.shape[:-1], n), x.dtype) for n in (before, after)]
    return np.concatenate([ends[0], x, ends[1]], axis=-1)


def istft(
    Zxx: Array,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    *,
    input_onesided: bool = True,
    boundary: bool = True,
    scaling: str = "spectrum",
) -> tuple[Array, Array]:
    """scipy.signal.istft: (times, x), the signal whose short-time spectra are nearest to these.

    Zxx: (..., frequencies, times) -> x: (..., n). What windows add up to is divided out (Griffin
    and Lim, Signal estimation from modified short-time Fourier transform, 1984).

    >>> x = np.sin(np.arange(40.0))
    >>> np.allclose(istft(stft(x, nperseg=8)[2], nperseg=8)[1][:40], x)
    True
    """
    z = np.swapaxes(as_array(Zxx), -1, -2)
    length = 2 * (z.shape[-1] - 1) if input_onesided else z.shape[-1]
    if input_onesided and nperseg == length + 1:  # half of that many numbers is as long
        length = nperseg
    frames = _cut(window, nperseg or length, noverlap, nfft or length, length)
    transform = np.fft.irfft if input_onesided else np.fft.ifft
    n, count = frames.window.shape[0], z.shape[-2]
    pieces = transform(z / frames.scale(scaling, fs, z.real.dtype), frames.length)[..., :n]
    pieces = pieces * frames.window.astype(pieces.real.dtype)
    places, total = frames.places(count), (count - 1) * frames.step + n
    x = scatter(pieces, index=(..., places), shape=(*z.shape[:-2], total))
    weight = np.bincount(places.reshape(-1), np.tile(frames.window**2, count), total)
    x = x / np.where(weight > 1e-10, weight, 1).astype(x.real.dtype)
    x = x[..., n // 2 : total - n // 2] if boundary else x
    return np.arange(x.shape[-1]) / fs, x
