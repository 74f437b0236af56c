"""The network: parameters, logits and what is made of them; and its backprop by hand."""

from .mlp import (
    SIZES,
    Params,
    accuracy,
    init_params,
    layer_sizes,
    logits,
    loss,
    param_shapes,
    predict,
    probabilities,
)

__all__ = [
    "SIZES",
    "Params",
    "accuracy",
    "init_params",
    "layer_sizes",
    "logits",
    "loss",
    "param_shapes",
    "predict",
    "probabilities",
]
