"""Images from files, and the pictures that a run leaves."""

import contextlib
import io
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import drawn
from tinygrad_digits.digits.data import dataset as data
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
    [("x.jpg", {"progressive": True}), ("x.webp", {"quality": 1}), ("x.gif", {}), ("x.tif", {})],
)
def test_so_is_one_whose_decoder_would(tmp_path, name, options):
    Image.new("L", (3100, 3000)).save(tmp_path / name, **options)
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


def _history(epochs):
    row = {"train_loss": 1.0, "train_accuracy": 0.5}
    row |= {"validation_loss": 2.0, "validation_accuracy": 0.25}
    return [{"epoch": epoch, **row} for epoch in range(epochs)]


def _captions(figure):
    return [axes.get_title() or axes.get_title("left") for axes in figure.axes]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_curves_show_train_and_validation(epochs):
    figure = plots.curves(_history(epochs))
    for axes in figure.axes:
        assert [line.get_label() for line in axes.get_lines()] == ["train", "validation"]
        assert all(len(line.get_xdata()) == epochs for line in axes.get_lines())
    assert plots.png(figure).startswith(b"\x89PNG")


def test_the_confusion_matrix_writes_each_count_in_its_cell():
    counts = np.diag(np.arange(10))
    counts[3, 8] = 7
    figure = plots.confusion(counts)
    (axes,) = figure.axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written.pop((8, 3)) == "7"  # x is what was said
    assert written == {(i, i): str(i) for i in range(1, 10)}
    assert _captions(figure) == ["45 of 52 test digits right"]
    assert plots.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [0, 1, 9, 50])
def test_the_gallery_says_what_was_said_how_surely_and_the_truth(wrong):
    labels = np.zeros(60, int)
    probabilities = np.zeros((60, 10))
    probabilities[:, 0] = 1
    sure = np.linspace(0.6, 0.9, wrong)
    probabilities[:wrong, 4], probabilities[:wrong, 0] = sure, 1 - sure
    figure = plots.mistakes(np.zeros((60, 64)), labels, probabilities)
    captions = [caption for caption in _captions(figure) if caption]
    shown = sure[::-1][: plots.SHOWN]
    assert captions == [f"said 4 ({p:.1%})\ntruth 0" for p in shown]
    assert figure.get_suptitle().startswith(f"{wrong} of 60 test digits misread")
    assert plots.png(figure).startswith(b"\x89PNG")
