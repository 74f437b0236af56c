"""The corners of sums, products, extremes, spreads and order statistics."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

NAN, INF = np.nan, np.inf


def gradient(f, x, **options):
    """Of the sum of what f returns."""
    return td.grad(lambda x: np.sum(f(x, **options)))(np.asarray(x, float))


# --- products with zeros


def others(x):
    """For each element the product of the rest."""
    return [np.prod(np.delete(x, i)) for i in range(len(x))]


@pytest.mark.parametrize("x", [[0, 2, 3], [0, 2, 0], [0, 0, 0], [4, 0, -1, 2, 5], [2, 3, 4]])
def test_product_and_its_derivatives_with_zeros(x):
    x = np.array(x, float)
    assert_array_equal(gradient(np.prod, x), others(x))
    second = td.grad(lambda x: np.sum(td.grad(np.prod)(x) * np.arange(1, len(x) + 1)))(x)
    pairs = [
        [0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(len(x))]
        for i in range(len(x))
    ]
    assert_array_equal(second, np.array(pairs) @ np.arange(1, len(x) + 1))


def test_product_of_zeros_at_third_order():
    third = td.grad(lambda x: td.grad(lambda x: td.grad(np.prod)(x)[0])(x)[1])
    assert_array_equal(third(np.zeros(3)), [0, 0, 1])


def test_product_of_zeros_and_infinities_is_local():
    assert_array_equal(gradient(np.prod, [[0, 2, 3], [INF, 2, 1]], axis=1)[0], [6, 0, 0])
    with np.errstate(invalid="ignore"):  # of the product itself
        assert_array_equal(gradient(np.prod, [0, INF, 2])[:1], [INF])


@pytest.mark.parametrize(
    ("options", "zero"),
    [
        ({"axis": (0, 2)}, (0, 0, 0)),
        ({"axis": 1, "keepdims": True}, (1, 1, 2)),
        ({"where": np.array([False, True])[:, None], "axis": (0, 1)}, (1, 1, 0)),
        ({"initial": 3.0, "axis": -1}, (0, 1, 1)),
    ],
)
def test_product_over_axes_with_a_zero(options, zero, rng):
    x = rng.uniform(1, 2, (2, 2, 3))
    x[zero] = 0
    one = x.copy()
    one[zero] = 1  # a product is linear in each factor
    rise = np.sum(np.prod(one, **options) - np.prod(x, **options))
    assert rise > 0
    assert_allclose(gradient(np.prod, x, **options)[zero], rise)


@pytest.mark.parametrize("x", [[0, 2, 3], [2, 0, 3, 0, 5], [0, 0], [1]])
def test_running_product_with_zeros(x):
    x = np.array(x, float)
    n = len(x)
    expected = [
        [np.prod(np.delete(x[: k + 1], i)) if i <= k else 0 for i in range(n)] for k in range(n)
    ]
    for k in range(n):
        assert_array_equal(td.grad(lambda x: np.cumprod(x)[k])(x), expected[k])  # noqa: B023
    assert_array_equal(gradient(np.nancumprod, x), np.sum(expected, axis=0))


def test_products_of_many(rng):
    x = rng.uniform(0.9, 1.1, 1000)
    assert_allclose(gradient(np.prod, x), np.prod(x) / x, rtol=1e-12)
    assert_allclose(gradient(np.cumprod, x), np.cumsum(np.cumprod(x)[::-1])[::-1] / x, rtol=1e-12)


# --- extremes


def test_initial_takes_part_in_a_tie():
    assert_array_equal(gradient(np.max, [1, 2, 2], initial=2.0), [0, 1 / 3, 1 / 3])
    assert_array_equal(gradient(np.max, [1, 2, 2], initial=1.0), [0, 0.5, 0.5])
    assert_array_equal(gradient(np.max, [1, 2, 2], initial=3.0), [0, 0, 0])
    assert_array_equal(gradient(np.min, [[1, 2], [0, 1]], axis=0, initial=1.0), [[0, 0], [1, 0.5]])
    assert_array_equal(gradient(np.nanmax, [NAN, 2, 2], initial=2.0), [0, 1 / 3, 1 / 3])


def test_ties_are_split_among_what_is_selected():
    mask = [True, False, True]
    assert_array_equal(gradient(np.max, [2, 2, 2], where=mask, initial=-INF), [0.5, 0, 0.5])
    assert_array_equal(gradient(np.min, [2, 0, 2], where=mask, initial=INF), [0.5, 0, 0.5])
    assert_array_equal(
        gradient(np.max, [-INF, 0, -INF], where=mask, initial=-INF), [1 / 3, 0, 1 / 3]
    )


def test_nan_takes_the_gradient_of_an_extreme_unless_left_out():
    assert_array_equal(gradient(np.max, [1, NAN, 2]), [0, 1, 0])
    assert_array_equal(gradient(np.max, [1, NAN, NAN], initial=5.0), [0, 0.5, 0.5])
    assert_array_equal(
        gradient(np.min, [1, NAN, 2], where=[True, False, True], initial=9), [1, 0, 0]
    )
    assert_array_equal(gradient(np.nanmax, [1, NAN, 2, 2]), [0, 0, 0.5, 0.5])
    assert_array_equal(gradient(np.nanmin, [-INF, NAN, 2]), [1, 0, 0])


def test_an_extreme_of_nothing():
    for f in (np.max, np.min, np.ptp, np.nanmax):
        with pytest.raises(ValueError, match=r"zero-size|no identity"):
            gradient(f, [])
    assert_array_equal(gradient(np.max, np.zeros((0, 2)), axis=0, initial=1.0), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="initial"):
        gradient(np.max, [1, 2], where=[True, False])


# --- NaN that is left out


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "max", "min", "median"])
def test_nan_gets_no_gradient_and_the_rest_what_they_have_without_it(name):
    x = np.array([2.0, NAN, 3.0, 7.0, NAN, 4.0])
    numbers = ~np.isnan(x)
    got = gradient(getattr(np, f"nan{name}"), x)
    assert_array_equal(got[~numbers], [0, 0])
    assert_allclose(got[numbers], gradient(getattr(np, name), x[numbers]), rtol=1e-14)


def test_running_totals_pass_over_nan():
    assert_array_equal(gradient(np.nancumsum, [2.0, NAN, 3.0]), [3, 0, 1])
    assert_array_equal(gradient(np.nancumprod, [2.0, NAN, 3.0]), [1 + 1 + 3, 0, 2])


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "max", "min", "median"])
@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning", "ignore:Mean of empty:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_nothing_but_nan_has_no_gradient_and_leaves_the_others_theirs(name):
    x = [[NAN, NAN, NAN], [1.0, 4.0, 2.0]]
    got = gradient(getattr(np, f"nan{name}"), x, axis=1)
    assert_array_equal(got[0], [0, 0, 0])
    assert_allclose(got[1], gradient(getattr(np, name), x[1]))


def test_nan_and_infinity_behind_a_mask_do_no_harm():
    x, mask = np.array([1.0, NAN, 3.0, INF]), np.array([True, False, True, False])
    for f, expected in {
        np.sum: [1, 0, 1, 0],
        np.prod: [3, 0, 1, 0],
        np.mean: [0.5, 0, 0.5, 0],
        np.var: [-1, 0, 1, 0],
        np.std: [-0.5, 0, 0.5, 0],
    }.items():
        assert_array_equal(gradient(f, x, where=mask), expected)


# --- spread


@pytest.mark.parametrize("f", [np.std, np.nanstd])
@pytest.mark.parametrize("options", [{}, {"where": [True, True, True, False]}, {"ddof": 1}])
def test_the_spread_of_a_constant_has_gradient_zero(f, options):
    for x in (np.full(4, 0.1), np.zeros(4)):  # the mean of four times 0.1 may be rounded
        assert_array_equal(gradient(f, x, **options), np.zeros(4))
        again = td.grad(lambda x: gradient_sum(f, x, options))(x)  # of what has a kink there
        assert_array_equal(again, np.where(options.get("where", True), NAN, np.zeros(4)))


def gradient_sum(f, x, options):
    return np.sum(td.grad(lambda x: np.sum(f(x, **options)))(x))


def test_the_spread_around_a_given_mean():
    x = np.array([1.0, 2.0, 4.0])
    assert_allclose(gradient(np.var, x, mean=np.array([0.0])), 2 * x / 3)
    assert_array_equal(gradient(np.std, np.ones(3), mean=np.array([1.0])), np.zeros(3))
    around = td.grad(lambda m: np.var(x, mean=m))(np.array([3.0]))
    assert_allclose(around, [-2 * np.mean(x - 3)])


@pytest.mark.parametrize("f", [np.var, np.std, np.nanvar, np.nanstd])
def test_correction_is_ddof_by_another_name(f):
    x = [1.0, 2.0, 4.0]
    assert_array_equal(gradient(f, x, correction=1), gradient(f, x, ddof=1))
    with pytest.raises(ValueError, match="ddof and correction"):
        gradient(f, x, ddof=1, correction=1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_a_degree_of_freedom_there_is_no_spread():
    x, mask = np.array([1.0, 2.0]), [True, False]
    for f in (np.var, np.nanvar):
        value, _ = td.value_and_grad(lambda x: f(x, where=mask, ddof=1))(x)  # noqa: B023
        assert_array_equal(value, f(x, where=mask, ddof=1))


# --- order statistics


def test_ties_are_taken_as_they_stand():
    assert_array_equal(gradient(np.median, [2, 1, 2, 2, 3]), [0, 0, 1, 0, 0])
    assert_array_equal(gradient(np.median, [5, 5, 5, 5]), [0, 0.5, 0.5, 0])
    assert_array_equal(gradient(np.quantile, [2, 2, 1], q=1.0), [0, 1, 0])


def test_quantiles_at_the_ends_and_between():
    x = [30.0, 10.0, 20.0, 40.0]
    assert_array_equal(gradient(np.quantile, x, q=[0, 1]), [0, 1, 0, 1])
    assert_allclose(gradient(np.percentile, x, q=50), [0.5, 0, 0.5, 0])
    assert_allclose(gradient(np.quantile, x, q=0.25), [0, 0.25, 0.75, 0])
    weights = np.array([0.0, 0.0, 5.0, 1.0])
    assert_array_equal(
        gradient(np.quantile, x, q=0.5, weights=weights, method="inverted_cdf"), [0, 0, 1, 0]
    )


def test_a_median_with_nan_has_no_derivative():
    got = gradient(np.median, [[1.0, NAN, 3.0], [1.0, 2.0, 3.0]], axis=1)
    assert np.isnan(got[0, [0, 2]]).all()
    assert_array_equal(got[1], [0, 1, 0])


def test_the_options_of_a_quantile_are_read_when_it_is_called(rng):
    x, q = rng.standard_normal(5), np.array([0.5])

    def f(x):
        y = np.quantile(x, q)
        q[...] = 0.1  # between the value and the gradient
        return np.sum(y)

    assert_array_equal(td.grad(f)(x), gradient(np.median, x))


def test_where_a_quantile_lies_is_not_differentiated():
    x = np.arange(4.0)
    for f in (np.quantile, np.percentile, np.nanquantile, np.nanpercentile):
        with pytest.raises(td.errors.NotDifferentiableError, match=f"{f.__name__}.*respect to q"):
            td.grad(lambda q: f(x, q))(0.5)  # noqa: B023
    with pytest.raises(td.errors.NotDifferentiableError, match="respect to weights"):
        td.grad(lambda w: np.quantile(x, 0.5, weights=w, method="inverted_cdf"))(x)


def test_several_axes_of_quantiles_and_of_an_array():
    # NumPy lays the results of nanquantile out by chance here, e.g. (1, 2, 2)
    x, q = np.arange(6.0).reshape(2, 1, 3), [[0.2], [0.9]]
    for f in (np.nanquantile, np.nanpercentile):
        with pytest.raises(td.errors.NotDifferentiableError, match=rf"{f.__name__}.*q\.ravel\(\)"):
            td.grad(lambda x: f(x, q, axis=(1, 2)).sum())(x)  # noqa: B023
    got = td.grad(lambda x: np.nanquantile(x, q, axis=2).sum())(x)
    assert_array_equal(got, td.grad(lambda x: np.quantile(x, q, axis=2).sum())(x))


@pytest.mark.parametrize("f", [np.std, np.var, np.nanstd, np.nanvar])
@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:invalid value")
def test_spreads_of_nothing(f):
    x = np.zeros((0, 3))
    for options in ({}, {"where": np.ones(3, bool)}):
        value, slope = td.value_and_grad(lambda x: np.nansum(f(x, axis=0, **options)))(x)  # noqa: B023
        assert (value, slope.shape) == (0, (0, 3))


def test_options_by_position():
    x = np.array([[1.0, 5, 2], [4, 3, 9]])
    for f, args, options in [
        (np.sum, (0, None, None, True, 2.0), {"axis": 0, "keepdims": True, "initial": 2.0}),
        (np.mean, (1, np.float32, None, True), {"axis": 1, "dtype": "f", "keepdims": True}),
        (np.std, (1, None, None, 1), {"axis": 1, "ddof": 1}),
        (np.max, (0, None, True), {"axis": 0, "keepdims": True}),
        (np.median, (0, None, False, True), {"axis": 0, "keepdims": True}),
        (np.quantile, (0.3, 0, None, False, "lower"), {"q": 0.3, "axis": 0, "method": "lower"}),
    ]:
        got = td.grad(lambda x: np.sum(f(x, *args) ** 2))(x)  # noqa: B023
        assert_array_equal(got, td.grad(lambda x: np.sum(f(x, **options) ** 2))(x))  # noqa: B023
    with pytest.raises(td.errors.NotDifferentiableError, match="out"):
        td.grad(lambda x: np.sum(x, 0, None, np.zeros(3)))(x)


METHODS = {
    "sum": (0, None, None, True, 0.5, True),
    "prod": (0, None, None, True, 0.5, np.array([True, False, True])),
    "mean": (0, None, None, True),
    "max": (0, None, True, 2.5, np.array([[True], [False]])),
    "min": (0, None, True, 3.5, True),
    "var": (0, None, None, 1, True),
    "std": (0, None, None, 1, True),
    "cumsum": (0, None, None),
    "cumprod": (1, None),
    "trace": (0, 1, 0, None, None),
    "clip": (1.5, 4.5, None),
    "dot": (np.ones((3, 2)), None),
    "compress": ([True, False], 0, None),
    "astype": (np.float32, "K", "same_kind", True, True),
    "item": (1, 2),
}


@pytest.mark.parametrize("name", METHODS)
def test_options_of_methods_by_position(name):
    x = np.array([[1.0, 5, 2], [4, 3, 9]])

    def f(x):
        return getattr(x, name)(*METHODS[name])

    assert_array_equal(td.vjp(f, x)[0], f(x))
    if name not in ("item", "astype"):  # a number, and float32
        td.check_grads(f, x)
    if name not in ("item", "compress"):  # which jit has not
        assert_array_equal(td.jit(f)(x), f(x))


def test_what_methods_do_not_take():
    x = np.ones((2, 3))
    for call, said in [
        (lambda x: x.sum(0, None, np.ones(3)), "out"),
        (lambda x: x.clip(0, 1, np.ones(3)), "out"),
        (lambda x: x.astype("f", "K", "safe"), "float64 is not cast to float32 by 'safe'"),
        (lambda x: x.sum(0, None, None, True, axis=1), "axis"),
        (lambda x: x.sum(0, None, None, True, 0.0, True, 1), "more were given"),
    ]:
        with pytest.raises(TypeError, match=said):
            td.vjp(call, x)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (np.nanstd, [1, np.nan, 3]),
        (np.nanvar, [1, np.nan, 3]),
        (lambda x: np.std(x, where=[True, False, True]), [1, 2, 3]),
        (lambda x: np.average(x, returned=True)[1], [1, 2, 3]),
        (lambda x: np.average(x, weights=[1, 2, 3], returned=True)[1], [1, 2, 3]),
        (lambda x: np.linalg.slogdet(x)[1], [[1, 2], [3, 4]]),
        (np.nan_to_num, 2),
        (np.sum, [1, 2]),
        (np.min, [1, 2]),
        (np.median, [1, 2]),
        (lambda x: x[0], [1, 2]),
    ],
)
def test_a_single_number_is_a_numpy_scalar(f, x):
    tensor = td.Tensor(np.array(x, float), td.Tape())
    found = f(tensor)
    assert isinstance(f(tensor.value), np.float64)
    assert isinstance(found.value if isinstance(found, td.Tensor) else found, np.float64)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.nanstd(x, ddof=2), [1, np.nan, 3]),
        (lambda x: np.nanvar(x, axis=0, ddof=1), [[1, np.nan, np.nan], [2, 3, np.nan]]),
    ],
)
def test_no_degrees_of_freedom_warn_as_in_numpy(f, x):
    x = np.array(x)
    with pytest.warns(RuntimeWarning) as numpys:
        expected = f(x)
    with pytest.warns(RuntimeWarning) as ours:
        value, _ = td.vjp(f, x)
    assert_array_equal(value, expected)
    assert [str(w.message) for w in ours] == [str(w.message) for w in numpys]
    assert ours[0].filename == __file__


def test_variables_in_columns_beside_a_row(rng):
    m, y = rng.random((5, 2)), rng.random((1, 5))
    assert_allclose(
        td.vjp(lambda m: np.cov(m, y, rowvar=False), m)[0], np.cov(m, y, rowvar=False), rtol=1e-13
    )
    td.check_grads(lambda m, y: np.corrcoef(m, y, rowvar=False), m, y)
    for f in (np.cov, np.corrcoef):
        with pytest.raises(ValueError, match="must match"):
            td.vjp(lambda x: f(x, y, rowvar=False), y)  # noqa: B023


def test_no_differences_of_a_number():
    assert td.vjp(lambda x: np.diff(x, n=0), np.array(2.0))[0] == 2


def test_numpys_errors_are_those_of_tensors():
    for options, message in [
        ({"q": 1.5}, "range"),
        ({"q": 0.5, "method": "middle"}, "middle"),
        ({"q": 0.5, "weights": [1.0, 2.0, 3.0]}, "inverted_cdf"),
    ]:
        with pytest.raises(ValueError, match=message):
            gradient(np.quantile, [1, 2, 3], **options)


# --- averages and covariances


def test_weights_that_add_up_to_nothing():
    for f in (td.grad, lambda f: td.jit(td.grad(f))):
        with pytest.raises(ZeroDivisionError, match="sum to zero"):
            f(lambda w: np.average(np.array([1.0, 2.0]), weights=w))(np.array([1.0, -1.0]))


def test_weights_of_the_wrong_shape():
    with pytest.raises(TypeError, match="Axis must be specified"):
        gradient(np.average, np.ones((2, 3)), weights=[1, 2, 3])
    with pytest.raises(ValueError, match=r"\(3,\).*got \(2,\)"):
        gradient(np.average, np.ones((2, 3)), weights=[1, 2], axis=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fweights": [1, 2]}, ValueError, r"fweights.*\(3,\)"),
        ({"aweights": [1, -2, 1]}, ValueError, "aweights cannot be negative"),
        ({"fweights": [0.5, 1, 1]}, TypeError, "fweights must be integer"),
        ({"ddof": 0.5}, ValueError, "ddof must be integer"),
        ({"y": np.ones((2, 2, 2))}, ValueError, "2 dimensions"),
    ],
)
def test_what_a_covariance_does_not_take(options, error, message):
    with pytest.raises(error, match=message):
        gradient(np.cov, [[1, 2, 4], [0, 1, 1]], **options)


def test_counts_of_observations_are_not_differentiated():
    x = np.array([1.0, 2.0, 4.0])
    with pytest.raises(td.errors.NotDifferentiableError, match=r"fweights.*aweights"):
        td.grad(lambda w: np.cov(x, fweights=w))(np.ones(3))


def test_a_perfect_correlation_has_gradient_zero():
    x = np.array([1.0, 2.0, 4.0])
    assert_allclose(gradient(lambda x: np.corrcoef(x, 2 * x + 1), x), np.zeros(3), atol=1e-15)
    assert_array_equal(gradient(np.corrcoef, x), np.zeros(3))


# --- keywords


@pytest.mark.parametrize(
    "f",
    [
        *(np.sum, np.prod, np.mean, np.std, np.var, np.max, np.min, np.amax, np.amin, np.ptp),
        *(np.median, np.nansum, np.nanprod, np.nanmean, np.nanstd, np.nanvar, np.nanmax, np.nanmin),
        *(np.nanmedian, np.cumsum, np.cumprod, np.nancumsum, np.nancumprod),
    ],
)
def test_an_array_to_write_into_is_refused(f):
    with pytest.raises(td.errors.NotDifferentiableError, match="out="):
        gradient(f, [1, 2, 3], out=np.zeros(3))
    assert_array_equal(gradient(f, [1, 2, 4], out=None), gradient(f, [1, 2, 4]))


@pytest.mark.parametrize("f", [np.median, np.nanmedian])
def test_an_input_is_not_overwritten(f):
    with pytest.raises(td.errors.NotDifferentiableError, match="overwrite_input"):
        gradient(f, [1, 2, 3], overwrite_input=True)
    assert_array_equal(gradient(f, [1, 2, 4], overwrite_input=False), [0, 1, 0])


@pytest.mark.parametrize("f", [np.sum, np.prod, np.mean, np.var, np.cumsum, np.nancumprod, np.cov])
def test_dtype_says_in_what_is_computed_and_the_gradient_is_the_inputs(f):
    x = np.array([1.0, 2.0, 4.0], np.float32)
    y, pullback = td.vjp(lambda x: f(x, dtype=np.float64), x)
    assert y.dtype == np.float64
    assert pullback(np.ones_like(y)).dtype == np.float32
    with pytest.raises(
        td.errors.NotDifferentiableError, match="dtype=int64 would end the gradient"
    ):
        gradient(f, x, dtype=np.int64)


def test_masks_under_a_trace_may_depend_on_values():
    def f(x):
        positive = x > 0
        return (
            np.sum(x, where=positive) * np.mean(x, where=positive)
            + np.std(x, where=positive)
            + np.max(x, where=~positive, initial=-9.0)
        )

    x = np.array([1.0, -2.0, 3.0, -0.5])
    jitted = td.jit(td.value_and_grad(f))
    for sign in (1, -1):
        assert_allclose(jitted(sign * x)[0], f(sign * x), rtol=1e-15)
        assert_array_equal(jitted(sign * x)[1], td.grad(f)(sign * x))


def test_running_totals_along_no_axis_of_theirs():
    for f in (np.cumsum, np.cumprod, np.nancumprod):
        with pytest.raises(np.exceptions.AxisError):
            gradient(f, [1, 2], axis=1)
    for name in {"cumulative_sum", "cumulative_prod"} & set(dir(np)):  # NumPy 2.1
        with pytest.raises(ValueError, match="axis"):
            gradient(getattr(np, name), np.ones((2, 2)))
