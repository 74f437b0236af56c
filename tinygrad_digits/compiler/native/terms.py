"""Terms: values of LLVM IR with Python's operators, so that formulas read like formulas.

    x = Term(builder, argument)
    y = (x > 0).select(x, 0.0) * scale + shift

A number takes the type of the term that it meets. Signed and unsigned integers are told apart by a
flag, as LLVM has one type for both. Terms of a vector type are computed on lane by lane.
"""

from __future__ import annotations

from typing import TypeAlias

from llvmlite import ir

from ...support.loading import load

Operand: TypeAlias = "Term | float"

BOOL, INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
BITS = {"half": 16, "float": 32, "double": 64}

MATHEMATICS = f"{__package__}.mathematics"
"""Which is imported where it is written: a program that is in the cache does without."""


class Term:
    """A value that instructions of a builder have computed."""

    __slots__ = ("builder", "unsigned", "value")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value, unsigned: bool = False) -> None:
        self.builder = builder
        self.value = value
        self.unsigned = unsigned

    # --- types

    @property
    def type(self) -> ir.Type:
        """The type of the value: a number's, or a vector of them."""
        return self.value.type

    @property
    def scalar(self) -> ir.Type:
        """The type of one lane."""
        return scalar_of(self.type)

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point number."""
        return not isinstance(self.scalar, ir.IntType)

    @property
    def bits(self) -> int:
        """The width of one lane."""
        return width_of(self.scalar)

    def constant(self, number: float) -> Term:
        """A number in this term's type."""
        number = float(number) if self.is_float else int(number)
        return self._with(constant(self.type, number))

    def _with(self, value: ir.Value) -> Term:
        return Term(self.builder, value, self.unsigned)

    def _coerce(self, other: Operand) -> Term:
        return other if isinstance(other, Term) else self.constant(other)

    # --- arithmetic

    def _apply(self, names: str, other: Operand) -> Term:
        """An instruction by its names for floats, signed and unsigned integers."""
        of_floats, of_signed, of_unsigned = names.split()
        name = of_floats if self.is_float else of_unsigned if self.unsigned else of_signed
        return self._with(getattr(self.builder, name)(self.value, self._coerce(other).value))

    def _apply_reversed(self, names: str, other: float) -> Term:
        return self._coerce(other)._apply(names, self)

    def __add__(self, other: Operand) -> Term:
        """A sum; of bools whether one of them is true, as NumPy's."""
        return self._apply("fadd or_ or_" if self.scalar == BOOL else "fadd add add", other)

    def __sub__(self, other: Operand) -> Term:
        return self._apply("fsub sub sub", other)

    def __mul__(self, other: Operand) -> Term:
        return self._apply("fmul mul mul", other)

    def __truediv__(self, other: Operand) -> Term:
        """A quotient; of integers the one that is cut towards 0."""
        return self._apply("fdiv sdiv udiv", other)

    def __mod__(self, other: Operand) -> Term:
        """The remainder of `/`, which has the sign of the dividend."""
        return self._apply("frem srem urem", other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: float) -> Term:
        return self._apply_reversed("fsub sub sub", other)

    def __rtruediv__(self, other: float) -> Term:
        return self._apply_reversed("fdiv sdiv udiv", other)

    def __neg__(self) -> Term:
        return self._with((self.builder.fneg if self.is_float else self.builder.neg)(self.value))

    def __abs__(self) -> Term:
        if self.unsigned or self.scalar == BOOL:
            return self
        return self.call("fabs") if self.is_float else (self < 0).select(-self, self)

    def add_freely(self, other: Term) -> Term:
        """A sum of many floats, in whatever order LLVM finds best."""
        return self._with(self.builder.fadd(self.value, other.value, flags=["reassoc"]))

    def multiply_freely(self, other: Term) -> Term:
        """The same for a product."""
        return self._with(self.builder.fmul(self.value, other.value, flags=["reassoc"]))

    # --- bits

    def __and__(self, other: Operand) -> Term:
        return self._apply("and_ and_ and_", other)

    def __or__(self, other: Operand) -> Term:
        return self._apply("or_ or_ or_", other)

    def __xor__(self, other: Operand) -> Term:
        return self._apply("xor xor xor", other)

    def __invert__(self) -> Term:
        return self._with(self.builder.not_(self.value))

    def __lshift__(self, other: Operand) -> Term:
        return self._apply("shl shl shl", other)

    def __rshift__(self, other: Operand) -> Term:
        """Shifted down, the sign kept where there is one."""
        return self._apply("lshr ashr lshr", other)

    # --- comparisons, which are false for NaN (but !=, which is true)

    def _compare(self, relation: str, other: Operand) -> Term:
        if self.is_float:
            ordered = self.builder.fcmp_ordered
            compare = self.builder.fcmp_unordered if relation == "!=" else ordered
        else:
            unsigned = self.unsigned or self.scalar == BOOL
            compare = self.builder.icmp_unsigned if unsigned else self.builder.icmp_signed
        return Term(self.builder, compare(relation, self.value, self._coerce(other).value))

    def __lt__(self, other: Operand) -> Term:
        return self._compare("<", other)

    def __le__(self, other: Operand) -> Term:
        return self._compare("<=", other)

    def __gt__(self, other: Operand) -> Term:
        return self._compare(">", other)

    def __ge__(self, other: Operand) -> Term:
        return self._compare(">=", other)

    def __eq__(self, other: Operand) -> Term:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: Operand) -> Term:  # type: ignore[override]
        return self._compare("!=", other)

    __hash__ = None  # type: ignore[assignment]

    def is_nan(self) -> Term:
        """Whether it is no number."""
        return self != self if self.is_float else self.constant(0) != 0

    # --- choices

    def select(self, chosen: Operand, otherwise: Operand) -> Term:
        """`chosen` where this is true, `otherwise` where not; one of them may be a number."""
        if isinstance(chosen, Term):
            otherwise = chosen._coerce(otherwise)
        elif isinstance(otherwise, Term):
            chosen = otherwise._coerce(chosen)
        else:
            raise TypeError("select: one of the two values must be a Term, for its type")
        value = self.builder.select(self.value, chosen.value, otherwise.value)
        return Term(self.builder, value, chosen.unsigned)

    def maximum(self, other: Operand) -> Term:
        """The larger one, NaN if either is: np.maximum."""
        other = self._coerce(other)
        return ((self >= other) | self.is_nan()).select(self, other)

    def minimum(self, other: Operand) -> Term:
        """The smaller one, NaN if either is: np.minimum."""
        other = self._coerce(other)
        return ((self <= other) | self.is_nan()).select(self, other)

    def fmax(self, other: Operand) -> Term:
        """The larger one, or the one that is a number: np.fmax."""
        other = self._coerce(other)
        return ((self >= other) | other.is_nan()).select(self, other)

    def fmin(self, other: Operand) -> Term:
        """The smaller one, or the one that is a number: np.fmin."""
        other = self._coerce(other)
        return ((self <= other) | other.is_nan()).select(self, other)

    # --- vectors

    def splat(self, lanes: int) -> Term:
        """The number in each lane of a vector."""
        vector = ir.VectorType(self.type, lanes)
        first = self.builder.insert_element(ir.Constant(vector, None), self.value, INT32(0))
        mask = ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)
        return self._with(self.builder.shuffle_vector(first, first, mask))

    def add_lanes(self) -> Term:
        """The sum of the lanes, halves added to halves."""
        x, count = self, self.type.count
        while count > 1:
            count //= 2
            low, high = (
                ir.Constant(ir.VectorType(INT32, count), [*range(k, k + count)]) for k in (0, count)
            )
            x = x._take_lanes(low) + x._take_lanes(high)
        return x._with(x.builder.extract_element(x.value, INT32(0)))

    def _take_lanes(self, which: ir.Constant) -> Term:
        return self._with(self.builder.shuffle_vector(self.value, self.value, which))

    # --- functions: LLVM's own, and those of our mathematics

    def call(self, name: str, *others: Operand) -> Term:
        """An intrinsic of the same type for all operands: sqrt, fabs, floor, ceil, trunc, rint."""
        values = [self.value, *(self._coerce(other).value for other in others)]
        signature = ir.FunctionType(self.type, [self.type] * len(values))
        function = declare(self.builder.module, f"llvm.{name}.{suffix_of(self.type)}", signature)
        return self._with(self.builder.call(function, values))

    def compute(self, name: str, *others: Term) -> Term:
        """A function of our mathematics, by the name of NumPy's ufunc."""
        define_function = load(MATHEMATICS, "define_function")
        function = define_function(self.builder.module, name, self.type)
        values = [self.value, *[other.value for other in others]]
        return Term(self.builder, self.builder.call(function, values))

    def fma(self, factor: Operand, summand: Operand) -> Term:
        """self * factor + summand, rounded once, whatever it costs."""
        return self.call("fma", factor, summand)

    def multiply_add(self, factor: Operand, summand: Operand) -> Term:
        """self * factor + summand, rounded once where the processor can."""
        return self.call("fmuladd", factor, summand)

    def copysign(self, other: Operand) -> Term:
        """The size of this with the sign of another."""
        return self.call("copysign", other)

    # --- conversions

    def bitcast(self, to: ir.Type) -> Term:
        """The same bits as another type of this width."""
        return self._with(self.builder.bitcast(self.value, like(self.type, to)))

    def convert(self, to: ir.Type, unsigned: bool = False) -> Term:
        """The number in another type, as C converts it; a bool is whether it is not 0."""
        target = like(self.type, to)
        if target == self.type:
            return Term(self.builder, self.value, unsigned)
        if to == BOOL:
            return self != 0
        if self.is_float and isinstance(to, ir.IntType) and (unsigned or to.width < 32):
            return self._cut(to, unsigned)
        value = getattr(self.builder, self._conversion(to))(self.value, target)
        return Term(self.builder, value, unsigned)

    def _cut(self, to: ir.IntType, unsigned: bool) -> Term:
        """A float as an integer that wraps around, as NumPy's does, so that -1.0 is 255 as uint8.

        LLVM's own instructions leave open what they make of numbers that do not fit.
        """
        if to.width < 32:
            return self.convert(INT32).convert(to, unsigned)
        half = 2.0 ** (to.width - 1)
        upper = (self - half).convert(to) ^ -(1 << (to.width - 1))
        return Term(self.builder, (self >= half).select(upper, self.convert(to)).value, unsigned)

    def _conversion(self, to: ir.Type) -> str:
        wider = width_of(to) > self.bits
        positive = self.unsigned or self.scalar == BOOL
        if self.is_float:
            if isinstance(to, ir.IntType):
                return "fptosi"
            return "fpext" if wider else "fptrunc"
        if not isinstance(to, ir.IntType):
            return "uitofp" if positive else "sitofp"
        return ("zext" if positive else "sext") if wider else "trunc"


def scalar_of(a_type: ir.Type) -> ir.Type:
    """The type of a lane."""
    return a_type.element if isinstance(a_type, ir.VectorType) else a_type


def width_of(scalar: ir.Type) -> int:
    """The bits of a number."""
    return scalar.width if isinstance(scalar, ir.IntType) else BITS[str(scalar)]


def like(a_type: ir.Type, scalar: ir.Type) -> ir.Type:
    """A scalar type with as many lanes as another type."""
    if isinstance(a_type, ir.VectorType):
        return ir.VectorType(scalar, a_type.count)
    return scalar


def constant(a_type: ir.Type, number: float) -> ir.Constant:
    """A number as a constant, in each lane of a vector."""
    if isinstance(a_type, ir.VectorType):
        lane = ir.Constant(a_type.element, number)
        return ir.Constant(a_type, [lane] * a_type.count)
    return ir.Constant(a_type, number)


def suffix_of(a_type: ir.Type) -> str:
    """A type as it is written in the names of LLVM's intrinsics: f64, v8f32, i32."""
    scalar = scalar_of(a_type)
    name = f"{'i' if isinstance(scalar, ir.IntType) else 'f'}{width_of(scalar)}"
    return f"v{a_type.count}{name}" if isinstance(a_type, ir.VectorType) else name


def declare(module: ir.Module, name: str, signature: ir.FunctionType) -> ir.Function:
    """A function that is defined elsewhere, declared once a module."""
    return module.globals.get(name) or ir.Function(module, signature, name)
