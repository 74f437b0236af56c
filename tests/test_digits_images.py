"""Images from files, and the pictures that a run leaves."""

import contextlib
import io
import struct
import subprocess
import sys
import types
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import drawn
from tinygrad_digits.digits.data import dataset as data
from tinygrad_digits.digits.images import averaging, reading, show, webp
from tinygrad_digits.digits.images import files as images
from tinygrad_digits.digits.runs import plots

DIGIT = data.load_digits().images[0]  # a zero
GREY = np.round(DIGIT.reshape(8, 8) * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(8, 8), (64,), (1, 8, 8), (1, 64)])
@pytest.mark.parametrize("scale", [1, 16])
def test_npy_in_either_scale_and_every_shape(tmp_path, shape, scale):
    array = DIGIT.reshape(shape) * scale
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), [DIGIT])


def test_integers_count_sixteenths(tmp_path):
    np.save(tmp_path / "x.npy", (DIGIT * 16).astype(np.uint8))
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), [DIGIT])


def test_many_images_in_one_file(tmp_path):
    many = data.load_digits().images[:5]
    np.save(tmp_path / "x.npy", many.reshape(5, 8, 8))
    np.testing.assert_array_equal(images.read_images(tmp_path / "x.npy"), many)


def _red(grey):
    return np.stack([np.full_like(grey, 255), 255 - grey, 255 - grey], axis=-1)


def _transparent(grey):
    return np.stack([np.zeros_like(grey)] * 3 + [grey], axis=-1)


KINDS = {
    "light on dark": Image.fromarray,
    "dark on light": lambda grey: Image.fromarray(255 - grey),
    "faint": lambda grey: Image.fromarray(100 + grey // 4),
    "16 bits": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "red on white": lambda grey: Image.fromarray(_red(grey)),
    "black on transparent": lambda grey: Image.fromarray(_transparent(grey)),
    "palette": lambda grey: Image.fromarray(255 - grey).convert("P"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("enlarged", [1, 4])
def test_pictures_of_every_kind_and_size(tmp_path, kind, enlarged):
    grey = np.kron(GREY, np.ones((enlarged, enlarged), np.uint8))
    if enlarged > 1:  # with a margin, which is cropped
        grey = np.pad(grey, ((9, 17), (20, 3)))
    KINDS[kind](grey).save(tmp_path / "x.png")
    (read,) = images.read_images(tmp_path / "x.png")
    assert read.min() == 0
    assert read.max() == 1
    if enlarged == 1:
        np.testing.assert_allclose(read, DIGIT / DIGIT.max(), atol=0.02)
    else:
        assert np.corrcoef(read, DIGIT)[0, 1] > 0.95


def test_a_bar_stays_a_bar_and_stands_in_the_middle(tmp_path):
    stroke = np.zeros((90, 50), np.uint8)
    stroke[5:69, 30:38] = 255  # 64 x 8, off the middle
    Image.fromarray(stroke).save(tmp_path / "one.png")
    (read,) = images.read_images(tmp_path / "one.png")
    read = read.reshape(8, 8)
    np.testing.assert_array_equal(read, read[:, ::-1])
    np.testing.assert_array_equal(read[1:7, 3:5], 1)
    np.testing.assert_array_equal(read[:, :2], 0)


def _exif(orientation):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_turned_picture_is_read_the_right_way_up(tmp_path, name, orientation):
    seven = np.zeros((20, 30), np.uint8)
    seven[3, 5:25] = seven[3:17, 24] = 255
    Image.fromarray(seven).save(tmp_path / name, exif=_exif(orientation), quality=100)
    with Image.open(tmp_path / name) as file:
        ImageOps.exif_transpose(file).save(tmp_path / "upright.png", exif=b"")
    (read,), (upright,) = (images.read_images(tmp_path / one) for one in (name, "upright.png"))
    np.testing.assert_array_equal(read, upright)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, orientation):
    Image.fromarray(GREY).save(tmp_path / "x.png", exif=_exif(orientation))
    (read,) = images.read_images(tmp_path / "x.png")
    np.testing.assert_allclose(read, DIGIT / DIGIT.max(), atol=0.02)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp", "x.gif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_picture_is_read_as_a_small_one(tmp_path, name, mode):
    small = np.asarray(drawn.draw("school", 5, "black on white").picture.convert("L"))
    Image.fromarray(np.kron(small, np.ones((8, 8), np.uint8))).convert(mode).save(tmp_path / name)
    Image.fromarray(np.kron(small, np.ones((2, 2), np.uint8))).save(tmp_path / "small.png")
    (large,), (small,) = (images.read_images(tmp_path / one) for one in (name, "small.png"))
    if name in ("x.jpg", "x.webp"):  # which are not exact
        assert abs(large - small).mean() < 0.03
    else:
        np.testing.assert_allclose(large, small, atol=0.05)


def _png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of_size(width, height, depth, colour):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", head) + _png_chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour"),
    [(12_000, 12_000, 1, 0), (2**31 - 1, 2**31 - 1, 8, 2), (2**31 - 1, 1, 1, 0),
     (1, 100_000, 8, 0), (5000, 5000, 8, 2), (4000, 4000, 8, 6), (7000, 7000, 8, 3),
     (6000, 6000, 16, 0)],
)  # fmt: skip
def test_a_picture_that_would_take_too_much_is_refused_by_its_size(
    tmp_path, width, height, depth, colour
):
    (tmp_path / "x.png").write_bytes(_png_of_size(width, height, depth, colour))
    with pytest.raises(images.ImageError, match=r"too large|exceeds limit"):
        images.read_images(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("name", "options"),
    [("x.jpg", {"progressive": True, "subsampling": 0}), ("x.webp", {"lossless": True}),
     ("x.gif", {}), ("x.tif", {"compression": "tiff_lzw", "tiffinfo": {278: 3000}})],
)  # fmt: skip
def test_so_is_one_whose_decoder_would(tmp_path, name, options):
    Image.new("RGB", (3100, 3000)).save(tmp_path / name, **options)
    with pytest.raises(images.ImageError, match="too large, 3100 x 3000"):
        images.read_images(tmp_path / name)


MEMORY = """
import pathlib, resource, sys
from tinygrad_digits.digits.images import read_images
read_images(pathlib.Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_images(pathlib.Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes there")
@pytest.mark.parametrize(("mode", "side"), [("RGB", 3490), ("1", 6300), ("I;16", 4900)])
def test_the_largest_pictures_take_less_than_64_mb(tmp_path, mode, side):
    picture = Image.new(mode, (side, side))
    picture.paste(255 if mode != "RGB" else "white", (200, 200, 300, 700))
    picture.save(tmp_path / "large.png", compress_level=1)
    picture.crop((0, 0, 900, 900)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", MEMORY, tmp_path / "small.png", tmp_path / "large.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 * 1024


PHOTOGRAPHS = [
    ("x.jpg", {}),
    ("x.jpg", {"progressive": True}),
    ("x.tif", {"compression": "tiff_lzw"}),
    ("x.tif", {}),
    ("x.webp", {"quality": 80, "method": 0}),
]


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes there")
@pytest.mark.parametrize(("name", "options"), PHOTOGRAPHS, ids=str)
def test_a_telephones_photograph_takes_less_than_64_mb(tmp_path, name, options):
    picture = Image.new("RGB", (4032, 3024), (250, 240, 230))
    picture.paste((20, 30, 90), (1800, 600, 2000, 2400))
    picture.save(tmp_path / name, **options)
    picture.resize((400, 300)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", MEMORY, tmp_path / "small.png", tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 * 1024


@pytest.mark.parametrize("side", [(1300, 700), (701, 1301), (513, 515)])
def test_a_large_webp_is_read_as_its_png_is(tmp_path, side, monkeypatch):
    picture = Image.new("RGB", side, (250, 240, 230))
    picture.paste((200, 30, 90), (side[0] // 3, 60, side[0] // 2, side[1] - 90))
    picture.save(tmp_path / "x.png")
    picture.save(tmp_path / "x.webp", quality=95)
    levels = webp.read_lossy(tmp_path / "x.webp", longest=max(side) // 2 + 1)
    by = 2
    wanted = averaging.average(np.asarray(picture, float), by)
    assert levels.shape == wanted.shape
    assert np.median(abs(levels - wanted)) < 2
    assert abs(levels - wanted).mean() < 3
    monkeypatch.setattr(images, "MOST_BYTES", 10**6)
    (box,) = images.read_file(tmp_path / "x.webp").boxes
    drawn = side[0] // 3, side[0] // 2, 60, side[1] - 90
    assert np.allclose((box.left, box.right, box.top, box.bottom), drawn, atol=7)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {"lossless": True}), ("RGBA", {"quality": 80})],
    ids=["lossless", "transparent"],
)
def test_other_webp_is_left_to_pillow(tmp_path, mode, options):
    picture = Image.new(mode, (600, 600))
    picture.paste("red", (200, 200, 300, 500))
    picture.save(tmp_path / "x.webp", **options)
    assert webp.read_lossy(tmp_path / "x.webp", 512) is None
    (tmp_path / "y.webp").write_bytes((tmp_path / "x.webp").read_bytes()[:20])
    assert webp.read_lossy(tmp_path / "y.webp", 512) is None


def test_a_damaged_webp_is_none_or_as_much_as_there_is(tmp_path, rng):
    Image.fromarray(np.kron(GREY, np.ones((9, 9), np.uint8))).convert("RGB").save(
        tmp_path / "x.webp", quality=80
    )
    whole = np.frombuffer((tmp_path / "x.webp").read_bytes(), np.uint8)
    for _ in range(200):
        damaged = whole[: rng.integers(1, len(whole) + 1)].copy()
        damaged[rng.integers(0, len(damaged), 3)] = rng.integers(0, 256, 3)
        (tmp_path / "y.webp").write_bytes(damaged.tobytes())
        levels = webp.read_lossy(tmp_path / "y.webp", 64)
        assert levels is None or levels.shape[2] == 3


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.tif", "x.webp", "x.bmp", "x.ppm"])
def test_a_damaged_picture_is_read_or_refused_by_name(tmp_path, name, rng):
    buffer = io.BytesIO()
    kind = Image.registered_extensions()[name[1:]]
    exif = {} if kind in ("GIF", "BMP", "PPM") else {"exif": _exif(6)}
    Image.fromarray(np.kron(GREY, np.ones((3, 3), np.uint8))).save(buffer, kind, **exif)
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    for _ in range(200):
        damaged = whole[: rng.integers(1, len(whole) + 1)].copy()
        damaged[rng.integers(0, len(damaged), 3)] = rng.integers(0, 256, 3)
        (tmp_path / name).write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of damage that it reads around
            with contextlib.suppress(images.ImageError):
                images.read_images(tmp_path / name)


def test_an_array_that_promises_more_than_there_is_takes_no_memory(tmp_path):
    head = io.BytesIO()
    shape = {"shape": (10**11, 64), "fortran_order": False, "descr": "<f8"}
    np.lib.format.write_array_header_1_0(head, shape)
    (tmp_path / "x.npy").write_bytes(head.getvalue() + bytes(512))
    with pytest.raises(images.ImageError, match=r"not a whole \.npy"):
        images.read_images(tmp_path / "x.npy")


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"", "not a whole .npy"),
        ("x.npy", _npy(DIGIT)[:-8], "not a whole .npy"),
        ("x.npy", _npy(np.array([{}])), "not a whole .npy"),
        ("x.npy", _npy(np.array(["a"] * 64)), "array of numbers"),
        ("x.npy", _npy(np.zeros((5, 28))), r"got \(5, 28\)"),
        ("x.npy", _npy(np.zeros((28, 28))), "blank"),
        ("x.npy", _npy(np.full((28, 28), 256)), "0-255, got 256"),
        ("x.npy", _npy(np.zeros(())), r"got \(\)"),
        ("x.npy", _npy(np.zeros((2, 2, 64))), r"got \(2, 2, 64\)"),
        ("x.npy", _npy(np.zeros((0, 64))), "one image or more"),
        ("x.npy", _npy(np.full(64, np.nan)), "NaN"),
        ("x.npy", _npy(np.full(64, 17)), r"0-16, got 17 \.\.\. 17"),
        ("x.npy", _npy(np.full(64, -1.0)), "got -1"),
        ("x.png", b"", "not a whole picture"),
        ("x.png", b"hello", "not a whole picture"),
        ("x.png", _png(np.kron(GREY, np.ones((40, 40), np.uint8)))[:-400], "not a whole picture"),
        ("x.png", _png(np.full((9, 9), 7, np.uint8)), "blank"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(images.ImageError, match=rf"{name}: .*{message}"):
        images.read_images(tmp_path / name)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(images.ImageError, match=r"gone\.png: no such file"):
        images.read_images(tmp_path / "gone.png")


def _levels(picture):
    grey = picture.mode in ("1", "L")
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.atleast_3d(np.asarray(picture.convert("L" if grey else "RGB"), float) / 255)


def _masks(stages):
    """The ink that was found, digit by digit, in the place of the picture."""
    for digit in stages.digits:
        mask = np.zeros(stages.ink.ink.shape, bool)
        top, bottom, left, right = digit.box
        mask[top:bottom, left:right] = stages.ink.ink[top:bottom, left:right] > 0.5
        yield mask


OTHER_HANDS = [pytest.param(hand, marks=pytest.mark.gate) for hand in ("hasty", "child")]


@pytest.mark.parametrize("kind", drawn.KINDS)
@pytest.mark.parametrize("hand", ["school", *OTHER_HANDS])
def test_the_ink_that_was_drawn_is_found(hand, kind):
    for digit in (1, 4, 5, 8):
        truth = drawn.draw(hand, digit, kind, seed=7)
        (found,) = _masks(reading.read_digits(_levels(truth.picture)))
        shared = (found & truth.mask).sum() / (found | truth.mask).sum()
        assert shared > (0.75 if kind in ("28x28", "thin") else 0.9), digit


def _draw(hand="continental", digit=5, **place):
    how = {"pen": 0.09, "height": 0.6, "place": 0.0} | place
    return drawn.draw_ink(hand, digit, np.random.default_rng(3), **how)


def _read(levels):
    (digit,) = reading.read_digits(np.clip(levels, 0, 1)[..., np.newaxis]).digits
    return digit.image


def test_light_ink_on_dark_is_read_as_dark_on_light():
    ink = _draw()
    assert abs(_read(1 - 0.8 * ink) - _read(0.1 + 0.8 * ink)).max() <= 1 / 16


@pytest.mark.parametrize(("down", "right"), [(0, 9), (-14, 0), (11, -13)])
def test_a_digit_that_was_moved_is_read_the_same(down, right):
    levels = 1 - 0.8 * _draw()
    moved = np.roll(levels, (down, right), axis=(0, 1))
    np.testing.assert_array_equal(_read(moved), _read(levels))


@pytest.mark.parametrize("by", [2, 3])
def test_a_digit_that_was_enlarged_is_read_the_same(by):
    levels = 1 - 0.8 * _draw()
    larger = np.kron(levels, np.ones((by, by)))
    assert np.corrcoef(_read(larger).ravel(), _read(levels).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("pen", [0.03, 0.06, 0.12])
def test_the_pen_does_not_matter_much(pen):
    other = _read(1 - _draw(pen=pen))
    assert np.corrcoef(other.ravel(), _read(1 - _draw()).ravel())[0, 1] > 0.85


LIGHTS = {
    "a lamp at the side": lambda x, y: np.exp(-2 * x),
    "a lamp above": lambda x, y: 0.2 + 0.8 * np.exp(-8 * ((x - 0.3) ** 2 + (y - 0.4) ** 2)),
    "a hand": lambda x, y: np.where(x + 0.3 * y > 0.6, 0.45, 1),
    "a finger": lambda x, y: np.where(abs(x - y) < 0.15, 0.5, 1),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("digit", [2, 7, 9])
def test_the_light_does_not_matter(light, digit):
    ink = _draw(digit=digit)
    y, x = np.indices(ink.shape) / len(ink)
    levels = 1 - 0.8 * ink
    assert (
        np.corrcoef(_read(levels * LIGHTS[light](x, y)).ravel(), _read(levels).ravel())[0, 1] > 0.95
    )


@pytest.mark.parametrize("darkness", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("slope", [0, 0.04])
@pytest.mark.parametrize("squared", [False, True])
def test_lines_of_the_paper_are_dropped(darkness, slope, squared):
    ink = _draw(digit=3)
    y, x = np.indices(ink.shape)
    lines = (y + np.round(slope * x)) % 31 < 2
    if squared:
        lines |= (x - np.round(slope * y)) % 31 < 2
    levels = 1 - np.maximum(0.8 * ink, darkness * lines)
    found = reading.read_digits(levels[..., np.newaxis])
    assert len(found.digits) == 1
    seen, true = found.ink.ink > 0.5, ink > 0.5
    assert (seen & true).sum() / (seen | true).sum() > 0.8
    plain = _read(1 - 0.8 * ink)
    assert np.corrcoef(found.digits[0].image.ravel(), plain.ravel())[0, 1] > 0.9


def test_grain_and_dust_are_dropped():
    ink, rng = _draw(digit=6), np.random.default_rng(0)
    levels = 0.9 - 0.75 * ink + rng.normal(0, 0.2, ink.shape)
    levels[rng.random(ink.shape) < 0.03] = 0
    plain = _read(1 - 0.8 * ink)
    assert np.corrcoef(_read(levels).ravel(), plain.ravel())[0, 1] > 0.95


def test_a_sheet_on_a_dark_table_is_found():
    levels = np.full((260, 300), 0.3)
    levels[40:240, 60:260] = 1 - 0.8 * _draw()
    stages = reading.read_digits(levels[..., np.newaxis])
    (box,) = stages.find_boxes()
    rows, columns = (np.flatnonzero((_draw() > 0.5).any(axis=axis)) for axis in (1, 0))
    truth = rows[0] + 40, rows[-1] + 41, columns[0] + 60, columns[-1] + 61
    assert max(abs(a - b) for a, b in zip(box, truth, strict=True)) <= 1


def _write_number(digits, hand="school", apart=130):
    """Digits in a row, each as large as the others: grey levels, and their boxes."""
    page, boxes = np.ones((200, 60 + apart * len(digits))), []
    for place, digit in enumerate(digits):
        one = drawn.draw(hand, digit, "black on white", seed=place)
        left, top, right, bottom = one.box
        levels = _levels(one.picture)[top:bottom, left:right, 0]
        at = 40 + place * apart
        page[20 : 20 + bottom - top, at : at + right - left] = levels
        boxes.append((20, 20 + bottom - top, at, at + right - left))
    return page, boxes


@pytest.mark.parametrize("hand", drawn.HANDS)
def test_a_number_is_read_from_left_to_right_and_line_by_line(hand, tmp_path):
    lines = [_write_number(digits, hand) for digits in ([3, 1, 4, 7], [5, 0, 2, 8])]
    page = np.concatenate([line for line, _ in lines])
    truth = [
        (top + 200 * row, bottom + 200 * row, left, right)
        for row, (_, boxes) in enumerate(lines)
        for top, bottom, left, right in boxes
    ]
    Image.fromarray(np.uint8(255 * page)).save(tmp_path / "number.png")
    found = images.read_file(tmp_path / "number.png")
    assert found.images.shape == (8, 64)
    off = [
        abs(a - b)
        for box, true in zip(found.boxes, truth, strict=True)
        for a, b in zip(box, true, strict=True)
    ]
    assert max(off) <= 3  # pixels of a picture that was halved


def test_dots_and_dashes_are_no_digits():
    page, boxes = _write_number([3, 1, 4], apart=150)
    page[100:106, 125:155] = 0  # between the first two
    page[170:178, 275:283] = 0
    found = reading.read_digits(page[..., np.newaxis]).find_boxes()
    assert len(found) == len(boxes)


def test_a_bar_apart_is_its_fives_own():
    five = _draw(digit=5)
    apart = np.zeros_like(five)
    apart[70:150, 60:110] = 1
    apart[78:142, 68:110] = 0
    apart[55:62, 90:130] = 1  # the bar
    assert len(reading.read_digits(1 - apart[..., np.newaxis]).digits) == 1


def test_digits_that_touch_are_cut_apart():
    page = np.ones((120, 200))
    for left in (30, 112):  # two rings ...
        y, x = np.indices(page.shape)
        away = np.hypot((y - 60) / 45, (x - left - 30) / 32)
        page[(away < 1.05) & (away > 0.8)] = 0
    page[58:62, 90:118] = 0  # ... and a bridge
    first, second = reading.read_digits(page[..., np.newaxis]).digits
    for ring in (first, second):
        assert ring.image[3:5, 3:5].max() < 0.3  # its hole
    assert 90 <= first.box.right <= second.box.left <= 118


@pytest.mark.parametrize("picture", ["noise", "paper", "dust"])
def test_nothing_is_no_digit(picture):
    rng = np.random.default_rng(0)
    levels = np.full((150, 150, 1), 0.8)
    if picture == "noise":
        levels = rng.random((150, 150, 1))
    elif picture == "dust":
        levels += rng.normal(0, 0.005, levels.shape)
    with pytest.raises(ValueError, match=r"blank|no digit"):
        reading.read_digits(levels)


@pytest.mark.parametrize("shape", [(28, 28), (2, 28, 28), (2, 784)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("light", [True, False])
def test_arrays_as_mnist_has_them(tmp_path, shape, dtype, light):
    pixels = [np.asarray(drawn.draw("school", digit, "28x28").picture) for digit in (4, 7)]
    many = np.array(pixels if len(shape) > 2 or shape == (2, 784) else pixels[0])
    many = many.reshape(shape) if light else 255 - many.reshape(shape)
    np.save(tmp_path / "x.npy", (many if dtype == np.uint8 else many / 255).astype(dtype))
    found = images.read_images(tmp_path / "x.npy")
    Image.fromarray(pixels[0]).save(tmp_path / "x.png")
    (first,) = images.read_images(tmp_path / "x.png")
    assert found.shape == (many.size // 784, 64)
    assert np.corrcoef(found[0], first)[0, 1] > 0.97


def test_digits_are_placed_as_the_data_set_places_them():
    """Ink, centre and spread of what was drawn are near those of scikit-learn's digits."""

    def describe(batch):
        batch = batch.reshape(-1, 8, 8)
        ink = batch.sum(axis=(1, 2))
        y, x = (np.einsum("nij,ij->n", batch, at) / ink for at in np.indices((8, 8)))
        spread = np.einsum("nij,nij->n", batch, (np.arange(8) - x[:, None, None]) ** 2) / ink
        return np.array([np.mean(16 * ink), np.mean(y), np.mean(x), np.mean(spread**0.5)])

    kinds = ("thin", "black on white", "thick")
    ours = [
        reading.read_digits(_levels(one.picture)).digits[0].image
        for kind in kinds
        for one in drawn.draw_all(kind, samples=1)
    ]
    apart = describe(np.array(ours)) - describe(data.load_digits().images)
    assert (abs(apart) < (35, 0.3, 0.3, 0.25)).all(), apart


def test_what_was_done_is_drawn(tmp_path):
    drawn.draw("school", 3, "photo").picture.save(tmp_path / "x.jpg")
    stages = images.read_file(tmp_path / "x.jpg").stages
    named = show.explain(stages)
    assert next(iter(named)) == "picture"
    assert [*named][-1] == "8 x 8"
    assert all(levels.min() >= 0 and levels.max() <= 1 for levels in named.values())
    red = np.isclose(named["digits"], (0.85, 0.1, 0.1)).all(axis=-1)
    rows, columns = (np.flatnonzero(red.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == stages.digits[0].box
    assert show.draw_stages(stages).size > (1000, 500)


def _history(epochs):
    row = {"train_loss": 1.0, "train_accuracy": 0.5}
    row |= {"validation_loss": 2.0, "validation_accuracy": 0.25}
    return [{"epoch": epoch, **row} for epoch in range(epochs)]


def _captions(figure):
    return [axes.get_title() or axes.get_title("left") for axes in figure.axes]


def test_a_line_of_digits_is_drawn_as_wide_as_it_is():
    page = np.ones((60, 400, 1))
    for left in range(10, 380, 55):
        page[10:50, left : left + 5] = 0
    sheet = show.draw_stages(reading.read_digits(page))
    assert sheet.width == show.ROW + 2 * show.GAP
    strip = show.ROW * 60 // 400 + show.CAPTION + show.GAP
    digits = 4 * (show.PANEL + show.CAPTION + show.GAP)  # seven, two panels each
    assert abs(sheet.height - 5 * strip - digits - show.GAP) <= 5


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_curves_show_train_and_validation(epochs):
    figure = plots.draw_curves(_history(epochs))
    for axes in figure.axes:
        assert [line.get_label() for line in axes.get_lines()] == ["train", "validation"]
        assert all(len(line.get_xdata()) == epochs for line in axes.get_lines())
    assert plots.encode_png(figure).startswith(b"\x89PNG")


def test_the_confusion_matrix_writes_each_count_in_its_cell():
    counts = np.diag(np.arange(10))
    counts[3, 8] = 7
    figure = plots.draw_confusion(counts)
    (axes,) = figure.axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written.pop((8, 3)) == "7"  # x is what was said
    assert written == {(i, i): str(i) for i in range(1, 10)}
    assert _captions(figure) == ["45 of 52 test digits right"]
    assert plots.encode_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [0, 1, 9, 50])
def test_the_gallery_says_what_was_said_how_surely_and_the_truth(wrong):
    labels = np.zeros(60, int)
    probabilities = np.zeros((60, 10))
    probabilities[:, 0] = 1
    sure = np.linspace(0.6, 0.9, wrong)
    probabilities[:wrong, 4], probabilities[:wrong, 0] = sure, 1 - sure
    figure = plots.draw_mistakes(np.zeros((60, 64)), labels, probabilities)
    captions = [caption for caption in _captions(figure) if caption]
    shown = sure[::-1][: plots.SHOWN]
    assert captions == [f"said 4 ({p:.1%})\ntruth 0" for p in shown]
    assert figure.get_suptitle().startswith(f"{wrong} of 60 test digits misread")
    assert plots.encode_png(figure).startswith(b"\x89PNG")


HEIC = b"\0\0\0\x18ftypheic" + bytes(12)


def test_heic_without_its_package_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "x.heic").write_bytes(HEIC)
    with pytest.raises(images.ImageError, match=r"x\.heic: .*pip install pillow-heif"):
        images.read_images(tmp_path / "x.heic")


def test_heic_is_read_by_its_package(tmp_path, monkeypatch):
    def register_heif_opener(**_options):
        """As the package does; but what follows the head is a PNG file."""

        def open_heif(file, _name):
            with file:
                file.seek(len(HEIC))
                return Image.open(io.BytesIO(file.read()))

        Image.register_open("HEIF", open_heif, lambda head: head[4:12] == b"ftypheic")

    package = types.SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    png = io.BytesIO()
    drawn.draw("school", 3, "black on white").picture.save(png, "PNG")
    (tmp_path / "x.png").write_bytes(png.getvalue())
    (tmp_path / "x.heic").write_bytes(HEIC + png.getvalue())
    found, same = (images.read_images(tmp_path / f"x.{kind}") for kind in ("heic", "png"))
    np.testing.assert_array_equal(found, same)
