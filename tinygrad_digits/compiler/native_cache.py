"""Compiling native functions by numba, and where what it has compiled is kept."""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import tempfile
from typing import Any

import numpy as np

from ..support.errors import ShapeError
from . import blas, ufunc_loops


def compile_native(name: str, source: str, parts: dict[str, str], examples: tuple[Any, ...]) -> Any:
    """A native function, from numba's cache on disk if it is there.

    Args:
        name: what it is called.
        source: its source.
        parts: the functions that it calls, by name.
        examples: arguments of the types that it will be called with.
    """
    import numba

    types = tuple(map(numba.typeof, examples))
    try:
        return _build(name, source, parts, types, cached=True)
    except Exception:  # whatever a damaged cache, or one that cannot be written, may lead to
        return _build(name, source, parts, types, cached=False)


def _build(
    name: str, source: str, parts: dict[str, str], types: tuple[Any, ...], *, cached: bool
) -> Any:
    namespace = {"np": np, "f4": np.float32, "f8": np.float64, "ShapeError": ShapeError}
    namespace["as_strided"] = np.lib.stride_tricks.as_strided
    namespace |= blas.find_routines() | ufunc_loops.find_routines()
    for part, text in parts.items():
        namespace[part] = _jit_source(part, text, namespace, cached)
    function = _jit_source(name, source, namespace, cached)
    function.compile(types)
    return function


def _jit_source(name: str, source: str, namespace: dict[str, Any], cached: bool) -> Any:
    import numba

    path = _write_source(source) if cached else None
    names = {**namespace, "__name__": __name__}
    exec(compile(source, path or f"<{name}>", "exec"), names)
    return numba.njit(error_model="numpy", nogil=True, cache=path is not None)(names[name])


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _write_source(source: str) -> str | None:
    """A file with this source, by which numba finds what it has compiled; None if it cannot be."""
    path = cache_folder() / f"native_{digest(source)[:32]}.py"
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
