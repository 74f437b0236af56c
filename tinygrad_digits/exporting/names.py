"""Names that an exported function cannot have, since they mean something already."""

from __future__ import annotations

import keyword
import sys

C_KEYWORDS = """
    alignas alignof auto bool break case char const constexpr continue default do double else enum
    extern false float for goto if inline int long nullptr register restrict return short signed
    sizeof static struct switch thread_local true typedef typeof union unsigned void volatile while
    """
C_LIBRARY = """
    main malloc free memcpy memmove memset memcmp abs exp exp2 expm1 log log2 log10 log1p sin cos
    tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh sqrt cbrt hypot pow fmod floor ceil
    trunc round rint fabs fma erf erfc tgamma lgamma
    """
TAKEN = {
    ".py": {*keyword.kwlist, *sys.stdlib_module_names, "np", "numpy"},
    ".o": {*C_KEYWORDS.split(), *C_LIBRARY.split()},
}
"""By what kind of file; a Python file is a module, which must not hide one that NumPy imports."""
