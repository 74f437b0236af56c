"""A first chapter: arithmetic."""

import numpy as np

from tests.cases import case, nonzero, normal

CASES = [
    case(np.divide, normal(3, 4), nonzero(4)),
    case(np.var, normal(3, 4), axis=0, ddof=1),
    case(np.concatenate, [normal(2, 3), normal(1, 3)], axis=0),
]
