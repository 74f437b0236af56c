"""Memory for time: a function that the tape computes a second time instead of keeping its inside.

checkpoint : (args -> y) -> (args -> y)
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..engine.primitive import Array, Primitive
from ..engine.tensor import Tensor
from ..ops.derived_rules import compute_vjp
from ..support import tree
from ..support.errors import NotDifferentiableError
from ..support.pickling import make_restorable, name_of
from ..support.tree import Tree
from .calls import CustomCall, make_primitive

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
    """`checkpoint : (args -> y) -> (args -> y)`: f, of which a tape keeps the arguments alone.

    The sweep computes f a second time, with a tape, and goes on through that. For one more
    forward pass, n layers in sqrt(n) blocks, each with a checkpoint, need memory for 2 sqrt(n)
    layers instead of n (Chen et al., Training deep nets with sublinear memory cost, 2016).

    Gradients are those of f, of any order. A random generator among the arguments draws the same
    again; the arrays among them cannot be written into. Raises NotDifferentiableError where f uses
    a Tensor, or names a generator, that it was not given. Under `jit`, which plans memory by itself
    and computes nothing twice, it saves none.

    >>> import numpy as np, tinygrad_digits as td
    >>> td.grad(lambda x: checkpoint(np.sin)(x) ** 2)(0.5) == td.grad(lambda x: np.sin(x) ** 2)(0.5)
    np.True_
    """
    primitive = make_primitive(f)

    def call_checkpointed(*args: Any, **named: Any) -> Any:
        if any(map(_draws_in_a_program, tree.flatten((args, named))[0])):
            return f(*args, **named)
        return _call_recomputed(primitive, f, args, named)

    return make_restorable(call_checkpointed, f, checkpoint, f)


def _call_recomputed(
    primitive: Primitive, f: Callable[..., Tree], args: tuple[Tree, ...], named: dict[str, Tree]
) -> Tree:
    """f(*args, **named), recorded as what is computed once more from the same arguments."""

    def run(args: tuple[Tree, ...], named: dict[str, Tree]) -> Tree:
        return f(*args, **named)

    def forward(args: tuple[Tree, ...], named: dict[str, Tree]) -> tuple[Tree, Tree]:
        _refuse_generators(f)
        args, named = tree.map(seal, (args, named))
        kept = tree.map(_copy_generator, (args, named))
        with explain_writing(primitive.name):
            return _call_recomputed(primitive, f, args, named), kept

    def pull(_: Tree, kept: Tree, g: Tree, tracked: list[int]) -> list[Array]:
        return compute_vjp(run, tree.map(_copy_generator, kept), g, tracked)

    return CustomCall(primitive, (args, named), run, forward, pull).apply()


def seal(x: Any) -> Any:
    """An array of an argument, that nobody can write into before it is used once more."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


@contextlib.contextmanager
def explain_writing(name: str) -> Iterator[None]:
    """Around calls with sealed arrays: say why they are."""
    try:
        yield
    except ValueError as error:
        if "read-only" in str(error):
            error.add_note(
                f"{name} is computed more than once, so it cannot write into its arguments: make "
                "new arrays, as np.where(mask, new, old) does"
            )
        raise


def _copy_generator(x: Any) -> Any:
    """A generator that draws the same numbers; anything else as it is."""
    return copy.deepcopy(x) if _draws(x) else x


def _draws(x: Any) -> bool:
    """Whether x is a random generator, of a module that NumPy imports when it is used."""
    random = sys.modules.get("numpy.random")
    return random is not None and isinstance(x, random.Generator | random.RandomState)


def _draws_in_a_program(x: Any) -> bool:
    """Whether x is a tracer of a generator, which cannot be copied."""
    return isinstance(x, Tensor) and x.dtype == object


def _find_generators(f: Any) -> dict[str, Any]:
    """The random generators that f uses without being given them, by name."""
    try:
        used = inspect.getclosurevars(f)
    except (TypeError, ValueError):  # not written in Python, or a variable is not set yet
        return {}
    variables = {**used.globals, **used.nonlocals}
    return {name: value for name, value in variables.items() if _draws(value)}


def _refuse_generators(f: Any) -> None:
    """Raise NotDifferentiableError where f draws from a generator that is not an argument."""
    for name in _find_generators(f):
        raise NotDifferentiableError(
            f"checkpoint({name_of(f)}): the generator {name} would draw other numbers when "
            f"{name_of(f)} is computed again; give it as an argument"
        )


@contextlib.contextmanager
def refuse_draws(f: Any) -> Iterator[None]:
    """Around the tracing of a step: raise where it has drawn, which would be once for all steps."""
    generators = _find_generators(f)
    before = {name: pickle.dumps(generator) for name, generator in generators.items()}
    yield
    for name, generator in generators.items():
        if pickle.dumps(generator) != before[name]:
            raise NotDifferentiableError(
                f"checkpoint: {name_of(f)} draws from the generator {name} while it is traced, "
                f"once and not in every step; make {name} a part of the carry"
            )
