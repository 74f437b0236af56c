"""What is promised of NumPy is there: every function, every keyword, and the table that says so."""

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import Drawn
from tests.checks import quiet
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
from tinygrad_digits.support.substitutes import REFUSED

BY_NAME = cases_by_name()
PROMISED = [name for text in DIFFERENTIABLE.values() for name in names(text)]
HERE = [name for name in PROMISED if found(name) is not None]  # NumPy 2.0 lacks a few
PROBES = {"out": np.zeros(1), "dtype": int, "axes": [(0,), (0,), (0,)], "like": np.zeros(1)}


def untested(name):
    """The keywords of a function of NumPy's without a case."""
    if not name.startswith("np.") or found(name) in REFUSED:
        return []
    return keywords_untested(name, [case for _, case in BY_NAME.get(name, [])])


@pytest.mark.parametrize("section", [*DIFFERENTIABLE, "constant"])
def test_every_promised_function_works_or_is_refused_with_a_reason(section):
    for name in names({**DIFFERENTIABLE, "constant": CONSTANT}[section]):
        function = found(name)
        assert function is not None or name.startswith("np."), f"{name} of ours is missing"
        assert function is None or handled(function) or REFUSED[function], name


def test_every_function_has_cases():
    assert not [name for name in HERE if name not in BY_NAME and found(name) not in REFUSED]


@pytest.mark.parametrize("name", [name for name in HERE if untested(name)])
def test_a_keyword_without_a_case_is_refused_by_name(name, rng):
    drawn = Drawn(BY_NAME[name][0][1], rng)
    for keyword in untested(name):
        given = {keyword: PROBES.get(keyword, "an odd value")}

        def f(*xs):
            args, options = drawn.filled(xs)
            return found(name)(*args, **{**options, **given})  # noqa: B023

        with quiet(), pytest.raises(TypeError, match=rf"\b{keyword}\b"):
            td.vjp(f, *drawn.xs)


@pytest.mark.slow
def test_the_table_is_not_stale():
    assert PAGE.read_text(encoding="utf-8") == coverage_table(), (
        "run: python -m tests.coverage --write"
    )
