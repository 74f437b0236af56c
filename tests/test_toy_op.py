"""An op in one place: declared here with all that there is to say of it, and known everywhere."""

import functools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.compiler.native.fusion import Role
from tinygrad_digits.compiler.native.loops import lower_loop
from tinygrad_digits.compiler.native.roles import Roles
from tinygrad_digits.compiler.native.segment import Kernels
from tinygrad_digits.compiler.passes.for_loops import prepare_for_loops
from tinygrad_digits.engine.primitive import Kind
from tinygrad_digits.staging.batching import batch_elementwise, register_batching
from tinygrad_digits.staging.lowering import register_lowering

# --- two inputs, elementwise: x / (s + |x|), for s > 0


def _softsign_kernel(x, s):
    return x / (s + np.abs(x))


softsign = td.define(
    _softsign_kernel,
    lambda g, _y, x, s: g * s / np.square(s + np.abs(x)),
    lambda g, y, x, s: -g * y / (s + np.abs(x)),
    name="softsign",
    kind=Kind.ELEMENTWISE,
)
register_batching(batch_elementwise, softsign)
register_lowering(softsign, element=lambda x, s: x / (s + abs(x)))

# --- one that is there for what it raises


def _check_positive(x):
    if np.min(x) <= 0:
        raise ValueError(f"needs positive numbers, got {np.min(x)}")
    return np.intp(x.size)


def _write_check(call):
    (x,) = call.args
    if not x.plain:
        return None

    def write(code):
        with code.loop(math.prod(x.shape)) as k:
            code.fail_if(x[k] <= 0, ValueError)
        call.out[0] = math.prod(x.shape)

    return write


check_positive = td.define(_check_positive, name="check_positive")
register_batching(
    lambda call: np.full(call.length, check_positive(*call.xs) // call.length), check_positive
)
register_lowering(check_positive, effect=True, native=_write_check)


def checked(x, s):
    check_positive(s)
    return softsign(x, s)


X = np.linspace(-2.0, 3.0, 12).reshape(4, 3)
S = np.array([0.5, 1.0, 2.0])
BACKENDS = ["numpy", "native"]


def loss(x, s):
    return np.sum(np.square(checked(x, s)))


def step(x, s):
    return td.value_and_grad(loss, (0, 1))(x, s)


def test_value():
    assert_array_equal(softsign(X, S), X / (S + np.abs(X)))


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives(order):
    x = X + 0.1  # away from the kink of |x|
    td.check_grads(softsign, x, S, order=order)


def test_vmap_takes_no_loop():
    assert td.vmap(checked, (0, None)).loops(X, S) == ()
    assert td.vmap(checked, (None, 0)).loops(X[0], np.stack([S, S])) == ()
    assert_array_equal(td.vmap(checked, (0, None))(X, S), softsign(X, S))
    assert_allclose(
        td.vmap(td.grad(loss), (0, None))(X, S), td.grad(loss)(X, S), rtol=1e-15, atol=1e-16
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_programs_of_numpy_are_equal_to_the_last_bit(dtype):
    x, s = X.astype(dtype), S.astype(dtype)
    (value, grads), (wanted, wanted_grads) = td.jit(step)(x, s), step(x, s)
    assert value == wanted
    for got, want in zip(grads, wanted_grads, strict=True):
        assert got.dtype == dtype
        assert_array_equal(got, want)


def test_programs_of_native_code():
    (value, grads), (wanted, wanted_grads) = td.jit(step, backend="native")(X, S), step(X, S)
    assert_allclose(value, wanted, rtol=1e-14)
    for got, want in zip(grads, wanted_grads, strict=True):
        assert_allclose(got, want, rtol=1e-13)


def test_native_code_leaves_nothing_to_numpy():
    program = prepare_for_loops(td.jit(checked).program(X, S).final)
    roles = Roles(program, functools.partial(lower_loop, kernels=Kernels()))
    assert {eqn.op.name: roles(i, eqn) for i, eqn in program.equations.items()} == {
        "check_positive": Role.STANDALONE,
        "softsign": Role.POINTWISE,
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_has_an_effect_is_kept_though_nobody_reads_it(backend):
    jitted = td.jit(checked, backend=backend)
    assert "check_positive" in [
        eqn.op.name for eqn in jitted.program(X, S).final.equations.values()
    ]
    assert_allclose(jitted(X, S), softsign(X, S), rtol=1e-15)
    with pytest.raises(ValueError, match=r"needs positive numbers, got -0\.5"):
        jitted(X, S - 1)


def test_what_has_none_is_left_out():
    program = td.jit(lambda x, s: (softsign(x, s), x + 1)[1]).program(X, S).final
    assert [eqn.op.name for eqn in program.equations.values()] == ["add"]
