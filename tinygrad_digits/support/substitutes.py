"""What stands in for functions of NumPy and SciPy when an argument is a Tensor.

The chapters of `ops` fill these tables; operators, methods and NumPy's protocols look up in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NUMPY: dict[Any, Callable[..., Any]] = {}
"""What stands in for each NumPy function.

A method of a ufunc has an entry `(ufunc, "reduce")`, its call with keywords `(ufunc, "__call__")`.
Where an operator or a method of arrays is no NumPy function, or a shorter way than through one, the
entry is that of `operator.getitem`, `np.ndarray.flatten` ...
"""

SCIPY: dict[str, Callable[..., Any]] = {}
"""What stands in for the ufuncs of scipy.special: by name, for SciPy may be imported later."""

REFUSED: dict[Any, str] = {}
"""Why a NumPy function has nothing to stand in for it, where there is a reason to tell."""

INSTEAD: dict[str, str] = {}
"""What to write instead of functions of other libraries, by dotted name: its own or a module's."""

PROTOCOLS: dict[str, Callable[..., Any]] = {}
"""How a call that came by `__array_ufunc__` or `__array_function__` is answered."""
