"""Rosenbrock's banana valley, by several of SciPy's methods with exact derivatives.

The minimum is at (1, 1), at the end of a curved valley with steep walls: what a method knows of
the curvature decides how many evaluations it takes to get there.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

METHODS = ["Nelder-Mead", "CG", "BFGS", "L-BFGS-B", "Newton-CG", "trust-ncg", "trust-exact"]
DRAWN = {"CG": "C1", "BFGS": "C3", "trust-exact": "k"}


def rosenbrock(p):
    return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2


def descend(method, start):
    """What the method found, and the points on the way."""
    path = [start]
    found = td.minimize(rosenbrock, start, method, tol=1e-8, callback=path.append)
    return found, np.array([[p["x"], p["y"]] for p in path])


def draw(paths, out) -> None:
    x, y = np.meshgrid(np.linspace(-1.8, 1.8, 301), np.linspace(-0.8, 2.8, 301))
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    heights = np.log10(rosenbrock({"x": x, "y": y}) + 1e-2)
    axes.contourf(x, y, heights, levels=24, cmap="Blues_r", alpha=0.6)
    for method, path in paths.items():
        axes.plot(
            *path.T, marker=".", color=DRAWN[method], label=f"{method}, {len(path) - 1} steps"
        )
    axes.plot(1, 1, "k*", markersize=12)
    axes.set(title="The way down Rosenbrock's valley", xlabel="x", ylabel="y")
    axes.set(xlim=(-1.8, 1.8), ylim=(-0.8, 2.8))
    axes.legend(loc="lower left")
    figure.savefig(out, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="rosenbrock.png", help="where to draw the picture")
    out = parser.parse_args().out

    start = {"x": -1.2, "y": 1.0}
    print("method        steps  evaluations  of the Hessian  distance to (1, 1)")
    paths = {}
    for method in METHODS:
        found, path = descend(method, start)
        distance = np.hypot(found.x["x"] - 1, found.x["y"] - 1)
        print(
            f"{method:12} {found.steps:6} {found.evaluations:12} {found.hessians:15} "
            f"{distance:19.1e}"
        )
        if method in DRAWN:
            paths[method] = path
    draw(paths, out)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
