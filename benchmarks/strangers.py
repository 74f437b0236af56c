"""What a trained classifier makes of what is no digit, and of digits in handwriting fonts.

`python -m benchmarks.strangers RUN...` prints which share of each looks like no digit to the runs
that `tinygrad-digits train` wrote: of their own test digits and those of tests/drawn.py, where that
is a false alarm, and of letters, scribbles and noise, where it is right. `--fonts FOLDER` has them
read the digits of all fonts in it, too.

README's figures are of the seeds 42, 1 and 7. Its 28 fonts are latin-400-normal of Fontsource's
architects-daughter, caveat, caveat-brush, covered-by-your-grace, gloria-hallelujah, homemade-apple,
indie-flower, kalam, nanum-pen-script, patrick-hand, reenie-beanie, rock-salt, shadows-into-light;
and Debian's fonts-breip (Breip.ttf), -bwht, -dkg-handwriting, -klee (Regular), -rufscript and
-sjfonts.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import CubicSpline

from tests import drawn
from tinygrad_digits.digits.images.normalise import fit_ink
from tinygrad_digits.digits.model import kinds
from tinygrad_digits.digits.model.familiarity import find_strange, measure_distances, measure_energy
from tinygrad_digits.digits.runs import familiar, material, store
from tinygrad_digits.digits.training.recipe import Config

from .drawn import SEED, read_picture

LETTERS = "AEFHKMNPRTUVWXYadefhkmnprtuvwxy&#?%@"
"""None that a hand might mean for a digit, as B, I, O, S, Z, b, g, l, q."""
TEXT_FONTS = ("DejaVuSans*", "DejaVuSerif*", "STIXGeneral*", "cmr*", "cmss*", "cmtt*", "cmb*")
"""Of matplotlib's, which every machine with the program has."""
SIDE = 160
SCRIBBLES = 500
TURN = 4
"""Degrees: the standard deviation."""
FINE = 2
"""Pixels of a scribble's picture for one of the ink that is read."""
FONT_FILES = (".ttf", ".otf", ".woff", ".woff2")


JUDGED = ("looks like no digit", "by distance alone", "by energy alone", "read right")
"""Of each run; alone they have a limit that makes as many false alarms of its own test digits."""


class Shown(NamedTuple):
    """Images (n, 64) in 0 ... 1, and their labels (n,) where they are digits."""

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None


# --- what is shown


def draw_letters(rng: np.random.Generator) -> Shown:
    """Every letter in every text font, turned a little."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = sorted({font for pattern in TEXT_FONTS for font in folder.glob(f"{pattern}.ttf")})
    fonts = [font for font in fonts if "Display" not in font.name]  # which have few letters
    every = itertools.product(fonts, LETTERS)
    inks = (write(font, letter, rng.normal(0, TURN)) for font, letter in every)
    return Shown("letters and signs", _fit(inks))


def draw_scribbles(rng: np.random.Generator) -> Shown:
    """A pen through 6 to 25 places anywhere."""
    return Shown("scribbles", _fit(scribble(rng) for _ in range(SCRIBBLES)))


def draw_noise(rng: np.random.Generator) -> Shown:
    """Each pixel by itself, of any ink or of all and none."""
    return Shown("noise", np.concatenate([rng.random((250, 64)), rng.integers(0, 2, (250, 64))]))


def write(font: Path, text: str, turn: float = 0.0) -> np.ndarray:
    """The ink of it, turned by so many degrees: (height, width) in 0 ... 1."""
    picture = Image.new("L", (3 * SIDE, 3 * SIDE))
    at, written = (1.5 * SIDE, 1.5 * SIDE), ImageFont.truetype(str(font), SIDE)
    ImageDraw.Draw(picture).text(at, text, fill=255, font=written, anchor="mm")
    return np.asarray(picture.rotate(turn, Image.Resampling.BILINEAR)) / 255


def scribble(rng: np.random.Generator) -> np.ndarray:
    """The ink of one: (height, width) in 0 ... 1."""
    turns = int(rng.integers(6, 26))
    places = rng.uniform(0.1, 0.9, (turns, 2)) * SIDE * FINE
    line = CubicSpline(np.arange(turns), places)(np.linspace(0, turns - 1, 40 * turns))
    picture = Image.new("L", (SIDE * FINE, SIDE * FINE))
    width = int(rng.uniform(0.05, 0.11) * SIDE * FINE)
    ImageDraw.Draw(picture).line([*map(tuple, line)], fill=255, width=width, joint="curve")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255


def draw_digits(fonts: list[Path], rng: np.random.Generator) -> Shown:
    """Every digit in every font three times, turned a little."""
    every = [*itertools.product(fonts, range(10), range(3))]
    inks = (write(font, str(digit), rng.normal(0, TURN)) for font, digit, _ in every)
    labels = np.array([digit for _, digit, _ in every])
    return Shown(f"digits in {len(fonts)} handwriting fonts", _fit(inks), labels)


def draw_hands() -> Shown:
    """Those of tests/drawn.py: six hands, ten digits, one picture of each kind."""
    ones = [one for kind in drawn.KINDS for one in drawn.draw_all(kind, 1, SEED)]
    with tempfile.TemporaryDirectory() as folder:
        read = [read_picture(one.picture, Path(folder) / "x.png") for one in ones]
    whole = [i for i, images in enumerate(read) if len(images) == 1]
    return Shown(
        "digits by other hands",
        np.concatenate([read[i] for i in whole]),
        np.array([ones[i].label for i in whole]),
    )


def _fit(inks: Iterable[np.ndarray]) -> np.ndarray:
    """As the page reads them; what a font lacks has no ink."""
    return np.array([fit_ink(ink) for ink in inks if ink.max() > 0.5]).reshape(-1, 64)


# --- what is made of it


def judge(folder: Path, shown: list[Shown]) -> Iterator[tuple[float, ...]]:
    """By a run, of its test digits and of each kind: a share for each of JUDGED."""
    run = store.load_run(folder)
    manner = familiar.load_manner(folder)
    if manner is None or manner.familiar is None:
        raise SystemExit(f"{folder}: to this run nothing looks strange")
    own = Shown("test digits", *material.load_split(Config.of(run.config)).test)
    limits = None
    for _, images, labels in (own, *shown):
        x = images.astype(np.float32)
        logits = kinds.logits(run.params, x)
        strange = find_strange(manner.familiar, x, logits).mean()
        alone = measure_distances(manner.familiar.images, x), measure_energy(logits)
        if limits is None:  # of the run's own digits as many are strange by each
            limits = [np.quantile(one, 1 - strange, method="lower") for one in alone]
        apart = [(one > limit).mean() for one, limit in zip(alone, limits, strict=True)]
        right = (logits.argmax(axis=1) == labels).mean() if labels is not None else np.nan
        yield float(strange), *map(float, apart), float(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--fonts", type=Path, metavar="FOLDER", help="of handwriting fonts")
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    shown = [draw_hands(), draw_letters(rng), draw_scribbles(rng), draw_noise(rng)]
    if args.fonts:
        fonts = sorted(one for one in args.fonts.rglob("*") if one.suffix in FONT_FILES)
        shown.insert(1, draw_digits(fonts, rng))
    judged = np.array([[*judge(folder, shown)] for folder in args.runs])  # (runs, kinds, JUDGED)
    print(f"| shown | images | {' | '.join(JUDGED)} |\n| --- {'| ---: ' * (len(JUDGED) + 1)}|")
    names = [("test digits", "of each run"), *((one.name, len(one.images)) for one in shown)]
    for (name, images), columns in zip(names, judged.transpose(1, 2, 0), strict=True):
        cells = [", ".join(f"{share:.1%}" for share in each) for each in columns]
        told = " | ".join("" if "nan" in cell else cell for cell in cells)
        print(f"| {name} | {images} | {told} |")


if __name__ == "__main__":
    main()
