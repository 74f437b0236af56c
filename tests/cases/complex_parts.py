"""Cases of ops.complex_parts, as functions of the real and the imaginary part."""

import numpy as np

from tests.cases import case, nonzero, normal
from tinygrad_digits.ops import complex_parts


def join(x, y):
    """x + iy, also of Python's numbers one of NumPy's."""
    return np.add(x, np.multiply(y, 1j))


def parts(x, y):
    z = np.exp(join(x, y))
    return np.real(z), z.imag


def real(x, y):
    return np.real(join(x, y))


def directions(x, y):
    return np.angle(join(x, y)), np.angle(join(x, y), deg=True)


def sign(x, y):
    return np.sign(join(x, y))


def direction(x, y):
    return complex_parts.direction(join(x, y))


def join_parts(x, y):
    return complex_parts.join_parts(np.positive(x), np.positive(y))


def quarter_turn(x, y):
    return complex_parts.quarter_turn(join(x, y))


CASES = [
    case(parts, normal(3), normal(3)),
    case(parts, normal(2, 1), normal(3)),
    case(directions, nonzero(3), nonzero(3)),
    case(real, normal(3), normal(3)),
    case(sign, nonzero(3), nonzero(3)),
    case(direction, nonzero(2, 2), nonzero(2)),
    case(join_parts, normal(2, 2), normal(2)),
    case(quarter_turn, nonzero(2, 2), nonzero(2)),
]
