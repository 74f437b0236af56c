"""The constants of an exported program: a few numbers in the source, many in a file beside it."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np

from ..compiler.program import Aval
from . import checks
from .copying import write_value
from .draft import Draft, describe
from .expressions import Text

MARK = "Written by tinygrad_digits"
"""By which a file is known as one that may be replaced."""
FEW = 8
"""Elements up to which a constant is written into the source."""


class Constants:
    """The statements that bind them, and the file of those that are large."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.stored: dict[str, Any] = {}

    def write(self) -> list[str]:
        """A statement for each constant that is used; single numbers stand where they are used."""
        draft, lines = self.draft, []
        users = draft.program.uses()
        for i, constant in draft.program.constants.items():
            if not users.get(i):
                continue
            text = _write_small(constant)
            if text is not None and not np.shape(constant):
                draft.texts[i] = Text(text)
                continue
            name = draft.copier.new_name(draft.names[i])
            draft.texts[i] = Text(name)
            described = f"  # {describe(Aval.of(constant))}"
            lines.append(f"{name} = {text or self._store(name, constant)}{described}")
        return lines

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
    """A constant of a few ordinary numbers as an expression; None for others."""
    dtype = constant.dtype
    few = 0 < np.size(constant) <= FEW and dtype.char in "fd?bhilqBHILQ"
    if not few or Aval.of(constant).order or not np.isfinite(constant).all():
        return None
    if not isinstance(constant, np.ndarray):
        return write_value(constant)
    return f"np.array({constant.tolist()}, {dtype.name!r})"
