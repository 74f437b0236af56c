"""The NumPy backend: a program as straight-line Python over memory that is there already.

    matmul(a6, a0, v8)                  into its place in the arena
    add(v8, a1, v8)                     over an operand
    v31 = subtract(a0, v30)             an output: memory of its own
    v12 = kernel(v11, index=...)        what has no form with `out`

Each equation calls what eager NumPy calls, so that results are equal to the last bit. What can
write into given memory does (`numpy_statements`); a view of what stays in place is made only once;
anything else is a call of the op's kernel.
"""

from __future__ import annotations

import itertools
import linecache
import operator
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..engine.primitive import Kind, Primitive
from ..staging.lowering import SourceArray, SourceCall, lowering_of
from ..support.errors import TracedValueError
from .namespace import Namespace, list_names
from .numpy_statements import VIEWS, find_statement, is_view, may_alias
from .passes.for_numpy import FOR_NUMPY
from .plan import ALIGNMENT, Plan, check, plan
from .primitives import ITEM
from .program import Aval, Equation, Operand, Program, Var, map_operand, vars_in

PASSES = FOR_NUMPY
"""What a program goes through before."""

Workspace: TypeAlias = tuple[Any, ...]
"""The arrays in the arena and the views of them: what one call of a program works on."""


class Code(NamedTuple):
    """A program that runs: run(inputs, workspace) -> the leaves of the output."""

    run: Callable[[Any, Workspace], list[Any]]
    workspace: Callable[[], Workspace]
    source: str
    plan: Plan
    seconds: float = 0.0
    """Of native compilation."""


class Runner:
    """A program that may run several times at once: each call has a workspace to itself."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.idle: list[Workspace] = []  # pop and append are atomic

    @property
    def source(self) -> str:
        return self.code.source

    def __call__(self, *inputs: Any) -> list[Any]:
        try:
            workspace = self.idle.pop()
        except IndexError:
            workspace = self.code.workspace()
        try:
            return self.code.run(inputs, workspace)
        finally:
            self.idle.append(workspace)


def compile_program(
    program: Program,
    name: str,
    donated: frozenset[int] = frozenset(),
    threads: int | None = None,  # noqa: ARG001 (NumPy has its own)
) -> Code:
    """Emit and compile a program; outputs may be written over the `donated` inputs."""
    emitter = Emitter(program, donated)
    return assemble(emitter, name, emitter.source(name))


def assemble(emitter: Emitter, name: str, source: str) -> Code:
    """What an emitter has written, as functions."""
    filename = f"<jit {name} {next(_serials)}>"
    exec(compile(source, filename, "exec"), emitter.namespace.things)
    run = emitter.namespace.things.pop("run")  # which keeps the rest, and nothing it
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)  # for tracebacks
    weakref.finalize(run, linecache.cache.pop, filename, None)
    return Code(run, emitter.workspace, "\n".join([source, *emitter.inside]), emitter.plan)


_serials = itertools.count(1)


def _check_shape(x: Any, shape: tuple[int, ...], name: str) -> Any:
    """x, if it has the shape that it had when the function was traced."""
    if np.shape(x) != shape:
        raise TracedValueError(
            f"{name} returned an array of shape {np.shape(x)}, but {shape} when jit traced the "
            "function: its shape depends on values, so leave it out of the jitted function"
        )
    return x


def _rounds_otherwise_in_place(eqn: Equation) -> bool:
    """Whether NumPy's last digits depend on where the result goes.

    Of a single complex number that is overwritten by its product, NumPy's loop for vectors sees
    operands that overlap, and leaves it to another, which rounds each product before their sum.
    """
    single = eqn.aval.dtype.kind == "c" and eqn.aval.nbytes == eqn.aval.dtype.itemsize
    return single and eqn.op.kernel in (np.multiply, np.square)


def _settle(donated: tuple[Any, ...], others: tuple[Any, ...]) -> list[Any]:
    """Donated arrays that may be written into: copies of those that are not the caller's alone."""
    views = [x for x in (*donated, *others) if x.base is not None]
    seen = [*map(id, donated), *map(id, others)]
    return [
        x
        if x.flags.carray
        and x.base is None
        and seen.count(id(x)) == 1
        and not any(np.may_share_memory(x, view) for view in views)
        else x.copy()
        for x in donated
    ]


GIVEN: dict[str, Any] = {
    "copyto": np.copyto,
    "broadcast_to": np.broadcast_to,
    "errstate": np.errstate,
    "array": np.array,
    "asarray": np.asarray,
    "empty": np.empty,
    "maximum_reduce": np.maximum.reduce,
    "uintp": np.uintp,
    "check_shape": _check_shape,
    "settle": _settle,
}
"""What the source of every program can use."""

LARGE = 1 << 14
"""Bytes from which on an array is let go as soon as it is read; for smaller ones the statement,
15 ns, is not worth it."""

SUBPROGRAMS: dict[Primitive, Callable[[Equation], Any]] = {}
"""How the function of an equation that holds programs is made, with its source (`numpy_loops`)."""


class Emitter:
    """Writes the source of one program, and makes the workspaces that it runs on."""

    def __init__(
        self, program: Program, donated: frozenset[int], steps: dict[int, int] | None = None
    ) -> None:
        self.program = program
        self.namespace = Namespace(program, GIVEN)
        self.names = self.namespace.values
        self.outputs = set(vars_in(program.outputs))
        self.read = {*program.last_uses()}
        self.inside: list[str] = []  # the sources of the loops in it
        self.writers = {
            i: w
            for i, eqn in program.equations.items()
            if (w := find_statement(eqn, program)) is not None
        }
        self.plan = self._make_plan(donated, steps)
        check(program, self.plan)
        for i, over in self.plan.in_place.items():
            if over in program.inputs:
                self.names[i] = self.names[over]
        self.preallocated = self._preallocate_views()
        """The views that a workspace holds ready."""

    def _is_array(self, i: int) -> bool:
        aval = self.program.aval(i)
        return aval.form in ("array", "scalar") and not aval.dtype.hasobject

    def _find_planned(self) -> set[int]:
        """The values that live in the arena."""
        return {i for i in self.writers if i not in self.outputs and self._is_array(i)}

    def _find_writable(self) -> set[int]:
        """The equations that can write into given memory."""
        return {*self.writers}

    def _find_pointwise(self) -> set[int]:
        """The equations that read an element of each operand before they write that element."""
        return {
            i
            for i, eqn in self.program.equations.items()
            if eqn.op.kind is Kind.ELEMENTWISE
            and isinstance(eqn.op.kernel, np.ufunc)
            and not _rounds_otherwise_in_place(eqn)
        }

    # --- memory

    def _make_plan(self, donated: frozenset[int], steps: dict[int, int] | None) -> Plan:
        equations = self.program.equations
        return plan(
            self.program,
            self._find_planned(),
            steps=steps,
            aliases={i: e.vars for i, e in equations.items() if may_alias(e, self.program)},
            pointwise=self._find_pointwise(),
            writable=self._find_writable(),
            donated=donated,
        )

    def _preallocate_views(self) -> list[int]:
        """The view equations that are views indeed (not copies), of what stays where it is."""
        arrays = dict(self.program.constants) | self._place_values(self._make_arena())
        preallocated = []
        for i, eqn in self.program.equations.items():
            if self._may_be_preallocated(i) and all(var in arrays for var in eqn.vars):
                view = self._make_view(eqn, arrays)
                if np.may_share_memory(view, arrays[eqn.vars[0]]) or not view.size:
                    arrays[i] = view
                    preallocated.append(i)
        return preallocated

    def _may_be_preallocated(self, i: int) -> bool:
        """Whether a workspace could hold this equation's view."""
        return is_view(self.program.equations[i])

    def _make_arena(self) -> Any:
        """Memory for one workspace: bytes, from an aligned address on."""
        size = self._arena_size()
        memory = np.empty(size + ALIGNMENT, np.uint8)
        skip = -memory.ctypes.data % ALIGNMENT
        return memory[skip : skip + size]

    def _arena_size(self) -> int:
        return self.plan.size

    def _place_values(self, arena: Any) -> dict[int, Any]:
        """The planned values in it."""
        return {
            i: self.program.aval(i).lay_out(arena[start:stop])
            for i, (start, stop) in self.plan.places.items()
        }

    def _list_held(self) -> list[str]:
        """The names of what a workspace holds."""
        return [self.names[i] for i in (*self.plan.places, *self.preallocated)]

    @staticmethod
    def _make_view(eqn: Equation, arrays: dict[int, Any]) -> Any:
        x = arrays[eqn.vars[0]]
        if eqn.op.function is np.broadcast_to:
            return np.broadcast_to(x, eqn.aval.shape)  # the kernel makes a copy
        args = map_operand(
            lambda leaf: arrays[leaf.index] if isinstance(leaf, Var) else leaf, eqn.args
        )
        return eqn.op.kernel(*args, **eqn.options)

    def workspace(self) -> Workspace:
        """A new arena: what one call of the program works on."""
        arena = self._make_arena()
        arrays = dict(self.program.constants) | self._place_values(arena)
        for i in self.preallocated:
            arrays[i] = self._make_view(self.program.equations[i], arrays)
        named = {"arena": arena} | {self.names[i]: x for i, x in arrays.items()}
        return tuple([named[name] for name in self._list_held()])

    # --- source

    def source(self, name: str) -> str:
        """The function `run`, one equation of the program after the other."""
        head = self._write_head(name, [self.names[i] for i in self.program.inputs])
        body = [*self._write_settling(), *self._write_body([*self.program.equations])]
        results = ", ".join(self._write_owned(self.program.outputs))
        return "\n".join([*head, *body, f"    return [{results}]"]) + "\n"

    def _write_head(self, name: str, inputs: list[str]) -> list[str]:
        """The first lines of the function: what it is given, by name."""
        unpacked = ((inputs, "inputs"), (self._list_held(), "workspace"))
        return [
            f"def run(inputs, workspace):  # {name}",
            *[f"    {list_names(names)}= {source}" for names, source in unpacked if names],
        ]

    def _write_body(self, indices: list[int]) -> list[str]:
        """The statements of these equations."""
        body: list[str] = []
        errors: dict[str, Any] | None = None
        spent = self._find_spent(indices)
        for i in indices:
            eqn = self.program.equations[i]
            statements = [] if i in self.preallocated else self._write_statements(i, eqn)
            if not statements:
                continue
            if eqn.errors != errors and eqn.errors is not None:
                state = self.namespace.bind(f"errors{i}", eqn.errors)
                body.append(f"    with errstate(**{state}):")
            errors = eqn.errors
            indent = "    " if errors is None else "        "
            body += [indent + statement for statement in statements]
            if i in spent:
                body.append(f"{indent}del {', '.join(spent[i])}")
        return body

    def _find_spent(self, indices: list[int]) -> dict[int, list[str]]:
        """By equation, the large arrays outside the arena that nobody reads after it.

        Their memory is the next array's: an unrolled loop that reads its rows one by one would
        otherwise hold a gradient of all rows for each, and take four times as long.
        """
        if [*self.program.equations] != indices:
            return {}  # a part of them: others may read what these have read
        held = {*self.plan.places, *self.plan.in_place, *self.preallocated, *self.outputs}
        aval, spent = self.program.aval, dict[int, list[str]]()
        for i, last in self.program.last_uses().items():
            if i in self.program.equations and i not in held and aval(i).nbytes >= LARGE:
                spent.setdefault(last, []).append(self.names[i])
        return spent

    def _write_settling(self) -> list[str]:
        """Make sure of donated inputs that will be written over."""
        written = [i for i in self.plan.in_place.values() if i in self.program.inputs]
        if not written:
            return []
        others = [
            self.names[i]
            for i, (_, aval) in self.program.inputs.items()
            if i not in written and aval.form == "array"
        ]
        names = list_names(self.names[i] for i in written)
        return [f"    {names}= settle(({names}), ({list_names(others)}))"]

    def _write_statements(self, i: int, eqn: Equation) -> list[str]:
        name = self.names[i]
        arguments = [self._write_argument(eqn, x) for x in eqn.args]
        if self._has_memory(i):
            template = self.writers[i]
            words = {"out": name, "f": self._bind_function(eqn)}
            return [t.format(*arguments, **words) for t in template.split("; ") if t]
        call = self._write_expression(i, eqn, arguments)
        guard = lowering_of(eqn.op).guard if i not in self.read else None
        condition = guard(self._describe_call(i, eqn)) if guard is not None else None
        if condition is not None:
            return [f"if {condition}:", f"    {call}"]
        return [f"{name} = {call}"]

    def _has_memory(self, i: int) -> bool:
        """Whether there is memory to write a value into."""
        return i in self.plan.places or i in self.plan.in_place

    def _describe_call(self, i: int, eqn: Equation) -> SourceCall:
        """An equation as what is registered on its primitive gets to see it."""

        def describe(x: Operand) -> Any:
            if not isinstance(x, Var):
                return x
            aval = self.program.aval(x.index)
            return SourceArray(self.names[x.index], aval.shape, aval.dtype, not aval.order)

        args, options = map_operand(describe, (eqn.args, eqn.options))
        return SourceCall(args, options, describe(Var(i)))

    def _write_expression(self, i: int, eqn: Equation, arguments: list[str]) -> str:
        function = eqn.op.function
        if i in self.writers and "{f}" in self.writers[i]:
            alone = self.writers[i].replace(", out={out})", ")").replace("{out}", "None")
            return alone.format(*arguments, f=self._bind_function(eqn))
        if function is operator.getitem:
            index = eqn.options["index"]
            parts = index if isinstance(index, tuple) else (index,)
            return f"{arguments[0]}[{', '.join(map(self.namespace.text, parts)) or '()'}]"
        if function in VIEWS and self._is_of_array(eqn) and eqn.options.get("order", "C") == "C":
            return VIEWS[function](eqn).format(*arguments)
        if eqn.op is ITEM:
            return f"{arguments[0]}[{arguments[1]}]"
        if eqn.op in SUBPROGRAMS:
            function = SUBPROGRAMS[eqn.op](eqn)
            self.inside.append(function.source)
            return f"{self.namespace.bind(eqn.op.name, function)}({', '.join(arguments)})"
        options = [f"{name}={self.namespace.text(x)}" for name, x in eqn.options.items()]
        call = f"{self._bind_function(eqn)}({', '.join([*arguments, *options])})"
        if eqn.op.kind is Kind.OPAQUE and eqn.aval.form == "scalar":
            return f"asarray({call})[()]"
        if eqn.op.kind is not Kind.OPAQUE or eqn.aval.form != "array":
            return call
        return f"check_shape({call}, {eqn.aval.shape}, {eqn.op.name!r})"

    def _bind_function(self, eqn: Equation) -> str:
        kernel, ufunc = eqn.op.kernel, eqn.op.reduction_ufunc
        if ufunc is not None and set(eqn.options) <= {"axis", "keepdims"}:
            return self.namespace.bind(f"{ufunc.__name__}_reduce", ufunc.reduce)
        name = eqn.op.name.replace(".", "_")
        return self.namespace.bind(name if name.isidentifier() else "kernel", kernel)

    def _is_of_array(self, eqn: Equation) -> bool:
        """Whether an equation is about an array: numbers lack its methods, or have their own."""
        x = eqn.args[0]
        return isinstance(x, Var) and self.program.aval(x.index).form == "array"

    def _write_argument(self, eqn: Equation, x: Operand) -> str:
        """An operand; for a ufunc a number is an array of the right dtype, made once."""
        if type(x) in (int, float) and isinstance(eqn.op.kernel, np.ufunc):
            dtypes = {self.program.aval(i).dtype for i in eqn.vars}
            plain = all(self._is_array(i) for i in eqn.vars)
            if plain and len(dtypes) == 1 and (dtype := dtypes.pop()).kind == "f":
                many = eqn.op.kernel in (np.maximum, np.minimum) and not eqn.aval.order
                return self.namespace.number(x, dtype, eqn.aval.shape if many else ())
        return self.namespace.text(x)

    def _write_owned(self, operands: list[Operand]) -> list[str]:
        """Operands as the caller's own, each in other memory."""
        texts, given = [], set()
        for x in operands:
            text = self.namespace.text(x)
            if isinstance(x, Var):
                text = self._own(x.index, text, x.index in given)
                given.add(x.index)
            texts.append(text)
        return texts

    def _own(self, i: int, name: str, given: bool) -> str:
        """A value as the caller's own: nobody else's memory."""
        aval: Aval = self.program.aval(i)
        if aval.form in ("number", "generator"):
            return name
        if aval.form == "scalar":
            return f"{name}[()]"
        eqn = self.program.equations.get(i)
        fresh = eqn is not None and not may_alias(eqn, self.program) and not given
        if not fresh:
            return f"{name}.copy('K')"  # in the order in which eager has it
        return f"asarray({name})" if aval.shape == () else name
