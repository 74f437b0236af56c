"""How an op is declared: a kernel, and one derivative rule for each of its array arguments.

    square = define(np.square, lambda g, _y, x: 2 * g * x)

A rule is called as `rule(g, y, *inputs, **options)`: the cotangent of the output, the output, and
what the op was called with. It returns the cotangent of its argument. It is written in the same
functions and operators that users write, so under an outer tape its ops are recorded like theirs,
and derivatives of derivatives need nothing more. It may look at shapes, dtypes and options, but
never at values.

The names of a rule's parameters say what a tape has to keep for it:

    x        the value
    x_like   something with the shape and dtype of x, whose value can be freed
    _x       nothing

Parameters after the array arguments are the options that the op takes; any other is refused.
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ..support.errors import NotDifferentiableError, RuleError
from ..support.foreign import refused, without_labels
from .tape import NO_OPTIONS, Array, Tape
from .tensor import NUMPY, Tensor, admit, admit_all, admit_options, by_name, recorded
from .views import Way, share

Rule: TypeAlias = Callable[..., Array]
Op: TypeAlias = Callable[..., Any]


class Kind(enum.StrEnum):
    """What an op is: whether it broadcasts, how it is tested, and how a program can run it."""

    ELEMENTWISE = "elementwise"  # an output element depends on the inputs' at the same place
    REDUCTION = "reduction"  # over the option `axis`
    VIEW = "view"  # the same elements in another shape or order
    GATHER = "gather"  # some of the elements, or several arrays in one: a new array
    PRODUCT = "product"  # sums of products: matmul, einsum
    STATIC = "static"  # known from shapes and dtypes alone
    OPAQUE = "opaque"  # nothing is known


class Like:
    """Stands in for an array of which a rule reads no more than shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Array) -> None:
        array = x if hasattr(x, "dtype") else np.asarray(x)
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Each:
    """One rule for however many arrays an op takes: `rule(k, g, y, *inputs)` for argument k."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __iter__(self) -> Iterator[Rule]:
        k = 0
        while True:
            yield functools.partial(self.rule, k)
            k += 1


NOTHING: Final = None
LIKE: Final = "like"
VALUE: Final = "value"


class Primitive:
    """A row of the tables: name, kernel, rules and kind of an op.

    `batching` is the rule by which it is applied to many examples at once. The compiler knows it by
    `function`, which is what the kernel computes; `effect` says that it is there for what it raises
    or warns of, and `lowering` how it is written.

    `rules` has a rule, or None for what is never differentiated, for each array argument; or it is
    an `Each`, and then `arity` is None. `options` are the names of the options, and `positional`
    those of them that may be given by position. `composed` says that the kernel is written in
    other ops, `reduces` which ufunc a reduction repeats. `more` is a composition for calls with
    options that the rules do not name.
    """

    __slots__ = (
        *("apply", "arity", "broadcasts", "composed", "kernel", "kind", "more", "name", "options"),
        *("positional", "reduces", "rules", "sparse", "_reads"),
        *("batching", "effect", "function", "lowering"),
    )

    def __init__(
        self,
        kernel: Op,
        rules: tuple[Rule | None, ...] | Each,
        name: str,
        kind: Kind,
        composed: bool = False,
        reduces: np.ufunc | None = None,
    ) -> None:
        self.name = name
        self.kernel = kernel
        self.apply: Op = kernel  # the op itself, which `define` makes
        self.rules = rules
        self.kind = kind
        self.composed = composed
        self.reduces = reduces
        self.more: Op | None = None  # which `extends` sets
        self.sparse: Op | None = None  # takes over where an operand is a sparse matrix
        self.broadcasts = kind in (Kind.ELEMENTWISE, Kind.PRODUCT)
        self.batching: Callable[[Any], Any] | None = None  # these four are told by `staging`
        self.effect = False
        self.function: Any = kernel
        self.lowering: Any = None
        self.arity = None if isinstance(rules, Each) else len(rules)
        before = 4 if self.arity is None else 2 + self.arity  # (k,) g, y and the arrays
        options: dict[str, bool] = {}  # whether by position
        told: dict[Rule, set[str]] = {}  # the options that each rule names
        self._reads: list[list[str | None]] = []  # for each rule, of y and of the inputs
        for rule in [rules.rule] if isinstance(rules, Each) else rules:
            parameters = [] if rule is None else _parameters(rule)
            places = [p.name for p in parameters if p.kind is not KEYWORD_ONLY]
            if rule is not None and len(places) < before:
                raise TypeError(
                    f"{name}: a derivative rule takes (g, y, *inputs), here {before} arguments; "
                    f"this one takes ({', '.join(places)})"
                )
            self._reads.append([_read(p.name) for p in parameters[:before]][-before + 1 :])
            named = [p for p in parameters[before:] if p.kind is not VAR_KEYWORD]
            if rule is not None and len(named) == len(parameters[before:]):
                told[rule] = {p.name for p in named}
            options.update((p.name, p.name in places) for p in named)
        self.options = frozenset(options)
        for known in told.values():
            if known != self.options:
                raise TypeError(
                    f"{name}: every derivative rule needs the options of the op, "
                    f"{', '.join(sorted(self.options))}; one lacks "
                    f"{', '.join(sorted(self.options - known))}"
                )
        self.positional = tuple([option for option in options if options[option]])

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def reads(self, *tracked: bool) -> tuple[bool, tuple[str | None, ...]]:
        """What the rules of the tracked arguments read: whether y, and how much of each input."""
        if self.arity is None:
            ((_, y, xs),) = self._reads
            return y is VALUE, (xs,) * len(tracked)
        rows = [row for row, on in zip(self._reads, tracked, strict=True) if on and row]
        most = [
            VALUE if VALUE in column else LIKE if LIKE in column else NOTHING
            for column in (zip(*rows, strict=True) if rows else [()] * (1 + len(tracked)))
        ]
        return most[0] is VALUE, tuple(most[1:])


POSITIONAL: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
VAR_KEYWORD: Final = inspect.Parameter.VAR_KEYWORD


class _Parameter(NamedTuple):
    """What of an inspect.Parameter is wanted here."""

    name: str
    kind: Any


def _parameters(f: Callable[..., Any]) -> list[_Parameter]:
    """The parameters of a function, in order.

    Those of a plain function are read off its code: with inspect.signature, for all the rows and
    compositions, the package took 5 ms longer to import.
    """
    if type(f) is not FunctionType or hasattr(f, "__wrapped__"):
        return [_Parameter(p.name, p.kind) for p in inspect.signature(f).parameters.values()]
    code = f.__code__
    names, n = code.co_varnames, code.co_argcount
    keywords = n + code.co_kwonlyargcount
    found = [_Parameter(name, POSITIONAL) for name in names[:n]]
    more = keywords
    if code.co_flags & inspect.CO_VARARGS:
        found.append(_Parameter(names[more], inspect.Parameter.VAR_POSITIONAL))
        more += 1
    found += [_Parameter(name, KEYWORD_ONLY) for name in names[n:keywords]]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        found.append(_Parameter(names[more], VAR_KEYWORD))
    return found


def _read(name: str) -> str | None:
    """How much of an argument a rule reads, by the name of its parameter."""
    return NOTHING if name.startswith("_") else LIKE if name.endswith("_like") else VALUE


# --- declaring


def define(
    kernel: Op,
    *rules: Rule | Each | None,
    name: str | None = None,
    kind: Kind = Kind.OPAQUE,
    trusted: bool = False,
    composed: bool = False,
    reduces: np.ufunc | None = None,
) -> Op:
    """An op with derivative rules of your own: a function of arrays and Tensors alike.

    Args:
        kernel: computes the value from plain arrays (and keyword options); never sees a Tensor.
        rules: for each array argument the function (g, y, *inputs, **options) -> its cotangent,
            in its shape, and in the dtype of the argument or of y; None for an argument that is
            never differentiated. Without any rules the op is not recorded at all.
        name: what errors and printed tapes call it; the kernel's name by default.
        kind: what it is; only Kind.ELEMENTWISE and Kind.PRODUCT may leave the summing over
            broadcast axes to the engine.
        trusted: whether to save the check that kernel and rules return arrays at all.
        composed: whether the kernel is written in functions that accept Tensors, so that `jit` can
            look into it.
        reduces: the ufunc that a Kind.REDUCTION repeats along `axis`, as np.add for a sum.

    Raises RuleError, when differentiated, where a rule returns another shape or dtype.

    >>> import numpy as np, tinygrad_digits as td
    >>> cube = td.define(lambda x: x**3, lambda g, y, x: g * 3 * x**2, name="cube")
    >>> td.grad(cube)(2.0)
    np.float64(12.0)
    """
    label, kind = name or kernel.__name__, Kind(kind)
    each = [rule for rule in rules if isinstance(rule, Each)]
    one_by_one = tuple([rule for rule in rules if not isinstance(rule, Each)])
    row = Primitive(kernel, each[0] if each else one_by_one, label, kind, composed, reduces)
    inside = kernel  # what computes the value of a recorded op
    if rules and not trusted:
        inside = _watched(kernel, f"{label}: the kernel")
        who = f"{label}: a derivative rule"
        if isinstance(row.rules, Each):
            row.rules = Each(_watched(row.rules.rule, who))
        else:
            row.rules = tuple([rule and _watched(rule, who) for rule in row.rules])
    if not rules:
        op = _without_rules(row)
    elif row.arity == 1 and not row.options:
        op = _one_array(row, inside)
    elif row.arity == 2 and not row.options:
        op = _two_arrays(row, inside)
    elif row.arity == 1:
        op = _one_array_with_options(row, inside)
    else:
        op = _any_arrays(row, inside)
    if kind is Kind.VIEW and row.arity == 1:
        op = _viewing(row, op)
    if inspect.isfunction(kernel):
        functools.update_wrapper(op, kernel)
    else:
        op.__doc__ = f"NumPy's {label}, recorded when an argument is a Tensor."
    op.__name__ = op.__qualname__ = label
    op.primitive = row  # type: ignore[attr-defined]
    row.apply = op
    return op


def primitive(
    *rules: Rule | Each | None,
    name: str | None = None,
    kind: Kind = Kind.OPAQUE,
    trusted: bool = False,
    composed: bool = False,
) -> Callable[[Op], Op]:
    """`define` as a decorator of the kernel: the rules stand above it.

    >>> import numpy as np, tinygrad_digits as td
    >>> @td.primitive(lambda g, y, x: g * 3 * x**2)
    ... def cube(x):
    ...     return x**3
    >>> td.grad(cube)(2.0)
    np.float64(12.0)
    """
    return lambda kernel: define(
        kernel, *rules, name=name, kind=kind, trusted=trusted, composed=composed
    )


def implement(
    function: Any,
    *rules: Rule | Each | None,
    kind: Kind,
    kernel: Op | None = None,
    composed: bool = False,
    reduces: np.ufunc | None = None,
) -> Op:
    """`define` the op that stands in for a NumPy function when an argument is a Tensor.

    `kernel` is another way to compute the same, where NumPy's own spends more on its call.
    """
    name = function.__name__
    op = define(
        kernel or function,
        *rules,
        name=name,
        kind=kind,
        trusted=True,
        composed=composed,
        reduces=reduces,
    )
    row_of(op).function = function
    NUMPY[function] = op
    return op


def handles(*functions: Any) -> Callable[[Op], Op]:
    """Register a composition of ops to stand in for NumPy functions.

    Keywords that its signature does not name are refused, unless they say NumPy's default aloud.
    """

    def register(op: Op) -> Op:
        parameters = _parameters(op)
        if any(p.kind is VAR_KEYWORD for p in parameters):
            NUMPY.update(dict.fromkeys(functions, op))
            return op
        known = frozenset(p.name for p in parameters)
        for function in functions:
            NUMPY[function] = _only_with(known, op, function)
        return op

    return register


def extends(op: Op, *functions: Any) -> Callable[[Op], Op]:
    """Register a composition for the calls of NumPy functions with options that their row lacks.

    The others cost no more for it: the row turns here only for an option that it does not know.
    """

    def register(general: Op) -> Op:
        general.__name__ = op.__name__  # which errors name
        for function in functions:
            handles(function)(general)
            row_of(op).more = NUMPY[function]
            NUMPY[function] = op
        return general

    return register


def _only_with(known: frozenset[str], op: Op, function: Any) -> Op:
    """The op, held to the keywords that it knows."""

    @functools.wraps(op)
    def handled(*args: Any, **options: Any) -> Any:
        if options.keys() <= known:
            return op(*args, **options)
        defaults = _defaults(function)
        for name in options.keys() - known:
            value = options.pop(name)
            if value is not None and value is not defaults.get(name):
                raise no_rule_with(op.__name__, name, known)
        return op(*args, **options)

    return handled


@functools.cache
def _defaults(function: Any) -> dict[str, Any]:
    """The defaults of a NumPy function's keywords, where it tells them."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {name: p.default for name, p in parameters.items() if p.default is not p.empty}


def row_of(op: Op) -> Primitive:
    """The row of an op that `define` has made."""
    row: Primitive = op.primitive  # type: ignore[attr-defined]
    return row


# --- applying
#
# What all ways to apply an op have in common: find the innermost tape among the arguments, take
# the arguments off it, apply the op to what is inside (arrays, or Tensors of outer tapes, which
# record there in turn), put a record on the tape, and return a Tensor. `_any_arrays` does it for
# all cases; the others are its short cuts for one and two arrays, where most of the time goes.

_NUMBERS = frozenset({int, float})


def _one_array(row: Primitive, inside: Op) -> Op:
    kernel = row.kernel
    general = _any_arrays(row, inside)
    reads_y, (reads_x,) = row.reads(True)

    def apply(x: Array, /) -> Array:
        if type(x) is not Tensor:
            return general(x) if isinstance(x, Tensor) else kernel(x)
        tape = x.tape
        inner = x.value
        try:
            y = apply(inner) if isinstance(inner, Tensor) else inside(inner)
        except Exception as error:
            _note(error, row, inner)
            raise
        kept = inner if reads_x is VALUE else None if reads_x is NOTHING else Like(inner)
        return recorded(tape, y, row, (x.index,), (kept,), y if reads_y else None, NO_OPTIONS)

    return apply


def _two_arrays(row: Primitive, inside: Op) -> Op:
    kernel = row.kernel
    general = _any_arrays(row, inside)
    both, only_a, only_b = (
        (reads_y, *reads_inputs)
        for reads_y, reads_inputs in map(row.reads, (True, True, False), (True, False, True))
    )

    def apply(a: Array, b: Array, /) -> Array:
        parents: tuple[int | None, int | None]
        if type(a) is Tensor:
            tape, value_a = a.tape, a.value
            if type(b) is Tensor and b.tape is tape:
                value_b, parents, reads = b.value, (a.index, b.index), both
            elif type(b) in _NUMBERS or (type(b) is np.ndarray and b.dtype.kind in "fiub"):
                value_b, parents, reads = b, (a.index, None), only_a
            else:
                return general(a, b)
        elif type(b) is Tensor:
            tape, value_b = b.tape, b.value
            if type(a) in _NUMBERS or (type(a) is np.ndarray and a.dtype.kind in "fiub"):
                value_a, parents, reads = a, (None, b.index), only_b
            else:
                return general(a, b)
        elif isinstance(a, Tensor) or isinstance(b, Tensor):
            return general(a, b)
        else:
            return kernel(a, b)
        try:
            y = compute(value_a, value_b)
        except Exception as error:
            _note(error, row, value_a, value_b)
            raise
        reads_y, reads_a, reads_b = reads
        kept_a = value_a if reads_a is VALUE else None if reads_a is NOTHING else Like(value_a)
        kept_b = value_b if reads_b is VALUE else None if reads_b is NOTHING else Like(value_b)
        value = y if reads_y else None
        return recorded(tape, y, row, parents, (kept_a, kept_b), value, NO_OPTIONS)

    def nested(a: Array, b: Array) -> Array:
        return apply(a, b) if isinstance(a, Tensor) or isinstance(b, Tensor) else inside(a, b)

    # NumPy itself brings a ufunc back here when there are Tensors inside
    compute = kernel if isinstance(kernel, np.ufunc) else nested
    return apply


_HOLD_NO_TENSOR = frozenset({int, float, bool, str, slice, type(None), type(Ellipsis), np.ndarray})
"""Types of most options; of a tuple also what is in it has to be looked at."""


def _one_array_with_options(row: Primitive, inside: Op) -> Op:
    general = _any_arrays(row, inside)
    reads_y, (reads_x,) = row.reads(True)

    def apply(*args: Any, **options: Any) -> Array:
        if not args or type(x := args[0]) is not Tensor:
            return general(*args, **options)
        known = _plain_options(row, args, options)
        if known is None:
            return general(*args, **options)
        inner = x.value
        try:
            y = apply(inner, **known) if isinstance(inner, Tensor) else inside(inner, **known)
        except Exception as error:
            _note(error, row, inner)
            raise
        kept = inner if reads_x is VALUE else None if reads_x is NOTHING else Like(inner)
        return recorded(x.tape, y, row, (x.index,), (kept,), y if reads_y else None, known)

    return apply


def _plain_options(
    row: Primitive, args: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, Any] | None:
    """The options of an op by name; None unless they are plainly its own and hold no Tensor."""
    if len(args) > 1:
        if len(args) > 1 + len(row.positional):
            return None
        options = {**dict(zip(row.positional, args[1:], strict=False)), **options}
    if not options.keys() <= row.options:
        return None
    for option in options.values():
        if type(option) not in _HOLD_NO_TENSOR and not (
            type(option) is tuple and _HOLD_NO_TENSOR.issuperset(map(type, option))
        ):
            return None
    return options


def _any_arrays(row: Primitive, inside: Op) -> Op:
    kernel, arity = row.kernel, row.arity
    most = sys.maxsize if arity is None else arity + len(row.positional)
    reads = functools.cache(row.reads)

    def apply(*args: Any, **options: Any) -> Array:
        tape = innermost(args, options)
        if tape is None:
            return kernel(*args, **options)
        if row.sparse is not None and any(map(is_sparse, args)):
            return row.sparse(*args, **options)
        if len(args) > most:
            args, options = _as_numpys(row, args, options)
        if options and row.more is not None and not options.keys() <= row.options:
            return row.more(*args, **options)
        if arity is not None:
            args, extra = args[:arity], args[arity:]
            options = _bound(row, extra, options, missing=arity - len(args))
        _refuse_tensors(options, row)
        if type(tape) is not Tape:
            return tape.applied(row, inside, admit_all(args, row.name), options)
        parents, inputs = [], []
        for x in args:
            on_tape = type(x) is Tensor and x.tape is tape
            parents.append(x.index if on_tape else None)
            inputs.append(x.value if on_tape else _constant(x, row, args))
        try:
            nested = innermost(inputs, options) is not None
            y = apply(*inputs, **options) if nested else inside(*inputs, **options)
        except Exception as error:
            _note(error, row, *inputs)
            raise
        reads_y, reads_inputs = reads(*[parent is not None for parent in parents])
        kept = [
            x if read is VALUE else None if read is NOTHING else Like(x)
            for x, read in zip(inputs, reads_inputs, strict=True)
        ]
        value = y if reads_y else None
        return recorded(tape, y, row, tuple(parents), tuple(kept), value, options)

    return apply


VIEWS: dict[Primitive, Way] = {}
"""How the ops of Kind.VIEW make views. What they are told is (args, options), as they were given.

The rule of such an op, which moves elements, moves them back.
"""


def _viewing(row: Primitive, op: Op) -> Op:
    """The op, of whose results a Tensor shares memory with the argument, as in NumPy."""
    assert isinstance(row.rules, tuple)
    (rule,) = row.rules
    assert rule is not None

    def take(x: Array, what: Any) -> Array:
        return op(x, *what[0], **what[1])

    def put_back(x: Array, view: Array, what: Any) -> Array:
        return rule(view, None, x, **_bound(row, *what))

    VIEWS[row] = Way(take, put_back)

    def apply(x: Array, *args: Any, **options: Any) -> Array:
        y = op(x, *args, **options)
        share(x, y, VIEWS[row], (args, options))
        return y

    return apply


def _without_rules(row: Primitive) -> Op:
    """Comparisons, argmax and the like are constant almost everywhere: they leave the tape."""
    kernel = row.kernel

    def apply(*args: Any, **options: Any) -> Any:
        tape = innermost(args, options)
        if tape is None:
            return kernel(*args, **options)
        if tape.closed:
            next(tape.indices)  # raises
        if options.get("out") is not None:
            raise NotDifferentiableError(
                f"{row.name}: out= is an array to write into; take the result instead"
            )
        args = admit_all(args, row.name)
        if options:
            options = admit_options(options, row.name)
        if type(tape) is not Tape:
            return tape.applied(row, kernel, args, options)
        inside = [x.value if type(x) is Tensor and x.tape is tape else x for x in args]
        for name, x in options.items():
            if type(x) is Tensor and x.tape is tape:
                options = {**options, name: x.value}
        return apply(*inside, **options)

    return apply


def innermost(args: Iterable[Any], options: dict[str, Any] = NO_OPTIONS) -> Tape | None:
    """The newest tape that an argument is on, or a part of an option."""
    tape: Tape | None = None
    for x in args:
        if isinstance(x, Tensor) and (tape is None or x.tape.serial > tape.serial):
            tape = x.tape
    for option in options.values():
        for x in option if type(option) is tuple else (option,):
            if isinstance(x, Tensor) and (tape is None or x.tape.serial > tape.serial):
                tape = x.tape
    return tape


def _as_numpys(
    row: Primitive, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """More positional arguments than a row takes, by NumPy's names: t.sum(0, None, None, True)."""
    function: Any = getattr(np, row.name, None)
    known = NUMPY.get(function) is row.apply
    return by_name(function, row.apply, args, options) if known else (args, options)


def _bound(
    row: Primitive, extra: tuple[Any, ...], options: dict[str, Any], missing: int = 0
) -> dict[str, Any]:
    """The options by name, as the rules name them; what they do not name is refused."""
    if missing or len(extra) > len(row.positional):
        raise TypeError(
            f"{row.name} takes {row.arity} array arguments, then "
            f"{', '.join(row.positional) or 'nothing'} by position; "
            + (f"{missing} are missing" if missing else f"{len(extra)} more were given")
        )
    options = {**dict(zip(row.positional, extra, strict=False)), **options}
    for name in options.keys() - row.options:
        if options[name] is not None:  # None is NumPy's default, said aloud
            raise no_rule_with(row.name, name, row.options)
        del options[name]
    return options


def no_rule_with(op: str, option: str, known: Iterable[str]) -> NotDifferentiableError:
    return NotDifferentiableError(
        f"{op}: no derivative rule with {option}=; "
        f"it takes {', '.join(sorted(known)) or 'no options'}"
    )


def _refuse_tensors(options: dict[str, Any], row: Primitive) -> None:
    """An option is not differentiated, so a Tensor there would lose its gradient unnoticed."""
    for name, value in options.items():
        if type(value) is Tensor:
            raise NotDifferentiableError(
                f"{row.name}: {name}= cannot be a Tensor; give arrays by position, and an option "
                "as a plain number (tensor.item())"
            )


def _constant(x: Any, row: Primitive, among: Iterable[Any] = ()) -> Any:
    """An operand that is not differentiated, if it is real; lists become arrays."""
    kind = type(x)
    if kind is np.ndarray:
        if x.dtype.kind in "fiub":
            return x
    elif kind is float or kind is int or kind is bool or kind is Tensor:
        return x
    elif kind is list or kind is tuple:
        return _constant(np.asarray(x), row)
    else:
        x = admit(x, row.name, among)
        if getattr(getattr(x, "dtype", None), "kind", "O") in "fiub":
            return x
    raise NotDifferentiableError(f"{row.name}: {refused(x)}")


def is_sparse(x: Any) -> bool:
    """Whether something is a sparse matrix or array, of scipy.sparse or one like it."""
    return hasattr(type(x), "tocsr")


def _watched(function: Op, who: str) -> Op:
    """The function, held to returning a real floating-point array, and one of its own."""

    @functools.wraps(function)
    def watched(*args: Any, **options: Any) -> Array:
        y = without_labels(function(*args, **options))
        if type(y) in _NUMBERS and all(type(x) in _NUMBERS for x in args):
            return y  # under a trace, as without it
        if not hasattr(y, "shape") or getattr(getattr(y, "dtype", None), "kind", "") != "f":
            raise RuleError(
                f"{who} returned {getattr(y, 'dtype', type(y).__name__)}; it must return a real "
                "floating-point array or NumPy scalar, as np.asarray(..., float) makes one"
            )
        return y.copy() if any(y is x for x in args) else y

    return watched


def _note(error: Exception, row: Primitive, *inputs: Any) -> None:
    """Say on an error, once, in which op of what operands it came up."""
    if not getattr(error, "__notes__", None):
        operands = " and ".join(f"{np.result_type(x)}{np.shape(x)}" for x in inputs)
        error.add_note(f"in the op {row.name} of {operands}")
