"""Corners of sequences and of new arrays, and that every NumPy function has an answer."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.ops.protocol import no_rule
from tinygrad_digits.support.substitutes import NUMPY, REFUSED

X = np.array([2.0, 1.0, 2.0, 0.0])
W = np.array([1.0, 10.0, 100.0, 1000.0])
KNOTS, VALUES = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 8.0])


def slopes(f, *xs):
    return td.grad(f, tuple(range(len(xs))))(*xs)


# --- every function that NumPy lets arrays of others take has an answer


def public(module):
    """The functions and ufuncs of a module that ask their arguments what to do."""
    for name in sorted(dir(module)):
        function = None if name.startswith("_") else getattr(module, name, None)
        if isinstance(function, np.ufunc) or hasattr(function, "_implementation"):
            yield name, function


MODULES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
PUBLIC = {f"{path}.{n}": f for path, module in MODULES.items() for n, f in public(module)}


def test_numpy_has_functions():
    assert {"np.sum", "np.exp", "np.linalg.svd", "np.fft.fft"} <= PUBLIC.keys()


def test_a_tensor_is_taken_or_refused_with_a_reason():
    assert not [name for name, f in PUBLIC.items() if f not in NUMPY and f not in REFUSED]


@pytest.mark.parametrize("name", [name for name, f in PUBLIC.items() if f in REFUSED])
def test_a_refusal_gives_its_reason(name):
    function = PUBLIC[name]
    assert len(REFUSED[function]) > 20
    if function not in NUMPY:
        message = str(no_rule(function))
        assert message == f"{name.replace('.abs', '.absolute')}: {REFUSED[function]}" or (
            function.__name__ in message and REFUSED[function] in message
        )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: np.gcd(t, 2), "np.gcd: it is about integers"),
        (lambda t: np.polymul(t, t), "np.convolve"),
        (lambda t: np.union1d(t, t), r"take t\[index\]"),
        (lambda t: np.savetxt("never", t), "tensor.value"),
        (lambda t: np.histogramdd([t]), "np.bincount"),
    ],
)
def test_what_is_refused_says_what_to_write_instead(call, said):
    with pytest.raises(td.errors.NotDifferentiableError, match=said):
        td.vjp(call, X)


def test_index_functions_need_the_shape_alone():
    def upper(x):
        return x[np.triu_indices_from(x)]

    x = np.arange(9.0).reshape(3, 3)
    assert_array_equal(td.jit(upper)(x), upper(x))
    assert_array_equal(slopes(lambda x: np.sum(upper(x)), x)[0], np.triu(np.ones((3, 3))))
    path, _ = td.vjp(lambda x: x + len(np.einsum_path("ij,jk", x, x)[0]), x)
    assert_array_equal(path, x + 2)


# --- keywords that are refused


@pytest.mark.parametrize(
    ("call", "keyword"),
    [
        (lambda t: np.sort(t, order="a"), "order"),
        (lambda t: np.partition(t, 1, order="a"), "order"),
        (lambda t: np.polyfit(np.arange(4.0), t, 1, full=True), "full"),
        (lambda t: np.polyfit(np.arange(4.0), t, 1, cov=True), "cov"),
        (lambda t: np.copy(t, subok=True), "subok"),
        (lambda t: np.full_like(t, 1.0, order="F"), "order"),
        (lambda t: np.unwrap(t, period=t[0]), "period"),
        (lambda t: np.interp(t, KNOTS, VALUES, left=t[0]), "left"),
        (lambda t: np.lib.stride_tricks.sliding_window_view(t, 2, writeable=True), "writeable"),
    ],
)
def test_a_keyword_without_a_derivative_is_refused_by_name(call, keyword):
    with pytest.raises((td.errors.NotDifferentiableError, TypeError), match=keyword):
        td.vjp(call, X)


# --- order


def test_equal_elements_are_sorted_in_their_order():
    assert_array_equal(slopes(lambda x: np.sum(np.sort(x) * W), X)[0], [100, 10, 1000, 1])
    assert_array_equal(slopes(lambda x: np.sum(np.sort(x, kind="heapsort") * W), X)[0][0], 100)


def test_nans_are_sorted_last():
    x = np.array([np.nan, 1.0, -1.0])
    y, back = td.vjp(np.sort, x)
    assert_array_equal(y, [-1, 1, np.nan])
    assert_array_equal(back(np.array([1.0, 2.0, 3.0])), [3, 2, 1])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_partition_puts_elements_where_numpy_does(dtype, rng):
    x = rng.integers(0, 40, (7, 60)).astype(dtype)  # with ties
    for axis, kth in [(1, 20), (0, [1, -1]), (None, (100, 200))]:
        y, back = td.vjp(lambda x, axis=axis, kth=kth: np.partition(x, kth, axis), x)
        assert_array_equal(y, np.partition(x, kth, axis))
        assert_array_equal(back(y), x)  # each element gets what lies where it has gone
    y, back = td.vjp(lambda x: np.partition(x, 2), np.array([1.0, 0.0, 1.0, 1.0]))
    assert_array_equal(np.sort(back(np.arange(4.0))), np.arange(4.0))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: np.sort(t, kind="nonsense"), ValueError),
        (lambda t: np.sort(t, axis=1), np.exceptions.AxisError),
        (lambda t: np.sort(t[0]), np.exceptions.AxisError),
        (lambda t: np.partition(t, 9), ValueError),
        (lambda t: np.partition(t, 1, kind="nonsense"), ValueError),
        (lambda t: np.diff(t, -1), ValueError),
        (lambda t: np.diff(t, axis=1), np.exceptions.AxisError),
        (lambda t: np.diff(t[0]), ValueError),
        (lambda t: np.ediff1d(np.arange(3), to_end=t), TypeError),
        (lambda t: np.gradient(t, 1.0, 2.0), TypeError),
        (lambda t: np.gradient(t, edge_order=3), ValueError),
        (lambda t: np.gradient(t[:2], edge_order=2), ValueError),
        (lambda t: np.gradient(t, np.arange(3.0)), ValueError),
        (lambda t: np.interp(t, KNOTS, VALUES, period=0), ValueError),
        (lambda t: np.interp(t, KNOTS, VALUES[:2]), ValueError),
        (lambda t: np.convolve(t, []), ValueError),
        (lambda t: np.convolve(t, np.ones((2, 2))), ValueError),
        (lambda t: np.convolve(t, t, "some"), ValueError),
        (lambda t: np.linspace(t, t, -1), ValueError),
        (lambda t: np.geomspace(t, 1.0, 3), ValueError),
        (lambda t: np.geomspace(1.0, t, 3), ValueError),
        (np.bincount, TypeError),
        (lambda t: np.bincount([0, 1], t), ValueError),
        (lambda t: np.bincount([0, -1, 2, 3], t), ValueError),
        (lambda t: np.histogram([1.0, 2.0], weights=t), ValueError),
        (lambda t: np.polyder(t, -1), ValueError),
        (lambda t: np.polyint(t, -1), ValueError),
        (lambda t: np.polyint(t, 3, k=[1, 2]), ValueError),
        (lambda t: np.poly(np.reshape(t, (4, 1))), ValueError),
        (lambda t: np.polyfit(t[:2], t, 1), TypeError),
        (lambda t: np.apply_along_axis(np.sum, 0, t[:, None][:, :0]), ValueError),
        (lambda t: np.apply_over_axes(lambda x, _axis: x[0, 0], t.reshape(2, 2), 0), ValueError),
    ],
)
def test_mistakes_are_the_errors_that_numpy_raises(call, error):
    with pytest.raises(error):
        call(X)
    with pytest.raises(error):
        td.vjp(call, X)


# --- interpolation


def test_at_a_knot_the_slope_is_the_mean_of_both_sides():
    at = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, 4.0])
    x, xp, fp = slopes(lambda *args: np.sum(np.interp(*args)), at, KNOTS, VALUES)
    assert_allclose(x, [0, 1, 2, 2.5, 1.5, 0])
    assert_allclose(fp, [2.5, 1.5, 2])
    assert_allclose(xp, [-1 - 1, -1 - 2.5, -1.5])


def test_outside_of_the_knots_given_values_stand():
    at = np.array([-1.0, 4.0, 2.0])
    x, fp = slopes(lambda x, fp: np.sum(np.interp(x, KNOTS, fp, 5.0, 6.0)), at, VALUES)
    assert_allclose(x, [0, 0, 3])
    assert_allclose(fp, [0, 0.5, 0.5])


def test_knots_may_coincide():
    xp, fp = np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, 3.0, 5.0])
    x, _, back = slopes(lambda *args: np.sum(np.interp(*args)), np.array([0.5, 1.5]), xp, fp)
    assert_allclose(x, [1, 2])
    assert_allclose(back, [0.5, 0.5, 0.5, 0.5])


# --- phases


def test_unwrapping_adds_constants():
    x = np.array([0.0, 3.0, 6.5, 0.5])
    assert_array_equal(slopes(lambda x: np.sum(np.unwrap(x) * W), x)[0], W)
    assert td.vjp(np.unwrap, x.astype(np.float32))[0].dtype == np.unwrap(x.astype("f4")).dtype


# --- new arrays


def test_whole_numbers_between_two_ends_leave_the_tape():
    def f(stop):
        y, step = np.linspace(0.0, stop, 4, retstep=True, dtype=int)
        assert isinstance(y, np.ndarray)
        return step * np.sum(y)

    assert td.grad(f)(4.5) == pytest.approx(
        8 / 3
    )  # of the steps' length alone, times 0 + 1 + 3 + 4
    assert_array_equal(np.linspace(0.0, 4.5, 4, dtype=int), [0, 1, 3, 4])


def test_a_geometric_sequence_hits_its_ends():
    y, back = td.vjp(lambda a, b: np.geomspace(a, b, 4), 0.3, 7.7)
    assert (y[0], y[-1]) == (0.3, 7.7)
    assert back(np.array([1.0, 0, 0, 0])) == (1, 0)
    with pytest.raises(ValueError, match="zero"):
        td.jit(lambda a: np.geomspace(a, 2.0, 3))(np.zeros(1))


def test_an_array_of_numpys_cannot_be_filled_with_a_tensor():
    for fill in (lambda t: np.full(3, t[0]), lambda t: np.full_like(X, t[0])):
        with pytest.raises(td.errors.NotDifferentiableError, match=r"td\.at\("):
            td.vjp(fill, X)


def test_the_layout_of_a_copy():
    def f(x):
        assert np.copy(x, order="F").value.flags.f_contiguous
        assert np.copy(x).value.flags.c_contiguous
        return np.sum(x)

    td.grad(f)(np.ones((2, 3)))


# --- counts


def test_what_is_counted_is_constant():
    counts, _ = td.vjp(lambda x: x[0] * np.histogram(x, 2)[0], X)
    assert_array_equal(counts, 2.0 * np.histogram(X, 2)[0])
    weights = slopes(lambda x, w: np.histogram(x, 2, weights=w)[0][1], X, W)
    assert_array_equal(weights[0], 0 * X)
    assert_array_equal(weights[1], [1, 1, 1, 0])  # the middle edge is the second bin's
    density = slopes(lambda w: np.sum(np.histogram(X, 3, weights=w, density=True)[0]), W)
    assert_allclose(density[0], 0, atol=1e-15)  # a density sums to what its bins' width says


def test_each_element_is_counted_in_numpys_bin(rng):
    x = np.append(rng.integers(0, 30, 200) / 10, np.nan)
    for bins, span in [(30, None), (7, (0.1, 2.3)), (np.array([0.0, 0.3, 0.7, 2.9]), None)]:
        keep = x[:-1] if span is None and isinstance(bins, int) else x
        ones = np.ones(keep.shape)
        _, back = td.vjp(
            lambda w, k=keep, b=bins, s=span: np.histogram(k, b, s, weights=w)[0], ones
        )
        counts = np.histogram(keep, bins, span)[0]
        for k in range(len(counts)):
            assert np.sum(back(np.eye(len(counts))[k])) == counts[k]


def test_a_number_of_bins_that_depends_on_values_cannot_be_traced():
    for f in (
        lambda x: np.histogram(x, "auto")[0],
        lambda x: np.bincount(x.astype(int)),
        lambda x: np.bincount(x.astype(int), x),
    ):
        f(X)
        with pytest.raises(td.errors.TracedValueError):
            td.jit(f)(X)
    assert_array_equal(td.jit(lambda x: np.histogram(x, 3)[0])(X), np.histogram(X, 3)[0])


# --- slices


def test_a_function_of_slices_may_be_constant():
    rows = np.arange(6.0).reshape(2, 3) % 4
    places, _ = td.vjp(lambda x: x[0, 0] + np.apply_along_axis(np.argmax, 1, x), rows)
    assert_array_equal(places, [2, 0])


def test_windows_that_overlap_add_up():
    windows = np.lib.stride_tricks.sliding_window_view
    assert_array_equal(slopes(lambda x: np.sum(windows(x, 2)), X)[0], [1, 2, 2, 1])


# --- polynomials


def test_a_rank_is_no_news_to_polyfit():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0, 7.0])
    at_five = td.grad(lambda y: np.polyval(np.polyfit(x, y, 1), 5.0))(y)
    centred = x - x.mean()
    assert_allclose(at_five, 0.25 + (5 - x.mean()) * centred / np.sum(centred**2))


def test_the_message_of_a_function_without_an_answer_names_it():
    with pytest.raises(td.errors.NotDifferentiableError, match=re.escape("np.union1d")):
        td.vjp(lambda x: np.union1d(x, x), X)


@pytest.mark.parametrize("num", [0, 1])
def test_there_is_no_step_between_fewer_than_two_numbers(num):
    def f(x):
        y, step = np.linspace(x, 3.0, num, retstep=True)
        assert type(step) is float
        assert np.isnan(step)
        return np.sum(y)

    assert_array_equal(td.grad(f)(np.array([1.0, 2.0])), [num, num])


def test_arrays_and_a_dtype_by_name():
    got = td.grad(lambda x: np.sum(np.vstack(tup=[x, x], dtype=np.float64)))(np.ones(2))
    assert_array_equal(got, [2, 2])
