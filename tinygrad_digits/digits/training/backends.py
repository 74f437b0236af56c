"""Which backend of `jit` trains, and reads."""

from __future__ import annotations

import importlib.util

from ...compiler.api import BACKENDS

AUTO, NATIVE, NUMPY = "auto", "native", "numpy"


def choose_backend(wanted: str | None) -> str | None:
    """What "auto" stands for: native code where llvmlite is installed, else NumPy's.

    A training by the recipe takes 8 seconds of one core natively, 10.5 by NumPy. The last bits of
    the two differ, so what was chosen is kept with what was trained by it.

    >>> choose_backend("numpy"), choose_backend(None), choose_backend("auto") in BACKENDS
    ('numpy', None, True)
    """
    if wanted != AUTO:
        return wanted
    compiles = NATIVE in BACKENDS and importlib.util.find_spec("llvmlite") is not None
    return NATIVE if compiles else NUMPY
