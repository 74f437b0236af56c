"""Sweeps: the same figures from one process, several, and a cluster that loses a worker."""

import json
import os
import signal

import distributed
import joblib
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from typer.testing import CliRunner

from tinygrad_digits.digits import DigitsClassifier
from tinygrad_digits.digits.app import cli, console, grid_search
from tinygrad_digits.digits.app.journal import open_journal

GRID = "rate=0.003,0.01 hidden=16|16,8 epochs=3"
SEED = 3
SPLITS = 3


@pytest.fixture(scope="module")
def images():
    return grid_search.load_training_images(SEED)


@pytest.fixture(scope="module")
def serial(images):
    """What one process finds, without the seconds."""
    found = grid_search.search(grid_search.parse_grid(GRID), images, splits=SPLITS, seed=SEED)
    return {one.key: one.accuracy for one in found}


@pytest.fixture
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, ["sweep", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- the grid


def test_choices_are_read_as_what_they_are():
    (one,) = grid_search.parse_grid(
        "optimizer=gd rate=0.5 ema=0 augment=True scaling=auto backend=none"
    )
    assert one == {
        "optimizer": "gd", "rate": 0.5, "ema": 0, "augment": True, "scaling": "auto",
        "backend": None,
    }  # fmt: skip
    many = grid_search.parse_grid("hidden=64,32|8|none batch_size=8|16")
    assert len(many) == 6
    assert {settings["hidden"] for settings in many} == {(64, 32), (8,), ()}
    assert grid_search.parse_grid("") == [{}]
    assert len(grid_search.parse_grid("rate=1,1")) == 1


@pytest.mark.parametrize(
    ("grid", "culprit"),
    [
        ("speed=1", "'speed=1'"),
        ("random_state=1", "random_state"),
        ("rate", "'rate'"),
        ("rate=1 rate=2", "twice"),
        ("rate=0.1,-1", "rate must be positive"),
        ("rate=fast", "rate must be a number, got 'fast'"),
        ("augment=yes", "augment must be True or False, got 'yes'"),
        ("hidden=64,x", "64,x"),
        ("optimizer=best", "optimizer must be one of"),
        ("epochs=1.5", "epochs"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_anything_is_fitted(grid, culprit, tmp_path):
    result = invoke("--grid", grid, "--out", tmp_path / "found", code=2)
    assert culprit in result.stderr
    assert not list(tmp_path.iterdir())


# --- the figures


def test_they_are_those_of_grid_search(images, serial):
    search = GridSearchCV(
        DigitsClassifier(epochs=3, random_state=SEED),
        {"rate": [0.003, 0.01], "hidden": [(16,), (16, 8)]},
        cv=StratifiedKFold(SPLITS, shuffle=True, random_state=SEED),
        n_jobs=2,
    ).fit(*images)
    for k in range(SPLITS):
        scores = search.cv_results_[f"split{k}_test_score"]
        for settings, score in zip(search.cv_results_["params"], scores, strict=True):
            assert serial[grid_search.FoldScore({**settings, "epochs": 3}, k, None, 0).key] == score


def test_processes_find_the_same(images, serial):
    found = grid_search.search(
        grid_search.parse_grid(GRID), images, splits=SPLITS, seed=SEED, jobs=2
    )
    assert {one.key: one.accuracy for one in found} == serial


def test_nothing_is_lost_when_a_worker_of_a_cluster_is_killed(images, serial, cluster):
    workers = cluster.run(os.getpid)
    tried, found = grid_search.parse_grid(GRID), []
    with grid_search.use_cluster(cluster.scheduler.address):
        for one in grid_search.search(tried, images, splits=SPLITS, seed=SEED):
            if not found:
                os.kill(next(iter(workers.values())), getattr(signal, "SIGKILL", signal.SIGTERM))
            found.append(one)
    assert len(found) == len(serial) == 12
    assert {one.key: one.accuracy for one in found} == serial
    cluster.wait_for_workers(2)
    assert set(cluster.run(os.getpid).values()) != set(workers.values())


def test_grid_search_runs_on_a_cluster(images, cluster):
    grid = {"rate": [0.003, 0.01], "augment": [False, True]}
    search = GridSearchCV(DigitsClassifier(epochs=2, random_state=0), grid, cv=2)
    here = search.fit(*images).cv_results_["mean_test_score"]
    with joblib.parallel_config("dask"):
        there = search.fit(*images).cv_results_["mean_test_score"]
    assert [*here] == [*there]
    assert cluster.run(
        lambda: "tinygrad_digits.digits.training.estimator" in __import__("sys").modules
    )


# --- the command


def test_the_command_shows_the_best_first_and_goes_on_where_it_was(tmp_path, serial):
    path = tmp_path / "found.jsonl"
    base = ["--seed", SEED, "--out", path]
    first = invoke("--grid", "rate=0.003 hidden=16|16,8 epochs=3", *base)
    assert first.stderr.count("%") == 6
    second = invoke("--grid", GRID, *base, "--json")
    assert second.stderr.count("%") == 6  # of 12
    assert f"{path} holds 6 of 12 fits: going on from there" in second.stderr
    found = json.loads(second.stdout)
    assert (found["splits"], found["seed"]) == (SPLITS, SEED)
    means = [row["mean"] for row in found["settings"]]
    assert means == sorted(means, reverse=True)
    common, *rows = lines(path)
    assert common == {"splits": SPLITS, "seed": SEED}
    assert {
        grid_search._key(row["settings"], row["split"]): row["accuracy"] for row in rows
    } == serial
    third = invoke("--grid", GRID, *base)
    assert "holds 12 of 12" in third.stderr
    assert "%" not in third.stderr  # nothing was left to do
    assert f"{max(means):.2%}" in third.stdout


def test_an_interrupted_sweep_keeps_what_was_done(tmp_path, monkeypatch):
    path, counted, real = tmp_path / "found.jsonl", [], grid_search.try_fold

    def interrupted(*args):
        if len(counted) == 2:
            raise KeyboardInterrupt
        counted.append(args)
        return real(*args)

    monkeypatch.setattr(grid_search, "try_fold", interrupted)
    stopped = invoke("--grid", "epochs=1,2", "--out", path, code=console.INTERRUPTED)
    assert f"what was done is in {path}: the same command goes on" in stopped.stderr
    assert len(lines(path)) == 1 + 2
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    monkeypatch.undo()
    invoke("--grid", "epochs=1,2", "--out", path)
    assert len(lines(path)) == 1 + 6


def test_a_file_of_another_sweep_or_program_stays_as_it_is(tmp_path):
    path = tmp_path / "found.jsonl"
    for text in ("", "{}\n", "no JSON\n", '{"splits": 3, "seed": 1}\n', '{"splits": 3'):
        path.write_text(text, encoding="utf-8")
        result = invoke("--grid", "epochs=1", "--out", path, code=1)
        assert str(path) in result.stderr
        assert path.read_text(encoding="utf-8") == text


def test_settings_that_diverge_come_last(tmp_path):
    path = tmp_path / "found.jsonl"
    grid = "optimizer=gd rate=1e30,0.1 epochs=2 scaling=none"
    result = invoke("--grid", grid, "--splits", 2, "--json", "--out", path)
    best, worst = json.loads(result.stdout)["settings"]
    assert (best["settings"]["rate"], worst["settings"]["rate"]) == (0.1, 1e30)
    assert worst["accuracies"] == [None, None]
    assert "diverged" in result.stderr


# --- one sweep a file


def test_two_sweeps_cannot_write_one_file(tmp_path):
    path = tmp_path / "sweep.jsonl"
    with open_journal(path, {"splits": 2, "seed": 0}, grid_search.FoldScore.of):
        before = path.read_bytes()
        refused = invoke("--grid", "epochs=1", "--splits", 2, "--out", path, code=1)
        assert "another process is writing it" in refused.stderr
        assert path.read_bytes() == before
    with open_journal(path, {"splits": 2, "seed": 0}, grid_search.FoldScore.of) as journal:
        assert journal.rows == []
    refused = invoke("--grid", "epochs=1", "--splits", 3, "--out", path, code=1)
    assert "is of splits 2, seed 0, not splits 3, seed 0: take these, or a new" in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.jsonl"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    refused = invoke("--grid", "epochs=1", "--out", tmp_path / "no" / "sweep.jsonl", code=1)
    assert "there is no folder" in refused.stderr
