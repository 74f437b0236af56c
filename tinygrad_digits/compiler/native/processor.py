"""What the processor at hand has."""

from __future__ import annotations

import functools

from llvmlite import binding


@functools.cache
def count_registers() -> tuple[int, int]:
    """How many registers for vectors, and of how many bytes each."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 32, 64
    return (16, 32) if features.get("avx2") else (16, 16)
