"""The recipe, its augmentation, and the comparison with scikit-learn's classifiers."""

import dataclasses
import json
import os
import signal
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from typer.testing import CliRunner

from tests.programs import program
from tinygrad_digits.digits.app import baselines, cli, console
from tinygrad_digits.digits.data.augment import SIDE, augment
from tinygrad_digits.digits.data.dataset import load_digits
from tinygrad_digits.digits.training.recipe import PLAIN, RECIPE

STILL = {"shift": 0.0, "degrees": 0.0, "scale": 0.0, "noise": 0.0}
TINY = {"epochs": 2, "hidden": (8, 8)}


@pytest.fixture
def tiny(monkeypatch):
    """A contest of seconds: ours with little to do, and one neighbour."""
    for name in ("RECIPE", "PLAIN"):
        recipe = dataclasses.replace(getattr(baselines, name), **TINY)
        monkeypatch.setattr(baselines, name, recipe)
    entrants = baselines.make_contenders()
    chosen = {name: entrants[name] for name in ("ours", "ours, plain", "k-NN(1)")}
    monkeypatch.setattr(baselines, "make_contenders", lambda: chosen)
    return chosen


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, ["compare", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


# --- augmentation


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_augmented_images_keep_dtype_shape_and_range(dtype, rng):
    images = load_digits(dtype).images
    moved = augment(images, rng, shift=3.0, degrees=90.0, scale=0.5, noise=0)
    assert (moved.dtype, moved.shape) == (images.dtype, images.shape)
    assert moved.min() >= 0
    assert moved.max() <= 1 + np.finfo(dtype).eps
    assert not np.shares_memory(moved, images)


def test_nothing_moves_by_nothing(rng):
    images = load_digits(np.float32).images
    np.testing.assert_array_equal(augment(images, rng, **STILL), images)


def test_augmentation_is_a_pure_function_of_images_and_generator():
    images = load_digits().images[:50]
    before = images.copy()
    once, again, other = (augment(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_equal_images_move_differently(rng):
    moved = augment(np.repeat(load_digits().images[:1], 20, axis=0), rng)
    assert len(np.unique(moved, axis=0)) == 20


@pytest.mark.parametrize("turn", [1, -1])
def test_it_is_scipys_affine_transform(turn):
    """One image, its amounts read off the same generator."""
    image = load_digits().images[7].reshape(SIDE, SIDE)
    draws = np.random.default_rng(turn + 5)
    angle, zoom = draws.uniform(-0.3, 0.3), draws.uniform(0.8, 1.2, 2)
    move = draws.uniform(-1, 1, 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    centre = np.full(2, (SIDE - 1) / 2)
    expected = ndimage.affine_transform(
        np.pad(image, 4), matrix, centre + 4 - matrix @ (centre + 4 + move), order=1
    )[4:-4, 4:-4]
    settings = {"shift": 1.0, "degrees": np.rad2deg(0.3), "scale": 0.2, "noise": 0.0}
    moved = augment(image.reshape(1, -1), np.random.default_rng(turn + 5), **settings)
    np.testing.assert_allclose(moved.reshape(SIDE, SIDE), expected, atol=1e-12)


def test_noise_has_the_deviation_asked_for_and_no_bias(rng):
    images = load_digits(np.float32).images
    rough = augment(images, rng, **{**STILL, "noise": 0.2}) - images
    assert rough.std() == pytest.approx(0.2, rel=0.02)
    assert rough.mean() == pytest.approx(0, abs=0.003)  # 5 standard errors


@given(shift=st.floats(0, 20), degrees=st.floats(0, 360), scale=st.floats(0, 0.9))
def test_any_amount_makes_images(shift, degrees, scale):
    moved = augment(
        np.ones((3, 64)),
        np.random.default_rng(0),
        shift=shift, degrees=degrees, scale=scale, noise=0.0,
    )  # fmt: skip
    assert np.isfinite(moved).all()
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-12


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (2, 63)])
def test_what_is_no_row_of_images_is_refused(shape, rng):
    with pytest.raises(ValueError, match=r"augment needs images \(n, 64\).*reshape"):
        augment(np.zeros(shape), rng)


# --- the recipe


def test_the_recipe_does_as_well_as_a_support_vector_machine():
    """On one split, in full; a mean over ten is what the command compare is for."""
    digits, entrants = load_digits(np.float32), baselines.make_contenders()
    ours, svc = (
        baselines.try_split(name, entrants[name], 4, digits) for name in ("ours", "SVC(C=10)")
    )
    assert ours.accuracy >= svc.accuracy > 0.99


def test_plain_is_vanilla_descent():
    assert (PLAIN.optimizer, PLAIN.schedule, PLAIN.augment) == ("gd", "constant", False)
    assert PLAIN.weight_decay == PLAIN.smoothing == PLAIN.ema == PLAIN.warmup == 0
    assert PLAIN.synthetic == 0


def test_the_recipe_has_two_hidden_layers_and_cannot_be_changed():
    assert len(RECIPE.hidden) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPE.rate = 1.0


# --- the comparison


def test_compare_prints_a_row_for_each_contender(tiny):
    result = invoke("--splits", 1, "--seed", 3)
    for name in tiny:
        assert name in result.stdout
    neighbour = baselines.try_split("k-NN(1)", tiny["k-NN(1)"], 3, load_digits(np.float32))
    (row,) = [line for line in result.stdout.splitlines() if "k-NN" in line]
    assert row.count(f"{neighbour.accuracy:.2%}") == 3
    assert "seed 3" in result.stdout


def test_json_holds_the_accuracy_of_every_split(tiny):
    found = json.loads(invoke("--splits", 2, "--seed", 4, "--json").stdout)
    assert found["seeds"] == [4, 5]
    assert [row["name"] for row in found["standings"]] == list(tiny)
    for row in found["standings"]:
        assert len(row["accuracies"]) == 2
        assert row["mean"] == pytest.approx(np.mean(row["accuracies"]))
        assert (row["min"], row["max"]) == (min(row["accuracies"]), max(row["accuracies"]))
        assert row["seconds"] > 0


@pytest.mark.usefixtures("tiny")
def test_a_comparison_is_repeatable_and_jobs_do_not_change_it():
    one, two = (
        json.loads(invoke("--splits", 2, "--jobs", jobs, "--json").stdout)["standings"]
        for jobs in (1, 2)
    )
    assert [row["accuracies"] for row in one] == [row["accuracies"] for row in two]


def test_every_contender_trains_on_the_same_images_and_is_left_unfitted(tiny):
    class Watcher(type(tiny["k-NN(1)"])):
        seen = ()

        def fit(self, images, labels):
            type(self).seen += (images.sum(),)
            return super().fit(images, labels)

    digits = load_digits(np.float32)
    contender = Watcher(n_neighbors=1)
    for name in ("a", "b"):
        baselines.try_split(name, contender, 0, digits)
    baselines.try_split("c", contender, 1, digits)
    first, second, other = Watcher.seen
    assert first == second != other
    assert not hasattr(contender, "classes_")


def test_all_contenders_are_seeded_by_the_split(tiny):
    digits = load_digits(np.float32)
    once, again = (baselines.try_split("ours", tiny["ours"], 1, digits) for _ in range(2))
    assert once.accuracy == again.accuracy
    assert tiny["ours"].random_state is None


def test_the_contest_names_who_the_readme_names():
    assert list(baselines.make_contenders()) == [
        "ours", "ours, plain", "SVC(C=10)", "k-NN(1)", "MLPClassifier", "LogisticRegression",
    ]  # fmt: skip


@pytest.mark.usefixtures("tiny")
def test_bad_options_are_refused():
    invoke("--splits", 0, code=2)
    assert "--jobs: processes are 1 or more" in invoke("--splits", 1, "--jobs", 0, code=2).stderr


@pytest.mark.usefixtures("tiny")
def test_a_comparison_goes_on_where_it_was(tmp_path):
    path = tmp_path / "compared.jsonl"
    first = invoke("--splits", 1, "--out", path)
    assert first.stderr.count("%") == 3
    rows = path.read_text(encoding="utf-8").splitlines()
    second = invoke("--splits", 2, "--out", path, "--json")
    assert f"{path} holds 3 of 6 fits" in second.stderr
    assert second.stderr.count("%") == 3
    assert path.read_text(encoding="utf-8").splitlines()[: len(rows)] == rows
    alone = json.loads(invoke("--splits", 2, "--json").stdout)["standings"]
    found = json.loads(second.stdout)["standings"]
    assert [row["accuracies"] for row in found] == [row["accuracies"] for row in alone]


@pytest.mark.usefixtures("tiny")
def test_an_interrupted_comparison_says_how_to_go_on(tmp_path, monkeypatch):
    path, real = tmp_path / "compared.jsonl", baselines.try_split

    def interrupted(name, *args):
        if name == "k-NN(1)":
            raise KeyboardInterrupt
        return real(name, *args)

    monkeypatch.setattr(baselines, "try_split", interrupted)
    result = invoke("--splits", 1, "--out", path, code=console.INTERRUPTED)
    assert f"what was done is in {path}" in result.stderr
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 2


SHORT_RECIPE = f"""
import dataclasses
from tinygrad_digits.digits.app import baselines
baselines.RECIPE = dataclasses.replace(baselines.RECIPE, **{TINY})
"""
"""What is done first: the other classifiers take all of their time, so there is one to end."""


@pytest.mark.skipif(sys.platform == "win32", reason="signals reach no single process there")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_it_in_one_line(jobs):
    with program(
        "compare", "--jobs", jobs, before=SHORT_RECIPE, text=True, encoding="utf-8",
        start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert "ours" in process.stderr.readline()  # a line after each fit
        os.killpg(process.pid, signal.SIGINT)
        printed, said = process.communicate(timeout=120)
    assert process.returncode == console.INTERRUPTED
    assert printed == ""
    assert said.splitlines()[-1] == "interrupted"
    assert all(": " in line for line in said.splitlines()[:-1]), said  # what was done meanwhile
    assert "Traceback" not in said
    assert "Warning" not in said
