"""Digits that nobody wrote: a generator against a discriminator (Goodfellow et al., 2014).

The discriminator's loss has its own gradient in it: how steep it is at real images is penalized
(Mescheder et al., Which Training Methods for GANs do actually Converge?, 2018), which keeps the two
from circling each other, and takes a gradient of a gradient.
Needs `pip install "tinygrad-digits[digits]"`.
"""

import argparse
import itertools

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import tinygrad_digits as td

CODE, HIDDEN, BATCH, STEEPNESS = 16, 128, 64, 0.3
RATE = 1e-3


def init_params(rng):
    """(generator, discriminator): weights of variance 2 / inputs (He et al., 2015), biases 0."""

    def network(*sizes):
        params = {}
        for k, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            weights = rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)
            params[f"w{k}"] = weights.astype(np.float32)
            params[f"b{k}"] = np.zeros(outputs, np.float32)
        return params

    return network(CODE, HIDDEN, HIDDEN, 64), network(64, HIDDEN, HIDDEN, 1)


def network(params, x):
    for k in range(2):
        z = x @ params[f"w{k}"] + params[f"b{k}"]
        x = np.maximum(z, 0.2 * z)
    return x @ params["w2"] + params["b2"]


def generate(generator, code):
    """Images in (0, 1): (n, CODE) -> (n, 64)."""
    return td.special.expit(network(generator, code))


def generator_loss(generator, discriminator, code):
    """What the discriminator should take for real, it does not."""
    return np.mean(np.logaddexp(0, -network(discriminator, generate(generator, code))))


def discriminator_loss(discriminator, generator, code, x):
    """Cross-entropy of real and generated images, and how steep it is at the real ones."""
    false = np.mean(np.logaddexp(0, network(discriminator, generate(generator, code))))
    true = np.mean(np.logaddexp(0, -network(discriminator, x)))
    slopes = td.grad(lambda x: np.sum(network(discriminator, x)))(x)  # (n, 64)
    return false + true + STEEPNESS / 2 * np.mean(np.sum(slopes**2, axis=1))


def train(x, rng, keep):
    """A generator after the numbers of steps in `keep`: the mean of the last hundred or so."""
    generator, discriminator = init_params(rng)
    optimizer = td.optim.adam(RATE, beta1=0.5)

    @td.jit
    def step(generator, discriminator, states, average, weight, code, x):
        grads = td.grad(discriminator_loss)(discriminator, generator, code, x)
        discriminator, its_state = optimizer.update(discriminator, grads, states[1])
        grads = td.grad(generator_loss)(generator, discriminator, code)
        generator, state = optimizer.update(generator, grads, states[0])
        average = td.tree.map(lambda a, p: a + weight * (p - a), average, generator)
        return generator, discriminator, (state, its_state), average

    average, states = generator, (optimizer.init(generator), optimizer.init(discriminator))
    for k in range(max(keep) + 1):
        if k in keep:
            yield average
        code = rng.standard_normal((BATCH, CODE)).astype(np.float32)
        batch = x[rng.integers(len(x), size=BATCH)]
        generator, discriminator, states, average = step(
            generator, discriminator, states, average, 0.01, code, batch
        )


def nearest(x, images):
    """Of each image the one in x that is closest, as an index."""
    distances = np.sum(x**2, axis=1) - 2 * images @ x.T  # and |image|^2, the same for all x
    return distances.argmin(axis=1)


def tiled(images, rows):
    """(n, 64) -> one picture, with a pixel's margin."""
    images = np.pad(images.reshape(rows, -1, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.concatenate(np.concatenate(images, axis=1), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", default="adversarial_networks.png", help="where to draw the picture"
    )
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32)
    keep = sorted({0, *(options.steps // 2**k for k in range(9))})
    generators = list(train(x, rng, keep))
    code = rng.standard_normal((1000, CODE)).astype(np.float32)
    made = generate(generators[-1], code)

    off = np.abs(made.mean(axis=0) - x.mean(axis=0)).mean()
    spread = np.abs(made.std(axis=0) - x.std(axis=0)).mean()
    print(f"pixels' means are off by {off:.3f}, their standard deviations by {spread:.3f}")
    shares = np.bincount(labels[nearest(x, made)], minlength=10) / len(made)
    print("digits they are closest to: " + " ".join(f"{k}:{s:.0%}" for k, s in enumerate(shares)))

    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    history = [generate(generator, code[:12]) for generator in generators]
    left.imshow(tiled(np.concatenate(history), len(history)), cmap="gray_r")
    left.set(title="What 12 codes become", xticks=[])
    left.set_yticks(10 * np.arange(len(keep)) + 4.5, keep)
    left.set_ylabel("steps")
    shown = made[20:80]
    pairs = np.stack([shown, x[nearest(x, shown)]], axis=1).reshape(-1, 64)
    right.imshow(tiled(pairs, 10), cmap="gray_r")
    right.set(title="Generated, and beside each the most similar real one", xticks=[], yticks=[])
    figure.savefig(options.out, dpi=110)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
