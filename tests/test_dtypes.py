"""A program is the function that it was made of: for every function and every kind of operand.

The first case of each function (others in the gate) is called in eager, so by NumPy where the
function is NumPy's, and as a program, on its arrays cast to every dtype, and on scalars, 0-d
arrays, Python numbers and arrays without elements: the same dtype, the same class, the same bits,
or an error of the same class.
"""

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import Drawn, all_cases
from tests.cases.constant import CONSTANTS
from tests.checks import quiet
from tests.jit_programs import assert_same


def by_function():
    found = {}
    for case in [*[case for _, _, case in all_cases()], *CONSTANTS]:
        found.setdefault(case.name, []).append(case)
    return found


BY_FUNCTION = by_function()


def cast(x, dtype):
    """x in a dtype, so that integers differ as floats did."""
    x = np.asarray(x)
    if dtype is bool:
        return np.asarray(x > 0)
    if np.dtype(dtype).kind == "f":
        return np.asarray(x.astype(dtype))
    whole = np.round(3 * np.nan_to_num(x, posinf=4, neginf=-4))
    return np.asarray((abs(whole) if np.dtype(dtype).kind == "u" else whole).astype(dtype))


def one(x):
    """An element, or a number if there is none."""
    return float(np.ravel(x)[0]) if np.size(x) else 1.5


CORE = {
    "bool": lambda x: cast(x, bool),
    "int64": lambda x: cast(x, np.int64),
    "float16": lambda x: cast(x, np.float16),
    "float32": lambda x: cast(x, np.float32),
    "Python float": one,
    "0-d": lambda x: np.asarray(one(x)),
}
MORE = {
    **{
        np.dtype(dtype).name: lambda x, dtype=dtype: cast(x, dtype)
        for dtype in (np.int8, np.int16, np.int32, np.uint8, np.float64)
    },
    "float32 scalar": lambda x: np.float32(one(x)),
    "int64 scalar": lambda x: cast(one(x), np.int64)[()],
    "bool scalar": lambda x: np.bool_(one(x) > 0),
    "0-d float32": lambda x: np.asarray(one(x), np.float32),
    "0-d int": lambda x: cast(one(x), np.int64),
    "one element": lambda x: np.asarray(x)[(slice(1),) * np.ndim(x)],
    "no element": lambda x: np.asarray(x)[:0] if np.ndim(x) else np.zeros(0),
    "no integer": lambda x: cast(np.asarray(x)[:0] if np.ndim(x) else np.zeros(0), np.int64),
}
LENIENT = {"Tensor.compress", "Tensor.repeat", "Tensor.transpose", "td.log_probabilities"}
"""A Python number has no methods; of its stand-in these are there."""
NEEDS_FLOATS = {"np.histogram_bin_edges", "np.roots"}
"""Of integers, or of nothing, they are traced as a whole; how much there is depends on values."""


@pytest.mark.parametrize("name", BY_FUNCTION)
def test_a_program_has_eagers_dtypes_kinds_bits_and_refusals(name, rng):
    check_forms(BY_FUNCTION[name][0], {**CORE, **MORE}, rng)


@pytest.mark.gate
@pytest.mark.parametrize("name", BY_FUNCTION)
def test_so_has_a_program_of_its_other_cases(name, rng):
    for case in BY_FUNCTION[name][1:6]:
        check_forms(case, CORE, rng)


def check_forms(case, forms, rng):
    for form, make in forms.items():
        drawn = Drawn(case, rng)
        if form != "Python float" or case.name not in LENIENT:
            check(case, drawn, [make(x) for x in drawn.xs], form)


def check(case, drawn, xs, form):
    with quiet():
        eager, refusal = outcome(drawn.result, xs)
        program, its_refusal = outcome(td.jit(drawn.result), xs)
    if case.untraced:
        assert its_refusal is not None, form
    elif not (case.name in NEEDS_FLOATS and isinstance(its_refusal, td.errors.TracedValueError)):
        assert type(its_refusal) is type(refusal), (form, its_refusal, refusal)
        if refusal is None:
            assert_same(leaves(program), leaves(eager))


def outcome(f, xs):
    try:
        return f(*xs), None
    except Exception as error:
        return None, error


def leaves(results):
    return td.tree.flatten(results)[0]


@pytest.mark.parametrize("dtype", [float, np.float64, np.float32, np.float16])
def test_options_that_differ_in_the_sign_of_zero_are_two(dtype):
    def both(x):
        return [np.max(x, initial=dtype(zero)) for zero in (0.0, -0.0)]

    x = np.array([-1.0], np.float16)
    np.testing.assert_array_equal(np.signbit(td.jit(both)(x)), np.signbit(both(x)))
    assert np.signbit(both(x)).tolist() == [False, True]
