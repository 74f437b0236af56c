"""Third oracles: where JAX, PyTorch or autograd are installed, their gradients are ours.

Every case is put to the peers that have a function of its name; to JAX, which compiles each, the
first two of a function. A peer that cannot answer (no such function, keyword or derivative) is
not counted, and LEAST says how many answers there have to be.
"""

import collections
import copy
import functools
import importlib
import math
import os
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.cases import Drawn, all_cases
from tests.checks import quiet, value_and_gradients
from tests.test_cases import bent_rules
from tinygrad_digits.ops import OPS

LEAST = {
    "indexing": {"autograd": 22, "jax": 17, "torch": 22},
    "linalg": {"autograd": 95, "jax": 75, "torch": 175},
    "neural": {"jax": 18, "torch": 68},
    "reductions": {"autograd": 70, "jax": 45, "torch": 66},
    "fourier": {"autograd": 40, "jax": 30, "torch": 115},
    "rest": {"autograd": 14, "jax": 45, "torch": 16},
    "shaping": {"autograd": 50, "jax": 70, "torch": 38},
    "special": {"autograd": 35, "jax": 37, "torch": 42},
    "ufuncs": {"autograd": 180, "jax": 150, "torch": 180},
}
"""How many cases of each chapter a peer has to have an answer to."""

TRIANGULAR = {"np.linalg.cholesky", "np.linalg.eigh", "np.linalg.eigvalsh"}
"""Read one triangle of a matrix; peers may spread the gradient over both, as (g + g.T) / 2."""

DIFFERS = {
    "autograd": {
        "where=": "ignored in the derivative",
        "norm=backward": "is taken for ortho",
        "norm=forward": "is taken for ortho",
        "correction=": "ignored in the derivative, unlike ddof",
        "unit_diagonal=": "ignored in the derivative",
        "ord=inf": "NaN, from the formula of finite orders",
        "np.fft.rfft": "wrong where n crops or fills up",
        "np.full_like": "0 for the value to fill with",
        "np.histogram": "0 for the weights",
        "np.repeat": "wrong for negative axes",
        "np.sinc": "NaN at 0",
        "np.tile": "repeats the first axes, where NumPy repeats the last",
    },
    "jax": {
        "UPLO=U": "the mean of both triangles is taken",
        "hermitian=": "its gradient is spread over both triangles",
        "np.histogram": "the counts are floats",
        "np.piecewise": "a branch is given all elements, not its own",
        "Tensor.sum": "the method ignores initial",
    },
    "torch": {
        "axis=()": "means all axes",
        "hermitian=": "its gradient is spread over both triangles",
        "np.ldexp": "the derivative 2**n is an integer: 0 for negative n",
        "np.linalg.det": "its gradient is 0 where the determinant comes out as exactly 0",
        "np.linalg.lstsq": "its residuals, rank and singular values are empty",
        "np.linalg.svd": "the signs of singular vectors are anyone's",
        "np.median": "the lower of two",
        "np.split": "takes sizes, not numbers of parts",
    },
}
"""Functions and keywords in which a peer means another thing, or is wrong."""

Peer = collections.namedtuple("Peer", "modules array value_and_grads keywords others")
"""Where its functions are, how it takes constants, derives, and what it calls otherwise."""


def load(module):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, reason=f"{module} is not installed (extra `peers`)")


def autograd():
    grad = load("autograd").grad
    modules = ["autograd.numpy", "autograd.scipy.special", "autograd.scipy.linalg"]

    def value_and_grads(f, xs):
        return f(*xs), grad(f, list(range(len(xs))))(*xs)

    return Peer(modules, np.asarray, value_and_grads, {}, {})


def jax():
    jax = load("jax")
    jax.config.update("jax_enable_x64", True)
    modules = ["jax.numpy", "jax.nn", "jax.scipy.special", "jax.scipy.linalg"]
    others = {"td.nn.gelu": functools.partial(jax.nn.gelu, approximate=False)}

    def value_and_grads(f, xs):  # jitted as a whole: one by one its ops take thrice as long
        return jax.jit(jax.value_and_grad(f, range(len(xs))))(*xs)

    array = load("jax.numpy").asarray
    return Peer(modules, array, value_and_grads, {"slope": "negative_slope"}, others)


def torch():
    torch = load("torch")
    nn, linalg, partial = torch.nn.functional, torch.linalg, functools.partial
    modules = ["torch", "torch.nn.functional", "torch.special", "torch.linalg"]
    ours = ["strides", "slope", "smoothing", "axis", "keepdims", "ddof"]
    theirs = ["stride", "negative_slope", "label_smoothing", "dim", "keepdim", "correction"]
    others = {
        "np.std": partial(torch.std, correction=0),
        "np.var": partial(torch.var, correction=0),
        "np.meshgrid": partial(torch.meshgrid, indexing="xy"),
        "td.nn.hard_tanh": nn.hardtanh,
        "td.linalg.expm": linalg.matrix_exp,
        "td.linalg.solve_triangular": lambda a, b, lower=False, unit_diagonal=False: (
            linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit_diagonal)
        ),
        "td.nn.layer_norm": lambda x, *gain_and_bias, eps=1e-5: nn.layer_norm(
            x, x.shape[-1:], *gain_and_bias, eps=eps
        ),
        "td.nn.batch_norm": lambda x, gain, bias, mean, var, eps=1e-5: nn.batch_norm(
            x, mean, var, gain, bias, eps=eps
        ),
        "td.nn.embedding": lambda table, ids: nn.embedding(ids, table),
        "td.nn.mse": nn.mse_loss,
        "td.nn.huber": nn.huber_loss,
        "td.nn.kl_divergence": lambda q, t, reduction="mean": nn.kl_div(
            q, t, reduction={"mean": "batchmean", "sum": "sum"}[reduction]
        ),
    }

    def array(x):
        return torch.tensor(np.ascontiguousarray(x))

    def value_and_grads(f, xs):
        xs = [torch.tensor(x, requires_grad=True) for x in xs]
        y = f(*xs)
        grads = torch.autograd.grad(y, xs, allow_unused=True, materialize_grads=True)
        return y.detach(), grads

    keywords = dict(zip(ours, theirs, strict=True))
    return Peer(modules, array, value_and_grads, keywords, others)


PEERS = {"autograd": autograd, "jax": jax, "torch": torch}


def function_of(peer, case):
    """The peer's function for a case, or None."""
    if case.name == "x[index]" or case.name.startswith("Tensor."):
        return case.function  # asks the array itself
    if (getattr(case.function, "__module__", None) or "").startswith("tests"):
        return None  # calls NumPy
    path = re.sub(r"^(np|scipy\.special|td\.(nn|special|linalg))\.", "", case.name)
    found = [peer.others.get(case.name)]
    for at in map(importlib.import_module, peer.modules):
        found += [functools.reduce(lambda at, part: getattr(at, part, None), path.split("."), at)]
    return next(filter(callable, found), None)


def is_inexact(dtype):
    return "float" in dtype or "complex" in dtype


def asked(peer, drawn):
    """(value, gradients) of drawn.weighted by the peer, or None."""
    function = function_of(peer, drawn.case)
    home = importlib.import_module(peer.modules[0])
    drawn = copy.copy(drawn)
    drawn.leaves = [peer.array(x) if isinstance(x, np.ndarray) else x for x in drawn.leaves]

    def weighted(*xs):
        args, options = drawn.filled(xs)
        y = function(*args, **{peer.keywords.get(k, k): option for k, option in options.items()})
        y = [y] if hasattr(y, "dtype") else list(y)
        ys = [y for y in td.tree.flatten(y)[0] if is_inexact(str(getattr(y, "dtype", "")))]
        cosines = [np.cos(np.arange(math.prod(y.shape))).reshape(tuple(y.shape)) for y in ys]
        each = zip(ys, cosines, strict=True)
        return sum(
            home.sum(home.real(y * peer.array(cos * (1 - 0.5j))))
            if "complex" in str(y.dtype)
            else home.sum(y * peer.array(cos))
            for y, cos in each
        )

    try:
        value, grads = peer.value_and_grads(weighted, drawn.xs)
        return np.asarray(value), [np.asarray(g) for g in grads]
    except Exception:
        return None


def compare(peer, cases, rng):
    """How many cases the peer has an answer to, and where it is not ours."""
    answers, wrong = 0, []
    for name, case in cases:
        drawn = Drawn(case, rng)
        with quiet():
            theirs = asked(peer, drawn)
            if theirs is None:
                continue
            value, grads = value_and_gradients(drawn, drawn.xs)
        answers += 1
        try:
            assert_allclose(theirs[0], value, rtol=1e-9, atol=1e-11)
            for g, other in zip(grads, theirs[1], strict=True):
                if case.name in TRIANGULAR:
                    g, other = g + np.matrix_transpose(g), other + np.matrix_transpose(other)
                assert_allclose(other, g, rtol=1e-7, atol=1e-9)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    return answers, wrong


def comparable(peer, chapter):
    seen = collections.Counter()
    for where, name, case in all_cases():
        keywords = {form for k, x in case.options.items() for form in (f"{k}=", f"{k}={x}")}
        if where == chapter and not DIFFERS[peer].keys() & {case.name, *keywords}:
            seen[case.name] += 1
            if peer != "jax" or seen[case.name] <= 2:
                yield name, case


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("chapter", "peer"), [(c, name) for c in LEAST for name in LEAST[c]])
def test_a_peer_agrees(chapter, peer, rng):
    answers, wrong = compare(PEERS[peer](), comparable(peer, chapter), rng)
    assert not wrong, "\n".join(wrong)
    assert answers >= LEAST[chapter][peer]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", PEERS)
def test_a_rule_wrong_by_a_twentieth_of_a_percent_is_caught(peer, rng, monkeypatch):
    cases = [(name, case) for name, case in comparable(peer, "ufuncs") if case.name == "np.tanh"]
    assert not compare(PEERS[peer](), cases, rng)[1]
    row = OPS["tanh"].primitive
    monkeypatch.setattr(row, "rules", next(bent_rules(row)))
    assert compare(PEERS[peer](), cases, rng)[1]


def test_loops_and_branches_are_those_of_jax():
    peer = jax()
    lax, jnp = load("jax.lax"), load("jax.numpy")

    def ours(w, h, xs):
        def step(c, x):
            c = td.cond(np.sum(c) > 0, lambda c: np.tanh(c @ w + x), np.sin, c)
            return c, np.sum(c**2)

        h, ys = td.scan(step, h, xs, reverse=True)
        return np.sum(h) + np.sum(ys * td.associative_scan(np.multiply, ys))

    def theirs(w, h, xs):
        def step(c, x):
            c = lax.cond(jnp.sum(c) > 0, lambda c: jnp.tanh(c @ w + x), jnp.sin, c)
            return c, jnp.sum(c**2)

        h, ys = lax.scan(step, h, xs, reverse=True)
        return jnp.sum(h) + jnp.sum(ys * lax.associative_scan(jnp.multiply, ys))

    rng = np.random.default_rng(7)
    args = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal((6, 3))
    _, wanted = peer.value_and_grads(theirs, args)
    for how in (lambda f: f, td.jit):
        for a, b in zip(how(td.grad(ours, (0, 1, 2)))(*args), wanted, strict=True):
            assert_allclose(a, b, rtol=1e-10, atol=1e-12)
