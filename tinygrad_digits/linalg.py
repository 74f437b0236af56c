"""Linear algebra beyond numpy.linalg, whose own functions work on Tensors as they are."""

from .ops.matrix_functions import funm
from .ops.scipy_linalg import cho_solve, expm, solve_triangular

__all__ = ["cho_solve", "expm", "funm", "solve_triangular"]
