"""What can be differentiated: one chapter a file, one row an op."""

from ..engine.primitive import Op, Primitive, row_of
from . import elementwise, indexing, linalg, logic, methods, neural, reductions, shaping

CHAPTERS = (elementwise, reductions, shaping, indexing, linalg, neural)

OPS: dict[str, Op] = {
    row_of(op).name: op
    for chapter in CHAPTERS
    for op in vars(chapter).values()
    if isinstance(getattr(op, "primitive", None), Primitive) and row_of(op).rules
}
"""Every op that has derivative rules, by name. Tests and tables iterate it."""

__all__ = ["CHAPTERS", "OPS", "logic", "methods"]
