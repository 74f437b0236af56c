"""Each example runs as a user would run it, and says what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def run(example: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(example), *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(name: str) -> Path:
    (found,) = (path for path in EXAMPLES if path.name == name)
    return found


def test_digits_reads_them(tmp_path):
    accuracies = re.findall(r"test (\d+\.\d+)%", run(example("digits.py"), tmp_path))
    assert float(accuracies[-1]) >= 97


def test_gradients_agree_three_ways(tmp_path):
    output = run(example("gradients_three_ways.py"), tmp_path)
    against_hand, against_differences = map(float, re.findall(r"against \w+: (\S+)", output))
    assert against_hand < 1e-12
    assert against_differences < 1e-6


def test_jit_step_shows_its_program_and_what_it_saves(tmp_path):
    output = run(example("jit_step.py"), tmp_path)
    assert "def run(" in output
    assert "the same bits" in output
    (ratio,) = re.findall(r"(\d+\.\d+) times as fast", output)
    assert float(ratio) > 0


def test_tanh_derivatives_draws_its_picture(tmp_path):
    run(example("tanh_derivatives.py"), tmp_path, "--out", "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_has_its_test(path):
    assert f'example("{path.name}")' in Path(__file__).read_text()
