"""Several runs on one page, and a training that is watched."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from tinygrad_digits.digits.app import cli, watch
from tinygrad_digits.digits.data import Dataset
from tinygrad_digits.digits.model import init_params
from tinygrad_digits.digits.runs import side_by_side, store
from tinygrad_digits.digits.training import loop, recipe


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    parent = tmp_path_factory.mktemp("runs")
    for name, rate in (("slow", 0.01), ("fast", 0.3)):
        options = ("--plain", "--epochs", 2, "--hidden", 8, "--rate", rate)
        invoke("train", *options, "--out", parent / name)
    return parent / "slow", parent / "fast"


def test_several_runs_are_on_one_page_with_what_differs(runs, tmp_path):
    said = invoke("report", *runs, "--out", tmp_path / "both.html").output
    page = (tmp_path / "both.html").read_text("utf-8")
    accuracies = [
        json.loads((folder / "metrics.json").read_text("utf-8"))["test_accuracy"] for folder in runs
    ]
    for text in (str(runs[0]), str(runs[1]), *(f"{100 * a:.2f} %" for a in accuracies)):
        assert text in page
    assert re.findall(r'<th scope="row">(\w+)</th>', page.partition("that differ")[2]) == ["rate"]
    assert page.count('class="best"') == 1 + (accuracies[0] == accuracies[1])
    assert page.count("<img") == page.count('src="data:image/svg') == 2
    assert "<script" not in page
    assert "rate" in said


def test_names_of_runs_are_escaped(runs, tmp_path):
    evil = "<script>$x</script>"
    made = [side_by_side.read_compared(folder)._replace(name=evil) for folder in runs]
    path = side_by_side.write(tmp_path / "page.html", made)
    assert "<script" not in path.read_text("utf-8")


def test_a_run_that_is_missing_is_named(runs, tmp_path):
    said = invoke("report", runs[0], tmp_path / "none", code=1).output
    assert "none" in said.replace("\n", "")
    assert "--out is for" in invoke("report", runs[0], "--out", "x.html", code=2).output


def test_the_same_settings_differ_in_nothing(runs):
    config = store.load_run(runs[0]).config
    assert side_by_side.find_differences([config, config]) == {}


def test_an_epoch_is_published_with_all_that_the_page_shows():
    board, config = watch.Board(), recipe.Config(epochs=2)
    dataset = Dataset(np.eye(64)[:20], np.arange(20) % 10)
    publish = watch.make_publisher(board, config, dataset, images=100)
    params = init_params()
    snapshot = loop.Snapshot(0, params, None, {})
    for number in range(3):
        publish(loop.Epoch(number, params, 0.5, 0.25, 0.75, 0.125, snapshot))
    events = [json.loads(event) for event in board.events]
    assert [event["epoch"] for event in events] == [1, 2]
    last = events[-1]
    assert last["accuracy"] == {"train": 0.25, "validation": 0.125}
    assert last["loss"] == {"train": 0.5, "validation": 0.75}
    assert last["seconds_left"] == 0
    assert last["images_per_second"] > 0
    assert (last["shape"], last["classes"]) == ([8, 8], [*"0123456789"])


def test_a_watched_training_says_where_and_leaves_the_same_run(runs, tmp_path):
    options = ("--plain", "--epochs", 2, "--hidden", 8, "--rate", 0.3, "--no-browser")
    said = invoke("train", *options, "--watch", "--out", tmp_path / "run").output
    assert re.search(r"watch at http://127\.0\.0\.1:\d+", said)
    same = (tmp_path / "run" / store.PARAMS).read_bytes() == (runs[1] / store.PARAMS).read_bytes()
    assert same
    assert "--port goes with" in invoke("train", "--port", 1, code=2).output
