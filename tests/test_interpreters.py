"""Interpreters: what ops on a Tensor mean, how a function is run on one, and who sees a sweep."""

import ast

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.sources import PACKAGE, SOURCES
from tinygrad_digits.compiler.trace import JitInterpreter
from tinygrad_digits.engine.run import ForwardPass, run_on
from tinygrad_digits.engine.tape import OPEN, Interpreter, Tape, interpreters_of
from tinygrad_digits.looking.debugging import DebuggingInterpreter
from tinygrad_digits.looking.recording import RecordingInterpreter
from tinygrad_digits.ops.derived_rules import compute_vjp
from tinygrad_digits.staging.tracer import bare
from tinygrad_digits.transforms.batching import BatchInterpreter
from tinygrad_digits.transforms.holomorphy import LinearInterpreter
from tinygrad_digits.transforms.steps import StepInterpreter

X = np.array([0.5, 2.0])


class CountedTensor(td.Tensor):
    """A Tensor on a Counter."""

    __slots__ = ()


class Counter(Interpreter):
    """The smallest interpreter: it counts the ops, and computes as ever."""

    __slots__ = ("counts", "sweeps")

    def __init__(self):
        super().__init__()
        self.counts, self.sweeps = {}, []

    def box(self, x):
        tensor = object.__new__(CountedTensor)
        tensor.value, tensor.tape, tensor.index = x, self, -1
        return tensor

    def process_primitive(self, op, _compute, args, options):
        self.check_open()
        self.counts[op.name] = self.counts.get(op.name, 0) + 1
        y = op.apply(*[x.value if self.is_on(x) else x for x in args], **options)
        return self.box(y) if op.rules else y

    def process_sweep(self, tape, pull):
        self.sweeps.append([record.name for record in tape])
        return pull


def count(f, *args):
    counter = Counter()

    def box_leaves(leaves, counter, boxed):
        boxed += map(counter.box, leaves)

    y, _, _ = run_on(counter, f, args, argnums=tuple(range(len(args))), box=box_leaves)
    assert counter.closed
    return y, counter


def test_there_are_seven_and_each_says_what_it_is_for():
    def below(kind):
        return {kind, *(k for sub in kind.__subclasses__() for k in below(sub))}

    ours = {kind for kind in below(Interpreter) if kind.__module__.startswith(td.__name__)}
    seven = {Tape, RecordingInterpreter, DebuggingInterpreter, BatchInterpreter}
    seven |= {JitInterpreter, StepInterpreter, LinearInterpreter}
    assert ours == seven | {Interpreter}
    for kind in seven:
        assert kind.__doc__
        assert kind.__name__ in Interpreter.__doc__


def test_a_new_interpreter_sees_every_op_of_a_function_and_of_its_gradient():
    y, counter = count(lambda x: np.sum(np.sin(x) * x), X)
    assert bare(y) == np.sum(np.sin(X) * X)
    assert counter.counts == {"sin": 1, "multiply": 1, "sum": 1}
    g, counter = count(td.grad(lambda x: np.sum(np.sin(x))), X)
    assert_array_equal(bare(g), np.cos(X))
    assert {"sin", "sum", "cos"} <= counter.counts.keys()


def test_it_is_told_of_the_sweeps_over_the_tapes_inside():
    _, counter = count(td.grad(np.sin), np.float64(0.5))
    assert counter.sweeps == [["input", "sin"]]
    _, counter = count(td.grad(td.grad(np.sin)), np.float64(0.5))
    inner, outer = counter.sweeps
    assert inner == ["input", "sin"]
    assert outer[:3] == ["input", "sin", "cos"]
    _, counter = count(lambda x: td.vjp(np.sin, x)[1](1.0), np.float64(0.5))
    assert counter.sweeps == [["input", "sin"]]
    td.grad(np.sin)(0.5)
    assert len(counter.sweeps) == 1


def test_of_a_gradient_whose_argument_is_plain_too():
    _, counter = count(lambda w: td.grad(lambda x: np.sum(x * w))(X), X)
    assert counter.sweeps == [["input", "multiply", "sum"]]


def test_a_closed_one_takes_part_in_no_op():
    y, _ = count(np.sin, X)
    for again in range(2):
        with pytest.raises(td.errors.EscapedTensorError, match="outlived"):
            y + again


@pytest.mark.parametrize("argnums", [0, (0,)])
def test_a_function_that_raises_leaves_its_interpreter_closed(argnums):
    def fails(x):
        raise KeyError(x.shape)

    tape = Tape()
    with pytest.raises(KeyError):
        run_on(tape, fails, (X,), argnums=argnums)
    assert tape.closed
    assert tape.serial not in OPEN


def test_functions_run_on_interpreters_in_one_place():
    """Nothing else closes an interpreter when a function is done, or has failed."""
    closing = {
        path.relative_to(PACKAGE).as_posix()
        for path, module in SOURCES.items()
        if not path.is_relative_to(PACKAGE / "digits")
        for node in ast.walk(module)
        if isinstance(node, ast.Try)
        for statement in node.finalbody
        if ast.unparse(statement).endswith(".close()")
    }
    assert closing == {"engine/run.py"}


def test_the_interpreters_of_a_value_from_the_inside():
    seen = []
    td.grad(lambda x: td.grad(lambda y: seen.extend(interpreters_of(y * x)) or y * x)(x))(2.0)
    assert [type(tape) for tape in seen] == [Tape, Tape]
    assert seen[0].serial > seen[1].serial
    assert not [*interpreters_of(2.0)]


# --- sweeps


def test_who_watches_a_sweep_runs_its_rules():
    ran = ForwardPass(lambda x: np.sum(np.tanh(x) * x), (X,))
    passed = []

    def pull(index, record, rule, g):
        passed.append((index, record.name, np.shape(g)))
        return record.pull(rule, g)

    (y,) = ran.outputs
    watched = ran.tape.sweep({y.index: np.float64(1)}, free=False, pull=pull)
    alone = ran.tape.sweep({y.index: np.float64(1)}, free=False)
    assert_array_equal(watched[0], alone[0])
    assert passed == [
        (3, "sum", ()),
        (2, "multiply", (2,)),
        (2, "multiply", (2,)),
        (1, "tanh", (2,)),
    ]


def test_what_goes_wrong_there_says_in_which_derivative():
    ran = ForwardPass(np.sin, (2.0,))

    def pull(*_):
        raise RuntimeError("seen enough")

    with pytest.raises(RuntimeError, match="seen enough") as caught:
        ran.tape.sweep({1: np.float64(1)}, free=True, pull=pull)
    assert "in the derivative of sin" in caught.value.__notes__[0]


def test_a_vjp_that_leaves_no_tape_behind():
    def f(p, x):
        return [p["a"] * x, p["a"]]

    args = {"a": 3.0, "b": 1.0}, X
    a, b, x = compute_vjp(f, args, [X, 2.0])
    assert a == X @ X + 2
    assert b == 0
    assert_array_equal(x, 3 * X)
    (alone,) = compute_vjp(f, args, [X, 2.0], tracked=[2])
    assert_array_equal(alone, x)
    assert not OPEN
