"""What can be wrong with what a user has, or asks for."""

from __future__ import annotations

from ..support.errors import AutodiffError


class RunError(AutodiffError, ValueError):
    """A run folder, or a file in it, is missing, damaged, in use or somebody else's."""
