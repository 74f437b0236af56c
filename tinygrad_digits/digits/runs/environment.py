"""Where a run was made: versions and machine, and nothing that tells whose it is."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform

from ... import __version__

LIBRARIES = ("numpy", "scipy", "scikit-learn", "llvmlite", "matplotlib", "safetensors")


def describe_environment() -> dict[str, str]:
    """What is here now, by name; libraries that are not installed are left out.

    >>> list(describe_environment())[:4]
    ['date', 'tinygrad_digits', 'Python', 'numpy']
    """
    now = datetime.datetime.now(datetime.UTC)
    found = {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "tinygrad_digits": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
    }
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
    }
