"""Tables of text, and how operands are written in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of columns.

    >>> print(format_table([("%0", "input"), ("%10", "tanh")]))
    %0   input
    %10  tanh
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def format_records(records: Iterable[tuple[int, Any]]) -> str:
    """The records of a tape, each with its index, as a table."""
    rows = [(f"%{index}", *describe_record(record)) for index, record in records]
    return format_table(rows) or "an empty tape"


def describe_record(record: Any) -> tuple[str, str, str, str]:
    """What a table says of the record of an op: name, operands, shape and dtype."""
    operands = format_operands(record.parents, record.inputs, record.options)
    return record.name, operands, str(record.shape), str(record.dtype)


def format_operands(
    parents: Iterable[int | None], inputs: Iterable[Any], options: Mapping[str, Any]
) -> str:
    """An op's array arguments, by the index of what made them or as constants, and its options.

    >>> format_operands((3, None), (None, 2.0), {"axis": 0})
    '%3, 2.0, axis=0'
    """
    operands = [
        f"%{parent}" if parent is not None else _format_constant(value)
        for parent, value in zip(parents, inputs, strict=True)
    ]
    return ", ".join(operands + [f"{key}={value!r}" for key, value in options.items()])


def _format_constant(constant: Any) -> str:
    if constant is None:
        return "constant"
    if isinstance(constant, int | float | complex) and not hasattr(constant, "dtype"):
        return repr(constant)
    return f"{constant.dtype}{list(constant.shape)}"
