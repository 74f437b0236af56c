"""Cases of ops.fourier. Of complex arrays they are run by test_complex.py, as all are."""

import numpy as np
import scipy.fft
import scipy.signal

import tinygrad_digits as td
from tests.cases import case, normal, positive

NORMS = ("backward", "ortho", "forward")
LENGTHS = [{}, {"n": 4}, {"n": 5}, {"n": 8}, {"n": 9}, {"n": 1}]
ONE_AXIS = [
    np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft
]  # fmt: skip
PLANES = [np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2]
SEVERAL = [np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn]

TRIGONOMETRIC = ("dct", "idct", "dst", "idst")

HERMITIAN = ("hfft2", "ihfft2", "hfftn", "ihfftn")


def like(name, *args, **options):
    """A case of a function that SciPy has under the same name."""
    return case(getattr(td.fft, name), *args, **options).but(reference=getattr(scipy.fft, name))


def signal(name, *args, **options):
    reference = getattr(scipy.signal, name)
    return case(getattr(td.signal, name), *args, **options).but(reference=reference)


SIGNALS = [
    *[signal("fftconvolve", normal(7), normal(4), mode) for mode in ("full", "same", "valid")],
    *[signal("fftconvolve", normal(4), normal(7), mode) for mode in ("full", "same", "valid")],
    signal("fftconvolve", normal(4, 5), normal(3, 2)),
    signal("fftconvolve", normal(3, 6), normal(1, 3), mode="same", axes=1),
    signal("fftconvolve", normal(), normal()),
    signal("fftconvolve", normal(0, 3), normal(2, 2)),
    *[signal("hilbert", normal(n)) for n in (6, 7)],
    signal("hilbert", normal(5, 3), 8, axis=0),
    signal("hilbert", normal(7), N=4),
    signal("stft", normal(20), nperseg=8),
    signal("stft", normal(20), 2.0, "hamming", 8, 6, 16, scaling="psd"),
    signal("stft", normal(2, 17), fs=0.5, window="boxcar", nperseg=6, boundary=None),
    signal("stft", normal(17, 2), nperseg=6, noverlap=2, axis=0, padded=False),
    signal("stft", normal(12), window=np.arange(1.0, 6.0), nperseg=5, nfft=7),
    signal("stft", normal(2, 10), nperseg=16, noverlap=3),
    signal("stft", normal(10), nperseg=4, return_onesided=False),
    case(td.signal.stft, normal(10), window=positive(4)),
    signal("istft", normal(5, 4), nperseg=9),
    signal("istft", normal(5, 4)),
    signal("istft", normal(5, 4), 2.0, "hamming", 8, 6, scaling="psd"),
    signal("istft", normal(2, 5, 4)).but(reference=None),
    signal("istft", normal(5, 4), window="boxcar", nperseg=6, noverlap=2, nfft=8, boundary=False),
    signal("istft", normal(6, 4), input_onesided=False),
    signal("istft", normal(5, 4), fs=3.0),
    case(td.signal.istft, normal(5, 4), window=positive(8), scaling="psd"),
]
CASES = [
    *SIGNALS,
    *[case(f, normal(n), **options) for f in ONE_AXIS for n in (6, 7) for options in LENGTHS],
    *[case(f, normal(6, 3), axis=0, norm=norm) for f in ONE_AXIS for norm in NORMS],
    *[case(f, normal(2, 5), 7, norm=norm) for f in ONE_AXIS for norm in NORMS],
    *[case(f, normal(3, 4, 5)) for f in PLANES],
    *[case(f, normal(3, 4), (4, 5), norm="ortho") for f in PLANES],
    *[case(f, normal(4, 3, 2), axes=(1, 0), norm="forward") for f in PLANES],
    *[case(f, normal(3, 2, 4)) for f in SEVERAL],
    *[case(f, normal(3, 4), s=(2, 7), axes=(0, 1)) for f in SEVERAL],
    *[case(f, normal(3, 2, 4), axes=(2, 0), norm="ortho") for f in SEVERAL],
    *[case(f, normal(3, 4), s=(5, -1), axes=(1, 0), norm="backward") for f in SEVERAL],
    *[
        like(name, normal(2, 5), type, norm=norm, orthogonalize=orthogonalize)
        for name in TRIGONOMETRIC
        for type in (1, 2, 3, 4)
        for norm in ("backward", "ortho")
        for orthogonalize in (None, True, False)
    ],
    *[like(name, normal(5, 2), 2, n=n, axis=0) for name in TRIGONOMETRIC for n in (3, 7)],
    *[like(name, normal(6), 3, norm="forward") for name in TRIGONOMETRIC],
    *[like(f"{name}n", normal(3, 4)) for name in TRIGONOMETRIC],
    *[like(f"{name}n", normal(3, 4), 3, (4, 3), (1, 0), "ortho") for name in TRIGONOMETRIC],
    *[like(f"{name}n", normal(3, 4), s=(5,), orthogonalize=True) for name in TRIGONOMETRIC],
    *[like(f"{name}n", normal(3, 4), s=5, axes=0) for name in TRIGONOMETRIC],
    *[like(f"{name}n", normal(3, 4), s=(-1, 5), axes=(0, 1)) for name in TRIGONOMETRIC],
    *[like(name, normal(3, 4), norm="ortho") for name in HERMITIAN],
    *[like(name, normal(2, 3, 4), s=(3, 5), axes=(1, 0)) for name in HERMITIAN],
    *[like(name, normal(3, 4), (4, 7), norm="forward") for name in HERMITIAN],
    case(np.fft.fftshift, normal(5)),
    case(np.fft.fftshift, normal(3, 4), axes=(0, 0, 1)),
    case(np.fft.fftshift, normal(3, 4), axes=1),
    case(np.fft.ifftshift, normal(3, 5), axes=(0, -1)),
    case(np.fft.ifftshift, normal(3)),
]
