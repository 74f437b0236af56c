"""Views: Tensors that share memory, as NumPy's arrays do, though no value on a tape ever changes.

NumPy's x[0], x.T and x.reshape(-1) are views: what is written into one shows in x, and the other
way round. Here a view knows its source (what it is a view of, and how), and that knows its views,
weakly, so that there are no cycles:

    x <- x[1:] <- x[1:].T
      <- x[0]

A write gives a Tensor a new value; then, on the way up, each source the value that it has with this
put back into it; and then every other view of those the value that it has when it is taken again.
These are ordinary ops (`ops.assignment`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from weakref import ref

import numpy as np

from ..engine.define import AROUND
from ..engine.primitive import Array, Function, Kind, Primitive
from ..engine.tensor import Tensor
from ..support.rules import bind_options


class Way(NamedTuple):
    """How a view comes out of its source, for all views that one op makes.

    `what` is what the op was told: an index, or its options.
    """

    take: Callable[[Array, Any], Array]
    """(source, what) -> the view."""
    put_back: Callable[[Array, Array, Any], Array] | None
    """(source, the view's new value, what) -> the source's new value; None: it is read-only."""
    shares: Callable[[Array, Any], bool] | None = None
    """(source, what) -> whether NumPy makes a view there and no copy; None: it always does."""


TAKES_COPIES: Final = ()
"""The views of NumPy's x.flat, which writes through, but whose parts are copies."""


def share(source: Array, view: Array, way: Way, what: Any, *, array: bool = True) -> None:
    """Let a Tensor be a view of another, where both are arrays and NumPy makes a view.

    `array` says that NumPy has an array there, also if it has no axes; else it may be a scalar.
    """
    if not (isinstance(source, Tensor) and isinstance(view, Tensor)):
        return
    if not (array or _is_array(view)) or not _is_array(source):
        return
    if way.shares is not None and not way.shares(source, what):
        return
    views = getattr(source, "views", None)
    if views is TAKES_COPIES:
        return
    if views is None:
        views = source.views = []
    if len(views) % 1024 == 1023:  # now and then without those that are gone
        views[:] = [each for each in views if each() is not None]
    views.append(ref(view))
    view.source = source, way, what


def _is_array(t: Tensor) -> bool:
    """t.is_array, by half of its time for a Tensor of a plain array or number."""
    kind = type(t.value) if type(t) is Tensor else None
    return kind is np.ndarray or (kind is not np.float64 and t.is_array)


def source_of(t: Any) -> tuple[Tensor, Way, Any] | None:
    """What a Tensor is a view of, how, and what was told; None where it is no view."""
    return getattr(t, "source", None) if isinstance(t, Tensor) else None


def memory_of(t: Array) -> Array:
    """A plain array that lies in memory as NumPy's would: a view's lies in that of its source."""
    ways = []
    while (found := source_of(t)) is not None:
        t = found[0]
        ways.append(found)
    lying = t.memory if isinstance(t, Tensor) else t
    for _, way, what in reversed(ways):
        lying = way.take(lying, what)
    return lying.memory if isinstance(lying, Tensor) else lying  # by an index that is traced


VIEWS: dict[Primitive, Way] = {}
"""How the ops of Kind.VIEW make views. What they are told is (args, options), as they were given.

The rule of such an op, which moves elements, moves them back.
"""


def share_memory(primitive: Primitive, op: Function) -> Function:
    """The op of one array, of whose results a Tensor shares memory with it, as in NumPy."""
    if primitive.arity != 1:
        return op
    rule = next(iter(primitive.rules))
    assert rule is not None

    def take(x: Array, what: Any) -> Array:
        return op(x, *what[0], **what[1])

    def put_back(x: Array, view: Array, what: Any) -> Array:
        return rule(view, None, x, **bind_options(primitive, *what))

    VIEWS[primitive] = Way(take, put_back)

    def apply(x: Array, *args: Any, **options: Any) -> Array:
        y = op(x, *args, **options)
        share(x, y, VIEWS[primitive], (args, options))
        return y

    return apply


AROUND[Kind.VIEW] = share_memory
