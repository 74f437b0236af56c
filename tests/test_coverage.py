"""What is promised of NumPy is there: every function, every keyword, and the table that says so."""

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import Drawn
from tests.coverage import (
    CONSTANT,
    DIFFERENTIABLE,
    PAGE,
    cases_by_name,
    coverage_table,
    found,
    handled,
    keywords_untested,
    names,
)
from tests.test_cases import quiet
from tinygrad_digits.support.substitutes import REFUSED

BY_NAME = cases_by_name()
PROMISED = [name for text in DIFFERENTIABLE.values() for name in names(text)]
HERE = [name for name in PROMISED if found(name) is not None]  # NumPy 2.0 lacks a few
UNTESTED = [
    (name, keyword)
    for name in HERE
    if name.startswith("np.") and found(name) not in REFUSED
    for keyword in keywords_untested(name, [case for _, case in BY_NAME.get(name, [])])
]
PROBES = {"out": np.zeros(1), "dtype": complex, "axes": [(0,), (0,), (0,)], "like": np.zeros(1)}


@pytest.mark.parametrize("name", [*PROMISED, *names(CONSTANT)])
def test_every_promised_function_works_or_is_refused_with_a_reason(name):
    function = found(name)
    assert function is not None or name.startswith("np."), "ours is missing"
    assert function is None or handled(function) or REFUSED[function]


@pytest.mark.parametrize("name", HERE)
def test_every_function_has_cases(name):
    assert name in BY_NAME or found(name) in REFUSED


@pytest.mark.parametrize(("name", "keyword"), UNTESTED)
def test_a_keyword_without_a_case_is_refused_by_name(name, keyword, rng):
    drawn = Drawn(BY_NAME[name][0][1], rng)

    def f(*xs):
        args, options = drawn.filled(xs)
        return found(name)(*args, **{**options, keyword: PROBES.get(keyword, "an odd value")})

    with quiet(), pytest.raises(TypeError, match=rf"\b{keyword}\b"):
        td.vjp(f, *drawn.xs)


def test_the_table_is_not_stale():
    assert PAGE.read_text(encoding="utf-8") == coverage_table(), (
        "run: python -m tests.coverage --write"
    )
