"""What is checked of every case: each function here takes a `Trial` and raises where it fails."""

import contextlib
import functools
import warnings
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import Case, Drawn, is_float
from tests.jit_programs import assert_own_memory, assert_same, copied


@contextlib.contextmanager
def quiet():
    """NumPy's own opinions (means of nothing, deprecations) are not what is tested."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def value_and_gradients(drawn, xs):
    return td.value_and_grad(drawn.weighted, tuple(range(len(xs))))(*xs)


def value_with_gradients(drawn, *xs):
    return drawn.result(*xs), value_and_gradients(drawn, xs)


def plain(results):
    """Named tuples and the like as lists of leaves."""
    return [np.asarray(y) if is_float(y) else y for y in td.tree.flatten(results)[0]]


class Trial:
    """A case whose arrays are drawn twice, and what eager makes of the first of them."""

    def __init__(self, name: str, case: Case):
        self.name, self.case = name, case
        rng = np.random.default_rng(zlib.crc32(name.encode()))  # the same in any order of tests
        self.drawn, self.other = Drawn(case, rng), Drawn(case, rng)
        self.xs = self.drawn.xs

    @functools.cached_property
    def eager(self):
        """(result, (weighted sum of it, gradients))."""
        return value_with_gradients(self.drawn, *self.xs)

    @property
    def gradients(self):
        return self.eager[1][1]

    def narrow(self, dtype):
        return [x.astype(dtype) for x in self.xs]


def check_value(trial):
    """On Tensors, on arrays, and by another way: the same numbers, shapes and dtypes."""
    drawn, reference = trial.drawn, trial.case.reference
    y, _ = td.vjp(drawn.result, *trial.xs)
    ways = [(trial.eager[0], 0 if reference else 1e-13), (drawn.expected(*trial.xs), 1e-12)]
    for other, rtol in ways:
        leaves, _ = td.tree.flatten(y)
        others, _ = td.tree.flatten(other)
        assert len(leaves) == len(others)
        for a, b in zip(leaves, others, strict=True):
            assert np.shape(a) == np.shape(b)
            assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
            assert_allclose(a, b, rtol=rtol, atol=1e-14 if rtol else 0)


def check_derivatives(trial):
    """Of each argument, as many orders as the case says, by central differences."""
    case = trial.case
    td.check_grads(trial.drawn, *trial.xs, order=case.orders, rtol=case.rtol)


LOOSE = {np.float32: 1e-3, np.float16: 0.2}


def check_narrow_dtypes(trial):
    """float32 and float16 stay what they are, in values and in gradients."""
    for dtype, loose in LOOSE.items():
        narrow = trial.narrow(dtype)
        try:
            expected = trial.drawn(*narrow)
        except (TypeError, np.linalg.LinAlgError) as error:
            assert dtype is np.float16
            with pytest.raises(type(error)):
                value_and_gradients(trial.drawn, narrow)
            continue
        ys, _ = td.vjp(trial.drawn, *narrow)
        _, grads = value_and_gradients(trial.drawn, narrow)
        for y, other in zip(ys, expected, strict=True):
            assert y.dtype == other.dtype
        for x, g, other in zip(narrow, grads, trial.gradients, strict=True):
            assert (g.dtype, np.shape(g)) == (dtype, np.shape(x))
            assert_allclose(g, other, rtol=loose, atol=loose * np.max(np.abs(other), initial=1e-3))


def strided(x):
    """The same numbers, spread out in memory and read backwards."""
    spread = np.full([2 * n for n in x.shape], np.nan)
    view = spread[tuple([slice(None, None, -2)] * x.ndim)].T if x.ndim else spread
    view = view.T if x.ndim else view
    view[...] = x
    return view


def check_layout(trial):
    """Strides make no difference."""
    value, grads = value_and_gradients(trial.drawn, [strided(x) for x in trial.xs])
    assert_allclose(value, trial.eager[1][0], rtol=1e-10, atol=1e-12)
    for g, same in zip(trial.gradients, grads, strict=True):
        assert_allclose(same, g, rtol=1e-9, atol=1e-11)


def check_purity(trial):
    """Nothing is mutated, neither arguments nor cotangents, and no results share memory."""
    drawn = trial.drawn
    arrays = [x for x in drawn.leaves if isinstance(x, np.ndarray)]
    before = copied(arrays)
    ys, pullback = td.vjp(drawn, *trial.xs)
    cotangents = [np.full_like(y, 0.5) for y in ys]
    kept = copied(cotangents)
    pulled = pullback(cotangents)
    grads = [*pulled] if isinstance(pulled, tuple) else [pulled]
    for now, then in zip(arrays + cotangents, before + kept, strict=True):
        assert_array_equal(now, then)
    others = [*arrays, *cotangents, *ys]
    for results in (grads, trial.gradients):
        for k, g in enumerate(results):
            assert not any(np.shares_memory(g, x) for x in [*results[k + 1 :], *others])


def check_program(trial):
    """td.jit gives eager's bits, kind and dtype; or says that it cannot."""
    if trial.case.untraced:
        with pytest.raises(td.errors.TracedValueError):
            td.jit(trial.drawn)(*trial.xs)
        return
    jitted = td.jit(functools.partial(value_with_gradients, trial.drawn))
    got, again = [jitted(*trial.xs) for _ in range(2)]
    for results in (got, again):
        assert_same(plain(results), plain(trial.eager))
    assert_own_memory(got, again, trial.drawn.leaves)
    assert jitted.cache_info().traces == 1


def check_narrow_program(trial):
    """td.jit gives eager's bits and kind of float32, too."""
    if not trial.case.untraced:
        narrow = trial.narrow(np.float32)
        jitted = td.jit(functools.partial(value_with_gradients, trial.drawn))
        assert_same(plain(jitted(*narrow)), plain(value_with_gradients(trial.drawn, *narrow)))


def leaves(results):
    return [np.asarray(y) for y in td.tree.flatten(results)[0] if is_numeric(y)]


def is_numeric(y):
    return isinstance(y, np.ndarray | np.generic | float | int | complex)


def total(results):
    return sum(np.sum(np.real(y * y)) for y in results)


def assert_is_the_loop(f, *stacked, axes=None, rtol=1e-9, atol=1e-11):
    """vmap(f) of stacked arguments (but where axes says None) against f of each in turn."""
    axes = axes or (0,) * len(stacked)
    got = leaves(td.vmap(f, axes)(*stacked))
    n = next(len(x) for x, axis in zip(stacked, axes, strict=True) if axis == 0)
    each = [
        leaves(f(*[x if axis is None else x[k] for x, axis in zip(stacked, axes, strict=True)]))
        for k in range(n)
    ]
    for ys, *wanted in zip(got, *each, strict=True):
        wanted = np.stack(wanted)
        assert (ys.shape, ys.dtype) == (wanted.shape, wanted.dtype)
        assert_allclose(ys, wanted, rtol=rtol, atol=atol)


def check_batches(trial):
    """td.vmap is a loop: of values and gradients, inside and outside of td.grad."""
    drawn, other = trial.drawn, trial.other
    if any(hasattr(x, "random") for x in drawn.leaves):
        return  # noise is drawn anew for each example
    stacked = [np.stack(pair) for pair in zip(trial.xs, other.xs, strict=True)]
    argnums = tuple(range(len(stacked)))

    def of_all(*stacked):
        return total(td.vmap(drawn)(*stacked))

    try:
        assert_is_the_loop(functools.partial(value_with_gradients, drawn), *stacked)
        around = td.grad(of_all, argnums)(*stacked)
    except (td.errors.TracedValueError, td.errors.ShapeError):
        if not trial.case.untraced:
            raise
        return  # a shape that depends on values: the examples need not fit together
    each = [td.grad(lambda *xs: total(drawn(*xs)), argnums)(*d.xs) for d in (drawn, other)]
    for g, *wanted in zip(around, *each, strict=True):
        assert_allclose(g, np.stack(wanted), rtol=1e-7, atol=1e-9)


WITH_PLAIN_ARRAYS = {
    "Tensor.dot": "the method of an array is NumPy's own",
    "np.full_like": "fills a plain array",
    "np.histogram": "bins of a plain array are found by comparing",
    "np.histogram_bin_edges": "bins of a plain array are found by comparing",
    "np.nanstd": "writes into a copy of a plain array",
    "np.nanvar": "writes into a copy of a plain array",
    "np.pad": "converts what it pads a plain array with",
    "np.polyint": "converts the constants of a plain polynomial",
    "np.select": "converts the default of plain arrays",
}
"""Functions that refuse a batched argument beside plain arrays, which NumPy keeps to itself."""


def check_batches_of_one_argument(trial):
    """td.vmap over one argument at a time, the others being the same for all examples."""
    n = len(trial.xs)
    if n == 1 or trial.case.untraced or any(hasattr(x, "random") for x in trial.drawn.leaves):
        return
    for k in range(n):
        axes = tuple([0 if i == k else None for i in range(n)])
        given = [x if i != k else np.stack([x, trial.other.xs[k]]) for i, x in enumerate(trial.xs)]
        try:
            assert_is_the_loop(trial.drawn, *given, axes=axes)
        except (
            td.errors.TracedValueError,
            td.errors.NotDifferentiableError,
        ):
            if trial.case.name not in WITH_PLAIN_ARRAYS:
                raise


CHECKS = (
    check_value,
    check_derivatives,
    check_narrow_dtypes,
    check_layout,
    check_purity,
    check_batches,
    check_batches_of_one_argument,
)


def check_higher_orders(trial):
    """The third derivative by central differences, and a program of second derivatives."""
    drawn, case = trial.drawn, trial.case
    if case.orders < 2:
        return
    td.check_grads(drawn, *trial.xs, order=3, rtol=case.rtol)
    if case.untraced:
        return
    places = tuple(range(len(trial.xs)))

    def squared(*xs):
        grads = td.grad(drawn.weighted, places)(*xs)
        return sum(np.sum(g * g) for g in grads) + sum(np.sum(x) for x in xs)

    second = td.grad(squared, places)
    jitted = td.jit(second)
    for _ in range(2):
        assert_same(jitted(*trial.xs), second(*trial.xs))


def try_case(name, case, checks):
    """Run the checks on a case; a failure says which of them it was."""
    trial = Trial(name, case)
    for check in checks:
        try:
            with quiet():
                check(trial)
        except Exception as error:
            error.add_note(f"{name}: {check.__name__} ({check.__doc__})")
            raise
