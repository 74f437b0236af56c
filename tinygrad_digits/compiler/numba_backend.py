"""The numba backend: loops around BLAS calls, compiled to native code.

Lines are fused into blocks (`fusion`), and consecutive native blocks become one function, which
gets the inputs, the arena and the arrays for the results. In the part of Python that numba
compiles (https://numba.readthedocs.io) it looks like

    for i0 in range(32):
        for i1 in range(64):
            t9 = v8[i0, i1] + a1[i1]
            v10[i0, i1] = t9 if t9 >= f4(0) or t9 != t9 else f4(0)

What has no native form is called between such functions, as by the NumPy backend, whose program
also stands by for errors: native code only notices that there is one.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ..ops import indexing
from ..support.errors import MissingExtraError, ShapeError
from . import blas, loops, numpy_backend, ufunc_loops
from .fusion import Block, Role, fused, stored
from .native import ALONE, NATIVE_DTYPES, Roles, Scope, number, order_of_axes, prepared
from .numpy_backend import Code, Emitter
from .program import Program, Value, found, is_draw, written


def compiled(program: Program, name: str, donated: frozenset[int] = frozenset()) -> Code:
    """Emit a program with native parts, and compile them."""
    require_numba()
    spare = numpy_backend.compiled(program, name)
    emitter = NativeEmitter(prepared(program), donated)
    emitter.namespace["again"] = functools.partial(_again, spare=spare, pure=_is_pure(emitter))
    code = numpy_backend.assembled(emitter, name)
    return code._replace(
        source="\n".join([*emitter.parts.values(), *emitter.sources, code.source]),
        seconds=emitter.seconds,
    )


def _is_pure(emitter: NativeEmitter) -> bool:
    """Whether a program can be run again: it has written over no input, and drawn nothing."""
    donated = any(over in emitter.program.inputs for over in emitter.plan.in_place.values())
    return not donated and not any(is_draw(line) for line in emitter.program.lines.values())


def _again(inputs: Any, error: Exception, *, spare: Code, pure: bool) -> list[Any]:
    """What NumPy says to inputs for which native code has found an error."""
    if not pure:
        raise error
    return spare.run(inputs, spare.workspace())


def require_numba() -> None:
    """Raise MissingExtraError without numba (and SciPy, whose BLAS it calls)."""
    for module in ("numba", "scipy"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(
                f'backend="numba" needs {module}: pip install "tinygrad-digits[jit]"'
            )


class NativeEmitter(Emitter):
    """Writes native functions, and the Python that calls them."""

    def __init__(self, program: Program, donated: frozenset[int]) -> None:
        self.roles = Roles(program)
        self.role: dict[int, Role] = {}

        def role(index: int, line: Any) -> Role:
            self.role[index] = self.roles(index, line)
            return self.role[index]

        self.blocks = fused(program, role)
        self.kept = stored(program, self.blocks)
        program, steps = _in_order(program, self.blocks)
        self.sources: list[str] = []
        self.parts: dict[str, str] = {}
        self.program, self.outputs = program, set(found(program.outputs))
        self.seen = self._seen()
        self.seconds = 0.0
        super().__init__(program, donated, steps)
        self.scope = Scope(program, self.names, self.roles, {*self.plan.places})
        self.namespace |= {"plain": _plain, "empty": np.empty}

    # --- memory

    def _planned(self) -> set[int]:
        """Of native values those that are stored, but for results, which have their own memory."""
        native = {i for block in self.blocks if block.native for i in block.lines}
        results = {i for i in self.outputs if self.program.value(i).shape}
        return (super()._planned() - native) | ((native & self.kept) - results)

    def _writable(self) -> set[int]:
        """Lines of loops that read no view, which might be of what they write over."""
        safe = set()
        for block in self.blocks:
            readings = [i for index in block.lines for i in self.program.lines[index].vars]
            if block.native and not any(self.role.get(i) is Role.VIEW for i in readings):
                safe |= {i for i in block.lines if self.role[i] is Role.POINTWISE}
        return safe

    def _pointwise(self) -> set[int]:
        return self._writable()

    def _may_stand(self, i: int) -> bool:
        """Only what Python sees; native code makes its own views."""
        return self.role[i] in (Role.VIEW, Role.NUMPY) and i in self.seen and super()._may_stand(i)

    def _seen(self) -> set[int]:
        """The values that the Python part reads: of views also what they are views of."""
        seen = set(self.outputs)
        for i, line in reversed(self.program.lines.items()):
            if self.role[i] is Role.NUMPY or (self.role[i] is Role.VIEW and i in seen):
                seen |= {*line.vars}
        return seen

    def _held(self) -> list[str]:
        python = {i for i in self.role if self.role[i] is Role.NUMPY}
        held = [i for i in self.plan.places if i in self.seen | python] + self.standing
        return ["arena", *[self.names[i] for i in held]]

    # --- the Python part

    def _body(self, indices: list[int]) -> list[str]:  # noqa: ARG002 (all of them)
        """Calls of native functions, and between them what NumPy does."""
        self.made: set[int] = set()
        segment: list[Block] = []
        body = []
        for block in self.blocks:
            if block.native and len(segment) < LONGEST:
                segment.append(block)
            elif block.native:
                body += self._called(segment)
                segment = [block]
            else:
                body += self._called(segment) + self._by_numpy(block.lines)
                segment = []
        return body + self._called(segment) + self._by_numpy([*self.outputs], of=True)

    def _by_numpy(self, indices: list[int], of: bool = False) -> list[str]:
        """Statements for these lines (or only for what they are views of), views first."""
        views: list[int] = []
        todo = [var for i in indices for var in ([i] if of else self.program.lines[i].vars)]
        while todo:
            var = todo.pop()
            if self.role.get(var) is Role.VIEW and var not in self.made:
                self.made.add(var)
                views.append(var)
                todo += self.program.lines[var].vars
        return super()._body([*reversed(views), *([] if of else indices)])

    def _called(self, segment: list[Block]) -> list[str]:
        """The call of the native function for these blocks, which is written on the way."""
        if not segment:
            return []
        native = _Native(f"native{len(self.sources)}", segment, self)
        self.sources.append(native.source)
        start = time.perf_counter()
        self.namespace[native.name] = _compiled(native)
        self.seconds += time.perf_counter() - start
        fresh = [i for i in native.results if i not in self.plan.in_place]
        return [
            *[f"    {self.names[i]} = {self._new(self.program.value(i))}" for i in fresh],
            "    try:",
            f"        {native.name}({native.arguments})",
            "    except (IndexError, ValueError) as error:",
            "        return again(inputs, error)",
        ]

    def _new(self, value: Value) -> str:
        """Memory for a result."""
        return f"empty({value.shape}, {self._bound(value.dtype.name, value.dtype)})"

    def _owned(self, i: int, name: str, given: bool) -> str:
        if i in self.plan.places and self.program.value(i).form == "array":
            return f"{name}.copy()"
        return super()._owned(i, name, given)


LONGEST = 100
"""Blocks in one native function: what takes long to compile takes longer the longer it is."""

OFTEN = 3
"""Occurrences from which statements are worth a function of their own."""


class _Step(NamedTuple):
    """Statements, and how they would be called as a function."""

    statements: list[str]
    function: str = ""
    call: str = ""


class _Native:
    """One native function: its parameters and its source."""

    def __init__(self, name: str, segment: list[Block], emitter: NativeEmitter) -> None:
        self.name, self.segment, self.emitter = name, segment, emitter
        self.program, self.names = emitter.program, emitter.names
        made = [i for block in segment for i in block.lines]
        touched = dict.fromkeys(made)
        todo = [i for k in made for i in self.program.lines[k].vars]
        while todo:  # through views to what they are views of
            i = todo.pop()
            if emitter.role.get(i) is Role.VIEW and i not in touched:
                todo += self.program.lines[i].vars
            touched[i] = None
        views = {i for i in touched if emitter.role.get(i) is Role.VIEW}
        self.views = [i for i in self.program.lines if i in views]
        self.placed = [i for i in touched if i in emitter.plan.places]
        self.literals = [i for i in touched if self._is_literal(i)]
        self.results = [i for i in made if i in emitter.kept and i not in emitter.plan.places]
        known = {*made, *self.views, *self.placed, *self.literals}
        self.given = [i for i in touched if i not in known]
        self.parameters = {self.names[i]: i for i in (*self.given, *self.results)}

    def _is_literal(self, i: int) -> bool:
        constant = self.program.constants.get(i)
        return constant is not None and constant.ndim == 0

    @property
    def arguments(self) -> str:
        """What the Python part passes: arrays in plain order."""
        plain = [
            f"plain({name})" if i in self.given and self.program.value(i).form == "array" else name
            for name, i in self.parameters.items()
        ]
        return ", ".join(["arena", *plain])

    @property
    def examples(self) -> tuple[Any, ...]:
        """Arguments of the types that it will be called with."""
        values = [self.program.value(i) for i in self.parameters.values()]
        return np.empty(0, np.uint8), *map(_example, values)

    @property
    def source(self) -> str:
        """What occurs often is a function of its own, which is compiled only once."""
        steps = [self._place(i) for i in self.placed]
        for i in self.literals:
            literal = number(self.program.constants[i].item(), self.program.value(i).dtype)
            steps.append(_Step([f"{self.names[i]} = {literal}"]))
        views = {i: self._view(i) for i in self.views}
        steps += [_Step([f"{self.names[i]} = {view}"]) for i, view in views.items()]
        steps += [self._part(self._statements(block)) for block in self.segment]
        counts = Counter(step.function for step in steps)
        body = []
        for step in steps:
            if counts[step.function] < OFTEN or not step.function:
                body += step.statements
            else:
                name = f"part_{_digest(step.function)[:10]}"
                self.emitter.parts[name] = f"def {name}{step.function}"
                body.append(step.call.format(name))
        head = f"def {self.name}({', '.join(['arena', *self.parameters])}):"
        return "\n    ".join([head, *body]) + "\n"

    def _statements(self, block: Block) -> list[str]:
        emitter = self.emitter
        if block.shape is not None:
            return loops.statements(block, emitter.role, emitter.scope, emitter.kept)
        (index,) = block.lines
        line = self.program.lines[index]
        return ALONE[line.op.kernel].write(line, emitter.scope, index)

    def _part(self, statements: list[str]) -> _Step:
        """These statements; or a function of them, whose names do not tell where it is called."""
        body, arguments = _anonymous(statements)
        function = "\n    ".join([f"({', '.join(arguments)}):", *body]) + "\n"
        return _Step(statements, function, f"{{}}({', '.join(arguments.values())})")

    def _place(self, i: int) -> _Step:
        """The statement that finds a planned value in the arena."""
        value, (start, stop) = self.program.value(i), self.emitter.plan.places[i]
        view = f".view({NATIVE_DTYPES[value.dtype]})"
        flat = f"{self.names[i]} = arena[{start}:{stop}]{view}"
        call = f"{self.names[i]} = {{}}(arena, {start}, {stop}"
        if len(value.shape) < 2:
            function = f"(arena, start, stop):\n    return arena[start:stop]{view}\n"
            return _Step([flat], function, f"{call})")
        shaped = f"return arena[start:stop]{view}.reshape(shape)"
        function = f"(arena, start, stop, shape):\n    {shaped}\n"
        return _Step([f"{flat}.reshape({value.shape})"], function, f"{call}, {value.shape})")

    def _view(self, made: int) -> str:
        line = self.program.lines[made]
        x = self.names[line.args[0].index]
        if line.op.kernel in (np.transpose, np.swapaxes):
            order = order_of_axes(line)
            if order == sorted(order):
                return x
            if self.emitter.roles.layouts[made] == "F":
                return f"{x}.T"
            steps = ", ".join(f"{x}.strides[{axis}]" for axis in order)
            return f"as_strided({x}, {line.value.shape}, ({steps},))"  # which compiles at once
        if line.op.kernel is indexing.take.primitive.kernel:
            parts = line.options["index"]
            return f"{x}[{', '.join(map(written, parts if type(parts) is tuple else (parts,)))}]"
        return f"{x}.reshape({line.value.shape})"


def _anonymous(statements: list[str]) -> tuple[list[str], dict[str, str]]:
    """Statements with values numbered from 0, and {parameter: what it stands for}."""
    numbers: dict[str, int] = {}
    arguments: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        letter, index = match.groups()
        k = numbers.setdefault(index, len(numbers))
        if letter not in "acv":
            return f"{letter}{k}"
        arguments[f"x{k}"] = match.group()
        return f"x{k}"

    return [_NAME.sub(renamed, statement) for statement in statements], arguments


_NAME = re.compile(r"\b([acvtwsp])(\d+)\b")
"""Arrays (a, c, v), and variables that hold an element, a flat array or a sum of theirs."""


def _in_order(program: Program, blocks: list[Block]) -> tuple[Program, dict[int, int]]:
    """The program block by block, views right after what they are of; and when each line runs."""
    steps = {i: step for step, block in enumerate(blocks) for i in block.lines}
    lines = {}
    views = [i for i in program.lines if i not in steps]
    for view in views:  # which come after what they are views of
        steps[view] = steps.get(program.lines[view].vars[0], 0)
    order = {i: rank for rank, i in enumerate([i for block in blocks for i in block.lines])}
    for view in views:
        order[view] = order.get(program.lines[view].vars[0], -1)
    ranked = sorted(program.lines, key=lambda i: (order[i], i in views, i))
    for i in ranked:
        lines[i] = program.lines[i]
    return dataclasses.replace(program, lines=lines), steps


def _plain(x: Any) -> Any:
    return x if x.flags.c_contiguous else x.copy()


def _example(value: Value) -> Any:
    if value.form == "number":
        return value.dtype.type(0).item()
    if value.form == "scalar":
        return value.dtype.type(0)
    return np.empty((0,) * len(value.shape), value.dtype)


# --- compiling


def _compiled(native: _Native) -> Any:
    """The native function, from numba's cache on disk if it is there."""
    import numba

    types = tuple(map(numba.typeof, native.examples))
    try:
        return _built(native, types, cached=True)
    except Exception:  # whatever a damaged cache, or one that cannot be written, may lead to
        return _built(native, types, cached=False)


def _built(native: _Native, types: tuple[Any, ...], *, cached: bool) -> Any:
    namespace = {"np": np, "f4": np.float32, "f8": np.float64, "ShapeError": ShapeError}
    namespace["as_strided"] = np.lib.stride_tricks.as_strided
    namespace |= blas.routines() | ufunc_loops.routines()
    for name, source in native.emitter.parts.items():
        namespace[name] = _jitted(name, source, namespace, cached)
    function = _jitted(native.name, native.source, namespace, cached)
    function.compile(types)
    return function


def _jitted(name: str, source: str, namespace: dict[str, Any], cached: bool) -> Any:
    import numba

    path = _written(source) if cached else None
    names = {**namespace, "__name__": __name__}
    exec(compile(source, path or f"<{name}>", "exec"), names)
    return numba.njit(error_model="numpy", nogil=True, cache=path is not None)(names[name])


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _written(source: str) -> str | None:
    """A file with this source, by which numba finds what it has compiled; None if it cannot be."""
    path = cache_folder() / f"native_{_digest(source)[:32]}.py"
    try:
        if path.exists() and path.read_bytes() == source.encode():
            return str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(source.encode())
        pathlib.Path(file.name).replace(path)  # nobody ever sees half a file
    except OSError:
        return None
    return str(path)


def cache_folder() -> pathlib.Path:
    """Where compiled programs are kept: $TINYGRAD_DIGITS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("TINYGRAD_DIGITS_CACHE"):
        return pathlib.Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "tinygrad_digits"
