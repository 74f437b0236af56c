"""Gradient descent and its kin. A rate is a float, or a schedule: step -> rate, from step 0."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..support.foreign import is_numeric
from ..support.pickling import pickle_as_call
from ..support.tree import Tree
from .leaves import (
    check_fraction,
    check_positive,
    each,
    fit_gradient,
    map_matching,
    match_dtype,
    weaken,
    with_grads,
    zeros,
)
from .schedules import Rate
from .transforms import (
    Transform,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_lion,
    scale_by_rms,
    weight_decay,
)


class Optimizer(NamedTuple):
    """How to start and how to take a step."""

    init: Callable[[Tree], Tree]
    update: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


class Scheduled(NamedTuple):
    """How many steps were taken, and the state of the optimiser that takes them."""

    step: Any
    inner: Tree


@pickle_as_call
def gradient_descent(rate: Rate) -> Optimizer:
    """params - rate * grads (Cauchy, 1847).

    >>> optimizer = gradient_descent(0.1)
    >>> params = {"x": np.array([1.0, 2.0])}
    >>> optimizer.update(params, {"x": np.array([10.0, 0.0])}, optimizer.init(params))
    ({'x': array([0., 2.])}, None)
    """

    def at(rate: Any) -> Optimizer:
        def step(p: Any, g: Any) -> Any:
            return p - match_dtype(rate, g) * g

        def plain_step(p: Any, g: Any) -> Any:  # 0.3 us less for each array
            usual = type(p) is type(g) is np.ndarray and p.dtype is g.dtype and p.shape == g.shape
            if usual and p.dtype.kind in "fc":
                return p - rate * g
            return step(p, fit_gradient(p, g)) if is_numeric(p) else p

        def update(params: Tree, grads: Tree, state: None) -> tuple[Tree, None]:
            if type(rate) is float:
                return map_matching(plain_step, params, grads), state
            return with_grads(step, params, grads), state

        return Optimizer(init=lambda params: None, update=update)

    return _follow_schedule(rate, at)


@pickle_as_call
def momentum(rate: Rate, beta: float = 0.9) -> Optimizer:
    """Heavy-ball gradient descent (Polyak, 1964): v = beta v - rate g, params + v.

    >>> optimizer = momentum(0.1, beta=0.5)
    >>> params, velocity = np.array(1.0), optimizer.init(np.array(1.0))
    >>> for _ in range(2):
    ...     params, velocity = optimizer.update(params, np.array(1.0), velocity)
    >>> params, velocity
    (np.float64(0.75), np.float64(-0.15000000000000002))
    """
    beta = check_fraction("beta", beta)

    def at(rate: Any) -> Optimizer:
        def update(params: Tree, grads: Tree, velocity: Tree) -> tuple[Tree, Tree]:
            velocity = _accelerate(rate, beta, params, grads, velocity)
            return each(operator.add, params, velocity), velocity

        return Optimizer(zeros, update)

    return _follow_schedule(rate, at)


@pickle_as_call
def nesterov(rate: Rate, beta: float = 0.9) -> Optimizer:
    """Momentum that looks ahead (Nesterov, 1983): v = beta v - rate g, params + beta v - rate g.

    The params are where the gradient is taken, Nesterov's x + beta v (as in Bengio et al., 2013).

    >>> optimizer = nesterov(0.1, beta=0.5)
    >>> optimizer.update(np.array([1.0]), np.array([1.0]), np.array([0.0]))
    (array([0.85]), array([-0.1]))
    """
    beta = check_fraction("beta", beta)

    def at(rate: Any) -> Optimizer:
        times = _multiply_by(rate)

        def update(params: Tree, grads: Tree, velocity: Tree) -> tuple[Tree, Tree]:
            velocity = _accelerate(rate, beta, params, grads, velocity)
            ahead = with_grads(
                lambda p, g, v: p + (beta * v - times(rate, g)), params, grads, velocity
            )
            return ahead, velocity

        return Optimizer(zeros, update)

    return _follow_schedule(rate, at)


@pickle_as_call
def rmsprop(rate: Rate, beta: float = 0.9, eps: float = 1e-8) -> Optimizer:
    """v = beta v + (1 - beta) g^2, params - rate g / (sqrt(v) + eps) (Tieleman and Hinton, 2012).

    >>> optimizer = rmsprop(0.1, beta=0.75)
    >>> params = np.array([1.0])
    >>> optimizer.update(params, np.array([3.0]), optimizer.init(params))[0]
    array([0.8])
    """
    return chain(scale_by_rms(beta, eps), gradient_descent(rate))


@pickle_as_call
def adagrad(rate: Rate, eps: float = 1e-10) -> Optimizer:
    """v = v + g^2, params - rate g / (sqrt(v) + eps) (Duchi, Hazan and Singer, 2011).

    >>> optimizer = adagrad(0.1)
    >>> params = np.array([1.0, 1.0])
    >>> optimizer.update(params, np.array([5.0, -0.01]), optimizer.init(params))[0]
    array([0.9, 1.1])
    """
    return chain(scale_by_adagrad(eps), gradient_descent(rate))


@pickle_as_call
def adam(
    rate: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Optimizer:
    """params - rate m / (sqrt(v) + eps), m and v as in `scale_by_adam` (Kingma and Ba, 2015).

    >>> optimizer = adam(0.1)
    >>> params = np.array([1.0, 1.0])
    >>> optimizer.update(params, np.array([5.0, -0.01]), optimizer.init(params))[0].round(6)
    array([0.9, 1.1])
    """
    return chain(scale_by_adam(beta1, beta2, eps), gradient_descent(rate))


@pickle_as_call
def adamw(
    rate: Rate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 1e-2,
    where: Callable[[Any], Any] = lambda p: True,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): also - rate decay params.

    `where` chooses the parameters that decay: `lambda p: p.ndim > 1` spares the biases.

    >>> optimizer = adamw(0.5, decay=0.1)
    >>> params = np.array([1.0])
    >>> optimizer.update(params, np.array([0.0]), optimizer.init(params))[0]
    array([0.95])
    """
    adams = scale_by_adam(beta1, beta2, eps)
    return chain(adams, weight_decay(decay, where), gradient_descent(rate))


@pickle_as_call
def lion(
    rate: Rate = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    decay: float = 1e-2,
    where: Callable[[Any], Any] = lambda p: True,
) -> Optimizer:
    """params - rate (sign(beta1 m + (1 - beta1) g) + decay params) (Chen et al., 2023).

    m = beta2 m + (1 - beta2) g. Steps are larger than Adam's: a tenth to a third of its rate, and
    three to ten times its decay, are what the paper advises.

    >>> optimizer = lion(0.5, decay=0.1)
    >>> params = np.array([1.0])
    >>> optimizer.update(params, np.array([0.01]), optimizer.init(params))[0]
    array([0.45])
    """
    return chain(scale_by_lion(beta1, beta2), weight_decay(decay, where), gradient_descent(rate))


@pickle_as_call
def chain(*parts: Transform | Optimizer) -> Optimizer:
    """The optimiser that takes its last part's step along gradients that the others transform.

    Transforms come in the order in which gradients pass them, then one Optimizer, which may be a
    chain. The state is the tuple of theirs. Raises TypeError for anything else.

    >>> import tinygrad_digits as td
    >>> optimizer = td.optim.chain(td.optim.clip_by_global_norm(1.0), td.optim.momentum(0.5))
    >>> params = np.zeros(2)
    >>> optimizer.update(params, np.array([30.0, 40.0]), optimizer.init(params))[0]
    array([-0.3, -0.4])
    """
    transforms = [part for part in parts[:-1] if isinstance(part, Transform)]
    optimizer = parts[-1] if parts else None
    if not isinstance(optimizer, Optimizer) or len(transforms) < len(parts) - 1:
        kinds = [type(part).__name__ for part in parts]
        raise TypeError(f"chain: needs Transforms and then one Optimizer, got {kinds}")

    def init(params: Tree) -> tuple[Tree, ...]:
        return tuple(part.init(params) for part in parts)

    def update(
        params: Tree, grads: Tree, states: tuple[Tree, ...]
    ) -> tuple[Tree, tuple[Tree, ...]]:
        grads, after = map_matching(_fit_leaf, params, grads), []
        for transform, state in zip(transforms, states[:-1], strict=True):
            grads, state = transform.apply(grads, state, params)
            after.append(state)
        params, last = optimizer.update(params, grads, states[-1])
        return params, (*after, last)

    return Optimizer(init, update)


def _fit_leaf(p: Any, g: Any) -> Any:
    """A gradient in its parameter's dtype; of what is no number, what the parameters have."""
    usual = type(p) is type(g) is np.ndarray and p.dtype is g.dtype and p.shape == g.shape
    if usual and p.dtype.kind in "fc":
        return g
    return fit_gradient(p, g) if is_numeric(p) else p


def _follow_schedule(rate: Rate, at: Callable[[Any], Optimizer]) -> Optimizer:
    """The optimiser that `at` makes of a rate; of a schedule, the one that counts its steps too."""
    if not callable(rate):
        return at(check_positive("rate", rate))
    schedule = rate

    def update(params: Tree, grads: Tree, state: Scheduled) -> tuple[Tree, Scheduled]:
        params, inner = at(weaken(schedule(state.step))).update(params, grads, state.inner)
        return params, Scheduled(state.step + 1, inner)

    return Optimizer(lambda params: Scheduled(np.int64(0), at(0.0).init(params)), update)


def _multiply_by(rate: Any) -> Callable[[Any, Any], Any]:
    """rate * g in g's dtype, which a Python float needs no help with."""
    return operator.mul if type(rate) is float else lambda rate, g: match_dtype(rate, g) * g


def _accelerate(rate: Any, beta: float, params: Tree, grads: Tree, velocity: Tree) -> Tree:
    times = _multiply_by(rate)
    return with_grads(lambda p, g, v: beta * v - times(rate, g), params, grads, velocity)
