"""A training step: the loss, its gradients, and one update by gradient descent.

Every contender starts every step from the same parameters, and has to arrive at the same loss and
the same new parameters before it is timed.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import tinygrad_digits as td
from tinygrad_digits.digits import manual, model

from .contenders import MANUAL, PRODUCTS, TAPE, Step, assembled, check_agreement, jits
from .problem import RATE, Case, Problem, make
from .timing import interleaved, rows

Maker: TypeAlias = Callable[[Problem], Step]


def manual_step(problem: Problem) -> Step:
    """The baseline: backprop derived by hand, and the update as one writes it in NumPy."""
    params, x, labels = problem

    def step() -> tuple[Any, dict[str, Any]]:
        loss, grads = manual.loss_and_grads(params, x, labels)
        return loss, {name: p - RATE * grads[name] for name, p in params.items()}

    return step


def whole_step() -> Callable[..., tuple[Any, dict[str, Any]]]:
    """(params, x, labels) -> (loss, new params), with this package, as its users write it."""
    loss_and_grads = td.value_and_grad(model.loss)
    optimizer = td.optim.gradient_descent(RATE)

    def step(params: Any, x: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
        loss, grads = loss_and_grads(params, x, labels)
        return loss, optimizer.update(params, grads, None)[0]  # it keeps no state

    return step


def tape_step(problem: Problem) -> Step:
    """Everything recorded, swept and updated anew at each step."""
    return functools.partial(whole_step(), *problem)


def jit_step(problem: Problem, backend: str) -> Step:
    """The same function, traced once."""
    step = td.jit(whole_step(), backend=backend)
    step.program(*problem)  # compiles without running
    return functools.partial(step, *problem)


def own_makers() -> dict[str, Maker]:
    """Those that are not peers; the baseline comes first."""
    jitted = {name: functools.partial(jit_step, backend=b) for name, b in jits().items()}
    return {MANUAL: manual_step, TAPE: tape_step, **jitted}


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


def measure(case: Case, peers: dict[str, Maker], budget: float, cap: float) -> dict[str, Any]:
    """Time a step of each contender; ratios are to the manual one."""
    problem = make(case)
    makers = {**own_makers(), **peers}
    waiting = {name: functools.partial(maker, problem) for name, maker in makers.items()}
    steps, left_out = assembled(waiting, str(case), cap)
    check_agreement(steps, problem.params)
    timings = interleaved({**steps, PRODUCTS: products(problem)}, budget=budget)
    return {
        **case._asdict(),
        "network": case.network,
        "rounds": len(timings[MANUAL].micros),
        "rows": rows(timings, to=MANUAL),
        "left_out": left_out,
    }
