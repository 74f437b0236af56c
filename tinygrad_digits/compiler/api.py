"""jit : (f, how) -> f, traced once for each signature and run as a program from then on.

A call is sorted by its signature: the shapes and dtypes of the arrays, and the values of
everything that is static (ints, bools, strings, functions). A signature that is new is traced,
lowered and compiled; one that is known runs its program.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import itertools
import operator
import os
import time
from _thread import RLock, get_ident  # threading itself takes 0.6 ms to import
from collections import Counter, deque
from collections.abc import Callable, Hashable
from numbers import Number
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

import numpy as np

from ..engine.tape import OPEN
from ..support import tree
from ..support.errors import (
    MissingExtraError,
    RetraceWarning,
)
from ..support.foreign import admit, gate_of
from ..support.loading import load
from ..support.options import suggest_options
from ..support.pickling import Decorated, as_findable, importable_name, name_of
from ..support.user_lines import warn
from .call_arguments import describe_leaf, list_leaves, read_names, read_positional
from .fast_call import MISS, FastCall, Known
from .free_variables import find_free_variables, find_instances, hold_a_tensor, holds_a_tensor
from .instances import Attributes, has_state
from .signature import Sealed, identity, is_input, key_of

if TYPE_CHECKING:
    from .lower import Lowered
    from .program import Program
    from .trace import JitInterpreter

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

BACKENDS = ("numpy", "native")
RECENT = 4
"""Programs that a call tries before it looks for its own by signature."""

RETRACES = 8
"""Traces after which a function is told that its signature keeps changing."""


class _Counts(NamedTuple):
    traces: int
    programs: int
    maxsize: int


class CacheInfo(_Counts):
    """What a jitted function remembers: how many traces, and programs, of how many at most.

    A call that finds its program among the last few costs next to nothing. `slow_calls` counts the
    others, by what they needed.
    """

    slow_calls: dict[str, int]

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, slow_calls={self.slow_calls})"


AS_IT_IS = "was run as it is: a Tensor of an enclosing transform is among what it uses"
TRACED = "was traced: no program had its signature"
LOOKED_UP = "was looked up by its signature: other programs ran last"
"""Why a call took longer than others."""


@overload
def jit(
    f: Callable[P, R],
    *,
    backend: str = ...,
    static_argnames: str | tuple[str, ...] = ...,
    donate: str | tuple[str, ...] = ...,
    cache_size: int = ...,
    threads: int | None = ...,
) -> Jitted[P, R]: ...


@overload
def jit(
    f: None = None,
    *,
    backend: str = ...,
    static_argnames: str | tuple[str, ...] = ...,
    donate: str | tuple[str, ...] = ...,
    cache_size: int = ...,
    threads: int | None = ...,
) -> Callable[[Callable[P, R]], Jitted[P, R]]: ...


@suggest_options
def jit(
    f: Callable[..., Any] | None = None,
    *,
    backend: str = "numpy",
    static_argnames: str | tuple[str, ...] = (),
    donate: str | tuple[str, ...] = (),
    cache_size: int = 64,
    threads: int | None = None,
) -> Any:
    """f, traced once for each signature and run as a straight-line program from then on.

    Args:
        f: any function; without it, jit(backend=...) gives a decorator.
        backend: "numpy", or "native" (extra `native`) for machine code.
        static_argnames: arguments that are part of the signature although they are arrays or
            floats, or that hold settings; hashable. Ints, bools, strings and functions always are.
        donate: arguments whose arrays results may be written into; after the call they hold
            those results, or anything.
        cache_size: programs kept; beyond it the one that was least recently used is dropped.
        threads: on how many the native backend's loops over large arrays run, with the same bits;
            by default as many as there are cores for this process. BLAS goes by its own settings.

    Arrays, NumPy scalars, floats and random generators are what may change between calls; any
    tree of them, and any tree as a result. Raises TracedValueError where f needs the value of an
    array to go on, as `if x > 0` does. `f.program(*args)` shows what runs.

    >>> import numpy as np, tinygrad_digits as td
    >>> @jit
    ... def step(w, x):
    ...     return w - 0.5 * td.grad(lambda w: np.sum((x @ w) ** 2))(w)
    >>> step(np.array([1.0, 2.0]), np.eye(2))
    array([0., 0.])
    """
    if f is None:
        return functools.partial(
            jit,
            backend=backend,
            static_argnames=static_argnames,
            donate=donate,
            cache_size=cache_size,
            threads=threads,
        )
    if backend == "numba":
        warn('backend="numba" is now called backend="native"', DeprecationWarning)
        backend = "native"
    return Jitted(f, backend, _names(static_argnames), _names(donate), cache_size, threads)


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


_TRACING = RLock()
"""Held while a function is traced: one lock for all, since they may call each other."""


def _renew_lock() -> None:
    """In a forked child the lock may be held by a thread that is not there."""
    global _TRACING  # noqa: PLW0603
    _TRACING = RLock()


if hasattr(os, "register_at_fork"):  # which Windows has not
    os.register_at_fork(after_in_child=_renew_lock)


def _check_function(f: Any) -> None:
    """Raise TypeError for what jit cannot trace."""
    if not callable(f):
        raise TypeError(f"jit takes a function, got {type(f).__name__}")
    if inspect.isgeneratorfunction(f) or inspect.iscoroutinefunction(f):
        raise TypeError(
            f"{name_of(f)} is a generator or a coroutine: it stops and goes on, and a program "
            "runs straight through. Return the values as a list, or jit what it does in a step"
        )


def _check_how(f: Any, backend: str, arguments: tuple[str, ...], cache_size: int) -> None:
    """Raise ValueError, MissingExtraError or TypeError for what jit was told about f."""
    if cache_size < 1:
        raise ValueError(f"cache_size must be at least 1, got {cache_size}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "native" and importlib.util.find_spec("llvmlite") is None:
        raise MissingExtraError(
            'backend="native" needs llvmlite: pip install "tinygrad-digits[native]"'
        )
    known = read_names(f)
    for name in arguments:
        if known is not None and name not in known:
            raise TypeError(f"{name_of(f)} has no argument {name!r}; it has {', '.join(known)}")


class Jitted(Decorated, Generic[P, R]):
    """A function and the programs that have been made of it."""

    def __init__(
        self,
        f: Callable[P, R],
        backend: str,
        static_argnames: tuple[str, ...],
        donate: tuple[str, ...],
        cache_size: int,
        threads: int | None = None,
    ) -> None:
        _check_function(f)
        if threads is not None and (type(threads) is bool or operator.index(threads) < 1):
            raise ValueError(f"threads must be at least 1, got {threads}")
        _check_how(f, backend, (*static_argnames, *donate), cache_size)
        functools.update_wrapper(self, f)
        self.f = f
        self.backend = backend
        self.parameters = read_positional(f)
        self.static = frozenset(static_argnames)
        self.donate = frozenset(donate)
        self.cache_size = cache_size
        self.threads = threads
        self.traces = 0
        self._programs: dict[Hashable, Lowered] = {}
        self._specs: deque[dict[str, str]] = deque(maxlen=RETRACES)  # what traces were for, by path
        self._uses = itertools.count()
        self._tracing: set[tuple[int, int]] = set()  # processes (of forks) and threads
        self._attributes = Attributes(f)
        self._selves = find_instances(f)
        self._slow_calls: Counter[str] = Counter()
        self._recent: tuple[FastCall, ...] = ()  # the fast paths of the programs that ran last

    def __repr__(self) -> str:
        return f"<jit {name_of(self.f)}, {self.backend}, {len(self._programs)} programs>"

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: Jitted[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> Callable[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        """Pickles as the name under which it can be imported, or as its function and options."""
        options = self.backend, (*self.static,), (*self.donate,), self.cache_size, self.threads
        return importable_name(self) or (Jitted, (as_findable(self.f), *options))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        recent = self._recent
        for fast_call in recent:
            result: R = fast_call(args, kwargs)
            if result is not MISS:
                if fast_call is not recent[0]:
                    self._move_to_front(fast_call)
                return result
        traces = self.traces
        program, leaves = self._look_up(args, kwargs)
        if program is None:
            self._slow_calls[AS_IT_IS] += 1
            return self.f(*args, **kwargs)
        self._slow_calls[LOOKED_UP if traces == self.traces else TRACED] += 1
        if program.fast_call is not None:
            self._move_to_front(program.fast_call)
        return cast("R", program(leaves))

    def program(self, *args: P.args, **kwargs: P.kwargs) -> Lowered:
        """The program that runs for these arguments; print it to see how it was made."""
        program, _ = self._look_up(args, kwargs)
        if program is None:
            raise TypeError(
                f"{name_of(self.f)} is not compiled for these arguments, but run as it is"
            )
        return program

    def trace(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], jit: JitInterpreter | None = None
    ) -> tuple[Program, tree.Structure]:
        """The program of a call before any pass, and the structure of its results; kept nowhere."""
        args, kwargs = self._with_static(args, kwargs)
        if any(map(_is_admitted, tree.flatten((args, kwargs))[0])):
            args, kwargs = _admit(args, kwargs, self.parameters)
        with _TRACING:
            return self._trace_call(args, kwargs, jit)

    def _trace_call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], jit: JitInterpreter | None = None
    ) -> tuple[Program, tree.Structure]:
        trace_call = load(f"{__package__}.traced_call", "trace_call")
        traced: tuple[Program, tree.Structure] = trace_call(
            self.f, args, kwargs, self.parameters, jit
        )
        return traced

    def cache_info(self) -> CacheInfo:
        """How often f was traced, how many programs are kept, and which calls were slow.

        >>> f = jit(lambda x: 2 * x)
        >>> [f(1.0), f(2.0), f(np.float32(3))]
        [2.0, 4.0, np.float32(6.0)]
        >>> f.cache_info().traces, f.cache_info().slow_calls
        (2, {'was traced: no program had its signature': 2})
        """
        info = CacheInfo(self.traces, len(self._programs), self.cache_size)
        info.slow_calls = dict(self._slow_calls)
        return info

    @property
    def programs(self) -> list[Lowered]:
        """The programs that are kept."""
        return [*self._programs.values()]

    def cache_clear(self) -> None:
        """Forget all programs."""
        with _TRACING:
            self._recent = ()
            self._programs.clear()
            self._specs.clear()
            self._slow_calls.clear()

    # --- from a call to its program

    def _look_up(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Lowered | None, list[Any]]:
        """The program for a call and its inputs; None where f has to be run as it is."""
        if self.static:
            args, kwargs = self._with_static(args, kwargs)
        if len(kwargs) > 1:
            kwargs = dict(sorted(kwargs.items()))
        leaves, structure = tree.flatten((args, kwargs))
        if any(map(_is_admitted, leaves)):
            args, kwargs = _admit(args, kwargs, self.parameters)
            leaves, structure = tree.flatten((args, kwargs))
        held = bool(OPEN) and hold_a_tensor(find_free_variables(self.f))
        if held or any(map(_belongs_elsewhere, leaves)):
            self._refuse_recursion()
            return None, leaves
        inputs = [leaf for leaf in leaves if is_input(leaf)]
        try:
            keys = [key_of(leaf, self._attributes) for leaf in leaves]
            own = [identity(held, self._attributes) for held in self._selves]
            signature = tree.outline(structure), *keys, *own
            program = self._programs.get(signature)
        except TypeError:
            self._refuse_unhashable(args, kwargs)
            raise
        if program is None:
            program = self._trace(signature, args, kwargs)
        if program is not None:
            program.used = next(self._uses)
        return program, inputs

    def _refuse_recursion(self) -> None:
        if (os.getpid(), get_ident()) in self._tracing:
            raise RecursionError(
                f"{name_of(self.f)} calls itself while jit traces it: a program has no calls. "
                "Write the recursion as a loop, or jit a function that calls a plain recursive one"
            )

    def _trace(
        self, signature: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Lowered | None:
        self._refuse_recursion()
        with _TRACING:
            if (known := self._programs.get(signature)) is not None:
                return known  # another thread was quicker
            here = os.getpid(), get_ident()
            self._tracing.add(here)
            try:
                start = time.perf_counter()
                program, structure = self._trace_call(args, kwargs)
                made: Lowered = load(f"{__package__}.lower").lower_program(
                    program,
                    structure,
                    name=name_of(self.f),
                    backend=self.backend,
                    donate=self.donate,
                    threads=self.threads,
                    seconds=time.perf_counter() - start,
                )
                surroundings = Known(find_free_variables(self.f), self._selves, self._attributes)
                made.make_fast_call(args, kwargs, surroundings)
            except load(f"{__package__}.trace").Captured:
                return None
            finally:
                self._tracing.discard(here)
            self.traces += 1
            self._remember(args, kwargs)
            if len(self._programs) >= self.cache_size:
                self._forget_the_oldest()
            self._programs[signature] = made
            return made

    def _move_to_front(self, fast_call: FastCall) -> None:
        """Try this fast path first the next time."""
        others = [other for other in self._recent if other is not fast_call]
        self._recent = (fast_call, *others)[:RECENT]

    def _forget_the_oldest(self) -> None:
        """Drop the program that was least recently used."""
        ranks: dict[Any, int] = {
            fast_call: RECENT - rank for rank, fast_call in enumerate(self._recent)
        }
        ages = {key: (ranks.get(p.fast_call, 0), p.used) for key, p in self._programs.items()}
        gone = self._programs.pop(min(ages, key=ages.__getitem__))
        self._recent = tuple(each for each in self._recent if each is not gone.fast_call)

    def _with_static(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        names = [*self.parameters, *[""] * len(args)]
        args = tuple(
            self._seal(x) if name in self.static else x
            for name, x in zip(names, args, strict=False)
        )
        return args, {k: self._seal(x) if k in self.static else x for k, x in kwargs.items()}

    def _seal(self, x: Any) -> Sealed:
        return Sealed(x, self._attributes)

    def _refuse_unhashable(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for path, leaf in list_leaves(args, kwargs, self.parameters):
            value = leaf.value if isinstance(leaf, Sealed) else leaf
            try:
                hash(value) if not isinstance(leaf, np.ndarray) else None
            except TypeError:
                if isinstance(value, np.ndarray):
                    raise TypeError(
                        f"{path}: an array is not hashed, so cannot be static"
                    ) from None
                raise TypeError(
                    f"{path}: a {type(value).__name__} is neither an array nor something that can "
                    "be compared and hashed, so jit cannot tell when to trace again"
                ) from None

    # --- what changes from trace to trace

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note what this trace is for; say so when there are many."""
        items = [*list_leaves(args, kwargs, self.parameters)]
        spec = {path: describe_leaf(leaf) for path, leaf in items}
        for path, leaf in [*items, *((type(held).__name__, held) for held in self._selves)]:
            value = leaf.value if isinstance(leaf, Sealed) else leaf
            if has_state(value):
                spec |= self._attributes.describe(value, path)
        self._specs.append(spec)
        count = self.traces
        if count < RETRACES or count & (count - 1):
            return
        changing = []
        for path in spec:
            seen = list(dict.fromkeys(s[path] for s in self._specs if path in s))
            if len(seen) > 1:
                changing.append(f"{path} ({', '.join(seen[-3:])})")
        warn(
            f"{name_of(self.f)} has been traced {count} times, because of "
            f"{' and '.join(changing) or 'the structure of its arguments'}. An int is part of the "
            "signature: pass what changes as a float or an array; pad arrays to a common shape",
            RetraceWarning,
        )


def _belongs_elsewhere(leaf: Any) -> bool:
    """Whether a leaf is part of a transform under way, or of another library."""
    return (bool(OPEN) and holds_a_tensor(leaf)) or _is_foreign(leaf)


def _is_admitted(leaf: Any) -> bool:
    """Whether an argument has to become a plain array: it has labels, or lies in a file."""
    return gate_of(leaf) is not None or isinstance(leaf, np.memmap)


def _admit(args: Any, kwargs: Any, parameters: list[str]) -> tuple[Any, Any]:
    """The arguments with labelled and mapped arrays as plain ones, which a program works on."""
    _, structure = tree.flatten((args, kwargs))
    leaves = [_admit_leaf(x, path) for path, x in list_leaves(args, kwargs, parameters)]
    found: tuple[Any, Any] = tree.unflatten(structure, leaves)
    return found


def _admit_leaf(x: Any, path: str) -> Any:
    if isinstance(x, np.memmap):
        return np.asarray(x)
    return x if isinstance(x, Number) or _is_foreign(x) else admit(x, path)


def _is_foreign(leaf: Any) -> bool:
    """An array of another library: its own functions know better what to do with it."""
    return hasattr(leaf, "__array_function__") and not isinstance(leaf, np.ndarray | np.generic)
