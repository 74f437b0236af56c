"""The same network's loss and gradients by hand, in NumPy alone.

Nothing here comes from the engine, so that where the two agree, both are right. With n images,
h_0 = x, z_i = h_i W_i + b_i, h_{i+1} = max(z_i, 0), and the logits z_L of the last layer L:

    p = softmax(z_L)        loss = -1/n sum_r log p[r, label_r]

In the comments d stands for dloss/dz_i, and Y for the one-hot rows of the labels.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"


def loss_and_grads(
    params: dict[str, Array], x: Array, labels: Array
) -> tuple[np.floating[Any], dict[str, Array]]:
    """Mean cross-entropy of a relu network, and its gradient for every parameter.

    Args:
        params: {"w0": (pixels, hidden), "b0": (hidden,), "w1": ...}, of any depth.
        x: (n, pixels) floats.
        labels: (n,) integers.

    Gradients have the names, shapes and dtypes of the parameters; relu'(0) is 0.

    >>> params = {"w0": np.zeros((2, 2)), "b0": np.zeros(2)}
    >>> loss, grads = loss_and_grads(params, np.array([[1.0, 2.0]]), np.array([0]))
    >>> float(loss) == np.log(2), grads["b0"]
    (np.True_, array([-0.5,  0.5]))
    """
    last = len(params) // 2 - 1
    n, rows = len(x), np.arange(len(x))
    hs, zs = [x], []  # h_0 = x
    for i in range(last):
        zs.append(hs[i] @ params[f"w{i}"] + params[f"b{i}"])  # z_i = h_i W_i + b_i
        hs.append(np.maximum(zs[i], 0))  # h_{i+1} = max(z_i, 0)
    z = hs[last] @ params[f"w{last}"] + params[f"b{last}"]  # z_L = h_L W_L + b_L

    z = z - z.max(axis=1, keepdims=True)  # softmax(z) = softmax(z - c); exp stays below 1
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    p = e / total  # p = exp(z) / sum exp(z)
    loss = (np.log(total[:, 0]) - z[rows, labels]).mean()  # -log p[label] = log sum exp(z) - z

    grads = {}
    d = p
    d[rows, labels] -= 1
    d /= n  # dloss/dz_L = (p - Y) / n
    for i in range(last, -1, -1):
        grads[f"w{i}"] = hs[i].T @ d  # dloss/dW_i = h_i^T d
        grads[f"b{i}"] = d.sum(axis=0)  # dloss/db_i = sum of the rows of d
        if i:
            d = (d @ params[f"w{i}"].T) * (zs[i - 1] > 0)  # dloss/dz_{i-1} = d W_i^T * relu'(z)
    return loss, grads
