"""What the tape adds to an op: recording it, and its part of the sweep, without NumPy's own work.

Each op is applied LENGTH times in a row to a tiny array, forward and backward, once by the tape
and once by a plain loop that makes the same NumPy calls. The difference, per op, is the tape's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_digits as td

from .timing import interleaved

LENGTH = 100


def _tanh_by_hand(x: Any, _w: Any) -> tuple[Any, ...]:
    ys = []
    for _ in range(LENGTH):
        x = np.tanh(x)
        ys.append(x)
    g = np.ones_like(x)
    for y in reversed(ys):
        g = g * (1 - y * y)
    return (g,)


def _multiply_by_hand(x: Any, w: Any) -> tuple[Any, ...]:
    xs = []
    for _ in range(LENGTH):
        xs.append(x)
        x = x * w
    g, g_w = np.ones_like(x), np.zeros_like(w)
    for x in reversed(xs):
        g_w = g_w + g * x
        g = g * w
    return g, g_w


def _matmul_by_hand(x: Any, w: Any) -> tuple[Any, ...]:
    xs = []
    for _ in range(LENGTH):
        xs.append(x)
        x = x @ w
    g, g_w = np.ones_like(x), np.zeros_like(w)
    for x in reversed(xs):
        g_w = g_w + x.T @ g
        g = g @ w.T
    return g, g_w


def _sum_by_hand(x: Any, _w: Any) -> tuple[Any, ...]:
    shapes = []
    for _ in range(LENGTH):
        shapes.append(x.shape)
        x = x.sum(axis=0, keepdims=True)
    g = np.ones_like(x)
    for shape in reversed(shapes):
        g = np.broadcast_to(g, shape)
    return (g,)


OPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], tuple[Any, ...]]]] = {
    "np.tanh(x)": (lambda x, _w: np.tanh(x), _tanh_by_hand),
    "x * w": (lambda x, w: x * w, _multiply_by_hand),
    "x @ w": (lambda x, w: x @ w, _matmul_by_hand),
    "x.sum(axis=0, keepdims=True)": (lambda x, _w: x.sum(axis=0, keepdims=True), _sum_by_hand),
}


def measure(name: str, budget: float) -> dict[str, Any]:
    """Microseconds per op, forward and backward: NumPy's own, with the tape, the difference."""
    op, by_hand = OPS[name]
    x = np.full((4, 4), 0.5)
    w = np.eye(4)[::-1] if name == "x @ w" else np.full((4, 4), 0.99)

    def total(x: Any, w: Any) -> Any:
        for _ in range(LENGTH):
            x = op(x, w)
        return x.sum()

    expected = by_hand(x, w)
    gradients = td.grad(total, argnums=tuple(range(len(expected))))
    for got, g in zip(gradients(x, w), expected, strict=True):
        np.testing.assert_allclose(got, g, rtol=1e-12, err_msg=name)
    timings = interleaved(
        {"numpy": lambda: by_hand(x, w), "tape": lambda: gradients(x, w)}, budget=budget
    )
    pairs = zip(timings["tape"].micros, timings["numpy"].micros, strict=True)
    return {
        "op": name,
        "rounds": len(timings["tape"].micros),
        "numpy_us": timings["numpy"].median / LENGTH,
        "tape_us": timings["tape"].median / LENGTH,
        "added_us": float(np.median([t - n for t, n in pairs])) / LENGTH,
    }
