"""One word, one thing: the glossary's places exist, and functions are verbs."""

import ast
import collections
import pkgutil
import re

import pytest

from tests.sources import PACKAGE, SOURCES

GLOSSARY = (PACKAGE.parent / "docs" / "glossary.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| (.+) \| (.+?) \|$", GLOSSARY, re.MULTILINE)
WORDS = {word: where for word, _, where in ROWS if word not in ("word", "---")}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_glossary_lives_where_it_says(word):
    places = re.findall(r"`([\w.]+)`", WORDS[word])
    assert places
    for place in places:
        assert pkgutil.resolve_name(f"tinygrad_digits.{place}") is not None


def test_a_word_has_one_meaning():
    words = [part for word, _, _ in ROWS for part in word.split(", ") if part != "word"]
    assert len(WORDS) >= 40
    assert max(collections.Counter(w for w in words if w != "---").values()) == 1


PARTICIPLES = """
    added applied bound called carried checked collected composed done entered explained filled
    found fused given_once held kept left made matched moved named owned packed placed prepared
    pulled_back pushed raised ran recorded reduced remembered reshaped returned run_through said
    scaled settled shaped shared standing started substituted taken timed trusted valued watched
    weakened written
    """
"""First words that say what a value is, and so not what a function does."""


def test_functions_are_verbs():
    banned = set(PARTICIPLES.split())
    named = {
        f"{path.relative_to(PACKAGE).as_posix()}: {node.name}"
        for path, module in SOURCES.items()
        for node in module.body
        if isinstance(node, ast.FunctionDef)
        and {node.name.strip("_"), node.name.strip("_").partition("_")[0]} & banned
    }
    assert named == set()
