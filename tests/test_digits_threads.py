"""How many threads of BLAS training takes: as many as pay, or as are asked for."""

import importlib.util
import itertools
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

import tinygrad_digits as td
from tinygrad_digits.digits import data, model
from tinygrad_digits.digits.app import cli
from tinygrad_digits.digits.runs import store
from tinygrad_digits.digits.training import loop, recipe, threads
from tinygrad_digits.digits.training.estimator import DigitsClassifier
from tinygrad_digits.support import errors

DIGITS = data.load_digits(np.float32)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def watched(seen):
    """Gradient descent that tells, at each step, of how many threads it finds."""
    optimizer = td.optim.gradient_descent(0.1)

    def update(params, grads, state):
        seen.append(blas_threads())
        return optimizer.update(params, grads, state)

    return optimizer._replace(update=update)


def train(seen, sizes, batch_size, number):
    some = data.Dataset(
        np.resize(DIGITS.images, (batch_size, sizes[0])), DIGITS.labels[:batch_size]
    )
    params = model.init_params(sizes, dtype=np.float32)
    return loop.train(
        params, watched(seen), some, some, epochs=1, batch_size=batch_size,
        rng=np.random.default_rng(0), backend=None, blas_threads=number,
    )  # fmt: skip


@pytest.mark.parametrize("named", [recipe.RECIPE, recipe.PLAIN], ids=["recipe", "plain"])
def test_the_digits_take_one(named):
    sizes = (data.PIXELS, *named.hidden, data.CLASSES)
    assert threads.count_worthwhile(sizes, named.batch_size) == 1


@pytest.mark.parametrize(
    ("hidden", "batch_size", "number", "expected"),
    [(32, 64, 0, {1}), (32, 64, 2, {2}), (4096, 64, 0, {3}), (4096, 64, 1, {1})],
)
def test_a_step_takes_as_many_as_pay_or_as_are_asked_for(hidden, batch_size, number, expected):
    seen = []
    with threadpool_limits(3, user_api="blas"):
        for _ in train(seen, (64, hidden, 10), batch_size, number):
            assert blas_threads() == {3}  # whoever looks on has as many as before
    assert seen == [expected]


def test_the_estimator_takes_one(monkeypatch):
    seen, epoch = [], threads.limit
    monkeypatch.setattr(threads, "limit", lambda few: seen.append(few) or epoch(few))
    DigitsClassifier(epochs=2, hidden=(8,)).fit(DIGITS.images[:50], DIGITS.labels[:50])
    assert seen == [1, 1]


def test_without_threadpoolctl_only_a_number_is_refused(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "threadpoolctl" else find_spec(name),
    )
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert threads.choose(0, (64, 10), 32) is None
    with pytest.raises(errors.MissingExtraError, match="threadpoolctl"):
        threads.choose(2, (64, 10), 32)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="threads must be 1 or more"):
        threads.choose(-1, (64, 10), 32)


def test_more_work_never_takes_fewer():
    few = [threads.count_worthwhile((64, 2**n, 10), 64) or 2 for n in range(16)]
    assert all(one <= more for one, more in itertools.pairwise(few))
    assert {*few} == {1, 2}


def test_the_number_is_part_of_the_run(tmp_path):
    def train(*options, code=0):
        result = CliRunner().invoke(cli.app, ["train", "--hidden", "8", *map(str, options)])
        assert result.exit_code == code, result.output
        return result

    folder = tmp_path / "run"
    train("--epochs", 1, "--threads", 2, "--out", folder)
    assert recipe.Config.of(store.load_run(folder).config).threads == 2
    refused = CliRunner().invoke(cli.app, ["train", "--resume", str(folder), "--threads", "1"])
    assert "has threads 2, not 1" in refused.stderr
    train("--threads", 0, code=2)
