"""The report: what it says, that a real browser shows all of it, and that it needs nothing else."""

import base64
import dataclasses
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests import browser
from tinygrad_digits.digits import model
from tinygrad_digits.digits.app import cli
from tinygrad_digits.digits.data import data_uris
from tinygrad_digits.digits.data import dataset as data
from tinygrad_digits.digits.model import evaluation
from tinygrad_digits.digits.runs import material, plots, report, store
from tinygrad_digits.digits.training import recipe

SECTIONS = {
    "curves": "Curves",
    "confusion": "Confusion",
    "trust": "Trust",
    "mistakes": "Mistakes",
    "weights": "Weights of the first layer",
    "tape": "The tape",
    "configuration": "Configuration",
    "environment": "Environment",
}
VOID = {"meta", "link", "img", "br"}


def invoke(*args, code=0):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that misreads more digits than a gallery shows of them."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    invoke("train", "--plain", "--out", folder, "--epochs", 1, "--hidden", "24", "--seed", 3)
    return folder


@pytest.fixture(scope="module")
def driver():
    with browser.chromium() as driver:
        yield driver


@pytest.fixture
def opened(driver, folder):
    browser.visit(driver, (folder / report.NAME).as_uri())
    return driver


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


class Parsed(html.parser.HTMLParser):
    """A page's tags, checked for balance."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def all(self, attribute):
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]


# In the browser


def test_every_section_is_shown(opened):
    for section, heading in SECTIONS.items():
        assert opened.find_element("css selector", f"section#{section} > h2").text == heading
        assert opened.find_element("css selector", f"nav a[href='#{section}']").is_displayed()
    assert opened.find_element("css selector", "#tape svg").is_displayed()


def test_every_image_is_loaded_and_says_what_it_shows(opened):
    images = opened.execute_script(
        "return [...document.images].map(i => [i.alt, i.naturalWidth, i.width, "
        "!!i.closest('[role=img][aria-label]')])"
    )
    misread = (report.MISREAD + report.CLOSE) * 2
    assert len(images) == 10 + 3 + misread + 24
    for alt, natural, shown, explained in images:
        assert natural > 0
        assert shown > 0
        assert alt or explained


def test_nothing_is_fetched_and_nothing_complained_about(driver, folder):
    browser.requests(driver), browser.console(driver)
    address = (folder / report.NAME).as_uri()
    browser.visit(driver, address)
    driver.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    assert browser.requests(driver) == [address]
    assert browser.console(driver) == []


def test_what_would_be_fetched_is_noticed_and_refused(driver, folder, tmp_path):
    text = (folder / report.NAME).read_text(encoding="utf-8")
    intruder = "http://127.0.0.1:9/intruder.png"
    (tmp_path / "bent.html").write_text(
        text.replace("<main>", f'<main><img id="bent" src="{intruder}">'), encoding="utf-8"
    )
    (tmp_path / "bare.html").write_text(f'<img src="{intruder}">', encoding="utf-8")
    browser.console(driver)
    browser.visit(driver, (tmp_path / "bent.html").as_uri())
    assert driver.execute_script("return document.getElementById('bent').naturalWidth") == 0
    assert "Content Security Policy" in " ".join(browser.console(driver))
    browser.visit(driver, (tmp_path / "bare.html").as_uri())
    assert intruder in browser.requests(driver)


def test_it_reads_the_same_without_javascript(opened, folder, tmp_path):
    with_scripts = opened.find_element("tag name", "body").text
    with browser.chromium(javascript=False) as driver:
        (tmp_path / "scripted.html").write_text(
            "<!DOCTYPE html><p>off</p><script>document.write('on')</script>", encoding="utf-8"
        )
        browser.visit(driver, (tmp_path / "scripted.html").as_uri())
        assert driver.find_element("tag name", "body").text == "off"
        browser.visit(driver, (folder / report.NAME).as_uri())
        assert driver.find_element("tag name", "body").text == with_scripts
        table = driver.find_element("css selector", "details table")
        assert not table.is_displayed()
        driver.find_element("tag name", "summary").click()
        assert table.is_displayed()


@pytest.mark.parametrize("width", [320, 800])
def test_it_fits_narrow_windows(folder, width):
    with browser.chromium(size=(width, 800)) as driver:
        browser.visit(driver, (folder / report.NAME).as_uri())
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= driver.execute_script("return innerWidth") == width


FULLEST = "document.querySelectorAll('td').forEach(e => e.style.setProperty('--share', 1))"
COLOURS = """
const solid = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (c !== "rgba(0, 0, 0, 0)") return c;
} };
return [...document.querySelectorAll("body *")]
    .filter(e => !e.closest("svg, .none"))
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => [e.outerHTML.slice(0, 80), getComputedStyle(e).color, solid(e)]);
"""


def luminance(colour):
    """Relative, as WCAG 2 defines it, of rgb(0-255) or color(srgb 0-1)."""
    numbers = np.array([float(x) for x in re.findall(r"[\d.]+", colour)[:3]])
    linear = numbers if colour.startswith("color(srgb") else numbers / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out(folder, dark):
    with browser.chromium(dark=dark) as driver:
        browser.visit(driver, (folder / report.NAME).as_uri())
        driver.execute_script(FULLEST)
        found = driver.execute_script(COLOURS)
    assert len(found) > 100
    paper = luminance(found[0][2])
    assert paper < 0.05 if dark else paper > 0.8
    for element, ink, ground in found:
        low, high = sorted([luminance(ink), luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, (element, ink, ground)


# What it says


def test_it_gives_the_figures_of_the_run(opened, folder):
    metrics, config = read(folder, "metrics.json"), read(folder, "config.json")
    heading = opened.find_element("tag name", "h1").text
    assert heading.startswith(f"{100 * metrics['test_accuracy']:.2f} %")
    right = sum(metrics["confusion"][digit][digit] for digit in range(10))
    assert f"{right} of 360 test digits" in heading
    cells = opened.find_elements("css selector", ".matrix tbody td")
    counts = [int(cell.get_attribute("textContent")) for cell in cells]
    assert counts == np.ravel(metrics["confusion"]).tolist()
    said = {
        row.find_element("tag name", "th").text: row.find_element("tag name", "td").text
        for row in opened.find_elements("css selector", ".facts tr")
    }
    assert said["seed"] == "3"
    assert set(config) <= set(said)
    assert said["numpy"] == metrics["environment"]["numpy"] == np.__version__
    rows = opened.find_elements("css selector", "#curves tbody tr")
    assert len(rows) == len(read(folder, "history.json")) == 2


def test_the_gallery_shows_the_surest_mistakes_first(opened, folder):
    params, config = store.load_run(folder)
    test = material.load_split(recipe.Config.of(config)).test
    found = evaluation.evaluate(params, test)
    wrong = np.flatnonzero(found.predicted != test.labels)
    surest = wrong[found.probabilities[wrong].max(axis=1).argmax()]
    first = opened.find_element("css selector", ".gallery li")
    assert first.text.split()[:4] == [
        "said", str(found.predicted[surest]), f"{100 * found.probabilities[surest].max():.1f}", "%",
    ]  # fmt: skip
    assert f"truth {test.labels[surest]}" in first.text
    image, _ = first.find_elements("tag name", "img")
    assert f"test digit {surest}," in image.get_attribute("alt")
    assert image.get_attribute("src") == data_uris.ink(test.images[surest])
    assert f"{len(wrong)} of 360 test digits misread" in opened.find_element("id", "mistakes").text


def test_it_is_one_small_well_formed_file(folder):
    text = (folder / report.NAME).read_text(encoding="utf-8")
    assert len(text) < 500_000
    page = Parsed(text)
    ids = page.all("id")
    assert len(set(ids)) == len(ids)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    for address in page.all("src") + page.all("href"):
        assert address.startswith("data:image/") or address[1:] in ids


@pytest.fixture(scope="module")
def tiny():
    """The arguments of `report.render_page` but for the name: few digits, and not trained."""
    config = recipe.configure({"epochs": 0, "hidden": ()}, plain=True)
    rng = np.random.default_rng(0)
    part = data.Dataset(rng.random((20, 64)), np.arange(20) % 10)
    params = {"w0": rng.standard_normal((64, 10)), "b0": np.zeros(10)}
    scores = {"epoch": 0, "train_loss": 0.5, "validation_loss": 0.5}
    scores |= {"train_accuracy": 0.1, "validation_accuracy": 0.1}
    metrics = {"seconds": 0.0, "interrupted": False}
    made = store.SavedRun(params, dataclasses.asdict(config))
    return made, [scores], metrics, data.Split(part, part, part), evaluation.evaluate(params, part)


def test_what_it_is_given_is_escaped(tiny):
    made, history, metrics, *rest = tiny
    evil = '"><script>alert(1)</script>'
    made = made._replace(config={**made.config, "optimizer": evil, evil: 1})
    metrics = {**metrics, "environment": {evil: evil}}
    text = report.render_page(evil, made, history, metrics, *rest)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)") == 6  # in the title, the heading and the tables
    Parsed(text)


def test_a_run_without_hidden_layers_and_of_before_reports(tiny):
    text = report.render_page("old", *tiny)
    assert "10 outputs" in text
    assert "older than the report" in text
    assert "Interrupted" not in text


def test_an_interrupted_run_says_so(tiny):
    made, history, metrics, *rest = tiny
    text = report.render_page("short", made, history, {**metrics, "interrupted": True}, *rest)
    assert re.search(r"<strong>Interrupted</strong> after epoch 0 of 0", text)


def test_a_perfect_model_has_no_mistakes(tiny):
    made, history, metrics, split, _ = tiny
    labels = model.predict(made.params, split.test.images)
    split = split._replace(test=split.test._replace(labels=labels))
    found = evaluation.evaluate(made.params, split.test)
    text = report.render_page("perfect", made, history, metrics, split, found)
    assert "None of 20 test digits misread" in text
    assert 'class="wrong"' not in text


# Pictures


def decoded(uri):
    kind, content = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_pictures_of_pixels():
    image = np.zeros(64)
    image[:3] = 1, 0.5, 2
    assert decoded(data_uris.ink(image))[0, :4].tolist() == [0, 128, 0, 255]
    image[:3] = 1, -2, 0
    picture = decoded(data_uris.signed(image))
    assert picture.shape == (8, 8, 4)
    assert picture[0, :2].tolist() == [[*data_uris.MORE, 128], [*data_uris.LESS, 255]]
    assert (picture[..., 3] > 0).sum() == 2
    assert decoded(data_uris.signed(image, scale=4.0))[0, 1, 3] == 128
    assert not decoded(data_uris.signed(np.zeros(64)))[..., 3].any()


def test_a_curve_is_the_same_svg_each_time(tiny):
    drawn = [plots.encode_svg(plots.draw_curve(tiny[1], "loss")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert b"<svg" in drawn[0]


# The command


def test_the_command_writes_the_same_report_again(folder):
    before = (folder / report.NAME).read_bytes()
    (folder / report.NAME).unlink()
    result = invoke("report", folder)
    assert report.NAME in result.stdout
    assert (folder / report.NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("history.json", "[]"),
        ("history.json", '[{"epoch": 1}]'),
        ("history.json", '[{"epoch"'),
        ("metrics.json", '{"seconds": "long", "interrupted": false}'),
        ("metrics.json", "[1]"),
        ("metrics.json", None),
    ],
)
def test_the_command_names_a_damaged_file(folder, tmp_path, name, content):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("params.safetensors", "config.json", "history.json", "metrics.json"):
        (copy / file).write_bytes((folder / file).read_bytes())
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content, encoding="utf-8")
    result = invoke("report", copy, code=1)
    assert str(copy / name) in result.stderr
    assert not (copy / report.NAME).exists()
