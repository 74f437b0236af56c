"""Linear algebra beyond numpy.linalg, whose own functions work on Tensors as they are.

    funm                        a function of a symmetric matrix, by its eigenvalues
    cho_solve, solve_triangular solutions from a factor, as in scipy.linalg
    expm                        the matrix exponential, as in scipy.linalg

The last three need SciPy (extra `scipy`), and scipy.linalg's own do not take Tensors.

>>> import numpy as np, tinygrad_digits as td
>>> a = np.array([[4.0, 0.0], [2.0, 1.0]])
>>> td.grad(lambda a: td.linalg.solve_triangular(a, np.ones(2), lower=True)[1])(a).round(4)
array([[ 0.125,  0.   ],
       [-0.25 , -0.5  ]])
"""

from .ops.matrix_functions import funm
from .ops.scipy_linalg import cho_solve, expm, solve_triangular

__all__ = ["cho_solve", "expm", "funm", "solve_triangular"]
