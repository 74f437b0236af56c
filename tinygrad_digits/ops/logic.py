"""Functions that are constant almost everywhere: on a Tensor they give what they give on its value.

Comparisons, classifications, searches and shape queries. A differentiating tape does not record
them; their results are plain arrays.
"""

import numpy as np

from ..engine.primitive import Op, define
from ..engine.tensor import NUMPY

CONSTANT = (
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.isfinite, np.isinf, np.isnan, np.signbit, np.isclose, np.allclose, np.array_equal),
    *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round),
    *(np.argmax, np.argmin, np.argsort, np.searchsorted, np.nonzero, np.flatnonzero),
    *(np.count_nonzero, np.all, np.any),
    *(np.zeros_like, np.ones_like, np.empty_like),
    *(np.shape, np.ndim, np.size, np.result_type),
)

OPS: dict[str, Op] = {f.__name__: define(f, name=f.__name__) for f in CONSTANT}
NUMPY.update(zip(CONSTANT, OPS.values(), strict=True))
