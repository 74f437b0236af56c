"""Solutions of differential equations by steps, and how they are differentiated.

    solve_by_steps : vector field, y0, ts, args -> y at each of ts

Where nothing is differentiated, the solution is read off the steps as they are taken. Otherwise the
times between steps are found first, on no tape. Then the steps are taken once more between these
times, as a composition of ops that is differentiated like any other: in segments, each recorded as
one call that is computed again in the sweep, so that n steps keep what sqrt(n) need. A program does
not know how many there will be: it has places for max_steps, and passes over those that stay empty,
segments and steps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

import numpy as np

from ..engine.primitive import Array
from ..staging.tracer import Tracer, bare
from ..support import tree
from ..support.tree import Tree
from .branches import cond, while_loop
from .checkpoint import checkpoint
from .custom import stop_gradient
from .loops import scan
from .ode_equation import VectorField, may_be_differentiated, take_off_tapes
from .runge_kutta import Method, Slope, interpolate, take_step
from .step_sizes import Controller, StepState, check_arrival

TRACED_STEPS, EAGER_STEPS = 1_000, 100_000
"""What max_steps is by default: a program has a place for each step."""


Carry: TypeAlias = tuple[Array, Array]
"""y, and the slope there."""
Interval: TypeAlias = tuple[Array, Array]
"""The times when a step begins and ends."""
Piece: TypeAlias = tuple[Array, Array, Array | int]
"""The beginnings and ends of so many steps, and the place of the first among all."""
Step: TypeAlias = Callable[[Carry, Interval], tuple[Carry, tuple[Array, Array]]]
"""A step of a scan, which leaves the state that it began with, and its slopes."""
Read: TypeAlias = Callable[[Array, Array, Array, Array], Array]
"""(times between steps, ts, states at their beginnings, their slopes) -> rows of a result."""
Keep: TypeAlias = Callable[[Array, Array, StepState, StepState, Array], Array]
"""(kept so far, whether a step is accepted, before, after, its slopes) -> kept from now on."""


def solve_by_steps(
    field: VectorField,
    y0: Array,
    ts: Array,
    args: tuple[Tree, ...],
    *,
    differentiable: bool = True,
) -> Array:
    """The solution at ts, (m, n), as the composition of the steps that lead there."""
    if ts.shape[0] == 1:
        return y0[None]
    if field.equation.method.adaptive:
        return choose_steps(field, y0, ts, args, differentiable)
    return take_given_steps(field, y0, ts, args)


def take_given_steps(field: VectorField, y0: Array, ts: Array, args: tuple[Tree, ...]) -> Array:
    """The solution by as many steps as were asked for from each of ts to the next: (m, n)."""
    plain_y, plain_ts, plain_args = tree.map(take_off_tapes, (y0, ts, args))
    field.make_plain_slope(plain_args)(plain_ts[0], plain_y)  # which refuses what is captured
    parts = field.equation.substeps
    gaps = (ts[1:] - ts[:-1])[:, None] * np.arange(parts) / parts  # (m - 1, parts)
    times = np.concatenate([(ts[:-1, None] + gaps).reshape((-1,)), ts[-1:]])
    k = field.make_slope(args)(ts[0], y0)
    if is_in_program(times, y0, k):
        ys = retrace_to_ends(field, y0, k, times, args, parts)
        return np.concatenate([y0[None], ys])
    last, ys = retrace(field, y0, times, ts, args, lambda _times, _ts, ys, _slopes: ys)
    return np.concatenate([ys[::parts], last[None]])


def choose_steps(
    field: VectorField, y0: Array, ts: Array, args: tuple[Tree, ...], differentiable: bool
) -> Array:
    """The solution by steps of controlled error, (m, n)."""
    equation = field.equation
    plain_y, plain_ts, plain_args = tree.map(take_off_tapes, (y0, ts, args))
    slope = field.make_plain_slope(plain_args)
    controller = equation.control_steps(slope, plain_ts[-1], field.dtype)
    start = controller.start(plain_ts[0], plain_y, slope(plain_ts[0], plain_y))
    traced = isinstance(start.h, Tracer)
    most = equation.max_steps or (TRACED_STEPS if traced else EAGER_STEPS)
    known = (y0, start.k, ts, *tree.flatten(args)[0])
    if not (differentiable and any(map(may_be_differentiated, known))):
        integrate = trace_integration if traced else integrate_step_by_step
        return integrate(controller, start, plain_ts, most)
    times = stop_gradient((trace_times if traced else list_times)(controller, start, most))
    moving = np.concatenate([ts[:1], times[1:]])
    k = field.make_slope(args)(ts[0], y0)
    if is_in_program(times, y0, k):
        rows = retrace_in_pieces(field, y0, k, moving, ts[1:], args)
        return np.concatenate([y0[None], rows])
    read = functools.partial(interpolate_between, equation.method)
    _, rows = retrace(field, y0, moving, ts, args, read)
    return np.concatenate([y0[None], rows])


# --- steps as they are found, one by one


def take_steps(
    controller: Controller, s: StepState, most: int
) -> Iterator[tuple[StepState, StepState, Array]]:
    """The steps that are accepted: the state before, the state after, and the slopes within."""
    while controller.is_under_way(s) and s.steps < most:
        accepted, after, instead, slopes = controller.attempt(s)
        if accepted:
            yield s, after, slopes
        s = after if accepted else instead
    check_arrival(s.t, s.h, s.stiff_from, s.steps, controller.end)


def integrate_step_by_step(controller: Controller, s: StepState, ts: Array, most: int) -> Array:
    """The solution at ts, read off each step that they are in."""
    rows, done, wanted = [s.y[None]], 1, bare(ts)
    sign = np.sign(wanted[-1] - wanted[0])
    for before, after, slopes in take_steps(controller, s, most):
        upto = int(np.searchsorted(sign * wanted, sign * bare(after.t), side="right"))
        if upto > done:
            h = after.t - before.t
            theta = (ts[done:upto] - before.t) / h
            rows.append(interpolate(controller.method, theta, h, before.y, slopes))
            done = upto
    rows += [s.y[None]] * (len(wanted) - done)  # where all times are the same
    return np.concatenate(rows)


def list_times(controller: Controller, s: StepState, most: int) -> Array:
    """The times between the steps, of which there is one at least."""
    times = [bare(after.t) for _, after, _ in take_steps(controller, s, most)]
    return np.array([bare(s.t), *times] if times else [bare(s.t)] * 2)


# --- steps that are found by a program, or for many problems at once


def trace_steps(
    controller: Controller, start: StepState, most: int, keep: Keep, kept: Array
) -> tuple[StepState, Array]:
    """The last state, and what `keep` has made of all attempts."""

    def is_under_way(state: tuple[StepState, Array]) -> Array:
        return controller.is_under_way(state[0]) & (state[0].steps < most)

    def attempt(state: tuple[StepState, Array]) -> tuple[StepState, Array]:
        s, kept = state
        accepted, after, instead, slopes = controller.attempt(s)
        chosen = tree.map(lambda a, b: np.where(accepted, a, b), after, instead)
        return chosen, keep(kept, accepted, s, after, slopes)

    s, kept = while_loop(is_under_way, attempt, (start, kept))
    check_arrival(s.t, s.h, s.stiff_from, s.steps, controller.end)
    return s, kept


def trace_integration(controller: Controller, start: StepState, ts: Array, most: int) -> Array:
    """The solution at ts: each step looks which of them are in it."""
    sign = np.sign(ts[-1] - ts[0])

    def keep(
        rows: Array, accepted: Array, before: StepState, after: StepState, slopes: Array
    ) -> Array:
        h = after.t - before.t
        inside = accepted & (sign * ts >= sign * before.t) & (sign * ts <= sign * after.t)
        theta = np.where(inside, ts - before.t, 0.0) / np.where(h == 0, 1.0, h)
        new = interpolate(controller.method, theta, h, before.y, slopes)
        return np.where(inside[:, None], new, rows)

    rows = np.zeros((len(ts), 1), start.y.dtype) + start.y
    return trace_steps(controller, start, most, keep, rows)[1]


def trace_times(controller: Controller, start: StepState, most: int) -> Array:
    """The times between steps, and the last of them until there are most + 1.

    Under vmap alone, as many as the problem with the most of them needs.
    """
    places = np.arange(most + 1)

    def keep(
        times: Array, accepted: Array, before: StepState, after: StepState, _slopes: Array
    ) -> Array:
        return np.where(accepted & (places == before.steps + 1), after.t, times)

    times = np.where(places == 0, start.t, controller.end)
    s, times = trace_steps(controller, start, most, keep, times)
    steps = bare(s.steps)
    return times if steps is None else times[: max(int(np.max(steps)), 1) + 1]


# --- the steps once more


def retrace(
    field: VectorField, y: Array, times: Array, ts: Array, args: tuple[Tree, ...], read: Read
) -> tuple[Array, Array]:
    """The last y of the steps between times, and what is read off them, piece by piece."""
    method, k, rows = field.equation.method, field.make_slope(args)(ts[0], y), []

    @checkpoint
    def run_piece(
        y: Array, k: Array, times: Array, ts: Array, args: tuple[Tree, ...]
    ) -> tuple[Array, Array, Array]:
        step = make_step(method, field.make_slope(args))
        (y, k), (ys, slopes) = scan(step, (y, k), (times[:-1], times[1:]))
        return y, k, read(times, ts, ys, slopes)

    batched = any(isinstance(take_off_tapes(x), Tracer) for x in (times, y, k))
    pieces = [(slice(None), slice(1, None))] if batched else cut(bare(times), bare(ts))
    for steps, wanted in pieces:
        y, k, new = run_piece(y, k, times[steps], ts[wanted], args)
        rows.append(new)
    return y, np.concatenate(rows)


def cut(times: Array, ts: Array) -> Iterator[tuple[slice, slice]]:
    """About sqrt(n) pieces of n steps: the times between those, and which of ts are among them."""
    n, done, sign = len(times) - 1, 1, np.sign(times[-1] - times[0])
    size = math.isqrt(max(n - 1, 0)) + 1
    for start in range(0, n, size):
        stop = min(start + size, n)
        upto = int(np.searchsorted(sign * ts, sign * times[stop], side="right"))
        yield slice(start, stop + 1), slice(done, upto)
        done = upto


def interpolate_between(method: Method, times: Array, ts: Array, ys: Array, slopes: Array) -> Array:
    """The solution at ts, (m, n), of steps between times, from ys with slopes."""
    step, theta, h = find_steps(times, ts)
    return interpolate(method, theta, h, ys[step], slopes[step])


def find_steps(times: Array, ts: Array) -> tuple[Array, Array, Array]:
    """For each of ts which step between times it is in, at what share of it, and its length."""
    known, wanted = take_off_tapes(times), take_off_tapes(ts)
    sign = np.sign(known[-1] - known[0])
    after = np.searchsorted(sign * known, sign * wanted, side="left")
    step = np.clip(after - 1, 0, len(known) - 2)
    start = times[step]
    h = times[step + 1] - start
    return step, (ts - start) / np.where(h == 0, 1.0, h), h


def make_step(method: Method, slope: Slope) -> Step:
    def step(carry: Carry, interval: Interval) -> tuple[Carry, tuple[Array, Array]]:
        (y, k), (t, after) = carry, interval
        stages, slopes = take_step(method, slope, t, after - t, y, k)
        return (stages[-1], slopes[-1]), (y, np.stack(slopes))

    return step


# --- the steps once more in a program


def is_in_program(*values: Array) -> bool:
    """Whether one of them has no value as yet."""
    return any(bare(take_off_tapes(x)) is None for x in values)


def retrace_to_ends(
    field: VectorField, y: Array, k: Array, times: Array, args: tuple[Tree, ...], parts: int
) -> Array:
    """y after each so many of the steps between times: loops in a loop, each of which keeps few."""
    whole = make_step(field.equation.method, field.make_slope(args))

    def step(carry: Carry, interval: Interval) -> tuple[Carry, Array]:
        after, _ = whole(carry, interval)
        return after, after[0]

    def run_parts(carry: Carry, intervals: Interval) -> tuple[Carry, Array]:
        after, _ = scan(lambda *state: (step(*state)[0], None), carry, intervals, checkpoint=True)
        return after, after[0]

    intervals = times[:-1], times[1:]
    if parts == 1:
        _, ys = scan(step, (y, k), intervals, checkpoint=True)
    else:
        _, ys = scan(run_parts, (y, k), tree.map(lambda t: t.reshape((-1, parts)), intervals))
    return cast("Array", ys)


def retrace_in_pieces(
    field: VectorField, y: Array, k: Array, times: Array, ts: Array, args: tuple[Tree, ...]
) -> Array:
    """The solution at ts, (m, n), of the steps between times: a loop of pieces, which are loops.

    Only what pieces begin with is kept for the sweep, which computes the others' steps once more.
    Each piece looks which of ts are in it: n / m pieces at most, that this costs less than n steps.
    """
    method, n, m = field.equation.method, times.shape[0] - 1, ts.shape[0]
    count = max(1, min(math.isqrt(n), n // m))
    size = -(-n // count)
    times = np.concatenate([times, np.broadcast_to(times[-1:], (count * size - n,))])
    places, theta, h = find_steps(times, ts)
    step = pass_over_empty(make_step(method, field.make_slope(args)), len(method.nodes))

    def run_piece(carry: Carry, piece: Piece) -> tuple[Carry, Array]:
        starts, ends, first = piece
        carry, (ys, slopes) = scan(step, carry, (starts, ends))
        at = np.clip(places - first, 0, size - 1)
        return carry, interpolate(method, theta, h, ys[at], slopes[at])

    def stay(carry: Carry, _: Piece) -> tuple[Carry, Array]:
        return carry, np.zeros((m, *carry[0].shape), carry[0].dtype)

    def run_or_stay(state: tuple[Carry, Array], piece: Piece) -> tuple[tuple[Carry, Array], None]:
        (carry, rows), (starts, ends, first) = state, piece
        carry, new = cond(starts[0] != ends[-1], run_piece, stay, carry, piece)
        inside = (places >= first) & (places < first + size)
        return (carry, rows + np.where(inside[:, None], new, 0)), None

    starts, ends = (t.reshape((count, size)) for t in (times[:-1], times[1:]))
    if count == 1:
        return run_piece((y, k), (starts[0], ends[0], 0))[1]
    rows = np.zeros((m, *y.shape), y.dtype)
    (_, rows), _ = scan(run_or_stay, ((y, k), rows), (starts, ends, np.arange(count) * size))
    return rows


def pass_over_empty(step: Step, stages: int) -> Step:
    """A step that does nothing where it has no time to."""

    def stay(carry: Carry, _: Interval) -> tuple[Carry, tuple[Array, Array]]:
        y, k = carry
        return carry, (y, np.stack([k] * stages))

    def choose(carry: Carry, interval: Interval) -> tuple[Carry, tuple[Array, Array]]:
        done = cond(interval[0] != interval[1], step, stay, carry, interval)
        return cast("tuple[Carry, tuple[Array, Array]]", done)

    return choose
