"""Where each function is tested: a chapter a file, a list of cases for each function.

    CASES = [case(np.median, distinct(3, 5), axis=0), ...]

A case is a function, what it is called with, and what is to be expected. Its arguments are trees
in which a `Draw` stands for an array that is drawn anew and differentiated; whatever else is there
stays as it is. Draws keep away from kinks, so that central differences see a derivative.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import pkgutil
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tinygrad_digits as td


class Draw:
    """An array to be drawn and differentiated: rng -> array."""

    def __init__(self, sample: Callable[[np.random.Generator], Any]):
        self.sample = sample


def normal(*shape):
    return Draw(lambda rng: rng.standard_normal(shape))


def uniform(low, high, *shape):
    return Draw(lambda rng: np.asarray(rng.uniform(low, high, shape)))


def positive(*shape):
    return uniform(0.5, 2.0, *shape)


def nonzero(*shape):
    """Numbers of either sign, none closer than 0.3 to 0."""
    return Draw(lambda rng: rng.choice([-1.0, 1.0], shape) * rng.uniform(0.3, 2.0, shape))


def distinct(*shape):
    """Numbers at least 0.1 apart: no ties, and none within a finite difference."""

    def sample(rng):
        n = math.prod(shape)
        return (rng.permutation(n) * 0.3 - 0.15 * n + rng.uniform(0, 0.2, n)).reshape(shape)

    return Draw(sample)


def increasing(*shape):
    """Numbers that go up along the last axis, 0.3 or more from one to the next."""
    return Draw(lambda rng: np.cumsum(rng.uniform(0.3, 1.0, shape), axis=-1))


def symmetric(*shape):
    """Positive definite matrices, (..., n, n), whose eigenvalues lie apart."""
    return Draw(lambda rng: _spd(rng.standard_normal(shape)))


def regular(*shape):
    """Matrices that are far from singular, (..., n, n)."""
    return Draw(lambda rng: rng.standard_normal(shape) / 2 + 2 * np.eye(shape[-1]))


def _spd(a):
    return a @ np.swapaxes(a, -1, -2) / a.shape[-1] + np.diag(np.arange(1.0, a.shape[-1] + 1))


@dataclasses.dataclass(frozen=True)
class Case:
    """One call of a function.

    orders: how many derivatives are compared with central differences.
    reference: another way to compute the value, for functions that are not NumPy's.
    untraced: why td.jit refuses it, if it does (it then has to, with a TracedValueError).
    rtol: of the comparison with central differences; the checker's own by default.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    orders: int = 2
    reference: Callable[..., Any] | None = None
    untraced: str = ""
    rtol: float | None = None
    label: str = ""

    def but(self, **changes) -> Case:
        """The same with other expectations."""
        return dataclasses.replace(self, **changes)

    @property
    def name(self) -> str:
        return self.label or name_of(self.function)


def case(function, *args, **options) -> Case:
    return Case(function, args, options)


def method(name):
    """The method of that name as a function: case(method("sum"), normal(3, 4), axis=0)."""

    def called(x, *args, **options):
        return getattr(x, name)(*args, **options)

    called.__module__, called.__name__ = "Tensor", name
    return called


def room_of(name: str) -> str:
    """Where users find one of our functions: td.special, td.nn, td.linalg ... or td itself."""
    rooms = {room: getattr(td, room) for room in ("special", "nn", "linalg", "fft", "signal")}
    return next((f"td.{room}" for room in rooms if name in rooms[room].__all__), "td")


def name_of(function) -> str:
    """What users write: np.linalg.svd, np.add.reduce, td.nn.gelu."""
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return f"{name_of(function.__self__)}.{function.__name__}"
    if isinstance(function, np.ufunc):
        return f"np.{function.__name__}"
    module = function.__module__
    if module.startswith("tinygrad_digits"):
        return f"{room_of(function.__name__)}.{function.__name__}"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


class Drawn:
    """A case with its arrays: `f(*xs)` is the call as a function of what is differentiated."""

    def __init__(self, case: Case, rng: np.random.Generator):
        self.case = case
        leaves, self.structure = td.tree.flatten((case.args, case.options))
        self.moving = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Draw)]
        self.leaves = [leaf.sample(rng) if isinstance(leaf, Draw) else leaf for leaf in leaves]
        self.xs = [self.leaves[i] for i in self.moving]
        self.__name__ = case.name

    def filled(self, xs) -> tuple[tuple[Any, ...], dict[str, Any]]:
        full = list(self.leaves)
        for i, x in zip(self.moving, xs, strict=True):
            full[i] = x
        return td.tree.unflatten(self.structure, full)

    def result(self, *xs):
        """What the function returns, as it is."""
        args, options = self.filled(xs)
        return self.case.function(*args, **options)

    def __call__(self, *xs):
        """The parts of the result that are floating point, as a list."""
        return [y for y in td.tree.flatten(self.result(*xs))[0] if is_float(y)]

    def expected(self, *xs):
        args, options = self.filled(xs)
        return (self.case.reference or self.case.function)(*args, **options)

    def weighted(self, *xs):
        """A scalar in which every element of the result has a weight of its own."""
        return sum(np.sum(np.real(y * _weights(y).astype(y.dtype))) for y in self(*xs))


def _weights(y):
    weights = np.cos(np.arange(math.prod(y.shape))).reshape(y.shape)
    return weights * (1 - 0.5j) if y.dtype.kind == "c" else weights


def is_float(y) -> bool:
    """Whether y is floating point, real or complex."""
    kind = getattr(getattr(y, "dtype", None), "kind", "")
    return type(y) in (float, complex) or kind in ("f", "c")


def chapters():
    return [
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
    ]


@functools.cache  # 50 ms, and a thousand tests ask
def all_cases() -> list[tuple[str, str, Case]]:
    """(chapter, id, case) of every case: np.sum-0, np.sum-1, ..."""
    found, counts = [], {}
    for chapter in chapters():
        for each in getattr(chapter, "CASES", ()):
            counts[each.name] = counts.get(each.name, -1) + 1
            name = chapter.__name__.rpartition(".")[2]
            found.append((name, f"{each.name}-{counts[each.name]}", each))
    return found


@functools.cache
def cases_by_function() -> dict[str, dict[str, Case]]:
    """{function: {id: case}}."""
    functions: dict[str, dict[str, Case]] = {}
    for _, name, each in all_cases():
        functions.setdefault(each.name, {})[name] = each
    return functions


def rows_of(case: Case) -> dict[str, int]:
    """The rows that a case puts on a tape, and of how many rules at most each makes use there."""
    drawn = Drawn(case, np.random.default_rng(0))
    tape = td.Tape()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        drawn(*[td.Tensor(x, tape) for x in drawn.xs])
    rows: dict[str, int] = {}
    for record in tape:
        if record.op is not None:
            name, pairs = record.op.name, zip(record.parents, record.op.rules)  # noqa: B905
            used = len({k for k, (x, rule) in enumerate(pairs) if x is not None and rule})
            rows[name] = max(used, rows.get(name, 0))
    return rows


def rows_recorded(cases: Iterable[Case]) -> dict[str, Case]:
    """The rows that these cases put on a tape, each with a case that tries it best.

    That is one that uses most of its rules, on arrays with elements, of the function of that name
    if there is one, and with the fewest other rows.
    """
    best: dict[str, Case] = {}
    merits: dict[str, tuple[int, bool, bool, int]] = {}
    for each in cases:
        rows, full = rows_of(each), all(x.size for x in Drawn(each, np.random.default_rng(0)).xs)
        for name, used in rows.items():
            merit = (used, full, name in each.name, -len(rows))
            if merit > merits.get(name, (0, False, False, 0)):
                best[name], merits[name] = each, merit
    return best
