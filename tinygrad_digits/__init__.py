"""Reverse-mode automatic differentiation over NumPy, and a handwritten-digit classifier on it.

>>> import numpy as np, tinygrad_digits as td
>>> td.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import linalg, ops, optim
from .check import check_grads
from .engine import tree
from .engine.errors import (
    AutodiffError,
    ChangedArrayError,
    ConvergenceError,
    DegenerateWarning,
    DisconnectedWarning,
    EscapedTensorError,
    GradientMismatchError,
    MissingExtraError,
    NonFiniteError,
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
from .minimize import Minimum, minimize
from .ops.activations import elu, gelu, hard_tanh, leaky_relu, mish, selu, silu
from .ops.assignment import at
from .ops.choosing import piecewise
from .ops.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    embedding,
    layer_norm,
    max_pool2d,
)
from .ops.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    kl_divergence,
    mse,
    one_hot,
)
from .ops.neural import (
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    softmax,
    softplus,
)
from .ops.scipy_linalg import cho_solve, expm, solve_triangular
from .ops.special import (
    beta,
    betaln,
    digamma,
    entr,
    erf,
    erfc,
    erfinv,
    expit,
    gammaln,
    i0,
    i1,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    xlogy,
)
from .transforms.batching import vmap
from .transforms.checkpoint import checkpoint
from .transforms.custom import custom_vjp, stop_gradient
from .transforms.derivatives import elementwise_grad, hessian, hvp, jacobian, jvp, linearize
from .transforms.implicit import fixed_point

if TYPE_CHECKING:
    from .debugging import debug
    from .profiling import profile
    from .recording import record

__version__ = "0.1.0"

__all__ = [
    "AutodiffError",
    "ChangedArrayError",
    "ConvergenceError",
    "DegenerateWarning",
    "DisconnectedWarning",
    "Each",
    "EscapedTensorError",
    "GradientMismatchError",
    "Kind",
    "Minimum",
    "MissingExtraError",
    "NonFiniteError",
    "NotDifferentiableError",
    "Record",
    "RetraceWarning",
    "RuleError",
    "ShapeError",
    "Tape",
    "Tensor",
    "TracedValueError",
    "at",
    "avg_pool2d",
    "batch_norm",
    "beta",
    "betaln",
    "binary_cross_entropy_with_logits",
    "check_grads",
    "checkpoint",
    "cho_solve",
    "conv2d",
    "cross_entropy",
    "custom_vjp",
    "debug",
    "define",
    "digamma",
    "dropout",
    "elementwise_grad",
    "elu",
    "embedding",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "expit",
    "expm",
    "fixed_point",
    "gammaln",
    "gelu",
    "grad",
    "hard_tanh",
    "hessian",
    "hinge",
    "huber",
    "hvp",
    "i0",
    "i1",
    "jacobian",
    "jit",
    "jvp",
    "kl_divergence",
    "layer_norm",
    "leaky_relu",
    "linalg",
    "linearize",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "max_pool2d",
    "minimize",
    "mish",
    "mse",
    "ndtr",
    "one_hot",
    "ops",
    "optim",
    "piecewise",
    "polygamma",
    "primitive",
    "profile",
    "record",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "solve_triangular",
    "stop_gradient",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
    "xlogy",
]

_TOOLS = {"debug": "debugging", "profile": "profiling", "record": "recording"}
"""What is imported when it is first asked for: programs that run do not look at themselves."""


def __getattr__(name: str) -> Any:
    if name not in _TOOLS:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()[name] = tool = getattr(import_module(f".{_TOOLS[name]}", __name__), name)
    return tool
