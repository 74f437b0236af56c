"""What derivatives are, to any number of digits: a chapter a file, an Oracle for each function.

    ORACLES = [Oracle(np.expm1, mp.expm1, [mp.exp], [mp.exp])]

An oracle's formulas are mpmath's, written so that they do not cancel: they are computed with a
hundred digits, not with all that 1e300 + 1e-300 would take.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.prec = 400


@dataclasses.dataclass(frozen=True, eq=False)
class Oracle:
    """A function with its derivatives, and where they are compared.

    first: the derivative by each argument.
    second: by each pair of arguments, (a, b) gives aa, ab, bb.
    draw: dtype -> arrays of points, one for each argument.
    conditioned: {order: the zeros or poles of that derivative}, near which its condition number
        is allowed for, too: there the rounding of the argument says more than 16 ulp.
    floor: {order: (ulp, why)} where another's kernel is less accurate than the bound.
    rows: the rows that this tests, where they are not named as the function is.
    """

    function: Callable[..., Any]
    value: Callable[..., Any]
    first: Sequence[Callable[..., Any]]
    second: Sequence[Callable[..., Any]]
    draw: Callable[..., Sequence[np.ndarray]]
    conditioned: dict[int, str] = dataclasses.field(default_factory=dict)
    floor: dict[int, tuple[float, str]] = dataclasses.field(default_factory=dict)
    rows: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def formulas(self) -> list[tuple[int, tuple[int, ...], Callable[..., Any]]]:
        """(order, by which arguments, formula) of the value and of every derivative."""
        n = len(self.first)
        firsts = [(1, (i,), f) for i, f in enumerate(self.first)]
        pairs = itertools.combinations_with_replacement(range(n), 2)
        seconds = [(2, pair, f) for pair, f in zip(pairs, self.second, strict=True)]
        return [(0, (), self.value), *firsts, *seconds]


# --- points


LANDMARKS = (
    *(0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, math.pi, 5.0, 8.0, 9.1, 10.5, 12.0, 15.0, 17.0),
    *(18.0, 18.8, 20.0, 25.0, 30.5, 36.0, 36.8, 40.0, 50.0, 60.0, 80.0, 87.5, 88.8, 90.0, 103.0),
    *(120.0, 150.0, 200.0, 354.0, 500.0, 700.0, 709.5, 712.0, 740.0, 745.0, 1000.0),
)
"""Where functions turn, saturate, underflow or overflow, in one dtype or the other."""


def spread(low=-math.inf, high=math.inf, near=(), zero=True, sizes=40):
    """Points between low and high, of every size and both signs, and close to `near`."""

    def draw(dtype):
        info = np.finfo(dtype)
        least, most = np.log2(float(info.smallest_normal)), np.log2(float(info.max))
        every = 1.37 * 2.0 ** np.linspace(least, most - 1, sizes)
        subnormal = float(info.smallest_subnormal) * np.array([1.0, 7.0, 1e4])
        eps = float(info.eps)
        steps = np.array([0, eps, -eps, 3 * eps, -3 * eps, 1e-4, -1e-4, 0.01, -0.01])
        close = [p + (abs(p) or 1.0) * steps for p in near]
        x = np.concatenate([every, subnormal, LANDMARKS, *close])
        x = np.unique(np.concatenate([x, -x]).astype(dtype))
        return (x[(low < x) & (x < high) & (zero | (x != 0))],)

    return draw


def pairs(a_low=-math.inf, b_low=-math.inf, more=(), sizes=7, unless=None):
    """Every pair of some numbers of all sizes and both signs, and the pairs in `more`.

    unless: (a, b) -> whether the function has no derivatives there.
    """

    def draw(dtype):
        info = np.finfo(dtype)
        least, most = np.log2(float(info.smallest_normal)), np.log2(float(info.max))
        every = 1.37 * 2.0 ** np.linspace(least, most - 1, sizes)
        x = np.concatenate([every, [0.3, 1.0, 1.5, 2.0, 3.0, 20.0, 50.0]])
        x = np.concatenate([x, -x])
        a, b = (each.ravel() for each in np.meshgrid(x, x))
        a = np.concatenate([a, [p for p, _ in more]]).astype(dtype)
        b = np.concatenate([b, [q for _, q in more]]).astype(dtype)
        inside = (a > a_low) & (b > b_low)
        if unless is not None:
            inside &= ~unless(a, b)
        return a[inside], b[inside]

    return draw


def zero(*_xs):
    return mp.mpf(0)


def one(*_xs):
    return mp.mpf(1)


def chapters():
    return [
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
    ]


def all_oracles() -> list[Oracle]:
    return [oracle for chapter in chapters() for oracle in chapter.ORACLES]


def exact_rows() -> dict[str, str]:
    """Rows without an oracle: {name: why none is needed}."""
    return {name: why for chapter in chapters() for name, why in chapter.EXACT.items()}


def all_costs() -> list[tuple[str, ...]]:
    """(function, what the faster rule loses, float32, float64, why the accurate one)."""
    return [cost for chapter in chapters() for cost in getattr(chapter, "COSTS", ())]
