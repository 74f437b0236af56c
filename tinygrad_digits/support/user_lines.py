"""Which line of the user's is being run: for messages, which it decides nothing in.

The package's own frames and NumPy's are passed over. Those of the classifier are a user's.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from types import FrameType
from typing import NamedTuple


class UserLine(NamedTuple):
    """A line of the user's."""

    path: str
    number: int
    code: str
    """As it is written; "" where the source is not there."""

    def __str__(self) -> str:
        return f"{self.path}:{self.number}" + (f": `{self.code}`" if self.code else "")


def user_line() -> str:
    """Where in the user's code we are: 'file:line: `code`'."""
    return str(locate_user())


def locate_user() -> UserLine:
    """The same, in its parts."""
    frame, _ = _user_frame()
    path, number = frame.f_code.co_filename, frame.f_lineno
    return UserLine(path, number, linecache.getline(path, number).strip())


def warn(message: str, category: type[Warning]) -> None:
    """A warning that shows the line in the user's code."""
    _, level = _user_frame()
    warnings.warn(message, category, stacklevel=level)


def _user_frame() -> tuple[FrameType, int]:
    """The nearest frame of the user's, and how far up it is for what has called this."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return frame, level


def _is_inside(module: str) -> bool:
    package = __name__.partition(".")[0]
    root = module.partition(".")[0]
    return (root == package and not module.startswith(f"{package}.digits")) or root == "numpy"
