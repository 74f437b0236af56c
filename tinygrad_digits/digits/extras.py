"""Optional dependencies: imported where they are used, and named by their extra where absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..engine.errors import MissingExtraError


@contextmanager
def extra(name: str = "digits") -> Iterator[None]:
    """Around imports: turns a missing module into a MissingExtraError that says what to install.

    >>> with extra():
    ...     import no_such_module
    Traceback (most recent call last):
    ...
    tinygrad_digits.engine.errors.MissingExtraError: this needs no_such_module, which is not \
installed: pip install "tinygrad-digits[digits]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "tinygrad_digits"):  # a mistake of ours, not a missing package
            raise
        raise MissingExtraError(
            f'this needs {module}, which is not installed: pip install "tinygrad-digits[{name}]"'
        ) from error
