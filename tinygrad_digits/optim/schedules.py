"""Learning rates as functions of the step, which counts from 0: step -> rate.

A step is an int or a NumPy integer, or what `jit` puts in its place: none of them branches on it.
Any function of this kind is a schedule; after its last step, one of these stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..support.pickling import pickle_as_call
from .leaves import check_count, check_not_negative, check_positive

Schedule: TypeAlias = Callable[[Any], Any]
"""step -> rate."""

Rate: TypeAlias = float | Schedule
"""What an optimiser takes for its rate."""


@pickle_as_call
def constant(rate: float) -> Schedule:
    """The same rate at every step.

    >>> constant(0.1)(7)
    0.1
    """
    rate = check_positive("rate", rate)
    return lambda step: rate


@pickle_as_call
def step_decay(rate: float, factor: float, every: int) -> Schedule:
    """rate factor^floor(step / every): the rate falls to so much of itself at every so many steps.

    >>> schedule = step_decay(1.0, factor=0.5, every=10)
    >>> [float(schedule(step)) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """
    rate, factor = check_positive("rate", rate), check_positive("factor", factor)
    every = check_count("every", every)
    return lambda step: rate * np.power(factor, step // every)


@pickle_as_call
def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """final + (rate - final) (1 + cos(pi step / steps)) / 2 (Loshchilov and Hutter, 2017).

    It is `rate` at step 0, and `final` from step `steps` on.

    >>> schedule = cosine(1.0, steps=4)
    >>> [round(float(schedule(step)), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    rate, steps = check_positive("rate", rate), check_count("steps", steps)
    final = check_not_negative("final", final)
    return lambda step: _swing(rate, final, step / steps)


@pickle_as_call
def warmup(schedule: Rate, steps: int) -> Schedule:
    """Rise to a schedule, or a rate, which then starts (Goyal et al., 2017).

    The rate at a step below `steps` is schedule(0) (step + 1) / (steps + 1): never 0.

    >>> schedule = warmup(cosine(1.0, steps=2), steps=3)
    >>> [round(float(schedule(step)), 2) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.0]
    """
    after = schedule if callable(schedule) else constant(schedule)
    steps = check_count("steps", steps)

    def at(step: Any) -> Any:
        return np.minimum(1.0, (step + 1) / (steps + 1)) * after(np.maximum(0, step - steps))

    return at


@pickle_as_call
def one_cycle(
    rate: float, steps: int, rise: float = 0.3, start: float = 25.0, final: float = 1e4
) -> Schedule:
    """From rate / start up to rate, then down to rate / start / final (Smith and Topin, 2018).

    Both ways go along half a cosine, as in fast.ai: up over the first `rise` of the steps, down to
    step `steps`.

    >>> schedule = one_cycle(1.0, steps=10)
    >>> [round(float(schedule(step)), 3) for step in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    rate, steps = check_positive("rate", rate), check_count("steps", steps)
    if not 0 < rise < 1:
        raise ValueError(f"rise must be between 0 and 1, got {rise}")
    low = rate / check_positive("start", start)
    lowest, top = low / check_positive("final", final), float(rise) * steps

    def at(step: Any) -> Any:
        down = _swing(rate, lowest, (step - top) / (steps - top))
        return np.where(step < top, _swing(low, rate, step / top), down)[()]

    return at


def _swing(a: float, b: float, at: Any) -> Any:
    """From a at 0 to b at 1, along half a cosine; a before, and b after."""
    return b + (a - b) * (1 + np.cos(np.pi * np.minimum(1.0, np.maximum(0.0, at)))) / 2
