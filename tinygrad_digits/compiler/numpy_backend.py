"""The NumPy backend: a program as straight-line Python over memory that is there already.

    matmul(a6, a0, v8)                  into its place in the arena
    add(v8, a1, v8)                     over an operand
    v31 = subtract(a0, v30)             an output: memory of its own
    v12 = kernel(v11, index=...)        what has no form with `out`

Each line calls what eager NumPy calls, so that results are equal to the last bit. How it is
written follows from the row of its op: a ufunc and a reduction by a ufunc take `out`; a view of
what stays in place is made only once; anything else is a call of the row's kernel.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable
from math import isfinite, prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..engine.primitive import Kind
from ..ops import elementwise, indexing, losses, shaping
from ..support.errors import TracedValueError
from .plan import ALIGNMENT, Plan, check, plan
from .program import ITEM, PACK, Line, Operand, Program, Value, Var, found, mapped

Workspace: TypeAlias = tuple[Any, ...]
"""The arrays in the arena and the views of them: what one call of a program works on."""


class Code(NamedTuple):
    """A program that runs: run(inputs, workspace) -> the leaves of the output."""

    run: Callable[[Any, Workspace], list[Any]]
    workspace: Callable[[], Workspace]
    source: str
    plan: Plan
    seconds: float = 0.0
    """That a native compiler took."""


STATEMENTS: dict[Any, str] = {
    np.where: "copyto({out}, {2}); copyto({out}, {1}, 'same_kind', {0})",
    np.copy: "copyto({out}, {0})",
    elementwise.cast.primitive.kernel: "copyto({out}, {0}, 'unsafe')",
    losses.hits.primitive.kernel: "{out}.fill(0); {out}.reshape(-1)[{0}] = {1}",
    PACK.kernel: "",  # its operands are computed there
}
"""How to write into `out` what a kernel that is not a ufunc computes, where that is worth it."""

VIEWS: dict[Any, Callable[[Line], str]] = {
    shaping.reshape.primitive.kernel: lambda line: f"{{0}}.reshape({line.value.shape})",
    np.expand_dims: lambda line: f"{{0}}.reshape({line.value.shape})",
    np.squeeze: lambda line: f"{{0}}.reshape({line.value.shape})",
    np.transpose: lambda line: (
        f"{{0}}.transpose({axes})" if (axes := line.options.get("axes")) else "{0}.T"
    ),
    np.swapaxes: lambda line: "{0}.swapaxes({axis1}, {axis2})".format("{0}", **line.options),
    shaping.broadcast_to.primitive.kernel: lambda line: f"broadcast_to({{0}}, {line.value.shape})",
}
"""The same as methods of arrays, which cost a third of NumPy's functions."""


def compiled(program: Program, name: str, donated: frozenset[int] = frozenset()) -> Code:
    """Emit and compile a program; outputs may be written over the `donated` inputs."""
    return assembled(Emitter(program, donated), name)


def assembled(emitter: Emitter, name: str) -> Code:
    """What an emitter writes, as functions."""
    source = emitter.source(name)
    filename = f"<jit {name} {next(_serials)}>"
    exec(compile(source, filename, "exec"), emitter.namespace)
    run = emitter.namespace.pop("run")  # which keeps the rest, and nothing it
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)  # for tracebacks
    weakref.finalize(run, linecache.cache.pop, filename, None)
    return Code(run, emitter.workspace, source, emitter.plan)


_serials = itertools.count(1)
_MANY = 1 << 18  # elements of a constant that is repeated for speed


def writer(line: Line, program: Program) -> str | None:
    """The statement that computes a line into `out`, with {0}, {1} ... for its operands."""
    kernel = line.op.kernel
    if isinstance(kernel, np.ufunc) and kernel.nout == 1 and not line.options:
        operands = "".join(f"{{{k}}}, " for k in range(len(line.args)))
        return f"{{f}}({operands}out={{out}})"
    if line.op.reduction_ufunc is not None and set(line.options) <= {"axis", "keepdims"}:
        axis, keepdims = line.options.get("axis"), bool(line.options.get("keepdims"))
        return f"{{f}}({{0}}, {axis}, None, {{out}}, {keepdims})"
    if kernel is np.where and not _is_bool(line.args[0], program):
        return None
    return STATEMENTS.get(kernel)


def _is_bool(x: Operand, program: Program) -> bool:
    return isinstance(x, Var) and program.value(x.index).dtype == bool


def is_view(line: Line) -> bool:
    """Whether a line gives its operand's elements another shape or order, fixed beforehand."""
    if line.op.kernel is indexing.take.primitive.kernel:
        return not any(found(line.options))
    return line.op.kind is Kind.VIEW


def may_alias(line: Line, program: Program) -> bool:
    """Whether the value of a line may share memory with its operands."""
    if line.op.kernel is indexing.take.primitive.kernel:
        return not any(program.value(i).shape for i in found(line.options))
    if isinstance(line.op.kernel, np.ufunc) or writer(line, program) is not None:
        return False
    return line.op.kind is not Kind.GATHER


def _shaped(x: Any, shape: tuple[int, ...], name: str) -> Any:
    """x, if it has the shape that it had when the function was traced."""
    if np.shape(x) != shape:
        raise TracedValueError(
            f"{name} returned an array of shape {np.shape(x)}, but {shape} when jit traced the "
            "function: its shape depends on values, so leave it out of the jitted function"
        )
    return x


def _settled(donated: tuple[Any, ...], others: tuple[Any, ...]) -> list[Any]:
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


class Emitter:
    """Writes the source of one program, and makes the workspaces that it runs on."""

    def __init__(
        self, program: Program, donated: frozenset[int], steps: dict[int, int] | None = None
    ) -> None:
        self.program = program
        self.namespace: dict[str, Any] = {
            "copyto": np.copyto,
            "broadcast_to": np.broadcast_to,
            "errstate": np.errstate,
            "asarray": np.asarray,
            "maximum_reduce": np.maximum.reduce,
            "uintp": np.uintp,
            "shaped": _shaped,
            "settled": _settled,
        }
        self.names = {i: f"a{i}" for i in program.inputs}
        self.names |= {i: f"v{i}" for i in program.lines}
        for i, constant in program.constants.items():
            self.names[i] = self._bound(f"c{i}", constant)
        self.numbers: dict[Any, Any] = {}
        self.serials = itertools.count()
        self.outputs = set(found(program.outputs))
        self.read = {*program.last_uses()}
        self.writers = {
            i: w for i, line in program.lines.items() if (w := writer(line, program)) is not None
        }
        self.plan = plan(
            program,
            self._planned(),
            steps=steps,
            aliases={i: line.vars for i, line in program.lines.items() if may_alias(line, program)},
            pointwise=self._pointwise(),
            writable=self._writable(),
            donated=donated,
        )
        check(program, self.plan)
        for i, over in self.plan.in_place.items():
            if over in program.inputs:
                self.names[i] = self.names[over]
        self.standing = self._standing_views()
        """The views that a workspace holds ready."""

    def _is_array(self, i: int) -> bool:
        value = self.program.value(i)
        return value.form in ("array", "scalar") and not value.dtype.hasobject

    def _planned(self) -> set[int]:
        """The values that live in the arena."""
        return {i for i in self.writers if i not in self.outputs and self._is_array(i)}

    def _writable(self) -> set[int]:
        """The lines that can write into given memory."""
        return {*self.writers}

    def _pointwise(self) -> set[int]:
        """The lines that read an element of each operand before they write that element."""
        return {
            i
            for i, line in self.program.lines.items()
            if line.op.kind is Kind.ELEMENTWISE and isinstance(line.op.kernel, np.ufunc)
        }

    # --- memory

    def _standing_views(self) -> list[int]:
        """The view lines that are views indeed (not copies), of what stays where it is."""
        arrays = dict(self.program.constants) | self._places(self._arena())
        standing = []
        for i, line in self.program.lines.items():
            if self._may_stand(i) and all(var in arrays for var in line.vars):
                view = self._viewed(line, arrays)
                if np.may_share_memory(view, arrays[line.vars[0]]) or not view.size:
                    arrays[i] = view
                    standing.append(i)
        return standing

    def _may_stand(self, i: int) -> bool:
        """Whether a workspace could hold this line's view."""
        return is_view(self.program.lines[i])

    def _arena(self) -> Any:
        """Memory for one workspace: bytes, from an aligned address on."""
        memory = np.empty(self.plan.size + ALIGNMENT, np.uint8)
        skip = -memory.ctypes.data % ALIGNMENT
        return memory[skip : skip + self.plan.size]

    def _places(self, arena: Any) -> dict[int, Any]:
        """The planned values in it."""
        return {
            i: self.program.value(i).laid_out(arena[start:stop])
            for i, (start, stop) in self.plan.places.items()
        }

    def _held(self) -> list[str]:
        """The names of what a workspace holds."""
        return [self.names[i] for i in (*self.plan.places, *self.standing)]

    @staticmethod
    def _viewed(line: Line, arrays: dict[int, Any]) -> Any:
        x = arrays[line.vars[0]]
        if line.op.kernel is shaping.broadcast_to.primitive.kernel:
            return np.broadcast_to(x, line.value.shape)  # whose kernel makes a copy
        args = mapped(lambda leaf: arrays[leaf.index] if isinstance(leaf, Var) else leaf, line.args)
        return line.op.kernel(*args, **line.options)

    def workspace(self) -> Workspace:
        """A new arena: what one call of the program works on."""
        arena = self._arena()
        arrays = dict(self.program.constants) | self._places(arena)
        for i in self.standing:
            arrays[i] = self._viewed(self.program.lines[i], arrays)
        named = {"arena": arena} | {self.names[i]: x for i, x in arrays.items()}
        return tuple([named[name] for name in self._held()])

    # --- source

    def source(self, name: str) -> str:
        """The function `run`, one line of the program after the other."""
        unpacked = [
            f"    {self._listed(names)}= {source}"
            for names, source in (
                ([self.names[i] for i in self.program.inputs], "inputs"),
                (self._held(), "workspace"),
            )
            if names
        ]
        head = f"def run(inputs, workspace):  # {name}"
        last = f"    return {self._returned()}"
        lines = [head, *unpacked, *self._settling(), *self._body([*self.program.lines]), last]
        return "\n".join(lines) + "\n"

    def _body(self, indices: list[int]) -> list[str]:
        """The statements of these lines."""
        body: list[str] = []
        errors: dict[str, Any] | None = None
        for i in indices:
            line = self.program.lines[i]
            if i in self.standing:
                continue
            if line.errors != errors and line.errors is not None:
                state = self._bound(f"errors{i}", line.errors)
                body.append(f"    with errstate(**{state}):")
            errors = line.errors
            indent = "    " if errors is None else "        "
            body += [indent + statement for statement in self._statements(i, line)]
        return body

    def _settling(self) -> list[str]:
        """Make sure of donated inputs that will be written over."""
        written = [i for i in self.plan.in_place.values() if i in self.program.inputs]
        if not written:
            return []
        others = [
            self.names[i]
            for i, (_, value) in self.program.inputs.items()
            if i not in written and value.form == "array"
        ]
        names = self._listed(self.names[i] for i in written)
        return [f"    {names}= settled(({names}), ({self._listed(others)}))"]

    @staticmethod
    def _listed(names: Any) -> str:
        return "".join(f"{name}, " for name in names)

    def _statements(self, i: int, line: Line) -> list[str]:
        name = self.names[i]
        arguments = [self._argument(line, x) for x in line.args]
        if i in self.plan.places or i in self.plan.in_place:
            template = self.writers[i]
            words = {"out": name, "f": self._function(line)}
            return [t.format(*arguments, **words) for t in template.split("; ") if t]
        call = self._expression(i, line, arguments)
        if line.op is losses.check_labels.primitive and i not in self.read:
            labels = self.program.value(line.vars[0])
            if labels.dtype == np.intp and labels.nbytes:  # the test costs half of the call
                largest = f"maximum_reduce({arguments[0]}.view(uintp), None)"
                return [f"if {largest} >= {line.options['classes']}:", f"    {call}"]
        return [f"{name} = {call}"]

    def _expression(self, i: int, line: Line, arguments: list[str]) -> str:
        kernel = line.op.kernel
        if i in self.writers and kernel not in STATEMENTS:
            alone = self.writers[i].replace(", out={out})", ")").replace("{out}", "None")
            return alone.format(*arguments, f=self._function(line))
        if kernel is indexing.take.primitive.kernel:
            index = line.options["index"]
            parts = index if isinstance(index, tuple) else (index,)
            return f"{arguments[0]}[{', '.join(map(self._text, parts)) or '()'}]"
        if kernel in VIEWS and self._is_of_array(line) and line.options.get("order", "C") == "C":
            return VIEWS[kernel](line).format(*arguments)
        if line.op is ITEM:
            return f"{arguments[0]}[{arguments[1]}]"
        options = [f"{name}={self._text(x)}" for name, x in line.options.items()]
        call = f"{self._function(line)}({', '.join([*arguments, *options])})"
        if line.op.kind is Kind.OPAQUE and line.value.form == "scalar":
            return f"asarray({call})[()]"
        if line.op.kind is not Kind.OPAQUE or line.value.form != "array":
            return call
        return f"shaped({call}, {line.value.shape}, {line.op.name!r})"

    def _function(self, line: Line) -> str:
        kernel = line.op.kernel
        if line.op.reduction_ufunc is not None and self._is_reduction(line):
            return self._bound(
                f"{line.op.reduction_ufunc.__name__}_reduce", line.op.reduction_ufunc.reduce
            )
        name = line.op.name.replace(".", "_")
        return self._bound(name if name.isidentifier() else "kernel", kernel)

    def _is_of_array(self, line: Line) -> bool:
        """Whether a line is about an array: numbers lack its methods, or have their own."""
        x = line.args[0]
        return isinstance(x, Var) and self.program.value(x.index).form == "array"

    @staticmethod
    def _is_reduction(line: Line) -> bool:
        return set(line.options) <= {"axis", "keepdims"}

    def _argument(self, line: Line, x: Operand) -> str:
        """An operand; for a ufunc a number is an array of the right dtype, made once."""
        if type(x) in (int, float) and isinstance(line.op.kernel, np.ufunc):
            dtypes = {self.program.value(i).dtype for i in line.vars}
            plain = all(self._is_array(i) for i in line.vars)
            if plain and len(dtypes) == 1 and (dtype := dtypes.pop()).kind == "f":
                many = line.op.kernel in (np.maximum, np.minimum) and not line.value.order
                return self._number(x, dtype, line.value.shape if many else ())
        return self._text(x)

    def _number(self, x: float, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
        """A number as an array: of one element, or (maximum goes four times as fast) of many."""
        key, size = (float(x).hex(), dtype), prod(shape)
        if key not in self.numbers or self.numbers[key].size < size <= _MANY:
            with np.errstate(over="ignore"):
                self.numbers[key] = np.full(size, x, dtype)
        known = self.numbers[key]
        array = known[:size].reshape(shape) if size <= known.size else known[:1].reshape(())
        return self._bound(f"k{next(self.serials)}", array)

    def _text(self, x: Operand) -> str:
        if isinstance(x, Var):
            return self.names[x.index]
        if isinstance(x, tuple):
            return f"({self._listed(map(self._text, x))})"
        if isinstance(x, list):
            return f"[{self._listed(map(self._text, x))}]"
        if isinstance(x, slice):
            return f"slice({self._text(x.start)}, {self._text(x.stop)}, {self._text(x.step)})"
        if x is None or x is Ellipsis or type(x) in (bool, int, str):
            return repr(x)
        if type(x) is float and isfinite(x):
            return repr(x)
        return self._bound(f"k{next(self.serials)}", x)

    def _bound(self, name: str, thing: Any) -> str:
        """A name under which the source can use something."""
        while self.namespace.setdefault(name, thing) is not thing:
            name += "_"
        return name

    def _returned(self) -> str:
        leaves, given = [], set()
        for leaf in self.program.outputs:
            text = self._text(leaf)
            if isinstance(leaf, Var):
                text = self._owned(leaf.index, text, leaf.index in given)
                given.add(leaf.index)
            leaves.append(text)
        return f"[{', '.join(leaves)}]"

    def _owned(self, i: int, name: str, given: bool) -> str:
        """A value as the caller's own: nobody else's memory."""
        value: Value = self.program.value(i)
        if value.form in ("number", "generator"):
            return name
        if value.form == "scalar":
            return f"{name}[()]"
        line = self.program.lines.get(i)
        fresh = line is not None and not may_alias(line, self.program) and not given
        if not fresh:
            return f"{name}.copy('K')"  # in the order in which eager has it
        return f"asarray({name})" if value.shape == () else name
