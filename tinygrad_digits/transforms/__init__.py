"""Transforms that are built on the engine's three: grad, value_and_grad and vjp."""
