"""The plan of a program's memory, and its verifier."""

import dataclasses

import numpy as np
import pytest

import tinygrad_digits as td
from tinygrad_digits.compiler.plan import PlanError, Region, check


def f(x):
    return x


def planned(f, *args):
    program = td.jit(f).program(*args)
    return program.final, program.code.plan


def numbered(program, *names):
    """The numbers of the equations of these ops, in the order of the names."""
    return [next(i for i, line in program.equations.items() if line.op.name == n) for n in names]


def moved(plan, **changes):
    return dataclasses.replace(plan, **changes)


def test_a_plan_that_fits_passes():
    def f(x):
        a, b = np.exp(x), np.sin(x)
        return np.sum(a * b)

    program, plan = planned(f, np.ones((3, 4)))
    check(program, plan)
    assert plan.size < sum(stop - start for start, stop in plan.places.values())


def test_two_values_that_live_at_once_must_not_share_a_place():
    program, plan = planned(lambda x: np.sum(np.exp(x) * np.sin(x)), np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    with pytest.raises(PlanError, match=f"reads %{a}, whose memory has been overwritten"):
        check(program, moved(plan, places=plan.places | {b: plan.places[a]}))
    start, stop = plan.places[a]
    with pytest.raises(PlanError, match="overwritten"):  # by a part
        check(program, moved(plan, places=plan.places | {b: Region(start + 64, stop + 64)}))


def test_an_operand_that_is_still_needed_must_not_be_written_over():
    def f(x):
        a = np.exp(x)
        return np.sum(np.sin(a) - a)

    program, plan = planned(f, np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match=f"subtract reads %{a}"):
        check(program, moved(plan, places=places, in_place={b: a}))


def test_nor_may_what_a_view_shows():
    def f(x):
        a = np.exp(x)
        return np.sum(np.sin(a) @ a.T)

    program, plan = planned(f, np.ones((3, 3)))
    a, b = numbered(program, "exp", "sin")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match="overwritten"):
        check(program, moved(plan, places=places, in_place={b: a}))


def test_a_product_is_not_computed_in_place():
    program, plan = planned(lambda x: np.sum(np.exp(x) @ x), np.ones((3, 3)))
    a, b = numbered(program, "exp", "matmul")
    places = plan.places | {b: plan.places[a]}
    with pytest.raises(PlanError, match="matmul cannot be computed in place"):
        check(program, moved(plan, places=places, in_place={b: a}))
    with pytest.raises(PlanError, match="overwrites what it is reading"):
        check(program, moved(plan, places=places))


@pytest.mark.parametrize(("start", "stop"), [(0, -8), (8, 8)], ids=["too small", "not aligned"])
def test_a_place_must_fit(start, stop):
    program, plan = planned(lambda x: np.sum(np.exp(x)), np.ones((3, 4)))
    (a,) = numbered(program, "exp")
    place = Region(plan.places[a].start + start, plan.places[a].stop + stop)
    with pytest.raises(PlanError, match=f"%{a} exp does not fit"):
        check(program, moved(plan, places=plan.places | {a: place}))


def test_what_is_written_in_place_stands_where_its_operand_stood():
    program, plan = planned(lambda x: np.sum(np.sin(np.exp(x))), np.ones((3, 4)))
    a, b = numbered(program, "exp", "sin")
    assert plan.in_place == {b: a}
    place = Region(plan.places[a].stop + 32, plan.places[a].stop + 32 + 96)
    with pytest.raises(PlanError, match="is not where its operand"):
        check(program, moved(plan, places=plan.places | {b: place}))


def test_a_donated_input_that_is_read_later_must_not_be_written_over(rng):
    jitted = td.jit(lambda p, g: (p - g, np.sum(p)), donate="p")
    program = jitted.program(*rng.standard_normal((2, 3)))
    final, plan = program.final, program.code.plan
    (difference,) = numbered(final, "subtract")
    p = next(iter(final.inputs))
    assert not plan.in_place
    with pytest.raises(PlanError, match=f"sum reads %{p}, whose memory has been overwritten"):
        check(final, moved(plan, in_place={difference: p}))
