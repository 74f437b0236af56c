"""A lock on a folder that one process holds, and that vanishes with it, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

NAME = ".lock"


@contextlib.contextmanager
def hold(folder: Path, name: str = NAME) -> Iterator[None]:
    """Hold the folder's lock, or the one of this name in it.

    Raises BlockingIOError at once where another process holds it, or we do ourselves.

    The file is there only while the lock is held, or after its holder was killed; what counts is
    the operating system's lock on it, which no killed process leaves behind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold(Path(folder)):
    ...     [path.name for path in Path(folder).iterdir()]
    ['.lock']
    """
    path = folder / name
    handle = _acquire(path)
    try:
        yield
    finally:
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(handle)
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            path.unlink(missing_ok=True)
            os.close(handle)


def _acquire(path: Path) -> int:
    """An open, locked handle of the file that now bears the name."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder removed it between our opening it and locking it


def _lock(handle: int) -> None:
    """Lock an open file, or raise BlockingIOError."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from error
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
