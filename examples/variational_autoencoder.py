"""A variational autoencoder of the digits: two numbers in, a digit out, and all those between.

An encoder says which codes an image may have, a decoder which image a code is; both are trained on
one bound of the images' likelihood (Kingma and Welling, Auto-Encoding Variational Bayes, 2014).
Needs `pip install "tinygrad-digits[digits]"`.
"""

import argparse
import itertools

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import tinygrad_digits as td

CODE, HIDDEN, BATCH = 2, 128, 64


def init_params(rng):
    """Weights of variance 1 / inputs, biases 0; the encoder's last layer has means and scales."""
    params = {}
    for name, sizes in {"encode": (64, HIDDEN, 2 * CODE), "decode": (CODE, HIDDEN, 64)}.items():
        for k, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            weights = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
            params[f"{name}_w{k}"] = weights.astype(np.float32)
            params[f"{name}_b{k}"] = np.zeros(outputs, np.float32)
    return params


def network(params, name, x):
    hidden = np.tanh(x @ params[f"{name}_w0"] + params[f"{name}_b0"])
    return hidden @ params[f"{name}_w1"] + params[f"{name}_b1"]


def encode(params, x):
    """Mean and log standard deviation of the codes: (n, 64) -> (n, 2), (n, 2)."""
    both = network(params, "encode", x)
    return both[:, :CODE], both[:, CODE:]


def loss(params, x, noise):
    """Minus the evidence lower bound, in nats an image: (n, 64) in [0, 1], (n, 2) normal."""
    mean, log_scale = encode(params, x)
    code = mean + np.exp(log_scale) * noise
    z = network(params, "decode", code)  # (n, 64) logits of ink
    reconstruction = np.sum(np.logaddexp(0, z) - x * z, axis=1)
    divergence = np.sum(np.exp(2 * log_scale) + mean**2 - 1 - 2 * log_scale, axis=1) / 2
    return np.mean(reconstruction + divergence)


def train(params, x, rng, epochs, optimizer):
    """Params after each epoch; each image meets new noise each time."""

    @td.jit
    def step(params, state, x, noise):
        value, grads = td.value_and_grad(loss)(params, x, noise)
        return value, *optimizer.update(params, grads, state)

    state = optimizer.init(params)
    batches = len(x) // BATCH
    for _ in range(epochs):
        for batch in rng.permutation(len(x))[: batches * BATCH].reshape(batches, BATCH):
            noise = rng.standard_normal((BATCH, CODE)).astype(np.float32)
            _, params, state = step(params, state, x[batch], noise)
        yield params


def draw(params, x, labels, out, side=17) -> None:
    """What codes on a grid decode to, and where the test images' codes lie."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    digits, codes = figure.subplots(1, 2)
    across = np.linspace(-2.4, 2.4, side, dtype=np.float32)
    grid = np.stack(np.meshgrid(across, across[::-1]), axis=-1).reshape(-1, CODE)
    ink = td.special.expit(network(params, "decode", grid))
    ink = np.pad(ink.reshape(side, side, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    picture = ink.swapaxes(1, 2).reshape(10 * side, 10 * side)
    digits.imshow(picture, cmap="gray_r", extent=(-2.55, 2.55, -2.55, 2.55))
    digits.set(title="What the decoder makes of each code")
    mean, _ = encode(params, x)
    points = codes.scatter(*mean.T, c=labels, cmap="tab10", vmin=-0.5, vmax=9.5, s=14)
    codes.set(title="Codes of digits it has not seen", aspect="equal")
    codes.set(xlim=(-2.55, 2.55), ylim=(-2.55, 2.55))
    figure.colorbar(points, ticks=range(10), label="digit")
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", default="variational_autoencoder.png", help="where to draw the picture"
    )
    parser.add_argument("--epochs", type=int, default=300)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    pixels, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(pixels))
    x, labels = (pixels[order] / 16).astype(np.float32), labels[order]
    x_test, labels_test, x = x[:360], labels[:360], x[360:]
    noise = rng.standard_normal((len(x_test), CODE)).astype(np.float32)

    params = init_params(rng)
    blind = np.mean(x, axis=0).clip(1e-3, 1 - 1e-3)  # the best that no code at all can do
    nats = -np.mean(np.sum(x_test * np.log(blind) + (1 - x_test) * np.log1p(-blind), axis=1))
    print(f"each pixel's mean: {nats:.2f} nats a test image")
    optimizer = td.optim.adam(2e-3)
    epochs = train(params, x, rng, options.epochs, optimizer)
    for epoch, params in enumerate(epochs, 1):
        if epoch % max(1, options.epochs // 10) == 0:
            print(f"epoch {epoch:3}: bound {loss(params, x_test, noise):.2f} nats a test image")
    draw(params, x_test, labels_test, options.out)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
