"""Fourier, cosine and sine transforms, under the names of scipy.fft.

    complex       fft, ifft, fft2, ifft2, fftn, ifftn
    real          rfft, irfft, rfft2, irfft2, rfftn, irfftn, hfft, ihfft
    cosine, sine  dct, idct, dst, idst, and along several axes dctn, idctn, dstn, idstn
    frequencies   fftfreq, rfftfreq, fftshift, ifftshift

The cosine and sine transforms need SciPy (extra `scipy`), whose own do not take Tensors. The others
are NumPy's, which do.

>>> import numpy as np, tinygrad_digits as td
>>> td.grad(lambda x: np.sum(np.abs(td.fft.rfft(x)) ** 2))(np.array([1.0, 0.0, 0.0]))
array([4., 1., 1.])
"""

from numpy.fft import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftfreq,
    rfftn,
)

from .ops.cosines import dct, dctn, dst, dstn, idct, idctn, idst, idstn

__all__ = [
    "dct",
    "dctn",
    "dst",
    "dstn",
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "idct",
    "idctn",
    "idst",
    "idstn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
