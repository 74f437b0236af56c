"""Gradient descent and its kin, as pairs of pure functions over any tree of parameters.

    init   : params -> state
    update : (params, grads, state) -> (params, state)

Neither changes what it is given. Leaves that are not arrays or numbers are carried through.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .engine import tree
from .engine.tensor import is_numeric
from .engine.tree import Tree


class Optimizer(NamedTuple):
    """How to start and how to take a step."""

    init: Callable[[Tree], Tree]
    update: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def gradient_descent(rate: float) -> Optimizer:
    """params - rate * grads (Cauchy, 1847).

    >>> optimizer = gradient_descent(0.1)
    >>> params = {"x": np.array([1.0, 2.0])}
    >>> optimizer.update(params, {"x": np.array([10.0, 0.0])}, optimizer.init(params))
    ({'x': array([0., 2.])}, None)
    """
    rate = _positive("rate", rate)

    def step(p: Any, g: Any) -> Any:
        moves = (type(p) is np.ndarray and p.dtype.kind == "f") or is_numeric(p)
        return p - rate * g if moves else p

    def update(params: Tree, grads: Tree, state: None) -> tuple[Tree, None]:
        return tree.map(step, params, grads), state

    return Optimizer(init=lambda params: None, update=update)


def momentum(rate: float, beta: float = 0.9) -> Optimizer:
    """Heavy-ball gradient descent (Polyak, 1964): v = beta v - rate g, params + v.

    >>> optimizer = momentum(0.1, beta=0.5)
    >>> params, velocity = np.array(1.0), optimizer.init(np.array(1.0))
    >>> for _ in range(2):
    ...     params, velocity = optimizer.update(params, np.array(1.0), velocity)
    >>> params, velocity
    (np.float64(0.75), np.float64(-0.15000000000000002))
    """
    rate, beta = _positive("rate", rate), float(beta)
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta}")

    def init(params: Tree) -> Tree:
        return tree.map(lambda p: np.zeros_like(p) if is_numeric(p) else p, params)

    def update(params: Tree, grads: Tree, velocity: Tree) -> tuple[Tree, Tree]:
        velocity = tree.map(
            lambda v, g: beta * v - rate * g if is_numeric(v) else v, velocity, grads
        )
        return tree.map(lambda p, v: p + v if is_numeric(p) else p, params, velocity), velocity

    return Optimizer(init, update)


def _positive(name: str, value: float) -> float:
    """A Python number, which unlike NumPy's leaves float32 parameters float32."""
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")
    return float(value)
