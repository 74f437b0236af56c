"""What a network looks at, and how little it takes to make it read another digit.

Both are gradients with respect to pixels: of the winning logit (a saliency map), and of the loss.
Needs `pip install "tinygrad-digits[digits]"`.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td
from tinygrad_digits.digits import data, model
from tinygrad_digits.digits.training import loop

EPSILONS = np.array([0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2])


def trained(digits):
    """The parameters of the digits' perceptron after 40 epochs."""
    epochs = loop.train(
        model.init_params(), td.optim.momentum(0.05), digits.train, digits.validation,
        epochs=40, batch_size=32, rng=np.random.default_rng(0),
    )  # fmt: skip
    *_, last = epochs
    return last.params


def saliency(params, x):
    """d winning logit / d pixels: (n, 64). Images do not mix: the sum has each one's gradient."""
    return td.grad(lambda x: np.sum(np.max(model.logits(params, x), axis=1)))(x)


def fgsm(params, x, labels, epsilon):
    """Each pixel moved by epsilon, the way that raises the loss (Goodfellow et al., 2014)."""
    g = td.grad(model.loss, 1)(params, x, labels)
    return np.clip(x + epsilon * np.sign(g), 0, 1)


def smallest_change(params, x, steps=50):
    """Images just over the nearest border between two classes (Moosavi-Dezfooli et al., 2016).

    Were the logits linear, the border to class k would be |z_k - z_0| / |dz_k - dz_0| away, in the
    direction of dz_k - dz_0. They are, in pieces: go there, and look again.
    """
    rows, first = np.arange(len(x)), model.predict(params, x)
    moved = x
    for _ in range(steps):
        z, pullback = td.vjp(lambda x: model.logits(params, x), moved)  # (n, 10)
        units = np.eye(10)[:, None].repeat(len(x), axis=1)  # (10, n, 10)
        slopes = np.stack([pullback(unit) for unit in units], axis=1)  # (n, 10, 64)
        gaps = z[rows, first, None] - z  # (n, 10)
        across = slopes - slopes[rows, first, None]  # (n, 10, 64)
        norms = np.linalg.norm(across, axis=2)
        distances = np.divide(gaps, norms, out=np.full_like(z, np.inf), where=gaps > 0)
        nearest = distances.argmin(axis=1)
        far = 1.02 * gaps[rows, nearest] / norms[rows, nearest] ** 2  # a little over the border
        still = z.argmax(axis=1) == first
        if not still.any():
            break
        step = far[:, None] * across[rows, nearest]
        moved = np.where(still[:, None], np.clip(moved + step, 0, 1), moved)
    return shortened(params, x, moved)


def shortened(params, x, moved):
    """No further from x than it takes to be read otherwise, by bisection."""
    near, far = np.zeros((len(x), 1)), np.ones((len(x), 1))
    for _ in range(12):
        middle = (near + far) / 2
        between = (1 - middle) * x + middle * moved
        same = model.predict(params, between) == model.predict(params, x)
        near, far = np.where(same[:, None], (middle, far), (near, middle))
    return (1 - far) * x + far * moved


def picture(params, x, moved, accuracies):
    """Digits, what the network looks at, the change, and what it reads then; accuracies below."""
    n = len(x)
    figure = Figure(figsize=(1.25 * n, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2, 1))
    grid = above.subplots(4, n)
    before, after = model.probabilities(params, x), model.probabilities(params, moved)
    titles = [[f"{p.argmax()} ({p.max():.0%})" for p in ps] for ps in (before, after)]
    rows = [
        ("digit", x, titles[0], {"cmap": "gray_r", "vmin": 0, "vmax": 1}),
        ("saliency\n(red: ink helps)", saliency(params, x), None, {"cmap": "RdBu_r"}),
        ("smallest change\n(red: more ink)", moved - x, None, {"cmap": "RdBu_r"}),
        ("digit, changed", moved, titles[1], {"cmap": "gray_r", "vmin": 0, "vmax": 1}),
    ]
    for axes, (name, images, texts, style) in zip(grid, rows, strict=True):
        axes[0].set_ylabel(name)
        limit = np.abs(images).max()
        for i, ax in enumerate(axes):
            ax.imshow(images[i].reshape(8, 8), **{"vmin": -limit, "vmax": limit, **style})
            ax.set(xticks=[], yticks=[], title=texts[i] if texts else None)
    ax = below.subplots()
    for name, values in accuracies.items():
        ax.plot(EPSILONS, 100 * np.array(values), marker="o", label=name)
    ax.set(
        xlabel="how far each pixel is moved (from white to black is 1)",
        ylabel="read right, %",
        ylim=(0, 102),
    )
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="adversarial.png", help="where to draw the picture")
    out = parser.parse_args().out

    digits = data.split(data.load_digits(), seed=42)
    params = trained(digits)
    x, labels = digits.test

    signs = np.random.default_rng(0).choice([-1, 1], x.shape)
    accuracies = {
        "in random directions": [
            model.accuracy(params, np.clip(x + e * signs, 0, 1), labels) for e in EPSILONS
        ],
        "up the gradient of the loss": [
            model.accuracy(params, fgsm(params, x, labels, e), labels) for e in EPSILONS
        ],
    }
    print(f"{'pixels moved by':27}" + "".join(f"{e:8.2f}" for e in EPSILONS))
    for name, values in accuracies.items():
        print(f"{name:27}" + "".join(f"{v:8.1%}" for v in values))

    moved = smallest_change(params, x)
    fooled = model.predict(params, moved) != model.predict(params, x)
    sizes = np.linalg.norm(moved - x, axis=1) / np.linalg.norm(x, axis=1)
    print(f"{fooled.mean():.1%} of the digits can be made others; in the median the change is "
          f"{np.median(sizes):.0%} of the image's length")  # fmt: skip

    right = model.predict(params, x) == labels
    shown = [np.flatnonzero(right & (labels == k))[0] for k in range(10)]
    picture(params, x[shown], moved[shown], accuracies).savefig(out, dpi=110)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
