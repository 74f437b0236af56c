"""Smoke that is stirred once, and drifts into the shape of a nabla: descent through a simulation.

An incompressible fluid in a box is simulated for a while; the loss looks at its smoke at the end,
and its gradient with respect to the vorticity at the beginning goes back through all the steps.
The method is that of Stam, Stable Fluids, 1999, in vorticity and stream function: a velocity that
is a stream function's curl has no divergence, and Poisson's equation is two sine transforms.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

SIZE, MODES, STEPS, DT = 64, 20, 40, 0.5

K = np.arange(1, SIZE + 1)
SINES = np.sqrt(2 / (SIZE + 1)) * np.sin(np.pi * np.outer(K, K) / (SIZE + 1))  # its own inverse
EIGENVALUES = 2 - 2 * np.cos(np.pi * K / (SIZE + 1))  # of minus the second difference
ROWS, COLUMNS = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")


def velocity(vorticity):
    """Down and to the right, in cells per unit of time; along the walls at the walls."""
    stream = SINES @ ((SINES @ vorticity @ SINES) / (EIGENVALUES[:, None] + EIGENVALUES)) @ SINES
    stream = np.pad(stream, 1, "constant")  # no flow through the walls
    down = (stream[1:-1, 2:] - stream[1:-1, :-2]) / 2
    right = (stream[:-2, 1:-1] - stream[2:, 1:-1]) / 2
    return down, right


def trace_back(down, right):
    """Where each cell's fluid comes from: a cell, and how far towards the next, down and right."""
    row = np.clip(ROWS - DT * down, 0, SIZE - 1.001)
    column = np.clip(COLUMNS - DT * right, 0, SIZE - 1.001)
    i, j = np.floor(row).astype(int), np.floor(column).astype(int)
    return i, j, row - i, column - j


def interpolate(field, i, j, a, b):
    above = (1 - b) * field[i, j] + b * field[i, j + 1]
    below = (1 - b) * field[i + 1, j] + b * field[i + 1, j + 1]
    return (1 - a) * above + a * below


def step(state, _=None):
    """Vorticity and smoke a moment later, each (n, n); and the smoke."""
    vorticity, smoke = state
    origin = trace_back(*velocity(vorticity))
    smoke = interpolate(smoke, *origin)
    return (interpolate(vorticity, *origin), smoke), smoke


def simulate(modes, smoke):
    """The smoke after each step, by amplitudes of sines as the vorticity at the beginning."""
    vorticity = SINES[:, :MODES] @ modes @ SINES[:MODES]
    _, history = td.scan(step, (vorticity, smoke), None, length=STEPS)
    return history


def loss(modes, smoke, target):
    """How far the smoke ends from the target, and a little for stirring hard."""
    return np.mean((simulate(modes, smoke)[-1] - target) ** 2) + 1e-6 * np.mean(modes**2)


def nabla():
    """A triangle that stands on its tip, its strokes some cells wide and soft at their edges."""
    y, x = 2 * ROWS / (SIZE - 1) - 1, 2 * COLUMNS / (SIZE - 1) - 1
    sides = np.stack([-0.6 - y, 0.88 * x + 0.47 * y - 0.33, -0.88 * x + 0.47 * y - 0.33])
    inside = -sides.max(axis=0)  # the distance to the nearest side
    return 1 / (1 + np.exp(-40 * np.minimum(inside, 0.22 - inside)))


def disk(area):
    """A round cloud in the middle, of as many cells."""
    y, x = ROWS - (SIZE - 1) / 2, COLUMNS - (SIZE - 1) / 2
    return 1 / (1 + np.exp(np.sqrt(x**2 + y**2) - np.sqrt(area / np.pi)))


def draw(modes, smoke, target, out) -> None:
    """How it is stirred, the smoke at six moments, and what was wanted."""
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    stirred, *moments, wanted = figure.subplots(2, 4).ravel()
    down, right = velocity(SINES[:, :MODES] @ modes @ SINES[:MODES])
    stirred.streamplot(COLUMNS, ROWS, right, down, color=np.hypot(right, down), density=1.4,
                       linewidth=0.9, arrowsize=0.7)  # fmt: skip
    stirred.set(title="stirred once", xlim=(0, SIZE - 1), ylim=(SIZE - 1, 0), aspect="equal")
    history = np.concatenate([smoke[None], simulate(modes, smoke)])
    for axes, k in zip(moments, np.linspace(0, STEPS, len(moments)).astype(int), strict=True):
        axes.imshow(history[k], cmap="inferno", vmin=0, vmax=1)
        axes.set(title=f"t = {k * DT:g}")
    wanted.imshow(target, cmap="inferno", vmin=0, vmax=1)
    wanted.set(title="wanted")
    for axes in (stirred, *moments, wanted):
        axes.set(xticks=[], yticks=[])
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="fluid.png", help="where to draw the picture")
    parser.add_argument("--steps", type=int, default=150, help="of the optimization")
    options = parser.parse_args()

    target = nabla()
    smoke = disk(target.sum())
    modes = 0.1 * np.random.default_rng(0).standard_normal((MODES, MODES))
    print(f"loss {loss(modes, smoke, target):.5f} before")
    found = td.minimize(loss, modes, "L-BFGS-B", args=(smoke, target), jit=True,
                        options={"maxiter": options.steps})  # fmt: skip
    print(f"loss {found.fun:.5f} after {found.steps} steps, {found.evaluations} simulations")
    draw(found.x, smoke, target, options.out)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
