"""NumPy's functions that Tensors are refused by, each with the reason and what to write instead.

Those that write into arrays are in `assignment`, those of linear algebra in `decompositions`.
"""

from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Kind
from ..support.substitutes import INSTEAD, NUMPY, REFUSED

INTEGERS = "it is about integers, and derivatives about floats; give it plain arrays"
DATES = "dates have no derivative; give it plain arrays"
SETS = "it chooses elements by their values; find them in tensor.value, and take t[index]"
ZEROS = "leading zeros are dropped, so that its shape depends on values"
FILES = "a file takes bare numbers: give it tensor.value"

REASONS = {
    INTEGERS: """
        bitwise_and bitwise_count bitwise_or bitwise_xor invert left_shift right_shift gcd lcm
        packbits unpackbits ravel_multi_index unravel_index ix_
        """,
    DATES: "busday_count busday_offset is_busday datetime_as_string isnat",
    SETS: """
        intersect1d setdiff1d setxor1d union1d
        """,
    FILES: "save savetxt savez savez_compressed",
    f"{ZEROS}; write np.convolve(a, b)": "polymul",
    f"{ZEROS}; divide what np.polyval gives": "polydiv",
    "count in one dimension: np.bincount(np.ravel_multi_index(bins, shape), weights)": """
        histogram2d histogramdd
        """,
}
"""Which functions each reason is of."""

for _reason, _names in REASONS.items():
    for _name in _names.split():
        _found: Any = np
        for _part in _name.split("."):
            _found = getattr(_found, _part, None)
        if _found is not None:  # this NumPy has it
            REFUSED[_found] = _reason

# --- functions of other libraries, which make plain arrays

ROOTS = "td.fixed_point(f, x, params), whose step may be Newton's"
MINIMA = "td.minimize(f, params), or td.fixed_point with a step of descent to differentiate it"
QUADRATURE = (
    "np.sum(weights * f(nodes)) with x, w = np.polynomial.legendre.leggauss(n) moved to (a, b): "
    "nodes = (b - a) / 2 * x + (a + b) / 2, weights = (b - a) / 2 * w"
)
DENSITIES = (
    "the formula with NumPy's functions, and gammaln, betaln, ndtr and log_ndtr of td.special"
)
STEPS = "its steps as a loop over np.linspace(start, stop, n)"

INSTEAD |= {
    "numpy.polynomial.polynomial.polyval": (
        "np.polyval(c[::-1], x), where the coefficient of the highest power comes first"
    ),
    "numpy.polynomial": "the sum over its terms: sum(c[k] * basis[k] for k in range(len(c)))",
    "numpy.vectorize": "f itself, with NumPy's functions, or td.vmap(f)",
    "numpy.ma": "np.ma.filled(m, 0) * t, or np.where(m.mask, 0, t), which have no mask",
    "pandas": "the same with x.to_numpy() in place of a pandas x, as in x.to_numpy() @ t",
    "scipy.integrate": QUADRATURE,
    "scipy.integrate.simpson": "np.sum(weights * y) with Simpson's weights",
    "scipy.integrate.cumulative_trapezoid": "np.cumsum((y[1:] + y[:-1]) / 2 * dx)",
    **dict.fromkeys(("scipy.integrate.solve_ivp", "scipy.integrate.odeint"), STEPS),
    "scipy.interpolate": "np.interp, or the product of a matrix of weights with the values",
    "scipy.linalg": "NumPy's functions, np.linalg",
    "scipy.optimize": MINIMA,
    **{
        f"scipy.optimize.{name}": ROOTS
        for name in (
            *("root", "root_scalar", "fsolve", "fixed_point", "newton", "brentq", "brenth"),
            *("bisect", "ridder", "toms748"),
        )
    },
    "scipy.signal.oaconvolve": "td.signal.fftconvolve, or np.convolve",
    **{
        f"scipy.signal.{name}": f"td.signal.{name}"
        for name in ("fftconvolve", "hilbert", "stft", "istft")
    },
    "scipy.fft": "td.fft, with transforms of the same names, or np.fft",
    "scipy.spatial.distance": "np.linalg.norm(a[:, None] - b, axis=-1)",
    "scipy.stats": DENSITIES,
    "scipy.sparse": "A @ t, for products with a sparse matrix of constants",
}

# --- about shapes alone

SHAPES = ("tril_indices_from", "triu_indices_from", "diag_indices_from", "einsum_path")

for _name in SHAPES:
    _found = getattr(np, _name)
    NUMPY[_found] = define(_found, name=_name, kind=Kind.STATIC)
