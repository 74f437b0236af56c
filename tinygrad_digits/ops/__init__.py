"""What can be differentiated: one chapter a file, one row an op."""

from ..engine.primitive import Op, Primitive
from . import (
    activations,
    assignment,
    batched_indexing,
    complex_parts,
    correlation,
    cosines,
    creation,
    cumulative,
    eigenvalues,
    elementwise,
    fourier,
    indexing,
    joining,
    layers,
    linalg,
    losses,
    masked_reductions,
    matrix_functions,
    methods,
    native_correlation,
    native_factors,
    native_indexing,
    nondifferentiable,
    powers,
    products,
    protocol,
    reductions,
    scipy_linalg,
    selection,
    sequences,
    shaping,
    sinc_and_i0,
    softmax,
    sparse,
    special,
    statistics,
    ufuncs,
    unsupported,
    windows,
)

CHAPTERS = (
    elementwise,
    complex_parts,
    powers,
    sinc_and_i0,
    ufuncs,
    reductions,
    masked_reductions,
    cumulative,
    statistics,
    shaping,
    indexing,
    joining,
    selection,
    assignment,
    products,
    sparse,
    linalg,
    eigenvalues,
    matrix_functions,
    scipy_linalg,
    softmax,
    activations,
    windows,
    correlation,
    layers,
    losses,
    sequences,
    fourier,
    cosines,
    creation,
    special,
)

OPS: dict[str, Op] = {
    op.primitive.name: op
    for chapter in CHAPTERS
    for op in vars(chapter).values()
    if isinstance(getattr(op, "primitive", None), Primitive) and op.primitive.rules
}
"""Every op that has derivative rules, by name. Tests and tables iterate it."""

__all__ = [
    "CHAPTERS",
    "OPS",
    "batched_indexing",
    "methods",
    "native_correlation",
    "native_factors",
    "native_indexing",
    "nondifferentiable",
    "protocol",
    "unsupported",
]
