"""What is done to gradients before a step is taken along them.

    init  : params -> state
    apply : (grads, state, params) -> (grads, state)

`chain` puts them before an optimiser; Adam is gradient descent along `scale_by_adam`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..support import tree
from ..support.foreign import is_numeric
from ..support.pickling import pickle_as_call
from ..support.tree import Tree
from .leaves import (
    apply_in_place,
    check_fraction,
    check_not_negative,
    check_positive,
    each,
    each_of,
    match_dtype,
    square_size,
    weaken,
    with_grads,
    zero_sizes,
    zeros,
)


class Transform(NamedTuple):
    """How to start and how to transform gradients, as pure functions."""

    init: Callable[[Tree], Tree]
    apply: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def _stateless(apply: Callable[[Tree, Tree], Tree]) -> Transform:
    return Transform(
        lambda params: None, lambda grads, state, params: (apply(grads, params), state)
    )


@pickle_as_call
def clip_by_global_norm(limit: float) -> Transform:
    """g min(1, limit / |g|), |g| over all leaves together (Pascanu, Mikolov and Bengio, 2013).

    The norm is taken in float64, so that float32 gradients above 1e19 do not overflow. A gradient
    that is not finite stays so.

    >>> clip = clip_by_global_norm(1.0)
    >>> clip.apply({"w": np.array([3.0]), "b": np.array([4.0])}, None, None)[0]
    {'w': array([0.6]), 'b': array([0.8])}
    """
    limit = check_positive("limit", limit)

    def apply(grads: Tree, params: Tree) -> Tree:
        leaves = [g for g in tree.flatten(grads)[0] if is_numeric(g)]
        total = sum(np.sum(np.square(np.abs(_double(g)))) for g in leaves)
        scale = limit / np.maximum(np.sqrt(total), limit)
        return each(lambda g: match_dtype(scale, g) * g, grads)

    return _stateless(apply)


def _double(g: Any) -> Any:
    wide = {"e": np.float64, "f": np.float64, "F": np.complex128}
    dtype = getattr(g, "dtype", None)
    return g.astype(wide[dtype.char]) if dtype is not None and dtype.char in wide else g


@pickle_as_call
def weight_decay(decay: float, where: Callable[[Any], Any] = lambda p: True) -> Transform:
    """g + decay p, for the parameters that `where` says True of: `lambda p: p.ndim > 1`.

    Right before `gradient_descent` it is decoupled (Loshchilov and Hutter, 2019): each step also
    takes rate * decay * p off. Before momentum or Adam it is the gradient of decay/2 |p|^2.

    >>> weight_decay(0.1).apply(np.array([0.0]), None, np.array([2.0]))[0]
    array([0.2])
    """
    decay = check_not_negative("decay", decay)
    return _stateless(
        lambda grads, params: with_grads(
            lambda p, g: apply_in_place(np.add, decay * p, g) if where(p) else g, params, grads
        )
    )


class AdamState(NamedTuple):
    """How many gradients there were, and the moving averages of them and of their squares."""

    step: Any
    mean: Tree
    square: Tree


@pickle_as_call
def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Transform:
    """m / (sqrt(v) + eps), of averages m of g and v of g^2 (Kingma and Ba, 2015).

    m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2 start at 0 and are divided by
    1 - beta^t at the t-th gradient, which makes them weighted means of what they have seen. (Both
    divisors are taken to the numbers beneath the fraction, where they cost one array less.)

    >>> adam = scale_by_adam()
    >>> adam.apply(np.array([100.0, -0.01]), adam.init(np.zeros(2)), None)[0].round(3)
    array([ 1., -1.])
    """
    beta1, beta2 = check_fraction("beta1", beta1), check_fraction("beta2", beta2)
    eps = check_positive("eps", eps)

    def init(params: Tree) -> AdamState:
        return AdamState(np.int64(0), zeros(params), zero_sizes(params))

    def apply(grads: Tree, state: AdamState, params: Tree) -> tuple[Tree, AdamState]:
        step = state.step + 1
        seen1, seen2 = 1 - np.power(beta1, step), 1 - np.power(beta2, step)
        factor, least = weaken(seen1 / np.sqrt(seen2)), weaken(seen1 * eps)

        def leaf(m: Any, v: Any, g: Any) -> tuple[Any, Any, Any]:
            m = apply_in_place(np.add, beta1 * m, (1 - beta1) * g)
            v = apply_in_place(
                np.add, beta2 * v, apply_in_place(np.multiply, square_size(g), 1 - beta2)
            )
            root = apply_in_place(np.multiply, np.sqrt(v), match_dtype(factor, v))
            return m, v, m / apply_in_place(np.add, root, match_dtype(least, v))

        mean, square, scaled = each_of(3, leaf, state.mean, state.square, grads)
        return scaled, AdamState(step, mean, square)

    return Transform(init, apply)


@pickle_as_call
def scale_by_rms(beta: float = 0.9, eps: float = 1e-8) -> Transform:
    """g / (sqrt(v) + eps), v = beta v + (1 - beta) g^2 (Tieleman and Hinton, 2012).

    >>> rms = scale_by_rms(beta=0.75)
    >>> rms.apply(np.array([3.0]), rms.init(np.zeros(1)), None)
    (array([1.99999999]), array([2.25]))
    """
    beta, eps = check_fraction("beta", beta), check_positive("eps", eps)

    def apply(grads: Tree, square: Tree, params: Tree) -> tuple[Tree, Tree]:
        square = _average(beta, square, each(square_size, grads))
        return each(lambda g, v: g / (np.sqrt(v) + eps), grads, square), square

    return Transform(zero_sizes, apply)


@pickle_as_call
def scale_by_adagrad(eps: float = 1e-10) -> Transform:
    """g / (sqrt(v) + eps), v = v + g^2 (Duchi, Hazan and Singer, 2011).

    >>> adagrad = scale_by_adagrad()
    >>> adagrad.apply(np.array([4.0]), np.array([9.0]), None)
    (array([0.8]), array([25.]))
    """
    eps = check_positive("eps", eps)

    def apply(grads: Tree, square: Tree, params: Tree) -> tuple[Tree, Tree]:
        square = each(lambda v, g: v + square_size(g), square, grads)
        return each(lambda g, v: g / (np.sqrt(v) + eps), grads, square), square

    return Transform(zero_sizes, apply)


@pickle_as_call
def scale_by_lion(beta1: float = 0.9, beta2: float = 0.99) -> Transform:
    """sign(beta1 m + (1 - beta1) g), then m = beta2 m + (1 - beta2) g (Chen et al., 2023).

    >>> lion = scale_by_lion(beta2=0.75)
    >>> lion.apply(np.array([4.0, -2.0]), np.zeros(2), None)
    (array([ 1., -1.]), array([ 1. , -0.5]))
    """
    beta1, beta2 = check_fraction("beta1", beta1), check_fraction("beta2", beta2)

    def apply(grads: Tree, mean: Tree, params: Tree) -> tuple[Tree, Tree]:
        return each(np.sign, _average(beta1, mean, grads)), _average(beta2, mean, grads)

    return Transform(zeros, apply)


def _average(beta: float, mean: Tree, new: Tree) -> Tree:
    return each(lambda m, x: beta * m + (1 - beta) * x, mean, new)
