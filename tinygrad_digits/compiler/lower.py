"""Lowering: a traced program through the passes to code that runs."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any, NamedTuple

from ..support import tree
from ..support.loading import load
from . import numpy_backend, numpy_loops  # noqa: F401 (which says how loops are written)
from .fast_call import FastCall, Known, compile_fast_call
from .passes import PASSES
from .program import Program, align


class Stage(NamedTuple):
    """A program and the pass that it came from."""

    name: str
    program: Program


class Lowered:
    """A program that can be called, and how it came about: print it."""

    def __init__(
        self,
        stages: list[Stage],
        structure: tree.Structure,
        code: numpy_backend.Code,
        name: str,
        seconds: dict[str, float],
    ) -> None:
        self.stages = stages
        self.code = code
        self.name = name
        self.seconds = seconds
        self.used = 0
        self.fast_call: FastCall | None = None
        self._structure = structure
        self._run = numpy_backend.Runner(code)

    def __call__(self, inputs: list[Any]) -> Any:
        """Run on the inputs."""
        return tree.unflatten(self._structure, self._run(*inputs))

    def make_fast_call(self, args: tuple[Any, ...], kwargs: dict[str, Any], known: Known) -> None:
        """Make the fast path for calls like this one."""
        code = self.code
        self.fast_call = compile_fast_call(
            args, kwargs, self._structure, code.run, self._run.idle, code.workspace, known
        )

    @property
    def final(self) -> Program:
        """The program after the last pass."""
        return self.stages[-1].program

    @property
    def source(self) -> str:
        """The Python code that runs."""
        return self.code.source

    def __str__(self) -> str:
        times = ", ".join(f"{what} {1000 * s:.0f} ms" for what, s in self.seconds.items())
        rows: list[tuple[str, ...]] = [
            (
                stage.name,
                f"{len(stage.program.equations)} equations",
                _describe_changes(before.program, stage.program),
            )
            for before, stage in zip([self.stages[0], *self.stages], self.stages, strict=False)
        ]
        return "\n\n".join(
            [
                f"{self.name}: {times}",
                align(rows),
                str(self.final),
                str(self.code.plan),
                self.source,
            ]
        )


def lower_program(
    program: Program,
    structure: tree.Structure,
    *,
    name: str,
    backend: str,
    donate: frozenset[str],
    threads: int | None,
    seconds: float,
) -> Lowered:
    """Through the passes, one after the other, and through the backend."""
    stages = [Stage("trace", program)]
    start = time.perf_counter()
    into_code = _load_backend(backend)
    for each in (*PASSES, *into_code.PASSES):
        stages.append(Stage(each.__name__, each(stages[-1].program)))
    final = stages[-1].program
    donated = frozenset(
        i
        for i, (path, value) in final.inputs.items()
        if path.partition("[")[0].partition(".")[0] in donate and value.form == "array"
    )
    code: numpy_backend.Code = into_code.compile_program(final, name, donated, threads)
    times = {"traced": seconds, "lowered": time.perf_counter() - start - code.seconds}
    if backend == "native":
        times["compiled"] = code.seconds
    return Lowered(stages, structure, code, name, times)


def _load_backend(name: str) -> ModuleType:
    """Imported when it is needed: it takes as long as the rest of the package."""
    module: ModuleType = load(f"{__package__}.{name}_backend")
    return module


def _describe_changes(before: Program, after: Program) -> str:
    """Which equations a pass has taken away, and which it has changed."""
    gone = [f"%{i}" for i in before.equations if i not in after.equations]
    changed = [
        f"%{i} = {eqn}" for i, eqn in after.equations.items() if before.equations.get(i, eqn) != eqn
    ]
    words = []
    if gone:
        words.append(f"without {', '.join(gone)}")
    if changed:
        words.append(f"changed {'; '.join(changed)}")
    return ", ".join(words)
