"""Where the time goes: `profile : (args -> y) -> args -> Profile`.

The function is recorded once, with all operands kept. Then every op is run again by itself, and
every derivative rule on the cotangent that it gets, in rounds over the whole tape, so that what
disturbs the machine disturbs all of them alike; the median of the rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..engine.cotangent import unbroadcast
from ..engine.primitive import Array, Rule
from ..engine.tape import Record
from ..support.argnums import ArgNums
from ..support.errors import NotDifferentiableError
from ..support.text import format_table
from .recording import Recording, record


class Cost(NamedTuple):
    """What an op costs: seconds, and bytes of the arrays that it and its rules make."""

    op: str
    calls: int
    forward: float
    backward: float
    forward_bytes: int
    backward_bytes: int
    what: str = ""

    @property
    def seconds(self) -> float:
        return self.forward + self.backward


@dataclass(frozen=True, repr=False)
class Profile:
    """The cost of each op of a function, dearest first; `by_op()` adds up those of one name."""

    costs: list[Cost]
    rounds: int

    @property
    def total(self) -> Cost:
        return _add_up("total", self.costs)

    def by_op(self) -> Profile:
        names = dict.fromkeys(cost.op for cost in self.costs)
        sums = [_add_up(name, [c for c in self.costs if c.op == name]) for name in names]
        return Profile(sorted(sums, key=lambda c: -c.seconds), self.rounds)

    def table(self, limit: int = 30) -> str:
        """Aligned columns; the ops beyond `limit` as one line."""
        shown, rest = self.costs[:limit], self.costs[limit:]
        head = ("op", "", *map("{:>11}".format, ("forward", "backward")), " share", "   makes")
        lines = shown + ([_add_up(f"{len(rest)} more", rest)] if rest else []) + [self.total]
        whole = self.total.seconds or 1.0
        rows = [
            (
                cost.op,
                cost.what or f"{cost.calls} calls",
                _format_time(cost.forward),
                _format_time(cost.backward),
                f"{cost.seconds / whole:6.1%}",
                _format_size(cost.forward_bytes),
                _format_size(cost.backward_bytes),
            )
            for cost in lines
        ]
        return (
            format_table([(*head, "backward makes"), *rows])
            + f"\nmedians of {self.rounds} rounds, each op by itself"
        )

    __str__ = __repr__ = table


def profile(
    f: Callable[..., Any],
    *args: Any,
    seconds: float = 0.3,
    argnums: ArgNums | None = None,
    **kwargs: Any,
) -> Profile:
    """`profile : (args -> y) -> args -> Profile`: time and bytes of each op, there and back.

    f may return any tree of arrays; backward is the pullback of ones. A gradient taken inside f
    counts as forward, since its ops are what f does, and so does what runs inside custom_vjp,
    checkpoint and fixed_point, whose backward time is that of those ops. `argnums` says, as for
    record, which arguments to begin at. Rounds go on for about `seconds`, three at
    the least. Raises NotDifferentiableError where f returns nothing that depends on its inputs.

    >>> costs = profile(lambda x, w: np.tanh(x @ w), np.ones((2, 3)), np.ones(3))
    >>> sorted(cost.op for cost in costs.costs)
    ['matmul', 'tanh']
    """
    recording = record(f, *args, argnums=argnums, **kwargs)
    if not recording.outputs:
        raise NotDifferentiableError("profile: what the function returns depends on no argument")
    arriving = _find_cotangents(recording)
    tasks = [
        (index, _bind_op(each), _bind_rules(each, arriving.get(index)), each)
        for index, each in recording
        if each.op is not None
    ]
    rounds: list[list[tuple[float, float]]] = []
    deadline = time.perf_counter() + seconds
    while len(rounds) < 3 or (time.perf_counter() < deadline and len(rounds) < 1000):
        rounds.append([(_time([there]), _time(back)) for _, there, back, _ in tasks])
    costs = []
    for (index, _, back, each), times in zip(tasks, zip(*rounds, strict=True), strict=True):
        forward, backward = map(float, np.median(times, axis=0))
        made = sum(_bytes(ct) for rule in back if (ct := rule()) is not arriving.get(index))
        what = f"%{index} {each.dtype}{list(each.shape) or ''}"
        costs.append(Cost(each.name, 1, forward, backward, _bytes(each.value), made, what))
    return Profile(sorted(costs, key=lambda c: -c.seconds), len(rounds))


def _find_cotangents(recording: Recording) -> dict[int, Array]:
    """What arrives at each record when the outputs' cotangents are ones."""
    tape, arriving = recording.tape, {}

    def remember(index: int, record: Record, rule: Rule, g: Array) -> Array:
        arriving[index] = g
        return record.pull(rule, g)

    seeds = {i: np.ones(tape[i].shape, tape[i].dtype) for i in recording.outputs}
    tape.sweep(seeds, free=False, pull=remember)
    return arriving


def _bind_op(each: Record) -> Callable[[], Any]:
    return lambda: each.op.apply(*each.inputs, **each.options)  # type: ignore[union-attr]


def _bind_rules(each: Record, g: Array | None) -> list[Callable[[], Array]]:
    """The rules that a sweep would run, with what they would be given."""
    if each.op is None or g is None:
        return []

    def run(rule: Callable[..., Array], shape: tuple[int, ...]) -> Callable[[], Array]:
        broadcasts = each.op is not None and each.op.broadcasts

        def once() -> Array:
            ct = each.pull(rule, g)
            return unbroadcast(ct, shape) if broadcasts and ct.shape != shape else ct

        return once

    return [
        run(rule, np.shape(x))
        for parent, rule, x in zip(each.parents, each.op.rules, each.inputs)  # noqa: B905 (endless)
        if parent is not None and rule is not None
    ]


@np.errstate(all="ignore")
def _time(tasks: list[Callable[[], Any]]) -> float:
    start = time.perf_counter()
    for task in tasks:
        task()
    return time.perf_counter() - start if tasks else 0.0


def _add_up(name: str, costs: list[Cost]) -> Cost:
    columns = zip(*(cost[1:6] for cost in costs), strict=True)
    return Cost(name, *(map(sum, columns) if costs else (0, 0.0, 0.0, 0, 0)))


def _bytes(x: Any) -> int:
    return int(getattr(x, "nbytes", 8))


def _format_time(seconds: float) -> str:
    return f"{seconds * 1e6:8.1f} us" if seconds else "          -"


def _format_size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:5.0f} {unit}" if unit == "B" else f"{count:5.1f} {unit}"
        count /= 1000
    return f"{count:5.1f} GB"
