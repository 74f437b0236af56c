"""The minimum of a function that is dear to evaluate: Bayesian optimization.

A Gaussian process says what is known of the function; where the improvement on the best value so
far is expected to be largest, it is evaluated next (Jones, Schonlau and Welch, 1998). Both the
process's own parameters and the next point are found by gradients.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

LOWER, UPPER = np.array([-2.0, -1.0]), np.array([2.0, 1.0])
LOWEST = -1.031628453489877  # at ±(0.0898, -0.7127): Surjanovic and Bingham's library
STARTS, FIRST = 40, 6


def camel(x):
    """The six-hump camel function, of which logarithms tame the walls: (n, 2) -> (n,)."""
    a, b = x[:, 0], x[:, 1]
    value = (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2
    return np.log(value - LOWEST + 0.1)


def kernel(params, a, b):
    """Matérn covariances, twice differentiable: (n, 2), (m, 2) -> (n, m)."""
    offsets = (a[:, None] - b[None]) / np.exp(params["log_lengths"])
    distance = np.sqrt(5 * np.sum(offsets**2, axis=2) + 1e-12)  # no corner at 0
    return np.exp(2 * params["log_amplitude"]) * (
        (1 + distance + distance**2 / 3) * np.exp(-distance)
    )


def factor(params, x):
    return np.linalg.cholesky(kernel(params, x, x) + 1e-6 * np.eye(len(x)))


def negative_log_posterior(params, x, y):
    """-log p(y | x, params), and a weak prior: lengths near 1/2, amplitude near 1."""
    lower = factor(params, x)
    whitened = td.linalg.solve_triangular(lower, y - params["mean"], lower=True)
    fit = 0.5 * np.sum(whitened**2) + np.sum(np.log(np.diagonal(lower)))
    lengths = np.sum((params["log_lengths"] - np.log(0.5)) ** 2)
    return fit + 0.5 * lengths + 0.5 * params["log_amplitude"] ** 2


def predict(params, x, y, new):
    """Mean and standard deviation of the function at new points: (m, 2) -> (m,), (m,)."""
    lower = factor(params, x)
    cross = td.linalg.solve_triangular(lower, kernel(params, x, new), lower=True)  # (n, m)
    weights = td.linalg.solve_triangular(lower, y - params["mean"], lower=True)
    variance = np.exp(2 * params["log_amplitude"]) - np.sum(cross**2, axis=0)
    return params["mean"] + cross.T @ weights, np.sqrt(np.maximum(variance, 1e-9))


def expected_improvement(params, x, y, new):
    """E[max(0, best so far - value)] at new points: (m, 2) -> (m,)."""
    mean, deviation = predict(params, x, y, new)
    better = (np.min(y) - mean) / deviation
    below = 0.5 * (1 + td.special.erf(better / np.sqrt(2)))
    density = np.exp(-0.5 * better**2) / np.sqrt(2 * np.pi)
    return deviation * (better * below + density)


def loss(new, params, x, y):
    """Points do not see each other: the sum has the gradient of each."""
    return -np.sum(expected_improvement(params, x, y, new))


def random_points(rng, n):
    return rng.uniform(LOWER, UPPER, (n, 2))


def search(rng, evaluations):
    """The points in the order in which they are asked for, their values, and the last process."""
    x = random_points(rng, FIRST)
    params = {"mean": 0.0, "log_lengths": np.log([0.5, 0.5]), "log_amplitude": 0.0}
    while True:
        y = camel(x)
        params = td.minimize(negative_log_posterior, params, "L-BFGS-B", args=(x, y)).x
        if len(x) >= evaluations:
            return x, y, params
        found = td.minimize(
            loss, random_points(rng, STARTS), args=(params, x, y),
            bounds=(np.tile(LOWER, (STARTS, 1)), np.tile(UPPER, (STARTS, 1))),
            options={"maxiter": 30},  # what little is left to climb then is not worth it
        )  # fmt: skip
        best = expected_improvement(params, x, y, found.x).argmax()
        x = np.concatenate([x, found.x[best : best + 1]])


def draw(x, y, params, at_random, out) -> None:
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(2, 2)
    a, b = np.meshgrid(np.linspace(-2, 2, 121), np.linspace(-1, 1, 81))
    new = np.stack([a.ravel(), b.ravel()], axis=1)
    mean, _ = predict(params, x, y, new)
    improvement = np.log10(expected_improvement(params, x, y, new).clip(1e-6))
    maps = {
        "the function, and where it was evaluated": camel(new),
        "what the process believes": mean,
        "where an improvement is expected now (logarithms)": improvement,
    }
    axes_of_maps = [grid[0, 0], grid[0, 1], grid[1, 0]]
    for axes, (title, values) in zip(axes_of_maps, maps.items(), strict=True):
        axes.pcolormesh(a, b, values.reshape(a.shape), shading="gouraud", cmap="viridis")
        axes.scatter(*x.T, c=np.arange(len(x)), cmap="autumn_r", s=18, edgecolors="k",
                     linewidths=0.4)  # fmt: skip
        axes.set(title=title, aspect="equal")
    for k, point in enumerate(x):
        grid[0, 0].annotate(f"{k + 1}", point, xytext=(2, 2), textcoords="offset points",
                            color="w", fontsize=7)  # fmt: skip
    best = grid[1, 1]
    for name, values in {"expected improvement": y, "at random": at_random}.items():
        gap = np.exp(np.minimum.accumulate(values)) - 0.1
        best.semilogy(1 + np.arange(len(values)), gap, label=name, drawstyle="steps-post")
    best.set(title="the best so far, above the minimum", xlabel="evaluations")
    best.grid(alpha=0.3)
    best.legend()
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", default="bayesian_optimization.png", help="where to draw the picture"
    )
    parser.add_argument("--evaluations", type=int, default=35, help="of the function")
    options = parser.parse_args()

    rng = np.random.default_rng(1)
    x, y, params = search(rng, options.evaluations)
    at_random = camel(random_points(rng, options.evaluations))
    for name, values in {"expected improvement": y, "at random": at_random}.items():
        print(f"{name}: {np.exp(values.min()) - 0.1:.6f} above the minimum")
    best = x[y.argmin()]
    print(f"the best of {len(x)} points: ({best[0]:.4f}, {best[1]:.4f})")
    draw(x, y, params, at_random, options.out)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
