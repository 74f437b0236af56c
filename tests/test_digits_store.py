"""The run folder: whole files or none, and nothing foreign is loaded."""

import errno
import functools
import json
import os
import stat

import numpy as np
import pytest
from safetensors.numpy import save_file

import tinygrad_digits as td
from tinygrad_digits.digits import errors, model
from tinygrad_digits.digits.runs import locking, store
from tinygrad_digits.digits.training import recipe
from tinygrad_digits.support import files

CONFIG = {"seed": 1, "hidden": [5], "rate": 0.1}


@pytest.fixture
def folder(tmp_path):
    store.save_params(tmp_path / store.PARAMS, model.init_params((4, 5, 3)), CONFIG)
    return tmp_path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(4, 3), (4, 5, 3), (2,) * 13])
def test_parameters_and_configuration_come_back(tmp_path, sizes, dtype):
    params = model.init_params(sizes, dtype=dtype)
    params["w0"] = np.asfortranarray(params["w0"])
    store.save_params(tmp_path / store.PARAMS, params, CONFIG)
    loaded = store.load_run(tmp_path)
    assert list(loaded.params) == list(params)
    td.tree.map(np.testing.assert_array_equal, loaded.params, params)
    assert {array.dtype for array in loaded.params.values()} == {np.dtype(dtype)}
    assert loaded.config == CONFIG


class FullDisk:
    """A file that takes half of what is written to it."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fill_the_disk(monkeypatch):
    fdopen = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *args: FullDisk(fdopen(*args)))


def _raising(name, error):
    def fail(*_args):
        raise error

    return lambda monkeypatch: monkeypatch.setattr(os, name, fail)


FAILURES = {
    "full disk": (_fill_the_disk, OSError),
    "fsync fails": (_raising("fsync", OSError(errno.EIO, "I/O")), OSError),
    "interrupt": (_raising("fsync", KeyboardInterrupt()), KeyboardInterrupt),
    "replace fails": (_raising("replace", PermissionError(errno.EACCES, "no")), PermissionError),
}


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path, monkeypatch, failure, exists
):
    path = tmp_path / "history.json"
    if exists:
        path.write_bytes(b"old")
    breakage, error = FAILURES[failure]
    with monkeypatch.context() as patch:
        breakage(patch)
        with pytest.raises(error):
            files.write_atomically(path, b"new" * 1000)
    assert [file.name for file in tmp_path.iterdir()] == (["history.json"] if exists else [])
    if exists:
        assert path.read_bytes() == b"old"
    files.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_new_file_has_the_name_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def watched(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "fsync")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b)))
    files.write_atomically(tmp_path / "x", b"data")
    assert events == ["fsync", "replace"] + ["folder"] * (os.name != "nt")


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_files_have_the_mode_that_open_would_give_them(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    files.write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        store.write_json(tmp_path / "m.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_parameters_are_refused(folder, share):
    path = folder / store.PARAMS
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(errors.RunError, match=r"params\.safetensors is damaged"):
        store.load_run(folder)


def test_what_is_no_safetensors_file_is_refused(folder):
    (folder / store.PARAMS).write_bytes(b"\x89PNG" * 100)
    with pytest.raises(errors.RunError, match=r"params\.safetensors is damaged"):
        store.load_run(folder)


def test_a_missing_run_says_what_makes_one(tmp_path):
    with pytest.raises(errors.RunError, match=r"no such file.*train"):
        store.load_run(tmp_path / "nowhere")


def test_another_programs_parameters_are_refused(folder):
    save_file({"w0": np.zeros((2, 2))}, folder / store.PARAMS)
    with pytest.raises(errors.RunError, match=r"params\.safetensors was not saved by this program"):
        store.load_run(folder)


W0, B0 = np.zeros((4, 3)), np.zeros(3)
NESTED = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize(
    ("params", "changed", "message"),
    [
        ({"w0": W0}, {}, "expected .*found"),
        ({"w0": W0.T, "b0": B0}, {}, "expected .*found"),
        ({"w0": W0, "b0": B0, "w1": W0}, {}, "expected .*found"),
        ({"w0": W0, "b0": B0 * np.nan}, {}, "b0 .*finite"),
        ({"w0": W0.astype(int), "b0": B0}, {}, "w0 .*finite floats"),
        ({"w0": W0, "b0": B0}, {"sizes": "[4]"}, "sizes"),
        ({"w0": W0, "b0": B0}, {"sizes": "[4, null]"}, "safetensors"),
        ({"w0": W0, "b0": B0}, {"sizes": "[4, "}, "damaged"),
        ({"w0": W0, "b0": B0}, {"sizes": "[1000000000, 1000000000]"}, "expected .*found"),
        ({"w0": W0, "b0": B0}, {"sizes": NESTED}, "damaged"),
        ({"w0": W0, "b0": B0}, {"sizes": "[" * 400 + "1" + "]" * 400}, "safetensors"),
        ({"w0": W0, "b0": B0}, {"config": "[]"}, "no configuration"),
        ({"w0": W0, "b0": B0}, {"config": NESTED}, "damaged"),
        ({"w0": W0, "b0": B0}, {"config": '{"a":' * 50_000}, "damaged"),
    ],
)
def test_parameters_of_no_network_are_refused(folder, params, changed, message):
    metadata = {"format": store.FORMAT, "sizes": "[4, 3]", "config": json.dumps(CONFIG)}
    save_file(params, folder / store.PARAMS, {**metadata, **changed})
    with pytest.raises(errors.RunError, match=message):
        store.load_run(folder)


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"hidden": 5, "seed": 1},
        {**CONFIG, "colour": "red"},
        {**CONFIG, "rate": "fast"},
        {**CONFIG, "hidden": ["wide"]},
        {**CONFIG, "optimizer": None},
        {**CONFIG, "seed": float("inf")},
        {**CONFIG, "rate": functools.reduce(lambda inner, _: [inner], range(5000), 0)},
    ],
    ids=lambda saved: str(sorted(saved)),
)
def test_a_foreign_configuration_is_refused(saved):
    with pytest.raises(errors.RunError, match="configuration"):
        recipe.Config.of(saved)


def test_a_configuration_of_before_there_were_recipes_is_a_plain_one():
    assert recipe.Config.of(
        {"seed": 3, "hidden": [5], "rate": 1, "backend": None}
    ) == recipe.Config(seed=3, hidden=(5,), rate=1, backend=None)


def test_new_folders_are_numbered_and_a_run_is_not_overwritten_unasked(tmp_path):
    first, second = store.new_folder(tmp_path / "runs"), store.new_folder(tmp_path / "runs")
    assert (first.name, second.name) == ("1", "2")
    store.write_json(first / store.CONFIG, CONFIG)
    with pytest.raises(errors.RunError, match="--overwrite"), store.claim(first):
        raise AssertionError("it holds a run")
    for folder, options in ((first, {"overwrite": True}), (first, {"resume": True}), (second, {})):
        with store.claim(folder, **options):
            assert (folder / locking.NAME).exists()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(errors.RunError, match=r"holds thesis\.tex and no run"):
        store.claim(tmp_path, overwrite=overwrite).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    store.write_json(tmp_path / store.CONFIG, CONFIG)  # beside a run they may be
    with store.claim(tmp_path, overwrite=True):
        assert (tmp_path / "thesis.tex").read_text() == "years"


def test_what_a_run_left_without_its_model_is_no_other_thing(tmp_path):
    for name in ("metrics.json", "curves.png", f".x{files.TEMPORARY}"):
        (tmp_path / name).write_bytes(b"")
    with store.claim(tmp_path):
        assert not (tmp_path / f".x{files.TEMPORARY}").exists()


def test_equal_arrays_make_equal_bytes(tmp_path):
    """Whatever order safetensors gives its metadata, which changes from call to call."""
    params = model.init_params((4, 5, 3))
    contents = set()
    for _ in range(20):
        store.save_params(tmp_path / store.PARAMS, params, CONFIG)
        contents.add((tmp_path / store.PARAMS).read_bytes())
    assert len(contents) == 1
    assert store.load_run(tmp_path).config == CONFIG


@pytest.mark.parametrize("kept", [True, False])
def test_a_folder_that_stays_empty_goes_when_its_run_fails(tmp_path, kept):
    folder = tmp_path / "deep" / "run"

    def fail():
        if kept:
            store.write_json(folder / store.CONFIG, CONFIG)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store.claim(folder):
        fail()
    assert folder.exists() is kept


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    left = tmp_path / f".{store.CHECKPOINT}.x1y2{files.TEMPORARY}"
    others = [tmp_path / name for name in ("notes.tmp", store.CHECKPOINT, ".hidden")]
    for path in (left, *others):
        path.write_bytes(b"half")
    with store.claim(tmp_path, resume=True):
        assert not left.exists()
    assert {*tmp_path.iterdir()} == {*others}


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    _fill_the_disk(monkeypatch)
    with pytest.raises(OSError, match=r"No space left.*history\.json"):
        store.write_json(tmp_path / "history.json", [1])
