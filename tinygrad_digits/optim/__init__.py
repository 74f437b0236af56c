"""Gradient descent and its kin, as pairs of pure functions over any tree of parameters.

    init   : params -> state
    update : (params, grads, state) -> (params, state)

Neither changes what it is given, nor keeps it. Leaves that are not arrays or numbers are carried
through; parameters keep their dtypes. In optax, update : (grads, state, params) -> (updates, state)
and apply_updates(params, updates); docs/optim.md has its names beside these.

>>> import numpy as np, tinygrad_digits as td
>>> schedule = schedules.warmup(schedules.cosine(0.1, steps=90), steps=10)
>>> optimizer = ema(chain(clip_by_global_norm(1.0), adam(schedule)), decay=0.9)
>>> params = {"x": np.array([3.0, -2.0])}
>>> state = optimizer.init(params)
>>> gradient = td.grad(lambda params: np.sum((params["x"] - 1) ** 2))
>>> step = td.jit(lambda params, state: optimizer.update(params, gradient(params), state))
>>> for _ in range(100):
...     params, state = step(params, state)
>>> params["x"].round(1), state.average["x"].round(1)
(array([1., 1.]), array([1., 1.]))
"""

from . import schedules
from .minimum import Minimum
from .optimizers import (
    Optimizer,
    Scheduled,
    adagrad,
    adam,
    adamw,
    chain,
    gradient_descent,
    lion,
    momentum,
    nesterov,
    rmsprop,
)
from .schedules import Rate, Schedule
from .transforms import (
    AdamState,
    Transform,
    clip_by_global_norm,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_lion,
    scale_by_rms,
    weight_decay,
)
from .wrappers import Accumulated, Averaged, accumulate, ema

__all__ = [
    "Accumulated",
    "AdamState",
    "Averaged",
    "Minimum",
    "Optimizer",
    "Rate",
    "Schedule",
    "Scheduled",
    "Transform",
    "accumulate",
    "adagrad",
    "adam",
    "adamw",
    "chain",
    "clip_by_global_norm",
    "ema",
    "gradient_descent",
    "lion",
    "momentum",
    "nesterov",
    "rmsprop",
    "scale_by_adagrad",
    "scale_by_adam",
    "scale_by_lion",
    "scale_by_rms",
    "schedules",
    "weight_decay",
]
