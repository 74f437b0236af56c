"""The parts of a loop on several threads: all take a few, and the caller is one of them."""

from __future__ import annotations

import functools
import itertools
import os
from typing import Any

from .axes import PARTS
from .machine import Function


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _find_pool() -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(PARTS, thread_name_prefix="tinygrad_digits")


if hasattr(os, "register_at_fork"):  # a forked child has none of the threads
    os.register_at_fork(after_in_child=_find_pool.cache_clear)


def share(function: Function, threads: int) -> Function:
    """A function of (things, first, last) as one of things: all parts, and then their sums."""
    edges = [PARTS * k // threads for k in range(threads + 1)]

    def run(things: tuple[Any, ...]) -> int:
        own, *others = itertools.pairwise(edges)
        waiting = [_find_pool().submit(function, things, *each) for each in others]
        codes = [function(things, *own), *[each.result() for each in waiting]]
        return max(codes, key=abs) or function(things, PARTS, PARTS)

    return run
