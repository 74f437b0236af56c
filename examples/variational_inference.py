"""Densities known up to a constant, approximated from below: black-box variational inference.

Samples of a family are pushed towards where the density is high and the family's own is low, by
the gradient of log p(z) - log q(z) through the samples (Ranganath et al., Black Box Variational
Inference, 2014). Nothing of p is needed but its value. The families: a Gaussian, and a flow, which
bends Gaussian samples in steps that can be undone (Dinh et al., 2017).
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

LAYERS, HIDDEN, SAMPLES = 6, 24, 256
BOX = np.linspace(-5, 5, 401)


def banana(z):
    return -0.5 * (z[:, 0] / 1.2) ** 2 - 0.5 * ((z[:, 1] + 1.5 - 0.45 * z[:, 0] ** 2) / 0.3) ** 2


def ring(z):
    return -0.5 * ((np.sqrt(z[:, 0] ** 2 + z[:, 1] ** 2) - 2.5) / 0.35) ** 2


def wave(z):
    return -0.5 * ((z[:, 1] - 1.5 * np.sin(1.5 * z[:, 0])) / 0.35) ** 2 - (z[:, 0] / 3.2) ** 4


TARGETS = {"banana": banana, "ring": ring, "wave": wave}


def init_params(rng, layers):
    """Near the identity: small weights in the layers, of which a Gaussian has none."""

    def layer():
        return {
            "w": rng.standard_normal((1, HIDDEN)), "b": rng.standard_normal(HIDDEN),
            "out": 0.01 * rng.standard_normal((HIDDEN, 2)), "shift": np.zeros(2),
        }  # fmt: skip

    return {
        "layers": [layer() for _ in range(layers)],
        "mean": np.zeros(2), "log_diagonal": np.zeros(2), "below": np.zeros((2, 2)),
    }  # fmt: skip


def couple(layer, z):
    """One coordinate scaled and moved by functions of the other, and the log determinant."""
    still, moved = z[:, :1], z[:, 1:]
    both = np.tanh(still @ layer["w"] + layer["b"]) @ layer["out"] + layer["shift"]
    log_scale = 2 * np.tanh(both[:, :1] / 2)  # no layer stretches by more than exp(2)
    moved = moved * np.exp(log_scale) + both[:, 1:]
    return np.concatenate([moved, still], axis=1), log_scale[:, 0]  # the next moves the other


def transform(params, noise):
    """Samples z of q, made of normal noise, and log q(z): (n, 2) -> (n, 2), (n,)."""
    z = noise
    log_q = -0.5 * np.sum(noise**2, axis=1) - np.log(2 * np.pi)
    for layer in params["layers"]:
        z, log_scale = couple(layer, z)
        log_q = log_q - log_scale
    lower = np.tril(params["below"], -1) + np.diag(np.exp(params["log_diagonal"]))
    return z @ lower.T + params["mean"], log_q - np.sum(params["log_diagonal"])


def negative_bound(params, noise, log_density):
    """-E[log p(z) - log q(z)], which is at least -log of p's integral."""
    z, log_q = transform(params, noise)
    return np.mean(log_q - log_density(z))


def fit(log_density, params, rng, steps):
    optimizer = td.optim.adam(td.optim.schedules.cosine(0.01, steps))

    @td.jit
    def step(params, state, noise):
        grads = td.grad(negative_bound)(params, noise, log_density)
        return optimizer.update(params, grads, state)

    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state, rng.standard_normal((SAMPLES, 2)))
    return params


def log_integral(log_density):
    """By the sum over a grid, which a plane still affords."""
    x, y = np.meshgrid(BOX, BOX)
    values = log_density(np.stack([x.ravel(), y.ravel()], axis=1))
    area = (BOX[1] - BOX[0]) ** 2
    return np.log(np.sum(np.exp(values)) * area), np.exp(values).reshape(x.shape)


def show(axes, image, title) -> None:
    axes.imshow(image, origin="lower", extent=(-5, 5, -5, 5), cmap="magma")
    axes.set(title=title, xticks=[], yticks=[])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", default="variational_inference.png", help="where to draw the picture"
    )
    parser.add_argument("--steps", type=int, default=2000, help="of each fit")
    options = parser.parse_args()

    figure = Figure(figsize=(3.2 * len(TARGETS), 10), layout="constrained")
    columns = figure.subplots(3, len(TARGETS)).T
    print("target   log integral   below it: Gaussian   flow")
    for (name, log_density), axes in zip(TARGETS.items(), columns, strict=True):
        integral, density = log_integral(log_density)
        show(axes[0], density, name)
        gaps = []
        for axis, layers in zip(axes[1:], (0, LAYERS), strict=True):
            rng = np.random.default_rng(0)
            params = fit(log_density, init_params(rng, layers), rng, options.steps)
            noise = rng.standard_normal((200_000, 2))
            gaps.append(integral + negative_bound(params, noise, log_density))
            z, _ = transform(params, noise)
            counts, _, _ = np.histogram2d(z[:, 1], z[:, 0], bins=BOX[::4])
            show(axis, counts, f"{'flow' if layers else 'Gaussian'}, {gaps[-1]:.3f} nats short")
        print(f"{name:8} {integral:12.3f} {gaps[0]:20.3f} {gaps[1]:6.3f}")
    figure.savefig(options.out, dpi=90)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
