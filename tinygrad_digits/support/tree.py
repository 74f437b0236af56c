"""Trees ("pytrees"): nested dicts, lists, tuples, namedtuples and dataclasses of arrays.

Other mappings, deques and namespaces are containers too.

Anything else is a leaf: arrays, numbers, and also strings, None and functions, which the
transforms carry through untouched.

    flatten   : tree -> ([leaf], structure)
    unflatten : structure -> [leaf] -> tree
    map       : (leaf -> leaf) -> tree -> tree
    items     : tree -> [(path, leaf)]
    ravel     : tree -> (vector, vector -> tree)
"""

from __future__ import annotations

import builtins
import copy
import functools
from collections import UserDict, UserList, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import accumulate
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .errors import NotDifferentiableError, ShapeError
from .foreign import is_known, refuse_leaf

Tree: TypeAlias = Any
"""A nested container of leaves, or a leaf."""


_CLOSE = "{close}({like}, {{{items}}})"


class Container(NamedTuple):
    """How a type of container is taken apart into children by key, and put together again.

    `jit` writes code for trees of one structure. The last three fields are what it writes, with
    names in braces: by default calls of `open` and `close`, for some types what does the same in a
    third of the time.
    """

    open: Callable[[Tree], dict[Any, Any]]
    close: Callable[[Tree, dict[Any, Any]], Tree]  # (template, children) -> container
    dotted: bool = False
    keys: str = "(*({tree}_ := {open}({tree})),)"
    """An expression for its keys in order, to be compared; "" where the type says them."""
    children: str = "{tree}_.values()"
    """An expression for its children in that order, once `keys` was evaluated."""
    whole: str = _CLOSE
    """An expression for the container of given children, `items` by key or `each` in order."""


Structure: TypeAlias = "tuple[Container, Tree, tuple[Any, ...], list[Structure] | None] | None"
"""A tree without its leaves; None for a leaf. Otherwise how to close it, what it is to be like, its
keys, and its children's structures (None where all children are leaves, as in most parameters)."""


def flatten(tree: Tree) -> tuple[list[Any], Structure]:
    """The leaves, in order, and what `unflatten` needs to put others in their place.

    >>> leaves, structure = flatten({"w": 3.0, "b": [1.0, None]})
    >>> leaves
    [3.0, 1.0, None]
    >>> unflatten(structure, "xyz")
    {'w': 'x', 'b': ['y', 'z']}
    """
    container = _CONTAINERS[type(tree)]
    if container is None:
        return [tree], None
    children = tree if container is _DICT else container.open(tree)
    if _LEAVES.issuperset(builtins.map(type, children.values())):
        return [*children.values()], (container, tree, (*children,), None)
    pairs = [flatten(child) for child in children.values()]
    leaves = [leaf for inner, _ in pairs for leaf in inner]
    return leaves, (container, tree, (*children,), [nested for _, nested in pairs])


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Tree:
    """The tree of this structure with these leaves; containers keep their types."""
    leaf = iter(leaves)
    if structure is None:
        return next(leaf)
    container, like, keys, nested = structure
    # zip asks for a key first, so the leaves that remain are left for other containers
    children = dict(zip(keys, leaf if nested is None else _unflatten_all(nested, leaf)))  # noqa: B905
    return children if container is _DICT else container.close(like, children)


def outline(structure: Structure) -> Hashable:
    """What two trees have in common that differ in their leaves only: types and keys.

    >>> outline(flatten({"w": 3.0})[1]) == outline(flatten({"w": 4.0})[1])
    True
    """
    if structure is None:
        return None
    _, like, keys, nested = structure
    inner = [outline(child) for child in nested or ()]
    return type(like), keys, (*builtins.map(type, keys),), tuple(inner) if any(inner) else None


def _unflatten_all(structures: list[Structure], leaf: Iterator[Any]) -> Iterator[Tree]:
    for structure in structures:
        yield unflatten(structure, leaf)


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """The tree of f(leaf, *leaves at the same place in rest).

    Raises ShapeError where a tree in `rest` has another structure.

    >>> map(lambda w, g: w - g, {"w": 3.0, "b": [1.0]}, {"w": 1.0, "b": [0.5]})
    {'w': 2.0, 'b': [0.5]}
    """
    leaves, structure = flatten(tree)
    others = [_flatten_as(structure, other) for other in rest]
    return unflatten(structure, builtins.map(f, leaves, *others))


def items(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its path, written as Python would reach it.

    >>> list(items({"layers": [1.0, 2.0]}, "params"))
    [("params['layers'][0]", 1.0), ("params['layers'][1]", 2.0)]
    """
    container = _CONTAINERS[type(tree)]
    if container is None:
        yield path, tree
        return
    for key, child in container.open(tree).items():
        yield from items(child, f"{path}.{key}" if container.dotted else f"{path}[{key!r}]")


def ravel(tree: Tree, *, real: bool = True) -> tuple[Any, Callable[[Any], Tree]]:
    """`ravel : tree -> (vector, unravel)`: the floating-point leaves, end to end, and the way back.

    Python floats count as such leaves; all others stay in the tree. The vector is real: a complex
    number takes two places, its real and its imaginary part; with real=False, where all leaves are
    complex, so is the vector. It has the dtype that holds every leaf; unravel gives each its own
    again, and its shape. Works on Tensors too, so a gradient passes both ways. Raises ShapeError
    where unravel is given another length.

    >>> vector, unravel = ravel({"w": np.array([[1.0, 2.0]]), "b": 3.0, "name": "linear"})
    >>> vector
    array([1., 2., 3.])
    >>> unravel(10 * vector)
    {'w': array([[10., 20.]]), 'b': np.float64(30.0), 'name': 'linear'}
    """
    refuse_leaves(tree, "tree")
    leaves, _ = flatten(tree)
    _, structure = flatten(map(lambda _: None, tree))  # which keeps none of the leaves
    places = [i for i, leaf in enumerate(leaves) if is_inexact(leaf)]
    floats = [strong(leaves[i]) for i in places]
    split = real or any(x.dtype.kind != "c" for x in floats)
    flat = [_split(x) if split and x.dtype.kind == "c" else x.reshape((-1,)) for x in floats]
    dtype = np.result_type(*[x.dtype for x in flat]) if flat else np.dtype(float)
    parts = [x.astype(dtype) for x in flat]
    vector = np.concatenate(parts) if parts else np.zeros(0)
    forms = [(x.shape, x.dtype, _is_scalar(x)) for x in floats]
    ends = [*accumulate(x.shape[0] for x in flat)]
    rest = [None if is_inexact(leaf) else leaf for leaf in leaves]

    def unravel(vector: Any) -> Tree:
        length = ends[-1] if ends else 0
        if vector.shape != (length,):
            raise ShapeError(f"unravel: needs shape ({length},), got {vector.shape}")
        full, start = list(rest), 0
        for i, end, (shape, dtype, scalar) in zip(places, ends, forms, strict=True):
            if split and dtype.kind == "c":
                part = _join(vector[start:end].reshape((*shape, 2)))
            else:
                part = vector[start] if scalar else vector[start:end].reshape(shape)
            full[i], start = part.astype(dtype), end
        return unflatten(structure, full)

    return vector, unravel


def refuse_leaves(tree: Tree, name: str) -> None:
    """Raise NotDifferentiableError, with the path, for what looks like numbers and is none here."""
    for path, leaf in items(tree, name):
        try:
            refuse_leaf(leaf)
        except NotDifferentiableError as error:
            raise NotDifferentiableError(f"{path}: {error}") from None


def is_inexact(leaf: Any) -> bool:
    """Whether a leaf is floating point, real or complex."""
    kind = getattr(getattr(leaf, "dtype", None), "kind", "")
    return type(leaf) in (float, complex) or kind in ("f", "c")


def _split(z: Any) -> Any:
    """(...) complex numbers -> real and imaginary part of each in turn, as a vector."""
    return np.stack([np.real(z), np.imag(z)], axis=-1).reshape((-1,))


def _join(pairs: Any) -> Any:
    """(..., 2) -> (...) complex numbers."""
    return pairs[..., 0] + 1j * pairs[..., 1]


def strong(x: Any) -> Any:
    """A number as the NumPy scalar that it is worth, also where it is a tracer."""
    if type(x) in (float, complex):
        return np.float64(x) if type(x) is float else np.complex128(x)
    return x.strong() if hasattr(x, "strong") else x


def _is_scalar(x: Any) -> bool:
    return not x.shape and not isinstance(x, np.ndarray) and getattr(x, "is_scalar", True)


def _flatten_as(structure: Structure, tree: Tree) -> list[Any]:
    """The leaves of a tree that must have this structure, in the structure's order."""
    if structure is None:
        if _CONTAINERS[type(tree)] is not None:
            raise ShapeError(f"trees differ: a leaf against {type(tree).__name__}")
        return [tree]
    known, like, keys, nested = structure
    if type(tree) is not type(like):
        raise ShapeError(f"trees differ: {type(like).__name__} against {type(tree).__name__}")
    children = known.open(tree)
    if (*children,) == keys:
        ordered = [*children.values()]
    elif children.keys() == {*keys}:
        ordered = [children[key] for key in keys]
    else:
        raise ShapeError(f"trees differ: {type(like).__name__} of {[*keys]} against {[*children]}")
    if nested is None and _LEAVES.issuperset(builtins.map(type, ordered)):
        return ordered
    pairs = zip(nested or [None] * len(keys), ordered, strict=True)
    return [leaf for structure, child in pairs for leaf in _flatten_as(structure, child)]


class _Containers(dict[type, Container | None]):
    """What is known of each type met so far; None for a leaf."""

    def __missing__(self, kind: type) -> Container | None:
        self[kind] = container = _container(kind)
        if container is None:
            _LEAVES.add(kind)
        return container


_CONTAINERS = _Containers()
_LEAVES: set[type] = set()
"""The types known to be leaves."""
_DICT = Container(
    lambda tree: tree,
    lambda _, children: children,
    keys="(*{tree},)",
    children="{tree}.values()",
    whole="{{{items}}}",
)
_SEQUENCES = {list: "[{each}]", tuple: "({each})"}


def container_of(kind: type) -> Container | None:
    """How trees of this type are opened and closed; None for a leaf."""
    return _CONTAINERS[kind]


def _container(kind: type) -> Container | None:
    if kind is dict:
        return _DICT
    if issubclass(kind, dict):
        return Container(lambda tree: tree, _close_dict)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return Container(
            lambda t: t._asdict(),
            lambda _, children: kind(**children),
            dotted=True,
            keys="",
            children="{tree}",
        )
    if is_known(kind):  # xarray's Dataset is a mapping, too
        return None
    if issubclass(kind, Mapping | UserDict):
        return Container(dict, lambda _, children: kind(children))  # type: ignore[call-arg]
    if kind is SimpleNamespace:
        return Container(vars, lambda _, children: kind(**children), dotted=True)
    if issubclass(kind, list | tuple | deque | UserList):
        return Container(
            lambda t: dict(enumerate(t)),
            lambda _, children: kind(children.values()),
            keys="range(len({tree}))",
            children="{tree}",
            whole=_SEQUENCES.get(kind, _CLOSE),
        )
    if hasattr(kind, "__dataclass_fields__"):  # the module of that name takes 1 ms to import
        return Container(_open_dataclass, _close_dataclass, dotted=True)
    return None


def _close_dict(like: Tree, children: dict[Any, Any]) -> Tree:
    closed = _copy_container(like)  # keeps what a subclass carries, such as defaultdict's factory
    for key, child in children.items():
        closed[key] = child  # update would add up the counts of a Counter
    return closed


def _open_dataclass(tree: Tree) -> dict[Any, Any]:
    import dataclasses

    return {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}


def _close_dataclass(like: Tree, children: dict[Any, Any]) -> Tree:
    closed = _copy_container(like)  # works whatever arguments its __init__ takes
    for name, child in children.items():
        object.__setattr__(closed, name, child)  # which a frozen dataclass allows
    return closed


def _copy_container(like: Tree) -> Tree:
    """A container to fill anew: what a cached_property had computed of the old leaves is gone."""
    closed = copy.copy(like)
    if own := getattr(closed, "__dict__", None):
        for name in _cached_names(type(like)) & own.keys():  # type: ignore[arg-type]
            del own[name]
    return closed


@functools.cache
def _cached_names(kind: type) -> frozenset[str]:
    """The names that instances keep results under: of descriptors that give way to an attribute."""
    named = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    return frozenset(name for name, value in named.items() if _gives_way(value))


def _gives_way(value: Any) -> bool:
    """Whether an attribute of a class is like functools.cached_property, and no method."""
    computes = hasattr(type(value), "__get__") and not hasattr(type(value), "__set__")
    return computes and not isinstance(value, (FunctionType, classmethod, staticmethod))
