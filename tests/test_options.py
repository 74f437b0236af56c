"""A Tensor anywhere in a call is differentiated or refused, whatever else is plain: never dropped.

In each case of each function one argument after another, and one keyword after another, also those
that no case gives, becomes a Tensor, first beside plain arrays and then beside other Tensors. What
comes back has the derivative of central differences.
"""

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import Drawn, all_cases
from tests.cases.constant import CONSTANTS
from tests.checks import quiet
from tests.coverage import found, keywords

STEP = 1e-6
JUMPS = {"Tensor.__floordiv__", "np.heaviside", "np.sign", "np.histogram"}
"""Functions whose cases stand where they jump."""
COMPARED = {("np.linalg.norm", "ord"), ("np.linalg.vector_norm", "ord"), ("np.linalg.norm", 1)}
"""Options that NumPy only compares with numbers that it knows, which no Tensor can notice."""


def by_function():
    cases = {}
    for case in [*[case for _, _, case in all_cases()], *CONSTANTS]:
        cases.setdefault(case.name, []).append(case)
    return cases


BY_FUNCTION = by_function()


class LostError(Exception):
    """Somebody took the number out of a Tensor."""


@pytest.fixture(autouse=True)
def _no_numbers_out_of_tensors(monkeypatch):
    """NumPy asks for those where it does not look for Tensors, as for initial=."""

    def refuse(*_):
        raise LostError

    for name in ("__float__", "__int__", "__complex__"):
        monkeypatch.setattr(td.Tensor, name, refuse, raising=False)


def spots(case, args, options):
    """Where a number or an array stands in a call, or could: (place, part of it, value)."""
    given = [*enumerate(args), *options.items()]
    if case.name.startswith(("np.", "td.")):
        unsaid = [k for k in keywords(found(case.name)) if k not in options and k != "out"]
        given += [(keyword, 0.53) for keyword in unsaid]
    for place, value in given:
        if isinstance(value, list | tuple):
            yield from ((place, k, part) for k, part in enumerate(value) if is_numeric(part))
        if is_numeric(value):
            yield place, None, value


def is_numeric(x):
    kinds = (bool, str, type(None), type, np.dtype, slice)
    if isinstance(x, kinds) or callable(x) or hasattr(x, "bit_generator"):
        return False
    try:
        return np.asarray(x).dtype.kind in "fiu"
    except ValueError:  # a ragged list
        return False


def placed(args, options, place, part, value):
    """The arguments with a value in a place, or in a part of what is there."""
    args, options = list(args), dict(options)
    holder = args if isinstance(place, int) else options
    if part is None:
        holder[place] = value
    else:
        whole = list(holder[place])
        whole[part] = value
        holder[place] = type(holder[place])(whole)
    return args, options


@pytest.mark.parametrize("name", BY_FUNCTION)
def test_a_tensor_in_any_place_is_differentiated_or_refused(name, rng):
    for case in BY_FUNCTION[name]:
        drawn = Drawn(case, rng)
        args, options = drawn.filled(drawn.xs)
        for place, part, value in spots(case, args, options):
            if name in JUMPS or (name, place) in COMPARED:
                continue

            def f(x, *others, drawn=drawn, place=place, part=part):
                args, options = placed(*drawn.filled(others), place, part, x)
                return drawn.case.function(*args, **options)

            check(f, np.asarray(value, float), drawn.xs, (place, part))


def check(f, x, others, where):
    x = x if x.ndim else x[()]
    for beside in (False, True):
        tape = td.Tape()
        t = td.Tensor(x, tape)
        rest = [td.Tensor(other, tape) for other in others] if beside else others
        with quiet():
            try:
                y = f(t, *rest)
                way = np.cos(np.arange(np.size(x))).reshape(np.shape(x))
                ahead, behind = (parts(f(x + sign * STEP * way, *others)) for sign in (1, -1))
            except Exception:
                tape.close()  # which the traceback may keep for a while
                continue  # refused, or between integers, where there is no derivative
            assert_slope(tape, t, parts(y), ahead, behind, way, where)
            tape.close()


def parts(y):
    """The floating-point results."""
    leaves = [
        leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in td.tree.flatten(y)[0]
    ]
    return [leaf for leaf in leaves if leaf.dtype.kind == "f"]


def assert_slope(tape, t, ys, ahead, behind, way, where):
    for y, far, near in zip(ys, ahead, behind, strict=True):
        if y.shape != far.shape or not np.isfinite(far).all():
            continue  # a count that was rounded, or no number to compare
        weights = np.asarray(np.sin(1 + np.arange(np.size(far)))).reshape(np.shape(far))
        wanted = np.sum((np.asarray(far, float) - near) / (2 * STEP) * weights)
        got = 0.0
        if isinstance(y, td.Tensor):
            (g,) = tape.gradients(y, t, g=weights)
            got = np.sum(g * way)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5, err_msg=str(where))
