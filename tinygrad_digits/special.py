"""The special functions of scipy.special that have derivatives here, under SciPy's names.

    error functions       erf, erfc, erfinv, ndtr, log_ndtr
    gamma and beta        gammaln, digamma, polygamma, beta, betaln
    Bessel                i0, i1
    entropies and logits  entr, xlogy, expit, logit, logsumexp

Values are SciPy's. Most need NumPy alone; those of the gamma function need SciPy (extra `scipy`).
SciPy's own ufuncs, such as scipy.special.erf, take Tensors too.

>>> import tinygrad_digits as td
>>> td.grad(td.special.erf)(0.0)  # 2 / sqrt(pi)
np.float64(1.1283791670955126)
"""

from .ops.softmax import logsumexp
from .ops.special import (
    beta,
    betaln,
    digamma,
    entr,
    erf,
    erfc,
    erfinv,
    expit,
    gammaln,
    i0,
    i1,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    xlogy,
)

__all__ = [
    "beta",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "expit",
    "gammaln",
    "i0",
    "i1",
    "log_ndtr",
    "logit",
    "logsumexp",
    "ndtr",
    "polygamma",
    "xlogy",
]
