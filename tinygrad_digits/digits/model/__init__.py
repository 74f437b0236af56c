"""The network: parameters, logits and what is made of them; and its backprop by hand."""

from .mlp import (
    SIZES,
    Params,
    accuracy,
    draw_masks,
    init_params,
    layer_sizes,
    logits,
    loss,
    param_shapes,
    predict,
    probabilities,
    squared_error,
)

__all__ = [
    "SIZES",
    "Params",
    "accuracy",
    "draw_masks",
    "init_params",
    "layer_sizes",
    "logits",
    "loss",
    "param_shapes",
    "predict",
    "probabilities",
    "squared_error",
]
