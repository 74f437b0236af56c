"""What the figures depend on; nothing that names the machine."""

import datetime
import gc
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_digits as td

from .contenders import BACKENDS, missing
from .peers import PEERS, Peer, installed


def describe(peers: dict[str, Peer], cores: list[int], *, asked: bool) -> dict[str, Any]:
    """Versions, processors, threads; `cores` are those that `pin` found, none where it cannot."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "tinygrad_digits": td.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cpus": len(cores) or os.cpu_count(),
        "pinned": bool(cores),
        "gc": "on" if gc.isenabled() else "off",
        "blas": _blas(),
        "backends": {
            name: {module: _version(module) for module in modules}
            for name, (_, modules) in BACKENDS.items()
            if not missing(name)
        },
        "missing": {name: missing(name) for name in BACKENDS if missing(name)},
        "peers": {name: _version(peer.module) for name, peer in peers.items()},
        "not_installed": [name for name in PEERS if asked and name not in installed()],
    }


def _version(module: str) -> str:
    return importlib.metadata.version(module)


def _blas() -> list[dict[str, Any]]:
    """Each thread pool that NumPy has loaded, and how many threads it may use."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    keys = ("internal_api", "version", "architecture", "num_threads")
    return [{key: pool.get(key) for key in keys} for pool in threadpool_info()]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
