"""Complex numbers: their parts, conjugates, lengths and directions.

Cotangents are paired bilinearly: dL = Re(sum of g dy). With y = f(z) of a holomorphic f that is
Re(g f'(z) dz), so that the rule of a holomorphic op is g f'(z), as for real numbers. The ops here
are those that are not; what each rule returns follows from its comment, read as Re(... dz).
"""

from functools import partial
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array, Function, Kind, Op
from ..engine.tensor import Tensor
from ..staging.lowering import register_lowering
from ..support.errors import NotDifferentiableError
from ..support.foreign import as_array
from ..support.substitutes import NUMPY
from .nondifferentiable import OPS as CONSTANT
from .registering import handles
from .views import Way, share

NUMPYS = np.ndarray, np.generic
elementwise = partial(define, kind=Kind.ELEMENTWISE, unchecked=True)


def is_complex(x: Any) -> bool:
    """Whether an array, a number, or what stands in for one, is complex."""
    return getattr(getattr(x, "dtype", None), "kind", None) == "c" or type(x) is complex


def is_known(x: Array) -> bool:
    """Whether values are there to be looked at: not under `jit` and `vmap`."""
    while type(x) is Tensor:
        x = x.value
    return not isinstance(x, Tensor)


def conj(x: Array) -> Array:
    """The conjugate; a real array as it is, without the copy that np.conj makes."""
    return np.conjugate(x) if is_complex(x) else x


def adjoint(x: Array) -> Array:
    """The conjugate transposes of matrices."""
    return conj(x.swapaxes(-1, -2))


def break_holomorphy(*ops: Function) -> None:
    """Let ops be refused where a complex derivative is asked for."""
    for op in ops:
        op.primitive.holomorphic = False  # type: ignore[attr-defined]


def watch_rules(*ops: Function) -> None:
    """Let ops be refused there for an argument whose rule is not linear: a of vecdot(a, b)."""
    for op in ops:
        op.primitive.holomorphic = None  # type: ignore[attr-defined]


def refuse_order(who: str, *xs: Array) -> None:
    """Raise NotDifferentiableError for complex numbers, of which none is the larger."""
    if any(map(is_complex, xs)):
        raise NotDifferentiableError(
            f"{who}: complex numbers have no order that derivatives would respect; write it of "
            "abs(z), z.real or z.imag"
        )


def refuse_complex(who: str, instead: str, *xs: Array) -> None:
    """Raise NotDifferentiableError for complex numbers, of which a function has no value."""
    for x in filter(is_complex, map(as_array, xs)):
        raise NotDifferentiableError(f"{who} takes real numbers, not {x.dtype}: {instead}")


# --- parts

real_part: Op = elementwise(
    lambda z: np.positive(z.real),  # a copy, also of an array that is not NumPy's
    lambda g, _y, _z: g,  # dx = Re(dz)
    name="real",
)
imaginary_part: Op = elementwise(
    lambda z: np.positive(z.imag),
    lambda g, _y, _z: -quarter_turn(g + 0j),  # dy = Re(-i dz); -1j g has NaN beside infinity
    name="imag",
)


real_part.primitive.function, imaginary_part.primitive.function = np.real, np.imag


def _join(x: Array, y: Array) -> Array:
    if not (isinstance(x, NUMPYS) and isinstance(y, NUMPYS)):
        return x + 1j * y
    z = np.empty(np.broadcast_shapes(x.shape, y.shape), np.result_type(x, y, np.complex64))
    z.real, z.imag = x, y
    return z[()]


join_parts: Op = elementwise(
    _join,
    lambda g, _z, _x, _y: g,
    lambda g, _z, _x, _y: g * 1j,
    name="join_parts",
)
"""x + i y, with what x + 1j * y loses: the signs of zeros, and an infinity beside a number."""


def _quarter_turn(z: Array) -> Array:
    return _join(-z.imag, z.real)


quarter_turn: Op = elementwise(
    _quarter_turn, lambda g, _y, _z: quarter_turn(g), name="quarter_turn"
)
"""i z, with the signs of zeros, which tell the side of a branch cut: 1j * z loses them."""


def _put_real(z: Array, part: Array, _what: Any) -> Array:
    return join_parts(part, imaginary_part(z))


def _put_imag(z: Array, part: Array, _what: Any) -> Array:
    return join_parts(real_part(z), part)


REAL = Way(lambda z, _what: real_part(z), _put_real)
IMAG = Way(lambda z, _what: imaginary_part(z), _put_imag)


@handles(np.real)
def real(val: Array) -> Array:
    """numpy.real: of a real Tensor the Tensor itself, of a complex one a view.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda z: np.real(z * z))(1 + 2j)
    np.complex128(2-4j)
    """
    if not is_complex(val):
        return val
    y = real_part(val)
    share(val, y, REAL, (), array=False)
    return y


@handles(np.imag)
def imag(val: Array) -> Array:
    """numpy.imag: of a real Tensor zeros, of a complex one a view."""
    if not is_complex(val):
        return CONSTANT["imag"](val)
    y = imaginary_part(val)
    share(val, y, IMAG, (), array=False)
    return y


@handles(np.real_if_close)
def real_if_close(a: Array, tol: float = 100) -> Array:
    """numpy.real_if_close: the real part, where no imaginary part is larger than `tol` eps."""
    if not is_complex(a):
        return a
    limit = tol if tol <= 1 else tol * np.finfo(a.dtype).eps
    return real(a) if np.all(np.absolute(np.imag(a)) < limit) else a


# --- lengths and directions


def _phase_rule(g: Array, y: Array, z: Array) -> Array:
    """dy = i y Im(dz / z): a direction turns, it does not grow.

    With w = g y that is Re(i w Im(dz / z)) = Re(i Im(w) / z dz). NaN at 0, where abs has its kink.
    """
    return imaginary_part(g * y) * 1j * conj(y) / np.absolute(z)


phase: Function = elementwise(np.sign, _phase_rule, name="sign")
"""z / |z|, and 0 at 0."""


def _direction(z: Array) -> Array:
    if not is_complex(z) or not isinstance(z, NUMPYS):
        return np.sign(z)
    size = np.absolute(z)
    if not size.size or not np.isfinite(size.max()):
        return np.sign(z)
    if not size.min():
        size = size + (size == 0)
    y = np.empty_like(z)
    np.divide(z.real, size, out=y.real)
    np.divide(z.imag, size, out=y.imag)
    return y[()]


direction: Op = elementwise(_direction, _phase_rule, name="direction")
"""np.sign of complex numbers in a quarter of the time: 5 ms for a million, and not 20."""
angle_of: Op = elementwise(
    np.angle,
    lambda g, _y, z, deg=False: g * (-180j / np.pi if deg else -1j) / z,  # d angle = Im(dz / z)
    name="angle",
)


@handles(np.sign)
def sign(x: Array, /, **options: Any) -> Array:
    """numpy.sign: constant for real numbers, the direction z / |z| of complex ones."""
    return phase(x, **options) if is_complex(x) else CONSTANT["sign"](x, **options)


NUMPY[np.sign, "__call__"] = sign


@handles(np.angle)
def angle(z: Array, deg: bool = False) -> Array:
    """numpy.angle: constant for real numbers.

    >>> import tinygrad_digits as td
    >>> td.grad(np.angle)(2j)
    np.complex128(-0.5+0j)
    """
    return angle_of(z, deg=deg) if is_complex(z) else CONSTANT["angle"](z, deg=deg)


for _function, _op in ((np.real, real_part), (np.imag, imaginary_part), (np.angle, angle_of)):
    # what stands in applies it: programs of complex arrays need not call NumPy's
    NUMPY[_function].primitive = _op.primitive  # type: ignore[attr-defined]
register_lowering(real_part, complex_element=lambda z: z.real)
register_lowering(imaginary_part, complex_element=lambda z: z.imag)
register_lowering(join_parts, complex_element=lambda x, y: type(x)(x.real, y.real))
register_lowering(quarter_turn, complex_element=lambda z: type(z)(-z.imag, z.real))
register_lowering(direction, complex_element="direction")
register_lowering(angle_of, complex_element="angle")
break_holomorphy(real_part, imaginary_part, join_parts, phase, direction, angle_of)
