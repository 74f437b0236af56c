"""Checkpoints: a run that was stopped, in whatever way, ends as if it never had been."""

import dataclasses
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import tinygrad_digits as td
from tests.programs import program
from tinygrad_digits.digits import errors
from tinygrad_digits.digits.app import cli
from tinygrad_digits.digits.app.commands import training
from tinygrad_digits.digits.runs import checkpoint, checksummed, locking, material, run, store
from tinygrad_digits.digits.training import optimizer_choice, recipe
from tinygrad_digits.support import files

pytestmark = pytest.mark.usefixtures("blank_pictures")
PROGRAM = [sys.executable, "-m", "tinygrad_digits", "train"]
SMALL = ["--hidden", "8", "--batch-size", "200", "--ema", "0.9"]


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def small(**changes):
    return recipe.configure({"hidden": (8,), "batch_size": 200, "epochs": 6, "ema": 0.9, **changes})


def bits(tree):
    """What two equal trees have in common, and no others: -0 is not 0."""
    return {path: _bits(leaf) for path, leaf in td.tree.items(tree)}


def _bits(leaf):
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype, leaf.shape, leaf.tobytes()
    return leaf


def outcome(trained):
    """All of a run but the time it took."""
    return bits(trained._replace(seconds=0))


class StoppedError(Exception):
    """In place of a signal."""


def stopped(folder, config, after):
    """A run of which the checkpoint of epoch `after` is the last thing."""
    digits = material.load_split(config)

    def save(so_far):
        run.save_checkpoint(folder, config, so_far)
        if so_far.snapshot.epoch == after:
            raise StoppedError

    with pytest.raises(StoppedError):
        run.follow(run.start(config, digits), lambda _: None, save)


def carried_on(folder):
    """What becomes of a run that is resumed from its checkpoint."""
    saved, config = run.load_checkpoint(folder)
    digits = material.load_split(config)
    before = run.restore(saved, config, digits)
    return run.follow(run.start(config, digits, before.snapshot), lambda _: None, before=before)


def whole(config):
    return run.follow(run.start(config, material.load_split(config)), lambda _: None)


VARIANTS = [
    *({"optimizer": name, "rate": recipe.RATES[name]} for name in optimizer_choice.OPTIMIZERS),
    *({"schedule": name} for name in optimizer_choice.SCHEDULES),
    {"ema": 0.0},
    {"augment": False},
    {"dtype": "float64"},
    {"backend": None},
    {"keep": "best"},
    {"smoothing": 0.1, "warmup": 0.5},
    {"hidden": ()},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_resumed_run_ends_as_if_it_had_never_stopped(changes, tmp_path):
    config = small(**changes)
    expected = outcome(whole(config))
    stopped(tmp_path, config, after=3)
    assert outcome(carried_on(tmp_path)) == expected


@pytest.mark.parametrize("after", [0, 1, 6])
def test_wherever_it_stopped(after, tmp_path):
    stopped(tmp_path, small(), after)
    assert outcome(carried_on(tmp_path)) == outcome(whole(small()))


def test_more_epochs_where_the_rate_does_not_depend_on_them(tmp_path):
    config = small(schedule="constant", warmup=0.0, epochs=2)
    stopped(tmp_path, config, after=2)
    saved, _ = run.load_checkpoint(tmp_path)
    longer = recipe.reconfigure(config, {"epochs": 5})
    digits = material.load_split(longer)
    before = run.restore(saved, longer, digits)
    after = run.follow(run.start(longer, digits, before.snapshot), lambda _: None, before=before)
    assert outcome(after) == outcome(whole(longer))


def test_more_epochs_by_a_schedule_are_told_of_in_the_configuration(tmp_path):
    config = small(epochs=3)
    stopped(tmp_path, config, after=3)
    said = invoke("train", "--resume", tmp_path, "--epochs", 5).stdout
    assert "its rate follows the schedule of 5 epochs" in said
    after = store.load_run(tmp_path).config
    assert (after["epochs"], after["planned"]) == (5, [3])
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert [row["epoch"] for row in history] == [*range(6)]
    assert bits(store.load_run(tmp_path).params) != bits(whole(small(epochs=5)).params)
    again = invoke("train", "--resume", tmp_path, "--epochs", 5).stdout  # said again, no other
    assert "its rate follows" not in again
    assert store.load_run(tmp_path).config == after


def test_a_checkpoint_of_before_leaves_had_their_names_goes_on(tmp_path):
    config = small()
    stopped(tmp_path, config, after=3)
    path = tmp_path / store.CHECKPOINT
    saved = checkpoint.load(path)
    old = {name.replace("['state']", "['memory']"): a for name, a in saved.arrays.items()}
    assert old.keys() != saved.arrays.keys()
    facts = json.dumps(saved.facts)
    path.write_bytes(checksummed.seal(old, {"format": checkpoint.FORMAT, "facts": facts}))
    assert outcome(carried_on(tmp_path)) == outcome(whole(config))


def test_the_best_epoch_is_kept_on_the_way(tmp_path):
    erratic = {"optimizer": "gd", "rate": 0.5, "schedule": "constant", "batch_size": 20}
    config = small(epochs=8, ema=0.0, keep="best", augment=False, **erratic)
    records = list(run.start(config, material.load_split(config)))
    best = max(records, key=lambda r: (r.validation_accuracy, -r.validation_loss))
    trained = whole(config)
    assert trained.best.epoch == best.epoch < 8
    assert bits(trained.best.params) == bits(trained.kept(config)) == bits(best.params)
    last = dataclasses.replace(config, keep="last")
    assert bits(trained.kept(last)) == bits(records[-1].params)
    run.save(tmp_path, config, trained, material.load_split(config))
    assert bits(store.load_run(tmp_path).params) == bits(best.params)


# --- the program, killed


def start(folder, *options):
    arguments = ["--resume", folder] if (folder / store.CHECKPOINT).exists() else ["--out", folder]
    options = [] if "--resume" in arguments else options
    return subprocess.Popen(
        [*PROGRAM, "--save-every", "1", *map(str, [*arguments, *options])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("times", [4, pytest.param(12, marks=pytest.mark.gate)])
def test_a_run_killed_again_and_again_ends_with_the_same_bits(times, tmp_path):
    """At moments that a generator draws: in imports, steps, writes of the checkpoint, pictures."""
    options = [*SMALL, "--epochs", "200"]
    rng = np.random.default_rng(0)
    folder, kills = tmp_path / "run", 0
    for delay in itertools.chain(rng.uniform(0, 0.5, times), itertools.repeat(120)):
        process = start(folder, *options)
        if kills % 4:  # the others may be killed before they have done anything
            process.stdout.readline()
        try:
            said, _ = process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        kills += 1
        if (folder / store.CHECKPOINT).exists():
            run.load_checkpoint(folder)  # it is whole
    else:
        raise AssertionError("unreachable: the last delays are long")
    assert kills > 1
    assert not [path for path in folder.iterdir() if path.suffix == files.TEMPORARY]
    whole = start(tmp_path / "whole", *options)  # with as many threads of BLAS as the others
    said, _ = whole.communicate()
    assert whole.returncode == 0, said
    ours, theirs = (store.load_run(at) for at in (folder, tmp_path / "whole"))
    assert ours.config == theirs.config
    assert bits(ours.params) == bits(theirs.params)
    ends = [run.load_checkpoint(at)[0] for at in (folder, tmp_path / "whole")]
    assert bits(ends[0].arrays) == bits(ends[1].arrays)
    assert all(end.facts.pop("seconds") > 0 for end in ends)
    assert ends[0].facts == ends[1].facts


WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from tinygrad_digits.digits import checkpoint, store
from tinygrad_digits.support import files
path = Path(sys.argv[1]) / store.CHECKPOINT
for i in itertools.count():
    tree = {"w": np.full(20_000, i), "i": i}
    files.write_atomically(path, checkpoint.dump(tree, {"i": i}))
    print(i, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_checkpoint_is_whole_whenever_its_writer_is_killed(tmp_path):
    rng = np.random.default_rng(1)
    path, newest = tmp_path / store.CHECKPOINT, []
    for delay in rng.uniform(0, 0.1, 8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"0\n"
            try:
                process.wait(delay)  # which it outlives
            except subprocess.TimeoutExpired:
                process.kill()
            said = process.stdout.read().split()
        saved = checkpoint.load(path)
        i = saved.facts["i"]
        assert i >= int(said[-2] if len(said) > 1 else 0)  # none that was reported is lost
        found = checkpoint.restore(saved, {"w": np.zeros(20_000, int), "i": 0})
        assert found["i"] == i
        assert (found["w"] == i).all()
        newest.append(i)
    assert len(set(newest)) > 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child there")
def test_after_ctrl_c_the_run_goes_on(tmp_path):
    folder, options = tmp_path / "run", [*SMALL, "--schedule", "constant", "--warmup", "0"]
    endless = ["train", "--out", folder, *options, "--epochs", "1000000"]
    with program(*endless, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            if line.startswith(b"epoch 4/"):
                process.send_signal(signal.SIGINT)
                break
        process.communicate(timeout=60)
    assert process.returncode == 130
    epoch = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["epochs"]
    assert (
        "resumed after epoch" in invoke("train", "--resume", folder, "--epochs", epoch + 2).stdout
    )
    invoke("train", "--out", tmp_path / "whole", *options, "--epochs", epoch + 2)
    ours, theirs = (store.load_run(at) for at in (folder, tmp_path / "whole"))
    assert bits(ours.params) == bits(theirs.params)
    assert ours.config == theirs.config


def test_the_checkpoint_is_written_as_often_as_is_asked_for_and_at_the_end(tmp_path, monkeypatch):
    written, save = [], run.save_checkpoint

    def watched(folder, config, trained):
        written.append(trained.snapshot.epoch)
        save(folder, config, trained)

    monkeypatch.setattr(run, "save_checkpoint", watched)
    for every, expected in ((1, [0, 1, 2, 3, 3]), (2, [0, 2, 3])):
        written.clear()
        options = [*SMALL, "--epochs", 3, "--save-every", every]
        invoke("train", *options, "--out", tmp_path / str(every))
        assert written == expected


def test_unasked_it_is_written_once_in_a_while(tmp_path, monkeypatch):
    seconds, save = [], run.save_checkpoint

    def watched(folder, config, trained):
        seconds.append(trained.seconds)
        save(folder, config, trained)

    monkeypatch.setattr(run, "save_checkpoint", watched)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.02)
    invoke("train", *SMALL, "--epochs", 30, "--out", tmp_path / "run")
    *due, _last = seconds
    assert len(due) > 1
    assert min(np.diff(due)) >= 0.02


# --- what is refused


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    invoke("train", *SMALL, "--epochs", 2, "--backend", "numpy", "--out", folder)
    return folder


@pytest.fixture
def saved(tmp_path):
    """A small checkpoint: its path, its bytes, its tree."""
    tree = {"w": np.arange(3.0), "b": [np.zeros(2, np.float32), None], "n": np.int64(5), "i": 7}
    path = tmp_path / store.CHECKPOINT
    path.write_bytes(checkpoint.dump(tree, {"epoch": 1, "name": 'a "sha256":"quoted" ü'}))
    return path, path.read_bytes(), tree


def test_a_tree_comes_back_with_its_types(saved):
    path, _, tree = saved
    found = checkpoint.load(path)
    assert found.facts == {"epoch": 1, "name": 'a "sha256":"quoted" ü'}
    again = checkpoint.restore(found, td.tree.map(lambda leaf: leaf, tree))
    assert bits(again) == bits(tree)
    assert [type(leaf) for _, leaf in td.tree.items(again)] == [
        type(leaf) for _, leaf in td.tree.items(tree)
    ]


def test_any_altered_byte_is_noticed(saved):
    path, whole, _ = saved
    for i in range(len(whole)):
        for altered in (whole[i] ^ 1, whole[i] ^ 0x20, 0):  # also another case, and other spaces
            if altered != whole[i]:
                path.write_bytes(whole[:i] + bytes([altered]) + whole[i + 1 :])
                with pytest.raises(errors.RunError, match=r"checkpoint\.safetensors"):
                    checkpoint.load(path)


def test_any_truncation_and_any_addition_is_noticed(saved):
    path, whole, _ = saved
    for content in (*(whole[:i] for i in range(len(whole))), whole + b"\0", b"\0" + whole):
        path.write_bytes(content)
        with pytest.raises(errors.RunError, match=r"checkpoint\.safetensors"):
            checkpoint.load(path)


def test_any_altered_byte_of_the_parameters_is_noticed(tmp_path):
    store.save_params(tmp_path / store.PARAMS, {"w0": np.ones((2, 2)), "b0": np.zeros(2)}, {"a": 1})
    path = tmp_path / store.PARAMS
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(errors.RunError, match=r"params\.safetensors"):
            store.load_run(tmp_path)


class Trap:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("sprung",))


FOREIGN = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Trap())),
    "a NumPy file": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + bytes(120)),
    "nothing": lambda path: path.write_bytes(b""),
    "another program's": lambda path: save_file({"w": np.zeros(3)}, path),
    "parameters": lambda path: path.write_bytes((path.parent / store.PARAMS).read_bytes()),
    "unsealed": lambda path: save_file({}, path, {"format": checkpoint.FORMAT, "facts": "{}"}),
    "no facts": lambda path: path.write_bytes(checksummed.seal({}, {"format": checkpoint.FORMAT})),
    "nested facts": lambda path: path.write_bytes(
        checksummed.seal({}, {"format": checkpoint.FORMAT, "facts": "[" * 50_000})
    ),
    "a list": lambda path: path.write_bytes(checkpoint.dump({}, [])),
    "no configuration": lambda path: path.write_bytes(checkpoint.dump({}, {"config": 5})),
    "a strange optimizer": lambda path: _without(
        path, "config", {"seed": 1, "hidden": [8], "optimizer": 5}
    ),
    "no generator": lambda path: _without(path, "generator"),
    "no history": lambda path: _without(path, "history"),
    "a history cut short": lambda path: _without(path, "history", []),
    "a loss that is no number": lambda path: _without(
        path,
        "history",
        [{**row, "train_loss": []} for row in checkpoint.load(path).facts["history"]],
    ),
    "another generator": lambda path: _without(path, "generator", {"bit_generator": "MT19937"}),
}


def _without(path, name, instead=None):
    saved = checkpoint.load(path)
    facts = {**saved.facts, name: instead}
    path.write_bytes(
        checksummed.seal(saved.arrays, {"format": checkpoint.FORMAT, "facts": json.dumps(facts)})
    )


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_refused_and_left_alone(kind, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (store.CHECKPOINT, store.PARAMS):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    FOREIGN[kind](tmp_path / store.CHECKPOINT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (line,) = invoke("train", "--resume", ".", code=1).stderr.splitlines()
    assert line.startswith("error: ")
    assert store.CHECKPOINT in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"w": np.zeros(4)}, r"w.* should be float64\(4,\), found float64\(3,\)"),
        ({"w": np.zeros(3, np.float32)}, "float32"),
        ({"v": np.zeros(3)}, "found nothing"),
        ({"w": np.zeros(3)}, "does not know"),
    ],
)
def test_a_checkpoint_of_another_tree_is_refused(saved, like, message):
    with pytest.raises(errors.RunError, match=message):
        checkpoint.restore(checkpoint.load(saved[0]), like)


def test_a_checkpoint_holds_no_other_objects():
    with pytest.raises(TypeError, match=r"\['f'\]: .*cannot hold a builtin_function"):
        checkpoint.dump({"f": print}, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "0.5"], f"has rate {recipe.RECIPE.rate}, not 0.5"),
        (["--seed", "1"], "has seed 42, not 1"),
        (["--eager"], "has backend numpy, not None"),
    ],
)
def test_a_run_is_resumed_as_it_was_configured(options, message, finished):
    before = (finished / store.CHECKPOINT).read_bytes()
    assert message in invoke("train", "--resume", finished, *options, code=2).stderr
    assert (finished / store.CHECKPOINT).read_bytes() == before


def test_a_finished_run_may_be_resumed_and_stays_as_it_is(finished):
    before = store.load_run(finished)
    invoke("train", "--resume", finished, *SMALL, "--epochs", 2)  # said again, it is no other
    after = store.load_run(finished)
    assert bits(after.params) == bits(before.params)
    assert after.config == before.config


def test_no_run_can_be_made_shorter_than_it_is(tmp_path):
    options = ["--plain", "--hidden", "none", "--epochs", 3]
    invoke("train", *options, "--out", tmp_path / "run")
    done = invoke("train", "--resume", tmp_path / "run", "--epochs", 1, code=2)
    assert "after epoch 3" in done.stderr
    assert "resumed" not in done.output


def test_where_there_is_nothing_to_resume(tmp_path):
    assert "no such folder" in invoke("train", "--resume", tmp_path / "x", code=1).stderr
    assert "no run to resume" in invoke("train", "--resume", tmp_path, code=1).stderr
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_not_finished_says_how_to_finish_it(tmp_path):
    stopped(tmp_path, small(), after=1)
    assert "--resume" in invoke("evaluate", tmp_path, code=1).stderr
    assert "--resume" in invoke("train", "--out", tmp_path, code=1).stderr


# --- one process at a time


def test_two_processes_cannot_write_one_run(tmp_path):
    folder = tmp_path / "run"
    with start(folder, *SMALL, "--epochs", "1000000") as process:
        try:
            for line in process.stdout:
                if line.startswith(b"epoch 1/"):
                    break
            for arguments in (["--resume"], ["--out"], ["--overwrite", "--out"]):
                done = invoke("train", *arguments, folder, code=1)
                assert "another process is writing this run" in done.stderr
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()
    invoke("train", "--overwrite", "--out", folder, *SMALL, "--epochs", 1)  # the lock died with it
    assert not (folder / locking.NAME).exists()


def test_a_lock_is_free_again_when_its_holder_is_done(tmp_path):
    for _ in range(2):
        with locking.hold(tmp_path):
            for _ in range(2):
                with pytest.raises(BlockingIOError), locking.hold(tmp_path):
                    raise AssertionError("locked twice")
            assert (tmp_path / locking.NAME).exists()
        assert not list(tmp_path.iterdir())


def test_a_lock_that_was_removed_while_we_waited_for_it_is_not_ours(tmp_path, monkeypatch):
    lock, taken = locking._lock, []

    def late(handle):
        lock(handle)
        taken.append(handle)
        if len(taken) == 1:  # its last holder was just done: the name is free for others
            (tmp_path / locking.NAME).unlink()

    monkeypatch.setattr(locking, "_lock", late)
    with locking.hold(tmp_path):
        assert len(taken) == 2
        assert os.path.samestat(os.fstat(taken[1]), (tmp_path / locking.NAME).stat())
