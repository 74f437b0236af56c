"""The memory of arrays: how the C library manages it, and what a tape must not leave to others."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np


def keep_freed_memory() -> None:
    """Make glibc keep up to 64 MB of what arrays have left, for the next ones.

    It returns freed memory to the system as soon as that is more than twice the largest block that
    it ever mapped by itself (mallopt(3), M_MMAP_THRESHOLD), and fetching it again takes 2 us a
    page: up to half of a step. One large block, never touched, raises that bound; of 32 MB at most.
    """
    np.empty((1 << 25) - (1 << 13), np.uint8)


def freeze_constants(tape: Any) -> None:
    """Copy the constants that the records keep: their owner may write into them before a sweep."""
    copies: dict[int, Any] = {}  # of each array one, though several records may keep it

    def freeze(x: Any, parent: int | None = None) -> Any:
        constant = parent is None and isinstance(x, np.ndarray)
        return copy.deepcopy(x, copies) if constant else x

    for index, record in zip(tape.records, tape, strict=True):
        if None in record.parents or record.options:
            kept = tuple(map(freeze, record.inputs, record.parents))
            options = {name: freeze(option) for name, option in record.options.items()}
            tape.records[index] = record._replace(inputs=kept, options=options)
