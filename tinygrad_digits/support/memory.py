"""How the C library manages the memory of arrays."""

from __future__ import annotations

import numpy as np


def keep_freed_memory() -> None:
    """Make glibc keep up to 32 MB of what arrays have left, for the next ones.

    It returns freed memory to the system as soon as that is more than twice the largest block that
    it ever mapped by itself (mallopt(3), M_MMAP_THRESHOLD), and fetching it again takes 2 us a
    page: up to half of a step. One large block, never touched, raises that bound.
    """
    np.empty(1 << 24, np.uint8)
