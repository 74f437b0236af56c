"""A program as an object file with a C header: native code that needs neither Python nor NumPy.

    int digits(const float *images, float *out);

The kernels are those of the native backend; around them is one function of plain pointers, with
the constants and the memory for what is computed on the way.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..compiler.native import code as native_code
from ..compiler.native import machine
from ..compiler.native.code import ERRORS, POINTER
from ..compiler.native.expressions import TYPES
from ..compiler.native.segment import NativeSegment
from ..compiler.native.terms import INT8, INT64, declare
from ..compiler.native_backend import NativeEmitter
from ..compiler.passes.for_loops import prepare_for_loops
from ..compiler.primitives import COPY
from ..compiler.program import Aval, Equation, Program, Var
from ..support import tree
from ..support.errors import ExportError
from .names import C_KEYWORDS
from .own_products import define_products
from .tracing import Exported, join_words, suggest_names

C_TYPES = {
    "f": "float", "d": "double", "?": "bool",
    **{np.dtype(f"{kind}{bits}").char: f"{kind}{bits}_t" for kind in ("int", "uint")
       for bits in (8, 16, 32, 64)},
}  # fmt: skip
STATUS = ir.IntType(32)
NO_MEMORY = -1


class CParameter(NamedTuple):
    """An argument of the C function."""

    name: str
    aval: Aval
    path: str
    """What Python calls it."""
    result: bool

    @property
    def by_value(self) -> bool:
        """Whether it is a number, and no pointer to elements."""
        return not self.result and self.aval.form != "array"

    def declare(self) -> str:
        """As the header has it."""
        kind = C_TYPES[self.aval.dtype.char]
        if self.by_value:
            return f"{kind} {self.name}"
        return f"{kind} *{self.name}" if self.result else f"const {kind} *{self.name}"


class Compiled(NamedTuple):
    """The two files: their contents."""

    code: bytes
    header: str


class ObjectEmitter(NativeEmitter):
    """The native parts of a program whose results all go into memory of the caller's."""

    own_products = True

    def _find_planned(self) -> set[int]:
        return super()._find_planned() - self.outputs


def write_object(
    exported: Exported, name: str, made_by: str, *, cblas: bool, cpu: str, mark: str
) -> Compiled:
    """Compile a program to a C function of this name.

    Raises ExportError, naming op and line, for what has no native form.
    """
    program = _copy_results(prepare_for_loops(exported.program))
    emitter = ObjectEmitter(program, frozenset(), threads=1)
    segment = NativeSegment(name, emitter)
    for block in emitter.blocks:
        if not block.native:
            (i,) = block.equations[:1]
            op, reason = program.equations[i].op.name, emitter.reasons[i]
            raise ExportError(
                f"{exported.name_line(i)}: {op} is not native code, since {reason}: leave it out "
                "of the exported function, or export a Python file"
            )
        segment.add(block)
    parameters = _make_unique([*_list_inputs(exported), *_list_results(exported, program)])
    module = _write_module(segment, parameters, name, cblas=cblas, mark=mark)
    code = machine.compile_text(str(module), machine.make_portable_target(cpu))
    return Compiled(code, _write_header(parameters, name, made_by, exported))


def _copy_results(program: Program) -> Program:
    """The program with each result as a copy: a value of its own, whatever it was."""
    equations = dict(program.equations)
    outputs: list[Any] = []
    fresh = program.fresh()
    for x in program.outputs:
        if not isinstance(x, Var):
            raise ExportError(f"the function returns {x!r}, which is no array: leave it out")
        aval = program.aval(x.index)
        copied = replace(aval, form="array", order=())
        equations[fresh] = Equation(COPY, (x,), {}, copied)
        outputs.append(Var(fresh))
        fresh += 1
    return replace(program, equations=equations, outputs=outputs)


# --- parameters


def _list_inputs(exported: Exported) -> list[CParameter]:
    names = suggest_names(exported, exported.program)
    inputs = []
    for i, (path, aval) in exported.program.inputs.items():
        if aval.form == "generator":
            raise ExportError(f"{path} is a random generator, which C has not: draw outside")
        if aval.dtype.char not in C_TYPES:
            raise ExportError(f"{path} is of {aval.dtype}, which native code has not")
        inputs.append(CParameter(_avoid_keywords(names[i]), aval, path, result=False))
    return inputs


def _list_results(exported: Exported, program: Program) -> list[CParameter]:
    places = tree.unflatten(exported.structure, range(len(program.outputs)))
    return [
        CParameter(_avoid_keywords(join_words(path)), program.aval(x.index), path, result=True)
        for (path, _), x in zip(tree.items(places, "out"), program.outputs, strict=True)
    ]


def _make_unique(parameters: list[CParameter]) -> list[CParameter]:
    """The same under names of which there are no two, as where an argument is called `out`."""
    taken: set[str] = set()
    unique = []
    for parameter in parameters:
        name = parameter.name
        while name in taken:
            name += "_"
        taken.add(name)
        unique.append(parameter._replace(name=name))
    return unique


def _avoid_keywords(name: str) -> str:
    return f"{name}_" if name in C_KEYWORDS.split() else name


# --- machine code


def _write_module(
    segment: NativeSegment, parameters: list[CParameter], name: str, *, cblas: bool, mark: str
) -> ir.Module:
    emitter = segment.emitter
    module = ir.Module()
    for kernel in emitter.kernels.values():
        kernel.write(module)
    run = segment.write_run(module, f"{segment.name}_run")
    for function in module.functions:
        if function.blocks:
            function.linkage = "weak_odr" if _is_found_by_name(function) else "internal"
    _write_entry(segment, run, parameters, name)
    define_products(module, cblas=cblas)
    for ours, theirs in ((native_code.ALLOCATE, "malloc"), (native_code.FREE, "free")):
        if ours in module.globals:
            _forward(module.globals[ours], theirs)
    written_by = _add_bytes(module, f"{name}_written_by", mark.encode() + b"\0")
    written_by.linkage = ""  # which the compiler must not leave out
    return module


def _is_found_by_name(function: ir.Function) -> bool:
    """Whether LLVM looks a function up when it vectorises loops; object files may share it."""
    return "_rarely" in function.name


def _write_entry(
    segment: NativeSegment, run: ir.Function, parameters: list[CParameter], name: str
) -> None:
    """The function that C calls: it makes the table of pointers that a segment runs on."""
    module, program = run.module, segment.emitter.program
    kinds = [_type_of(each) for each in parameters]
    entry = ir.Function(module, ir.FunctionType(STATUS, kinds), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    table = builder.alloca(POINTER, INT64(max(len(segment.things), 1)))
    indices = [*program.inputs, *[x.index for x in program.outputs]]
    known: dict[str, Any] = {}
    for i, parameter, argument in zip(indices, parameters, entry.args, strict=True):
        argument.name = parameter.name
        known[segment.emitter.names[i]] = _point_to(builder, parameter, argument)
    for i, constant in program.constants.items():
        held = _add_bytes(module, f"{name}_{segment.emitter.names[i]}", constant.tobytes())
        known[segment.emitter.names[i]] = held
    arena = segment.emitter.scratch_start + segment.emitter.scratch_size
    known["arena"], release = _take_arena(builder, arena)
    for slot, thing in enumerate(segment.things):
        place = builder.gep(table, [INT64(slot)], source_etype=POINTER)
        builder.store(known[thing], place)
    status = builder.trunc(builder.call(run, [table]), STATUS)
    release()
    builder.ret(status)


def _type_of(parameter: CParameter) -> ir.Type:
    if not parameter.by_value:
        return POINTER
    return TYPES[parameter.aval.dtype]


def _point_to(builder: ir.IRBuilder, parameter: CParameter, argument: Any) -> Any:
    """Where the elements of an argument are; those of a number are put somewhere."""
    if not parameter.by_value:
        return argument
    place = builder.alloca(argument.type)
    builder.store(argument, place)
    return place


def _take_arena(builder: ir.IRBuilder, size: int) -> tuple[Any, Any]:
    """Memory for what is computed on the way, and a function that writes how it is given back."""
    if size <= native_code.LARGEST_ON_THE_STACK:
        arena = builder.alloca(INT8, INT64(max(size, 1)))
        arena.align = 64
        return arena, lambda: None
    module = builder.module
    allocate = declare(module, "malloc", ir.FunctionType(POINTER, [INT64]))
    arena = builder.call(allocate, [INT64(size)])
    missing = builder.icmp_unsigned("==", builder.ptrtoint(arena, INT64), INT64(0))
    with builder.if_then(missing, likely=False):
        builder.ret(STATUS(NO_MEMORY))
    free = declare(module, "free", ir.FunctionType(ir.VoidType(), [POINTER]))
    return arena, lambda: builder.call(free, [arena])


def _add_bytes(module: ir.Module, name: str, content: bytes) -> Any:
    """A constant in the object file."""
    kind = ir.ArrayType(INT8, len(content))
    held = ir.GlobalVariable(module, kind, name)
    held.initializer = ir.Constant(kind, bytearray(content))
    held.global_constant, held.linkage, held.align = True, "internal", 64
    return held


def _forward(function: ir.Function, name: str) -> None:
    """Have a function of the native backend be one of C's."""
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    target = declare(function.module, name, function.function_type)
    result = builder.call(target, function.args)
    if isinstance(function.function_type.return_type, ir.VoidType):
        builder.ret_void()
    else:
        builder.ret(result)


# --- the header


def _write_header(parameters: list[CParameter], name: str, made_by: str, exported: Exported) -> str:
    guard = f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_H"
    arguments = ", ".join(each.declare() for each in parameters)
    about = f"{name}: {exported.summary.replace('*/', '* /')}".splitlines()
    lines = [
        f"/* {about[0]}",
        *[f" * {line}" for line in about[1:]],
        " *",
        *[f" *     {line}" for line in _describe(parameters)],
        " *",
        " * Arrays lie row by row, and results share no memory with arguments. Returns 0, or",
        *[f" * {line}" for line in textwrap.wrap(f"{_describe_codes()}.", 88)],
        " *",
        *[f" * {line}" for line in made_by.splitlines()],
        f" * Link it with the C library's mathematics: cc main.c {name}.o -lm",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdbool.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"int {name}({arguments or 'void'});",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _describe(parameters: list[CParameter]) -> Iterator[str]:
    for each in parameters:
        what = each.aval.dtype if each.by_value else f"{each.aval.dtype}{each.aval.shape}"
        yield f"{each.name}: {what}" + (f", {each.path}" if each.path != each.name else "")


def _describe_codes() -> str:
    codes = [f"{code} if {error}" for code, error in enumerate(ERRORS, 1)]
    return f"{NO_MEMORY} without memory, {', '.join(codes)}"
