"""Ops of one's own: what their kernels and rules have to return."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tinygrad_digits.engine.primitive import Kind

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])


def test_a_rule_of_the_wrong_shape_is_an_error():
    op = td.define(np.sin, lambda g, y, x: np.sum(g), name="mysin")
    with pytest.raises(td.errors.RuleError, match=r"mysin.*float64\(\).*float64\(3,\)"):
        td.grad(lambda x: np.sum(op(x)))(ROW)


def test_a_rule_of_the_wrong_dtype_is_an_error():
    op = td.define(np.sin, lambda g, y, x: (g * np.cos(x)).astype(np.float64), name="mysin")
    with pytest.raises(td.errors.RuleError, match=r"mysin.*float64\(3,\).*float32\(3,\)"):
        td.grad(lambda x: np.sum(op(x)))(ROW.astype(np.float32))


@pytest.mark.parametrize("wrong", [1.0, None, "text", [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("kind", [Kind.OPAQUE, Kind.ELEMENTWISE])
def test_a_rule_that_returns_no_array_is_an_error(wrong, kind):
    op = td.define(np.sin, lambda g, y, x: wrong, name="mysin", kind=kind)
    with pytest.raises(td.errors.RuleError, match=f"mysin.*{type(wrong).__name__}"):
        td.grad(lambda x: np.sum(op(x)))(ROW)


@pytest.mark.parametrize("kind", [Kind.OPAQUE, Kind.ELEMENTWISE])
def test_a_kernel_that_returns_a_python_float_is_an_error(kind):
    op = td.define(lambda x: float(np.sum(x)), lambda g, y, x: g * x, name="total", kind=kind)
    with pytest.raises(td.errors.RuleError, match=r"total.*float"):
        td.grad(op)(ROW)


@pytest.mark.parametrize("dtype", [int, bool])
def test_a_kernel_that_returns_no_floats_is_an_error(dtype):
    op = td.define(lambda x: x.astype(dtype), lambda g, y, x: g, name="cast")
    with pytest.raises(
        (td.errors.RuleError, td.errors.NotDifferentiableError),
        match="cast",
    ):
        td.grad(lambda x: np.sum(op(x)) + np.sum(x))(ROW)


def test_a_rule_too_short_for_an_elementwise_op_is_a_rule_error():
    op = td.define(np.sin, lambda g, y, x: np.sum(g), name="mysin", kind=Kind.ELEMENTWISE)
    with pytest.raises(td.errors.RuleError, match="mysin"):
        td.grad(lambda x: np.sum(op(x)))(np.ones((1, 3)))


def test_an_op_of_ones_own_with_options_and_two_arguments():
    @td.primitive(
        lambda g, _y, _a, b, scale=1.0: g * b * scale, lambda g, _y, a, _b, scale=1.0: g * a * scale
    )
    def scaled(a, b, scale=1.0):
        """A product."""
        return a * b * scale

    assert (scaled.__name__, scaled.__doc__) == ("scaled", "A product.")
    assert_array_equal(scaled(ROW, ROW, scale=2.0), 2 * ROW * ROW)
    td.check_grads(lambda a, b: scaled(a, b, scale=3.0), ROW, ROW + 1)
    td.check_grads(lambda a: scaled(a, ROW, 3.0), ROW)
    with pytest.raises(TypeError, match=r"scaled.*other"):
        td.grad(lambda a: np.sum(scaled(a, a, other=1)))(ROW)
    with pytest.raises(TypeError, match=r"scaled.*missing"):
        td.grad(lambda a: np.sum(scaled(a)))(ROW)


def test_an_argument_without_a_rule_gets_no_gradient():
    op = td.define(np.multiply, lambda g, y, a, b: g * b, None, name="left")
    assert_array_equal(td.grad(lambda a, b: np.sum(op(a, b)), (0, 1))(ROW, X[0])[1], np.zeros(3))


def test_rules_of_what_is_not_differentiated_do_not_run():
    op = td.define(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: 1 / 0, name="product")
    assert_array_equal(td.grad(lambda a: np.sum(op(a, X[0])))(ROW), X[0])
    with pytest.raises(ZeroDivisionError):
        td.grad(lambda b: np.sum(op(X[0], b)))(ROW)


def test_an_identity_op_shares_nothing():
    same = td.define(lambda x: x, lambda g, y, x: g, name="same")
    y, pullback = td.vjp(same, ROW)
    assert not np.shares_memory(y, ROW)
    assert not np.shares_memory(pullback(y), y)
