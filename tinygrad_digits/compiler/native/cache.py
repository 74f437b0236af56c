"""Where object code is kept: the user's cache folder, in files that nobody else can write.

A file is a checksum and object code, under a name that says what it was made of and for. What is
loaded runs, so a folder that others may write to is refused, and a file that is not what its
checksum says is made anew. Without a folder nothing is kept.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
import stat
import sys
import tempfile

from ...support.user_lines import warn

CHECKSUM = hashlib.sha256().digest_size
OTHERS_MAY_WRITE = 0o022
ROOT = 0


def cache_folder() -> pathlib.Path:
    """Where compiled programs are kept: $TINYGRAD_DIGITS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("TINYGRAD_DIGITS_CACHE"):
        return pathlib.Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "tinygrad_digits"


def digest(text: str) -> str:
    """A name for what is made of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(key: str) -> bytes | None:
    """The object code that is kept under a key, if it is whole."""
    folder = _find_folder()
    if folder is None:
        return None
    try:
        data = (folder / f"{key}.o").read_bytes()
    except OSError:
        return None
    checksum, code = data[:CHECKSUM], data[CHECKSUM:]
    return code if hashlib.sha256(key.encode() + code).digest() == checksum else None


def write(key: str, code: bytes) -> None:
    """Keep object code under a key, if that can be done."""
    folder = _find_folder()
    if folder is None:
        return
    checksum = hashlib.sha256(key.encode() + code).digest()
    try:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
            file.write(checksum + code)
        pathlib.Path(file.name).replace(folder / f"{key}.o")  # nobody ever sees half a file
    except OSError:
        return


def _find_folder() -> pathlib.Path | None:
    """The folder for object code, made if need be; None if there is none that can be trusted."""
    try:
        folder = cache_folder() / "native"
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
        doubtful = _find_doubtful(folder)
    except (OSError, RuntimeError):  # which Path.home() raises where there is none
        return None
    if doubtful is not None:
        _warn_of(str(doubtful))
        return None
    return folder


def _find_doubtful(folder: pathlib.Path) -> pathlib.Path | None:
    """The folder, or the one around it, if others may write there."""
    if sys.platform == "win32":  # where the user's folders are the user's own
        return None
    user, own, around = os.getuid(), folder.stat(), folder.parent.stat()
    if own.st_uid != user or own.st_mode & OTHERS_MAY_WRITE:
        return folder
    sticky = around.st_mode & stat.S_ISVTX  # what is in it only its owner can replace, as in /tmp
    open_to_others = around.st_mode & OTHERS_MAY_WRITE and not sticky
    return folder.parent if around.st_uid not in (user, ROOT) or open_to_others else None


@functools.cache
def _warn_of(folder: str) -> None:
    """Say once what is wrong with a folder."""
    warn(
        f"compiled programs are not kept: others may write to {folder}, and what is in it would "
        f"be run. chmod 700 {folder}, or set TINYGRAD_DIGITS_CACHE to a folder of your own",
        RuntimeWarning,
    )
