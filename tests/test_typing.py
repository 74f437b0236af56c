"""What type checkers say of a user's program."""

import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

from tests.typing import user_code

PROGRAM = pathlib.Path(user_code.__file__)
CHECKERS = {
    "mypy": ("--strict", "--no-error-summary", "--hide-error-context"),
    "pyright": (),
}
REVEALED = re.compile(
    r":(?P<line>\d+):(?:\d+ - information: Type of \".*\" is|"
    r" note: Revealed type is) \"(?P<type>.*)\"$",
    re.MULTILINE,
)


def expected():
    """The types that the program's comments say, by the line of their reveal_type."""
    lines = PROGRAM.read_text().splitlines()
    said = {}
    for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True), start=1):
        if re.match(r" *reveal_type\(", line):
            said[number] = line.partition("  # ")[2] or after.removeprefix("# ")
    return said


def strip_ndarrays(kind):
    """The same without the shapes and dtypes of arrays: ndarray[...] -> ndarray."""
    head, found, tail = kind.partition("ndarray[")
    if not found:
        return kind
    depth = end = 1
    while depth:
        depth += {"[": 1, "]": -1}.get(tail[end], 0)
        end += 1
    return f"{head}ndarray{strip_ndarrays(tail[end:])}"


def shorten(kind):
    """A type as either checker writes it, without modules, defaults and what is inside ndarrays."""
    kind = re.sub(r"\b\w+\.(?=\w)", "", kind)
    kind = re.sub(r"tuple\[.*fallback=(\w+)\]", r"\1", kind)  # how mypy writes a namedtuple
    kind = re.sub(r" ?=( [\w.]+)?(?=[,)\]])", " = ...", strip_ndarrays(kind))
    return re.sub(r"\[\[(.*?)\], ", r"[(\1), ", kind).removeprefix("def ")


@pytest.mark.parametrize(
    "checker", [name for name in CHECKERS if importlib.util.find_spec(name) is not None]
)
def test_a_users_program_is_typed_as_its_comments_say(checker):
    done = subprocess.run(
        [sys.executable, "-m", checker, *CHECKERS[checker], str(PROGRAM)],
        capture_output=True, text=True, check=False, timeout=300, cwd=PROGRAM.parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = {int(m["line"]): shorten(m["type"]) for m in REVEALED.finditer(done.stdout)}
    assert revealed == expected()


def test_the_program_runs(capsys):
    losses = user_code.main()
    assert losses[-1] < losses[0] / 2
    assert "Params" in capsys.readouterr().err  # of typing.reveal_type
