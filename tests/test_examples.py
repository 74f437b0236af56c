"""Each example runs as a user would run it, and says what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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


@pytest.mark.gate
def test_convnet_reads_nearly_all(tmp_path):
    accuracies = re.findall(r"test (\d+\.\d+)%", run(example("convnet.py"), tmp_path))
    assert float(accuracies[-1]) > 98.5


def test_adversarial_digits_fool_it_and_noise_does_not(tmp_path):
    output = run(example("adversarial.py"), tmp_path, "--out", "picture.png")
    noise, attack = (
        [float(share) for share in re.findall(r"(\d+\.\d)%", line)]
        for line in output.splitlines()[1:3]
    )
    assert noise[0] == attack[0] > 95
    assert min(noise) > 90 > 10 > attack[-1]
    (fooled,) = re.findall(r"(\d+\.\d)% of the digits can be made others", output)
    assert float(fooled) > 99
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_gaussian_process_finds_the_noise_and_draws_its_picture(tmp_path):
    output = run(example("gaussian_process.py"), tmp_path, "--out", "picture.png")
    before, after = map(float, re.findall(r"log likelihood (\S+) before, (\S+) after", output)[0])
    assert after > before + 20
    (noise,) = re.findall(r"noise (\d\.\d+)", output)
    assert 0.16 < float(noise) < 0.24
    (closed_form,) = re.findall(r"against closed form: (\S+)", output)
    assert float(closed_form) < 1e-12
    (inside,) = re.findall(r"at (\d+\.\d)% of the points", output)
    assert float(inside) > 90
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_fixed_point_is_differentiated_without_its_steps(tmp_path):
    output = run(example("fixed_point.py"), tmp_path)
    megabytes = [float(number) for number in re.findall(r"(\d+\.\d) MB", output)]
    assert megabytes[0] < 0.2 * megabytes[1]
    assert max(map(float, re.findall(r"off the closed form by (\S+)", output))) < 1e-12
    second, closed_form = re.findall(r"by M: (\S+), closed form (\S+)", output)[0]
    assert float(second) == pytest.approx(float(closed_form), rel=1e-10)


def test_rosenbrock_gets_to_the_end_of_the_valley(tmp_path):
    output = run(example("rosenbrock.py"), tmp_path, "--out", "picture.png")
    rows = [line.split() for line in output.splitlines()[1:-1]]
    assert len(rows) == 7
    assert max(float(row[-1]) for row in rows) < 1e-5
    evaluations = {row[0]: int(row[2]) for row in rows}
    assert evaluations["trust-exact"] < evaluations["BFGS"] < evaluations["Nelder-Mead"]
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_larger_than_memory_learns_from_chunks(tmp_path):
    options = ("--chunks", "6", "--shifts", "4", "--steps", "20")
    output = run(example("larger_than_memory.py"), tmp_path, *options)
    assert "in 6 chunks" in output
    (accuracy,) = re.findall(r"step 20: .*test (\d+\.\d+)%", output)
    assert float(accuracy) > 75


def test_an_ode_network_goes_the_path_alone(tmp_path):
    output = run(example("ode_network.py"), tmp_path, "--out", "picture.png")
    pieces = re.findall(r"off by (\S+) on pieces .*, (\S+) after", output)
    before, after = map(float, pieces[0])
    assert after < 0.1 * before
    (alone,) = re.findall(r"off by (\S+) on the whole path", output)
    assert float(alone) < 0.1
    (seconds,) = re.findall(r"1000 points takes (\S+) s", output)
    assert float(seconds) > 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_lotka_volterra_finds_the_rates_of_the_literature(tmp_path):
    """0.55, 0.028, 0.80 and 0.024 (Carpenter, Predator-prey population dynamics, 2018)."""
    output = run(example("lotka_volterra.py"), tmp_path, "--out", "picture.png")
    found = re.findall(r"(\d\.\d+), give or take (\d+)%", output)
    rates, percents = (np.array(column, float) for column in zip(*found, strict=True))
    assert (np.abs(np.log(rates / [0.55, 0.028, 0.80, 0.024])) < percents / 100).all()
    assert ((percents > 5) & (percents < 20)).all()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_pendulum_is_found_from_its_film(tmp_path):
    output = run(example("pendulum.py"), tmp_path, "--out", "picture.png")
    rows = re.findall(r"(\S+) \+- (\S+) .*\(truth (\S+)\)", output)
    found, off, truth = np.array(rows, float).T
    assert (np.abs(found - truth) < 3 * off).all()
    assert off[0] < 0.01
    (difference,) = re.findall(r"adjoint equation: (\S+)", output)
    assert float(difference) < 1e-4
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_has_its_test(path):
    assert f'example("{path.name}")' in Path(__file__).read_text()
