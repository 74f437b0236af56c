"""The proof of work: a handwritten-digit classifier on the engine.

Rooms, each of which imports those before it alone: data, images, model, training, runs, app.
"""

import warnings
from typing import Any

from ..support.loading import load as _load

__all__ = ["DigitsClassifier", "DigitsRegressor"]

_ESTIMATORS = {
    "DigitsClassifier": "training.estimator",
    "DigitsRegressor": "training.estimator",
}
"""Imported when they are asked for: scikit-learn takes a second to import."""
_MODULES = {
    "checkpoint": "runs.checkpoint",
    "run": "runs.run",
    "serve": "app.serve",
    "store": "runs.store",
}
"""What scripts use, by the room that it is in."""
_RENAMED = {"sealed": "runs.checksummed"}


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return _load(f"{__name__}.{_ESTIMATORS[name]}", name)
    if name in _RENAMED:
        now = f"{__name__}.{_RENAMED[name]}"
        warnings.warn(f"{__name__}.{name} is now {now}", DeprecationWarning, stacklevel=2)
        globals()[name] = _load(now)  # so that it is said once
        return globals()[name]
    if name in _MODULES:
        return _load(f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
