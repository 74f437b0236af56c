"""Sums of rows, out[m] = sum over k of weight(m, k) row(k), in blocks of vector registers.

Each number of a row is read once for all the sums of a block, each weight once for all its vectors.
The last block overlaps the one before, so nothing is left over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .terms import Term

Pointed = tuple[Any, Term]
"""An array, and where in it a row begins."""


@dataclass(frozen=True)
class RowSums:
    """What is to be summed: `count` sums of rows of `run` numbers, over all k.

    k is counted by loops of these lengths, inside of which the last index is written out.
    """

    dtype: np.dtype[Any]
    count: int
    run: int
    loops: tuple[int, ...]
    inside: int
    weigh: Callable[..., Term]
    find_row: Callable[..., Pointed]
    find_sum: Callable[[Term], Pointed]

    def write(self, code: Any) -> None:
        """The loops over blocks, and over k."""
        registers, lanes = code.count_registers(self.dtype)
        while lanes > self.run:
            lanes //= 2
        tall, wide = choose_block(self.count, -(-self.run // lanes), registers * 3 // 4)
        wide = min(wide, self.run // lanes)
        sums = [[code.register(self.dtype, lanes) for _ in range(wide)] for _ in range(tall)]
        with code.blocks(self.run, wide * lanes) as at, code.blocks(self.count, tall) as top:
            for total in itertools.chain(*sums):
                total.clear()
            with code.loops(self.loops) as outside:
                for j in range(self.inside):
                    self._add(sums, lanes, at, top, (*outside, code.index(j)))
            for m, line in enumerate(sums):
                place, start = self.find_sum(top + m)
                for v, total in enumerate(line):
                    place[start + at + v * lanes] = total.value

    def _add(self, sums: Any, lanes: int, at: Term, top: Term, k: tuple[Term, ...]) -> None:
        """One row, into all sums of a block."""
        place, start = self.find_row(*k)
        row = [place.load_lanes(start + at + v * lanes, lanes) for v in range(len(sums[0]))]
        for m, line in enumerate(sums):
            weight = self.weigh(top + m, *k).splat(lanes)
            for total, part in zip(line, row, strict=True):
                total.value = weight.multiply_add(part, total.value)


def choose_block(count: int, vectors: int, registers: int) -> tuple[int, int]:
    """The rows and vectors of a block that takes the fewest steps, and then the fewest loads.

    >>> choose_block(32, 56, 24), choose_block(32, 4, 24), choose_block(10, 1, 24)
    ((8, 3), (4, 4), (10, 1))
    """
    blocks = [
        (tall, wide)
        for wide in range(1, min(4, vectors) + 1)
        for tall in range(1, min(count, registers // wide) + 1)
    ]

    def cost(block: tuple[int, int]) -> tuple[float, int]:
        tall, wide = block
        steps = -(-count // tall) * tall * -(-vectors // wide) * wide
        return steps * (1 + 2 / (tall * wide)), tall + wide  # a block costs two steps of its own

    return min(blocks, key=cost)
