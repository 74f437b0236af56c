"""np.einsum: words, lists, ellipses, orders of contraction, and whatever hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.cases.linalg import EINSUMS

X = np.array([[0.3, 1.2, 0.7], [2.1, 0.4, 0.9]])
ROW = np.array([0.5, 1.5, 2.5])


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ba", [(2, 3)]),
        ("ii", [(3, 3)]),
        ("i,i", [(3,), (3,)]),
        (" i j , j k -> k i ", [(2, 3), (3, 4)]),
        ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]),
        ("...ij,...jk", [(5, 2, 3), (1, 3, 4)]),
        ("...,...->...", [(2, 3), (3,)]),
        ("...i->...", [(2, 3)]),
        ("i...->...", [(2, 3)]),
        ("i...,i->...i", [(2, 3, 4), (2,)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("...", [(2, 3)]),
        ("...,i->i...", [(2, 3), (4,)]),
        ("Ab,bA->", [(2, 3), (3, 2)]),
        ("bA", [(2, 3)]),
        ("...j,...j", [(2, 1, 3), (4, 3)]),
        ("j...->...", [(3,)]),
    ],
)
def test_einsum_in_words(subscripts, shapes, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def f(*xs):
        return np.einsum(subscripts, *xs)

    y, _ = td.vjp(f, *arrays)
    assert_allclose(y, np.einsum(subscripts, *arrays), rtol=1e-13)
    assert np.shape(y) == np.shape(np.einsum(subscripts, *arrays))
    td.check_grads(f, *arrays)


@pytest.mark.parametrize(
    ("labels", "output", "shapes"),
    [
        ([[0, 1], [1, 2]], [0, 2], [(2, 3), (3, 4)]),
        ([[0, 1], [1, 2]], None, [(2, 3), (3, 4)]),
        ([[1, 0]], None, [(2, 3)]),
        ([[0, 0]], [], [(3, 3)]),
        ([[Ellipsis, 0, 1], [1, 2]], [Ellipsis, 2, 0], [(5, 2, 3), (3, 4)]),
        ([[Ellipsis, 0]], None, [(2, 3)]),
        ([[25, 26]], None, [(2, 3)]),
        ([[26, 0]], None, [(2, 3)]),
        ([[51, 30], [30, 3]], [3, 51], [(2, 3), (3, 4)]),
    ],
)
def test_einsum_in_lists(labels, output, shapes, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def f(*xs):
        operands = [part for pair in zip(xs, labels, strict=True) for part in pair]
        return np.einsum(*operands, *([] if output is None else [output]))

    y, _ = td.vjp(f, *arrays)
    assert np.shape(y) == np.shape(f(*arrays))
    assert_allclose(y, f(*arrays), rtol=1e-13)
    td.check_grads(f, *arrays)


@pytest.mark.parametrize("optimize", [True, "greedy", "optimal"])
@pytest.mark.parametrize(
    ("subscripts", "shapes"), [(s, shapes) for s, *shapes in EINSUMS if len(shapes) > 1]
)
def test_einsum_optimized(subscripts, shapes, optimize, rng):
    arrays = [rng.standard_normal(shape) for shape in shapes]
    td.check_grads(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *arrays, order=1)


def test_einsum_with_constants(rng):
    td.check_grads(lambda x: np.einsum("i,ij,k->jk", [1, 2], x, ROW), rng.standard_normal((2, 3)))
    td.check_grads(lambda x: np.einsum(",i->i", 2.0, x), ROW)


@pytest.mark.parametrize(
    "subscripts", ["ij,jk->ik", "i->i", "ijk->i", "...i->i", "ij->iz", "ij->ii"]
)
def test_einsum_refuses_what_numpy_refuses(subscripts):
    with pytest.raises(ValueError):  # noqa: PT011 (NumPy's wording changes)
        np.einsum(subscripts, X)
    with pytest.raises(ValueError):  # noqa: PT011
        td.vjp(lambda x: np.einsum(subscripts, x), X)


@st.composite
def contractions(draw):
    """Subscripts and shapes: labels may repeat, broadcast from length 1, or be summed away."""
    sizes = {label: draw(st.integers(1, 3)) for label in "abcd"}
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    labels = sorted(set("".join(terms)))
    output = "".join(draw(st.permutations(labels)))[: draw(st.integers(0, len(labels)))]
    shapes = [tuple(sizes[label] for label in term) for term in terms]
    for i, term in enumerate(terms):
        if len(set(term)) == len(term):
            shrunk = draw(st.sets(st.sampled_from(term))) if term else set()
            shapes[i] = tuple(1 if label in shrunk else sizes[label] for label in term)
    return f"{','.join(terms)}->{output}", shapes


@given(contractions())
def test_any_einsum(drawn):
    subscripts, shapes = drawn
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    try:
        expected = np.einsum(subscripts, *arrays)
    except ValueError:  # an output label that only has length-1 partners differs by version
        return
    y, _ = td.vjp(lambda *xs: np.einsum(subscripts, *xs), *arrays)
    assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    td.check_grads(lambda *xs: np.einsum(subscripts, *xs), *arrays, order=1)


def test_an_array_to_write_into_is_refused():
    x = np.ones((2, 2))
    for out in (lambda x: np.zeros((2, 2)), lambda x: 1 * x):
        with pytest.raises(td.errors.NotDifferentiableError, match=r"einsum: .*out="):
            td.grad(lambda x, out=out: np.sum(np.einsum("ij,jk->ik", x, x, out=out(x))))(x)
