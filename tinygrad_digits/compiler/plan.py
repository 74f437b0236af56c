"""Where values live: one block of memory (the arena), shared by values that do not live at once.

A value lives from the equation that computes it to the last one that reads it or a view of it. An
elementwise op may write over an operand that nobody reads any more. What is left is laid out
largest first, each at the lowest place that is free while it lives. An output may be written over
an input that the caller has donated.

`check` looks at a finished plan with other eyes: it replays the program and sees who writes where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..engine.primitive import Kind
from ..support.errors import AutodiffError
from .primitives import PACK
from .program import END, Equation, Program

ALIGNMENT = 64
"""Bytes: a cache equation, and as wide as the widest vector registers."""


def round_up(size: int) -> int:
    """Bytes, up to where the next array may begin."""
    return -(-size // ALIGNMENT) * ALIGNMENT


Owners: TypeAlias = "dict[int, tuple[int, ...]]"
"""For each value those whose memory it may share: itself, or what it is a view of."""


class Region(NamedTuple):
    """Bytes of the arena."""

    start: int
    stop: int

    def overlaps(self, other: Region) -> bool:
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Plan:
    """The place of each planned value, and who writes over whom."""

    places: dict[int, Region]
    in_place: dict[int, int]
    """Value -> the operand, or the donated input, that it is written over."""
    owners: Owners

    @property
    def size(self) -> int:
        return max((place.stop for place in self.places.values()), default=0)

    def __str__(self) -> str:
        separate = sum(stop - start for start, stop in self.places.values())
        return (
            f"{len(self.places)} values of {separate:,} bytes share {self.size:,}; "
            f"{len(self.in_place)} are written in place"
        )


class PlanError(AutodiffError, AssertionError):
    """A plan would overwrite a value that is still needed."""


def plan(
    program: Program,
    planned: set[int],
    *,
    aliases: dict[int, list[int]],
    pointwise: set[int],
    writable: set[int],
    steps: dict[int, int] | None = None,
    donated: frozenset[int] = frozenset(),
) -> Plan:
    """Find a place for each of the planned values.

    Args:
        program: what is to run.
        planned: the values that are to live in the arena.
        aliases: for a view, what it may be a view of.
        pointwise: those that read an element of each operand before they write that element.
        steps: when each equation runs, where several run at once.
        writable: the equations that can write into given memory.
        donated: inputs that outputs like them may overwrite.
    """
    owners = _find_owners(program, planned | donated, aliases)
    births = steps or {index: at for at, index in enumerate(program.equations)}
    deaths = _find_deaths(program, owners, births)
    in_place = _find_donations(program, donated, pointwise, writable, owners, births, deaths)
    inside = _find_packs(program, planned)
    for index, (pack, _) in inside.items():  # what writes over it would write over the pack
        deaths[index] = max(deaths[index], deaths[pack] + 1)
    overwriting = planned & pointwise if steps is None else set()
    first: dict[int, int] = {}  # value -> the one that stands for those that share its place
    for index in births:
        if index in inside:
            first[index] = inside[index][0]
        elif index in overwriting and (
            dying := _list_dying_operands(program, index, planned, owners, births, deaths)
        ):
            in_place[index], first[index] = dying[0], first[dying[0]]
        elif index in planned:
            first[index] = index
    sizes = {start: program.aval(start).nbytes for start in first.values()}
    offsets = _lay_out(sizes, _find_spans(first, births, deaths))
    places = {}
    for index, start in first.items():
        offset = offsets[start] + inside.get(index, (0, 0))[1]
        places[index] = Region(offset, offset + program.aval(index).nbytes)
    return Plan(places, in_place, owners)


def _find_spans(
    first: dict[int, int], births: dict[int, int], deaths: dict[int, int]
) -> dict[int, list[int]]:
    """When those that share a place live: from the first birth to the last death."""
    spans = {start: [births[start], 0] for start in first.values()}
    for index, start in first.items():
        spans[start][0] = min(spans[start][0], births[index])
        spans[start][1] = max(spans[start][1], deaths[index])
    return spans


def _find_packs(program: Program, planned: set[int]) -> dict[int, tuple[int, int]]:
    """The operands of `pack` equations: which pack they are computed into, and from which byte."""
    inside = {}
    for index, eqn in program.equations.items():
        if eqn.op is PACK and index in planned:
            offset = 0
            for var in eqn.vars:
                inside[var] = index, offset
                offset += program.aval(var).nbytes
    return inside


def _find_owners(program: Program, roots: set[int], aliases: dict[int, list[int]]) -> Owners:
    owners: Owners = {index: (index,) for index in roots}
    for index in program.equations:
        if index not in roots:
            seen = [owner for i in aliases.get(index, ()) for owner in owners.get(i, ())]
            owners[index] = tuple(dict.fromkeys(seen))
    return owners


def _find_deaths(program: Program, owners: Owners, births: dict[int, int]) -> dict[int, int]:
    """When each owner is read for the last time, itself or through a view."""
    deaths = {index: births.get(index, -1) for index in owners}
    end = max(births.values(), default=0) + 1
    for index, last in program.last_uses().items():
        at = end if last == END else births[last]
        for owner in owners.get(index, ()):
            deaths[owner] = max(deaths[owner], at)
    return deaths


def _may_overwrite(program: Program, index: int, over: int, owners: Owners) -> bool:
    """Whether a pointwise equation could write over this operand: it is alike, and met as it is."""
    ours, theirs = program.aval(index), program.aval(over)
    views = any(over in owners.get(i, ()) for i in program.equations[index].vars if i != over)
    return ours == theirs and not views


def _list_dying_operands(
    program: Program,
    index: int,
    planned: set[int],
    owners: Owners,
    births: dict[int, int],
    deaths: dict[int, int],
) -> list[int]:
    """The planned operands that are read here for the last time, and may be written over."""
    return [
        over
        for over in program.equations[index].vars
        if over in planned
        and deaths[over] == births[index]
        and _may_overwrite(program, index, over, owners)
    ]


def _find_donations(
    program: Program,
    donated: frozenset[int],
    pointwise: set[int],
    writable: set[int],
    owners: Owners,
    births: dict[int, int],
    deaths: dict[int, int],
) -> dict[int, int]:
    """Output -> the donated input that it is written over; rather one that it is computed from."""
    homes: dict[int, int] = {}
    uses = program.uses()
    rank = {index: at for at, index in enumerate(program.equations)}
    for index, eqn in program.equations.items():
        if index not in writable or END not in uses.get(index, ()):
            continue
        for over in [*eqn.vars, *donated]:
            last = births[index] if index in pointwise else births[index] - 1
            free = over in donated and over not in homes.values() and deaths[over] <= last
            last_reader = max([rank.get(i, len(rank)) for i in uses.get(over, ())], default=-1)
            if free and last_reader <= rank[index] and _may_overwrite(program, index, over, owners):
                homes[index] = over
                break
    return homes


def _lay_out(sizes: dict[int, int], spans: dict[int, list[int]]) -> dict[int, int]:
    """Offsets at which nothing that lives at the same time overlaps; the largest first."""
    offsets: dict[int, int] = {}
    for index in sorted(sizes, key=lambda i: (-sizes[i], i)):
        birth, death = spans[index]
        taken = sorted(
            (offsets[i], offsets[i] + sizes[i])
            for i in offsets
            if spans[i][0] <= death and birth <= spans[i][1]
        )
        offset = 0
        for start, stop in taken:
            if offset + sizes[index] <= start:
                break
            offset = max(offset, round_up(stop))
        offsets[index] = offset
    return offsets


def _check_pack(eqn: Equation, place: Region | None, plan: Plan) -> None:
    """Raise PlanError unless the operands lie in the pack, one after the other."""
    start = place.start if place is not None else -1
    for var in eqn.vars:
        theirs = plan.places.get(var)
        if theirs is None or theirs.start != start:
            raise PlanError(f"the pack of {eqn} has no room for %{var} at byte {start}")
        start = theirs.stop


def check(program: Program, plan: Plan) -> None:
    """Raise PlanError where running the equations in order would read what has been overwritten."""
    packed = _find_packs(program, {*plan.places})
    intact: dict[int, Region | None] = {i: None for i in plan.owners if i in program.inputs}

    def read(var: int, reader: str) -> None:
        for owner in plan.owners.get(var, ()):
            if owner not in intact:
                raise PlanError(f"{reader} reads %{var}, whose memory has been overwritten")

    for index, eqn in program.equations.items():
        for var in eqn.vars:
            read(var, f"%{index} {eqn.op.name}")
        over = plan.in_place.get(index)
        place = plan.places.get(index)
        lost = {over} if over is not None else set()
        if over in eqn.vars and eqn.op.kind is not Kind.ELEMENTWISE:
            raise PlanError(f"%{index} {eqn.op.name} cannot be computed in place")
        align = eqn.aval.dtype.alignment if index in packed else ALIGNMENT
        if place is not None:
            if place.stop - place.start < eqn.aval.nbytes or place.start % align:
                raise PlanError(f"%{index} {eqn.op.name} does not fit into {place}")
            if over is not None and plan.places.get(over) != place:
                raise PlanError(f"%{index} {eqn.op.name} is not where its operand %{over} is")
            lost |= {i for i, other in intact.items() if other and other.overlaps(place)}
        if eqn.op is PACK:
            _check_pack(eqn, place, plan)
            lost -= {*eqn.vars}
        elif any(owner in lost - {over} for i in eqn.vars for owner in plan.owners.get(i, ())):
            raise PlanError(f"%{index} {eqn.op.name} overwrites what it is reading")
        for i in lost:
            intact.pop(i, None)
        if place is not None:
            intact[index] = place
    for var, last in program.last_uses().items():
        if last == END:
            read(var, "the caller")
