"""What can be differentiated: one chapter a file, one row an op."""

from ..engine.primitive import Op, Primitive, row_of
from . import (
    activations,
    assignment,
    choosing,
    cumulative,
    decompositions,
    elementwise,
    indexing,
    integrals,
    joining,
    layers,
    linalg,
    logic,
    losses,
    making,
    matrix_functions,
    methods,
    neural,
    powers,
    reductions,
    refused,
    scipy_linalg,
    selected,
    sequences,
    shaping,
    sparse,
    special,
    statistics,
    ufuncs,
)

CHAPTERS = (
    elementwise,
    powers,
    integrals,
    ufuncs,
    reductions,
    selected,
    cumulative,
    statistics,
    shaping,
    indexing,
    joining,
    choosing,
    assignment,
    linalg,
    sparse,
    decompositions,
    matrix_functions,
    scipy_linalg,
    neural,
    activations,
    layers,
    losses,
    sequences,
    making,
    special,
)

OPS: dict[str, Op] = {
    row_of(op).name: op
    for chapter in CHAPTERS
    for op in vars(chapter).values()
    if isinstance(getattr(op, "primitive", None), Primitive) and row_of(op).rules
}
"""Every op that has derivative rules, by name. Tests and tables iterate it."""

__all__ = ["CHAPTERS", "OPS", "logic", "methods", "refused"]
