"""A call of a function as a program: run once, on tracers for what may change from call to call.

trace_call : f, args, kwargs -> program, structure of its results
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.run import run_on
from ..engine.tensor import Tensor
from ..support import tree
from ..support.errors import NotDifferentiableError, TracedValueError
from ..support.foreign import within
from ..support.pickling import Restorable, name_of
from .call_arguments import list_leaves
from .program import Program
from .signature import Sealed, is_input
from .trace import JitInterpreter


def trace_call(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    parameters: list[str],
    interpreter: JitInterpreter | None = None,
) -> tuple[Program, tree.Structure]:
    """Run f once on tracers for its arguments; -> its program, and the structure of its results.

    Raises TracedValueError where f needs a value, Captured where it uses a Tensor of a transform.
    """
    jit = JitInterpreter() if interpreter is None else interpreter
    named = [
        (path, leaf, _enters(leaf, path)) for path, leaf in list_leaves(args, kwargs, parameters)
    ]
    given = {id(leaf) for _, leaf, _ in named}

    def box_leaves(_: list[Any], jit: JitInterpreter, boxed: list[Any]) -> None:
        for path, leaf, enters in named:
            static = leaf.value if isinstance(leaf, Sealed) else leaf
            boxed.append(jit.box(leaf, path) if enters else static)

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tree.Structure:
        with np.errstate(all="call", call=lambda *_: None):  # the program will warn, not the trace
            outputs, structure = tree.flatten(f(*args, **kwargs))
        jit.program.outputs = [
            leaf if id(leaf) in given else _read_output(leaf, jit, f)
            for leaf in map(within, outputs)
        ]
        return structure

    try:
        structure, _, _ = run_on(jit, run, (args, kwargs), argnums=(0, 1), box=box_leaves)
    except ValueError as error:
        if isinstance(error.__cause__, TracedValueError):  # NumPy's, for `array[i] = t`
            raise error.__cause__ from None
        raise
    return jit.program, structure


def _enters(leaf: Any, path: str) -> bool:
    """Whether a leaf is an input of the program; what it cannot work on is refused."""
    plain = type(leaf) is np.ndarray and leaf.dtype.kind in "fiubc"
    if isinstance(leaf, np.ndarray) and not plain:
        raise NotDifferentiableError(
            f"{path} is a {type(leaf).__name__} of {leaf.dtype}; a jitted function takes "
            "plain arrays of numbers"
        )
    return is_input(leaf)


def _read_output(leaf: Any, jit: JitInterpreter, f: Any) -> Any:
    if isinstance(leaf, Tensor | np.ndarray | np.number | np.bool_):
        return jit.operand(leaf)
    if callable(leaf) or inspect.isgenerator(leaf) or inspect.iscoroutine(leaf):
        kind = "function" if isinstance(leaf, Restorable) else type(leaf).__name__
        raise TypeError(
            f"{name_of(f)} returned a {kind}: a jitted function returns arrays, "
            "numbers and trees of them, since what it returned would run after the program"
        )
    return leaf
