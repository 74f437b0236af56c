"""A control pulse for a quantum bit, shaped by gradients through its evolution.

A superconducting qubit is an oscillator whose third level is a little out of tune. A short pulse
that turns state 0 into 1 also leaks into 2; one of the right shape in both quadratures does not.
The Schroedinger equation is solved by a product of exponentials of steps, and the pulse follows the
gradient of the gate's infidelity (GRAPE: Khaneja et al., Optimal control of coupled spin dynamics,
2005).
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

ANHARMONICITY = -2 * np.pi * 0.25  # of the third level, in rad/ns
DURATION, STEPS = 10.0, 50  # ns
STEP = DURATION / STEPS
LOWER = np.diag(np.sqrt([1.0, 2.0]), k=1)  # takes one quantum out of the oscillator
DRIFT = np.diag([0, 0, ANHARMONICITY])
FLIP = np.array([[0, 1], [1, 0]])


def hamiltonians(pulse):
    """(2, steps) amplitudes, in rad/ns -> (steps, 3, 3) Hermitian matrices."""
    in_phase, quadrature = pulse[:, :, None, None] / 2
    return DRIFT + in_phase * (LOWER + LOWER.T) + quadrature * 1j * (LOWER - LOWER.T)


def evolve(pulse):
    """The unitary matrices from the start to the end of each step, as a list of (3, 3)."""
    state, states = np.eye(3), []
    for step in td.linalg.expm(-1j * STEP * hamiltonians(pulse)):
        state = step @ state
        states.append(state)
    return states


def infidelity(pulse):
    """1 - |tr(X* U)|**2 / 4, of what happens to the lower two levels."""
    inside = evolve(pulse)[-1][:2, :2]
    return 1 - np.abs(np.vdot(FLIP, inside)) ** 2 / 4


def cost(pulse):
    """The infidelity, and a little for steep slopes, that a generator cannot make."""
    edges = np.pad(pulse, ((0, 0), (1, 1)))
    return infidelity(pulse) + 1e-4 * np.sum(np.diff(edges) ** 2)


def gaussian_pulse():
    """A pulse of area pi in one quadrature, which would be right for two levels."""
    time = (np.arange(STEPS) + 0.5) * STEP
    shape = np.exp(-0.5 * ((time - DURATION / 2) / (DURATION / 5)) ** 2)
    return np.stack([np.pi * shape / (shape.sum() * STEP), np.zeros(STEPS)])


def draw(path, pulses):
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    time = (np.arange(STEPS) + 0.5) * STEP
    for column, (title, pulse) in zip(figure.subplots(2, 2).T, pulses.items(), strict=True):
        for amplitude, label in zip(pulse, ("in phase", "quadrature"), strict=True):
            column[0].step(time, amplitude / (2 * np.pi) * 1e3, where="mid", label=label)
        column[0].set(title=title, ylabel="MHz")
        populations = np.abs(np.stack(evolve(pulse))[:, :, 0]) ** 2
        for level in range(3):
            column[1].plot(time, populations[:, level], label=f"level {level}")
        column[1].set(xlabel="ns", ylabel="population, from level 0")
        for axes in column:
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="shaped_pulse.png", help="where to draw the picture")
    out = parser.parse_args().out

    start = gaussian_pulse()
    td.check_grads(infidelity, start, order=1)
    fit = td.minimize(cost, start, method="L-BFGS-B")
    for name, pulse in (("gaussian", start), ("shaped", fit.x)):
        leak = np.abs(evolve(pulse)[-1][2, 0]) ** 2
        print(f"{name:>8}: infidelity {infidelity(pulse):.1e}, leaked into level 2 {leak:.1e}")
    draw(out, {"a Gaussian pulse": start, f"shaped in {fit.steps} steps": fit.x})
    print(f"drew {out}")


if __name__ == "__main__":
    main()
