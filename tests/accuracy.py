"""How far values and derivatives are from mpmath's, in units in the last place.

python -m tests.accuracy             prints the table
python -m tests.accuracy --write     writes docs/ACCURACY.md

Run it where JAX, PyTorch and autograd are installed, too, to have theirs beside ours.
"""

import functools
import importlib
import importlib.util
import math
import pathlib
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_digits as td
from tests.cases import room_of
from tests.oracles import Oracle, all_costs, all_oracles, exact_rows, mp

BOUND = 16
"""Units in the last place that a derivative may be wrong by."""

DTYPES = (np.float32, np.float64)


class Error(NamedTuple):
    """The largest error of some derivative: in ulp, and after taking off what is allowed for."""

    ulp: float
    excess: float
    at: tuple[float, ...]
    by: tuple[int, ...]


def ulps(got: float, exact: Any, dtype: type) -> float:
    """The distance in units in the last place of the exact number; infinite where one is NaN.

    What rounds beyond the largest number has to be infinite, and what lies among the subnormal
    numbers is measured in steps of those.
    """
    info = np.finfo(dtype)
    if math.isnan(got):
        return math.inf
    beyond = mp.ldexp(1, info.maxexp)  # the next number, if there were one
    bounded = max(-beyond, min(exact, beyond))
    number = math.copysign(1, got) * beyond if math.isinf(got) else mp.mpf(got)
    _, exponent = mp.frexp(bounded) if bounded else (0, info.minexp)
    unit = mp.ldexp(1, max(min(int(exponent), info.maxexp) - 1, info.minexp) - info.nmant)
    return float(abs(bounded - number) / unit)


def condition(formula: Callable[..., Any], xs: tuple[Any, ...], exact: Any) -> float:
    """By how many ulp a function changes, when each argument does by one; 0 where it is 0."""
    if not exact:
        return 0.0
    total = mp.mpf(0)
    for i, x in enumerate(xs):
        step = abs(x) * mp.mpf(2) ** -150
        moved = formula(*xs[:i], x + step, *xs[i + 1 :])
        total += abs(x * (moved - exact) / (step * exact)) if step else 0
    return float(total)


@functools.cache
def exact_numbers(oracle: Oracle, dtype: type) -> tuple[tuple[np.ndarray, ...], dict[Any, Any]]:
    """The points, and by what is differentiated (order, arguments): (numbers, allowances)."""
    points = tuple(oracle.draw(dtype))
    wide = [tuple([mp.mpf(float(x)) for x in xs]) for xs in zip(*points, strict=True)]
    found = {}
    for order, by, formula in oracle.formulas:
        numbers = [mp.mpf(formula(*xs)) for xs in wide]
        near = order in oracle.conditioned
        each_with_its_own = zip(wide, numbers, strict=True)
        allowed = [condition(formula, xs, y) if near else 0.0 for xs, y in each_with_its_own]
        found[order, by] = numbers, allowed
    return points, found


def measure(oracle: Oracle, dtype: type, evaluate: Any = None) -> dict[int, Error]:
    """The worst error of value, first and second derivatives, mixed ones in both orders."""
    points, exact = exact_numbers(oracle, dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = (evaluate or evaluate_ours)(oracle.function, points)
        got = {by: y.astype(dtype) if by else y for by, y in got.items()}
    worst: dict[int, Error] = {}
    for by, numbers in got.items():
        order = len(by)
        kind = numbers.dtype.type  # that of float_power's values is float64
        wanted, allowed = exact[order, tuple(sorted(by))]
        for k, (number, want, extra) in enumerate(zip(numbers, wanted, allowed, strict=True)):
            ulp = ulps(float(number), want, kind)
            at = tuple([float(x[k]) for x in points])
            error = Error(ulp, ulp - extra, at, by)
            if order not in worst or error.excess > worst[order].excess:
                worst[order] = error
    return worst


# --- whose derivatives


def derivatives(f: Any, points: Any, grad: Callable[..., Any], n: int) -> dict[Any, Any]:
    """By arguments, the numbers: {(): value, (0,): first, (0, 0): second, ...}."""
    firsts = [grad(f, i) for i in range(n)]
    found = {(): f(*points)}
    for i, first in enumerate(firsts):
        found[i,] = first(*points)
        for j in range(n):
            found[i, j] = grad(first, j)(*points)
    return {by: np.broadcast_to(y, points[0].shape) for by, y in found.items()}


def evaluate_ours(function: Any, points: Any) -> dict[Any, Any]:
    def grad(f: Any, i: int) -> Any:
        return td.grad(lambda *xs: np.sum(f(*xs)), i)

    return derivatives(function, points, grad, len(points))


def evaluate_jax(function: Any, points: Any) -> dict[Any, Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    peer = named(function, "jax.numpy", "jax.scipy.special", "jax.nn")

    def grad(f: Any, i: int) -> Any:
        return jax.grad(lambda *xs: f(*xs).sum(), i)

    return derivatives(peer, [jax.numpy.asarray(x) for x in points], grad, len(points))


def evaluate_torch(function: Any, points: Any) -> dict[Any, Any]:
    import torch

    peer = named(function, "torch", "torch.special", "torch.nn.functional")
    xs = [torch.tensor(x, requires_grad=True) for x in points]
    found = {(): peer(*xs)}

    def grad(y: Any, x: Any) -> Any:
        kept = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
        return torch.autograd.grad(y.sum(), x, **kept)[0] if y.requires_grad else 0 * x

    for i, a in enumerate(xs):
        found[i,] = grad(found[()], a)
        for j, b in enumerate(xs):
            found[i, j] = grad(found[i,], b)
    return {by: y.detach().numpy() for by, y in found.items()}


def evaluate_autograd(function: Any, points: Any) -> dict[Any, Any]:
    import autograd

    peer = named(function, "autograd.numpy", "autograd.scipy.special")
    return derivatives(peer, points, autograd.elementwise_grad, len(points))


PEERS = {"JAX": evaluate_jax, "PyTorch": evaluate_torch, "autograd": evaluate_autograd}

TORCH_NAMES = {"absolute": "abs", "power": "pow", "cbrt": "", "i0": "i0"}


def named(function: Any, *modules: str) -> Any:
    """The function of the same name in the first of the modules that has it."""
    for module in modules:
        names = (function.__name__, TORCH_NAMES.get(function.__name__) if module == "torch" else "")
        for name in names:
            found = getattr(importlib.import_module(module), name or "-", None)
            if found is not None:
                return found
    raise AttributeError(f"{modules[0]} has no {function.__name__}")


def measure_peer(peer: str, oracle: Oracle, dtype: type) -> dict[int, Error]:
    """Its errors; nothing where it lacks the function or a derivative."""
    try:
        return measure(oracle, dtype, PEERS[peer])
    except (AttributeError, TypeError, NotImplementedError, RuntimeError):
        return {}


# --- the table


def name_of(oracle: Oracle) -> str:
    if oracle.name == "norm":
        return "np.linalg.norm"
    is_numpys = getattr(np, oracle.name, None) is oracle.function
    return f"{'np' if is_numpys else room_of(oracle.name)}.{oracle.name}"


def said(x: float) -> str:
    """A number of ulp in a few characters."""
    return "∞" if not x < 1e300 else f"{x:.1f}" if x < 99.95 else f"{x:.0e}".replace("e+0", "e")


def _row(oracle: Oracle, dtype: type) -> str:
    worst = measure(oracle, dtype)
    cells = [f"`{name_of(oracle)}`", dtype.__name__]
    for order in (0, 1, 2):
        error = worst[order]
        where = ", ".join(f"{x:.4g}" for x in error.at)
        cells.append(f"{said(error.ulp)} at {where}" if error.ulp else "0")
    for peer in PEERS:
        theirs = measure_peer(peer, oracle, dtype)
        cells.append(" / ".join(said(theirs[k].ulp) for k in (0, 1, 2)) if theirs else "-")
    return f"| {' | '.join(cells)} |"


HEAD = f"""# How accurate values and derivatives are

Made by `python -m tests.accuracy --write` from the formulas in `tests/oracles/`, which mpmath
computes with a hundred digits. The table has the largest error over the whole range of each dtype
(subnormal to huge, both signs, close to zeros and poles), in units in the last place (ulp) of the
exact number, and at which arguments: of the value, which is NumPy's or SciPy's own, of the first
derivatives and of the second, mixed ones in both orders. A NaN is an error of ∞. Of the peers the
three errors stand in one column, without their places; that of JAX is large where XLA takes
subnormal numbers for 0. `tests/test_accuracy.py` holds our derivatives to {BOUND} ulp.
"""
COLUMNS = """| function | dtype | value | first | second | JAX | PyTorch | autograd |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
CONDITIONED = f"""
## Near zeros and poles

There a change of the argument by one ulp, which is how exactly it is known, changes the derivative
by its condition number in ulp; the bound is {BOUND} ulp and that.
"""
FLOORS = """
## Floors

Where a kernel is another's, and less accurate than the bound, its error is the bound.
"""
EXACT_HEAD = """
## Exact

Derivatives that round nothing have no row in the table.
"""
COSTS_HEAD = """
## What accuracy costs

Forward and backward pass of one op on (32, 64) numbers in µs, with float32 and with float64 (one
core with AVX-512, 2026-11), where the rule that loses digits is more than 15 % faster.

| function | what the faster rule loses | float32 | float64 | why the accurate one |
| --- | --- | --- | --- | --- |"""
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "ACCURACY.md"


def accuracy_page() -> str:
    """The text of ACCURACY.md."""
    oracles = sorted(all_oracles(), key=lambda oracle: oracle.name)
    parts = [HEAD, COLUMNS]
    parts += [_row(oracle, dtype) for oracle in oracles for dtype in DTYPES]
    parts.append(CONDITIONED)
    parts += [
        f"- `{name_of(oracle)}`: derivative {order}, near {places}"
        for oracle in oracles
        for order, places in oracle.conditioned.items()
    ]
    parts.append(FLOORS)
    parts += [
        f"- `{name_of(oracle)}`: derivative {order}, {ulp} ulp: {why}"
        for oracle in oracles
        for order, (ulp, why) in oracle.floor.items()
    ]
    parts.append(COSTS_HEAD)
    parts += [f"| {' | '.join(cost)} |" for cost in all_costs()]
    parts.append(EXACT_HEAD)
    parts += [f"- `{name}`: {why}" for name, why in sorted(exact_rows().items())]
    return "\n".join(parts) + "\n"


def report(chosen: list[str]) -> None:
    """Print our errors, of the functions of these names or of all."""
    for oracle in all_oracles():
        if not chosen or oracle.name in chosen:
            for dtype in DTYPES:
                errors = sorted(measure(oracle, dtype).items())
                text = [f"{said(e.ulp)} {e.by} at {e.at}" for _, e in errors]
                print(name_of(oracle), dtype.__name__, *text, sep=" | ")  # noqa: T201


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(accuracy_page(), encoding="utf-8", newline="\n")
    else:
        report(sys.argv[1:])
