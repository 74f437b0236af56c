"""How an op is declared: a kernel, and one derivative rule for each of its array arguments.

    square = define(np.square, lambda g, _y, x: 2 * g * x)

A rule is called as `rule(g, y, *inputs, **options)`: the cotangent of the output, the output, and
what the op was called with. It returns the cotangent of its argument. It is written in the same
functions and operators that users write, so under an outer tape its ops are recorded like theirs,
and derivatives of derivatives need nothing more. It may look at shapes, dtypes and options, but
never at values.

The names of a rule's parameters say what a tape has to keep for it:

    x        the value
    x_like   something with the shape and dtype of x, whose value can be freed
    _x       nothing

Parameters after the array arguments are the options that the op takes; any other is refused.
"""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..support.rules import NOTHING, VALUE, read_rules

Array: TypeAlias = Any
"""An ndarray, a NumPy scalar, a Tensor, or any array that speaks NumPy's two protocols."""

Rule: TypeAlias = Callable[..., Array]
Function: TypeAlias = Callable[..., Any]

NO_OPTIONS: dict[str, Any] = {}
"""The options of most records: shared, never written."""


class Kind(enum.StrEnum):
    """What an op is: whether it broadcasts, how it is tested, and how a program can run it."""

    ELEMENTWISE = "elementwise"  # an output element depends on the inputs' at the same place
    REDUCTION = "reduction"  # over the option `axis`
    VIEW = "view"  # the same elements in another shape or order
    GATHER = "gather"  # some of the elements, or several arrays in one: a new array
    PRODUCT = "product"  # sums of products: matmul, einsum
    STATIC = "static"  # known from shapes and dtypes alone
    OPAQUE = "opaque"  # nothing is known


class Like:
    """Stands in for an array of which a rule reads no more than shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Array) -> None:
        array = x if hasattr(x, "dtype") else np.asarray(x)
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Op(Protocol):
    """A function of arrays and Tensors alike, as `define` makes it."""

    __name__: str
    primitive: Primitive

    def __call__(self, *args: Any, **options: Any) -> Any: ...


class VariadicRule:
    """One rule for however many arrays an op takes: `rule(k, g, y, *inputs)` for argument k."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __iter__(self) -> Iterator[Rule]:
        return (functools.partial(self.rule, k) for k in itertools.count())


class Primitive:
    """What an op is: a kernel, derivative rules, and what transforms and compilers have to know.

    `rules` has a rule, or None for what is never differentiated, for each array argument; or it is
    a `VariadicRule`, and then `arity` is None. `options` are the names of the options, and
    `positional` those of them that may be given by position.
    """

    def __init__(
        self,
        kernel: Function,
        rules: tuple[Rule | None, ...] | VariadicRule,
        name: str,
        kind: Kind,
        composite: bool = False,
        reduction_ufunc: np.ufunc | None = None,
    ) -> None:
        self.name = name
        self.kernel = self.function = kernel  # of which compilers know `function`, NumPy's own
        self.apply = kernel  # the op itself, once `define` has made it
        self.rules = rules
        self.kind = kind
        self.composite = composite  # whether the kernel is written in other ops
        self.reduction_ufunc = reduction_ufunc  # what a reduction repeats
        self.fallback: Function | None = None  # takes calls with options that no rule names,
        self.name_arguments: Function | None = None  # with too many arguments by position,
        self.sparse: Function | None = None  # and with a sparse matrix among the operands
        self.batching: Function | None = None  # how it is applied to many examples at once
        self.holomorphic: bool | None = bool(rules) or None  # None: if its rules are, looked into
        self.effect = False  # whether it is there for what it raises or warns of
        self.lowering: Any = None  # how a compiler writes it
        self.broadcasts = kind in (Kind.ELEMENTWISE, Kind.PRODUCT)
        self.arity = None if isinstance(rules, VariadicRule) else len(rules)
        places = 4 if self.arity is None else 2 + self.arity  # (k,) g, y and the arrays
        each = [rules.rule] if isinstance(rules, VariadicRule) else rules
        self._reads, options = read_rules(each, places, name)
        self.options = frozenset(options)
        self.positional = tuple([option for option, by_place in options.items() if by_place])

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def reads(self, *tracked: bool) -> tuple[bool, tuple[int, ...]]:
        """What the rules of the tracked arguments read: whether y, and how much of each input."""
        if self.arity is None:
            ((_, y, xs),) = self._reads
            return y is VALUE, (xs,) * len(tracked)
        rules = [reads for reads, on in zip(self._reads, tracked, strict=True) if on and reads]
        most = [*map(max, zip(*rules, strict=True))] or [NOTHING] * (1 + len(tracked))
        return most[0] is VALUE, tuple(most[1:])
