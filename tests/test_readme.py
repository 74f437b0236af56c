"""What the README shows runs, and its two commands are where a new user looks for them."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_digits as td

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
OPTIM_PAGE = (ROOT / "docs" / "optim.md").read_text()
OPTIM = re.findall(r"^```python\n(.*?)^```$", OPTIM_PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda code: code.splitlines()[-1])
def test_programs_run(code):
    exec(compile(code, "README.md", "exec"), {})


def test_the_model_is_fifteen_lines_or_so_and_learns(capsys):
    model = next(code for code in PROGRAMS if "cross_entropy" in code)
    exec(compile(model, "README.md", "exec"), {})
    loss = float(re.search(r"loss (\S+)", capsys.readouterr().out)[1])
    assert loss < np.log(10) / 10  # guessing costs log 10
    assert len([line for line in model.splitlines() if line.strip()]) <= 16


def test_the_two_commands_stand_alone_near_the_top():
    commands = [code.strip() for language, code in BLOCKS[:2] if not language]
    assert commands == [
        'pip install -e ".[digits]" && python -m tinygrad_digits train',
        'pip install -e ".[dev]" && python -m pytest',
    ]


@pytest.mark.parametrize("code", OPTIM, ids=lambda code: code.splitlines()[-1])
def test_programs_beside_optax_run(code, capsys):
    exec(compile(code, "docs/optim.md", "exec"), {})
    assert float(capsys.readouterr().out) < 1.1  # of targets that are noise: 0.98 at best


def test_every_optimizer_and_schedule_stands_beside_optaxs():
    schedules = {name for name, f in vars(td.optim.schedules).items() if inspect.isfunction(f)}
    public = {name for name in td.optim.__all__ if inspect.isfunction(getattr(td.optim, name))}
    table = OPTIM_PAGE.partition("## Names")[2]
    for name in public:
        assert re.search(rf"^\| `{name}\b", table, re.MULTILINE), name
    for name in re.findall(r"^\| `schedules\.(\w+)", table, re.MULTILINE):
        assert name in schedules
