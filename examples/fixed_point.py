"""Kepler's equation, solved by iteration and differentiated without it.

Where a planet is on its orbit, the eccentric anomaly E, depends on the time, the mean anomaly M,
and on the orbit's eccentricity e by E = M + e sin E. Iterating that finds E; the derivative follows
from the equation alone, while the tape of the iteration would keep every step. Both are compared
with the closed forms dE/dM = 1 / (1 - e cos E) and dE/de = sin E / (1 - e cos E).
"""

import time
import tracemalloc

import numpy as np

import tinygrad_digits as td


def kepler(orbit, anomaly):
    return orbit["mean"] + orbit["e"] * np.sin(anomaly)


def implicit(orbit):
    return td.fixed_point(kepler, orbit, orbit["mean"])


def unrolled(orbit):
    anomaly = orbit["mean"]
    for _ in range(55):  # as many as td.fixed_point takes here
        anomaly = kepler(orbit, anomaly)
    return anomaly


def measured(f, *args):
    """The result, the seconds it took, and the megabytes at its peak."""
    start = time.perf_counter()
    result = f(*args)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    f(*args)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, seconds, peak / 1e6


def main() -> None:
    orbit = {"mean": np.linspace(0.1, 3.0, 20_000), "e": 0.6}  # a comet at many times
    anomaly = implicit(orbit)
    slope = 1 / (1 - orbit["e"] * np.cos(anomaly))
    closed = {"mean": slope, "e": np.sum(np.sin(anomaly) * slope)}

    for solve in (implicit, unrolled):
        gradient = td.grad(lambda orbit, solve=solve: np.sum(solve(orbit)))
        found, seconds, megabytes = measured(gradient, orbit)
        errors = [np.max(np.abs(found[name] / closed[name] - 1)) for name in closed]
        print(
            f"{solve.__name__}: {1e3 * seconds:5.0f} ms, {megabytes:5.1f} MB, "
            f"off the closed form by {max(errors):.1e}"
        )

    e, mean = 0.6, 1.0
    second = td.grad(td.grad(lambda mean: implicit({"mean": mean, "e": e})))(mean)
    at = implicit({"mean": mean, "e": e})
    expected = -e * np.sin(at) / (1 - e * np.cos(at)) ** 3
    print(f"second derivative by M: {second:.12f}, closed form {expected:.12f}")


if __name__ == "__main__":
    main()
