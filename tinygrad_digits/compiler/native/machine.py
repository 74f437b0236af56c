"""From LLVM's text to functions that Python can call."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import llvmlite
from llvmlite import binding

from . import products
from .code import ALLOCATE, FREE

Function: TypeAlias = Callable[..., int]


@functools.cache
def _prepare() -> None:
    """Make LLVM ready for the processor at hand, and tell it of what machine code calls."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    for name in (ALLOCATE, FREE):
        binding.add_symbol(name, _read_address(name))
    for name, address in products.find_routines().items():
        binding.add_symbol(name, address)


def _make_target(cpu: str, **how: str) -> Any:
    """A processor as LLVM's target, which an engine takes over: "native" is the one at hand."""
    _prepare()
    if cpu == "native":
        cpu, how["features"] = binding.get_host_cpu_name(), _list_features()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, opt=2, **how)


def _make_own_target() -> Any:
    """The processor at hand, for code that is called where it was made."""
    reloc = "static" if sys.platform == "win32" else "default"
    return _make_target("native", reloc=reloc, codemodel="jitdefault")


def make_portable_target(cpu: str) -> Any:
    """A processor for object files: "generic", "native" (this one), or a name of LLVM's."""
    return _make_target(cpu, reloc="pic", codemodel="default")


def _read_address(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def _list_features() -> str:
    features: str = binding.get_host_cpu_features().flatten()
    return features


def describe_machine() -> str:
    """All on which machine code depends besides its text."""
    versions = llvmlite.__version__, binding.llvm_version_info
    processor = binding.get_host_cpu_name(), _list_features()
    return repr((versions, binding.get_default_triple(), processor))


def compile_text(text: str, target: Any = None) -> bytes:
    """Object code of a module in LLVM's language, for this processor or another."""
    target = target or _make_own_target()
    module = binding.parse_assembly(text)
    module.triple, module.data_layout = binding.get_default_triple(), str(target.target_data)
    tuning = binding.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization, tuning.slp_vectorization = True, False
    tuning.loop_unrolling = False
    builder = binding.create_pass_builder(target, tuning)
    builder.getModulePassManager().run(module, builder)
    code: bytes = target.emit_object(module)
    return code


class Library:
    """Machine code in memory, and its functions by name."""

    def __init__(self, code: bytes) -> None:
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _make_own_target())
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def find(self, name: str, *arguments: Any) -> Function:
        """A function of such arguments, which runs without Python's lock and returns a code."""
        address = self._engine.get_function_address(name)
        function = ctypes.CFUNCTYPE(ctypes.c_int64, *arguments)(address)
        function.library = self  # type: ignore[attr-defined]  # which must live as long
        return function
