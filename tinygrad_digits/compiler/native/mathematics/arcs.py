"""The inverse functions of the circle."""

from __future__ import annotations

from math import inf

from ..terms import Term
from .formats import Polynomial, format_of, multiply_exactly

ARCTAN = Polynomial(  # (arctan(t) - t) / t**3 in t**2 < 0.25, within 2**-66 and 2**-36 of t
    (
        *(-0.3333333333333333, 0.1999999999999955, -0.14285714285656115, 0.11111111107309407),
        *(-0.09090908943336745, 0.0769230397516555, -0.06666602561979587, 0.058815704305956486),
        *(-0.05256264040126191, 0.047176834618582256, -0.041413896886523076, 0.03305158354020278),
        *(-0.02045901991459561, 0.006943287548893069),
    ),
    (
        *(-0.3333333293671749, 0.19999958409858795, -0.14284232838274435, 0.11085873570215944),
        *(-0.08857066485693023, 0.0645926738216745, -0.02996855244505299),
    ),
)
ARCSIN = Polynomial(  # (arcsin(x) - x) / x**3 in x**2 < 0.25, within 2**-60 and 2**-32 of x
    (
        *(0.16666666666666763, 0.07499999999970264, 0.044642857175119934, 0.03038194268363388),
        *(0.022372215660304506, 0.017351600085635632, 0.013980961582978143),
        *(0.0113977745350905, 0.01078653892620683, 0.003682999277619447),
        *(0.021763613910534586, -0.02107746720752813, 0.03267700556083537),
    ),
    (
        *(0.16666659880045676, 0.07500510433962727, 0.044515807143625706),
        *(0.03181695495978783, 0.014404761839135414, 0.03756260049878515),
    ),
)


def _add_quarters(t: Term, quarters: Term) -> Term:
    """arctan(t) for |t| < 1 / 2, and so many quarters of pi."""
    high, low = format_of(t).quarter_pi
    square = t * t
    whole, missing = multiply_exactly(quarters, t.constant(high))
    missing = quarters.multiply_add(low, missing)
    return whole + (t + (t * square).multiply_add(ARCTAN(square), missing))


def arctan(x: Term) -> Term:
    """The angle with this tangent; of 1 / x or (x - 1) / (x + 1) where x is not small."""
    size = abs(x)
    middle, large = size > 0.5, size > 2.0
    above = large.select(x.constant(-1.0), middle.select(size - 1.0, size))
    below = large.select(size, middle.select(size + 1.0, 1.0))
    quarters = large.select(x.constant(2.0), middle.select(x.constant(1.0), 0.0))
    return _add_quarters(above / below, quarters).copysign(x)


def arctan2(y: Term, x: Term) -> Term:
    """The angle of the point (x, y), from that in its octant."""
    along, across = abs(x), abs(y)
    steep = across > along
    large, small = across.maximum(along), across.minimum(along)
    shrink = (large > 2.0 ** (format_of(x).bias - 2)).select(x.constant(0.25), 1.0)
    large, small = large * shrink, small * shrink
    middle = (small > large * 0.5) | (small == inf)
    above = middle.select((small == large).select(x.constant(0.0), small - large), small)
    below = middle.select(small + large, (large == 0.0).select(x.constant(1.0), large))
    quarters, t = middle.select(x.constant(1.0), 0.0), above / below
    quarters, t = steep.select(2.0 - quarters, quarters), steep.select(-t, t)
    left = x.constant(1.0).copysign(x) < 0.0
    quarters, t = left.select(4.0 - quarters, quarters), left.select(-t, t)
    return _add_quarters(t, quarters).copysign(y)


def _fold(x: Term) -> tuple[Term, Term, Term]:
    """Whether |x| > 1/2, and arcsin |x|, or there half of arccos |x|, as two numbers."""
    size = abs(x)
    far = size > 0.5
    square = far.select((1.0 - size) * 0.5, size * size)
    root = square.call("sqrt")
    lost = root.fma(-root, square) / (root + root).fmax(2.0 ** (1 - format_of(x).bias))
    main = far.select(root, size)
    return far, main, (main * square).multiply_add(ARCSIN(square), far.select(lost, 0.0))


def arcsin(x: Term) -> Term:
    """The angle with this sine."""
    high, low = (2.0 * part for part in format_of(x).quarter_pi)
    far, main, rest = _fold(x)
    angle = far.select(high - (main * 2.0 + (rest * 2.0 - low)), main + rest)
    return angle.copysign(x)


def arccos(x: Term) -> Term:
    """The angle with this cosine."""
    high, low = (2.0 * part for part in format_of(x).quarter_pi)
    far, main, rest = _fold(x)
    sign = x.constant(1.0).copysign(x)
    near = high - (main * sign - (low - rest * sign))
    doubled = (main + rest) * 2.0
    beyond = 2.0 * (high - (main - (low - rest)))
    return far.select((x < 0.0).select(beyond, doubled), near)
