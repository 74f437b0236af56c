"""Third oracles of complex numbers: PyTorch's gradients are ours, JAX's and autograd's conjugates.

Every case of NumPy's functions is put to the peers with complex arrays, as in `test_peers`.
"""

import copy
import importlib
import math
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.cases import all_cases
from tests.checks import quiet
from tests.complexes import GAUGES, draw
from tests.test_peers import DIFFERS, PEERS, TRIANGULAR, function_of

LEAST = {"autograd": 440, "jax": 170, "torch": 560}
"""How many cases a peer has to have an answer to."""

CONJUGATED = {"autograd", "jax"}

OTHERS = {
    "autograd": {
        "np.linalg.cholesky": "the real formula",
        "np.linalg.pinv": "the real formula",
        "np.linalg.slogdet": "its sign is taken as constant",
    },
    "jax": {
        "np.linalg.cholesky": "it reads (a + a.conj().T) / 2",
        "np.linalg.eigvalsh": "it reads (a + a.conj().T) / 2",
    },
    "torch": {},
}
"""Functions in which a peer means another thing of complex numbers, or is wrong."""


def weigh(home, array, leaves):
    """A real number in which every element has a complex weight of its own."""
    ys = [y for y in leaves if re.search("float|complex", str(getattr(y, "dtype", "")))]
    weights = [
        np.cos(np.arange(math.prod(y.shape))).reshape(tuple(y.shape)) * (1 - 0.5j) for y in ys
    ]
    return sum(home.sum(home.real(y * array(w))) for y, w in zip(ys, weights, strict=True))


def ask(peer, drawn, zs):
    """The gradients by the peer, or None."""
    function, home = function_of(peer, drawn.case), importlib.import_module(peer.modules[0])
    drawn = copy.copy(drawn)
    drawn.leaves = [peer.array(x) if isinstance(x, np.ndarray) else x for x in drawn.leaves]

    def loss(*zs):
        args, options = drawn.filled(zs)
        y = function(*args, **{peer.keywords.get(k, k): option for k, option in options.items()})
        return weigh(home, peer.array, td.tree.flatten([y] if hasattr(y, "dtype") else list(y))[0])

    try:
        return [np.asarray(g) for g in peer.value_and_grads(loss, zs)[1]]
    except Exception:
        return None


def ours(drawn, zs):
    def loss(*zs):
        return weigh(np, np.asarray, td.tree.flatten(drawn.result(*zs))[0])

    try:
        return td.grad(loss, (*range(len(zs)),))(*zs)
    except (TypeError, ValueError, np.linalg.LinAlgError):
        return None


def comparable(name):
    differs, seen = DIFFERS[name].keys() | OTHERS[name].keys(), set()
    for _, label, case in all_cases():
        if "dtype" in case.options:  # of real numbers
            continue
        keywords = {form for k, x in case.options.items() for form in (f"{k}=", f"{k}={x}")}
        first = case.name not in seen
        seen.add(case.name)
        numpys = case.name.startswith("np.") and case.name not in GAUGES
        if numpys and not differs & {case.name, *keywords} and (first or name != "jax"):
            yield label, case


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_agrees_about_complex_numbers(name):
    peer, answers, wrong = PEERS[name](), 0, []
    for label, case in comparable(name):
        drawn, zs = draw(label, case)
        with quiet():
            grads = ours(drawn, zs) if zs else None
            theirs = ask(peer, drawn, zs) if grads is not None else None
        if theirs is None:
            continue
        answers += 1
        for g, other in zip(grads, theirs, strict=True):
            other = np.conj(other) if name in CONJUGATED else other
            if case.name in TRIANGULAR:
                g, other = (x + np.conj(np.matrix_transpose(x)) for x in (g, other))
            try:
                assert_allclose(other, g, rtol=1e-7, atol=1e-9)
            except AssertionError as error:
                wrong.append(f"{label}: {error}")
    assert not wrong, "\n".join(wrong)
    assert answers >= LEAST[name]
