"""grad, value_and_grad, vjp, trees and tapes: arguments, outputs, nesting, errors."""

import array
import collections
import copy
import dataclasses
import functools
import math
import operator
import pickle
import re
import struct
import types
import warnings
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

X = np.array([0.5, -1.0, 2.0])


def total(x):
    return np.sum(x * x)


# --- argnums


def product(a, b, c):
    return a * b * b * c


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 45.0),
        (1, 60.0),
        (-1, 18.0),
        (-3, 45.0),
        ((0,), (45.0,)),
        ((0, 2), (45.0, 18.0)),
        ((-1, 0), (18.0, 45.0)),
        ((), ()),
    ],
)
def test_argnums(argnums, expected):
    with warnings.catch_warnings():
        if argnums == ():
            warnings.simplefilter("ignore", td.errors.DisconnectedWarning)
        assert td.grad(product, argnums)(2.0, 3.0, 5.0) == expected
        assert td.value_and_grad(product, argnums)(2.0, 3.0, 5.0) == (90.0, expected)


@pytest.mark.parametrize("argnums", [3, -4, (0, 3)])
def test_argnums_out_of_range(argnums):
    with pytest.raises(TypeError, match=r"product.*3 positional"):
        td.grad(product, argnums)(2.0, 3.0, 5.0)


@pytest.mark.parametrize("argnums", [(0, 0), (0, -3)])
def test_argnums_twice(argnums):
    with pytest.raises(TypeError, match="twice"):
        td.grad(product, argnums)(2.0, 3.0, 5.0)


@pytest.mark.parametrize("argnums", ["a", 1.0, None, [0, 1]])
def test_argnums_of_another_type(argnums):
    with pytest.raises(TypeError, match="argnums"):
        td.grad(product, argnums)(2.0, 3.0, 5.0)


def test_keyword_arguments_are_passed_on_and_not_differentiated():
    assert td.grad(product)(2.0, b=3.0, c=5.0) == 45.0
    with pytest.raises(TypeError, match="0 positional"):
        td.grad(product)(a=2.0, b=3.0, c=5.0)


def test_a_transformed_function_keeps_its_name_and_doc():
    def f(x):
        """The doc."""
        return x

    assert td.grad(f).__name__ == "grad(f)"
    assert td.value_and_grad(f).__doc__ == "The doc."


# --- has_aux


def with_aux(x):
    y = np.sum(x * x)
    return y, {"x": x, "doubled": 2 * x, "name": "aux", "n": 3}


def test_has_aux():
    g, aux = td.grad(with_aux, has_aux=True)(X)
    (value, aux2), g2 = td.value_and_grad(with_aux, has_aux=True)(X)
    y, pullback, aux3 = td.vjp(with_aux, X, has_aux=True)
    for gradient in (g, g2, pullback(1.0)):
        assert_array_equal(gradient, 2 * X)
    assert value == y == np.sum(X * X)
    for found in (aux, aux2, aux3):
        assert type(found["doubled"]) is np.ndarray
        assert_array_equal(found["doubled"], 2 * X)
        assert (found["name"], found["n"]) == ("aux", 3)
        assert not np.shares_memory(found["x"], X)


@pytest.mark.parametrize("output", [lambda x: x * x, lambda x: (x, x, x), lambda x: [x, x]])
def test_has_aux_needs_a_pair(output):
    for transform in (td.grad, td.value_and_grad):
        with pytest.raises(TypeError, match="pair"):
            transform(output, has_aux=True)(2.0)
    with pytest.raises(TypeError, match="pair"):
        td.vjp(output, 2.0, has_aux=True)


def test_an_aux_of_nested_gradients_belongs_to_the_outer_one():
    def outer(x):
        g, aux = td.grad(lambda y: (y**3, y * x), has_aux=True)(x)
        return g * aux  # 3 x**2 * x**2

    assert_allclose(td.grad(outer)(2.0), 12 * 2.0**3)


# --- trees

Layer = namedtuple("Layer", ["w", "b"])


@dataclasses.dataclass(frozen=True)
class Model:
    layers: Any
    name: str = "model"


@dataclasses.dataclass
class Mutable:
    w: Any
    count: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    w: Any


class Named(dict):
    pass


TREES = [
    X,
    2.0,
    [X, 2.0],
    (X, [X, (X,)]),
    {"w": X, "b": {"c": 1.5}},
    Layer(X, 2.0),
    Model([Layer(X, 1.0), {"z": X}]),
    Slotted(X),
    OrderedDict(z=X, a=2.0),
    defaultdict(list, {"w": X, "b": [X]}),
    Named(w=X),
    {("a", 1): X, 2: [X], None: 3.0},
    {"empty": {}, "none": [], "w": X},
    np.float32(2.0),
    np.array(2.0),
]


@pytest.mark.parametrize("params", TREES, ids=lambda t: type(t).__name__)
def test_a_gradient_is_shaped_like_its_argument(params):
    def loss(tree):
        return sum(
            (np.sum(leaf * leaf) for leaf in td.tree.flatten(tree)[0] if leaf is not None), 0
        )

    def check(path_and_leaf, path_and_gradient):
        assert path_and_leaf[0] == path_and_gradient[0]
        leaf, g = path_and_leaf[1], path_and_gradient[1]
        assert_array_equal(g, 2 * leaf)
        assert (np.shape(g), g.dtype) == (np.shape(leaf), np.asarray(leaf).dtype)

    if type(params) is Model:
        loss_of_leaves = loss
        loss = lambda model: loss_of_leaves(model.layers)  # noqa: E731
    g = td.grad(loss)(params)
    _, pullback = td.vjp(loss, params)
    for found in (g, pullback(1.0)):
        assert type(found) is type(params) or np.shape(params) == ()
        pairs = zip(td.tree.items(params), td.tree.items(found), strict=True)
        for one, other in pairs:
            if not isinstance(one[1], str):
                check(one, other)


def test_containers_keep_what_they_carry():
    g = td.grad(lambda d: d["w"] * 2)(defaultdict(list, w=3.0))
    assert g["missing"] == []
    ordered = td.grad(lambda d: d["a"] * d["z"])(OrderedDict(z=2.0, a=3.0))
    assert list(ordered.items()) == [("z", 3.0), ("a", 2.0)]
    mutable = Mutable(2.0)
    mutable.count = 7
    with pytest.raises(td.errors.ShapeError, match="trees differ"):
        td.tree.map(lambda a, b: a, mutable, {"w": 2.0})
    doubled = td.tree.map(lambda leaf: leaf * 2, mutable)
    assert (doubled.w, doubled.count, mutable.w) == (4.0, 14, 2.0)
    counter = td.grad(lambda c: c["a"] * 3.0)(collections.Counter(a=2.0))
    assert counter["a"] == 3.0


@pytest.mark.parametrize(
    "leaf", ["text", np.str_("text"), None, len, True, False, b"bytes", object(), np.float32, ...]
)
def test_other_leaves_are_carried_through(leaf):
    def loss(params):
        assert params["other"][0] is leaf
        return np.sum(params["w"] ** 2)

    params = {"other": [leaf], "w": X}
    assert td.grad(loss)(params)["other"][0] is leaf
    assert td.vjp(loss, params)[1](1.0)["other"][0] is leaf


def test_tree_map_goes_by_key_and_not_by_order():
    first, second = {"a": 1, "b": [2, 3]}, {"b": [20, 30], "a": 10}
    assert td.tree.map(lambda x, y: x + y, first, second) == {"a": 11, "b": [22, 33]}
    assert list(td.tree.map(lambda x, y: x + y, second, first)) == ["b", "a"]


@pytest.mark.parametrize(
    "other",
    [
        {"a": 1},
        {"a": 1, "b": [1], "c": 2},
        {"a": 1, "b": [1, 2]},
        {"a": [1], "b": [1]},
        {"a": 1, "b": (1,)},
        3,
        [1, [1]],
        Layer(1, [1]),
    ],
)
def test_tree_map_refuses_another_structure(other):
    with pytest.raises(td.errors.ShapeError, match="trees differ"):
        td.tree.map(lambda x, y: x, {"a": 1, "b": [1]}, other)


def test_flatten_and_unflatten_are_inverse():
    for params in TREES:
        leaves, structure = td.tree.flatten(params)
        again = td.tree.unflatten(structure, leaves)
        assert type(again) is type(params)
        assert all(a is b for a, b in zip(td.tree.flatten(again)[0], leaves, strict=True))


# --- outputs


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_output_of_size_one_is_a_scalar(shape):
    value, g = td.value_and_grad(lambda x: np.sum(x * x).reshape(shape))(X)
    assert np.shape(value) == shape
    assert_array_equal(g, 2 * X)


def test_an_output_that_is_no_scalar():
    with pytest.raises(TypeError, match=r"\(3,\).*\.mean\(\).*vjp"):
        td.grad(lambda x: x * 2)(X)
    with pytest.raises(TypeError, match=r"\(0,\)"):
        td.grad(lambda x: x[:0])(X)


@pytest.mark.parametrize(
    "output", [{"loss": 1.0}, None, "1.0", [1.0], True, 1j, np.True_, np.ones(2), np.array("a"), ()]
)
def test_an_output_that_is_no_number(output):
    for transform in (td.grad, td.value_and_grad):
        with pytest.raises(TypeError, match="must return a real scalar"):
            transform(lambda x: output)(2.0)


def test_a_tuple_output_is_pointed_to_has_aux():
    with pytest.raises(TypeError, match="has_aux"):
        td.grad(lambda x: (np.sum(x), x))(X)


@pytest.mark.parametrize("output", [None, "text", {"y": None}, [len]])
def test_vjp_of_no_arrays(output):
    with pytest.raises(TypeError, match="must return arrays"):
        td.vjp(lambda x: output, X)


@pytest.mark.parametrize("x", [3, 3.0, np.float64(3), np.float32(3)])
def test_a_number_gives_a_numpy_scalar(x):
    value, g = td.value_and_grad(lambda x: x * x)(x)
    assert (value, g) == (9, 6)
    assert isinstance(g, np.floating)
    assert g.dtype == (np.float32 if type(x) is np.float32 else np.float64)


def test_parameters_that_are_not_used():
    params = {"used": X, "not": np.ones((2, 3), np.float32), "number": 2.0}
    g = td.grad(lambda p: np.sum(p["used"]))(params)
    assert (g["not"].shape, g["not"].dtype) == ((2, 3), np.float32)
    assert not g["not"].any()
    assert g["number"] == 0.0
    assert isinstance(g["number"], np.float64)
    assert_array_equal(td.vjp(lambda a, b: a, X, X)[1](X)[1], np.zeros(3))


@pytest.mark.parametrize("output", [3.0, 3, np.float64(3), np.array(3.0), np.array([3.0])])
def test_an_output_that_depends_on_nothing_warns(output):
    for transform in (td.grad, td.value_and_grad):
        with pytest.warns(td.errors.DisconnectedWarning, match="depends on none") as caught:
            result = transform(lambda x: output)(X)
        g = result if transform is td.grad else result[1]
        assert_array_equal(g, np.zeros(3))
        assert caught[0].filename == __file__


def test_the_gradient_of_a_constant_gradient_warns():
    with pytest.warns(td.errors.DisconnectedWarning):
        assert td.grad(td.grad(lambda x: 3 * x))(2.0) == 0


def test_a_value_that_depends_on_nothing_is_not_somebody_elses_memory():
    other = np.array([2.0])
    with pytest.warns(td.errors.DisconnectedWarning):
        value, _ = td.value_and_grad(lambda x, y: y)(1.0, other)
    assert not np.shares_memory(value, other)


# --- leaves that cannot be differentiated


@pytest.mark.parametrize(
    "leaf", [np.array([1, 2]), np.array([True]), np.int64(3), np.True_, np.ones(2, np.uint8)]
)
def test_integers_and_bools_are_refused_by_their_path(leaf):
    def loss(params):
        return np.sum(params["layers"][0])

    with pytest.raises(TypeError, match=r"params\['layers'\]\[0\].*\.astype\(float\)") as caught:
        td.grad(loss)({"name": "x", "layers": [leaf]})
    assert str(leaf.dtype) in str(caught.value)
    with pytest.raises(TypeError, match=r"params\['layers'\]\[0\].*\.astype\(float\)"):
        td.vjp(loss, {"name": "x", "layers": [leaf]})


@pytest.mark.parametrize(
    "leaf", [np.ma.array([1.0, 2.0], mask=[0, 1]), type("Celsius", (float,), {})(2.0)]
)
def test_a_leaf_that_looks_like_numbers_is_never_its_own_gradient(leaf):
    """A masked array, a kind of float: refused, or differentiated right."""
    try:
        g = td.grad(lambda x: 3.0 * np.sum(x) if np.ndim(x) else x * 3.0)(leaf)
    except TypeError:
        return
    assert_array_equal(np.ma.filled(g, 0.0), [3.0, 0.0] if np.ndim(leaf) else 3.0)


def test_a_path_names_the_argument():
    with pytest.raises(TypeError, match=r"^b: .*int64"):
        td.grad(product, 1)(1.0, np.array([1]), 1.0)
    with pytest.raises(TypeError, match="object"):
        td.grad(lambda x: 1.0)(np.array([1.0, None], object))


# --- nesting

DERIVATIVES = {  # the n-th derivative, n = 0 ... 5
    "sin": (np.sin, lambda x, n: np.sin(x + n * np.pi / 2)),
    "exp": (lambda x: np.exp(2 * x), lambda x, n: 2.0**n * np.exp(2 * x)),
    "power": (lambda x: x**7, lambda x, n: math.perm(7, n) * x ** (7 - n)),
    "real power": (
        lambda x: x**2.5,
        lambda x, n: np.prod([2.5 - k for k in range(n)]) * x ** (2.5 - n),
    ),
    "reciprocal": (lambda x: 1 / x, lambda x, n: (-1) ** n * math.factorial(n) / x ** (n + 1)),
    "log": (
        np.log,
        lambda x, n: np.log(x) if n == 0 else -((-1) ** n) * math.factorial(n - 1) / x**n,
    ),
    "matmul": (
        lambda x: np.sum((x * np.eye(2)) @ (x * np.ones((2, 2))) * x**3),
        lambda x, n: 4 * math.perm(5, n) * x ** (5 - n),
    ),
    "softplus": (lambda x: td.nn.softplus(x) + td.nn.softplus(-x) - x, None),
}
DERIVATIVES["softplus"] = (
    td.nn.softplus,
    lambda x, n: [
        lambda s: np.log1p(np.exp(x)),
        lambda s: s,
        lambda s: s * (1 - s),
        lambda s: s * (1 - s) * (1 - 2 * s),
        lambda s: s * (1 - s) * (1 - 6 * s + 6 * s**2),
        lambda s: s * (1 - s) * (1 - 2 * s) * (1 - 12 * s + 12 * s**2),
    ][n](1 / (1 + np.exp(-x))),
)


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("x", [0.3, 1.7])
def test_derivatives_up_to_the_fifth(name, x):
    f, closed_form = DERIVATIVES[name]
    for n in range(6):
        assert_allclose(f(x), closed_form(x, n), rtol=1e-10)
        f = td.grad(f)


def test_no_perturbation_confusion():
    assert td.grad(lambda x: x * td.grad(lambda y: x + y)(1.0))(1.0) == 1
    assert td.grad(lambda x: x * td.grad(lambda y: x * y)(2.0))(3.0) == 6


def test_a_gradient_of_three_levels_that_mixes_them():
    # d/dx [x d/dy (y d/dz (x y z))] = d/dx [x d/dy (x y**2)] = d/dx [2 x**2 y] = 4 x y
    def f(x, y):
        return x * td.grad(lambda y: y * td.grad(lambda z: x * y * z)(5.0))(y)

    assert td.grad(f)(3.0, 2.0) == 24


def test_pullbacks_called_inside_grad():
    _, pullback = td.vjp(lambda x: np.sin(x) * x, X)  # made outside

    def f(x):
        y, inside = td.vjp(lambda z: x * z**2, x)  # x**3, and 2 x**2 g
        return np.sum(inside(x) + pullback(x) * y)

    slope = np.cos(X) * X + np.sin(X)
    assert_allclose(td.grad(f)(X), 6 * X**2 + slope * 4 * X**3, rtol=1e-13)
    td.check_grads(f, X)


def test_a_hessian_from_pullbacks_is_symmetric(rng):
    a, x = rng.standard_normal((4, 4)), rng.standard_normal(4)

    def f(x):
        return np.sum(np.tanh(a @ x) ** 2) + td.special.logsumexp(x) * x[0]

    _, pullback = td.vjp(td.grad(f), x)
    hessian = np.stack([pullback(row) for row in np.eye(4)])
    assert_allclose(hessian, hessian.T, atol=1e-13)
    assert np.abs(hessian).max() > 0.1


def test_an_outer_tensor_captured_by_an_inner_function():
    def f(w):
        inner = td.grad(lambda x: np.sum(np.tanh(w @ x)))
        return np.sum(inner(np.ones(2)) ** 2)

    td.check_grads(f, np.array([[0.3, -0.2], [0.5, 0.1]]))


def test_gradients_through_a_step_of_gradient_descent():
    optimizer = td.optim.momentum(0.1)

    def after_two_steps(params):
        state = optimizer.init(params)
        for _ in range(2):
            gradient = td.grad(lambda p: np.sum(p["w"] ** 4))(params)
            params, state = optimizer.update(params, gradient, state)
        return np.sum(params["w"])

    td.check_grads(after_two_steps, {"w": X})


# --- vjp


def test_a_pullback_may_be_called_twice():
    y, pullback = td.vjp(lambda x: np.exp(x) * x, X)
    first = pullback(y)
    assert_array_equal(first, pullback(y))
    first[:] = 0
    assert_allclose(pullback(y), y * np.exp(X) * (1 + X))


def test_vjp_of_trees():
    def f(a, b):
        return {"sum": a["x"] + b, "more": (a["x"] * b, a["x"])}

    y, pullback = td.vjp(f, {"x": X}, 2.0)
    assert_array_equal(y["more"][0], 2 * X)
    ga, gb = pullback({"more": (np.ones(3), np.full(3, 5.0)), "sum": X})
    assert_array_equal(ga["x"], X + 2 + 5)
    assert gb == np.sum(X) + np.sum(X)


def test_one_output_given_twice_adds_up():
    def f(x):
        y = x * 2
        return y, y, 1.0

    _, pullback = td.vjp(f, X)
    assert_array_equal(pullback((X, X, 7.0)), 4 * X)


@pytest.mark.parametrize("g", [1.0, np.ones(2), np.ones((3, 1)), np.ones((1, 3))])
def test_a_cotangent_of_another_shape(g):
    _, pullback = td.vjp(lambda x: x * 2, X)
    with pytest.raises(td.errors.ShapeError, match=r"\(3,\)"):
        pullback(g)


def test_a_cotangent_of_another_structure():
    _, pullback = td.vjp(lambda x: [x, x], X)
    with pytest.raises(td.errors.ShapeError, match="trees differ"):
        pullback((X, X))


def test_a_cotangent_is_taken_in_the_outputs_dtype():
    x = np.ones(3, np.float32)
    _, pullback = td.vjp(lambda x: x * 2, x)
    assert pullback(np.ones(3)).dtype == np.float32
    assert_array_equal(pullback(np.array([1, 2, 3])), [2, 4, 6])
    with pytest.raises(TypeError, match="complex"):
        pullback(np.ones(3, complex))


def test_a_cotangent_on_an_outer_tape_is_taken_in_the_outputs_dtype():
    def f(g):
        _, pullback = td.vjp(lambda x: x * x, np.full(3, 2, np.float32))
        return np.sum(pullback(g))

    assert_array_equal(td.grad(f)(X), [4, 4, 4])


def test_vjp_needs_a_primal():
    with pytest.raises(TypeError, match="at least one"):
        td.vjp(lambda: 1.0)


class Subclass(np.ndarray):
    """As np.memmap is one."""


@pytest.mark.parametrize("kind", [np.ndarray, Subclass])
def test_a_pullback_after_the_arrays_changed_in_place(kind):
    x, c, index = X.copy().view(kind), np.array([2.0, 3.0, 4.0]).view(kind), np.array([0, 1, 2])

    def f(x):
        return {"a": x * c * x, "b": np.exp(x), "c": x[index] / c}

    y, pullback = td.vjp(f, x)
    g = {"a": np.ones(3), "b": np.ones(3), "c": np.ones(3)}
    expected = 2 * X * np.array([2.0, 3.0, 4.0]) + np.exp(X) + 1 / np.array([2.0, 3.0, 4.0])
    x[:] = c[:] = 99.0
    index[:] = 0
    y["a"][:] = y["b"][:] = 99.0
    assert_allclose(pullback(g), expected)
    g["b"][:] = 5.0
    assert_allclose(pullback(g), expected + 4 * np.exp(X))


@pytest.mark.parametrize("kind", [np.ndarray, Subclass])
def test_results_share_no_memory(kind):
    a, b, g = X.copy().view(kind), X.copy().view(kind), X.copy()
    grads = td.grad(lambda a, b: np.sum(a + b), (0, 1))(a, b)
    y, pullback = td.vjp(lambda a, b: a + b, a, b)
    z, identity = td.vjp(lambda a: a, a)
    (w, aux), same = td.value_and_grad(lambda a: (a[0], (a, a[:2], a.T)), has_aux=True)(a)
    found = [a, b, g, *grads, y, *pullback(g), z, identity(g), *identity((g,)[0])[None]]
    found += [*pullback(g), same, *aux, w]
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert not np.shares_memory(one, other)


def test_reshaped_and_transposed_gradients_share_no_memory():
    x, z = np.ones((2, 3)), np.ones((3, 2))
    gx, gz = td.grad(lambda x, z: np.sum((x.T + z) * 2.0), (0, 1))(x, z)
    assert not np.shares_memory(gx, gz)
    gx[:] = 7
    assert_array_equal(gz, np.full((3, 2), 2.0))


# --- errors in the function


def test_an_exception_propagates_unchanged():
    raised = KeyError("mine")

    def f(_):
        raise raised

    with pytest.raises(KeyError) as caught:
        td.grad(f)(X)
    assert caught.value is raised
    assert not getattr(raised, "__notes__", None)
    assert td.grad(total)(2.0) == 4  # nothing is left behind


def test_an_exception_in_an_op_says_which():
    def f(x):
        return np.sum(x @ np.ones((4, 2)))

    with pytest.raises(ValueError, match="matmul") as caught:
        td.grad(td.grad(f))(X)
    assert caught.value.__notes__ == ["in the op matmul of float64(3,) and float64(4, 2)"]


def test_an_exception_in_a_rule_says_which():
    op = td.define(np.sin, lambda g, y, x: {}["missing"], name="mysin")
    with pytest.raises(KeyError, match="missing") as caught:
        td.grad(lambda x: np.sum(op(x)))(X)
    assert "mysin" in caught.value.__notes__[0]


# --- Tensors that outlive their tape


def escaped():
    kept = []
    td.grad(lambda x: (kept.append(x * 2), np.sum(x))[1])(X)
    return kept[0]


USES = {
    "add": lambda t: t + 1,
    "radd": lambda t: 1 + t,
    "array add": lambda t: X + t,
    "ufunc": np.exp,
    "function": np.sum,
    "method": lambda t: t.sum(),
    "index": lambda t: t[0],
    "iteration": lambda t: next(iter(t)),
    "T": lambda t: t.T,
    "where": lambda t: np.where(X > 0, t, X),
    "concatenate": lambda t: np.concatenate([X, t]),
    "comparison": lambda t: t > 0,
    "einsum": lambda t: np.einsum("i->", t),
    "relu": td.nn.relu,
    "astype": lambda t: t.astype(np.float32),
    "zeros_like": np.zeros_like,
    "under grad": lambda t: td.grad(lambda x: np.sum(x * t))(X),
}


@pytest.mark.parametrize("use", USES)
def test_an_escaped_tensor_raises_in_ops(use):
    t = escaped()
    with pytest.raises(td.errors.EscapedTensorError, match="outlived"):
        USES[use](t)


def test_an_escaped_tensor_still_shows_its_value():
    t = escaped()
    assert_array_equal(t.value, 2 * X)
    assert (t.shape, t.dtype, t.ndim, t.size, len(t)) == ((3,), np.float64, 1, 3, 3)
    assert t.tolist() == [1.0, -2.0, 4.0]
    assert "[ 1., -2.,  4.]" in repr(t)


def test_a_tensor_escapes_from_vjp_and_from_a_failed_function_too():
    kept = []

    def f(x):
        kept.append(x)
        if len(kept) > 1:
            raise KeyError
        return x

    td.vjp(f, X)
    with pytest.raises(KeyError):
        td.grad(f)(X)
    for t in kept:
        with pytest.raises(td.errors.EscapedTensorError):
            t * 2


# --- what a Tensor is to Python


def on_tape(value):
    return td.Tensor(value, td.Tape())


@pytest.mark.parametrize("value", [0.0, -2.7, np.array(1.5), np.array([3.25]), np.float32(0.5)])
@pytest.mark.parametrize(
    "convert", [bool, lambda v: v.item(), lambda v: v.tolist(), lambda v: v.ndim, lambda v: v.size]
)
def test_conversions_of_one_element_are_numpys(convert, value):
    value = np.asarray(value)
    got = convert(on_tape(value))
    assert got == convert(value)
    assert type(got) is type(convert(value))


@pytest.mark.parametrize("value", [0.0, -2.7, np.float32(0.5)])
def test_float_int_and_format(value):
    t = on_tape(value)
    assert t.item() == value
    with pytest.raises(td.errors.LostGradientError):
        float(t)
    t.tape.close()
    assert (float(t), int(t), complex(t)) == (float(value), int(value), complex(value))
    assert (f"{t:.2f}", f"{t}") == (f"{value:.2f}", f"{np.asarray(value)[()]}")


@pytest.mark.parametrize("convert", [bool, float, int, lambda v: v.item(), lambda v: f"{v:.2f}"])
def test_conversions_of_several_elements_raise_as_numpys(convert):
    with pytest.raises((TypeError, ValueError)) as expected:
        convert(X)
    with pytest.raises(expected.type):
        convert(on_tape(X))


def test_len_iteration_and_membership():
    t = on_tape(np.arange(6.0).reshape(3, 2))
    assert len(t) == 3
    assert 4.0 in t
    assert 9.0 not in t
    assert [type(row) for row in t] == [td.Tensor] * 3
    assert_array_equal(np.stack([row.value for row in t]), t.value)
    first, *_ = t
    assert first.shape == (2,)
    for scalar in (on_tape(1.0), on_tape(np.array(1.0))):
        with pytest.raises(TypeError, match="0-d"):
            iter(scalar)
        with pytest.raises(TypeError):
            len(scalar)
    with pytest.raises(TypeError, match="unhashable"):
        hash(t)


CONVERSIONS = {
    "asarray": np.asarray,
    "array": np.array,
    "array of a list": lambda t: np.array([t, t]),
    "array of floats": lambda t: np.array([t, t], dtype=float),
    "assign a slice": lambda t: np.zeros(3).__setitem__(slice(None), t),
    "full": lambda t: np.full(3, t),
    "sum of a list": lambda t: np.sum([t, t]),
}


@pytest.mark.parametrize("how", CONVERSIONS)
def test_a_tensor_does_not_become_an_array(how):
    with pytest.raises(TypeError, match=r"np\.stack|value"):
        CONVERSIONS[how](on_tape(X))


def stores(store):
    """A function that lets something else store t[0] in an array."""

    def f(t, dtype=float):
        a = np.zeros(3, dtype)
        store(a, t[0] * 2)
        return np.sum(a.real)

    return f


STORES = {
    "a[i] = t": lambda a, t: operator.setitem(a, 0, t),
    "a[...] = t": lambda a, t: operator.setitem(a, ..., t),
    "a[[i]] = t": lambda a, t: operator.setitem(a, [0], t),
    "a.__setitem__": lambda a, t: a.__setitem__(0, t),
    "a.flat[i] = t": lambda a, t: operator.setitem(a.flat, 0, t),
    "a[i] += t": lambda a, t: operator.setitem(a, 0, a[0] + t),
    "map": lambda a, t: [*map(a.__setitem__, range(2), [t, t])],
    "a.fill": lambda a, t: a.fill(t),
    "a.put": lambda a, t: a.put([0], t),
    "np.put": lambda a, t: np.put(a, [0], t),
    "memoryview": lambda a, t: memoryview(a).__setitem__(0, t),
}
BY_NUMBER = {
    "float": lambda t: float(t[0]),
    "int": lambda t: int(t[0]),
    "complex": lambda t: complex(t[0]).real,
    "math.sin": lambda t: math.sin(t[0]),
    "math.fsum": math.fsum,
    "np.float64": lambda t: np.float64(t[0]),
    "np.float32": lambda t: np.float32(t[0]),
    "np.int64": lambda t: np.int64(t[0]),
    "np.fromiter": lambda t: np.sum(np.fromiter(t, float)),
    "np.fromiter of ints": lambda t: np.sum(np.fromiter(t, int)),
    "array.array": lambda t: array.array("d", t)[0],
    "struct": lambda t: struct.unpack("d", struct.pack("d", t[0]))[0],
    "range": lambda t: len(range(t[0])),
    "an index": lambda t: [1.0, 2.0, 3.0][t[0]],
    "divmod of ints": lambda t: divmod(7, int(t[0]))[0],
    **{f"{name} of floats": stores(store) for name, store in STORES.items()},
    **{
        f"{name} of {dtype.__name__}s": functools.partial(stores(store), dtype=dtype)
        for name, store in STORES.items()
        for dtype in (np.int64, np.float16, np.complex128)
        if name != "memoryview"
    },
}


def first_of(error):
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@pytest.mark.parametrize("how", BY_NUMBER)
def test_what_asks_a_tensor_for_its_number_is_refused(how):
    """Also inside of another gradient, and where NumPy makes a ValueError of it."""
    for transform in (td.grad, td.hessian, td.jacobian):
        with pytest.raises((td.AutodiffError, TypeError, ValueError, struct.error)) as caught:
            transform(lambda t: BY_NUMBER[how](t) + np.sum(t))(X)
        error = first_of(caught.value)
        if isinstance(error, td.errors.LostGradientError):
            assert not isinstance(error, TypeError | ValueError)
            assert re.search(r"td\.at\(a\)\[i\]\.set\(t\).*np\.stack.*t\.item\(\)", str(error))


@pytest.mark.parametrize("how", [*STORES])
def test_a_condition_is_stored_as_numpys(how):
    """A bool has no gradient to lose."""
    a = np.zeros(3, bool)
    if how in ("a[i] = t", "a.__setitem__", "a.fill"):
        STORES[how](a, on_tape(X)[0])
        assert a[0]


def test_the_number_is_taken_aloud():
    ways = (lambda t: t.item(), lambda t: float(t.value), lambda t: float(td.stop_gradient(t)))
    for way in ways:
        assert td.grad(lambda x, way=way: way(x[0]) * x[1])(X)[1] == X[0]
        nested = td.grad(lambda x, way=way: td.grad(lambda y: y * way(x[0] * 1.0))(2.0) * x[1])
        assert_array_equal(nested(X), [0, X[0], 0])
    out = np.zeros((2, 3))
    out[0, 1] = on_tape(X)[0].item()
    assert out[0, 1] == X[0]


def test_a_number_of_what_is_not_differentiated():
    assert td.record(lambda x: x * float(np.sum(x)), X)
    assert td.debug(lambda x: math.sin(x[0]) * x)(X)[0] == math.sin(X[0]) * X[0]
    with pytest.raises(td.errors.LostGradientError):
        td.debug(td.grad(lambda x: math.sin(x[0])))(X)
    with pytest.raises(td.errors.LostGradientError):
        td.grad(td.debug(lambda x: math.sin(x[0])))(X)
    with pytest.raises(td.errors.TracedValueError):
        td.jit(td.grad(lambda x: math.sin(x[0])))(X)
    with pytest.raises(td.errors.TracedValueError):
        td.grad(lambda x: np.sum(td.vmap(math.sin)(x)))(X)


def test_an_element_of_a_plain_array_is_not_assigned_a_tensor():
    out = np.zeros((2, 3))
    t = on_tape(X)
    for store in (lambda: operator.setitem(out, (0, 1), t[0] ** 2), lambda: out[0].fill(t[0])):
        with pytest.raises(ValueError, match="element") as caught:  # which NumPy makes of ours
            store()
        assert "td.at(a)[i].set(t)" in str(caught.value.__cause__)
    assert_array_equal(out, 0)


def test_assignment_to_a_tensor_leaves_the_array_as_it_was():
    t = on_tape(X)
    before = t.value
    t[0] = 9.0
    assert t.value[0] == 9
    assert_array_equal(before, X)


def test_adding_a_tensor_to_an_array_in_place_shows_the_way():
    h = X.copy()
    with pytest.raises(TypeError, match=r"h = h \+ x"):
        h += on_tape(X)
    assert_array_equal(h, X)
    with pytest.raises(TypeError, match=r"h = h \+ x"):
        np.add(on_tape(X), 1.0, out=h)


def test_adding_in_place_to_a_tensor_is_seen_under_all_its_names():
    def f(x):
        y = x
        y += 1
        y *= x
        return np.sum(y)

    value, gradient = td.value_and_grad(f)(X)
    assert value == f(X.copy())
    assert_array_equal(gradient, 2 * (X + 1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: np.sum([t, t]), r"np\.sum\(np\.stack\("),
        (lambda t: np.mean([t, t], axis=0), r"np\.mean\(np\.stack\("),
        (lambda t: np.linalg.norm([t, t]), r"np\.linalg\.norm\(np\.stack\("),
        (lambda t: np.dot([t, t], X), r"np\.stack"),
        (lambda t: np.r_[t, t], r"np\.concatenate"),
    ],
)
def test_a_list_of_tensors_is_stacked_first(call, said):
    with pytest.raises(td.errors.NotDifferentiableError, match=said):
        call(on_tape(X))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *[(name, rf"tensor\.value\.{name}") for name in ("strides", "view", "flags", "tobytes")],
        ("put", r"td\.at\(x\)\["),
        ("choose", r"np\.choose"),
        ("foo", "'Tensor' object has no attribute 'foo'"),
        ("__array_interface__", "'Tensor' object has no attribute"),
    ],
)
def test_attributes_that_arrays_alone_have(name, said):
    assert not hasattr(on_tape(X), name)
    with pytest.raises(AttributeError, match=said):
        getattr(on_tape(X), name)


def test_a_tensor_is_not_pickled():
    with pytest.raises(td.errors.NotDifferentiableError, match=r"pickle tensor\.value"):
        td.grad(lambda x: np.sum(pickle.loads(pickle.dumps(x)) * x))(X)


def test_copies_of_a_tensor_are_the_tensor():
    assert_array_equal(td.grad(lambda x: np.sum(copy.copy(x) * x))(X), 2 * X)
    assert_array_equal(td.grad(lambda x: np.sum(copy.deepcopy([x])[0] * x))(X), 2 * X)


# --- tapes by hand


def test_a_tape_by_hand():
    tape = td.Tape()
    x, w = td.Tensor(X, tape), td.Tensor(2.0, tape)
    y = np.sum(np.exp(x) * w)
    for _ in range(2):
        gx, gw = tape.gradients(y, x, w)
        assert_allclose(gx, 2 * np.exp(X))
        assert_allclose(gw, np.sum(np.exp(X)))
    assert_array_equal(tape.gradients(x, w)[0], 0.0)
    z = x * 3.0  # goes on after a sweep
    assert_array_equal(tape.gradients(z, x, g=X)[0], 3 * X)
    assert [record.name for record in tape] == [
        "input",
        "input",
        "exp",
        "multiply",
        "sum",
        "multiply",
    ]
    assert len(tape) == 6
    assert tape[3].parents == (2, 1)


def test_gradients_by_hand_share_no_memory():
    tape = td.Tape()
    a, b, g = td.Tensor(X, tape), td.Tensor(X + 1, tape), np.ones(3)
    ga, gb = tape.gradients(a + b, a, b, g=g)
    (same,) = tape.gradients(a, a, g=g)
    for one, other in [(ga, gb), (ga, g), (gb, g), (same, g)]:
        assert not np.shares_memory(one, other)


@pytest.mark.parametrize("g", [[1.0, 2.0, 3.0], np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0])])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cotangent_by_hand_is_taken_in_the_outputs_dtype(g, dtype):
    tape = td.Tape()
    x = td.Tensor(np.ones(3, dtype), tape)
    (gx,) = tape.gradients(x * 2 + 1, x, g=g)
    assert_array_equal(gx, [2, 4, 6])
    assert gx.dtype == dtype


@pytest.mark.parametrize("g", [2, 2.0, np.float64(2)])
def test_a_number_as_a_cotangent_by_hand(g):
    tape = td.Tape()
    x = td.Tensor(3.0, tape)
    assert tape.gradients(x + 1.0, x, g=g) == (2.0,)


def test_a_tape_by_hand_after_its_input_changed_in_place():
    """The right answer or an error, and never a silent wrong one."""
    tape, array = td.Tape(), X.copy()
    x = td.Tensor(array, tape)
    y = np.sum(x * x)
    array[:] = 0
    assert_array_equal(tape.gradients(y, x)[0], 2 * X)


def test_mistakes_with_tapes_by_hand():
    tape, other = td.Tape(), td.Tape()
    x, z = td.Tensor(X, tape), td.Tensor(X, other)
    y = x * 2
    with pytest.raises(td.errors.NotDifferentiableError, match="another tape"):
        tape.gradients(y, z)
    with pytest.raises(td.errors.NotDifferentiableError, match="not an input"):
        tape.gradients(y, y)
    with pytest.raises(td.errors.ShapeError, match=r"\(2,\).*\(3,\)"):
        tape.gradients(y, x, g=np.ones(2))
    with pytest.raises(TypeError, match=r"int64.*\.astype\(float\)"):
        td.Tensor(np.array([1, 2]), tape)


def test_a_tape_prints_its_program():
    tape = td.Tape()
    x = td.Tensor(np.ones((2, 3), np.float32), tape)
    np.mean(x @ np.ones((3, 4)) - 1.5, axis=0)
    lines = str(tape).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["%0", "input"],
        ["%1", "matmul"],
        ["%2", "subtract"],
        ["%3", "mean"],
    ]
    assert "%0, float64[3, 4]" in lines[1]
    assert "%2, axis=0" in lines[3]
    assert [line.split()[-1] for line in lines] == ["float32", "float64", "float64", "float64"]
    assert len({line.index("float", 30) for line in lines}) == 1  # columns are aligned
    assert str(td.Tape()) == "an empty tape"


def test_a_tensor_shows_value_and_op():
    tape = td.Tape()
    x = td.Tensor(np.array([1.0, 4.0]), tape)
    assert repr(x) == "Tensor(array([1., 4.]), op=input)"
    assert repr(np.sqrt(x)) == "Tensor(array([1., 2.]), op=sqrt)"
    assert "Tensor(Tensor(" in repr(td.Tensor(x, td.Tape()))


@pytest.mark.parametrize(
    "wrap", [types.MappingProxyType, collections.UserDict, lambda d: types.SimpleNamespace(**d)]
)
def test_other_containers_are_no_leaves(wrap):
    def loss(p):
        inner = p["m"].w if hasattr(p["m"], "w") else p["m"]["w"]
        return p["s"] * np.sum(inner)

    grads = td.grad(loss)({"s": 2.0, "m": wrap({"w": np.full(2, 5.0)})})
    inner = grads["m"].w if hasattr(grads["m"], "w") else grads["m"]["w"]
    assert_array_equal(inner, [2, 2])
    assert_array_equal(td.grad(lambda d: np.sum(d[0] * d[1]))(collections.deque([X, X]))[0], X)


def test_a_pullback_after_an_array_option_changed():
    scaled = td.define(lambda x, *, w: x * w, lambda g, y, x, *, w: g * w, name="scaled")
    w = np.array([2.0, 3.0])
    _, pullback = td.vjp(lambda x: scaled(x, w=w), np.ones(2))
    w[:] = 0
    assert_array_equal(pullback(np.ones(2)), [2, 3])


def test_rules_that_disagree_on_options_are_refused_at_once():
    with pytest.raises(TypeError, match=r"two: .*needs the options.*n.*lacks n"):
        td.define(
            lambda a, b, *, n: a * b * n,
            lambda g, y, a, b, *, n: g * b * n,
            lambda g, y, a, b: g * a,
            name="two",
        )
    with pytest.raises(ValueError, match="elementwsie"):
        td.define(np.sin, lambda g, y, x: g * np.cos(x), kind="elementwsie")


def test_a_missing_rule_is_named_by_its_module():
    with pytest.raises(TypeError, match=r"np\.histogram2d: .*np\.ravel_multi_index"):
        td.grad(lambda x: np.histogram2d(x, x))(X)
    unknown = np.frompyfunc(lambda x: x, 1, 1)
    with pytest.raises(TypeError, match="no derivative rule"):
        unknown(on_tape(X))
    with pytest.raises(TypeError, match="concatenate: no derivative rule with casting="):
        td.grad(lambda x: np.sum(np.concatenate([x, x], casting="no")))(X)
    with pytest.raises(TypeError, match="twice"):
        td.grad(lambda x: np.sum(np.clip(x, 0, min=1)))(X)


@pytest.mark.parametrize("x", [np.array([1e12]), np.array([1e6], np.float32), np.array([1.0])])
def test_check_grads_sees_a_wrong_rule_at_any_size_of_x(x):
    bent = td.define(np.sin, lambda g, y, x: 2 * g * np.cos(x), name="bent")
    scaled = td.define(lambda x: x * x / 2, lambda g, y, x: 2 * g * x, name="scaled")
    with pytest.raises(td.errors.GradientMismatchError):
        td.check_grads(bent if x[0] == 1 else scaled, x, order=1)


def test_check_grads_says_where_it_cannot_look():
    with (
        pytest.raises(td.errors.GradientMismatchError, match="not finite"),
        np.errstate(all="ignore"),
    ):
        td.check_grads(np.log, np.array([1e-8]))


@pytest.mark.parametrize("make", [td.optim.gradient_descent, td.optim.momentum])
def test_a_numpy_rate_leaves_float32_alone(make):
    optimizer = make(np.float64(0.1))
    params = {"w": np.ones(2, np.float32), "names": np.array(["a", "b"])}
    updated, _ = optimizer.update(params, params, optimizer.init(params))
    assert updated["w"].dtype == np.float32
    assert updated["names"] is params["names"]
