"""Along an axis, from one element to the next: order, differences, integrals, filters, polynomials.

Most are written as NumPy writes them, so that a program of them rounds as NumPy does.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view

from ..engine.define import define
from ..engine.primitive import Array, Kind
from ..engine.tensor import Tensor
from ..staging.batching import batch_along_flat, batch_in_one, register_batching
from ..support.foreign import as_array
from .complex_parts import conj, is_complex, is_known, refuse_order, watch_rules
from .indexing import getitem, scatter
from .registering import handles, implement
from .views import Way, share

Axis: TypeAlias = int | tuple[int, ...] | None


def _part(x: Array, axis: int, start: int | None, stop: int | None) -> Array:
    """x[start:stop] along an axis."""
    return x[(slice(None),) * normalize_axis_index(axis, x.ndim) + (slice(start, stop),)]


def _column(x: Array, axis: int, ndim: int) -> Array:
    """(n,) -> (1, ..., n, ..., 1): a vector laid along an axis."""
    return x.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


# --- order: the elements go where a constant permutation puts them, and their gradients back


@handles(np.sort)
def sort(a: Array, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Array:
    """numpy.sort; equal elements keep their order, whatever the algorithm."""
    np.sort(np.empty(0), kind=kind, stable=stable)  # which knows the names of the algorithms
    x, along = (np.ravel(a), 0) if axis is None else (a, axis)
    along = normalize_axis_index(along, x.ndim)
    return np.take_along_axis(x, np.argsort(x, axis=along, kind="stable"), axis=along)


@handles(np.sort_complex)
def sort_complex(a: Array) -> Array:
    """numpy.sort_complex: by the real parts, then by the imaginary ones; the result is complex."""
    wide = np.clongdouble if a.dtype.char == "g" else complex
    return np.sort(a) if is_complex(a) else np.sort(a).astype(wide)


def _places(x: Array, kth: Any, axis: int, kind: Any) -> Array:
    """Where np.partition takes each element from; equal ones in their order."""
    y = np.partition(x, kth, axis, kind)
    ranks = np.argsort(np.argsort(y, axis, kind="stable"), axis)
    return np.take_along_axis(np.argsort(x, axis, kind="stable"), ranks, axis)


places = define(_places, name="partition_places")
register_batching(batch_along_flat, places)


@handles(np.partition)
def partition(a: Array, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Array:
    """numpy.partition: the kth smallest in its place, smaller ones before, larger ones after."""
    x, along = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(x, places(x, kth=kth, axis=along, kind=kind), axis=along)


@handles(sliding_window_view)
def windows(x: Array, window_shape: int | Sequence[int], axis: Axis = None) -> Array:
    """numpy.lib.stride_tricks.sliding_window_view; where windows overlap, gradients add up."""
    numbered = np.arange(x.size).reshape(x.shape)
    y = np.ravel(x)[sliding_window_view(numbered, window_shape, axis)]
    share(x, y, WINDOWS, (window_shape, axis))
    return y


WINDOWS = Way(lambda x, what: sliding_window_view(x, *what), put_back=None)


# --- differences


@handles(np.diff)
def diff(
    a: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None
) -> Array:
    """numpy.diff: the differences of neighbours, n times over."""
    if n < 0:
        raise ValueError(f"diff: order must be non-negative, got {n}")
    a = as_array(a)
    if n == 0:
        return a
    axis = normalize_axis_index(axis, a.ndim)
    one = tuple([1 if i == axis else length for i, length in enumerate(a.shape)])

    def end(x: Array) -> list[Array]:
        return [] if x is None else [as_array(x) if np.ndim(x) else np.broadcast_to(x, one)]

    if not (prepend is None and append is None):
        a = np.concatenate([*end(prepend), a, *end(append)], axis=axis)
    for _ in range(n):
        a = _part(a, axis, 1, None) - _part(a, axis, None, -1)
    return a


@handles(np.ediff1d)
def ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Array:
    """numpy.ediff1d: the differences of the flattened array, between what is put at its ends."""
    x = np.ravel(as_array(ary))
    before, after = (
        [] if end is None else [np.ravel(as_array(end)).astype(x.dtype)]
        for end in (to_begin, to_end)
    )
    if x.dtype.kind not in "fc" and (before or after):
        raise TypeError(f"ediff1d: floats cannot be put at the ends of {x.dtype} differences")
    return np.concatenate([*before, x[1:] - x[:-1], *after])


@handles(np.gradient)
def gradient(f: Array, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """numpy.gradient: central differences; the spacings may be Tensors too.

    >>> import tinygrad_digits as td
    >>> td.grad(lambda h: np.gradient(np.array([1.0, 2.0, 4.0]), h)[0])(1.0)
    np.float64(-1.0)
    """
    f = as_array(f)
    f = f if f.dtype.kind in "fc" else f.astype(np.float64)
    axes = range(f.ndim) if axis is None else normalize_axis_tuple(axis, f.ndim)
    spacings = list(varargs) or [1.0]
    if len(spacings) == 1 and (not varargs or np.ndim(spacings[0]) == 0):
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"gradient: {len(varargs)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, got {edge_order}")
    found = [
        _slopes(f, _steps(spacing, f.shape[along]), along, edge_order)
        for spacing, along in zip(spacings, axes, strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


def _steps(spacing: Any, length: int) -> Array:
    """The distance from one sample to the next, or all of them where they may differ."""
    if np.ndim(spacing) == 0:
        refuse_order("gradient: a spacing", spacing)
        return spacing
    if np.shape(spacing) != (length,):
        raise ValueError(f"gradient: {length} samples at coordinates of shape {np.shape(spacing)}")
    at = as_array(spacing)
    refuse_order("gradient: coordinates", at)
    steps = np.diff(at if at.dtype.kind == "f" else at.astype(np.float64))
    known = not isinstance(steps, Tensor)
    return steps[0] if known and (steps == steps[0]).all() else steps


def _slopes(f: Array, h: Array, axis: int, edge_order: int) -> Array:
    """Along one axis: central differences inside, one-sided ones at the two ends."""
    if f.shape[axis] < edge_order + 1:
        raise ValueError(f"gradient: {f.shape[axis]} samples for edge_order={edge_order}")

    def weigh(weights: Sequence[Array], *parts: tuple[int | None, int | None]) -> Array:
        a, b, c = (w if np.ndim(w) == 0 else _column(w, axis, f.ndim) for w in weights)
        x, y, z = (_part(f, axis, *part) for part in parts)
        return a * x + b * y + c * z

    even = np.ndim(h) == 0
    if even:
        inside = (_part(f, axis, 2, None) - _part(f, axis, None, -2)) / (2.0 * h)
    else:
        inside = weigh(_central(h[:-1], h[1:]), (None, -2), (1, -1), (2, None))
    if edge_order == 1:
        step = np.diff(f, axis=axis)
        first = _part(step, axis, 0, 1) / (h if even else h[0])
        last = _part(step, axis, -1, None) / (h if even else h[-1])
    else:
        start = (-1.5 / h, 2.0 / h, -0.5 / h) if even else _weigh_one_side(h[0], h[1])
        end = (0.5 / h, -2.0 / h, 1.5 / h) if even else _weigh_one_side(h[-1], h[-2])[::-1]
        if not even:
            end = tuple([-weight for weight in end])
        first = weigh(start, (0, 1), (1, 2), (2, 3))
        last = weigh(end, (-3, -2), (-2, -1), (-1, None))
    return np.concatenate([first, inside, last], axis=axis).astype(f.dtype)


def _central(before: Array, after: Array) -> tuple[Array, Array, Array]:
    """The weights of three samples that give the parabola's slope at the second."""
    both = before + after
    return (
        -after / (before * both),
        (after - before) / (before * after),
        before / (after * both),
    )


def _weigh_one_side(near: Array, far: Array) -> tuple[Array, Array, Array]:
    """The weights of three samples that give the parabola's slope at the first."""
    both = near + far
    return -(2.0 * near + far) / (near * both), both / (near * far), -near / (far * both)


# --- integrals


@handles(np.trapezoid)
def trapezoid(y: Array, x: Array = None, dx: Array = 1.0, axis: int = -1) -> Array:
    """numpy.trapezoid: the integral of straight lines between the samples."""
    y = as_array(y)
    if x is not None:
        x = as_array(x)
        dx = _column(np.diff(x), axis, y.ndim) if x.ndim == 1 else np.diff(x, axis=axis)
    return np.sum(dx * (_part(y, axis, 1, None) + _part(y, axis, None, -1)) / 2.0, axis=axis)


# --- phases


unwrap = implement(  # what it adds to p is constant between its jumps
    np.unwrap,
    lambda g, _y, _p, discont=None, axis=-1, *, period=2 * np.pi: g,
    kind=Kind.OPAQUE,
)


# --- interpolation: y = (1 - t) fp[j] + t fp[j + 1] with t = (x - xp[j]) / (xp[j + 1] - xp[j]).
# At a knot, where the slope jumps, the derivative is the mean of those on its two sides.


def _segment(x: Array, xp: Array, side: Any) -> tuple[Array, Array, Array, Array, Array]:
    """Which two points x lies between, whether it does, how far apart they are, and t."""
    last = xp.shape[0] - 1
    after = np.searchsorted(xp, x, side=side)
    inside = (after > 0) & (after <= last)
    j = np.clip(after - 1, 0, last)
    k = np.minimum(j + 1, last)
    width = np.where(inside, getitem(xp, k) - getitem(xp, j), 1.0)
    return j, k, inside, width, np.where(inside, (x - getitem(xp, j)) / width, 0.0)


def _slope(fp: Array, j: Array, k: Array, inside: Array, width: Array) -> Array:
    return np.where(inside, (getitem(fp, k) - getitem(fp, j)) / width, 0.0)


def _interp_x(g: Array, _y: Array, x: Array, xp: Array, fp: Array, **_ends: Any) -> Array:
    total = 0.0
    for side in ("left", "right"):
        j, k, inside, width, _ = _segment(x, xp, side)
        total = total + _slope(fp, j, k, inside, width)
    return g * total * 0.5


def _interp_xp(g: Array, _y: Array, x: Array, xp: Array, fp: Array, **_ends: Any) -> Array:
    total = 0.0
    for side in ("left", "right"):
        j, k, inside, width, t = _segment(x, xp, side)
        pull = g * _slope(fp, j, k, inside, width) * -0.5
        total = total + scatter(pull * (1 - t), index=j, shape=xp.shape)
        total = total + scatter(pull * t, index=k, shape=xp.shape)
    return total


def _interp_fp(
    g: Array, _y: Array, x: Array, xp: Array, fp_like: Array, left: Any = None, right: Any = None
) -> Array:
    if left is not None:
        g = np.where(x < xp[0], 0.0, g)
    if right is not None:
        g = np.where(x > xp[-1], 0.0, g)
    j, k, _, _, t = _segment(x, xp, "right")
    near = scatter(g * (1 - t), index=j, shape=fp_like.shape)
    return near + scatter(g * t, index=k, shape=fp_like.shape)


lines = define(
    np.interp, _interp_x, _interp_xp, _interp_fp, name="interp", kind=Kind.OPAQUE, unchecked=True
)
register_batching(batch_in_one(0), lines)


@handles(np.interp)
def interp(
    x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None, period: Any = None
) -> Array:
    """numpy.interp, differentiable in where it looks, in the knots and in the values there."""
    refuse_order("interp", x, xp)
    if period is not None:
        if period == 0:
            raise ValueError("interp: period must not be 0")
        period, left, right = abs(period), None, None
        x, xp = (as_array(each).astype(np.float64) for each in (x, xp))
        fp = as_array(fp).astype(np.complex128 if is_complex(fp) else np.float64)
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = getitem(xp, order), getitem(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    return lines(x, xp, fp, left=left, right=right)


# --- filters: c[i] = sum over n of a[n] v[i - n], of which `mode` keeps a part


def _widen(g: Array, n: int, m: int, start: int) -> Array:
    """The cotangent of all n + m - 1 sums from that of those beginning with `start`."""
    after = n + m - 1 - start - g.shape[0]
    return np.concatenate([np.zeros(start, g.dtype), g, np.zeros(after, g.dtype)])


def _convolve_full(g: Array, a: Array, v: Array, mode: str) -> Array:
    n, m = a.shape[0], v.shape[0]
    start = {"full": 0, "same": (min(n, m) - 1) // 2, "valid": min(n, m) - 1}[mode]
    return _widen(g, n, m, start)


def _correlate_full(g: Array, a: Array, v: Array, mode: str) -> Array:
    """The same of a correlation, which counts from the other end where v is the longer."""
    n, m = a.shape[0], v.shape[0]
    start = {"full": 0, "same": (min(n, m) - (n >= m)) // 2, "valid": min(n, m) - 1}[mode]
    return _widen(g, n, m, start)


convolved = define(
    np.convolve,
    lambda g, _y, a_like, v, mode="full": np.convolve(
        _convolve_full(g, a_like, v, mode), v[::-1], mode="valid"
    ),
    lambda g, _y, a, v_like, mode="full": np.convolve(
        _convolve_full(g, a, v_like, mode), a[::-1], mode="valid"
    ),
    kind=Kind.OPAQUE,
    unchecked=True,
)
correlated = define(
    np.correlate,
    lambda g, _y, a_like, v, mode="valid": np.convolve(
        _correlate_full(g, a_like, v, mode), conj(v), mode="valid"
    ),
    lambda g, _y, a, v_like, mode="valid": conj(
        np.correlate(_correlate_full(g, a, v_like, mode), conj(a), mode="valid")[::-1]
    ),
    kind=Kind.OPAQUE,
    unchecked=True,
)
watch_rules(correlated)


def _vector(x: Array) -> Array:
    x = as_array(x)
    return x if x.ndim else x.reshape(1)


@handles(np.convolve)
def convolve(a: Array, v: Array, mode: Any = "full") -> Array:
    """numpy.convolve of two vectors."""
    return convolved(_vector(a), _vector(v), mode=mode)


@handles(np.correlate)
def correlate(a: Array, v: Array, mode: Any = "valid") -> Array:
    """numpy.correlate of two vectors."""
    return correlated(_vector(a), _vector(v), mode=mode)


# --- polynomials: coefficients, the highest power first


@handles(np.polyval)
def polyval(p: Array, x: Array) -> Array:
    """numpy.polyval, by Horner's scheme."""
    p, x = as_array(p), as_array(x)
    y = np.zeros_like(x)
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


@handles(np.polyadd)
def polyadd(a1: Array, a2: Array) -> Array:
    """numpy.polyadd: the shorter one is filled up with zeros in front."""
    a, b = _vector(a1), _vector(a2)
    n = max(a.shape[0], b.shape[0])
    a, b = (np.concatenate([np.zeros(n - x.shape[0], x.dtype), x]) for x in (a, b))
    return a + b


@handles(np.polysub)
def polysub(a1: Array, a2: Array) -> Array:
    """numpy.polysub"""
    return polyadd(a1, -_vector(a2))


@handles(np.polyder)
def polyder(p: Array, m: int = 1) -> Array:
    """numpy.polyder: the coefficients of the mth derivative."""
    if m < 0:
        raise ValueError(f"polyder: m must not be negative, got {m}")
    for _ in range(m):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@handles(np.polyint)
def polyint(p: Array, m: int = 1, k: Array = None) -> Array:
    """numpy.polyint: the coefficients of the mth antiderivative; k are its constants."""
    if m < 0:
        raise ValueError(f"polyint: m must not be negative, got {m}")
    p, k = as_array(p), np.zeros(m) if k is None else _vector(k)
    k = np.broadcast_to(k, (m,)) if k.shape[0] == 1 else k
    if k.shape[0] < m:
        raise ValueError(f"polyint: {m} integrations need as many constants, got {k.shape[0]}")
    for i in range(m):
        p = np.concatenate([p / np.arange(p.shape[0], 0, -1), k[i : i + 1]])
    return p


@handles(np.poly)
def poly(seq_of_zeros: Array) -> Array:
    """numpy.poly: the polynomial that has these zeros, or the eigenvalues of a matrix."""
    zeros = _vector(seq_of_zeros)
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] > 0:
        zeros = np.linalg.eigvals(zeros)
    elif zeros.ndim != 1:
        raise ValueError(f"poly: the zeros are a vector or a matrix, got {zeros.shape}")
    zeros = zeros.astype(np.mintypecode(zeros.dtype.char))
    p = np.ones(1, zeros.dtype)
    for i in range(zeros.shape[0]):
        p = np.convolve(p, np.concatenate([np.ones(1, p.dtype), -zeros[i : i + 1]]))
    if is_complex(p) and is_known(p) and np.all(np.sort(zeros) == np.sort(np.conjugate(zeros))):
        p = np.real(p)  # as NumPy does of zeros that come in pairs
    return p if zeros.shape[0] else 1.0


@handles(np.polyfit)
def polyfit(x: Array, y: Array, deg: int, rcond: Any = None, *, w: Array = None) -> Array:
    """numpy.polyfit: least squares over the powers of x, each scaled to length 1."""
    x, y = as_array(x) + 0.0, as_array(y) + 0.0
    if x.ndim != 1 or not x.shape[0] or y.shape[:1] != x.shape or deg < 0:
        raise TypeError(f"polyfit: deg {deg} through x {x.shape} and y {y.shape}")
    powers = np.vander(x, int(deg) + 1)
    if w is not None:
        powers = powers * as_array(w)[:, None]
        y = y * as_array(w).reshape((-1,) + (1,) * (y.ndim - 1))
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    rcond = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    return (np.linalg.lstsq(powers / scale, y, rcond)[0].T / scale).T


register_batching(batch_along_flat, unwrap)
