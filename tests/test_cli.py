"""The command line: each command, what it leaves behind, and its exit codes."""

import json
import os
import runpy
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tinygrad_digits as td
from tests.programs import program
from tinygrad_digits.digits import data
from tinygrad_digits.digits.app import cli
from tinygrad_digits.digits.model import evaluation, gradcheck, manual
from tinygrad_digits.digits.runs import material, store
from tinygrad_digits.digits.training import backends, loop, recipe

FILES = {
    "checkpoint.safetensors", "params.safetensors", "familiar.safetensors", "config.json",
    "metrics.json", "history.json",
    "curves.png", "confusion.png", "mistakes.png", "report.html",
}  # fmt: skip
COMMANDS = [
    *("train", "evaluate", "predict", "report", "export", "serve", "compare", "sweep"),
    *("gradcheck", "tape", "program"),
]
PROGRAM = [sys.executable, "-m", "tinygrad_digits"]


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder, and what `train` printed."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    options = ["--plain", "--epochs", 5, "--seed", 3, "--backend", "numpy"]
    return folder, invoke("train", "--out", folder, *options)


def names(folder):
    return {path.name for path in folder.iterdir()}


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_train_writes_a_run_folder_and_prints_the_report(trained):
    folder, result = trained
    assert names(folder) == FILES
    params, config = store.load_run(folder)
    assert read(folder, "config.json") == config
    assert (config["seed"], config["epochs"]) == (3, 5)
    assert [row["epoch"] for row in read(folder, "history.json")] == list(range(6))
    test = material.load_split(recipe.Config.of(config)).test
    accuracy = evaluation.evaluate(params, test).accuracy
    assert read(folder, "metrics.json")["test_accuracy"] == accuracy
    assert f"test accuracy: {accuracy:.2%}" in result.stdout
    assert "precision" in result.stdout
    assert "epoch 5/5" in result.stderr


@pytest.mark.usefixtures("blank_pictures")
def test_train_is_repeatable_and_its_options_count(trained, tmp_path):
    folder, _ = trained
    options = ["--plain", "--epochs", 5, "--seed", 3, "--backend", "numpy"]
    invoke("train", "--out", tmp_path / "again", *options)
    again = store.load_run(tmp_path / "again").params
    td.tree.map(np.testing.assert_array_equal, again, store.load_run(folder).params)
    others = ["--hidden", "7", "--dtype", "float64", "--optimizer", "momentum", "--rate", 0.01]
    options = ["--plain", "--backend", "numpy", "--epochs", 1, "--batch-size", 50, *others]
    invoke("train", "--out", tmp_path / "b", *options)
    params, config = store.load_run(tmp_path / "b")
    assert params["w0"].shape == (64, 7)
    assert params["w0"].dtype == np.float64
    assert recipe.Config.of(config) == recipe.Config(
        epochs=1, batch_size=50, rate=0.01, optimizer="momentum", hidden=(7,), dtype="float64"
    )


def test_identical_runs_write_identical_bytes(tmp_path):
    """But for what tells the time: metrics.json, report.html, and the checkpoint's seconds."""
    for name in ("a", "b"):
        invoke("train", "--epochs", 2, "--hidden", "8", "--out", tmp_path / name)
    for name in FILES - {"metrics.json", "report.html", store.CHECKPOINT}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.usefixtures("blank_pictures")
def test_a_line_of_progress_tells_loss_accuracy_and_what_is_left(tmp_path):
    said = invoke("train", "--epochs", 4, "--hidden", "8", "--out", tmp_path / "run").stderr
    lines = [line for line in said.splitlines() if line.startswith("epoch")]
    assert [line.partition(":")[0] for line in lines] == [f"epoch {n}/4" for n in (0, 1, 2, 4)]
    assert all("loss " in line and "accuracy " in line for line in lines)
    assert [line.endswith(" s left") for line in lines] == [False, True, True, False]


def test_train_does_not_move_in_with_other_things(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    done = invoke("train", "--epochs", 0, "--out", tmp_path, code=1)
    assert "holds thesis.tex and no run" in done.stderr
    assert names(tmp_path) == {"thesis.tex"}


@pytest.mark.usefixtures("blank_pictures")
def test_eager_training_gives_the_same_run(trained, tmp_path):
    folder, _ = trained
    options = ["--plain", "--epochs", 5, "--seed", 3, "--eager"]
    invoke("train", "--out", tmp_path / "eager", *options)
    assert read(tmp_path / "eager", "history.json") == read(folder, "history.json")
    eager, compiled = store.load_run(tmp_path / "eager"), store.load_run(folder)
    for name, array in compiled.params.items():
        assert eager.params[name].tobytes() == array.tobytes()
    assert (eager.config["backend"], compiled.config["backend"]) == (None, "numpy")
    assert recipe.Config.of(eager.config).backend is None


@pytest.mark.gate
def test_native_code_trains_too(trained, tmp_path):
    pytest.importorskip("llvmlite")
    folder, _ = trained
    options = ["--plain", "--epochs", 5, "--seed", 3, "--backend", "native"]
    invoke("train", "--out", tmp_path / "native", *options)
    assert store.load_run(tmp_path / "native").config["backend"] == "native"
    losses = [
        [row["train_loss"] for row in read(of, "history.json")]
        for of in (tmp_path / "native", folder)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.usefixtures("blank_pictures")
def test_runs_are_numbered_and_never_silently_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert f"runs{os.sep}{number}" in invoke("train", "--epochs", 3).stdout
    before = (tmp_path / "runs" / "1" / store.PARAMS).read_bytes()
    refused = invoke("train", "--epochs", 0, "--out", "runs/1", code=1)
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "runs" / "1" / store.PARAMS).read_bytes() == before
    invoke("train", "--epochs", 2, "--out", "runs/1", "--overwrite", "--hidden", "none")
    assert (tmp_path / "runs" / "1" / store.PARAMS).read_bytes() != before


def test_evaluate_measures_the_same_test_set(trained):
    folder, result = trained
    accuracy = f"{read(folder, 'metrics.json')['test_accuracy']:.2%}"
    assert f"test accuracy: {accuracy}" in invoke("evaluate", folder).stdout
    assert accuracy in result.stdout


def test_predict_on_every_kind_of_file(trained, tmp_path):
    folder, _ = trained
    digits = data.load_digits()
    image = digits.images[0].reshape(8, 8)
    grey = np.kron(np.round(image * 255).astype(np.uint8), np.ones((5, 5), np.uint8))
    colour = np.stack([255 - grey, 255 - grey // 2, np.full_like(grey, 255)], axis=-1)
    np.save(tmp_path / "a.npy", image * 16)
    np.save(tmp_path / "b.npy", digits.images[:10])
    Image.fromarray(grey).save(tmp_path / "c.png")
    Image.fromarray(colour).save(tmp_path / "d.png")
    os_name = [tmp_path / name for name in ("a.npy", "b.npy", "c.png", "d.png")]
    lines = _rows(invoke("predict", folder, *os_name).stdout)
    assert len(lines) == 13
    assert [line[-2] for line in (lines[0], lines[-2], lines[-1])] == ["0"] * 3
    assert all(line[-1].endswith("%") for line in lines)
    assert sum(line[-2] == str(i) for i, line in enumerate(lines[1:11])) >= 8


def _rows(table):
    """The cells of the rows that end in a percentage."""
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in table.splitlines()]
    return [row for row in rows if row[-1].endswith("%")]


def test_predict_says_where_in_a_picture_each_digit_is(trained, tmp_path):
    picture = np.full((90, 200), 255, np.uint8)
    picture[20:70, 30:36] = picture[25:72, 130:136] = 0
    Image.fromarray(picture).save(tmp_path / "x.png")
    Image.fromarray(picture[:, :90]).save(tmp_path / "y.png")
    said = invoke("predict", trained[0], tmp_path / "x.png").stdout
    for box in ("30,20 - 36,70", "130,25 - 136,72"):
        assert box in said
    assert "left,top - right,bottom" in said
    assert "left,top" not in invoke("predict", trained[0], tmp_path / "y.png").stdout


def test_predict_names_the_files_that_it_cannot_read(trained, tmp_path):
    folder, _ = trained
    np.save(tmp_path / "good.npy", data.load_digits().images[0])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = [tmp_path / name for name in ("bad.png", "gone.npy", "good.npy")]
    result = invoke("predict", folder, *files, code=1)
    assert len(_rows(result.stdout)) == 1
    for name in ("bad.png", "gone.npy"):
        assert name in result.stderr
    assert "good.npy" not in result.stderr


def test_predict_reads_the_files_of_a_folder_by_name(trained, tmp_path):
    folder, _ = trained
    images = data.load_digits().images
    (tmp_path / "drawn").mkdir()
    for name, image in (("b.npy", images[1]), ("a.npy", images[0]), (".hidden", images[2])):
        with (tmp_path / "drawn" / name).open("wb") as file:
            np.save(file, image)
    said = json.loads(invoke("predict", folder, tmp_path / "drawn", "--json").stdout)
    assert [row["image"] for row in said] == [
        str(tmp_path / "drawn" / name) for name in ("a.npy", "b.npy")
    ]
    (tmp_path / "empty").mkdir()
    assert "holds no files" in invoke("predict", folder, tmp_path / "empty", code=1).stderr


def test_an_exported_run_says_what_predict_says(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(tmp_path)
    assert invoke("export", folder).stdout.strip() == "program: digits.py and digits.npz"
    images = data.load_digits().images[:5].astype(np.float32)
    np.save("images.npy", images)
    predicted = json.loads(invoke("predict", folder, "images.npy", "--json").stdout)
    program = tmp_path / "digits.py"
    assert "probabilities of the digits 0 ... 9 in images of 8x8 pixels" in program.read_text()
    probabilities = runpy.run_path(str(program))["digits"](images)
    said = [row["probabilities"] for row in predicted]  # of the same pixels in float64
    np.testing.assert_allclose(probabilities, said, rtol=1e-5)
    before = program.read_bytes()
    invoke("export", folder, "--out", "digits.py")
    assert program.read_bytes() == before


def test_an_exported_run_is_an_object_file_for_c_too(trained, tmp_path):
    pytest.importorskip("llvmlite")
    folder, _ = trained
    said = invoke("export", folder, "--to", "c", "--out", tmp_path / "read.o").stdout
    assert said.strip() == f"program: {tmp_path / 'read.o'} and {tmp_path / 'read.h'}"
    header = (tmp_path / "read.h").read_text()
    assert "int read(const float *images, float *out);" in header
    assert "images of 8x8 pixels" in header


def test_export_replaces_no_file_of_somebody_elses(trained, tmp_path):
    folder, _ = trained
    (tmp_path / "mine.py").write_text("years")
    refused = invoke("export", folder, "--out", tmp_path / "mine.py", code=1)
    assert "mine.py is there, and was not written by export" in refused.stderr
    assert names(tmp_path) == {"mine.py"}
    invoke("export", folder, "--out", tmp_path / "mine.py", "--overwrite")
    assert "def mine(images):" in (tmp_path / "mine.py").read_text()


def test_gradcheck_shows_each_layer_in_both_dtypes(monkeypatch):
    shown = invoke("gradcheck", "--hidden", "9,8", "--batch-size", 5).stdout
    for dtype in ("float32", "float64"):
        for name in ("w0", "b0", "w1", "b1", "w2", "b2"):
            assert any(dtype in x and name in x and "agrees" in x for x in shown.splitlines())
    right = manual.loss_and_grads

    def bent(params, x, labels):
        loss, grads = right(params, x, labels)
        return loss, {**grads, "b1": grads["b1"] * grads["b1"].dtype.type(1.0005)}

    monkeypatch.setattr(gradcheck.manual, "loss_and_grads", bent)
    result = invoke("gradcheck", "--hidden", "9,8", "--batch-size", 5, code=1)
    wrong = [line for line in result.stdout.splitlines() if "DIFFERS" in line]
    assert len(wrong) == 2
    assert all("b1" in line for line in wrong)
    assert "differ" in result.stderr


def test_tape_prints_the_program_of_a_step():
    shown = invoke("tape", "--hidden", "7", "--batch-size", 3).stdout
    for op in ("params['w0']", "matmul", "add", "relu", "(3, 7)", "(64, 7)", "float32", "-> y"):
        assert op in shown
    assert shown.count("matmul") == 2


def test_tape_shows_the_way_back_costs_and_a_picture(tmp_path):
    both = invoke("tape", "--backward", "--svg", tmp_path / "tape.svg").stdout
    assert both.count("matmul") > 3
    assert "-> y['w0']" in both
    assert (tmp_path / "tape.svg").read_text(encoding="utf-8").startswith("<svg")
    costs = invoke("tape", "--costs").stdout
    assert costs.count(" us") > 10
    assert "total" in costs


def test_program_prints_what_a_step_is_compiled_to():
    shown = invoke("program", "--hidden", "7", "--batch-size", 3, "--dtype", "float64").stdout
    for part in ("input params['w0']", "float64(64, 7)", "float64(3, 7)", "def run(", "return"):
        assert part in shown
    assert "state['w0']" not in shown
    assert "state['w0']" in invoke("program", "--optimizer", "momentum").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    shown = invoke(command, "--help").output
    assert "Usage" in shown
    assert f"tinygrad-digits {command}" in shown.partition("Examples:")[2]
    assert command in invoke("--help").output


def test_help_begins_with_where_to_begin():
    shown = invoke("--help").output
    panel = shown.partition("Start here")[2].partition("With a run")[0]
    assert panel.index(" train ") < panel.index(" serve ")


def test_version():
    assert invoke("--version").stdout.strip() == td.__version__


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-command"],
        ["train", "--no-such-option"],
        ["train", "--epochs", "many"],
        ["train", "--epochs", "-1"],
        ["train", "--batch-size", "0"],
        ["train", "--hidden", "64,x"],
        ["train", "--hidden", "64,0"],
        ["train", "--optimizer", "adamant"],
        ["train", "--dtype", "int8"],
        ["train", "--backend", "abacus"],
        ["train", "--backend", "native", "--eager"],
        ["train", "--schedule", "steep"],
        ["train", "--ema", "1"],
        ["train", "--save-every", "0"],
        ["train", "--resume", "somewhere", "--plain"],
        ["train", "--resume", "somewhere", "--out", "elsewhere"],
        ["predict", "somewhere"],
        ["evaluate"],
        ["export", "somewhere", "--to", "cobol"],
        ["export", "somewhere", "--out", "digits.txt"],
    ],
    ids=" ".join,
)
def test_misuse_exits_with_2(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    invoke(*args, code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--rate", "-1"], "rate must be positive"),
        (["train", "--rate", "nan"], "rate must be positive"),
        (["train", "--rate", "fast"], "--rate takes a number"),
        (["train", "--epochs", "many"], "--epochs takes a whole number"),
        (["train", "--epochs", "-1"], "--epochs takes 0"),
        (["train", "--epochs"], "--epochs takes a value"),
        (["train", "--epochz", "1"], "there is no option --epochz"),
        (["train", "--optimizer", "adamant"], "--optimizer takes one of gd, momentum, "),
        (["train", "--hidden", "64,x"], "--hidden takes widths like 64,32, or none; got '64,x'"),
        (["train", "file"], "there is more than it takes: file"),
        (["learn"], "there is no command 'learn'"),
        (["evaluate"], "RUN is missing;"),
        (["predict", "seven.png"], "FILE... is missing: it takes RUN FILE...;"),
        (
            ["predict", "run", "seven.png", "--show", __file__],
            "--show takes a folder, not the file",
        ),
        (["sweep", "--grid", "speed=1"], "grid: "),
        (["compare", "--jobs", "0"], "--jobs: processes are 1 or more, or -1 for all cores"),
        (["evaluate", "run", "--json=3"], "--json takes no value"),
        (["predict", "run", "--show"], "--show takes a value"),
        (
            ["sweep", "--grid", "rate"],
            "grid: a part is name=choice,choice; in 'rate' there is no =",
        ),
    ],
)
def test_misuse_is_said_in_one_line_of_our_own(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*args, code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert line.endswith("--help tells more")
    assert not result.stdout
    assert not list(tmp_path.iterdir())


def test_nothing_asked_for_shows_the_help():
    result = invoke(code=2)
    assert "Start here" in result.output
    assert "error" not in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--out", "file"], "file"),
        (["evaluate", "nowhere"], "nowhere"),
        (["predict", "nowhere", "x.npy"], "nowhere"),
        (["predict", "file", "x.npy"], "file is a file, no run folder"),
        (["evaluate", "damaged"], "params.safetensors is damaged"),
    ],
)
def test_failure_exits_with_1_and_one_line(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / store.PARAMS).write_bytes(b"x")
    result = invoke(*args, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert names(tmp_path) == {"file", "damaged"}


@pytest.mark.parametrize("mode", [[], ["--eager"]], ids=["compiled", "eager"])
def test_a_loss_that_explodes_fails_and_says_so(mode, tmp_path):
    options = [
        "--plain",
        "--rate",
        "1e38",
        "--optimizer",
        "momentum",
        "--out",
        tmp_path / "x",
        *mode,
    ]
    assert "lower the learning rate" in invoke("train", *options, code=1).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child there")
def test_ctrl_c_saves_what_was_trained_and_exits_with_130(tmp_path):
    folder = tmp_path / "run"
    with program("train", "--plain", "--out", folder, "--epochs", "1000000") as process:
        for line in process.stderr:
            if line.startswith(b"epoch 2/"):
                process.send_signal(signal.SIGINT)
                break
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"interrupted after epoch" in errors
    assert b"--resume" in errors
    assert b"test accuracy" in printed
    assert names(folder) == FILES
    history, found = read(folder, "history.json"), read(folder, "metrics.json")
    assert found["interrupted"] is True
    assert found["epochs"] == history[-1]["epoch"] == len(history) - 1 >= 2
    assert f"{found['test_accuracy']:.2%}" in invoke("evaluate", folder).stdout


def test_a_full_disk_fails_and_leaves_the_older_run_whole(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    invoke("train", "--epochs", 1, "--out", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = invoke("train", "--epochs", 2, "--out", folder, "--overwrite", code=1)
    assert "No space left on device" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "module", ["typer", "rich", "sklearn", "matplotlib", "safetensors", "jinja2", "PIL"]
)
def test_without_the_extra_one_line_says_what_to_install(module, tmp_path):
    code = f"import sys; sys.modules[{module!r}] = None\n"
    code += "from tinygrad_digits.__main__ import main; main()"
    arguments = ["train", "--epochs", "0"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert module in line
    assert 'pip install "tinygrad-digits[digits]"' in line
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("blank_pictures")
def test_what_compiles_is_chosen_and_kept(tmp_path, monkeypatch):
    for there, wanted in ((None, "numpy"), ("a spec", "native")):
        with monkeypatch.context() as patched:
            patched.setattr(backends.importlib.util, "find_spec", lambda _, found=there: found)
            assert recipe.configure({}).backend == wanted
            assert recipe.configure({"backend": "auto"}).backend == wanted
    assert recipe.configure({"backend": "numpy"}).backend == "numpy"
    assert recipe.configure({"backend": None}).backend is None
    small = ["--hidden", "none", "--epochs", 1]
    invoke("train", *small, "--backend", "numpy", "--out", tmp_path / "run")
    invoke("train", "--resume", tmp_path / "run", "--backend", "auto", "--epochs", 2)
    assert store.load_run(tmp_path / "run").config["backend"] == "numpy"


def test_without_llvmlite_one_line_says_what_to_install(tmp_path, monkeypatch):
    def absent(*_args, **_options):
        raise td.errors.MissingExtraError(
            'llvmlite is absent: pip install "tinygrad-digits[native]"'
        )

    monkeypatch.setattr(loop, "jit", absent)
    result = invoke("train", "--backend", "native", "--out", tmp_path / "run", code=1)
    (line,) = result.stderr.splitlines()
    assert line == 'error: llvmlite is absent: pip install "tinygrad-digits[native]"'
    assert not list(tmp_path.iterdir())  # refused before there is a folder


@pytest.mark.usefixtures("blank_pictures")
def test_momentum_has_a_rate_of_its_own(tmp_path):
    invoke("train", "--plain", "--optimizer", "momentum", "--out", tmp_path / "run")
    accuracy = json.loads((tmp_path / "run" / "metrics.json").read_text())["test_accuracy"]
    assert accuracy >= 0.95


def test_a_run_that_diverges_leaves_no_folder(tmp_path):
    options = ["--plain", "--rate", "1e9", "--epochs", "3"]
    done = invoke("train", *options, "--out", tmp_path / "run", code=1)
    assert "learning rate" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_file_where_the_run_should_go_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = invoke("train", "--epochs", "0", "--out", tmp_path / "file", code=1)
    assert "is a file" in done.stderr


@pytest.mark.usefixtures("blank_pictures")
def test_train_follows_the_recipe_unless_it_is_to_be_plain(tmp_path):
    for options, expected in ([], recipe.RECIPE), (["--plain"], recipe.PLAIN):
        folder = tmp_path / expected.optimizer
        invoke("train", "--epochs", 1, "--out", folder, *options)
        config = store.load_run(folder).config
        settings = {**expected.settings(), "hidden": [*expected.hidden], "epochs": 1}
        assert settings.items() <= config.items()


def test_json_is_all_that_scripts_find_on_stdout(trained, tmp_path):
    folder, _ = trained
    done = invoke("train", "--epochs", 1, "--out", tmp_path / "run", "--json")
    said = json.loads(done.stdout)
    assert said["folder"] == str(tmp_path / "run")
    assert said["config"] == read(tmp_path / "run", "config.json")
    assert {**said, **read(tmp_path / "run", "metrics.json")} == said
    assert "epoch 1/1" in done.stderr
    found = json.loads(invoke("evaluate", folder, "--json").stdout)
    for name in ("test_accuracy", "calibration_error", "calibrated_error", "false_alarms"):
        assert found[name] == read(folder, "metrics.json")[name]
    (folder / store.FAMILIAR).rename(tmp_path / "elsewhere")
    without = json.loads(invoke("evaluate", folder, "--json").stdout)
    (tmp_path / "elsewhere").rename(folder / store.FAMILIAR)
    assert without == {**found, "calibrated_error": None, "false_alarms": None}
    np.save(tmp_path / "two.npy", data.load_digits().images[:2])
    done = invoke("predict", folder, tmp_path / "two.npy", tmp_path / "gone.npy", "--json", code=1)
    said = json.loads(done.stdout)
    assert [row["image"] for row in said] == [f"{tmp_path / 'two.npy'}[{i}]" for i in range(2)]
    for row in said:
        assert sum(row["probabilities"]) == pytest.approx(1)
        assert row["digit"] == np.argmax(row["probabilities"])
    assert "gone.npy" in done.stderr
    rows = json.loads(invoke("gradcheck", "--hidden", "5", "--json").stdout)
    assert {row["name"] for row in rows} == {"w0", "b0", "w1", "b1"}
    assert all(row["agrees"] is True and row["tape_manual"] < 1e-5 for row in rows)


def test_shells_complete_its_commands():
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            PROGRAM, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "_TINYGRAD_DIGITS_COMPLETE": f"source_{shell}"},
        )  # fmt: skip
        assert "tinygrad-digits" in done.stdout, done.stderr
    words = {"COMP_WORDS": "tinygrad-digits tr", "COMP_CWORD": "1"}
    done = subprocess.run(
        PROGRAM, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **words, "_TINYGRAD_DIGITS_COMPLETE": "complete_bash"},
    )  # fmt: skip
    assert done.stdout.split() == ["train"]
