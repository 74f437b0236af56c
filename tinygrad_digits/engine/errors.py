"""The few exception types. Each message names the culprit and says what to write instead."""


class AutodiffError(Exception):
    """Base of every error that this package raises on its own account."""


class NotDifferentiableError(AutodiffError, TypeError):
    """A value, an output or an op that has no derivative was asked for one."""


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
    """Python asked for the value of an array that `jit` only knows the shape and dtype of."""


class DisconnectedWarning(UserWarning):
    """The output of a differentiated function depends on none of its inputs."""


class RetraceWarning(UserWarning):
    """A jitted function is traced again and again because of one of its arguments."""
