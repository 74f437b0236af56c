"""Each example runs as a user would run it, and says what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen"""


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


def png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_gaussian_mixture_finds_the_petals_by_curvature(tmp_path):
    output = run(example("gaussian_mixture.py"), tmp_path, "--steps", "60", "--out", "picture.png")
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()[1:4]}
    assert int(rows["Newton-CG"][0]) < 40 < int(rows["BFGS"][0])
    assert float(rows["Newton-CG"][-1]) < 1e-6 < 1e-3 < float(rows["CG"][-1])
    (distance,) = re.findall(r"each mean within (\S+)", output)
    assert float(distance) < 0.1
    (moved,) = re.findall(r"expectation maximization moves it by (\S+)", output)
    assert float(moved) < 1e-6
    assert png(tmp_path / "picture.png")


def test_variational_autoencoder_beats_what_knows_no_image(tmp_path):
    options = ("--epochs", "60", "--out", "picture.png")
    output = run(example("variational_autoencoder.py"), tmp_path, *options)
    bounds = [float(nats) for nats in re.findall(r"(\d+\.\d+) nats a test image", output)]
    assert bounds[-1] < bounds[0] - 1.5
    assert png(tmp_path / "picture.png")


def test_variational_inference_stays_below_the_integral_and_bends(tmp_path):
    options = ("--steps", "400", "--out", "picture.png")
    output = run(example("variational_inference.py"), tmp_path, *options)
    for line in output.splitlines()[1:4]:
        gaussian, flow = map(float, line.split()[2:])
        assert -0.01 < flow < gaussian / 3
    assert png(tmp_path / "picture.png")


def test_adversarial_networks_draw_every_digit(tmp_path):
    options = ("--steps", "1000", "--out", "picture.png")
    output = run(example("adversarial_networks.py"), tmp_path, *options)
    (off, spread), *_ = re.findall(r"off by (\S+), their standard deviations by (\S+)", output)
    assert float(off) < 0.05
    assert float(spread) < 0.05
    shares = [int(share) for share in re.findall(r"\d:(\d+)%", output)]
    assert len(shares) == 10
    assert min(shares) >= 2
    assert png(tmp_path / "picture.png")


def test_bayesian_optimization_finds_the_minimum_in_twenty_evaluations(tmp_path):
    options = ("--evaluations", "20", "--out", "picture.png")
    output = run(example("bayesian_optimization.py"), tmp_path, *options)
    gap, at_random = map(float, re.findall(r": (\S+) above the minimum", output))
    assert gap < 1e-3 < 1e-2 < at_random
    (best,) = re.findall(r"\((\S+), (\S+)\)", output)
    signs = 1 if float(best[0]) > 0 else -1
    assert signs * float(best[0]) == pytest.approx(0.0898, abs=0.02)
    assert signs * float(best[1]) == pytest.approx(-0.7127, abs=0.02)
    assert png(tmp_path / "picture.png")


def test_fluid_drifts_towards_the_nabla(tmp_path):
    output = run(example("fluid.py"), tmp_path, "--steps", "25", "--out", "picture.png")
    before, after = map(float, re.findall(r"loss (\S+)", output))
    assert after < before / 10
    assert png(tmp_path / "picture.png")


def test_hidden_markov_sums_over_all_paths_and_ends_where_baum_welch_does(tmp_path):
    options = ("--rolls", "1000", "--steps", "100", "--out", "picture.png")
    output = run(example("hidden_markov.py"), tmp_path, *options)
    forward, all_paths = map(float, re.findall(r"(-\d+\.\d{12})", output))
    assert forward == pytest.approx(all_paths, rel=1e-12)
    truth, gradient, baum_welch = map(float, re.findall(r" (\d\.\d{6})", output))
    assert gradient == pytest.approx(baum_welch, abs=2e-6)
    assert gradient < truth  # of these rolls the best model is a little better than the true one
    six, kept = map(float, re.findall(r"with (\d\.\d{3})", output))
    assert six == pytest.approx(0.5, abs=0.08)
    assert kept == pytest.approx(0.9, abs=0.08)
    (off,) = re.findall(r"add up to 1 within (\S+)", output)
    assert float(off) < 1e-10
    assert png(tmp_path / "picture.png")


def test_lstm_text_learns_to_spell(tmp_path):
    output = run(example("lstm_text.py"), tmp_path, "--steps", "150", "--out", "picture.png")
    nats = [float(value) for value in re.findall(r"(\d\.\d+) nats a character", output)]
    assert nats[-1] < 0.45 < nats[0]  # at random: log 27 = 3.3
    (answer,) = re.findall(r"three plus four is (\w+)\.", output)
    assert answer in WORDS
    assert png(tmp_path / "picture.png")


def test_a_phase_is_retrieved(tmp_path):
    output = run(example("phase_retrieval.py"), tmp_path, "--out", "picture.png")
    (correlation,) = re.findall(r"correlation with the object (\S+)", output)
    assert float(correlation) > 0.999
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_shaped_pulse_leaks_nothing(tmp_path):
    output = run(example("shaped_pulse.py"), tmp_path, "--out", "picture.png")
    rows = re.findall(r"infidelity (\S+), leaked into level 2 (\S+)", output)
    (before, leak), (after, none) = [[float(number) for number in row] for row in rows]
    assert after < 1e-6 < 1e-3 < before
    assert none < 1e-6 < 1e-4 < leak
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_filter_has_ripples_of_one_height(tmp_path):
    output = run(example("filter_design.py"), tmp_path, "--out", "picture.png")
    window, gradient = map(float, re.findall(r"deviation (\S+) dB", output))
    assert gradient < -31 < window
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_burgers_equation_is_run_backwards(tmp_path):
    output = run(example("burgers.py"), tmp_path, "--out", "picture.png")
    assert "of complex128" in output
    (error,) = re.findall(r"off by (\S+)%", output)
    assert float(error) < 2


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
