"""The machine code of a program: from the cache, or compiled."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import pathlib
from typing import Any, Protocol

from llvmlite import ir

from . import cache, host
from .machine import Function, Library, compile_text, describe_machine
from .segment import Kernels, NativeSegment
from .threads import share


class Native(Protocol):
    """What has native parts."""

    kernels: Kernels
    segments: list[NativeSegment]
    threads: int

    @property
    def notation(self) -> str:
        """They, in writing."""


def load(emitter: Native) -> dict[str, Function]:
    """The native functions of a program by name."""
    if not emitter.segments:
        return {}
    text = emitter.notation
    if not all(kernel.notation.is_ours for kernel in emitter.kernels.values()):
        text = write_module(emitter)  # notation does not tell what formulas from outside say
    made_for = describe_machine(), host.describe_layout(), _digest_sources()
    key = cache.digest("\n".join([*made_for, text]))
    code = cache.read(key)
    if code is None:
        code = compile_text(write_module(emitter))
        cache.write(key, code)
    library = Library(code)
    return {segment.name: _bind(library, segment, emitter.threads) for segment in emitter.segments}


def write_module(emitter: Native) -> str:
    """Kernels and segments in LLVM's language."""
    module = ir.Module()
    for kernel in emitter.kernels.values():
        kernel.write(module)
    for segment in emitter.segments:
        segment.write(module)
    return str(module)


def _bind(library: Library, segment: NativeSegment, threads: int) -> Function:
    """A segment as a function of a tuple, whoever finds the arrays' elements."""
    bounds = [ctypes.c_int64] * (2 * segment.is_split)
    if host.has_known_layout():
        function = library.find(segment.name, ctypes.py_object, *bounds)
        return share(function, threads) if segment.is_split else function
    function = library.find(segment.name, ctypes.c_void_p)

    def run(things: tuple[Any, ...]) -> int:
        places, alive = host.find_addresses(tuple(map(host.make_plain, things)))
        code: int = function(ctypes.addressof(places))
        del alive
        return code

    return run


@functools.cache
def _digest_sources() -> str:
    """What notation leaves out: how the package writes the machine code of an op."""
    package = pathlib.Path(__file__).parents[2]
    files = sorted([*pathlib.Path(__file__).parent.rglob("*.py"), *(package / "ops").glob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
