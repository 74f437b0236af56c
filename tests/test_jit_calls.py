"""What a call of a jitted function does besides running its program, which is next to nothing.

Measured in calls of functions, which do not depend on how busy a machine is.
"""

import collections
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import threading
import types
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_digits as td
from tests.jit_programs import assert_same, count_calls
from tinygrad_digits import optim
from tinygrad_digits.compiler.api import AS_IT_IS, LOOKED_UP, TRACED
from tinygrad_digits.engine.tape import OPEN
from tinygrad_digits.optim import schedules
from tinygrad_digits.support.tree import container_of

X = np.array([1.0, 2.0, 3.0])


def slow_calls(f):
    return f.cache_info().slow_calls


# --- the fast path is taken by every optimiser

RATES = {
    "number": 0.1,
    "constant": schedules.constant(0.1),
    "step_decay": schedules.step_decay(0.1, 0.5, 2),
    "cosine": schedules.cosine(0.1, 10),
    "warmup": schedules.warmup(schedules.cosine(0.1, 10), 2),
    "one_cycle": schedules.one_cycle(0.1, 10),
}
MAKERS = {
    **{
        name: getattr(optim, name)
        for name in (
            *("gradient_descent", "momentum", "nesterov", "rmsprop", "adagrad"),
            *("adam", "adamw", "lion"),
        )
    },
    **{
        name: (lambda rate, name=name: optim.chain(getattr(optim, name)(), optim.momentum(rate)))
        for name in ("scale_by_adam", "scale_by_rms", "scale_by_adagrad", "scale_by_lion")
    },
    "clip": lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.nesterov(rate)),
    "decay": lambda rate: optim.chain(optim.weight_decay(0.1), optim.gradient_descent(rate)),
}
WRAPPERS = {
    "alone": lambda optimizer: optimizer,
    "accumulate": lambda optimizer: optim.accumulate(optimizer, 2),
    "ema": lambda optimizer: optim.ema(optimizer, 0.9),
    "both": lambda optimizer: optim.ema(optim.accumulate(optimizer, 3)),
    "chained": lambda optimizer: optim.chain(optim.clip_by_global_norm(1.0), optimizer),
}


def test_all_of_optim_is_here():
    functions = {name for name, f in vars(optim).items() if hasattr(f, "__wrapped__")}
    others = {"accumulate", "ema", "chain", "clip_by_global_norm", "weight_decay"}
    assert functions == MAKERS.keys() - {"clip", "decay"} | others
    public = {name for name, f in vars(schedules).items() if hasattr(f, "__wrapped__")}
    assert public == RATES.keys() - {"number"}


def assert_takes_the_short_way(f, *argument_lists):
    """That f gives eager's results, and after its first call needs nothing but its program."""
    jitted = td.jit(f)
    jitted(*argument_lists[0])
    for arguments in argument_lists:
        assert_same(jitted(*arguments), f(*arguments))
    assert slow_calls(jitted) == {TRACED: 1}


PLAIN = [(maker, rate, "alone") for maker in MAKERS for rate in RATES]
WRAPPED = [(maker, "cosine", wrapper) for maker in MAKERS for wrapper in WRAPPERS]


def each_alone_or_in_the_gate(maker, rate, wrapper):
    """Every maker with a number, and all rates and wrappers with one of them; the rest later."""
    marks = () if maker == "adam" or (rate, wrapper) == ("number", "alone") else pytest.mark.gate
    return pytest.param(maker, rate, wrapper, marks=marks)


@pytest.mark.parametrize(
    ("maker", "rate", "wrapper"),
    [each_alone_or_in_the_gate(*each) for each in dict.fromkeys([*PLAIN, *WRAPPED])],
)
def test_every_optimiser_takes_the_short_way(maker, rate, wrapper):
    optimizer = WRAPPERS[wrapper](MAKERS[maker](RATES[rate]))
    params = {"w": np.array([[1.0, 2.0]], np.float32), "b": [X, 0.5], "name": "net"}
    gradient = td.grad(lambda p, x: np.sum(p["w"] ** 2) * x + np.sum(p["b"][0] ** 3) * p["b"][1])

    def step(params, state, x):
        return optimizer.update(params, gradient(params, x), state)

    calls = [(params, optimizer.init(params), 0.5)]
    for x in (1.0, 2.0):
        calls.append((*step(*calls[-1][:2], x), x))
    calls = [({**p, "b": [p["b"][0], float(p["b"][1])]}, state, x) for p, state, x in calls]
    assert_takes_the_short_way(step, calls[0])
    jitted = td.jit(step)
    for call in calls:
        assert_same(jitted(*call), step(*call))


# --- and by every kind of tree


class Point(NamedTuple):
    x: Any
    y: Any = 2.0


@dataclasses.dataclass
class Plain:
    x: Any
    name: str = "plain"


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: Any
    y: Any = None


@dataclasses.dataclass
class WithoutArguments:
    x: Any = dataclasses.field(init=False, default=1.0)


class OwnDict(dict):
    pass


class OwnList(list):
    pass


class OwnTuple(tuple):
    __slots__ = ()


class OwnMapping(collections.UserDict):
    pass


TREES = {
    "dict": lambda x: {"a": x, "b": 1.0},
    "dict of other keys": lambda x: {1: x, (2, "b"): x, None: 1.0, 2.5: x},
    "list": lambda x: [x, 1.0],
    "tuple": lambda x: (x, 1.0),
    "empty": lambda x: ({}, [], (), x),
    "named tuple": Point,
    "dataclass": Plain,
    "frozen dataclass with slots": FrozenSlots,
    "dataclass without arguments": lambda x: WithoutArguments(),
    "OrderedDict": lambda x: collections.OrderedDict(b=x, a=x),
    "defaultdict": lambda x: collections.defaultdict(list, a=x),
    "Counter": lambda x: collections.Counter(a=1.5, b=x),
    "deque": lambda x: collections.deque([x, x]),
    "UserDict": lambda x: collections.UserDict(a=x),
    "UserList": lambda x: collections.UserList([x, 1.0]),
    "SimpleNamespace": lambda x: types.SimpleNamespace(a=x, b=x),
    "mapping proxy": lambda x: types.MappingProxyType({"a": x}),
    "dict of one's own": lambda x: OwnDict(a=x),
    "list of one's own": lambda x: OwnList([x]),
    "tuple of one's own": lambda x: OwnTuple([x]),
    "mapping of one's own": lambda x: OwnMapping(a=x),
    "leaves": lambda x: [x, 1, True, "a", None, np.tanh, 1j, b"b", np.float32, np.dtype("f4"), ...],
    "numbers": lambda x: [x, 0.5, np.float32(2), np.int64(3), np.True_, np.array(1)],
}
TREES["all in one"] = lambda x: {
    name: make(x) for name, make in TREES.items() if name != "all in one"
}
TREES["all in each other"] = lambda x: Point(
    FrozenSlots(collections.OrderedDict(a=types.SimpleNamespace(b=Plain(Point([x, (x,)]))))),
    collections.deque([collections.UserDict(a=OwnTuple([x])), {"b": [Point(x)]}]),
)


def doubled(tree):
    def leaf(x):
        return 2.0 * x if isinstance(x, np.ndarray | td.Tensor) and x.ndim else x

    return td.tree.map(leaf, tree)


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("name", TREES)
def test_every_tree_takes_the_short_way(name, by_name):
    jitted = td.jit(lambda x, tree: (doubled(tree), x + 1))
    for k in (1, 2, 3):
        tree = TREES[name](k * X)
        got, x = jitted(x=0.5, tree=tree) if by_name else jitted(0.5, tree)
        assert_same(got, doubled(tree))
        assert type(got) is type(tree)
        assert x == 1.5
    assert slow_calls(jitted) == {TRACED: 1}


def test_there_is_a_tree_of_each_kind():
    kinds = {type(make(X)) for make in TREES.values()}
    for kind in kinds:
        container = container_of(kind)
        assert container is not None, kind
        assert td.tree.map(lambda x: x, TREES["all in one"](X)) is not None
    assert container_of(np.ndarray) is None


@pytest.mark.parametrize("name", ["dict", "list", "OrderedDict", "SimpleNamespace", "deque"])
def test_trees_that_change_between_calls(name):
    jitted = td.jit(doubled)
    first, second = TREES[name](X), TREES[name](X)
    if isinstance(second, list | collections.deque):
        second.append(X)
    elif isinstance(second, dict):
        second["z"] = X
    else:
        second.z = X
    for tree in (first, second, first, second):
        assert_same(jitted(tree), doubled(tree))
    assert jitted.cache_info().traces == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": X, "b": X}, {"b": X, "a": X}),
        ({1: X}, {True: X}),
        ({0.0: X}, {-0.0: X}),
        (Point(X, 1.0), Point(X, X)),
        (Point(X, 1.0), (X, 1.0)),
        (Plain(X, "a"), Plain(X, "b")),
        ({"a": X}, collections.OrderedDict(a=X)),
        ([X, X], [X, [X]]),
        (Point([X], {}), Point([X], [])),
        ([], {}),
    ],
)
def test_trees_that_differ_are_told_apart(one, other):
    jitted = td.jit(lambda tree: tree)
    for tree in (one, other, one, other):
        got = jitted(tree)
        assert type(got) is type(tree)
        assert_same(got, tree)


def test_why_calls_were_slow_is_told():
    jitted = td.jit(lambda x: x * 2.0)
    for n in (1, 2, 3, 4, 5, 6, 1, 1):
        jitted(np.ones(n))
    td.grad(jitted)(1.0)
    assert slow_calls(jitted) == {TRACED: 6, LOOKED_UP: 1, AS_IT_IS: 1}
    assert "slow_calls={'was traced" in repr(jitted.cache_info())
    jitted.cache_clear()
    assert slow_calls(jitted) == {}


@pytest.mark.parametrize(
    "value", [0.5, (1, 2), Plain, FrozenSlots(1.0), float("nan"), "text", frozenset({1}), b"b"]
)
def test_static_arguments_take_the_short_way(value):
    jitted = td.jit(lambda x, value: x + 1, static_argnames="value")
    for _ in range(3):
        assert jitted(1.0, value) == 2
    assert slow_calls(jitted) == {TRACED: 1}


# --- what a function closes over makes no difference


def closing_over(size):
    held = [{"k": float(k)} for k in range(size)]
    return lambda x: x + held[0]["k"], lambda: None


def with_a_default(size):
    held = [{"k": float(k)} for k in range(size)]

    def f(x, held=held):
        return x + held[0]["k"]

    return f, lambda: None


def of_a_partial(size):
    held = [{"k": float(k)} for k in range(size)]
    return td.jit(lambda x: x + len(held)), lambda: held.append({})


class Keeping:
    def __init__(self, size):
        self.k = 1.0
        self.history = [{"k": float(k)} for k in range(size)]

    def step(self, x):
        return x * self.k

    jitted = td.jit(step)


def of_a_method(size):
    keeping = Keeping(size)
    return keeping.step, lambda: keeping.history.append({})


def of_an_object(size):
    class Called(Keeping):
        def __call__(self, x):
            return x * self.k

    called = Called(size)
    return called, lambda: called.history.append({})


@pytest.mark.parametrize(
    "make", [closing_over, with_a_default, of_a_partial, of_a_method, of_an_object]
)
def test_a_call_costs_no_more_for_what_its_function_holds(make):
    counts = {}
    for size in (1, 1_000):
        f, grow = make(size)
        jitted = td.jit(f)
        jitted(1.0)
        grow()
        counts[size, "tried first"] = count_calls(jitted, 1.0)
        for n in range(5):
            jitted(np.ones(n))
        grow()
        counts[size, "looked up"] = count_calls(jitted, 1.0)
    assert counts[1, "tried first"] == counts[1_000, "tried first"]
    assert counts[1, "looked up"] == counts[1_000, "looked up"]


def test_a_decorated_method_costs_no_more_for_what_self_holds():
    counts = []
    for size in (1, 1_000):
        keeping = Keeping(size)
        keeping.jitted(1.0)
        keeping.history.append({})
        counts.append(count_calls(keeping.jitted, 1.0))
    assert counts[0] == counts[1]


def test_a_call_of_a_pure_function_makes_few_calls():
    optimizer = optim.adamw(schedules.cosine(0.1, 10))
    gradient = td.grad(lambda p, x: np.sum(np.tanh(x @ p["w"]) ** 2))
    step = td.jit(lambda p, s, x: optimizer.update(p, gradient(p, x), s))
    params = {"w": np.ones((3, 2)), "b": np.ones(2)}
    arguments = params, optimizer.init(params), np.ones((4, 3))
    step(*arguments)

    assert count_calls(step, *arguments) < 80


# --- tapes that are open


def test_no_tape_stays_open():
    def fails(_x):
        raise ValueError

    x, rows = 2.0, np.ones((2, 3))
    td.grad(np.sin)(x), td.vjp(np.sin, x), td.jacobian(np.sin)(rows), td.hessian(np.sin)(x)
    (
        td.vmap(np.sum)(rows),
        td.jit(td.grad(np.sin))(x),
        td.record(np.sin, x),
        td.jvp(np.sin, (x,), (1.0,)),
    )
    td.grad(np.prod)(rows), td.checkpoint(np.sin)(x), td.grad(td.checkpoint(np.sin))(x)
    for transform in (td.grad, td.vmap, td.jit, td.jacobian):
        with pytest.raises(ValueError, match=r"^$"):
            transform(fails)(rows)
    assert not OPEN


def test_a_tape_by_hand_is_open_as_long_as_it_is_there():
    w = td.Tensor(2.0, td.Tape())
    jitted = td.jit(lambda x: x * w)
    assert OPEN
    assert isinstance(jitted(3.0), td.Tensor)
    assert slow_calls(jitted) == {AS_IT_IS: 1}
    w = 2.0
    assert not OPEN
    assert jitted(3.0) == 6


def test_a_tensor_is_noticed_while_another_thread_differentiates():
    w, jitted = 2.0, None
    jitted = td.jit(lambda x: x * w)
    assert jitted(3.0) == 6
    inside, done = threading.Event(), threading.Event()

    def loss(v):
        inside.set()
        done.wait(10)
        return v * v

    thread = threading.Thread(target=td.grad(loss), args=(1.0,))
    thread.start()
    inside.wait(10)
    assert len(OPEN) == 1
    assert jitted(3.0) == 6

    def outer(v):
        nonlocal w
        w = v
        return jitted(3.0)

    assert td.grad(outer)(2.0) == 3
    done.set()
    thread.join()
    assert not OPEN


# --- forks

FORK = """
    import os, sys, threading, warnings
    import numpy as np, tinygrad_digits as td

    warnings.simplefilter("ignore")
    inside, done = threading.Event(), threading.Event()

    def slow(x):
        inside.set()
        done.wait(20)
        return x * 2

    jitted = td.jit(slow)
    thread = threading.Thread(target=jitted, args=(1.0,))
    thread.start()
    inside.wait(20)  # so that the thread is tracing
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            done.set()  # the thread is not there
            ok = td.jit(td.grad(np.sin))(0.0) == 1 and jitted(2.0) == 4
            other = threading.Thread(target=lambda: os._exit(jitted(np.ones(2))[0] != 2 or not ok))
            other.start()
            other.join()
            os._exit(3)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    done.set()
    thread.join()
    assert jitted(3.0) == 6
    sys.exit(max(codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_child_that_is_forked_while_a_thread_traces_goes_on():
    source = textwrap.dedent(FORK)
    ran = subprocess.run([sys.executable, "-c", source], timeout=60, check=False)
    assert ran.returncode == 0


def test_no_lock_is_kept_that_a_fork_would_inherit():
    """But for those of tracing, which a child renews, and of loading, which a fork waits for."""
    package = pathlib.Path(td.__file__).parent
    made = re.compile(
        r"\b(R?Lock|Condition|Semaphore|Event|Barrier|cached_property)\(|@.*cached_property"
    )
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if made.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"support/loading.py", "compiler/api.py"}
