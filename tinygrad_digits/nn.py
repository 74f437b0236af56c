"""What networks are made of: plain functions of arrays, with no state of their own.

    activations  relu, leaky_relu, elu, selu, gelu, silu, mish, sigmoid, softplus, hard_tanh
                 (tanh is NumPy's)
    softmax      softmax, log_softmax, logsumexp
    losses       cross_entropy, binary_cross_entropy_with_logits, kl_divergence, mse, huber, hinge
                 and one_hot for labels
    layers       conv2d, max_pool2d, avg_pool2d, batch_norm, layer_norm, embedding, dropout

>>> import numpy as np, tinygrad_digits as td
>>> params = {"w": np.eye(2), "b": np.zeros(2)}
>>> x, labels = np.array([[2.0, -1.0], [0.0, 3.0]]), np.array([0, 1])
>>> def loss(params):
...     return td.nn.cross_entropy(td.nn.relu(x @ params["w"]) + params["b"], labels)
>>> td.grad(loss)(params)["b"].round(4)
array([-0.0359,  0.0359])
"""

from .ops.activations import elu, gelu, hard_tanh, leaky_relu, mish, selu, silu
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
from .ops.softmax import log_softmax, logsumexp, relu, sigmoid, softmax, softplus

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hard_tanh",
    "hinge",
    "huber",
    "kl_divergence",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "max_pool2d",
    "mish",
    "mse",
    "one_hot",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]
