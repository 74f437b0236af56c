"""x[index], elements chosen by position and condition, functional assignment."""

import array

import numpy as np

import tinygrad_digits as td
from tests.cases import case, method, nonzero, normal, positive
from tinygrad_digits.ops import OPS

MASK = np.array([[True, False, True], [False, True, False]])
LOW = np.array([True, False, True, False])


def getitem(x, *index):
    return x[index]


def indexed(x, *index):
    return case(getitem, x, *index).but(label="x[index]")


def bracketed(index):
    """The index as it stands between brackets: a list in it is no tree of cases."""
    return case(lambda x: x[index], normal(*INDEXED)).but(label="x[index]")


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


def scatter(x, *, index, shape):
    full = np.zeros(shape, x.dtype)
    np.add.at(full, index, x)
    return full


def scattered(x, index, shape):
    return case(OPS["scatter"], x, index=index, shape=shape).but(reference=scatter)


def assigned(how, x, index, *v, reference=None, **changes):
    """td.at(x)[index].how(v), and what NumPy does in place."""

    def functional(x, *v):
        return getattr(td.at(x)[index], how)(*v)

    def in_place(x, v):
        y = np.array(x)
        if how == "set":
            y[index] = v
        else:
            UFUNCS[how].at(y, index, v)
        return y

    at_once = reference or in_place
    return case(functional, x, *v).but(label="td.at", reference=at_once, **changes)


UFUNCS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "min": np.minimum,
    "max": np.maximum,
    "logaddexp": np.logaddexp,
}


def stepwise(x, mask=LOW):
    return td.piecewise([mask, ~mask], [np.exp, lambda v: v**3], x)


def doubled(v, by=1.0, *, plus=0.0):
    return v * v * by + plus


def scaled(v, by, plus):
    return np.sin(v) * by + plus


def centred(v):
    return v * (v - v.mean())


def at_steps(x):
    """td.piecewise as np.select says it."""
    return np.select([LOW, ~LOW], [np.exp(x), x**3])


CASES = [
    indexed(normal(4), 1),
    indexed(normal(3, 4), -1),
    indexed(normal(3, 4), slice(None, None, -2), None, slice(1, 3)),
    indexed(normal(3, 4), ..., 2),
    indexed(normal(4), np.array([0, 0, 3, -1])),
    indexed(normal(4), np.array([[0, 0], [3, -1]])),
    indexed(normal(4, 2, 2), np.array([0, 0, -1])),
    indexed(normal(3, 4), np.array([0, 0, 2]), np.array([1, 1, -1])),
    indexed(normal(3, 4, 2), np.array([[0], [2]]), np.array([1, 1])),
    indexed(normal(3, 4), slice(1, None), np.array([1, 1])),
    indexed(normal(3, 4, 2), np.array([1, 1]), slice(None), 0),
    indexed(normal(3, 4), np.array([1, 1]), 2),
    indexed(normal(2, 3), MASK),
    indexed(normal(2, 3, 2), MASK),
    indexed(normal(2, 3), slice(None), np.array([True, False, True])),
    indexed(normal()),
    indexed(normal(0, 3), slice(None), 1),
    indexed(normal(3), []),
    *[bracketed(index) for index in INDICES],
    scattered(normal(2, 3), [0, 0], (4, 3)),
    scattered(normal(3), (slice(None), 1), (3, 2)),
    scattered(normal(2, 2), np.array([[0, 1], [1, 1]]), (3,)),
    scattered(normal(), (1, 2), (2, 3)),
    scattered(normal(2), np.array([True, False, True]), (3,)),
    case(np.take, normal(2, 3), [0, 5, 5]),
    case(np.take, normal(2, 3), np.array([[0, 2], [2, -1]]), axis=1),
    case(np.take, normal(2, 3), 1, axis=-1),
    case(np.take, normal(2, 3), [-7, 8], axis=0, mode="wrap"),
    case(np.take, normal(2, 3), [-7, 8, 1], mode="clip"),
    case(np.take, normal(2, 3), 0, mode="raise"),
    case(method("take"), normal(2, 3), [0, 0], axis=0),
    case(np.take_along_axis, normal(2, 3), np.array([[0, 0], [2, -1]]), axis=1),
    case(np.take_along_axis, normal(2, 3), np.array([[1, 0, 1]]), 0),
    case(np.take_along_axis, normal(2, 3), np.array([5, 5]), axis=None),
    case(np.compress, [True, False, True], normal(2, 3), axis=-1),
    case(np.compress, [False, True], normal(2, 3)),
    case(method("compress"), normal(2, 3), [True, False, True], axis=1),
    case(method("compress"), normal(4), [False, True]),
    case(method("copy"), normal(2, 3), order="F"),
    case(method("diagonal"), normal(2, 3), 1),
    case(np.extract, MASK, normal(2, 3)),
    case(np.choose, np.array([0, 1, 1]), [normal(3), normal(3)]),
    case(np.choose, np.array([[-1, 5, 1]]), [normal(3), normal(), 2.0], mode="wrap"),
    case(np.choose, [-1, 5], normal(3, 2), mode="clip"),
    case(np.choose, 1, [normal(2), normal(1)], mode="raise"),
    case(np.select, [MASK, ~MASK], [normal(3), normal(2, 1)]),
    case(np.select, [LOW, np.ones(4, bool)], [normal(4), 2.0], default=normal()),
    case(np.select, [LOW], [normal(4)], 1),
    case(np.piecewise, normal(4), [LOW, ~LOW], [doubled, 2.0]),
    case(np.piecewise, normal(4), [LOW], [doubled, centred]),
    case(np.piecewise, normal(4), LOW, [centred]),
    case(np.piecewise, normal(2, 3), [MASK], [np.sin, np.cos]),
    case(np.piecewise, normal(4), [LOW, LOW], [scaled, doubled, 1], 2.0, plus=1.0),
    case(np.piecewise, normal(), True, [doubled]),
    case(np.where, MASK, normal(2, 3), normal(3)),
    *[
        case(np.where, mask, normal(*a), normal(*b))
        for mask in (MASK, MASK[0])
        for a, b in (((2, 3), (2, 3)), ((2, 1), ()), ((3,), (2, 3)))
    ],
    case(np.where, np.True_, normal(2, 3), normal(3)),
    case(np.where, [True, False], normal(), 2.0),
    case(np.where, MASK, 1, normal(2, 1)),
    case(np.diag, normal(3)),
    case(np.diag, normal(2), k=-1),
    case(np.diag, normal(3, 4), k=2),
    case(np.diagonal, normal(3, 4)),
    case(np.diagonal, normal(4, 2), offset=-1),
    case(np.diagonal, normal(2, 3, 4), 1, axis1=-1, axis2=0),
    case(np.diagonal, normal(2, 3), offset=5),
    case(np.diagflat, normal(2, 2), k=1),
    case(np.tril, normal(3, 4), k=1),
    case(np.triu, normal(2, 3, 3)),
    case(np.triu, normal(3), k=-1),
    case(np.vander, nonzero(3)),
    case(np.vander, nonzero(3), N=4, increasing=True),
    case(np.vander, normal(2), 0),
    assigned("set", normal(3, 4), 1, normal(4)),
    assigned("set", normal(3, 4), (slice(None), 2), normal()),
    assigned("set", normal(3, 4), (slice(1, None), slice(None, None, 2)), normal(2, 1)),
    assigned("set", normal(3, 4), ..., normal(1, 1, 4)),
    assigned("set", np.zeros(4), [2, 0], normal(2)),
    assigned("set", normal(4), [0, 0, 1], normal(3)),
    assigned("set", normal(4), [0, 0, 1], normal()),
    assigned("set", normal(4), [0, 0, 1], [1.0, 2.0, 3.0]),
    assigned("set", normal(2, 3), MASK, normal(3)),
    assigned("set", normal(2, 3), MASK, normal()),
    assigned("set", normal(2, 3), MASK, 0),
    assigned("set", normal(), (), normal()),
    assigned("get", normal(4), [1, 1], reference=lambda x: x[[1, 1]]),
    *[
        assigned(how, positive(3, 2), index, positive(*shape))
        for how in UFUNCS
        for index, shape in (((slice(None), 1), (3,)), ([1, 1, 0], (3, 2)), ([0, 0], (2,)))
    ],
    assigned("add", np.ones(4), [2, 2], normal(2)),
    assigned("add", normal(4), LOW, normal(2)),
    assigned("multiply", normal(4), LOW, 2.0),
    case(stepwise, normal(4)).but(label="td.piecewise", reference=at_steps),
    case(td.piecewise, [LOW], [np.multiply], normal(4), normal(2, 1)).but(
        reference=lambda _c, _f, x, y: np.where(LOW, x * y, 0.0)
    ),
    case(td.piecewise, [LOW, LOW[::-1]], [np.sin, 2.0, np.exp], normal(2, 4)).but(
        reference=lambda _c, _f, x: np.where(LOW[::-1], 2.0, np.where(LOW, np.sin(x), np.exp(x)))
    ),
    case(td.piecewise, [np.zeros(2, bool)], [np.log, np.exp], normal(2)).but(
        reference=lambda _c, _f, x: np.exp(x)
    ),
]
