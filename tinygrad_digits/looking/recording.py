"""What a function does, op by op: `record : (args -> y) -> args -> Recording`.

A `Recorder` is a tape that every op on its Tensors passes through, those of inner tapes included: a
gradient taken inside the function is recorded with its forward and its backward pass. It keeps all
operands and values, which a differentiating tape lets go, to be looked at, drawn and timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.trace import ARITHMETIC, NUMBERS
from ..engine.apply import find_top_tape
from ..engine.primitive import Array, Function, Primitive
from ..engine.tape import Record, Tape, aligned, operands
from ..engine.tensor import Tensor
from ..engine.transforms import ArgNums, check_argnums, leaf_paths
from ..support import tree
from ..support.errors import NotDifferentiableError
from ..transforms.batching import Batched
from ..transforms.calls import recorded_call
from . import drawing


class Recorder(Tape):
    """A tape that is told of every op, and keeps all that the op read and made."""

    __slots__ = ()

    def entered(
        self, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: ArgNums | None
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[int, str]]:
        """The arguments with the floating-point arrays and floats on this tape; their names.

        Of all arguments, or of those at `argnums`.
        """
        names: dict[int, str] = {}
        chosen = set(range(len(args)))
        if argnums is not None:
            check_argnums(argnums, len(args), f)
            asked = argnums if isinstance(argnums, tuple) else (argnums,)
            chosen = {i % len(args) for i in asked}
        entering = [i in chosen for i, arg in enumerate(args) for _ in tree.items(arg, "")]
        paths = leaf_paths(args, tuple(range(len(args))), f)
        paths += [path for key, value in kwargs.items() for path, _ in tree.items(value, key)]
        leaves, structure = tree.flatten((args, kwargs))
        entering += [argnums is None] * (len(leaves) - len(entering))
        for k, path in enumerate(paths):
            if entering[k] and is_real(leaves[k]):
                leaves[k] = seen = self.written(None, (), (), {}, leaves[k])
                names[seen.index] = path
        return *tree.unflatten(structure, leaves), names

    def applied(
        self, op: Primitive, kernel: Function, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if self.closed:
            next(self.indices)  # raises
        for name, option in options.items():
            if isinstance(option, Tensor):
                raise NotDifferentiableError(f"{op.name}: {name}= cannot be a Tensor")
        parents = tuple([x.index if self.has(x) else None for x in args])
        inputs = tuple([x.value if self.has(x) else x for x in args])
        y = _computed(op, kernel, inputs, options)
        return self.written(op, parents, inputs, options, y) if op.rules and is_real(y) else y

    def called(
        self,
        row: Primitive,
        args: tuple[Any, ...],
        f: Callable[..., Any],
        forward: Callable[..., Any],
        pull: Any,
    ) -> Any:
        """A call whose derivative, if an outer tape takes it, is its own; its ops are seen here."""
        inside = self.left(args)
        if find_top_tape(tree.flatten(inside)[0]) is None:
            return f(*args)

        def seen(g: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args: self.left(g(*tree.map(self.placed, args)))

        return tree.map(self.placed, recorded_call(row, inside, seen(f), seen(forward), pull))

    def placed(self, x: Any) -> Any:
        """A leaf on this tape, if it is a real number or an array of them."""
        return self.written(None, (), (), {}, x) if is_real(x) else x

    def left(self, whole: Any) -> Any:
        """A tree without this tape."""
        return tree.map(lambda x: x.value if self.has(x) else x, whole)

    def has(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.tape is self

    def written(
        self,
        op: Primitive | None,
        parents: tuple[int | None, ...],
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        y: Array,
    ) -> Seen:
        """Write a record with everything in it, and return the stand-in for its value."""
        index = next(self.indices)
        seen = object.__new__(Seen)
        seen.value, seen.tape, seen.index = y, self, index
        self.records[index] = (op, parents, inputs, y, options, seen.shape, seen.dtype)
        return seen


class Seen(Tensor):
    """A value on a Recorder. Unlike other Tensors it may be a Python number, and stays one."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def dtype(self) -> np.dtype[Any]:
        return getattr(self.value, "dtype", None) or np.dtype(type(self.value))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(bare(self), np.ndarray)

    def strong(self) -> Any:
        """Itself, or for a Python number the NumPy scalar that it is worth."""
        if not isinstance(self.value, float):
            return self
        return self.tape.written(None, (), (), {}, np.float64(self.value))  # type: ignore[attr-defined]


def _computed(
    op: Primitive, kernel: Function, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """The op on what is inside: Tensors of an outer tape, arrays, or Python numbers alone."""
    if find_top_tape(inputs, options) is not None:
        return op.apply(*inputs, **options)
    if op.name in ARITHMETIC and all(type(x) in NUMBERS for x in inputs):
        kernel = ARITHMETIC[op.name].kernel  # which leaves Python numbers Python numbers
    return kernel(*inputs, **options)


def bare(x: Any) -> Any:
    """The value under however many tapes; under `vmap`, those of all examples."""
    while isinstance(x, Tensor):
        x = x.stacked if isinstance(x, Batched) else x.value
    return x


def is_real(x: Any) -> bool:
    """Whether x is a real floating-point array or number, or a Tensor."""
    return type(x) is float or getattr(getattr(x, "dtype", None), "kind", "") == "f"


@dataclass(frozen=True, repr=False)
class Recording:
    """The ops of one call of a function, in order: print it, draw it, or show it in a notebook."""

    tape: Tape
    names: dict[int, str]
    """What the inputs are called, by index."""
    outputs: dict[int, str]
    """What the results are called, by index."""

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        return zip(self.tape.records, self.tape, strict=True)

    def __len__(self) -> int:
        return len(self.tape)

    def __str__(self) -> str:
        rows = [
            (
                f"%{index}",
                self.names[index] if record.op is None else record.name,
                operands(record),
                str(record.shape),
                str(record.dtype),
                f"-> {self.outputs[index]}" if index in self.outputs else "",
            )
            for index, record in self
            if record.op is not None or index in self.names
        ]
        return aligned(rows) or "an empty tape"

    __repr__ = __str__

    def svg(self, *, limit: int = 400) -> str:
        """The tape as a picture: inputs on top, each op below what it reads."""
        return drawing.svg(self, limit=limit)

    def dot(self) -> str:
        """The tape in the language of Graphviz (https://graphviz.org/doc/info/lang.html)."""
        return drawing.dot(self)

    def _repr_svg_(self) -> str:
        return self.svg()


def record(
    f: Callable[..., Any], *args: Any, argnums: ArgNums | None = None, **kwargs: Any
) -> Recording:
    """`record : (args -> y) -> args -> Recording`: the tape of one call of a function.

    Every floating-point array (and float) in the arguments, or in those at the positions
    `argnums`, is an input of the tape. What f returns is not differentiated, so it may be any tree.
    Gradients taken inside f are recorded too. Of custom_vjp, checkpoint and fixed_point the tape
    shows what runs inside them, and not the rule that a gradient would use.

    >>> print(record(lambda x, w: np.tanh(x @ w), np.ones((2, 3)), np.ones(3)))
    %0  x               (2, 3)  float64
    %1  w               (3,)    float64
    %2  matmul  %0, %1  (2,)    float64
    %3  tanh    %2      (2,)    float64  -> y
    """
    tape = Recorder()
    args, kwargs, names = tape.entered(f, args, kwargs, argnums)
    try:
        y = f(*args, **kwargs)
    finally:
        tape.close()
    outputs: dict[int, str] = {}
    for path, leaf in tree.items(y, "y"):
        if isinstance(leaf, Tensor) and leaf.tape is tape:
            outputs[leaf.index] = ", ".join(filter(None, [outputs.get(leaf.index), path]))
    return Recording(tape, names, outputs)
