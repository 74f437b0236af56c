"""Derivatives of every shape, each made of the tape's reversed loop.

    jvp              : (params -> y) -> (params, tangent) -> (y, ẏ)
    linearize        : (params -> y) -> params -> (y, (tangent -> ẏ))
    jacobian         : (params -> y) -> params -> tree like y of trees like params
    hessian          : (params -> scalar) -> params -> tree like params of trees like params
    hvp              : (params -> scalar) -> (params, v) -> like v
    elementwise_grad : (x -> y, each element by itself) -> x -> like x

The reversed loop gives cotangents: ȳ -> Jᵀȳ. That map is linear and made of ops, so a second tape
can record it, and the reversed loop over the second tape gives its transpose: ẏ = J ẋ, forward
mode without rules of its own (Townsend, A new trick for calculating Jacobian vector products,
2017). A whole Jacobian is one loop for all its rows, or columns, at once: the cotangents of a
basis, one behind the other, on the tape of `vmap`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, overload

import numpy as np

from ..engine.primitive import Array
from ..engine.run import ForwardPass, detach, run_on, seed
from ..engine.tape import Tape
from ..engine.tensor import Tensor
from ..engine.transforms import grad
from ..support import tree
from ..support.argnums import ArgNums, all_argnums, leaf_paths
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import as_array, is_numeric
from ..support.memory import freeze_constants
from ..support.options import suggest_options
from ..support.outputs import check_complex
from ..support.pickling import RestorableCall, make_restorable, name_of, wrap_transform
from ..support.results import conjugate_leaf, copy_leaf
from ..support.tree import Tree
from .batching import BatchInterpreter
from .real_form import split_complex

P = ParamSpec("P")
Y = TypeVar("Y")
Aux = TypeVar("Aux")
Mode: TypeAlias = Literal["reverse", "forward"]


# --- forward mode


@overload
def jvp(
    f: Callable[..., Y], primals: Tree, tangents: Tree, *, has_aux: Literal[False] = ...
) -> tuple[Y, Y]: ...
@overload
def jvp(
    f: Callable[..., tuple[Y, Aux]], primals: Tree, tangents: Tree, *, has_aux: Literal[True]
) -> tuple[Y, Y, Aux]: ...
@overload
def jvp(
    f: Callable[..., Any], primals: Tree, tangents: Tree, *, has_aux: bool
) -> tuple[Any, ...]: ...
def jvp(
    f: Callable[..., Any], primals: Tree, tangents: Tree, *, has_aux: bool = False
) -> tuple[Any, ...]:
    """`jvp : (params -> y) -> (params, tangent) -> (y, ẏ)`: the derivative in one direction.

    Args:
        f: returns any tree of arrays.
        primals: where; a tuple holds the arguments of f, anything else is the only one.
        tangents: the direction, a tree like primals. What is not an array there is passed over.
        has_aux: f returns (y, aux); then the result is (y, ẏ, aux).

    ẏ has the structure, shapes and dtypes of y; it is 0 where y does not depend on the primals.
    Raises ShapeError where a tangent does not fit its primal. Forward mode is for functions of few
    numbers: it takes the time of a few calls of f, however many numbers f returns.

    >>> jvp(lambda x: np.stack([x**2, x**3]), 2.0, 1.0)
    (array([4., 8.]), array([ 4., 12.]))
    """
    if not isinstance(primals, tuple):
        primals, tangents = (primals,), (tangents,)
    ran = _run_forward("jvp", f, primals, all_argnums(primals), has_aux=has_aux)
    dy = Linear(ran).push(_directions("jvp", f, ran, primals, tangents))
    return (ran.value, dy, ran.aux) if has_aux else (ran.value, dy)


def linearize(f: Callable[..., Y], *primals: Tree) -> tuple[Y, Callable[..., Y]]:
    """`linearize : (params -> y) -> params -> (y, (tangent -> ẏ))`: f runs once, for many jvps.

    The function that comes back takes a tangent for each primal, and may be called as often as you
    like: what it needs of your arrays is copied. Otherwise as `jvp`.

    >>> y, push = linearize(np.sin, 0.0)
    >>> push(1.0), push(2.0)
    (np.float64(1.0), np.float64(2.0))
    """
    primals = tree.map(copy_leaf, primals)
    ran = _run_forward("linearize", f, primals, all_argnums(primals))
    linear = Linear(ran)
    freeze_constants(linear.tape)

    def push(*tangents: Tree) -> Any:
        return linear.push(_directions("linearize", f, ran, primals, tangents))

    return ran.value, make_restorable(
        push, push, RestorableCall(linearize, (f, *primals), {}).part, 1
    )


def _run_forward(
    name: str, f: Any, primals: tuple[Tree, ...], argnums: ArgNums, *, has_aux: bool = False
) -> ForwardPass:
    if not primals:
        raise TypeError(f"{name} needs at least one primal to differentiate at")
    return ForwardPass(f, primals, argnums, has_aux=has_aux)


def _directions(
    name: str, f: Any, ran: ForwardPass, primals: tuple[Tree, ...], tangents: tuple[Tree, ...]
) -> list[Array]:
    """The tangent of each input, in its shape and dtype."""
    if not isinstance(tangents, tuple) or len(tangents) != len(primals):
        raise ShapeError(f"{name}: {len(primals)} primals need a tuple of as many tangents")
    matched, _ = tree.flatten(tree.map(lambda _x, tangent: tangent, primals, tangents))
    paths = leaf_paths(primals, tuple(range(len(primals))), f)
    inputs = iter(_inputs(ran))
    directions = []
    for path, leaf, v in zip(paths, ran.tensors, matched, strict=True):
        if type(leaf) is not Tensor:
            continue
        x, v = next(inputs), as_array(v)
        if v.shape != x.shape:
            raise ShapeError(f"{name}: {path} has shape {x.shape}, but its tangent {v.shape}")
        if v.dtype.kind not in ("fiubc" if x.dtype.kind == "c" else "fiub"):
            raise NotDifferentiableError(
                f"{name}: the tangent of {path} is {v.dtype}, not {x.dtype}"
            )
        directions.append(v if v.dtype == x.dtype else v.astype(x.dtype))
    return directions


class Linear:
    """The map ẋ -> ẏ of a run: its map ȳ -> x̄ on a tape, whose sweep is the transposed map."""

    def __init__(self, ran: ForwardPass) -> None:
        self.ran = ran
        self.tape = Tape()
        seeds = [np.zeros(y.shape, y.dtype)[()] for y in ran.dependent]
        self.pulled, self.seeds, _ = run_on(self.tape, functools.partial(_pull_all, ran), (seeds,))
        self.pull = self.tape.find_pull(self.pulled)

    def push_all(self, tangents: list[Array]) -> list[Array | None]:
        """A tangent for each input -> one for each output that depends on them, None for 0."""
        pairs = zip(self.pulled, tangents, strict=True)
        on_tape: list[Any] = [(ct, tangent) for ct, tangent in pairs if self.tape.is_on(ct)]
        start = seed([ct for ct, _ in on_tape], [tangent for _, tangent in on_tape])
        swept = self.tape.sweep(start, free=False, pull=self.pull)
        return [swept.get(ct.index) for ct in self.seeds]

    def push(self, tangents: list[Array]) -> Tree:
        """The same as a tree like the output."""
        found = iter(self.push_all(tangents))
        leaves = [
            detach(next(found), y.value) if self.ran.tape.is_on(y) else _zero_like(y)
            for y in self.ran.outputs
        ]
        return tree.unflatten(self.ran.structure, leaves)


def _zero_like(y: Any) -> Any:
    """The tangent of an output that depends on nothing; what is no number stays as it is."""
    return np.zeros_like(y)[()] if is_numeric(y) else y


# --- whole Jacobians


@suggest_options
def jacobian(
    f: Callable[P, Any],
    argnums: ArgNums = 0,
    *,
    mode: Mode | None = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[P, Any]:
    """All first derivatives: `jacobian : (params -> y) -> params -> y-like of params-like`.

    Args:
        f: returns a tree of arrays.
        argnums: as for `grad`; a tuple gives tuples.
        mode: "reverse" takes one sweep for all the rows, "forward" one for all the columns; by
            default reverse, unless y has more numbers than the params.
        has_aux: f returns (y, aux); then the result is (jacobian, aux).
        holomorphic: f is a complex function of complex numbers, and the result has its complex
            derivatives. Without it, each real y has the gradient by complex params that `grad`
            gives, and each complex y the derivatives of both its parts by real params; complex y
            of complex params raise NotDifferentiableError.

    The result has the structure of y, and in the place of each of its arrays the structure of the
    params, with arrays of shape y.shape + x.shape and of x's dtype (complex where y is); zeros
    where y does not depend on x. All rows of one sweep are in memory at once.

    >>> jacobian(lambda x: np.array([1.0, 2.0]) * x**2)(np.array([3.0, 4.0]))
    array([[ 6.,  0.],
           [ 0., 16.]])
    >>> jacobian(lambda p: p["a"] * p["b"])({"a": np.ones(2), "b": 2.0})["b"]
    array([1., 1.])
    """
    if mode not in (None, "reverse", "forward"):
        raise ValueError(f"jacobian: mode is 'reverse', 'forward' or None, got {mode!r}")

    def jacobian_at(*args: Any, **kwargs: Any) -> Any:
        ran = ForwardPass(f, args, argnums, kwargs, has_aux=has_aux)
        if holomorphic:
            for y in ran.dependent:
                ran.pull = check_complex(y, ran.tensors, ran.pull, f, holomorphic)
        rows, columns = (sum(x.size for x in side) for side in (ran.dependent, _inputs(ran)))
        reverse = mode == "reverse" or (mode is None and rows <= columns)
        if not holomorphic:
            reverse = _choose_for_complex(ran, reverse, f)
        blocks = iter((_by_rows if reverse else _by_columns)(ran))
        if reverse and not holomorphic:
            blocks = ([conjugate_leaf(block) for block in row] for row in blocks)
        if not any(map(is_numeric, ran.outputs)):
            raise NotDifferentiableError(f"{name_of(f)} must return arrays, got {ran.value!r}")
        leaves = [
            _like_params(ran, _row(ran, y, blocks)) if is_numeric(y) else y for y in ran.outputs
        ]
        whole = tree.unflatten(ran.structure, leaves)
        return (whole, ran.aux) if has_aux else whole

    options = {"mode": mode, "has_aux": has_aux, "holomorphic": holomorphic}
    return wrap_transform(f, jacobian_at, jacobian, argnums, **options)


def _choose_for_complex(ran: ForwardPass, reverse: bool, f: Any) -> bool:
    """Whether to go in reverse: from real outputs to complex inputs, not the other way round.

    A cotangent asks for one real number, as a real tangent moves in one direction.
    """
    outputs, inputs = (
        any(x.dtype.kind == "c" for x in side) for side in (ran.dependent, _inputs(ran))
    )
    if outputs and inputs:
        raise NotDifferentiableError(
            f"{name_of(f)}: the derivative of complex outputs by complex numbers is a complex "
            "matrix with holomorphic=True alone; else it is one of real and imaginary parts: v, "
            "unravel = td.tree.ravel(params), and then td.jacobian(lambda v: "
            "td.tree.ravel(f(unravel(v)))[0])(v)"
        )
    return inputs or (reverse and not outputs)


@suggest_options
def hessian(
    f: Callable[P, Any], argnums: ArgNums = 0, *, has_aux: bool = False
) -> Callable[P, Any]:
    """All second derivatives: `hessian : (params -> scalar) -> params -> params-like of like`.

    The Jacobian of the gradient, by rows: a tree like the params, and in the place of each array
    another, with arrays of shape x.shape + x2.shape. Arguments and errors are those of `grad`.

    Second derivatives by complex numbers are real ones by their parts. So a complex x of shape s
    counts as the array [x.real, x.imag] of shape (2, *s), real where a block is: for z of shape
    (n,) the result, (2, n, 2, n), is the Hessian by n real and n imaginary parts.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 4.0]))
    array([[8., 6.],
           [6., 0.]])
    >>> hessian(lambda z: np.real(z**2))(1 + 2j)  # (x + iy)^2 has the real part x^2 - y^2
    array([[ 2.,  0.],
           [ 0., -2.]])
    """

    def hessian_at(*args: Any, **kwargs: Any) -> Any:
        parts, take_parts = split_complex(args, argnums)
        gradient = grad(take_parts(f), argnums, has_aux=has_aux)
        return jacobian(gradient, argnums, has_aux=has_aux)(*parts, **kwargs)

    return wrap_transform(f, hessian_at, hessian, argnums, has_aux=has_aux)


def hvp(f: Callable[..., Any], primals: Tree, tangents: Tree) -> Tree:
    """`hvp : (params -> scalar) -> (params, v) -> H v`: the Hessian times a vector, like v.

    Takes the time of a few calls of f; the Hessian is never made. The primals and tangents are
    those of `jvp`. Since H is symmetric, H v is the gradient's pullback at v (Pearlmutter, Fast
    exact multiplication by the Hessian, 1994, gets it forward). Of complex params, it is how the
    gradient changes in the direction v: its parts are the Hessian's product with the parts of v.

    >>> hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    argnums: ArgNums = tuple(range(len(primals))) if isinstance(primals, tuple) else 0
    if not isinstance(primals, tuple):
        primals, tangents = (primals,), (tangents,)
    ran = _run_forward("hvp", grad(f, argnums), primals, argnums)
    gradients = [y for y in ran.outputs if is_numeric(y)]
    along = zip(gradients, _directions("hvp", f, ran, primals, tangents), strict=True)
    chosen = [v for y, v in along if ran.tape.is_on(y)]
    if not ran.tape.is_complex:
        return ran.pull_back(chosen, free=True)
    product = ran.pull_back([*map(conjugate_leaf, chosen)], free=True)
    return tree.map(conjugate_leaf, product)  # H is symmetric as a map of real and imaginary parts


@suggest_options
def elementwise_grad(f: Callable[P, Any], argnums: ArgNums = 0) -> Callable[P, Any]:
    """`elementwise_grad : (x -> y, each element by itself) -> x -> like x`: the slope at each x.

    The derivative of the sum of y, which for an elementwise f is that of each element. Raises
    ShapeError where y has not the shape of every array that is differentiated.

    >>> elementwise_grad(np.tanh)(np.array([0.0, 1.0]))
    array([1.        , 0.41997434])
    """

    def slopes(*args: Any, **kwargs: Any) -> Any:
        ran = ForwardPass(f, args, argnums, kwargs)
        shapes = {x.shape for x in _inputs(ran)}
        (y, *more) = ran.outputs or [None]
        if more or not is_numeric(y) or shapes != {getattr(y, "shape", ())}:
            got = ", ".join(str(getattr(y, "shape", type(y).__name__)) for y in ran.outputs)
            raise ShapeError(
                f"{name_of(f)} is not elementwise: of {', '.join(map(str, shapes))} it made "
                f"{got or 'nothing'}; other functions have a jacobian, or a vjp"
            )
        if any(x.dtype.kind == "c" for x in ran.dependent):
            raise NotDifferentiableError(
                f"{name_of(f)} returned complex numbers, whose slopes have two parts: take those "
                "of .real and .imag, or the jacobian"
            )
        seeds = [np.ones(y.shape, y.dtype)[()] for y in ran.dependent]
        return tree.map(conjugate_leaf, ran.pull_back(seeds, free=True))

    return wrap_transform(f, slopes, elementwise_grad, argnums)


# --- one sweep for a basis


def _inputs(ran: ForwardPass) -> list[Tensor]:
    """The arrays and numbers that the tape began with, in the order of its records."""
    return [x for x in ran.tensors if type(x) is Tensor]


def _like_params(ran: ForwardPass, leaves: list[Array]) -> Tree:
    """The differentiated arguments' tree with these leaves for their arrays and numbers."""
    left = iter(leaves)
    return tree.unflatten(ran.params, [next(left) if type(x) is Tensor else x for x in ran.tensors])


def _row(ran: ForwardPass, y: Any, blocks: Iterator[list[Array]]) -> list[Array]:
    """The next blocks for an output that depends on the inputs, zeros for others."""
    if ran.tape.is_on(y):
        return next(blocks)
    return [
        _block(np.zeros((*getattr(y, "shape", ()), *x.shape), x.dtype), x) for x in _inputs(ran)
    ]


def _by_rows(ran: ForwardPass) -> list[list[Array]]:
    """For each output that depends on the inputs, its block of the Jacobian for each input."""
    inputs, outputs = _inputs(ran), ran.dependent
    columns = _map_basis(functools.partial(_pull_all, ran), outputs, inputs)
    return [
        [
            _block(column[rows].reshape((*y.shape, *x.shape)), x)
            for x, column in zip(inputs, columns, strict=True)
        ]
        for y, rows in _slices(outputs)
    ]


def _by_columns(ran: ForwardPass) -> list[list[Array]]:
    """The same from tangents: first the inputs' axes, and then those of the outputs."""
    inputs, outputs = _inputs(ran), ran.dependent
    rows = _map_basis(Linear(ran).push_all, inputs, outputs)
    flat = [row.reshape(len(row), y.size).T for row, y in zip(rows, outputs, strict=True)]
    return [
        [_block(row[:, columns].reshape((*y.shape, *x.shape)), x) for x, columns in _slices(inputs)]
        for y, row in zip(outputs, flat, strict=True)
    ]


def _pull_all(ran: ForwardPass, cotangents: list[Array]) -> list[Array | None]:
    """A cotangent for each output that depends on the inputs -> one for each input, None for 0."""
    swept = ran.sweep(cotangents, free=True)
    return [swept.get(index) for index in range(len(_inputs(ran)))]


def _map_basis(
    linear: Callable[[list[Array]], list[Array | None]], arrays: list[Tensor], likes: list[Tensor]
) -> list[Array]:
    """What a linear map makes of all unit vectors of the space of some arrays, as one batch.

    With the batch axis first: an array like each of `likes`.
    """
    batch = BatchInterpreter(sum(x.size for x in arrays))
    n = batch.length

    def box_leaves(leaves: list[Array], batch: BatchInterpreter, boxed: list[Any]) -> None:
        boxed += map(batch.box, leaves)

    basis = [
        np.eye(n, x.size, -part.start, x.dtype).reshape((n, *x.shape))
        for x, part in _slices(arrays)
    ]
    found, _, _ = run_on(batch, linear, (basis,), box=box_leaves)
    stacks: list[Array] = []
    for each, like in zip(found, likes, strict=True):
        if each is None:
            whole = np.zeros((n, *like.shape), like.dtype)
        else:
            whole = each.stacked if batch.is_on(each) else np.broadcast_to(each, (n, *like.shape))
        shared = isinstance(whole, np.ndarray) and whole.base is not None
        stacks.append(copy_leaf(whole) if shared or any(whole is x for x in stacks) else whole)
    return stacks


def _slices(arrays: list[Tensor]) -> Iterator[tuple[Tensor, slice]]:
    """Each array with its part of the space of all."""
    start = 0
    for x in arrays:
        yield x, slice(start, start + x.size)
        start += x.size


def _block(block: Array, x: Tensor) -> Array:
    """A part of the Jacobian in x's dtype, or as a scalar if that is what x is."""
    dtype = np.result_type(x.dtype, np.complex64) if block.dtype.kind == "c" else x.dtype
    block = block if block.dtype == dtype else block.astype(dtype)
    return block if block.shape else detach(block, x.value)
