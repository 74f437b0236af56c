"""Signals by their spectra, under the names of scipy.signal, whose own do not take Tensors.

    fftconvolve   the convolution of long arrays
    hilbert       the analytic signal: envelope and phase
    stft, istft   short-time transforms, and the signal that has them

They need NumPy alone.

>>> import numpy as np, tinygrad_digits as td
>>> kernel = np.array([1.0, 2.0])
>>> td.grad(lambda x: td.signal.fftconvolve(x, kernel)[1])(np.ones(3)).round(12)
array([2., 1., 0.])
"""

from .ops.signals import fftconvolve, hilbert, istft, stft

__all__ = ["fftconvolve", "hilbert", "istft", "stft"]
