"""Optional dependencies: imported where they are used, and named by their extra where absent."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..support import errors


def extra(name: str = "digits") -> AbstractContextManager[None]:
    """Around imports: `errors.extra`, with the application's own extra for a default.

    >>> with extra():
    ...     import no_such_module
    Traceback (most recent call last):
    ...
    tinygrad_digits.support.errors.MissingExtraError: this needs no_such_module, which is not \
installed: pip install "tinygrad-digits[digits]"
    """
    return errors.extra(name)
