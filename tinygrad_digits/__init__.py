"""Reverse-mode automatic differentiation over NumPy, and a handwritten-digit classifier on it.

>>> import numpy as np, tinygrad_digits as td
>>> td.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from typing import TYPE_CHECKING, Any

from . import linalg, ops
from .compiler.api import jit
from .engine.define import define, primitive
from .engine.primitive import Kind
from .engine.primitive import VariadicRule as Each
from .engine.tape import Record, Tape
from .engine.tensor import Tensor
from .engine.transforms import grad, value_and_grad, vjp
from .ops.activations import elu, gelu, hard_tanh, leaky_relu, mish, selu, silu
from .ops.assignment import at
from .ops.layers import avg_pool2d, batch_norm, conv2d, dropout, embedding, layer_norm, max_pool2d
from .ops.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    kl_divergence,
    mse,
    one_hot,
)
from .ops.scipy_linalg import cho_solve, expm, solve_triangular
from .ops.selection import piecewise
from .ops.softmax import log_softmax, logsumexp, relu, sigmoid, softmax, softplus
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
from .support import tree
from .support.errors import (
    AutodiffError,
    ChangedArrayError,
    ConvergenceError,
    DegenerateWarning,
    DisconnectedWarning,
    EscapedTensorError,
    GradientMismatchError,
    LostGradientError,
    MissingExtraError,
    NonFiniteError,
    NotDifferentiableError,
    RetraceWarning,
    RuleError,
    ShapeError,
    TracedValueError,
)
from .support.loading import load as _load

if TYPE_CHECKING:  # the same names, imported when they are first asked for
    from . import optim
    from .looking.checking import check_grads
    from .looking.debugging import debug
    from .looking.profiling import profile
    from .looking.recording import record
    from .optim.minimization import minimize
    from .optim.minimum import Minimum
    from .transforms.batching import vmap
    from .transforms.checkpoint import checkpoint
    from .transforms.custom import custom_vjp, stop_gradient
    from .transforms.derivatives import elementwise_grad, hessian, hvp, jacobian, jvp, linearize
    from .transforms.implicit import fixed_point

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
    "LostGradientError",
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

_LATER = {
    "Minimum": "optim.minimum",
    "check_grads": "looking.checking",
    "checkpoint": "transforms.checkpoint",
    "custom_vjp": "transforms.custom",
    "debug": "looking.debugging",
    "elementwise_grad": "transforms.derivatives",
    "fixed_point": "transforms.implicit",
    "hessian": "transforms.derivatives",
    "hvp": "transforms.derivatives",
    "jacobian": "transforms.derivatives",
    "jvp": "transforms.derivatives",
    "linearize": "transforms.derivatives",
    "minimize": "optim.minimization",
    "profile": "looking.profiling",
    "record": "looking.recording",
    "stop_gradient": "transforms.custom",
    "vmap": "transforms.batching",
}
"""What `grad` does not need, by the module that has it: imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name == "optim":
        return _load(f"{__name__}.optim")
    if name not in _LATER:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()[name] = found = _load(f"{__name__}.{_LATER[name]}", name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
