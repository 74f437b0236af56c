"""Gradients of other kinds than the classifier's, relative to the eager tape.

A loss is written once, for whatever library brings the functions: `np` is NumPy for the tape and
for the jit, and its own module for a peer.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

import tinygrad_digits as td

from . import problem, steps
from .contenders import MANUAL, TAPE, Step, assembled, check_agreement, jits
from .peers import SCANS, Gradient, Loss, Peer, find_scan
from .timing import interleaved, rows

Params = dict[str, Any]


class Workload(NamedTuple):
    """A name, who computes it and how, and what the results are updates of."""

    name: str
    makers: dict[str, Callable[[], Step]]
    start: Params


# --- a deep network: many ops, little in each


def deep_network(peers: dict[str, Peer], layers: int = 20) -> Workload:
    """A training step; the last layer has 10 outputs."""
    start = problem.make(problem.Case((64,) * layers + (10,), 32, "float32"))
    makers = {**steps.own_makers(), **{name: peer.step for name, peer in peers.items()}}
    bound = {name: functools.partial(maker, start) for name, maker in makers.items()}
    name = f"training step of {layers} layers of 64, batch 32, float32"
    return Workload(name, bound, start.params)


# --- a recurrent network: the same weights again and again


def recurrent_loss(np: Any, params: Params, h: Any, xs: Any, targets: Any) -> Any:
    """Squared error of what the last state says: h (n, 32), xs (t, n, 8), targets (n, 1)."""
    for x in xs:
        h = np.tanh(x @ params["w_x"] + h @ params["w_h"] + params["b"])  # (n, 32)
    return ((h @ params["w_y"] - targets) ** 2).mean()


def scanned_loss(np: Any, params: Params, h: Any, xs: Any, targets: Any) -> Any:
    """The same by a loop that stays one."""

    def step(h: Any, x: Any) -> tuple[Any, None]:
        return np.tanh(x @ params["w_x"] + h @ params["w_h"] + params["b"]), None

    h, _ = find_scan(np)(step, h, xs)
    return ((h @ params["w_y"] - targets) ** 2).mean()


def recurrent_network(peers: dict[str, Peer], length: int = 100) -> Workload:
    name = f"RNN of 32, {length} steps unrolled, batch 16, float32"
    return _gradient(name, recurrent_loss, *_recurrent_problem(length), peers)


def scanned_network(peers: dict[str, Peer], length: int = 100) -> Workload:
    name = f"RNN of 32, scan of {length} steps, batch 16, float32"
    peers = {name: peer for name, peer in peers.items() if peer.module in SCANS}
    return _gradient(name, scanned_loss, *_recurrent_problem(length), peers)


def _recurrent_problem(length: int) -> tuple[Params, tuple[Any, ...]]:
    rng = numpy.random.default_rng(0)
    shapes = {"w_x": (8, 32), "w_h": (32, 32), "b": (1, 32), "w_y": (32, 1)}
    params = {k: _normal(rng, *shape) / shape[0] ** 0.5 for k, shape in shapes.items()}
    return params, (_normal(rng, 16, 32), _normal(rng, length, 16, 8), _normal(rng, 16, 1))


def _normal(rng: numpy.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape, dtype=numpy.float32)


# --- logistic regression: two products with a large matrix


def logistic_loss(np: Any, params: Params, x: Any, signs: Any) -> Any:
    """Mean of log(1 + exp(-margin)): rows x (n, 100), signs (n,) -1 or 1."""
    margins = signs * (x @ params["w"] + params["b"])  # a few units: exp is far from overflow
    return np.log1p(np.exp(-margins)).mean()


def logistic_by_hand(params: Params, x: Any, signs: Any) -> tuple[Any, Params]:
    e = numpy.exp(-signs * (x @ params["w"] + params["b"]))
    d = -signs * e / (1 + e) / len(x)  # dloss/d(x w + b)
    return numpy.log1p(e).mean(), {"w": x.T @ d, "b": d.sum(keepdims=True)}


def logistic_regression(peers: dict[str, Peer]) -> Workload:
    rng = numpy.random.default_rng(0)
    params = {"w": 0.1 * rng.standard_normal(100), "b": numpy.zeros(1)}
    data = (rng.standard_normal((100_000, 100)), rng.choice([-1.0, 1.0], 100_000))
    name = "logistic regression, 100,000 x 100, float64"
    return _gradient(name, logistic_loss, params, data, peers, logistic_by_hand)


# --- a chain of elementwise ops: memory traffic


def elementwise_loss(np: Any, params: Params) -> Any:
    x = params["x"]
    return np.tanh(np.exp(-x * x) * np.sin(x) + 0.5 * x).mean()


def elementwise_by_hand(params: Params) -> tuple[Any, Params]:
    x = params["x"]
    e, s = numpy.exp(-x * x), numpy.sin(x)
    y = numpy.tanh(e * s + 0.5 * x)
    inner = e * (numpy.cos(x) - 2 * x * s) + 0.5  # derivative of what tanh is of
    return y.mean(), {"x": (1 - y * y) * inner / x.size}


def elementwise_chain(peers: dict[str, Peer]) -> Workload:
    params = {"x": numpy.linspace(-2, 3, 1_000_000)}
    name = "mean(tanh(exp(-x*x) * sin(x) + x/2)), 1,000,000 numbers, float64"
    return _gradient(name, elementwise_loss, params, (), peers, elementwise_by_hand)


WORKLOADS = [
    deep_network,
    recurrent_network,
    scanned_network,
    logistic_regression,
    elementwise_chain,
]
QUICK_WORKLOADS = [
    functools.partial(deep_network, layers=3),
    functools.partial(recurrent_network, length=3),
    functools.partial(scanned_network, length=3),
    logistic_regression,
    elementwise_chain,
]


# --- who computes them, and how they are measured


def tape_gradient(loss: Loss, params: Params, data: tuple[Any, ...]) -> Step:
    loss_and_grads = td.value_and_grad(functools.partial(loss, numpy))
    return functools.partial(loss_and_grads, params, *data)


def jit_gradient(loss: Loss, params: Params, data: tuple[Any, ...], backend: str) -> Step:
    jitted = td.jit(td.value_and_grad(functools.partial(loss, numpy)), backend=backend)
    return functools.partial(jitted, params, *data)


def _gradient(
    name: str,
    loss: Loss,
    params: Params,
    data: tuple[Any, ...],
    peers: dict[str, Peer],
    by_hand: Callable[..., tuple[Any, Params]] | None = None,
) -> Workload:
    """The loss and its gradients: by hand where that is short, by the tape, the jit and peers."""
    gradients: dict[str, Gradient] = {
        TAPE: tape_gradient,
        **{k: functools.partial(jit_gradient, backend=backend) for k, backend in jits().items()},
        **{k: peer.gradient for k, peer in peers.items()},
    }
    makers = {k: functools.partial(make, loss, params, data) for k, make in gradients.items()}
    if by_hand:
        makers = {MANUAL: lambda: functools.partial(by_hand, params, *data), **makers}
    zeros = {k: numpy.zeros_like(p) for k, p in params.items()}
    return Workload(name, makers, zeros)


def measure(
    make: Callable[[dict[str, Peer]], Workload],
    peers: dict[str, Peer],
    budget: float,
    cap: float,
) -> dict[str, Any]:
    """Time each contender; ratios are to the eager tape."""
    name, makers, start = make(peers)
    running, left_out = assembled(makers, name, cap)
    check_agreement(running, start)
    timings = interleaved(running, budget=budget)
    return {
        "workload": name,
        "rounds": len(timings[TAPE].micros),
        "rows": rows(timings, to=TAPE),
        "left_out": left_out,
    }
