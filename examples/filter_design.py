"""A filter for a frequency response: the coefficients follow the gradient of the largest error.

A short filter that passes low frequencies and stops high ones. Cutting a sinc with a window is the
textbook's way; here the worst deviation in both bands is made small, smoothly: as a norm of high
order, whose order grows. The least possible worst error has ripples of one height (Parks and
McClellan, Chebyshev approximation for nonrecursive digital filters, 1972).
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

TAPS, POINTS = 31, 512
FREQUENCY = np.fft.rfftfreq(2 * POINTS)  # in cycles a sample
PASS, STOP = 0.11, 0.16
BANDS = (FREQUENCY <= PASS) | (FREQUENCY >= STOP)
WANTED = (FREQUENCY <= PASS).astype(float)


def mirror(half):
    """(16,) -> (31,): a symmetric filter delays all frequencies alike."""
    return np.concatenate([half[:0:-1], half])


def respond(half):
    """The size of the response at each frequency: (16,) -> (513,)."""
    return np.abs(np.fft.rfft(mirror(half), 2 * POINTS))


def deviations(half):
    return np.abs(respond(half) - WANTED)[BANDS]


def norm(half, order):
    """A norm of the deviations, close to their maximum where the order is high."""
    return np.mean((deviations(half) / 0.1) ** order) ** (1 / order)


def window_design():
    """A sinc, cut by a Hamming window."""
    n = np.arange(TAPS // 2 + 1)
    middle = PASS + STOP
    return middle * np.sinc(middle * n) * (0.54 + 0.46 * np.cos(np.pi * n / (TAPS // 2)))


def decibels(response):
    return 20 * np.log10(np.maximum(response, 1e-6))


def draw(path, designs):
    figure = Figure(figsize=(9, 4), layout="constrained")
    whole, taps = figure.subplots(1, 2)
    for name, half in designs.items():
        whole.plot(FREQUENCY, decibels(respond(half)), label=name)
        taps.plot(mirror(half), ".-", label=name)
    whole.axvspan(PASS, STOP, alpha=0.15, color="k", label="may be anything")
    whole.set(xlabel="cycles a sample", ylabel="dB", ylim=(-90, 5), title="response")
    taps.set(xlabel="sample", title="coefficients")
    for axes in (whole, taps):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="filter_design.png", help="where to draw the picture")
    out = parser.parse_args().out

    window, half = window_design(), window_design()
    for order in (2, 4, 8, 16, 32, 64):
        half = td.minimize(norm, half, method="L-BFGS-B", args=(order,)).x
    for name, design in (("window", window), ("gradient", half)):
        print(f"{name:>8}: largest deviation {decibels(deviations(design).max()):.1f} dB")
    draw(out, {"a sinc with a window": window, "by gradients": half})
    print(f"drew {out}")


if __name__ == "__main__":
    main()
