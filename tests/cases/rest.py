"""Cases of ops.sequences and ops.creation: along an axis, filters, polynomials, new arrays."""

import inspect

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.cases import Draw, case, distinct, increasing, nonzero, normal, positive, uniform

SHAPE = "its result has a shape that depends on values"
SORTED = {"sorted": True} if "sorted" in inspect.signature(np.unique).parameters else {}
UNIQUE = (np.unique, np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values)
TIMES = np.array([0.0, 0.5, 2.0, 2.25])
NUMBERS = np.array([0, 2, 2, 4])
GROUND = np.array([0.1, 0.5, 0.35, 0.9, 1.0, 2.0])
PROPER = increasing(5)
BETWEEN = Draw(lambda rng: np.array([0.1, 0.7, 1.4, 0.45]) + rng.uniform(-0.05, 0.05, 4))
KNOTS = Draw(lambda rng: np.array([0.0, 0.3, 0.6, 1.2]) + rng.uniform(-0.05, 0.05, 4))
TURNS = Draw(lambda rng: np.array([0.2, 3.0, 6.0, 9.1, 0.3]) + rng.uniform(-0.1, 0.1, 5))


def total(x):
    """A function of vectors for np.apply_along_axis."""
    return np.sum(x * x)


def scaled(x, by, power=1):
    return x**power * by


SORTING = [
    case(np.sort, distinct(5)),
    case(np.sort, distinct(3, 4), axis=0),
    case(np.sort, distinct(3, 4), -2, kind="mergesort"),
    case(np.sort, distinct(2, 3), axis=None, stable=True),
    case(np.sort, distinct(0)),
    case(np.partition, distinct(3), 1),  # what is between the kth ones has one place only
    case(np.partition, distinct(3, 4), (1, 2), axis=0, kind="introselect"),
    case(np.partition, distinct(2, 2), kth=[0, 2], axis=None),
    case(np.partition, distinct(2, 5), [0, 2, -1], -1),
    case(sliding_window_view, normal(5), 2),
    case(sliding_window_view, normal(3, 4), (2, 3)),
    case(sliding_window_view, normal(3, 4), 2, axis=-1),
]
DIFFERENCES = [
    case(np.diff, normal(5)),
    case(np.diff, normal(3, 4), n=2, axis=0),
    case(np.diff, normal(3, 4), 0),
    case(np.diff, normal(2, 3), prepend=normal(), append=normal(2, 1)),
    case(np.diff, normal(2, 3), axis=0, append=normal(1, 3)),
    case(np.diff, TIMES, prepend=normal()),
    case(np.diff, normal(1)),
    case(np.ediff1d, normal(5)),
    case(np.ediff1d, normal(2, 3), to_end=normal(2), to_begin=normal()),
    case(np.ediff1d, normal(3), to_begin=[1.0, 2.0]),
    case(np.ediff1d, TIMES, to_end=normal(1)),
    case(np.ediff1d, normal(1)),
    case(np.gradient, normal(5)),
    case(np.gradient, normal(3, 4)),
    case(np.gradient, normal(3, 4), 0.5, axis=0),
    case(np.gradient, normal(3, 4), 0.5, TIMES, edge_order=2),
    case(np.gradient, normal(3, 4), TIMES, axis=-1),
    case(np.gradient, normal(3, 4), TIMES[:3], 2, axis=(0, 1), edge_order=2),
    case(np.gradient, normal(3, 4), [0, 1, 2, 3], axis=1),
    case(np.gradient, normal(4), positive(), edge_order=2),
    case(np.gradient, normal(4), increasing(4)),
    case(np.gradient, normal(4), increasing(4), edge_order=2),
    case(np.gradient, TIMES, positive()),
    case(np.gradient, np.arange(4), increasing(4)),
    case(np.trapezoid, normal(5)),
    case(np.trapezoid, normal(3, 4), dx=0.5, axis=0),
    case(np.trapezoid, normal(3, 4), dx=positive()),
    case(np.trapezoid, normal(3, 4), x=TIMES),
    case(np.trapezoid, normal(4, 3), increasing(4), axis=0),
    case(np.trapezoid, normal(3, 4), increasing(3, 4)),
    case(np.trapezoid, [1.0, 2.0, 4.0], increasing(3)),
    case(np.trapezoid, normal(1)),
    case(np.unwrap, TURNS),
    case(np.unwrap, normal(3, 4), discont=4.0, axis=0),
    case(np.unwrap, TURNS, period=2.5),
]
INTERPOLATION = [
    case(np.interp, BETWEEN, KNOTS, normal(4)),
    case(np.interp, BETWEEN, KNOTS, normal(4), left=1.0, right=-1.0),
    case(np.interp, BETWEEN, KNOTS, normal(4), period=0.9),
    case(np.interp, uniform(0.05, 0.25, 2, 3), [0.0, 0.3, 0.6], normal(3)),
    case(np.interp, uniform(0.05, 0.25), KNOTS, [1.0, 2.0, 0.0, 1.0]),
    case(np.interp, 0.45, KNOTS, normal(4)),
    case(np.interp, [-1.0, 5.0, 0.2], [0.0, 1.0, 2.0], normal(3)),
    case(np.interp, BETWEEN, [0.0, 1.0, 1.3], [0.0, 1.0, 3.0]),
    case(np.interp, BETWEEN, [0.0, 1.0, 1.3], [0.0, 1.0, 3.0], period=1.7),
    case(np.interp, [0.5, 2.0], [1.0], normal(1)),
    case(np.interp, [0.5, 2.0], KNOTS, normal(4), period=0.9),
]
FILTERS = [
    case(f, normal(n), normal(m), **options)
    for f in (np.convolve, np.correlate)
    for n, m in [(5, 3), (2, 4), (4, 4), (1, 3)]
    for options in [{}, {"mode": "full"}, {"mode": "same"}, {"mode": "valid"}]
] + [
    case(np.convolve, TIMES, normal(3)),
    case(np.convolve, normal(3), TIMES, "same"),
    case(np.convolve, normal(), [1.0, 2.0]),
    case(np.correlate, TIMES, normal(2)),
    case(np.correlate, normal(3), NUMBERS, "full"),
]


def zeros(p, q):
    return np.roots(p + q * 1j)


POLYNOMIALS = [
    case(np.polyval, normal(4), normal(3)),
    case(zeros, nonzero(4), nonzero(4)).but(label="np.roots"),
    case(np.sort_complex, distinct(4)),
    case(np.sort_complex, distinct(3, 2)),
    case(np.polyval, normal(3), 2.0),
    case(np.polyval, [1.0, -2.0, 3], normal(2, 2)),
    case(np.polyval, normal(0), normal(2)),
    case(np.polyadd, normal(4), normal(2)),
    case(np.polyadd, [1, 2, 3], normal(2)),
    case(np.polysub, normal(2), normal(3)),
    case(np.polysub, 1.0, normal(3)),
    case(np.polyder, normal(4)),
    case(np.polyder, normal(4), m=2),
    case(np.polyint, normal(3)),
    case(np.polyint, normal(3), m=2, k=normal(2)),
    case(np.polyint, normal(2), 2, 3.0),
    case(np.polyint, normal(2), 0),
    case(np.poly, normal(3)),
    case(np.polyfit, increasing(5), normal(5), 2),
    case(np.polyfit, increasing(5), normal(5, 2), 1, w=positive(5)),
    case(np.polyfit, [0.0, 1.0, 3.0], normal(3), deg=1, rcond=1e-12),
]
MAKING = [
    case(np.copy, normal(2, 3)),
    case(np.copy, normal(2, 3), order="F"),
    case(np.astype, normal(2, 3), np.longdouble),
    case(np.astype, normal(), np.float64, copy=False),
    case(np.full_like, normal(2, 3), normal(3)),
    case(np.full_like, normal(2, 3), fill_value=2.5, dtype=np.float64),
    case(np.full_like, normal(4), fill_value=normal(2), dtype=float, shape=(3, 2)),
    case(np.linspace, normal(), normal(), 5),
    case(np.linspace, normal(2), normal(3, 1), num=4, axis=1),
    case(np.linspace, normal(), 2.0, 4, endpoint=False),
    case(np.linspace, 0, normal(2), 3, retstep=True),
    case(np.linspace, normal(), normal(), 1),
    case(np.linspace, normal(), normal(), 0),
    case(np.linspace, normal(), 1.0, 3, dtype=np.float64),
    case(np.logspace, normal(), normal(), 4),
    case(np.logspace, normal(2), 1.0, num=3, endpoint=False, base=2.0, axis=-1),
    case(np.logspace, 0.5, 1.5, 3, base=positive()),
    case(np.logspace, normal(), 1.5, 3, base=positive(2), dtype=np.float64),
    case(np.geomspace, positive(), positive(), 4),
    case(np.geomspace, positive(2), positive(3, 1), num=3, axis=1),
    case(np.geomspace, -2.0, uniform(-4, -1), 4, endpoint=False),
    case(np.geomspace, positive(), 3.0, 3, dtype=np.float64),
    case(np.geomspace, positive(), 3.0, 1),
    case(np.bincount, NUMBERS, normal(4)),
    case(np.bincount, [1, 0, 1], weights=normal(3), minlength=5),
    case(np.histogram, GROUND, weights=normal(6)),
    case(np.histogram, distinct(6), 3),
    case(np.histogram, distinct(6), 3, density=True),
    case(np.histogram, distinct(6), 3, (uniform(-9, -8), 9.5), weights=GROUND, density=True),
    case(np.histogram_bin_edges, distinct(2, 3), 4),
    case(np.histogram_bin_edges, GROUND, increasing(4)),
    case(np.histogram_bin_edges, distinct(6), "auto").but(untraced=SHAPE),
    case(np.histogram_bin_edges, distinct(6), bins=3, range=(uniform(-9, -8), 9.0), weights=GROUND),
    *[case(f, distinct(2, 3)).but(untraced=SHAPE) for f in UNIQUE],
    case(np.unique, distinct(5), True, True, True).but(untraced=SHAPE),
    case(np.unique, distinct(2, 3), return_inverse=True, axis=1).but(untraced=SHAPE),
    case(
        np.unique,
        distinct(3, 2),
        return_index=True,
        return_counts=True,
        axis=0,
        equal_nan=False,
        **SORTED,
    ).but(untraced=SHAPE),
    case(np.histogram, GROUND, 3, weights=positive(6), density=True),
    case(np.histogram, GROUND, bins=[0.2, 0.5, 1.0], weights=normal(6)),
    case(np.histogram, GROUND, 4, range=(0.3, 1.5), weights=normal(6)),
    case(np.histogram, GROUND.reshape(2, 3), [0, 1, 3], weights=positive(2, 3), density=True),
    case(np.apply_along_axis, total, 0, normal(2, 3)),
    case(np.apply_along_axis, np.cumsum, -1, normal(2, 3)),
    case(np.apply_along_axis, np.diag, 1, normal(2, 3, 2)),
    case(np.apply_along_axis, func1d=scaled, axis=0, arr=normal(2, 3), by=TIMES[:2], power=2),
    case(np.apply_over_axes, np.sum, normal(2, 3, 4), [0, -1]),
    case(np.apply_over_axes, np.mean, normal(2, 3), 1),
]


def zeros(p, q):
    return np.roots(p + q * 1j)


CASES = [
    *SORTING,
    *DIFFERENCES,
    *INTERPOLATION,
    *FILTERS,
    *POLYNOMIALS,
    *MAKING,
]
