"""Burgers' equation by a spectral method, and its initial condition from its end.

u_t + u u_x = v u_xx on a circle: waves steepen, and viscosity wears them down. Derivatives are
products in Fourier space, where viscosity is exact (an integrating factor); steps are Runge and
Kutta's. The gradient goes through all of them, back to the wave that must have been at the start
(spectral methods: Trefethen, Spectral Methods in MATLAB, 2000, chapter 10).
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

POINTS, STEPS, TIME = 128, 40, 0.4
VISCOSITY, NOISE = 0.05, 0.005
X = 2 * np.pi * np.arange(POINTS) / POINTS
WAVES = np.fft.rfftfreq(POINTS, 1 / POINTS)
STEP = TIME / STEPS
HALF = np.exp(-VISCOSITY * WAVES**2 * STEP / 2)  # what viscosity leaves after half a step
KEPT = np.where(WAVES < POINTS / 3, 1.0, 0.0)  # products of higher ones would be taken for lower


def advect(spectrum):
    """The spectrum of -u u_x = -(u**2 / 2)_x."""
    u = np.fft.irfft(spectrum, POINTS)
    return -0.5j * WAVES * KEPT * np.fft.rfft(u * u)


def step(spectrum):
    """Runge and Kutta's step of the fourth order, with viscosity as a factor."""
    a = STEP * advect(spectrum)
    b = STEP * advect(HALF * (spectrum + a / 2))
    c = STEP * advect(HALF * spectrum + b / 2)
    d = STEP * advect(HALF**2 * spectrum + HALF * c)
    return HALF**2 * spectrum + (HALF**2 * a + 2 * HALF * (b + c) + d) / 6


def solve(start):
    """The wave at the end of each step, the start first: (points,) -> (1 + steps, points)."""
    spectra = [np.fft.rfft(start)]
    for _ in range(STEPS):
        spectra.append(step(spectra[-1]))
    return np.fft.irfft(np.stack(spectra), POINTS)


def wave(modes):
    """(modes,) complex amplitudes of sines and cosines -> (points,)."""
    return np.sum(np.real(modes[:, None] * np.exp(1j * np.arange(1, 7)[:, None] * X)), axis=0)


def misfit(modes, seen):
    """Of the wave at the end; and a little for large amplitudes, which noise would ask for."""
    end = solve(wave(modes))[-1]
    return np.mean((end - seen) ** 2) + 1e-6 * np.sum(np.abs(modes) ** 2)


def draw(path, truth, seen, found):
    figure = Figure(figsize=(9, 4), layout="constrained")
    waves, picture = figure.subplots(1, 2)
    waves.plot(X, seen, ".", color="gray", markersize=3, label="seen at the end, with noise")
    waves.plot(X, wave(found), label="the start that follows")
    waves.plot(X, truth, "k--", linewidth=1, label="the start that was")
    waves.set(xlabel="x", title="An initial condition from the end")
    waves.legend(fontsize=8)
    waves.grid(alpha=0.3)
    image = picture.imshow(solve(wave(found)), aspect="auto", cmap="RdBu", origin="lower",
                           extent=(0, 2 * np.pi, 0, TIME))  # fmt: skip
    picture.set(xlabel="x", ylabel="time", title="u")
    figure.colorbar(image)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="burgers.png", help="where to draw the picture")
    out = parser.parse_args().out

    rng = np.random.default_rng(0)
    modes = (rng.standard_normal(6) + 1j * rng.standard_normal(6)) / np.arange(1, 7) ** 1.5
    truth = wave(modes)
    seen = solve(truth)[-1] + NOISE * rng.standard_normal(POINTS)

    value_and_grad = td.jit(td.value_and_grad(misfit))
    guess = np.zeros(6, complex)
    _, slope = value_and_grad(guess, seen)
    print(f"at the start the gradient is {np.abs(slope).max():.2f}, of {slope.dtype}")
    fit = td.minimize(misfit, guess, method="L-BFGS-B", args=(seen,), jit=True)
    error = np.linalg.norm(wave(fit.x) - truth) / np.linalg.norm(truth)
    print(f"misfit {misfit(guess, seen):.2e} before, {fit.fun:.2e} after {fit.steps} steps")
    print(f"the initial wave is off by {error:.1%}")
    draw(out, truth, seen, fit.x)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
