"""The proof of work: a handwritten-digit classifier on the engine."""

from typing import Any

__all__ = ["DigitsClassifier"]


def __getattr__(name: str) -> Any:
    """The estimator, imported when it is asked for: scikit-learn takes a second to import."""
    if name == "DigitsClassifier":
        from .training.estimator import DigitsClassifier

        return DigitsClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
