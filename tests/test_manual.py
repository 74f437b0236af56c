"""The network's gradients three ways: tape, manual backprop, central differences."""

import ast
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as td
from tinygrad_digits.digits.model import gradcheck as crosscheck
from tinygrad_digits.digits.model import manual
from tinygrad_digits.digits.model import mlp as model

RTOL = {np.float32: 1e-5, np.float64: 1e-12}


@st.composite
def networks(draw, dtypes=(np.float32, np.float64)):
    """Parameters, images and labels: any depth, width, batch; entries real or small integers."""
    dtype = draw(st.sampled_from(dtypes))
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=6))
    n = draw(st.integers(1, 12))
    integers = draw(st.booleans())  # then sums are exact, and many are exactly 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def array(*shape):
        return (rng.integers(-1, 2, shape) if integers else rng.standard_normal(shape)).astype(
            dtype
        )

    params = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        params[f"w{i}"], params[f"b{i}"] = array(a, b), array(b)
    x = array(n, sizes[0])
    if draw(st.booleans()):  # with zero biases, every pre-activation of such a row is exactly 0
        x[0] = 0
        params["b0"][:] = 0
    labels = draw(st.lists(st.integers(0, sizes[-1] - 1), min_size=n, max_size=n))
    return params, x, np.array(labels)


def term_sizes(params, x, labels):
    """For the loss and each gradient entry, how large the terms are of which it is the sum.

    Rounding is relative to these: p - Y may cancel to 1e-9, and is then good to 1e-16 and no more.
    The same backprop as `manual`, with plus for minus and sizes for values.
    """
    params, x = {name: array.astype(float) for name, array in params.items()}, x.astype(float)
    last = len(params) // 2 - 1
    hs = [x]
    for i in range(last):
        hs.append(np.maximum(hs[i] @ params[f"w{i}"] + params[f"b{i}"], 0))
    z = hs[last] @ params[f"w{last}"] + params[f"b{last}"]
    spread = 1 + np.ptp(z)  # exp makes of an error in z a relative one in p
    d = td.nn.softmax(z)
    d[np.arange(len(x)), labels] += 1
    d *= spread / len(x)
    sizes = {}
    for i in range(last, -1, -1):
        sizes[f"w{i}"], sizes[f"b{i}"] = np.abs(hs[i]).T @ d, d.sum(axis=0)
        d = (d @ np.abs(params[f"w{i}"]).T) * (hs[i] > 0)
    return spread, sizes


@given(networks())
def test_tape_agrees_with_manual_backprop(network):
    params, x, labels = network
    rtol = RTOL[x.dtype.type]
    by_tape, tape = td.value_and_grad(model.loss)(params, x, labels)
    by_hand, hand = manual.loss_and_grads(params, x, labels)
    loss_size, sizes = term_sizes(params, x, labels)
    assert abs(by_tape - by_hand) <= rtol * loss_size
    assert tape.keys() == hand.keys() == params.keys()
    for name, array in params.items():
        assert tape[name].dtype == hand[name].dtype == array.dtype
        assert tape[name].shape == hand[name].shape == array.shape
        assert (np.abs(tape[name] - hand[name]) <= rtol * sizes[name]).all(), name


def test_relus_at_exactly_zero_pass_no_gradient_in_either():
    params = {name: array + 1 for name, array in model.init_params((3, 4, 2)).items()}
    params["b0"][:] = 0
    x, labels = np.zeros((2, 3)), np.array([0, 0])
    tape = td.grad(model.loss)(params, x, labels)
    _, hand = manual.loss_and_grads(params, x, labels)
    assert not tape["b0"].any()
    assert not hand["b0"].any()
    assert tape["b1"].any()
    assert hand["b1"].any()


@given(networks(dtypes=(np.float64,)), st.integers(0, 2**32 - 1))
def test_both_agree_with_central_differences(network, seed):
    params, x, labels = network
    rng = np.random.default_rng(seed)
    # off the kinks, where no central difference is a derivative
    params = {name: array + rng.normal(0, 0.1, array.shape) for name, array in params.items()}
    _, sizes = term_sizes(params, x, labels)
    tape = td.grad(model.loss)(params, x, labels)
    _, hand = manual.loss_and_grads(params, x, labels)
    for name in params:
        direction, slope = crosscheck.central_slope(params, name, x, labels, rng)
        allowed = 1e-5 * np.linalg.norm(sizes[name])
        assert abs(np.sum(tape[name] * direction) - slope) <= allowed
        assert abs(np.sum(hand[name] * direction) - slope) <= allowed


@pytest.mark.parametrize("dtype", crosscheck.TOLERANCES, ids=str)
def test_the_comparison_covers_every_parameter_and_agrees(dtype):
    rng = np.random.default_rng(5)
    params, x, labels = crosscheck.example((64, 16, 12, 10), dtype, 8, rng)
    rows = crosscheck.compare(params, x, labels, rng)
    assert [row.name for row in rows] == list(params)
    assert all(row.agrees and row.dtype == dtype for row in rows)


@pytest.mark.parametrize("dtype", crosscheck.TOLERANCES, ids=str)
def test_a_gradient_wrong_by_a_twentieth_of_a_percent_is_caught(dtype, monkeypatch):
    right = manual.loss_and_grads

    def bent(params, x, labels):
        loss, grads = right(params, x, labels)
        return loss, {**grads, "w1": grads["w1"] * grads["w1"].dtype.type(1.0005)}

    monkeypatch.setattr(manual, "loss_and_grads", bent)
    rng = np.random.default_rng(5)
    params, x, labels = crosscheck.example((64, 16, 10), dtype, 8, rng)
    wrong = [row.name for row in crosscheck.compare(params, x, labels, rng) if not row.agrees]
    assert wrong == ["w1"]


def test_manual_backprop_imports_numpy_alone():
    source = Path(manual.__file__).read_text(encoding="utf-8")
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add("." * node.level + (node.module or ""))
    ours = {name for name in modules if name.startswith((".", "tinygrad"))}
    assert not ours
    assert {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names} == {
        "numpy"
    }


def test_manual_backprop_changes_nothing_that_it_is_given():
    params, x, labels = crosscheck.example((6, 5, 4), np.float64, 7, np.random.default_rng(0))
    before = td.tree.map(np.copy, (params, x, labels))
    manual.loss_and_grads(params, x, labels)
    td.tree.map(np.testing.assert_array_equal, (params, x, labels), before)


@pytest.mark.slow
def test_central_differences_find_a_smooth_step_in_a_large_network():
    """With 256,000 relus in a layer, the first step that comes to mind crosses many kinks."""
    rng = np.random.default_rng(0)
    params, x, labels = crosscheck.example((64, 256, 128, 10), np.float64, 1000, rng)
    (row,) = [r for r in crosscheck.compare(params, x, labels, rng) if r.name == "w0"]
    assert row.agrees
