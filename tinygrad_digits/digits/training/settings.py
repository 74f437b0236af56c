"""What an estimator's settings may be, and what "auto" makes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from ...compiler.api import BACKENDS
from ..data.dataset import PIXELS
from .backends import AUTO as AUTO_BACKEND
from .optimizer_choice import OPTIMIZERS, SCHEDULES
from .recipe import DECAYS, GENERAL, RATES, RECIPE, Recipe

Settings = dict[str, Any]

ALIASES = {"hidden_layer_sizes": "hidden", "learning_rate_init": "rate", "max_iter": "epochs"}
"""What scikit-learn's MLPClassifier calls some of them."""
AUTO = ("hidden", "warmup", "smoothing", "batch_size", "epochs", "augment")
"""Settings that may be "auto"; `rate` and `weight_decay` may be None for the same."""


def check_settings(given: Mapping[str, Any]) -> Settings:
    """An estimator's settings without their aliases; ValueError where one makes no sense.

    >>> check_settings({"hidden": "auto", "hidden_layer_sizes": [5]})["hidden"]
    (5,)
    >>> check_settings({"epochs": 0})
    Traceback (most recent call last):
    ...
    ValueError: epochs must be a whole number of 1 or more, got 0
    """
    settings, spelled = _resolve_aliases(given)
    for name, value in settings.items():
        if name not in CHECKS or (name in AUTO and _is_auto(value)):
            continue
        for is_fine, wanted in CHECKS[name]:
            if not is_fine(value):
                raise ValueError(f"{spelled.get(name, name)} must be {wanted}, got {value!r}")
    if "hidden" in settings and not _is_auto(settings["hidden"]):
        settings["hidden"] = tuple(map(int, settings["hidden"]))
    if moves_images(settings.get("augment")) and settings["scaling"] not in ("auto", "range"):
        raise ValueError(
            f"augment=True needs scaling='auto' or 'range', got {settings['scaling']!r}"
        )
    return settings


def _resolve_aliases(given: Mapping[str, Any]) -> tuple[Settings, dict[str, str]]:
    """Settings by our names, and which of them was given by another."""
    settings, spelled = dict(given), {}
    for alias, name in ALIASES.items():
        value = settings.pop(alias, None)
        if value is None:
            continue
        if alias == "hidden_layer_sizes" and isinstance(value, Integral):
            value = (value,)
        ours = settings.get(name)
        if not (ours is None or _is_auto(ours) or np.array_equal(ours, value)):
            raise ValueError(f"{alias} is another name of {name}: got {value!r} and {ours!r}")
        settings[name], spelled[name] = value, alias
    return settings, spelled


def choose_recipe(settings: Settings, *, images: bool, general: Recipe = GENERAL) -> Recipe:
    """How to train: what is set, and for the rest the recipe of 8x8 images, or the general one.

    >>> chosen = check_settings({"hidden": "auto", "epochs": 5, "augment": "auto",
    ...                          "scaling": "auto", "optimizer": "adam", "rate": None})
    >>> choose_recipe(chosen, images=True)  # doctest: +ELLIPSIS
    Recipe(hidden=(512, 128), optimizer='adam', rate=0.005, ... epochs=5, ...augment=True, ...)
    """
    base = RECIPE if images else general
    optimizer = settings.get("optimizer", base.optimizer)
    if optimizer != base.optimizer:
        rate, decay = RATES[optimizer], DECAYS.get(optimizer, 0.0)
        base = dataclasses.replace(base, optimizer=optimizer, rate=rate, weight_decay=decay)
    names = {field.name for field in dataclasses.fields(Recipe)}
    given = {
        name: value
        for name, value in settings.items()
        if name in names and value is not None and not _is_auto(value)
    }
    numbers = ("rate", "warmup", "weight_decay", "smoothing", "synthetic", "ema")
    given |= {name: float(given[name]) for name in numbers if name in given}
    free = settings.get("scaling") in ("auto", "range")  # which augmentation needs
    given.setdefault("synthetic", 0.0)
    if "smoothing" not in settings:  # for labels; a regressor has none
        given["smoothing"] = 0.0
    given["augment"] = bool(given.get("augment", base.augment and free))
    return dataclasses.replace(base, **given)


def moves_images(augment: Any) -> bool:
    """Whether that asks for the program's own augmentation: not "auto", a function, or none."""
    return bool(augment) and not callable(augment) and not _is_auto(augment)


# --- what a value has to be: (whether it is, in words)

Check = tuple[Callable[[Any], bool], str]


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and int(value) > 0


def _are_sizes(value: Any) -> bool:
    return np.ndim(value) == 1 and all(_is_whole(n) for n in value)


def _is_function(value: Any) -> bool:
    return callable(value) and isinstance(value, Hashable)


def _allow_none(*checks: Check) -> tuple[Check, ...]:
    """The same checks, for a value that may also be None."""

    def allow(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
        return lambda value: value is None or check(value)

    return tuple((allow(check), wanted) for check, wanted in checks)


def _one_of(*choices: Any) -> Check:
    return (lambda value: value in choices), f"one of {', '.join(map(str, choices))}"


NUMBER: Check = (lambda value: isinstance(value, Real)), "a number"
WHOLE: Check = _is_whole, "a whole number of 1 or more"
SHARE: Check = (lambda share: 0 <= share < 1), "in [0, 1)"
AMOUNT: Check = (lambda amount: 0 <= amount < np.inf), "0 or more"
POSITIVE: Check = (lambda rate: 0 < rate < np.inf), "positive, or None"
TRUTH: Check = _is_truth, "True or False"
CHECKS: dict[str, tuple[Check, ...]] = {
    "hidden": ((_are_sizes, "the sizes of layers, as (64, 32)"),),
    "optimizer": (_one_of(*OPTIMIZERS),),
    "schedule": (_one_of(*SCHEDULES),),
    "rate": _allow_none(NUMBER, POSITIVE),
    "weight_decay": _allow_none(NUMBER, AMOUNT),
    "warmup": (NUMBER, SHARE),
    "smoothing": (NUMBER, SHARE),
    "ema": (NUMBER, SHARE),
    "dropout": (NUMBER, SHARE),
    "validation_fraction": (NUMBER, SHARE),
    "tol": (NUMBER, AMOUNT),
    "synthetic": (NUMBER, AMOUNT),
    "batch_size": (WHOLE,),
    "epochs": (WHOLE,),
    "n_iter_no_change": (WHOLE,),
    "augment": ((lambda value: _is_truth(value) or callable(value), "True or False"),),
    "early_stopping": (TRUTH,),
    "warm_start": (TRUTH,),
    "scaling": (_one_of("auto", "standard", "range", None),),
    "backend": (_one_of(*BACKENDS, AUTO_BACKEND, None),),
    "dtype": (_one_of(None, *map(np.dtype, ("float32", "float64"))),),
    "loss": _allow_none((_is_function, "a function of (outputs, labels), or None")),
}


def check_augment(augment: Any, features: int) -> None:
    """Raise ValueError where the program's own augmentation is asked for what are no images."""
    if moves_images(augment) and features != PIXELS:
        raise ValueError(
            f"augment=True is for 8x8 images, {PIXELS} features, got {features}: "
            "use False, or a function (rows, generator) -> rows"
        )
