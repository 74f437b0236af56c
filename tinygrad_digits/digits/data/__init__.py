"""Images and labels: where they come from, and how they are varied."""

from .dataset import (
    CLASSES,
    PIXELS,
    Array,
    Dataset,
    Split,
    load_digits,
    minibatches,
    split,
    validate,
)

__all__ = [
    "CLASSES",
    "PIXELS",
    "Array",
    "Dataset",
    "Split",
    "load_digits",
    "minibatches",
    "split",
    "validate",
]
