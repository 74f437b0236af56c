"""Machine code on disk: found again, never trusted where others may write, and never missed."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_digits as td

pytest.importorskip("llvmlite")

from tinygrad_digits.compiler.native import cache, library

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_DIGITS_CACHE", str(tmp_path))
    cache._warn_of.cache_clear()
    return tmp_path / "native"


@pytest.fixture
def compiled(monkeypatch):
    """A list that grows with everything that is compiled."""
    texts = []
    compile_text = library.compile_text
    monkeypatch.setattr(
        library, "compile_text", lambda text: texts.append(text) or compile_text(text)
    )
    return texts


def run(constant=17.0):
    return td.jit(lambda x: np.sum(np.sqrt(x) + constant), backend="native")(np.ones(3))


def test_what_is_kept_is_found_again(folder, compiled):
    assert run() == run() == 54
    assert len(compiled) == 1
    assert run(18.0) == 57
    assert len(compiled) == len([*folder.iterdir()]) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage", [lambda code: b"", lambda code: code[:-1], lambda code: b"x" * len(code)]
)
def test_a_damaged_file_is_made_anew(damage, folder, compiled):
    run()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert run() == 54
    assert len(compiled) == 2
    assert file.read_bytes()[:32] != b"x" * 32
    assert len(file.read_bytes()) == len(whole)


def test_the_code_of_another_program_is_not_run(folder):
    run()
    (file,) = folder.iterdir()
    code = file.read_bytes()
    run(18.0)
    for other in folder.iterdir():
        other.write_bytes(code)
    assert run(18.0) == 57


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other permissions")
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_to_is_refused(mode, folder, compiled):
    folder.mkdir()
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match=r"others may write to .*chmod 700"):
        assert run() == 54
    assert run() == 54  # which says nothing more
    assert [*folder.iterdir()] == []
    assert len(compiled) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other permissions")
def test_the_folder_around_it_is_looked_at_too(folder, compiled):
    folder.parent.chmod(0o770)  # others could put another folder in the place of this one
    with pytest.warns(RuntimeWarning, match=rf"others may write to {folder.parent},"):
        assert run() == 54
    assert [*folder.iterdir()] == []
    folder.parent.chmod(0o1777)  # as of /tmp: what is there only its owner can move
    assert run() == run() == 54
    assert len(compiled) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other permissions")
def test_folders_that_are_made_are_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_DIGITS_CACHE", str(tmp_path / "a" / "b"))
    umask = os.umask(0)
    try:
        assert run() == 54
    finally:
        os.umask(umask)
    made = [tmp_path / name for name in ("a", "a/b", "a/b/native")]
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700] * 3
    assert len([*made[-1].iterdir()]) == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other permissions")
def test_somebody_elses_folder_is_refused(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: -1)
    with pytest.warns(RuntimeWarning, match="others may write to"):
        assert run() == 54


def test_without_a_folder_nothing_is_kept(tmp_path, compiled, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYGRAD_DIGITS_CACHE", str(tmp_path / "file"))
    assert run() == run() == 54
    assert len(compiled) == 2


def test_without_a_home_nothing_is_kept(compiled, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("TINYGRAD_DIGITS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.pathlib.Path, "home", no_home)
    assert run() == run() == 54
    assert len(compiled) == 2


def test_where_nothing_can_be_written_it_goes_on(monkeypatch):
    def refuse(**_):
        raise OSError("read-only")

    monkeypatch.setattr(cache.tempfile, "NamedTemporaryFile", refuse)
    assert run() == run() == 54


FORMULA = """
import numpy as np, tinygrad_digits as td
from tinygrad_digits.staging.lowering import register_lowering
op = td.define(lambda x: x {0} 2, lambda g, _y, x: g, name="op", kind="elementwise")
register_lowering(op, element=lambda x: x {0} 2)
print(td.jit(op, backend="native")(np.full(3, 5.0))[0])
"""


@pytest.mark.parametrize("sign", ["+", "*"])
def test_formulas_from_outside_are_told_apart(sign):
    """By the machine code that they lead to: nothing else says what a function does."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", FORMULA.format(each)],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        for each in ("-", sign)
    ]  # fmt: skip
    assert printed == ["3.0", {"+": "7.0", "*": "10.0"}[sign]]
