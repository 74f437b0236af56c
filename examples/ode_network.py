"""A network that learns a law of motion: dy/dt = network(y), from one path of 1,000 points.

The network is trained on short pieces of the path, through the steps of the solver, by one jitted
program; then it goes the whole path alone. (Chen et al., Neural ordinary differential equations,
2018, have the idea, and the spiral.)
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

MATRIX = np.array([[-0.1, 2.0], [-2.0, -0.1]])
TIMES = np.linspace(0, 25, 1000)
START = np.array([2.0, 0.0])
HIDDEN = 50
PIECES, LENGTH = 64, 10  # how many pieces of the path a step of training sees, of how many points


def spiral(y, _t):
    return y**3 @ MATRIX


def network(y, _t, params):
    """(n, 2) -> (n, 2), or (2,) -> (2,)."""
    (w1, b1), (w2, b2) = params
    return np.tanh(y**3 @ w1 + b1) @ w2 + b2


def init_params(rng):
    return [(0.3 * rng.standard_normal((2, HIDDEN)), np.zeros(HIDDEN)),
            (0.3 * rng.standard_normal((HIDDEN, 2)), np.zeros(2))]  # fmt: skip


def loss(params, starts, targets):
    """How far the network is off on pieces of the path: (n, 2), (m, n, 2) -> ()."""
    ts = TIMES[:LENGTH]
    return np.mean(
        np.abs(td.odeint(network, starts, ts, params, rtol=1e-4, max_steps=20) - targets)
    )


def path_loss(params, path):
    """How far it is off on the whole path, which it goes alone: (1000, 2) -> ()."""
    return np.mean(np.abs(td.odeint(network, START, TIMES, params) - path))


def train(params, path, steps, rng):
    schedule = td.optim.schedules.cosine(0.02, steps)
    adam = td.optim.adam(schedule)
    state = adam.init(params)

    @td.jit
    def update(params, state, starts, targets):
        value, grads = td.value_and_grad(loss)(params, starts, targets)
        return value, *adam.update(params, grads, state)

    losses = []
    for _ in range(steps):
        first = rng.integers(0, len(path) - LENGTH, PIECES)
        targets = path[first + np.arange(LENGTH)[:, None]]  # (m, n, 2)
        value, params, state = update(params, state, path[first], targets)
        losses.append(value)
    return params, np.array(losses)


def measure_gradient(params, path):
    """The seconds of processor time that a gradient through the whole path takes, at best."""
    gradient, seconds = td.jit(td.grad(path_loss)), []
    gradient(params, path)
    for _ in range(5):
        start = time.process_time()
        gradient(params, path)
        seconds.append(time.process_time() - start)
    return min(seconds)


def draw(out, path, learned, losses, params):
    figure = Figure(figsize=(13, 4), layout="constrained")
    over_time, phases, training = figure.subplots(1, 3)
    over_time.plot(TIMES, path[:, 0], "C0", alpha=0.25, linewidth=4, label="spiral, x")
    over_time.plot(TIMES, path[:, 1], "C3", alpha=0.25, linewidth=4, label="spiral, y")
    over_time.plot(TIMES, learned[:, 0], "C0", linewidth=1, label="network, x")
    over_time.plot(TIMES, learned[:, 1], "C3", linewidth=1, label="network, y")
    over_time.set(xlabel="t", title="The path, and where the network goes alone")
    over_time.legend(fontsize=8, loc="upper right")
    x, y = np.meshgrid(np.linspace(-2.2, 2.2, 25), np.linspace(-2.2, 2.2, 25))
    arrows = network(np.stack([x, y], axis=2).reshape(-1, 2), 0.0, params).T.reshape(2, 25, 25)
    phases.streamplot(x, y, *arrows, color="0.8", linewidth=0.6, arrowsize=0.7)
    phases.plot(*path.T, "0.6", linewidth=3, label="spiral")
    phases.plot(*learned.T, "C0", linewidth=1, label="network")
    phases.set(title="The field that it has learned", aspect="equal", xlabel="x", ylabel="y")
    phases.legend(fontsize=8, loc="upper right")
    training.semilogy(losses, "C0", linewidth=0.5)
    training.set(xlabel="step", title="Loss on pieces of the path")
    training.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="ode_network.png", help="where to draw the picture")
    parser.add_argument("--steps", type=int, default=1500, help="how long to train")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    path = td.odeint(spiral, START, TIMES)
    start = time.perf_counter()
    params, losses = train(init_params(rng), path, options.steps, rng)
    seconds = time.perf_counter() - start
    print(f"off by {losses[0]:.4f} on pieces of the path before training, "
          f"{losses[-50:].mean():.4f} after {options.steps} steps ({seconds:.1f} s)")  # fmt: skip
    print(f"off by {path_loss(params, path):.4f} on the whole path, which it goes alone")
    print(f"a gradient through {len(TIMES)} points takes {measure_gradient(params, path):.3f} s")
    learned = td.odeint(network, START, TIMES, params)
    draw(options.out, path, learned, losses, params)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
