"""Every case of every function: values, derivatives, dtypes, layouts, programs."""

import contextlib
import functools
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import Drawn, all_cases, is_float, rows_of, rows_recorded
from tests.domains import DOMAINS
from tests.jit_programs import assert_same, copied, skip_without
from tinygrad_digits.engine.primitive import VariadicRule
from tinygrad_digits.ops import OPS

ALL = [pytest.param(case, id=name) for _, name, case in all_cases()]
TRACED = [pytest.param(case, id=name) for _, name, case in all_cases() if not case.untraced]
UNTRACED = [pytest.param(case, id=name) for _, name, case in all_cases() if case.untraced]


@contextlib.contextmanager
def quiet():
    """NumPy's own opinions (means of nothing, deprecations) are not what is tested."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def value_and_gradients(drawn, xs):
    return td.value_and_grad(drawn.weighted, tuple(range(len(xs))))(*xs)


@pytest.mark.parametrize("case", ALL)
def test_the_value_on_tensors_is_numpys(case, rng):
    drawn = Drawn(case, rng)
    with quiet():
        expected = drawn.expected(*drawn.xs)
        y, _ = td.vjp(drawn.result, *drawn.xs)
        plain = drawn.result(*drawn.xs)
    for other, rtol in ((plain, 0 if case.reference else 1e-13), (expected, 1e-12)):
        leaves, _ = td.tree.flatten(y)
        others, _ = td.tree.flatten(other)
        assert len(leaves) == len(others)
        for a, b in zip(leaves, others, strict=True):
            assert np.shape(a) == np.shape(b)
            assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
            assert_allclose(a, b, rtol=max(rtol, 1e-13), atol=1e-14)


@pytest.mark.parametrize("case", ALL)
def test_derivatives_are_those_of_central_differences(case, rng):
    drawn = Drawn(case, rng)
    with quiet():
        td.check_grads(drawn, *drawn.xs, order=case.orders, rtol=case.rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", ALL)
def test_gradients_keep_a_narrow_dtype(case, dtype, rng):
    drawn = Drawn(case, rng)
    narrow = [x.astype(dtype) for x in drawn.xs]
    with quiet():
        try:
            expected = drawn(*narrow)
        except (TypeError, np.linalg.LinAlgError) as error:
            assert dtype is np.float16
            with pytest.raises(type(error)):
                value_and_gradients(drawn, narrow)
            return
        ys, _ = td.vjp(drawn, *narrow)
        _, grads = value_and_gradients(drawn, narrow)
        _, exact = value_and_gradients(drawn, drawn.xs)
    for y, other in zip(ys, expected, strict=True):
        assert y.dtype == other.dtype
    loose = {np.float32: 1e-3, np.float16: 0.2}[dtype]
    for x, g, other in zip(narrow, grads, exact, strict=True):
        assert (g.dtype, np.shape(g)) == (dtype, np.shape(x))
        assert_allclose(g, other, rtol=loose, atol=loose * np.max(np.abs(other), initial=1e-3))


def strided(x):
    """The same numbers, spread out in memory and read backwards."""
    spread = np.full([2 * n for n in x.shape], np.nan)
    view = spread[tuple([slice(None, None, -2)] * x.ndim)].T if x.ndim else spread
    view = view.T if x.ndim else view
    view[...] = x
    return view


@pytest.mark.parametrize("case", ALL)
def test_the_layout_in_memory_does_not_matter_and_nothing_is_mutated(case, rng):
    drawn = Drawn(case, rng)
    before = copied(drawn.leaves)
    spread = [strided(x) for x in drawn.xs]
    with quiet():
        value, grads = value_and_gradients(drawn, drawn.xs)
        same_value, same_grads = value_and_gradients(drawn, spread)
    assert_allclose(same_value, value, rtol=1e-10, atol=1e-12)
    for g, same in zip(grads, same_grads, strict=True):
        assert_allclose(same, g, rtol=1e-9, atol=1e-11)
    for leaf, same in zip(drawn.leaves, before, strict=True):
        if isinstance(leaf, np.ndarray):
            assert_array_equal(leaf, same)
    for k, g in enumerate(grads):
        others = [*grads[k + 1 :], *(x for x in drawn.leaves if isinstance(x, np.ndarray))]
        assert not any(np.shares_memory(g, x) for x in others)


@pytest.mark.parametrize("case", TRACED)
def test_a_program_of_numpy_calls_gives_the_same(case, rng):
    check_program(case, rng, "numpy")


def check_program(case, rng, backend):
    drawn = Drawn(case, rng)
    both = functools.partial(value_with_gradients, drawn)
    with quiet():
        eager = both(*drawn.xs)
        jitted = td.jit(both, backend=backend)
        for _ in range(2):
            assert_same(plain(jitted(*drawn.xs)), plain(eager), backend)


def value_with_gradients(drawn, *xs):
    return drawn.result(*xs), value_and_gradients(drawn, xs)


def in_groups(size=8):
    """A traced case of each function and each row, so many to a program: compiling takes time."""
    traced = [(name, case) for _, name, case in all_cases() if not case.untraced]
    chosen = {case.name: (name, case) for name, case in reversed(traced)}  # the first of each
    seen = {row for _, case in chosen.values() for row in rows_of(case)}
    rows = rows_recorded(case for _, case in traced)
    chosen |= {row: (row, case) for row, case in rows.items() if row not in seen}
    for k in range(0, len(chosen), size):
        group = dict([*chosen.values()][k : k + size])
        yield pytest.param(group, id=f"{k}-{next(iter(group))}")


@pytest.mark.parametrize("group", [*in_groups()])
def test_native_code_gives_the_same(group, rng):
    skip_without("numba")
    drawn = {name: Drawn(case, rng) for name, case in group.items()}

    def all_of_them(inputs):
        return {name: value_with_gradients(drawn[name], *xs) for name, xs in inputs.items()}

    inputs = {name: each.xs for name, each in drawn.items()}
    with quiet():
        eager = all_of_them(inputs)
        got = td.jit(all_of_them, backend="numba")(inputs)
    for name in group:
        assert_same({name: plain(got[name])}, {name: plain(eager[name])}, "numba")


def plain(results):
    """Named tuples and the like as lists of leaves."""
    return [np.asarray(y) if is_float(y) else y for y in td.tree.flatten(results)[0]]


@pytest.mark.parametrize("case", UNTRACED)
def test_what_cannot_be_traced_says_so(case, rng):
    drawn = Drawn(case, rng)
    with pytest.raises(td.errors.TracedValueError), quiet():
        td.jit(drawn)(*drawn.xs)


# --- the tests are tested

ONLY_AT_KINKS = {("along_sign", 1)}
"""Rules that give 0 wherever central differences see anything."""


@pytest.mark.parametrize("name", [name for name in OPS if name not in DOMAINS])
def test_a_rule_wrong_by_a_twentieth_of_a_percent_is_caught(name, rows_of_cases, monkeypatch, rng):
    case, row = rows_of_cases[name], OPS[name].primitive
    drawn, exact = Drawn(case, rng), row.rules
    for bent in bent_rules(row):
        monkeypatch.setattr(row, "rules", bent)
        with quiet(), pytest.raises(td.errors.GradientMismatchError, match="derivative"):
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
