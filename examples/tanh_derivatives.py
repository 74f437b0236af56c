"""tanh and its first four derivatives, each the gradient of the one before."""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td


def elementwise(f):
    """The derivative of a function that works on each element by itself."""
    return td.grad(lambda x: np.sum(f(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="tanh_derivatives.png", help="where to draw the picture")
    out = parser.parse_args().out

    x = np.linspace(-4, 4, 401)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    f = np.tanh
    for order, name in enumerate(["tanh", "first", "second", "third", "fourth"]):
        y = f(x)
        axes.plot(x, y / np.abs(y).max(), label=name if order == 0 else f"{name} derivative")
        f = elementwise(f)
    axes.set(title="grad of grad of grad of tanh (each scaled to 1)", xlabel="x")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(out, dpi=120)

    half = 0.5
    second = td.grad(td.grad(np.tanh))(half)
    closed = -2 * np.tanh(half) * (1 - np.tanh(half) ** 2)
    print(f"tanh''(0.5) = {second:.15f}, closed form {closed:.15f}; drew {out}")


if __name__ == "__main__":
    main()
