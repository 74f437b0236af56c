"""The few exception types. Each message names the culprit and says what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np


class AutodiffError(Exception):
    """Base of every error that this package raises on its own account."""


class NotDifferentiableError(AutodiffError, TypeError):
    """A value, an output or an op that has no derivative was asked for one."""


class LostGradientError(AutodiffError):
    """Python or NumPy asked for the number in a Tensor that is being differentiated.

    It is no TypeError and no ValueError, since NumPy replaces those, when it stores into an array,
    by one of its own that does not say what to write.
    """


class EscapedTensorError(AutodiffError, RuntimeError):
    """A Tensor was used in an op after the transform that made it had returned."""


class RuleError(AutodiffError, TypeError):
    """A derivative rule (or a kernel) returned something of the wrong shape, dtype or type."""


class ShapeError(AutodiffError, ValueError):
    """Arrays or trees whose shapes or structures do not fit together."""


class GradientMismatchError(AutodiffError, AssertionError):
    """The gradient checker found a derivative that central differences contradict."""


class MissingExtraError(AutodiffError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class TracedValueError(AutodiffError, TypeError):
    """Python asked for a value where `jit` or `vmap` has only the shape and dtype of an array."""


class ExportError(AutodiffError, TypeError):
    """A function cannot be written down as a file that runs without this package."""


class NonFiniteError(AutodiffError, FloatingPointError):
    """Under `debug`, an op made a NaN or an infinity out of finite numbers."""


class ChangedArrayError(AutodiffError, ValueError):
    """Under `debug`, an array that an op had used was written into."""


class ConvergenceError(AutodiffError, ArithmeticError):
    """An iteration has not come to rest: how much the last step changed, and how many it took."""

    def __init__(self, message: str, residual: float, steps: int) -> None:
        super().__init__(message)
        self.residual, self.steps = residual, steps

    def __reduce__(self) -> tuple[type, tuple[str, float, int]]:
        return type(self), (*self.args, self.residual, self.steps)


class DisconnectedWarning(UserWarning):
    """The output of a differentiated function depends on none of its inputs."""


class DegenerateWarning(UserWarning):
    """The derivative of vectors was asked for that belong to equal values, and so have none."""


class StiffnessWarning(UserWarning):
    """A differential equation whose steps stability limits, so that there are many."""


class RetraceWarning(UserWarning):
    """A jitted function is traced again and again because of one of its arguments."""


def no_rule_with(op: str, option: str, known: Iterable[str]) -> NotDifferentiableError:
    """The error for an option of an op that its derivative rules do not know."""
    return NotDifferentiableError(
        f"{op}: no derivative rule with {option}=; "
        f"it takes {', '.join(sorted(known)) or 'no options'}"
    )


def wrong_count(op: Any, given: int, missing: int) -> TypeError:
    """The error for a call of a primitive with too few arrays, or too much by position."""
    return TypeError(
        f"{op.name} takes {op.arity} array arguments, then "
        f"{', '.join(op.positional) or 'nothing'} by position; "
        + (f"{missing} are missing" if missing else f"{given} more were given")
    )


def wrong_rule(op: str, places: int, positional: list[str]) -> TypeError:
    """The error for a derivative rule with too few parameters."""
    return TypeError(
        f"{op}: a derivative rule takes (g, y, *inputs), here {places} arguments; "
        f"this one takes ({', '.join(positional)})"
    )


def lacking_options(op: str, options: Iterable[str], lacking: Iterable[str]) -> TypeError:
    """The error for a derivative rule that does not take what another rule of the op takes."""
    return TypeError(
        f"{op}: every derivative rule needs the options of the op, "
        f"{', '.join(sorted(options))}; one lacks {', '.join(sorted(lacking))}"
    )


def wrong_cotangent(op: str, ct: Any, wanted: str, y_dtype: Any) -> RuleError:
    """The error for what a derivative rule returned, if that is no cotangent of its input."""
    return RuleError(
        f"{op}: a derivative rule returned {ct.dtype}{ct.shape}, but the input that it belongs to "
        f"is {wanted} (and the output {y_dtype})"
    )


def on_another_tape(x: Any) -> NotDifferentiableError:
    """The error for a Tensor that is not on the tape that was asked for its gradient."""
    return NotDifferentiableError(f"a Tensor {x.dtype}{x.shape} is on another tape")


def not_an_input(index: int, name: str) -> NotDifferentiableError:
    """The error for a Tensor that an op made, where an input of the tape was to be."""
    return NotDifferentiableError(
        f"%{index} ({name}) is not an input of this tape: start one there, Tensor(value, tape)"
    )


def refuse_escaped() -> NoReturn:
    """Raise EscapedTensorError."""
    raise EscapedTensorError(
        "a Tensor has outlived the call of grad, vjp, ... that made it, and was used in an op; "
        "return what you need from the differentiated function (has_aux=True), or take the "
        "bare numbers with .value"
    )


def note_operands(error: Exception, op: str, *operands: Any) -> None:
    """Say on an error, once, in which op of what operands it came up."""
    if not getattr(error, "__notes__", None):
        shown = " and ".join(f"{np.result_type(x)}{np.shape(x)}" for x in operands)
        error.add_note(f"in the op {op} of {shown}")


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports: turns a missing module into a MissingExtraError that says what to install.

    >>> with extra("scipy"):
    ...     import no_such_module
    Traceback (most recent call last):
    ...
    tinygrad_digits.support.errors.MissingExtraError: this needs no_such_module, which is not \
installed: pip install "tinygrad-digits[scipy]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "tinygrad_digits"):  # a mistake of ours, not a missing package
            raise
        raise MissingExtraError(
            f'this needs {module}, which is not installed: pip install "tinygrad-digits[{name}]"'
        ) from error
