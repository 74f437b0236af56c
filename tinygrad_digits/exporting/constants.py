"""The constants of an exported program: a few numbers in the source, many in a file beside it."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np

from ..compiler.program import Aval
from . import checks
from .copying import write_value
from .draft import Draft, Scope, describe
from .expressions import Text

MARK = "Written by tinygrad_digits"
"""By which a file is known as one that may be replaced."""
ORDINARY = "fd?bhilqBHILQ"
"""Characters of dtypes whose numbers Python writes to the last bit."""
FEW, LONGEST = 8, 80
"""Elements up to which a constant is written into the source, and characters."""


class Constants:
    """The statements that bind them, and the file of those that are large."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.lines: list[str] = []
        self.stored: dict[str, Any] = {}
        self._known: dict[Any, str] = {}

    def add(self, scope: Scope) -> None:
        """Bind those of a program that are used; single numbers stand where they are used."""
        users = scope.program.uses()
        for i, constant in scope.program.constants.items():
            if not users.get(i):
                continue
            text = _write_small(constant)
            if text is not None and not np.shape(constant):
                scope.texts[i] = Text(text)
                continue
            scope.texts[i] = Text(self._bind(constant, scope.names[i], text))

    def _bind(self, constant: Any, wanted: str, text: str | None) -> str:
        """The name of a constant, which several programs of the file may use."""
        aval = Aval.of(constant)
        key = constant.tobytes(), str(aval), aval.form, aval.order
        if key not in self._known:
            name = self._known[key] = self.draft.copier.new_name(wanted)
            source = text or self._store(name, constant)
            self.lines.append(f"{name} = {source}  # {describe(aval)}")
        return self._known[key]

    def _store(self, name: str, constant: Any) -> str:
        """An expression that loads a constant, in the order in memory that BLAS saw it in."""
        order = Aval.of(constant).order
        self.stored[name] = np.transpose(constant, order) if order else constant
        loaded = f"_arrays[{name!r}]"
        if not isinstance(constant, np.ndarray):
            return f"{loaded}[()]"
        return f"{loaded}.transpose({(*np.argsort(order).tolist(),)})" if order else loaded

    def pack(self) -> bytes | None:
        """The bytes of the .npz file, the same for the same constants; None where it is empty."""
        if not self.stored:
            return None
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, _written_by=np.bytes_(MARK), **self.stored)
        return file.getvalue()

    def write_loading(self, arrays: bytes, name: str) -> list[str]:
        """The function that loads the file, which comes before all others, and its call."""
        copier, digest = self.draft.copier, hashlib.sha256(arrays).hexdigest()
        load = copier.copy(checks.load_arrays)
        return [copier.sources.pop(), "", "", f"_arrays = {load}({name!r}, {digest!r})"]


def _write_small(constant: Any) -> str | None:
    """A constant of a few ordinary numbers, or of one many times; None for others."""
    dtype, size = constant.dtype, np.size(constant)
    ordinary = size > 0 and dtype.char in ORDINARY and not Aval.of(constant).order
    if not ordinary or not np.isfinite(constant).all():
        return None
    if not isinstance(constant, np.ndarray):
        return write_value(constant)
    first = constant.reshape(-1)[0]
    if size > 1 and constant.tobytes() == size * first.tobytes():
        return f"np.full({constant.shape}, {first.item()}, {dtype.name!r})"
    text = f"np.array({constant.tolist()}, {dtype.name!r})"
    return text if size <= FEW and len(text) <= LONGEST else None
