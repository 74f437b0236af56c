"""Hares and lynxes: the rates of Lotka and Volterra's equations, fitted to 21 years of furs.

The data are the pelts that the Hudson's Bay Company bought from 1900 to 1920, in thousands (E. P.
Odum, Fundamentals of Ecology, 1953, after MacLulich). The errors are taken to be lognormal, so that
the fit minimises squares of differences of logarithms; its Hessian tells how sure the rates are.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

YEARS = np.arange(1900.0, 1921.0)
HARES = np.array([30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1, 40.3, 57, 76.6,
                  52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7])  # fmt: skip
LYNXES = np.array([4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7, 51.1,
                   29.7, 15.8, 9.7, 10.1, 8.6])  # fmt: skip
FURS = np.stack([HARES, LYNXES], axis=1)  # (21, 2)
RATES = ["hares are born", "and are eaten", "lynxes starve", "and feed"]


def populations(log_y, _t, rates):
    """Lotka and Volterra's equations for the logarithms: (2,) -> (2,)."""
    born, eaten, starve, feed = rates
    hares, lynxes = np.exp(log_y)
    return np.stack([born - eaten * lynxes, feed * hares - starve])


def simulate(params, ts):
    """Logarithms of the populations, (m, 2): params are those of 4 rates and of the start."""
    return td.odeint(populations, params[4:], ts, np.exp(params[:4]))


def misfit(params):
    """The sum of squared differences of logarithms: (6,) -> ()."""
    return np.sum((simulate(params, YEARS) - np.log(FURS)) ** 2)


def fit():
    """The rates that fit best, and how far each may be off: both (6,), of logarithms."""
    start = np.concatenate([np.log([0.5, 0.03, 0.8, 0.03]), np.log(FURS[0])])
    found = td.minimize(misfit, start, method="BFGS")
    variance = found.fun / (FURS.size - len(found.x))
    covariance = 2 * variance * np.linalg.inv(td.hessian(misfit)(found.x))
    return found, np.sqrt(np.diag(covariance))


def draw(path, params):
    figure = Figure(figsize=(11, 4), layout="constrained")
    over_time, phases = figure.subplots(1, 2, width_ratios=(3, 2))
    ts = np.linspace(1900, 1920, 400)
    curves = np.exp(simulate(params, ts))
    for k, (name, colour) in enumerate([("hares", "C0"), ("lynxes", "C3")]):
        over_time.plot(ts, curves[:, k], colour, label=f"{name}, fitted")
        over_time.plot(YEARS, FURS[:, k], f"{colour}o", markersize=4, label=f"{name}, furs")
    over_time.set(xlabel="year", ylabel="thousands", ylim=(0, None),
                  title="Furs of the Hudson's Bay Company, and the solution that fits")  # fmt: skip
    over_time.set_xticks(range(1900, 1921, 5))
    over_time.legend(fontsize=8)
    phases.plot(*curves.T, "k", linewidth=1)
    phases.plot(*FURS.T, ".-", color="0.6", linewidth=0.5, markersize=6)
    for year in (1900, 1904, 1908, 1913, 1917):
        phases.annotate(str(year), FURS[year - 1900], fontsize=8)
    phases.set(xlabel="hares", ylabel="lynxes", title="One against the other")
    for axes in (over_time, phases):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="lotka_volterra.png", help="where to draw the picture")
    out = parser.parse_args().out

    found, deviations = fit()
    print(f"misfit {found.fun:.3f} after {found.steps} steps")
    for name, x, deviation in zip(RATES, found.x, deviations, strict=False):
        print(f"{name:>15} {np.exp(x):.4f}, give or take {deviation:.0%}")
    draw(out, found.x)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
