"""Files that are never half there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

TEMPORARY = ".tmp"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole, or leave the old one as it was.

    The bytes go to a temporary file in the same folder, and to the disk; only then does that file
    take the name, and the folder goes to the disk with it. Whatever goes wrong before (a full disk,
    Ctrl-C), the temporary file is removed.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 (mkstemp makes it 0o600)
        os.replace(temporary, path)  # noqa: PTH105 (atomic on POSIX and Windows)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say of its own accord
        raise


def _sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder; what knows no such thing is left alone."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)  # which Windows refuses for a folder
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
