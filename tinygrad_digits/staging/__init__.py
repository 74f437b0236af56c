"""Tensors without a value, which the compiler, vmap and recording share."""
