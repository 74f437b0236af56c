"""Special functions, activations, softmax, norms and losses: infinities, masks, kinks, errors."""

import inspect
import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import all_cases, name_of
from tinygrad_digits.ops import activations, losses, softmax, special

INF, NAN = np.inf, np.nan


def derivative(f, x, order):
    for _ in range(order):
        f = td.grad(f)
    with np.errstate(all="ignore"):
        return f(x)


# --- floating-point errors


CHAPTERS = (special, activations, softmax, losses)
NAMES = {*td.nn.__all__, *td.special.__all__}
PUBLIC = {
    name: f
    for chapter in CHAPTERS
    for name, f in vars(chapter).items()
    if inspect.isfunction(f) and f.__module__ == chapter.__name__ and name in NAMES
}
FAR = np.array([-1000.0, -745.0, -30.0, -1.0, 0.0, 0.5, 1.0, 30.0, 745.0, 1000.0])
SHARES = np.abs(np.tanh(FAR / 1000))
CALLS = {
    "polygamma": (1, FAR),
    "xlogy": (FAR, SHARES),
    "beta": (SHARES, 2.0),
    "betaln": (FAR, 2.0),
    "logsumexp": (np.array([FAR, FAR[::-1], np.full(10, -INF)]), 1),
    "softmax": (np.array([FAR, FAR[::-1]]),),
    "log_softmax": (np.array([FAR, FAR[::-1]]),),
    "cross_entropy": (np.array([FAR, FAR[::-1]]), np.array([1, 0])),
    "one_hot": (np.array([1, 2]),),
    **dict.fromkeys(("mse", "huber", "hinge", "kl_divergence"), (FAR, SHARES)),
    "binary_cross_entropy_with_logits": (FAR, SHARES),
}
POLES = {"logit": SHARES, "erfinv": SHARES, "i0": FAR / 2, "i1": FAR / 2}


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_raise_under_no_state_of_floating_point_errors(name, dtype):
    """SciPy's functions are quiet; so are these, also where exp underflows."""
    args = CALLS.get(name, (POLES.get(name, FAR),))
    narrow = [x.astype(dtype) if getattr(x, "dtype", "") == np.float64 else x for x in args]
    with np.errstate(all="raise"):
        PUBLIC[name](*narrow)


def test_weights_and_masks_raise_nothing_either():
    x, b = CALLS["logsumexp"][0], np.linspace(0, 1, 10)
    with np.errstate(all="raise"):
        td.special.logsumexp(x, 1, b)
        for f in (td.nn.softmax, td.nn.log_softmax, td.special.logsumexp):
            f(x, axis=1, where=b > 0.5)


# --- infinities


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    ("f", "x", "first"),
    [
        *(
            (f, x, 0)
            for f in (td.nn.sigmoid, td.special.erf, td.special.erfc, td.special.ndtr)
            for x in (-INF, INF)
        ),
        *(
            (f, -INF, 0)
            for f in (td.nn.softplus, td.nn.gelu, td.nn.silu, td.nn.mish, td.nn.elu, td.nn.selu)
        ),
        *((f, INF, 1) for f in (td.nn.softplus, td.nn.gelu, td.nn.silu, td.nn.mish, td.nn.elu)),
        *((f, 1e308, 1) for f in (td.nn.softplus, td.nn.gelu, td.nn.silu, td.nn.mish, td.nn.elu)),
        (td.special.log_ndtr, INF, 0),
    ],
)
def test_derivatives_at_infinity(f, x, first, order):
    assert derivative(f, x, order) == (first if order == 1 else 0)


def test_log_ndtr_at_minus_infinity():
    found = [derivative(td.special.log_ndtr, -INF, order) for order in (1, 2, 3)]
    assert_allclose(found, [INF, -1, 0], rtol=1e-15)


def test_values_of_gates_at_infinity():
    for f in (td.nn.gelu, td.nn.silu, td.nn.mish):
        assert_array_equal(f(np.array([-INF, INF])), [0, INF])


def test_logit_close_to_its_poles():
    assert derivative(td.special.logit, 1e-200, 2) == -INF
    assert derivative(td.special.logit, 0.0, 2) == -INF
    assert derivative(td.special.logit, 1.0, 2) == INF


def test_entropy_and_its_kin_at_0():
    assert [derivative(td.special.entr, 0.0, order) for order in (1, 2, 3)] == [INF, -INF, INF]
    with np.errstate(all="ignore"):
        for by in itertools.permutations((0, 1)):
            f = td.grad(td.grad(td.special.xlogy, by[0]), by[1])
            assert f(0.0, 0.0) == INF  # 1 / y
            assert f(0.0, 2.0) == 0.5
        assert td.grad(td.grad(td.special.xlogy, 1), 1)(0.0, 0.0) == 0


def test_a_row_of_minus_infinities_harms_no_other():
    x = np.array([[0.0, 1.0], [-INF, -INF]])
    y, pullback = td.vjp(lambda x: td.special.logsumexp(x, axis=1), x)
    assert_array_equal(y[1], -INF)
    assert_array_equal(pullback(np.ones(2)), np.array([td.nn.softmax(x[0]), [0, 0]]))
    total = lambda s: np.sum(np.exp(td.special.logsumexp(s + x, axis=1)))  # noqa: E731
    assert_array_equal(derivative(total, 0.0, 2), np.exp(td.special.logsumexp(x[0])))
    b = np.array([[1.0, 2.0], [0.0, 0.0]])
    for options in ({"b": b}, {"b": 1.0}, {"return_sign": True}):

        def total(x, options=options):
            y = td.special.logsumexp(x, axis=1, **options)
            return np.sum(np.exp(y[0] if isinstance(y, tuple) else y))

        gradient = td.grad(total)(x)
        assert np.isfinite(gradient).all()
        assert_array_equal(gradient[1], 0)


def test_logsumexp_of_one_infinity_is_that():
    assert_array_equal(td.grad(td.special.logsumexp)(np.array([INF, 3.0])), [1, 0])


# --- shares


@pytest.mark.parametrize(("dtype", "large"), [(np.float16, 1000), (np.float32, 1e7), (float, 1e16)])
def test_the_shares_of_large_numbers_are_those_of_softmax(dtype, large):
    x = np.full(3, large, dtype)
    assert_array_equal(td.grad(td.special.logsumexp)(x), td.nn.softmax(x))
    assert_allclose(td.grad(td.special.logsumexp)(x), 1 / 3, rtol=4 * np.finfo(dtype).eps)


def test_what_is_left_of_1_keeps_its_digits():
    x, small = np.array([40.0, 0.0]), np.exp(-40.0)
    assert_allclose(td.nn.log_softmax(x)[0], -small, rtol=1e-14)
    assert_allclose(td.special.logsumexp(x - 40.0), small, rtol=1e-14)
    assert_allclose(td.jacobian(td.nn.softmax)(x), small * np.array([[1, -1], [-1, 1]]), rtol=1e-14)
    assert_allclose(td.jacobian(td.nn.log_softmax)(x)[0], [small, -small], rtol=1e-14)


# --- masks


MASK = np.array([[True, False, True], [False, False, False], [True, True, True]])
HIDDEN = np.array([[1.0, NAN, -2.0], [INF, NAN, 7.0], [0.5, 1.5, -1.0]])


@pytest.mark.parametrize("f", [td.nn.softmax, td.nn.log_softmax, td.special.logsumexp])
@pytest.mark.parametrize("backend", ["eager", "numpy"])
def test_what_a_mask_leaves_out_has_no_say(f, backend):
    def masked(x):
        y = f(x, axis=1, where=MASK)
        return y, np.sum(np.where(np.isfinite(y), y, 0) ** 2)

    scalar = td.grad(lambda x: masked(x)[1])
    value = lambda x: masked(x)[0]  # noqa: E731
    if backend != "eager":
        scalar, value = td.jit(scalar), td.jit(value)
    y, g = value(HIDDEN), scalar(HIDDEN)
    alone = [[1.0, -2.0], [], [0.5, 1.5, -1.0]]
    for k in (0, 2):
        part = np.array(alone[k])
        assert_allclose(
            y[k][MASK[k]] if f is not td.special.logsumexp else y[k], f(part), rtol=1e-15
        )
        assert_allclose(g[k][MASK[k]], td.grad(lambda x: np.sum(f(x) ** 2))(part), rtol=1e-13)
    assert_array_equal(y[1], 0 if f is td.nn.softmax else -INF)
    assert_array_equal(g[~MASK], 0)


def test_a_mask_is_made_of_booleans_and_broadcasts():
    x = np.arange(6.0).reshape(2, 3)
    whole = np.broadcast_to([True, False, True], (2, 3))
    assert_array_equal(td.nn.softmax(x, where=[True, False, True]), td.nn.softmax(x, where=whole))
    with pytest.raises(TypeError, match="where= takes booleans"):
        td.nn.softmax(x, where=[1, 0, 1])


@pytest.mark.parametrize("x", [np.array(3.0), np.float64(3.0), 3.0])
@pytest.mark.parametrize("axis", [0, -1, None])
def test_a_number_is_all_there_is(x, axis):
    for f, expected in ((td.nn.softmax, 1), (td.nn.log_softmax, 0), (td.special.logsumexp, 3)):
        assert f(x, axis=axis) == expected
        assert np.shape(f(x, axis=axis)) == ()
        assert td.grad(lambda x: f(x, axis=axis))(x) == (f is td.special.logsumexp)  # noqa: B023


# --- kinks


def frobenius(x):
    return np.linalg.norm(x, "fro")


KINKS = {
    "norm": np.linalg.norm,
    "norm 2": lambda x: np.linalg.norm(x, 2),
    "norm 3": lambda x: np.linalg.norm(x, 3),
    "norm kept": lambda x: np.linalg.norm(x, axis=0, keepdims=True)[0],
    "fro": lambda x: frobenius(x[None]),
    "vector_norm": np.linalg.vector_norm,
    "std": np.std,
    "std 1": lambda x: np.std(x, ddof=1),
    "std where": lambda x: np.std(x, where=np.array([True, True, True])),
    "nanstd": np.nanstd,
}


@pytest.mark.parametrize("name", KINKS)
def test_the_square_of_a_length_has_no_finite_wrong_second_derivative_at_its_kink(name):
    f = KINKS[name]
    for x in (np.zeros(3), *([np.full(3, 0.1)] if "std" in name else [])):
        with np.errstate(all="ignore"):
            assert_array_equal(td.grad(f)(x), 0)
            assert_array_equal(td.grad(lambda x: f(x) ** 2)(x), 0)
            assert np.isnan(td.hessian(lambda x: f(x) ** 2)(x)).all()


@pytest.mark.parametrize("ord", [None, 2, 3])
def test_a_row_of_zeros_harms_no_other(ord):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 2.0]])

    def f(x):
        return np.sum(np.linalg.norm(x, ord, axis=1) ** 2)

    assert_array_equal(td.grad(f)(x)[1], 0)
    with np.errstate(all="ignore"):
        each = td.grad(lambda x: np.sum(td.grad(f)(x)[:, 0]))(x)
    assert np.isnan(each[1]).all()
    for k in (0, 2):
        row = td.hessian(lambda r: np.linalg.norm(r, ord) ** 2)(x[k])
        assert_allclose(each[k], row[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_directions_neither_over_nor_underflow(size):
    x = size * np.array([3.0, -4.0])
    with np.errstate(over="ignore", under="ignore"):
        assert_allclose(td.grad(np.linalg.norm)(x), [0.6, -0.8], rtol=1e-15)
        curvature = td.grad(lambda x: td.grad(np.linalg.norm)(x)[0])(x)
    assert_allclose(curvature * size, [0.128, 0.096], rtol=1e-14)


def test_the_chapters_have_cases():
    tested = {case.name for _, _, case in all_cases()}
    assert {name_of(f) for f in PUBLIC.values()} - {"td.nn.one_hot"} <= tested
