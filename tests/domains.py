"""Where each op row is tested: for every name in ops.OPS, functions rng -> (args, options).

The points keep away from kinks, so that central differences see a derivative. `REFERENCES` has
another way to compute the value of each op that is not NumPy's own.
"""

import array
import math

import numpy as np


def normal(*shapes, **options):
    return lambda rng: (tuple(rng.standard_normal(shape) for shape in shapes), options)


def positive(*shapes, **options):
    return lambda rng: (tuple(rng.uniform(0.5, 2.0, shape) for shape in shapes), options)


def away_from_zero(*shapes, **options):
    def draw(rng):
        signs = [rng.choice([-1.0, 1.0], shape) for shape in shapes]
        return tuple(sign * rng.uniform(0.3, 2.0, sign.shape) for sign in signs), options

    return draw


def distinct(shape, **options):
    """Values at least 0.1 apart: no ties, and none within a finite difference."""

    def draw(rng):
        n = math.prod(shape)
        values = rng.permutation(n) * 0.3 - 0.15 * n + rng.uniform(0, 0.2, n)
        return (values.reshape(shape),), options

    return draw


def apart(a, b):
    """Two arrays that broadcast, nowhere closer than 0.3 to each other."""

    def draw(rng):
        halves = rng.integers(-2, 2, a) + 0.5 + rng.uniform(-0.1, 0.1, a)
        wholes = rng.integers(-1, 2, b) + rng.uniform(-0.1, 0.1, b)
        return (halves, wholes), {}

    return draw


def with_constant(draw, position, constant):
    """The same arguments with one that is not differentiated put in."""

    def drawn(rng):
        args, options = draw(rng)
        return (*args[:position], constant, *args[position:]), options

    return drawn


PAIRS = (
    ((3, 4), (3, 4)),
    ((3, 1), (4,)),
    ((), (2, 3)),
    ((2, 1, 3), (4, 1)),
    ((), ()),
    ((0, 3), (3,)),
)
SHAPES = ((3, 4), (), (2, 1, 3), (0, 2))
AXES = (
    {},
    {"axis": 0},
    {"axis": -1, "keepdims": True},
    {"axis": (0, 2)},
    {"axis": (-1, 0), "keepdims": True},
    {"axis": None, "keepdims": True},
    {"axis": ()},
)

AXES_KEPT = ({}, {"axis": 0}, {"axis": (0, 2)}, {"axis": -1})


def unary(draw):
    return [draw(shape) for shape in SHAPES]


def binary(draw):
    return [draw(*shapes) for shapes in PAIRS]


def reduction(draw, *more, axes=AXES):
    return [*(draw((2, 3, 4), **options) for options in axes), draw(()), draw((5,), axis=-1), *more]


INDEXED = (4, 5, 3)
INDICES = [
    2,
    (1, -2),
    (1, 2, 0),
    slice(None, None, -2),
    (slice(1, 3), slice(None), 1),
    (Ellipsis, 0),
    (None, 1, Ellipsis, None),
    [0, 0, 1],
    (0, 0, [2, 2]),
    ([0, 0, 3], [1, 1, 2]),
    np.array([[0, 0], [-1, 3]]),
    (slice(None), np.array([1, 1]), slice(0, 2)),
    (np.array([[0], [1]]), np.array([2, 2])),
    np.arange(60).reshape(INDEXED) % 3 == 0,
    (slice(None), np.array([True, False, True, False, True])),
    np.zeros(INDEXED, bool),
    np.int64(3),
    True,
    np.array(2),
]
ODD_INDICES = [  # other sequences, which NumPy turns into arrays
    [],
    ((0, 0), (1, 1)),
    ((0, 0, 2), slice(None)),
    range(3),
    ([True, False, True, False], 0),
    [[0, 0], [1, 1]],
    (slice(None), (1, 1)),
    array.array("l", [0, 0]),
]


def scatter_cases():
    return [
        normal((2, 3), index=[0, 0], shape=(4, 3)),
        normal((3,), index=(slice(None), 1), shape=(3, 2)),
        normal((2, 2), index=np.array([[0, 1], [1, 1]]), shape=(3,)),
        normal((), index=(1, 2), shape=(2, 3)),
        normal((2,), index=np.array([True, False, True]), shape=(3,)),
    ]


def where_cases():
    masks = [np.array([[True, False, True], [False, False, True]]), np.array([True, False, True])]
    shapes = [((2, 3), (2, 3)), ((2, 1), ()), ((3,), (2, 3))]
    return [with_constant(normal(*pair), 0, mask) for mask in masks for pair in shapes] + [
        with_constant(normal((2, 3), (3,)), 0, np.True_)
    ]


def clip_cases():
    def draw(shape, low, high):
        def drawn(rng):
            # a third of the values below, between and above the limits, none near them
            value = rng.choice([-2.0, 0.0, 2.0], shape) + rng.uniform(-0.3, 0.3, shape)
            return (value, rng.uniform(-1.2, -0.8, low), rng.uniform(0.8, 1.2, high)), {}

        return drawn

    def crossed(rng):
        return (rng.uniform(-1, 1, 4), np.full(4, 3.0), np.full(4, -3.0)), {}

    return [draw((3, 4), (), ()), draw((3, 4), (4,), (3, 1)), draw((), (3,), ()), crossed]


def power_cases():
    whole = [with_constant(normal((3, 4)), 1, n) for n in (0, 1, 2, 3, 4.0)]
    whole += [with_constant(away_from_zero((3, 4)), 1, n) for n in (-1, -2.0)]
    whole += [with_constant(away_from_zero((3,)), 1, np.array([2, 0, -1]))]
    return [*binary(positive), *whole, with_constant(normal((3,)), 0, 2)]


def nll_cases():
    def draw(shape):
        def drawn(rng):
            rows = math.prod(shape[:-1])
            at = np.arange(rows) * shape[-1] + rng.integers(0, shape[-1], rows)
            return (rng.standard_normal(shape), at), {}

        return drawn

    return [draw((4, 3)), draw((2, 3, 5)), draw((1, 2))]


MATMULS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((6, 5, 2, 3), (3,)),
    ((1, 3), (3, 1)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 4)),
    ((5, 2, 0), (0, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 2, 3), (3, 0)),
]

EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 3)),
    ("ii->", (3, 3)),
    ("ii->i", (3, 3)),
    ("iii->i", (2, 2, 2)),
    ("iij->j", (3, 3, 2)),
    ("ii,i->i", (3, 3), (3,)),
    ("ii,ij->j", (2, 2), (2, 3)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (2,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ij->ij", (2, 3), (1, 3)),
    ("ij,ij->", (1, 3), (2, 1)),
    ("ij,jk->", (2, 1), (3, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ijk,ik->j", (2, 3, 4), (2, 4)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    (",i->i", (), (3,)),
    ("->", ()),
    ("i,j->j", (2,), (3,)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,jk->ik", (0, 3), (3, 2)),
]


def astype_cases():
    """To no coarser a dtype, in which central differences would see nothing but rounding."""
    return [normal((2, 3), dtype=np.longdouble), normal((), dtype=np.float64)]


DOMAINS = {
    "add": binary(normal),
    "subtract": binary(normal),
    "multiply": binary(normal),
    "divide": binary(away_from_zero),
    "negative": unary(normal),
    "positive": unary(normal),
    "absolute": unary(away_from_zero),
    "square": unary(normal),
    "sqrt": unary(positive),
    "exp": unary(normal),
    "expm1": unary(normal),
    "log": unary(positive),
    "log1p": unary(positive),
    "sin": unary(normal),
    "cos": unary(normal),
    "tanh": unary(normal),
    "power": power_cases(),
    "maximum": [apart(*shapes) for shapes in PAIRS],
    "minimum": [apart(*shapes) for shapes in PAIRS],
    "where": where_cases(),
    "clip": clip_cases(),
    "astype": astype_cases(),
    "relu": unary(away_from_zero),
    "sigmoid": unary(normal),
    "softplus": unary(normal),
    "sum": reduction(normal, normal((0, 3), axis=0), normal((0, 3))),
    "mean": reduction(normal, normal((0, 3), axis=1)),
    "var": reduction(
        normal, normal((3, 4), ddof=1, axis=0), normal((2, 5), ddof=1), axes=AXES[:-1]
    ),
    "std": [  # of three or more: of two it is half their distance, which has no curvature
        *(positive((3, 4, 5), **options) for options in AXES[:-1]),
        normal((3, 4), ddof=1, axis=0, keepdims=True),
        normal((5,), ddof=1),
    ],
    "max": reduction(distinct, distinct((0, 3), axis=1)),
    "min": reduction(distinct, distinct((0, 3), axis=1)),
    "logsumexp": reduction(normal, axes=AXES[:-1]),
    "softmax": [normal((3, 4)), normal((5,)), normal((2, 3, 4)), normal((2, 1))],
    "log_softmax": [normal((3, 4)), normal((5,)), normal((2, 3, 4)), normal((2, 1))],
    "log_probabilities": [normal((3, 4)), normal((5,)), normal((2, 3, 4)), normal((2, 1))],
    "unit": reduction(away_from_zero, axes=AXES_KEPT),
    "half_reciprocal": unary(positive),
    "square_root": unary(positive),
    "shares": reduction(normal, axes=AXES_KEPT),
    "logistic": unary(normal),
    "nll": nll_cases(),
    "reshape": [
        normal((2, 6), shape=(3, 4)),
        normal((2, 6), shape=-1),
        normal((2, 6), shape=(4, -1), order="F"),
        normal((), shape=(1, 1)),
        normal((1,), shape=()),
        normal((0, 3), shape=(3, 0)),
    ],
    "transpose": [
        normal((2, 3, 4)),
        normal((2, 3, 4), axes=(1, 2, 0)),
        normal((2, 3, 4), axes=(-1, 0, -2)),
        normal((2, 3), axes=[1, 0]),
        normal((3,)),
        normal(()),
    ],
    "swapaxes": [normal((2, 3, 4), axis1=0, axis2=-1), normal((2, 3), axis1=-1, axis2=0)],
    "expand_dims": [normal((2, 3), axis=axis) for axis in (0, 1, -1, (0, -1))]
    + [normal((), axis=0)],
    "squeeze": [
        normal((1, 3, 1)),
        normal((1, 3, 1), axis=-1),
        normal((1, 3, 1), axis=(0, 2)),
        normal((1,)),
    ],
    "broadcast_to": [
        normal((3,), shape=(2, 3)),
        normal((3, 1), shape=(2, 3, 4)),
        normal((), shape=(2, 2)),
        normal((3,), shape=(3,)),
        normal((1,), shape=(0,)),
        normal((), shape=3),
    ],
    "getitem": [normal(INDEXED, index=index) for index in INDICES],
    "scatter": scatter_cases(),
    "concatenate": [
        normal((2, 3), (1, 3)),
        normal((2, 3), (2, 1), (2, 2), axis=1),
        normal((2, 3), (2, 3), axis=-2),
        normal((2, 3), (0, 3)),
        normal((3,)),
    ],
    "matmul": [normal(*shapes) for shapes in MATMULS],
    "einsum": [normal(*shapes, subscripts=subscripts) for subscripts, *shapes in EINSUMS]
    + [normal((2, 3), (3, 4), (4, 2), subscripts="ij,jk,kl->il", optimize=True)],
}


# --- values, computed in another way


def scatter(x, *, index, shape):
    full = np.zeros(shape, x.dtype)
    np.add.at(full, index, x)
    return full


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


REFERENCES = {
    "astype": lambda x, dtype: x.astype(dtype),
    "concatenate": lambda *xs, axis=0: np.concatenate(xs, axis),
    "einsum": lambda *xs, subscripts, optimize=False: np.einsum(subscripts, *xs, optimize=optimize),
    "getitem": lambda x, index: x[index],
    "log_softmax": lambda x: np.log(softmax(x)),
    "log_probabilities": lambda x: np.log(softmax(x)),
    "logistic": lambda x: np.exp(x) / (1 + np.exp(x)) ** 2,
    "logsumexp": logsumexp,
    "nll": lambda x, at: np.mean([-x.flat[i] for i in at]),
    "relu": lambda x: x * (x > 0),
    "scatter": scatter,
    "half_reciprocal": lambda y: 0.5 / y,
    "square_root": np.sqrt,
    "unit": lambda x, axis=None: x / np.sqrt(np.sum(x * x, axis=axis, keepdims=True)),
    "shares": lambda x, axis=None: softmax(x, axis),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": softmax,
    "softplus": lambda x: np.log1p(np.exp(x)),
}


def reference(name):
    """The op's value by NumPy's function of that name, or by the one above."""
    return REFERENCES[name] if name in REFERENCES else getattr(np, name)
