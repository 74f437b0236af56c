"""Fourier, cosine and sine transforms, under the names of scipy.fft.

    complex       fft, ifft, fft2, ifft2, fftn, ifftn
    real          rfft, irfft, rfft2, irfft2, rfftn, irfftn
    Hermitian     hfft, ihfft, hfft2, ihfft2, hfftn, ihfftn
    cosine, sine  dct, idct, dst, idst, and along several axes dctn, idctn, dstn, idstn
    frequencies   fftfreq, rfftfreq, fftshift, ifftshift
    lengths       next_fast_len

The cosine and sine transforms need SciPy (extra `scipy`), whose own do not take Tensors. The others
need NumPy alone, most of them are NumPy's, which does.

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
from .ops.fourier import hfft2, hfftn, ihfft2, ihfftn, next_fast_len

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
    "hfft2",
    "hfftn",
    "idct",
    "idctn",
    "idst",
    "idstn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "next_fast_len",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
