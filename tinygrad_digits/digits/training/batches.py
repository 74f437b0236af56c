"""Batches of rows of any kind, each with a weight, all of one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..data.dataset import Array


class Rows(NamedTuple):
    """What is fitted: (n, features) floats; (n,) labels or (n, outputs) targets; (n,) weights."""

    x: Array
    y: Array
    weights: Array


def pad_batches(rows: Rows, size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Shuffled minibatches, all of one size: rows that weigh nothing fill up the last.

    >>> rows = Rows(np.eye(3), np.arange(3), np.ones(3))
    >>> [batch.weights for batch in pad_batches(rows, 2, np.random.default_rng(0))]
    [array([1., 1.]), array([1., 0.])]
    """
    order = rng.permutation(len(rows.y))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        filled = np.resize(chosen, size)
        weights = rows.weights[filled]
        weights[len(chosen) :] = 0
        yield Rows(rows.x[filled], rows.y[filled], weights)


def choose_size(rows: int, batch_size: int) -> int:
    """The batch size, or the power of 2 that holds all rows where they are fewer.

    So a stream of chunks of any length needs no more than a handful of programs.

    >>> choose_size(1000, 64), choose_size(20, 64), choose_size(50, 48)
    (64, 32, 48)
    """
    return min(batch_size, 1 << (rows - 1).bit_length())
