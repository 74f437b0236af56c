"""Activations, layers and losses at their corners, and what they refuse."""

import math
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases.neural import ACTIVATIONS
from tinygrad_digits.ops.special import scipy_special

FUNCTIONS = list(dict.fromkeys(case.function for case in ACTIVATIONS))
IMAGES = np.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)


def slopes(f, x):
    return td.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


# --- activations


def tanh_gelu(x):
    return td.nn.gelu(x, approximate="tanh")


SMOOTH = [td.nn.sigmoid, td.nn.softplus, td.nn.silu, td.nn.mish, tanh_gelu]
RECTIFIERS = [td.nn.relu, td.nn.elu, td.nn.leaky_relu]
LARGE = {np.float16: 6e4, np.float32: 3e38, np.float64: 1e308}


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("f", [*SMOOTH, *RECTIFIERS, td.nn.gelu, td.nn.hard_tanh])
def test_the_largest_numbers_make_neither_nan_nor_warnings(f, dtype):
    x = np.array([-LARGE[dtype], -100, 100, LARGE[dtype]], dtype)
    y, slope = td.value_and_grad(lambda x: np.sum(f(x) * np.array([0, 0, 0, 1], dtype)))(x)
    assert y == {td.nn.hard_tanh: 1, td.nn.sigmoid: 1}.get(f, x[-1])
    assert y.dtype == slope.dtype == dtype
    slope = td.grad(lambda x: np.sum(f(x)))(x)
    assert slope[-1] == (f not in (td.nn.hard_tanh, td.nn.sigmoid))
    assert_allclose(slope[0], 0.01 if f is td.nn.leaky_relu else 0, rtol=1e-3)


@pytest.mark.parametrize(
    "f", [td.nn.gelu, tanh_gelu, td.nn.silu, td.nn.mish, td.nn.elu, td.nn.selu]
)
def test_small_tails_keep_their_digits(f):
    x, h = np.linspace(-6.0, -3.0, 7), 1e-5
    assert_allclose(slopes(f, x), (f(x + h) - f(x - h)) / (2 * h), rtol=1e-7)


def test_gelu_far_to_the_left_is_not_rounded_to_zero():
    exact = -10 * math.erfc(10 / math.sqrt(2)) / 2
    assert_allclose(td.nn.gelu(np.array([-10.0])), exact, rtol=1e-13)
    assert td.nn.gelu(np.array([-8.0]), approximate="tanh") < 0


def test_the_two_gelus_differ_by_little():
    x = np.linspace(-8, 8, 1001)
    assert 1e-4 < np.max(np.abs(td.nn.gelu(x) - tanh_gelu(x))) < 5e-4


def test_gelu_knows_two_words():
    with pytest.raises(ValueError, match="'none' or 'tanh', got True"):
        td.nn.gelu(np.ones(2), approximate=True)


def test_gelu_takes_numbers_and_integers_as_floats():
    assert (
        td.nn.gelu(1)
        == td.nn.gelu(1.0)
        == td.nn.gelu(np.array([1]))[0]
        == td.nn.gelu(np.ones(1))[0]
    )


def test_the_exact_gelu_alone_needs_scipy(monkeypatch):
    scipy_special.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(td.errors.MissingExtraError, match=r"tinygrad-digits\[scipy\]"):
        td.nn.gelu(np.ones(2))
    assert td.nn.gelu(np.zeros(2), approximate="tanh").tolist() == [0, 0]


def test_kinks_have_the_central_slope():
    assert slopes(td.nn.relu, 0.0) == 0
    assert slopes(td.nn.elu, 0.0) == 1
    assert slopes(lambda x: td.nn.elu(x, 0.5), 0.0) == 0.75
    assert slopes(lambda x: td.nn.leaky_relu(x, 0.2), 0.0) == 0.6
    assert_allclose(slopes(td.nn.selu, 0.0), 1.0507009873554805 * (1 + 1.6732632423543772) / 2)
    assert_array_equal(slopes(td.nn.hard_tanh, [-1.5, -1.0, 0.0, 1.0, 1.5]), [0, 1, 1, 1, 0])


@pytest.mark.parametrize("f", [td.nn.elu, td.nn.selu, td.nn.leaky_relu, td.nn.hard_tanh])
def test_infinities_go_where_they_should(f):
    x = np.array([-np.inf, np.inf])
    (low, high), pullback = td.vjp(f, x)
    assert low == {td.nn.elu: -1, td.nn.hard_tanh: -1, td.nn.selu: f(np.float64(-99))}.get(
        f, -np.inf
    )
    assert high == {td.nn.hard_tanh: 1}.get(f, np.inf)
    assert not np.isnan(pullback(np.ones(2))).any()


@pytest.mark.parametrize("f", FUNCTIONS)
def test_nan_stays_nan(f):
    with np.errstate(invalid="ignore"):  # which np.logaddexp says of NaN
        assert np.isnan(f(np.array([np.nan]))).all()


def test_selu_keeps_mean_and_variance(rng):
    y = td.nn.selu(rng.standard_normal(1_000_000))
    assert_allclose([y.mean(), y.var()], [0, 1], atol=5e-3)


# --- convolution and pooling


def test_conv2d_is_scipys_correlation(rng):
    signal = pytest.importorskip("scipy.signal")
    x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 2))
    expected = [
        [sum(signal.correlate2d(x[n, c], w[o, c], "valid") for c in range(3)) for o in range(4)]
        for n in range(2)
    ]
    assert_allclose(td.nn.conv2d(x, w), expected, rtol=1e-12, atol=1e-12)


def test_conv2d_and_its_derivatives_are_transposes(rng):
    """<g, x * w> = <x, d/dx> = <w, d/dw>, exactly, since it is linear in both."""
    x, w = rng.standard_normal((2, 4, 9, 8)), rng.standard_normal((6, 2, 3, 3))
    options = {"strides": (2, 1), "padding": ((2, 1), (0, 2)), "dilation": (1, 2), "groups": 2}
    y, pullback = td.vjp(lambda x, w: td.nn.conv2d(x, w, **options), x, w)
    g = rng.standard_normal(y.shape)
    dx, dw = pullback(g)
    assert_allclose([np.sum(dx * x), np.sum(dw * w)], np.sum(g * y), rtol=1e-12)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_same_keeps_the_size_over_strides(kernel, strides):
    w = np.ones((1, 3, kernel, kernel))
    shape = td.nn.conv2d(IMAGES, w, strides=strides, padding="same").shape
    assert shape == (2, 1, math.ceil(5 / strides), math.ceil(4 / strides))


def test_integers_become_floats():
    w = np.ones((1, 3, 2, 2), int)
    assert_array_equal(td.nn.conv2d(IMAGES.astype(int), w), td.nn.conv2d(IMAGES, w.astype(float)))
    assert_array_equal(td.nn.max_pool2d(IMAGES.astype(int), 3, padding=1),
                       td.nn.max_pool2d(IMAGES, 3, padding=1))  # fmt: skip


def test_the_largest_pixels_share_the_gradient():
    x = np.array([[[[1.0, 3.0], [3.0, 3.0]]]])
    assert_allclose(slopes(lambda x: td.nn.max_pool2d(x, 2), x)[0, 0], [[0, 1 / 3], [1 / 3, 1 / 3]])


def test_windows_that_overlap_add_up():
    x = np.array([[[[0.0, 5.0, 0.0]]]])
    assert_array_equal(
        slopes(lambda x: td.nn.max_pool2d(x, (1, 2), strides=1), x).ravel(), [0, 2, 0]
    )
    assert_array_equal(
        slopes(lambda x: td.nn.avg_pool2d(x, (1, 2), strides=1), x).ravel(), [0.5, 1, 0.5]
    )


def test_padding_is_never_the_largest_and_counts_as_asked():
    x = -np.ones((1, 1, 2, 2))
    assert_array_equal(td.nn.max_pool2d(x, 2, strides=1, padding=1), -np.ones((1, 1, 3, 3)))
    assert_array_equal(td.nn.avg_pool2d(x, 2, padding=1), np.full((1, 1, 2, 2), -0.25))
    assert_array_equal(td.nn.avg_pool2d(x, 2, padding=1, count_include_pad=False), x)


def conv(x=(2, 3, 5, 4), w=(6, 3, 2, 2), b=None, **options):
    return td.nn.conv2d(np.ones(x), np.ones(w), None if b is None else np.ones(b), **options)


def pool(**options):
    return td.nn.max_pool2d(IMAGES, **{"window": 2, **options})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv(x=(5, 4)), r"\(n, c, h, w\) .* got \(5, 4\) .*x\[:, None\]"),
        (lambda: conv(w=(6, 2, 2, 2)), r"groups=1, got \(2, 3, 5, 4\) and \(6, 2, 2, 2\)"),
        (lambda: conv(w=(4, 1, 2, 2), groups=3), "a multiple of groups=3"),
        (lambda: conv(b=(5,)), r"6 kernels need b \(6,\), got \(5,\)"),
        (lambda: conv(w=(1, 3, 6, 2)), r"over \(6, 2\) pixels do not fit into images of \(5, 4\)"),
        (lambda: conv(dilation=5), r"over \(6, 6\) pixels do not fit"),
        (lambda: td.nn.avg_pool2d(np.ones((4, 4)), 2), r"images are \(n, c, h, w\), got \(4, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, message):
    with pytest.raises(td.errors.ShapeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv(strides=0), "conv2d: strides is one or two integers from 1, got 0"),
        (lambda: conv(dilation=(1, 2, 3)), r"dilation is one or two integers from 1"),
        (lambda: conv(padding=-1), "padding is one or two integers from 0, got -1"),
        (lambda: conv(padding="full"), "'same' or 'valid', got 'full'"),
        (lambda: conv(padding=(1, 1, 1)), r"got \(1, 1, 1\)"),
        (lambda: pool(window=1.5), "max_pool2d: window is one or two integers from 1, got 1.5"),
        (lambda: pool(padding=2), r"less than the windows' extent \(2, 2\)"),
    ],
)
def test_settings_that_make_no_sense_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- normalisation, lookup, noise


def test_layer_norm_of_constant_rows_is_flat():
    y, pullback = td.vjp(td.nn.layer_norm, np.full((2, 3), 7.0))
    assert_array_equal(y, np.zeros((2, 3)))
    assert np.isfinite(pullback(np.arange(6.0).reshape(2, 3))).all()


def test_norms_of_float16_do_not_overflow():
    x = np.array([[-3e4, 3e4], [1e4, -2e4]], np.float16)
    assert_allclose(td.nn.layer_norm(x), [[-1, 1], [1, -1]], rtol=1e-2)
    assert td.nn.layer_norm(x).dtype == np.float16


def test_running_statistics_arrive_where_the_batches_are(rng):
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(400):
        x = rng.normal([1.0, -2.0, 0.0], [0.5, 2.0, 1.0], (64, 3))
        _, mean, var = td.nn.batch_norm(x, None, None, mean, var, training=True, momentum=0.02)
    assert_allclose(mean, [1, -2, 0], atol=0.15)
    assert_allclose(var, [0.25, 4, 1], rtol=0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: td.nn.layer_norm(np.ones((2, 3)), np.ones(2)),
            r"gain must be \(3,\).* got \(2,\)",
        ),
        (lambda: td.nn.layer_norm(np.ones((2, 3)), axis=2), "x has 2 axes, got axis=2"),
        (
            lambda: td.nn.batch_norm(np.ones((2, 3)), None, None, np.ones(2), np.ones(3)),
            r"3 channels along axis 1, but mean and var are \(2,\) and \(3,\)",
        ),
        (
            lambda: td.nn.batch_norm(
                np.ones((1, 3)), None, None, np.ones(3), np.ones(3), training=True
            ),
            "one number a channel has no variance",
        ),
        (lambda: td.nn.embedding(np.ones((3, 2)), np.array([0.0])), "ids are integers.*float64"),
    ],
)
def test_what_norms_and_embeddings_refuse(call, message):
    with pytest.raises(td.errors.ShapeError, match=message):
        call()


def test_embedding_looks_up_only_what_there_is():
    with pytest.raises(IndexError):
        td.nn.embedding(np.ones((3, 2)), np.array([3]))


def test_rows_looked_up_twice_get_both_gradients():
    ids = np.array([[1, 1], [1, 0]])
    assert_array_equal(slopes(lambda t: td.nn.embedding(t, ids), np.ones((3, 2)))[:, 0], [1, 3, 0])


@pytest.mark.parametrize("rate", [-0.1, 1.0, np.nan])
def test_dropout_refuses_other_rates(rate):
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
        td.nn.dropout(np.ones(3), rate, np.random.default_rng(0))


# --- losses

LOSSES = [
    td.nn.mse,
    td.nn.huber,
    td.nn.binary_cross_entropy_with_logits,
    td.nn.kl_divergence,
    td.nn.hinge,
]


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_broadcast_nothing(loss):
    with pytest.raises(td.errors.ShapeError, match=rf"{loss.__name__}: .* got \(3, 1\) and \(3,\)"):
        loss(np.ones((3, 1)), np.ones(3))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_know_three_reductions(loss):
    with pytest.raises(ValueError, match=f"{loss.__name__}: reduction must be 'mean'.*'average'"):
        loss(np.ones(3), np.ones(3), reduction="average")
    with pytest.raises(ValueError, match="reduction"):
        td.nn.cross_entropy(np.ones((1, 3)), np.array([0]), reduction="average")


@pytest.mark.parametrize("loss", [td.nn.mse, td.nn.huber, td.nn.hinge])
def test_there_is_no_mean_of_no_losses(loss):
    with pytest.raises(td.errors.ShapeError, match="no mean of no losses"):
        loss(np.ones((0, 3)), np.ones((0, 3)))
    assert loss(np.ones((0, 3)), np.ones((0, 3)), reduction="sum") == 0


def test_binary_cross_entropy_of_large_logits_is_exact():
    logits, targets = np.array([1000.0, -1000.0, 40.0, -1000.0]), np.array([1.0, 0.0, 1.0, 1.0])
    losses = td.nn.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert_allclose(losses, [0, 0, math.exp(-40), 1000], rtol=1e-12)
    slope = slopes(lambda z: td.nn.binary_cross_entropy_with_logits(z, targets), logits) * 4
    assert_allclose(slope, [0, 0, -math.exp(-40), -1], rtol=1e-12)


def test_huber_is_smooth_where_its_pieces_meet():
    targets = np.zeros(2)
    slope = slopes(lambda p: td.nn.huber(p, targets, delta=0.5, reduction="sum"), [0.5, -0.5])
    assert_array_equal(slope, [0.5, -0.5])


def test_targets_of_zero_take_no_part_in_a_divergence():
    log_p, t = np.array([-np.inf, math.log(0.5), math.log(0.5)]), np.array([0.0, 1.0, 0.0])
    value, (dp, dt) = td.value_and_grad(td.nn.kl_divergence, (0, 1))(log_p, t)
    assert_allclose(value, math.log(2))
    assert_allclose(dp, [0, -1, 0])
    assert_allclose(dt, [0, 1 + math.log(2), 0])


def test_a_margin_that_is_just_kept_costs_nothing():
    assert_array_equal(slopes(lambda s: td.nn.hinge(s, np.array([1.0, -1.0])), [1.0, -1.0]), [0, 0])


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\)"):
        td.nn.cross_entropy(np.ones((1, 3)), np.array([0]), smoothing=smoothing)


def test_cross_entropies_reduced_by_hand_agree(rng):
    logits, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    each = td.nn.cross_entropy(logits, labels, reduction="none")
    assert_allclose(td.nn.cross_entropy(logits, labels), each.mean(), rtol=1e-14)
    assert_allclose(td.nn.cross_entropy(logits, labels, reduction="sum"), each.sum(), rtol=1e-14)


# --- all of it, as a program


def network(params, x, labels):
    h = td.nn.conv2d(x, params["w"], params["b"], padding="same")  # (n, 4, 5, 4)
    h, *_ = td.nn.batch_norm(h, params["gain"], None, np.zeros(4), np.ones(4), training=True)
    h = td.nn.max_pool2d(td.nn.silu(h), 2) + td.nn.avg_pool2d(h, 2)  # (n, 4, 2, 2)
    h = td.nn.layer_norm(h.reshape(h.shape[0], -1), params["scale"])
    return td.nn.cross_entropy(h @ params["out"], labels, smoothing=0.1)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_network_as_a_program(backend, rng):
    if backend == "native":
        pytest.importorskip("llvmlite")
    params = {
        "w": rng.standard_normal((4, 3, 3, 3)), "b": rng.standard_normal(4),
        "gain": rng.standard_normal(4), "scale": rng.standard_normal(16),
        "out": rng.standard_normal((16, 3)),
    }  # fmt: skip
    step = td.value_and_grad(network)
    jitted = td.jit(step, backend=backend)
    for seed in range(3):
        x, labels = np.random.default_rng(seed).standard_normal((2, 3, 5, 4)), np.array([seed, 1])
        (value, grads), (same, others) = step(params, x, labels), jitted(params, x, labels)
        if backend == "numpy":
            assert value == same
        for name, g in grads.items():
            rtol = 0 if backend == "numpy" else 1e-10
            assert_allclose(others[name], g, rtol=rtol, atol=rtol)


# --- many examples at once


@pytest.mark.parametrize("on", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("strides", [1, 2])
def test_vmap_of_convolutions_takes_no_loop(on, strides, rng):
    """Images, kernels or both differ from example to example; so do the derivatives of each."""
    x, w = rng.standard_normal((3, 2, 2, 5, 4)), rng.standard_normal((3, 3, 2, 2, 3))
    args = [a if axis == 0 else a[0] for a, axis in zip((x, w), on, strict=True)]

    def loss(x, w):
        return np.sum(np.tanh(td.nn.conv2d(x, w, strides=strides, padding=1)))

    f = td.vmap(td.value_and_grad(loss, argnums=(0, 1)), in_axes=on)
    value, (dx, dw) = f(*args)
    assert not f.loops(*args)
    for k in range(3):
        each = [a[k] if axis == 0 else a for a, axis in zip(args, on, strict=True)]
        expected, (of_x, of_w) = td.value_and_grad(loss, argnums=(0, 1))(*each)
        assert_allclose(value[k], expected, rtol=1e-12)
        assert_allclose(dx[k], of_x, rtol=1e-10, atol=1e-12)
        assert_allclose(dw[k], of_w, rtol=1e-10, atol=1e-12)
