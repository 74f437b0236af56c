"""Every error and warning of the package, to be caught by name.

All errors are an `AutodiffError`, and what Python has for their kind too: a `ShapeError` is a
ValueError, a `NotDifferentiableError` a TypeError.

>>> import numpy as np, tinygrad_digits as td
>>> try:
...     td.grad(np.tanh)(np.zeros(2))
... except td.errors.NotDifferentiableError as error:
...     print(isinstance(error, TypeError), isinstance(error, td.AutodiffError))
True True
"""

from .support.errors import (
    AutodiffError,
    ChangedArrayError,
    ConvergenceError,
    DegenerateWarning,
    DisconnectedWarning,
    EscapedTensorError,
    ExportError,
    GradientMismatchError,
    LostGradientError,
    MissingExtraError,
    NonFiniteError,
    NotDifferentiableError,
    RetraceWarning,
    RuleError,
    ShapeError,
    StiffnessWarning,
    TracedValueError,
)

__all__ = [
    "AutodiffError",
    "ChangedArrayError",
    "ConvergenceError",
    "DegenerateWarning",
    "DisconnectedWarning",
    "EscapedTensorError",
    "ExportError",
    "GradientMismatchError",
    "LostGradientError",
    "MissingExtraError",
    "NonFiniteError",
    "NotDifferentiableError",
    "RetraceWarning",
    "RuleError",
    "ShapeError",
    "StiffnessWarning",
    "TracedValueError",
]
