"""What a program prints."""

import re

import numpy as np
import pytest

import tinygrad_digits as td


def f(x):
    return x


def test_a_small_program_reads_like_this():
    def f(x, w):
        return np.sum(np.tanh(x @ w) ** 2)

    program = td.jit(f).program(np.ones((2, 3)), np.ones(3))
    assert (
        f"\n{program.final}"
        == """
%0      input x        float64(2, 3)
%1      input w        float64(3,)
%2      matmul %0, %1  float64(2,)
%3      tanh %2        float64(2,)
%4      square %3      float64(2,)
%5      sum %4         float64()
return  %5"""
    )
    assert (
        f"\n{program.source}"
        == """
def run(inputs, workspace):  # f
    a0, a1, = inputs
    v2, v3, v4, = workspace
    matmul(a0, a1, out=v2)
    tanh(v2, out=v3)
    square(v3, out=v4)
    v5 = add_reduce(v4, None, None, None, False)
    return [v5[()]]
"""
    )
    assert str(program.code.plan) == "3 values of 48 bytes share 16; 2 are written in place"
    assert re.match(r"f: traced \d+ ms, lowered \d+ ms\n\ntrace  +4 equations\n", str(program))


@pytest.fixture
def step_program():
    def step(params, x, y):
        def loss(p):
            return np.mean((x @ p["w"] - y) ** 2)

        return td.tree.map(lambda p, g: p - 0.5 * g, params, td.grad(loss)(params))

    return td.jit(step).program({"w": np.ones(3)}, np.ones((4, 3)), np.ones(4))


def test_a_training_step_reads_like_this(step_program):
    assert (
        f"\n{step_program.final}"
        == """
%0      input params['w']                float64(3,)
%1      input x                          float64(4, 3)
%2      input y                          float64(4,)
%3      matmul %1, %0                    float64(4,)
%4      subtract %3, %2                  float64(4,)
%11     multiply 0.5, %4                 float64(4,)
%12     swapaxes %1, axis1=-1, axis2=-2  float64(3, 4)
%13     getitem %11, index=(..., None)   float64(4, 1)
%14     matmul %12, %13                  float64(3, 1)
%15     getitem %14, index=(..., 0)      float64(3,)
%16     multiply 0.5, %15                float64(3,)
%17     subtract %0, %16                 float64(3,)
return  %17"""
    )
    assert "dead_code              9 equations   without %5, %6, %7, %8, %9\n" in str(step_program)


def test_a_training_step_runs_like_this(step_program):
    assert (
        f"\n{step_program.source}"
        == """
def run(inputs, workspace):  # step
    a0, a1, a2, = inputs
    v3, v4, v11, v14, v16, v13, v15, = workspace
    matmul(a1, a0, out=v3)
    subtract(v3, a2, out=v4)
    with errstate(**errors11):
        multiply(k0, v4, out=v11)
        v12 = a1.swapaxes(-1, -2)
        matmul(v12, v13, out=v14)
    multiply(k1, v15, out=v16)
    v17 = subtract(a0, v16)
    return [v17]
"""
    )
