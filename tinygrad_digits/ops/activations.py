"""Activations made of a few ops each; relu, sigmoid and softplus, of which they are made, are rows.

At the kink of leaky_relu, elu and selu the derivative is the mean of its two sides: maximum and
minimum see to it, since a tie gives a half to each. Nothing overflows, and the dtype is x's.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from ..engine.define import primitive
from ..engine.primitive import Array, Kind
from .complex_parts import refuse_order
from .layers import floating
from .softmax import sigmoid, softplus
from .special import ndtr

_BEYOND = 16384
"""Where every gate below is 0 or 1, and its derivatives are 0, in all dtypes; a float16 itself."""


@primitive(
    lambda g, _y, _x, p: g * p,
    lambda g, _y, x, _p: g * np.clip(x, -_BEYOND, _BEYOND),  # infinity times p' = 0 would be NaN
    kind=Kind.ELEMENTWISE,
    unchecked=True,
    composite=True,
)
def gate(x: Array, p: Array) -> Array:
    """x p, for a p that goes to 0 on the left of x and to 1 on its right: 0 at -inf."""
    return np.maximum(x, -_BEYOND) * p


def gelu(x: Array, approximate: str = "none") -> Array:
    """x P(Z < x), Z a standard normal variable (Hendrycks and Gimpel, 2016).

    approximate="tanh" is the paper's formula for P, off by 0.0005 at most, and needs no SciPy:
    MissingExtraError without it otherwise, ValueError where `approximate` is neither word.

    >>> gelu(np.array([-10.0, 0.0, 10.0]), approximate="tanh").round(6)
    array([-0.,  0., 10.])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    x = floating(x)
    if approximate == "none":
        return gate(x, ndtr(x).astype(x.dtype))  # SciPy makes float64 of float16
    near = np.clip(x, -32.0, 32.0)  # beyond, P is 0 or 1 in every dtype, and the cube may overflow
    cubic = near + 0.044715 * near**3
    return gate(x, sigmoid(2 * sqrt(2 / pi) * cubic))  # (1 + tanh z) / 2, with all digits for z < 0


def silu(x: Array) -> Array:
    """x sigmoid(x), also called swish (Elfwing et al., 2017).

    >>> silu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    return gate(x, sigmoid(x))


def mish(x: Array) -> Array:
    """x tanh(softplus(x)) (Misra, 2019).

    >>> mish(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    return gate(x, np.tanh(softplus(x)))


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """x where it is positive, else slope x (Maas et al., 2013). Derivative at 0: (1 + slope) / 2.

    >>> leaky_relu(np.array([-1.0, 0.0, 2.0]))
    array([-0.01,  0.  ,  2.  ])
    """
    refuse_order("leaky_relu", x)
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where it is positive, else alpha (exp(x) - 1) (Clevert et al., 2015).

    Derivative at 0: (1 + alpha) / 2, which for alpha = 1 is that of both sides.

    >>> elu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -1.,    0., 1000.])
    """
    refuse_order("elu", x)
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""The fixed point at which mean 0 and variance 1 of x become those of selu(x)."""


def selu(x: Array) -> Array:
    """The elu that keeps a network's layers at mean 0 and variance 1 (Klambauer et al., 2017).

    >>> selu(np.array([-1000.0, 0.0, 1000.0])).round(4)
    array([  -1.7581,    0.    , 1050.701 ])
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def hard_tanh(x: Array) -> Array:
    """x, but no less than -1 and no more than 1; the derivative is 1 on the closed interval.

    >>> hard_tanh(np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    refuse_order("hard_tanh", x)
    return np.clip(x, -1, 1)
