"""A training step: the loss, its gradients, and one update by gradient descent or the recipe.

Every contender starts every step from the same parameters, and has to arrive at the same loss and
the same new parameters before it is timed.

    python -m benchmarks.steps '[[[64, 64, 32, 10], 32, "float32", false], ["PyTorch"], 1.0, 60.0]'

is what `measure_on_all_cores` runs.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import tinygrad_digits as td
from tinygrad_digits.digits.model import manual
from tinygrad_digits.digits.model import mlp as model

from . import ALL_CORES, by_recipe
from .contenders import MANUAL, PRODUCTS, TAPE, Step, assembled, check_agreement, jits
from .peers import PEERS, Maker, Peer
from .pinning import run_on_all, unpin
from .problem import RATE, Case, Problem, make
from .timing import interleaved, rows


def manual_step(problem: Problem) -> Step:
    """The baseline: backprop derived by hand, and the update as one writes it in NumPy."""
    params, x, labels = problem.data

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
    return functools.partial(whole_step(), *problem.data)


def jit_step(problem: Problem, backend: str) -> Step:
    """The same function, traced once."""
    step = td.jit(whole_step(), backend=backend)
    step.program(*problem.data)  # compiles without running
    return functools.partial(step, *problem.data)


def own_makers(*, recipe: bool = False) -> dict[str, Maker]:
    """Those that are not peers; the baseline comes first."""
    by_hand, tape, jit = manual_step, tape_step, jit_step
    if recipe:
        by_hand, tape, jit = by_recipe.manual_step, by_recipe.tape_step, by_recipe.jit_step
    jitted = {name: functools.partial(jit, backend=b) for name, b in jits().items()}
    return {MANUAL: by_hand, TAPE: tape, **jitted}


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


def measure(case: Case, peers: dict[str, Peer], budget: float, cap: float) -> dict[str, Any]:
    """Time a step of each contender; ratios are to the manual one."""
    problem = make(case)
    theirs = {name: peer.recipe if case.recipe else peer.step for name, peer in peers.items()}
    makers = {**own_makers(recipe=case.recipe), **{k: m for k, m in theirs.items() if m}}
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


def measure_on_all_cores(
    case: Case, peers: dict[str, Peer], budget: float, cap: float, cores: list[int]
) -> dict[str, Any]:
    """The same with all cores for everybody, in a process of its own."""
    found: dict[str, Any] = run_on_all(__name__, [case, [*peers], budget, cap], cores)
    return found


if __name__ == "__main__":
    unpin(json.loads(os.environ[ALL_CORES]))
    (_sizes, *_rest), _names, _budget, _cap = json.loads(sys.argv[1])
    _peers = {name: PEERS[name] for name in _names}
    print(json.dumps(measure(Case(tuple(_sizes), *_rest), _peers, _budget, _cap)))
