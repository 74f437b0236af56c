"""Correlation, windows and their sums in native code.

Correlation needs no columns there, as a kernel's pixel meets a row that is in memory already.
Sums are kept in vectors, as many as there are registers for; the last block overlaps the others.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from ..staging.lowering import SourceArray, SourceCall, register_lowering
from .correlation import correlate2d, overlap, spread, turn_margins
from .windows import NO_MARGINS, Margins, Pair, fold, windows

Writer = Callable[[Any], None]

FEWEST = 16
"""Numbers in a row, from which it is worth while where there is a kernel."""


class Padded(NamedTuple):
    """Images with margins in memory: (c, h, w, n)."""

    place: Any
    shape: tuple[int, ...]

    def start(self, c: Any, y: Any, x: Any) -> Any:
        """Where the row of images begins whose pixel (y, x) of channel c it is."""
        _, h, w, n = self.shape
        return ((c * h + y) * w + x) * n


def _extend(code: Any, x: Any, margins: Margins, fill: float = 0) -> Padded:
    """Images with margins."""
    (c, h, w, n), ((above, below), (left, right)) = x.shape, margins
    if x.plain and margins == NO_MARGINS:
        return Padded(x, x.shape)
    shape = c, above + h + below, left + w + right, n
    images = Padded(code.memory(x.dtype, prod(shape)), shape)
    images.place.fill(fill)
    group = 8 if n % 8 == 0 else n  # images at a time: a row of each stays in the cache
    with code.loops((c, h, n // group, w, group)) as (i, y, k, column, j):
        image = k * group + j
        start = images.start(i, y + above, column + left)
        images.place[start + image] = x[(i, y, column, image)]
    return images


def _write_correlate(call: SourceCall) -> Writer | None:
    x, w = call.args
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
    """out[o, y] = sum over c, i, j of weigh(o, c, i, j) times the row of x at (c, y + i, j).

    A row is as wide as the images, or where windows are not neighbours one pixel of all of them.
    """
    out, (down, across) = call.out, call.options["dilation"]
    (_, height, width, n), (further, right) = out.shape, call.options["strides"]
    run = width * n if right == 1 else n
    if not _are_floats(x, out) or (run < FEWEST and not call.alone):
        return None

    def write(code: Any) -> None:
        images = _extend(code, x, margins)
        with code.loops((height, width * n // run)) as (y, column):
            code.sum_rows(
                *(out.dtype, out.shape[0], run, (x.shape[0], window[0]), window[1], weigh),
                lambda c, i, j: (
                    images.place,
                    images.start(c, y * further + i * down, column * right + j * across),
                ),
                lambda row: (out, (row * height + y) * width * n + column * run),
            )

    return write


def _write_overlap(call: SourceCall) -> Writer | None:
    """out[o, c, i, j] = sum over y of the row of g at (o, y) times that of x at (c, y + i, j)."""
    (g, x), out, options = call.args, call.out, call.options
    o, height, *rest = g.shape
    run, (down, across) = prod(rest), options["dilation"]
    fits = _are_floats(g, x, out) and (run >= FEWEST or call.alone)
    if options["strides"] != (1, 1) or not fits:
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


def _write_windows(call: SourceCall) -> Writer | None:
    """out[c, i, j, y, k] = x at (c, y + i, k + j)."""
    (x,), out, options = call.args, call.out, call.options
    (down, across), (further, right) = options["dilation"], options["strides"]
    if not _are_floats(x, out):
        return None

    def write(code: Any) -> None:
        images = _extend(code, x, options["margins"], options["fill"])
        with code.loops(out.shape) as (c, i, j, y, k, image):
            start = images.start(c, y * further + i * down, k * right + j * across)
            out[(c, i, j, y, k, image)] = images.place[start + image]

    return write


def _write_fold(call: SourceCall) -> Writer | None:
    """out at (c, y + i, k + j) += g[c, i, j, y, k], with margins that are left out in the end."""
    (g,), out, options = call.args, call.out, call.options
    (down, across), (further, right) = options["dilation"], options["strides"]
    (c, h, w, n), ((above, below), (left, after)) = out.shape, options["margins"]
    if not _are_floats(g, out):
        return None

    def write(code: Any) -> None:
        shape = c, above + h + below, left + w + after, n
        whole = options["margins"] == NO_MARGINS
        images = Padded(out if whole else code.memory(out.dtype, prod(shape)), shape)
        images.place.fill(0)
        with code.loops(g.shape) as (channel, i, j, y, k, image):
            start = images.start(channel, y * further + i * down, k * right + j * across)
            at = start + image
            images.place[at] = images.place[at] + g[(channel, i, j, y, k, image)]
        if not whole:
            with code.loops(out.shape) as (channel, y, k, image):
                start = images.start(channel, y + above, k + left)
                out[(channel, y, k, image)] = images.place[start + image]

    return write


def _are_floats(*arrays: Any) -> bool:
    return all(isinstance(x, SourceArray) and x.dtype.char in "fd" for x in arrays)


register_lowering(correlate2d, native=_write_correlate)
register_lowering(overlap, native=_write_overlap)
register_lowering(spread, native=_write_spread)
register_lowering(windows, native=_write_windows)
register_lowering(fold, native=_write_fold)
