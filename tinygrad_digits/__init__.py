"""Reverse-mode automatic differentiation over NumPy, and a handwritten-digit classifier on it.

    transforms   grad, value_and_grad, vjp, jvp, linearize, jacobian, hessian, hvp,
                 elementwise_grad, vmap, jit, checkpoint, custom_vjp, stop_gradient, fixed_point
    loops        scan, fori_loop, while_loop, map, associative_scan, cond, switch, odeint
    arrays       Tensor and Tape; at (writing into an array), piecewise
    new ops      define, primitive, Kind, VariadicRule
    looking      record, profile, debug, check_grads
    fits         minimize, optim
    leaving      export
    namespaces   nn, special, linalg, fft, signal, optim, tree, errors

>>> import numpy as np, tinygrad_digits as td
>>> td.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

import sys as _sys
import warnings as _warnings
from operator import attrgetter as _attrgetter
from typing import TYPE_CHECKING
from typing import Any as _Any

from .compiler.api import jit
from .engine.define import define, primitive
from .engine.primitive import Kind, VariadicRule
from .engine.tape import Record, Tape
from .engine.tensor import Tensor
from .engine.transforms import grad, value_and_grad, vjp
from .ops.assignment import at
from .ops.selection import piecewise
from .support.errors import AutodiffError
from .support.loading import load as _load
from .support.memory import keep_freed_memory as _keep_freed_memory

__version__ = "0.1.0"

_keep_freed_memory()

__all__ = [
    "AutodiffError",
    "Kind",
    "Record",
    "Tape",
    "Tensor",
    "VariadicRule",
    "associative_scan",
    "at",
    "check_grads",
    "checkpoint",
    "cond",
    "custom_vjp",
    "debug",
    "define",
    "elementwise_grad",
    "errors",
    "export",
    "fft",
    "fixed_point",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "linalg",
    "linearize",
    "map",
    "minimize",
    "nn",
    "odeint",
    "optim",
    "piecewise",
    "primitive",
    "profile",
    "record",
    "scan",
    "signal",
    "special",
    "stop_gradient",
    "switch",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

_NAMESPACES = ("errors", "fft", "linalg", "nn", "optim", "signal", "special", "tree")
_LATER = {
    "associative_scan": "transforms.loops",
    "check_grads": "looking.checking",
    "checkpoint": "transforms.checkpoint",
    "cond": "transforms.branches",
    "custom_vjp": "transforms.custom",
    "debug": "looking.debugging",
    "elementwise_grad": "transforms.derivatives",
    "export": "exporting.api",
    "fixed_point": "transforms.implicit",
    "fori_loop": "transforms.loops",
    "hessian": "transforms.derivatives",
    "hvp": "transforms.derivatives",
    "jacobian": "transforms.derivatives",
    "jvp": "transforms.derivatives",
    "linearize": "transforms.derivatives",
    "map": "transforms.loops",
    "minimize": "optim.minimization",
    "odeint": "transforms.ode",
    "profile": "looking.profiling",
    "record": "looking.recording",
    "scan": "transforms.loops",
    "stop_gradient": "transforms.custom",
    "switch": "transforms.branches",
    "vmap": "transforms.batching",
    "while_loop": "transforms.branches",
}
"""What `grad` does not need, by the module that has it: imported when it is first asked for."""

_MOVED = {"Each": "VariadicRule"} | {
    name: f"{namespace}.{name}"
    for namespace, names in {
        "errors": """ChangedArrayError ConvergenceError DegenerateWarning DisconnectedWarning
            EscapedTensorError GradientMismatchError LostGradientError MissingExtraError
            NonFiniteError NotDifferentiableError RetraceWarning RuleError ShapeError
            TracedValueError""",
        "linalg": "cho_solve expm solve_triangular",
        "nn": """avg_pool2d batch_norm binary_cross_entropy_with_logits conv2d cross_entropy
            dropout elu embedding gelu hard_tanh hinge huber kl_divergence layer_norm leaky_relu
            log_softmax max_pool2d mish mse one_hot relu selu sigmoid silu softmax softplus""",
        "optim": "Minimum",
        "special": """beta betaln digamma entr erf erfc erfinv expit gammaln i0 i1 log_ndtr logit
            logsumexp ndtr polygamma xlogy""",
    }.items()
    for name in names.split()
}
"""Names that stood at the top until 0.1, and where they are now."""

if TYPE_CHECKING:  # what is imported later; names that have moved are none for type checkers
    from . import errors, fft, linalg, nn, optim, signal, special, tree
    from .exporting.api import export
    from .looking.checking import check_grads
    from .looking.debugging import debug
    from .looking.profiling import profile
    from .looking.recording import record
    from .optim.minimization import minimize
    from .transforms.batching import vmap
    from .transforms.branches import cond, switch, while_loop
    from .transforms.checkpoint import checkpoint
    from .transforms.custom import custom_vjp, stop_gradient
    from .transforms.derivatives import elementwise_grad, hessian, hvp, jacobian, jvp, linearize
    from .transforms.implicit import fixed_point
    from .transforms.loops import associative_scan, fori_loop, map, scan
    from .transforms.ode import odeint
else:

    def __getattr__(name: str) -> _Any:
        if name in _NAMESPACES:
            return _load(f"{__name__}.{name}")
        if name in _LATER:
            value = _load(f"{__name__}.{_LATER[name]}", name)
        elif name in _MOVED:
            value = _attrgetter(_MOVED[name])(_sys.modules[__name__])
            _warnings.warn(f"td.{name} is now td.{_MOVED[name]}", DeprecationWarning, stacklevel=2)
        else:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        globals()[name] = value  # so that this is not asked again, and warns once
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
