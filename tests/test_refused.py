"""What is refused, and in which words."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])


REFUSED = {
    "sum where": (lambda t: np.sum(t, where=[1, 0, 1]), "where.*booleans.*int"),
    "sum initial": (lambda t: np.sum(t, initial=t[0]), "sum.*initial"),
    "sum dtype": (lambda t: np.sum(t, dtype=int), "dtype=int.*end the gradient"),
    "sum out": (lambda t: np.sum(t, out=np.zeros(())), "sum.*out"),
    "mean out": (lambda t: t.mean(out=np.zeros(())), "mean.*out"),
    "max where": (lambda t: np.max(t, where=[True, False, True]), "initial"),
    "var correction": (lambda t: np.var(t, ddof=1, correction=1), "ddof and correction"),
    "exp out": (lambda t: np.exp(t, out=np.zeros(3)), "exp"),
    "exp into a tensor": (lambda t: np.exp(ROW, out=t), "exp"),
    "matmul axes": (lambda t: np.matmul(t, t, axes=[0, 0, ()]), "matmul.*axes"),
    "clip out": (lambda t: np.clip(t, 0, 1, out=np.zeros(3)), "clip.*out"),
    "concatenate casting": (
        lambda t: np.concatenate([t, t], casting="unsafe"),
        "concatenate.*casting",
    ),
    "stack casting": (lambda t: np.stack([t, t], casting="no"), "stack.*casting"),
    "einsum dtype": (lambda t: np.einsum("i->", t, dtype=np.float32), "einsum.*dtype"),
    "an integer dtype": (lambda t: np.sum(t, 0, np.int64), "dtype=int64 would end the gradient"),
    "reshape A": (lambda t: np.reshape(t, (3, 1), order="A"), "reshape.*'A'"),
    "cumsum out": (lambda t: np.cumsum(t, out=np.zeros(3)), "cumsum.*out"),
    "add.at": (lambda t: np.add.at(np.zeros(3), [0], t), "np.add.at writes.*td.at"),
    "fft out": (lambda t: np.fft.fft(t, out=np.zeros(3, complex)), "fft.*out"),
    "in a list": (lambda t: np.sum([t, t]), "np.stack"),
    "order of complex numbers": (lambda t: np.clip(t * 1j, 0, 1), r"clip: complex.*abs\(z\)"),
    "complex into a real array": (lambda t: td.at(t)[0].set(1j), r"float64.*astype\(complex\)"),
    "object array": (lambda t: t + np.array([1, 2, 3], object), "object"),
    "strings": (lambda t: t + "a", "str"),
    "None": (lambda t: t * None, "None"),
    "cast to object": (lambda t: t.astype(object), "object"),
    "cast to text": (lambda t: t.astype(str), "<U|str"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    f, message = REFUSED[what]

    def loss(t):
        np.sum(f(t))
        return np.sum(t)

    with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
        td.grad(loss)(ROW)


def test_numpys_defaults_may_be_said_aloud():
    f = td.grad(lambda t: np.sum(t, axis=None, dtype=None, out=None, keepdims=False))
    assert_array_equal(f(ROW), [1, 1, 1])


@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "var", "std", "squeeze", "transpose", "ravel"]
)
def test_the_array_by_its_name(name):
    """np.sum(a=t), as NumPy has it: recorded, or refused, and never without an end."""
    f = getattr(np, name)
    try:
        got = td.grad(lambda t: np.sum(f(a=t)))(X)
    except TypeError as error:
        assert "a" in str(error)  # noqa: PT017
    else:
        assert_array_equal(got, td.grad(lambda t: np.sum(f(t)))(X))


def test_full_like_keeps_the_gradient_of_what_fills():
    try:
        got = td.grad(lambda x, s: np.sum(np.full_like(x, s) * x), 1)(ROW, 2.0)
    except TypeError as error:
        assert "full_like" in str(error)  # noqa: PT017
    else:
        assert_allclose(got, ROW.sum())


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("f", [np.sum, np.max], ids=["sum", "max"])
def test_a_scalar_has_the_axis_that_numpy_says_it_has(f, axis):
    assert f(np.array(2.0), axis=axis) == 2
    assert td.grad(lambda x: f(x, axis=axis))(np.array(2.0)) == 1


def test_broadcast_to_does_not_drop_axes():
    with pytest.raises(ValueError, match="broadcast"):
        td.vjp(lambda x: np.broadcast_to(x, (3,)), np.ones((1, 3)))
