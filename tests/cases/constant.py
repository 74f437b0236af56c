"""Functions without derivatives: on Tensors what they are on the values, and off the tape.

These are no CASES, since nothing about them can be differentiated; tests/test_ufuncs.py has them.
"""

import numpy as np

from tests.cases import Draw, case, distinct, increasing, method, normal, regular

WHOLE = Draw(lambda rng: rng.integers(-2, 3, (2, 3)).astype(float))
GAPS = Draw(lambda rng: rng.permutation([1.0, -2.0, np.nan, 0.0, 4.0, -0.0]).reshape(2, 3))
EDGES = Draw(lambda rng: rng.permutation([1.0, -np.inf, np.nan, np.inf, 0.0, -0.0]).reshape(2, 3))
MASK = np.array([True, False, True])
SHAPE = "its result has a shape that depends on values"
OBJECT = "it returns something that is no array, made of the values"

COMPARISONS = (
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_xor),
)
CLASSES = (
    *(np.isfinite, np.isinf, np.isnan, np.isneginf, np.isposinf, np.signbit, np.sign),
    *(np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj, np.logical_not),
)
ROUNDED = (np.floor, np.ceil, np.trunc, np.rint, np.fix, np.round, np.around, np.spacing)

ELEMENTWISE = [
    *[case(f, WHOLE, Draw(lambda rng: rng.integers(-2, 3, 3) * 1.0)) for f in COMPARISONS],
    *[case(f, WHOLE, 1) for f in COMPARISONS],
    *[case(f, np.array([1.0, 0.0, 2.0]), WHOLE) for f in COMPARISONS],
    case(np.greater, WHOLE, 0.0, dtype=bool, casting="same_kind"),
    case(np.less.outer, normal(2), normal(3)),
    *[case(f, EDGES) for f in CLASSES],
    *[case(f, normal(2, 3)) for f in ROUNDED],
    case(np.round, normal(2, 3), decimals=1),
    case(np.round, normal(), 2),
    case(np.around, normal(2, 3), 2),
    case(np.floor_divide, normal(2, 3), normal(3)),
    case(np.floor_divide, 7, normal(3)),
    case(np.imag, normal(2, 3)),
    case(np.angle, normal(2, 3), deg=True),
    case(np.isclose, GAPS, WHOLE, rtol=0.1, atol=1.0, equal_nan=True),
    case(np.allclose, WHOLE, WHOLE, rtol=0.1, atol=4.0, equal_nan=False),
    case(np.array_equal, GAPS, normal(2, 3), equal_nan=True),
    case(np.array_equiv, WHOLE, normal(3)),
    case(np.isin, WHOLE, [0.0, 1.0], assume_unique=False, invert=True, kind="sort"),
    case(np.isin, 1.0, WHOLE),
]
SEARCHES = [
    *[case(f, distinct(2, 3)) for f in (np.argmax, np.argmin, np.argsort)],
    *[case(f, distinct(2, 3), axis=0, keepdims=True) for f in (np.argmax, np.argmin)],
    *[case(f, Draw(lambda rng: np.array([[1.0, np.nan, 3.0]])), axis=1, keepdims=True)
      for f in (np.nanargmax, np.nanargmin)],
    case(np.argsort, distinct(2, 3), axis=0, kind="stable"),
    case(np.argsort, distinct(2, 3), None, stable=True),
    case(np.argpartition, distinct(2, 4), 2),
    case(np.argpartition, distinct(4), kth=(1, 2), axis=0, kind="introselect"),
    case(np.searchsorted, increasing(4), normal(3)),
    case(np.searchsorted, increasing(4), 1.0, side="right", sorter=np.arange(4)),
    case(np.searchsorted, np.array([0.0, 1.0]), normal(3)),
    case(np.digitize, normal(3), np.array([-1.0, 0.0, 1.0]), right=True),
    case(np.digitize, normal(3), increasing(4)),
    case(np.lexsort, (WHOLE, normal(2, 3))),
    case(np.lexsort, (distinct(3), np.array([1, 0, 0])), axis=0),
    case(np.lexsort, WHOLE, -1),
    *[case(f, WHOLE, axis=0, keepdims=True) for f in (np.all, np.any, np.count_nonzero)],
    *[case(f, WHOLE, where=MASK) for f in (np.all, np.any)],
    *[case(f, WHOLE) for f in (np.all, np.any, np.count_nonzero)],
    *[case(f, WHOLE).but(untraced=SHAPE) for f in (np.argwhere, np.nonzero, np.flatnonzero)],
    case(np.linalg.matrix_rank, regular(2, 3, 3), tol=0.1, hermitian=False),
    case(np.linalg.matrix_rank, regular(3, 3), rtol=0.1),
]  # fmt: skip
ABOUT = [
    *[case(f, normal(2, 3)) for f in (np.shape, np.ndim, np.size, np.result_type, np.iterable)],
    case(np.size, normal(2, 3), axis=1),
    case(np.result_type, normal(3), np.float32),
    case(np.can_cast, normal(3), np.float32, casting="same_kind"),
    case(lambda *xs: np.dtype(np.common_type(*xs)), normal(3), np.ones(2, np.float32)).but(
        label="np.common_type"
    ),
    case(np.min_scalar_type, normal()).but(untraced=OBJECT),
    *[case(f, normal(2, 3)) for f in (np.zeros_like, np.ones_like)],
    *[case(f, normal(2, 3), dtype=int, shape=(2,)) for f in (np.zeros_like, np.ones_like)],
    case(np.empty_like, normal(3), dtype=int, shape=(0, 2)),
    *[
        case(f, normal(3), normal(3)).but(untraced=OBJECT)
        for f in (np.shares_memory, np.may_share_memory)
    ],
    *[
        case(f, normal(3), normal(3), max_work=1).but(untraced=OBJECT)
        for f in (np.shares_memory, np.may_share_memory)
    ],
    *[
        case(f, normal(3), max_line_width=20, precision=2, suppress_small=True).but(untraced=OBJECT)
        for f in (np.array_repr, np.array_str)
    ],
    case(np.array2string, normal(3), precision=2, separator=", ").but(untraced=OBJECT),
    case(
        np.array2string,
        normal(3),
        max_line_width=20,
        suppress_small=True,
        prefix="x = ",
        formatter={"float": "{:.1f}".format},
        threshold=2,
        edgeitems=1,
        sign="+",
        suffix=";",
        floatmode="fixed",
        legacy=False,
    ).but(untraced=OBJECT),
    case(np.tril_indices_from, normal(2, 3), k=-1),
    case(np.triu_indices_from, normal(2, 3), k=1),
    case(np.diag_indices_from, normal(3, 3)),
]
METHODS = [
    *[case(method(name), WHOLE, axis=0) for name in ("all", "any", "argmax", "argmin", "argsort")],
    case(method("round"), normal(3), 1),
    case(method("argpartition"), distinct(4), 2),
    case(method("searchsorted"), increasing(4), [1.0, 2.0], side="right"),
    case(method("nonzero"), WHOLE).but(untraced=SHAPE),
    case(method("__floordiv__"), WHOLE, 2.0),
    case(method("__lt__"), WHOLE, 1.0),
]
CONSTANTS = [*ELEMENTWISE, *SEARCHES, *ABOUT, *METHODS]
