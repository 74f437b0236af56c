"""The pages for whoever comes after name what is there."""

import re
from pathlib import Path

import pytest

from tests.test_layering import LAYERS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    inside = [link for link in links if not link.startswith(("http", "mailto"))]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_every_room_is_on_the_page_and_in_its_picture():
    picture = (ROOT / "docs" / "rooms.svg").read_text("utf-8")
    rooms = {member.partition(".")[0] for members in LAYERS for member in members}
    places = set(re.findall(r"`(\w+)`", PAGE))
    assert rooms <= places
    drawn = set(re.findall(r">(\w+)</text>", picture))
    assert rooms - {"nn", "special", "linalg", "fft", "signal", "errors", "tree"} <= drawn


def test_what_the_page_names_is_in_the_file_that_it_names():
    for name, path in re.findall(r"`(?:\w+\.)?(\w+)` in \[`[^`]+`\]\(\.\./([^)]+)\)", PAGE):
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), (name, path)


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 220
