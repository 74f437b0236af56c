"""How to descend, by name: the optimisers and schedules that a configuration may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ... import optim
from ...optim import Optimizer, Rate, Transform, schedules
from ..model.mlp import Params

if TYPE_CHECKING:
    from ..runs.run import Config
    from .recipe import Recipe

T = TypeVar("T")

OPTIMIZERS: dict[str, Callable[[Rate], Optimizer]] = {
    "gd": optim.gradient_descent,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "rmsprop": optim.rmsprop,
    "adagrad": optim.adagrad,
    "adam": optim.adam,
    "adamw": optim.gradient_descent,
    "lion": optim.gradient_descent,
}
DECOUPLED: dict[str, Callable[[], Transform]] = {
    "adamw": optim.scale_by_adam,
    "lion": optim.scale_by_lion,
}
"""Of those that are gradient descent along something: what. Weight decay comes after it; the others
have the decay in the gradient (L2)."""

SCHEDULES: dict[str, Callable[[float, int], Rate]] = {
    "constant": lambda rate, _: rate,
    "step": lambda rate, steps: schedules.step_decay(rate, 0.1, -(-steps // 3)),
    "cosine": schedules.cosine,
    "one-cycle": schedules.one_cycle,
}
"""From the highest rate and the number of steps; "step" divides by ten after each third of them."""


def descent(config: Config | Recipe, steps: int) -> Optimizer:
    """The optimiser of a configuration, for so many steps in all.

    >>> from .run import Config
    >>> descent(Config(rate=0.5, schedule="cosine"), steps=100).init(0.0)
    Scheduled(step=np.int64(0), inner=None)
    """
    rate, name = _rate(config, max(1, steps)), config.optimizer
    optimizer = _named("optimizer", OPTIMIZERS, name)(rate)
    transforms = [DECOUPLED[name]()] if name in DECOUPLED else []
    if config.weight_decay:
        transforms.append(optim.weight_decay(config.weight_decay, _decays))
    if transforms:
        optimizer = optim.chain(*transforms, optimizer)
    return optim.ema(optimizer, config.ema) if config.ema else optimizer


def _named(what: str, table: Mapping[str, T], name: str) -> T:
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(table)}, got {name!r}")
    return table[name]


def averaged(_params: Params, memory: Any) -> Params:
    """The average that an optimiser with an `ema` keeps of the parameters."""
    average: Params = memory.average
    return average


def _rate(config: Config | Recipe, steps: int) -> Rate:
    """A number, or a schedule with its warm-up."""
    rising = round(config.warmup * steps)
    if not 0 <= config.warmup < 1:
        raise ValueError(f"warmup is a share of all steps, 0 <= share < 1, got {config.warmup}")
    schedule = _named("schedule", SCHEDULES, config.schedule)
    rate = schedule(config.rate, max(1, steps - rising))
    return schedules.warmup(rate, rising) if rising else rate


def _decays(param: Any) -> bool:
    """Weights do, biases do not."""
    return bool(param.ndim > 1)
