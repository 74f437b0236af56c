"""How long the steps of a Runge-Kutta method are: as long as their errors are tolerable.

    StepState   : where a solution has got to
    Controller : StepState -> the next: whether a step was accepted, and the StepState that follows

The error of a step is that of the embedded solution, as a root mean square in units of the
tolerance: a step is accepted if it is at most 1. The length of the next is chosen by it and by the
error before (a PI controller). Formulas, constants and the test for stiffness are those of
DOPRI5 in Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 1993, II.4.
Everything is chosen with np.where, so that it can be traced, and mapped over many problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array
from ..staging.batching import batch_whole, register_batching
from ..staging.lowering import register_lowering
from ..support.errors import ConvergenceError, StiffnessWarning
from ..support.user_lines import warn
from .runge_kutta import Method, Slope, combine, take_step

SAFETY, LEAST, MOST = 0.9, 0.2, 5.0
"""The share of the length that would just do; the least and the most that a step may be of the one
before (10 in DOPRI5; but a step with a lucky error estimate then has an interpolant much worse)."""
MEMORY = 0.04
"""The exponent of the error before: how much of a PI controller this is."""
STIFF_STEPS = 50
"""How many steps in a row, at the limit of stability, tell stiffness. Hairer counts to 15, but does
not look before step 1,000."""
NOTHING = 1e-100
"""What is added to denominators that may be 0."""
NEAR = 0.75
"""The share of that limit from which on steps are at it: the controller lets them settle at 0.82 of
it (DOPRI5) or 0.88 (TSIT5), as measured on y' = -1000 (y - cos t)."""


class StepState(NamedTuple):
    """Where a solution has got to, and what the next step depends on."""

    t: Array
    y: Array
    k: Array  # the slope there
    h: Array  # the length of the next attempt, negative backwards in time
    error: Array  # of the last step
    rejected: Array  # whether the attempt before was rejected
    steps: Array  # how many were accepted
    limited: Array  # how many of them, up to the last, stability has limited
    stiff_from: Array  # the time from which on the problem is stiff, or NaN


class Controller(NamedTuple):
    """What decides on the steps from some time to `end`."""

    method: Method
    slope: Slope
    end: Array
    rtol: float
    atol: float

    def start(self, t: Array, y: Array, k: Array) -> StepState:
        """The state before the first step, whose length is that of Hairer's II.4."""
        direction, span = np.sign(self.end - t), np.abs(self.end - t)
        scale = self.tolerate(np.abs(y))
        size, slope = _mean(y / scale), _mean(k / scale)
        guess = np.where((size < 1e-5) | (slope < 1e-5), 1e-6, 0.01 * size / (slope + NOTHING))
        guess = np.minimum(guess, span)
        h = direction * guess
        euler = y + h.astype(y.dtype) * k
        bend = _mean((self.slope(t + h, euler) - k) / scale) / (guess + NOTHING)
        steepest = np.maximum(slope, bend)
        root = (0.01 / (steepest + NOTHING)) ** (1 / self.method.order)
        step = np.where(steepest <= 1e-15, np.maximum(1e-6, 1e-3 * guess), root)
        h = direction * np.minimum(np.minimum(100 * guess, step), span)
        zero = direction.astype(int) * 0
        return StepState(t, y, k, h, 1e-4 + 0 * h, zero > 0, zero, zero, np.nan + 0 * h)

    def is_under_way(self, s: StepState) -> Array:
        """Whether the end is not reached, and a step can still be told from none."""
        return (s.t != self.end) & ~(s.rejected & ~(np.abs(s.h) > shortest_step(s.t)))

    def attempt(self, s: StepState) -> tuple[Array, StepState, StepState, Array]:
        """A step: whether it is accepted, the state after it and that without it; its slopes."""
        left = self.end - s.t
        last = 1.01 * np.abs(s.h) >= np.abs(left)  # rather than leave a splinter for the next
        h = np.where(last, left, s.h)
        stages, ks = take_step(self.method, self.slope, s.t, h, s.y, s.k)
        y, k = stages[-1], ks[-1]
        scale = self.tolerate(np.maximum(np.abs(s.y), np.abs(y)))
        error = _mean(h.astype(y.dtype) * combine(self.method.error, ks) / scale)
        error = np.fmin(error, np.inf)  # which NaN is not
        accepted = error <= 1
        next_h = h * self.choose_factor(error, s)
        t = np.where(last, self.end, s.t + h)
        after = StepState(
            t, y, k, next_h, np.maximum(error, 1e-4), ~accepted, s.steps + 1,
            *self.watch_stability(t, h, stages, ks, s),
        )  # fmt: skip
        return accepted, after, s._replace(h=next_h, rejected=~accepted), np.stack(ks)

    def tolerate(self, size: Array) -> Array:
        return self.atol + self.rtol * size

    def choose_factor(self, error: Array, s: StepState) -> Array:
        """How much longer the next step is: not at all if it follows a rejection."""
        exponent = 1 / self.method.order - 0.75 * MEMORY
        factor = SAFETY * np.maximum(error, 1e-10) ** -exponent * s.error**MEMORY
        return np.minimum(np.maximum(factor, LEAST), np.where(s.rejected, 1.0, MOST))

    def watch_stability(
        self, t: Array, h: Array, stages: list[Array], ks: list[Array], s: StepState
    ) -> tuple[Array, Array]:
        """The last two of a StepState, after a step to t.

        The last two stages are at the same time: how much their slopes differ, by how much they
        do, is about the largest eigenvalue of the Jacobian.
        """
        slopes, states = h.astype(s.y.dtype) * (ks[-1] - ks[-2]), stages[-1] - stages[-2]
        reach = (NEAR * self.method.stability) ** 2
        at_limit = np.sum(_square_size(slopes)) > reach * np.sum(_square_size(states))
        limited = np.where(at_limit, s.limited + 1, 0)
        first = (limited == STIFF_STEPS) & np.isnan(s.stiff_from)
        return limited, np.where(first, t, s.stiff_from)


def shortest_step(t: Array) -> Array:
    """What can hardly be told from 0 when it is added to a time."""
    return 16 * np.finfo(float).eps * np.abs(t) + NOTHING


def _mean(x: Array) -> Array:
    """The root mean square, as a float64."""
    return np.sqrt(np.mean(_square_size(x))).astype(float)


def _square_size(x: Array) -> Array:
    """|x|² of each element."""
    return x.real * x.real + x.imag * x.imag if x.dtype.kind == "c" else x * x


def _check_arrival(t: Array, h: Array, stiff_from: Array, steps: Array, end: Array) -> Array:
    """Raise ConvergenceError unless t is the end; warn where the way there was stiff."""
    if not np.all(np.isnan(stiff_from)):
        warn(
            f"odeint: the problem is stiff from t = {np.nanmin(stiff_from):.6g} on: steps are "
            "short to be stable, not to be right. scipy.integrate.solve_ivp(method='Radau') takes "
            "longer ones, without a gradient; or leave the fast part out of f",
            StiffnessWarning,
        )
    if np.all(t == end):
        return t
    k = np.argmax(np.ravel(t != end))  # under vmap the first that has not arrived
    t, h, steps, end = (np.ravel(np.broadcast_to(x, np.shape(t)))[k] for x in (t, h, steps, end))
    if abs(h) > shortest_step(t):
        why = "max_steps are too few: raise it, or loosen rtol and atol; or the problem is stiff"
    else:
        why = "no step from there is short enough: f is not finite there, jumps, or has a pole"
    raise ConvergenceError(
        f"odeint stopped at t = {t:.6g}, short of {end:.6g}, after {steps} steps; {why}",
        residual=float(abs(end - t)),
        steps=int(steps),
    )


check_arrival = define(_check_arrival, name="check_arrival")
register_lowering(check_arrival, effect=True, stand_in=lambda t, *_: t)
register_batching(batch_whole, check_arrival)


def _check_times(ts: Array) -> Array:
    """Raise ValueError unless the times are finite, and in order."""
    if not np.isfinite(ts).all():
        raise ValueError("odeint: ts must be finite")
    gaps = np.diff(ts, axis=-1)
    if not np.all((gaps >= 0).all(-1) | (gaps <= 0).all(-1)):
        raise ValueError("odeint: ts must increase, or decrease, from one to the next")
    return ts


check_times = define(_check_times, name="check_times")
register_lowering(check_times, effect=True, stand_in=lambda ts: ts)
register_batching(batch_whole, check_times)
