"""Functions in, functions out.

    grad           : (params -> scalar) -> params -> cotangent shaped like params
    value_and_grad : (params -> scalar) -> params -> (scalar, cotangent shaped like params)
    vjp            : (params -> y) -> params -> (y, (ȳ -> cotangent shaped like params))

where params and y are trees. Each call runs the function once, on a tape of its own.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from ..support import tree
from ..support.errors import DisconnectedWarning, NotDifferentiableError
from ..support.options import suggest_options
from ..support.pickling import Call, Made, made
from ..support.tree import Tree
from .cotangent import as_cotangent
from .primitive import NO_OPTIONS, Array
from .tape import Tape
from .tensor import Tensor, box, within

P = ParamSpec("P")
ArgNums: TypeAlias = int | tuple[int, ...]


@suggest_options
def grad(f: Callable[P, Any], argnums: ArgNums = 0, *, has_aux: bool = False) -> Callable[P, Any]:
    """The gradient of a scalar function: `grad : (params -> scalar) -> params -> like params`.

    Args:
        f: returns a real scalar (or an array of size 1).
        argnums: the position, or a tuple of positions, of the arguments to differentiate; negative
            ones count from the end. A tuple gives a tuple of gradients.
        has_aux: f returns (scalar, aux); then the result is (gradient, aux).

    A gradient has the tree structure, shapes and dtypes of its argument; leaves that are not
    arrays or numbers stay as they are. Raises NotDifferentiableError (a TypeError) for integer
    arrays and for outputs that are not scalars.

    >>> grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": 3.0})
    {'a': np.float64(3.0), 'b': np.float64(2.0)}
    >>> grad(grad(np.sin))(0.5) == -np.sin(0.5)
    np.True_
    """
    valued = _valued(f, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = valued(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return named(f, gradient, grad, argnums, has_aux=has_aux)


@suggest_options
def value_and_grad(
    f: Callable[P, Any], argnums: ArgNums = 0, *, has_aux: bool = False
) -> Callable[P, tuple[Any, Any]]:
    """The value and the gradient: `(params -> scalar) -> params -> (scalar, like params)`.

    As `grad`; with has_aux the result is ((scalar, aux), gradient).

    >>> value_and_grad(lambda x: x**2)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """
    valued = _valued(f, argnums, has_aux)
    return named(f, valued, value_and_grad, argnums, has_aux=has_aux)


def _valued(f: Callable[..., Any], argnums: ArgNums, has_aux: bool) -> Callable[..., Any]:
    def valued(*args: Any, **kwargs: Any) -> Any:
        tape = Tape()
        boxed, tensors, structure = _boxed(args, argnums, tape, f)
        try:
            output = f(*boxed, **kwargs)
        finally:
            tape.close()
        aux = None
        if has_aux:
            output, aux = _pair(output, f)
            aux = tree.map(functools.partial(_unboxed, tape=tape), aux)
        value, seeds = _scalar(output, tape, f)
        grads = tree.unflatten(structure, collected(tensors, tape.sweep(seeds, free=True)))
        return ((value, aux) if has_aux else value), grads

    return valued


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
    primals = tree.map(copied, primals)
    ran = Run(f, primals, every(primals), has_aux=has_aux)
    for leaf in ran.outputs:
        if not isinstance(leaf, Tensor | int | float | np.ndarray | np.generic):
            raise NotDifferentiableError(
                f"{name_of(f)} must return arrays, got {type(leaf).__name__}"
            )
    guard(ran.tape)

    def pullback(g: Tree) -> Any:
        shaped = tree.unflatten(ran.structure, ran.outputs)
        cts, _ = tree.flatten(tree.map(lambda leaf, ct: as_cotangent(ct, leaf), shaped, g))
        seeds = [ct for y, ct in zip(ran.outputs, cts, strict=True) if ran.has(y)]
        swept = ran.tape.sweep(ran.started(seeds), free=False)
        return tree.unflatten(ran.params, map(copied, collected(ran.tensors, swept)))

    remade = made(pullback, pullback, Call(vjp, (f, *primals), {"has_aux": has_aux}).part, 1)
    return (ran.value, remade, ran.aux) if has_aux else (ran.value, remade)


# --- a function on a tape


class Run:
    """What running a function once on a tape of its own has left, for sweeps of any kind."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: ArgNums,
        kwargs: dict[str, Any] = NO_OPTIONS,
        *,
        has_aux: bool = False,
    ) -> None:
        self.tape = Tape()
        boxed, self.tensors, self.params = _boxed(args, argnums, self.tape, f)
        try:
            output = f(*boxed, **kwargs)
        finally:
            self.tape.close()
        output, aux = _pair(output, f) if has_aux else (output, None)
        self.aux = tree.map(self._unboxed, aux)
        outputs, self.structure = tree.flatten(output)
        self.outputs = [within(y) for y in outputs]

    def _unboxed(self, leaf: Any) -> Any:
        return _unboxed(leaf, self.tape)

    @property
    def value(self) -> Tree:
        """What the function returned, as the caller's own."""
        return tree.unflatten(self.structure, [copied(self._unboxed(y)) for y in self.outputs])

    @property
    def inputs(self) -> list[Tensor]:
        """The arrays and numbers that the tape began with, in the order of its records."""
        return [x for x in self.tensors if type(x) is Tensor]

    def has(self, leaf: Any) -> bool:
        """Whether an output is on the tape, and so depends on the inputs."""
        return type(leaf) is Tensor and leaf.tape is self.tape

    @property
    def depending(self) -> list[Tensor]:
        """The outputs that are on the tape."""
        return [y for y in self.outputs if self.has(y)]

    def started(self, seeds: Iterable[Array]) -> dict[int, Array]:
        """Where a sweep starts, with a cotangent for each output that is on the tape."""
        start: dict[int, Array] = {}
        for y, seed in zip(self.depending, seeds, strict=True):
            start[y.index] = start[y.index] + seed if y.index in start else seed
        return start

    def like_params(self, leaves: Iterable[Any]) -> Tree:
        """The differentiated arguments' tree with these leaves for their arrays and numbers."""
        each = iter(leaves)
        return tree.unflatten(
            self.params, [next(each) if type(x) is Tensor else x for x in self.tensors]
        )


def every(primals: tuple[Tree, ...]) -> ArgNums:
    """All the arguments: a tuple only where there are several."""
    return tuple(range(len(primals))) if len(primals) > 1 else 0


# --- onto the tape


def _boxed(
    args: tuple[Any, ...], argnums: ArgNums, tape: Tape, f: Any
) -> tuple[list[Any], list[Any], tree.Structure | None]:
    """The arguments with the chosen ones' arrays and numbers on the tape; those, and their tree."""
    if type(argnums) is not int or not -len(args) <= argnums < len(args):
        check_argnums(argnums, len(args), f)
    chosen: Tree = (
        tuple([args[i] for i in argnums]) if isinstance(argnums, tuple) else args[argnums]
    )
    leaves, structure = tree.flatten(chosen)
    tensors: list[Any] = []
    try:
        box(leaves, tape, tensors)
    except NotDifferentiableError as error:
        path = leaf_paths(args, argnums, f)[len(tensors)]
        raise NotDifferentiableError(f"{path}: {error}") from None
    boxed = tree.unflatten(structure, tensors)
    replaced = list(args)
    if isinstance(argnums, tuple):
        for i, argument in zip(argnums, boxed, strict=True):
            replaced[i] = argument
    else:
        replaced[argnums] = boxed
    return replaced, tensors, structure


def check_argnums(argnums: Any, count: int, f: Any) -> None:
    """Raise TypeError unless argnums names arguments that f was called with, each once."""
    asked = argnums if isinstance(argnums, tuple) else (argnums,)
    for i in asked:
        if not isinstance(i, int):
            raise TypeError(f"argnums must be an int or a tuple of ints, got {i!r}")
        if not -count <= i < count:
            raise TypeError(
                f"argnums: {i}, but {name_of(f)} was called with {count} positional arguments"
            )
    if len({i % count for i in asked}) < len(asked):
        raise TypeError(f"argnums={argnums} names an argument of {name_of(f)} twice")


def leaf_paths(args: tuple[Tree, ...], argnums: ArgNums, f: Any) -> list[str]:
    """Where in the arguments each leaf stands, as in params['layers'][0]."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):  # some builtins have none
        names = []
    names += [f"argument {i}" for i in range(len(names), len(args))]
    positions = range(len(args))
    return [
        path
        for i in (argnums if isinstance(argnums, tuple) else (argnums,))
        for path, _ in tree.items(args[i], names[positions[i]])
    ]


# --- off the tape


def _scalar(output: Any, tape: Tape, f: Any) -> tuple[Array, dict[int, Array]]:
    """The output's value and where the sweep starts: 1 at the output."""
    if type(output) is not Tensor:
        output = within(output)
    if type(output) is Tensor and output.tape is tape:
        value = output.value
        if value.shape != () and output.size != 1:
            raise NotDifferentiableError(
                f"{name_of(f)} returned an array of shape {value.shape}; a gradient needs a "
                "scalar: reduce it with .mean() or .sum(), take all the derivatives with jacobian, "
                "or use vjp with a cotangent of that shape"
            )
        if isinstance(value, np.generic):
            return value, {output.index: value.dtype.type(1)}
        return _unboxed(output, tape), {output.index: np.ones_like(value)}
    kind = getattr(getattr(output, "dtype", None), "kind", None)
    number = type(output) in (int, float) or (kind is not None and kind in "fiu")
    if not number or np.size(output) != 1:
        described = f"{output.dtype}{np.shape(output)}" if kind else type(output).__name__
        raise NotDifferentiableError(
            f"{name_of(f)} must return a real scalar to be differentiated, got {described}"
            + ("; with has_aux=True it may return (scalar, aux)" if type(output) is tuple else "")
        )
    warnings.warn(
        f"the output of {name_of(f)} depends on none of its inputs: the gradient is zero",
        DisconnectedWarning,
        stacklevel=_levels_to_caller(),
    )
    return copied(output), {}


def _pair(output: Any, f: Any) -> tuple[Any, Any]:
    if not (isinstance(output, tuple) and len(output) == 2):
        raise TypeError(f"has_aux=True: {name_of(f)} must return a pair (output, aux)")
    return output


def collected(tensors: list[Any], cotangents: dict[int, Array]) -> list[Any]:
    """The cotangent of each input: zeros if none arrived, and nobody else's memory.

    The inputs are the first records of their tape; what `t[i] = v` made of them comes later.
    """
    grads = []
    taken = set()
    index = 0
    for tensor in tensors:
        if type(tensor) is Tensor:
            ct = cotangents.get(index)
            index += 1
            if type(ct) is not np.ndarray or ct.base is not None or id(ct) in taken:
                ct = owned(ct, tensor.value)
            taken.add(id(ct))
            grads.append(ct)
        else:
            grads.append(tensor)
    return grads


def owned(ct: Array | None, value: Array) -> Array:
    """A cotangent as an array of its own, or as a scalar if that is what the value is."""
    while type(value) is Tensor and value.tape.closed:
        value = value.value  # of an input that `t[i] = v` moved to a tape inside its own
    if ct is None:
        ct = np.zeros_like(value)
    elif isinstance(ct, np.ndarray | np.generic):
        ct = np.array(ct, subok=True)
    if _is_traced_0d(value):
        return np.broadcast_to(ct, ())
    return ct if isinstance(value, np.ndarray) or not isinstance(ct, np.ndarray) else ct[()]


def _unboxed(leaf: Any, tape: Tape) -> Any:
    """Tensor of this tape -> its value, as the caller's own; anything else as it is."""
    if type(leaf) is not Tensor or leaf.tape is not tape:
        return leaf
    if isinstance(leaf.value, np.ndarray):
        return leaf.value.copy()[()]
    return leaf.value[()] if _is_traced_0d(leaf.value) else leaf.value


def _is_traced_0d(value: Any) -> bool:
    """Whether a value is a trace's stand-in for an array (not a scalar) without axes."""
    return getattr(value, "is_scalar", True) is False and not value.shape


# --- in-place change between the forward pass and the pullback


def copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def guard(tape: Tape) -> None:
    """Copy the constants that the records keep: their owner may write into them."""
    copies: dict[int, Array] = {}

    def copied(x: Any, parent: int | None) -> Any:
        if parent is not None or not isinstance(x, np.ndarray):
            return x
        if id(x) not in copies:
            copies[id(x)] = x.copy()
        return copies[id(x)]

    for index, record in zip(tape.records, tape, strict=True):
        if None in record.parents or record.options:
            kept = tuple(map(copied, record.inputs, record.parents))
            options = {name: copied(option, None) for name, option in record.options.items()}
            tape.records[index] = record._replace(inputs=kept, options=options)


# --- names and places, for the errors


def _levels_to_caller() -> int:
    """How far up the stack, for a warning of the function that calls this, the user's code is."""
    package = __name__.partition(".")[0]
    level, frame = 0, sys._getframe(1)
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level + 1


def name_of(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def named(
    f: Any, g: Callable[..., Any], transform: Callable[..., Any], *args: Any, **options: Any
) -> Made:
    """g as what transform(f, *args, **options) makes of f, in name, signature and pickles."""
    whole = made(g, f, transform, f, *args, **options)
    whole.__name__ = whole.__qualname__ = f"{transform.__name__}({name_of(f)})"
    return whole
