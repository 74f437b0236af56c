"""A file of what is done, from which a command that was stopped goes on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from ...support.files import write_atomically
from ..errors import RunError
from ..runs import locking

T = TypeVar("T")


class Journal(Generic[T]):
    """A file of JSON lines: what all rows have in common, and then each as it is done.

    It is replaced as a whole with each row, so that it is never half a line. Opening one that is
    there takes up its rows. Raises RunError, naming it, where it is damaged or of another kind.
    Rows are NamedTuples; `decode` makes one of what JSON made of its dictionary.
    """

    def __init__(
        self, path: Path | None, common: dict[str, Any], decode: Callable[[dict[str, Any]], T]
    ) -> None:
        self.path, self.common, self.decode = path, common, decode
        self.rows: list[T] = []
        if path is None:
            return
        if path.exists():
            self._read(path)
        self._write()

    def add(self, row: T) -> None:
        """Keep a row."""
        self.rows.append(row)
        self._write()

    def _read(self, path: Path) -> None:
        try:
            common, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            self.rows = [self.decode(row) for row in rows]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RunError(f"{path} is no file of what was done: {error!r}") from error
        if common != self.common:
            theirs, ours = _spell(common), _spell(self.common)
            raise RunError(f"{path} is of {theirs}, not {ours}: take these, or a new file")

    def _write(self) -> None:
        if self.path is not None:
            rows: list[Any] = [self.common, *(row._asdict() for row in self.rows)]  # type: ignore[attr-defined]
            text = "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows)
            write_atomically(self.path, text.encode())


def _spell(common: Any) -> str:
    """What rows have in common, for people.

    >>> _spell({"splits": 3, "among": ["a", "b"]})
    'splits 3, among a, b'
    """
    if not isinstance(common, dict):
        return "another kind"
    told = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in common.items()}
    return ", ".join(f"{name} {value}" for name, value in told.items())


@contextlib.contextmanager
def open_journal(
    path: Path | None, common: dict[str, Any], decode: Callable[[dict[str, Any]], T]
) -> Iterator[Journal[T]]:
    """The journal in a file, which nobody else writes meanwhile; RunError if somebody does."""
    with contextlib.ExitStack() as held:
        if path is not None:
            try:
                held.enter_context(locking.hold(path.parent, f".{path.name}.lock"))
            except BlockingIOError as error:
                raise RunError(f"{path}: another process is writing it; take another") from error
            except FileNotFoundError as error:
                raise RunError(f"{path}: there is no folder {path.parent}") from error
        yield Journal(path, common, decode)
