"""Transforms, functions of functions: each runs a function once, on a tape of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np

from ..support import outputs, tree
from ..support.argnums import ArgNums, all_argnums
from ..support.foreign import within
from ..support.memory import freeze_constants
from ..support.options import suggest_options
from ..support.pickling import RestorableCall, make_restorable, wrap_transform
from ..support.results import conjugate_leaf, copy_leaf
from ..support.tree import Tree
from .cotangent import as_cotangent
from .run import ForwardPass, collect_gradients, run_on, unbox
from .tape import Tape
from .tensor import Tensor

P = ParamSpec("P")
_REAL = frozenset({np.float64, np.float32})  # the outputs of most functions


@suggest_options
def grad(
    f: Callable[P, Any], argnums: ArgNums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The gradient of a scalar function: `grad : (params -> scalar) -> params -> like params`.

    Args:
        f: returns a real scalar (or an array of size 1).
        argnums: the position, or a tuple of positions, of the arguments to differentiate; negative
            ones count from the end. A tuple gives a tuple of gradients.
        has_aux: f returns (scalar, aux); then the result is (gradient, aux).
        holomorphic: f is a complex function of complex numbers, and the result its complex
            derivative. Otherwise the gradient of a complex z = x + iy is dL/dx + i dL/dy.

    A gradient has the tree structure, shapes and dtypes of its argument; leaves that are not
    arrays or numbers stay as they are. Raises NotDifferentiableError (a TypeError) for integer
    arrays and for outputs that are not scalars.

    >>> grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": 3.0})
    {'a': np.float64(3.0), 'b': np.float64(2.0)}
    >>> grad(grad(np.sin))(0.5) == -np.sin(0.5)
    np.True_
    """
    both = _value_and_grad(f, argnums, has_aux, holomorphic)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrap_transform(f, gradient, grad, argnums, has_aux=has_aux, holomorphic=holomorphic)


@suggest_options
def value_and_grad(
    f: Callable[P, Any], argnums: ArgNums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, tuple[Any, Any]]:
    """The value and the gradient: `(params -> scalar) -> params -> (scalar, like params)`.

    As `grad`; with has_aux the result is ((scalar, aux), gradient).

    >>> value_and_grad(lambda x: x**2)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """
    both = _value_and_grad(f, argnums, has_aux, holomorphic)
    return wrap_transform(
        f, both, value_and_grad, argnums, has_aux=has_aux, holomorphic=holomorphic
    )


def _value_and_grad(
    f: Callable[..., Any], argnums: ArgNums, has_aux: bool, holomorphic: bool
) -> Callable[..., tuple[Any, Any]]:
    def both(*args: Any, **kwargs: Any) -> Any:
        tape, aux = Tape(), None
        output, tensors, structure = run_on(tape, f, args, kwargs, argnums=argnums)
        if has_aux:
            output, aux = outputs.split_aux(output, f)
            aux = tree.map(lambda leaf: unbox(leaf, tape), aux)
        value, seeds, pull = _start_sweep(output, tape, f, holomorphic)
        if type(value) not in _REAL or holomorphic:
            pull = outputs.check_complex(value, tensors, pull, f, holomorphic)
        grads = collect_gradients(tensors, tape.sweep(seeds, free=True, pull=pull))
        if tape.is_complex and not holomorphic:  # the direction to descend against
            grads = [conjugate_leaf(ct) for ct in grads]
        grads = tree.unflatten(structure, grads)
        return ((value, aux) if has_aux else value), grads

    return both


def _start_sweep(output: Any, tape: Tape, f: Any, holomorphic: bool) -> tuple[Any, ...]:
    """The output's value; where the sweep starts, with 1 at the output; and what runs its rules."""
    if type(output) is not Tensor:
        output = within(output)
    if type(output) is Tensor and output.tape is tape:
        value = output.value
        if value.shape != () and output.size != 1:
            outputs.refuse_array(value.shape, f)
        if isinstance(value, np.generic):
            return value, {output.index: value.dtype.type(1)}, None
        start = {output.index: np.ones_like(value)[()]}
        return unbox(output, tape), start, tape.find_pull([output])
    outputs.check_constant(output, f, holomorphic)
    return copy_leaf(output), {}, None


def vjp(f: Callable[..., Any], *primals: Tree, has_aux: bool = False) -> tuple[Any, ...]:
    """`vjp : (params -> y) -> params -> (y, (ȳ -> cotangent shaped like params))`.

    f may return any tree of arrays. The pullback takes a cotangent shaped like y and may be called
    as often as you like; with several primals it returns a tuple. With has_aux, f returns (y, aux)
    and the result is (y, pullback, aux). What the pullback needs of your arrays is copied, so that
    it stays right when they change.

    >>> y, pullback = vjp(lambda x: np.stack([x**2, x**3]), 2.0)
    >>> y, pullback(np.array([1.0, 10.0]))
    (array([4., 8.]), np.float64(124.0))
    """
    if not primals:
        raise TypeError("vjp(f, *primals) needs at least one primal to differentiate at")
    primals = tree.map(copy_leaf, primals)
    ran = ForwardPass(f, primals, all_argnums(primals), has_aux=has_aux)
    outputs.check_arrays(ran.outputs, f)
    freeze_constants(ran.tape)

    def pullback(g: Tree) -> Any:
        like_y = tree.unflatten(ran.structure, ran.outputs)
        cts, _ = tree.flatten(tree.map(lambda leaf, ct: as_cotangent(ct, leaf), like_y, g))
        cotangents = [ct for y, ct in zip(ran.outputs, cts, strict=True) if ran.tape.is_on(y)]
        return tree.map(copy_leaf, ran.pull_back(cotangents, free=False))

    call = RestorableCall(vjp, (f, *primals), {"has_aux": has_aux})
    remade = make_restorable(pullback, pullback, call.part, 1)
    return (ran.value, remade, ran.aux) if has_aux else (ran.value, remade)
