"""Functions copied into a file with all that they use, so that the file needs NumPy alone.

A kernel of an op is Python over NumPy. Its definition is found in the source, its annotations and
decorators are left out, and what its names stand for is copied too, or written in its place.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
import math
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ..engine.tensor import Tensor
from ..support import foreign, user_lines
from ..support.errors import extra
from . import checks

ALLOWED = frozenset({"numpy", *("math", "operator", "itertools", "functools")}) | frozenset(
    {"hashlib", "io", "pathlib", "warnings"}
)
"""Modules that the file may import."""
_SPACES = (np, np.linalg, np.fft, np.random, np.lib.stride_tricks, np.lib.array_utils)
_SUBSTITUTES = {user_lines.warn: checks.warn, foreign.as_array: checks.as_array}
"""What takes the place of functions that look for Tensors, other libraries' arrays, or callers."""


class NotPlain(Exception):  # noqa: N818 (it becomes an ExportError that knows the op and the line)
    """Something that cannot be written as plain NumPy; the message says why."""


def name_in_numpy(thing: Any) -> str | None:
    """How NumPy's public names reach something, as in np.linalg.solve; None if they do not."""
    owner = getattr(thing, "__self__", None)
    if isinstance(owner, np.ufunc) and (ufunc := name_in_numpy(owner)):
        return f"{ufunc}.{thing.__name__}"
    name = getattr(thing, "__name__", None)
    if not isinstance(name, str):
        return None
    for space in _SPACES:
        if getattr(space, name, None) is thing:
            return f"{space.__name__.replace('numpy', 'np', 1)}.{name}"
    return None


class Copier:
    """The functions that a file has copied, and the modules that it imports for them."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        """All names of the file, so that none is given twice."""
        self.modules = {"numpy"}
        self.sources: list[str] = []
        self._names: dict[Any, str] = {}

    def new_name(self, wanted: str) -> str:
        """A name that nothing in the file has yet."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def copy(self, function: Any, wanted: str = "") -> str:
        """Copy a function, and return what the file calls it; NotPlain where that cannot be."""
        function = _SUBSTITUTES.get(function, function)
        if function is extra:  # which is around the imports of an optional package
            raise NotPlain("it is computed by a package besides NumPy")
        function = _unwrap(function)
        if (known := name_in_numpy(function)) is not None:
            return known
        if function not in self._names:
            if not isinstance(function, FunctionType):
                raise NotPlain(f"{function!r} is not written in Python")
            node = _find_definition(function)
            own = "" if function.__name__ == "<lambda>" else function.__name__
            name = self._names[function] = self.new_name(f"_{(own or wanted).strip('_')}")
            copied = _Renamed(self, function).visit(node)
            self.sources.append(_write_definition(copied, name))
        return self._names[function]

    def write(self, thing: Any, name: str = "") -> str:
        """An expression for something that copied code uses by a name."""
        if isinstance(thing, ModuleType):
            return self._import(thing.__name__)
        if isinstance(thing, type):
            return self._write_type(thing)
        if (known := name_in_numpy(thing)) is not None:
            return known
        if isinstance(thing, BuiltinFunctionType | functools.partial):
            return self._write_builtin(thing)
        if isinstance(thing, tuple | frozenset | set):
            inner = "".join(f"{self.write(each)}, " for each in thing)
            return f"({inner})" if isinstance(thing, tuple) else f"frozenset(({inner}))"
        if callable(thing):
            return self.copy(thing, name)
        return write_value(thing)

    def _import(self, module: str) -> str:
        if module.partition(".")[0] not in ALLOWED:
            raise NotPlain(f"it needs {module}")
        self.modules.add(module)
        return module.replace("numpy", "np", 1) if module.startswith("numpy") else module

    def _write_type(self, kind: type) -> str:
        if kind is Tensor:
            return "()"  # of which nothing is an instance
        if (known := name_in_numpy(kind)) is not None:
            return known
        if issubclass(kind, Exception):  # ours become the builtin ones that they are, too
            kind = next(base for base in kind.__mro__ if base.__module__ == "builtins")
        if kind.__module__ == "builtins":
            return kind.__name__
        if kind.__module__ in ALLOWED:
            return f"{self._import(kind.__module__)}.{kind.__name__}"
        raise NotPlain(f"it needs the class {kind.__name__}")

    def _write_builtin(self, thing: Any) -> str:
        if isinstance(thing, functools.partial):
            raise NotPlain("it needs a partial function")
        module = {"_operator": "operator"}.get(thing.__module__, thing.__module__)
        if module == "builtins":
            return str(thing.__name__)
        return f"{self._import(module)}.{thing.__name__}"


class _Renamed(ast.NodeTransformer):
    """A definition without annotations, whose free names are those of the file."""

    def __init__(self, copier: Copier, function: FunctionType) -> None:
        self._copier = copier
        self._variables = inspect.getclosurevars(function)
        self._globals = function.__globals__
        self._local: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self._local |= {node.name} | _list_bound(node)
        node.decorator_list, node.returns = [], None
        return self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self._local |= _list_bound(node)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return None
        assigned = ast.Assign([node.target], node.value)
        return self.generic_visit(ast.fix_missing_locations(ast.copy_location(assigned, node)))

    def visit_Import(self, node: ast.Import) -> Any:
        for alias in node.names:
            if alias.name.partition(".")[0] not in ALLOWED:
                raise NotPlain(f"it needs {alias.name.partition('.')[0]}")
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.level or (node.module or "").partition(".")[0] not in ALLOWED:
            raise NotPlain(f"it needs {'.' * node.level}{node.module or ''}")
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        name = node.id
        if name in self._local or name in ("__file__", "__name__"):
            return node
        for names in (self._variables.nonlocals, self._globals):
            if name in names:
                text = self._copier.write(names[name], name)
                return ast.copy_location(ast.parse(text, mode="eval").body, node)
        if hasattr(builtins, name):
            return node
        raise NotPlain(f"{name} is not bound")


def _list_bound(node: ast.FunctionDef | ast.Lambda) -> set[str]:
    """The names that are bound in a definition: arguments and what is assigned to."""
    arguments = {x.arg for x in ast.walk(node) if isinstance(x, ast.arg)}
    stored = {
        x.id for x in ast.walk(node) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)
    }
    return arguments | stored


def _unwrap(function: Any) -> Any:
    """The kernel of an op, the function under a cache, or the function itself."""
    if (primitive := getattr(function, "primitive", None)) is not None:
        return primitive.kernel
    if isinstance(function, functools._lru_cache_wrapper):
        return function.__wrapped__
    if hasattr(function, "__wrapped__") and name_in_numpy(function) is None:
        raise NotPlain(f"{function.__name__} is decorated")
    return function


@functools.lru_cache(maxsize=32)
def _parse(path: str) -> ast.Module:
    return ast.parse("".join(linecache.getlines(path)))


def _find_definition(function: FunctionType) -> Any:
    """The node of a function's definition, to be changed; NotPlain without the source."""
    code = function.__code__
    try:
        module = _parse(code.co_filename)
    except (SyntaxError, ValueError) as error:
        raise NotPlain(f"the source of {function.__name__} is not Python") from error
    found = [node for node in ast.walk(module) if _is_definition(node, function)]
    if len(found) > 1:
        found = [node for node in found if _compile(node).co_code == code.co_code]
    if not found:
        raise NotPlain(f"the source of {function.__name__} is not there")
    return ast.parse(ast.unparse(found[0])).body[0]


def _is_definition(node: ast.AST, function: FunctionType) -> bool:
    code = function.__code__
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *[each.lineno for each in node.decorator_list]])
        return (node.name, first) == (code.co_name, code.co_firstlineno)
    if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
        arguments = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        return node.lineno == code.co_firstlineno and arguments == [
            *code.co_varnames[: code.co_argcount]
        ]
    return False


def _compile(node: Any) -> Any:
    if isinstance(node, ast.Lambda):
        outer = compile(ast.Expression(node), "", "eval")
    else:
        outer = compile(ast.Module([node], []), "", "exec")
    return next(x for x in outer.co_consts if hasattr(x, "co_code"))


def _write_definition(node: Any, name: str) -> str:
    if isinstance(node, ast.Expr):  # a lambda
        return f"{name} = {ast.unparse(node)}"
    node.name = name
    return ast.unparse(ast.fix_missing_locations(node))


def write_value(x: Any) -> str:
    """An expression for a number, a text, a dtype, or a container of them; NotPlain for others."""
    if isinstance(x, tuple | list):
        inner = ", ".join(map(write_value, x))
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' * (len(x) == 1)})"
    if isinstance(x, dict):
        return f"{{{', '.join(f'{write_value(k)}: {write_value(v)}' for k, v in x.items())}}}"
    if isinstance(x, slice):
        return f"slice({', '.join(write_value(each) for each in (x.start, x.stop, x.step))})"
    if isinstance(x, np.dtype):
        return f"np.{x.name}" if hasattr(np, x.name) else f"np.dtype({x.str!r})"
    if isinstance(x, np.generic):
        return f"np.{x.dtype.name}({write_value(x.item())})"
    if type(x) is float and not math.isfinite(x):
        return {math.inf: "np.inf", -math.inf: "-np.inf"}.get(x, "np.nan")
    if type(x) is complex:  # whose repr Python reads as a sum, in which signs of zeros are lost
        return f"complex({write_value(x.real)}, {write_value(x.imag)})"
    if x is None or x is Ellipsis or type(x) in (bool, int, float, str):
        return "..." if x is Ellipsis else repr(x)
    raise NotPlain(f"it needs a {type(x).__name__}")
