"""The benchmarks run, and what they write agrees with itself. Nothing here depends on a timing."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import (
    by_recipe,
    chart,
    contenders,
    first_call,
    memory,
    peers,
    pinning,
    problem,
    steps,
    timing,
    workloads,
)
from benchmarks.contenders import JIT, MANUAL, NATIVE, OURS, PRODUCTS, TAPE
from benchmarks.peers import PEERS
from benchmarks.targets import judged
from tinygrad_digits.digits.data import dataset as data
from tinygrad_digits.digits.model import manual
from tinygrad_digits.digits.runs import material
from tinygrad_digits.digits.training import optimizer_choice, recipe

ROOT = Path(__file__).parent.parent


WITHOUT_LLVM = "import sys\nsys.modules['llvmlite'] = None\n"
"""A sitecustomize.py: of the process, and of those that it starts."""
PRESENT = ["NumPy", "native"]


@pytest.fixture(scope="module", params=PRESENT)
def native(request):
    return request.param == "native"


@pytest.fixture(scope="module")
def out(tmp_path_factory, native):
    out = tmp_path_factory.mktemp("benchmarks")
    options = ("--quick", "--no-peers", "--out", out)
    custom = tmp_path_factory.mktemp("custom")
    (custom / "sitecustomize.py").write_text("" if native else WITHOUT_LLVM)
    done = run_benchmarks(*options, PYTHONPATH=str(custom))
    assert done.returncode == 0, done.stderr
    (out / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return out


def run_benchmarks(
    *options, code="import runpy; runpy.run_module('benchmarks', None, '__main__')", **environment
):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, options)],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def test_writes_three_files(out):
    files = {"results.md", "results.json", "results.png"}
    assert {path.name for path in out.iterdir()} == files | {"printed.txt"}
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("key", "to"), [("steps", MANUAL), ("all_cores", MANUAL), ("workloads", TAPE)]
)
def test_ratios_are_those_of_the_raw_rounds(results, key, to):
    for measured in results[key]:
        base = timing.Timing(1, measured["rows"][to]["rounds_us"])
        assert len(base.micros) == measured["rounds"]
        for row in measured["rows"].values():
            again = timing.ratio(timing.Timing(1, row["rounds_us"]), base)
            assert row["ratio"] == again._asdict()
        assert measured["rows"][to]["ratio"]["median"] == 1


def test_everyone_of_ours_that_can_takes_part(results, native):
    jits = {*contenders.jits()} if native else {JIT}
    for step in results["steps"] + results["all_cores"]:
        assert step["rows"].keys() == {MANUAL, TAPE, PRODUCTS, *jits} - step["left_out"].keys()
    for key in ("workloads", "first_calls"):
        for measured in results[key]:
            assert jits <= measured["rows"].keys() | measured["left_out"].keys()
    assert len(results["workloads"]) == len(workloads.QUICK_WORKLOADS)


def test_page_shows_the_figures_of_the_json(out, results):
    page = (out / "results.md").read_text(encoding="utf-8")
    for step in results["steps"]:
        for name in {TAPE, JIT} & step["rows"].keys():
            assert f"**{step['rows'][name]['ratio']['median']:.2f}**" in page
    for workload in results["workloads"]:
        assert f"| {workload['workload']}" in page
        assert f"**{workload['rows'][JIT]['ratio']['median']:.2f}**" in page
    for row in results["memory"]:
        assert f"{row['rows'][TAPE]['bytes'] / 1e6:.2f} MB" in page
    for target in judged(results):
        assert f"| {target.what}" in page
    assert results["environment"]["numpy"] in page


def test_the_terminal_shows_steps_and_memory(out, results):
    printed = (out / "printed.txt").read_text(encoding="utf-8")
    for step in results["steps"]:
        assert f"| {step['network']} " in printed
        for name in {TAPE, JIT} & step["rows"].keys():
            assert f"{step['rows'][name]['ratio']['median']:.2f}" in printed
    for row in results["memory"]:
        assert f"{row['rows'][TAPE]['bytes'] / 1e6:.2f} MB" in printed


def test_the_recipes_step_is_that_of_train(results):
    (step,) = [step for step in results["steps"] if step["recipe"]]
    assert step["sizes"] == [data.PIXELS, *recipe.RECIPE.hidden, data.CLASSES]
    assert step["batch"] == recipe.RECIPE.batch_size
    config = recipe.configure({})
    images = material.load_split(config).train.labels
    assert config.steps(len(images)) == problem.STEPS
    descends = optimizer_choice.choose_optimizer(config, problem.STEPS)
    start = problem.make(problem.RECIPE_CASE)
    grads = manual.loss_and_grads(*start.data)[1]
    adam, decay, scheduled = descends.init(start.params)
    at = np.int64(problem.TAKEN)
    memory_ = (
        adam._replace(step=at, mean=start.mean, square=start.square),
        decay,
        scheduled._replace(step=at),
    )
    expected = descends.update(start.params, grads, memory_)[0]
    by_hand = by_recipe.manual_step(start)()[1]
    for name, p in expected.items():
        moved = np.abs(p - start.params[name]).max()
        np.testing.assert_allclose(by_hand[name], p, rtol=0, atol=1e-4 * moved, err_msg=name)


@pytest.mark.parametrize(
    "step", [0, 1, by_recipe.RISING - 1, by_recipe.RISING, 2000, problem.STEPS]
)
def test_the_rate_by_hand_is_the_recipes(step):
    schedule = optimizer_choice.choose_rate(recipe.RECIPE, problem.STEPS)
    assert by_recipe.rate_at(step) == pytest.approx(float(schedule(step)), rel=1e-12, abs=1e-18)


def test_peers_take_the_recipes_step():
    """Those that are installed."""
    start = problem.make(problem.RECIPE_CASE)
    theirs = {name: peer.recipe for name, peer in peers.installed().items() if peer.recipe}
    makers = {**steps.own_makers(recipe=True), **theirs}
    contenders.check_agreement({k: make(start) for k, make in makers.items()}, start.params)


def test_every_step_starts_from_the_same(results):
    assert results["steps"]
    start = problem.make(problem.RECIPE_CASE)
    copies = [{k: a.copy() for k, a in tree.items()} for tree in (start.params, start.mean)]
    for make in steps.own_makers(recipe=True).values():
        step = make(start)
        losses = {float(step()[0]) for _ in range(3)}
        assert len(losses) == 1
    for tree, copy in zip((start.params, start.mean), copies, strict=True):
        assert all((tree[k] == copy[k]).all() for k in tree)


NUMPY_ALONE = """
import runpy, sys
for name in ("matplotlib", "rich", "scipy", "sklearn", "llvmlite", "typer", "PIL", "safetensors",
             "threadpoolctl", "pandas", "torch", "jax", "optax", "autograd", "mygrad"):
    sys.modules[name] = None
runpy.run_module("benchmarks", None, "__main__")
"""


def test_numpy_alone_is_enough(tmp_path):
    options = [
        "--quick",
        *(word for name in ("steps", "memory", "chains", "workloads") for word in ("--only", name)),
    ]
    done = run_benchmarks(*options, "--out", tmp_path, code=NUMPY_ALONE)
    assert done.returncode == 0, done.stderr
    assert "| 64-512-128-10, AdamW |" in done.stdout
    assert "training step 1/" in done.stderr
    assert "no chart: it needs matplotlib" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"results.md", "results.json"}


def test_a_short_run_leaves_the_committed_results_alone():
    before = {path: path.read_bytes() for path in main.RESULTS.iterdir()}
    done = run_benchmarks("--quick", "--no-peers", "--only", "import")
    assert done.returncode == 0, done.stderr
    assert "the package" in done.stdout
    assert {path: path.read_bytes() for path in main.RESULTS.iterdir()} == before


@pytest.mark.parametrize(
    "options", [["--only", "nothing"], ["--quick", "--full"], ["fast"], ["--only"], ["--out"]]
)
def test_bad_usage_exits_with_2(options):
    done = run_benchmarks(*options)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_the_parts_are_named_in_the_help():
    done = run_benchmarks("--help")
    assert all(name in done.stdout for name in main.PARTS)


@pytest.mark.skipif(not pinning.CAN_PIN, reason="no affinity there")
def test_contenders_run_on_one_core_or_on_all():
    code = """
import os
from benchmarks import pinning
before = os.sched_getaffinity(0)
cores = pinning.pin()
assert len(os.sched_getaffinity(0)) == 1
pinning.unpin(cores)
assert os.sched_getaffinity(0) == before
"""
    done = run_benchmarks(code=code)
    assert done.returncode == 0, done.stderr


def test_blas_ran_on_one_thread(results):
    assert {pool["num_threads"] for pool in results["environment"]["blas"]} == {1}


def test_names_neither_machine_nor_paths(out):
    text = (out / "results.json").read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert sys.prefix not in text


def test_orders_give_everyone_every_place():
    rounds = timing.orders(["a", "b", "c"])
    first = [names[0] for names in (next(rounds) for _ in range(60))]
    assert {first.count(name) for name in "abc"} == {20}


def test_everyone_has_a_marker():
    assert {*OURS, *PEERS, PRODUCTS} == chart.STYLE.keys()


@pytest.mark.parametrize("module", ["llvmlite"])
def test_column_without_its_modules_is_left_out(monkeypatch, module):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
    )
    assert contenders.jits() == {JIT: "numpy"}
    assert module in contenders.missing(NATIVE)


def test_a_peer_that_fails_or_is_late_is_left_out(capsys):
    def fails():
        raise OSError("no compiler")

    def done():
        return 0, {}

    makers = {TAPE: lambda: done, "PyTorch": fails, "JAX jit": lambda: lambda: time.sleep(5)}
    steps, left_out = contenders.assembled(makers, "a step", cap=0.05)
    assert steps.keys() == {TAPE}
    assert left_out == {"PyTorch": "OSError", "JAX jit": "no result within 0.05 s"}
    assert "without PyTorch, OSError('no compiler')" in capsys.readouterr().err
    with pytest.raises(OSError, match="no compiler"):
        contenders.assembled({JIT: fails}, "a step", cap=1)


def test_an_alarm_that_is_swallowed_is_no_way_past_the_limit():
    with pytest.raises(TimeoutError), timing.at_most(0.01), contextlib.suppress(TimeoutError):
        time.sleep(5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contenders_that_disagree_are_not_timed(dtype):
    start = {"w": np.zeros(3, dtype)}
    w, loss = np.ones(3, dtype), np.ones((), dtype)[()]
    off = 1 + 2 * contenders.TOLERANCE[dtype]
    contenders.check_agreement(
        {"one": lambda: (loss, {"w": w}), "other": lambda: (loss, {"w": w})}, start
    )
    for wrong in [
        (loss * off, {"w": w}),
        (loss, {"w": w * off}),
        (loss, {"w": w.astype("float16")}),
        (loss, {}),
    ]:
        with pytest.raises(AssertionError, match="other"):
            contenders.check_agreement(
                {"one": lambda: (loss, {"w": w}), "other": lambda wrong=wrong: wrong}, start
            )


def test_memory_counts_what_a_program_keeps():
    problem_arrays = np.ones(1000)
    held = []

    def f():
        if not held:
            held.append(np.ones(10_000))
        return problem_arrays + 1

    assert 88_000 <= memory.peak(f) < 89_000


def test_pays_after_as_many_steps_as_save_the_first_call():
    def step(eager, jit):
        return {"rows": {TAPE: {"median_us": eager}, JIT: {"median_us": jit}}}

    assert first_call.pays_after(0.001, JIT, step(eager=15, jit=5)) == pytest.approx(100)
    assert first_call.pays_after(0.001, JIT, step(eager=5, jit=5)) is None
    assert first_call.pays_after(0.001, NATIVE, step(eager=15, jit=5)) is None
