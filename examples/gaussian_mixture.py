"""A mixture of Gaussians fitted by Newton's method, whose Hessian is never formed.

Newton-CG asks for products of the Hessian with a vector: the derivative of the gradient in one
direction, at the cost of a few gradients. The formulas are those of Bishop, Pattern Recognition
and Machine Learning, 2006, section 9.2.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

PETALS, DIMENSIONS = 5, 2
METHODS = {"Newton-CG": "C0", "BFGS": "C1", "CG": "C2"}


def flower(rng, n=200):
    """Five long Gaussians around the origin, each of n points, and their means."""
    angles = 2 * np.pi * np.arange(PETALS) / PETALS
    turns = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
    petals = rng.standard_normal((PETALS, n, DIMENSIONS)) * [0.5, 0.15] + [1.6, 0.0]
    twisted = petals @ np.array([[1.0, 0.35], [0.0, 1.0]])
    points = np.einsum("pnd,dep->pne", twisted, turns)
    return points.reshape(-1, DIMENSIONS), np.einsum("d,dep->pe", [1.6, 0.56], turns)


def precision_factors(params):
    """Lower triangles L of inv(covariance) = L L.T, their diagonals above 0: (k, d, d)."""
    diagonals = np.exp(params["log_diagonals"])[:, :, None] * np.eye(DIMENSIONS)
    return np.tril(params["below"], -1) + diagonals


def log_joint(params, x):
    """log p(component, x): (n, d) -> (k, n)."""
    log_weights = params["logits"] - td.special.logsumexp(params["logits"])
    log_determinants = np.sum(params["log_diagonals"], axis=1)
    constants = log_weights + log_determinants - 0.5 * DIMENSIONS * np.log(2 * np.pi)
    whitened = (x - params["means"][:, None]) @ precision_factors(params)  # (k, n, d)
    return constants[:, None] - 0.5 * np.sum(whitened**2, axis=2)


def loss(params, x):
    """Minus the mean log likelihood."""
    return -np.mean(td.special.logsumexp(log_joint(params, x), axis=0))


def init_params(rng, k=PETALS):
    """Round Gaussians, their means at random."""
    return {
        "logits": np.zeros(k),
        "means": rng.standard_normal((k, DIMENSIONS)),
        "log_diagonals": np.zeros((k, DIMENSIONS)),
        "below": np.zeros((k, DIMENSIONS, DIMENSIONS)),
    }


def responsibilities(params, x):
    """p(component | x): (k, n)."""
    joint = log_joint(params, x)
    return np.exp(joint - td.special.logsumexp(joint, axis=0))


def maximize_expectation(params, x):
    """Means and covariances after one step of expectation maximization, which ends at a maximum."""
    share = responsibilities(params, x)
    share = share / share.sum(axis=1, keepdims=True)
    means = share @ x
    offsets = x - means[:, None]  # (k, n, d)
    return means, np.swapaxes(share[:, :, None] * offsets, 1, 2) @ offsets


def fit(method, params, x, steps):
    """What the method found, and the params and the gradient's norm after each of its steps."""
    path, norms = [params], []
    gradient = td.jit(td.grad(loss))

    def follow(params):
        path.append(params)
        norms.append(np.linalg.norm(td.tree.ravel(gradient(params, x))[0]))

    options = {"maxiter": steps} | ({"xtol": 1e-12} if method == "Newton-CG" else {"gtol": 1e-10})
    found = td.minimize(loss, params, method, args=(x,), jit=True, callback=follow, options=options)
    return found, path, norms


def ellipses(params, radius=2.0):
    """Around each component, where it is `radius` standard deviations away: (k, 100, d)."""
    circle = np.linspace(0, 2 * np.pi, 100)
    circle = radius * np.stack([np.cos(circle), np.sin(circle)], axis=1)
    factors = precision_factors(params)
    return circle @ np.linalg.inv(factors) + params["means"][:, None]


def draw(path, x, out, norms) -> None:
    figure = Figure(figsize=(11, 5), layout="constrained")
    flower, descent = figure.subplots(1, 2)
    colors = np.array([f"C{k}" for k in range(PETALS)])
    for shade, params in zip(np.linspace(0.1, 1, len(path)) ** 3, path, strict=True):
        for outline, color in zip(ellipses(params), colors, strict=True):
            flower.plot(*outline.T, color=color, alpha=shade, linewidth=1)
    components = responsibilities(path[-1], x).argmax(axis=0)
    flower.scatter(*x.T, c=colors[components], s=4, alpha=0.6, linewidths=0)
    flower.set(title=f"The components on their way: {len(path) - 1} steps", aspect="equal")
    flower.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))
    for method, color in METHODS.items():
        descent.semilogy(norms[method], color=color, marker=".", label=method)
    descent.set(title="What each knows of the curvature", xlabel="steps")
    descent.set(ylabel="length of the gradient", ylim=(1e-9, 3))
    descent.grid(alpha=0.3)
    descent.legend()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="gaussian_mixture.png", help="where to draw the picture")
    parser.add_argument("--steps", type=int, default=150, help="of each method, at most")
    options = parser.parse_args()

    rng = np.random.default_rng(3)
    x, truth = flower(rng)
    params, norms, paths = init_params(rng), {}, {}
    print(f"{'method':10} steps  evaluations  of the Hessian      loss  length of the gradient")
    for method in METHODS:
        found, paths[method], norms[method] = fit(method, params, x, options.steps)
        print(f"{method:10} {found.steps:5} {found.evaluations:12} {found.hessians:15} "
              f"{found.fun:9.6f} {norms[method][-1]:23.1e}")  # fmt: skip

    fitted = paths["Newton-CG"][-1]
    distances = np.linalg.norm(fitted["means"][:, None] - truth, axis=2)
    print(f"each mean within {distances.min(axis=0).max():.3f} of the true one")
    means, covariances = maximize_expectation(fitted, x)
    factors = precision_factors(fitted)
    inverse = np.linalg.inv(factors @ np.swapaxes(factors, 1, 2))
    moved = max(np.abs(means - fitted["means"]).max(), np.abs(covariances - inverse).max())
    print(f"a step of expectation maximization moves it by {moved:.1e}")
    draw(paths["Newton-CG"], x, options.out, norms)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
