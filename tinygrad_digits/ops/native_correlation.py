"""Correlation in native code: without columns, as a kernel's pixel meets a row that is there.

Sums are kept in vectors, as many as there are registers for; the last block overlaps the others.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .correlation import correlate2d, overlap, spread, turn_margins
from .windows import NO_MARGINS, Margins, Pair

Writer = Callable[[Any], None]

FEWEST = 16
"""Numbers in a row, from which it is worth while."""


class Padded(NamedTuple):
    """Images with margins in memory: (c, h, w, n)."""

    place: Any
    shape: tuple[int, ...]

    def start(self, c: Any, y: Any, x: Any) -> Any:
        """Where the row of images begins whose pixel (y, x) of channel c it is."""
        _, h, w, n = self.shape
        return ((c * h + y) * w + x) * n


def _extend(code: Any, x: Any, margins: Margins) -> Padded:
    """Images with margins of zeros."""
    (c, h, w, n), ((above, below), (left, right)) = x.shape, margins
    if x.plain and margins == NO_MARGINS:
        return Padded(x, x.shape)
    shape = c, above + h + below, left + w + right, n
    images = Padded(code.memory(x.dtype, prod(shape)), shape)
    images.place.fill(0)
    group = 8 if n % 8 == 0 else n  # images at a time: a row of each stays in the cache
    with code.loops((c, h, n // group, w, group)) as (i, y, k, column, j):
        image = k * group + j
        start = images.start(i, y + above, column + left)
        images.place[start + image] = x[(i, y, column, image)]
    return images


def _write_correlate(call: SourceCall) -> Writer | None:
    x, w = call.args
    if call.options["strides"] != (1, 1):
        return None
    weigh = lambda o, c, i, j: w[(o, c, i, j)]  # noqa: E731
    return _write_rows(call, x, weigh, w.shape[2:], call.options["margins"])


def _write_spread(call: SourceCall) -> Writer | None:
    g, w = call.args
    (kh, kw), options = w.shape[2:], call.options
    turned = turn_margins((kh, kw), options["strides"], options["dilation"], options["margins"])
    if turned is None:
        return None
    weigh = lambda o, c, i, j: w[(c, o, kh - 1 - i, kw - 1 - j)]  # noqa: E731
    return _write_rows(call, g, weigh, (kh, kw), turned)


def _write_rows(
    call: SourceCall, x: Any, weigh: Callable[..., Any], window: Pair, margins: Margins
) -> Writer | None:
    """out[o, y] = sum over c, i, j of weigh(o, c, i, j) times the row of x at (c, y + i, j)."""
    out, (down, across) = call.out, call.options["dilation"]
    if not _are_floats(x, out):
        return None

    def write(code: Any) -> None:
        images, (o, height, *_), run = _extend(code, x, margins), out.shape, prod(out.shape[2:])
        with code.loop(height) as y:
            code.sum_rows(
                *(out.dtype, o, run, (x.shape[0], window[0]), window[1], weigh),
                lambda c, i, j: (images.place, images.start(c, y + i * down, j * across)),
                lambda row: (out, (row * height + y) * run),
            )

    fits = prod(out.shape[2:]) >= FEWEST
    return write if fits else None


def _write_overlap(call: SourceCall) -> Writer | None:
    """out[o, c, i, j] = sum over y of the row of g at (o, y) times that of x at (c, y + i, j)."""
    (g, x), out, options = call.args, call.out, call.options
    o, height, *rest = g.shape
    run, (down, across) = prod(rest), options["dilation"]
    if options["strides"] != (1, 1) or not _are_floats(g, x, out) or run < FEWEST:
        return None

    def write(code: Any) -> None:
        cotangents, images = _extend(code, g, NO_MARGINS), _extend(code, x, options["margins"])
        count, lanes = code.count_registers(out.dtype)
        while run % lanes:
            lanes //= 2
        kh, kw = out.shape[2:]
        tall = max(1, min(o, 3 * count // 4 // kw))
        sums = [[code.register(out.dtype, lanes) for _ in range(kw)] for _ in range(tall)]
        with code.loops((out.shape[1], kh)) as (c, i), code.blocks(o, tall) as top:
            for total in chain(*sums):
                total.clear()
            with code.loop(height) as y, code.loop(run // lanes) as k:
                start = images.start(c, y + i * down, 0) + k * lanes
                pixels = [start + j * across * images.shape[3] for j in range(kw)]
                rows = [images.place.load_lanes(at, lanes) for at in pixels]
                for m, line in enumerate(sums):
                    at = cotangents.start(top + m, y, 0) + k * lanes
                    row = cotangents.place.load_lanes(at, lanes)
                    for total, pixel in zip(line, rows, strict=True):
                        total.value = row.multiply_add(pixel, total.value)
            for m, line in enumerate(sums):
                for j, total in enumerate(line):
                    out[(top + m, c, i, j)] = total.value.add_lanes()

    return write


def _are_floats(*arrays: Any) -> bool:
    return all(isinstance(x, SourceArray) and x.dtype.char in "fd" for x in arrays)


register_lowering(correlate2d, native=_write_correlate)
register_lowering(overlap, native=_write_overlap)
register_lowering(spread, native=_write_spread)
