"""How to descend, by name: the optimisers and schedules that a configuration may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ... import optim
from ...optim import Optimizer, Rate, Transform, schedules
from ..model.mlp import Params
from .recipe import Config, Recipe

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
"""The transform that turns a gradient into the direction of adamw and lion. Weight decay is added
to the direction; in the others it is added to the gradient (L2)."""

SCHEDULES: dict[str, Callable[[float, int], Rate]] = {
    "constant": lambda rate, _: rate,
    "step": lambda rate, steps: schedules.step_decay(rate, 0.1, -(-steps // 3)),
    "cosine": schedules.cosine,
    "one-cycle": schedules.one_cycle,
}
"""From the highest rate and the number of steps; "step" divides by ten after each third of them."""


def choose_optimizer(recipe: Recipe | Config, steps: int) -> Optimizer:
    """The optimiser that a recipe asks for, for so many steps in all.

    Raises ValueError, naming the setting, where one makes no sense.

    >>> choose_optimizer(Recipe(rate=0.5, optimizer="gd", weight_decay=0), steps=100).init(0.0)
    Scheduled(step=np.int64(0), inner=None)
    """
    rate, name = choose_rate(recipe, max(1, steps)), recipe.optimizer
    optimizer = _look_up("optimizer", OPTIMIZERS, name)(rate)
    transforms = [DECOUPLED[name]()] if name in DECOUPLED else []
    if recipe.weight_decay:
        transforms.append(optim.weight_decay(recipe.weight_decay, _decays))
    if transforms:
        optimizer = optim.chain(*transforms, optimizer)
    return optim.ema(optimizer, recipe.ema) if recipe.ema else optimizer


def choose_rate(recipe: Recipe | Config, steps: int) -> Rate:
    """The learning rate over so many steps: a number, or a schedule with its warm-up."""
    rising = round(recipe.warmup * steps)
    if not 0 <= recipe.warmup < 1:
        raise ValueError(f"warmup is a share of all steps, 0 <= share < 1, got {recipe.warmup}")
    schedule = _look_up("schedule", SCHEDULES, recipe.schedule)
    rate = schedule(recipe.rate, max(1, steps - rising))
    return schedules.warmup(rate, rising) if rising else rate


def read_average(_params: Params, state: Any) -> Params:
    """The average of the parameters that an optimiser with an `ema` keeps in its state."""
    average: Params = state.average
    return average


def _look_up(what: str, table: Mapping[str, T], name: str) -> T:
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(table)}, got {name!r}")
    return table[name]


def _decays(param: Any) -> bool:
    """Weights do, biases do not."""
    return bool(param.ndim > 1)
