"""As many threads of BLAS as pay: for small networks, one.

OpenBLAS takes all cores for products that one of them has done in 50 us. On a busy machine every
product then waits until the last thread has had its turn: an epoch takes ten times as long.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..extras import extra

PAYS = 2**24
"""Multiplications in a matrix product from which all threads may take part. Two cores took 1.25 of
one's time for 2^20, 1.07 for 2^21, 0.56 for 2^23 (a layer of the recipe) and 0.53 to 0.84 above
(float32, OpenBLAS 0.3.31): at 2^23 that saves 70 us, and one thread late to wake costs more.
"""


def count_worthwhile(sizes: Sequence[int], batch_size: int) -> int | None:
    """How many threads training should take: 1, or None for all that BLAS has.

    >>> count_worthwhile((64, 512, 128, 10), 128), count_worthwhile((784, 512, 256, 10), 256)
    (1, None)
    """
    largest = batch_size * max(a * b for a, b in itertools.pairwise(sizes))
    return 1 if largest < PAYS else None


def choose(threads: int, sizes: Sequence[int], batch_size: int) -> int | None:
    """As many threads as are asked for; 0 asks for those that are worthwhile.

    Raises MissingExtraError for a number without threadpoolctl, ValueError for a negative one.
    """
    if threads < 0:
        raise ValueError(f"threads must be 1 or more, or 0 for as many as pay, got {threads}")
    if threads:
        with extra():
            import threadpoolctl  # noqa: F401
        return threads
    known = importlib.util.find_spec("threadpoolctl") is not None
    return count_worthwhile(sizes, batch_size) if known else None


def limit(threads: int | None) -> AbstractContextManager[Any]:
    """Inside, BLAS uses no more than so many threads; None leaves it as it is.

    >>> with limit(1):
    ...     from threadpoolctl import threadpool_info
    ...     {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    {1}
    """
    if threads is None:
        return contextlib.nullcontext()
    limited: AbstractContextManager[Any] = _find_pools(len(sys.modules)).limit(
        limits=threads, user_api="blas"
    )
    return limited


@functools.lru_cache(maxsize=1)
def _find_pools(_modules: int) -> Any:
    """The libraries there are, sought again when modules were added, which bring them: 2 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
