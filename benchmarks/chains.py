"""Chains of up to a million sines, and their gradient: linear time, and nothing that recurses."""

import functools
import gc
from typing import Any

import numpy as np

import tinygrad_digits as td

from .contenders import TAPE
from .peers import Chain, Peer
from .timing import Timing, orders, ratio, seconds

LENGTHS = {1_000: 15, 10_000: 7, 100_000: 5, 1_000_000: 1}
"""Length -> rounds."""
QUICK_LENGTHS = {1_000: 3, 10_000: 2}
BY_HAND = "NumPy loop"


def tape_chain(x: Any, n: int) -> Any:
    def f(h: Any) -> Any:
        for _ in range(n):
            h = np.sin(h)
        return h.sum()

    return td.grad(f)(x)


def chain_by_hand(x: Any, n: int) -> Any:
    xs = []
    for _ in range(n):
        xs.append(x)
        x = np.sin(x)
    g = np.ones_like(x)
    for x in reversed(xs):
        g = g * np.cos(x)
    return g


def measure(n: int, rounds: int, peers: dict[str, Peer]) -> dict[str, Any]:
    """Seconds for a chain of n; who cannot do it is reported with the reason."""
    x = np.linspace(0.1, 1, 8)
    rivals = {name: peer.chain for name, peer in peers.items() if peer.chain}
    contenders: dict[str, Chain] = {BY_HAND: chain_by_hand, TAPE: tape_chain, **rivals}
    failed = {
        name: f"not run beyond {peer.longest:,}"
        for name, peer in peers.items()
        if peer.chain and n > peer.longest
    }
    expected = chain_by_hand(x, n)
    micros: dict[str, list[float]] = {name: [] for name in contenders.keys() - failed.keys()}
    for _, names in zip(range(rounds), orders(list(contenders)), strict=False):
        for name in names:
            if name in failed:
                continue
            try:
                micros[name].append(_micros(contenders[name], x, n, expected))
            except (RecursionError, MemoryError, RuntimeError) as error:
                failed[name] = type(error).__name__
                del micros[name]
    rows = {name: _row(micros[name], micros[TAPE], n) for name in contenders if name in micros}
    return {"length": n, "rounds": rounds, "rows": rows, "failed": failed}


def _micros(chain: Chain, x: Any, n: int, expected: Any) -> float:
    """Microseconds of one run, whose gradient has to be right."""
    gc.collect()
    results: list[Any] = []
    run = functools.partial(chain, x, n)
    taken = seconds(lambda: results.append(run()))
    np.testing.assert_allclose(np.asarray(results[0]), expected, rtol=1e-6)
    return taken * 1e6


def _row(micros: list[float], tape: list[float], n: int) -> dict[str, Any]:
    timing = Timing(1, micros)
    return {
        "seconds": timing.median / 1e6,
        "us_per_op": timing.median / n,
        "tape_ratio": ratio(Timing(1, tape), timing)._asdict(),
        "rounds_us": micros,
    }
