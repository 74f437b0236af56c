"""Every elementwise row's derivatives are mpmath's, to the last digits."""

import math

import numpy as np
import pytest

from tests.accuracy import BOUND, DTYPES, PAGE, condition, measure, name_of, ulps
from tests.oracles import Oracle, all_oracles, exact_rows, mp, spread
from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.ops import OPS

ORACLES = all_oracles()
ELEMENTWISE = [name for name, op in OPS.items() if op.primitive.kind == Kind.ELEMENTWISE]


def test_every_elementwise_row_has_an_oracle_or_a_reason():
    tested = {row for oracle in ORACLES for row in oracle.rows or (oracle.name,)}
    assert not {*ELEMENTWISE} - tested - exact_rows().keys()
    assert not tested & exact_rows().keys()
    assert all(exact_rows().values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_derivatives_are_within_the_bound(oracle, dtype):
    errors = measure(oracle, dtype)
    assert errors.keys() == {0, 1, 2}
    for order in (1, 2):
        bound, _ = oracle.floor.get(order, (BOUND, ""))
        assert errors[order].excess <= bound, errors[order]


def test_the_page_lists_every_function():
    text = PAGE.read_text(encoding="utf-8")
    for oracle in ORACLES:
        for dtype in DTYPES:
            assert f"| `{name_of(oracle)}` | {dtype.__name__} |" in text
        for order in oracle.conditioned:
            assert f"- `{name_of(oracle)}`: derivative {order}, near" in text
        for order, (_, why) in oracle.floor.items():
            assert f"- `{name_of(oracle)}`: derivative {order}, {said_floor(oracle, order)}" in text
            assert why in text
    for name, why in exact_rows().items():
        assert f"- `{name}`: {why}" in text


def said_floor(oracle, order):
    return f"{oracle.floor[order][0]} ulp: "


# --- the measure itself


@pytest.mark.parametrize(
    ("got", "exact", "dtype", "expected"),
    [
        (1.0, 1, np.float64, 0),
        (1.0 + 2**-52, 1, np.float64, 1),
        (1.0 - 2**-53, 1, np.float64, 0.5),
        (1.5 + 2**-23, 1.5, np.float32, 1),
        (0.0, mp.mpf(2) ** -1074, np.float64, 1),  # the smallest number
        (math.inf, mp.mpf(10) ** 400, np.float64, 0),
        (-math.inf, mp.mpf(10) ** 400, np.float64, math.inf),
        (math.nan, 0, np.float32, math.inf),
    ],
)
def test_ulps(got, exact, dtype, expected):
    assert min(ulps(got, mp.mpf(exact), dtype), 2**53) == min(expected, 2**53)


def test_a_condition_number():
    assert condition(lambda x: x**3, (mp.mpf(2),), mp.mpf(8)) == pytest.approx(3)
    x = mp.mpf(math.pi)
    assert condition(mp.sin, (x,), mp.sin(x)) > 1e15


def test_a_rule_that_cancels_is_caught():
    def one_less(x):
        return (1 + x) - 1

    oracle = Oracle(
        one_less, lambda x: x, [lambda x: mp.mpf(1)], [lambda x: mp.mpf(0)], spread(0, 1)
    )
    assert measure(oracle, np.float64)[0].ulp > 1e15
