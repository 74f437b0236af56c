"""The benchmark of what is no digit shows what it says, and judges by a run's own limit."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import strangers
from tinygrad_digits.digits.app.cli import app


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers") / "run"
    done = CliRunner().invoke(app, ["train", "--plain", "--epochs", "5", "--out", str(folder)])
    assert done.exit_code == 0
    return folder


@pytest.mark.slow  # trains
def test_of_its_own_digits_a_run_doubts_what_it_reports(run):
    own, noise = strangers.judge(run, [strangers.draw_noise(np.random.default_rng(0))])
    metrics = json.loads((run / "metrics.json").read_text())
    assert own[0] == pytest.approx(metrics["false_alarms"])
    assert own[-1] == pytest.approx(metrics["test_accuracy"])
    assert own[1] == own[2] == own[0]  # apart, they have as many false alarms
    assert noise[0] > 0.95
    assert np.isnan(noise[-1])


def test_letters_and_scribbles_are_of_ink(rng, monkeypatch):
    monkeypatch.setattr(strangers, "SCRIBBLES", 4)
    monkeypatch.setattr(strangers, "LETTERS", "AK")
    for shown in (strangers.draw_letters(rng), strangers.draw_scribbles(rng)):
        assert shown.images.shape[1:] == (64,)
        assert shown.labels is None
        assert shown.images.max(axis=1).min() > 0.5
