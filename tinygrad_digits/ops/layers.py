"""Layers: convolution, pooling, normalisation, embedding, dropout.

A convolution is a correlation, pooling a maximum or a mean over windows, and their derivatives are
those of the correlation, the windows, the maximum and the mean.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..engine.define import define
from ..engine.primitive import Array
from ..staging.batching import batch_whole, register_batching
from ..support.errors import NotDifferentiableError, ShapeError
from ..support.foreign import as_array
from .correlation import correlate2d
from .windows import IMAGES_FIRST, IMAGES_LAST, Margins, Pair, windows

# --- convolution


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    strides: int | Pair = 1,
    padding: Any = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    """Images and kernels, correlated: (n, c, h, w), (o, c / groups, kh, kw), (o,) -> (n, o, ., .).

    Args:
        x: n images of c channels.
        w: o kernels; a kernel is not flipped, as everywhere in this field.
        b: what is added to each of the o channels.
        strides: steps of the kernels, (down, across) or one number for both.
        padding: zeros around the images: a number, (down, across), ((above, below), (left, right)),
            "valid" for none, or "same" for an output of size / strides, rounded up.
        dilation: the distance of a kernel's neighbours in the image.
        groups: the channels and the kernels fall into so many groups, that do not mix.

    Raises ShapeError where the shapes do not fit, and ValueError for a number that makes no sense.

    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> conv2d(x, np.ones((1, 1, 3, 3)), np.array([0.5]))
    array([[[[45.5, 54.5],
             [81.5, 90.5]]]])
    """
    x, w = floating(x), floating(w)
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ShapeError(
            "conv2d: images (n, c, h, w) need kernels (o, c / groups, kh, kw), o a multiple of "
            f"groups={groups}, got {x.shape} and {w.shape}; one channel is x[:, None]"
        )
    o, k = w.shape[0], prod(w.shape[1:])
    window = w.shape[2:]
    options = _spell_options("conv2d", x, window, strides, padding, dilation)
    x = np.transpose(x, IMAGES_LAST)
    if groups == 1:
        y = correlate2d(x, w, **options)
    else:
        columns = windows(x, window=window, fill=0.0, **options)
        weights, positions = w.reshape(groups, o // groups, k), columns.shape[3:]
        y = weights @ columns.reshape(groups, k, prod(positions))  # (groups, o / groups, oh ow n)
        y = y.reshape(o, *positions)
    if b is not None:
        if np.shape(b) != (o,):
            raise ShapeError(f"conv2d: {o} kernels need b ({o},), got {np.shape(b)}")
        y = y + np.reshape(b, (o, 1, 1, 1))
    return np.transpose(y, IMAGES_FIRST)


# --- pooling


def max_pool2d(
    x: Array,
    window: int | Pair,
    *,
    strides: int | Pair | None = None,
    padding: Any = 0,
    dilation: int | Pair = 1,
) -> Array:
    """The largest pixel in each window: (n, c, h, w) -> (n, c, ., .).

    The windows lie side by side unless `strides` says otherwise; the other arguments are those of
    `conv2d`, and padding is never the largest. Equal pixels share the derivative.

    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    columns = _pools("max_pool2d", x, window, strides, padding, dilation, -np.inf)
    return np.transpose(np.max(columns, axis=(1, 2)), IMAGES_FIRST)


def avg_pool2d(
    x: Array,
    window: int | Pair,
    *,
    strides: int | Pair | None = None,
    padding: Any = 0,
    dilation: int | Pair = 1,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: (n, c, h, w) -> (n, c, ., .); arguments as of `max_pool2d`.

    With count_include_pad=False the mean is over what is image, not over the zeros around it.

    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    columns = _pools("avg_pool2d", x, window, strides, padding, dilation, 0.0)
    y = np.transpose(np.mean(columns, axis=(1, 2)), IMAGES_FIRST)
    if count_include_pad:
        return y
    image = np.ones((1, 1, *x.shape[2:]))
    share = avg_pool2d(image, window, strides=strides, padding=padding, dilation=dilation)
    return y / share.astype(y.dtype)


def _pools(
    name: str,
    x: Array,
    window: int | Pair,
    strides: int | Pair | None,
    padding: Any,
    dilation: int | Pair,
    fill: float,
) -> Array:
    x, window = floating(x), _pair(name, "window", window)
    if x.ndim != 4:
        raise ShapeError(f"{name}: images are (n, c, h, w), got {x.shape}")
    strides = window if strides is None else strides
    options = _spell_options(name, x, window, strides, padding, dilation)
    return windows(np.transpose(x, IMAGES_LAST), window=window, fill=fill, **options)


def _spell_options(
    name: str, x: Array, window: Pair, strides: int | Pair, padding: Any, dilation: int | Pair
) -> dict[str, Any]:
    """The options of `windows` and `correlate2d`, once the shapes are checked."""
    strides, dilation = _pair(name, "strides", strides), _pair(name, "dilation", dilation)
    extent = (window[0] - 1) * dilation[0] + 1, (window[1] - 1) * dilation[1] + 1
    margins = _margins(name, padding, x.shape[2:], extent, strides)
    empty = any(max(side) >= e for side, e in zip(margins, extent, strict=True))
    if empty and name != "conv2d":  # whose windows may see zeros alone
        raise ValueError(
            f"{name}: padding must be less than the windows' extent {extent}, or some would see "
            f"nothing of the image, got {padding!r}"
        )
    if any(n + sum(m) < e for n, m, e in zip(x.shape[2:], margins, extent, strict=True)):
        raise ShapeError(
            f"{name}: windows that extend over {extent} pixels do not fit into images of "
            f"{tuple(x.shape[2:])} with padding {margins}"
        )
    return {"strides": strides, "dilation": dilation, "margins": margins}


def _margins(name: str, padding: Any, image: Pair, extent: Pair, strides: Pair) -> Margins:
    """The padding as ((above, below), (left, right))."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        missing = [
            max((-(-n // s) - 1) * s + e - n, 0)
            for n, e, s in zip(image, extent, strides, strict=True)
        ]
        down, across = ((m // 2, m - m // 2) for m in missing)
        return down, across
    sides = padding if isinstance(padding, tuple | list) else (padding, padding)
    if isinstance(padding, str) or len(sides) != 2:
        raise ValueError(
            f"{name}: padding is a number, (down, across), ((above, below), (left, right)), "
            f"'same' or 'valid', got {padding!r}"
        )
    down, across = (_pair(name, "padding", side, least=0) for side in sides)
    return down, across


def _pair(name: str, what: str, value: Any, least: int = 1) -> Pair:
    """One number for both directions, or two."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in pair):
        raise ValueError(f"{name}: {what} is one or two integers from {least}, got {value!r}")
    return int(pair[0]), int(pair[1])


def floating(x: Array) -> Array:
    """x as an array of floats; NotDifferentiableError for complex numbers."""
    x = as_array(x, float)
    if x.dtype.kind == "c":
        raise NotDifferentiableError(
            f"layers and gelu take real numbers, not {x.dtype}: make its parts channels, as "
            "np.concatenate([z.real, z.imag], axis=1) does"
        )
    return x if x.dtype.kind == "f" else x.astype(float)


# --- normalisation


def layer_norm(
    x: Array,
    gain: Array | None = None,
    bias: Array | None = None,
    *,
    axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
) -> Array:
    """x with mean 0 and variance 1 along `axis`, times gain, plus bias (Ba et al., 2016).

    `gain` and `bias` have the shape of the normalised axes: (..., k) with (k,), and (n, c, h, w)
    with (c, h, w) for axis=(1, 2, 3); ShapeError otherwise. `eps` is added to the variance.

    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 5.0]]), eps=1e-12)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x = floating(x)
    axes = _axes("layer_norm", axis, x.ndim)
    y = _standardize(x, *_moments(x, axes), eps)
    return _scale("layer_norm", y, gain, bias, axes)


def batch_norm(
    x: Array,
    gain: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    *,
    training: bool = False,
    momentum: float = 0.1,
    axis: int = 1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) * gain + bias for each channel (Ioffe and Szegedy, 2015).

    Args:
        x: (n, c) or (n, c, h, w), or with the channels along another `axis`.
        gain: (c,), or None for 1.
        bias: (c,), or None for 0.
        mean: (c,), the running mean of the channels.
        var: (c,), the running variance.
        training: normalise by the batch's own mean and variance, and return with the result the
            running ones, moved: (y, mean, var). Otherwise return y alone.
        momentum: the weight of the batch in the running mean and variance; that variance is the
            unbiased one (n - 1).
        axis: where the channels are.
        eps: added to the variance.

    Raises ShapeError where a shape does not fit, or training sees one number for each channel.

    >>> x, zeros, ones = np.array([[1.0], [3.0]]), np.zeros(1), np.ones(1)
    >>> y, mean, var = batch_norm(x, ones, zeros, zeros, ones, training=True, eps=0.0)
    >>> y.ravel(), mean, var
    (array([-1.,  1.]), array([0.2]), array([1.1]))
    """
    x, mean, var = floating(x), floating(mean), floating(var)
    axes = _axes("batch_norm", axis, x.ndim)
    channels = (x.shape[axes[0]],)
    if mean.shape != channels or var.shape != channels:
        raise ShapeError(
            f"batch_norm: x {x.shape} has {channels[0]} channels along axis {axis}, but mean and "
            f"var are {mean.shape} and {var.shape}"
        )
    if not training:
        shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
        y = _standardize(x, mean.reshape(shape), var.reshape(shape), eps)
        return _scale("batch_norm", y, gain, bias, axes)
    count = x.size // max(*channels, 1)
    if count < 2:
        raise ShapeError(f"batch_norm: one number a channel has no variance, got x {x.shape}")
    center, spread = _moments(x, tuple([i for i in range(x.ndim) if i not in axes]))
    y = _scale("batch_norm", _standardize(x, center, spread, eps), gain, bias, axes)
    unbiased = spread * (count / (count - 1))
    moved = [
        ((1 - momentum) * old + momentum * new.reshape(channels)).astype(old.dtype)
        for old, new in ((mean, center), (var, unbiased))
    ]
    return y, *moved


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and variance along the axes, which are kept."""
    wide = _wide(x)
    mean = np.mean(wide, axis=axes, keepdims=True)
    return mean, np.mean(np.square(wide - mean), axis=axes, keepdims=True)


def _standardize(x: Array, mean: Array, var: Array, eps: float) -> Array:
    return ((_wide(x) - mean) / np.sqrt(var + eps)).astype(x.dtype)


def _wide(x: Array) -> Array:
    """x in a dtype in which squares of float16 numbers do not overflow."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _axes(name: str, axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """The axes, counted from the front and in order."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(-ndim <= i < ndim for i in axes):
        raise ShapeError(f"{name}: x has {ndim} axes, got axis={axis}")
    return tuple(sorted({i % ndim for i in axes}))


def _scale(
    name: str, y: Array, gain: Array | None, bias: Array | None, axes: tuple[int, ...]
) -> Array:
    """y times gain plus bias, which are laid along the axes."""
    for what, p in (("gain", gain), ("bias", bias)):
        if p is None:
            continue
        if np.shape(p) != tuple([y.shape[i] for i in axes]):
            raise ShapeError(
                f"{name}: {what} must be {tuple([y.shape[i] for i in axes])}, as x {y.shape} "
                f"along {axes}, got {np.shape(p)}"
            )
        p = np.reshape(p, [n if i in axes else 1 for i, n in enumerate(y.shape)])
        y = y * p if what == "gain" else y + p
    return y


# --- lookup


def embedding(table: Array, ids: Array) -> Array:
    """The rows of a table by number: (k, ...) floats, (m, ...) integers -> (m, ..., ...).

    A row that is looked up twice gets the sum of both gradients. Raises ShapeError where ids are
    not integers, IndexError where one is not in -k ... k - 1.

    >>> embedding(np.array([[0.0, 0.1], [1.0, 1.1]]), np.array([1, 1, 0]))
    array([[1. , 1.1],
           [1. , 1.1],
           [0. , 0.1]])
    """
    table = as_array(table, float)
    ids = as_array(ids)
    if ids.dtype.kind not in "iu" and ids.size:
        raise ShapeError(f"embedding: ids are integers, which number rows, got {ids.dtype}")
    return table[ids if ids.dtype.kind in "iu" else ids.astype(int)]


# --- noise


def _draw(x: Array, rng: np.random.Generator) -> Array:
    """Uniform in [0, 1), one for each element of x, in x's dtype where generators have it."""
    return rng.random(np.shape(x), np.float32 if x.dtype == np.float32 else np.float64)


draw = define(_draw, name="draw")
register_batching(batch_whole, draw)


def dropout(x: Array, rate: float, rng: np.random.Generator) -> Array:
    """x with a share `rate` of its elements, drawn from rng, set to 0 and the others scaled up.

    Dividing by 1 - rate keeps the expectation (Srivastava et al., Dropout, 2014). For training;
    leave it out, or give rate 0, to predict. Raises ValueError where rate is not in [0, 1).

    >>> dropout(np.ones(6), 0.5, np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be in [0, 1), got {rate}")
    x = as_array(x, float)
    return x * (draw(x, rng=rng) >= rate) / (1 - rate) if rate else x
