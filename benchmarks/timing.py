"""Rounds in which every contender has its turn, so that what slows the machine slows them all."""

import contextlib
import gc
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

TURN = 0.003
"""Seconds that one contender's turn should last: far above the clock's grain, far below a drift."""


class Timing(NamedTuple):
    """What one contender took: microseconds per call, one figure per round."""

    inner: int
    micros: list[float]
    faults: float = 0.0
    """Page faults per call: memory that the allocator had given back, and had to ask for again."""

    @property
    def median(self) -> float:
        return statistics.median(self.micros)


class Ratio(NamedTuple):
    """The median and the quartiles of the ratios to another contender, round by round."""

    median: float
    low: float
    high: float


def interleaved(
    contenders: dict[str, Callable[[], Any]],
    *,
    budget: float,
    turn: float = TURN,
    fewest: int = 5,
    most: int = 300,
) -> dict[str, Timing]:
    """Time the contenders in rounds for about `budget` seconds.

    A contender's turn is as many calls as take about `turn` seconds. The next round starts with
    the next contender, and half of them run backwards, so that nobody always follows the same.
    """
    inner = {name: _calls(f, turn) for name, f in contenders.items()}
    micros: dict[str, list[float]] = {name: [] for name in contenders}
    faults = dict.fromkeys(contenders, 0)
    gc.collect()
    gc.freeze()  # the collector stays on, but need not look at the modules that peers bring
    end = time.perf_counter() + budget
    for round_, names in enumerate(orders(list(contenders))):
        if round_ == most or (round_ >= fewest and time.perf_counter() > end):
            break
        for name in names:
            before = _page_faults()
            micros[name].append(seconds(contenders[name], inner[name]) * 1e6)
            faults[name] += _page_faults() - before
    gc.unfreeze()
    calls = {name: inner[name] * len(micros[name]) for name in contenders}
    return {
        name: Timing(inner[name], micros[name], faults[name] / calls[name]) for name in contenders
    }


def seconds(f: Callable[[], Any], calls: int = 1) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def orders(names: list[str]) -> Iterator[list[str]]:
    """Each round's order, without end.

    >>> rounds = orders(["a", "b", "c"])
    >>> next(rounds), next(rounds), next(rounds)
    (['a', 'b', 'c'], ['b', 'c', 'a'], ['c', 'a', 'b'])
    >>> next(rounds)
    ['c', 'b', 'a']
    """
    while True:
        for direction in (names, names[::-1]):
            for k in range(len(names)):
                yield direction[k:] + direction[:k]


def ratio(of: Timing, to: Timing) -> Ratio:
    """What a round slowed, it slowed for both: so ratios first, and the median of those."""
    ratios = [a / b for a, b in zip(of.micros, to.micros, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)


def rows(timings: dict[str, Timing], to: str) -> dict[str, dict[str, Any]]:
    """What is kept of each contender; ratios are to the one named."""
    return {
        name: {
            "inner": timing.inner,
            "median_us": timing.median,
            "ratio": ratio(timing, timings[to])._asdict(),
            "page_faults": timing.faults,
            "rounds_us": timing.micros,
        }
        for name, timing in timings.items()
    }


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block when it takes longer; after it where no alarm gets through.

    >>> with at_most(0.01):
    ...     time.sleep(1)
    Traceback (most recent call last):
    TimeoutError: no result within 0.01 s
    """

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no result within {seconds:g} s")

    start = time.perf_counter()
    alarms = hasattr(signal, "setitimer")  # not on Windows
    if alarms:
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    if time.perf_counter() - start > seconds:
        ring()


def _page_faults() -> int:
    """Of this process so far; 0 on systems that do not count them."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def _calls(f: Callable[[], Any], turn: float) -> int:
    f()  # the first call may compile, or fill a cache
    return max(1, round(turn / min(seconds(f) for _ in range(3))))
