"""Universal functions at their corners, and functions that have no derivative."""

import operator
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import Drawn, is_float
from tests.cases.constant import CONSTANTS
from tests.coverage import CONSTANT, found, keywords_untested, names
from tinygrad_digits.ops import nondifferentiable
from tinygrad_digits.support.substitutes import NUMPY

INF, NAN = np.inf, np.nan
X = np.array([0.5, 2.0, -1.5])


def gradients(f, *args):
    """The gradient of the sum of f(*args) with respect to each argument."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", td.errors.DisconnectedWarning)
        found = td.grad(lambda *xs: np.sum(f(*xs)), tuple(range(len(args))))(
            *[np.asarray(x, float) for x in args]
        )
    return [float(g) if g.shape == () else g.tolist() for g in found]


# --- kinks, poles and infinities


@pytest.mark.parametrize(
    ("f", "args", "expected"),
    [
        (np.absolute, [0.0], [0.0]),
        (np.fabs, [0.0], [0.0]),
        (np.sqrt, [0.0], [INF]),
        (np.cbrt, [0.0], [INF]),
        (np.cbrt, [-8.0], [1 / 12]),
        (np.sinc, [0.0], [0.0]),
        (np.i0, [0.0], [0.0]),
        (np.hypot, [0.0, 0.0], [0.0, 0.0]),
        (np.hypot, [3e200, 4e200], [0.6, 0.8]),
        (np.arctan2, [3e200, 4e200], [4 / 25 * 1e-200, -3 / 25 * 1e-200]),
        (np.arctan2, [0.0, -1.0], [-1.0, 0.0]),
        (np.arctan2, [0.0, 0.0], [NAN, NAN]),
        (np.arcsinh, [1e200], [1e-200]),
        (np.arccosh, [1e200], [1e-200]),
        (np.arccosh, [1.0], [INF]),
        (np.arcsin, [1.0], [INF]),
        (np.arctanh, [1.0], [INF]),
        (np.arctan, [INF], [0.0]),
        (np.logaddexp, [-INF, -INF], [0.5, 0.5]),
        (np.logaddexp, [INF, INF], [0.5, 0.5]),
        (np.logaddexp, [-INF, 1.0], [0.0, 1.0]),
        (np.logaddexp, [1.0, INF], [0.0, 1.0]),
        (np.logaddexp, [1000.0, -1000.0], [1.0, 0.0]),
        (np.logaddexp2, [-INF, -INF], [0.5, 0.5]),
        (np.logaddexp2, [3.0, 3.0], [0.5, 0.5]),
        (np.logaddexp2, [INF, -INF], [1.0, 0.0]),
        (np.maximum, [1.0, 1.0], [0.5, 0.5]),
        (np.maximum, [NAN, 1.0], [1.0, 0.0]),
        (np.fmax, [1.0, 1.0], [0.5, 0.5]),
        (np.fmax, [NAN, 1.0], [0.0, 1.0]),
        (np.fmin, [2.0, NAN], [1.0, 0.0]),
        (np.fmin, [NAN, NAN], [0.5, 0.5]),
        (np.copysign, [0.0, -1.0], [0.0, 0.0]),
        (np.copysign, [2.0, -0.0], [-1.0, 0.0]),
        (np.heaviside, [0.0, 0.5], [0.0, 1.0]),
        (np.heaviside, [2.0, 0.5], [0.0, 0.0]),
        (np.fmod, [-7.0, 2.5], [1.0, 2.0]),
        (np.remainder, [-7.0, 2.5], [1.0, 3.0]),
        (np.remainder, [5.0, INF], [1.0, 0.0]),
        (np.fmod, [0.3, 0.1], [1.0, -2.0]),
        (np.reciprocal, [-2.0], [-0.25]),
        (np.float_power, [0.0, 0.0], [0.0, 0.0]),
        (np.float_power, [0.0, -1.0], [-INF, -INF]),
    ],
)
def test_the_derivative_at_a_corner(f, args, expected):
    assert_allclose(gradients(f, *args), expected, rtol=1e-14)


@pytest.mark.parametrize(("f", "curvature"), [(np.sinc, -(np.pi**2) / 3), (np.i0, 0.5)])
def test_second_derivatives_at_0(f, curvature):
    assert_allclose(td.grad(td.grad(f))(0.0), curvature, rtol=1e-14)
    fourth = td.grad(td.grad(td.grad(td.grad(f))))(0.0)
    assert_allclose(fourth, {np.sinc: np.pi**4 / 5, np.i0: 3 / 8}[f], rtol=1e-13)


@pytest.mark.parametrize("x", [1e-8, 0.3, 2.9, 3.0, 7.0, 30.0])
def test_derivatives_of_sinc_are_exact_at_any_distance(x):
    t = np.pi * x
    expected = np.pi * (np.cos(t) / t - np.sin(t) / t**2) if x > 1e-3 else -(np.pi**2) * x / 3
    assert_allclose(td.grad(np.sinc)(x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("x", [-3.0, 1e-8, 7.9, 8.1, 100.0, 700.0])
def test_the_derivative_of_i0_is_i1(x):
    special = pytest.importorskip("scipy.special")
    assert_allclose(td.grad(np.i0)(x), special.i1(x), rtol=3e-14)


def test_modf_and_frexp_of_what_is_not_finite():
    x = np.array([INF, -INF, NAN, -0.0, 5e-324])
    for f in (np.modf, np.frexp):
        (parts, plain), _ = td.vjp(f, x)
        assert_array_equal(parts, f(x)[0])
        assert_array_equal(np.signbit(parts[:4]), np.signbit(f(x)[0][:4]))
        assert_array_equal(plain, f(x)[1])
        assert type(f(x)) is type(td.vjp(f, x)[0]) is tuple


def test_nan_to_num_gives_no_gradient_to_what_it_replaces():
    x = np.array([1.0, NAN, INF, -INF])
    for dtype in (np.float64, np.float32):
        value, pullback = td.vjp(np.nan_to_num, x.astype(dtype))
        assert_array_equal(value, np.nan_to_num(x.astype(dtype)), strict=True)
        assert_array_equal(
            pullback(np.full(4, 3, dtype)), np.array([3, 0, 0, 0], dtype), strict=True
        )
    for options in ({"copy": False}, {"copy": 0, "nan": 5.0}):
        with pytest.raises(td.errors.NotDifferentiableError, match=r"nan_to_num.*copy=False"):
            td.vjp(lambda x: np.nan_to_num(x, **options), x)  # noqa: B023 (called now)
    named = {"nan": 7.0, "posinf": 8.0, "neginf": -8.0}
    assert_array_equal(td.vjp(lambda x: np.nan_to_num(x, **named), x)[0], [1, 7, 8, -8])


# --- operators


@pytest.mark.parametrize("op", [operator.mod, operator.floordiv, divmod])
@pytest.mark.parametrize("other", [2, 1.5, np.float32(0.75), np.array([2, 3, -1])])
def test_remainders_by_operators(op, other):
    for f in (lambda x: op(x, other), lambda x: op(other, x)):
        got, _ = td.vjp(f, X)
        for g, w in zip(*[y if type(y) is tuple else (y,) for y in (got, f(X))], strict=True):
            assert_array_equal(g, w, strict=True)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "mod", "floordiv", "pow"])
def test_augmented_assignment_is_in_place(name):
    op, in_place = getattr(operator, name), getattr(operator, f"i{name}")

    def augmented(x):
        y = x
        y = in_place(y, 2.0)
        return np.sum(y + x)  # of one Tensor

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, gradient = td.value_and_grad(augmented)(np.abs(X))
    assert value == augmented(np.abs(X))
    assert_array_equal(gradient, gradients(lambda x: 2 * op(x, 2.0), np.abs(X))[0])


# --- keywords

UFUNCS = sorted({f for f in NUMPY if isinstance(f, np.ufunc)}, key=lambda f: f.__name__)
WITH_RULES = [
    f
    for f in UFUNCS
    if not f.signature and getattr(getattr(NUMPY[f], "primitive", None), "rules", f is not np.sign)
]


def operands(ufunc):
    x = {np.arccosh: 2.5}.get(ufunc, 0.75) + np.zeros(3)
    return [x, np.array([1, 2, 3]) if ufunc is np.ldexp else x * 0.5][: ufunc.nin]


@pytest.mark.parametrize("ufunc", WITH_RULES, ids=lambda f: f.__name__)
def test_where_keeps_what_is_not_selected_out(ufunc):
    """Neither NaN nor a warning comes from there, nor any gradient."""
    args, mask = operands(ufunc), np.array([True, False, True])
    bad = [np.where(mask, x, NAN if x.dtype.kind == "f" else 0).astype(x.dtype) for x in args]
    floats = tuple(i for i, x in enumerate(args) if x.dtype.kind == "f")

    def total(*xs, **options):
        y = ufunc(*xs, **options)
        parts = y if type(y) is tuple else (y,)
        return sum(np.sum(part * 1.0) if is_float(part) else 0.0 for part in parts)

    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", td.errors.DisconnectedWarning)
        got = td.value_and_grad(lambda *xs: total(*xs, where=mask), floats)(*bad)
        some = td.value_and_grad(total, floats)(*[x[mask] for x in args])
        nothing = td.grad(lambda *xs: total(*xs, where=False), floats)(*bad)
    assert_allclose(got[0], some[0], rtol=1e-14)
    for g, s, none, x in zip(got[1], some[1], nothing, args, strict=False):
        assert_allclose(g[mask], s, rtol=1e-14)
        assert g[1] == 0
        assert_array_equal(none, np.zeros_like(x))


def test_where_broadcasts_and_leaves_zeros():
    mask = np.array([[True], [False]])
    y, pullback = td.vjp(lambda x: np.exp(x, where=mask), X)
    assert_array_equal(y, [np.exp(X), [0, 0, 0]])
    assert_array_equal(pullback(np.ones((2, 3))), np.exp(X))
    y, _ = td.vjp(lambda x: np.log(x, where=[True, True, False]), X)
    assert_array_equal(y, [*np.log(X[:2]), 0])


def test_where_may_depend_on_what_is_differentiated_and_traced():
    def f(x):
        return np.sum(np.log(x, where=x > 0) ** 2)

    for gradient in (td.grad(f), td.jit(td.grad(f))):
        assert_allclose(gradient(X), [4 * np.log(0.5), np.log(2.0), 0], rtol=1e-15)


def test_where_keeps_zeros_of_a_list_out():
    def f(x):
        return np.sum(np.divide(x, [0, 2, 0], where=[False, True, False]))

    with np.errstate(all="raise"):
        assert_array_equal(td.grad(f)(X), [0, 0.5, 0])


def test_where_that_is_no_mask_is_a_type_error():
    with pytest.raises(TypeError, match="log: where= takes bools, not float64"):
        td.grad(lambda x: np.sum(np.log(x, where=np.ones(3))))(X)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, "f", float])
def test_dtype_casts_the_operands_first(dtype):
    third = np.array([1, 2, 3])
    for f in (
        lambda x: np.add(x, third, dtype=dtype),
        lambda x: np.multiply(2.5, x, dtype=dtype),
        lambda x: np.arctan2(x, [1, 2, 3], dtype=dtype),
        lambda x: np.modf(x, dtype=dtype)[0],
        lambda x: np.multiply.outer(x, third, dtype=dtype),
        lambda x: np.add.reduce(x, dtype=dtype),
        lambda x: np.maximum.reduce(x, dtype=dtype),
        lambda x: np.minimum.accumulate(x, dtype=dtype),
        lambda x: np.multiply.reduceat(x, [0, 2], dtype=dtype),
    ):
        value, pullback = td.vjp(f, X)
        assert_array_equal(value, f(X), strict=True)
        assert value.dtype == dtype
        assert pullback(value).dtype == np.float64


@pytest.mark.parametrize("dtype", [int, bool])
def test_a_dtype_that_is_not_floating_point_is_an_error(dtype):
    with pytest.raises(td.errors.NotDifferentiableError, match=rf"add.*dtype=.*{dtype.__name__}"):
        td.vjp(lambda x: np.add(x, 1, dtype=dtype), X)


def test_a_ufunc_of_which_numpy_computes_no_such_dtype():
    for f in (
        lambda x: np.frexp(x, dtype=float)[0],
        lambda x: np.ldexp(x, [1, 2, 3], dtype=np.float32),
    ):
        with pytest.raises(TypeError, match=r"No loop matching"):  # as NumPy
            f(X)
        with pytest.raises(TypeError, match=r"dtype=.*No loop matching"):
            td.vjp(f, X)


def test_defaults_said_aloud_change_nothing():
    def f(x):
        y = np.exp(x, casting="same_kind", order="K", subok=True, dtype=None)
        return np.sum(y * np.add(x, 1, out=None, where=True, signature=None))

    assert_array_equal(td.grad(f)(X), td.grad(lambda x: np.sum(np.exp(x) * (x + 1)))(X))


KEYWORDS = {"casting": "unsafe", "order": "F", "subok": False, "signature": "dd->d"}


@pytest.mark.parametrize("name", KEYWORDS)
@pytest.mark.parametrize("ufunc", [np.add, np.divmod, np.matmul], ids=lambda f: f.__name__)
def test_keywords_of_ufuncs_that_are_refused_by_name(name, ufunc):
    with pytest.raises(td.errors.NotDifferentiableError, match=rf"{ufunc.__name__}.*{name}="):
        td.grad(lambda x: np.sum(ufunc(x, X, **{name: KEYWORDS[name]})))(X)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.add(x, 1, out=np.zeros(3)),
        lambda x: np.add(x, 1, np.zeros(3)),
        lambda x: np.modf(x, out=(None, np.zeros(3))),
        lambda x: np.add.reduce(x, out=np.zeros(())),
        lambda x: np.add.accumulate(x, out=np.zeros(3)),
        lambda x: np.greater(x, 1, out=np.zeros(3, bool)),
        lambda x: np.argmax(x, out=np.zeros((), int)),
        lambda x: np.round(x, out=np.zeros(3)),
    ],
)
def test_out_is_refused(f):
    with pytest.raises(td.errors.NotDifferentiableError, match="out="):
        td.grad(lambda x: np.sum(f(x)[0] if type(f(x)) is tuple else f(x)))(X)


def test_out_is_refused_by_jit():
    total = np.zeros(())
    with pytest.raises(td.errors.TracedValueError, match=r"sum\(out=...\) writes"):
        td.jit(lambda x: np.sum(x, out=total))(X)
    with pytest.raises(td.errors.NotDifferentiableError, match=r"out="):
        td.jit(lambda x: np.add(x, 1, out=np.zeros(3)))(X)
    assert total == 0


# --- methods


def test_at_shows_the_functional_twin():
    for ufunc, way in (
        (np.add, "add(v)"),
        (np.maximum, "max(v)"),
        (np.arctan2, "combine(np.arctan2, v)"),
    ):
        for f in (
            lambda x, u=ufunc: u.at(x, [0, 0], 1.0),
            lambda x, u=ufunc: u.at(np.zeros(3), [0, 0], x),
        ):
            with pytest.raises(td.errors.NotDifferentiableError) as caught:
                td.vjp(f, X)
            assert f"td.at(a)[i].{way}" in str(caught.value)


def test_methods_that_have_no_derivative_here_are_refused_by_name():
    for f in (np.subtract.reduce, np.divide.accumulate, np.hypot.reduce):
        with pytest.raises(td.errors.NotDifferentiableError, match=rf"np.\w+.{f.__name__}"):
            td.vjp(f, X)


@pytest.mark.parametrize("ufunc", [np.maximum, np.minimum])
def test_ties_of_a_running_extreme_share_evenly(ufunc):
    sign = 1.0 if ufunc is np.maximum else -1.0
    x = sign * np.array([1.0, 1.0, 0.0, 1.0, 2.0, NAN, 3.0, NAN])
    rows = [td.grad(lambda x, i=i: ufunc.accumulate(x)[i])(x) for i in range(8)]
    expected = np.zeros((8, 8))
    expected[0, 0] = 1
    expected[1, :2] = expected[2, :2] = 1 / 2
    expected[3, [0, 1, 3]] = 1 / 3
    expected[4, 4] = 1
    expected[5, 5] = expected[6, 5] = 1
    expected[7, [5, 7]] = 1 / 2
    assert_allclose(rows, expected, rtol=1e-15)


def test_infinities_in_running_and_reduced_logaddexp():
    for x, shares in (
        ([-INF, -INF, -INF], [1 / 3, 1 / 3, 1 / 3]),
        ([-INF, 1.0, -INF], [0, 1, 0]),
        ([INF, 1.0, INF], [0.5, 0, 0.5]),
        ([1000.0, -1000.0, 0.0], [1, 0, 0]),
    ):
        for f in (np.logaddexp.reduce, lambda x: np.logaddexp.accumulate(x)[-1]):
            assert_allclose(td.grad(f)(np.array(x)), shares, rtol=1e-15)
    masked = td.grad(lambda x: np.logaddexp.reduce(x, where=[True, False, True]))
    assert_array_equal(masked(np.array([1.0, NAN, -INF])), [1, 0, 0])


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.logaddexp])
def test_reductions_and_accumulations_of_nothing_or_a_number(ufunc):
    if ufunc not in (np.maximum, np.minimum):
        assert td.vjp(ufunc.reduce, np.zeros(0))[0] == ufunc.reduce(np.zeros(0))
    else:
        with pytest.raises(ValueError, match="zero-size"):
            td.vjp(ufunc.reduce, np.zeros(0))
    empty, pullback = td.vjp(ufunc.accumulate, np.zeros((0, 2)))
    assert empty.shape == pullback(empty).shape == (0, 2)
    assert td.grad(ufunc.reduce)(2.0) == 1
    assert td.grad(lambda x: ufunc.reduce(x, axis=()).sum())(X).tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="scalar"):
        td.vjp(ufunc.accumulate, np.array(2.0))


@pytest.mark.parametrize(
    ("indices", "error"),
    [([3], IndexError), ([-1], IndexError), ([], ValueError), ([0.5], ValueError)],
)
def test_reduceat_refuses_indices_that_are_none(indices, error):
    with pytest.raises(error, match="reduceat"):
        td.vjp(lambda x: np.add.reduceat(x, indices), X)


# --- what has no derivative

CASES = {}
for each in CONSTANTS:
    CASES[f"{each.name}-{len(CASES)}"] = each


def test_every_constant_function_has_a_case():
    tried = {case.name for case in CONSTANTS}
    assert not [name for name in names(CONSTANT) if name not in tried]


def test_every_keyword_of_a_constant_function_has_a_case():
    where_it_lies = {"out", "order", "subok", "device", "casting"}  # refused, or no matter
    for name in names(CONSTANT):
        if not isinstance(found(name), np.ufunc):
            untested = keywords_untested(name, [case for case in CONSTANTS if case.name == name])
            assert not {*untested} - where_it_lies, name


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.add.reduceat(x, indices=[0, 2]),
        lambda x: np.add.reduceat(array=x, indices=[0, 2], axis=0),
        lambda x: np.add.reduceat(x, [0, 2], 0, None, None),
        lambda x: np.multiply.accumulate(array=x),
        lambda x: np.maximum.reduce(array=x, axis=0),
        lambda x: np.add.reduce(x, 0, None, None, True, 2.0, True),
    ],
)
def test_arrays_of_a_ufuncs_methods_by_name(f):
    assert_array_equal(td.vjp(f, X)[0], f(X))
    assert_array_equal(td.jit(f)(X), f(X))
    td.check_grads(f, X)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_constant_function_gives_what_it_gives_on_the_value(case, rng):
    drawn, tape = Drawn(case, rng), td.Tape()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        got = drawn.result(*[td.Tensor(x, tape) for x in drawn.xs])
        expected = drawn.expected(*drawn.xs)
    assert type(got) is type(expected)
    for g, e in zip(*[y if isinstance(y, tuple) else (y,) for y in (got, expected)], strict=True):
        assert not isinstance(g, td.Tensor)
        assert_array_equal(g, e, strict=isinstance(e, np.ndarray))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_constant_function_is_traced_or_says_why_not(case, rng):
    drawn = Drawn(case, rng)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if case.untraced:
            with pytest.raises(td.errors.TracedValueError):
                td.jit(drawn.result)(*drawn.xs)
            return
        got, expected = td.jit(drawn.result)(*drawn.xs), drawn.expected(*drawn.xs)
    for g, e in zip(*[y if isinstance(y, tuple) else (y,) for y in (got, expected)], strict=True):
        assert_array_equal(g, e, strict=isinstance(e, np.ndarray))


def test_tensors_may_be_keywords_of_a_constant_function():
    assert td.vjp(lambda x: np.isclose(X, b=x), X)[0].tolist() == [True] * 3
    assert td.vjp(lambda x: np.isin(element=[0.5, 9], test_elements=x), X)[0].tolist() == [1, 0]


def test_what_numpy_does_not_define_for_complex_numbers_raises_as_there():
    for f in (lambda x: np.arctan2(x, 1j), lambda x: x % 1j):
        with pytest.raises(TypeError, match="not supported for the input types"):
            td.vjp(f, X)


# --- what has no rule is constant


CONSTANT_ROWS = {case.name for case in CONSTANTS} - {"np.empty_like"}  # which holds what was there


@pytest.mark.parametrize("name", sorted(CONSTANT_ROWS))
def test_what_has_no_rule_does_not_change_nearby(name, rng):
    """At points in general position the result is to the last bit what it is a little further."""
    for case in CONSTANTS:
        if case.name == name:
            drawn = Drawn(case, rng)
            xs = [x + rng.uniform(0.01, 0.02, np.shape(x)) for x in drawn.xs]
            near = [x * (1 + rng.uniform(1e-10, 2e-10, np.shape(x))) for x in xs]
            here, there = (td.tree.flatten(drawn.result(*each))[0] for each in (xs, near))
            for a, b in zip(here, there, strict=True):
                np.testing.assert_array_equal(a, b)


def test_every_row_without_a_rule_is_tried():
    rows = {op.primitive.name for op in nondifferentiable.OPS.values()} - {"empty_like"}
    assert rows <= {name.rpartition(".")[2] for name in CONSTANT_ROWS}
