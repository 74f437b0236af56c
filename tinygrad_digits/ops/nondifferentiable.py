"""Functions that are constant almost everywhere: on a Tensor they give what they give on its value.

Comparisons, classifications, searches and shape queries. A differentiating tape does not record
them; their results are plain arrays. A trace records all but the last, which it knows.
"""

from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Kind, Op
from ..staging.batching import (
    Rule,
    batch_along_flat,
    batch_elementwise,
    batch_in_one,
    batch_reduction,
    register_batching,
)
from ..support.substitutes import NUMPY
from .registering import handles

ELEMENTWISE = (
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.isfinite, np.isinf, np.isnan, np.signbit, np.sign, np.floor, np.ceil, np.trunc, np.rint),
    *(np.floor_divide, np.spacing),
)
OPAQUE = (
    *(np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isreal, np.iscomplex),
    *(np.isneginf, np.isposinf, np.round, np.around, np.fix, np.angle),
    *(np.count_nonzero, np.all, np.any, np.isin, np.linalg.matrix_rank),
    *(np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition),
    *(np.searchsorted, np.digitize),
    *(np.nonzero, np.flatnonzero, np.argwhere),
    *(np.shares_memory, np.may_share_memory, np.array_repr, np.array_str, np.array2string),
)
STATIC = (
    *(np.zeros_like, np.ones_like, np.empty_like, np.imag, np.shape, np.ndim, np.size),
    *(np.result_type, np.can_cast, np.min_scalar_type, np.common_type, np.iterable),
    *(np.isrealobj, np.iscomplexobj),
)
KINDS = {Kind.ELEMENTWISE: ELEMENTWISE, Kind.OPAQUE: OPAQUE, Kind.STATIC: STATIC}

OPS: dict[str, Op] = {}
for kind, functions in KINDS.items():
    for function in functions:
        name = function.__name__
        OPS[name] = NUMPY[function] = define(function, name=name, kind=kind)

BATCHING: tuple[tuple[Rule, tuple[Any, ...]], ...] = (
    (batch_elementwise, (np.round, np.around, np.fix, np.angle, np.isclose)),
    (batch_elementwise, (np.isreal, np.iscomplex, np.isneginf, np.isposinf)),
    (batch_reduction, (np.all, np.any, np.count_nonzero)),
    (batch_along_flat, (np.argmax, np.argmin, np.nanargmax, np.nanargmin)),
    (batch_along_flat, (np.argsort, np.argpartition)),
    (batch_in_one(0), (np.digitize, np.isin)),
    (batch_in_one(1), (np.searchsorted,)),
)
for rule, batched in BATCHING:
    register_batching(rule, *[OPS[function.__name__] for function in batched])


_lexsort = define(lambda *keys, axis: np.lexsort(keys, axis), name="lexsort")


@handles(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Array:
    """numpy.lexsort, whose keys are several arrays, or the rows of one."""
    return _lexsort(*keys, axis=axis)
