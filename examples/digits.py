"""The whole story in sixty lines: pixels, a model, its gradients, descent, and how well it reads.

Needs `pip install "tinygrad-digits[digits]"` for the images alone.
"""

from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_digits as td


def init_params(rng, sizes=(64, 64, 32, 10)):
    """Weights of variance 2 / inputs (He et al., 2015), biases 0."""
    return {
        f"layer {i}": {
            "w": rng.standard_normal((m, n)) * np.sqrt(2 / m),
            "b": np.zeros(n),
        }
        for i, (m, n) in enumerate(pairwise(sizes))
    }


def logits(params, x):
    *hidden, last = params.values()
    for layer in hidden:
        x = td.nn.relu(x @ layer["w"] + layer["b"])  # (n, hidden)
    return x @ last["w"] + last["b"]  # (n, 10)


def loss(params, x, y):
    return td.nn.cross_entropy(logits(params, x), y)


def accuracy(params, x, y):
    return np.mean(logits(params, x).argmax(axis=1) == y)


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=42)

    rng = np.random.default_rng(0)
    params = init_params(rng)
    optimizer = td.optim.gradient_descent(rate=0.2)
    state = optimizer.init(params)
    loss_and_grads = td.value_and_grad(loss)

    for epoch in range(1, 41):
        order = rng.permutation(len(x))
        for batch in np.array_split(order, len(x) // 32):
            value, grads = loss_and_grads(params, x[batch], y[batch])
            params, state = optimizer.update(params, grads, state)
        if epoch % 10 == 0:
            print(f"epoch {epoch}: loss {value:.4f}, test {accuracy(params, x_test, y_test):.2%}")


if __name__ == "__main__":
    main()
