"""Gaussian-process regression: length scale, amplitude and noise by gradient of the likelihood.

The formulas are those of Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
algorithm 2.1 and equations 2.30 and 5.9.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

NOISE = 0.2


def truth(x):
    return np.sin(x) + 0.5 * np.sin(2.5 * x)


def kernel(params, a, b):
    """Squared-exponential covariances of two sets of points: (n,), (m,) -> (n, m)."""
    distance = (a[:, None] - b[None, :]) / np.exp(params["log_length"])
    return np.exp(2 * params["log_amplitude"] - 0.5 * distance**2)


def factor(params, x):
    """The Cholesky factor of the covariances of noisy observations."""
    noise = np.exp(2 * params["log_noise"]) * np.eye(len(x))
    return np.linalg.cholesky(kernel(params, x, x) + noise)


def negative_log_likelihood(params, x, y):
    """-log p(y | x, params): (n,), (n,) -> ()."""
    lower = factor(params, x)
    whitened = td.linalg.solve_triangular(lower, y, lower=True)
    log_determinant = 2 * np.sum(np.log(np.diagonal(lower)))
    return 0.5 * (whitened @ whitened + log_determinant + len(x) * np.log(2 * np.pi))


def predict(params, x, y, new):
    """Mean and standard deviation of the function at new points."""
    lower = factor(params, x)
    cross = td.linalg.solve_triangular(lower, kernel(params, x, new), lower=True)  # (n, m)
    mean = cross.T @ td.linalg.solve_triangular(lower, y, lower=True)
    variance = np.exp(2 * params["log_amplitude"]) - np.sum(cross**2, axis=0)
    return mean, np.sqrt(np.maximum(variance, 0))


def noise_gradient_by_hand(params, x, y):
    """Equation 5.9 for the logarithm of the noise: tr((inv K - a a.T) dK) / 2, a = inv(K) y."""
    lower = factor(params, x)
    inverse = td.linalg.cho_solve((lower, True), np.eye(len(x)))
    a = inverse @ y
    return np.exp(2 * params["log_noise"]) * (np.trace(inverse) - a @ a)


def draw(path, x, y, new, mean, deviation):
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(new, mean - 2 * deviation, mean + 2 * deviation, alpha=0.25,
                      label="mean ± 2 standard deviations")  # fmt: skip
    axes.plot(new, mean, label="mean")
    axes.plot(new, truth(new), "k--", linewidth=1, label="truth")
    axes.plot(x, y, "k.", label="observations")
    axes.set(title="A Gaussian process fitted by the gradient of its likelihood", xlabel="x")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right", fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="gaussian_process.png", help="where to draw the picture")
    out = parser.parse_args().out

    rng = np.random.default_rng(0)
    x = np.sort(np.concatenate([rng.uniform(-5, 0, 30), rng.uniform(2, 5, 20)]))  # and a gap
    y = truth(x) + NOISE * rng.standard_normal(len(x))
    params = {"log_length": 0.0, "log_amplitude": 0.0, "log_noise": 0.0}

    fit = td.minimize(negative_log_likelihood, params, method="L-BFGS-B", args=(x, y))
    before = negative_log_likelihood(params, x, y)
    print(f"log likelihood {-before:.2f} before, {-fit.fun:.2f} after {fit.steps} steps")
    for name, value in fit.x.items():
        print(f"{name.removeprefix('log_'):>10} {np.exp(value):.3f}")
    print(f"the noise was {NOISE}")

    tape = td.grad(negative_log_likelihood)(params, x, y)["log_noise"]
    hand = noise_gradient_by_hand(params, x, y)
    print(f"tape against closed form: {abs(tape - hand) / abs(hand):.1e}")

    new = np.linspace(-5.5, 5.5, 300)
    mean, deviation = predict(fit.x, x, y, new)
    inside = np.mean(np.abs(truth(new) - mean) < 2 * deviation)
    print(f"the truth is within 2 standard deviations at {inside:.1%} of the points")
    draw(out, x, y, new, mean, deviation)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
