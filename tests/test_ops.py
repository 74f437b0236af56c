"""Every op row, because it is a row; then NumPy's spellings, and what is refused."""

import functools
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.domains import DOMAINS, EINSUMS, INDEXED, INDICES, MATMULS, ODD_INDICES, reference
from tinygrad_digits.engine.primitive import Kind, VariadicRule
from tinygrad_digits.ops import OPS

CASES = [
    pytest.param(name, draw, id=f"{name}-{i}")
    for name in OPS
    for i, draw in enumerate(DOMAINS.get(name, ()))
]
ELEMENTWISE = [name for name, op in OPS.items() if op.primitive.kind == Kind.ELEMENTWISE]


def floats(args):
    """The positions of what can be differentiated."""
    return tuple(i for i, x in enumerate(args) if getattr(x, "dtype", np.dtype(int)).kind == "f")


def weighted(op, options, weights=None):
    """(args) -> the sum of the op's output, each element with a weight of its own."""

    def scalar(*args):
        y = op(*args, **options)
        w = np.cos(np.arange(y.size)).reshape(y.shape) if weights is None else weights
        return np.sum(y * w.astype(y.dtype))

    return scalar


# --- the rows


def test_every_row_has_a_sampling_domain_or_a_case(rows_of_cases):
    assert not OPS.keys() - DOMAINS.keys() - rows_of_cases.keys()
    assert not DOMAINS.keys() - OPS.keys()


@pytest.mark.parametrize(("name", "draw"), CASES)
def test_value_is_numpys(name, draw, rng):
    args, options = draw(rng)
    expected = reference(name)(*args, **options)
    plain = OPS[name](*args, **options)
    y, _ = td.vjp(lambda *xs: OPS[name](*put(args, xs), **options), *moving(args))
    assert_allclose(plain, expected, rtol=1e-13, atol=1e-15)
    assert_array_equal(y, plain)
    assert np.shape(y) == np.shape(expected)
    assert y.dtype == np.asarray(expected).dtype


def moving(args):
    return [args[i] for i in floats(args)]


def put(args, xs):
    full = list(args)
    for i, x in zip(floats(args), xs, strict=True):
        full[i] = x
    return full


@pytest.mark.parametrize(("name", "draw"), CASES)
def test_derivatives_match_central_differences(name, draw, rng):
    args, options = draw(rng)

    def f(*xs):
        return OPS[name](*put(args, xs), **options)

    td.check_grads(f, *moving(args), order=2)


@pytest.mark.parametrize(("name", "draw"), CASES)
def test_float32_gives_float32(name, draw, rng):
    args, options = draw(rng)
    args32 = [x.astype(np.float32) if i in floats(args) else x for i, x in enumerate(args)]
    y = OPS[name](*args32, **options)
    grads32 = td.grad(weighted(OPS[name], options), floats(args))(*args32)
    grads64 = td.grad(weighted(OPS[name], options), floats(args))(*args)
    assert y.dtype == np.asarray(reference(name)(*args32, **options)).dtype
    for g32, g64, x in zip(grads32, grads64, moving(args32), strict=True):
        assert (g32.dtype, np.shape(g32)) == (np.float32, np.shape(x))
        assert_allclose(g32, g64, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "draw"), CASES)
def test_nothing_is_mutated_and_nothing_is_shared(name, draw, rng):
    args, options = draw(rng)
    before = td.tree.map(np.copy, args)
    y, pullback = td.vjp(lambda *xs: OPS[name](*put(args, xs), **options), *moving(args))
    cotangent = np.asarray(rng.standard_normal(np.shape(y)), y.dtype)
    kept = cotangent.copy()
    pulled = pullback(cotangent)
    grads = pulled if isinstance(pulled, tuple) else (pulled,)
    td.tree.map(assert_array_equal, args, before)
    assert_array_equal(cotangent, kept)
    arrays = [*grads, y, cotangent, *moving(args)]
    for i, g in enumerate(grads):
        assert not any(np.shares_memory(g, other) for other in arrays[i + 1 :])


@pytest.mark.parametrize("name", DOMAINS)
def test_a_rule_wrong_by_a_twentieth_of_a_percent_is_caught(name, rng):
    args, options = DOMAINS[name][0](rng)
    for bent in bent_ops(OPS[name].primitive):
        f = functools.partial(on_moving, bent, args, options)
        f.__name__ = name
        with pytest.raises(
            td.errors.GradientMismatchError, match=rf"\b{name}: derivative .*expected"
        ):
            td.check_grads(f, *moving(args), order=1)


def on_moving(op, args, options, *xs):
    return op(*put(args, xs), **options)


def bent_ops(row):
    """The op with each of its rules wrong in turn."""

    def bend(rule):
        return functools.wraps(rule)(lambda *args, **options: 1.0005 * rule(*args, **options))

    if isinstance(row.rules, VariadicRule):
        yield td.define(
            row.kernel, VariadicRule(bend(row.rules.rule)), name=row.name, kind=row.kind
        )
        return
    for k, rule in enumerate(row.rules):
        if rule is not None:
            rules = [bend(r) if i == k else r for i, r in enumerate(row.rules)]
            yield td.define(row.kernel, *rules, name=row.name, kind=row.kind)


# --- broadcasting


RANGES = dict.fromkeys(
    ("arcsin", "arccos", "arctanh", "logit", "erfinv", "erfinv_slope"), (0.2, 0.8)
)
RANGES |= {"arccosh": (1.5, 2.5)}
"""Where rows are defined, if not from 0.5 to 1.5."""

OPTIONS = {"astype": {"dtype": np.float32}}
OPTIONS |= {name: {"order": 1} for name in ("sinc_derivative", "i0_derivative")}
OPTIONS["power_slope"] = {"by_base": 1, "by_exponent": 1}
OPTIONS |= {name: {"n": 1} for name in ("polygamma", "polygamma_rise", "excess", "iv")}
OPTIONS |= {"gaussian": {"scale": 0.5}}


def elementwise_args(name, shapes, rng):
    args = [rng.uniform(*RANGES.get(name, (0.5, 1.5)), shape) for shape in shapes]
    if name == "where":
        args[0] = args[0] > 1
    elif name == "ldexp":
        args[1] = (8 * args[1]).astype(int)
    return args


@pytest.mark.parametrize("name", ELEMENTWISE)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_gradient_has_its_own_inputs_shape(name, data):
    arity = OPS[name].primitive.arity
    shapes, _ = data.draw(
        mutually_broadcastable_shapes(num_shapes=arity, max_dims=3, min_side=0, max_side=3)
    )
    args = elementwise_args(name, shapes, np.random.default_rng(0))
    f = weighted(OPS[name], OPTIONS.get(name, {}))
    grads = td.grad(f, floats(args))(*args)
    full = [x.copy() for x in np.broadcast_arrays(*args)]
    stretched = td.grad(f, floats(args))(*full)
    for x, g, whole in zip(moving(args), grads, stretched, strict=True):
        assert np.shape(g) == np.shape(x)
        assert_allclose(g, summed(whole, np.shape(x)), rtol=1e-12, atol=1e-14)


def summed(whole, shape):
    """The transpose of broadcasting, element by element."""
    small = np.zeros(shape)
    views = np.broadcast_to(np.arange(small.size).reshape(shape), np.shape(whole))
    np.add.at(small.reshape(-1), views, whole)
    return small


@pytest.mark.parametrize("value", [np.array(0.7), np.float64(0.7), 0.7])
def test_zero_dimensional_arguments_come_back_as_they_were(value):
    g = td.grad(lambda x: np.tanh(x) * x)(value)
    assert g.shape == ()
    assert isinstance(g, np.ndarray) == isinstance(value, np.ndarray)


# --- NumPy's spellings

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])
OPERATORS = ["add", "sub", "mul", "truediv", "pow"]
UFUNCS = {"sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power"}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other", [ROW, 2, 1.5, np.float64(2.5), np.float32(0.5), np.int64(3), [1, 2, 3]]
)
@pytest.mark.parametrize("reflected", [False, True], ids=["t-op-x", "x-op-t"])
def test_an_operator_and_its_ufunc_record_and_agree(name, other, reflected):
    by_operator = getattr(operator, name)
    by_ufunc = getattr(np, UFUNCS.get(name, name))

    def spelled(f):
        return lambda x: np.sum(f(other, x) if reflected else f(x, other))

    value, gradient = td.value_and_grad(spelled(by_operator))(X)
    other_value, other_gradient = td.value_and_grad(spelled(by_ufunc))(X)
    array = np.asarray(other)
    assert_allclose(value, np.sum(by_operator(array, X) if reflected else by_operator(X, array)))
    assert value == other_value
    assert_array_equal(gradient, other_gradient)
    td.check_grads(spelled(by_operator), X, order=1)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_between_tensors(name):
    f = getattr(operator, name)
    td.check_grads(f, X, ROW)
    td.check_grads(lambda x: f(x, x), X)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_comparisons_give_plain_bools(name):
    compare = getattr(operator, name)
    seen = []

    def f(x):
        seen.extend([compare(x, ROW), compare(ROW, x), compare(x, 0.7), compare(x, x)])
        return np.sum(x)

    td.grad(f)(X)
    expected = [compare(X, ROW), compare(ROW, X), compare(X, 0.7), compare(X, X)]
    for got, wanted in zip(seen, expected, strict=True):
        assert type(got) is np.ndarray
        assert_array_equal(got, wanted)


METHODS = {
    "sum": lambda x, m: (m(x, "sum", axis=0), np.sum(x, axis=0)),
    "sum positional": lambda x, m: (m(x, "sum", 1), np.sum(x, 1)),
    "mean": lambda x, m: (m(x, "mean", axis=1, keepdims=True), np.mean(x, axis=1, keepdims=True)),
    "max": lambda x, m: (m(x, "max", 0), np.max(x, 0)),
    "min": lambda x, m: (m(x, "min"), np.min(x)),
    "var": lambda x, m: (m(x, "var", ddof=1), np.var(x, ddof=1)),
    "std": lambda x, m: (m(x, "std", axis=-1), np.std(x, axis=-1)),
    "reshape numbers": lambda x, m: (m(x, "reshape", 3, -1), np.reshape(x, (3, -1))),
    "reshape tuple": lambda x, m: (m(x, "reshape", (6,)), np.reshape(x, 6)),
    "reshape F": lambda x, m: (
        m(x, "reshape", 3, 2, order="F"),
        np.reshape(x, (3, 2), order="F"),
    ),
    "transpose": lambda x, m: (m(x, "transpose"), np.transpose(x)),
    "transpose numbers": lambda x, m: (m(x, "transpose", 1, 0), np.transpose(x, (1, 0))),
    "T": lambda x, m: (x.T, np.transpose(x)),
    "ravel": lambda x, m: (m(x, "ravel"), np.ravel(x)),
    "ravel F": lambda x, m: (m(x, "ravel", "F"), np.ravel(x, "F")),
    "flatten": lambda x, m: (m(x, "flatten"), np.ravel(x)),
    "swapaxes": lambda x, m: (m(x, "swapaxes", 0, 1), np.swapaxes(x, 0, 1)),
    "squeeze": lambda x, m: (m(x[None], "squeeze", 0), np.squeeze(x[None], 0)),
    "clip": lambda x, m: (m(x, "clip", 0.5, 1.0), np.clip(x, 0.5, 1.0)),
    "clip min": lambda x, m: (m(x, "clip", min=0.5), np.clip(x, 0.5, None)),
    "astype": lambda x, m: (m(x, "astype", np.float32), x.astype(np.float32)),
    "dot": lambda x, m: (m(x, "dot", ROW), np.dot(x, ROW)),
    "abs": lambda x, m: (abs(-x), np.absolute(-x)),
    "neg": lambda x, m: (-x, np.negative(x)),
    "pos": lambda x, m: (+x, np.positive(x)),
    "add.reduce": lambda x, m: (np.add.reduce(x), np.sum(x, 0)),
    "maximum.reduce": lambda x, m: (np.maximum.reduce(x, axis=1), np.max(x, 1)),
    "minimum.reduce": lambda x, m: (np.minimum.reduce(x, axis=None), np.min(x)),
}


@pytest.mark.parametrize("spelling", METHODS)
def test_a_method_and_its_function_record_and_agree(spelling):
    def both(x):
        return METHODS[spelling](
            x, lambda x, name, *args, **options: getattr(x, name)(*args, **options)
        )

    assert_array_equal(*both(X))  # what NumPy does with the same spelling
    (y, z), pullback = td.vjp(both, X)
    assert_array_equal(y, both(X)[0])
    ones, zeros = np.ones_like(y), np.zeros_like(y)
    assert np.any(pullback((ones, zeros)))
    assert_array_equal(pullback((ones, zeros)), pullback((zeros, np.ones_like(z))))


@pytest.mark.parametrize("index", INDICES + ODD_INDICES, ids=repr)
def test_indexing_by_brackets(index, rng):
    x = rng.standard_normal(INDEXED)
    y, pullback = td.vjp(lambda t: t[index], x)
    assert_array_equal(y, x[index])
    g = rng.standard_normal(np.shape(y))
    expected = np.zeros_like(x)
    np.add.at(expected, index, g)
    assert_allclose(pullback(g), expected, rtol=1e-14)
    td.check_grads(lambda t: t[index] ** 3, x)


def test_an_index_is_taken_as_it_is_at_the_time(rng):
    index = np.array([0, 1])
    _, pullback = td.vjp(lambda x: x[index], rng.standard_normal(3))
    index[:] = 2
    assert_array_equal(pullback(np.ones(2)), [1, 1, 0])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("join", [np.stack, np.concatenate])
def test_joining_with_plain_arrays(join, axis, rng):
    a, b = rng.standard_normal((2, 2, 3))
    y, _ = td.vjp(lambda x: join([a, x, b, x], axis=axis), X)
    assert_array_equal(y, join([a, X, b, X], axis=axis))
    td.check_grads(lambda x, z: join([a, x, z, x], axis=axis), X, b)


def test_joining_the_rows_of_one_tensor():
    td.check_grads(lambda x: np.stack(list(x), axis=1) * np.stack(x)[0], np.ones((3, 3)))
    td.check_grads(
        lambda x: np.concatenate([x, ROW], axis=None) * np.concatenate([x[0], x[1], x[0]]), X
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *MATMULS[:4],
        ((), (3,)),
        ((2, 3), ()),
        ((2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((4, 2, 3), (5, 3, 2)),
    ],
)
def test_dot(a, b, rng):
    a, b = rng.standard_normal(a), rng.standard_normal(b)
    y, _ = td.vjp(np.dot, a, b)
    assert_allclose(y, np.dot(a, b), rtol=1e-13)
    td.check_grads(np.dot, a, b)


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_the_matmul_operator(a, b, rng):
    a, b = rng.standard_normal(a), rng.standard_normal(b)
    for f, x in ((lambda t: a @ t, b), (lambda t: t @ b, a)):
        y, pullback = td.vjp(f, x)
        assert_array_equal(y, a @ b)
        assert pullback(np.ones_like(y)).shape == x.shape
        td.check_grads(f, x)


# --- einsum's forms


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ba", [(2, 3)]),
        ("ii", [(3, 3)]),
        ("i,i", [(3,), (3,)]),
        (" i j , j k -> k i ", [(2, 3), (3, 4)]),
        ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]),
        ("...ij,...jk", [(5, 2, 3), (1, 3, 4)]),
        ("...,...->...", [(2, 3), (3,)]),
        ("...i->...", [(2, 3)]),
        ("i...->...", [(2, 3)]),
        ("i...,i->...i", [(2, 3, 4), (2,)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("...", [(2, 3)]),
        ("...,i->i...", [(2, 3), (4,)]),
        ("Ab,bA->", [(2, 3), (3, 2)]),
        ("bA", [(2, 3)]),
        ("...j,...j", [(2, 1, 3), (4, 3)]),
        ("j...->...", [(3,)]),
    ],
)
def test_einsum_in_words(subscripts, shapes, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def f(*xs):
        return np.einsum(subscripts, *xs)

    y, _ = td.vjp(f, *arrays)
    assert_allclose(y, np.einsum(subscripts, *arrays), rtol=1e-13)
    assert np.shape(y) == np.shape(np.einsum(subscripts, *arrays))
    td.check_grads(f, *arrays)


@pytest.mark.parametrize(
    ("labels", "output", "shapes"),
    [
        ([[0, 1], [1, 2]], [0, 2], [(2, 3), (3, 4)]),
        ([[0, 1], [1, 2]], None, [(2, 3), (3, 4)]),
        ([[1, 0]], None, [(2, 3)]),
        ([[0, 0]], [], [(3, 3)]),
        ([[Ellipsis, 0, 1], [1, 2]], [Ellipsis, 2, 0], [(5, 2, 3), (3, 4)]),
        ([[Ellipsis, 0]], None, [(2, 3)]),
        ([[25, 26]], None, [(2, 3)]),
        ([[26, 0]], None, [(2, 3)]),
        ([[51, 30], [30, 3]], [3, 51], [(2, 3), (3, 4)]),
    ],
)
def test_einsum_in_lists(labels, output, shapes, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def f(*xs):
        operands = [part for pair in zip(xs, labels, strict=True) for part in pair]
        return np.einsum(*operands, *([] if output is None else [output]))

    y, _ = td.vjp(f, *arrays)
    assert np.shape(y) == np.shape(f(*arrays))
    assert_allclose(y, f(*arrays), rtol=1e-13)
    td.check_grads(f, *arrays)


@pytest.mark.parametrize("optimize", [True, "greedy", "optimal"])
@pytest.mark.parametrize(
    ("subscripts", "shapes"), [(s, shapes) for s, *shapes in EINSUMS if len(shapes) > 1]
)
def test_einsum_optimized(subscripts, shapes, optimize, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]
    td.check_grads(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *arrays, order=1)


def test_einsum_with_constants(rng):
    td.check_grads(lambda x: np.einsum("i,ij,k->jk", [1, 2], x, ROW), rng.standard_normal((2, 3)))
    td.check_grads(lambda x: np.einsum(",i->i", 2.0, x), ROW)


@pytest.mark.parametrize(
    "subscripts", ["ij,jk->ik", "i->i", "ijk->i", "...i->i", "ij->iz", "ij->ii"]
)
def test_einsum_refuses_what_numpy_refuses(subscripts):
    with pytest.raises(ValueError):  # noqa: PT011 (NumPy's wording changes)
        np.einsum(subscripts, X)
    with pytest.raises(ValueError):  # noqa: PT011
        td.vjp(lambda x: np.einsum(subscripts, x), X)


@st.composite
def contractions(draw):
    """Subscripts and shapes: labels may repeat, broadcast from length 1, or be summed away."""
    sizes = {label: draw(st.integers(1, 3)) for label in "abcd"}
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    labels = sorted(set("".join(terms)))
    output = "".join(draw(st.permutations(labels)))[: draw(st.integers(0, len(labels)))]
    shapes = [tuple(sizes[label] for label in term) for term in terms]
    for i, term in enumerate(terms):
        if len(set(term)) == len(term):
            shrunk = draw(st.sets(st.sampled_from(term))) if term else set()
            shapes[i] = tuple(1 if label in shrunk else sizes[label] for label in term)
    return f"{','.join(terms)}->{output}", shapes


@settings(max_examples=150, deadline=None)
@given(contractions())
def test_any_einsum(drawn):
    subscripts, shapes = drawn
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    try:
        expected = np.einsum(subscripts, *arrays)
    except ValueError:  # an output label that only has length-1 partners differs by version
        return
    y, _ = td.vjp(lambda *xs: np.einsum(subscripts, *xs), *arrays)
    assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    td.check_grads(lambda *xs: np.einsum(subscripts, *xs), *arrays, order=1)


# --- what is refused


REFUSED = {
    "sum where": (lambda t: np.sum(t, where=[1, 0, 1]), "where.*booleans.*int"),
    "sum initial": (lambda t: np.sum(t, initial=t[0]), "sum.*initial"),
    "sum dtype": (lambda t: np.sum(t, dtype=int), "dtype=int.*end the gradient"),
    "sum out": (lambda t: np.sum(t, out=np.zeros(())), "sum.*out"),
    "mean out": (lambda t: t.mean(out=np.zeros(())), "mean.*out"),
    "max where": (lambda t: np.max(t, where=[True, False, True]), "initial"),
    "var correction": (lambda t: np.var(t, ddof=1, correction=1), "ddof and correction"),
    "exp out": (lambda t: np.exp(t, out=np.zeros(3)), "exp"),
    "exp into a tensor": (lambda t: np.exp(ROW, out=t), "exp"),
    "matmul axes": (lambda t: np.matmul(t, t, axes=[0, 0, ()]), "matmul.*axes"),
    "clip out": (lambda t: np.clip(t, 0, 1, out=np.zeros(3)), "clip.*out"),
    "concatenate casting": (
        lambda t: np.concatenate([t, t], casting="unsafe"),
        "concatenate.*casting",
    ),
    "stack casting": (lambda t: np.stack([t, t], casting="no"), "stack.*casting"),
    "einsum dtype": (lambda t: np.einsum("i->", t, dtype=np.float32), "einsum.*dtype"),
    "an integer dtype": (lambda t: np.sum(t, 0, np.int64), "dtype=int64 would end the gradient"),
    "reshape A": (lambda t: np.reshape(t, (3, 1), order="A"), "reshape.*'A'"),
    "cumsum out": (lambda t: np.cumsum(t, out=np.zeros(3)), "cumsum.*out"),
    "add.at": (lambda t: np.add.at(np.zeros(3), [0], t), "np.add.at writes.*td.at"),
    "fft": (np.fft.fft, "np.fft.fft: complex numbers"),
    "linalg": (np.linalg.eig, "np.linalg.eig: .* complex in general"),
    "in a list": (lambda t: np.sum([t, t]), "np.stack"),
    "complex array": (lambda t: t * np.ones(3, complex), "multiply.*complex128"),
    "complex number": (lambda t: t * 1j, "complex"),
    "complex first": (lambda t: np.ones(3, complex) + t, "complex128"),
    "object array": (lambda t: t + np.array([1, 2, 3], object), "object"),
    "strings": (lambda t: t + "a", "str"),
    "None": (lambda t: t * None, "None"),
    "cast to complex": (lambda t: t.astype(complex), "complex"),
    "cast to object": (lambda t: t.astype(object), "object"),
    "cast to text": (lambda t: t.astype(str), "<U|str"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    f, message = REFUSED[what]

    def loss(t):
        np.sum(f(t))
        return np.sum(t)

    with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
        td.grad(loss)(ROW)


def test_numpys_defaults_may_be_said_aloud():
    f = td.grad(lambda t: np.sum(t, axis=None, dtype=None, out=None, keepdims=False))
    assert_array_equal(f(ROW), [1, 1, 1])


@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "var", "std", "squeeze", "transpose", "ravel"]
)
def test_the_array_by_its_name(name):
    """np.sum(a=t), as NumPy has it: recorded, or refused, and never without an end."""
    f = getattr(np, name)
    try:
        got = td.grad(lambda t: np.sum(f(a=t)))(X)
    except TypeError as error:
        assert "a" in str(error)  # noqa: PT017
    else:
        assert_array_equal(got, td.grad(lambda t: np.sum(f(t)))(X))


def test_full_like_keeps_the_gradient_of_what_fills():
    try:
        got = td.grad(lambda x, s: np.sum(np.full_like(x, s) * x), 1)(ROW, 2.0)
    except TypeError as error:
        assert "full_like" in str(error)  # noqa: PT017
    else:
        assert_allclose(got, ROW.sum())


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("f", [np.sum, np.max], ids=["sum", "max"])
def test_a_scalar_has_the_axis_that_numpy_says_it_has(f, axis):
    assert f(np.array(2.0), axis=axis) == 2
    assert td.grad(lambda x: f(x, axis=axis))(np.array(2.0)) == 1


def test_broadcast_to_does_not_drop_axes():
    with pytest.raises(ValueError, match="broadcast"):
        td.vjp(lambda x: np.broadcast_to(x, (3,)), np.ones((1, 3)))


# --- ops of one's own


def test_a_rule_of_the_wrong_shape_is_an_error():
    op = td.define(np.sin, lambda g, y, x: np.sum(g), name="mysin")
    with pytest.raises(td.errors.RuleError, match=r"mysin.*float64\(\).*float64\(3,\)"):
        td.grad(lambda x: np.sum(op(x)))(ROW)


def test_a_rule_of_the_wrong_dtype_is_an_error():
    op = td.define(np.sin, lambda g, y, x: (g * np.cos(x)).astype(np.float64), name="mysin")
    with pytest.raises(td.errors.RuleError, match=r"mysin.*float64\(3,\).*float32\(3,\)"):
        td.grad(lambda x: np.sum(op(x)))(ROW.astype(np.float32))


@pytest.mark.parametrize("wrong", [1.0, None, "text", [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("kind", [Kind.OPAQUE, Kind.ELEMENTWISE])
def test_a_rule_that_returns_no_array_is_an_error(wrong, kind):
    op = td.define(np.sin, lambda g, y, x: wrong, name="mysin", kind=kind)
    with pytest.raises(td.errors.RuleError, match=f"mysin.*{type(wrong).__name__}"):
        td.grad(lambda x: np.sum(op(x)))(ROW)


@pytest.mark.parametrize("kind", [Kind.OPAQUE, Kind.ELEMENTWISE])
def test_a_kernel_that_returns_a_python_float_is_an_error(kind):
    op = td.define(lambda x: float(np.sum(x)), lambda g, y, x: g * x, name="total", kind=kind)
    with pytest.raises(td.errors.RuleError, match=r"total.*float"):
        td.grad(op)(ROW)


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_a_kernel_that_returns_no_real_floats_is_an_error(dtype):
    op = td.define(lambda x: x.astype(dtype), lambda g, y, x: g, name="cast")
    with pytest.raises((td.errors.RuleError, td.errors.NotDifferentiableError), match="cast"):
        td.grad(lambda x: np.sum(op(x)) + np.sum(x))(ROW)


def test_a_rule_too_short_for_an_elementwise_op_is_a_rule_error():
    op = td.define(np.sin, lambda g, y, x: np.sum(g), name="mysin", kind=Kind.ELEMENTWISE)
    with pytest.raises(td.errors.RuleError, match="mysin"):
        td.grad(lambda x: np.sum(op(x)))(np.ones((1, 3)))


def test_an_op_of_ones_own_with_options_and_two_arguments():
    @td.primitive(
        lambda g, _y, _a, b, scale=1.0: g * b * scale, lambda g, _y, a, _b, scale=1.0: g * a * scale
    )
    def scaled(a, b, scale=1.0):
        """A product."""
        return a * b * scale

    assert (scaled.__name__, scaled.__doc__) == ("scaled", "A product.")
    assert_array_equal(scaled(ROW, ROW, scale=2.0), 2 * ROW * ROW)
    td.check_grads(lambda a, b: scaled(a, b, scale=3.0), ROW, ROW + 1)
    td.check_grads(lambda a: scaled(a, ROW, 3.0), ROW)
    with pytest.raises(TypeError, match=r"scaled.*other"):
        td.grad(lambda a: np.sum(scaled(a, a, other=1)))(ROW)
    with pytest.raises(TypeError, match=r"scaled.*missing"):
        td.grad(lambda a: np.sum(scaled(a)))(ROW)


def test_an_argument_without_a_rule_gets_no_gradient():
    op = td.define(np.multiply, lambda g, y, a, b: g * b, None, name="left")
    assert_array_equal(td.grad(lambda a, b: np.sum(op(a, b)), (0, 1))(ROW, X[0])[1], np.zeros(3))


def test_rules_of_what_is_not_differentiated_do_not_run():
    op = td.define(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: 1 / 0, name="product")
    assert_array_equal(td.grad(lambda a: np.sum(op(a, X[0])))(ROW), X[0])
    with pytest.raises(ZeroDivisionError):
        td.grad(lambda b: np.sum(op(X[0], b)))(ROW)


def test_an_identity_op_shares_nothing():
    same = td.define(lambda x: x, lambda g, y, x: g, name="same")
    y, pullback = td.vjp(same, ROW)
    assert not np.shares_memory(y, ROW)
    assert not np.shares_memory(pullback(y), y)


# --- the checker itself


def test_check_grads_names_the_leaf():
    def f(params):
        return np.tanh(params["layers"][0]) + bent(params["layers"][1])

    bent = td.define(np.sin, lambda g, y, x: 1.0005 * g * np.cos(x), name="bent")
    with pytest.raises(td.errors.GradientMismatchError, match=r"\['layers'\]\[1\].*expected.*got"):
        td.check_grads(f, {"layers": [ROW, ROW]})


def test_check_grads_sees_a_rule_that_is_wrong_at_order_2_only():
    bent = td.define(np.cos, lambda g, y, x: -1.0005 * g * np.sin(x), name="bent")
    f = td.define(np.sin, lambda g, y, x: g * bent(x), name="sine")
    td.check_grads(f, ROW, order=1)
    with pytest.raises(AssertionError, match="gradient of sine"):
        td.check_grads(f, ROW, order=2)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan, 0.0, -1.0, 2.0])
def test_check_grads_sees_a_rule_that_is_altogether_wrong(wrong):
    f = td.define(np.sin, lambda g, y, x: g * np.cos(x) * wrong, name="sine")
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="sine"):
        td.check_grads(f, ROW[:1], order=1)


def test_check_grads_sees_a_derivative_that_was_dropped():
    stop = td.define(lambda x: x, name="stop")
    with pytest.raises(AssertionError, match="args"):
        td.check_grads(lambda x: x * stop(x), ROW, order=1)


def test_check_grads_takes_trees_and_numbers():
    td.check_grads(lambda p, n: {"a": p["x"] ** n, "b": (p["x"],)}, {"x": ROW, "name": "p"}, 2)
    td.check_grads(lambda x: (x * x, 3.0), ROW)
    td.check_grads(lambda x: x * x, 3.0)
    td.check_grads(np.tanh, ROW.astype(np.float32), order=1)


@pytest.mark.parametrize("args", [(3,), (np.array([1, 2]),), ("a",), ()])
def test_check_grads_needs_something_to_check(args):
    with pytest.raises(TypeError, match="none of the arguments"):
        td.check_grads(lambda *xs: 1.0, *args)


def test_check_grads_needs_an_order():
    with pytest.raises(ValueError, match="order"):
        td.check_grads(np.sin, ROW, order=0)
