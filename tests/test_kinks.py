"""Forward and reverse at kinks: one is the other's transpose there, too, for every row.

Every case of every function, at zeros, ties and where one element or a column is 0: with random
cotangents g and tangents v, <g, jvp(v)> is <vjp(g), v>, or neither is finite.
"""

import warnings

import numpy as np
import pytest

import tinygrad_digits as td

from .cases import Drawn, cases_by_function

FUNCTIONS = cases_by_function()


def zero_out_first(x):
    x = np.array(x)
    x.reshape(-1)[:1] = 0
    return x


def zero_out_column(x):
    x = np.array(x)
    x[..., :1] = 0
    return x


KINKS = {
    "zeros": np.zeros_like,
    "ties": np.ones_like,
    "a zero": zero_out_first,
    "a column of zeros": lambda x: zero_out_column(x) if np.ndim(x) else np.zeros_like(x),
}
UNDEFINED = (TypeError, ValueError, ArithmeticError, np.linalg.LinAlgError)
"""What a function says that has no value, or no derivative, at such a place."""


def pair(cts, vs):
    return sum(float(np.sum(np.real(ct * v))) for ct, v in zip(cts, vs, strict=True))


def draw_like(xs, rng):
    def draw(x):
        v = rng.standard_normal(np.shape(x))
        return (v + 1j * rng.standard_normal(np.shape(x)) if np.iscomplexobj(x) else v).astype(
            x.dtype
        )

    return [draw(x)[()] for x in xs]


def both_pairings(f, xs):
    """<g, jvp(v)> and <vjp(g), v>; None where f has no derivative there, or no finite value."""
    rng = np.random.default_rng(1)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", td.errors.DegenerateWarning)
        try:
            y, pullback = td.vjp(f, *xs)
            if not y or not all(np.isfinite(part).all() for part in y):
                return None
            g, vs = draw_like(y, rng), draw_like(xs, rng)
            cts = pullback(g)
        except (*UNDEFINED, td.errors.DegenerateWarning):
            return None
        pushed = td.jvp(f, tuple(xs), tuple(vs))[1]
        return pair(g, pushed), pair(cts if len(xs) > 1 else (cts,), vs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_is_the_transpose_of_reverse_at_kinks(name):
    for case in FUNCTIONS[name].values():
        drawn = Drawn(case, np.random.default_rng(0))
        for kink, dtype in [(k, d) for k in KINKS for d in (float, complex)]:
            xs = [np.asarray(KINKS[kink](x)).astype(dtype) for x in drawn.xs]
            pairings = both_pairings(lambda *xs, drawn=drawn: drawn(*xs), xs)
            if pairings is None:
                continue
            forward, reverse = pairings
            message = f"{case.name} at {kink} of {dtype.__name__}: {pairings}"
            assert np.isfinite(forward) == np.isfinite(reverse), message
            if np.isfinite(forward):
                assert abs(forward - reverse) <= 1e-8 * (1 + abs(reverse)), message
