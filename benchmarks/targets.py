"""The figures that the project holds itself to."""

from typing import Any, NamedTuple

from .contenders import JIT, NATIVE, TAPE
from .problem import DIGITS, WIDE

MEMORY = {TAPE: 1.3, JIT: 1.0, NATIVE: 1.0}
"""The most memory that a step may need at its peak, in manual steps."""


class Target(NamedTuple):
    """What was measured, and the most that it should be."""

    what: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


def step_limits(step: dict[str, Any]) -> dict[str, float]:
    """The most that each contender's step may take, in manual steps, where limits are set."""
    if step["recipe"]:
        return {TAPE: 1.35, JIT: 1.00, NATIVE: 0.65}
    match tuple(step["sizes"]), step["batch"], step["dtype"]:
        case sizes, 32, "float32" if sizes == DIGITS:
            return {TAPE: 1.55, JIT: 0.78, NATIVE: 0.34}
        case sizes, 1437, dtype if sizes == DIGITS:
            return {TAPE: 1.10, JIT: 0.95, NATIVE: 0.62 if dtype == "float32" else 0.70}
        case sizes, 256, _ if sizes == WIDE:
            return {TAPE: 1.05, JIT: 0.97, NATIVE: 0.80}
    return {}


def judged(results: dict[str, Any]) -> list[Target]:
    """Every target for which these results have a figure."""
    return [
        *_steps(results.get("steps", [])),
        *_memory(results.get("memory", [])),
        *_chains(results.get("chains", [])),
        *_import(results.get("import")),
    ]


def _import(row: dict[str, Any] | None) -> list[Target]:
    return [Target("import: package / NumPy", row["ratio"]["median"], 1.4)] if row else []


def _steps(steps: list[dict[str, Any]]) -> list[Target]:
    return [
        Target(f"step, {_case(step)}, {step['dtype']}: {name} / manual", row["median"], limit)
        for step in steps
        for name, limit in step_limits(step).items()
        if (row := step["rows"].get(name, {}).get("ratio"))
    ]


def _memory(rows: list[dict[str, Any]]) -> list[Target]:
    return [
        Target(f"peak memory, {_case(row)}: {name} / manual", row["rows"][name]["ratio"], limit)
        for row in rows
        for name, limit in MEMORY.items()
        if name in row["rows"] and not row["recipe"]
    ]


def _case(row: dict[str, Any]) -> str:
    return f"{row['network']}, batch {row['batch']}"


def _chains(chains: list[dict[str, Any]]) -> list[Target]:
    targets = [
        Target(
            "chain of 100,000 ops: eager tape / PyTorch",
            chain["rows"]["PyTorch"]["tape_ratio"]["median"],
            0.6,
        )
        for chain in chains
        if chain["length"] == 100_000 and "PyTorch" in chain["rows"]
    ]
    if not chains:
        return []
    lengths = {chain["length"]: chain["rows"][TAPE]["us_per_op"] for chain in chains}
    growth = lengths[max(lengths)] / lengths[min(lengths)]
    what = f"time per op, chain of {max(lengths):,} / chain of {min(lengths):,}"
    return [*targets, Target(what, growth, 1.5)]
