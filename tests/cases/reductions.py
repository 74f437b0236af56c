"""Reductions, running sums and products, and statistics."""

import numpy as np

from tests.cases import case, distinct, method, name_of, nonzero, normal, positive

COLUMNS = np.array([True, False, True, True])
SOME = np.array([[True, False, True, True], [True, True, False, True], [False, True, True, True]])
COUNTS = np.array([1, 3, 2, 1])
PLACES = np.array([0.1, 0.35, 0.8])
METHODS = [
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf"),
    *("hazen", "weibull", "linear", "median_unbiased", "normal_unbiased"),
    *("lower", "higher", "midpoint", "nearest"),
]


def each(function, draw, *options):
    return [case(function, draw, **chosen) for chosen in options]


def holed(function, draw, *options):
    """Cases of an array into which NaN is put; what is drawn are the numbers."""

    def with_holes(x, *args, **chosen):
        holes = np.zeros(np.shape(x), bool)
        holes.reshape(-1)[1::5] = True
        return function(np.where(holes, np.nan, x), *args, **chosen)

    return [case.but(label=name_of(function)) for case in each(with_holes, draw, *options)]


AXES = [
    *({}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, -1)}),
    *({"axis": (-1, 0), "keepdims": True}, {"axis": None, "keepdims": True}, {"axis": ()}),
]
CHOSEN = [{"where": COLUMNS}, {"axis": 1, "where": SOME}, {"axis": 0, "where": SOME[:, 1:2]}]
WHERE = [*CHOSEN, {"axis": 0, "keepdims": True, "where": SOME}, {"where": True}]
FROM = [{"initial": 1.5}, {"axis": 1, "initial": 2, "where": SOME, "keepdims": True}]
WIDE = [{"dtype": np.float64}, {"axis": 1, "dtype": float, "where": COLUMNS}]

SUMS = [
    *each(np.sum, normal(2, 3, 4), *AXES, {"axis": (1, 2), "keepdims": True}),
    *each(np.sum, normal(3, 4), *WHERE, *FROM, *WIDE),
    *each(method("sum"), normal(3, 4), {"axis": 1}, *FROM),
    *each(np.sum, normal(0, 3), {}, {"axis": 0}, {"axis": 0, "initial": 2.0}),
    *each(np.mean, normal(2, 3, 4), *AXES),
    *each(np.mean, normal(3, 4), *WHERE, *WIDE),
    *each(method("mean"), normal(3, 4), {"axis": 1, "where": SOME}),
    *each(np.prod, normal(2, 3, 4), *AXES, {"axis": (2, 0), "keepdims": True}),
    *each(np.prod, nonzero(3, 4), *WHERE, *FROM, *WIDE),
    *each(np.prod, normal(0, 3), {}, {"axis": 0}, {"axis": 1, "keepdims": True}),
    *each(method("prod"), normal(3, 4), {"axis": 1}, *FROM),
    *each(np.prod, normal(), {}, {"axis": 0}),
    case(np.sum, normal(), axis=0),
    *[case(f, normal()) for f in (np.sum, np.mean)],
    *[case(f, normal(5), axis=-1) for f in (np.sum, np.mean)],
    case(np.mean, normal(0, 3), axis=1),
]
VARIANCE_OF_ONE = [case(np.var, normal(), **options) for options in ({}, {"keepdims": True})]
CENTRE = {"mean": normal(1, 4), "axis": 0}
SPREADS = [
    chosen
    for function in (np.var, np.std)
    for chosen in (
        *each(function, normal(3, 4), {}, {"axis": 0, "ddof": 1}, {"axis": 1, "correction": 1}),
        *each(function, normal(3, 4), {"correction": 1.5, "keepdims": True}, *WIDE),
        *each(function, normal(3, 4), {"where": COLUMNS}, {"where": SOME, "ddof": 1}, CENTRE),
        *each(
            function, normal(3, 5), {"axis": 1, "keepdims": True, "where": [True] * 3 + [False] * 2}
        ),
        *each(function, normal(3, 4), {**CENTRE, "where": SOME, "correction": 1}),
        *each(method(function.__name__), normal(3, 4), {"axis": 0, "ddof": 1}),
        *each(function, positive(3, 4, 5), *AXES[:-1]),
        *each(function, normal(2, 5), {"ddof": 1}),
        *each(function, normal(5), {"axis": -1}, {"ddof": 1}),
    )
]
BOUNDED = [{"initial": 0.05}, {"axis": 0, "initial": -9.0, "where": SOME, "keepdims": True}]
EXTREMES = [
    chosen
    for function in (np.max, np.min, np.amax, np.amin)
    for chosen in (
        *each(function, distinct(2, 3, 4), *AXES[:-1]),
        *each(function, distinct(3, 4), *BOUNDED, {"where": True}),
        *each(function, distinct(3, 4), {"initial": 99.0, "where": COLUMNS, "axis": 1}),
        *each(function, distinct(2, 3, 4), AXES[-1]),
        *each(function, distinct(0, 3), {"axis": 1}),
        *each(function, distinct(5), {"axis": -1}),
        case(function, distinct()),
    )
]
EXTREMES += [
    *each(method("max"), distinct(3, 4), {"axis": 1}, *BOUNDED),
    *each(method("min"), distinct(3, 4), {"axis": 1}, *BOUNDED),
    *each(np.ptp, distinct(3, 4), {}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}),
]
RUNNING = [
    chosen
    for function in (np.cumsum, np.cumprod)
    for chosen in (
        *each(function, normal(3, 4), {}, {"axis": 0}, {"axis": -1}, {"axis": 1, "dtype": float}),
        *each(function, normal(0, 3), {"axis": 0}, {"axis": 1}, {}),
        *each(method(function.__name__), normal(2, 3), {"axis": 1}),
        *each(function, normal(), {}, {"axis": 0}),
        case(function, normal(7)),
    )
]
if hasattr(np, "cumulative_sum"):
    RUNNING += [
        chosen
        for function in (np.cumulative_sum, np.cumulative_prod)
        for chosen in (
            *each(function, normal(3), {}, {"include_initial": True}, {"dtype": float}),
            *each(function, normal(2, 3), {"axis": 0, "include_initial": True}, {"axis": -1}),
            case(function, normal()),
        )
    ]
NAN = [
    *holed(np.nansum, normal(2, 3, 4), *AXES),
    *holed(np.nansum, normal(3, 4), *WHERE, *FROM, *WIDE),
    *holed(np.nanprod, normal(2, 3, 4), *AXES),
    *holed(np.nanprod, nonzero(3, 4), *WHERE, *FROM, *WIDE),
    *holed(np.nanmean, normal(2, 3, 4), *AXES[:-1]),
    *holed(np.nanmean, normal(3, 4), *WHERE, *WIDE),
]
NAN += [
    chosen
    for function in (np.nanvar, np.nanstd)
    for chosen in (
        *holed(
            function, normal(4, 4), {}, {"axis": 0, "ddof": 1}, {"axis": (0, 1), "correction": 1}
        ),
        *holed(
            function, normal(4, 5), {"axis": 1, "keepdims": True, "where": [True] * 4 + [False]}
        ),
        *holed(function, normal(4, 4), {"axis": 0, "dtype": float}, CENTRE),
        *each(function, normal(3, 4), {"axis": 1}),
    )
]
NAN += [
    chosen
    for function in (np.nanmax, np.nanmin)
    for chosen in (
        *holed(function, distinct(2, 3, 4), *AXES[:-1]),
        *holed(function, distinct(3, 4), *BOUNDED, {"where": True}),
        *holed(function, distinct(3, 4), {"initial": 99.0, "where": SOME, "axis": 1}),
        *each(function, distinct(3, 4), {"axis": 0}),
    )
]
NAN += [
    chosen
    for function in (np.nancumsum, np.nancumprod)
    for chosen in holed(function, normal(3, 4), {}, {"axis": 1}, {"axis": 0, "dtype": float})
]
ORDER = [
    *each(np.median, distinct(2, 3, 4), *AXES[:-1], {"axis": (0, 2), "keepdims": True}),
    *each(np.median, distinct(5), {}, {"keepdims": True}),
    *holed(np.nanmedian, distinct(2, 3, 4), *AXES[:-1], {"axis": (0, 2), "keepdims": True}),
    *[case(np.quantile, distinct(9), PLACES, method=method) for method in METHODS],
    *[case(np.percentile, distinct(3, 8), 42, axis=1, method=method) for method in METHODS],
    *[case(np.nanquantile, distinct(8), 0.62, method=method) for method in METHODS[::4]],
    case(np.median, normal()),
    case(np.quantile, normal(), 0.5),
]
for function, scale in {
    np.quantile: 1,
    np.percentile: 100,
    np.nanquantile: 1,
    np.nanpercentile: 100,
}.items():
    nan = "nan" in function.__name__
    cases = holed if nan else each
    weights = np.tile(COUNTS, (2, 3, 1)) if nan else COUNTS  # where NumPy accepts no fewer
    weighted = {"method": "inverted_cdf", "weights": weights}
    ORDER += [
        *cases(
            function,
            distinct(2, 3, 4),
            {"q": 0.3 * scale},
            {"q": PLACES * scale, "axis": 0},
            {"q": [0.0, 1.0 * scale], "axis": (0, -1), "keepdims": True},
            {"q": PLACES.reshape(3, 1) * scale, "axis": 1, "method": "hazen"},
            {"q": 0.6 * scale, "axis": -1, **weighted},
            {"q": PLACES * scale, "axis": 2, "keepdims": True, **weighted},
        ),
    ]
DATA = np.array([[0.3, 1.0, -2.0, 0.7], [1.5, -0.5, 0.2, 0.9]])
WEIGHTED = [
    *each(np.average, normal(3, 4), {}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}),
    *each(np.average, normal(3, 4), {"returned": True, "axis": 1}, {"returned": True}),
    *each(np.average, normal(3, 4), {"weights": positive(3, 4)}, {"weights": COUNTS, "axis": 1}),
    *each(np.average, normal(3, 4), {"weights": positive(4), "axis": 1, "returned": True}),
    *each(np.average, normal(2, 3, 4), {"weights": positive(4, 2), "axis": (2, 0)}),
    *each(np.average, normal(2, 3, 4), {"weights": positive(3), "axis": 1, "keepdims": True}),
    case(np.average, DATA, weights=positive(2, 4), axis=0),
    case(np.average, [1, 2, 4], weights=positive(3)),
]
OBSERVED = [
    *each(np.cov, normal(3, 4), {}, {"rowvar": False}, {"bias": True}, {"ddof": 0}),
    *each(np.cov, normal(3, 4), {"y": normal(2, 4)}, {"fweights": COUNTS}, {"dtype": np.float64}),
    *each(np.cov, normal(3, 4), {"aweights": positive(4)}, {"y": DATA, "aweights": COUNTS}),
    *each(np.cov, normal(3, 4), {"fweights": COUNTS, "aweights": positive(4), "ddof": 2}),
    *each(np.cov, normal(3, 4), {"fweights": COUNTS, "aweights": positive(4), "bias": True}),
    *each(np.cov, normal(5), {}, {"y": normal(5)}, {"y": normal(5), "rowvar": False}),
    *each(np.cov, normal(4, 2), {"y": normal(4), "rowvar": False}),
    case(np.cov, DATA, normal(4)),
    *each(np.corrcoef, normal(3, 5), {}, {"y": normal(5)}, {"dtype": np.float64}),
    *each(np.corrcoef, normal(5, 2), {"rowvar": False}),
    case(np.corrcoef, DATA, normal(4)),
]
CASES = [*SUMS, *SPREADS, *VARIANCE_OF_ONE, *EXTREMES, *RUNNING, *NAN, *ORDER, *WEIGHTED, *OBSERVED]
