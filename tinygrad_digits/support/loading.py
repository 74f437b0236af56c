"""Modules that are imported when something of them is first needed."""

from __future__ import annotations

import importlib
import os
from _thread import RLock  # threading itself takes 0.6 ms to import
from typing import Any

_LOADING = RLock()


def load(module: str, name: str | None = None) -> Any:
    """A module of the package, or what has a name in it.

    No fork happens meanwhile: the child of one would wait for Python's own lock on a module that
    another thread was importing.
    """
    with _LOADING:
        found = importlib.import_module(module)
    return found if name is None else getattr(found, name)


if hasattr(os, "register_at_fork"):  # which Windows has not
    os.register_at_fork(
        before=_LOADING.acquire, after_in_parent=_LOADING.release, after_in_child=_LOADING.release
    )
