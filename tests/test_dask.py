"""Dask's arrays under the same tape: computed by Dask, in chunks, and equal to NumPy's."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_digits as td
from tinygrad_digits.digits.model import mlp as model

da = pytest.importorskip("dask.array", reason="needs the extra `distributed`")
import dask  # noqa: E402
from dask.callbacks import Callback  # noqa: E402

N, CHUNK = 1200, 100


@pytest.fixture
def problem(rng):
    x, y = rng.random((N, 64)), rng.integers(0, 10, N)
    return model.init_params((64, 16, 12, 10), rng), x, y


def chunks(x):
    return da.from_array(x, chunks=(CHUNK, *x.shape[1:]))


def norms(params, x, y):
    """A bit of everything: reductions, broadcasting, choices, joining, shaping, statistics."""
    z = np.concatenate([x @ params["w0"], np.maximum(x[:, :16], 0.5)], axis=1)
    z = (z - np.mean(z, axis=0)) / np.sqrt(np.var(z, axis=0) + 1e-3)
    z = np.where(z > 1.0, z, np.tanh(z)).reshape(-1, 4, 8)
    return np.mean(np.sum(z**2, axis=(1, 2)) * (y + 1)) + td.special.logsumexp(z.reshape(-1))


def squares(params, x, y):
    return np.mean((model.logits(params, x) - y[:, None]) ** 2) + np.max(x @ params["w0"])


LOSSES = [model.loss, norms, squares]


def close(got, wanted):
    for g, w in zip(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0], strict=True):
        assert g.dtype == w.dtype
        assert_allclose(g, w, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_a_gradient_over_chunks_is_numpys(loss, scheduler, problem):
    params, x, y = problem
    lazy = td.value_and_grad(loss)(params, chunks(x), chunks(y))
    assert isinstance(lazy[0], da.Array)
    assert isinstance(lazy[1]["w0"], da.Array)
    close(dask.compute(*lazy, scheduler=scheduler), td.value_and_grad(loss)(params, x, y))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_gradient_with_respect_to_the_chunks_is_chunked(loss, problem):
    params, x, y = problem
    lazy = td.grad(loss, 1)(params, chunks(x), y)
    assert isinstance(lazy, da.Array)
    assert lazy.shape == x.shape
    close(lazy.compute(), td.grad(loss, 1)(params, x, y))


def test_second_derivatives_over_chunks(problem):
    params, x, y = problem

    def sharpness(params, x, y):
        return sum(np.sum(g**2) for g in td.tree.flatten(td.grad(squares)(params, x, y))[0])

    close(
        dask.compute(td.grad(sharpness)(params, chunks(x), chunks(y)))[0],
        td.grad(sharpness)(params, x, y),
    )


def check_lazy(f, x):
    """Two orders of derivative are NumPy's, and taking them computes nothing."""

    def both(x):
        return td.grad(f)(x), td.grad(lambda x: np.sum(td.grad(f)(x) ** 2))(x)

    with Largest() as largest:
        lazy = both(chunks(x))
    assert largest.tasks == 0
    close(dask.compute(*lazy), both(x))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.pad(x, 1, constant_values=2.0) ** 3),
        lambda x: np.sum(x[330:5:-2, 1:] ** 3),
        pytest.param(lambda x: np.sum(x[900:5:-2, 1:] ** 3), marks=pytest.mark.gate),
        lambda x: np.sum(x[: 4 * CHUNK][::-3, 2] ** 3),
        lambda x: np.sum(td.at(np.ones((N, 64)))[:, :3].set(x[:, 1:4]) ** 3),
    ],
    ids=["pad", "slices", "slices of most chunks", "all the rows backwards", "put"],
)
def test_moving_elements_computes_nothing(f, problem):
    check_lazy(f, problem[1])


ROWS = np.array([7, 1199, 7, 0, -1, 7])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x[ROWS] ** 3),
        lambda x: np.sum(x[:300, ROWS % 60] ** 3),
        lambda x: np.sum(np.take(x, ROWS % 60, axis=1) ** 3),
        lambda x: np.sum(x[np.arange(N) % 7 == 0] ** 3),
        lambda x: np.sum(x[5:2] ** 3) + np.sum(x[:, 3:1:2] ** 3) + np.sum(x**3),
        lambda x: np.sum(x[np.array([], int)] ** 3) + np.sum(x**3),
    ],
    ids=["rows", "columns", "take", "mask", "no rows", "no index"],
)
def test_taking_elements_computes_nothing(f, problem):
    check_lazy(f, problem[1])


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: np.sum(x[x > 0.5]), r"np\.where\(mask, x, 0\)"),
        (lambda x: np.sum(x[x.value[:, 0] > 0.5]), r"np\.where\(mask, x, 0\)"),
        (lambda x: np.sum(x[ROWS, 0]), "one plain array of one dimension"),
        (lambda x: np.sum(np.linalg.cholesky(x[:64])), "another triangle than NumPy"),
    ],
)
def test_what_chunks_cannot_do_is_said(f, said, problem):
    with pytest.raises((td.errors.ShapeError, td.errors.NotDifferentiableError), match=said):
        td.grad(f)(chunks(problem[1]))


def test_in_place_operators_replace_what_dask_does_not_write_into(problem):
    _, x, _ = problem

    def f(x):
        y = 1.0 * x
        same, row = y, y[0]
        row += 1.0
        y *= 2.0
        return np.sum(y * same) + np.sum(row)

    lazy = chunks(x)
    value, gradient = dask.compute(*td.value_and_grad(f)(lazy))
    assert_allclose(value, f(lazy).compute(), rtol=1e-13)
    assert_allclose(gradient[1:], 4 * x[1:], rtol=1e-13)


def test_a_fixed_point_over_chunks(problem):
    _, x, _ = problem

    def solved(x):
        return lambda a: td.fixed_point(lambda a, y: np.mean(np.cos(x)) * y / 2 + a, a, 1.0)

    assert_allclose(td.grad(solved(chunks(x)))(2.0), td.grad(solved(x))(2.0), rtol=1e-12)


class Largest(Callback):
    """How many tasks there were, and the largest matrix that one of them made, in bytes."""

    def __init__(self):
        super().__init__()
        self.bytes = self.tasks = 0

    def _posttask(self, _key, result, *_others):
        self.tasks += 1
        if np.ndim(result) > 1:  # what is broadcast takes no memory
            low, high = np.lib.array_utils.byte_bounds(result)
            self.bytes = max(self.bytes, high - low)


def test_the_data_never_exist_whole(problem):
    params, x, y = problem
    made = []

    def make(block_info=None):
        made.append(block_info[None]["chunk-location"][0])
        start = CHUNK * made[-1]
        return x[start : start + CHUNK]

    lazy_x = da.map_blocks(make, chunks=((CHUNK,) * (N // CHUNK), (64,)), dtype=x.dtype)
    made.clear()  # Dask tries the function out
    lazy = td.grad(model.loss)(params, lazy_x, chunks(y))
    assert not made, "to take a gradient computes nothing"
    with Largest() as largest:
        grads = dask.compute(lazy, scheduler="synchronous")[0]
    close(grads, td.grad(model.loss)(params, x, y))
    assert sorted(made) == list(range(N // CHUNK)), "each chunk is made once"
    assert largest.tasks >= N // CHUNK
    assert largest.bytes <= x[:CHUNK].nbytes


def test_a_label_that_is_none_gives_nan(problem):
    params, x, y = problem
    y[3] = 10
    assert np.isnan(model.loss(params, chunks(x), chunks(y)).compute())


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.linalg.det(x[:64])),
        lambda x: np.sum(np.interp(x, np.arange(3.0), np.arange(3.0))),
    ],
)
def test_what_dask_lacks_fails_with_dasks_own_error(f, problem):
    lazy = chunks(problem[1])
    with pytest.raises(Exception) as own:  # noqa: PT011
        f(lazy)
    with pytest.raises(type(own.value)) as ours:
        td.grad(f)(lazy)
    assert str(ours.value) == str(own.value)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.filterwarnings("default")  # those of the cluster's own libraries
def test_a_gradient_on_a_cluster_of_two_processes(cluster, problem):
    params, x, y = problem
    lazy = td.value_and_grad(model.loss)(params, chunks(x), chunks(y))
    got = cluster.compute(lazy, sync=True)
    close(got, td.value_and_grad(model.loss)(params, x, y))
    ran = cluster.run(functools.partial(len, "x"))
    assert len(ran) == 2, "two workers"
