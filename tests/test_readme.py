"""What the README shows runs, and its two commands are where a new user looks for them."""

import re
from pathlib import Path

import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
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
