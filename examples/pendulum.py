"""A pendulum's length and friction, found from a film of it: noisy angles, and nothing else.

The angles are those of theta'' = -g/l sin(theta) - k theta', from a start that is not known either.
Gradients come from the steps of the solver, and once more from the adjoint equation, as a check.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

GRAVITY = 9.81
NOISE = 0.05  # radians
TRUTH = {"length": 1.3, "friction": 0.15, "angle": 2.4, "speed": 0.0}
UNITS = {"length": "m", "friction": "1/s", "angle": "rad", "speed": "rad/s"}


def swing(state, _t, params):
    pull = -GRAVITY / params["length"] * np.sin(state["angle"])
    return {"angle": state["speed"], "speed": pull - params["friction"] * state["speed"]}


def film(params, ts, adjoint="discrete"):
    """The angles at ts, (m,), of a pendulum that starts with the angle and speed in params."""
    start = {"angle": params["angle"], "speed": params["speed"]}
    return td.odeint(swing, start, ts, params, method="tsit5", adjoint=adjoint)["angle"]


def misfit(params, ts, angles, adjoint="discrete"):
    return np.mean((film(params, ts, adjoint) - angles) ** 2)


def find(guess, ts, angles):
    """The parameters that fit; first those of the beginning, where phases cannot be mistaken."""
    for seconds in (1.0, 3.0, 10.0):
        shown = ts <= seconds
        args = (ts[shown], angles[shown])
        guess = td.minimize(misfit, guess, method="BFGS", args=args).x
    return guess


def deviations(params, ts):
    """What noise in the angles does to each parameter: the Gauss-Newton covariance's root."""
    vector, unravel = td.tree.ravel(params)
    slopes = td.jacobian(lambda vector: film(unravel(vector), ts))(vector)  # (m, 4)
    return unravel(NOISE * np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))))


def draw(path, ts, angles, guess, found):
    figure = Figure(figsize=(11, 4), layout="constrained")
    over_time, phases = figure.subplots(1, 2, width_ratios=(3, 2))
    fine = np.linspace(0, 14, 800)
    over_time.plot(ts, angles, "k.", markersize=3, label="filmed")
    over_time.plot(fine, film(guess, fine), "0.7", label="first guess")
    over_time.plot(fine, film(TRUTH, fine), "C0--", label="truth")
    over_time.plot(fine, film(found, fine), "C3", linewidth=1, label="found")
    over_time.axvline(ts[-1], color="0.5", linewidth=0.5)
    over_time.set(xlabel="seconds", ylabel="angle", title="A pendulum, filmed for 10 seconds")
    over_time.legend(fontsize=8, loc="upper right")
    angle, speed = np.meshgrid(np.linspace(-3.2, 3.2, 25), np.linspace(-6.5, 6.5, 25))
    arrows = swing({"angle": angle, "speed": speed}, 0.0, found)
    phases.streamplot(angle, speed, arrows["angle"], arrows["speed"], color="0.8", linewidth=0.6)
    start = {"angle": found["angle"], "speed": found["speed"]}
    way = td.odeint(swing, start, fine, found)
    phases.plot(way["angle"], way["speed"], "C3")
    phases.set(xlabel="angle", ylabel="speed", title="The way that it goes")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="pendulum.png", help="where to draw the picture")
    out = parser.parse_args().out

    ts = np.linspace(0, 10, 201)
    angles = film(TRUTH, ts) + NOISE * np.random.default_rng(0).standard_normal(len(ts))
    guess = {"length": 1.0, "friction": 0.0, "angle": float(angles[0]), "speed": 0.0}
    found = find(guess, ts, angles)
    off = deviations(found, ts)
    for name, unit in UNITS.items():
        print(f"{name:>8} {found[name]:7.4f} +- {off[name]:.4f} {unit} (truth {TRUTH[name]})")

    discrete, continuous = (
        td.tree.ravel(td.grad(misfit)(guess, ts, angles, adjoint))[0]
        for adjoint in ("discrete", "continuous")
    )
    difference = np.linalg.norm(discrete - continuous) / np.linalg.norm(discrete)
    print(f"steps against adjoint equation: {difference:.1e}")
    draw(out, ts, angles, guess, found)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
