"""Helpers for the tests of jit: comparing it with eager, and programs that hypothesis draws."""

import gc
import itertools
import math
import sys
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st

import tinygrad_digits as td

TOLERANCE = {np.dtype(char): 1e-5 if char in "fF" else 1e-12 for char in "fdFD"}
BACKENDS = ["numpy", "native"]


def skip_without(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")


# --- comparing


def outline(leaf):
    """What of a result has to be alike besides its numbers: class, dtype and shape."""
    if isinstance(leaf, np.ndarray | np.generic):
        return np.ndarray if isinstance(leaf, np.ndarray) else np.generic, leaf.dtype, leaf.shape
    return type(leaf)


def assert_same(got, wanted, backend="numpy", scale=0.0, coarsest=np.float64):
    """Two results: alike, and with equal numbers; to the last bit, or as close as native comes.

    `scale` is the size of the numbers on the way, in proportion to which they may be off, and
    `coarsest` the dtype of those that have the fewest digits.
    """
    td.tree.map(lambda a, b: None, got, wanted)  # raises where the structures differ
    for (path, g), (_, w) in zip(td.tree.items(got), td.tree.items(wanted), strict=True):
        assert outline(g) == outline(w), path
        if not isinstance(w, np.ndarray | np.generic | float):
            assert g == w, path
        elif np.asarray(w).dtype.kind == "c" and backend == "numpy":
            assert_same((g.real, g.imag), (w.real, w.imag))
        elif backend == "numpy" or np.asarray(w).dtype not in TOLERANCE:
            np.testing.assert_array_equal(
                g, w, err_msg=path, strict=isinstance(w, np.ndarray) and isinstance(g, np.ndarray)
            )
            if np.asarray(w).dtype.kind == "f":  # -0.0 equals 0.0, and a NaN may have any sign
                number = ~np.isnan(w)
                np.testing.assert_array_equal(np.signbit(g) & number, np.signbit(w) & number, path)
        else:
            tolerance = max(TOLERANCE[np.asarray(w).dtype], TOLERANCE[np.dtype(coarsest)])
            finite = np.abs(w)[np.isfinite(w)]
            largest = max(scale, finite.max(initial=0.0))
            np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * largest, err_msg=path)


def arrays(tree):
    return [leaf for _, leaf in td.tree.items(tree) if isinstance(leaf, np.ndarray)]


def copied(tree):
    return td.tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, tree)


def root(array):
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def assert_own_memory(results, *others):
    """Each array in the results has memory of its own: no other's, and no part of a workspace."""
    found = arrays(results)
    for a, b in itertools.combinations(found, 2):
        assert not np.shares_memory(a, b), "two results share memory"
    for a, b in itertools.product(found, arrays(others)):
        assert not np.shares_memory(a, b), "a result shares memory with an argument"
    for a in found:
        assert root(a).nbytes == a.nbytes, "a result is a part of something larger"


def check_calls(f, calls, backend="numpy", scale=0.0, **options):
    """jit(f) gives what f gives, call after call, and touches nothing: the jitted function."""
    jitted = td.jit(f, backend=backend, **options)
    given = []
    for args in [*calls, calls[0]]:
        before = copied(args)
        got = jitted(*args)
        assert_same(args, before)
        assert_same(got, f(*args), backend, scale)
        assert_own_memory(got, args, [results for results, _ in given])
        given.append((got, copied(got)))
    for results, kept in given:  # no later call has written into them
        assert_same(results, kept)
    return jitted


ZERO = np.array([0.0, 1.0])


def warned(f, *args):
    """The result of f, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = f(*args)
    return result, [(warning.category, str(warning.message)) for warning in caught]


# --- random programs: a list of steps over a growing list of values


UNARY = {
    "negative": np.negative,
    "plus": np.positive,
    "abs": np.abs,
    "square": np.square,
    "sqrt": lambda x: np.sqrt(np.abs(x) + 0.25),
    "exp": lambda x: np.exp(np.tanh(x)),
    "expm1": lambda x: np.expm1(-np.abs(x)),
    "log": lambda x: np.log(np.abs(x) + 0.5),
    "log1p": lambda x: np.log1p(np.abs(x)),
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "power": lambda x: (np.abs(x) + 0.5) ** 1.5,
    "relu": td.nn.relu,
    "sigmoid": td.nn.sigmoid,
    "softplus": td.nn.softplus,
    "halved": lambda x: 0.5 * x,
    "less": lambda x: 1 - x,
    "thirds": lambda x: x / 3,
    "quarters": lambda x: x / 4,
    "once": lambda x: x * 1,
    "over": lambda x: 1 / (x * x + 1),
    "clip": lambda x: np.clip(x, -0.5, 0.75),
    "cast": lambda x: x.astype(np.float32).astype(x.dtype),
}
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": lambda a, b: a / (1 + b * b),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda a, b: np.where(a > b, a, 2 * b),
    "masked": lambda a, b: a * (b > 0) + b * ((a < 0.5) & (b != 0)),
    "least": lambda a, b: np.where(np.isfinite(a) & np.logical_not(b > a), a, b),
}
REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "var": np.var,
    "logsumexp": td.special.logsumexp,
}
ROWS = {"softmax": td.nn.softmax, "log_softmax": td.nn.log_softmax}


@st.composite
def unary_steps(draw, shapes):
    k = draw(st.integers(0, len(shapes) - 1))
    f = draw(st.sampled_from(sorted(UNARY)))
    return f, [k], UNARY[f]


@st.composite
def rated_steps(draw, shapes):
    k = draw(st.integers(0, len(shapes) - 1))
    return "rate", [k, "rate"], lambda x, rate: x - rate * 0.5 * x


@st.composite
def binary_steps(draw, shapes):
    k = draw(st.integers(0, len(shapes) - 1))
    fits = [i for i, shape in enumerate(shapes) if _broadcast(shape, shapes[k]) is not None]
    f = draw(st.sampled_from(sorted(BINARY)))
    other = draw(st.sampled_from(fits))
    return f, draw(st.permutations([k, other])), BINARY[f]


def _broadcast(*shapes):
    try:
        full = np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    return full if math.prod(full) <= 60 else None


@st.composite
def reduction_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    n = len(shapes[k])
    axes = st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True).map(tuple)
    axis = draw(st.none() | st.integers(-n, n - 1) | axes)
    keepdims = draw(st.booleans())
    f = draw(st.sampled_from(sorted(REDUCTIONS)))
    return f"{f} {axis} {keepdims}", [k], lambda x: REDUCTIONS[f](x, axis=axis, keepdims=keepdims)


@st.composite
def row_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    f = draw(st.sampled_from(sorted(ROWS)))
    return f, [k], ROWS[f]


@st.composite
def view_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    shape, n = shapes[k], len(shapes[k])
    perm = tuple(draw(st.permutations(range(n))))
    axis = draw(st.integers(-n, n - 1))
    views = {
        "ravel": lambda x: x.reshape(-1),
        "column": lambda x: x.reshape(-1, 1),
        "split": lambda x: x.reshape(shape[0], -1),
        f"transpose {perm}": lambda x: np.transpose(x, perm),
        "T": lambda x: x.T,
        f"swapaxes {axis}": lambda x: np.swapaxes(x, 0, axis),
        f"expand_dims {axis}": lambda x: np.expand_dims(x, axis),
        "broadcast_to": lambda x: np.broadcast_to(x, (2, *shape)),
        "squeeze": np.squeeze,
    }
    name = draw(st.sampled_from(sorted(views)))
    return name, [k], views[name]


@st.composite
def taking_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    length = shapes[k][0]
    index = draw(
        st.sampled_from(
            [
                0,
                -1,
                slice(None, None, -1),
                slice(0, 2),
                (Ellipsis, slice(None, 1)),
                (None, 0, Ellipsis),
                [0, 0, -1],
                (slice(None), None, Ellipsis),
                np.arange(length) % 2 == 0,
                np.array([[0, -1], [0, 0]]),
            ]
        )
    )
    return f"take {index}", [k], lambda x: x[index]


@st.composite
def picking_steps(draw, shapes):
    """With indices that are arguments: an array, or a NumPy scalar, of which 0 always fits."""
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    pick = draw(st.sampled_from(["places", "place"]))
    return f"pick {pick}", [k, pick], lambda x, i: x[i]


@st.composite
def joining_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    alike = [i for i, shape in enumerate(shapes) if shape == shapes[k]]
    other = draw(st.sampled_from(alike))
    axis = draw(st.integers(-len(shapes[k]), len(shapes[k]) - 1))
    f = draw(st.sampled_from([np.concatenate, np.stack]))
    return f"{f.__name__} {axis}", [k, other], lambda a, b: f([a, b, a], axis=axis)


@st.composite
def product_steps(draw, shapes):
    k = draw(st.sampled_from([i for i, shape in enumerate(shapes) if shape]))
    constant = np.cos(np.arange(2.0 * shapes[k][-1])).reshape(-1, 2)
    products = {
        "by constant": lambda x: x @ constant.astype(x.dtype),
        "by itself": lambda x: x.reshape(shapes[k][0], -1) @ x.reshape(shapes[k][0], -1).T,
        "dot": lambda x: np.dot(x.reshape(-1), x.reshape(-1)),
        "einsum": lambda x: np.einsum("i...,i...->...", x, x),
        "einsum of one": lambda x: np.einsum("i...->...i", x),
    }
    name = draw(st.sampled_from(sorted(products)))
    return name, [k], products[name]


STEPS = [
    *(unary_steps, unary_steps, binary_steps, binary_steps, rated_steps, reduction_steps),
    *(row_steps, view_steps, taking_steps, picking_steps, joining_steps, product_steps),
]
SHAPES = [
    [(3, 4), (4,), ()],
    [(2, 3), (2, 1), (3,)],
    [(2, 1, 3), (2, 3), (1,)],
    [(5,), (5,), (1, 5)],
    [(4, 4), (4, 4), (4,)],
]


class Drawn:
    """A function of (inputs, settings) that runs drawn steps, and its arguments."""

    def __init__(self, shapes, steps, outputs, dtype):
        self.shapes = shapes
        self.steps = steps
        self.outputs = outputs
        self.dtype = np.dtype(dtype)

    def __repr__(self):
        steps = "; ".join(f"{name} {operands}" for name, operands, _ in self.steps)
        return f"{self.dtype}, {self.shapes}: {steps} -> {self.outputs}"

    def values(self, inputs, settings):
        values = list(inputs)
        for _, operands, f in self.steps:
            values.append(f(*[settings[k] if isinstance(k, str) else values[k] for k in operands]))
        return values

    def run(self, inputs, settings):
        values = self.values(inputs, settings)
        first, *rest = [values[k] for k in self.outputs]
        return {"first": first, "rest": (rest, [None, "text", 3]), "again": first}

    def loss(self, inputs, settings):
        values = self.values(inputs, settings)
        total = sum(np.sum(x) * 0.1 for x in inputs)
        for k in self.outputs:
            weights = np.cos(np.arange(values[k].size)).reshape(values[k].shape)
            total = total + np.sum(values[k] * weights.astype(self.dtype))
        return total, values[self.outputs[0]]

    def run_with_gradient(self, inputs, settings):
        (loss, aux), grads = td.value_and_grad(self.loss, has_aux=True)(inputs, settings)
        return {"loss": loss, "aux": aux, "grads": grads}

    def arguments(self, seed):
        rng = np.random.default_rng(seed)
        inputs = [np.asarray(rng.standard_normal(s)).astype(self.dtype) for s in self.shapes]
        places = -rng.integers(0, 2, 3)
        return inputs, {"rate": 0.1 * seed, "places": places, "place": places[0]}

    def scale(self, *calls):
        """How large the numbers get."""
        values = [v for args in calls for v in self.values(*args)]
        return max(float(np.max(np.abs(v), initial=0)) for v in values)


@st.composite
def programs(draw, max_steps=10):
    shapes = draw(st.sampled_from(SHAPES))
    drawn = Drawn(shapes, [], [], draw(st.sampled_from([np.float32, np.float64])))
    for _ in range(draw(st.integers(1, max_steps))):
        known = [np.shape(v) for v in drawn.values(*drawn.arguments(1))]
        step = draw(draw(st.sampled_from(STEPS))(known))
        drawn.steps.append(step)
        new = drawn.values(*drawn.arguments(1))[-1]
        if not 0 < new.size <= 60 or new.ndim > 5:
            drawn.steps.pop()
    count = len(shapes) + len(drawn.steps)
    places = st.integers(0, count - 1)
    drawn.outputs = [count - 1, *draw(st.lists(places, max_size=3))]
    return drawn


def count_calls(f, *args):
    """How many calls of Python and C functions f(*args) makes."""
    events = []
    gc.disable()  # a collection calls finalizers, and hypothesis's callback
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        f(*args)
    finally:
        sys.setprofile(None)
        gc.enable()
    return sum(event in ("call", "c_call") for event in events)
