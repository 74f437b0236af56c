"""Operands and leaves of other libraries: taken by position, or refused with what to write."""

import array
import dataclasses
import decimal
import functools
import operator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy
import scipy.sparse
import xarray
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, interpolate, linalg, signal, spatial, special, stats

import tinygrad_digits as td

X = np.array([1.2, 2.7, 0.8])
S = np.array([2.0, 3.0, 1.5])
LABELS = [7, 0, 3]


def series(values):
    """With an index that would shuffle, if anything were lined up by it."""
    return pd.Series(values, index=LABELS[: len(values)])


def nullable(values):
    kinds = {"f": "Float64", "i": "Int64", "b": "boolean"}
    return series(values).astype(kinds[np.asarray(values).dtype.kind])


DATA = {
    "Series": series,
    "Series of a nullable dtype": nullable,
    "Index": pd.Index,
    "ExtensionArray": pd.array,
    "DataArray": lambda values: xarray.DataArray(
        values, dims="i", coords={"i": LABELS[: len(values)]}
    ),
    "memoryview": memoryview,
    "array.array": lambda values: (
        array.array({"f": "d", "i": "l"}[values.dtype.kind], values.tolist())
        if values.dtype != bool
        else values
    ),
}
"""Plain numbers of other libraries: what makes them of an array."""

MASK, PLACES = np.array([True, False, True]), np.array([2, 0, 2])
OPERATORS = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "pow", "mod", "gt", "le", "eq")
}
OPS = {
    **{f"t {name} s": lambda t, s, m, i, f=f: f(t, s) * t**2 for name, f in OPERATORS.items()},
    **{f"s {name} t": lambda t, s, m, i, f=f: f(s, t) * t**2 for name, f in OPERATORS.items()},
    "np.add(t, s)": lambda t, s, m, i: np.add(t, s) * t,
    "np.add(s, t)": lambda t, s, m, i: np.add(s, t) * t,
    "np.hypot(s, t)": lambda t, s, m, i: np.hypot(s, t),
    "ufunc where": lambda t, s, m, i: np.multiply(t, s, where=m) * t,
    "ufunc outer": lambda t, s, m, i: np.multiply.outer(t, s) ** 2,
    "matmul": lambda t, s, m, i: np.outer(t, t) @ s,
    "dot": lambda t, s, m, i: np.dot(s, t) ** 2,
    "einsum": lambda t, s, m, i: np.einsum("i,j->ij", s, t * t),
    "outer": lambda t, s, m, i: np.outer(s, t * t),
    "convolve": lambda t, s, m, i: np.convolve(t * t, s),
    "cross": lambda t, s, m, i: np.cross(s, t) ** 2,
    "sum where": lambda t, s, m, i: np.sum(t**2, where=m),
    "method with where": lambda t, s, m, i: (t**2).sum(where=m),
    "average": lambda t, s, m, i: np.average(t**2, weights=s),
    "interp": lambda t, s, m, i: np.interp(t**2, np.arange(3.0), s) ** 2,
    "clip": lambda t, s, m, i: np.clip(t, 1, s) ** 2,
    "maximum": lambda t, s, m, i: np.maximum(s, t**3),
    "concatenate": lambda t, s, m, i: np.concatenate([s, t, s]) ** 2,
    "stack": lambda t, s, m, i: np.stack([t, s]) ** 2,
    "where": lambda t, s, m, i: np.where(m, t, s) ** 2,
    "select": lambda t, s, m, i: np.select([m], [t], s) ** 2,
    "choose": lambda t, s, m, i: np.choose(m, [t, s]) ** 2,
    "take": lambda t, s, m, i: np.take(t, i) ** 2,
    "t[places]": lambda t, s, m, i: t[i] ** 3,
    "t[mask]": lambda t, s, m, i: t[m] ** 3,
    "at set": lambda t, s, m, i: td.at(t)[i].set(s) * t,
    "at add": lambda t, s, m, i: td.at(t)[i].add(s) * t,
    "at multiply": lambda t, s, m, i: td.at(t)[m].multiply(2.0) * t,
    "repeat": lambda t, s, m, i: np.repeat(t, i) ** 2,
    "cross_entropy": lambda t, s, m, i: td.nn.cross_entropy(np.outer(t, t), i),
    "mse": lambda t, s, m, i: td.nn.mse(t, s),
    "huber": lambda t, s, m, i: td.nn.huber(s, t),
    "kl_divergence": lambda t, s, m, i: td.nn.kl_divergence(t * t, s),
    "xlogy": lambda t, s, m, i: td.special.xlogy(s, t),
    "embedding": lambda t, s, m, i: td.nn.embedding(np.outer(t, t), i),
    "solve": lambda t, s, m, i: np.linalg.solve(np.outer(t, t) + np.eye(3), s),
}
"""Every way to meet a Tensor t: beside floats s, a mask m, and places i."""


UFUNCS_OF_PANDAS = {("Index", name) for name in ("np.add(s, t)", "np.hypot(s, t)", "maximum")}
"""An Index applies ufuncs itself, and leaves only operators to the other operand."""


def losses(name):
    """With data of each kind that the op takes: (kind, loss); and the loss of plain arrays."""
    kinds = [kind for kind in DATA if (kind, name) not in UFUNCS_OF_PANDAS]
    return [(kind, loss(name, made(kind))) for kind in kinds], loss(name, [S, MASK, PLACES])


def made(kind):
    make = DATA[kind]
    if kind == "memoryview":
        return [memoryview(x) for x in (S, MASK, PLACES)]
    return [make(x) for x in (S, MASK, PLACES)]


def loss(name, data):
    return lambda t: np.sum(OPS[name](t, *data))


@pytest.mark.parametrize("name", OPS)
def test_data_are_taken_by_position(name):
    second = lambda f: td.grad(lambda t: np.sum(td.grad(f)(t) ** 2))  # noqa: E731
    each, plain = losses(name)
    for kind, ours in each:
        assert_same(td.value_and_grad(ours)(X), td.value_and_grad(plain)(X), kind)
        assert_same(second(ours)(X), second(plain)(X), kind)


COMPILED = ("t mul s", "s sub t", "s gt t", "np.hypot(s, t)", "ufunc where", "matmul", "sum where",
            "average", "concatenate", "where", "t[places]", "t[mask]", "at add", "cross_entropy",
            "mse", "interp")  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_captured_data_are_constants_of_a_program(name):
    each, plain = losses(name)
    for kind, ours in each:
        jitted = td.jit(td.value_and_grad(ours))
        for x in (X, X + 0.25):
            assert_same(jitted(x), td.value_and_grad(plain)(x), kind)
        assert jitted.cache_info().traces == 1, kind


@pytest.mark.parametrize("name", [name for name in COMPILED if name != "t[mask]"])
def test_data_are_the_same_for_all_examples_of_a_vmap(name):
    batch = np.stack([X, X + 0.25])
    each, plain = losses(name)
    wanted = np.stack([td.grad(plain)(x) for x in batch])
    for kind, ours in each:
        assert_same(td.vmap(td.grad(ours))(batch), wanted, kind)


@pytest.mark.parametrize("kind", DATA)
def test_data_are_arguments_of_jit_and_vmap(kind):
    f = lambda x, s: x * s - s  # noqa: E731
    data = made(kind)[0]
    jitted = td.jit(f)
    assert_same(jitted(X, data), f(X, S))
    assert_same(jitted(X, made(kind)[0]), f(X, S))
    assert jitted.cache_info().traces == 1
    assert_same(td.vmap(f)(X, data), f(X, S))
    assert_same(td.jit(td.grad(lambda x, s: np.sum(f(x, s) ** 2)))(X, data), 2 * S * f(X, S))


def assert_same(found, expected, kind=""):
    found, expected = td.tree.flatten(found)[0], td.tree.flatten(expected)[0]
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other), kind
        assert one.dtype == other.dtype, kind
        assert_array_equal(one, other, err_msg=kind)


# --- tables

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [True, False, True], "c": [1, 2, 4]}, index=LABELS)
TABLE = np.array([[1.0, 1, 1], [2, 0, 2], [3, 1, 4]])
OF_TABLES = {
    "t * d": lambda t, d: t * d * t,
    "d * t": lambda t, d: d * t * t,
    "t @ d": lambda t, d: t * t @ d,
    "np.dot(d, t)": lambda t, d: np.dot(d, t * t),
    "where": lambda t, d: np.where(d > 1, t, d) ** 2,
    "concatenate": lambda t, d: np.concatenate([d, t[None]]) ** 2,
    "logits": lambda t, d: td.nn.cross_entropy(d * t, np.array([0, 1, 2])),
}


@pytest.mark.parametrize("name", OF_TABLES)
def test_a_data_frame_is_its_table_by_position(name):
    ours, plain = (lambda t, d=d: np.sum(OF_TABLES[name](t, d)) for d in (FRAME, TABLE))
    for transform in (td.grad, td.hessian, lambda f: td.jit(td.grad(f))):
        assert_same(transform(ours)(X), transform(plain)(X))


def test_rows_of_a_data_frame_are_examples():
    assert_same(td.vmap(lambda row: row * 2.0)(FRAME), TABLE * 2)
    assert_same(td.jit(lambda table: table * 2.0)(FRAME), TABLE * 2)


def test_labels_line_up_neither_operands_nor_cotangents():
    a, b = pd.Series([1.0, 2, 3], index=[0, 1, 2]), pd.Series([10.0, 20, 30], index=[2, 1, 9])
    assert_same(td.grad(lambda x: np.sum(x * a) + np.sum(b * x))(X), np.array([11.0, 22, 33]))
    one, other = (xarray.DataArray(s.to_numpy(), {"i": s.index.to_numpy()}, "i") for s in (a, b))
    assert_same(td.grad(lambda x: np.sum(x * one) + np.sum(x * other))(X), np.array([11.0, 22, 33]))


def test_a_cotangent_or_tangent_may_have_labels():
    g = pd.Series([1.0, 2, 3], index=[2, 1, 0])
    assert_same(td.vjp(np.square, X)[1](g), 2 * X * g.to_numpy())
    assert_same(td.jvp(np.square, X, g)[1], 2 * X * g.to_numpy())


def test_rules_of_users_may_return_labels():
    s = series(S)
    scaled = td.custom_vjp(lambda x: x * s, lambda x: (x * s, x), lambda x, g: (g * s,))
    op = td.define(lambda x: x * s, lambda g, y, x: g * s, name="scaled")
    call = td.checkpoint(lambda x: x * s)
    for f in (scaled, op, call):
        assert_same(td.vjp(f, X)[0], X * S)
        assert_same(td.grad(lambda x, f=f: np.sum(f(x) * x))(X), 2 * X * S)


def test_a_target_of_pandas():
    inputs, y = np.arange(6.0).reshape(3, 2), pd.Series([1.0, 2, 3], index=[10, 11, 12])
    g = td.grad(lambda w: np.mean((inputs @ w - y) ** 2))(np.zeros(2))
    assert_allclose(g, -2 * inputs.T @ y.to_numpy() / 3)


# --- what is refused


class ArrayApi:
    """An array as the array API has it, which is not NumPy's."""

    shape, ndim, dtype = (3,), 1, "float64"

    def __array_namespace__(self):
        raise AssertionError("asked for its functions")

    def __mul__(self, other):
        return NotImplemented

    __add__ = __mul__


REFUSED = {
    "masked": (np.ma.array(S, mask=[True, False, False]), "np.ma.filled"),
    "matrix": (np.matrix(np.eye(3)), r"np.asarray\(x\)"),
    "object": (S.astype(object), r"\.astype\(float\)"),
    "fields": (np.zeros(3, [("a", float)]), r"x\['name'\]"),
    "dates": (np.zeros(3, "M8[s]"), "timedelta64"),
    "durations": (np.zeros(3, "m8[s]"), "timedelta64"),
    "text": (np.array(["a", "b", "c"]), "arrays and numbers"),
    "Series of objects": (series(S).astype(object), r"\.astype\(float\)"),
    "Series of text": (series(["a", "b", "c"]), r"\.astype\(float\)"),
    "Series of categories": (series([1, 2, 3]).astype("category"), r"\.cat\.codes"),
    "Series of dates": (series(pd.to_datetime(["2020-01-01"] * 3)), "total_seconds"),
    "Series without all numbers": (pd.Series([1, 2, None], dtype="Int64"), "fillna"),
    "DataFrame without all numbers": (
        pd.DataFrame({"a": pd.Series([1, 2, None], dtype="Int64")}),
        "fillna",
    ),
    "Dataset": (xarray.Dataset({"a": ("i", S)}), r"x\['name'\]"),
    "array API": (ArrayApi(), r"np.asarray\(x\)"),
    "Decimal": (decimal.Decimal(2), r"float\(x\)"),
}
MEETINGS = {
    "t * x": lambda t, x: t * x,
    "t - x": operator.sub,
    "np.hypot": np.hypot,
    "where": lambda t, x: np.where(MASK, t, x),
    "concatenate": lambda t, x: np.concatenate([t, x]),
    "at": lambda t, x: td.at(t)[:].add(x),
    "ufunc where": lambda t, x: t * np.multiply(t, x, where=MASK),
}
FROM_THE_LEFT = {"Series of objects", "Dataset"}
"""Left operands that apply themselves element by element, and so to Tensors one by one."""


@pytest.mark.parametrize("meet", MEETINGS)
@pytest.mark.parametrize("name", REFUSED)
def test_other_operands_are_refused_with_what_to_write(name, meet):
    x, remedy = REFUSED[name]
    f = lambda t: np.sum(MEETINGS[meet](t, x))  # noqa: E731
    for transform in (td.grad(f), td.grad(td.grad(f)), td.jit(td.grad(f))):
        with pytest.raises(TypeError, match=remedy):
            transform(X)


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in FROM_THE_LEFT])
def test_they_are_refused_as_left_operands_too(name):
    x, remedy = REFUSED[name]
    with pytest.raises(TypeError, match=remedy):
        td.grad(lambda t: np.sum(x * t))(X)
    with pytest.raises(TypeError, match=remedy):
        td.grad(lambda t: np.sum(np.multiply(x, t)))(X)


@pytest.mark.parametrize("name", ["masked", "matrix", "Series of categories"])
def test_they_are_no_index_and_nothing_to_compare_with(name):
    x, remedy = REFUSED[name]
    for f in (
        lambda t: np.sum(t[x]),
        lambda t: np.sum(t * (t > x)),
        lambda t: np.sum(t * (t == x)),
    ):
        with pytest.raises(TypeError, match=remedy):
            td.grad(f)(X)


@pytest.mark.parametrize(("kind", "name"), sorted(UFUNCS_OF_PANDAS))
def test_an_index_says_what_to_write_instead_of_its_ufuncs(kind, name):
    with pytest.raises(TypeError, match=r"pandas\.Index.*x\.to_numpy\(\)"):
        td.grad(loss(name, made(kind)))(X)


NO_ARGUMENTS = ("masked", "matrix", "Series of categories", "Series without all numbers")


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_they_are_no_arguments_of_jit_and_vmap(name):
    x, remedy = REFUSED[name]
    for transform in (td.jit, td.vmap):
        with pytest.raises(TypeError, match=rf"batch\['x'\]\[0\]: .*{remedy}"):
            transform(lambda batch: batch["x"][0])({"x": [x]})


def test_products_of_pandas_own_name_what_to_write():
    for f in (lambda t: FRAME @ t, FRAME.dot, lambda t: FRAME["a"] @ t,
              lambda t: np.matmul(FRAME, t), pd.Series):  # fmt: skip
        with pytest.raises(TypeError, match=r"x\.to_numpy\(\) @ t"):
            td.grad(lambda t: np.sum(f(t)))(X)  # noqa: B023


# --- leaves

LEAVES = {
    "masked": np.ma.array([1.0, 2.0], mask=[True, False]),
    "matrix": np.matrix([[1.0, 2.0]]),
    "object": np.array([1.0, 2.0], object),
    "fields": np.zeros(2, [("a", float)]),
    "one of fields": np.zeros(2, [("a", float)])[0],
    "record": np.rec.array([(1.0,)], dtype=[("a", float)]),
    "Series": pd.Series([1.0, 2.0]),
    "DataFrame": pd.DataFrame({"a": [1.0, 2.0]}),
    "Index": pd.Index([1.0, 2.0]),
    "ExtensionArray": pd.array([1.0, 2.0]),
    "array API": ArrayApi(),
    "array.array": array.array("d", [1.0, 2.0]),
    "memoryview": memoryview(np.ones(2)),
    "sparse matrix": scipy.sparse.csr_matrix(np.eye(2)),
    "sparse array": scipy.sparse.coo_array(np.eye(2)),
    "Decimal": decimal.Decimal(2),
    "Dataset": xarray.Dataset({"a": ("i", [1.0, 2.0])}),
    "polynomial": np.polynomial.Polynomial([1.0, 2.0]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "a date": np.datetime64("2020-01-01"),
    "durations": np.zeros(2, "m8[s]"),
    "integers": np.array([1, 2]),
}


def inner(params):
    return np.sum(params["w"] ** 2)


def with_tangents(transform):
    return lambda params: transform(inner, params, params)


TRANSFORMS = {
    "grad": td.grad(inner),
    "value_and_grad": td.value_and_grad(inner),
    "vjp": lambda params: td.vjp(inner, params),
    "jvp": with_tangents(td.jvp),
    "linearize": lambda params: td.linearize(inner, params),
    "hvp": with_tangents(td.hvp),
    "jacobian": td.jacobian(inner),
    "jacobian forward": td.jacobian(inner, mode="forward"),
    "hessian": td.hessian(inner),
    "elementwise_grad": td.elementwise_grad(inner),
    "minimize": lambda params: td.minimize(inner, params),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_cannot_be_differentiated_is_refused_with_its_path(transform):
    for leaf in LEAVES.values():
        params = {"w": X, "layers": [leaf], "name": "linear", "bias": None}
        with pytest.raises(TypeError, match=r"params\['layers'\]\[0\]"):
            TRANSFORMS[transform](params)


NUMBERS_ALONE = {"integers", "object"}
"""Leaves that other trees than those of derivatives may have."""


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in NUMBERS_ALONE])
def test_they_are_no_leaves_of_what_takes_floats_out_of_trees(name):
    params = {"w": X, "layers": [LEAVES[name]]}
    with pytest.raises(TypeError, match=r"tree\['layers'\]\[0\]"):
        td.tree.ravel(params)
    with pytest.raises(TypeError, match=r"args\[0\]\['layers'\]\[0\]"):
        td.check_grads(inner, params)


OPTIMIZERS = {
    "gradient_descent": lambda: td.optim.gradient_descent(0.1),
    "momentum": lambda: td.optim.momentum(0.1),
    "adam": lambda: td.optim.adam(0.1),
    "adamw": lambda: td.optim.adamw(0.1),
    "scheduled": lambda: td.optim.gradient_descent(lambda step: 0.1),
}


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in NUMBERS_ALONE])
def test_an_optimizer_moves_none_of_them(name):
    params = {"w": X, "layers": [LEAVES[name]]}
    for make in OPTIMIZERS.values():
        optimizer = make()
        with pytest.raises(TypeError, match=r"params\['layers'\]\[0\]"):
            optimizer.update(params, params, optimizer.init(params))


def test_a_fraction_is_a_real_number():
    from fractions import Fraction

    g = td.grad(lambda x: x**2)(Fraction(1, 2))
    assert type(g) is np.float64
    assert g == 1


def test_text_of_numpys_newer_kind_is_carried_through():
    names = np.array(["a", "b"], np.dtypes.StringDType())
    assert td.grad(inner)({"w": X, "names": names})["names"] is names


# --- dataclasses


@dataclasses.dataclass
class Params:
    w: Any

    @functools.cached_property
    def squares(self):
        return self.w**2


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Any
    name: str = "frozen"

    @functools.cached_property
    def squares(self):
        return self.w**2


@dataclasses.dataclass(frozen=True)
class Child(Frozen):
    b: Any = 1.0


@dataclasses.dataclass
class Counting(Params):
    scale: dataclasses.InitVar[float] = 1.0
    ran: list[int] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self, scale):
        self.ran.append(1)
        self.extra = scale


class Derived(dict):
    @functools.cached_property
    def squares(self):
        return self["w"] ** 2


KEEPERS = [Params, Counting, Frozen, Child, lambda w: Derived(w=w)]


@pytest.mark.parametrize("make", KEEPERS, ids=["plain", "init", "frozen", "child", "dict"])
def test_what_was_computed_of_other_leaves_is_gone(make):
    params = make(X)
    assert_array_equal(params.squares, X**2)
    f = lambda p: np.sum(p.squares)  # noqa: E731
    for g in (td.grad(f)(params), td.jit(td.grad(f))(params)):
        assert_allclose(g["w"] if isinstance(g, dict) else g.w, 2 * X)
    assert_allclose(td.tree.map(lambda x: 10 * x, params).squares, 100 * X**2)
    optimizer = td.optim.gradient_descent(1.0)
    after, _ = optimizer.update(params, td.tree.map(np.ones_like, params), None)
    assert_array_equal(after.squares, (X - 1) ** 2)
    assert_array_equal(params.squares, X**2)


def test_a_dataclass_keeps_what_is_no_field_and_runs_no_initialiser():
    params = Counting(X, scale=3.0)
    after = td.tree.map(lambda x: x, params)
    assert (after.extra, params.ran, after.ran) == (3.0, [1], [1])


# --- other libraries' functions

CALLS = {
    "polyval": (lambda t: np.polynomial.polynomial.polyval(2.0, t), r"np\.polyval\(c\[::-1\], x\)"),
    "chebval": (lambda t: np.polynomial.chebyshev.chebval(2.0, t), "sum over its terms"),
    "trapezoid": (integrate.trapezoid, r"integrate\.trapezoid.*np\.trapezoid"),
    "simpson": (integrate.simpson, "Simpson's weights"),
    "solve_ivp": (lambda t: integrate.solve_ivp(lambda s, y: -y, (0, 1), t), "loop"),
    "minimize": (
        lambda t: scipy.optimize.minimize(lambda s: np.sum(s**2), t).x,
        r"td\.minimize\(f, params\)",
    ),
    "least_squares": (lambda t: scipy.optimize.least_squares(lambda s: s, t).x, r"td\.minimize"),
    "newton": (lambda t: scipy.optimize.newton(lambda s: s, t), r"td\.fixed_point"),
    "interp1d": (lambda t: interpolate.interp1d(X, t)(1.0), r"interp1d.*np\.interp"),
    "CubicSpline": (lambda t: interpolate.CubicSpline(np.arange(3.0), t)(1.0), r"np\.interp"),
    "solve": (lambda t: linalg.solve(np.eye(3), t), r"linalg\.solve.*np\.linalg\.solve"),
    "expm": (lambda t: linalg.expm(np.outer(t, t)), r"linalg\.expm.*td\.linalg\.expm"),
    "convolve": (lambda t: signal.convolve(t, t), r"signal\.convolve.*np\.convolve"),
    "fftconvolve": (lambda t: signal.fftconvolve(t, t), r"td\.signal\.fftconvolve"),
    "logpdf": (stats.norm.logpdf, r"logpdf.*log_ndtr of td\.special"),
    "logsumexp": (special.logsumexp, r"td\.special\.logsumexp"),
    "softmax": (special.softmax, r"td\.nn\.softmax"),
    "comb": (lambda t: special.comb(t, 2), r"td\.define\(scipy\.special\.comb"),
    "fft": (scipy.fft.fft, r"scipy\.fft.*td\.fft"),
    "cdist": (
        lambda t: spatial.distance.cdist(np.outer(t, t), np.eye(3)),
        r"np\.linalg\.norm\(a\[:, None\]",
    ),
    "masked": (lambda t: np.ma.array(X, mask=MASK) * t, r"np\.ma\.filled"),
    "vectorize": (np.vectorize(lambda s: s), r"np\.vectorize.*td\.vmap"),
    "a list": (lambda t: np.sum([t, t]), r"np\.sum\(np\.stack"),
    "asarray": (np.asarray, r"tensor\.value"),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_that_make_plain_arrays_are_named_with_what_to_write(name):
    f, remedy = CALLS[name]
    with pytest.raises(td.errors.NotDifferentiableError, match=remedy) as caught:
        td.grad(lambda t: np.sum(f(t)))(X)
    assert ("np.stack" in str(caught.value)) == (name in ("a list", "asarray"))


# --- xarray


def labelled(values, dims=("a", "b")):
    return xarray.DataArray(values, dims=dims)


W = np.arange(6.0).reshape(2, 3) / 4
FIELD = labelled(np.arange(6.0).reshape(2, 3) + 1)
WITH_LABELS = {
    "t * field": lambda w: np.sum(w * FIELD),
    "field * t": lambda w: np.sum(FIELD * w),
    "a sum of its own": lambda w: (FIELD * w).sum(),
    "isel": lambda w: np.sum((FIELD * w).isel(a=0)),
    "a field of Tensors": lambda w: np.sum(np.sin(labelled(w)).isel(b=1).data),
    "ufuncs": lambda w: np.sum(np.exp(labelled(w) * FIELD / 4)),
    "mean over a name": lambda w: (labelled(w) ** 2).mean("a").sum(),
    "fields of one another": lambda w: (labelled(w) * labelled(w)).isel(a=1).sum(),
    "where": lambda w: np.sum(np.where(FIELD > 2, w, 0)),
    "product": lambda w: np.sum(FIELD.data @ w.T),
    "concatenate": lambda w: np.sum(np.concatenate([FIELD, w]) ** 2),
}


@pytest.mark.parametrize("name", WITH_LABELS)
def test_xarrays_fields_meet_tensors_and_hold_them(name):
    f = WITH_LABELS[name]
    expected = [
        (float(f(W + h)) - float(f(W - h))) / 2e-6 for h in 1e-6 * np.eye(6).reshape(6, 2, 3)
    ]
    for g in (td.grad(f)(W), td.jit(td.grad(f))(W), td.vjp(f, W)[1](1.0)):
        assert type(g) is np.ndarray
        assert_allclose(g.ravel(), expected, rtol=1e-7, atol=1e-8)


def test_a_field_may_be_a_parameter():
    g = td.grad(lambda field: np.sum(np.sin(field) * FIELD))(FIELD)
    assert isinstance(g, xarray.DataArray)
    assert_allclose(g.data, np.cos(FIELD.data) * FIELD.data)


def test_a_vmap_over_rows_meets_a_field():
    for f in (lambda w: w * FIELD[0], lambda w: FIELD[0] * w):
        assert_array_equal(td.vmap(f)(W), W * FIELD.data[0])
