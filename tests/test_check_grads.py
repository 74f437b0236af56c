"""The checker itself: what it sees, and what it says."""

import numpy as np
import pytest

import tinygrad_digits as td

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])


def test_check_grads_names_the_leaf():
    def f(params):
        return np.tanh(params["layers"][0]) + bent(params["layers"][1])

    bent = td.define(np.sin, lambda g, y, x: 1.0005 * g * np.cos(x), name="bent")
    with pytest.raises(
        td.errors.GradientMismatchError,
        match=r"\['layers'\]\[1\].*expected.*got",
    ):
        td.check_grads(f, {"layers": [ROW, ROW]})


def test_check_grads_sees_a_rule_that_is_wrong_at_order_2_only():
    bent = td.define(np.cos, lambda g, y, x: -1.0005 * g * np.sin(x), name="bent")
    f = td.define(np.sin, lambda g, y, x: g * bent(x), name="sine")
    td.check_grads(f, ROW, order=1)
    with pytest.raises(AssertionError, match="gradient of sine"):
        td.check_grads(f, ROW, order=2)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan, 0.0, -1.0, 2.0])
def test_check_grads_sees_a_rule_that_is_altogether_wrong(wrong):
    f = td.define(np.sin, lambda g, y, x: g * np.cos(x) * wrong, name="sine")
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="sine"):
        td.check_grads(f, ROW[:1], order=1)


def test_check_grads_sees_a_derivative_that_was_dropped():
    stop = td.define(lambda x: x, name="stop")
    with pytest.raises(AssertionError, match="args"):
        td.check_grads(lambda x: x * stop(x), ROW, order=1)


def test_check_grads_takes_trees_and_numbers():
    td.check_grads(lambda p, n: {"a": p["x"] ** n, "b": (p["x"],)}, {"x": ROW, "name": "p"}, 2)
    td.check_grads(lambda x: (x * x, 3.0), ROW)
    td.check_grads(lambda x: x * x, 3.0)
    td.check_grads(np.tanh, ROW.astype(np.float32), order=1)


@pytest.mark.parametrize("args", [(3,), (np.array([1, 2]),), ("a",), ()])
def test_check_grads_needs_something_to_check(args):
    with pytest.raises(TypeError, match="none of the arguments"):
        td.check_grads(lambda *xs: 1.0, *args)


def test_check_grads_needs_an_order():
    with pytest.raises(ValueError, match="order"):
        td.check_grads(np.sin, ROW, order=0)
