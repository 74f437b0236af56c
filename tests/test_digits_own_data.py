"""Runs on images of one's own: any size, any classes, larger than memory; and what follows them."""

import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tinygrad_digits.digits.app import cli, corrections
from tinygrad_digits.digits.data import load_digits
from tinygrad_digits.digits.data.own import OwnData, open_data
from tinygrad_digits.digits.data.stored import StoredImages, make_source
from tinygrad_digits.digits.errors import RunError
from tinygrad_digits.digits.model import conv, evaluation, init_params, kinds
from tinygrad_digits.digits.runs import familiar, material, run, store
from tinygrad_digits.digits.training import recipe

NAMES = ("ant", "bee", "cat")
RNG = np.random.default_rng(0)
KINDS = RNG.random((3, 6, 4))
LABELS = np.arange(90) % 3
IMAGES = np.round(255 * np.clip(KINDS[LABELS] + RNG.normal(0, 0.1, (90, 6, 4)), 0, 1)).astype("u1")


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "insects.npz"
    np.savez(path, images=IMAGES, kind=np.array(NAMES)[LABELS])
    return path


@pytest.fixture(scope="module")
def trained(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "insects"
    said = invoke(
        "train", "--data", archive, "--label", "kind", "--epochs", 12, "--hidden", 16,
        "--batch-size", 8, "--rate", 0.02, "--out", folder,
    )  # fmt: skip
    return folder, said


class Counted(StoredImages):
    """Images that know how many of their rows were read at once."""

    most = 0

    def __getitem__(self, index):
        read = super().__getitem__(index)
        Counted.most = max(Counted.most, len(read) if read.ndim == 2 else 1)
        return read

    def take(self, chosen):
        return Counted(self.stored, self.full, self.rows[chosen])


# --- training


def test_a_run_of_any_shape_and_names_learns_and_says_what_it_found(trained):
    folder, said = trained
    assert "90 images of 6x4 in 3 classes (ant, bee, cat)" in said.output
    assert "images/s" in said.output
    saved = store.load_run(folder)
    assert saved.classes == NAMES
    assert (saved.own.shape, saved.own.label, saved.own.full) == ((6, 4), "kind", 255.0)
    assert kinds.layer_sizes(saved.params) == (24, 16, 3)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["test_accuracy"] > 0.9
    assert [*metrics["report"]][:3] == [*NAMES]
    assert familiar.load_manner(folder).familiar is None


def test_a_configuration_with_data_survives_json_and_one_without_is_as_it_was():
    own = OwnData("/x", None, None, 9, NAMES, (6, 4), 255.0)
    config = recipe.configure({"data": own})
    assert recipe.Config.of(json.loads(json.dumps(config.describe()))) == config
    assert config.sizes == (24, 256, 128, 3)
    assert not recipe.Config().describe().keys() & {"data", "model"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("shape", [6, 0]), ("classes", ["a"]), ("path", 1), ("full", -1), ("images", "9"), ("x", 1)],
)
def test_damaged_data_of_a_configuration_are_refused(field, value):
    own = OwnData("/x", None, None, 9, NAMES, (6, 4), 255.0)
    saved = json.loads(json.dumps(recipe.configure({"data": own}).describe()))
    saved["data"][field] = value
    with pytest.raises(RunError, match="not a configuration"):
        recipe.Config.of(saved)


def test_what_is_for_digits_alone_is_off_and_refused_when_asked_for():
    own = OwnData("/x", None, None, 9, NAMES, (6, 4), 255.0)
    config = recipe.configure({"data": own})
    assert not config.augment
    assert not config.synthetic
    for setting in ({"augment": True}, {"synthetic": 1.0}):
        with pytest.raises(ValueError, match="8x8"):
            recipe.configure({"data": own, **setting})
    digits = recipe.configure({"data": OwnData("/x", None, None, 9)})
    assert digits.augment == recipe.RECIPE.augment
    assert digits.synthetic == recipe.RECIPE.synthetic


def test_every_image_is_in_one_part_and_every_class_in_each():
    source = make_source(IMAGES, np.array(NAMES)[LABELS], (6, 4))
    parts = material.split_source(source, seed=3)
    rows = np.concatenate([part.images.rows for part in parts])
    assert sorted(rows) == [*range(90)]
    assert [len(part.labels) for part in parts] == [64, 8, 18]
    assert all(set(part.labels) == {0, 1, 2} for part in parts)


def test_the_test_set_of_a_source_is_the_test_set_of_the_run():
    tested = np.arange(90) >= 60
    parts = material.split_source(make_source(IMAGES, LABELS, (6, 4), tested), seed=3)
    assert [*parts.test.images.rows] == [*range(60, 90)]
    assert {*parts.train.images.rows, *parts.validation.images.rows} == {*range(60)}


def test_a_class_of_two_images_is_refused_by_name():
    names = np.array(NAMES)[np.r_[LABELS[:30] % 2, 2, 2]]
    with pytest.raises(RunError, match="class cat has 2 images"):
        material.split_source(make_source(IMAGES[:32], names, (6, 4)), seed=0)


def test_data_that_changed_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    own, _ = open_data(path)
    config = recipe.configure({"data": own})
    assert len(material.load_split(config).train.labels) == 64
    np.savez(path, images=IMAGES[:60], labels=LABELS[:60])
    with pytest.raises(RunError, match=r"holds 60 images .* the run is of 90"):
        material.load_split(config)
    path.unlink()
    with pytest.raises(RunError, match="data are gone"):
        material.load_split(config)


def test_stored_images_are_never_whole_in_memory(monkeypatch):
    stored = np.zeros((40_000, 10), np.uint8)
    stored[np.arange(40_000), np.arange(40_000) % 10] = 255
    labels = np.arange(40_000) % 10
    source = make_source(stored, labels, (10,))
    source = source._replace(images=Counted(stored, 255.0))
    monkeypatch.setattr(Counted, "most", 0)
    own = OwnData("/x", None, None, 40_000, source.classes, (10,), 255.0)
    settings = {"epochs": 1, "hidden": (), "batch_size": 500, "rate": 0.1}
    config = recipe.configure({"data": own, **settings})
    data = material.load_split(config, source)
    last = [*run.start(config, data)][-1]
    found = evaluation.evaluate(last.params, data.test, own.classes)
    assert found.accuracy == 1.0
    assert 0 < Counted.most <= 16_384


def test_a_mapped_file_costs_less_memory_than_it_holds(tmp_path):
    path = tmp_path / "large.npz"
    rng = np.random.default_rng(0)
    labels = np.arange(24_000) % 2
    np.savez(path, images=rng.integers(0, 256, (24_000, 600), np.uint8), labels=labels)
    tracemalloc.start()
    own, read = open_data(path)
    config = recipe.configure({"data": own, "epochs": 0, "hidden": ()})
    data = material.load_split(config, read)
    evaluation.evaluate(init_params((600, 2)), data.test, own.classes)
    next(run.start(config, data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24_000 * 600 * 4  # as floats


def test_logits_in_parts_are_the_logits():
    params, x = init_params((64, 8, 10)), load_digits().images[:50]
    whole = kinds.logits(params, x)
    assert np.array_equal(kinds.logits_in_parts(params, x), whole)
    np.testing.assert_allclose(kinds.logits_in_parts(params, x, rows=7), whole, rtol=1e-12)


def test_a_resumed_run_reads_its_data_again(archive, tmp_path):
    common = ("--label", "kind", "--hidden", 8, "--epochs")
    invoke("train", "--data", archive, *common, 4, "--out", tmp_path / "whole")
    invoke("train", "--data", archive, *common, 4, "--out", tmp_path / "again", "--save-every", 2)
    invoke("train", "--resume", tmp_path / "again", "--epochs", 4)
    whole, again = (store.load_run(tmp_path / name).params for name in ("whole", "again"))
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    refused = invoke("train", "--resume", tmp_path / "again", "--data", archive, code=2)
    assert "--resume goes without --data" in refused.output


# --- use


def test_evaluate_and_report_call_classes_by_their_names(trained):
    folder, _ = trained
    said = invoke("evaluate", folder)
    assert all(name in said.output for name in NAMES)
    invoke("report", folder)
    page = (folder / "report.html").read_text("utf-8")
    assert "test images read right" in page
    assert "digit" not in page.replace("tinygrad_digits", "")
    assert all(f'<th scope="col">{name}</th>' in page for name in NAMES)
    assert 'width="4" height="6"' in page


def test_predict_scales_a_picture_and_reads_an_array(trained, tmp_path):
    folder, _ = trained
    for row, name in enumerate(NAMES):
        large = Image.fromarray(IMAGES[row]).resize((40, 60), Image.Resampling.NEAREST)
        large.convert("RGB").save(tmp_path / f"{name}.png")
        np.save(tmp_path / f"{name}.npy", IMAGES[row])
    said = json.loads(invoke("predict", folder, tmp_path, "--json").stdout)
    assert [one["class"] for one in said] == [name for name in NAMES for _ in range(2)]
    table = invoke("predict", folder, tmp_path / "bee.png").output
    assert "bee" in table
    assert "class" in table


def test_predict_refuses_an_array_of_another_shape_by_name(trained, tmp_path):
    np.save(tmp_path / "odd.npy", np.zeros((5, 5)))
    assert (
        "odd.npy: needs shape (6, 4)"
        in invoke("predict", trained[0], tmp_path / "odd.npy", code=1).output
    )


def test_serve_is_for_digits(trained):
    said = invoke("serve", trained[0], "--no-browser", code=1).output
    assert "the page is for drawing digits" in said


def test_rows_that_are_no_pictures_train_and_report(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [[*(IMAGES[i, 0] + 1), NAMES[LABELS[i]]] for i in range(90)]
    text = "\n".join(",".join(map(str, row)) for row in [["a", "b", "c", "d", "kind"], *rows])
    path.write_text(text, encoding="utf-8")
    invoke("train", "--data", path, "--epochs", 1, "--hidden", "none", "--out", tmp_path / "run")
    assert store.load_run(tmp_path / "run").own.shape in ((4,), (2, 2))


def test_a_model_of_other_images_has_a_temperature_and_no_doubt(trained):
    manner = familiar.load_manner(trained[0])
    assert manner.familiar is None
    assert manner.temperature > 0
    said = invoke("evaluate", trained[0]).output
    assert "at the run's temperature" in said
    assert "look like" not in said
    page = (trained[0] / "report.html").read_text("utf-8")
    assert "which was fitted on images" in page
    assert "known images" not in page


def test_a_size_or_a_label_where_there_is_none_to_choose_is_refused(archive, tmp_path):
    assert (
        "a size is for pictures" in invoke("train", "--data", archive, "--size", 8, code=1).output
    )
    (tmp_path / "a").mkdir()
    assert "a label is named" in invoke("train", "--data", tmp_path, "--label", "x", code=1).output


def test_label_and_size_need_data():
    assert "go with --data" in invoke("train", "--label", "x", code=2).output


# --- what was corrected on the page


@pytest.fixture
def mine(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    monkeypatch.setenv(corrections.FOLDER, str(folder))
    digits = load_digits()
    for image, label in zip(digits.images[:5], digits.labels[:5], strict=True):
        corrections.keep(folder, int(label), image.reshape(8, 8), [], read=9)
    return folder


def test_corrections_join_the_training_images_and_no_others(mine):
    own, drawn = open_data(mine)
    assert own.joins
    assert own.digits
    config = recipe.configure({"data": own, "seed": 1})
    ours, before = material.load_split(config, drawn), material.load_split(recipe.Config(seed=1))
    assert len(ours.train.labels) == len(before.train.labels) + 5
    np.testing.assert_array_equal(ours.train.images[-5:], drawn.images.astype("f4"))
    for part in ("validation", "test"):
        np.testing.assert_array_equal(getattr(ours, part).images, getattr(before, part).images)


@pytest.mark.usefixtures("mine")
def test_train_takes_mine_in_and_evaluate_measures_on_it(tmp_path):
    folder = tmp_path / "run"
    said = invoke("train", "--plain", "--data", "mine", "--epochs", 5, "--out", folder)
    assert "scikit-learn's digits, and 5 that you have drawn" in said.output
    found = json.loads(invoke("evaluate", folder, "--mine", "--json").stdout)
    assert np.sum(found["confusion"]) == 5
    said = invoke("evaluate", folder, "--mine").output
    assert "What you have drawn" in said
    rows = {line.split()[1] for line in said.splitlines() if line.startswith("│")}
    there = {name for name in "0123456789" if found["report"][name]["support"]}
    assert rows == there  # no zeros for what nobody has drawn, nor averages of them


def test_evaluate_mine_without_any_says_where_they_come_from(trained, tmp_path, monkeypatch):
    monkeypatch.setenv(corrections.FOLDER, str(tmp_path / "none"))
    invoke("train", "--plain", "--epochs", 0, "--out", tmp_path / "run")
    assert "correct a reading" in invoke("evaluate", tmp_path / "run", "--mine", code=1).output
    assert "reads others" in invoke("evaluate", trained[0], "--mine", code=1).output
    assert "correct a reading" in invoke("train", "--data", "mine", code=1).output


def test_a_drawing_that_is_damaged_is_named(mine):
    broken = next(mine.glob("3/*.json"))
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=broken.name):
        open_data(mine)


# --- the convolutional model


def test_the_convolutional_model_trains_saves_and_is_read_back(tmp_path):
    folder = tmp_path / "run"
    invoke(
        "train", "--model", "conv", "--plain", "--hidden", 16, "--epochs", 1,
        "--optimizer", "adam", "--out", folder,
    )  # fmt: skip
    params, config = store.load_run(folder)
    assert config["model"] == "conv"
    assert kinds.name_of(params) == "conv"
    assert kinds.layer_sizes(params) == (64, 16, 10)
    found = json.loads(invoke("evaluate", folder, "--json").stdout)
    assert found["test_accuracy"] > 0.2
    assert "kernels of the first convolution" in (folder / "report.html").read_text("utf-8")
    np.save(tmp_path / "x.npy", load_digits().images[:2])
    assert len(json.loads(invoke("predict", folder, tmp_path / "x.npy", "--json").stdout)) == 2


def test_a_convolution_does_not_mind_where_it_stands():
    params = conv.init_params((64, 10), np.random.default_rng(0))
    inner = np.zeros((8, 8))
    inner[2:4, 2:4] = 1
    moved = np.roll(inner, 2, axis=(0, 1))  # by one window of the pool
    params["w0"] = np.ones_like(params["w0"])  # sums over all places
    ours, theirs = conv.logits(params, np.stack([inner.ravel(), moved.ravel()]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("pixels", [63, 49, 0])
def test_the_convolutional_model_needs_an_even_square(pixels):
    with pytest.raises(ValueError, match=f"square images of an even side, not of {pixels}"):
        conv.param_shapes((pixels, 10))
