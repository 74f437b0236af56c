"""Networks: activations, layers, losses."""

import itertools
import math

import numpy as np

import tinygrad_digits as td
from tests.cases import case, distinct, nonzero, normal, uniform
from tinygrad_digits.ops.correlation import correlate2d, overlap, spread
from tinygrad_digits.ops.windows import fold, windows


def draws(function, *shapes, draw=normal, **options):
    return [case(function, draw(*shape), **options) for shape in shapes]


# --- activations

SHAPES = ((3, 4), (), (2, 1, 3), (0, 2))
RATES = np.linspace(-2, 2, 12).reshape(3, 4)

# math.erf and math.tanh on each element
_erf = np.vectorize(math.erf, otypes=[float])


def gelu(x, approximate="none"):
    if approximate == "none":
        return x * (1 + _erf(x / math.sqrt(2))) / 2
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


REFERENCES = {
    td.nn.relu: lambda x: x * (x > 0),
    td.nn.sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    td.nn.softplus: lambda x: np.log1p(np.exp(x)),
    td.nn.gelu: gelu,
    td.nn.silu: lambda x: x / (1 + np.exp(-x)),
    td.nn.mish: lambda x: x * np.tanh(np.log1p(np.exp(x))),
    td.nn.elu: lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    td.nn.leaky_relu: lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    td.nn.selu: lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * np.expm1(x)),
    td.nn.hard_tanh: lambda x: np.sign(x) * np.where(np.abs(x) < 1, np.abs(x), 1),
}

ACTIVATIONS = [
    *(
        c
        for f in (td.nn.sigmoid, td.nn.softplus, td.nn.silu, td.nn.mish)
        for c in draws(f, *SHAPES)
    ),
    *(
        c
        for f in (td.nn.relu, td.nn.elu, td.nn.leaky_relu, td.nn.selu)
        for c in draws(f, *SHAPES, draw=nonzero)
    ),
    *draws(td.nn.gelu, *SHAPES),
    *draws(td.nn.gelu, *SHAPES, approximate="tanh"),
    *draws(td.nn.elu, (3,), draw=nonzero, alpha=0.5),
    *draws(td.nn.leaky_relu, (3,), draw=nonzero, slope=0.2),
    case(td.nn.hard_tanh, uniform(-0.9, 0.9, 2, 3)),
    case(td.nn.hard_tanh, uniform(1.1, 2.0, 2)),
    case(td.nn.hard_tanh, uniform(-0.9, 0.9)),
]


# --- layers


def naive_windows(x, window, strides, dilation, margins, fill):
    x = np.pad(x, ((0, 0), (0, 0), *margins), constant_values=fill)
    (kh, kw), (sh, sw), (dh, dw) = window, strides, dilation
    oh = len(range(0, x.shape[2] - (kh - 1) * dh, sh))
    ow = len(range(0, x.shape[3] - (kw - 1) * dw, sw))
    y = np.empty((x.shape[1], kh, kw, x.shape[0], oh, ow))
    for c, i, j, n, u, v in np.ndindex(y.shape):
        y[c, i, j, n, u, v] = x[n, c, u * sh + i * dh, v * sw + j * dw]
    return y


def windows_of_last(x, **options):
    """Of images that lie along the last axis, as the op has them."""
    return naive_windows(x.transpose(3, 0, 1, 2), **options).transpose(0, 1, 2, 4, 5, 3)


def naive_fold(g, shape, **options):
    """The transpose, as a matrix: windows of each image that has a single 1."""
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    columns = [windows_of_last(unit, fill=0.0, **options) for unit in units]
    return np.array([np.sum(g * c) for c in columns]).reshape(shape)


def naive_correlate(x, w, **options):
    columns = windows_of_last(x, window=w.shape[2:], fill=0.0, **options)
    return np.einsum("ocij,cijyxn->oyxn", w, columns)


def naive_overlap(g, x, **options):
    return np.einsum("oyxn,cijyxn->ocij", g, windows_of_last(x, fill=0.0, **options))


def naive_spread(g, w, shape, **options):
    columns = np.einsum("oyxn,ocij->cijyxn", g, w)
    return naive_fold(columns, shape, window=w.shape[2:], **options)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def naive_margins(padding, image, window, strides, dilation):
    if padding == "valid":
        padding = 0
    if padding != "same":
        return tuple([pair(side) for side in pair(padding)])
    margins = []
    for n, k, s, d in zip(image, window, strides, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        margins.append((total // 2, total - total // 2))
    return tuple(margins)


def looked(x, window, strides, padding, dilation, fill):
    window, strides, dilation = pair(window), pair(strides), pair(dilation)
    margins = naive_margins(padding, x.shape[2:], window, strides, dilation)
    return naive_windows(x, window, strides, dilation, margins, fill)


def conv2d(x, w, b=None, *, strides=1, padding=0, dilation=1, groups=1):
    columns = looked(x, w.shape[2:], strides, padding, dilation, 0.0)
    c, o = x.shape[1] // groups, w.shape[0] // groups
    y = np.zeros((x.shape[0], w.shape[0], *columns.shape[4:]))
    for k, i, j, n in itertools.product(*map(range, (w.shape[1], *columns.shape[1:4]))):
        for kernel in range(w.shape[0]):
            y[n, kernel] += columns[kernel // o * c + k, i, j, n] * w[kernel, k, i, j]
    return y if b is None else y + b[:, None, None]


def max_pool2d(x, window, *, strides=None, padding=0, dilation=1):
    columns = looked(x, window, window if strides is None else strides, padding, dilation, -np.inf)
    return columns.max((1, 2)).transpose(1, 0, 2, 3)


def avg_pool2d(x, window, *, strides=None, padding=0, dilation=1, count_include_pad=True):
    fill = 0.0 if count_include_pad else np.nan
    columns = looked(x, window, window if strides is None else strides, padding, dilation, fill)
    return np.nanmean(columns, axis=(1, 2)).transpose(1, 0, 2, 3)


def layer_norm(x, gain=None, bias=None, *, axis=-1, eps=1e-5):
    y = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)
    shape = [n if i in {a % x.ndim for a in np.atleast_1d(axis)} else 1
             for i, n in enumerate(x.shape)]  # fmt: skip
    y = y if gain is None else y * gain.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def batch_norm(x, gain, bias, mean, var, *, training=False, momentum=0.1, axis=1, eps=1e-5):
    rows = np.moveaxis(x, axis, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    center, spread = (flat.mean(0), flat.var(0)) if training else (mean, var)
    y = (rows - center) / np.sqrt(spread + eps)
    y = y if gain is None else y * gain
    y = np.moveaxis(y if bias is None else y + bias, -1, axis)
    if not training:
        return y
    moved = [mean + momentum * (center - mean), var + momentum * (flat.var(0, ddof=1) - var)]
    return y, *moved


def dropout(x, rate, rng):
    return x * (rng.random(x.shape) >= rate) / (1 - rate) if rate else x


class SameDraws:
    """A generator that starts over at each call, so that a function of it can be compared."""

    def random(self, shape, dtype=float):
        return np.random.default_rng(0).random(shape).astype(dtype)


def embedding(table, ids):
    return np.array([table[i] for i in np.ravel(ids)]).reshape((*np.shape(ids), *table.shape[1:]))


REFERENCES |= {
    windows: windows_of_last,
    fold: naive_fold,
    correlate2d: naive_correlate,
    overlap: naive_overlap,
    spread: naive_spread,
    td.nn.conv2d: conv2d,
    td.nn.max_pool2d: max_pool2d,
    td.nn.avg_pool2d: avg_pool2d,
    td.nn.layer_norm: layer_norm,
    td.nn.batch_norm: batch_norm,
    td.nn.embedding: embedding,
}

ODD = {"window": (2, 3), "strides": (2, 1), "dilation": (1, 2), "margins": ((1, 0), (2, 1))}
STEPS = {"strides": (2, 1), "dilation": (1, 2), "margins": ((1, 0), (2, 1))}
SHORT = {"strides": (1, 1), "dilation": (1, 1), "margins": ((1, 0), (0, 1))}
WIDE = {"strides": (1, 1), "dilation": (1, 1), "margins": ((3, 0), (0, 1))}
IMAGES, KERNELS = normal(2, 2, 4, 5), normal(3, 2, 2, 3)
SLIDES = [
    {"padding": "same"},
    {"padding": "same", "strides": 2, "dilation": (1, 2)},
    {"padding": "valid", "strides": (1, 2)},
    {"padding": 1, "strides": 2},
    {"padding": (1, 0)},
    {"padding": ((0, 1), (2, 0)), "strides": (3, 2)},
]
RUNNING = (normal(3), uniform(0.5, 2.0, 3))

LAYERS = [
    case(windows, normal(2, 3, 4, 1), fill=0.5, **ODD),
    case(fold, normal(2, 2, 3, 2, 3, 1), shape=(2, 3, 4, 1), **ODD),
    case(correlate2d, normal(2, 3, 4, 1), normal(2, 2, 2, 3), **STEPS),
    case(correlate2d, normal(2, 3, 4, 2), normal(1, 2, 2, 2), **SHORT),
    case(overlap, normal(2, 2, 3, 1), normal(2, 3, 4, 1), window=(2, 3), **STEPS),
    case(overlap, normal(2, 3, 4, 2), normal(1, 3, 4, 2), window=(2, 2), **SHORT),
    case(spread, normal(2, 2, 3, 1), normal(2, 2, 2, 3), shape=(2, 3, 4, 1), **STEPS),
    case(spread, normal(2, 3, 4, 2), normal(2, 1, 2, 2), shape=(1, 3, 4, 2), **SHORT),
    case(spread, normal(2, 5, 4, 1), normal(2, 1, 2, 2), shape=(1, 3, 4, 1), **WIDE),
    case(td.nn.conv2d, IMAGES, KERNELS),
    case(td.nn.conv2d, IMAGES, KERNELS, normal(3)),
    *(case(td.nn.conv2d, IMAGES, KERNELS, normal(3), **options) for options in SLIDES),
    case(td.nn.conv2d, IMAGES, KERNELS, dilation=2, padding=1),
    case(td.nn.conv2d, normal(2, 4, 3, 3), normal(6, 2, 2, 2), normal(6), groups=2),
    case(td.nn.conv2d, normal(1, 2, 3, 3), normal(2, 1, 3, 3), groups=2, padding=1),
    case(td.nn.conv2d, normal(1, 1, 3, 3), normal(2, 1, 2, 2), padding=3, strides=2),
    case(
        td.nn.conv2d, normal(1, 1, 2, 2), normal(1, 1, 2, 2), padding=((0, 2), (4, 0)), dilation=2
    ),
    case(td.nn.conv2d, np.arange(18.0).reshape(1, 2, 3, 3) / 9, normal(1, 2, 2, 2)),
    case(td.nn.conv2d, normal(1, 1, 3, 3), np.array([[[[1.0, -1.0]]]])),
    case(td.nn.conv2d, normal(0, 2, 4, 5), KERNELS, normal(3)),
    *(case(td.nn.max_pool2d, distinct(1, 2, 4, 6), 2, **options) for options in ({}, *SLIDES[1:5])),
    case(td.nn.max_pool2d, distinct(2, 1, 3, 4), (2, 3), strides=1, padding="same", dilation=1),
    *(case(td.nn.avg_pool2d, normal(1, 2, 4, 6), 2, **options) for options in ({}, *SLIDES[1:5])),
    *(
        case(td.nn.avg_pool2d, normal(1, 2, 4, 6), (2, 3), count_include_pad=False, **options)
        for options in SLIDES
    ),
    case(td.nn.layer_norm, normal(3, 4)),
    case(td.nn.layer_norm, normal(3, 4), normal(4), normal(4), eps=0.1),
    case(td.nn.layer_norm, normal(2, 3, 4), normal(3, 4), axis=(-1, 1)),
    case(td.nn.layer_norm, normal(3, 4), None, normal(3), axis=0),
    case(td.nn.layer_norm, normal(4)),
    case(td.nn.batch_norm, normal(4, 3), normal(3), normal(3), *RUNNING),
    case(td.nn.batch_norm, normal(4, 3), None, None, *RUNNING, eps=0.1),
    case(td.nn.batch_norm, normal(4, 3), normal(3), normal(3), *RUNNING, training=True),
    case(
        td.nn.batch_norm, normal(2, 3, 2, 2), normal(3), None, *RUNNING, training=True, momentum=0.5
    ),
    case(td.nn.batch_norm, normal(3, 4), None, normal(3), *RUNNING, training=True, axis=0, eps=0.1),
    case(td.nn.batch_norm, normal(2, 2, 3), normal(3), normal(3), *RUNNING, axis=-1),
    case(td.nn.embedding, normal(4, 3), np.array([0, 2, 2, -1])),
    case(td.nn.embedding, normal(3, 2), np.array([[0, 0], [1, 0]])),
    case(td.nn.embedding, normal(3), np.array(1)),
    case(td.nn.embedding, normal(3, 2), []),
]


# --- losses


def loss_of(each):
    """A loss for all elements, reduced."""

    def loss(p, t, *, reduction="mean", **options):
        losses = each(p, np.asarray(t), **options)
        return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)

    return loss


def cross_entropy(z, labels, smoothing=0.0):
    k = z.shape[-1]
    t = (1 - smoothing) * np.eye(k)[labels] + smoothing / k
    return -np.sum(t * np.log(np.exp(z) / np.exp(z).sum(-1, keepdims=True)), axis=-1)


def binary_cross_entropy_with_logits(z, t):
    p = 1 / (1 + np.exp(-z))
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def huber(p, t, delta=1.0):
    error = np.abs(p - t)
    return np.where(error < delta, error**2 / 2, delta * (error - delta / 2))


REFERENCES |= {
    td.nn.cross_entropy: loss_of(cross_entropy),
    td.nn.mse: loss_of(lambda p, t: (p - t) ** 2),
    td.nn.huber: loss_of(huber),
    td.nn.binary_cross_entropy_with_logits: loss_of(binary_cross_entropy_with_logits),
    td.nn.kl_divergence: loss_of(lambda q, t, axis=-1: np.sum(t * (np.log(t) - q), axis)),
    td.nn.hinge: loss_of(lambda s, t, margin=1.0: np.maximum(0, margin - s * t)),
}

SIGNS = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
LABELS = np.array([2, 0, 1, 1])
SHARES = uniform(0.1, 0.9, 2, 3)
LOSSES = [
    *(
        c
        for kind in ("mean", "sum", "none")
        for c in (
            case(td.nn.mse, normal(2, 3), normal(2, 3), reduction=kind),
            case(td.nn.huber, distinct(2, 3), SIGNS / 9, reduction=kind, delta=0.5),
            case(td.nn.binary_cross_entropy_with_logits, normal(2, 3), SHARES, reduction=kind),
            case(td.nn.kl_divergence, normal(2, 3), SHARES, reduction=kind),
            case(td.nn.hinge, normal(2, 3), SIGNS, reduction=kind),
            case(td.nn.cross_entropy, normal(4, 3), LABELS, reduction=kind),
        )
    ),
    case(td.nn.mse, normal(), normal()),
    case(td.nn.huber, normal(3), nonzero(3), delta=20.0),
    case(td.nn.huber, nonzero(3), [0.0, 0.0, 0.0], delta=0.1),
    case(td.nn.binary_cross_entropy_with_logits, normal(3), [0, 1, 1]),
    case(td.nn.kl_divergence, normal(2, 3), SHARES, axis=0),
    case(
        td.nn.kl_divergence, normal(2, 3, 2), uniform(0.1, 0.9, 2, 3, 2), axis=1, reduction="none"
    ),
    case(td.nn.hinge, normal(2, 3), SIGNS, margin=0.3),
    case(td.nn.cross_entropy, normal(2, 2, 3), LABELS.reshape(2, 2)),
    case(td.nn.cross_entropy, normal(4, 3), LABELS, smoothing=0.1),
    case(
        td.nn.cross_entropy, normal(2, 2, 3), LABELS.reshape(2, 2), smoothing=0.3, reduction="none"
    ),
]

CASES = [c.but(reference=REFERENCES[c.function]) for c in ACTIVATIONS + LAYERS + LOSSES]
CASES += [
    case(td.nn.dropout, normal(2, 3), 0.5, SameDraws()).but(reference=dropout),
    case(td.nn.dropout, normal(2, 3), 0.0, SameDraws()).but(reference=dropout),
]
