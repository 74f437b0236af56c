"""The figures that the project holds itself to."""

from typing import Any, NamedTuple

from .chains import TAPE as TAPE_CHAIN
from .problem import DIGITS, WIDE
from .steps import TAPE


class Target(NamedTuple):
    """What was measured, and the most that it should be."""

    what: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


def step_limit(step: dict[str, Any]) -> float | None:
    """The most that the tape's step may take, in manual steps, where a limit is set."""
    match tuple(step["sizes"]), step["batch"], step["dtype"]:
        case sizes, 32, "float32" if sizes == DIGITS:
            return 1.45
        case sizes, 1437, _ if sizes == DIGITS:
            return 1.10
        case sizes, 256, _ if sizes == WIDE:
            return 1.05
    return None


def judged(results: dict[str, Any]) -> list[Target]:
    """Every target for which these results have a figure."""
    targets = []
    for step in results["steps"]:
        if (limit := step_limit(step)) is not None:
            what = f"step, {step['network']}, batch {step['batch']}, {step['dtype']}: tape / manual"
            targets.append(Target(what, step["rows"][TAPE]["ratio"]["median"], limit))
    for row in results["memory"]:
        what = f"peak memory, {row['network']}, batch {row['batch']}: tape / manual"
        targets.append(Target(what, row["ratio"], 1.3))
    for chain in results["chains"]:
        if chain["length"] == 100_000 and "PyTorch" in chain["rows"]:
            measured = chain["rows"]["PyTorch"]["tape_ratio"]["median"]
            targets.append(Target("chain of 100,000 ops: tape / PyTorch", measured, 0.6))
    lengths = {
        chain["length"]: chain["rows"][TAPE_CHAIN]["us_per_op"] for chain in results["chains"]
    }
    growth = lengths[max(lengths)] / lengths[min(lengths)]
    what = f"time per op, chain of {max(lengths):,} / chain of {min(lengths):,}"
    targets.append(Target(what, growth, 1.5))
    measured = results["import"]["ratio"]["median"]
    targets.append(Target("import: package / NumPy", measured, 1.5))
    return targets
