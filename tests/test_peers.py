"""Third oracles: where JAX, PyTorch or autograd are installed, their gradients are ours.

Every case is put to the peers that have a function of its name; to JAX, which compiles each, the
first two of a function. A peer that cannot answer (no such function, keyword or derivative) is
not counted, and LEAST says how many answers there have to be.
"""

import collections
import dataclasses
import functools
import importlib
import inspect
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tests.cases import Drawn, all_cases
from tests.test_cases import bent_rules, quiet, value_and_gradients
from tinygrad_digits.ops import OPS

CHAPTERS = ["indexing", "linalg", "neural", "reductions", "rest", "shaping", "special", "ufuncs"]
LEAST = {
    "autograd": [20, 80, 0, 50, 10, 40, 30, 150],
    "jax": [15, 60, 15, 40, 40, 60, 30, 120],
    "torch": [20, 150, 70, 70, 15, 40, 40, 150],
}
"""How many cases of each chapter a peer has to have an answer to."""

SYMMETRIC = "its gradient is spread over both triangles, though one is read"
SIGNS = "the signs of these vectors are anyone's"
DIFFERS = {
    "autograd": {
        "where=": "ignored in the derivative",
        "correction=": "ignored in the derivative, unlike ddof",
        "unit_diagonal=": "ignored in the derivative",
        "ord=inf": "NaN, from the formula of finite orders",
        "np.linalg.cholesky": SYMMETRIC,
        "np.full_like": "0 for the value to fill with",
        "np.histogram": "0 for the weights",
        "np.repeat": "wrong for negative axes",
        "np.sinc": "NaN at 0",
        "np.tile": "repeats the first axes, where NumPy repeats the last",
    },
    "jax": {
        "np.linalg.cholesky": SYMMETRIC,
        "np.linalg.eigh": SYMMETRIC,
        "np.linalg.eigvalsh": SYMMETRIC,
        "np.piecewise": "a branch is given all elements, not its own",
    },
    "torch": {
        "axis=()": "means all axes",
        "hermitian=": SYMMETRIC,
        "np.ldexp": "the derivative 2**n is an integer: 0 for negative n",
        "np.linalg.cholesky": SYMMETRIC,
        "np.linalg.eigh": SYMMETRIC,
        "np.linalg.eigvalsh": SYMMETRIC,
        "np.linalg.lstsq": "its residuals, rank and singular values are empty",
        "np.linalg.svd": SIGNS,
        "np.median": "the lower of two",
        "np.nanmedian": "the lower of two",
        "np.split": "takes sizes, not numbers of parts",
    },
}
"""Functions and keywords in which a peer means another thing, or is wrong."""


def _solve_triangular(torch, a, b, *, lower=False, unit_diagonal=False):
    return torch.linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit_diagonal)


def _layer_norm(torch, x, gain=None, bias=None, *, eps=1e-5):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], gain, bias, eps)


def _batch_norm(torch, x, gain, bias, mean, var, *, eps=1e-5):
    return torch.nn.functional.batch_norm(x, mean, var, gain, bias, eps=eps)


def _kl_divergence(torch, q, t, *, reduction="mean"):
    kind = {"mean": "batchmean", "sum": "sum"}[reduction]
    return torch.nn.functional.kl_div(q, t, reduction=kind)


OTHERWISE = {
    "jax": {"td.gelu": functools.partial(lambda jax, *a, **o: jax.nn.gelu(*a, **o), approximate=False)},
    "torch": {
        "np.std": lambda torch, *a, **o: torch.std(*a, **{"correction": 0, **o}),
        "np.var": lambda torch, *a, **o: torch.var(*a, **{"correction": 0, **o}),
        "np.meshgrid": lambda torch, *a, indexing="xy": torch.meshgrid(*a, indexing=indexing),
        "td.hard_tanh": lambda torch, x: torch.nn.functional.hardtanh(x),
        "td.mse": lambda torch, *a, **o: torch.nn.functional.mse_loss(*a, **o),
        "td.huber": lambda torch, *a, **o: torch.nn.functional.huber_loss(*a, **o),
        "td.expm": lambda torch, x: torch.linalg.matrix_exp(x),
        "td.embedding": lambda torch, table, ids: torch.nn.functional.embedding(ids, table),
        "td.solve_triangular": _solve_triangular,
        "td.layer_norm": _layer_norm,
        "td.batch_norm": _batch_norm,
        "td.kl_divergence": _kl_divergence,
    },
}
"""Functions that a peer calls by another name, or with other defaults."""
