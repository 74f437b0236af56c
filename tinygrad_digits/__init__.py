"""Reverse-mode automatic differentiation over NumPy, and a handwritten-digit classifier on it.

>>> import numpy as np, tinygrad_digits as td
>>> td.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from . import ops, optim
from .check import check_grads
from .engine import tree
from .engine.errors import (
    AutodiffError,
    DisconnectedWarning,
    EscapedTensorError,
    GradientMismatchError,
    MissingExtraError,
    NotDifferentiableError,
    RetraceWarning,
    RuleError,
    ShapeError,
    TracedValueError,
)
from .engine.primitive import Each, Kind, define, primitive
from .engine.tape import Record, Tape
from .engine.tensor import Tensor
from .engine.transforms import grad, value_and_grad, vjp
from .jit.api import jit
from .ops.neural import (
    cross_entropy,
    dropout,
    log_softmax,
    logsumexp,
    one_hot,
    relu,
    sigmoid,
    softmax,
    softplus,
)

__version__ = "0.1.0"

__all__ = [
    "AutodiffError",
    "DisconnectedWarning",
    "Each",
    "EscapedTensorError",
    "GradientMismatchError",
    "Kind",
    "MissingExtraError",
    "NotDifferentiableError",
    "Record",
    "RetraceWarning",
    "RuleError",
    "ShapeError",
    "Tape",
    "Tensor",
    "TracedValueError",
    "check_grads",
    "cross_entropy",
    "define",
    "dropout",
    "grad",
    "jit",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "ops",
    "optim",
    "primitive",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tree",
    "value_and_grad",
    "vjp",
]
