"""Complex terms: two terms with Python's operators, for the corners of NumPy's complex numbers.

Products and quotients are NumPy's plain formulas, so that inf * 0j is NaN in both parts. What meets
a complex term becomes one, as in NumPy: a real number gets an imaginary part of 0, which counts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import ir

from ...support.loading import load
from .terms import BOOL, MATHEMATICS, Term

Operand: TypeAlias = "ComplexTerm | Term | complex"


class ComplexTerm:
    """A complex number: its real and its imaginary part, of the same type."""

    __slots__ = ("imag", "real")
    is_float = True
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, real: Term, imag: Term) -> None:
        self.real = real
        self.imag = imag

    @property
    def scalar(self) -> ir.Type:
        """The type of the parts."""
        return self.real.scalar

    def _coerce(self, other: Operand) -> ComplexTerm:
        if isinstance(other, ComplexTerm):
            return other
        if isinstance(other, Term):
            return ComplexTerm(other, other.constant(0))
        return ComplexTerm(self.real.constant(other.real), self.real.constant(other.imag))

    # --- arithmetic

    def __add__(self, other: Operand) -> ComplexTerm:
        other = self._coerce(other)
        return ComplexTerm(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: Operand) -> ComplexTerm:
        other = self._coerce(other)
        return ComplexTerm(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other: Operand) -> ComplexTerm:
        a, b = self, self._coerce(other)
        return ComplexTerm(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)

    def __truediv__(self, other: Operand) -> ComplexTerm:
        """a / b by the larger part of b, so that no square overflows (R. L. Smith, CACM 5, 1962).

        A number by 0 is each of its parts by 0.
        """
        a, b = self, self._coerce(other)
        wide, zero = abs(b.real) >= abs(b.imag), (b.real == 0) & (b.imag == 0)
        large, small = wide.select(b.real, b.imag), wide.select(b.imag, b.real)
        ratio = small / large
        scale = 1.0 / zero.select(abs(b.real), large + small * ratio)
        real = wide.select(a.real + a.imag * ratio, a.real * ratio + a.imag)
        imag = wide.select(a.imag - a.real * ratio, a.imag * ratio - a.real)
        return select(zero, a, ComplexTerm(real, imag)).scale(scale)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Operand) -> ComplexTerm:
        return self._coerce(other) - self

    def __rtruediv__(self, other: Operand) -> ComplexTerm:
        return self._coerce(other) / self

    def __neg__(self) -> ComplexTerm:
        return ComplexTerm(-self.real, -self.imag)

    def __abs__(self) -> Term:
        return self.real.compute("hypot", self.imag)

    def conjugate(self) -> ComplexTerm:
        """The same with the other imaginary part."""
        return ComplexTerm(self.real, -self.imag)

    def reciprocal(self) -> ComplexTerm:
        """np.reciprocal, which differs from 1 / z in the last digits, and at 0."""
        wide = abs(self.imag) <= abs(self.real)
        large, small = wide.select(self.real, self.imag), wide.select(self.imag, self.real)
        ratio = small / large
        whole = large + small * ratio
        one, rest = 1.0 / whole, ratio / whole
        return ComplexTerm(wide.select(one, rest), -wide.select(rest, one))

    def scale(self, factor: Term | float) -> ComplexTerm:
        """Each part times a real number."""
        return ComplexTerm(self.real * factor, self.imag * factor)

    def add_freely(self, other: ComplexTerm) -> ComplexTerm:
        """A sum of many, in whatever order LLVM finds best."""
        return ComplexTerm(self.real.add_freely(other.real), self.imag.add_freely(other.imag))

    def compute(self, name: str, *others: Operand) -> Any:
        """A function of our mathematics, by the name of NumPy's ufunc."""
        formulas = load(f"{MATHEMATICS}.of_complex", "FORMULAS")
        return formulas[name](self, *[self._coerce(other) for other in others])

    # --- comparisons and conversions

    def __eq__(self, other: Operand) -> Term:  # type: ignore[override]
        other = self._coerce(other)
        return (self.real == other.real) & (self.imag == other.imag)

    def __ne__(self, other: Operand) -> Term:  # type: ignore[override]
        other = self._coerce(other)
        return (self.real != other.real) | (self.imag != other.imag)

    def convert(self, to: ir.Type, unsigned: bool = False) -> Term:  # noqa: ARG002 (as of terms)
        """Whether it is not 0: no other real number is made of one in passing."""
        assert to == BOOL
        return self != 0


def make_complex(x: ComplexTerm | Term, part: ir.Type) -> ComplexTerm:
    """A term as a complex one with parts of a type."""
    if isinstance(x, ComplexTerm):
        return ComplexTerm(x.real.convert(part), x.imag.convert(part))
    x = x.convert(part)
    return ComplexTerm(x, x.constant(0))


def select(condition: Term, chosen: ComplexTerm, otherwise: ComplexTerm) -> ComplexTerm:
    """`chosen` where the condition holds, `otherwise` where not."""
    return ComplexTerm(
        condition.select(chosen.real, otherwise.real), condition.select(chosen.imag, otherwise.imag)
    )
