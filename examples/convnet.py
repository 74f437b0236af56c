"""A convolutional network that reads more than 98.5 % of the digits it has never seen.

Needs `pip install "tinygrad-digits[digits]"` for the images alone.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_digits as td

EPOCHS, BATCH, RATE = 40, 64, 0.1


def init_params(rng):
    """Weights of variance 2 / inputs (He et al., 2015), biases 0; all in float32."""

    def weights(*shape, inputs):
        return (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)

    return {
        "conv1": weights(16, 1, 3, 3, inputs=9), "b1": np.zeros(16, np.float32),
        "conv2": weights(32, 16, 3, 3, inputs=144), "b2": np.zeros(32, np.float32),
        "dense": weights(512, 64, inputs=512), "b3": np.zeros(64, np.float32),
        "out": weights(64, 10, inputs=64), "b4": np.zeros(10, np.float32),
    }  # fmt: skip


def logits(params, x, rng=None):
    """(n, 1, 8, 8) images -> (n, 10); with a generator, dropout takes part."""
    x = td.nn.relu(td.nn.conv2d(x, params["conv1"], params["b1"], padding="same"))  # (n, 16, 8, 8)
    x = td.nn.relu(td.nn.conv2d(x, params["conv2"], params["b2"], padding="same"))  # (n, 32, 8, 8)
    x = td.nn.max_pool2d(x, 2).reshape(-1, 512)  # (n, 32, 4, 4) flattened
    if rng is not None:
        x = td.nn.dropout(x, 0.3, rng)
    x = td.nn.relu(x @ params["dense"] + params["b3"])  # (n, 64)
    return x @ params["out"] + params["b4"]


def loss(params, x, labels, rng):
    return td.nn.cross_entropy(logits(params, x, rng), labels, smoothing=0.1)


@td.jit
def step(params, velocity, rate, x, labels, rng):
    """One step with momentum (Polyak, 1964): what has been learnt keeps its direction."""
    grads = td.grad(loss)(params, x, labels, rng)
    velocity = td.tree.map(lambda v, g: 0.9 * v - rate * g, velocity, grads)
    return td.tree.map(np.add, params, velocity), velocity


def shifted(x, rng):
    """Each image moved by up to a pixel in both directions: still the same digit."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    down, right = rng.choice(3, (2, len(x), 1, 1), p=[0.2, 0.6, 0.2])
    rows, columns = down + np.arange(8)[:, None], right + np.arange(8)
    return padded[np.arange(len(x))[:, None, None], 0, rows, columns][:, None]


def accuracy(params, x, labels):
    return np.mean(logits(params, x).argmax(axis=1) == labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the training")
    seed = parser.parse_args().seed

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    rng = np.random.default_rng(seed)
    params = init_params(rng)
    velocity = td.tree.map(np.zeros_like, params)
    steps, start = len(x) // BATCH, time.perf_counter()
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))[: steps * BATCH]  # whole batches: one program
        for i, batch in enumerate(order.reshape(steps, BATCH)):
            done = (epoch + i / steps) / EPOCHS
            rate = RATE * np.cos(np.pi / 2 * done) ** 2  # down to 0 (Loshchilov and Hutter, 2016)
            params, velocity = step(
                params, velocity, float(rate), shifted(x[batch], rng), y[batch], rng
            )
        if (epoch + 1) % 5 == 0:
            seconds, reads = time.perf_counter() - start, accuracy(params, x_test, y_test)
            print(f"epoch {epoch + 1:2}, {seconds:4.1f} s: test {reads:.2%}", flush=True)


if __name__ == "__main__":
    main()
