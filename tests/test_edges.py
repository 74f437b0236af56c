"""Shaping functions where shapes are at their edges: 0-d, one element, none, axes from the end.

Each function is called on each shape: by NumPy, on a Tensor, and as a program. All three have the
same value or refuse it with an error; the gradient is that of central differences.
"""

import itertools

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import name_of
from tests.checks import quiet
from tests.jit_programs import assert_same

SHAPES = [(), (1,), (3,), (0,), (1, 1), (2, 3), (0, 3), (3, 0), (2, 3, 4), (1, 3, 1)]
AXES = [None, 0, 1, -1, -2, (0,), (0, 1), (-1, 0), ()]
ONE_AXIS = [None, 0, 1, -1, -2]
COUNTS = [1, 2, [0], [1, 1], [], [5], [-1], [2, 1]]
WIDTHS = [0, 1, (1,), (1, 2), ((1, 2),), {0: 1}, {-1: (1, 0)}]
MODES = ["constant", "edge", "wrap", "reflect", "symmetric", "mean", "linear_ramp", "maximum"]
SIZES = [2, (2,), (2, 1), (), (0,), (2, 2, 2), -1, (1, -1), (3, -1), (-1, 0)]
PLACES = [0, -1, [0], [0, 0], [], [[0]], np.array(0)]


def method(name):
    def called(x, *args):
        return getattr(x, name)(*args)

    called.__module__, called.__name__ = "Tensor", name
    return called


def twice(f):
    """A function of several arrays, of two."""
    return lambda x: f([x, 2 * x])


SPLITTING = (np.split, np.array_split)
AXIS = (np.squeeze, np.flip, np.expand_dims, np.transpose, method("transpose"), method("squeeze"))
REORDERING = (np.moveaxis, np.swapaxes)
MATRICES = (np.diag, np.diagonal, np.diagflat, np.trace, np.tril, np.triu)
ALONE = (
    *(np.atleast_1d, np.atleast_2d, np.atleast_3d, np.ravel, np.fliplr, np.flipud, np.rot90),
    *(np.matrix_transpose, np.copy, np.vander, np.ediff1d, np.real, np.block, np.trapezoid),
    *(np.nan_to_num, np.gradient, np.meshgrid, np.broadcast_arrays, np.diff),
    *(method(name) for name in ("flatten", "ravel", "copy", "conj")),
)
SEVERAL = (np.column_stack, np.hstack, np.vstack, np.dstack, np.block, np.stack, np.concatenate)
EACH = (np.atleast_1d, np.atleast_2d, np.atleast_3d, np.meshgrid, np.broadcast_arrays)
GROUPS = {
    **{name_of(f): [(f, (axis,)) for axis in AXES] for f in AXIS},
    **{name_of(f): [(f, pair) for pair in itertools.product((0, 1, -1, -3), (0, -1))]
       for f in REORDERING},
    **{name_of(f): [(f, (k,)) for k in (0, 1, -1, 5, -5)] for f in MATRICES},
    **{name_of(f): [(f, pair) for pair in itertools.product(COUNTS, (0, 1, -1))]
       for f in SPLITTING},
    "alone": [(f, ()) for f in ALONE],
    "of two": [(twice(f), ()) for f in SEVERAL],
    "of each": [(lambda x, f=f: f(x, [1.0], 2.0 * x), ()) for f in EACH],
    "reduced": [(f, (axis,)) for f in (np.sum, np.max, np.mean, np.prod) for axis in AXES],
    "along": [(f, (axis,)) for f in (np.sort, np.cumsum) for axis in ONE_AXIS],
    "roll": [(np.roll, (1, axis)) for axis in AXES[:-1]],
    "repeat": [(np.repeat, pair) for pair in itertools.product((0, 1, 2, [2]), ONE_AXIS)],
    "take": [(f, pair) for f in (np.take, method("take"))
             for pair in itertools.product(PLACES, ONE_AXIS)],
    "compress": [(lambda x, a: np.compress([True], x, a), (axis,)) for axis in ONE_AXIS],
    "delete": [(np.delete, (0, axis)) for axis in ONE_AXIS],
    "insert": [(np.insert, (0, 2.0, axis)) for axis in ONE_AXIS],
    "append": [(lambda x, a: np.append(x, 2 * x, a), (axis,)) for axis in ONE_AXIS],
    "trim_zeros": [(np.trim_zeros, ("fb", axis)) for axis in ONE_AXIS],
    "stacked": [(lambda x, a: np.stack([x, 2 * x], a), (axis,)) for axis in (0, 1, -1, -3)],
    "sizes": [(f, (size,)) for f in (np.tile, np.resize, np.broadcast_to, np.reshape)
              for size in SIZES],
    "pad": [(np.pad, pair) for pair in itertools.product(WIDTHS, MODES)],
    "index": [(lambda x, i: x[i], (i,)) for i in (..., (), None, True, False)],
    "where": [(lambda x: np.where(x > 0, x, 0.0), ()), (lambda x: np.select([x > 0], [x]), ())],
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_shapes_at_their_edges(group, rng):
    for f, args in GROUPS[group]:
        for shape in SHAPES:
            x = np.asarray(rng.permutation(np.arange(1.0, 1 + np.prod(shape, dtype=int))))
            check(lambda x, f=f, args=args: f(x, *args), x.reshape(shape) / 7, (args, shape))


def check(f, x, where):
    with quiet():
        expected, refusal = outcome(f, x)
        on_tensor, its_refusal = outcome(lambda x: td.vjp(f, x), x)
        program, programs_refusal = outcome(td.jit(f), x)
        assert (refusal is None) == (its_refusal is None), (where, refusal, its_refusal)
        if not isinstance(programs_refusal, td.errors.TracedValueError):
            assert type(programs_refusal) is type(refusal), where
            if refusal is None:
                assert_same(program, expected)
        if refusal is None:
            assert_alike(on_tensor[0], expected, where)
            assert_slope(f, x, *on_tensor, where)


def outcome(f, x):
    try:
        return f(x), None
    except Exception as error:
        return None, error


def leaves(y):
    return td.tree.flatten(y)[0]


def assert_alike(y, expected, where):
    """A 0-d result leaves a transform as a scalar."""
    for a, b in zip(leaves(y), leaves(expected), strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype), where
        np.testing.assert_array_equal(a, b, err_msg=str(where))


def assert_slope(f, x, y, pull, where):
    weights = [
        np.cos(np.arange(float(np.size(part)))).reshape(np.shape(part)) for part in leaves(y)
    ]
    g = pull(td.tree.unflatten(td.tree.flatten(y)[1], weights))
    way = np.sin(1.0 + np.arange(x.size)).reshape(x.shape)
    ahead, behind = (leaves(f(x + sign * 1e-6 * way)) for sign in (1, -1))
    wanted = sum(
        np.sum((a - b) * w) / 2e-6 for a, b, w in zip(ahead, behind, weights, strict=True) if a.size
    )
    assert np.shape(g) == x.shape
    if x.size:
        np.testing.assert_allclose(np.sum(g * way), wanted, atol=1e-6, err_msg=str(where))
