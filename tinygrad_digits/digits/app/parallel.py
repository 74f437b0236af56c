"""Many fits at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from ..extras import extra


def as_done(tasks: Iterable[Any], jobs: int | None) -> Iterator[Any]:
    """The results of joblib's tasks in the order in which they are done, so many at once.

    Stopping early, as Ctrl-C does, cancels the others.

    >>> from joblib import delayed
    >>> sorted(as_done([delayed(abs)(x) for x in (-2, 1)], jobs=1))
    [1, 2]
    """
    with extra():
        from joblib import Parallel
    found = Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    try:
        for one in found:  # noqa: UP028  # `yield from` would close it before `finally` does
            yield one
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tasks that stopping early cancels
            found.close()
