"""The cases of `tests.cases` with complex arrays: what is right there, and what is refused."""

import functools
import zlib

import numpy as np
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.cases import Drawn, cases_by_function
from tests.checks import quiet
from tinygrad_digits.support.tree import is_inexact

GAUGES = {"np.linalg.eigh", "np.linalg.svd"}
"""Functions whose vectors have arbitrary phases: see the tests of what no phase changes."""

UNORDERED = {"np.unique_values"}
"""Functions whose results come in the order of a hash table."""

ORDERED = """
    np.max np.min np.amax np.amin np.nanmax np.nanmin np.maximum np.minimum np.fmax np.fmin np.ptp
    np.clip np.histogram_bin_edges
    np.maximum.outer np.minimum.outer np.fmax.outer np.fmin.outer Tensor.max Tensor.min Tensor.clip
    """
"""Functions that compare, which NumPy does with complex numbers, and a derivative does not."""

REAL_PARTS = {
    "np.pad": "with extremes",
    **dict.fromkeys(("np.var", "np.std", "np.nanvar", "np.nanstd"), "with a real dtype="),
    **dict.fromkeys(("np.maximum.reduce", "np.minimum.reduce"), "without a real dtype="),
    **dict.fromkeys(("np.maximum.reduceat", "np.minimum.reduceat"), "without a real dtype="),
    "np.histogram": "of complex data, only weights",
    "np.cov": "with complex weights of observations",
    "np.gradient": "with complex spacings",
    "np.interp": "with complex places",
    "td.at": "with min and max",
}
"""Functions of which some cases are refused, and why."""


TAKERS = (
    *("np.", "Tensor.", "td.at", "td.piecewise", "td.fft.", "td.linalg.", "td.signal."),
    "td.special.",
)
"""How the names begin of functions that are to take complex arrays wherever NumPy or SciPy does."""


def draw(name, case):
    """The case with complex numbers for its arrays, and these."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    drawn, other = Drawn(case, rng), Drawn(case, rng)
    return drawn, [np.asarray(x + 0.3j * y) for x, y in zip(drawn.xs, other.xs, strict=True)]


def results(drawn, *zs):
    """The leaves of a result that are floating point, real or complex."""
    return [y for y in td.tree.flatten(drawn.result(*zs))[0] if is_inexact(y)]


def loss(drawn, *zs):
    return sum(np.sum(np.real(y * (1 - 0.5j))) for y in results(drawn, *zs))


def with_gradients(drawn, *zs):
    return results(drawn, *zs), td.grad(functools.partial(loss, drawn), (*range(len(zs)),))(*zs)


def verdict(name, case):
    """ "" where NumPy has no such function of complex numbers, "right" or "refused" elsewhere.

    Raises AssertionError where the value is not NumPy's, or a derivative is wrong.
    """
    drawn, zs = draw(name, case)
    with quiet():
        try:
            plain = results(drawn, *zs)
        except (TypeError, ValueError):
            return ""
        if not plain:
            return ""
        f = functools.partial(results, drawn)
        try:
            ys, _ = td.vjp(f, *zs)
            td.check_grads(f, *zs, order=case.orders, rtol=case.rtol)
        except TypeError:
            return "refused"
    for y, other in zip(ys, plain, strict=True):
        assert (y.dtype, y.shape) == (other.dtype, other.shape)
        assert_allclose(y, other, rtol=1e-10, atol=1e-12)
    return "right"


def complex_functions():
    """{function: {id: case}} of what has arrays to be drawn, and is to take complex ones."""
    found = cases_by_function()
    return {
        name: cases
        for name, cases in found.items()
        if name.startswith(TAKERS)
        and any(Drawn(case, np.random.default_rng(0)).xs for case in cases.values())
    }
