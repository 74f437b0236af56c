"""The benchmarks run, and what they write agrees with itself. Nothing here depends on a timing."""

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import chart, contenders, first_call, memory, timing, workloads
from benchmarks.contenders import JIT, MANUAL, NUMBA, OURS, PRODUCTS, TAPE
from benchmarks.peers import PEERS
from benchmarks.targets import judged

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def test_writes_three_files(out):
    assert {path.name for path in out.iterdir()} == {"results.md", "results.json", "results.png"}
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(("key", "to"), [("steps", MANUAL), ("workloads", TAPE)])
def test_ratios_are_those_of_the_raw_rounds(results, key, to):
    for measured in results[key]:
        base = timing.Timing(1, measured["rows"][to]["rounds_us"])
        assert len(base.micros) == measured["rounds"]
        for row in measured["rows"].values():
            again = timing.ratio(timing.Timing(1, row["rounds_us"]), base)
            assert row["ratio"] == again._asdict()
        assert measured["rows"][to]["ratio"]["median"] == 1


def test_everyone_of_ours_that_can_takes_part(results):
    jits = set(contenders.jits())
    for step in results["steps"]:
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


@pytest.mark.parametrize("module", ["numba", "scipy"])
def test_column_without_its_modules_is_left_out(monkeypatch, module):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
    )
    assert contenders.jits() == {JIT: "numpy"}
    assert module in contenders.missing(NUMBA)


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
    assert first_call.pays_after(0.001, NUMBA, step(eager=15, jit=5)) is None
