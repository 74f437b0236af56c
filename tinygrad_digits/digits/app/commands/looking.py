"""A look inside: gradcheck, tape, program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ....compiler.api import jit
from ....engine.transforms import grad
from ....looking.profiling import profile
from ....looking.recording import record
from ...data.dataset import CLASSES, PIXELS
from ...extras import extra
from ...model import gradcheck as checking
from ...model import mlp
from ...training.backends import choose_backend
from ...training.loop import make_step
from ...training.optimizer_choice import choose_optimizer
from ...training.recipe import configure
from .. import display
from ..console import guard, note, out, print_json, say
from ..options import (
    DEFAULT,
    HIDDEN,
    Backend,
    BackendOption,
    Batch,
    Dtype,
    DtypeOption,
    Hidden,
    Json,
    OptimizerName,
    OptimizerOption,
    Seed,
    parse_widths,
)

with extra():
    import typer


@guard
def gradcheck(
    seed: Seed = 0, batch_size: Batch = 32, hidden: Hidden = HIDDEN, as_json: Json = False
) -> None:
    """Compare the tape's gradients with manual backprop and central differences.

    Layer by layer, in float32 and float64. Exits with 1 where they differ by more than allowed.
    """
    sizes = (PIXELS, *parse_widths(hidden), CLASSES)
    rows = []
    for dtype in checking.TOLERANCES:
        rng = np.random.default_rng(seed)
        rows += checking.compare(*checking.example(sizes, dtype, batch_size, rng), rng)
    if as_json:
        print_json(
            [{**row._asdict(), "dtype": row.dtype.name, "agrees": row.agrees} for row in rows]
        )
    else:
        out.print(display.tabulate_agreement(rows))
    if not all(row.agrees for row in rows):
        raise ValueError("the gradients differ by more than is allowed")
    note("the three gradients agree", as_json)


@guard
def tape(
    seed: Seed = 0,
    batch_size: Batch = DEFAULT.batch_size,
    hidden: Hidden = HIDDEN,
    backward: Annotated[
        bool, typer.Option("--backward", help="Record the gradient's ops too.")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="Print what each op costs instead.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it into this file, too.")
    ] = None,
) -> None:
    """Print the program that the tape records in one training step.

    One line for each op: its number, its inputs, its output's shape and dtype. The gradient is the
    same list read backwards.
    """
    rng = np.random.default_rng(seed)
    sizes = (PIXELS, *parse_widths(hidden), CLASSES)
    params, x, labels = checking.example(sizes, np.float32, batch_size, rng)

    def loss(params: mlp.Params) -> Any:
        return mlp.loss(params, x, labels)

    recording = record(grad(loss) if backward else loss, params)
    typer.echo(profile(loss, params) if costs else recording)
    if svg is not None:
        svg.write_text(recording.svg(), encoding="utf-8", newline="\n")
        say(f"drawn in {svg}")


@guard
def program(
    batch_size: Batch = DEFAULT.batch_size,
    optimizer: OptimizerOption = OptimizerName.gd,
    hidden: Hidden = HIDDEN,
    dtype: DtypeOption = Dtype.float32,
    backend: BackendOption = Backend.numpy,
) -> None:
    """Print the program that one training step is compiled to.

    What each pass over it did; then one line for each op of the forward pass, the gradient and
    the optimizer: its number, its inputs, its output's dtype and shape; how much memory they
    share; and the code that runs.
    """
    rng = np.random.default_rng(0)  # for values, which a program does not depend on
    sizes = (PIXELS, *parse_widths(hidden), CLASSES)
    params, x, labels = checking.example(sizes, dtype.value, batch_size, rng)
    config = configure({"optimizer": optimizer.value}, plain=True)
    descent = choose_optimizer(config, steps=1)
    compiled_for = choose_backend(backend.value) or "numpy"
    step = jit(make_step(descent, backend=None), backend=compiled_for)
    typer.echo(step.program(params, descent.init(params), x, labels))
