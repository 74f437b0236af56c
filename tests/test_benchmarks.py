"""The benchmarks run, and what they write agrees with itself. Nothing here depends on a timing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import timing
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


def test_ratios_are_those_of_the_raw_rounds(results):
    for step in results["steps"]:
        manual = timing.Timing(1, step["rows"]["manual"]["rounds_us"])
        assert len(manual.micros) == step["rounds"]
        for row in step["rows"].values():
            again = timing.ratio(timing.Timing(1, row["rounds_us"]), manual)
            assert row["ratio"] == again._asdict()
        assert step["rows"]["manual"]["ratio"]["median"] == 1


def test_page_shows_the_figures_of_the_json(out, results):
    page = (out / "results.md").read_text(encoding="utf-8")
    for step in results["steps"]:
        assert f"**{step['rows']['tape']['ratio']['median']:.2f}**" in page
    for row in results["memory"]:
        assert f"{row['tape_bytes'] / 1e6:.2f} MB" in page
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
