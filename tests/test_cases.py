"""Every function, by its cases: values, derivatives, dtypes, layouts, programs, batches.

An item is a function; what fails is said by case and check (`np.sum-3: check_layout`).
"""

import pytest

import tinygrad_digits as td
from tests.cases import Drawn, cases_by_function
from tests.checks import (
    CHECKS,
    check_higher_orders,
    check_narrow_program,
    check_program,
    quiet,
    try_case,
)
from tinygrad_digits.engine.primitive import VariadicRule
from tinygrad_digits.ops import OPS

FUNCTIONS = cases_by_function()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function(function):
    for name, case in FUNCTIONS[function].items():
        try_case(name, case, CHECKS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_program(function):
    """Of its first case, in both dtypes."""
    name, case = next(iter(FUNCTIONS[function].items()))
    try_case(name, case, [check_program, check_narrow_program])


@pytest.mark.slow
@pytest.mark.parametrize("function", FUNCTIONS)
def test_other_programs(function):
    """Of its other cases, and of the first one's second derivatives."""
    (name, case), *others = FUNCTIONS[function].items()
    try_case(name, case, [check_higher_orders])
    for name, case in others:
        try_case(name, case, [check_program])


@pytest.mark.gate
@pytest.mark.parametrize("function", FUNCTIONS)
def test_other_programs_of_float32(function):
    for name, case in [*FUNCTIONS[function].items()][1:]:
        try_case(name, case, [check_narrow_program])


# --- the tests are tested


def test_every_primitive_is_recorded_by_a_case(rows_of_cases):
    assert not OPS.keys() - rows_of_cases.keys()


ONLY_AT_KINKS = {("along_sign", 1)}
"""Rules that give 0 wherever central differences see anything."""


@pytest.mark.parametrize("name", OPS)
def test_a_rule_wrong_by_a_twentieth_of_a_percent_is_caught(name, rows_of_cases, monkeypatch, rng):
    case, row = rows_of_cases[name], OPS[name].primitive
    drawn, exact = Drawn(case, rng), row.rules
    for bent in bent_rules(row):
        monkeypatch.setattr(row, "rules", bent)
        with (
            quiet(),
            pytest.raises(
                td.errors.GradientMismatchError,
                match=r"derivative .*expected",
            ),
        ):
            check_in_directions(drawn)
        monkeypatch.setattr(row, "rules", exact)


def check_in_directions(drawn):
    """Three of them, since a derivative may happen to be 0, or nearly, in one."""
    for seed in range(3):
        td.check_grads(drawn, *drawn.xs, order=1, rtol=1e-5, seed=seed)


def bent_rules(row):
    """The row's rules with each of them wrong in turn."""

    def bend(rule):
        return lambda *args, **options: 1.0005 * rule(*args, **options)

    if isinstance(row.rules, VariadicRule):
        yield VariadicRule(bend(row.rules.rule))
        return
    for k, rule in enumerate(row.rules):
        if rule is not None and (row.name, k) not in ONLY_AT_KINKS:
            yield tuple([bend(r) if i == k else r for i, r in enumerate(row.rules)])


@pytest.mark.parametrize("function", ["np.tanh", "np.sum", "np.matmul", "np.linalg.solve"])
def test_an_item_says_which_case_and_check_failed(function, monkeypatch):
    name, case = next(iter(FUNCTIONS[function].items()))
    row = OPS[function.rpartition(".")[2]].primitive
    monkeypatch.setattr(row, "rules", next(bent_rules(row)))
    with pytest.raises(td.errors.GradientMismatchError) as caught:
        try_case(name, case, CHECKS)
    (note,) = caught.value.__notes__
    assert note.startswith(f"{name}: check_derivatives")
