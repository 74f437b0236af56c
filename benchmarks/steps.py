"""A training step: the loss, its gradients, and one update by gradient descent.

Every contender starts every step from the same parameters, and has to arrive at the same loss and
the same new parameters before it is timed.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import tinygrad_digits as td
from tinygrad_digits.digits import manual, model

from .problem import RATE, Case, Problem, make
from .timing import interleaved, ratio

Step: TypeAlias = Callable[[], tuple[Any, dict[str, Any]]]
"""() -> (loss, the updated parameters)"""
Maker: TypeAlias = Callable[[Problem], Step]

MANUAL = "manual"
TAPE = "tape"
PRODUCTS = "matrix products alone"
TOLERANCE = {"float32": 1e-2, "float64": 1e-9}
"""How far an update may be from the manual one, relative to its size. In float32 another order of
summation can put the input of a relu on the other side of 0, which changes some gradients a little;
float64 has the same steps held to nine digits."""


def manual_step(problem: Problem) -> Step:
    """The baseline: backprop derived by hand, and the update as one writes it in NumPy."""
    params, x, labels = problem

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = manual.loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return step


def tape_step(problem: Problem) -> Step:
    """The same with this package, as its users write it."""
    params, x, labels = problem
    loss_and_grads = td.value_and_grad(model.loss)
    optimizer = td.optim.gradient_descent(RATE)
    state = optimizer.init(params)

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, optimizer.update(params, grads, state)[0]

    return step


def products(problem: Problem) -> Callable[[], None]:
    """The step's matrix products and nothing else (eight for three layers): a floor for all."""
    x = problem.x
    weights = [p for p in problem.params.values() if p.ndim == 2]

    def step() -> None:
        inputs = [x]
        for w in weights:
            inputs.append(inputs[-1] @ w)
        g = inputs.pop()
        for i in reversed(range(len(weights))):
            inputs[i].T @ g
            if i:
                g = g @ weights[i].T

    return step


def check_agreement(problem: Problem, steps: dict[str, Step]) -> None:
    """Raise AssertionError for a contender that does not compute what the manual step does."""
    dtype = problem.x.dtype
    tolerance = TOLERANCE[dtype.name]
    loss, params = steps[MANUAL]()
    for name, step in steps.items():
        its_loss, its_params = step()
        np.testing.assert_allclose(float(its_loss), loss, rtol=min(1e-5, tolerance), err_msg=name)
        for key, start in problem.params.items():
            got, expected = np.asarray(its_params[key]), params[key]
            assert got.dtype == dtype, f"{name}: {key} became {got.dtype}"
            error = np.linalg.norm(got - expected) / np.linalg.norm(expected - start)
            assert error < tolerance, f"{name}: update of {key} is off by {error:.1e}"


def measure(case: Case, peers: dict[str, Maker], budget: float) -> dict[str, Any]:
    """Time a step of each contender; ratios are to the manual one."""
    problem = make(case)
    makers = {MANUAL: manual_step, TAPE: tape_step, **peers}
    steps = {name: maker(problem) for name, maker in makers.items()}
    check_agreement(problem, steps)
    timings = interleaved({**steps, PRODUCTS: products(problem)}, budget=budget)
    rows = {
        name: {
            "inner": timing.inner,
            "median_us": timing.median,
            "ratio": ratio(timing, timings[MANUAL])._asdict(),
            "page_faults": timing.faults,
            "rounds_us": timing.micros,
        }
        for name, timing in timings.items()
    }
    rounds = len(timings[MANUAL].micros)
    return {**case._asdict(), "network": case.network, "rounds": rounds, "rows": rows}
