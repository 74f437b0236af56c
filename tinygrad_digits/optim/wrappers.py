"""Optimisers made of another: one that gathers gradients, one that averages parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..support.pickling import pickle_as_call
from ..support.tree import Tree
from .leaves import check_count, check_fraction, each, match_dtype, unwrap_0d, with_grads, zeros
from .optimizers import Optimizer


class Accumulated(NamedTuple):
    """The sum of so many gradients, and the state of the optimiser that waits for them."""

    count: Any
    total: Tree
    inner: Tree


@pickle_as_call
def accumulate(optimizer: Optimizer, every: int) -> Optimizer:
    """Take a step along the mean of each `every` gradients, and stay in between.

    So `every` batches of n take the step of one batch of `every` n, in the memory of n. There is
    no branch on the count, so it can be jitted: the step is computed each time, and chosen.

    >>> import tinygrad_digits as td
    >>> optimizer = accumulate(td.optim.gradient_descent(1.0), every=2)
    >>> params = np.array([0.0])
    >>> state = optimizer.init(params)
    >>> for g in (1.0, 3.0):
    ...     params, state = optimizer.update(params, np.array([g]), state)
    ...     print(params)
    [0.]
    [-2.]
    """
    every = check_count("every", every)

    def init(params: Tree) -> Accumulated:
        return Accumulated(np.int64(0), zeros(params), optimizer.init(params))

    def update(params: Tree, grads: Tree, state: Accumulated) -> tuple[Tree, Accumulated]:
        total = with_grads(lambda p, g, t: t + g, params, grads, state.total)
        full = state.count + 1 == every
        stepped = optimizer.update(params, each(lambda t: t / every, total), state.inner)
        params, inner = each(
            lambda new, old: unwrap_0d(np.where(full, new, old)), stepped, (params, state.inner)
        )
        total = each(lambda t: unwrap_0d(np.where(full, np.zeros_like(t), t)), total)
        return params, Accumulated((state.count + 1) % every, total, inner)

    return Optimizer(init, update)


class Averaged(NamedTuple):
    """How many steps were taken, the average of where they led, and the optimiser's state."""

    step: Any
    average: Tree
    inner: Tree


@pickle_as_call
def ema(optimizer: Optimizer, decay: float = 0.999) -> Optimizer:
    """Keep an exponential moving average of the parameters: `state.average`, to evaluate with.

    After t steps the parameters of the k-th have the weight (1 - decay) decay^(t - k) over
    1 - decay^t: a mean of what there was, whose start does not count (Polyak and Juditsky, 1992;
    the correction is Adam's). Before the first step it is the parameters. The steps are the same.

    >>> import tinygrad_digits as td
    >>> optimizer = ema(td.optim.gradient_descent(1.0), decay=0.5)
    >>> params = np.array([0.0])
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     params, state = optimizer.update(params, np.array([-3.0]), state)
    >>> params, state.average
    (array([6.]), array([5.]))
    """
    decay = check_fraction("decay", decay)

    def init(params: Tree) -> Averaged:
        return Averaged(np.int64(0), each(np.copy, params), optimizer.init(params))

    def update(params: Tree, grads: Tree, state: Averaged) -> tuple[Tree, Averaged]:
        params, inner = optimizer.update(params, grads, state.inner)
        step = state.step + 1
        share = (1 - decay) / (1 - np.power(decay, step))
        average = each(lambda a, p: a + match_dtype(share, p) * (p - a), state.average, params)
        return params, Averaged(step, average, inner)

    return Optimizer(init, update)
