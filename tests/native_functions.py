"""Functions of compiler.native.mathematics as functions of arrays, each a vectorised loop."""

import ctypes
import functools

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from tinygrad_digits.compiler.native.mathematics import BINARY, define_function
from tinygrad_digits.compiler.native.terms import DOUBLE, FLOAT, INT64

TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.float64): DOUBLE}


@functools.cache
def find_machine():
    """The processor that runs this."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )


def build_loop(name, dtype):
    """A module with `loop(n, out, x, ...)`: out[i] = name(x[i], ...)."""
    module, a_type = ir.Module(), TYPES[np.dtype(dtype)]
    function = define_function(module, name, a_type)
    pointers = [a_type.as_pointer()] * (1 + len(function.args))
    loop = ir.Function(module, ir.FunctionType(ir.VoidType(), [INT64, *pointers]), "loop")
    n, out, *inputs = loop.args
    for pointer in loop.args[1:]:
        pointer.add_attribute("noalias")
    entry, body, end = (loop.append_basic_block(each) for each in ("entry", "body", "end"))
    builder = ir.IRBuilder(entry)
    builder.branch(body)
    builder.position_at_end(body)
    i = builder.phi(INT64)
    numbers = [builder.load(builder.gep(x, [i])) for x in inputs]
    builder.store(builder.call(function, numbers), builder.gep(out, [i]))
    following = builder.add(i, INT64(1))
    i.add_incoming(INT64(0), entry)
    i.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, n), body, end)
    builder.position_at_end(end)
    builder.ret_void()
    return module


@functools.cache
def compile_loop(name, dtype):
    """The optimised IR of such a loop, and the function of arrays that it makes."""
    module = llvm.parse_assembly(str(build_loop(name, dtype)))
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(find_machine(), options)
    passes.getModulePassManager().run(module, passes)
    text = str(module)
    engine = llvm.create_mcjit_compiler(module, find_machine())
    engine.finalize_object()
    count = 2 if name in BINARY else 1
    pointer = np.ctypeslib.ndpointer(dtype, flags="C")
    signature = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[pointer] * (1 + count))
    run = signature(engine.get_function_address("loop"))

    def call(*arrays):
        arrays = [np.ascontiguousarray(x, dtype) for x in np.broadcast_arrays(*arrays)]
        out = np.empty_like(arrays[0])
        run(out.size, out, *arrays)
        return out

    call.engine = engine  # which owns the code
    return text, call
