"""What formulas for float32 and float64 differ in, and the steps that they share.

Some steps give a value as the sum of two numbers, the second within half a unit of the last place
of the first (Dekker, 1971; Knuth, The Art of Computer Programming, volume 2, section 4.2.2).
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from ..terms import INT32, INT64, Term


class Format(NamedTuple):
    """A floating-point type: its layout, and constants cut to fit."""

    integer: ir.IntType
    """The integers of its width."""
    mantissa: int
    """Bits after the point."""
    bias: int
    """What exponents are stored with."""
    ln2: tuple[float, float]
    """log(2) in so few bits that its products with exponents are exact, and the rest."""
    log10_2: tuple[float, float]
    """log10(2) in the same way."""
    log2_e: tuple[float, float]
    """log2(e), rounded, and the rest."""
    log10_e: tuple[float, float]
    quarter_pi: tuple[float, float]


FORMATS = {
    "double": Format(
        *(INT64, 52, 1023),
        ln2=(float.fromhex("0x1.62e42fefa4p-1"), float.fromhex("-0x1.8432a1b0e2634p-43")),
        log10_2=(float.fromhex("0x1.34413509f8p-2"), float.fromhex("-0x1.80433b83b532ap-44")),
        log2_e=(float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.777d0ffda0d24p-56")),
        log10_e=(float.fromhex("0x1.bcb7b1526e50ep-2"), float.fromhex("0x1.95355baaafad3p-57")),
        quarter_pi=(float.fromhex("0x1.921fb54442d18p-1"), float.fromhex("0x1.1a62633145c07p-55")),
    ),
    "float": Format(
        *(INT32, 23, 127),
        ln2=(float.fromhex("0x1.62e8p-1"), float.fromhex("-0x1.e8082ep-16")),
        log10_2=(float.fromhex("0x1.344p-2"), float.fromhex("0x1.3509f8p-18")),
        log2_e=(float.fromhex("0x1.715476p+0"), float.fromhex("0x1.4ae0cp-26")),
        log10_e=(float.fromhex("0x1.bcb7b2p-2"), float.fromhex("-0x1.5b235ep-27")),
        quarter_pi=(float.fromhex("0x1.921fb6p-1"), float.fromhex("-0x1.777a5cp-26")),
    ),
}


class Polynomial(NamedTuple):
    """Coefficients, from the constant one, for each of the two types."""

    double: tuple[float, ...]
    single: tuple[float, ...]

    def __call__(self, x: Term) -> Term:
        """Its value for the type of x."""
        return self.evaluate(x, self.single if str(x.scalar) == "float" else self.double)

    @staticmethod
    def evaluate(x: Term, coefficients: tuple[float, ...]) -> Term:
        """A polynomial's value by Horner's rule."""
        *rest, last = coefficients
        value = x.constant(last)
        for c in reversed(rest):
            value = value.multiply_add(x, c)
        return value


def format_of(x: Term) -> Format:
    """The format of a term's numbers."""
    return FORMATS[str(x.scalar)]


def choose(x: Term, double: float, single: float) -> float:
    """A constant by the type of a term."""
    return single if str(x.scalar) == "float" else double


# --- sums and products as two numbers


def add_exactly(a: Term, b: Term) -> tuple[Term, Term]:
    """a + b."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def add_smaller(a: Term, b: Term) -> tuple[Term, Term]:
    """a + b where b is not the larger one."""
    total = a + b
    return total, b - (total - a)


def multiply_exactly(a: Term, b: Term) -> tuple[Term, Term]:
    """a b."""
    product = a * b
    return product, a.fma(b, -product)


# --- exponents


def shifter(x: Term) -> float:
    """1.5 times a power of 2 so large that adding it rounds to integers, in the lowest bits."""
    return 1.5 * 2.0 ** format_of(x).mantissa


def to_bits(x: Term) -> Term:
    """A number as the integer of its bits."""
    return x.bitcast(format_of(x).integer)


def round_to_integer(x: Term) -> tuple[Term, Term]:
    """The nearest integer, as a number and as an integer; |x| below 2**21, or 2**50."""
    high = x + shifter(x)
    return high - shifter(x), to_bits(high) - to_bits(x.constant(shifter(x)))


def to_number(k: Term, x: Term) -> Term:
    """A small integer as a number of x's type: most processors lack int64's conversion."""
    return (k + to_bits(x.constant(shifter(x)))).bitcast(x.scalar) - shifter(x)


def raise_two(k: Term, x: Term) -> Term:
    """2**k in x's type, where that is a normal number."""
    return ((k + format_of(x).bias) << format_of(x).mantissa).bitcast(x.scalar)


def scale(x: Term, k: Term) -> Term:
    """x 2**k, in two steps, as it may be subnormal or overflow where 2**k does."""
    half = k >> 1
    return x * raise_two(half, x) * raise_two(k - half, x)


def clip(x: Term, low: float, high: float) -> Term:
    """x between two numbers, or NaN."""
    x = (x > high).select(high, x)
    return (x < low).select(low, x)


def keep_tiny(x: Term, result: Term) -> Term:
    """The result, but x itself where it is so small that only the sign of zero could be lost."""
    return (abs(x) < choose(x, 2.0**-54, 2.0**-25)).select(x, result)
