"""Functions that are constant almost everywhere: on a Tensor they give what they give on its value.

Comparisons, classifications, searches and shape queries. A differentiating tape does not record
them; their results are plain arrays. A trace records all but the last, which it knows.
"""

import numpy as np

from ..engine.primitive import Kind, Op, define
from ..engine.tensor import NUMPY

ELEMENTWISE = (
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.isfinite, np.isinf, np.isnan, np.signbit, np.sign, np.floor, np.ceil, np.trunc, np.rint),
)
OPAQUE = (
    *(np.isclose, np.allclose, np.array_equal, np.round, np.count_nonzero, np.all, np.any),
    *(np.argmax, np.argmin, np.argsort, np.searchsorted, np.nonzero, np.flatnonzero),
)
STATIC = (
    *(np.zeros_like, np.ones_like, np.empty_like, np.shape, np.ndim, np.size, np.result_type),
)
KINDS = {Kind.ELEMENTWISE: ELEMENTWISE, Kind.OPAQUE: OPAQUE, Kind.STATIC: STATIC}

OPS: dict[str, Op] = {}
for kind, functions in KINDS.items():
    for function in functions:
        name = function.__name__
        OPS[name] = NUMPY[function] = define(function, name=name, kind=kind)
