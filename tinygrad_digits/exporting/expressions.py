"""An equation as an expression of NumPy: with operators and methods where one would write them."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..compiler.control import SCAN, SWITCH, WHILE, Branches, Loop, Step, While
from ..compiler.numpy_statements import VIEWS
from ..compiler.primitives import ITEM, SCALAR_POWER
from ..compiler.program import Equation, Operand, Program, Var
from ..engine.primitive import Kind
from ..support.errors import ExportError
from . import checks
from .copying import Copier, NotPlain, name_in_numpy, write_value
from .lengths import Length

OPERATORS: dict[Any, str] = {
    **dict.fromkeys((np.add, operator.add), "+"),
    **dict.fromkeys((np.subtract, operator.sub), "-"),
    **dict.fromkeys((np.multiply, operator.mul), "*"),
    **dict.fromkeys((np.divide, operator.truediv), "/"),
    **dict.fromkeys((np.greater, operator.gt), ">"),
    **dict.fromkeys((np.greater_equal, operator.ge), ">="),
    **dict.fromkeys((np.less, operator.lt), "<"),
    **dict.fromkeys((np.less_equal, operator.le), "<="),
    **dict.fromkeys((np.equal, operator.eq), "=="),
    **dict.fromkeys((np.not_equal, operator.ne), "!="),
    operator.pow: "**",
    operator.mod: "%",
    operator.floordiv: "//",
    np.matmul: "@",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
}
"""Of ufuncs, and of what Python computes for numbers. (Arrays' own ** rounds otherwise than power.)
"""
SIGNS: dict[Any, str] = {np.negative: "-", operator.neg: "-", operator.pos: "+"}
DEFAULTS = [("axis", None), ("keepdims", False)]
"""Options of reductions that need not be written."""
OURS = __name__.partition(".")[0]


class Text(NamedTuple):
    """Source of an expression."""

    text: str
    infix: bool = False
    """Whether it needs parentheses to be part of another."""

    @property
    def closed(self) -> str:
        """The same as an operand, or in front of a dot."""
        return f"({self.text})" if self.infix else self.text


class Expressions:
    """Writes the equations of a program."""

    def __init__(
        self,
        program: Program,
        copier: Copier,
        texts: dict[int, Text],
        name_line: Callable[[int], str],
        write_step: Callable[[Step, str], str],
    ) -> None:
        self.program = program
        self.copier = copier
        self.texts = texts
        """Of each value, as others refer to it."""
        self.name_line = name_line
        self.write_step = write_step

    def write(self, i: int) -> Text:
        """The expression of an equation; ExportError, naming op and line, where there is none."""
        eqn = self.program.equations[i]
        try:
            return self._write(eqn)
        except NotPlain as error:
            raise ExportError(
                f"{self.name_line(i)}: {eqn.op.name} cannot be written as NumPy alone: {error}. "
                "Leave it out of the exported function"
            ) from None

    def _write(self, eqn: Equation) -> Text:
        args = [self.write_operand(x) for x in eqn.args]
        function = eqn.op.kernel if eqn.op is SCALAR_POWER else eqn.op.function
        if (special := self._write_as_method(eqn, function, args)) is not None:
            return Text(special)
        if len(args) == 2 and function in OPERATORS and self._has_operators(eqn, function):
            return Text(f"{args[0].closed} {OPERATORS[function]} {args[1].closed}", infix=True)
        if len(args) == 1 and function in SIGNS and self._has_operators(eqn, function):
            return Text(f"{SIGNS[function]}{args[0].closed}", infix=True)
        return Text(self._write_call(eqn, function, args))

    def _write_as_method(self, eqn: Equation, function: Any, args: list[Text]) -> str | None:
        """What is written behind its first operand."""
        options = eqn.options
        if function is operator.getitem:
            return f"{args[0].closed}[{self._write_index(options['index'])}]"
        if eqn.op in (SCAN, WHILE, SWITCH):
            return self._write_control(eqn, args)
        if eqn.op is ITEM:
            return f"{args[0].closed}[{args[1].text}]"
        kernel = eqn.op.kernel
        if getattr(np.random.Generator, getattr(kernel, "__name__", ""), None) is kernel:
            return f"{args[0].text}.{kernel.__name__}({self._write_arguments(args[1:], options)})"
        first = eqn.args[0] if eqn.args else None
        scalar = isinstance(first, Var) and self.program.aval(first.index).form == "scalar"
        known = options.keys() == {"dtype"}
        if function is np.ndarray.astype and known and (scalar or self._is_array(first)):
            return f"{args[0].closed}.astype({self.write_operand(options['dtype']).text})"
        if not self._is_array(first):
            return None
        if function in VIEWS and options.get("order", "C") == "C":
            text = VIEWS[function](eqn).format(args[0].closed)
            return f"np.{text}" if text.startswith("broadcast_to") else text
        return None

    def _write_control(self, eqn: Equation, args: list[Text]) -> str:
        """A loop or a branch: the call of a function that runs steps, which are functions too."""
        (option,) = eqn.options.values()
        if isinstance(option, Branches):
            branches = ", ".join(self.write_step(step, "branch") for step in option.steps)
            return f"({branches})[{args[0].text}]({', '.join(x.text for x in args[1:])})"
        consts = _list_texts(args[: option.consts])
        if isinstance(option, While):
            steps = [self.write_step(option.cond, "holds"), self.write_step(option.body, "step")]
            carry = _list_texts(args[option.consts :])
            most = "" if option.max_steps is None else f", {option.max_steps}"
            run = self.copier.copy(checks.run_while)
            return f"{run}({', '.join(steps)}, {consts}, {carry}{most})"
        _, carries, xs = option.split(args)
        ys = option.step.program.outputs[option.carries :]
        stacked = _list_texts([self._write_empty(option, y) for y in ys])
        step, run = self.write_step(option.step, "step"), self.copier.copy(checks.run_loop)
        order = f"range({option.length})" + "[::-1]" * option.reverse
        lists = ", ".join([consts, _list_texts(carries), _list_texts(xs), stacked])
        return f"{run}({step}, {lists}, {order})"

    def _write_empty(self, loop: Loop, y: Operand) -> Text:
        """The array that a result of a step is stacked in."""
        aval = loop.step.program.aval_of(y)
        shape = self.write_operand((loop.length, *aval.shape)).text
        return Text(f"np.empty({shape}, {write_value(aval.dtype)})")

    def _write_call(self, eqn: Equation, function: Any, args: list[Text]) -> str:
        kernel, name = eqn.op.kernel, eqn.op.name.replace(".", "_")
        known = name_in_numpy(kernel) or name_in_numpy(function)
        if known is None and kernel is builtins.abs:
            known = "abs"
        called = known or self.copier.copy(kernel, name)
        options = eqn.options
        if eqn.op.kind is Kind.REDUCTION:
            options = {name: x for name, x in options.items() if (name, x) not in DEFAULTS}
        call = f"{called}({self._write_arguments(args, options)})"
        theirs = known is None and not str(kernel.__module__).startswith(f"{OURS}.")
        if theirs and eqn.op.kind is Kind.OPAQUE and eqn.aval.form == "array":
            check = self.copier.copy(checks.check_shape)
            return f"{check}({call}, {eqn.aval.shape}, {eqn.op.name!r})"
        return call

    def _write_arguments(self, args: list[Text], options: dict[str, Operand]) -> str:
        named = [f"{name}={self.write_operand(x).text}" for name, x in options.items()]
        return ", ".join([*[arg.text for arg in args], *named])

    def _has_operators(self, eqn: Equation, function: Any) -> bool:
        """Whether the operator does what the function does: for arrays, and for Python's own."""
        return not isinstance(function, np.ufunc) or any(map(self._is_array, eqn.args))

    def _is_array(self, x: Operand) -> bool:
        return isinstance(x, Var) and self.program.aval(x.index).form == "array"

    def _write_index(self, index: Operand) -> str:
        parts = index if isinstance(index, tuple) else (index,)
        return ", ".join(map(self._write_index_part, parts)) or "()"

    def _write_index_part(self, part: Operand) -> str:
        if not isinstance(part, slice):
            return self.write_operand(part).text
        start, stop, step = (
            "" if x is None else self.write_operand(x).text
            for x in (part.start, part.stop, part.step)
        )
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"

    def write_operand(self, x: Operand) -> Text:
        """A value, a number, an option, or a container of them."""
        if isinstance(x, Var):
            return self.texts[x.index]
        if isinstance(x, Length):
            return Text(repr(x), infix=True)
        if isinstance(x, tuple | list):
            inner = ", ".join(self.write_operand(each).text for each in x)
            if isinstance(x, list):
                return Text(f"[{inner}]")
            return Text(f"({inner}{',' * (len(x) == 1)})")
        if isinstance(x, slice):
            bounds = [self.write_operand(each).text for each in (x.start, x.stop, x.step)]
            return Text(f"slice({', '.join(bounds)})")
        if callable(x):
            return Text(self.copier.write(x))
        negative = type(x) in (int, float) and x < 0
        return Text(write_value(x), infix=negative)


def _list_texts(texts: list[Text]) -> str:
    return f"[{', '.join(each.text for each in texts)}]"
